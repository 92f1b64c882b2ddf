use super::*;
use crate::delta::{Change, Delta};
use crate::identity::Version;
use crate::membership::MembershipRecord;
use crate::settlement::Entry;
use crate::slot::{Numbers, Slot};

const Z: OriginId = OriginId(1_000);
const M: OriginId = OriginId(11);

/// What node `me` of three sees: it holds a closed origin whole.
struct Site {
    me: NodeId,
    ledger: Ledger,
    registry: Registry,
    counters: Counters,
}

fn voter(node: u64) -> Voter {
    Voter { node: NodeId(node), epoch: 0 }
}

/// What a node closes with its grant.
fn granted(node: u64) -> Prefix {
    Prefix { origin: OriginId(100 + node), version: 0, fingerprint: 0 }
}

impl Site {
    fn new(me: u64) -> Self {
        let mut site = Site {
            me: NodeId(me),
            ledger: Ledger::default(),
            registry: Registry::default(),
            counters: Counters::new(OriginId(500 + me), 0),
        };
        for node in 1..=3 {
            site.hears(&Entry::Member { node: NodeId(node), removed: 0, registered: 0 });
        }
        site.holds(M, 1);
        let closed = site.prefix(M);
        site.hears(&Entry::Close(closed));
        site
    }

    fn holds(&mut self, origin: OriginId, upto: Version) {
        let slot = Slot::from(Numbers { plus: 10 * upto, ..Numbers::default() });
        let changes = vec![Change::slot("x", slot)];
        self.counters.merge(&Delta { origin, after: 0, upto, changes }).unwrap();
    }

    fn prefix(&self, origin: OriginId) -> Prefix {
        let known = self.counters.known(origin);
        Prefix { origin, version: known.version, fingerprint: known.fingerprint }
    }

    fn hears(&mut self, entry: &Entry) {
        self.ledger.merge(entry, &mut self.counters);
    }

    fn view(&self) -> View<'_> {
        View {
            me: self.me,
            ledger: &self.ledger,
            registry: &self.registry,
            counters: &self.counters,
        }
    }

    fn is_proposed(&mut self, settlement: OriginId) -> Proposal {
        let proposal = self.view().propose(settlement);
        self.hears(&Entry::Proposal(proposal.clone()));
        proposal
    }

    fn votes(&mut self, settlement: OriginId, node: u64, ballot: Ballot) {
        let voter = voter(node);
        self.hears(&Entry::Vote(Vote { settlement, voter, ballot }));
    }

    fn removes(&mut self, node: u64) {
        let key = Key::Node(NodeId(node));
        self.registry.merge(&MembershipRecord { key, removed: 5, registered: 0 });
    }

    fn next(&self) -> Option<Act> {
        self.view().next_act()
    }

    fn refuses(&self) -> bool {
        matches!(self.next(), Some(Act::Vote(Vote { ballot: Ballot::Refuse, .. })))
    }

    fn grants(&self) -> bool {
        matches!(self.next(), Some(Act::Grant(..)))
    }
}

/// Rule `final-votes`.
#[test]
fn a_voter_grants_what_it_holds_whole_and_waits_for_what_may_still_come() {
    let mut site = Site::new(1);
    let proposal = site.is_proposed(Z);
    assert_eq!((proposal.members.len(), proposal.voters.len()), (1, 3));
    assert!(site.grants());
    let mut behind = Site { counters: Counters::new(OriginId(9), 0), ..Site::new(2) };
    behind.hears(&Entry::Proposal(proposal.clone()));
    assert_eq!(behind.next(), None, "the origin may still come");
    behind.holds(M, 1);
    assert!(behind.grants());
}

/// Rule `final-votes`.
#[test]
fn what_can_never_be_granted_is_refused() {
    let proposal = Site::new(1).is_proposed(Z);
    let with = |change: fn(&mut Site, &mut Proposal)| {
        let (mut site, mut proposal) = (Site::new(1), proposal.clone());
        change(&mut site, &mut proposal);
        site.hears(&Entry::Proposal(proposal));
        site.refuses()
    };
    assert!(!with(|_, _| {}));
    // It knows a member that was not asked.
    assert!(with(|site, _| {
        site.hears(&Entry::Member { node: NodeId(4), removed: 0, registered: 0 });
    }));
    assert!(with(|site, _| site.removes(3)));
    // It holds more than what is said to be all.
    assert!(with(|site, _| site.holds(M, 2)));
    assert!(with(|_, proposal| proposal.members[0].fingerprint += 1));
    // It has granted another one that may still come to pass.
    assert!(with(|site, proposal| {
        let other = OriginId(2_000);
        site.hears(&Entry::Proposal(Proposal { settlement: other, ..proposal.clone() }));
        site.votes(other, 1, Ballot::Grant(granted(1)));
    }));
}

