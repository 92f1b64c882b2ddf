//! What a node tells of itself and of its peers.

use std::time::Duration;

use crate::histogram::Histogram;
use crate::identity::{Address, Identity, NodeId, OriginId, Version};

/// A peer as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Registered by hand or rumoured, and has not answered yet.
    Joining,
    /// Answers.
    Alive,
    /// Failed to answer a probe and has some two seconds to prove that it lives.
    Suspect,
    /// Does not answer. Taken back without anyone's help as soon as it does.
    Down,
    /// Removed by an operator. Stays out until it is registered again.
    Removed,
}

impl PeerState {
    /// The word for it in answers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            PeerState::Joining => "joining",
            PeerState::Alive => "alive",
            PeerState::Suspect => "suspect",
            PeerState::Down => "down",
            PeerState::Removed => "removed",
        }
    }
}

/// One row of a node's table of peers.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    /// As it was given by hand, or where it answers.
    pub address: String,
    /// Unknown until it has answered.
    pub node: Option<NodeId>,
    /// How it is.
    pub state: PeerState,
    /// What its link knows, if one stands.
    pub link: Option<LinkStatus>,
    /// Whether `GET /peers` lists it: registered by hand, alive or suspect.
    pub listed: bool,
    /// How much its present origin has added and subtracted, as far as it is known here; see
    /// [`crate::counters::Counters::counted`].
    pub counted: u64,
}

/// How far a peer has confirmed our own changes.
#[derive(Clone, Copy, Debug)]
pub struct LinkStatus {
    /// How many of our batches it has not confirmed as synced.
    pub lag_versions: Version,
    /// How long the oldest of them has been on its way.
    pub lag: Duration,
    /// How many bytes were pushed to it and are not confirmed yet.
    pub unconfirmed_bytes: usize,
    /// Whether it is so far behind that it is sent nothing until it asks.
    pub behind: bool,
}

/// What a node does about settlements at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementPhase {
    /// It takes no part: what it tells others may be lost with its disk's cache.
    Off,
    /// Nothing.
    Idle,
    /// One was asked for and is about to begin.
    Asked,
    /// One is worth it or was asked for, and members cannot be reached.
    Waiting,
    /// One is proposed, and not all have granted it or come to hold what it takes.
    Voting,
    /// Rows are being folded.
    Folding,
}

impl SettlementPhase {
    /// All.
    pub const ALL: [SettlementPhase; 6] = [
        SettlementPhase::Off,
        SettlementPhase::Idle,
        SettlementPhase::Asked,
        SettlementPhase::Waiting,
        SettlementPhase::Voting,
        SettlementPhase::Folding,
    ];

    /// The word for it in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            SettlementPhase::Off => "off",
            SettlementPhase::Idle => "idle",
            SettlementPhase::Asked => "asked",
            SettlementPhase::Waiting => "waiting",
            SettlementPhase::Voting => "voting",
            SettlementPhase::Folding => "folding",
        }
    }
}

/// How far settling has come.
#[derive(Clone, Debug)]
pub struct SettlementStatus {
    /// What is done at the moment.
    pub phase: SettlementPhase,
    /// The one that is proposed.
    pub settlement: Option<OriginId>,
    /// Members that it waits for.
    pub waits_for: Vec<NodeId>,
    /// For how long.
    pub since: Option<Duration>,
    /// How many were folded here since the start.
    pub settled: u64,
    /// How many origins could be folded now.
    pub closed_origins: usize,
    /// How many slots the table holds.
    pub slots: u64,
}

/// What becomes of a member that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentPhase {
    /// It has a disk, and this node removes none of those: an operator may.
    Kept,
    /// Its time is not over.
    Watched,
    /// There is no list of members yet that all of them have known: one has not met all others, or is
    /// of an earlier release, or does not sync what it says.
    NoCommonList,
    /// Those that answer are no majority of all members.
    NoMajority,
    /// A majority answers, and is about to agree.
    Deciding,
}

impl AbsentPhase {
    /// All.
    pub const ALL: [AbsentPhase; 5] = [
        AbsentPhase::Kept,
        AbsentPhase::Watched,
        AbsentPhase::NoCommonList,
        AbsentPhase::NoMajority,
        AbsentPhase::Deciding,
    ];

    /// The word for it in answers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            AbsentPhase::Kept => "kept",
            AbsentPhase::Watched => "watched",
            AbsentPhase::NoCommonList => "no_common_list",
            AbsentPhase::NoMajority => "no_majority",
            AbsentPhase::Deciding => "deciding",
        }
    }
}

/// A member that does not answer and is not removed.
#[derive(Clone, Debug)]
pub struct AbsentStatus {
    /// Who.
    pub node: NodeId,
    /// Where it answered last, if this node has met it.
    pub address: Option<Address>,
    /// Whether it keeps nothing.
    pub in_memory: bool,
    /// For how long this node has seen it away.
    pub away: Duration,
    /// After which time the others remove it, if ever.
    pub removed_after: Option<Duration>,
    /// What becomes of it.
    pub phase: AbsentPhase,
    /// How many members could agree now.
    pub agreed: usize,
    /// Of how many.
    pub of: usize,
}

/// What a node tells of itself.
#[derive(Clone, Debug)]
pub struct Status {
    /// Who it is.
    pub identity: Identity,
    /// By how many milliseconds the wall clocks of most nodes are ahead of this one's; none while no peer
    /// has told what its clock shows.
    pub clock_behind_ms: Option<i64>,
    /// How many batches of its own it has closed.
    pub version: Version,
    /// How many counters exist.
    pub counters: usize,
    /// How many names it holds: of counters that exist, and of those that did.
    pub names: usize,
    /// How many origins it has heard of, itself included.
    pub origins: usize,
    /// Of how many origins this node lacks changes because its table is full.
    pub without_room: usize,
    /// How much this origin has added and subtracted; see
    /// [`crate::counters::Counters::counted`].
    pub counted: u64,
    /// Whether the cluster has removed it.
    pub removed: bool,
    /// Its peers, by address.
    pub peers: Vec<PeerStatus>,
    /// How far settling has come.
    pub settlement: SettlementStatus,
    /// Members that are away.
    pub absent: Vec<AbsentStatus>,
}

