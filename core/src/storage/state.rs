//! What a node finds of its earlier starts: recovery is merging (rule 17).

use std::collections::BTreeMap;

use super::record::{BadPayload, Record, Start};
use crate::counter::OriginIndex;
use crate::counters::{Counters, MergeError};
use crate::identity::{Identity, NodeId, OriginId};
use crate::peers::DOWN_MAX;
use crate::registry::Registry;

/// Everything that was kept, merged record by record.
#[derive(Debug)]
pub struct Recovered {
    pub(crate) counters: Counters,
    pub(crate) registry: Registry,
    pub(crate) peers: BTreeMap<NodeId, Identity>,
    start: Option<Start>,
    /// The origins of the snapshot that is being read, by their numbers in it.
    origins: Vec<OriginIndex>,
}

impl Recovered {
    /// Nothing yet, for a start that counts under `origin`. `seed` keeps clients from choosing
    /// names that collide.
    pub fn new(origin: OriginId, seed: u64) -> Self {
        Recovered {
            counters: Counters::new(origin, seed),
            registry: Registry::default(),
            peers: BTreeMap::new(),
            start: None,
            origins: Vec::new(),
        }
    }

    /// The table as it was recovered.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The last start, if there was one.
    pub fn last_start(&self) -> Option<Start> {
        self.start
    }

    /// The start that follows: of the same node, or of `fresh` if there was none, and later than
    /// the last one whatever the wall clock says.
    pub fn next_start(&self, fresh: NodeId, wall_clock_ms: u64) -> Start {
        let origin = self.counters.our_origin();
        match self.start {
            Some(last) => Start {
                node: last.node,
                boot: wall_clock_ms.max(last.boot.saturating_add(1)),
                origin,
            },
            None => Start { node: fresh, boot: wall_clock_ms, origin },
        }
    }

    /// Takes back every claim to know all of an origin up to some version.
    pub(crate) fn disclaim(&mut self) {
        self.counters.disclaim();
    }

    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::node::Bug) {
        self.counters.bug = Some(bug);
    }

    #[cfg(feature = "planted-bugs")]
    pub(crate) fn has(&self, bug: crate::node::Bug) -> bool {
        self.counters.bug == Some(bug)
    }

    /// The bug has done its part.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn forget(&mut self, bug: crate::node::Bug) {
        self.counters.bug = self.counters.bug.filter(|planted| *planted != bug);
    }

    /// Merges one record.
    pub(crate) fn apply(&mut self, record: Record<'_>) -> Result<(), BadPayload> {
        match record {
            Record::Delta(delta) => match self.counters.merge(&delta) {
                Ok(_) => {}
                Err(MergeError::Full) => return Err(BadPayload::Full),
                Err(MergeError::ForeignWriter) => return Err(BadPayload::Malformed("delta")),
            },
            Record::Standing(standing) => {
                self.registry.merge(&standing);
            }
            Record::Start(start) => self.start = Some(start),
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
                    self.origins.push(index.ok_or(BadPayload::Full)?);
                }
            }
            Record::Counters(mut rows) => {
                while let Some((name, slots)) = rows.counter()? {
                    let place = self.counters.restore_counter(name).ok_or(BadPayload::Full)?;
                    for _ in 0..slots {
                        let row = rows.slot()?;
                        let unknown = BadPayload::Malformed("counters");
                        let origin = *self.origins.get(row.origin as usize).ok_or(unknown)?;
                        self.counters.restore_slot(place, origin, &row.slot(), row.version);
                    }
                }
            }
        }
        Ok(())
    }
}
