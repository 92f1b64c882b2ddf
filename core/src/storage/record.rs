//! What is kept: the kinds of records, and their payloads as bytes.
//!
//! A journal holds deltas, exactly as they go over the wire, and what is known of members. A
//! snapshot holds the same of members, and the table: counters with all their slots and each
//! slot's own version, which a delta does not carry and a slot beyond the digest must not lose
//! (rule `snapshot-keeps-slot-versions`). Payloads are postcard, which does not describe itself, so
//! a changed payload is a new kind, and a kind that this release does not know is an error and
//! never passed over.
//!
//! ```text
//! 1 delta      origin, after, upto, [(name, plus, minus, raise)]     journal
//! 2 membership key, removed, registered                              both
//! 3 start      node, boot, origin                                    both
//! 4 peer       node, address, epoch, boot, origin                    both
//! 5 mark       nothing: only `synced` matters                        journal
//! 6 origins    [(origin, version)]: numbered on from those before;   snapshot
//!              all of them are told again behind the last counters, for a repair
//! 7 counters   (name, n, n × (origin's number, version, plus, minus, raise)), again and again;
//!              a counter of many slots stands there several times, each time with some of them
//! 8 end        how many records stand before it                      snapshot
//! 9 ends       origin, after, upto, [(name, plus, minus, raise)],    journal
//!              [what it said about the end of a counter]: a delta that says such things
//! 11 settling  what is said of settlements, one thing a record         both
//! 12 absence   what is said of members that are away, one thing a record   both
//! 10 endings   (name, n, n × (origin's number, what it said)), again and again, behind the       snapshot
//!              record that holds the counter's slots
//! ```

use serde::{Deserialize, Serialize};

use super::absence_rows::AbsenceRow;
use super::frame::{self, FRAME_BYTES, RECORD_BYTES_MAX};
use super::settlement_rows::EntryRow;
use crate::absence::AbsenceEntry;
use crate::delta::{Change, Delta, ENDING_BYTES_MAX};
use crate::ending::{Covered, Ending, Lifetime};
use crate::identity::{Address, Identity, NodeId, OriginId, Version};
use crate::membership::{Key, MembershipRecord};
use crate::name;
use crate::name::{NAME_BYTES_MAX, NameError};
use crate::settlement::Entry;
use crate::slot::{Numbers, Slot};

pub(crate) const DELTA: u8 = 1;
pub(crate) const MEMBERSHIP: u8 = 2;
pub(crate) const START: u8 = 3;
pub(crate) const PEER: u8 = 4;
pub(crate) const MARK: u8 = 5;
pub(crate) const ORIGINS: u8 = 6;
pub(crate) const COUNTERS: u8 = 7;
pub(crate) const END: u8 = 8;
pub(crate) const ENDING_DELTA: u8 = 9;
pub(crate) const ENDINGS: u8 = 10;
pub(crate) const SETTLEMENT: u8 = 11;
pub(crate) const ABSENCE: u8 = 12;

/// Rows of one origins record at most.
pub(crate) const ORIGIN_ROWS_MAX: usize = 16_384;

/// Slots that follow one name in a counters record at most.
pub(crate) const SLOT_ROWS_MAX: usize = 4_096;

/// Endings that follow one name in an endings record at most.
pub(crate) const ENDING_ROWS_MAX: usize = 4_096;

/// No counter is added to a counters record that has so many bytes of them.
pub(crate) const COUNTERS_BYTES_MAX: usize = RECORD_BYTES_MAX / 2;

/// The longest that postcard makes of a number of 32 or 64 bits.
const U32_BYTES_MAX: usize = 5;
const U64_BYTES_MAX: usize = 10;

/// The longest record of a start, with its frame.
pub(crate) const START_BYTES_MAX: usize = FRAME_BYTES + 3 * U64_BYTES_MAX;

// However long what they hold is, neither outgrows a record.
const _: () = {
    let row_bytes = 2 * U64_BYTES_MAX;
    assert!(FRAME_BYTES + U32_BYTES_MAX + ORIGIN_ROWS_MAX * row_bytes <= RECORD_BYTES_MAX);
    let slot_bytes = U32_BYTES_MAX + 4 * U64_BYTES_MAX;
    let counter_bytes = U32_BYTES_MAX + NAME_BYTES_MAX + U32_BYTES_MAX + SLOT_ROWS_MAX * slot_bytes;
    assert!(FRAME_BYTES + COUNTERS_BYTES_MAX + counter_bytes <= RECORD_BYTES_MAX);
    let ending_bytes = U32_BYTES_MAX + ENDING_BYTES_MAX;
    let counter_bytes =
        U32_BYTES_MAX + NAME_BYTES_MAX + U32_BYTES_MAX + ENDING_ROWS_MAX * ending_bytes;
    assert!(FRAME_BYTES + COUNTERS_BYTES_MAX + counter_bytes <= RECORD_BYTES_MAX);
};

