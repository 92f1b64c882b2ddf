//! Addresses that are asked who is there: seeds, again and again, what an operator registers, and
//! where another process is said to live under our NodeId.

use std::time::Duration;

use crate::event::Event;
use crate::identity::{Address, NodeId};
use crate::time::Time;
use crate::turn::Turn;

/// How long a peer that was registered by hand may take to answer.
const REGISTERED_PATIENCE: Duration = Duration::from_secs(5);

/// The time between asks of an address that was registered by hand, or of a seed while alone.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// The time between asks of a seed at whose address no member is up: behind it may be an island that
/// knows of this one by seeds alone.
const ASK_UNMET_EVERY: Duration = Duration::from_secs(1);

/// Such seeds that are asked in that time, half a kilobyte each; where there are more, each has its
/// turn later.
const ASK_UNMET_AT_ONCE: u32 = 16;

/// The time between asks of a seed whose node is known, if it was given by an address: another node
/// may come to live there.
const ASK_MET_EVERY: Duration = Duration::from_secs(15);

/// The same if it was given by a name, which may stand for many nodes: as often as a node calls.
const ASK_NAMED_EVERY: Duration = Duration::from_secs(3);

/// Seeds, and addresses that are being asked because operators registered them: so many of each.
pub(super) const ASKS_MAX: usize = 256;

/// How long after a call under our NodeId its address is asked. The copy of a removed node's disk
/// may hear its original before it hears that it is removed; the nodes that know send it that within this
/// time.
const DOUBT_AFTER: Duration = Duration::from_millis(500);

/// How long it is asked.
const DOUBT_PATIENCE: Duration = Duration::from_millis(2500);

/// Addresses that are asked for this reason at one time. Strangers choose them, and what is sent
/// there: two kilobytes a second to all of them.
const DOUBTS_MAX: usize = 4;

/// An address that is asked for its identity.
#[derive(Debug)]
struct Ask {
    given: String,
    address: Address,
    next: Time,
    reason: Reason,
    /// The node that answered last.
    answered: Option<NodeId>,
    /// Sequence numbers of the last beacons that were sent there.
    sequences: [Option<u64>; 4],
}

/// Why an address is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It is a seed: it is asked for ever.
    Seed,
    /// An operator registered it.
    Registered { until: Time },
    /// Another process is said to live there under our NodeId.
    OurId { until: Time },
}

/// What the address was asked for that has answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is a seed's, or none that is awaited: the node joins as one that is only heard of does.
    Seed,
    /// An operator registered it, under the name that was given.
    Registered { given: String, address: Address },
    /// Another process was said to live there under our NodeId.
    OurId,
}

impl Ask {
    fn new(given: String, address: Address, reason: Reason, next: Time) -> Self {
        Ask { given, address, next, reason, answered: None, sequences: [None; 4] }
    }

    fn is_registration(&self) -> bool {
        matches!(self.reason, Reason::Registered { .. })
    }

    /// When it is given up.
    fn until(&self) -> Option<Time> {
        match self.reason {
            Reason::Seed => None,
            Reason::Registered { until } | Reason::OurId { until } => Some(until),
        }
    }
}

/// The addresses that are asked.
#[derive(Debug)]
pub(super) struct Asks {
    asks: Vec<Ask>,
}

impl Asks {
    pub(super) fn of_seeds(seeds: &[Address], ours: &Address, now: Time) -> Self {
        let others = seeds.iter().take(ASKS_MAX).filter(|seed| *seed != ours);
        let ask =
            |seed: &Address| Ask::new(seed.as_str().to_owned(), seed.clone(), Reason::Seed, now);
        Asks { asks: others.map(ask).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.asks.clear();
    }

    /// When [`Asks::due`] or [`Asks::give_up`] has something to say.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.asks.iter().map(|ask| ask.next).min()
    }

    /// The addresses that are to be asked now. `is_met` says whether a member is up at an address,
    /// or is the node that answered there last.
    pub(super) fn due(
        &mut self,
        is_alone: bool,
        is_met: impl Fn(&Address, Option<NodeId>) -> bool,
        now: Time,
    ) -> Vec<Address> {
        if self.asks.iter().all(|ask| ask.next > now) {
            return Vec::new();
        }
        let is_met: Vec<bool> =
            self.asks.iter().map(|ask| is_met(&ask.address, ask.answered)).collect();
        let unmet = is_met.iter().filter(|is_met| !**is_met).count();
        let turns = u32::try_from(unmet).unwrap_or(u32::MAX).div_ceil(ASK_UNMET_AT_ONCE);
        let mut due = Vec::new();
        for (ask, is_met) in self.asks.iter_mut().zip(is_met).filter(|(ask, _)| ask.next <= now) {
            let every = match (ask.reason, ask.address.ip()) {
                (Reason::Seed, _) if !is_alone && !is_met => ASK_UNMET_EVERY * turns,
                (Reason::Seed, Some(_)) if is_met => ASK_MET_EVERY,
                (Reason::Seed, None) if is_met => ASK_NAMED_EVERY,
                _ => ASK_EVERY,
            };
            ask.next = now + every;
            due.push(ask.address.clone());
        }
        due
    }

