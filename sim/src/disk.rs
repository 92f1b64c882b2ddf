//! A machine's disk, as the driver of a node uses it: a thread that takes what it is handed in
//! order, writes, and syncs.
//!
//! Batches are written and synced together: while one sync runs, what comes waits, is written as one
//! and covered by the next (group commit). A snapshot's cut, its parts and its publication
//! stand in the same queue, so that each meets the journal exactly where it was handed over. The
//! files are real ones in a [`Directory`]; only the time that a sync takes is drawn. What a sync
//! covers is at risk until it ends.
//!
//! What waits here is lost with the process. What is written is not, and may be found again by
//! the next start, though nobody was ever told of it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use quipu_core::effect::Effect;
use quipu_core::identity::{NodeId, OriginId, Version};
use quipu_core::storage::journal::{Journal, Limits};
use quipu_core::storage::records::Records;
use quipu_core::storage::snapshot::SnapshotWriter;
use quipu_core::time::Time;

use crate::bug::Bug;
use crate::chance::Chance;
use crate::directory::Directory;
use crate::standings::NodeStandings;

/// The shortest sync, in microseconds: a fast disk's.
const SYNC_MICROS_MIN: u64 = 30;

/// The longest usual sync: a slow disk's.
const SYNC_MICROS_MAX: u64 = 4_000;

/// The longest sync of a disk that is in trouble.
const SLOW_MICROS_MAX: u64 = 200_000;

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

/// One batch on its way to the disk.
#[derive(Debug)]
pub struct Flight {
    /// The node's number for it.
    pub batch: u64,
    /// The node's own version once it is synced.
    pub version: Version,
    /// Up to which version everything of each origin was there when it closed.
    pub known: Vec<(OriginId, Version)>,
    /// Removals and registrations that were there when it closed.
    pub standings: NodeStandings,
    /// The node's id and boot that were written down by then.
    pub lives_as: (NodeId, u64),
    /// What leaves when it is safe.
    pub after_sync: Vec<Effect>,
}

#[derive(Debug)]
enum Item {
    Batch { flight: Box<Flight>, journal: Records },
    Snapshot(Step),
}

#[derive(Debug)]
enum Step {
    Cut,
    Part(Vec<u8>),
    Publish,
}

/// What a turn of the disk's thread has come to.
#[derive(Debug, Default)]
pub struct Turn {
    /// Batches that are safe now, as the mode understands it.
    pub safe: Vec<Flight>,
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

/// A disk.
#[derive(Debug)]
pub struct Disk {
    /// The data directory.
    pub directory: Directory,
    usage: Usage,
    bug: Option<Bug>,
    queue: VecDeque<Item>,
    /// What is about to be written, and the batches that it is of.
    gathered: Records,
    gathering: Vec<Flight>,
    /// Written, and not known to be on the disk.
    written: Vec<Flight>,
    /// Whether the journal holds anything that is not known to be on the disk.
    is_dirty: bool,
    sync_ends_at: Option<Time>,
    synced_at: Time,
    written_at: Time,
    journal: Option<Journal>,
    snapshot: Option<SnapshotWriter>,
    cut_at: u64,
    is_cut: bool,
    slow: bool,
    work: DiskWork,
}

impl Disk {
    /// An empty disk.
    pub fn new(directory: Directory, usage: Usage, bug: Option<Bug>) -> Self {
        Disk {
            directory,
            usage,
            bug,
            queue: VecDeque::new(),
            gathered: Records::default(),
            gathering: Vec::new(),
            written: Vec::new(),
            is_dirty: false,
            sync_ends_at: None,
            synced_at: Time::ZERO,
            written_at: Time::ZERO,
            journal: None,
            snapshot: None,
            cut_at: 0,
            is_cut: false,
            slow: false,
            work: DiskWork::default(),
        }
    }

    /// A process has recovered and goes on with this journal.
    pub fn begin(&mut self, now: Time, mut journal: Journal) {
        journal.limit(self.usage.limits);
        self.cut_at = journal.position();
        self.journal = Some(journal);
        self.written_at = now;
        self.synced_at = now;
    }

