//! What batches have for the journal, on its way there.
//!
//! While a sync runs, the driver closes a batch whenever nobody says more, so many may wait for the
//! next sync. Our own changes are therefore not written batch by batch: they are kept as numbers
//! until the journal is ready for them, and what follows one another by then becomes one delta over
//! all its versions, in which a counter stands once. A crash takes either all of it or nothing, and
//! nothing of it was told to anybody.
//!
//! Rejected: to keep a batch open for as long as a sync runs. Then the journal's thread, whenever
//! it is done, would have to wait for the driver to close and encode what has gathered.

use std::collections::BTreeMap;

use crate::absence::AbsenceEntry;
use crate::counters::coalesced::{CoalescedEndings, CoalescedSlots};
use crate::counters::{Counters, LocalBatch};
use crate::delta::{CHANGE_BYTES_MAX, Change, Delta, ENDING_BYTES_MAX};
use crate::identity::{Identity, OriginId, Version};
use crate::membership::MembershipRecord;
use crate::name::NAME_BYTES_MAX;
use crate::settlement::Entry;
use crate::slot::Slot;
use crate::wire::frame::FRAME_BYTES_MAX;

use super::record::{self, Start};

/// So many bytes of our own changes are not added to: with the batch that made them so many (which
/// is a quarter of a frame at most) they still fit a record.
const OWN_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// Records, of one batch or of several that follow one another.
#[derive(Debug, Default)]
pub struct Records {
    /// Whole records, in which only the place in the journal is missing.
    whole: Vec<u8>,
    /// Whether what was added must stand behind all of our own changes that came before it.
    is_ordered: bool,
    /// In a block of its own: records are handed on from room to room.
    own: Option<Box<Own>>,
}

/// Our own changes in versions (`after`, `upto`].
#[derive(Debug)]
struct Own {
    origin: OriginId,
    after: Version,
    upto: Version,
    slots: CoalescedSlots,
    /// The names of the slots' counters end to end, and where each ends.
    names: String,
    ends: Vec<u32>,
    /// What was said about the ends of some of them.
    endings: CoalescedEndings,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::bug::Bug>,
}

impl Own {
    fn new(batch: &LocalBatch, counters: &Counters) -> Self {
        let mut own = Own {
            origin: batch.origin,
            after: batch.version - 1,
            upto: batch.version,
            slots: CoalescedSlots::of(batch.entries.clone()),
            names: String::new(),
            ends: Vec::with_capacity(batch.entries.len()),
            endings: CoalescedEndings::of(batch.endings.clone()),
            #[cfg(feature = "planted-bugs")]
            bug: counters.bug,
        };
        for &(place, _) in &batch.entries {
            own.name(counters.name_at(place));
        }
        own
    }

    fn name(&mut self, name: &str) {
        self.names.push_str(name);
        self.ends.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
    }

    /// At most what its record takes.
    fn bytes(&self) -> usize {
        let endings = self.endings.entries().len() * (NAME_BYTES_MAX + ENDING_BYTES_MAX);
        self.names.len() + self.ends.len() * CHANGE_BYTES_MAX + endings
    }

    fn takes(&self, later: &Own) -> bool {
        self.origin == later.origin && self.upto == later.after && self.bytes() < OWN_BYTES_MAX
    }

    fn absorb(&mut self, later: &Own) {
        self.upto = later.upto;
        for (name, place, slot) in later.entries() {
            if self.slots.set(place, slot) {
                self.name(name);
            }
        }
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::JournalForgetsEndings) {
            return;
        }
        for &(key, ending) in later.endings.entries() {
            self.endings.set(key, ending);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&str, u32, Slot)> {
        let mut start = 0;
        self.slots.entries().iter().zip(&self.ends).map(move |(&(place, slot), &end)| {
            let name = &self.names[start..end as usize];
            start = end as usize;
            (name, place, slot)
        })
    }

