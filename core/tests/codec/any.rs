//! Any message, any datagram, and what they are made of.

use proptest::prelude::*;

use super::*;

pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, any::<u64>(), Just(u64::MAX)]
}

/// An epoch or a boot.
pub(crate) fn life() -> impl Strategy<Value = u64> {
    assert_eq!(EPOCH_MAX, BOOT_MAX);
    prop_oneof![0..300u64, 0..=EPOCH_MAX, Just(EPOCH_MAX)]
}

pub(crate) fn version() -> impl Strategy<Value = u64> {
    prop_oneof![0..300u64, 0..VERSION_MAX, Just(VERSION_MAX - 1)]
}

pub(crate) fn origin() -> impl Strategy<Value = OriginId> {
    number().prop_map(OriginId)
}

pub(crate) fn address() -> impl Strategy<Value = Address> {
    (prop::sample::select(&HOSTS[..]), 1..=u16::MAX)
        .prop_map(|(host, port)| Address::parse(&format!("{host}:{port}"), 1).unwrap())
}

pub(crate) fn identity() -> impl Strategy<Value = Identity> {
    (number(), address(), life(), life(), origin()).prop_map(
        |(node, address, epoch, boot, origin)| Identity {
            node: NodeId(node),
            address,
            epoch,
            boot,
            origin,
        },
    )
}

pub(crate) fn membership() -> impl Strategy<Value = MembershipRecord> {
    let key = prop_oneof![
        number().prop_map(|node| Key::Node(NodeId(node))),
        address().prop_map(Key::Address)
    ];
    (key, number(), number()).prop_map(|(key, removed, registered)| MembershipRecord {
        key,
        removed,
        registered,
    })
}

pub(crate) fn memberships() -> impl Strategy<Value = Vec<MembershipRecord>> {
    prop::collection::vec(membership(), 0..5)
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change<'static>>> {
    let change = (prop::sample::select(&NAMES[..]), number(), number(), number()).prop_map(
        |(name, plus, minus, raise)| Change::slot(name, Slot::from(Numbers { plus, minus, raise })),
    );
    prop::collection::vec(change, 0..6)
}

pub(crate) fn range() -> impl Strategy<Value = (u64, u64)> {
    (version(), version()).prop_map(|(one, other)| (one.min(other), one.max(other)))
}

pub(crate) fn delta() -> impl Strategy<Value = Delta<'static>> {
    (origin(), range(), changes()).prop_map(|(origin, (after, upto), changes)| Delta {
        origin,
        after,
        upto,
        changes,
    })
}

pub(crate) fn rows() -> impl Strategy<Value = Vec<Row>> {
    let rows = prop::collection::btree_map(origin(), (version(), any::<u64>()), 0..6);
    let row = |(origin, (version, fingerprint))| Row { origin, version, fingerprint };
    rows.prop_map(move |rows| rows.into_iter().map(row).collect())
}

pub(crate) fn goodbye() -> impl Strategy<Value = Goodbye> {
    prop_oneof![
        Just(Goodbye::NotAMember),
        memberships().prop_map(Goodbye::Removed),
        number().prop_map(|node| Goodbye::NodeIdInUse(NodeId(node))),
        Just(Goodbye::OtherCluster),
        Just(Goodbye::WrongSecret),
        (any::<u16>(), any::<u16>()).prop_map(|(min, max)| Goodbye::Versions(min, max)),
        Just(Goodbye::Itself),
        Just(Goodbye::Duplicate),
        Just(Goodbye::Leaving),
    ]
}

pub(crate) fn hello() -> impl Strategy<Value = Hello<'static>> {
    let clusters = prop::sample::select(&["", "default", "quipu-of-the-north"][..]);
    (any::<(u16, u16)>(), clusters, identity(), any::<[u8; 16]>(), any::<bool>()).prop_map(
        |(versions, cluster, identity, nonce, has_secret)| Hello {
            versions,
            cluster,
            identity,
            nonce,
            has_secret,
        },
    )
}

pub(crate) fn want() -> impl Strategy<Value = Want> {
    (origin(), prop::option::of(number())).prop_map(|(origin, after)| Want { origin, after })
}

