//! The program as something that runs and ends: `quipu check`, `quipu repair`, a start that is
//! refused.

use std::process::{Command, Stdio};

use super::node::{PROGRAM, free_port};

/// How it ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    /// What it said of itself: lines that are not of its log.
    pub complaint: String,
}

/// Runs the program with these arguments, and waits until it ends.
pub fn quipu(arguments: &[&str]) -> Ended {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    let lines = String::from_utf8_lossy(&output.stderr);
    Ended {
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: complaint(&lines),
    }
}

/// Starts a node that is expected to end by itself; what it complains of.
#[track_caller]
pub fn refused(arguments: &[&str]) -> String {
    let http = format!("127.0.0.1:{}", free_port());
    let ended = quipu(&[&["--http", http.as_str(), "--disable-discovery"], arguments].concat());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.complaint.lines().count(), 1, "expected one line, found {ended:?}");
    ended.complaint
}

/// The lines of a log with which the program says why it ends.
pub fn complaint(log: &str) -> String {
    log.lines().filter_map(|line| line.strip_prefix("quipu: ")).collect::<Vec<_>>().join("\n")
}
