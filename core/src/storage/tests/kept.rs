//! What is written when, and what of a node's life comes back.

use std::io;
use std::time::Duration;

use foca::{Header, Member, Message};

use super::super::files;
use super::super::frame::{self, HEAD_BYTES};
use super::super::journal::Limits;
use super::super::record;
use super::super::records::Records;
use super::super::repair;
use super::super::writer::{Behind, Habits, Job, News, Next, Writer};
use super::*;
use crate::delta::CHANGE_BYTES_MAX;
use crate::effect::Effect;
use crate::identity::{Address, Identity};
use crate::input::Input;
use crate::membership::{Key, MembershipRecord};
use crate::name::CounterName;
use crate::node::{Config, Node, RemovesAfter};
use crate::operation::{Op, Request};
use crate::outbox::{Effects, Outbox};
use crate::status::PeerState;
use crate::time::Time;
use crate::wire::datagram::{Datagram, Envelope};

/// A directory, and what was done to it.
#[derive(Debug, Default)]
struct Watched {
    files: Memory,
    created: Vec<String>,
    syncs: usize,
    /// Where the file ended when room was made.
    reserved_at: Vec<usize>,
}

impl Files for Watched {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn read(&self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.files.read(name, offset, into)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.created.push(name.to_owned());
        self.files.create(name)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.append(name, bytes)
    }

