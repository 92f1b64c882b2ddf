//! What one node makes of what it hears of others, message by message.

mod lives;
mod members;

use std::time::Duration;

use foca::{Header, Member, Message};
use rand_core::SeedableRng;

use super::*;
use crate::effect::Effect;
use crate::event::Event;
use crate::identity::OriginId;
use crate::membership::{PARTS, RECORD_EPOCH_MAX};
use crate::outbox::Effects;
use crate::status::{PeerState, Totals};
use crate::wire::datagram::Datagram;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const BOOT: u64 = 1_000_000;

pub(super) fn address(n: u64) -> Address {
    Address::parse(&format!("10.0.{}.{}:8088", n / 250, n % 250 + 1), 1).unwrap()
}

pub(super) fn identity(n: u64) -> Identity {
    Identity { node: NodeId(n), address: address(n), epoch: 0, boot: BOOT, origin: OriginId(n) }
}

pub(super) fn name(of: &Address) -> PeerName {
    let resolved = of.ip().into_iter().collect();
    PeerName { given: of.to_string(), address: of.clone(), resolved }
}

pub(super) fn removal(key: Key) -> MembershipRecord {
    MembershipRecord { key, removed: 7, registered: 0 }
}

/// A packet of SWIM.
pub(super) fn packet(
    from: &Identity,
    to: &Identity,
    message: Message<Identity>,
    updates: &[Member<Identity>],
) -> Vec<u8> {
    let header = Header { src: from.clone(), src_incarnation: 0, dst: to.clone(), message };
    let mut packet = postcard::to_stdvec(&header).unwrap();
    if !updates.is_empty() {
        packet.extend(u16::try_from(updates.len()).unwrap().to_be_bytes());
    }
    for update in updates {
        packet.extend(postcard::to_stdvec(update).unwrap());
    }
    packet
}

/// Gives a room its turns.
#[derive(Default)]
pub(super) struct Driver {
    pub(super) now: Time,
    pub(super) totals: Totals,
}

impl Driver {
    /// One turn: what it answers, and its effects.
    pub(super) fn turn<T>(&mut self, step: impl FnOnce(&mut Turn<'_>) -> T) -> (T, Vec<Effect>) {
        let mut effects = Effects::default();
        let done = step(&mut effects.turn(self.now, &mut self.totals));
        assert!(effects.after_sync.is_empty(), "nothing of it is read from the table");
        (done, effects.at_once)
    }
}

pub(super) fn events(effects: Vec<Effect>) -> Vec<Event> {
    let event = |effect| match effect {
        Effect::Event(event) => Some(event),
        _ => None,
    };
    effects.into_iter().filter_map(event).collect()
}

/// To whom datagrams left, and whether they hold records of removals.
pub(super) fn sent(effects: &[Effect]) -> Vec<(Destination, bool)> {
    let envelope = Envelope::new("c", None);
    let datagram = |effect: &Effect| match effect {
        Effect::Datagram { to, bytes } => {
            let is_record = matches!(envelope.open(bytes), Ok(Datagram::Membership(_)));
            Some((to.clone(), is_record))
        }
        _ => None,
    };
    effects.iter().filter_map(datagram).collect()
}

/// Node 0, and what it does.
struct Zero {
    peers: Peers,
    driver: Driver,
}

impl Zero {
    fn with_seeds(seeds: &[Address]) -> Self {
        let (envelope, chance) = (Envelope::new("c", None), ChaCha8Rng::seed_from_u64(1));
        let peers = Peers::new(identity(0), envelope, seeds, chance, Time::ZERO);
        Zero { peers, driver: Driver::default() }
    }

    fn new() -> Self {
        Zero::with_seeds(&[])
    }

    /// One that found these on its disk.
    fn having_met(known: &[Identity]) -> Self {
        let mut zero = Zero::new();
        zero.peers.recover(Registry::default(), known.iter().cloned(), Time::ZERO);
        zero
    }

