//! Bugs that the simulator must find.

/// A bug that the simulator must find. Test builds plant one to prove that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Merging adds numbers instead of taking the larger.
    AddOnMerge,
    /// The digest advances over a gap.
    DigestOverGap,
    /// Different fingerprints at equal versions are not repaired.
    FingerprintsIgnored,
    /// A start counts on under the origin of an earlier one, as far as the disk remembers it.
    OriginReused,
    /// A start shows a recovered tail that is not synced yet.
    TailNotSynced,
    /// A snapshot removes what it replaces before it is synced itself.
    SegmentsGoFirst,
    /// A removal ends no link.
    LinksOutliveRemoval,
    /// A start forgets who was removed.
    RemovalsForgotten,
    /// A start's boot is what the wall clock says, be it before the last one's.
    BootFollowsClock,
    /// A raise does not wait until the node is not known to be behind.
    RaisesBehind,
    /// Who lacks the secret is heard as well.
    MacIgnored,
    /// One client too many that waits for peers has all others answered.
    WaitEndsAll,
    /// A removal for which there is no room is acknowledged.
    RemovalBeyondRoom,
    /// A client that waits for peers is told how many are linked.
    WaitCountsLinks,
    /// A scan leaves out a name after each step.
    ScanSkips,
    /// A listing leaves out the last row of a page.
    PageIsShort,
    /// An increment is answered with a value that holds it twice.
    RepliesTwice,
    /// A start takes a fresh id though the disk tells of one.
    IdNotKept,
    /// Replies leave when their batch closes, not when it is synced.
    AnsweredBeforeSync,
    /// A batch counts as synced, and is pushed, when it closes.
    PushedBeforeSync,
    /// A snapshot takes effect before the journal is synced past what the walk has seen.
    PublishedEarly,
    /// A catch-up claims what its sender holds when the walk ends.
    ClaimsTheEnd,
    /// A link without room for a frame drops it and stands.
    LinkDropsFrames,
    /// A full table claims what it had no room for.
    FullClaims,
    /// A full table does not keep what it took of a delta.
    FullForgets,
    /// Each record of a delta that is cut claims its whole range.
    RecordsClaimAll,
    /// A repair believes the claims of records behind the damage.
    RepairClaims,
    /// Of a slot that is less than the cover on it less than nothing is left.
    CoverBelowZero,
    /// A reset does not cover its own node's slot.
    ResetSparesOwn,
    /// A reset covers no lifetimes.
    ResetSparesLifetimes,
    /// A snapshot leaves out what was said about ends.
    SnapshotForgetsEndings,
    /// A catch-up sends slots without what was said about ends.
    ScanForgetsEndings,
    /// What was said about ends is in no fingerprint.
    EndingsNotHashed,
    /// Whether a counter has expired is judged when its lifetime comes, not when it is read.
    ExpiryJudgedEarly,
    /// The journal forgets what batches behind the first of those written together say about ends.
    JournalForgetsEndings,
    /// A settlement is folded before all is here that was closed with its grants.
    FoldsEarly,
    /// A voter adopts no covers of others before it grants.
    AdoptsNothing,
    /// A voter goes on under the origin that it has closed with its grant.
    GrantClosesNothing,
    /// A fold counts no covers on whole settlements.
    FoldSparesWholes,
    /// What has gone into a settlement is taken from others again.
    TakesWhatIsGone,
    /// A reset covers each slot, and names no settlement.
    ResetNamesNothing,
    /// The journal keeps no votes.
    VotesForgotten,
    /// A majority is counted over the members that are up, not over all.
    MajorityOfThoseUp,
    /// The journal keeps no stances on removals for absence.
    StancesForgotten,
    /// No member registers again what was removed for absence and is met.
    AbsenteesStayOut,
}
