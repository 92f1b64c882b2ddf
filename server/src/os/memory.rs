//! `--max-memory`: how much memory this process may use before new names are refused.
//!
//! What is measured is the memory that is really there and belongs to no other process (resident and
//! not shared with a file): the system can take the program's own text away and read it again, but
//! for this it has to kill. It is read from the system some ten times a second, and between two
//! readings the node counts what its new counters take (`Input::Room`), so that a burst of names
//! finds no gap. Known names count on, and they grow: each start that counts on one leaves a slot.
//! For one of these each name is held to use memory already; a third of the fifth that the default
//! leaves free is for more of them. The rest is for what is on its way and for the system's
//! share of connections: where only that is left, slots that are not there yet are refused too.
//!
//! Rejected: adding up the sizes of all that is kept. It misses what the allocator holds back, and
//! every structure that its author forgets to add; the system kills by what is there.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use quipu_core::room::Room;

use crate::os::cgroup::{Allowed, memory_allowed};

/// What is used of what there is if nothing else is asked for, in parts of a hundred.
const SHARE: u64 = 80;

/// Of what the system lets this process have, in parts of a hundred: beyond it no slot is added. The
/// rest goes to what is on its way and to what the system keeps for this process, and to what a
/// start needs beside the table that it reads: whatever a node took it must be able to read again.
const SLOTS: u64 = 86;

/// The same for a start: beyond it the system is about to end the process.
const START: u64 = 95;

/// What a start leaves at least, in bytes: it looks each time that it has read 128 KiB, of which the table
/// makes 1 MiB at most, and the system keeps some hundred KiB for a process. A twentieth of 24 MiB is less
/// than that: the system ended such starts at 23.5 to 23.8 MiB.
const START_SPARE: u64 = 2 << 20;

/// How long a start at its bound waits for the allocator to give back what was freed: mimalloc keeps
/// it for 1 s, in case it is needed again. Twice that, for a machine that has other work.
const RETURN_TIME_MAX: Duration = Duration::from_secs(2);

/// How often it looks meanwhile.
const RETURN_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What a counter is held to use beyond what it does, in bytes: the slot of the next start, which
/// took 72 to 90 in the process (measured with 104,000 and 119,000 names in 40 MiB). Else a node that
/// was filled to its bound could not count all of them on after it was started anew.
const SPARE_BYTES: u64 = 96;

/// Below so much of the maximum a node that was full is held to have room again, in parts of a
/// hundred: one at its bound would else say so again with every page that comes and goes.
const ROOM_AGAIN: u64 = 97;

/// With less than this the system gives memory in its small pages. In those of 2 MiB, which the
/// allocator asks for and which make large tables quicker, each thread holds some that it hardly
/// uses: a process of 40 MiB had 4 MiB more of them than it needed.
const SMALL_BYTES: u64 = 512 << 20;

fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!("the system goes on with large pages: {error}");
    }
}

/// A size in bytes, as it is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// What can stand behind a number, and how many bytes it means: Redis's words in whatever letters,
/// and the IEC's.
const UNITS: [(&str, u64); 12] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1 << 10),
    ("mb", 1 << 20),
    ("gb", 1 << 30),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("b", 1),
    ("", 1),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
        let bytes =
            number.parse::<u64>().ok().zip(unit).and_then(|(n, (_, of))| n.checked_mul(*of));
        bytes.map(Size).ok_or_else(|| {
            format!("expected a size like 512MiB or 2GiB, or 0 for no bound, found {text:?}")
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size(bytes) = *self;
        match bytes {
            0..0x10_0000 => write!(f, "{bytes} bytes"),
            _ => write!(f, "{:.1} MiB", bytes as f64 / (1 << 20) as f64),
        }
    }
}

/// What may be used, and what is.
#[derive(Debug)]
pub(crate) struct Memory {
    /// 0 is no bound. Operators may change it while the node runs.
    bytes_max: AtomicU64,
    /// Beyond which the system kills, as far as it says.
    allowed: Option<Allowed>,
    counters: AtomicU64,
    used_bytes: AtomicU64,
    is_full: AtomicBool,
}

/// What can be said of a node that may not take new names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) used_bytes: u64,
    pub(crate) bytes_max: u64,
}

impl Memory {
    /// As the flag says, or a share of what the system lets this process have.
    pub(crate) fn new(asked: Option<Size>) -> Self {
        let memory = Memory::of(asked, memory_allowed());
        if memory.bytes_max().is_some_and(|bytes| bytes < SMALL_BYTES) {
            use_small_pages();
        }
        memory
    }

