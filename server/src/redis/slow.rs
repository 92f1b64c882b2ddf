//! Commands that took long: `SLOWLOG` keeps the last of them, `LATENCY` how long they took.
//!
//! What is measured is how long the node had a client's commands: from when its driver took them until
//! their answers were safe to tell, the disk included; or how long a walk over the names took. The
//! driver measures that for its histogram anyway, so no clock is read for it. All commands that one read
//! brings are done as one message and have one time; the first of them is told, and how many came
//! with it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::clients::Client;
use super::settings::Settings;
use crate::os::wall_clock::wall_clock_ms;

/// As Redis has it: what is kept of the arguments of one command.
const ARGUMENTS_MAX: usize = 32;
const ARGUMENT_BYTES_MAX: usize = 128;

/// As Redis has it: how many times are kept, one a second at most.
const SPIKES_MAX: usize = 160;

/// What was slow.
#[derive(Debug, Default)]
pub(super) struct Slow {
    log: Mutex<Log>,
    spikes: Mutex<Spikes>,
}

#[derive(Debug, Default)]
struct Log {
    next_id: i64,
    /// The newest first.
    entries: VecDeque<Entry>,
}

/// One entry of the slow log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    /// In seconds since 1970.
    pub(super) at_s: i64,
    pub(super) took_us: i64,
    pub(super) arguments: Vec<Bytes>,
    pub(super) peer: String,
    pub(super) client: Bytes,
}

/// How long the slow ones took.
#[derive(Clone, Debug, Default)]
pub(super) struct Spikes {
    /// The oldest first: seconds since 1970, and milliseconds.
    pub(super) samples: VecDeque<(i64, i64)>,
    pub(super) longest_ms: i64,
}

impl Slow {
    /// A client's commands took so long; the arguments are those of the first, and `others` came with it.
    pub(super) fn note<'a>(
        &self,
        settings: &Settings,
        client: &Client,
        took: Duration,
        arguments: impl ExactSizeIterator<Item = &'a [u8]>,
        others: usize,
    ) {
        let at_s = i64::try_from(wall_clock_ms() / 1000).unwrap_or(i64::MAX);
        let took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let took_ms = took_us / 1000;
        if settings.spike_ms() > 0 && took >= Duration::from_millis(settings.spike_ms()) {
            self.spikes.lock().unwrap_or_else(PoisonError::into_inner).add(at_s, took_ms);
        }
        if settings.slower_than_us() < 0 || took_us < settings.slower_than_us() {
            return;
        }
        let (peer, shown) = (client.socket.peer.to_string(), client.shown());
        let name = shown.name.clone().unwrap_or_default();
        drop(shown);
        let mut log = self.log();
        let id = log.next_id;
        log.next_id += 1;
        let arguments = cut(arguments, others);
        log.entries.push_front(Entry { id, at_s, took_us, arguments, peer, client: name });
        log.entries.truncate(settings.slow_log_entries());
    }

    /// The newest entries, so many at most.
    pub(super) fn newest(&self, count: usize) -> Vec<Entry> {
        self.log().entries.iter().take(count).cloned().collect()
    }

    pub(super) fn logged(&self) -> usize {
        self.log().entries.len()
    }

    /// Forgets all entries.
    pub(super) fn forget_log(&self) {
        self.log().entries = VecDeque::new();
    }

    /// Forgets those beyond a bound that has become smaller.
    pub(super) fn truncate_log(&self, entries: usize) {
        self.log().entries.truncate(entries);
    }

    /// How long the slow ones took, if any was noted.
    pub(super) fn spikes(&self) -> Option<Spikes> {
        let spikes = self.spikes.lock().unwrap_or_else(PoisonError::into_inner);
        (!spikes.samples.is_empty()).then(|| spikes.clone())
    }

    /// Forgets that; false if nothing was noted.
    pub(super) fn forget_spikes(&self) -> bool {
        let mut spikes = self.spikes.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::take(&mut *spikes).samples.is_empty()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // No code that holds it can panic between two changes that belong together.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spikes {
    fn add(&mut self, at_s: i64, took_ms: i64) {
        self.longest_ms = self.longest_ms.max(took_ms);
        match self.samples.back_mut() {
            Some((at, longest)) if *at == at_s => *longest = took_ms.max(*longest),
            _ => self.samples.push_back((at_s, took_ms)),
        }
        if self.samples.len() > SPIKES_MAX {
            self.samples.pop_front();
        }
    }
}

