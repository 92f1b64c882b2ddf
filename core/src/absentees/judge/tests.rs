use super::*;
use crate::absence::Removal;

/// What node `me` sees, whose members are all that are listed.
struct Site {
    me: NodeId,
    absences: Absences,
    list: Vec<Voter>,
    there: BTreeSet<NodeId>,
    absent: BTreeSet<NodeId>,
}

fn voter(node: u64) -> Voter {
    Voter { node: NodeId(node), epoch: 0 }
}

fn absentee(node: u64) -> Absentee {
    Absentee { member: voter(node), removed: 7 }
}

impl Site {
    /// One of five, of which the last two are away.
    fn new(me: u64) -> Self {
        let list: Vec<Voter> = (1..=5).map(voter).collect();
        let mut site = Site {
            me: NodeId(me),
            absences: Absences::default(),
            list: list.clone(),
            there: (1..=3).map(NodeId).collect(),
            absent: (4..=5).map(NodeId).collect(),
        };
        site.hears(&AbsenceEntry::Common(list));
        site
    }

    fn view(&self) -> View<'_> {
        View {
            me: self.me,
            absences: &self.absences,
            list: &self.list,
            there: &self.there,
            absent: &self.absent,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }

    fn hears(&mut self, entry: &AbsenceEntry) -> bool {
        let list = self.list.clone();
        let is_new = self.absences.merge(entry, |voter| list.contains(voter));
        if let AbsenceEntry::Removal(removal) = entry {
            self.list.retain(|voter| *voter != removal.absentee.member);
            self.absent.remove(&removal.absentee.member.node);
        }
        is_new
    }

    /// Says all that there is to say.
    fn says(&mut self) -> Vec<AbsenceEntry> {
        let mut said = Vec::new();
        while let Some(entry) = self.view().next() {
            assert!(self.hears(&entry), "{entry:?} changes nothing");
            said.push(entry);
        }
        said
    }

    fn calls(&mut self, node: u64) -> AbsenceEntry {
        let call = AbsenceEntry::Call(self.view().call(absentee(node)));
        self.hears(&call);
        call
    }
}

fn removals(said: &[AbsenceEntry]) -> Vec<u64> {
    let removal = |entry: &AbsenceEntry| match entry {
        AbsenceEntry::Removal(Removal { absentee, .. }) => Some(absentee.member.node.0),
        _ => None,
    };
    said.iter().filter_map(removal).collect()
}

/// Carries what each says to all others until there is no more to say; who was removed, as each says.
fn talk(sites: &mut [Site]) -> Vec<Vec<u64>> {
    let mut removed = vec![Vec::new(); sites.len()];
    loop {
        let mut is_over = true;
        for from in 0..sites.len() {
            let said = sites[from].says();
            removed[from].extend(removals(&said));
            for entry in &said {
                is_over = false;
                for (to, site) in sites.iter_mut().enumerate() {
                    if to != from && site.hears(entry) {
                        removed[to].extend(removals(std::slice::from_ref(entry)));
                    }
                }
            }
        }
        if is_over {
            return removed;
        }
    }
}

/// A site that is called by another one.
fn called(sites: &mut [Site], by: usize, node: u64) {
    let call = sites[by].calls(node);
    for site in sites {
        site.hears(&call);
    }
}

/// Rule `one-removal-a-term`.
#[test]
fn three_of_five_remove_the_two_that_are_away_one_after_the_other() {
    let mut sites = [Site::new(1), Site::new(2), Site::new(3)];
    for node in [4, 5] {
        assert_eq!(sites[0].view().candidate(), Some(voter(node)));
        called(&mut sites, 0, node);
        assert_eq!(talk(&mut sites), vec![vec![node]; 3]);
    }
    assert_eq!(sites[2].list.len(), 3);
    assert_eq!((sites[0].absences.term(), sites[0].view().candidate()), (2, None));
}

/// Rule `majority-of-all-members`.
#[test]
fn two_of_five_call_for_nothing_and_decide_nothing() {
    let mut sites = [Site::new(1), Site::new(2)];
    for site in &mut sites {
        site.there = [1, 2].map(NodeId).into();
        site.absent = [3, 4, 5].map(NodeId).into();
    }
    assert_eq!(sites[0].view().candidate(), None);
    called(&mut sites, 0, 4);
    assert_eq!(talk(&mut sites), vec![Vec::<u64>::new(); 2]);
}

