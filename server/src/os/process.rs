//! What this process takes of the machine, as the system says.

use std::time::Duration;

/// Taken at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Processor time since the start: the program's own, and the system's for it.
    pub(crate) cpu_user: Duration,
    pub(crate) cpu_system: Duration,
    /// Memory that is really there.
    pub(crate) resident_bytes: u64,
    /// Memory that addresses were given for.
    pub(crate) virtual_bytes: u64,
    pub(crate) open_files: u64,
    /// `None` without a limit.
    pub(crate) open_files_max: Option<u64>,
}

impl Usage {
    /// As it is now. `None` where the system does not say: only Linux has it where it is looked for,
    /// and a container may hide it.
    pub(crate) fn now() -> Option<Self> {
        read()
    }
}

#[cfg(target_os = "linux")]
fn read() -> Option<Usage> {
    use procfs::process::{LimitValue, Process};

    let myself = Process::myself().ok()?;
    let stat = myself.stat().ok()?;
    let page_bytes = procfs::page_size();
    let ticks = |ticks: u64| {
        Duration::from_micros(ticks.saturating_mul(1_000_000) / procfs::ticks_per_second().max(1))
    };
    Some(Usage {
        cpu_user: ticks(stat.utime),
        cpu_system: ticks(stat.stime),
        resident_bytes: stat.rss.saturating_mul(page_bytes),
        virtual_bytes: stat.vsize,
        open_files: myself.fd_count().ok()? as u64,
        open_files_max: match myself.limits().ok()?.max_open_files.soft_limit {
            LimitValue::Value(most) => Some(most),
            LimitValue::Unlimited => None,
        },
    })
}

#[cfg(not(target_os = "linux"))]
fn read() -> Option<Usage> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_a_process_takes_is_seen() {
        let before = Usage::now().unwrap();
        let memory = vec![1_u8; 64 << 20];
        let files: Vec<File> = (0..10).map(|_| File::open("/dev/null").unwrap()).collect();
        let after = Usage::now().unwrap();
        // Other tests of this process come and go, but none of them takes as much.
        assert!(after.resident_bytes > before.resident_bytes + (32 << 20), "{before:?} {after:?}");
        assert!(after.virtual_bytes >= after.resident_bytes);
        assert!(after.open_files >= files.len() as u64 && after.open_files_max.is_some());
        assert!(std::hint::black_box(memory)[1] == 1);
    }
}
