//! A machine's disk, as the driver of a node uses it: a thread that drives the journal's writer, and
//! another one that writes snapshots.
//!
//! What is written, synced and published in which order is core's (`storage::writer`), the same
//! that the server's threads drive. Here only time and faults are added: how long a sync and a step
//! of a snapshot take is drawn, and what a sync covers is at risk until it ends. The files are real
//! ones in a [`Directory`].
//!
//! The two threads take their steps at times of their own: records are written and synced between the
//! steps of a snapshot, and it is published while a sync runs. The planted bug `PublishedEarly` is found
//! by that alone where each batch is synced. Within one step of either the other does nothing; a crash
//! may come between any two operations on files.
//!
//! What waits here is lost with the process. What is written is not, and may be found again by
//! the next start, though no peer or client ever saw it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use quipu_core::storage::journal::{Journal, Limits};
use quipu_core::storage::records::Records;
use quipu_core::storage::writer::{
    self, Behind, Habits, Job, News, Next, SnapshotTask, Step, Stepped, Work, Writer,
};
use quipu_core::time::Time;

use crate::bug::Bug;
use crate::chance::Chance;
use crate::directory::Directory;

/// The shortest sync, in microseconds: a fast disk's.
const SYNC_MICROS_MIN: u64 = 30;

/// The longest usual sync: a slow disk's.
const SYNC_MICROS_MAX: u64 = 4_000;

/// The longest sync of a disk that is in trouble.
const SLOW_MICROS_MAX: u64 = 200_000;

/// How often a disk that hangs is looked at.
const HUNG_LOOK: Duration = Duration::from_millis(20);

/// The longest write of a part of a snapshot, which waits for no disk.
const WRITE_MICROS_MAX: u64 = 300;

/// How often the journal is synced by [`Fsync::Every`].
const EVERY: Duration = Duration::from_secs(1);

/// After so long without a record the journal says that all of it is synced.
const REST: Duration = Duration::from_millis(200);

/// When the journal is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before anything leaves that was read from the table.
    Always,
    /// Once a second; what leaves waits until it is written only.
    Every,
    /// When a snapshot needs it.
    Never,
}

/// How a disk is used.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Whether a start finds nothing, as with `--in-memory`.
    pub in_memory: bool,
    /// When the journal is synced.
    pub fsync: Fsync,
    /// How much a segment holds.
    pub limits: Limits,
    /// After how many bytes of records the next snapshot is made.
    pub snapshot_every_bytes: u64,
    /// How much of a snapshot is made at a time.
    pub step_bytes: usize,
}

impl Usage {
    fn habits(&self) -> Habits {
        Habits {
            fsync: match self.fsync {
                Fsync::Always => writer::Fsync::Always,
                Fsync::Every => writer::Fsync::Every(EVERY),
                Fsync::Never => writer::Fsync::Never,
            },
            rest: REST,
            snapshot_after_bytes: self.snapshot_every_bytes,
            ..Habits::default()
        }
    }
}

/// What a turn of the disk's threads has come to.
#[derive(Debug, Default)]
pub struct Turn {
    /// Batches up to this one are safe now, as the mode understands it.
    pub safe: Option<u64>,
    /// When the next turn is due.
    pub next: Option<Time>,
    /// What failed, if something did: the process must end.
    pub error: Option<io::Error>,
}

/// What a disk was used for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskWork {
    /// Bytes of records.
    pub journal_bytes: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Snapshots that took the place of older segments.
    pub snapshots: u64,
}

/// Where the snapshot under way stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Snapshot {
    /// None is under way.
    #[default]
    None,
    /// It waits for its file, or for the last part to be written.
    Busy,
    /// The next part may come.
    Ready,
    /// It has come to nothing, and the process that makes its parts does not know yet.
    Failed,
}