    fn reserve(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        self.reserved_at.push(self.files.0[name].len() - HEAD_BYTES);
        self.files.reserve(name, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.syncs += 1;
        self.files.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        self.files.sync_directory()
    }
}

/// A record without a content, which is as long as any of its kind.
fn mark() -> Vec<u8> {
    let mut records = Vec::new();
    record::append_mark(&mut records);
    records
}

/// An empty journal whose first record has been written long ago.
fn begun(limits: Limits) -> (Watched, Journal) {
    let mut files = Watched::default();
    let head = frame::Head { node: NODE, number: 5, base: 1 << 40 };
    let mut journal = Journal::begin(&mut files, head, &[]).unwrap();
    journal.limit(limits);
    files.syncs = 0;
    (files, journal)
}

#[test]
fn a_segment_that_is_full_is_followed_by_the_next_of_the_same_length() {
    let record = mark().len();
    let segment_bytes_max = 10 * record as u64;
    let (mut files, mut journal) = begun(Limits { segment_bytes_max, ..Limits::default() });
    (0..35).for_each(|_| journal.append(&mut files, &mut mark()).unwrap());
    let lengths: Vec<usize> =
        files.files.0.values().map(|file| (file.len() - HEAD_BYTES) / record).collect();
    assert_eq!(lengths, [10, 10, 10, 5]);
    let named = (5..9).map(|number| files::unfinished(&files::segment(number)));
    assert_eq!(files.created, named.collect::<Vec<_>>(), "each under its name when it is whole");
    assert_eq!(files::unfinished("00000005.segment"), "00000005.segment.unfinished");
}

#[test]
fn room_is_made_when_it_is_used_up_and_not_for_what_is_longer_than_it() {
    let record = mark().len();
    let limits = Limits { reserve_bytes: 10 * record as u64, ..Limits::default() };
    let (mut files, mut journal) = begun(limits);
    (0..25).for_each(|_| journal.append(&mut files, &mut mark()).unwrap());
    assert_eq!(files.reserved_at, [0, 10 * record, 20 * record]);
    journal.append(&mut files, &mut mark().repeat(10)).unwrap();
    assert_eq!(files.reserved_at.len(), 3, "it writes its length for itself");
    journal.append(&mut files, &mut mark()).unwrap();
    assert_eq!(files.reserved_at[3..], [35 * record]);
}

#[test]
fn what_is_synced_is_not_synced_again_and_a_journal_at_rest_is_marked_once() {
    let (mut files, mut journal) = begun(Limits::default());
    journal.mark(&mut files).unwrap();
    assert_eq!(journal.position(), 1 << 40, "an empty segment says by its head that all is synced");
    journal.append(&mut files, &mut mark()).unwrap();
    (0..3).for_each(|_| journal.sync(&mut files).unwrap());
    assert_eq!(files.syncs, 1);
    let before = journal.position();
    (0..3).for_each(|_| journal.mark(&mut files).unwrap());
    assert_eq!((journal.position() - before, files.syncs), (mark().len() as u64, 2));
}

#[test]
fn what_a_crash_left_unfinished_and_what_a_snapshot_replaced_is_removed_by_the_next_start() {
    let mut files = Memory::default();
    let (mut journal, state) = start(&mut files, 1);
    snapshot(&mut files, &mut journal, state.counters(), 1000);
    let sound: Vec<String> = files.0.keys().cloned().collect();
    assert_eq!(sound, ["00000002.segment", "00000002.snapshot"]);
    for left in [
        "00000001.segment",
        "00000001.snapshot",
        "00000003.segment.unfinished",
        "00000007.snapshot.unfinished",
    ] {
        files.0.insert(left.to_owned(), b"half".to_vec());
    }
    files.0.insert("notes.unfinished".to_owned(), b"an operator's".to_vec());
    start(&mut files, 2);
    let found: Vec<String> = files.0.keys().cloned().collect();
    let kept = ["00000002.segment", "00000002.snapshot", "00000003.segment", "notes.unfinished"];
    assert_eq!(found, kept);
}

#[test]
fn a_check_tells_of_each_file_how_much_of_it_is_kept() {
    let mut files = Memory::default();
    let (mut journal, state) = start(&mut files, 1);
    snapshot(&mut files, &mut journal, state.counters(), 1000);
    for records in [3, 4] {
        (0..records).for_each(|_| journal.append(&mut files, &mut mark()).unwrap());
        journal.rotate(&mut files).unwrap();
    }
    journal.append(&mut files, &mut mark()).unwrap();
    let (_, reading) = look(&files).unwrap();
    for file in &reading.files {
        let on_disk = files.0[&file.name].len() - HEAD_BYTES;
        assert_eq!(file.bytes, on_disk as u64, "{}", file.name);
    }
    let in_snapshot = files.0["00000002.snapshot"].len() - HEAD_BYTES;
    assert_eq!(reading.snapshot_bytes(), in_snapshot as u64);
    let segments: Vec<u64> = reading.segments().map(|head| head.number).collect();
    assert_eq!(segments, [2, 3, 4]);
    let records: Vec<u64> = reading.files[1..].iter().map(|file| file.records).collect();
    assert_eq!(records, [3, 4, 1]);
}

#[test]
fn a_delta_of_no_versions_is_a_record_and_one_that_runs_backwards_is_none() {
    for (range, is_sound) in [((3, 3), true), ((2, 3), true), ((4, 3), false)] {
        let mut files = Memory::default();
        let (mut journal, _) = start(&mut files, 1);
        let mut records = Vec::new();
        record::append_delta(&mut records, &delta(9, range, &[("x", 1)]));
        journal.append(&mut files, &mut records).unwrap();
        journal.mark(&mut files).unwrap();
        assert_eq!(look(&files).is_ok(), is_sound, "{range:?}");
    }
}

#[test]
fn what_is_repaired_is_kept_as_it_was_and_its_records_are_counted() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    for batch in 0..15 {
        if batch == 10 {
            journal.rotate(&mut files).unwrap();
        }
        let mut records = Vec::new();
        record::append_delta(&mut records, &delta(9, (batch, batch + 1), &[("x", batch + 1)]));
        journal.append(&mut files, &mut records).unwrap();
    }
    journal.mark(&mut files).unwrap();
    let file = files.0.get_mut("00000001.segment").unwrap();
    let record = (file.len() - HEAD_BYTES) / 11;
    file[HEAD_BYTES + 5 * record] ^= 0x10;
    let damaged = file.clone();
    let done = repair::repair(&mut files, empty).unwrap().expect("it is damaged");
    let kept_as = done.damaged[0].kept_as.clone().expect("it is not missing");
    assert_eq!(files.0[&kept_as], damaged);
    // The start and the deltas before the one that was hit; those behind it, and the mark.
    assert_eq!((done.trusted_records, done.salvaged_records), (5, 11));
}

#[test]
fn a_record_that_cannot_be_read_behind_damage_is_passed_over() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    for range in [(0, 1), (5, 3), (1, 2)] {
        let mut records = Vec::new();
        record::append_delta(&mut records, &delta(9, range, &[("x", range.1)]));
        journal.append(&mut files, &mut records).unwrap();
    }
    journal.mark(&mut files).unwrap();
    // The start, before the one that runs backwards.
    files.0.get_mut("00000001.segment").unwrap()[HEAD_BYTES + 20] ^= 0x10;
    repair::repair(&mut files, empty).unwrap().expect("it is damaged");
    assert_eq!(look(&files).unwrap().0.counters().value("x").0, 2);
}

