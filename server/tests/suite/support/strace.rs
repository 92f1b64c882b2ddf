//! A node whose system calls fail or kill it where a test says so.
//!
//! strace stands between the node and the system: it lets a call return an error that never
//! happened, or kills the process instead of making the call, and writes down which calls were
//! made. It counts the calls of each thread apart, so a fault is named by the file that is meant:
//! of each file the calls come from one thread.
//!
//! Rejected: fault points in the program. They would be code that no user needs, and would fail
//! where we thought of it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::wait::{say_loudly, wait_until};

/// How long strace may take to write down what it saw, on a machine that runs other tests too.
const WRITING_TIME_MAX: Duration = Duration::from_secs(10);

/// Numbers this process's logs.
static LOGS: AtomicU32 = AtomicU32::new(0);

/// One program under strace, and what it wrote down.
#[derive(Debug)]
pub struct Strace {
    arguments: Vec<String>,
    log: PathBuf,
}

impl Strace {
    /// Lets the `nth` of these calls to a file end as told: `error=EIO`, `signal=KILL`. 0 lets all
    /// of them be, and only writes them down.
    pub fn of(calls: &str, file: &str, how: &str, nth: usize) -> Strace {
        let number = LOGS.fetch_add(1, Relaxed);
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("strace-{}-{number}.log", std::process::id()));
        // -D keeps the node the test's own child, -s keeps the log short.
        let mut arguments: Vec<String> =
            ["strace", "-D", "-f", "-s", "8", "-o"].into_iter().map(str::to_owned).collect();
        arguments.extend([log.to_str().expect("text").to_owned(), "-P".into(), file.to_owned()]);
        arguments.extend(["-e".into(), format!("trace={calls}")]);
        if nth > 0 {
            arguments.extend(["-e".into(), format!("inject={calls}:{how}:when={nth}")]);
        }
        Strace { arguments, log }
    }

    /// Whether strace is here and may trace; says loudly if not.
    pub fn is_allowed() -> bool {
        let tried = Command::new("strace")
            .args(["-D", "-f", "-o", "/dev/null", "-e", "trace=none", "true"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let why = match tried {
            Ok(status) if status.success() => return true,
            Ok(_) => "strace may not trace here",
            Err(_) => "strace is not installed (scripts/packages does that)",
        };
        say_loudly(&format!("SKIPPED, nothing was tested: {why}"));
        false
    }

    /// The command line that runs the program under it.
    pub fn around<'a>(&'a self, program: &'a str) -> Vec<&'a str> {
        self.arguments.iter().map(String::as_str).chain([program]).collect()
    }

    /// The calls that were made so far, a line each.
    pub fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        // A thread that ends with the process while it is looked at is told of as ???().
        let is_call = |line: &&str| line.contains('(') && !line.contains("???(");
        log.lines().filter(is_call).map(str::to_owned).collect()
    }

    /// Whether the fault has come to pass, for a program that has ended. strace writes that down a
    /// moment later.
    #[track_caller]
    pub fn struck_to_the_end(&self) -> bool {
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        wait_until("strace tells of the end", WRITING_TIME_MAX, log, |log| log.contains("+++ "));
        self.has_struck()
    }

    /// Whether the fault has come to pass.
    fn has_struck(&self) -> bool {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.contains("(INJECTED)") || log.contains("+++ killed by SIGKILL")
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.log);
    }
}