/// A disk.
#[derive(Debug)]
pub struct Disk {
    /// The data directory.
    pub directory: Directory,
    usage: Usage,
    bug: Option<Bug>,
    writer: Option<Writer>,
    sync_ends_at: Option<Time>,
    /// What waits for the thread that writes snapshots.
    steps: VecDeque<Step>,
    step_ends_at: Option<Time>,
    task: SnapshotTask,
    snapshot: Snapshot,
    /// Whether the journal has grown so much that another one is worth its while.
    is_snapshot_due: bool,
    slow: bool,
    hung: bool,
    work: DiskWork,
}

impl Disk {
    /// An empty disk.
    pub fn new(directory: Directory, usage: Usage, bug: Option<Bug>) -> Self {
        Disk {
            directory,
            usage,
            bug,
            writer: None,
            sync_ends_at: None,
            steps: VecDeque::new(),
            step_ends_at: None,
            task: SnapshotTask::default(),
            snapshot: Snapshot::None,
            is_snapshot_due: false,
            slow: false,
            hung: false,
            work: DiskWork::default(),
        }
    }

    /// A process has recovered and goes on with this journal.
    pub fn begin(&mut self, now: Time, mut journal: Journal) {
        journal.limit(self.usage.limits);
        let behind = Behind { cut: journal.position(), segments: 1, snapshot_bytes: 0 };
        let writer = self.writer.insert(Writer::new(journal, self.usage.habits(), behind, now));
        self.task = SnapshotTask::default();
        if let Some(bug) = self.bug {
            writer.plant(bug);
            self.task.plant(bug);
        }
    }

    /// The process has ended: what was in flight is lost, but for what is in the files.
    pub fn abandon(&mut self) {
        self.writer = None;
        self.sync_ends_at = None;
        self.steps.clear();
        self.step_ends_at = None;
        self.task = SnapshotTask::default();
        (self.snapshot, self.is_snapshot_due) = (Snapshot::None, false);
        self.directory.restart();
    }

    /// Hands over a batch's records.
    pub fn append(&mut self, batch: u64, records: Records) {
        self.put(Job::Append { batch, records });
    }

    /// Whether it is time for another snapshot, of a table that has shrunk or not.
    pub fn wants_snapshot(&self, has_shrunk: bool) -> bool {
        // One that has failed when it was published has no process that makes its parts.
        (self.is_snapshot_due || has_shrunk)
            && matches!(self.snapshot, Snapshot::None | Snapshot::Failed)
    }

    /// Begins a snapshot behind the batch that was handed over last.
    pub fn cut(&mut self) {
        (self.snapshot, self.is_snapshot_due) = (Snapshot::Busy, false);
        self.put(Job::Cut);
    }

    /// Whether the next part of the snapshot may come.
    pub fn is_ready_for_part(&self) -> bool {
        self.snapshot == Snapshot::Ready
    }

    /// Whether the snapshot has come to nothing; true once for each.
    pub fn has_given_up_snapshot(&mut self) -> bool {
        let has_failed = self.snapshot == Snapshot::Failed;
        if has_failed {
            self.snapshot = Snapshot::None;
        }
        has_failed
    }

    /// Hands over a part of a snapshot.
    pub fn part(&mut self, records: Vec<u8>) {
        self.snapshot = Snapshot::Busy;
        self.put(Job::SnapshotChunk(records));
    }

    /// Ends a snapshot, once the batch that was handed over last is on the disk.
    pub fn publish(&mut self) {
        self.put(Job::Publish);
    }

    /// Whether syncs take long.
    pub fn set_slow(&mut self, slow: bool) {
        self.slow = slow;
    }

    /// Whether nothing that it is asked for ends.
    pub fn set_hung(&mut self, hung: bool) {
        self.hung = hung;
    }

    /// What it was used for.
    pub fn work(&self) -> DiskWork {
        self.work
    }

