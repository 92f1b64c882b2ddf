//! Bugs that are planted, to show that the simulator finds them.

pub use quipu_core::bug::Bug;

/// All of them, by the names that the command line knows.
pub const BUGS: [(&str, Bug); 27] = [
    ("add-on-merge", Bug::AddOnMerge),
    ("digest-over-gap", Bug::DigestOverGap),
    ("fingerprints-ignored", Bug::FingerprintsIgnored),
    ("origin-reused", Bug::OriginReused),
    ("tail-not-synced", Bug::TailNotSynced),
    ("segments-go-first", Bug::SegmentsGoFirst),
    ("links-outlive-removal", Bug::LinksOutliveRemoval),
    ("removals-forgotten", Bug::RemovalsForgotten),
    ("boot-follows-clock", Bug::BootFollowsClock),
    ("id-not-kept", Bug::IdNotKept),
    ("replies-twice", Bug::RepliesTwice),
    ("raises-behind", Bug::RaisesBehind),
    ("wait-counts-links", Bug::WaitCountsLinks),
    ("scan-skips", Bug::ScanSkips),
    ("page-is-short", Bug::PageIsShort),
    ("mac-ignored", Bug::MacIgnored),
    ("wait-ends-all", Bug::WaitEndsAll),
    ("removal-beyond-room", Bug::RemovalBeyondRoom),
    ("answered-before-sync", Bug::AnsweredBeforeSync),
    ("pushed-before-sync", Bug::PushedBeforeSync),
    ("published-early", Bug::PublishedEarly),
    ("claims-the-end", Bug::ClaimsTheEnd),
    ("link-drops-frames", Bug::LinkDropsFrames),
    ("full-claims", Bug::FullClaims),
    ("full-forgets", Bug::FullForgets),
    ("records-claim-all", Bug::RecordsClaimAll),
    ("repair-claims", Bug::RepairClaims),
];