    /// A member is down: seeds that were asked rarely because of it are to be asked soon.
    pub(super) fn hasten(&mut self, now: Time) {
        for ask in &mut self.asks {
            ask.next = ask.next.min(now + ASK_UNMET_EVERY);
        }
    }

    /// Notes the beacon with which an address was asked.
    pub(super) fn asked(&mut self, address: &Address, sequence: u64) {
        for ask in self.asks.iter_mut().filter(|ask| ask.address == *address) {
            ask.sequences.rotate_right(1);
            ask.sequences[0] = Some(sequence);
        }
    }

    /// A node has answered the beacon with this sequence number. What is not a seed is asked no more.
    pub(super) fn answered(&mut self, sequence: u64, by: NodeId) -> Answered {
        let is_asked = |ask: &Ask| ask.sequences.contains(&Some(sequence));
        for seed in self.asks.iter_mut().filter(|ask| ask.reason == Reason::Seed && is_asked(ask)) {
            seed.answered = Some(by);
        }
        let asked = self.asks.iter().position(|ask| ask.reason != Reason::Seed && is_asked(ask));
        match asked.map(|at| self.asks.swap_remove(at)) {
            None => Answered::Seed,
            Some(Ask { given, address, reason: Reason::Registered { .. }, .. }) => {
                Answered::Registered { given, address }
            }
            Some(_) => Answered::OurId,
        }
    }

    /// Names under which operators registered addresses that have not answered yet.
    pub(super) fn registrations(&self) -> impl Iterator<Item = &str> {
        self.asks.iter().filter(|ask| ask.is_registration()).map(|ask| ask.given.as_str())
    }

    /// Whether an address may be registered: it is already, or there is room for one more.
    pub(super) fn may_register(&self, address: &Address) -> bool {
        self.is_registered(address) || self.registrations().count() < ASKS_MAX
    }

    /// An operator registers an address.
    pub(super) fn register(&mut self, given: String, address: Address, turn: &mut Turn<'_>) {
        if !self.is_registered(&address) {
            turn.event(Event::PeerJoining(given.clone()));
            let reason = Reason::Registered { until: turn.now + REGISTERED_PATIENCE };
            self.asks.push(Ask::new(given, address, reason, turn.now));
        }
    }

    /// An operator removes what an address is registered for.
    pub(super) fn unregister(&mut self, address: &Address) {
        self.asks.retain(|ask| !ask.is_registration() || ask.address != *address);
    }

    fn is_registered(&self, address: &Address) -> bool {
        self.asks.iter().any(|ask| ask.is_registration() && ask.address == *address)
    }

    /// Another process is said to live at an address under our NodeId.
    pub(super) fn doubt(&mut self, address: &Address, now: Time) {
        let is_doubt = |ask: &&Ask| matches!(ask.reason, Reason::OurId { .. });
        let is_asked = self.asks.iter().filter(is_doubt).any(|ask| ask.address == *address);
        if is_asked || self.asks.iter().filter(is_doubt).count() >= DOUBTS_MAX {
            return;
        }
        let reason = Reason::OurId { until: now + DOUBT_AFTER + DOUBT_PATIENCE };
        let given = address.as_str().to_owned();
        self.asks.push(Ask::new(given, address.clone(), reason, now + DOUBT_AFTER));
    }

