//! Who must agree that a member is removed for absence (rule `majority-of-all-members`).
//!
//! Members join without anyone's leave, and in a split each side may know newcomers of which the
//! other has not heard; were they counted, a side could grow a majority. So what counts is a list
//! that all its members are known to have known, *common*: all later lists of all its members hold it.
//! A newcomer beyond it adds nothing when it agrees, and counts against when it does not. Whatever
//! list between the common one and ours another side goes by, those who agreed here are a majority
//! of that too, and two majorities of one list share a member.

use std::collections::BTreeSet;

use crate::settlement::Voter;

/// How many agree, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) agreed: usize,
    pub(crate) of: usize,
}

impl Share {
    /// Whether it is a strict majority.
    pub(crate) fn is_majority(self) -> bool {
        2 * self.agreed > self.of
    }

    /// How many more would have to agree.
    fn lacks(self) -> usize {
        (self.of / 2 + 1).saturating_sub(self.agreed)
    }
}

/// The share of those who agree, in the common list of which it is the smallest; `None` if there is no
/// such list. `list`: all members.
pub(crate) fn share(
    commons: &[Vec<Voter>],
    list: &[Voter],
    agreed: &BTreeSet<Voter>,
) -> Option<Share> {
    let of_common = |common: &Vec<Voter>| {
        let is_common = |voter: &&Voter| common.contains(voter);
        let counted: Vec<&Voter> = list.iter().filter(is_common).collect();
        let newcomers = list.iter().filter(|voter| !common.contains(voter));
        let against = newcomers.filter(|voter| !agreed.contains(voter)).count();
        let share = Share {
            agreed: counted.iter().filter(|voter| agreed.contains(**voter)).count(),
            of: counted.len() + against,
        };
        (!counted.is_empty()).then_some(share)
    };
    commons.iter().filter_map(of_common).max_by_key(|share| (share.lacks(), share.of))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeId;

    fn voters(nodes: &[u64]) -> Vec<Voter> {
        nodes.iter().map(|node| Voter { node: NodeId(*node), epoch: 0 }).collect()
    }

    fn is_majority(commons: &[&[u64]], list: &[u64], agreed: &[u64]) -> bool {
        let commons: Vec<Vec<Voter>> = commons.iter().map(|common| voters(common)).collect();
        let agreed = voters(agreed).into_iter().collect();
        share(&commons, &voters(list), &agreed).is_some_and(Share::is_majority)
    }

    #[test]
    fn half_of_the_members_are_no_majority_and_one_more_is() {
        assert!(!is_majority(&[&[1, 2]], &[1, 2], &[1]), "one of two");
        assert!(!is_majority(&[&[1, 2, 3, 4]], &[1, 2, 3, 4], &[1, 2]));
        assert!(is_majority(&[&[1, 2, 3]], &[1, 2, 3], &[1, 2]));
        assert!(!is_majority(&[&[1, 2, 3, 4, 5]], &[1, 2, 3, 4, 5], &[1, 2]));
        assert!(is_majority(&[&[1, 2, 3, 4, 5]], &[1, 2, 3, 4, 5], &[1, 2, 3]));
        assert!(!is_majority(&[], &[1, 2, 3], &[1, 2, 3]), "no list that all have known");
    }

    #[test]
    fn those_who_are_no_members_any_more_do_not_count() {
        assert!(is_majority(&[&[1, 2, 3, 4]], &[1, 2, 4], &[1, 2]), "3 was removed");
    }

    /// `A B C D E are split into A B C and D E, and E takes in F, G and H.`
    #[test]
    fn newcomers_make_no_majority_of_a_minority() {
        let common: &[&[u64]] = &[&[1, 2, 3, 4, 5]];
        assert!(!is_majority(common, &[1, 2, 3, 4, 5, 6, 7, 8], &[4, 5, 6, 7, 8]));
        assert!(is_majority(common, &[1, 2, 3, 4, 5], &[1, 2, 3]));
    }

    #[test]
    fn a_newcomer_that_does_not_agree_counts_against() {
        assert!(is_majority(&[&[1, 2, 3]], &[1, 2, 3, 4], &[1, 2, 4]));
        assert!(!is_majority(&[&[1, 2, 3]], &[1, 2, 3, 4], &[1, 2]));
    }

    /// `F to J find A, whose cluster A B C does not know them yet.`
    #[test]
    fn each_of_two_clusters_that_have_just_met_must_have_its_own_majority() {
        let commons: &[&[u64]] = &[&[1, 2, 3], &[6, 7, 8, 9, 10]];
        let list = [1, 2, 3, 6, 7, 8, 9, 10];
        assert!(!is_majority(commons, &list, &[1, 6, 7, 8, 9, 10]));
        assert!(is_majority(commons, &list, &[1, 2, 6, 7, 8, 9, 10]));
    }

    /// Any two majorities of any lists between what is common and what is known share a member.
    #[test]
    fn majorities_meet_whatever_newcomers_each_side_counts() {
        let list = |bits: u32| (0..7_u64).filter(|n| bits & (1 << n) != 0).collect::<Vec<u64>>();
        // The first three are common to one side, more of them to the other, which knows newcomers.
        for common in [0b000_0111, 0b000_1111, 0b001_1111] {
            for (known_here, known_there) in [(0b001_1111, 0b111_1111), (0b011_1111, 0b101_1111)] {
                for here in 0..1_u32 << 7 {
                    let there = !here & known_there;
                    let here = here & known_here;
                    let holds_here = is_majority(&[&[0, 1, 2]], &list(known_here), &list(here));
                    let holds_there =
                        is_majority(&[&list(common)], &list(known_there), &list(there));
                    assert!(!(holds_here && holds_there), "{here:b} and {there:b} of {common:b}");
                }
            }
        }
    }
}
