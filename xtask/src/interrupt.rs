//! The signals that ask this program to end.
//!
//! The first one ends the wait that goes on, by way of the same exits as a failure: what a check did
//! to the cluster is undone, and what the demo started is stopped. A second one ends the program.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The signal that came, 0 before one did. A process has its signals, so it has one of these.
static CAUGHT: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// Catches them from now on.
pub(crate) fn listen() -> io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        // In this order: the first signal is the one that arms it.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_second))?;
        flag::register(signal, Arc::clone(&is_second))?;
        flag::register_usize(signal, Arc::clone(&CAUGHT), signal.unsigned_abs() as usize)?;
    }
    Ok(())
}

/// The signal that came, if one did.
pub(crate) fn caught() -> Option<u8> {
    u8::try_from(CAUGHT.load(Relaxed)).ok().filter(|signal| *signal > 0)
}