/// One start of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The node.
    pub node: NodeId,
    /// See [`Identity::boot`].
    pub boot: u64,
    /// What it counts under.
    pub origin: OriginId,
}

impl From<&Identity> for Start {
    fn from(identity: &Identity) -> Self {
        Start { node: identity.node, boot: identity.boot, origin: identity.origin }
    }
}

/// A delta as the journal holds it. These structs are the format: their fields, in their order, are
/// what postcard writes, and what the protocol's rooms work with may change without them.
#[derive(Serialize, Deserialize)]
struct DeltaRow<'a> {
    origin: OriginId,
    after: Version,
    upto: Version,
    #[serde(borrow)]
    slots: Vec<ChangeRow<'a>>,
}

/// One slot of a delta.
#[derive(Serialize, Deserialize)]
struct ChangeRow<'a> {
    name: &'a str,
    plus: u64,
    minus: u64,
    raise: u64,
}

/// A delta that says something about the ends of counters.
#[derive(Serialize, Deserialize)]
struct EndingDeltaRow<'a> {
    origin: OriginId,
    after: Version,
    upto: Version,
    #[serde(borrow)]
    slots: Vec<ChangeRow<'a>>,
    #[serde(borrow)]
    endings: Vec<(&'a str, EndingRow)>,
}

/// What an origin has said about the end of one counter.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum EndingRow {
    Cover { of: OriginId, plus: u64, minus: u64, raise: u64, stamp: u64 },
    Lifetime { stamp: u64, until: Option<u64> },
    Whole { settlement: OriginId },
}

impl From<Ending> for EndingRow {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Cover { of, covered: Covered { numbers, stamp } } => {
                let Numbers { plus, minus, raise } = numbers;
                EndingRow::Cover { of, plus, minus, raise, stamp }
            }
            Ending::Lifetime(Lifetime { stamp, until }) => EndingRow::Lifetime { stamp, until },
            Ending::Whole(settlement) => EndingRow::Whole { settlement },
        }
    }
}

impl From<EndingRow> for Ending {
    fn from(row: EndingRow) -> Self {
        match row {
            EndingRow::Cover { of, plus, minus, raise, stamp } => {
                let covered = Covered { numbers: Numbers { plus, minus, raise }, stamp };
                Ending::Cover { of, covered }
            }
            EndingRow::Lifetime { stamp, until } => Ending::Lifetime(Lifetime { stamp, until }),
            EndingRow::Whole { settlement } => Ending::Whole(settlement),
        }
    }
}

impl<'a> From<ChangeRow<'a>> for Change<'a> {
    fn from(ChangeRow { name, plus, minus, raise }: ChangeRow<'a>) -> Self {
        Change::slot(name, Slot::from(Numbers { plus, minus, raise }))
    }
}

/// The record of a removal or a registration.
#[derive(Serialize, Deserialize)]
struct MembershipRow {
    key: Key,
    removed: u64,
    registered: u64,
}

/// One start of a node.
#[derive(Serialize, Deserialize)]
struct StartRow {
    node: NodeId,
    boot: u64,
    origin: OriginId,
}

/// A member as it was known last.
#[derive(Serialize, Deserialize)]
struct PeerRow {
    node: NodeId,
    address: Address,
    epoch: u64,
    boot: u64,
    origin: OriginId,
}

/// Up to which version everything of an origin was here when a snapshot was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OriginRow {
    pub(crate) origin: OriginId,
    pub(crate) version: Version,
}

impl From<(OriginId, Version)> for OriginRow {
    fn from((origin, version): (OriginId, Version)) -> Self {
        OriginRow { origin, version }
    }
}

/// A slot in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotRow {
    /// The number of its origin among the snapshot's origins.
    pub(crate) origin: u32,
    pub(crate) version: Version,
    plus: u64,
    minus: u64,
    raise: u64,
}

impl SlotRow {
    pub(crate) fn new(origin: u32, version: Version, slot: Slot) -> Self {
        let Numbers { plus, minus, raise } = slot.numbers();
        SlotRow { origin, version, plus, minus, raise }
    }

    pub(crate) fn slot(&self) -> Slot {
        let SlotRow { plus, minus, raise, .. } = *self;
        Slot::from(Numbers { plus, minus, raise })
    }
}

