//! How two nodes come to hold the same records: by hashes, and by asking for what differs.
//!
//! The largest table is some two megabytes, and a node that joins has a link to every other at
//! once; sent by each of a hundred, it would be two hundred. So each side of a new link sends
//! the hashes of its table's parts ([`PARTS`]), two kilobytes, and the side that lacks asks: one peer
//! at a time, some parts at a time. What one has sent the others need not.
//!
//! What is new later is passed on as it is, unless it is much: then the hashes are sent again, to
//! all. The parts' hashes differ where either side lacks something; what was asked for in vain is
//! what the other side will ask for itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::LinkId;
use crate::membership::{PARTS, PARTS_ASKED_MAX};
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::frame::Message;

/// How long an answer may take before another peer is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most records that are passed on as they are: what operators do by hand.
const PASSED_ON_MAX: usize = 32;

/// How long after much that is new the hashes are sent again: the rest of it comes within that.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What the other side of a link holds, as far as it may not be here.
#[derive(Debug)]
struct Said {
    hashes: Vec<u64>,
    /// The parts before this one are the same, or were asked for.
    next: usize,
}

/// Which peer this node asks for records, and for which.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    said: BTreeMap<LinkId, Said>,
    /// The link on which was asked, and until when the answer is awaited.
    asked: Option<(LinkId, Time)>,
    /// When all links are sent our hashes again.
    again: Option<Time>,
}

impl Comparison {
    /// When [`Comparison::go_on`] or [`Comparison::is_to_begin_again`] may have something to do.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let patience = self.asked.filter(|_| !self.said.is_empty()).map(|(_, until)| until);
        patience.into_iter().chain(self.again).min()
    }

    /// The peer of a link has sent its hashes.
    pub(crate) fn heard(&mut self, link: LinkId, hashes: Vec<u64>) {
        self.said.insert(link, Said { hashes, next: 0 });
    }

    /// The link has ended.
    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.said.remove(&link);
        self.answered(link);
    }

    /// The peer of a link has sent all that it was asked for.
    pub(crate) fn answered(&mut self, link: LinkId) {
        self.asked = self.asked.filter(|(asked, _)| *asked != link);
    }

    /// Asks one peer for some parts, if no other is being asked.
    pub(crate) fn go_on(&mut self, ours: &[u64], turn: &mut Turn<'_>) {
        if let Some((link, parts)) = self.ask(turn.now, ours) {
            turn.frame_after_sync(vec![link], &Message::MembershipAsk(parts));
        }
    }

    fn ask(&mut self, now: Time, ours: &[u64]) -> Option<(LinkId, Vec<u8>)> {
        if self.asked.is_some_and(|(_, until)| until > now) {
            return None;
        }
        self.asked = None;
        while let Some(mut entry) = self.said.first_entry() {
            let (link, said) = (*entry.key(), entry.get_mut());
            let parts = said.next_parts(ours);
            if !parts.is_empty() {
                self.asked = Some((link, now + PATIENCE));
                return Some((link, parts));
            }
            entry.remove();
        }
        None
    }

    /// Whether so many new records are to be passed on as they are.
    pub(crate) fn pass_on(&mut self, now: Time, news: usize) -> bool {
        if news > PASSED_ON_MAX {
            self.again.get_or_insert(now + AGAIN_AFTER);
        }
        news <= PASSED_ON_MAX
    }

    /// Whether all links are to be sent our hashes now.
    pub(crate) fn is_to_begin_again(&mut self, now: Time) -> bool {
        let is_due = self.again.is_some_and(|at| at <= now);
        self.again = self.again.filter(|_| !is_due);
        is_due
    }
}

impl Said {
    fn next_parts(&mut self, ours: &[u64]) -> Vec<u8> {
        let mut parts = Vec::new();
        while self.next < PARTS && parts.len() < PARTS_ASKED_MAX {
            let theirs = hash_of(&self.hashes, self.next);
            // Where they have nothing, there is nothing to be asked for.
            if theirs != 0
                && theirs != hash_of(ours, self.next)
                && let Ok(part) = u8::try_from(self.next)
            {
                parts.push(part);
            }
            self.next += 1;
        }
        parts
    }
}

fn hash_of(hashes: &[u64], part: usize) -> u64 {
    hashes.get(part).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    fn all(hash: u64) -> Vec<u64> {
        vec![hash; PARTS]
    }

    #[test]
    fn one_peer_is_asked_at_a_time_and_only_for_what_differs() {
        let mut comparison = Comparison::default();
        let mut theirs = all(7);
        theirs[3] = 8;
        theirs[5] = 0;
        theirs[200] = 9;
        comparison.heard(1, theirs.clone());
        comparison.heard(2, theirs.clone());
        assert_eq!(comparison.ask(NOW, &all(7)), Some((1, vec![3, 200])));
        assert_eq!(comparison.ask(NOW, &all(7)), None, "an answer is awaited");
        comparison.answered(2);
        assert_eq!(comparison.ask(NOW, &all(7)), None, "of another peer");
        comparison.answered(1);
        theirs[5] = 7;
        assert_eq!(comparison.ask(NOW, &theirs), None, "it is all here now");
        assert_eq!(comparison.next_deadline(), None);
    }

    #[test]
    fn everything_is_asked_for_some_parts_at_a_time() {
        let mut comparison = Comparison::default();
        comparison.heard(1, all(7));
        let mut asked = Vec::new();
        while let Some((_, parts)) = comparison.ask(NOW, &[]) {
            assert!(parts.len() <= PARTS_ASKED_MAX);
            asked.extend(parts);
            comparison.answered(1);
        }
        assert_eq!(asked, (0..=u8::MAX).collect::<Vec<u8>>());
    }

    #[test]
    fn a_peer_that_goes_or_does_not_answer_keeps_no_other_waiting() {
        let mut comparison = Comparison::default();
        for link in 1..=3 {
            comparison.heard(link, all(link));
        }
        assert_eq!(comparison.ask(NOW, &[]).unwrap().0, 1);
        comparison.link_down(1);
        assert_eq!(comparison.ask(NOW, &[]).unwrap().0, 2);
        let late = comparison.next_deadline().unwrap();
        assert_eq!(comparison.ask(late, &[]).unwrap().0, 2, "the next parts of the same");
        comparison.link_down(2);
        assert_eq!(comparison.ask(late, &[]).unwrap().0, 3);
    }

    #[test]
    fn little_is_passed_on_as_it_is_and_much_by_one_more_comparison() {
        let mut comparison = Comparison::default();
        assert!(comparison.pass_on(NOW, PASSED_ON_MAX));
        assert!(!comparison.is_to_begin_again(NOW + AGAIN_AFTER));
        assert!(!comparison.pass_on(NOW, PASSED_ON_MAX + 1));
        assert!(!comparison.pass_on(NOW + AGAIN_AFTER / 2, 512));
        assert!(!comparison.is_to_begin_again(NOW + AGAIN_AFTER / 2));
        assert_eq!(comparison.next_deadline(), Some(NOW + AGAIN_AFTER));
        assert!(comparison.is_to_begin_again(NOW + AGAIN_AFTER));
        assert!(!comparison.is_to_begin_again(NOW + 2 * AGAIN_AFTER), "once");
    }
}
