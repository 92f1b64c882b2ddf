//! What is said of settlements, as the journal and snapshots hold it: these structs are the format.

use serde::{Deserialize, Serialize};

use crate::identity::{NodeId, OriginId, Version};
use crate::settlement::{Ballot, Entry, Prefix, Proposal, Vote, Voter};

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct PrefixRow {
    origin: OriginId,
    version: Version,
    fingerprint: u64,
}

impl From<Prefix> for PrefixRow {
    fn from(Prefix { origin, version, fingerprint }: Prefix) -> Self {
        PrefixRow { origin, version, fingerprint }
    }
}

impl From<PrefixRow> for Prefix {
    fn from(PrefixRow { origin, version, fingerprint }: PrefixRow) -> Self {
        Prefix { origin, version, fingerprint }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum BallotRow {
    Grant(PrefixRow),
    Abandon(PrefixRow),
    Fold(PrefixRow),
    Refuse,
}

impl From<Ballot> for BallotRow {
    fn from(ballot: Ballot) -> Self {
        match ballot {
            Ballot::Grant(prefix) => BallotRow::Grant(prefix.into()),
            Ballot::Abandon(prefix) => BallotRow::Abandon(prefix.into()),
            Ballot::Fold(prefix) => BallotRow::Fold(prefix.into()),
            Ballot::Refuse => BallotRow::Refuse,
        }
    }
}

impl From<BallotRow> for Ballot {
    fn from(ballot: BallotRow) -> Self {
        match ballot {
            BallotRow::Grant(prefix) => Ballot::Grant(prefix.into()),
            BallotRow::Abandon(prefix) => Ballot::Abandon(prefix.into()),
            BallotRow::Fold(prefix) => Ballot::Fold(prefix.into()),
            BallotRow::Refuse => Ballot::Refuse,
        }
    }
}

/// One record of what is said of settlements.
#[derive(Serialize, Deserialize)]
pub(super) enum EntryRow {
    Member {
        node: NodeId,
        removed: u64,
        registered: u64,
    },
    Close(PrefixRow),
    Family {
        settlement: OriginId,
        members: Vec<OriginId>,
    },
    Proposal {
        settlement: OriginId,
        members: Vec<PrefixRow>,
        voters: Vec<(NodeId, u64)>,
        cutoff_ms: u64,
    },
    Vote {
        settlement: OriginId,
        voter: (NodeId, u64),
        ballot: BallotRow,
    },
    Opened(OriginId),
    GivenUp(OriginId),
}

impl From<&Entry> for EntryRow {
    fn from(entry: &Entry) -> Self {
        match entry {
            Entry::Member { node, removed, registered } => {
                EntryRow::Member { node: *node, removed: *removed, registered: *registered }
            }
            Entry::Close(prefix) => EntryRow::Close((*prefix).into()),
            Entry::Family { settlement, members } => {
                EntryRow::Family { settlement: *settlement, members: members.clone() }
            }
            Entry::Proposal(Proposal { settlement, members, voters, cutoff_ms }) => {
                EntryRow::Proposal {
                    settlement: *settlement,
                    members: members.iter().copied().map(PrefixRow::from).collect(),
                    voters: voters.iter().map(|voter| (voter.node, voter.epoch)).collect(),
                    cutoff_ms: *cutoff_ms,
                }
            }
            Entry::Vote(Vote { settlement, voter, ballot }) => EntryRow::Vote {
                settlement: *settlement,
                voter: (voter.node, voter.epoch),
                ballot: (*ballot).into(),
            },
            Entry::Opened(origin) => EntryRow::Opened(*origin),
            Entry::GivenUp(settlement) => EntryRow::GivenUp(*settlement),
        }
    }
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Self {
        match row {
            EntryRow::Member { node, removed, registered } => {
                Entry::Member { node, removed, registered }
            }
            EntryRow::Close(prefix) => Entry::Close(prefix.into()),
            EntryRow::Family { settlement, members } => Entry::Family { settlement, members },
            EntryRow::Proposal { settlement, members, voters, cutoff_ms } => {
                let members = members.into_iter().map(Prefix::from).collect();
                let voters = voters.into_iter().map(voter).collect();
                Entry::Proposal(Proposal { settlement, members, voters, cutoff_ms })
            }
            EntryRow::Vote { settlement, voter: (node, epoch), ballot } => Entry::Vote(Vote {
                settlement,
                voter: Voter { node, epoch },
                ballot: ballot.into(),
            }),
            EntryRow::Opened(origin) => Entry::Opened(origin),
            EntryRow::GivenUp(settlement) => Entry::GivenUp(settlement),
        }
    }
}

fn voter((node, epoch): (NodeId, u64)) -> Voter {
    Voter { node, epoch }
}