/// A record, read.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Delta(Delta<'a>),
    Membership(MembershipRecord),
    Start(Start),
    Peer(Identity),
    Mark,
    Origins(Vec<OriginRow>),
    Counters(CounterRows<'a>),
    Endings(CounterRows<'a>),
    Settlement(Entry),
    Absence(AbsenceEntry),
    End(u64),
}

/// Why a record with a sound checksum could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// A later release wrote it.
    #[error("a record of kind {0}, which this release does not know: upgrade quipu")]
    Kind(u8),
    /// It is not what its kind says.
    #[error("a {0} record that is not what its kind says")]
    Malformed(&'static str),
    /// A name that no counter can have.
    #[error("a record with a bad name: {0}")]
    Name(#[from] NameError),
    /// More counters or origins than a node holds.
    #[error("more counters or origins than a node can hold")]
    Full,
}

/// Appends a delta; as several records if one would be too long. Those before the last claim
/// nothing (rule `claim-the-beginning`), so that a crash between them leaves no claim to what it
/// has torn off.
pub(crate) fn append_delta(records: &mut Vec<u8>, delta: &Delta<'_>) {
    append_delta_within(records, delta, RECORD_BYTES_MAX, |delta| delta.upto);
}

/// The same, in records of so many bytes at most, but that one change is never cut. `claim` says
/// behind which version those before the last begin.
pub(crate) fn append_delta_within<'a>(
    records: &mut Vec<u8>,
    delta: &Delta<'a>,
    bytes_max: usize,
    claim: fn(&Delta<'_>) -> Version,
) {
    let start = records.len();
    let Delta { origin, after, upto, .. } = *delta;
    let (mut slots, mut endings) = (Vec::with_capacity(delta.changes.len()), Vec::new());
    for change in &delta.changes {
        match *change {
            Change::Slot { name, slot } => {
                let Numbers { plus, minus, raise } = slot.numbers();
                slots.push(ChangeRow { name, plus, minus, raise });
            }
            Change::Ending { name, ending } => endings.push((name, EndingRow::from(ending))),
        }
    }
    // Earlier releases read what says nothing of ends.
    if endings.is_empty() {
        frame::append(records, DELTA, &DeltaRow { origin, after, upto, slots });
    } else {
        let row = EndingDeltaRow { origin, after, upto, slots, endings };
        frame::append(records, ENDING_DELTA, &row);
    }
    if records.len() - start <= bytes_max || delta.changes.len() < 2 {
        return;
    }
    records.truncate(start);
    let (first, last) = delta.changes.split_at(delta.changes.len() / 2);
    for (after, changes) in [(claim(delta), first), (after, last)] {
        let part = Delta { after, changes: changes.to_vec(), ..*delta };
        append_delta_within(records, &part, bytes_max, claim);
    }
}

pub(crate) fn append_membership(records: &mut Vec<u8>, membership: &MembershipRecord) {
    let MembershipRecord { key, removed, registered } = membership.clone();
    frame::append(records, MEMBERSHIP, &MembershipRow { key, removed, registered });
}

pub(crate) fn append_start(records: &mut Vec<u8>, start: &Start) {
    let Start { node, boot, origin } = *start;
    frame::append(records, START, &StartRow { node, boot, origin });
}

pub(crate) fn append_peer(records: &mut Vec<u8>, identity: &Identity) {
    let Identity { node, address, epoch, boot, origin } = identity.clone();
    frame::append(records, PEER, &PeerRow { node, address, epoch, boot, origin });
}

pub(crate) fn append_settlement(records: &mut Vec<u8>, entry: &Entry) {
    frame::append(records, SETTLEMENT, &EntryRow::from(entry));
}

pub(crate) fn append_absence(records: &mut Vec<u8>, entry: &AbsenceEntry) {
    if let Some(row) = AbsenceRow::of(entry) {
        frame::append(records, ABSENCE, &row);
    }
}

pub(crate) fn append_mark(records: &mut Vec<u8>) {
    frame::append(records, MARK, &());
}

/// Appends [`ORIGIN_ROWS_MAX`] rows at most.
pub(crate) fn append_origins(records: &mut Vec<u8>, rows: &[OriginRow]) {
    frame::append(records, ORIGINS, rows);
}

pub(crate) fn append_end(records: &mut Vec<u8>, before: u64) {
    frame::append(records, END, &before);
}

/// Appends one counter, or [`SLOT_ROWS_MAX`] of its slots at most, to the payload of a counters
/// record.
pub(crate) fn append_counter(
    payload: &mut Vec<u8>,
    name: &str,
    slots: impl ExactSizeIterator<Item = SlotRow>,
) {
    let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
    let mut bytes = std::mem::take(payload);
    bytes = extend(bytes, &(name, count));
    for slot in slots {
        bytes = extend(bytes, &slot);
    }
    *payload = bytes;
}

/// Appends what was said about the end of one counter, [`ENDING_ROWS_MAX`] things at most, to the
/// payload of an endings record; each with the number of its origin among the snapshot's.
pub(crate) fn append_endings(payload: &mut Vec<u8>, name: &str, endings: &[(u32, Ending)]) {
    let count = u32::try_from(endings.len()).unwrap_or(u32::MAX);
    let mut bytes = std::mem::take(payload);
    bytes = extend(bytes, &(name, count));
    for &(origin, ending) in endings {
        bytes = extend(bytes, &(origin, EndingRow::from(ending)));
    }
    *payload = bytes;
}

fn extend<T: Serialize>(bytes: Vec<u8>, value: &T) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("writing to memory does not fail")
}

pub(crate) fn read(kind: u8, payload: &[u8]) -> Result<Record<'_>, BadPayload> {
    Ok(match kind {
        DELTA => {
            let DeltaRow { origin, after, upto, slots } = all("delta", payload)?;
            let changes = slots.into_iter().map(Change::from).collect();
            Record::Delta(checked(Delta { origin, after, upto, changes })?)
        }
        ENDING_DELTA => {
            let row: EndingDeltaRow<'_> = all("delta", payload)?;
            let EndingDeltaRow { origin, after, upto, slots, endings } = row;
            let ending = |(name, row)| Change::Ending { name, ending: Ending::from(row) };
            let endings = endings.into_iter().map(ending);
            let changes = slots.into_iter().map(Change::from).chain(endings).collect();
            Record::Delta(checked(Delta { origin, after, upto, changes })?)
        }
        MEMBERSHIP => {
            let MembershipRow { key, removed, registered } = all("membership", payload)?;
            Record::Membership(MembershipRecord { key, removed, registered })
        }
        START => {
            let StartRow { node, boot, origin } = all("start", payload)?;
            Record::Start(Start { node, boot, origin })
        }
        PEER => {
            let PeerRow { node, address, epoch, boot, origin } = all("peer", payload)?;
            Record::Peer(Identity { node, address, epoch, boot, origin })
        }
        MARK => Record::Mark,
        ORIGINS => Record::Origins(all("origins", payload)?),
        COUNTERS => Record::Counters(CounterRows(payload)),
        ENDINGS => Record::Endings(CounterRows(payload)),
        SETTLEMENT => {
            let entry = Entry::from(all::<EntryRow>("settlement", payload)?);
            if !entry.is_sane() {
                return Err(BadPayload::Malformed("settlement"));
            }
            Record::Settlement(entry)
        }
        ABSENCE => {
            let entry = AbsenceEntry::from(all::<AbsenceRow>("absence", payload)?);
            if !entry.is_sane() {
                return Err(BadPayload::Malformed("absence"));
            }
            Record::Absence(entry)
        }
        END => Record::End(all("end", payload)?),
        other => return Err(BadPayload::Kind(other)),
    })
}

