//! Bugs that are planted, to show that the simulator finds them.

use quipu_core::node;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the protocol, or in how it keeps and recovers.
    Core(node::Bug),
    /// Clients are answered when a batch is written, before it is synced.
    AnsweredBeforeSync,
    /// The node is told that a batch is synced when it is written: it pushes it.
    PushedBeforeSync,
    /// A snapshot becomes valid before the journal that covers it is synced.
    PublishedEarly,
}

/// All of them, by the names that the command line knows.
pub const BUGS: [(&str, Bug); 11] = [
    ("add-on-merge", Bug::Core(node::Bug::AddOnMerge)),
    ("digest-over-gap", Bug::Core(node::Bug::DigestOverGap)),
    ("fingerprints-ignored", Bug::Core(node::Bug::FingerprintsIgnored)),
    ("origin-reused", Bug::Core(node::Bug::OriginReused)),
    ("tail-not-synced", Bug::Core(node::Bug::TailNotSynced)),
    ("segments-go-first", Bug::Core(node::Bug::SegmentsGoFirst)),
    ("links-outlive-removal", Bug::Core(node::Bug::LinksOutliveRemoval)),
    ("removals-forgotten", Bug::Core(node::Bug::RemovalsForgotten)),
    ("answered-before-sync", Bug::AnsweredBeforeSync),
    ("pushed-before-sync", Bug::PushedBeforeSync),
    ("published-early", Bug::PublishedEarly),
];
