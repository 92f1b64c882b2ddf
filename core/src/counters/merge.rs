//! What others tell: merged slot by slot, and the digest advanced where there is no gap (rule
//! `merge-now-claim-without-gap`).

use super::{Counters, LOOKUPS_MAX};
use crate::counters::counter::MergedSlot;
use crate::counters::ended;
use crate::counters::writer::{OriginIndex, Writer};
use crate::delta::{Change, Delta};
use crate::ending::Ending;
use crate::identity::Version;
use crate::slot::Slot;

/// What merging a delta did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Whether the delta lies beyond a gap, so that the digest waits.
    pub gap: bool,
    /// Whether anything here is different now, be it only a slot's version.
    pub news: bool,
}

/// Why a delta was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// It claims changes of our own origin that we never made (rule `one-writer`).
    #[error("changes of this node's own origin that it never made")]
    ForeignWriter,
    /// A new counter or origin would exceed a bound, or the memory that there is. What fits was
    /// merged; nothing is claimed.
    #[error("this node's table is full")]
    Full {
        /// Whether what fits was new.
        news: bool,
    },
}

impl Counters {
    /// Merges what another node told, whoever's changes it holds.
    ///
    /// # Errors
    /// See [`MergeError`].
    pub fn merge(&mut self, delta: &Delta<'_>) -> Result<Merged, MergeError> {
        let is_ours = delta.origin == self.our_origin();
        #[cfg(feature = "planted-bugs")]
        let is_ours = is_ours && self.bug != Some(crate::bug::Bug::OriginReused);
        if is_ours {
            return self.check_echo(delta);
        }
        if self.is_untaken(delta.origin) {
            return Ok(Merged { gap: false, news: false });
        }
        let origin = self.origin_index(delta.origin).ok_or(MergeError::Full { news: false })?;
        let settling = self.settling(delta.origin);
        let mut news = false;
        let (mut full, mut is_passed_over) = (false, false);
        // Once for all covers of a counter, and before anyone reads it.
        let mut ended = Vec::new();
        let mut lookups = Vec::new();
        for changes in delta.changes.chunks(LOOKUPS_MAX) {
            self.prefetch(changes.iter().map(|change| change.name().as_bytes()), &mut lookups);
            for (change, lookup) in changes.iter().zip(&lookups) {
                let Ok(place) = self.find_or_insert(lookup) else {
                    full = true;
                    continue;
                };
                // Looked up only where it matters: this is done for every entry.
                let counter = &self.list[place];
                if settling.is_row_done(counter) {
                    is_passed_over = true;
                    continue;
                }
                if !self.room.has_for_slot()
                    && !counter.slots().is_empty()
                    && counter.slot_of(origin).is_none()
                {
                    full = true;
                    continue;
                }
                news |= match change {
                    Change::Slot { slot, .. } => self.merge_slot(place, origin, slot, delta.upto),
                    Change::Ending { ending, .. } => {
                        ended.push(place);
                        self.merge_ending(place, origin, ending, delta.upto)
                    }
                };
                if let Some(family) = &settling.takes {
                    self.drop_family(place, family);
                }
            }
        }
        ended.into_iter().for_each(|place| self.find_largest_raise(place));
        #[cfg(feature = "planted-bugs")]
        let full = full && self.bug != Some(crate::bug::Bug::FullClaims);
        if full {
            return Err(MergeError::Full { news });
        }
        if is_passed_over {
            // A settlement stands for it in some rows, and may be given up: nothing is claimed.
            return Ok(Merged { gap: false, news });
        }
        let row = &mut self.origins[origin as usize];
        let before = row.known.version;
        let gap = delta.after > before;
        #[cfg(feature = "planted-bugs")]
        let gap = gap && self.bug != Some(crate::bug::Bug::DigestOverGap);
        if gap {
            if delta.upto > delta.after {
                row.beyond.insert(delta.after, delta.upto);
            }
        } else if delta.upto > delta.after {
            row.known.version = row.beyond.join(before.max(delta.upto));
        }
        if row.known.version > before {
            news = true;
            self.note_row(origin);
            if settling.takes.is_some() {
                self.hold(delta.origin);
            }
        }
        Ok(Merged { gap, news })
    }

