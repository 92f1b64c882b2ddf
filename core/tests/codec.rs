//! What is said between nodes, as bytes: it comes back as it was, and nothing else is taken.
//!
//! The bytes of one example of each message are frozen in snapshots beside this file. They are the
//! wire: when one of them changes, releases no longer understand each other, and what changed must
//! become a new kind instead.

#[path = "codec/any.rs"]
mod any;

use any::{datagram, message};

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use quipu_core::absence::{ABSENCES_MAX, AbsenceEntry, Absentee, Attempt, Call, Removal, Stance};
use quipu_core::delta::{Change, Delta};
use quipu_core::digest::Want;
use quipu_core::identity::{Address, BOOT_MAX, EPOCH_MAX, Identity, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord, PARTS};
use quipu_core::name::{NAME_BYTES_MAX, NameError};
use quipu_core::settlement::Voter;
use quipu_core::slot::{Numbers, Slot};
use quipu_core::wire::auth::{PROOF_BYTES, Secret};
use quipu_core::wire::datagram::{
    Beacon, BeaconKind, CLUSTER_BYTES_MAX, DATAGRAM_BYTES_MAX, Datagram, Envelope,
};
use quipu_core::wire::error::{CodecError, Foreign};
use quipu_core::wire::frame::{self, Goodbye, Hello, Message, Row, WANTS_MAX};
use quipu_core::wire::versions::{DATAGRAM_VERSIONS, PROTOCOL_VERSIONS};

/// Names of every length that matters, and not only of ASCII.
const NAMES: [&str; 4] = ["x", "default", "päge:views/1", LONGEST];
const LONGEST: &str = {
    const BYTES: [u8; NAME_BYTES_MAX] = [b'n'; NAME_BYTES_MAX];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("it is ASCII"),
    }
};

const HOSTS: [&str; 4] = ["10.0.0.1", "node-b", "[2001:db8::1]", "a.b_c-d.example"];

/// What stands in for a message of the membership protocol, which is opaque here.
const PACKET: [u8; 1024] = [0x5a; 1024];

/// Versions from here on are nobody's.
const VERSION_MAX: u64 = 1 << 63;

fn laws() -> ProptestConfig {
    let beside = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases: 512, failure_persistence: Some(Box::new(beside)), ..Default::default() }
}

// --- any message ---------------------------------------------------------------------------------

fn secret(bytes: &[u8]) -> Secret {
    Secret::new(bytes).unwrap()
}

fn open_and_closed() -> [Envelope; 2] {
    let ours = secret(b"the knots are tied at noon");
    [Envelope::new("default", None), Envelope::new("default", Some(ours))]
}

proptest! {
    #![proptest_config(laws())]

    #[test]
    fn a_message_comes_back_as_it_was(message in message()) {
        let bytes = frame::encode(&message);
        prop_assert_eq!(frame::decode(&bytes), Ok(message));
    }

    #[test]
    fn a_datagram_comes_back_as_it_was_with_and_without_a_secret(datagram in datagram()) {
        for envelope in open_and_closed() {
            let bytes = envelope.seal(&datagram);
            prop_assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
            prop_assert_eq!(envelope.open(&bytes), Ok(datagram.clone()));
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = frame::decode(&bytes) {
            let again = frame::encode(&message);
            prop_assert_eq!(frame::decode(&again), Ok(message), "what was taken can be told again");
        }
    }

    #[test]
    fn a_bent_message_is_a_message_or_an_error(
        message in message(),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let mut bytes = frame::encode(&message).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(message) = frame::decode(&bytes) {
            let again = frame::encode(&message);
            prop_assert_eq!(frame::decode(&again), Ok(message));
        }
    }
}

// --- one example of each -------------------------------------------------------------------------

fn example_identity() -> Identity {
    Identity {
        node: NodeId(0x0123_4567_89ab_cdef),
        address: Address::parse("10.0.0.1:8088", 1).unwrap(),
        epoch: 2,
        boot: 1_764_000_000_000,
        origin: OriginId(0xfedc_ba98_7654_3210),
    }
}

fn example_memberships() -> Vec<MembershipRecord> {
    let address = Address::parse("node-c:8088", 1).unwrap();
    vec![
        MembershipRecord { key: Key::Node(NodeId(3)), removed: 4, registered: 3 },
        MembershipRecord { key: Key::Address(address), removed: 4, registered: 5 },
    ]
}

fn example_hashes() -> Vec<u64> {
    let mut hashes = vec![0; PARTS];
    hashes[7] = 300;
    hashes[255] = u64::MAX;
    hashes
}

fn example_changes() -> Vec<Change<'static>> {
    vec![
        Change::slot("default", Slot::from(Numbers { plus: 300, minus: 2, raise: 0 })),
        Change::slot(
            "päge:views/1",
            Slot::from(Numbers { plus: u64::MAX, minus: 0, raise: 1 << 32 }),
        ),
    ]
}

