//! Bugs that are planted, to show that the simulator finds them.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// In the protocol, or in how it keeps and recovers.
    Core(quipu_core::bug::Bug),
}

/// All of them, by the names that the command line knows.
pub const BUGS: [(&str, Bug); 21] = [
    ("add-on-merge", Bug::Core(quipu_core::bug::Bug::AddOnMerge)),
    ("digest-over-gap", Bug::Core(quipu_core::bug::Bug::DigestOverGap)),
    ("fingerprints-ignored", Bug::Core(quipu_core::bug::Bug::FingerprintsIgnored)),
    ("origin-reused", Bug::Core(quipu_core::bug::Bug::OriginReused)),
    ("tail-not-synced", Bug::Core(quipu_core::bug::Bug::TailNotSynced)),
    ("segments-go-first", Bug::Core(quipu_core::bug::Bug::SegmentsGoFirst)),
    ("links-outlive-removal", Bug::Core(quipu_core::bug::Bug::LinksOutliveRemoval)),
    ("removals-forgotten", Bug::Core(quipu_core::bug::Bug::RemovalsForgotten)),
    ("boot-follows-clock", Bug::Core(quipu_core::bug::Bug::BootFollowsClock)),
    ("id-not-kept", Bug::Core(quipu_core::bug::Bug::IdNotKept)),
    ("replies-twice", Bug::Core(quipu_core::bug::Bug::RepliesTwice)),
    ("raises-behind", Bug::Core(quipu_core::bug::Bug::RaisesBehind)),
    ("wait-counts-links", Bug::Core(quipu_core::bug::Bug::WaitCountsLinks)),
    ("scan-skips", Bug::Core(quipu_core::bug::Bug::ScanSkips)),
    ("page-is-short", Bug::Core(quipu_core::bug::Bug::PageIsShort)),
    ("mac-ignored", Bug::Core(quipu_core::bug::Bug::MacIgnored)),
    ("wait-ends-all", Bug::Core(quipu_core::bug::Bug::WaitEndsAll)),
    ("removal-beyond-room", Bug::Core(quipu_core::bug::Bug::RemovalBeyondRoom)),
    ("answered-before-sync", Bug::Core(quipu_core::bug::Bug::AnsweredBeforeSync)),
    ("pushed-before-sync", Bug::Core(quipu_core::bug::Bug::PushedBeforeSync)),
    ("published-early", Bug::Core(quipu_core::bug::Bug::PublishedEarly)),
];
