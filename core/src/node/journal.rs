//! What a node writes down, where anything is kept.

use crate::absence::AbsenceEntry;
use crate::counters::{Counters, LocalBatch};
use crate::delta::Delta;
use crate::identity::Identity;
use crate::membership::MembershipRecord;
use crate::outbox::Effects;
use crate::settlement::Entry;
use crate::storage::frame::RECORD_BYTES_MAX;
use crate::storage::record::Start;

#[derive(Debug)]
pub(super) struct Journal {
    /// Without a journal no records are made for one.
    is_kept: bool,
    /// Who we are, as the journal says.
    start: Start,
    /// Bytes of a record of what another node sent.
    record_bytes: usize,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::bug::Bug>,
}

impl Journal {
    pub(super) fn new(is_kept: bool, me: &Identity) -> Self {
        Journal {
            is_kept,
            start: Start::from(me),
            record_bytes: RECORD_BYTES_MAX,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    #[cfg(feature = "planted-bugs")]
    pub(super) fn plant(&mut self, bug: crate::bug::Bug) {
        self.bug = Some(bug);
    }

    pub(super) fn limit(&mut self, record_bytes: usize) {
        self.record_bytes = record_bytes;
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    pub(super) fn add_own(&self, batch: &LocalBatch, counters: &Counters, effects: &mut Effects) {
        if self.is_kept {
            effects.journal.add_own(batch, counters);
        }
    }

    /// Changes that other nodes made.
    pub(super) fn add_delta(&self, delta: &Delta<'_>, effects: &mut Effects) {
        if !self.is_kept {
            return;
        }
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::RecordsClaimAll) {
            return effects.journal.add_delta_claimed(delta, self.record_bytes);
        }
        effects.journal.add_delta(delta, self.record_bytes);
    }

    pub(super) fn add_memberships(&self, records: &[MembershipRecord], effects: &mut Effects) {
        if self.is_kept {
            records.iter().for_each(|record| effects.journal.add_membership(record));
        }
    }

    pub(super) fn add_settlement(&self, entry: &Entry, effects: &mut Effects) {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::VotesForgotten) && matches!(entry, Entry::Vote(_)) {
            return;
        }
        if self.is_kept {
            effects.journal.add_settlement(entry);
        }
    }

    pub(super) fn add_absence(&self, entry: &AbsenceEntry, effects: &mut Effects) {
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::StancesForgotten)
            && matches!(entry, AbsenceEntry::Stance(_))
        {
            return;
        }
        if self.is_kept {
            effects.journal.add_absence(entry);
        }
    }

    pub(super) fn add_peer(&self, peer: &Identity, effects: &mut Effects) {
        if self.is_kept {
            effects.journal.add_peer(peer);
        }
    }

    /// An identity that has changed: after a restart it must be the later one still.
    pub(super) fn keep_identity(&mut self, me: &Identity, effects: &mut Effects) {
        let now = Start::from(me);
        if now != self.start {
            if self.is_kept {
                effects.journal.add_start(&now);
            }
            self.start = now;
        }
    }
}