    fn does<T>(&mut self, step: impl FnOnce(&mut Peers, &mut Turn<'_>) -> T) -> (T, Vec<Effect>) {
        let peers = &mut self.peers;
        self.driver.turn(|turn| step(peers, turn))
    }

    fn waits(&mut self, time: Duration) {
        self.driver.now = self.driver.now + time;
    }

    fn totals(&self) -> &Totals {
        &self.driver.totals
    }

    fn hears(
        &mut self,
        from: &Identity,
        message: Message<Identity>,
        updates: &[Member<Identity>],
    ) -> Result<Vec<Effect>, SwimError> {
        let packet = packet(from, self.peers.me(), message, updates);
        let from = "10.0.0.9:8088".parse().unwrap();
        let (done, effects) = self.does(|peers, turn| peers.handle_swim(&packet, from, turn));
        done.map(|()| effects)
    }

    /// Hears of members that are up by another one.
    fn hears_of(&mut self, members: &[Identity]) -> Vec<Effect> {
        let updates: Vec<_> = members.iter().cloned().map(Member::alive).collect();
        self.hears(&identity(1), Message::Gossip, &updates).unwrap()
    }

    fn rumour(&mut self, identity: Identity) -> Vec<Effect> {
        self.does(|peers, turn| peers.rumour(identity, turn)).1
    }

    fn merges(&mut self, records: &[MembershipRecord]) -> Vec<Event> {
        events(self.does(|peers, turn| peers.merge_memberships(records, turn)).1)
    }

    fn removes(&mut self, of: &Address) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        self.does(|peers, turn| peers.remove(&name(of), turn)).0
    }

    fn registers(&mut self, of: &Address) -> Vec<Effect> {
        let (done, effects) = self.does(|peers, turn| peers.register(&name(of), turn));
        done.unwrap();
        effects
    }

    fn ticks(&mut self) -> Vec<Effect> {
        self.does(Peers::tick).1
    }

    fn states(&self) -> Vec<(u64, PeerState)> {
        let known = self.peers.list().into_iter();
        known.filter_map(|row| Some((row.identity?.node.0, row.state))).collect()
    }

    fn listed(&self) -> Vec<String> {
        self.peers.list().into_iter().map(|row| row.address).collect()
    }
}

#[test]
fn what_a_start_finds_of_its_peers_is_taken_over_but_for_itself_and_what_is_nobodys() {
    let mut registry = Registry::default();
    registry.merge(&MembershipRecord { key: Key::Node(NodeId(0)), removed: 3, registered: 5 });
    registry.merge(&removal(Key::Node(NodeId(3))));
    let at_our_address = Identity { address: address(0), ..identity(4) };
    let of_no_one = Identity { boot: u64::MAX, ..identity(5) };
    let known = [identity(0), identity(2), identity(3), at_our_address, of_no_one];
    let mut zero = Zero::new();
    zero.peers.recover(registry, known.into_iter(), Time::ZERO);
    assert_eq!(zero.peers.me().epoch, 5, "it was registered after its removal");
    assert_eq!(zero.states(), [(2, PeerState::Down), (3, PeerState::Removed)]);
    let met: Vec<u64> = zero.peers.met().map(|met| met.node.0).collect();
    assert_eq!(met, [2, 3, 4]);
    assert!(zero.peers.has_met_anyone());
    let to: Vec<Destination> = sent(&zero.ticks()).into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [Destination::Address(address(2))], "nobody else can be there");
}

#[test]
fn links_are_barred_to_removed_nodes_and_to_all_when_this_one_is_removed() {
    let mut zero = Zero::having_met(&[identity(2), identity(3)]);
    zero.removes(&address(2)).unwrap();
    let barred = |zero: &Zero| [2, 3, 99].map(|node| zero.peers.bars_node(NodeId(node)));
    assert_eq!(barred(&zero), [true, false, false]);
    zero.merges(&[removal(Key::Address(address(0)))]);
    assert_eq!(barred(&zero), [true; 3]);
}

#[test]
fn a_removal_ends_the_registration_of_its_address_and_no_other_ask() {
    let mut zero = Zero::with_seeds(&[address(7), address(8)]);
    zero.registers(&address(8));
    zero.registers(&address(9));
    zero.removes(&address(8)).unwrap();
    assert_eq!(zero.listed(), [address(9).to_string()]);
    assert_eq!(zero.peers.due_asks(Time::ZERO), [address(7), address(8), address(9)]);
}

#[test]
fn as_many_are_removed_as_may_be_at_the_time_of_the_clock() {
    let mut zero = Zero::having_met(&[identity(2), identity(3)]);
    zero.peers.limit_removals(1);
    zero.waits(5 * MS);
    let records = zero.removes(&address(2)).unwrap();
    assert!(records.iter().all(|record| record.removed == BOOT + 5), "{records:?}");
    assert_eq!(zero.removes(&address(3)), Err(PeersRefusal::TooManyRemovals(1)));
    // Whoever is on record takes no new place, though others have brought more records than that.
    zero.merges(&[removal(Key::Node(NodeId(50)))]);
    zero.registers(&address(2));
    assert!(zero.removes(&address(2)).is_ok_and(|records| !records.is_empty()));
}

