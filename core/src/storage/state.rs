//! What a node finds of its earlier starts: recovery is merging (rule
//! `snapshot-keeps-slot-versions`).

use std::collections::BTreeMap;

use super::record::{BadPayload, Record, Start};
use crate::absentees::Absences;
use crate::counters::writer::OriginIndex;
use crate::counters::{Counters, MergeError};
use crate::identity::{BOOT_MAX, Identity, NodeId, OriginId};
use crate::membership::Key;
use crate::peers::DOWN_MAX;
use crate::peers::registry::Registry;
use crate::settlement::{Ballot, Entry, Vote};
use crate::settling::Ledger;

/// Everything that was kept, merged record by record.
#[derive(Debug)]
pub struct Recovered {
    pub(crate) counters: Counters,
    pub(crate) registry: Registry,
    pub(crate) peers: BTreeMap<NodeId, Identity>,
    pub(crate) ledger: Ledger,
    pub(crate) absences: Absences,
    start: Option<Start>,
    /// The origins of the snapshot that is being read, by their numbers in it.
    origins: Vec<OriginIndex>,
    /// Whether these are all whose numbers are known.
    is_numbered: bool,
}

impl Recovered {
    /// Nothing yet, for a start that counts under `origin`. `seed` keeps clients from choosing
    /// names that collide.
    pub fn new(origin: OriginId, seed: u64) -> Self {
        Recovered {
            counters: Counters::new(origin, seed),
            registry: Registry::default(),
            peers: BTreeMap::new(),
            ledger: Ledger::default(),
            absences: Absences::default(),
            start: None,
            origins: Vec::new(),
            is_numbered: false,
        }
    }

    /// A table, and nothing else: what a node finds that has kept no more.
    pub fn holding(counters: Counters) -> Self {
        Recovered { counters, ..Recovered::new(OriginId(0), 0) }
    }

    /// The same with who was removed and registered again.
    pub fn with_registry(self, registry: Registry) -> Self {
        Recovered { registry, ..self }
    }

    /// The table as it was recovered.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who was removed and registered again, as it was recovered.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The last start, if there was one.
    pub fn last_start(&self) -> Option<Start> {
        self.start
    }

    /// The start that follows: of the same node, or of `fresh` if there was none, and later than
    /// the last one whatever the wall clock says. Where none can be later, as an earlier release let
    /// it come to, the id is lost; not that of a removed node, whose removal is found by it.
    pub fn next_start(&self, fresh: NodeId, wall_clock_ms: u64) -> Start {
        let origin = self.counters.our_origin();
        let wall_clock_ms = wall_clock_ms.min(BOOT_MAX);
        #[cfg(feature = "planted-bugs")]
        if let Some(last) = self.start {
            use crate::bug::Bug;
            if self.has(Bug::BootFollowsClock) {
                return Start { node: last.node, boot: wall_clock_ms, origin };
            }
            if self.has(Bug::IdNotKept) {
                return Start { node: fresh, boot: wall_clock_ms.max(last.boot + 1), origin };
            }
        }
        match self.start {
            Some(last) if last.boot < BOOT_MAX || self.is_removed(last.node) => {
                let later = last.boot.saturating_add(1).min(BOOT_MAX);
                Start { node: last.node, boot: wall_clock_ms.max(later), origin }
            }
            _ => Start { node: fresh, boot: wall_clock_ms, origin },
        }
    }

    /// The start that follows in a directory that is a copy, or was put back from one: of another node.
    /// The first one may go on as well (rule `copies-close-nothing`).
    pub fn start_of_copy(&self, fresh: NodeId, wall_clock_ms: u64) -> Start {
        let origin = self.counters.our_origin();
        Start { node: fresh, boot: wall_clock_ms.min(BOOT_MAX), origin }
    }

    /// A start was made: what another node has opened is not this one's to close (rule
    /// `copies-close-nothing`).
    pub fn starts(&mut self, start: Start) {
        if self.start.is_some_and(|last| last.node != start.node) {
            self.ledger.forget_all_opened();
        }
        self.start = Some(start);
    }

    /// Follows what was said of settlements: a vote of ours may have been that we fold (rule `row-done`).
    fn settle(&mut self, entry: &Entry) {
        let is_new = self.ledger.merge(entry, &mut self.counters);
        if let Entry::Vote(Vote { settlement, voter, ballot: Ballot::Fold(_) }) = *entry
            && is_new
            && self.start.is_some_and(|start| start.node == voter.node)
        {
            let granted = self.ledger.granted(settlement);
            self.counters.end_chores();
            self.counters.begin_fold(settlement, &granted);
            self.counters.end_chores();
            self.ledger.forget(&mut self.counters);
        }
    }

    fn is_removed(&self, node: NodeId) -> bool {
        self.registry.of(&Key::Node(node)).is_removed()
    }

    /// What comes next is what is left of a snapshot, in which the origins had these numbers. Slots
    /// of any other number are left out: nobody can tell whose they are.
    pub(crate) fn begin_holed_snapshot(&mut self, origins: &[OriginId]) {
        let restored = origins.iter().map_while(|id| self.counters.restore_origin(*id, 0));
        self.origins = restored.collect();
        self.is_numbered = true;
    }

