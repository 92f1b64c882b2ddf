//! One node's answers, and what it counts of its work, input by input.

mod conditions;

use foca::{Header, Message};

use super::*;
use crate::delta::Change;
use crate::event::Event;
use crate::identity::{Address, NodeId, OriginId};
use crate::input::LinkId;
use crate::membership::{Key, MembershipRecord};
use crate::name::CounterName;
use crate::operation::{Op, Refusal, Request, Results};
use crate::outbox::{Outbox, Released};
use crate::slot::{Numbers, Slot};
use crate::wire::auth::PROOF_BYTES;
use crate::wire::datagram::{Beacon, BeaconKind};
use crate::wire::frame::{self, Hello, Message as Frame};
use crate::wire::versions::{PROTOCOL_VERSIONS, SETTLEMENTS_SINCE};

const BESIDE: LinkId = 1;

fn identity(n: u64) -> Identity {
    let address = Address::parse(&format!("10.0.0.{n}:8088"), 1).unwrap();
    Identity { node: NodeId(n), address, epoch: 0, boot: 1, origin: OriginId(100 * n) }
}

fn config(is_kept: bool) -> Config {
    let me = identity(1);
    Config {
        node: me.node,
        origin: me.origin,
        address: me.address,
        boot: 1,
        cluster: "c".to_owned(),
        secret: None,
        seeds: Vec::new(),
        discovery: true,
        is_kept,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [1; 32],
    }
}

/// A node on a disk that is safe at once, and what it had to let out of the last batch.
pub(in crate::node) struct One {
    pub(in crate::node) node: Node,
    pub(in crate::node) now: Time,
    outbox: Outbox,
    effects: Effects,
}

impl One {
    pub(in crate::node) fn new(is_kept: bool) -> Self {
        let now = Time::ZERO + Duration::from_secs(10);
        let (outbox, effects) = (Outbox::default(), Effects::default());
        One { node: Node::new(config(is_kept), now), now, outbox, effects }
    }

    /// Takes an input, closes the batch, and what follows from its sync.
    pub(in crate::node) fn is_told(&mut self, input: Input) {
        self.effects = Effects::default();
        let mut effects = Effects::default();
        self.node.handle(self.now, input, &mut effects);
        loop {
            let batch = self.close(&mut effects);
            self.is_safe(batch, &mut effects);
            if !effects.must_wait() {
                break;
            }
        }
    }

    /// Closes a batch, whose records wait for the disk from now on.
    fn close(&mut self, effects: &mut Effects) -> u64 {
        let batch = self.node.close_batch(self.now, effects);
        self.effects.at_once.append(&mut effects.at_once);
        if let Some(records) = self.outbox.close(batch, effects) {
            self.effects.journal = records;
        }
        batch
    }

    /// Batches up to this one are on the disk: what waited for them leaves.
    fn is_safe(&mut self, batch: u64, effects: &mut Effects) {
        self.outbox.safe(batch);
        while let Some(Released { effects: after, batch }) = self.outbox.release() {
            self.effects.after_sync.extend(after);
            self.node.handle(self.now, Input::Synced { batch }, effects);
            self.effects.at_once.append(&mut effects.at_once);
        }
    }

    pub(in crate::node) fn asks(&mut self, ops: Vec<Op>) -> (Results, u64) {
        self.is_told(Input::Request { token: 7, request: Request::from(ops) });
        let replies = std::mem::take(&mut self.effects.after_sync);
        let reply = replies.into_iter().find_map(|effect| match effect {
            Effect::Reply { results, version, .. } => Some((results, version)),
            _ => None,
        });
        reply.expect("it was answered")
    }

    fn hears(&mut self, datagram: &Datagram<'_>) {
        let bytes = Envelope::new("c", None).seal(datagram);
        self.is_told(Input::Datagram { from: "10.0.0.2:8088".parse().unwrap(), bytes });
    }

    fn hears_swim(&mut self, from: &Identity, to: &Identity) {
        let (src, dst) = (from.clone(), to.clone());
        let header = Header { src, src_incarnation: 0, dst, message: Message::Gossip };
        let packet = postcard::to_stdvec(&header).unwrap();
        self.hears(&Datagram::Swim(&packet));
    }

    fn frame(&mut self, message: &Frame<'_>) {
        self.is_told(Input::LinkFrame { link: BESIDE, frame: frame::encode(message) });
    }