/// Rule `common-list`: `a voter knows a member that the caller does not.`
#[test]
fn who_knows_other_members_than_the_caller_has_no_part_in_it() {
    let mut site = Site::new(2);
    let call = Site::new(1).calls(4);
    site.list.push(voter(6));
    site.hears(&call);
    assert_eq!(site.says(), []);
}

/// Rule `away-by-ones-own-clock`.
#[test]
fn who_has_not_seen_it_away_for_long_enough_does_not_agree() {
    let mut site = Site::new(2);
    let call = Site::new(1).calls(4);
    site.hears(&call);
    site.absent.clear();
    assert_eq!(site.says(), []);
    site.absent.insert(NodeId(4));
    assert_eq!(site.says().len(), 1);
}

/// Rule `one-removal-a-term`: `A and B have agreed to remove D, as all that heard of it; then B is cut
/// off with C, D and E, who do not see A for long.` What may have been decided comes first.
#[test]
fn what_may_have_been_decided_is_brought_to_its_end_before_anything_else() {
    let mut sites = [Site::new(1), Site::new(2), Site::new(3)];
    called(&mut sites, 0, 4);
    let promises: Vec<AbsenceEntry> = sites.iter_mut().flat_map(Site::says).collect();
    for promise in &promises {
        sites[0].hears(promise);
    }
    let chosen = sites[0].says();
    assert!(matches!(chosen[..], [AbsenceEntry::Call(_), AbsenceEntry::Stance(_)]));
    for entry in &chosen {
        sites[1].hears(entry);
    }
    assert_eq!(sites[1].says().len(), 1, "it agrees, and A hears nothing of it any more");
    let [_, second, third] = sites;
    let (mut fourth, mut fifth) = (Site::new(4), Site::new(5));
    let told: Vec<AbsenceEntry> = second.absences.entries().collect();
    let mut other_side = [second, third];
    for site in other_side.iter_mut().chain([&mut fourth, &mut fifth]) {
        site.there = (2..=5).map(NodeId).collect();
        site.absent = [NodeId(1)].into();
        for entry in &told {
            site.hears(entry);
        }
    }
    let [second, third] = other_side;
    let mut sites = [second, third, fourth, fifth];
    called(&mut sites, 0, 1);
    assert_eq!(talk(&mut sites), vec![vec![4]; 4]);
}

/// Rule `one-removal-a-term`: `B has promised A's attempt, forgets it and takes part in an earlier one.`
#[test]
fn who_has_promised_a_later_attempt_takes_part_in_no_earlier_one() {
    let mut caller = Site::new(1);
    let earlier = caller.calls(4);
    let later = caller.calls(5);
    let mut site = Site::new(2);
    site.hears(&later);
    assert_eq!(site.says().len(), 1);
    assert!(!site.hears(&earlier), "the later one is known");
    let AbsenceEntry::Call(earlier) = earlier else { panic!("a call") };
    let mut forgetful = Site::new(2);
    for stance in site.absences.stances() {
        forgetful.hears(&AbsenceEntry::Stance(*stance));
    }
    forgetful.hears(&AbsenceEntry::Call(earlier.clone()));
    forgetful.hears(&AbsenceEntry::Call(Call { is_chosen: true, ..earlier }));
    assert_eq!(forgetful.says(), []);
}

#[test]
fn a_list_that_holds_an_earlier_one_takes_its_place() {
    let mut site = Site::new(1);
    let some: Vec<Voter> = (1..=3).map(voter).collect();
    assert!(!site.hears(&AbsenceEntry::Common(some)), "all of it is in the one that is known");
    let more: Vec<Voter> = (1..=6).map(voter).collect();
    site.list.push(voter(6));
    assert!(site.hears(&AbsenceEntry::Common(more.clone())));
    assert_eq!(site.absences.commons(), Some(&[more][..]));
}

#[test]
fn a_list_too_many_ends_all_removals_until_one_holds_all() {
    let mut site = Site::new(1);
    let most = 2 * super::super::ledger::COMMONS_MAX as u64;
    site.list = (1..=most + 10).map(voter).collect();
    for pair in 0..most / 2 {
        let pair = [voter(6 + 2 * pair), voter(7 + 2 * pair)];
        site.hears(&AbsenceEntry::Common(pair.to_vec()));
    }
    assert_eq!(site.absences.commons(), None);
    assert_eq!(site.view().attainable(), None);
    let all = site.list.clone();
    assert!(site.hears(&AbsenceEntry::Common(all.clone())));
    assert_eq!(site.absences.commons(), Some(&[all][..]));
}