    pub(super) fn merge_slot(
        &mut self,
        place: u32,
        origin: OriginIndex,
        slot: &Slot,
        upto: Version,
    ) -> bool {
        let writer = self.writer(origin);
        let counter = &mut self.list[place];
        #[cfg(feature = "planted-bugs")]
        let slot = &match self.bug {
            Some(crate::bug::Bug::AddOnMerge) => counter.merge_by_adding(writer, slot),
            _ => *slot,
        };
        let merged = counter.merge(writer, slot, upto);
        let MergedSlot { before, after, is_newer, is_new, appears } = merged;
        if before == after {
            self.origins[origin as usize].slots += u32::from(is_new);
            return is_newer;
        }
        if before == Slot::default() {
            self.room.take_slot();
        }
        self.origins[origin as usize].slots += u32::from(is_new);
        if appears {
            self.note_appeared(place);
        }
        self.changes.note(place);
        self.note_row(origin);
        let counter = &self.list[place];
        let origin = &mut self.origins[origin as usize];
        origin.count(&merged);
        let known = &mut origin.known;
        known.fingerprint = known
            .fingerprint
            .wrapping_sub(before.hash(counter.name_hash))
            .wrapping_add(after.hash(counter.name_hash));
        true
    }

    /// Merges what an origin has said about a counter's end; tells whether it was new.
    /// [`Counters::find_largest_raise`] must follow before the counter is read.
    pub(super) fn merge_ending(
        &mut self,
        place: u32,
        origin: OriginIndex,
        ending: &Ending,
        upto: Version,
    ) -> bool {
        let of = match ending {
            Ending::Cover { of, .. } => self.index_of(*of),
            Ending::Lifetime(_) | Ending::Whole(_) => None,
        };
        let (writer, tracked) = (self.writer(origin), self.tracked(place));
        let (change, is_newer) = self.merge_ending_into(place, writer, ending, of, upto);
        self.note_for_adoption(place, origin, ending);
        let Some(change) = change else { return is_newer };
        #[cfg(feature = "planted-bugs")]
        let change = self.hashed(change);
        #[cfg(feature = "planted-bugs")]
        self.plant_in_ending(place, ending, of);
        self.has_endings = true;
        if change.is_new {
            self.room.take_slot();
        }
        self.track(place, tracked);
        self.changes.note(place);
        self.note_row(origin);
        let known = &mut self.origins[origin as usize].known;
        known.fingerprint =
            known.fingerprint.wrapping_sub(change.before).wrapping_add(change.after);
        true
    }

    /// Hands the counter what an origin has said about its end, with all that it must know for it.
    pub(super) fn merge_ending_into(
        &mut self,
        place: u32,
        writer: Writer,
        ending: &Ending,
        of: Option<OriginIndex>,
        upto: Version,
    ) -> (Option<ended::Change>, bool) {
        let is_new = self.list[place].slot_of(writer.index).is_none();
        let family = match ending {
            Ending::Whole(settlement) => self.families.of(*settlement),
            Ending::Cover { .. } | Ending::Lifetime(_) => None,
        };
        let merged = self.list[place].merge_ending(writer, ending, of, family, upto);
        self.origins[writer.index as usize].slots += u32::from(is_new && !writer.is_ours);
        if matches!(ending, Ending::Whole(_)) && merged.0.is_some() {
            let origins = &self.origins;
            self.list[place].recount(|index| origins[index as usize].id);
        }
        merged
    }

    /// What of an ending enters a fingerprint.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn hashed(&self, change: super::ended::Change) -> super::ended::Change {
        match self.bug {
            Some(crate::bug::Bug::EndingsNotHashed) => {
                super::ended::Change { before: 0, after: 0, ..change }
            }
            _ => change,
        }
    }

    #[cfg(feature = "planted-bugs")]
    fn plant_in_ending(&mut self, place: u32, ending: &Ending, of: Option<OriginIndex>) {
        use crate::bug::Bug;
        let wall_ms = self.wall_clock();
        match (self.bug, ending) {
            (Some(Bug::CoverBelowZero), Ending::Cover { covered, .. }) => {
                self.list[place].go_below_zero(covered, of);
            }
            (Some(Bug::ExpiryJudgedEarly), Ending::Lifetime(_)) => {
                let has_lapsed = self.list[place].has_expired(wall_ms);
                self.list[place].lapse(has_lapsed);
            }
            _ => {}
        }
    }

    pub(super) fn find_largest_raise(&mut self, place: u32) {
        let origins = &self.origins;
        self.list[place].find_largest_raise(|index| origins[index as usize].id);
    }

    /// What others tell of our own origin can only be what they have from us.
    fn check_echo(&self, delta: &Delta<'_>) -> Result<Merged, MergeError> {
        let known = |change: &Change<'_>| {
            let Some(place) = self.find(&self.lookup(change.name())) else { return false };
            let counter = &self.list[place];
            match change {
                Change::Slot { slot, .. } => {
                    counter.slot_of(self.ours).is_some_and(|held| slot.is_within(&held.slot()))
                }
                Change::Ending { ending, .. } => {
                    counter.ended().is_some_and(|ended| ended.has(self.ours, ending))
                }
            }
        };
        if delta.upto > self.our_version() || !delta.changes.iter().all(known) {
            return Err(MergeError::ForeignWriter);
        }
        Ok(Merged { gap: false, news: false })
    }
}