impl Status {
    /// The peers that `GET /peers` lists, by address, each once.
    pub fn listed_peers(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().filter(|peer| peer.listed).map(|peer| peer.address.as_str())
    }

    /// Tells of the table what was told of it before: how much was counted, and by how many.
    pub fn take_counts_of(&mut self, before: &Status) {
        self.version = before.version;
        self.counters = before.counters;
        self.names = before.names;
        self.origins = before.origins;
        self.counted = before.counted;
        for peer in &mut self.peers {
            let is_it = |other: &&PeerStatus| other.node.is_some() && other.node == peer.node;
            peer.counted = before.peers.iter().find(is_it).map_or(0, |other| other.counted);
        }
    }

    /// Where this node answers.
    pub fn address(&self) -> &Address {
        &self.identity.address
    }
}

/// Totals since the start; each only grows, but for the ones said to be a level.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Operations that added or subtracted.
    pub increments: u64,
    /// Operations that raised.
    pub raises: u64,
    /// Operations that set, bound, end or limit counters.
    pub updates: u64,
    /// Operations that read.
    pub reads: u64,
    /// Operations refused because the value would have left i64.
    pub refused_overflow: u64,
    /// Raises refused because this node was known to be behind.
    pub refused_behind: u64,
    /// Operations refused because the table was full, and deltas of peers for this or for want of
    /// memory.
    pub refused_full: u64,
    /// Operations on new names refused because there was no memory for them.
    pub refused_memory: u64,
    /// Operations refused because this node was removed, or a peer would not understand them.
    pub refused_ends: u64,
    /// Own batches closed.
    pub batches: u64,
    /// Counters that they changed; divided by `batches`, the mean size of one.
    pub batch_entries: u64,
    /// Deltas pushed, counted once for each link.
    pub deltas_sent: u64,
    /// Deltas received by push.
    pub deltas_received: u64,
    /// Bytes of frames sent on links, with their lengths.
    pub link_bytes_sent: u64,
    /// Bytes of frames received on links, with their lengths.
    pub link_bytes_received: u64,
    /// Pushes left out because a link was too far behind.
    pub pushes_withheld: u64,
    /// For each push and peer, how long it took from the acceptance of its oldest change here until
    /// the peer's word was here that it has merged and synced it. Both ends are read from this
    /// node's own monotonic clock: no other clock is trusted, and the word's way back is counted
    /// in. Pushes withheld from a peer are one when it has caught up; what went lost with a link is
    /// not in it.
    pub confirmation: Histogram,
    /// For each push received that brought something new, how old its oldest change was when it
    /// was merged and synced here. Three times are added up, and no clock of one node is compared
    /// with another's: how old it was when it left (the sender's monotonic clock), half of the
    /// shortest of the last round trips on that link, nothing while there is none, and the time
    /// from arrival to sync (this node's monotonic clock).
    pub convergence: Histogram,
    /// Deltas that arrived beyond a gap.
    pub gaps: u64,
    /// Times that a peer was asked for what we lack.
    pub catch_ups_asked: u64,
    /// Times that a peer asked us.
    pub catch_ups_served: u64,
    /// Slots sent to peers that asked.
    pub catch_up_slots_sent: u64,
    /// Slots received because we asked.
    pub catch_up_slots_received: u64,
    /// Parts of answers that this node did not ask for, or no longer awaits.
    pub parts_unasked: u64,
    /// Claims of a peer's own changes that it had never made, taken back when it said so.
    pub claims_taken_back: u64,
    /// Repairs: equal versions with different fingerprints, all slots asked for.
    pub repairs: u64,
    /// Links established.
    pub links_established: u64,
    /// Frames that ended a link because they broke the protocol.
    pub bad_frames: u64,
    /// Hellos refused.
    pub hellos_refused: u64,
    /// Peers' claims of changes of our own origin that we never made.
    pub foreign_writes: u64,
    /// Datagrams that were none of ours: wrong magic, length or version.
    pub datagrams_malformed: u64,
    /// Datagrams with a wrong or missing MAC, or of another cluster.
    pub datagrams_foreign: u64,
    /// Records of removals and registrations with epochs that are nobody's.
    pub records_refused: u64,
    /// Datagrams of removed nodes.
    pub datagrams_removed: u64,
    /// Beacons, and other messages of strangers, over the rate that is looked at.
    pub beacons_limited: u64,
    /// Beacons sent.
    pub beacons_sent: u64,
    /// Beacons heard from others, replays and echoes not counted.
    pub beacons_heard: u64,
    /// Times that somebody was not taken for a member because there are as many as may be.
    pub members_refused: u64,
    /// Members that were removed because they were away.
    pub absent_removed: u64,
    /// Nodes that were removed so, and registered again by this node when they spoke.
    pub absent_back: u64,
    /// Messages of the membership protocol that were not taken: for a life that is over, or such.
    pub swim_refused: u64,
    /// Faults in the membership protocol's own state.
    pub swim_faults: u64,
    /// Membership messages sent.
    pub swim_sent: u64,
    /// Membership messages received.
    pub swim_received: u64,
}

impl Totals {
    /// Operations that may have changed something.
    pub(crate) fn writes(&self) -> u64 {
        self.increments + self.raises + self.updates
    }
}
