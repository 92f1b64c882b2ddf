//! A group of processes that may have only so much memory together, as a container is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Numbers this process's groups.
static GROUPS: AtomicU32 = AtomicU32::new(0);

/// A group that goes when this does: drop what runs inside before.
#[derive(Debug)]
pub struct SmallMemory {
    directory: PathBuf,
    script: String,
}

impl SmallMemory {
    /// One that may have so much. Needs root, and the controller for memory of either version.
    pub fn of_bytes(bytes: u64) -> Result<SmallMemory, String> {
        let number = GROUPS.fetch_add(1, Relaxed);
        let name = format!("quipu-test-{}-{number}", std::process::id());
        let failed = |doing: &str, error| format!("{doing} a memory cgroup: {error}");
        let (root, limit) =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
                .into_iter()
                .find(|(root, _)| Path::new(root).join("cgroup.procs").exists())
                .ok_or("there is no memory cgroup here")?;
        let directory = Path::new(root).join(name);
        fs::create_dir(&directory).map_err(|error| failed("cannot make", error))?;
        let procs = directory.join("cgroup.procs");
        let script = format!("echo $$ > {} && exec \"$0\" \"$@\"", procs.display());
        let memory = SmallMemory { directory, script };
        fs::write(memory.directory.join(limit), bytes.to_string())
            .map_err(|error| failed("cannot limit", error))?;
        Ok(memory)
    }

    /// The words that run a program inside, as the same process.
    pub fn enter<'a>(&'a self, program: &'a str) -> [&'a str; 4] {
        ["sh", "-c", &self.script, program]
    }
}

impl Drop for SmallMemory {
    fn drop(&mut self) {
        // A process that was inside may not be gone yet; an empty group that stays takes nothing.
        let _ = fs::remove_dir(&self.directory);
    }
}
