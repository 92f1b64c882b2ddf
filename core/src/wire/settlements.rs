//! What is said of settlements, in the form in which it travels; see [`super::values`].

use serde::{Deserialize, Serialize};

use crate::identity::{NodeId, OriginId, Version};
use crate::settlement::{Ballot, Entry, Prefix, Proposal, Vote, Voter};

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct PrefixTwin {
    origin: OriginId,
    version: Version,
    fingerprint: u64,
}

impl From<Prefix> for PrefixTwin {
    fn from(Prefix { origin, version, fingerprint }: Prefix) -> Self {
        PrefixTwin { origin, version, fingerprint }
    }
}

impl From<PrefixTwin> for Prefix {
    fn from(PrefixTwin { origin, version, fingerprint }: PrefixTwin) -> Self {
        Prefix { origin, version, fingerprint }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum BallotTwin {
    Grant(PrefixTwin),
    Abandon(PrefixTwin),
    Fold(PrefixTwin),
    Refuse,
}

impl From<Ballot> for BallotTwin {
    fn from(ballot: Ballot) -> Self {
        match ballot {
            Ballot::Grant(prefix) => BallotTwin::Grant(prefix.into()),
            Ballot::Abandon(prefix) => BallotTwin::Abandon(prefix.into()),
            Ballot::Fold(prefix) => BallotTwin::Fold(prefix.into()),
            Ballot::Refuse => BallotTwin::Refuse,
        }
    }
}

impl From<BallotTwin> for Ballot {
    fn from(ballot: BallotTwin) -> Self {
        match ballot {
            BallotTwin::Grant(prefix) => Ballot::Grant(prefix.into()),
            BallotTwin::Abandon(prefix) => Ballot::Abandon(prefix.into()),
            BallotTwin::Fold(prefix) => Ballot::Fold(prefix.into()),
            BallotTwin::Refuse => Ballot::Refuse,
        }
    }
}

/// One record of what is said of settlements.
#[derive(Serialize, Deserialize)]
pub(super) enum EntryTwin {
    Member {
        node: NodeId,
        removed: u64,
        registered: u64,
    },
    Close(PrefixTwin),
    Family {
        settlement: OriginId,
        members: Vec<OriginId>,
    },
    Proposal {
        settlement: OriginId,
        members: Vec<PrefixTwin>,
        voters: Vec<(NodeId, u64)>,
        cutoff_ms: u64,
    },
    Vote {
        settlement: OriginId,
        voter: (NodeId, u64),
        ballot: BallotTwin,
    },
}

impl EntryTwin {
    /// `None` if it is the journal's alone.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        Some(match entry {
            Entry::Member { node, removed, registered } => {
                EntryTwin::Member { node: *node, removed: *removed, registered: *registered }
            }
            Entry::Close(prefix) => EntryTwin::Close((*prefix).into()),
            Entry::Family { settlement, members } => {
                EntryTwin::Family { settlement: *settlement, members: members.clone() }
            }
            Entry::Proposal(Proposal { settlement, members, voters, cutoff_ms }) => {
                EntryTwin::Proposal {
                    settlement: *settlement,
                    members: members.iter().copied().map(PrefixTwin::from).collect(),
                    voters: voters.iter().map(|voter| (voter.node, voter.epoch)).collect(),
                    cutoff_ms: *cutoff_ms,
                }
            }
            Entry::Vote(Vote { settlement, voter, ballot }) => EntryTwin::Vote {
                settlement: *settlement,
                voter: (voter.node, voter.epoch),
                ballot: (*ballot).into(),
            },
            Entry::Opened(_) | Entry::GivenUp(_) => return None,
        })
    }
}

impl From<EntryTwin> for Entry {
    fn from(row: EntryTwin) -> Self {
        match row {
            EntryTwin::Member { node, removed, registered } => {
                Entry::Member { node, removed, registered }
            }
            EntryTwin::Close(prefix) => Entry::Close(prefix.into()),
            EntryTwin::Family { settlement, members } => Entry::Family { settlement, members },
            EntryTwin::Proposal { settlement, members, voters, cutoff_ms } => {
                let members = members.into_iter().map(Prefix::from).collect();
                let voters = voters.into_iter().map(voter).collect();
                Entry::Proposal(Proposal { settlement, members, voters, cutoff_ms })
            }
            EntryTwin::Vote { settlement, voter: (node, epoch), ballot } => Entry::Vote(Vote {
                settlement,
                voter: Voter { node, epoch },
                ballot: ballot.into(),
            }),
        }
    }
}

fn voter((node, epoch): (NodeId, u64)) -> Voter {
    Voter { node, epoch }
}

/// Entries as they travel: for `#[serde(with = "entries")]`.
pub(super) mod entries {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Entry, EntryTwin, Serialize};

    pub(in crate::wire) fn serialize<S: Serializer>(
        entries: &[Entry],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let twins: Vec<EntryTwin> = entries.iter().filter_map(EntryTwin::of).collect();
        twins.serialize(to)
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Entry>, D::Error> {
        Ok(Vec::<EntryTwin>::deserialize(from)?.into_iter().map(Entry::from).collect())
    }
}
