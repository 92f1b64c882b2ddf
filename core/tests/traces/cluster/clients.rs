//! What clients ask of the cluster, and what they are answered.

use quipu_core::query::{Await, Question, Register, Remove};

use super::*;

impl Cluster {
    /// A client's request; see [`Cluster::reply`].
    pub(crate) fn request(&mut self, place: Place, ops: Vec<Op>) -> Token {
        let token = self.token();
        self.step(place, Input::Request { token, request: Request::from(ops) });
        token
    }

    /// A client's request into a batch that is left open for whatever comes next. Nobody waits for
    /// its reply.
    pub(crate) fn leave_open(&mut self, place: Place, ops: Vec<Op>) {
        let (token, now) = (self.token(), self.now);
        let mut effects = Effects::default();
        self.machines[place].node.handle(
            now,
            Input::Request { token, request: Request::from(ops) },
            &mut effects,
        );
        assert!(effects.at_once.is_empty() && effects.journal.is_empty());
    }

    /// New names may take so many bytes there from now on, and slots without end.
    pub(crate) fn make_room(&mut self, place: Place, names: u64) {
        self.step(place, Input::Room(Room { names, slots: u64::MAX }));
    }

    /// Neither may take any.
    pub(crate) fn end_room(&mut self, place: Place) {
        self.step(place, Input::Room(Room { names: 0, slots: 0 }));
    }

    pub(crate) fn reply(&self, token: Token) -> Option<&Reply> {
        self.replies.get(&token)
    }

    /// A client's request, and the values that it is answered with.
    pub(crate) fn ask(&mut self, place: Place, ops: Vec<Op>) -> Vec<Result<Value, Refusal>> {
        self.reply_to(place, ops).results
    }

    /// A client's request and its reply.
    pub(crate) fn reply_to(&mut self, place: Place, ops: Vec<Op>) -> Reply {
        let token = self.request(place, ops);
        self.run_until("the reply", secs(5), |cluster| cluster.reply(token).is_some());
        self.replies.remove(&token).expect("it was awaited")
    }

    /// A question, and its answer.
    pub(crate) fn query<Q: Question>(&mut self, place: Place, question: Q) -> Q::Answer {
        let token = self.begin_query(place, question);
        self.run_until("the answer", secs(5), |cluster| cluster.is_answered(token));
        self.answer::<Q>(token).expect("it was awaited")
    }

    fn begin_query(&mut self, place: Place, question: impl Question) -> Token {
        let (token, query) = (self.token(), question.into());
        self.step(place, Input::Query { token, query });
        token
    }

    /// The watcher's question; see [`Cluster::changes`].
    pub(crate) fn watch(&mut self, place: Place, wait: bool) -> Token {
        let token = self.token();
        self.step(place, Input::Watch { token, wait });
        token
    }

    /// The watcher goes; see [`Cluster::changes`].
    pub(crate) fn unwatch(&mut self, place: Place) -> Token {
        let token = self.token();
        self.step(place, Input::Unwatch { token });
        token
    }

    /// What the watcher was answered.
    pub(crate) fn changes(&self, token: Token) -> Option<&Changes> {
        self.changes.get(&token)
    }

    /// A client that waits for peers; see [`Cluster::answer`].
    pub(crate) fn await_peers(
        &mut self,
        place: Place,
        version: Version,
        peers: usize,
        patience: Option<Duration>,
    ) -> Token {
        self.begin_query(place, Await { version, peers, patience })
    }

    pub(crate) fn is_answered(&self, token: Token) -> bool {
        self.answers.contains_key(&token)
    }

    /// The answer to a question of this type.
    pub(crate) fn answer<Q: Question>(&self, token: Token) -> Option<Q::Answer> {
        let answer = self.answers.get(&token)?.clone();
        Some(Q::read(answer).expect("an answer of the kind that was asked for"))
    }

    /// Adds to a counter: the value after it.
    pub(crate) fn add(&mut self, place: Place, counter: &str, by: i64) -> i128 {
        self.ask(place, vec![add(counter, by)])[0].expect("an increment in range").0
    }

    pub(crate) fn register(&mut self, place: Place, given: &str) {
        self.try_register(place, given).expect("there is room");
    }

    pub(crate) fn remove(&mut self, place: Place, given: &str) {
        self.try_remove(place, given).expect("there is room");
    }

    pub(crate) fn try_register(&mut self, place: Place, given: &str) -> Result<(), PeersRefusal> {
        let peer = self.peer_name(given);
        let token = self.begin_query(place, Register { peer });
        self.answer::<Register>(token).expect("operators do not wait")
    }

    pub(crate) fn try_remove(&mut self, place: Place, given: &str) -> Result<(), PeersRefusal> {
        let peer = self.peer_name(given);
        let token = self.begin_query(place, Remove { peer });
        self.answer::<Remove>(token).expect("operators do not wait")
    }

    pub(crate) fn leave(&mut self, place: Place) {
        self.step(place, Input::Leave);
    }

    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        self.tokens
    }

    pub(super) fn peer_name(&self, given: &str) -> PeerName {
        let address = Address::parse(given, 8088).expect("host:port");
        let named = self.names.get(address.host()).map(|place| self.machines[*place].socket);
        let resolved = address.ip().or(named).into_iter().collect();
        PeerName { given: given.to_owned(), address, resolved }
    }
}
