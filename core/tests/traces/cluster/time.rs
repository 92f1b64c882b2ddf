//! How time goes by: in steps, or until a condition holds.

use super::*;

impl Cluster {
    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.advance(end) {}
    }

    /// Lets time pass until something is so; tells how long it took.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Cluster) -> bool,
    ) -> Duration {
        let began = self.now;
        let end = began + limit;
        while !is_so(self) {
            if !self.advance(end) {
                let events: Vec<String> =
                    self.events.iter().map(|(at, n, e)| format!("{at:?} {n}: {e}")).collect();
                panic!("not within {limit:?}: {what}\n{}", events.join("\n"));
            }
        }
        self.now.since(began)
    }

    /// Does the next thing, if it happens before `end`.
    pub(super) fn advance(&mut self, end: Time) -> bool {
        let arrival = self.arrivals.first_key_value().map(|((at, _), _)| *at);
        let wake = self.running().map(|place| (self.machines[place].wake, place)).min();
        match (arrival, wake) {
            (Some(at), wake) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                self.now = self.now.max(at);
                let (_, arrival) = self.arrivals.pop_first().expect("it was looked at");
                self.deliver(arrival);
                true
            }
            (_, Some((wake, place))) if wake <= end => {
                self.now = self.now.max(wake);
                self.step(place, Input::Tick);
                true
            }
            _ => {
                self.now = end;
                false
            }
        }
    }

    pub(super) fn arrive(&mut self, after: Duration, arrival: Arrival) {
        self.arrivals_ever += 1;
        self.arrivals.insert((self.now + after, self.arrivals_ever), arrival);
    }

    pub(super) fn put(&mut self, link: LinkId, item: Item) {
        if let Some(pipe) = self.network.put(link, item) {
            self.arrive(LATENCY, Arrival::Pipe(pipe));
        }
    }

    pub(super) fn look_at_pipes(&mut self) {
        for pipe in self.network.waiting() {
            self.arrive(Duration::ZERO, Arrival::Pipe(pipe));
        }
    }

    pub(super) fn deliver(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Datagram { from, to, bytes } => {
                let machine = &mut self.machines[to];
                match machine.condition {
                    Condition::Runs => self.step(to, Input::Datagram { from, bytes }),
                    Condition::Paused if machine.inbox.len() < INBOX_MAX => {
                        machine.inbox.push((from, bytes));
                    }
                    _ => {}
                }
            }
            Arrival::Pipe(link) => self.deliver_from(link),
            Arrival::Dial { from, node, address } => self.dial(from, node, &address),
            Arrival::DialFailed { from, node } => self.step(from, Input::DialFailed { node }),
        }
    }

    pub(super) fn deliver_from(&mut self, link: LinkId) {
        let reads = |end| matches!(end, Some(End::Node(to)) if !self.is_running(to));
        if reads(self.network.end(link)) {
            return;
        }
        match self.network.take(link) {
            Some((End::Node(to), Item::Frame(frame))) => {
                self.step(to, Input::LinkFrame { link, frame });
            }
            Some((End::Node(to), Item::End)) => self.step(to, Input::LinkClosed { link }),
            Some((End::Stranger, Item::Frame(frame))) => {
                self.strangers.entry(link).or_default().frames.push(frame);
            }
            Some((End::Stranger, Item::End)) => {
                self.strangers.entry(link).or_default().is_closed = true;
            }
            None => {}
        }
    }

    pub(super) fn dial(&mut self, from: Place, node: NodeId, address: &Address) {
        let to = self.resolve(&Destination::Address(address.clone())).first().copied();
        let condition = to.map(|to| self.machines[to].condition);
        match (to, condition) {
            (Some(to), Some(Condition::Runs)) if self.network.can_dial(from, to) => {
                let (dialer, acceptor) = self.network.connect(End::Node(from), End::Node(to));
                self.step(to, Input::LinkOpened { link: acceptor, dialed: None });
                self.step(from, Input::LinkOpened { link: dialer, dialed: Some(node) });
            }
            (_, Some(Condition::Stopped)) | (None, _) => {
                self.step(from, Input::DialFailed { node });
            }
            _ => self.arrive(CONNECT_MAX, Arrival::DialFailed { from, node }),
        }
    }

    pub(super) fn resolve(&self, to: &Destination) -> Vec<Place> {
        let by_socket = |socket: SocketAddr| -> Vec<Place> {
            (0..self.machines.len()).filter(|at| self.machines[*at].socket == socket).collect()
        };
        match to {
            Destination::Socket(socket) => by_socket(*socket),
            Destination::Address(address) => match address.ip() {
                Some(socket) => by_socket(socket),
                None => self.names.get(address.host()).copied().into_iter().collect(),
            },
        }
    }
}
