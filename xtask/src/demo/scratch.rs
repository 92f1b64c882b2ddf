//! A directory for what a run leaves: logs and data, gone with it.

use std::io;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use crate::files;

/// How many of a log's last lines are shown when a run fails.
const LINES_SHOWN: usize = 20;

pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn create() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("quipu-demo-{}", process::id()));
        fs::create_dir(&path)?;
        Ok(Scratch(path))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The ends of all logs.
    pub(super) fn log_ends(&self) -> io::Result<String> {
        let mut logs: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            logs.push(entry?.path());
        }
        logs.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.sort_unstable();
        logs.iter().map(|log| Ok(end_of(log, &fs::read_to_string(log)?))).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies among the system's temporary files.
        let _ = files::remove_all(&self.0);
    }
}

fn end_of(log: &Path, text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    format!("==> {} <==\n{}\n", log.display(), end.join("\n"))
}
