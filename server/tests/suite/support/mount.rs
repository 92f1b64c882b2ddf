//! A disk so small that it can be filled: a file system in memory, in a mount namespace of its own,
//! so that nothing is left of it whatever becomes of the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where it is mounted; whatever was there before is there still for every other process.
const PLACE: &str = "/mnt";

/// A disk that lives as long as this does.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
}

impl SmallDisk {
    /// One on which so much fits. Needs root.
    pub fn of_bytes(bytes: u64) -> Result<SmallDisk, String> {
        let script = format!("mount -t tmpfs -o size={bytes} quipu-test {PLACE} && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare cannot be started: {error}"))?;
        // What comes back comes from behind the mount.
        let mut echo = String::new();
        let asked = holder.stdin.as_mut().expect("piped").write_all(b"mounted?\n");
        let heard = BufReader::new(holder.stdout.as_mut().expect("piped")).read_line(&mut echo);
        let disk = SmallDisk { holder };
        match (asked, heard, echo.as_str()) {
            (Ok(()), Ok(_), "mounted?\n") => Ok(disk),
            _ => Err("a file system cannot be mounted here".to_owned()),
        }
    }

    /// A directory on it, for those inside.
    pub fn inside(&self) -> &'static str {
        "/mnt/data"
    }

    /// The command line that runs a program inside, as the same process.
    pub fn enter(&self, program: &str) -> Vec<String> {
        let mounts = format!("--mount=/proc/{}/ns/mnt", self.holder.id());
        vec!["nsenter".into(), mounts, program.into()]
    }

    /// The file that takes all that is left of it, once it was filled.
    pub fn filler(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{PLACE}/filler", self.holder.id()))
    }

    /// Leaves not a byte.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).expect("room for a name");
        while filler.write_all(&[1; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