    /// A link to node 2 stands, that speaks a version.
    fn linked(mut self, version: u16) -> Self {
        self.hears_swim(&identity(2), &identity(1));
        self.is_told(Input::LinkOpened { link: BESIDE, dialed: None });
        let hello = Hello {
            versions: (PROTOCOL_VERSIONS.0, version),
            cluster: "c",
            identity: identity(2),
            nonce: [7; 16],
            has_secret: false,
        };
        self.frame(&Frame::Hello(hello));
        self.frame(&Frame::Proof([0; PROOF_BYTES]));
        let is_up = |effect: &Effect| matches!(effect, Effect::Event(Event::LinkUp { .. }));
        assert!(self.effects.at_once.iter().any(is_up));
        if version >= SETTLEMENTS_SINCE {
            self.frame(&Frame::SettlementHashes { rest: 0, held: Vec::new() });
            self.frame(&Frame::SettlementTold);
        }
        self
    }

    fn totals(&self) -> &Totals {
        self.node.totals()
    }
}

pub(in crate::node) fn name(text: &str) -> CounterName {
    CounterName::new(text.to_owned()).unwrap()
}

fn add(counter: &str, by: i64) -> Op {
    Op::Add { name: name(counter), by }
}

fn get(counter: &str) -> Op {
    Op::Get { name: name(counter) }
}

#[test]
fn what_only_reads_is_answered_without_a_version_and_needs_no_sync() {
    let mut one = One::new(true);
    assert!(!one.node.will_sync());
    assert_eq!(one.asks(vec![add("x", 1)]).1, 1);
    assert_eq!(one.asks(vec![get("x")]).1, 0);
    one.node.handle(
        one.now,
        Input::Request { token: 1, request: Request::from(vec![get("x")]) },
        &mut one.effects,
    );
    assert!(!one.node.will_sync());
    let ops = vec![add("x", 1)];
    one.node.handle(
        one.now,
        Input::Request { token: 1, request: Request::from(ops.clone()) },
        &mut one.effects,
    );
    assert!(one.node.will_sync());
    let mut in_memory = One::new(false);
    in_memory.node.handle(
        one.now,
        Input::Request { token: 1, request: Request::from(ops) },
        &mut one.effects,
    );
    assert!(!in_memory.node.will_sync(), "nothing is kept");
}

#[test]
fn a_batch_that_closed_in_the_middle_of_a_request_is_to_be_synced_too() {
    let mut one = One::new(true);
    let mut counters = 0;
    while !one.node.batches.has_versions() {
        let ops = vec![add(&format!("{counters:0>200}"), 1)];
        one.node.handle(
            one.now,
            Input::Request { token: 1, request: Request::from(ops) },
            &mut one.effects,
        );
        counters += 1;
    }
    assert!(one.node.counters.is_open_batch_empty() && one.node.will_sync());
}

#[test]
fn operations_and_refusals_are_counted_by_their_kinds() {
    let mut one = One::new(true);
    one.now = one.now + SETTLING;
    let raise = Op::Raise { name: name("x"), to: 5 };
    for _ in 0..2 {
        one.asks(vec![add("x", 1), raise.clone(), get("x"), get("y")]);
        one.asks(vec![add("full", i64::MAX), add("full", i64::MAX)]);
    }
    let totals = one.totals();
    assert_eq!((totals.increments, totals.raises, totals.reads), (6, 2, 4));
    assert_eq!(totals.refused_overflow, 3);
    one.node.bound_table(Bounds { counters: 2, ..Bounds::default() });
    let refused = one.asks(vec![add("a", 1), add("b", 1)]).0;
    assert!(refused.iter().all(|result| matches!(result, Err(Refusal::TooManyCounters(_)))));
    one.node.bound_table(Bounds::default());
    one.is_told(Input::Room(Room { names: 0, slots: 0 }));
    assert_eq!(one.asks(vec![add("a", 1)]).0, [Err(Refusal::OutOfMemory)]);
    assert_eq!((one.totals().refused_full, one.totals().refused_memory), (2, 1));
}