fn example_messages() -> Vec<(&'static str, Message<'static>)> {
    let origin = OriginId(0xfedc_ba98_7654_3210);
    let hello = Hello {
        versions: (1, 1),
        cluster: "default",
        identity: example_identity(),
        nonce: *b"sixteen bytes...",
        has_secret: true,
    };
    let delta = Delta { origin, after: 7, upto: 300, changes: example_changes() };
    let nothing = Delta { origin: OriginId(1), after: 5, upto: 5, changes: Vec::new() };
    let row = |origin, version| Row { origin: OriginId(origin), version, fingerprint: u64::MAX };
    vec![
        ("Hello", Message::Hello(hello)),
        ("Proof", Message::Proof([0xa5; PROOF_BYTES])),
        ("Welcome", Message::Welcome),
        ("Goodbye NotAMember", Message::Goodbye(Goodbye::NotAMember)),
        ("Goodbye Removed", Message::Goodbye(Goodbye::Removed(example_memberships()))),
        ("Goodbye NodeIdInUse", Message::Goodbye(Goodbye::NodeIdInUse(NodeId(3)))),
        ("Goodbye OtherCluster", Message::Goodbye(Goodbye::OtherCluster)),
        ("Goodbye WrongSecret", Message::Goodbye(Goodbye::WrongSecret)),
        ("Goodbye Versions", Message::Goodbye(Goodbye::Versions(1, 300))),
        ("Goodbye Itself", Message::Goodbye(Goodbye::Itself)),
        ("Goodbye Duplicate", Message::Goodbye(Goodbye::Duplicate)),
        ("Goodbye Leaving", Message::Goodbye(Goodbye::Leaving)),
        ("Membership", Message::Membership(example_memberships())),
        ("Push", Message::Push { after: 299, batches: 2, age_us: 300, changes: example_changes() }),
        ("Confirm", Message::Confirm(301)),
        ("DigestHash", Message::DigestHash(0x0123_4567_89ab_cdef)),
        (
            "DigestPart",
            Message::DigestPart {
                first: OriginId(2),
                last: OriginId(u64::MAX),
                rows: vec![row(2, 0), row(300, VERSION_MAX - 1)],
            },
        ),
        (
            "PullRequest",
            Message::PullRequest {
                request: 9,
                wants: vec![Want { origin, after: Some(7) }, Want { origin, after: None }],
            },
        ),
        (
            "PullChunk",
            Message::PullChunk { request: 9, index: 3, last: true, deltas: vec![delta, nothing] },
        ),
        ("ChunkTaken", Message::ChunkTaken { request: 9, index: 3 }),
        ("Ping", Message::Ping),
        ("Pong", Message::Pong),
        ("MembershipHashes of nothing", Message::MembershipHashes(Vec::new())),
        ("MembershipHashes", Message::MembershipHashes(example_hashes())),
        ("MembershipAsk", Message::MembershipAsk(vec![0, 7, 255])),
        ("MembershipTold", Message::MembershipTold),
        ("Digest", Message::Digest { recent: vec![row(2, 7)], rest: 0x0123_4567_89ab_cdef }),
        ("DigestAsk", Message::DigestAsk),
        (
            "DigestHashes",
            Message::DigestHashes { recent: vec![row(2, 7)], parts: vec![(7, 1); 256] },
        ),
        ("DigestPartsAsk", Message::DigestPartsAsk(vec![0, 7, 255])),
        ("DigestTold", Message::DigestTold),
        ("TimedPong", Message::TimedPong(1_700_000_000_123)),
        ("AbsenceHash", Message::AbsenceHash(0x0123_4567_89ab_cdef)),
        ("Absences", Message::Absences(example_absences())),
        ("Roll", Message::Roll(0xfedc_ba98_7654_3210)),
    ]
}

