//! How a node is driven: what it is handed, and what becomes of its effects.
//!
//! Which of them may leave when is for core's [`Outbox`] to say, as in the server and the simulator.

use super::*;

impl Cluster {
    pub(super) fn step(&mut self, place: Place, input: Input) {
        if !self.is_running(place) {
            return;
        }
        let mut effects = Effects::default();
        let now = self.now;
        self.machines[place].node.handle(now, input, &mut effects);
        loop {
            self.note_spin(place);
            let machine = &mut self.machines[place];
            let batch = machine.node.close_batch(now, &mut effects);
            machine.closed.push_back((batch, machine.node.counters().our_version()));
            self.carry_out_at_once(place, &mut effects);
            // The records need no place: `let_go` says when they are safe.
            self.machines[place].outbox.close(batch, &mut effects);
            self.let_go(place, &mut effects);
            if !effects.must_wait() {
                break;
            }
        }
        let machine = &mut self.machines[place];
        machine.wake = machine.node.next_deadline();
    }

    /// Syncs what waits, unless the test holds it, and lets go what may leave.
    fn let_go(&mut self, place: Place, effects: &mut Effects) {
        let machine = &mut self.machines[place];
        if !machine.holds_syncs
            && let Some(newest) = machine.outbox.newest()
        {
            machine.outbox.safe(newest);
        }
        while let Some(Released { effects: after, batch }) = self.machines[place].outbox.release() {
            let machine = &mut self.machines[place];
            while let Some((_, version)) = machine.closed.pop_front_if(|(of, _)| *of <= batch) {
                machine.synced = version;
            }
            self.carry_out(place, Left::Synced, after);
            let now = self.now;
            self.machines[place].node.handle(now, Input::Synced { batch }, effects);
            self.carry_out_at_once(place, effects);
        }
    }

    fn carry_out_at_once(&mut self, place: Place, effects: &mut Effects) {
        let at_once = std::mem::take(&mut effects.at_once);
        self.carry_out(place, Left::AtOnce, at_once);
    }

    fn note_spin(&mut self, place: Place) {
        let (at, spins) = &mut self.machines[place].spins;
        *spins = if *at == self.now { *spins + 1 } else { 0 };
        *at = self.now;
        assert!(*spins < SPINS_MAX, "node {place} never stops asking for the time");
    }

    pub(super) fn carry_out(&mut self, from: Place, left: Left, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { token, results: outcomes, version } => {
                    let values = outcomes.iter().map(|of| of.map(|outcome| outcome.value));
                    let results = values.collect();
                    let reply = Reply { at: self.now, outcomes, results, version };
                    self.replies.insert(token, reply);
                }
                Effect::Answer { token, answer } => {
                    self.answers.insert(token, answer);
                }
                Effect::Changes { token, changes } => {
                    self.changes.insert(token, changes);
                }
                Effect::Datagram { to, bytes } => {
                    for place in self.resolve(&to) {
                        self.send_datagram(from, place, bytes.clone());
                    }
                }
                Effect::Broadcast { bytes } => {
                    for place in 0..self.machines.len() {
                        self.send_datagram(from, place, bytes.clone());
                    }
                }
                Effect::Dial { node, address } => {
                    self.arrive(LATENCY, Arrival::Dial { from, node, address });
                }
                Effect::Frame { links, bytes } => {
                    for link in &links {
                        self.send_frame(from, left, *link, links.len(), bytes.clone());
                    }
                }
                Effect::LinkEstablished { link } => {
                    self.machines[from].established.insert(link);
                }
                Effect::CloseLink { link } => {
                    self.put(link, Item::End);
                    self.network.close(link);
                }
                Effect::Event(event) => self.events.push((self.now, from, event)),
            }
        }
    }

    fn send_datagram(&mut self, from: Place, to: Place, bytes: Bytes) {
        watch::datagram(&bytes);
        self.datagrams_sent.push((self.now, from));
        if self.datagrams_to_lose > 0 {
            self.datagrams_to_lose -= 1;
        } else if self.network.can_send(from, to) {
            let from = self.machines[from].socket;
            self.arrive(LATENCY, Arrival::Datagram { from, to, bytes });
        }
    }

    fn send_frame(
        &mut self,
        from: Place,
        left: Left,
        link: LinkId,
        shared_by: usize,
        bytes: Bytes,
    ) {
        let machine = &self.machines[from];
        watch::frame(left, &bytes, machine.synced, machine.established.contains(&link));
        let to = self.network.reader_of(link);
        self.sent.push(Sent { at: self.now, from, to, shared_by, bytes: bytes.clone() });
        self.put(link, Item::Frame(bytes));
    }
}