    fn of(asked: Option<Size>, allowed: Option<Allowed>) -> Self {
        let bytes_max = match asked {
            Some(Size(bytes)) => bytes,
            None => allowed.map_or(0, |Allowed { bytes, .. }| (bytes / 100).saturating_mul(SHARE)),
        };
        let (counters, used_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Memory { bytes_max: bytes_max.into(), allowed, counters, used_bytes, is_full: false.into() }
    }

    /// Says how much may be used, and warns of more than there is.
    pub(crate) fn tell(&self) {
        match (self.bytes_max(), self.allowed) {
            (None, _) => tracing::info!("new names are taken whatever memory they use"),
            (Some(bytes_max), Some(allowed)) if bytes_max > allowed.bytes => tracing::warn!(
                "--max-memory is {}, but {} has only {}: this process may be killed before it is \
                 reached",
                Size(bytes_max),
                allowed.by,
                Size(allowed.bytes)
            ),
            (Some(bytes_max), _) => tracing::info!(
                "new names are refused while this process uses {} of memory",
                Size(bytes_max)
            ),
        }
    }

    /// Reads how much is used now by this many counters and all else, and tells how much may be
    /// taken until this is asked again: without end if there is no bound, or if the system does not
    /// say what is used.
    pub(crate) fn room(&self, counters: usize) -> Room {
        self.counters.store(counters as u64, Relaxed);
        let (Some(really), Some(bytes_max)) = (self.measure(), self.bytes_max()) else {
            return Room::default();
        };
        let names = bytes_max.saturating_sub(self.used_bytes.load(Relaxed));
        let names = if self.is_full.load(Relaxed) { 0 } else { names };
        let last = self.allowed.map_or(u64::MAX, |allowed| allowed.bytes / 100 * SLOTS);
        Room { names, slots: last.max(bytes_max).saturating_sub(really).max(names) }
    }

    /// Reads how much is used now; answers what is really there.
    fn measure(&self) -> Option<u64> {
        let really = used_bytes()?;
        let used = really.saturating_add(self.counters.load(Relaxed).saturating_mul(SPARE_BYTES));
        self.used_bytes.store(used, Relaxed);
        let bytes_max = self.bytes_max().unwrap_or(u64::MAX);
        if used >= bytes_max && !self.is_full.swap(true, Relaxed) {
            tracing::warn!(
                "out of memory: {} used of {} that may be; new names are refused, known ones \
                 count on",
                Size(used),
                Size(bytes_max)
            );
        } else if used < bytes_max / 100 * ROOM_AGAIN && self.is_full.swap(false, Relaxed) {
            tracing::info!("{} of memory used: new names are taken again", Size(used));
        }
        Some(really)
    }

    /// How much is used now, with what is spared for known counters.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.measure();
        self.used_bytes.load(Relaxed)
    }

    /// How much may be used.
    pub(crate) fn bytes_max(&self) -> Option<u64> {
        Some(self.bytes_max.load(Relaxed)).filter(|bytes| *bytes > 0)
    }

    /// Has so much be used from now on; 0 is no bound.
    pub(crate) fn limit(&self, Size(bytes): Size) {
        self.bytes_max.store(bytes, Relaxed);
        self.measure();
        self.tell();
    }

    /// How full it is, if new names are refused.
    pub(crate) fn full(&self) -> Option<Level> {
        let (used_bytes, bytes_max) = (self.used_bytes(), self.bytes_max()?);
        self.is_full.load(Relaxed).then_some(Level { used_bytes, bytes_max })
    }

    /// Whether what a start reads may still grow: `read` of `whole` bytes have been read. If not,
    /// what all of it would need. Reading frees much on its way, each time a counter's slots grow, and
    /// within a second the allocator gives none of it back: that is waited for before a start fails.
    pub(crate) fn fits(&self, before: u64, read: u64, whole: u64) -> Result<(), TooLittle> {
        let Some(allowed) = self.allowed else { return Ok(()) };
        let used_max = start_max(allowed.bytes);
        let Some(used) = used_bytes_once_below(used_max) else { return Ok(()) };
        if used < used_max {
            return Ok(());
        }
        let grown = u128::from(used.saturating_sub(before));
        let needed = grown * u128::from(whole.max(read)) / u128::from(read.max(1));
        let needed = u64::try_from(needed).unwrap_or(u64::MAX).saturating_add(before);
        Err(TooLittle { needed: Size(needed / SHARE * 100), allowed })
    }
}