/// One of each kind.
fn example_absences() -> Vec<AbsenceEntry> {
    let voter = |node, epoch| Voter { node: NodeId(node), epoch };
    let list = vec![voter(1, 0), voter(2, 300), voter(3, 3)];
    let absentee = Absentee { member: voter(3, 3), removed: 4 };
    let attempt = |round| Attempt { round, caller: NodeId(1) };
    let accepted = Some((attempt(1), absentee));
    let stance =
        |accepted| Stance { voter: voter(2, 300), term: 7, promised: attempt(2), accepted };
    let (term, attempt) = (7, attempt(300));
    vec![
        AbsenceEntry::InMemory(NodeId(3)),
        AbsenceEntry::Common(list.clone()),
        AbsenceEntry::Stance(stance(None)),
        AbsenceEntry::Stance(stance(accepted)),
        AbsenceEntry::Removal(Removal { term, absentee }),
        AbsenceEntry::Call(Call { term, attempt, list, absentee, is_chosen: true }),
    ]
}

fn example_datagrams() -> Vec<(&'static str, Datagram<'static>)> {
    let beacon = |kind| Beacon { identity: example_identity(), sequence: 300, kind };
    vec![
        ("Beacon Call", Datagram::Beacon(beacon(BeaconKind::Call))),
        ("Beacon Ask", Datagram::Beacon(beacon(BeaconKind::Ask))),
        ("Beacon Answer", Datagram::Beacon(beacon(BeaconKind::Answer(299)))),
        ("Swim", Datagram::Swim(b"foca's")),
        ("Membership", Datagram::Membership(example_memberships())),
    ]
}

/// Bytes as a person compares them; a beacon's padding is told, not shown.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        if zeros > 16 {
            write!(text, "(00 x {zeros}) ").unwrap();
            rest = &rest[zeros..];
        } else {
            write!(text, "{byte:02x} ").unwrap();
            rest = after;
        }
    }
    text.trim_end().to_owned()
}

#[test]
fn the_bytes_of_each_message_are_those_of_the_release_before() {
    let lines: Vec<String> = example_messages()
        .iter()
        .map(|(name, message)| format!("{name}\n  {}", hex(&frame::encode(message))))
        .collect();
    insta::assert_snapshot!("messages", lines.join("\n"));
}

#[test]
fn the_bytes_of_each_datagram_are_those_of_the_release_before() {
    let mut lines = Vec::new();
    for (envelope, kind) in open_and_closed().iter().zip(["without a secret", "with a secret"]) {
        for (name, datagram) in example_datagrams() {
            lines.push(format!("{name}, {kind}\n  {}", hex(&envelope.seal(&datagram))));
        }
    }
    insta::assert_snapshot!("datagrams", lines.join("\n"));
}

#[test]
fn there_is_an_example_of_every_kind() {
    let mut kinds: Vec<u8> =
        example_messages().iter().map(|(_, message)| frame::encode(message)[0]).collect();
    kinds.dedup();
    let all: Vec<u8> = (0..=21).chain(29..=32).collect();
    assert_eq!(kinds, all);
}

#[test]
fn a_message_cut_short_anywhere_is_refused_with_an_error() {
    for (name, message) in example_messages() {
        let bytes = frame::encode(&message);
        for length in 0..bytes.len() {
            let error = frame::decode(&bytes[..length]).expect_err(name);
            let is_told = matches!(error, CodecError::Malformed { .. } | CodecError::Empty(_));
            assert!(is_told, "{name} cut to {length}: {error}");
        }
    }
}

