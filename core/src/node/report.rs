//! How a node is, for operators.

use std::time::Duration;

use super::Node;
use crate::identity::Version;
use crate::input::LinkId;
use crate::status::{LinkStatus, PeerStatus, Status};
use crate::time::Time;

impl Node {
    /// How the node is. How much was counted is answered as it stands in the table: that
    /// may leave when the batch that is open is synced (rule `publish-after-sync`), and the rest at
    /// once.
    pub fn status(&self, now: Time) -> Status {
        let ours = self.counters.versions_before() + self.counters.our_version();
        let peers = self
            .peers
            .list()
            .into_iter()
            .map(|listed| PeerStatus {
                counted: listed
                    .identity
                    .as_ref()
                    .map_or(0, |identity| self.counters.counted(identity.origin)),
                link: listed
                    .identity
                    .as_ref()
                    .and_then(|identity| self.links.to_peer(identity.node))
                    .map(|link| self.link_status(link, now, ours)),
                address: listed.address,
                node: listed.identity.map(|identity| identity.node),
                state: listed.state,
                listed: listed.is_listed,
            })
            .collect();
        Status {
            identity: self.peers.me().clone(),
            clock_behind_ms: self.clock_check.behind_ms(),
            version: ours,
            counters: self.counters.len(),
            names: self.counters.names(),
            origins: self.counters.origins(),
            without_room: self.replication.without_room(),
            counted: self.counters.counted(self.counters.our_origin()),
            removed: self.peers.am_removed(),
            peers,
            settlement: self.settlement_status(now),
            absent: self.absent_status(),
        }
    }

    /// How a link is, also while nothing of the table flows on it yet.
    fn link_status(&self, link: LinkId, now: Time, ours: Version) -> LinkStatus {
        self.replication.status(link, now, ours).unwrap_or_else(|| LinkStatus {
            lag_versions: ours,
            lag: self.settlements.tells_since(link).map_or(Duration::ZERO, |at| now.since(at)),
            unconfirmed_bytes: 0,
            behind: true,
        })
    }
}