    fn append(&self, records: &mut Vec<u8>) {
        let mut changes: Vec<Change<'_>> =
            self.entries().map(|(name, _, slot)| Change::slot(name, slot)).collect();
        if !self.endings.is_empty() {
            let names: BTreeMap<u32, &str> =
                self.entries().map(|(name, place, _)| (place, name)).collect();
            let endings = self.endings.entries().iter();
            // Whatever was ended has its slot among the entries.
            changes.extend(endings.filter_map(|&((place, _), ending)| {
                names.get(&place).map(|name| Change::Ending { name, ending })
            }));
        }
        let Own { origin, after, upto, .. } = *self;
        record::append_delta(records, &Delta { origin, after, upto, changes });
    }
}

/// Records as [`Records::take`] gives them.
impl From<Vec<u8>> for Records {
    fn from(whole: Vec<u8>) -> Self {
        Records { whole, is_ordered: false, own: None }
    }
}

impl Records {
    /// Whether there is nothing to be kept.
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.own.is_none()
    }

    /// At most what they take in the journal, but for a few bytes a record.
    pub fn bytes(&self) -> usize {
        self.whole.len() + self.own.as_ref().map_or(0, |own| own.bytes())
    }

    /// Adds what comes next.
    pub fn absorb(&mut self, later: Records) {
        if self.is_empty() {
            *self = later;
            return;
        }
        if later.is_ordered {
            self.end_own();
            self.is_ordered = true;
        }
        self.whole.extend_from_slice(&later.whole);
        if let Some(later) = later.own {
            self.absorb_own(later);
        }
    }

    /// Takes everything out as bytes for [`Journal::append`](super::journal::Journal::append).
    pub fn take(&mut self) -> Vec<u8> {
        self.end_own();
        self.is_ordered = false;
        std::mem::take(&mut self.whole)
    }

    pub(crate) fn add_own(&mut self, batch: &LocalBatch, counters: &Counters) {
        self.absorb_own(Box::new(Own::new(batch, counters)));
    }

    /// Adds what another node told, in records of so many bytes at most.
    pub(crate) fn add_delta(&mut self, delta: &Delta<'_>, record_bytes: usize) {
        record::append_delta_within(&mut self.whole, delta, record_bytes, |delta| delta.upto);
    }

    /// The same with a bug: each of the records claims the whole range.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn add_delta_claimed(&mut self, delta: &Delta<'_>, record_bytes: usize) {
        record::append_delta_within(&mut self.whole, delta, record_bytes, |delta| delta.after);
    }

    pub(crate) fn add_membership(&mut self, membership: &MembershipRecord) {
        record::append_membership(&mut self.whole, membership);
    }

    /// Adds what is said of settlements: behind all that was changed before it.
    pub(crate) fn add_settlement(&mut self, entry: &Entry) {
        self.end_own();
        self.is_ordered = true;
        record::append_settlement(&mut self.whole, entry);
    }

    /// Adds what is said of members that are away.
    pub(crate) fn add_absence(&mut self, entry: &AbsenceEntry) {
        record::append_absence(&mut self.whole, entry);
    }

    pub(crate) fn add_start(&mut self, start: &Start) {
        record::append_start(&mut self.whole, start);
    }

    pub(crate) fn add_peer(&mut self, identity: &Identity) {
        record::append_peer(&mut self.whole, identity);
    }

    fn absorb_own(&mut self, later: Box<Own>) {
        match &mut self.own {
            Some(own) if own.takes(&later) => own.absorb(&later),
            _ => {
                self.end_own();
                self.own = Some(later);
            }
        }
    }

    fn end_own(&mut self) {
        if let Some(own) = self.own.take() {
            own.append(&mut self.whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::Numbers;
    use crate::storage::frame;
    use crate::storage::frame::{FileKind, RECORD_BYTES_MAX};
    use crate::storage::record::Record;

    fn counters() -> Counters {
        Counters::new(OriginId(7), 0)
    }

    /// The records of one batch.
    fn batch(counters: &mut Counters, names: &[&str]) -> Records {
        for name in names {
            counters.add(name, 1).unwrap();
        }
        let mut records = Records::default();
        records.add_own(&counters.close().unwrap(), counters);
        records
    }

    /// A delta's range, and its names with what was added to them.
    type Written = (Version, Version, Vec<(String, u64)>);

    /// The deltas that are written.
    fn written(mut records: Records) -> Vec<Written> {
        let mut bytes = records.take();
        assert!(records.is_empty() && records.bytes() == 0);
        frame::seal(&mut bytes, 0, 0).unwrap();
        let (mut deltas, mut at) = (Vec::new(), 0);
        while let Some(framed) = frame::read(&bytes[at..], at as u64, FileKind::Segment).unwrap() {
            if let Record::Delta(delta) = record::read(framed.kind, framed.payload).unwrap() {
                let plus = |change: &Change<'_>| match change {
                    Change::Slot { name, slot } => Some(((*name).to_owned(), slot.numbers().plus)),
                    Change::Ending { .. } => None,
                };
                let changes = delta.changes.iter().filter_map(plus).collect();
                deltas.push((delta.after, delta.upto, changes));
            }
            at += framed.bytes;
        }
        deltas
    }

    #[test]
    fn batches_that_wait_together_become_one_delta_in_which_each_counter_stands_once() {
        let mut counters = counters();
        let mut records = Records::default();
        for names in [&["a", "b"][..], &["a"], &["c", "a"]] {
            records.absorb(batch(&mut counters, names));
        }
        let entries = [("a", 3), ("b", 1), ("c", 1)].map(|(name, plus)| (name.to_owned(), plus));
        assert_eq!(written(records), [(0, 3, entries.to_vec())]);
    }

    #[test]
    fn what_does_not_follow_stays_apart() {
        let mut counters = counters();
        let mut records = batch(&mut counters, &["a"]);
        let _ = batch(&mut counters, &["b"]);
        records.absorb(batch(&mut counters, &["c"]));
        let ranges: Vec<_> = written(records).iter().map(|delta| (delta.0, delta.1)).collect();
        assert_eq!(ranges, [(0, 1), (2, 3)], "nothing claims the version between");
    }

    #[test]
    fn what_others_did_is_written_beside_it() {
        let mut counters = counters();
        let mut records = batch(&mut counters, &["a"]);
        let changes =
            vec![Change::slot("b", Slot::from(Numbers { plus: 5, ..Numbers::default() }))];
        let mut others = Records::default();
        let delta = Delta { origin: OriginId(8), after: 4, upto: 6, changes };
        others.add_delta(&delta, RECORD_BYTES_MAX);
        records.absorb(others);
        records.absorb(batch(&mut counters, &["a"]));
        let expected = [(4, 6, vec![("b".to_owned(), 5)]), (0, 2, vec![("a".to_owned(), 2)])];
        assert_eq!(written(records), expected);
    }

    #[test]
    fn many_names_become_several_records_none_too_long_and_no_version_missing() {
        let mut counters = counters();
        let mut records = Records::default();
        let names: Vec<String> = (0..20_000).map(|n| format!("{n:0200}")).collect();
        for names in names.chunks(100) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            records.absorb(batch(&mut counters, &names));
        }
        assert!(records.bytes() > 20_000 * 200);
        let deltas = written(records);
        assert!(deltas.len() > 1);
        let (mut upto, mut entries) = (0, 0);
        for delta in &deltas {
            assert_eq!(delta.0, upto);
            upto = delta.1;
            entries += delta.2.len();
            let bytes: usize = delta.2.iter().map(|(name, _)| name.len() + CHANGE_BYTES_MAX).sum();
            assert!(bytes < RECORD_BYTES_MAX);
        }
        assert_eq!((upto, entries), (200, 20_000));
    }
}