/// Arguments as they are kept: copies, since slices would keep whole reads alive.
fn cut<'a>(arguments: impl ExactSizeIterator<Item = &'a [u8]>, others: usize) -> Vec<Bytes> {
    let count = arguments.len();
    let told = if count > ARGUMENTS_MAX { ARGUMENTS_MAX - 1 } else { count };
    let mut kept: Vec<Bytes> = arguments.take(told).map(cut_one).collect();
    if count > told {
        kept.push(format!("... ({} more arguments)", count - told).into());
    }
    if others > 0 {
        kept.push(format!("... ({others} more commands)").into());
    }
    kept
}

fn cut_one(argument: &[u8]) -> Bytes {
    match argument.len().checked_sub(ARGUMENT_BYTES_MAX) {
        None | Some(0) => Bytes::copy_from_slice(argument),
        Some(more) => {
            let rest = format!("... ({more} more bytes)");
            [&argument[..ARGUMENT_BYTES_MAX], rest.as_bytes()].concat().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::clients::{Clients, Socket};

    fn noted(slow: &Slow, settings: &Settings, us: u64, arguments: &[&[u8]], others: usize) {
        let address = "127.0.0.1:7".parse().unwrap();
        let client =
            Clients::default().admit(Socket { peer: address, local: address, descriptor: 1 });
        let arguments = arguments.iter().copied();
        slow.note(settings, &client, Duration::from_micros(us), arguments, others);
    }

    #[test]
    fn the_newest_are_kept_and_cut_as_redis_cuts_them() {
        let (slow, settings) = (Slow::default(), Settings::default());
        settings.set_slow_log_entries(2);
        noted(&slow, &settings, 9_999, &[b"GET", b"quick"], 0);
        noted(&slow, &settings, 10_000, &[b"GET", b"oldest"], 0);
        let long = [b'x'; 130];
        noted(&slow, &settings, 20_000, &[b"GET", &long], 63);
        let many: Vec<&[u8]> = (0..33).map(|_| &b"a"[..]).collect();
        noted(&slow, &settings, 30_000, &many, 0);
        let [newest, before] = &slow.newest(9)[..] else { panic!("expected two entries") };
        assert_eq!((newest.id, newest.took_us, newest.arguments.len()), (2, 30_000, 32));
        assert_eq!(newest.arguments[31], "... (2 more arguments)");
        assert_eq!(before.arguments[1], [&long[..128], b"... (2 more bytes)"].concat());
        assert_eq!(before.arguments[2], "... (63 more commands)");
        assert_eq!(before.peer, "127.0.0.1:7");
        settings.set_slower_than_us(-1);
        noted(&slow, &settings, 99_000_000, &[b"GET"], 0);
        assert_eq!(slow.logged(), 2, "nothing is logged below 0");
        slow.forget_log();
        assert_eq!(slow.logged(), 0);
        assert!(slow.spikes().is_none(), "spikes are noted only once they are asked for");
    }

    #[test]
    fn spikes_are_one_a_second_and_the_longest_of_it() {
        let mut spikes = Spikes::default();
        for (at, took) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            spikes.add(at, took);
        }
        assert_eq!(spikes.samples, [(1, 9), (2, 3)]);
        assert_eq!(spikes.longest_ms, 9);
        (3..500).for_each(|at| spikes.add(at, 1));
        assert_eq!((spikes.samples.len(), spikes.longest_ms), (SPIKES_MAX, 9));
    }
}
