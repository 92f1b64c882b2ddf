//! What one node makes of what it is told of others, message by message.

mod lives;

use foca::{Header, Message};
use rand_core::SeedableRng;

use super::members::MEMBERS_MAX;
use super::*;
use crate::event::Event;
use crate::membership::{Key, MembershipRecord, PARTS, PeersRefusal, RECORD_EPOCH_MAX};
use crate::wire::datagram::Datagram;

const MS: Duration = Duration::from_millis(1);
const BOOT: u64 = 1_000_000;

fn address(n: u64) -> Address {
    Address::parse(&format!("10.0.{}.{}:8088", n / 250, n % 250 + 1), 1).unwrap()
}

fn identity(n: u64) -> Identity {
    Identity { node: NodeId(n), address: address(n), epoch: 0, boot: BOOT, origin: OriginId(n) }
}

fn name(of: &Address) -> PeerName {
    let resolved = of.ip().into_iter().collect();
    PeerName { given: of.to_string(), address: of.clone(), resolved }
}

fn removal(key: Key) -> MembershipRecord {
    MembershipRecord { key, removed: 7, registered: 0 }
}

/// Node 0, and what it does.
struct Zero {
    peers: Peers,
    totals: Totals,
    now: Time,
}

impl Zero {
    fn with_seeds(seeds: &[Address]) -> Self {
        let (envelope, chance) = (Envelope::new("c", None), ChaCha8Rng::seed_from_u64(1));
        let peers = Peers::new(identity(0), envelope, seeds, chance, Time::ZERO);
        Zero { peers, totals: Totals::default(), now: Time::ZERO }
    }

    fn new() -> Self {
        Zero::with_seeds(&[])
    }

    /// One that found these on its disk.
    fn having_met(known: &[Identity]) -> Self {
        let mut zero = Zero::new();
        zero.peers.recover(Time::ZERO, Registry::default(), known.iter().cloned());
        zero
    }

    fn hears(
        &mut self,
        from: &Identity,
        message: Message<Identity>,
        updates: &[Member<Identity>],
    ) -> Result<Vec<Effect>, SwimError> {
        let dst = self.peers.me().clone();
        let header = Header { src: from.clone(), src_incarnation: 0, dst, message };
        let mut packet = postcard::to_stdvec(&header).unwrap();
        if !updates.is_empty() {
            packet.extend(u16::try_from(updates.len()).unwrap().to_be_bytes());
        }
        for update in updates {
            packet.extend(postcard::to_stdvec(update).unwrap());
        }
        let mut out = Vec::new();
        let from = "10.0.0.9:8088".parse().unwrap();
        self.peers.handle_swim(self.now, &packet, from, &mut self.totals, &mut out).map(|()| out)
    }

    /// Hears of members that are up by another one.
    fn hears_of(&mut self, members: &[Identity]) -> Vec<Effect> {
        let updates: Vec<_> = members.iter().cloned().map(Member::alive).collect();
        self.hears(&identity(1), Message::Gossip, &updates).unwrap()
    }

    fn rumour(&mut self, identity: Identity) -> Vec<Effect> {
        let mut out = Vec::new();
        self.peers.rumour(self.now, identity, &mut self.totals, &mut out);
        out
    }

    fn merges(&mut self, records: &[MembershipRecord]) -> Vec<Event> {
        let mut out = Vec::new();
        self.peers.merge_memberships(self.now, records, &mut self.totals, &mut out);
        events(out)
    }

    fn removes(&mut self, of: &Address) -> Result<Vec<MembershipRecord>, PeersRefusal> {
        self.peers.remove(self.now, &name(of), &mut self.totals, &mut Vec::new())
    }

    fn registers(&mut self, of: &Address) -> Vec<Effect> {
        let mut out = Vec::new();
        self.peers.register(self.now, &name(of), &mut self.totals, &mut out).unwrap();
        out
    }

    fn ticks(&mut self) -> Vec<Effect> {
        let mut out = Vec::new();
        self.peers.tick(self.now, &mut self.totals, &mut out);
        out
    }