#[test]
fn datagrams_are_counted_by_what_becomes_of_them() {
    let mut one = One::new(true);
    let me = identity(1);
    let beacon =
        |n: u64, sequence, kind| Datagram::Beacon(Beacon { identity: identity(n), sequence, kind });
    for sequence in 1..3 {
        one.hears(&beacon(2, sequence, BeaconKind::Ask));
        one.hears(&beacon(3, sequence, BeaconKind::Answer(1)));
    }
    // Two calls of its own, two answers.
    one.now = one.now + Duration::from_millis(150);
    one.is_told(Input::Tick);
    assert_eq!((one.totals().beacons_heard, one.totals().beacons_sent), (4, 4));
    for n in 0..100 {
        one.hears(&beacon(100 + n, 1, BeaconKind::Call));
    }
    let limited = one.totals().beacons_limited;
    assert!((48..=60).contains(&limited), "{limited}");
    let received = one.totals().swim_received;
    for _ in 0..2 {
        one.hears_swim(&identity(2), &me);
        one.hears_swim(&Identity { address: identity(5).address, ..me.clone() }, &me);
        one.hears(&Datagram::Swim(&[1, 2, 3]));
        let mut later = Envelope::new("c", None).seal(&Datagram::Swim(&[])).to_vec();
        later[3] = 2;
        one.is_told(Input::Datagram { from: "10.0.0.2:1".parse().unwrap(), bytes: later.into() });
    }
    let totals = one.totals();
    assert_eq!(totals.swim_received - received, 6);
    assert_eq!((totals.swim_refused, totals.datagrams_malformed), (2, 4));
    let removal = MembershipRecord { key: Key::Node(NodeId(2)), removed: 7, registered: 0 };
    one.hears(&Datagram::Membership(vec![removal]));
    (0..2).for_each(|_| one.hears_swim(&identity(2), &me));
    assert_eq!(one.totals().datagrams_removed, 2);
    assert_eq!(one.totals().beacons_limited, limited);
    for n in 0..300 {
        let life = Identity { boot: 2 + n, origin: OriginId(5_000 + n), ..identity(20) };
        one.hears_swim(&life, &me);
    }
    assert!(one.totals().beacons_limited > limited, "strangers are looked at so often only");
}

#[test]
fn what_brings_nothing_new_is_not_journaled_and_nothing_is_where_nothing_is_kept() {
    let (_, version) = PROTOCOL_VERSIONS;
    for is_kept in [true, false] {
        let mut one = One::new(is_kept).linked(version);
        let changes = vec![Change::slot("x", Slot::from(Numbers { plus: 5, minus: 0, raise: 0 }))];
        let push = Frame::Push { after: 0, batches: 1, age_us: 0, changes };
        one.frame(&push);
        assert_eq!(one.effects.journal.is_empty(), !is_kept);
        one.frame(&push);
        assert!(one.effects.journal.is_empty(), "it is known");
        one.node.bound_table(Bounds { counters: 1, ..Bounds::default() });
        let slot = |plus| Slot::from(Numbers { plus, minus: 0, raise: 0 });
        let full = |plus| Frame::Push {
            after: 1,
            batches: 1,
            age_us: 0,
            changes: vec![Change::slot("x", slot(plus)), Change::slot("y", slot(1))],
        };
        one.frame(&full(6));
        assert_eq!(one.effects.journal.is_empty(), !is_kept, "what has a place is kept");
        one.frame(&full(6));
        assert!(one.effects.journal.is_empty(), "it is known");
        assert_eq!((one.totals().deltas_received, one.totals().refused_full), (4, 2));
    }
}

#[test]
fn records_beyond_what_is_passed_on_are_told_to_those_that_do_not_compare() {
    let many = |first: u64| -> Vec<MembershipRecord> {
        let removal = |n| MembershipRecord { key: Key::Node(NodeId(n)), removed: 7, registered: 0 };
        (first..first + 100).map(removal).collect()
    };
    for (version, is_told) in [(1, true), (2, false), (3, false)] {
        let mut one = One::new(true).linked(version);
        one.hears(&Datagram::Membership(many(1000)));
        let told = one.effects.after_sync.iter().any(|effect| match effect {
            Effect::Frame { bytes, .. } => {
                matches!(frame::decode(bytes).unwrap(), Frame::Membership(_))
            }
            _ => false,
        });
        assert_eq!(told, is_told, "version {version}");
    }
}

#[test]
fn an_outbox_tells_what_waits_and_for_which_batch() {
    let mut outbox = Outbox::default();
    assert_eq!((outbox.newest(), outbox.is_empty()), (None, true));
    for batch in 4..6 {
        let journal = b"records".to_vec().into();
        outbox.close(batch, &mut Effects { journal, ..Effects::default() });
    }
    outbox.close(6, &mut Effects::default());
    assert_eq!((outbox.newest(), outbox.is_empty()), (Some(5), false));
}