#[test]
fn a_message_with_a_byte_too_many_is_refused_with_an_error() {
    for (name, message) in example_messages() {
        let mut bytes = frame::encode(&message).to_vec();
        bytes.push(0);
        let error = frame::decode(&bytes).expect_err(name).to_string();
        assert!(error.contains("more bytes"), "{name}: {error}");
    }
}

#[test]
fn a_datagram_cut_short_anywhere_is_refused_even_in_a_calls_padding() {
    for envelope in open_and_closed() {
        for (name, datagram) in example_datagrams() {
            let bytes = envelope.seal(&datagram);
            for length in 0..bytes.len() {
                assert!(envelope.open(&bytes[..length]).is_err(), "{name} at {length}");
            }
        }
    }
}

/// What the next release may send: a body of this release's version, and in the high bits that it
/// reads later ones as well.
#[test]
fn a_datagram_whose_sender_reads_later_versions_is_read_as_what_it_is() {
    let envelope = Envelope::new("default", None);
    for (name, datagram) in example_datagrams() {
        let sealed = envelope.seal(&datagram);
        assert_eq!(sealed[3], DATAGRAM_VERSIONS.0, "{name}: the lowest that is spoken");
        for highest in 0..=0x0f {
            let mut bytes = sealed.to_vec();
            bytes[3] |= highest << 4;
            assert_eq!(envelope.open(&bytes), Ok(datagram.clone()), "{name}, {highest}");
        }
    }
}

#[test]
fn an_answer_is_never_larger_than_the_call_that_it_answers() {
    for envelope in open_and_closed() {
        let sealed: Vec<usize> =
            example_datagrams().iter().map(|(_, datagram)| envelope.seal(datagram).len()).collect();
        let [call, ask, answer, ..] = sealed[..] else { panic!("three beacons come first") };
        assert!(answer <= call && answer <= ask);
    }
}

// --- what is not understood ----------------------------------------------------------------------

#[test]
fn an_unknown_kind_of_message_is_refused_by_its_number() {
    for kind in 33..=u8::MAX {
        let error = frame::decode(&[kind, 1, 2, 3]).unwrap_err();
        assert_eq!(error, CodecError::UnknownKind { what: "message", kind });
        assert!(error.to_string().contains(&kind.to_string()), "{error}");
    }
}

#[test]
fn an_unknown_kind_or_version_of_datagram_is_refused_by_its_number() {
    let envelope = Envelope::new("default", None);
    let sealed = envelope.seal(&Datagram::Swim(b""));
    for kind in 3..=u8::MAX {
        let mut bytes = sealed.to_vec();
        bytes[8] = kind;
        let error = envelope.open(&bytes).unwrap_err();
        assert_eq!(error, CodecError::UnknownKind { what: "datagram", kind });
    }
    for version in (0..=0x0f).filter(|version| *version != 1) {
        let mut bytes = sealed.to_vec();
        bytes[3] = 0x30 | version;
        let error = envelope.open(&bytes).unwrap_err();
        assert_eq!(error, CodecError::DatagramVersion(version));
        assert!(error.to_string().contains(&format!("found {version}")), "{error}");
    }
    assert_eq!(envelope.open(b"GET / HTTP/1.1\r\n"), Err(CodecError::NotOurs));
}

#[test]
fn a_datagram_of_another_cluster_or_secret_is_told_from_a_malformed_one() {
    let [open, closed] = open_and_closed();
    let other_secret = Envelope::new("default", Some(secret(b"the knots are tied at midnight")));
    let other_cluster = Envelope::new("other", None);
    for (name, datagram) in example_datagrams() {
        for (from, to, expected) in [
            (&other_cluster, &open, Foreign::Cluster),
            (&other_cluster, &closed, Foreign::Cluster),
            (&open, &closed, Foreign::Secret),
            (&other_secret, &closed, Foreign::Secret),
            (&closed, &open, Foreign::Secret),
        ] {
            let sealed = from.seal(&datagram);
            assert_eq!(to.open(&sealed), Err(CodecError::Foreign(expected)), "{name}");
        }
    }
}

// --- bounds --------------------------------------------------------------------------------------

