//! Whether this node is known to lack what its peers have (rule `no-raise-while-behind`).

use std::time::Duration;

use super::Node;
use crate::operation::Behind;
use crate::time::Time;

/// How long a member without a link holds up raises: as long as dials from both sides take to begin
/// and to come to nothing.
const UNLINKED_MAX: Duration = Duration::from_secs(5);

/// How long after its start a node that looks for others holds itself for behind: the time in
/// which its first calls are answered.
pub(super) const SETTLING: Duration = Duration::from_millis(1000);

impl Node {
    /// In what way it does, as far as is known.
    pub(super) fn behind(&self, now: Time) -> Option<Behind> {
        #[cfg(feature = "planted-bugs")]
        if self.has(crate::bug::Bug::RaisesBehind) {
            return None;
        }
        if self.peers.am_removed() {
            return None;
        }
        let mut up = self.peers.up().peekable();
        let looks_for_others = self.discovery.next_deadline().is_some()
            || self.peers.has_seeds()
            || self.peers.has_met_anyone()
            // It has let go of its list, and heard of no one yet.
            || self.peers.has_left();
        if up.peek().is_none() && looks_for_others && now < self.started + SETTLING {
            return Some(Behind::Starting);
        }
        if let Some(settlement) = self.behind_in_settling() {
            return Some(Behind::Settling(settlement));
        }
        if let Some(peer) = self.settlements.tells(now, UNLINKED_MAX) {
            return Some(Behind::NotCompared(peer));
        }
        let mut unreached = None;
        for peer in up {
            let since = match self.links.to_peer(peer.node) {
                None => self.links.missing_since(peer.node),
                Some(link) if self.replication.is_linked(link) => continue,
                // It has not told all of settlements yet, as while its disk hangs.
                Some(link) => self.settlements.tells_since(link),
            };
            if since.is_none_or(|since| now < since + UNLINKED_MAX) {
                return Some(Behind::NotCompared(peer.node));
            }
            unreached = Some(peer.node);
        }
        self.replication.behind(now, &self.counters, unreached)
    }
}