pub(crate) fn message() -> impl Strategy<Value = Message<'static>> {
    let wants =
        prop_oneof![prop::collection::vec(want(), 0..5), prop::collection::vec(want(), WANTS_MAX)];
    let deltas = prop::collection::vec(delta(), 0..4);
    prop_oneof![
        hello().prop_map(Message::Hello),
        any::<[u8; PROOF_BYTES]>().prop_map(Message::Proof),
        Just(Message::Welcome),
        goodbye().prop_map(Message::Goodbye),
        memberships().prop_map(Message::Membership),
        (range(), number(), changes()).prop_map(|((after, upto), age_us, changes)| Message::Push {
            after,
            batches: upto - after,
            age_us,
            changes
        }),
        version().prop_map(Message::Confirm),
        any::<u64>().prop_map(Message::DigestHash),
        rows().prop_map(|rows| Message::DigestPart {
            first: OriginId(0),
            last: OriginId(u64::MAX),
            rows
        }),
        (any::<u32>(), wants).prop_map(|(request, wants)| Message::PullRequest { request, wants }),
        (any::<u32>(), any::<u32>(), any::<bool>(), deltas).prop_map(
            |(request, index, last, deltas)| Message::PullChunk { request, index, last, deltas }
        ),
        any::<(u32, u32)>().prop_map(|(request, index)| Message::ChunkTaken { request, index }),
        Just(Message::Ping),
        Just(Message::Pong),
        any::<u64>().prop_map(Message::TimedPong),
        prop_oneof![Just(0), Just(PARTS)]
            .prop_flat_map(|hashes| prop::collection::vec(any::<u64>(), hashes))
            .prop_map(Message::MembershipHashes),
        prop::collection::vec(any::<u8>(), 0..=16).prop_map(Message::MembershipAsk),
        Just(Message::MembershipTold),
        (rows(), any::<u64>()).prop_map(|(recent, rest)| Message::Digest { recent, rest }),
        Just(Message::DigestAsk),
        (rows(), prop::collection::vec(any::<(u64, u32)>(), 256))
            .prop_map(|(recent, parts)| Message::DigestHashes { recent, parts }),
        prop::collection::vec(any::<u8>(), 0..=256).prop_map(Message::DigestPartsAsk),
        Just(Message::DigestTold),
        any::<u64>().prop_map(Message::AbsenceHash),
        any::<u64>().prop_map(Message::Roll),
        prop::collection::vec(absence(), 0..5).prop_map(Message::Absences),
    ]
}

fn voter() -> impl Strategy<Value = Voter> {
    (number(), life()).prop_map(|(node, epoch)| Voter { node: NodeId(node), epoch })
}

fn voters() -> impl Strategy<Value = Vec<Voter>> {
    prop::collection::vec(voter(), 0..5).prop_map(|mut list| {
        list.sort_unstable();
        list.dedup_by_key(|voter| voter.node);
        list
    })
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (life(), number()).prop_map(|(round, caller)| Attempt { round, caller: NodeId(caller) })
}

fn absentee() -> impl Strategy<Value = Absentee> {
    (voter(), life())
        .prop_map(|(member, more)| Absentee { member, removed: member.epoch + 1 + more })
}

/// Something that is said of members that are away.
pub(crate) fn absence() -> impl Strategy<Value = AbsenceEntry> {
    let term = || 0..ABSENCES_MAX;
    prop_oneof![
        number().prop_map(|node| AbsenceEntry::InMemory(NodeId(node))),
        voters().prop_map(AbsenceEntry::Common),
        (voter(), term(), attempt(), prop::option::of((attempt(), absentee()))).prop_map(
            |(voter, term, promised, accepted)| {
                AbsenceEntry::Stance(Stance { voter, term, promised, accepted })
            }
        ),
        (term(), absentee())
            .prop_map(|(term, absentee)| AbsenceEntry::Removal(Removal { term, absentee })),
        (term(), attempt(), voters(), absentee(), any::<bool>()).prop_map(
            |(term, attempt, list, absentee, is_chosen)| {
                AbsenceEntry::Call(Call { term, attempt, list, absentee, is_chosen })
            }
        ),
    ]
}

pub(crate) fn datagram() -> impl Strategy<Value = Datagram<'static>> {
    let kind = prop_oneof![
        Just(BeaconKind::Call),
        Just(BeaconKind::Ask),
        number().prop_map(BeaconKind::Answer)
    ];
    prop_oneof![
        (identity(), number(), kind)
            .prop_map(|(identity, sequence, kind)| Beacon { identity, sequence, kind })
            .prop_map(Datagram::Beacon),
        (0..PACKET.len()).prop_map(|length| Datagram::Swim(&PACKET[..length])),
        memberships().prop_map(Datagram::Membership),
    ]
}