fn push(name: &str) -> Message<'_> {
    let changes = vec![Change::slot(name, Slot::from(Numbers { plus: 1, minus: 0, raise: 0 }))];
    Message::Push { after: 0, batches: 1, age_us: 0, changes }
}

fn part(delta: Delta<'_>) -> Message<'_> {
    Message::PullChunk { request: 0, index: 0, last: false, deltas: vec![delta] }
}

fn refusal(message: &Message<'_>) -> String {
    frame::decode(&frame::encode(message)).expect_err("it is out of bounds").to_string()
}

#[test]
fn a_name_that_no_counter_can_have_is_refused() {
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    for (name, expected) in [
        ("", NameError::Empty),
        (long.as_str(), NameError::TooLong(NAME_BYTES_MAX + 1)),
        ("a\nb", NameError::Control('\n')),
    ] {
        let bytes = frame::encode(&push(name));
        assert_eq!(frame::decode(&bytes), Err(CodecError::Name(expected)));
        let changes = vec![Change::slot(name, Slot::from(Numbers { plus: 1, minus: 0, raise: 0 }))];
        let delta = Delta { origin: OriginId(1), after: 0, upto: 1, changes };
        let bytes = frame::encode(&part(delta));
        assert_eq!(frame::decode(&bytes), Err(CodecError::Name(expected)));
    }
}

#[test]
fn a_name_that_is_not_text_is_refused() {
    let mut bytes = frame::encode(&push("abc")).to_vec();
    let at = bytes.windows(3).position(|window| window == b"abc").unwrap();
    bytes[at] = 0xff;
    assert!(matches!(frame::decode(&bytes), Err(CodecError::Malformed { .. })));
}

#[test]
fn a_version_that_is_nobodys_is_refused_wherever_it_stands() {
    let push = |after, batches| Message::Push { after, batches, age_us: 0, changes: Vec::new() };
    let delta = |after, upto| part(Delta { origin: OriginId(1), after, upto, changes: Vec::new() });
    let row = Row { origin: OriginId(1), version: VERSION_MAX, fingerprint: 0 };
    let rows = Message::DigestPart { first: OriginId(0), last: OriginId(9), rows: vec![row] };
    for message in [
        push(VERSION_MAX - 1, 1),
        push(u64::MAX, 1),
        push(1, u64::MAX),
        delta(0, VERSION_MAX),
        Message::Confirm(VERSION_MAX),
        rows,
    ] {
        assert!(refusal(&message).contains("2^63"), "{message:?}");
    }
    assert!(refusal(&delta(2, 1)).contains("backwards"));
}

#[test]
fn an_epoch_or_boot_that_is_nobodys_is_refused_wherever_it_stands() {
    let one = example_identity();
    for nobodys in [
        Identity { epoch: EPOCH_MAX + 1, ..one.clone() },
        Identity { boot: BOOT_MAX + 1, ..one.clone() },
        Identity { boot: u64::MAX, epoch: u64::MAX, ..one },
    ] {
        let Some((_, Message::Hello(hello))) = example_messages().into_iter().next() else {
            panic!("the first one is a hello");
        };
        let hello = Hello { identity: nobodys.clone(), ..hello };
        assert!(refusal(&Message::Hello(hello)).contains("beyond 2^48"));
        let beacon = Beacon { identity: nobodys, sequence: 1, kind: BeaconKind::Ask };
        let envelope = Envelope::new("default", None);
        let error = envelope.open(&envelope.seal(&Datagram::Beacon(beacon))).unwrap_err();
        assert!(error.to_string().contains("beyond 2^48"), "{error}");
    }
}

#[test]
fn a_digests_rows_are_in_order_and_within_their_range() {
    let part = |first, last, origins: &[u64]| Message::DigestPart {
        first: OriginId(first),
        last: OriginId(last),
        rows: origins
            .iter()
            .map(|origin| Row { origin: OriginId(*origin), version: 1, fingerprint: 1 })
            .collect(),
    };
    for message in [
        part(0, 9, &[2, 1]),
        part(0, 9, &[1, 1]),
        part(2, 9, &[1]),
        part(0, 9, &[10]),
        part(9, 0, &[]),
    ] {
        assert!(refusal(&message).contains("out of "), "{message:?}");
    }
    let row = |origin| Row { origin: OriginId(origin), version: 1, fingerprint: 1 };
    let recent = || vec![row(2), row(1)];
    let out_of_order = [
        Message::Digest { recent: recent(), rest: 1 },
        Message::DigestHashes { recent: recent(), parts: vec![(0, 0); 256] },
    ];
    for message in out_of_order {
        assert!(refusal(&message).contains("out of order"), "{message:?}");
    }
    for parts in [0, 255, 257] {
        let message = Message::DigestHashes { recent: Vec::new(), parts: vec![(0, 0); parts] };
        assert!(refusal(&message).contains("256 parts"), "{message:?}");
    }
    assert!(refusal(&Message::DigestPartsAsk(vec![0; 257])).contains("256 parts"));
    let bytes = frame::encode(&part(1, 9, &[1, 5, 9]));
    assert!(frame::decode(&bytes).is_ok());
}

#[test]
fn an_ask_for_too_much_is_refused() {
    let wants = vec![Want { origin: OriginId(1), after: None }; WANTS_MAX + 1];
    assert!(refusal(&Message::PullRequest { request: 1, wants }).contains("4096 wants"));
}

#[test]
fn hashes_are_of_all_parts_or_none_and_an_ask_is_for_some_of_them() {
    for parts in [1, PARTS - 1, PARTS + 1] {
        let hashes = Message::MembershipHashes(vec![7; parts]);
        assert!(refusal(&hashes).contains("256 parts"), "{parts}");
    }
    assert!(refusal(&Message::MembershipAsk(vec![1; 17])).contains("more than 16 parts"));
}

#[test]
fn a_cluster_name_that_no_cluster_can_have_is_refused() {
    let cluster = "c".repeat(CLUSTER_BYTES_MAX + 1);
    let hello = Hello {
        versions: PROTOCOL_VERSIONS,
        cluster: &cluster,
        identity: example_identity(),
        nonce: [0; 16],
        has_secret: false,
    };
    assert!(refusal(&Message::Hello(hello)).contains("cluster name"));
}

#[test]
fn an_address_that_nobody_can_have_is_refused() {
    let mut bytes = frame::encode(&Message::Membership(example_memberships())).to_vec();
    let at = bytes.windows(6).position(|window| window == b"node-c").unwrap();
    bytes[at] = b'/';
    assert!(matches!(frame::decode(&bytes), Err(CodecError::Malformed { .. })));
}

/// A length that claims far more than there is, as postcard writes it.
fn huge(length: u64) -> Vec<u8> {
    postcard::to_allocvec(&length).unwrap()
}

#[test]
fn a_length_far_beyond_the_bytes_costs_no_memory() {
    let lengths = [1 << 20, 1 << 28, 1 << 32, 1 << 40, 1 << 62, u64::MAX];
    let heads: [&[u8]; 6] = [
        &[3, 1],        // Goodbye Removed: memberships
        &[4],           // Membership: memberships
        &[5, 0, 1],     // Push: changes
        &[8, 0, 0],     // DigestPart: rows
        &[9, 1],        // PullRequest: wants
        &[10, 1, 0, 1], // PullChunk: deltas
    ];
    let before = peak_kib();
    for _ in 0..50 {
        for length in lengths {
            for head in heads {
                let mut bytes = head.to_vec();
                bytes.extend(huge(length));
                bytes.extend([1; 16]);
                assert!(frame::decode(&bytes).is_err(), "{bytes:?}");
            }
            let mut bytes = Envelope::new("default", None).seal(&Datagram::Swim(b"")).to_vec();
            bytes.truncate(9);
            bytes.extend(huge(length));
            assert!(Envelope::new("default", None).open(&bytes).is_err());
        }
    }
    if let (Some(before), Some(after)) = (before, peak_kib()) {
        assert!(after - before < 64 << 10, "{} KiB more", after - before);
    }
}

/// The most memory that this process ever had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