    /// The process has ended: what was in flight is lost, but for what is in the files.
    pub fn abandon(&mut self) {
        self.queue.clear();
        self.gathered = Records::default();
        self.gathering.clear();
        self.written.clear();
        self.journal = None;
        self.snapshot = None;
        self.sync_ends_at = None;
        self.is_dirty = false;
        self.is_cut = false;
        self.directory.restart();
    }

    /// Hands over a batch's records and what waits for them.
    pub fn append(&mut self, flight: Flight, journal: Records) {
        self.queue.push_back(Item::Batch { flight: Box::new(flight), journal });
    }

    /// Whether it is time for another snapshot.
    pub fn wants_snapshot(&self) -> bool {
        let grown = self.journal.as_ref().map_or(0, |journal| journal.position() - self.cut_at);
        !self.is_cut && grown >= self.usage.snapshot_every_bytes
    }

    /// Begins a snapshot behind the batch that was handed over last.
    pub fn cut(&mut self) {
        self.is_cut = true;
        self.queue.push_back(Item::Snapshot(Step::Cut));
    }

    /// Hands over a part of a snapshot.
    pub fn part(&mut self, records: Vec<u8>) {
        self.queue.push_back(Item::Snapshot(Step::Part(records)));
    }

    /// Ends a snapshot, once the batch that was handed over last is on the disk.
    pub fn publish(&mut self) {
        self.queue.push_back(Item::Snapshot(Step::Publish));
    }

    /// Whether syncs take long.
    pub fn set_slow(&mut self, slow: bool) {
        self.slow = slow;
    }

    /// What it was used for.
    pub fn work(&self) -> DiskWork {
        self.work
    }

    /// Does what can be done by now.
    pub fn turn(&mut self, now: Time, chance: &mut Chance) -> Turn {
        let mut turn = Turn::default();
        match self.work_off(now, &mut turn.safe, chance) {
            Ok(next) => turn.next = next,
            Err(error) => turn.error = Some(error),
        }
        turn
    }

    fn work_off(
        &mut self,
        now: Time,
        safe: &mut Vec<Flight>,
        chance: &mut Chance,
    ) -> io::Result<Option<Time>> {
        if self.sync_ends_at.is_some_and(|ends| ends > now) {
            return Ok(self.sync_ends_at);
        }
        if self.sync_ends_at.take().is_some() {
            self.sync(now)?;
            safe.append(&mut self.written);
        }
        while let Some(item) = self.queue.pop_front() {
            let step = match item {
                Item::Batch { flight, journal } => {
                    self.gathered.absorb(journal);
                    self.gathering.push(*flight);
                    continue;
                }
                Item::Snapshot(step) => step,
            };
            self.write(now, safe)?;
            // A cut syncs what is before it, and a publication needs it.
            let needs_sync = match step {
                Step::Cut => true,
                Step::Publish => self.bug != Some(Bug::PublishedEarly),
                Step::Part(_) => false,
            };
            if needs_sync && self.is_dirty {
                self.queue.push_front(Item::Snapshot(step));
                return Ok(Some(self.begin_sync(now, chance)));
            }
            match step {
                Step::Cut => self.begin_snapshot()?,
                Step::Part(records) => {
                    let Some(snapshot) = &mut self.snapshot else { continue };
                    snapshot.append(&mut self.directory, records)?;
                }
                Step::Publish => {
                    let Some(snapshot) = self.snapshot.take() else { continue };
                    snapshot.publish(&mut self.directory)?;
                    self.is_cut = false;
                    self.work.snapshots += 1;
                }
            }
        }
        self.write(now, safe)?;
        match self.usage.fsync {
            Fsync::Always if self.is_dirty => Ok(Some(self.begin_sync(now, chance))),
            Fsync::Always => self.rest(now),
            Fsync::Every if self.is_dirty && now >= self.synced_at + EVERY => {
                Ok(Some(self.begin_sync(now, chance)))
            }
            Fsync::Every if self.is_dirty => Ok(Some(self.synced_at + EVERY)),
            Fsync::Every | Fsync::Never => Ok(None),
        }
    }