/// A snapshot that ends between two records looks sound as far as it goes.
#[test]
fn a_snapshot_that_has_lost_its_last_records_claims_nothing() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let names: Vec<String> = (0..10).map(|n| format!("{n:0>50}")).collect();
    let changes: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut records = Vec::new();
    record::append_delta(&mut records, &delta(9, (0, 1), &changes));
    journal.append(&mut files, &mut records).unwrap();
    let (state, _) = look(&files).unwrap();
    snapshot(&mut files, &mut journal, state.counters(), 100);
    let file = files.0.get_mut("00000002.snapshot").unwrap();
    let (mut ends, mut at) = (Vec::new(), HEAD_BYTES);
    while let Some(length) = frame::length(&file[at..]) {
        at += length;
        ends.push(at);
    }
    // Its end, the origins that are told once more, and some counters.
    file.truncate(ends[ends.len() - 4]);
    assert!(look(&files).is_err());
    repair::repair(&mut files, empty).unwrap().expect("it is damaged");
    let (state, _) = look(&files).unwrap();
    let kept = names.iter().filter(|name| state.counters().value(name).0 == 1).count();
    assert!((1..10).contains(&kept), "{kept} of 10");
    assert_eq!(state.counters().known(OriginId(9)).version, 0);
}

#[test]
fn what_own_records_take_is_told_before_they_are_written() {
    let mut counters = Counters::new(OriginId(1), 0);
    for name in ["a", "bcd", "efghi"] {
        counters.add(name, 1).unwrap();
    }
    let batch = counters.close().unwrap();
    let mut records = Records::default();
    records.add_own(&batch, &counters);
    assert_eq!(records.bytes(), 9 + 3 * CHANGE_BYTES_MAX);
}

#[test]
fn a_snapshot_tells_how_long_it_is_and_leaves_nothing_where_it_is_given_up() {
    let mut files = Memory::default();
    let (mut journal, state) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let before: Vec<String> = files.0.keys().cloned().collect();
    let begun = |files: &mut Memory| {
        let mut writer = SnapshotWriter::begin(files, NODE, number).unwrap();
        let mut walk = Walk::new(
            state.counters(),
            None,
            std::iter::empty(),
            std::iter::empty(),
            std::iter::empty(),
        );
        writer.append(files, walk.step(state.counters(), 1000)).unwrap();
        writer
    };
    begun(&mut files).abandon(&mut files).unwrap();
    assert_eq!(files.0.keys().cloned().collect::<Vec<_>>(), before);
    let bytes = begun(&mut files).publish(&mut files).unwrap();
    assert_eq!(bytes, files.0["00000002.snapshot"].len() as u64);
}

/// After which of so many writes a snapshot is due.
fn due(writer: &mut Writer, files: &mut Memory, writes: u64) -> Vec<u64> {
    let mut due = Vec::new();
    for batch in 1..=writes {
        writer.put(Job::Append { batch, records: mark().into() });
        while let Next::Do(work) = writer.next(Time::ZERO) {
            writer.carry_out(Time::ZERO, work, files).unwrap();
        }
        due.extend(
            writer.take_news().any(|news| matches!(news, News::SnapshotDue)).then_some(batch),
        );
    }
    due
}

#[test]
fn a_snapshot_is_due_after_so_many_segments_or_bytes_since_the_last_cut() {
    let (mut files, behind) = (Memory::default(), Behind { segments: 1, ..Behind::default() });
    let (mut journal, _) = start(&mut files, 1);
    // Each record begins a segment.
    journal.limit(Limits { segment_bytes_max: 1, ..Limits::default() });
    let habits = Habits { snapshot_after_segments: 4, ..Habits::default() };
    let mut writer = Writer::new(journal, habits, behind, Time::ZERO);
    assert_eq!(due(&mut writer, &mut files, 6), [3]);
    writer.put(Job::Cut);
    assert_eq!(due(&mut writer, &mut files, 6), [4], "the cut began one that is empty");

    let mut files = Memory::default();
    let (journal, _) = start(&mut files, 1);
    let habits = Habits { snapshot_after_bytes: 10 * mark().len() as u64, ..Habits::default() };
    let behind = Behind { cut: journal.position(), segments: 1, ..Behind::default() };
    let mut writer = Writer::new(journal, habits, behind, Time::ZERO);
    assert_eq!(due(&mut writer, &mut files, 9), []);
    writer.put(Job::Cut);
    assert_eq!(due(&mut writer, &mut files, 10), [10]);
}

fn identity(n: u64) -> Identity {
    let address = Address::parse(&format!("10.0.0.{n}:8088"), 1).unwrap();
    Identity { node: NodeId(n), address, epoch: 0, boot: 1, origin: OriginId(n) }
}

fn config() -> Config {
    let me = identity(1);
    Config {
        node: me.node,
        origin: me.origin,
        address: me.address,
        boot: 1,
        cluster: "c".to_owned(),
        secret: None,
        seeds: Vec::new(),
        discovery: false,
        is_kept: true,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [1; 32],
    }
}

/// What a node keeps of what others say to it.
fn hears(node: &mut Node, datagram: &Datagram<'_>) -> Vec<u8> {
    let bytes = Envelope::new("c", None).seal(datagram);
    let mut effects = Effects::default();
    let from = "10.0.0.2:8088".parse().unwrap();
    node.handle(Time::ZERO, Input::Datagram { from, bytes }, &mut effects);
    node.close_batch(Time::ZERO, &mut effects);
    effects.journal.take()
}

