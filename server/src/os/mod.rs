//! What the process asks of the machine and is told by it, and what it tells its service manager.

mod cgroup;
pub(crate) mod coarse_clock;
pub(crate) mod companion;
pub(crate) mod descriptors;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod signals;
pub(crate) mod wall_clock;
