//! What is said of members that are away: who keeps nothing, which list all members know, who agrees
//! that one is removed, and who was.
//!
//! Everything here but a call is a record: once said, it stays true, and records merge in any order.

use crate::identity::NodeId;
use crate::membership::RECORD_EPOCH_MAX;
use crate::settlement::{VOTERS_MAX, Voter};

/// Removals for absence at most: half of what operators may remove, so that pods which come and go
/// leave them room.
pub const ABSENCES_MAX: u64 = 16_384;

/// No member calls a round beyond this: at one a second they take longer than the earth has.
const ROUND_MAX: u64 = 1 << 62;

/// Which attempt to agree: the later one outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    /// Larger than that of every attempt its caller knew of.
    pub round: u64,
    /// Who calls; tells equal rounds apart.
    pub caller: NodeId,
}

impl Attempt {
    /// Before all attempts.
    pub(crate) const NONE: Attempt = Attempt { round: 0, caller: NodeId(0) };
}

/// A member that is away, and the epoch of the removal that is to be written of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Absentee {
    /// Who, and under which registration.
    pub member: Voter,
    /// Larger than every epoch that the caller knows of it.
    pub removed: u64,
}

/// A member asks all others to agree to the next removal. May be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// How many removals for absence came before.
    pub term: u64,
    /// Which attempt.
    pub attempt: Attempt,
    /// All members that the caller knows. Sorted.
    pub list: Vec<Voter>,
    /// Who is to be removed.
    pub absentee: Absentee,
    /// Whether a majority has promised: what is to be accepted then.
    pub is_chosen: bool,
}

/// A member's last word on the next removal (rule `one-removal-a-term`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stance {
    /// Whose.
    pub voter: Voter,
    /// On which removal.
    pub term: u64,
    /// It takes part in no earlier attempt any more.
    pub promised: Attempt,
    /// What it agreed to last, and in which attempt.
    pub accepted: Option<(Attempt, Absentee)>,
}

impl Stance {
    /// Where it stands in the order in which its voter said it.
    fn rank(&self) -> (u64, Attempt, Option<Attempt>) {
        (self.term, self.promised, self.accepted.map(|(attempt, _)| attempt))
    }

    /// Whether it was said after another one.
    pub fn follows(&self, other: &Stance) -> bool {
        self.rank() > other.rank()
    }
}

/// A member was removed because it was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// How many came before it.
    pub term: u64,
    /// Who.
    pub absentee: Absentee,
}

/// One thing that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbsenceEntry {
    /// A node keeps nothing: a process that ends never comes back under its id.
    InMemory(NodeId),
    /// All of these have said that they know these members and no other. Sorted.
    Common(Vec<Voter>),
    /// A member's last word.
    Stance(Stance),
    /// A member was removed.
    Removal(Removal),
    /// A member asks; never in a journal.
    Call(Call),
}

impl AbsenceEntry {
    /// Whether its numbers are within their bounds.
    pub fn is_sane(&self) -> bool {
        let is_list = |list: &[Voter]| {
            list.len() <= VOTERS_MAX
                && list.is_sorted_by(|a, b| a.node < b.node)
                && list.iter().all(|voter| voter.epoch <= RECORD_EPOCH_MAX)
        };
        let is_attempt = |attempt: &Attempt| attempt.round <= ROUND_MAX;
        let is_absentee = |absentee: &Absentee| {
            absentee.removed > absentee.member.epoch && absentee.removed <= RECORD_EPOCH_MAX
        };
        match self {
            AbsenceEntry::InMemory(_) => true,
            AbsenceEntry::Common(list) => is_list(list),
            AbsenceEntry::Stance(Stance { term, promised, accepted, .. }) => {
                *term <= ABSENCES_MAX
                    && is_attempt(promised)
                    && accepted.is_none_or(|(attempt, absentee)| {
                        is_attempt(&attempt) && is_absentee(&absentee)
                    })
            }
            AbsenceEntry::Removal(Removal { term, absentee }) => {
                *term < ABSENCES_MAX && is_absentee(absentee)
            }
            AbsenceEntry::Call(Call { term, attempt, list, absentee, .. }) => {
                *term < ABSENCES_MAX
                    && is_attempt(attempt)
                    && is_list(list)
                    && is_absentee(absentee)
            }
        }
    }
}
