//! What replication knows of one link, and of the peer at its other end.

use crate::identity::{NodeId, OriginId, Version};
use crate::replication::digests::About;
use crate::replication::exchange::Exchange;
use crate::replication::pauses::Pauses;
use crate::replication::pull::{PullRequest, PullResponse};
use crate::replication::window::Window;
use crate::settlement::Prefix;
use crate::time::Time;

/// See the file.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) peer: NodeId,
    pub(super) peer_origin: OriginId,
    /// The version of the protocol that is spoken.
    pub(super) version: u16,
    pub(super) exchange: Exchange,
    /// When the peer last told what it holds.
    pub(super) told: Time,
    /// The hash that it told, if it speaks an earlier version.
    pub(super) peer_hash: Option<u64>,
    /// Whether we have told what we hold, and whether that was not for the first time.
    pub(super) has_told: bool,
    pub(super) is_first_told: bool,
    /// The batches in which we last asked about its digest, and answered about ours.
    pub(super) asked_in: u64,
    pub(super) answered_in: u64,
    /// What it has asked about ours.
    pub(super) owes_answer: Option<About>,
    /// What we claimed of its own changes when we last asked about its digest.
    pub(super) claimed: Version,
    /// Parts of its digest that are not to be asked for on other links.
    pub(super) parts: Vec<u8>,
    /// Whether it is to be compared again when others let go of theirs.
    pub(super) waits_for_others: bool,
    pub(super) window: Window,
    /// Whether the peer has pushed something that we have not confirmed.
    pub(super) owes_confirm: bool,
    /// Up to which version we have confirmed what it writes under its present origin.
    pub(super) told_confirmed: Version,
    /// What the peer wrote before under other origins, as far as it is not here yet: nothing is
    /// confirmed of what it wrote later before that is (rule `confirm-after-sync`).
    pub(super) owed: Vec<Prefix>,
    /// Whether it has been told of a fresh origin of ours, and its confirmations are not of that yet.
    pub(super) is_origin_untaken: bool,
    pub(super) confirmed: Option<Time>,
    pub(super) asking: Option<PullRequest>,
    /// Origins that are not repaired from this peer again yet. Another peer may hold what this one
    /// lacks as well.
    pub(super) repairs: Pauses,
    pub(super) serving: Option<PullResponse>,
}

impl Session {
    /// Of a link that stands, on which this version is spoken, to a peer that writes under an origin. `asked_in`: the
    /// last batch in which links that are gone asked or answered about a digest.
    pub(super) fn new(
        (peer, peer_origin): (NodeId, OriginId),
        version: u16,
        window: Window,
        asked_in: u64,
        now: Time,
    ) -> Self {
        Session {
            peer,
            peer_origin,
            version,
            exchange: Exchange::new(),
            told: now,
            peer_hash: None,
            has_told: false,
            is_first_told: false,
            asked_in,
            answered_in: asked_in,
            owes_answer: None,
            claimed: 0,
            parts: Vec::new(),
            waits_for_others: false,
            window,
            owes_confirm: false,
            told_confirmed: 0,
            owed: Vec::new(),
            is_origin_untaken: false,
            confirmed: None,
            asking: None,
            repairs: Pauses::default(),
            serving: None,
        }
    }

    /// The peer goes on under another origin, and has closed these before; answers the former one.
    pub(super) fn peer_takes_origin(&mut self, origin: OriginId, owed: Vec<Prefix>) -> OriginId {
        (self.claimed, self.owes_confirm, self.owed) = (0, true, owed);
        self.told_confirmed = 0;
        std::mem::replace(&mut self.peer_origin, origin)
    }
}