#[test]
fn the_last_epoch_can_be_written_and_none_after_it() {
    let mut registry = Registry::default();
    let key = Key::Node(NodeId(2));
    registry.merge(&MembershipRecord {
        key: key.clone(),
        removed: 0,
        registered: RECORD_EPOCH_MAX - 1,
    });
    assert_eq!(registry.remove(&[identity(2)], 0).unwrap()[0].removed, RECORD_EPOCH_MAX);
    registry.merge(&MembershipRecord { key, removed: 0, registered: RECORD_EPOCH_MAX });
    assert_eq!(registry.remove(&[identity(2)], 0), Err(PeersRefusal::EpochsUsedUp));
}

#[test]
fn records_fall_into_all_parts_and_other_records_have_other_hashes() {
    let of = |first: u64| {
        let mut registry = Registry::default();
        (first..first + 4096).for_each(|n| {
            registry.merge(&removal(Key::Node(NodeId(n))));
        });
        registry.hashes().to_vec()
    };
    let (one, other) = (of(0), of(4096));
    assert_eq!(one.iter().filter(|hash| **hash != 0).count(), PARTS);
    assert!(one.iter().zip(&other).all(|(one, other)| one != other));
}

#[test]
fn a_node_tells_of_its_own_removal_once_and_by_its_own_record() {
    for mine in [Key::Node(NodeId(0)), Key::Address(address(0))] {
        let mut zero = Zero::new();
        let others = [Key::Node(NodeId(9)), Key::Address(address(9))].map(removal);
        assert_eq!(zero.merges(&others), []);
        let of_10 = [Key::Node(NodeId(10)), Key::Address(address(10))].map(removal);
        let all = [&of_10[..], &[removal(mine.clone())]].concat();
        assert_eq!(zero.merges(&all), [Event::RemovedOurselves(removal(mine.clone()))]);
        let later = MembershipRecord { removed: 8, ..removal(mine) };
        assert_eq!(zero.merges(&[later]), [], "it knows");
    }
}

#[test]
fn a_removal_ends_what_was_heard_of_the_removed_and_of_no_other() {
    let mut zero = Zero::new();
    zero.rumour(identity(2));
    zero.rumour(identity(3));
    zero.merges(&[removal(Key::Node(NodeId(2)))]);
    assert_eq!(zero.states(), [(3, PeerState::Joining)]);
}

/// Another process under node 0's id, which began before it.
fn under_our_id(n: u64) -> Identity {
    Identity { node: NodeId(0), boot: BOOT - 1, ..identity(n) }
}

#[test]
fn a_registration_is_told_to_its_address_where_it_lifts_a_removal_and_given_up_once() {
    let mut zero = Zero::having_met(&[identity(2)]);
    assert_eq!(sent(&zero.registers(&address(9))), []);
    zero.removes(&address(2)).unwrap();
    let told = sent(&zero.registers(&address(2)));
    assert_eq!(told, [(Destination::Address(address(2)), true)]);
    let never = |events: &[Event]| {
        events.iter().filter(|event| matches!(event, Event::PeerNeverAnswered(_))).count()
    };
    zero.waits(4_999 * MS);
    assert_eq!(never(&events(zero.ticks())), 0);
    zero.waits(MS);
    assert_eq!(never(&events(zero.ticks())), 2);
}

#[test]
fn a_node_that_says_to_live_at_our_address_has_us_come_back_where_it_began_later() {
    for (boot, comes_back) in [(BOOT - 1, false), (BOOT, false), (BOOT + 1, true)] {
        let mut zero = Zero::new();
        zero.hears_of(&[Identity { address: address(0), boot, ..identity(9) }]);
        assert!(!zero.states().contains(&(9, PeerState::Alive)));
        zero.waits(5_000 * MS);
        zero.ticks();
        assert_eq!(zero.peers.me().boot, if comes_back { BOOT + 2 } else { BOOT }, "{boot}");
    }
}