    /// Does what can be done by now.
    pub fn turn(&mut self, now: Time, chance: &mut Chance) -> Turn {
        let mut turn = Turn::default();
        match self.work_off(now, &mut turn, chance) {
            Ok(next) => turn.next = next,
            Err(error) => turn.error = Some(error),
        }
        turn
    }

    fn put(&mut self, job: Job) {
        if let Some(writer) = &mut self.writer {
            writer.put(job);
        }
    }

    fn work_off(
        &mut self,
        now: Time,
        turn: &mut Turn,
        chance: &mut Chance,
    ) -> io::Result<Option<Time>> {
        if self.hung {
            return Ok(Some(now + HUNG_LOOK));
        }
        let journal = self.work_on_journal(now, turn, chance)?;
        let snapshot = self.work_on_snapshot(now, chance)?;
        Ok([journal, snapshot].into_iter().flatten().min())
    }

    /// A turn of the journal's thread; returns when its next one is due.
    fn work_on_journal(
        &mut self,
        now: Time,
        turn: &mut Turn,
        chance: &mut Chance,
    ) -> io::Result<Option<Time>> {
        // What the writer reports while a sync runs is taken at once.
        self.hear_news(turn);
        let Some(writer) = &mut self.writer else { return Ok(None) };
        if self.sync_ends_at.is_some_and(|ends| ends > now) {
            return Ok(self.sync_ends_at);
        }
        if self.sync_ends_at.take().is_some() {
            writer.carry_out(now, Work::Sync, &mut self.directory)?;
            self.work.syncs += 1;
        }
        loop {
            let Some(writer) = &mut self.writer else { return Ok(None) };
            let next = writer.next(now);
            self.hear_news(turn);
            let Some(writer) = &mut self.writer else { return Ok(None) };
            match next {
                Next::Do(Work::Sync) => {
                    let most = if self.slow { SLOW_MICROS_MAX } else { SYNC_MICROS_MAX };
                    self.sync_ends_at = Some(now + chance.micros(SYNC_MICROS_MIN, most));
                    return Ok(self.sync_ends_at);
                }
                Next::Do(work) => {
                    let position = writer.journal().position();
                    writer.carry_out(now, work, &mut self.directory)?;
                    self.work.journal_bytes += writer.journal().position() - position;
                }
                Next::Wait(until) => return Ok(until),
            }
        }
    }

    fn hear_news(&mut self, turn: &mut Turn) {
        for news in self.writer.iter_mut().flat_map(Writer::take_news) {
            match news {
                News::Safe(batch) => turn.safe = Some(batch),
                News::SnapshotDue => self.is_snapshot_due = true,
                News::Snapshot(step) => self.steps.push_back(step),
            }
        }
    }

