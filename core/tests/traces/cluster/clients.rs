//! What clients ask of the cluster, and what they are answered.

use super::*;

impl Cluster {
    /// A client's request; see [`Cluster::reply`].
    pub(crate) fn request(&mut self, place: Place, ops: Vec<Op>) -> Token {
        let token = self.token();
        self.step(place, Input::Request { token, request: Request { ops } });
        token
    }

    /// A client's request into a batch that is left open for whatever comes next. Nobody waits for
    /// its reply.
    pub(crate) fn leave_open(&mut self, place: Place, ops: Vec<Op>) {
        let (token, now) = (self.token(), self.now);
        let mut effects = Effects::default();
        self.machines[place].node.handle(
            now,
            Input::Request { token, request: Request { ops } },
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

    /// A question about the table, and its answer.
    pub(crate) fn query(&mut self, place: Place, query: Query) -> Answer {
        let token = self.begin_query(place, query);
        self.run_until("the answer", secs(5), |cluster| cluster.answer(token).is_some());
        self.answers.remove(&token).expect("it was awaited")
    }

    /// A client that asks and waits; see [`Cluster::answer`].
    pub(crate) fn begin_query(&mut self, place: Place, query: Query) -> Token {
        let token = self.token();
        self.step(place, Input::Query { token, query });
        token
    }

    /// A client that waits for peers; see [`Cluster::answer`].
    pub(crate) fn await_peers(
        &mut self,
        place: Place,
        version: Version,
        peers: usize,
        patience: Option<Duration>,
    ) -> Token {
        let token = self.token();
        self.step(place, Input::Await { token, version, peers, patience });
        token
    }

    pub(crate) fn answer(&self, token: Token) -> Option<&Answer> {
        self.answers.get(&token)
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
        let (token, peer) = (self.token(), self.peer_name(given));
        self.step(place, Input::Register { token, peer });
        self.told_operator(token)
    }

    pub(crate) fn try_remove(&mut self, place: Place, given: &str) -> Result<(), PeersRefusal> {
        let (token, peer) = (self.token(), self.peer_name(given));
        self.step(place, Input::Remove { token, peer });
        self.told_operator(token)
    }

    pub(super) fn told_operator(&mut self, token: Token) -> Result<(), PeersRefusal> {
        match self.answers.remove(&token) {
            Some(Answer::Peers(done)) => done,
            other => panic!("expected an answer to the operator, found {other:?}"),
        }
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