#[test]
fn what_a_push_brought_counts_as_here_when_its_own_batch_is_synced() {
    let (_, version) = PROTOCOL_VERSIONS;
    let mut one = One::new(true).linked(version);
    let mut effects = Effects::default();
    one.asks(vec![add("y", 1)]);
    one.node.handle(one.now, Input::Tick, &mut effects);
    let before = one.close(&mut effects);
    let changes = vec![Change::slot("x", Slot::from(Numbers { plus: 5, minus: 0, raise: 0 }))];
    let frame = frame::encode(&Frame::Push { after: 0, batches: 1, age_us: 0, changes });
    one.node.handle(one.now, Input::LinkFrame { link: BESIDE, frame }, &mut effects);
    let batch = one.close(&mut effects);
    one.is_safe(before, &mut effects);
    assert_eq!(one.totals().convergence.count(), 0);
    one.is_safe(batch, &mut effects);
    assert_eq!(one.totals().convergence.count(), 1);
}

/// What was told of the digest in the last batch: by its hash, and by its rows.
fn told_of_digest(one: &One) -> (Vec<u64>, usize) {
    let (mut hashes, mut parts) = (Vec::new(), 0);
    for effect in &one.effects.after_sync {
        let Effect::Frame { bytes, .. } = effect else { continue };
        match frame::decode(bytes).unwrap() {
            Frame::DigestHash(hash) => hashes.push(hash),
            Frame::DigestPart { .. } => parts += 1,
            Frame::Digest { .. } => panic!("a later version's"),
            _ => {}
        }
    }
    (hashes, parts)
}

/// Rule `exchange-every-second`.
#[test]
fn a_peer_of_an_earlier_release_is_told_all_rows_where_its_hash_is_another() {
    let mut one = One::new(true).linked(2);
    let (hashes, parts) = told_of_digest(&one);
    assert_eq!((hashes.len(), parts), (1, 1), "the first time, whatever it tells");
    let same = hashes[0];
    for (hash, parts) in [(same, 0), (same, 0), (same ^ 1, 1), (same, 0)] {
        one.frame(&Frame::DigestHash(hash));
        one.now = one.now + Duration::from_secs(1);
        one.is_told(Input::Tick);
        assert_eq!(told_of_digest(&one), (vec![same], parts));
    }
}

/// Rule `no-raise-while-behind`.
#[test]
fn a_node_takes_itself_to_be_behind_a_peer_of_an_earlier_release_until_it_has_read_all() {
    let mut one = One::new(true).linked(2);
    let raise = vec![Op::Raise { name: name("x"), to: 5 }];
    let is_answered = |one: &One| {
        one.effects.after_sync.iter().any(|effect| matches!(effect, Effect::Reply { .. }))
    };
    one.is_told(Input::Request { token: 1, request: Request::from(raise) });
    assert!(!is_answered(&one));
    let part = |first, last| Frame::DigestPart {
        first: OriginId(first),
        last: OriginId(last),
        rows: Vec::new(),
    };
    one.frame(&part(0, 5));
    assert!(!is_answered(&one));
    one.frame(&part(6, u64::MAX));
    assert!(is_answered(&one));
}

#[test]
fn as_many_raises_wait_as_may() {
    let mut one = One::new(true).linked(2);
    one.node.limit(Limits { raises: 1, ..Limits::default() });
    let refused = |one: &One| one.totals().refused_behind;
    for (token, so_far) in [(1, 0), (2, 1)] {
        let ops = vec![Op::Raise { name: name("x"), to: 5 }];
        one.is_told(Input::Request { token, request: Request::from(ops) });
        assert_eq!(refused(&one), so_far);
    }
}

/// Rule `smaller-node-dials`.
#[test]
fn a_member_is_dialed_in_the_moment_in_which_it_is_up() {
    let mut one = One::new(true);
    one.hears_swim(&identity(2), &identity(1));
    let is_dial =
        |effect: &Effect| matches!(effect, Effect::Dial { node, .. } if *node == NodeId(2));
    assert!(one.effects.at_once.iter().any(is_dial));
}

#[test]
fn as_many_listings_wait_for_their_pages_as_may() {
    use crate::query::{Answer, Busy, Query};
    let mut one = One::new(true);
    one.node.limit(Limits { listings: 1, ..Limits::default() });
    one.asks(vec![add("x", 1)]);
    let query = Query::from(List { prefix: None, after: None, limit: 10 });
    let mut effects = Effects::default();
    for token in [1, 2] {
        one.node.handle(one.now, Input::Query { token, query: query.clone() }, &mut effects);
    }
    let busy: Vec<u64> = effects
        .after_sync
        .iter()
        .filter_map(|effect| match effect {
            Effect::Answer { token, answer: Answer::Page(Err(Busy)) } => Some(*token),
            _ => None,
        })
        .collect();
    assert_eq!(busy, [2]);
}