    /// Gives up what has not answered in time, and reports those that operators registered.
    pub(super) fn give_up(&mut self, turn: &mut Turn<'_>) {
        self.asks.retain(|ask| {
            let is_over = ask.until().is_some_and(|until| until <= turn.now);
            if is_over && ask.is_registration() {
                turn.event(Event::PeerNeverAnswered(ask.given.clone()));
            }
            !is_over
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Driver, MS, address, events};
    use super::*;

    fn seeds(seeds: &[Address]) -> Asks {
        Asks::of_seeds(seeds, &address(0), Time::ZERO)
    }

    fn register(asks: &mut Asks, of: &Address, now: Time) -> Vec<Event> {
        let mut driver = Driver { now, ..Driver::default() };
        events(driver.turn(|turn| asks.register(of.to_string(), of.clone(), turn)).1)
    }

    fn give_up(asks: &mut Asks, now: Time) -> Vec<Event> {
        let mut driver = Driver { now, ..Driver::default() };
        events(driver.turn(|turn| asks.give_up(turn)).1)
    }

    /// When an address is asked for the next time.
    fn next(asks: &Asks, of: &Address, now: Time) -> Duration {
        asks.asks.iter().find(|ask| ask.address == *of).unwrap().next.since(now)
    }

    #[test]
    fn a_node_is_no_seed_of_its_own_and_seeds_are_bounded() {
        let many: Vec<Address> = (0..300).map(address).collect();
        assert_eq!(seeds(&many).asks.len(), ASKS_MAX - 1);
    }

    #[test]
    fn a_seed_is_asked_the_more_seldom_the_more_is_known_of_it() {
        let named = Address::parse("peers.example:8088", 1).unwrap();
        let mut asks = seeds(&[address(2), address(3), named.clone()]);
        let is_met = |of: &Address, answered| *of == address(2) || answered == Some(NodeId(4));
        assert_eq!(asks.due(true, |_, _| false, Time::ZERO).len(), 3);
        assert_eq!(next(&asks, &address(2), Time::ZERO), 500 * MS, "alone");
        let mut now = Time::ZERO + 500 * MS;
        assert_eq!(asks.due(false, is_met, now).len(), 3);
        assert_eq!(next(&asks, &address(2), now), 15_000 * MS, "a member is there");
        assert_eq!(next(&asks, &address(3), now), 1_000 * MS, "none is");
        now = now + 500 * MS;
        assert_eq!(asks.due(false, is_met, now), [], "none has its turn");
        // A member answers for the name, and for no other seed.
        asks.asked(&named, 77);
        assert_eq!(asks.answered(77, NodeId(4)), Answered::Seed);
        now = now + 500 * MS;
        assert_eq!(asks.due(false, is_met, now), [address(3), named.clone()]);
        assert_eq!(next(&asks, &named, now), 3_000 * MS);
        assert_eq!(next(&asks, &address(3), now), 1_000 * MS);
        asks.hasten(now);
        assert_eq!(next(&asks, &named, now), 1_000 * MS, "a member is down");
    }

    #[test]
    fn what_was_registered_is_known_by_its_answer_and_asked_no_more() {
        let mut asks = seeds(&[]);
        assert_eq!(register(&mut asks, &address(2), Time::ZERO).len(), 1);
        assert_eq!(register(&mut asks, &address(2), Time::ZERO), [], "it is already");
        for sequence in 1..=5 {
            asks.asked(&address(2), sequence);
        }
        assert_eq!(asks.answered(1, NodeId(2)), Answered::Seed, "the last four count");
        let (given, address) = (address(2).to_string(), address(2));
        assert_eq!(asks.answered(2, NodeId(2)), Answered::Registered { given, address });
        assert!(asks.is_empty());
    }

    #[test]
    fn registrations_are_bounded_and_each_is_given_up_with_one_report() {
        let mut asks = seeds(&[address(1)]);
        for n in 0..ASKS_MAX as u64 {
            assert!(asks.may_register(&address(n)));
            register(&mut asks, &address(n), Time::ZERO);
        }
        assert!(!asks.may_register(&address(999)) && asks.may_register(&address(5)));
        asks.unregister(&address(1));
        assert_eq!((asks.registrations().count(), asks.asks.len()), (ASKS_MAX - 1, ASKS_MAX));
        assert_eq!(give_up(&mut asks, Time::ZERO + 4_999 * MS), []);
        assert_eq!(give_up(&mut asks, Time::ZERO + 5_000 * MS).len(), ASKS_MAX - 1);
        assert_eq!(asks.asks.len(), 1, "the seed");
    }

    #[test]
    fn few_addresses_are_asked_who_lives_under_this_nodes_id_each_once() {
        let mut asks = seeds(&[]);
        for (n, doubts) in [(5, 1), (5, 1), (6, 2), (7, 3), (8, 4), (9, 4)] {
            asks.doubt(&address(n), Time::ZERO);
            assert_eq!(asks.asks.len(), doubts, "{n}");
        }
        assert_eq!(asks.registrations().count(), 0);
        assert_eq!(asks.due(true, |_, _| false, Time::ZERO + 499 * MS), []);
        assert_eq!(asks.due(true, |_, _| false, Time::ZERO + 500 * MS).len(), DOUBTS_MAX);
        asks.asked(&address(5), 7);
        assert_eq!(asks.answered(7, NodeId(0)), Answered::OurId);
        assert_eq!(give_up(&mut asks, Time::ZERO + 3_000 * MS), [], "without a report");
        assert!(asks.is_empty());
    }
}