#[test]
fn of_two_nodes_at_one_address_the_later_start_is_listed() {
    for (boot, there) in [(BOOT - 1, 2), (BOOT, 3), (BOOT + 1, 3)] {
        let mut zero = Zero::new();
        zero.hears_of(&[identity(2), identity(8)]);
        zero.hears_of(&[Identity { address: address(2), boot, ..identity(3) }]);
        let alive = [1, there, 8].map(|node| (node, PeerState::Alive));
        let mut states = zero.states();
        states.sort_unstable_by_key(|(node, _)| *node);
        assert_eq!(states, alive, "{boot}");
    }
}

#[test]
fn a_node_that_is_only_heard_of_is_announced_to_and_one_that_is_up_is_not() {
    let mut zero = Zero::new();
    zero.hears_of(&[identity(2)]);
    assert_eq!(sent(&zero.rumour(identity(2))), [], "it is up");
    let there = [(Destination::Address(address(3)), false)];
    assert_eq!(sent(&zero.rumour(identity(3))), there);
    let restarted = Identity { boot: BOOT + 1, origin: OriginId(222), ..identity(2) };
    assert_eq!(sent(&zero.rumour(restarted)).len(), 1, "another life of it may not be up");
}

#[test]
fn a_call_under_this_nodes_id_is_believed_when_its_address_has_answered() {
    let mut zero = Zero::new();
    zero.rumour(under_our_id(5));
    assert_eq!(zero.peers.take_changes(), []);
    zero.waits(500 * MS);
    assert_eq!(zero.peers.due_asks(zero.driver.now), [address(5)]);
    zero.peers.asked(&address(5), 7);
    zero.does(|peers, turn| peers.answered(7, under_our_id(5), turn));
    assert_eq!(zero.peers.take_changes(), [Change::IdInUse]);
    zero.rumour(under_our_id(6));
    zero.waits(500 * MS);
    assert_eq!(zero.peers.due_asks(zero.driver.now), [], "it was just taken");
}

#[test]
fn seeds_are_asked_soon_when_a_member_is_down() {
    let mut zero = Zero::with_seeds(&[address(2)]);
    zero.hears_of(&[identity(2)]);
    zero.peers.due_asks(zero.driver.now);
    zero.waits(1_000 * MS);
    assert_eq!(zero.peers.due_asks(zero.driver.now), [], "a member is there");
    zero.hears(&identity(1), Message::Gossip, &[Member::down(identity(2))]).unwrap();
    zero.waits(1_000 * MS);
    assert_eq!(zero.peers.due_asks(zero.driver.now), [address(2)]);
}

#[test]
fn a_node_is_found_by_the_name_under_which_it_was_registered() {
    let mut zero = Zero::having_met(&[identity(2)]);
    let named = Address::parse("peers.example:8088", 1).unwrap();
    zero.does(|peers, turn| peers.register(&name(&named), turn)).0.unwrap();
    zero.peers.asked(&named, 7);
    zero.does(|peers, turn| peers.answered(7, identity(2), turn));
    assert_eq!(zero.removes(&named).unwrap().len(), 2, "its node and its address");
}

#[test]
fn what_is_no_member_too_many_is_not_counted_as_refused_nor_told_anything() {
    let mut zero = Zero::new();
    let effects = zero.hears_of(&[identity(2), identity(3)]);
    assert!(sent(&effects).iter().all(|(_, is_record)| !is_record), "nobody missed anything");
    assert_eq!(zero.totals().members_refused, 0);
    let of_no_one = Identity { boot: u64::MAX, ..identity(5) };
    zero.hears_of(&[of_no_one, identity(4)]);
    assert_eq!(zero.totals().members_refused, 1);
}

#[test]
fn a_message_about_a_removed_node_or_one_that_is_nobodys_is_not_taken() {
    let mut zero = Zero::new();
    zero.hears_of(&[identity(2)]);
    zero.merges(&[removal(Key::Node(NodeId(3)))]);
    let of_no_one = Identity { boot: u64::MAX, ..identity(4) };
    for (about, is_taken) in [(identity(2), true), (identity(3), false), (of_no_one, false)] {
        let messages = [
            Message::PingReq { target: about.clone(), probe_number: 1 },
            Message::IndirectPing { origin: about.clone(), probe_number: 1 },
        ];
        for message in messages {
            let heard = zero.hears(&identity(1), message, &[]);
            assert_eq!(heard.err() == Some(SwimError::Removed), !is_taken, "{about:?}");
        }
    }
}
