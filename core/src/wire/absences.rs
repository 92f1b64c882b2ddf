//! What is said of members that are away, in the form in which it travels; see [`super::values`].

use serde::{Deserialize, Serialize};

use crate::absence::{AbsenceEntry, Absentee, Attempt, Call, Removal, Stance};
use crate::identity::NodeId;
use crate::settlement::Voter;

type VoterTwin = (NodeId, u64);
type AttemptTwin = (u64, NodeId);
/// Node, epoch, epoch of the removal.
type AbsenteeTwin = (NodeId, u64, u64);

#[derive(Serialize, Deserialize)]
pub(super) enum AbsenceTwin {
    InMemory(NodeId),
    Common(Vec<VoterTwin>),
    Stance {
        voter: VoterTwin,
        term: u64,
        promised: AttemptTwin,
        accepted: Option<(AttemptTwin, AbsenteeTwin)>,
    },
    Removal {
        term: u64,
        absentee: AbsenteeTwin,
    },
    Call {
        term: u64,
        attempt: AttemptTwin,
        list: Vec<VoterTwin>,
        absentee: AbsenteeTwin,
        is_chosen: bool,
    },
}

fn voter_twin(voter: &Voter) -> VoterTwin {
    (voter.node, voter.epoch)
}

fn voter((node, epoch): VoterTwin) -> Voter {
    Voter { node, epoch }
}

fn attempt_twin(attempt: Attempt) -> AttemptTwin {
    (attempt.round, attempt.caller)
}

fn attempt((round, caller): AttemptTwin) -> Attempt {
    Attempt { round, caller }
}

fn absentee_twin(absentee: Absentee) -> AbsenteeTwin {
    (absentee.member.node, absentee.member.epoch, absentee.removed)
}

fn absentee((node, epoch, removed): AbsenteeTwin) -> Absentee {
    Absentee { member: Voter { node, epoch }, removed }
}

impl From<&AbsenceEntry> for AbsenceTwin {
    fn from(entry: &AbsenceEntry) -> Self {
        match entry {
            AbsenceEntry::InMemory(node) => AbsenceTwin::InMemory(*node),
            AbsenceEntry::Common(list) => {
                AbsenceTwin::Common(list.iter().map(voter_twin).collect())
            }
            AbsenceEntry::Stance(Stance { voter, term, promised, accepted }) => {
                AbsenceTwin::Stance {
                    voter: voter_twin(voter),
                    term: *term,
                    promised: attempt_twin(*promised),
                    accepted: accepted.map(|(at, of)| (attempt_twin(at), absentee_twin(of))),
                }
            }
            AbsenceEntry::Removal(Removal { term, absentee }) => {
                AbsenceTwin::Removal { term: *term, absentee: absentee_twin(*absentee) }
            }
            AbsenceEntry::Call(Call { term, attempt, list, absentee, is_chosen }) => {
                AbsenceTwin::Call {
                    term: *term,
                    attempt: attempt_twin(*attempt),
                    list: list.iter().map(voter_twin).collect(),
                    absentee: absentee_twin(*absentee),
                    is_chosen: *is_chosen,
                }
            }
        }
    }
}

impl From<AbsenceTwin> for AbsenceEntry {
    fn from(twin: AbsenceTwin) -> Self {
        match twin {
            AbsenceTwin::InMemory(node) => AbsenceEntry::InMemory(node),
            AbsenceTwin::Common(list) => {
                AbsenceEntry::Common(list.into_iter().map(voter).collect())
            }
            AbsenceTwin::Stance { voter: of, term, promised, accepted } => {
                AbsenceEntry::Stance(Stance {
                    voter: voter(of),
                    term,
                    promised: attempt(promised),
                    accepted: accepted.map(|(at, of)| (attempt(at), absentee(of))),
                })
            }
            AbsenceTwin::Removal { term, absentee: of } => {
                AbsenceEntry::Removal(Removal { term, absentee: absentee(of) })
            }
            AbsenceTwin::Call { term, attempt: at, list, absentee: of, is_chosen } => {
                AbsenceEntry::Call(Call {
                    term,
                    attempt: attempt(at),
                    list: list.into_iter().map(voter).collect(),
                    absentee: absentee(of),
                    is_chosen,
                })
            }
        }
    }
}

/// Entries as they travel: for `#[serde(with = "absence_entries")]`.
pub(super) mod entries {
    use serde::{Deserializer, Serializer};

    use super::{AbsenceEntry, AbsenceTwin, Deserialize};

    pub(in crate::wire) fn serialize<S: Serializer>(
        entries: &[AbsenceEntry],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(entries.iter().map(AbsenceTwin::from))
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<AbsenceEntry>, D::Error> {
        Ok(Vec::<AbsenceTwin>::deserialize(from)?.into_iter().map(AbsenceEntry::from).collect())
    }
}