/// A delta whose names, range and numbers can be.
fn checked(delta: Delta<'_>) -> Result<Delta<'_>, BadPayload> {
    for change in &delta.changes {
        name::check(change.name())?;
    }
    let is_sane = |change: &Change<'_>| match change {
        Change::Slot { .. } => true,
        Change::Ending { ending, .. } => ending.is_sane(),
    };
    if delta.after > delta.upto || !delta.changes.iter().all(is_sane) {
        return Err(BadPayload::Malformed("delta"));
    }
    Ok(delta)
}

fn all<'a, T: Deserialize<'a>>(what: &'static str, payload: &'a [u8]) -> Result<T, BadPayload> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(BadPayload::Malformed(what)),
    }
}

/// The counters of one record, read one after the other: a snapshot holds millions, and a list of
/// slots for each would be allocated only to be taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterRows<'a>(&'a [u8]);

impl<'a> CounterRows<'a> {
    /// The next counter's name and how many slots follow; `None` at the end.
    pub(crate) fn counter(&mut self) -> Result<Option<(&'a str, u32)>, BadPayload> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (name, count) = self.next()?;
        name::check(name)?;
        Ok(Some((name, count)))
    }

    /// The next slot of the counter.
    pub(crate) fn slot(&mut self) -> Result<SlotRow, BadPayload> {
        self.next()
    }

    /// The next ending of the counter, and the number of its origin.
    pub(crate) fn ending(&mut self) -> Result<(u32, Ending), BadPayload> {
        let (origin, row): (u32, EndingRow) = self.next()?;
        let ending = Ending::from(row);
        if ending.is_sane() { Ok((origin, ending)) } else { Err(BadPayload::Malformed("endings")) }
    }

    fn next<T: Deserialize<'a>>(&mut self) -> Result<T, BadPayload> {
        let (value, rest) =
            postcard::take_from_bytes(self.0).map_err(|_| BadPayload::Malformed("counters"))?;
        self.0 = rest;
        Ok(value)
    }
}