/// A member that is up gossips about another.
fn gossip(update: &Member<Identity>) -> Vec<u8> {
    let header =
        Header { src: identity(2), src_incarnation: 0, dst: identity(1), message: Message::Gossip };
    let mut packet = postcard::to_stdvec(&header).unwrap();
    packet.extend(1_u16.to_be_bytes());
    packet.extend(postcard::to_stdvec(update).unwrap());
    packet
}

/// A node that has met 2 and 3 and heard that 4 was removed starts again.
fn started_again(recovered: Recovered) -> Node {
    let mut node = Node::recovered(Config { boot: 2, ..config() }, recovered, Time::ZERO);
    let removed = Identity { origin: OriginId(44), ..identity(4) };
    assert!(node.registry().is_removed(&removed));
    let peers = node.status(Time::ZERO).peers;
    let met: Vec<_> = peers.iter().map(|peer| (peer.node, peer.state)).collect();
    let down = |n| (Some(NodeId(n)), PeerState::Down);
    assert_eq!(met, [down(2), down(3)]);
    // It has met others, and might be behind them: a raise waits until it has looked for them.
    let (name, mut effects) = (CounterName::new("x".to_owned()).unwrap(), Effects::default());
    let ops = vec![Op::Raise { name, to: 7 }];
    node.handle(Time::ZERO, Input::Request { token: 1, request: Request::from(ops) }, &mut effects);
    let mut outbox = Outbox::default();
    let mut answers_at = |now| {
        let batch = node.close_batch(now, &mut effects);
        outbox.close(batch, &mut effects);
        outbox.safe(batch);
        let is_reply = |effect: &Effect| matches!(effect, Effect::Reply { .. });
        std::iter::from_fn(|| outbox.release()).any(|left| left.effects.iter().any(is_reply))
    };
    assert!(!answers_at(Time::ZERO));
    assert!(answers_at(Time::ZERO + Duration::from_secs(1)));
    node
}

#[test]
fn whom_a_node_has_met_and_who_was_removed_outlives_it_by_way_of_journal_and_snapshot() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let mut node = Node::new(config(), Time::ZERO);
    let removal = [Key::Node(NodeId(4)), Key::Address(identity(4).address)]
        .map(|key| MembershipRecord { key, removed: 7, registered: 0 });
    let of_3 = gossip(&Member::alive(identity(3)));
    for datagram in [Datagram::Membership(removal.to_vec()), Datagram::Swim(&of_3)] {
        let mut records = hears(&mut node, &datagram);
        assert!(!records.is_empty(), "{datagram:?}");
        journal.append(&mut files, &mut records).unwrap();
    }
    let (recovered, _) = look(&files).unwrap();
    let mut node = started_again(recovered);

    let mut snapshot = Vec::new();
    let mut walk = node.begin_snapshot();
    while !walk.is_over() {
        snapshot.extend(node.snapshot_step(&mut walk, 1000));
    }
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let number = journal.rotate(&mut files).unwrap();
    let mut writer = SnapshotWriter::begin(&mut files, NODE, number).unwrap();
    writer.append(&mut files, snapshot).unwrap();
    writer.publish(&mut files).unwrap();
    started_again(look(&files).unwrap().0);
}

#[test]
fn a_boot_that_a_node_took_while_it_ran_is_outlived_by_the_next_start() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let mut node = Node::new(config(), Time::ZERO);
    let of_a_newer_incarnation = Identity { boot: 70, origin: OriginId(99), ..identity(1) };
    let bytes = gossip(&Member::down(of_a_newer_incarnation));
    let mut records = hears(&mut node, &Datagram::Swim(&bytes));
    assert_eq!(node.identity().boot, 71);
    journal.append(&mut files, &mut records).unwrap();
    let mut in_memory = Node::new(Config { is_kept: false, ..config() }, Time::ZERO);
    assert!(hears(&mut in_memory, &Datagram::Swim(&bytes)).is_empty(), "nothing is kept");
    assert_eq!(look(&files).unwrap().0.next_start(NodeId(99), 3).boot, 72);
}

#[test]
fn a_later_start_under_another_boot_is_what_the_next_one_follows() {
    let mut files = Memory::default();
    let (mut journal, _) = start(&mut files, 1);
    let mut records = Records::default();
    records.add_start(&Start { node: NODE, boot: 5_000, origin: OriginId(1) });
    journal.append(&mut files, &mut records.take()).unwrap();
    assert_eq!(look(&files).unwrap().0.next_start(NodeId(99), 3).boot, 5_001);
}
