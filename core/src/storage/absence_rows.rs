//! What is said of members that are away, as the journal and snapshots hold it: these types are the format.

use serde::{Deserialize, Serialize};

use crate::absence::{AbsenceEntry, Absentee, Attempt, Removal, Stance};
use crate::identity::NodeId;
use crate::settlement::Voter;

type VoterRow = (NodeId, u64);
type AttemptRow = (u64, NodeId);
/// Node, epoch, epoch of the removal.
type AbsenteeRow = (NodeId, u64, u64);

#[derive(Serialize, Deserialize)]
pub(super) enum AbsenceRow {
    InMemory(NodeId),
    Common(Vec<VoterRow>),
    Stance {
        voter: VoterRow,
        term: u64,
        promised: AttemptRow,
        accepted: Option<(AttemptRow, AbsenteeRow)>,
    },
    Removal {
        term: u64,
        absentee: AbsenteeRow,
    },
}

fn voter_row(voter: &Voter) -> VoterRow {
    (voter.node, voter.epoch)
}

fn voter((node, epoch): VoterRow) -> Voter {
    Voter { node, epoch }
}

fn attempt_row(attempt: Attempt) -> AttemptRow {
    (attempt.round, attempt.caller)
}

fn attempt((round, caller): AttemptRow) -> Attempt {
    Attempt { round, caller }
}

fn absentee_row(absentee: Absentee) -> AbsenteeRow {
    (absentee.member.node, absentee.member.epoch, absentee.removed)
}

fn absentee((node, epoch, removed): AbsenteeRow) -> Absentee {
    Absentee { member: Voter { node, epoch }, removed }
}

impl AbsenceRow {
    /// `None` if it is never kept.
    pub(super) fn of(entry: &AbsenceEntry) -> Option<Self> {
        Some(match entry {
            AbsenceEntry::InMemory(node) => AbsenceRow::InMemory(*node),
            AbsenceEntry::Common(list) => AbsenceRow::Common(list.iter().map(voter_row).collect()),
            AbsenceEntry::Stance(Stance { voter, term, promised, accepted }) => {
                AbsenceRow::Stance {
                    voter: voter_row(voter),
                    term: *term,
                    promised: attempt_row(*promised),
                    accepted: accepted.map(|(at, of)| (attempt_row(at), absentee_row(of))),
                }
            }
            AbsenceEntry::Removal(Removal { term, absentee }) => {
                AbsenceRow::Removal { term: *term, absentee: absentee_row(*absentee) }
            }
            AbsenceEntry::Call(_) => return None,
        })
    }
}

impl From<AbsenceRow> for AbsenceEntry {
    fn from(row: AbsenceRow) -> Self {
        match row {
            AbsenceRow::InMemory(node) => AbsenceEntry::InMemory(node),
            AbsenceRow::Common(list) => AbsenceEntry::Common(list.into_iter().map(voter).collect()),
            AbsenceRow::Stance { voter: of, term, promised, accepted } => {
                AbsenceEntry::Stance(Stance {
                    voter: voter(of),
                    term,
                    promised: attempt(promised),
                    accepted: accepted.map(|(at, of)| (attempt(at), absentee(of))),
                })
            }
            AbsenceRow::Removal { term, absentee: of } => {
                AbsenceEntry::Removal(Removal { term, absentee: absentee(of) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::absence::Call;

    #[test]
    fn what_is_kept_is_read_as_it_was_and_calls_are_never_kept() {
        let member = Voter { node: NodeId(3), epoch: 5 };
        let absentee = Absentee { member, removed: 9 };
        let attempt = Attempt { round: 2, caller: NodeId(1) };
        let promised = Stance { voter: member, term: 4, promised: attempt, accepted: None };
        let accepted = Stance { accepted: Some((attempt, absentee)), ..promised };
        for entry in [
            AbsenceEntry::InMemory(NodeId(7)),
            AbsenceEntry::Common(vec![member, Voter { node: NodeId(4), epoch: 0 }]),
            AbsenceEntry::Stance(promised),
            AbsenceEntry::Stance(accepted),
            AbsenceEntry::Removal(Removal { term: 4, absentee }),
        ] {
            let row = AbsenceRow::of(&entry).expect("it is kept");
            let bytes = postcard::to_allocvec(&row).unwrap();
            assert_eq!(
                AbsenceEntry::from(postcard::from_bytes::<AbsenceRow>(&bytes).unwrap()),
                entry
            );
        }
        let list = vec![member];
        let call = Call { term: 4, attempt, list, absentee, is_chosen: true };
        assert!(AbsenceRow::of(&AbsenceEntry::Call(call)).is_none());
    }
}