/// How much a start may use of so much.
fn start_max(bytes: u64) -> u64 {
    let most = (bytes / 100 * START).min(bytes.saturating_sub(START_SPARE));
    // What a node took while it ran it must be able to read again.
    most.max(bytes / 100 * SLOTS)
}

/// Why a start gave up before the system ended it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "not enough memory: about {needed} are needed for what is kept there, and {} has {}; give \
     this process more",
    allowed.by, Size(allowed.bytes)
)]
pub(crate) struct TooLittle {
    needed: Size,
    allowed: Allowed,
}

/// Memory of this process that no file holds, in bytes; `None` where the system does not say.
pub(crate) fn used_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        // In pages: all, resident, of those in files or shared, …
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        let mut pages = text.split(' ').skip(1).map(|pages| pages.parse::<u64>().ok());
        let (resident, shared) = (pages.next()??, pages.next()??);
        Some(resident.saturating_sub(shared).saturating_mul(procfs::page_size()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The same as soon as it is below a bound, or when what was freed must have been given back.
fn used_bytes_once_below(bytes: u64) -> Option<u64> {
    let began = Instant::now();
    loop {
        let used = used_bytes()?;
        if used < bytes || began.elapsed() >= RETURN_TIME_MAX {
            return Some(used);
        }
        thread::sleep(RETURN_LOOK_INTERVAL);
        // As a thread ends that has allocated, the allocator gives back what it has kept for long
        // enough; nothing else has it do so while this thread waits.
        let ended = thread::Builder::new().spawn(|| drop(black_box(Box::new(0_u8))));
        if ended.map_or(true, |thread| thread.join().is_err()) {
            return Some(used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_redis_and_the_iec_write_it() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("512MiB", 512 << 20),
            ("2GiB", 2 << 30),
            ("2gib", 2 << 30),
            ("64kb", 64 << 10),
            ("100mb", 100 << 20),
            ("1GB", 1 << 30),
            ("5k", 5000),
            ("7b", 7),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 GiB", "many", "99999999999TiB", "80%"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.starts_with("expected a size like 512MiB or 2GiB"), "{error}");
            assert!(error.ends_with(&format!("found {text:?}")), "{error}");
        }
    }

    #[test]
    fn a_start_leaves_what_it_takes_between_two_looks_and_takes_again_what_it_once_took() {
        assert_eq!(start_max(100 << 20), (100 << 20) / 100 * 95);
        assert_eq!(start_max(24 << 20), 22 << 20);
        assert_eq!(start_max(8 << 20), (8 << 20) / 100 * SLOTS);
    }

    fn allowed(bytes: u64) -> Option<Allowed> {
        Some(Allowed { bytes, by: "the cgroup" })
    }

    #[test]
    fn without_a_word_four_fifths_of_what_there_is_may_be_used_and_0_is_no_bound() {
        assert_eq!(Memory::of(None, allowed(1000)).bytes_max(), Some(800));
        assert_eq!(Memory::of(Some(Size(5)), allowed(1000)).bytes_max(), Some(5));
        assert_eq!(Memory::of(Some(Size(0)), allowed(1000)).bytes_max(), None);
        assert_eq!(Memory::of(None, None).bytes_max(), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_beyond_its_bound_is_full_and_says_by_how_much() {
        let memory = Memory::of(Some(Size(1)), allowed(1));
        assert_eq!(memory.room(0), Room { names: 0, slots: 0 });
        let level = memory.full().unwrap();
        assert!(level.bytes_max == 1 && level.used_bytes > 1 << 16, "{level:?}");

        let memory = Memory::of(Some(Size(1 << 60)), None);
        let room = memory.room(0);
        assert!(room.names > 1 << 59 && room.slots >= room.names && memory.full().is_none());
        let spared = room.names - memory.room(1 << 30).names;
        assert!(spared >= SPARE_BYTES << 29, "{spared} of counters' next slots");
        assert_eq!(Memory::of(Some(Size(0)), None).room(1 << 30), Room::default());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_start_that_would_not_fit_says_what_it_needs() {
        let before = used_bytes().unwrap();
        let little = Memory::of(None, allowed(before / 2));
        let why = little.fits(before / 2, 1, 3).unwrap_err();
        // Half of what is used came with a third of what is to be read.
        let expected = (before / 2 + 3 * (before - before / 2)) / SHARE * 100;
        let needed = why.needed.0;
        assert!(needed >= expected / 2 && needed <= 2 * expected, "{needed}, not {expected}");
        assert!(why.to_string().contains("the cgroup has "), "{why}");
        Memory::of(None, allowed(1 << 50)).fits(before / 2, 1, 3).unwrap();
    }
}