    fn states(&self) -> Vec<(u64, PeerState)> {
        let known = self.peers.list().into_iter();
        known.filter_map(|row| Some((row.identity?.node.0, row.state))).collect()
    }

    fn listed(&self) -> Vec<String> {
        self.peers.list().into_iter().map(|row| row.address).collect()
    }

    /// Addresses that are asked because another is said to live there under this node's id.
    fn doubts(&self) -> usize {
        let asks = self.peers.asks.iter();
        asks.filter(|ask| matches!(ask.reason, Reason::OurId { .. })).count()
    }
}

fn events(effects: Vec<Effect>) -> Vec<Event> {
    let event = |effect| match effect {
        Effect::Event(event) => Some(event),
        _ => None,
    };
    effects.into_iter().filter_map(event).collect()
}

/// To whom datagrams left, and of what kind.
fn sent(effects: &[Effect]) -> Vec<(Destination, bool)> {
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

#[test]
fn what_a_start_finds_of_its_peers_is_taken_over_but_for_itself_and_what_is_nobodys() {
    let mut registry = Registry::default();
    registry.merge(&MembershipRecord { key: Key::Node(NodeId(0)), removed: 3, registered: 5 });
    registry.merge(&removal(Key::Node(NodeId(3))));
    let at_our_address = Identity { address: address(0), ..identity(4) };
    let of_no_one = Identity { boot: u64::MAX, ..identity(5) };
    let known = [identity(0), identity(2), identity(3), at_our_address, of_no_one];
    let mut zero = Zero::new();
    zero.peers.recover(Time::ZERO, registry, known.into_iter());
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
    zero.now = Time::ZERO + 5 * MS;
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
    let left: Vec<NodeId> = zero.peers.rumours.keys().copied().collect();
    assert_eq!(left, [NodeId(3)]);
}

/// Another process under node 0's id, which began before it.
fn under_our_id(n: u64) -> Identity {
    Identity { node: NodeId(0), boot: BOOT - 1, ..identity(n) }
}

#[test]
fn few_addresses_are_asked_who_lives_under_this_nodes_id_each_once() {
    let mut zero = Zero::new();
    for (n, doubts) in [(5, 1), (5, 1), (6, 2), (7, 3), (8, 4), (9, 4)] {
        zero.rumour(under_our_id(n));
        assert_eq!(zero.doubts(), doubts, "{n}");
    }
    zero.now = zero.now + 10_000 * MS;
    assert_eq!(events(zero.ticks()), [], "and given up without a word");
    assert_eq!(zero.doubts(), 0);
}

#[test]
fn an_id_that_was_just_taken_is_kept_for_a_minute() {
    let mut zero = Zero::new();
    zero.peers.judge_doubt(zero.now, &under_our_id(5));
    assert_eq!(zero.peers.take_changes(), [Change::IdInUse]);
    zero.now = zero.now + 59_999 * MS;
    zero.rumour(under_our_id(6));
    assert_eq!(zero.doubts(), 0);
    zero.now = zero.now + MS;
    zero.rumour(under_our_id(6));
    assert_eq!(zero.doubts(), 1);
}

#[test]
fn the_name_of_a_node_is_that_of_its_last_registration_and_names_are_bounded() {
    let mut zero = Zero::having_met(&[identity(2), identity(3)]);
    let known = |zero: &Zero, given: &str| -> Vec<u64> {
        let name = PeerName { given: given.to_owned(), ..name(&address(99)) };
        zero.peers.found(&name).map(|peer| peer.identity.node.0).collect()
    };
    for node in [2, 3] {
        zero.peers.remember_name("one".to_owned(), NodeId(node));
    }
    assert_eq!(known(&zero, "one"), [3]);
    (0..1023).for_each(|n| zero.peers.remember_name(format!("{n}"), NodeId(2)));
    assert_eq!(known(&zero, "one"), [3], "there is room for so many");
    zero.peers.remember_name("one more".to_owned(), NodeId(2));
    assert_eq!((known(&zero, "one"), known(&zero, "0")), (vec![], vec![2]));
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
    zero.now = zero.now + 4_999 * MS;
    assert_eq!(never(&events(zero.ticks())), 0);
    zero.now = zero.now + MS;
    assert_eq!(never(&events(zero.ticks())), 2);
}

/// When an address is asked for the next time.
fn next_ask(zero: &Zero, of: &Address) -> Duration {
    let ask = zero.peers.asks.iter().find(|ask| ask.address == *of).unwrap();
    ask.next.since(zero.now)
}

#[test]
fn a_seed_is_asked_the_more_seldom_the_more_is_known_of_it() {
    let named = Address::parse("peers.example:8088", 1).unwrap();
    let mut zero = Zero::with_seeds(&[address(2), address(3), named.clone()]);
    zero.peers.due_asks(zero.now);
    assert_eq!(next_ask(&zero, &address(2)), 500 * MS, "alone");
    zero.hears_of(&[identity(2), identity(4)]);
    zero.now = zero.now + 500 * MS;
    assert_eq!(zero.peers.due_asks(zero.now).len(), 3);
    assert_eq!(next_ask(&zero, &address(2)), 15_000 * MS, "a member is there");
    assert_eq!(next_ask(&zero, &address(3)), 1_000 * MS, "nobody is");
    zero.now = zero.now + 500 * MS;
    assert_eq!(zero.peers.due_asks(zero.now), [], "it is nobody's turn");
    // A member answers for the name, and for no other seed.
    zero.peers.asked(&named, 77);
    zero.peers.answered(zero.now, 77, identity(4), &mut zero.totals, &mut Vec::new());
    zero.now = zero.now + 500 * MS;
    assert_eq!(zero.peers.due_asks(zero.now), [address(3), named.clone()]);
    assert_eq!(next_ask(&zero, &named), 3_000 * MS);
    assert_eq!(next_ask(&zero, &address(3)), 1_000 * MS);
}

#[test]
fn whoever_says_to_live_at_our_address_has_us_come_back_where_it_began_later() {
    for (boot, comes_back) in [(BOOT - 1, false), (BOOT, false), (BOOT + 1, true)] {
        let mut zero = Zero::new();
        zero.hears_of(&[Identity { address: address(0), boot, ..identity(9) }]);
        assert_eq!(zero.peers.rejoin.is_some(), comes_back, "{boot}");
        assert!(!zero.states().contains(&(9, PeerState::Alive)));
    }
}

#[test]
fn of_two_nodes_at_one_address_the_later_start_is_there() {
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
fn a_node_comes_back_the_later_the_more_often_it_was_taken_for_dead() {
    let mut zero = Zero::new();
    zero.now = Time::ZERO + 10_000 * MS;
    let mut waits = Vec::new();
    for _ in 0..7 {
        zero.peers.plan_rejoin(zero.now);
        let (planned, wait) = (zero.peers.rejoin.unwrap().since(zero.now), zero.peers.rejoin_wait);
        assert!((wait / 2..=wait).contains(&planned), "{planned:?} of {wait:?}");
        zero.peers.plan_rejoin(zero.now + MS);
        assert_eq!(zero.peers.rejoin_wait, wait, "it is planned already");
        waits.push(wait.as_millis());
        zero.peers.rejoin = None;
        zero.peers.rejoined = zero.now;
    }
    assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
    zero.now = zero.now + 10_001 * MS;
    let planned = (0..100).map(|_| {
        zero.peers.rejoin = None;
        zero.peers.plan_rejoin(zero.now);
        zero.peers.rejoin.unwrap().since(zero.now)
    });
    let planned: std::collections::BTreeSet<Duration> = planned.collect();
    assert_eq!(zero.peers.rejoin_wait, REJOIN_MIN, "it was quiet for long");
    assert!(planned.len() > 20, "nodes do not come back in step: {planned:?}");
    zero.peers.rejoin = None;
    zero.peers.leave(zero.now, &mut zero.totals, &mut Vec::new());
    zero.peers.plan_rejoin(zero.now);
    assert_eq!(zero.peers.rejoin, None, "it goes");
}

#[test]
fn only_members_that_are_up_are_heard_without_a_limit() {
    let mut zero = Zero::new();
    zero.hears_of(&[identity(2)]);
    let limited = |zero: &mut Zero, from: &Identity| {
        (0..300)
            .filter(|_| zero.hears(from, Message::Gossip, &[]).err() == Some(SwimError::Limited))
            .count()
    };
    assert_eq!(limited(&mut zero, &identity(2)), 0);
    let former = Identity { boot: BOOT - 1, origin: OriginId(222), ..identity(2) };
    assert!(limited(&mut zero, &former) >= 199, "a former life is no member");
    assert_eq!(limited(&mut zero, &identity(2)), 0);
}

#[test]
fn what_is_no_member_too_many_is_not_counted_as_refused_nor_told_anything() {
    let mut zero = Zero::new();
    let effects = zero.hears_of(&[identity(2), identity(3)]);
    assert!(sent(&effects).iter().all(|(_, is_record)| !is_record), "nobody missed anything");
    assert_eq!(zero.totals.members_refused, 0);
    let of_no_one = Identity { boot: u64::MAX, ..identity(5) };
    zero.hears_of(&[of_no_one, identity(4)]);
    assert_eq!(zero.totals.members_refused, 1);
}

#[test]
fn there_is_room_for_so_many_members_and_for_none_beside_them() {
    let mut zero = Zero::new();
    (2..=MEMBERS_MAX as u64).for_each(|n| {
        zero.hears_of(&[identity(n)]);
    });
    assert_eq!(zero.peers.up().count(), MEMBERS_MAX);
    assert_eq!(zero.totals.members_refused, 0);
    let late = zero.hears(&identity(5_000), Message::Announce, &[]);
    assert_eq!(late.err(), Some(SwimError::Full));
}

#[test]
fn who_is_only_heard_of_is_announced_to_four_times_and_who_is_up_never() {
    let mut zero = Zero::new();
    zero.hears_of(&[identity(2)]);
    assert_eq!(sent(&zero.rumour(identity(2))), [], "it is up");
    let there = [(Destination::Address(address(3)), false)];
    assert_eq!(sent(&zero.rumour(identity(3))), there);
    let mut announced = Vec::new();
    for ms in 1..5_000 {
        zero.now = Time::ZERO + ms * MS;
        let mut out = Vec::new();
        zero.peers.announce_rumours(zero.now, &mut zero.totals, &mut out);
        assert!(out.is_empty() || sent(&out) == there);
        announced.extend((!out.is_empty()).then_some(ms));
    }
    assert_eq!(announced, [250, 750, 1500]);
    assert!(zero.peers.rumours.is_empty(), "and forgotten");
    let restarted = Identity { boot: BOOT + 1, origin: OriginId(222), ..identity(2) };
    assert_eq!(sent(&zero.rumour(restarted)).len(), 1, "another life of it may not be up");
}

#[test]
fn who_is_heard_of_is_bounded_and_each_is_heard_of_once() {
    let mut zero = Zero::new();
    for n in 0..RUMOURS_MAX as u64 + 10 {
        zero.rumour(identity(100 + n));
        zero.rumour(Identity { address: address(99), ..identity(100 + n) });
    }
    assert_eq!(zero.peers.rumours.len(), RUMOURS_MAX);
    assert_eq!(zero.peers.rumours[&NodeId(100)].identity, identity(100));
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

#[test]
fn a_packet_of_the_membership_protocol_fills_a_datagram_and_no_more() {
    let secret = crate::wire::auth::Secret::new(b"the knots are tied at noon").ok();
    let packet = vec![0; config().max_packet_size.get()];
    let bytes = Envelope::new("c", secret).seal(&Datagram::Swim(&packet)).len();
    assert!((DATAGRAM_BYTES_MAX - 8..=DATAGRAM_BYTES_MAX).contains(&bytes), "{bytes}");
}