    /// A turn of the thread that writes snapshots; returns when its next one is due.
    fn work_on_snapshot(&mut self, now: Time, chance: &mut Chance) -> io::Result<Option<Time>> {
        if self.step_ends_at.is_some_and(|ends| ends > now) {
            return Ok(self.step_ends_at);
        }
        if self.step_ends_at.take().is_some()
            && let Some(step) = self.steps.pop_front()
        {
            match self.task.take(step, &mut self.directory) {
                Ok(Stepped::Ready) => self.snapshot = Snapshot::Ready,
                Ok(Stepped::Published(bytes)) => {
                    self.work.snapshots += 1;
                    self.snapshot = Snapshot::None;
                    if let Some(writer) = &mut self.writer {
                        writer.snapshot_is_written(bytes);
                    }
                }
                Ok(Stepped::Idle) => {}
                // The whole machine is gone.
                Err(error) if self.directory.is_without_power() => return Err(error),
                // The snapshot is given up; the journal goes on.
                Err(_) => self.snapshot = Snapshot::Failed,
            }
        }
        let most = match self.steps.front() {
            None => return Ok(None),
            // It is synced, and read back; now and then before a sync of the journal that began
            // earlier, also where syncs take long.
            Some(Step::Publish) => SYNC_MICROS_MAX,
            Some(Step::Begin { .. } | Step::Append(_)) => WRITE_MICROS_MAX,
        };
        self.step_ends_at = Some(now + chance.micros(SYNC_MICROS_MIN, most));
        Ok(self.step_ends_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Purpose;
    use quipu_core::identity::{NodeId, OriginId};
    use quipu_core::storage;
    use quipu_core::storage::record::Start;
    use quipu_core::storage::state::Recovered;

    fn disk(fsync: Fsync) -> Disk {
        let usage = Usage {
            in_memory: false,
            fsync,
            limits: Limits::default(),
            snapshot_every_bytes: 1 << 20,
            step_bytes: 1 << 10,
        };
        let mut disk = Disk::new(Directory::new(1), usage, None);
        let origin = OriginId(1);
        let start = Start { node: NodeId(1), boot: 1, origin };
        let mut state = Recovered::new(origin, 1);
        let (journal, _, _) = storage::open(&mut disk.directory, &mut state, |_| start).unwrap();
        disk.begin(Time::ZERO, journal);
        disk
    }

    fn hand_over(disk: &mut Disk, batch: u64, records: &[u8]) {
        disk.append(batch, records.to_vec().into());
    }

    fn safe(turn: &Turn) -> Option<u64> {
        assert!(turn.error.is_none(), "{:?}", turn.error);
        turn.safe
    }

    #[test]
    fn batches_are_synced_in_order_and_one_without_records_waits_for_those_before_it() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = disk(Fsync::Always);
        hand_over(&mut disk, 1, b"record");
        hand_over(&mut disk, 2, b"");
        let turn = disk.turn(Time::ZERO, &mut chance);
        assert_eq!(safe(&turn), None);
        let ends = turn.next.unwrap();
        assert!(ends > Time::ZERO);
        assert_eq!(safe(&disk.turn(ends, &mut chance)), Some(2));
        hand_over(&mut disk, 3, b"");
        assert_eq!(safe(&disk.turn(ends, &mut chance)), Some(3));
    }

    #[test]
    fn all_that_comes_while_a_sync_runs_is_covered_by_the_next() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = disk(Fsync::Always);
        hand_over(&mut disk, 1, b"record");
        let first = disk.turn(Time::ZERO, &mut chance).next.unwrap();
        hand_over(&mut disk, 2, b"record");
        hand_over(&mut disk, 3, b"record");
        assert_eq!(disk.turn(Time::from_micros(1), &mut chance).next, Some(first));
        let turn = disk.turn(first, &mut chance);
        assert_eq!(safe(&turn), Some(1));
        assert_eq!(safe(&disk.turn(turn.next.unwrap(), &mut chance)), Some(3));
    }

    #[test]
    fn without_fsync_a_batch_is_as_safe_as_it_will_be_once_it_is_written() {
        let mut chance = Chance::new(1, Purpose::Machines);
        for fsync in [Fsync::Every, Fsync::Never] {
            let mut disk = disk(fsync);
            hand_over(&mut disk, 1, b"record");
            let turn = disk.turn(Time::ZERO, &mut chance);
            assert_eq!(safe(&turn), Some(1));
            assert_eq!(turn.next.is_some(), fsync == Fsync::Every);
        }
    }

    #[test]
    fn what_is_in_flight_is_lost_with_the_process() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = disk(Fsync::Always);
        hand_over(&mut disk, 1, b"record");
        let ends = disk.turn(Time::ZERO, &mut chance).next.unwrap();
        disk.abandon();
        assert!(disk.turn(ends, &mut chance).safe.is_none());
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_safe() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = disk(Fsync::Always);
        hand_over(&mut disk, 1, b"record");
        let ends = disk.turn(Time::ZERO, &mut chance).next.unwrap();
        disk.directory.fail_next_sync(true);
        let turn = disk.turn(ends, &mut chance);
        assert!(turn.error.is_some() && turn.safe.is_none());
    }
}