    /// Writes what has gathered.
    fn write(&mut self, now: Time, safe: &mut Vec<Flight>) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let mut records = self.gathered.take();
            self.work.journal_bytes += records.len() as u64;
            let end = self.journal.as_mut().ok_or_else(closed)?;
            end.append(&mut self.directory, &mut records)?;
            self.is_dirty = true;
            self.written_at = now;
        }
        // Batches without records are safe when all before them are.
        if self.usage.fsync == Fsync::Always && self.is_dirty {
            self.written.append(&mut self.gathering);
        } else {
            safe.append(&mut self.gathering);
        }
        Ok(())
    }

    fn begin_snapshot(&mut self) -> io::Result<()> {
        let journal = self.journal.as_mut().ok_or_else(closed)?;
        let number = journal.rotate(&mut self.directory)?;
        self.cut_at = journal.position();
        let snapshot = SnapshotWriter::begin(&mut self.directory, journal.node(), number)?;
        let snapshot = self.snapshot.insert(snapshot);
        if let Some(Bug::Core(bug)) = self.bug {
            snapshot.plant(bug);
        }
        Ok(())
    }

    fn begin_sync(&mut self, now: Time, chance: &mut Chance) -> Time {
        let most = if self.slow { SLOW_MICROS_MAX } else { SYNC_MICROS_MAX };
        *self.sync_ends_at.insert(now + chance.micros(SYNC_MICROS_MIN, most))
    }

    fn sync(&mut self, now: Time) -> io::Result<()> {
        self.journal.as_mut().ok_or_else(closed)?.sync(&mut self.directory)?;
        self.work.syncs += 1;
        self.is_dirty = false;
        self.synced_at = now;
        Ok(())
    }

    /// When the journal has come to rest, it says so; tells when it will have.
    fn rest(&mut self, now: Time) -> io::Result<Option<Time>> {
        if now < self.written_at + REST {
            return Ok(Some(self.written_at + REST));
        }
        if let Some(journal) = &mut self.journal {
            journal.mark(&mut self.directory)?;
        }
        Ok(None)
    }
}

fn closed() -> io::Error {
    io::Error::other("nobody has begun a journal")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Purpose;
    use quipu_core::identity::NodeId;
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

    fn hand_over(disk: &mut Disk, batch: u64, journal: &[u8]) {
        let flight = Flight {
            batch,
            version: 1,
            known: Vec::new(),
            standings: NodeStandings::new(),
            lives_as: (NodeId(1), 1),
            after_sync: Vec::new(),
        };
        disk.append(flight, journal.to_vec().into());
    }

    fn safe(turn: &Turn) -> Vec<u64> {
        assert!(turn.error.is_none(), "{:?}", turn.error);
        turn.safe.iter().map(|flight| flight.batch).collect()
    }

    #[test]
    fn batches_are_synced_in_order_and_one_without_records_waits_for_those_before_it() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = disk(Fsync::Always);
        hand_over(&mut disk, 1, b"record");
        hand_over(&mut disk, 2, b"");
        let turn = disk.turn(Time::ZERO, &mut chance);
        assert_eq!(safe(&turn), []);
        let ends = turn.next.unwrap();
        assert!(ends > Time::ZERO);
        assert_eq!(safe(&disk.turn(ends, &mut chance)), [1, 2]);
        hand_over(&mut disk, 3, b"");
        assert_eq!(safe(&disk.turn(ends, &mut chance)), [3]);
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
        assert_eq!(safe(&turn), [1]);
        assert_eq!(safe(&disk.turn(turn.next.unwrap(), &mut chance)), [2, 3]);
    }

    #[test]
    fn without_fsync_a_batch_is_as_safe_as_it_will_be_once_it_is_written() {
        let mut chance = Chance::new(1, Purpose::Machines);
        for fsync in [Fsync::Every, Fsync::Never] {
            let mut disk = disk(fsync);
            hand_over(&mut disk, 1, b"record");
            let turn = disk.turn(Time::ZERO, &mut chance);
            assert_eq!(safe(&turn), [1]);
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
        assert!(disk.turn(ends, &mut chance).safe.is_empty());
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_safe() {
        let mut chance = Chance::new(1, Purpose::Machines);
        let mut disk = disk(Fsync::Always);
        hand_over(&mut disk, 1, b"record");
        let ends = disk.turn(Time::ZERO, &mut chance).next.unwrap();
        disk.directory.fail_next_sync(true);
        let turn = disk.turn(ends, &mut chance);
        assert!(turn.error.is_some() && turn.safe.is_empty());
    }
}
