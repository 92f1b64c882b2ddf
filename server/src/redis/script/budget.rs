//! How much a script may take: instructions, time and memory. What goes beyond it is ended, and
//! nothing of what it did is done.
//!
//! Lua calls back every few instructions. What Rust does for a script asks here as well while it
//! goes on, since nothing of Lua's is counted meanwhile.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The bounds of one run.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Bounds {
    pub(super) instructions: u64,
    pub(super) time: Duration,
    pub(super) memory_bytes: usize,
    /// How many instructions go by between two looks at the clock.
    pub(super) instructions_a_look: u32,
}

/// Beside the driver. A limiter's script takes some hundred instructions, and these take a quarter of
/// a second. The memory holds the longest command several times over, as its script, its keys and what
/// is made of them.
pub(in crate::redis) const BESIDE: Bounds = Bounds {
    instructions: 20_000_000,
    time: Duration::from_secs(1),
    memory_bytes: 16 << 20,
    instructions_a_look: 100,
};

/// In the driver's place, where all others wait: a millisecond, and so little memory that no single
/// instruction takes long. A script that keeps to it has been tried beside the driver several times.
pub(in crate::redis) const ALONE: Bounds = Bounds {
    instructions: 100_000,
    time: Duration::from_millis(1),
    memory_bytes: 1 << 20,
    instructions_a_look: 20,
};

/// Which bound was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Instructions(u64),
    Time(Duration),
    Killed,
}

impl Over {
    /// As its client is told.
    pub(super) fn text(self) -> String {
        match self {
            Over::Instructions(most) => format!(
                "ERR the script was ended after {most} instructions, and nothing of it was done"
            ),
            Over::Time(most) => format!(
                "ERR the script was ended after {} ms, and nothing of it was done",
                most.as_millis()
            ),
            Over::Killed => "ERR Script killed by user with SCRIPT KILL...".to_owned(),
        }
    }
}

/// What a script that needs more memory is told.
pub(super) fn out_of_memory(bounds: &Bounds) -> String {
    format!(
        "ERR the script was ended, since it took more than {} MiB of memory, and nothing of it was done",
        bounds.memory_bytes >> 20
    )
}

/// How often `SCRIPT KILL` was said: a script that has begun before the last time ends.
#[derive(Debug, Default)]
pub(in crate::redis) struct Kills(AtomicU64);

impl Kills {
    /// What tells that it was said since.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(in crate::redis) fn kill(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What is left to one run.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bounds: Bounds,
    began: Instant,
    instructions: Cell<u64>,
    kills: Arc<Kills>,
    kills_before: u64,
}

impl Budget {
    /// From now on, of a script that has begun when kills had been said so often.
    pub(super) fn new(bounds: Bounds, kills: &Arc<Kills>, kills_before: u64) -> Self {
        let (began, instructions) = (Instant::now(), Cell::new(0));
        Budget { bounds, began, instructions, kills: Arc::clone(kills), kills_before }
    }

    /// So many instructions have gone by, or steps that take as long.
    pub(super) fn spend(&self, instructions: u64) -> Result<(), Over> {
        let spent = self.instructions.get().saturating_add(instructions);
        self.instructions.set(spent);
        if self.kills.count() != self.kills_before {
            return Err(Over::Killed);
        }
        if spent > self.bounds.instructions {
            return Err(Over::Instructions(self.bounds.instructions));
        }
        if self.began.elapsed() > self.bounds.time {
            return Err(Over::Time(self.bounds.time));
        }
        Ok(())
    }
}