/// Rule `abandon-then-follow`.
#[test]
fn a_refusal_frees_who_has_granted_for_another() {
    let mut site = Site::new(1);
    let proposal = site.is_proposed(Z);
    site.votes(Z, 1, Ballot::Grant(granted(1)));
    let other = Proposal { settlement: OriginId(2_000), ..proposal.clone() };
    site.votes(Z, 2, Ballot::Refuse);
    assert!(site.view().is_dead(&proposal));
    site.hears(&Entry::Proposal(other));
    assert!(site.grants());
}

/// Rule `fold-what-was-granted`: no voter folds before all that was granted is here.
#[test]
fn who_has_all_grants_folds_when_all_that_was_closed_with_them_is_here() {
    let mut site = Site::new(1);
    site.is_proposed(Z);
    let late = OriginId(102);
    let mut writer = Site::new(2);
    writer.holds(late, 1);
    let closed = writer.prefix(late);
    site.votes(Z, 1, Ballot::Grant(granted(1)));
    site.votes(Z, 3, Ballot::Grant(granted(3)));
    assert_eq!(site.next(), None);
    site.votes(Z, 2, Ballot::Grant(closed));
    assert_eq!(site.next(), None, "what B wrote is not here");
    site.holds(late, 1);
    assert!(matches!(site.next(), Some(Act::Fold(_, closed)) if closed.len() == 3));
}

/// Rule `abandon-then-follow`: `A, B and C abandon, since D was removed; D's grant is heard of.` A folded alone.
#[test]
fn who_has_abandoned_folds_only_behind_a_member_that_has_folded() {
    let mut site = Site::new(1);
    site.is_proposed(Z);
    site.votes(Z, 1, Ballot::Grant(granted(1)));
    site.removes(3);
    let abandons =
        Act::Vote(Vote { settlement: Z, voter: voter(1), ballot: Ballot::Abandon(granted(1)) });
    assert_eq!(site.next(), Some(abandons));
    site.votes(Z, 1, Ballot::Abandon(granted(1)));
    site.votes(Z, 2, Ballot::Grant(granted(2)));
    site.votes(Z, 3, Ballot::Fold(granted(3)));
    assert_eq!(site.next(), None, "the one that has folded is no member");
    site.votes(Z, 2, Ballot::Fold(granted(2)));
    assert!(matches!(site.next(), Some(Act::Fold(..))));
}

/// Rule `abandon-then-follow`: `A has granted and removes B.` It waited for ever.
#[test]
fn a_settlement_is_over_when_all_that_are_left_have_abandoned_it() {
    let mut site = Site::new(1);
    let proposal = site.is_proposed(Z);
    site.votes(Z, 1, Ballot::Abandon(granted(1)));
    site.removes(3);
    assert!(!site.view().is_dead(&proposal));
    site.votes(Z, 2, Ballot::Abandon(granted(2)));
    assert!(site.view().is_dead(&proposal));
    site.votes(Z, 2, Ballot::Fold(granted(2)));
    assert!(!site.view().is_dead(&proposal), "a member has folded it");
}

/// Rule `no-cover-while-behind`: `J knows of the settlement and has a's row, but not all of a; it
/// deletes; A and B fold.` The delete was void.
#[test]
fn who_is_no_voter_ends_nothing_before_all_that_is_to_be_folded_is_here() {
    let proposal = Site::new(1).is_proposed(Z);
    let mut joiner = Site { me: NodeId(9), ..Site::new(1) };
    joiner.counters = Counters::new(OriginId(9), 0);
    joiner.hears(&Entry::Proposal(proposal));
    assert_eq!((joiner.view().behind(), joiner.view().pending()), (Some(Z), Vec::new()));
    joiner.holds(M, 1);
    assert_eq!((joiner.view().behind(), joiner.view().pending()), (None, vec![Z]));
    joiner.votes(Z, 1, Ballot::Fold(granted(1)));
    assert_eq!(joiner.view().behind(), Some(Z), "others have folded it");
}

/// Rule `reset`: a voter names what it has granted, until it is refused.
/// Rule `no-cover-while-behind`: `A settles alone, of nothing, before it has met any other; J hears of it,
/// and A is gone for good.` J held back every set until an operator removed A (seed 272).
#[test]
fn who_lacks_a_settlement_of_nothing_lacks_nothing() {
    let mut joiner = Site::new(9);
    let nothing =
        Proposal { settlement: Z, members: Vec::new(), voters: vec![voter(1)], cutoff_ms: 0 };
    joiner.hears(&Entry::Proposal(nothing));
    assert_eq!(joiner.view().behind(), None);
    joiner.votes(Z, 1, Ballot::Grant(granted(1)));
    joiner.votes(Z, 1, Ballot::Fold(granted(1)));
    assert_eq!(joiner.view().behind(), None);
}

#[test]
fn a_voter_names_what_it_has_granted_until_another_refuses_it() {
    let mut site = Site::new(1);
    site.is_proposed(Z);
    assert_eq!(site.view().pending(), Vec::new());
    site.votes(Z, 1, Ballot::Grant(granted(1)));
    assert_eq!(site.view().pending(), [Z]);
    site.votes(Z, 2, Ballot::Refuse);
    assert_eq!(site.view().pending(), Vec::new());
}
