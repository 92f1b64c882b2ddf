//! Reports that wait until what they tell of the counts is safe.
//!
//! A report tells how much was counted, which a crash may take back as long as it is not synced
//! (rule `publish-after-sync`). So it waits for the batches before it, as a read does. But who
//! looks at a node mostly does so because something is wrong with it: where the disk hangs, the
//! report goes without the last counts, with those of the last report whose counts were safe.

use std::collections::VecDeque;
use std::time::Duration;

use quipu_core::status::Status;
use quipu_core::time::Time;
use tokio::sync::oneshot;

use crate::inbox::Report;

/// How long a report waits: many times what a sync takes, and less than those who scrape do.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// Reports that wait; those beyond go with older counts. Each takes some 200 bytes a peer, and few
/// look at a node at once.
const WAITING_MAX: usize = 64;

/// A report that a caller waits for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) report: Report,
    pub(super) reply: oneshot::Sender<Report>,
    pub(super) at: Time,
    /// The last batch that it waits for, if one waits for the disk.
    pub(super) batch: Option<u64>,
    /// Whether it waits for the batch that is open, too.
    pub(super) is_open: bool,
}

impl Asked {
    fn send(self) {
        // The caller may be gone.
        let _ = self.reply.send(self.report);
    }
}

/// All that wait, in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Reports {
    waiting: VecDeque<Asked>,
    /// What was told last and is safe.
    safe: Status,
}

impl Reports {
    pub(super) fn new(safe: Status) -> Self {
        Reports { waiting: VecDeque::new(), safe }
    }

    /// Sends it, or has it wait.
    pub(super) fn take(&mut self, asked: Asked) {
        if asked.batch.is_none() && !asked.is_open {
            self.tell(asked);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(asked);
        } else {
            self.tell_older(asked);
        }
    }

    /// The open batch was closed, as this one if it is to be kept.
    pub(super) fn closed(&mut self, batch: Option<u64>) {
        for asked in self.waiting.iter_mut().filter(|asked| asked.is_open) {
            asked.is_open = false;
            asked.batch = batch.or(asked.batch);
        }
        self.synced(0);
    }

    /// Batches up to this one are safe.
    pub(super) fn synced(&mut self, synced: u64) {
        let is_safe =
            |asked: &Asked| !asked.is_open && asked.batch.is_none_or(|batch| batch <= synced);
        while self.waiting.front().is_some_and(is_safe)
            && let Some(asked) = self.waiting.pop_front()
        {
            self.tell(asked);
        }
    }

    /// When the patience of the first one ends.
    pub(super) fn due(&self) -> Option<Time> {
        self.waiting.front().map(|asked| asked.at + PATIENCE)
    }

    /// Sends those whose patience has ended.
    pub(super) fn give_up(&mut self, now: Time) {
        while self.due().is_some_and(|due| due <= now)
            && let Some(asked) = self.waiting.pop_front()
        {
            self.tell_older(asked);
        }
    }

    fn tell(&mut self, asked: Asked) {
        self.safe = asked.report.status.clone();
        asked.send();
    }

    fn tell_older(&self, mut asked: Asked) {
        asked.report.status.take_counts_of(&self.safe);
        asked.send();
    }
}
