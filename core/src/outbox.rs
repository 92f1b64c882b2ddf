//! What may leave a node, and when.
//!
//! A node answers each input with effects. Some may leave at once; all that was read from the table
//! must wait until everything that the table was made of is synced (rule `publish-after-sync`). The
//! [`Outbox`] holds those back, batch by batch, and lets them go in their order. Every driver of a
//! node runs it: the server, the simulator and the tests.

use std::collections::VecDeque;

use crate::effect::Effect;
use crate::status::Totals;
use crate::storage::records::Records;
use crate::time::Time;
use crate::turn::Turn;

/// The effects of the inputs since the last batch was closed, in the order in which they must be
/// carried out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Let go at once: nothing in it was read from the table.
    pub at_once: Vec<Effect>,
    /// Append these records to the journal and sync it. Empty if the batch changed nothing, and
    /// always where nothing is kept.
    pub journal: Records,
    /// Let go when `journal` and all before it is synced.
    pub after_sync: Vec<Effect>,
}

impl Effects {
    /// Whether the batch that is open has to be closed for their sake: something of them waits for
    /// the disk, or for what is on its way there.
    pub fn must_wait(&self) -> bool {
        !self.journal.is_empty() || !self.after_sync.is_empty()
    }

    /// A step whose effects are added to these.
    pub(crate) fn turn<'a>(&'a mut self, now: Time, totals: &'a mut Totals) -> Turn<'a> {
        Turn { now, totals, at_once: &mut self.at_once, after_sync: &mut self.after_sync }
    }
}

/// Batches that wait for the disk, and the effects that wait with them.
///
/// Its length is the driver's to bound: by what it takes in while [`Outbox::batches`] wait.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Waiting>,
    /// The records of all that waits.
    bytes: usize,
    /// Batches up to this one are as safe as they were asked to be.
    safe: u64,
    #[cfg(feature = "planted-bugs")]
    bug: Option<crate::bug::Bug>,
    /// What the planted bug lets out too early.
    #[cfg(feature = "planted-bugs")]
    early: VecDeque<Released>,
}

#[derive(Debug)]
struct Waiting {
    /// The batch whose records must be safe.
    batch: u64,
    /// The last batch that waits for them: those behind it without records of their own do.
    last: u64,
    bytes: usize,
    effects: Vec<Effect>,
}

/// A batch whose effects may leave.
#[derive(Debug)]
pub struct Released {
    /// To be carried out now, in this order.
    pub effects: Vec<Effect>,
    /// To be told to the node by [`crate::input::Input::Synced`] when that is done.
    pub batch: u64,
}

impl Outbox {
    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: crate::bug::Bug) {
        self.bug = Some(bug);
    }

    /// Takes over a batch that was closed: what must wait of its effects, and what it waits for.
    /// Answers the records that are to be kept, if there are any; [`Outbox::safe`] must follow once
    /// they are. Numbers grow from call to call.
    pub fn close(&mut self, batch: u64, effects: &mut Effects) -> Option<Records> {
        let records = std::mem::take(&mut effects.journal);
        let effects = std::mem::take(&mut effects.after_sync);
        #[cfg(feature = "planted-bugs")]
        let effects = self.let_out_early(batch, effects);
        if records.is_empty()
            && let Some(last) = self.waiting.back_mut()
        {
            // Nothing to keep, but what it tells may have been read from what is not safe yet.
            last.last = batch;
            last.effects.extend(effects);
            return None;
        }
        let bytes = records.bytes();
        self.bytes += bytes;
        self.waiting.push_back(Waiting { batch, last: batch, bytes, effects });
        if records.is_empty() {
            // It waits for nothing: all before it has left.
            self.safe = self.safe.max(batch);
            return None;
        }
        Some(records)
    }

    /// The records of batches up to this one are as safe as they were asked to be.
    pub fn safe(&mut self, batch: u64) {
        self.safe = self.safe.max(batch);
    }

    /// The next batch whose effects may leave; to be called until there is none.
    pub fn release(&mut self) -> Option<Released> {
        #[cfg(feature = "planted-bugs")]
        if let Some(early) = self.early.pop_front() {
            return Some(early);
        }
        let next = self.waiting.pop_front_if(|first| first.batch <= self.safe)?;
        self.bytes -= next.bytes;
        Some(Released { effects: next.effects, batch: next.last })
    }

    /// The last batch of those whose records wait for the disk.
    pub fn newest(&self) -> Option<u64> {
        self.waiting.back().map(|waiting| waiting.batch)
    }

    /// How many batches wait for the disk.
    pub fn batches(&self) -> usize {
        self.waiting.len()
    }

    /// How long the records are that wait for the disk, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    #[cfg(feature = "planted-bugs")]
    fn let_out_early(&mut self, batch: u64, mut effects: Vec<Effect>) -> Vec<Effect> {
        use crate::bug::Bug;
        if self.bug == Some(Bug::AnsweredBeforeSync) {
            let is_reply = |effect: &mut Effect| matches!(effect, Effect::Reply { .. });
            let effects = effects.extract_if(.., is_reply).collect();
            self.early.push_back(Released { effects, batch: 0 });
        }
        if self.bug == Some(Bug::PushedBeforeSync) {
            self.early.push_back(Released { effects: Vec::new(), batch });
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Question, Size, Sizes};

    fn effects(token: u64, records: &[u8]) -> Effects {
        let after_sync = vec![Effect::Answer { token, answer: Size::answer(Sizes::default()) }];
        Effects { journal: records.to_vec().into(), after_sync, ..Effects::default() }
    }

    fn released(outbox: &mut Outbox) -> Vec<(Vec<u64>, u64)> {
        let tokens = |effects: Vec<Effect>| {
            effects
                .into_iter()
                .map(|effect| match effect {
                    Effect::Answer { token, .. } => token,
                    other => panic!("expected an answer, found {other:?}"),
                })
                .collect()
        };
        std::iter::from_fn(|| outbox.release())
            .map(|released| (tokens(released.effects), released.batch))
            .collect()
    }

    #[test]
    fn a_batch_that_keeps_nothing_leaves_at_once_where_nothing_waits() {
        let mut outbox = Outbox::default();
        assert!(outbox.close(1, &mut effects(10, &[])).is_none());
        assert_eq!(released(&mut outbox), [(vec![10], 1)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_read_behind_a_batch_waits_for_its_sync_and_leaves_in_order() {
        let mut outbox = Outbox::default();
        assert!(outbox.close(1, &mut effects(10, b"one")).is_some());
        assert!(outbox.close(2, &mut effects(20, &[])).is_none());
        assert!(outbox.close(3, &mut effects(30, b"three")).is_some());
        assert!(outbox.close(4, &mut effects(40, &[])).is_none());
        assert_eq!((outbox.batches(), outbox.bytes()), (2, 8));
        assert_eq!(released(&mut outbox), []);
        outbox.safe(1);
        assert_eq!(released(&mut outbox), [(vec![10, 20], 2)], "with the batch behind it");
        outbox.safe(3);
        assert_eq!(released(&mut outbox), [(vec![30, 40], 4)]);
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn one_sync_lets_all_go_that_it_made_safe() {
        let mut outbox = Outbox::default();
        for batch in 1..=3 {
            assert!(outbox.close(batch, &mut effects(batch, b"x")).is_some());
        }
        outbox.safe(2);
        assert_eq!(released(&mut outbox), [(vec![1], 1), (vec![2], 2)]);
        assert_eq!(outbox.batches(), 1);
    }
}