    /// Of the last start nothing is known but whose it was.
    pub(crate) fn was_started_by(&mut self, node: NodeId) {
        self.start = Some(Start { node, boot: 0, origin: OriginId(0) });
    }

    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::bug::Bug) {
        self.counters.bug = Some(bug);
    }

    #[cfg(feature = "planted-bugs")]
    pub(crate) fn has(&self, bug: crate::bug::Bug) -> bool {
        self.counters.bug == Some(bug)
    }

    /// The bug has done its part.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn forget(&mut self, bug: crate::bug::Bug) {
        self.counters.bug = self.counters.bug.filter(|planted| *planted != bug);
    }

    /// Merges one record.
    pub(crate) fn apply(&mut self, record: Record<'_>) -> Result<(), BadPayload> {
        match record {
            Record::Delta(delta) => {
                self.counters.restore_origin(delta.origin, 0).ok_or(BadPayload::Full)?;
                match self.counters.merge(&delta) {
                    Ok(_) => {}
                    Err(MergeError::Full { .. }) => return Err(BadPayload::Full),
                    Err(MergeError::ForeignWriter) => return Err(BadPayload::Malformed("delta")),
                }
            }
            #[cfg(feature = "planted-bugs")]
            Record::Membership(_) if self.has(crate::bug::Bug::RemovalsForgotten) => {}
            Record::Membership(record) => {
                self.registry.merge(&record);
            }
            Record::Start(start) => self.starts(start),
            Record::Settlement(entry) => self.settle(&entry),
            Record::Absence(entry) => {
                let registry = &self.registry;
                self.absences.merge(&entry, |voter| registry.is_member(voter));
            }
            Record::Peer(identity) => {
                // Beyond the bound the node has forgotten somebody as well.
                if self.peers.len() < DOWN_MAX || self.peers.contains_key(&identity.node) {
                    self.peers.retain(|_, known| known.address != identity.address);
                    self.peers.insert(identity.node, identity);
                }
            }
            Record::Mark | Record::End(_) => {}
            Record::Origins(rows) => {
                for row in rows {
                    let index = self.counters.restore_origin(row.origin, row.version);
                    let index = index.ok_or(BadPayload::Full)?;
                    if !self.is_numbered {
                        self.origins.push(index);
                    }
                }
            }
            Record::Endings(mut rows) => {
                while let Some((name, endings)) = rows.counter()? {
                    let place = self.counters.restore_counter(name).ok_or(BadPayload::Full)?;
                    for _ in 0..endings {
                        let (origin, ending) = rows.ending()?;
                        match self.origins.get(origin as usize) {
                            Some(&origin) => self.counters.restore_ending(place, origin, &ending),
                            None if self.is_numbered => {}
                            None => return Err(BadPayload::Malformed("endings")),
                        }
                    }
                    self.counters.restored(place);
                }
            }
            Record::Counters(mut rows) => {
                while let Some((name, slots)) = rows.counter()? {
                    let place = self.counters.restore_counter(name).ok_or(BadPayload::Full)?;
                    for _ in 0..slots {
                        let row = rows.slot()?;
                        match self.origins.get(row.origin as usize) {
                            Some(&origin) => {
                                self.counters.restore_slot(place, origin, &row.slot(), row.version);
                            }
                            None if self.is_numbered => {}
                            None => return Err(BadPayload::Malformed("counters")),
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::MembershipRecord;

    fn next_after(boot: u64, wall_clock_ms: u64) -> Start {
        let mut recovered = Recovered::new(OriginId(9), 1);
        let last = Start { node: NodeId(1), boot, origin: OriginId(8) };
        recovered.apply(Record::Start(last)).unwrap();
        recovered.next_start(NodeId(2), wall_clock_ms)
    }

    #[test]
    fn a_start_is_later_than_the_last_one_whatever_the_clock_says() {
        let start = |boot| Start { node: NodeId(1), boot, origin: OriginId(9) };
        assert_eq!(next_after(1_000, 5_000), start(5_000));
        assert_eq!(next_after(1_000, 1_000), start(1_001));
        assert_eq!(next_after(1_000, 0), start(1_001), "the clock was set back");
    }

    #[test]
    fn a_node_whose_boots_are_used_up_starts_under_a_fresh_id() {
        for last in [BOOT_MAX, u64::MAX] {
            let fresh = Start { node: NodeId(2), boot: 5_000, origin: OriginId(9) };
            assert_eq!(next_after(last, 5_000), fresh);
        }
        assert_eq!(next_after(BOOT_MAX - 1, 5_000).boot, BOOT_MAX);
    }

    #[test]
    fn a_removed_node_keeps_its_id_whatever_its_boots() {
        let mut recovered = Recovered::new(OriginId(9), 1);
        let last = Start { node: NodeId(1), boot: u64::MAX, origin: OriginId(8) };
        recovered.apply(Record::Start(last)).unwrap();
        let removal = MembershipRecord { key: Key::Node(NodeId(1)), removed: 3, registered: 2 };
        recovered.apply(Record::Membership(removal)).unwrap();
        assert_eq!(recovered.next_start(NodeId(2), 5_000).node, NodeId(1));
    }
}
