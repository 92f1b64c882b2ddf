//! Other programs, run to their end.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::{interrupt, wait};

/// Makes one from the words of its line.
pub(crate) fn command(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words);
    command
}

/// Runs it; people see what it says. A signal that this program gets ends it, too.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let name = name(command);
    let unable = |error| Failure::Unable(format!("{name}: {error}"));
    let mut child = command.spawn().map_err(unable)?;
    let mut ended = None;
    let is_over = || {
        ended = child.try_wait().transpose();
        ended.is_some() || interrupt::caught().is_some()
    };
    wait::poll(Duration::MAX, is_over);
    let ended = ended.unwrap_or_else(|| {
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        child.wait()
    });
    match ended.map_err(unable)? {
        status if status.success() => Ok(()),
        status => Err(Failure::Unable(format!("{name}: {status}"))),
    }
}

/// Runs it and returns what it wrote to its standard output. Its first complaint is told if it
/// fails.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::Unable(format!("{}: {error}", name(command))))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaint = complaints.lines().map(str::trim).find(|line| !line.is_empty());
    let complaint = complaint.map_or_else(|| output.status.to_string(), str::to_owned);
    Err(Failure::Unable(format!("{}: {complaint}", name(command))))
}

/// Whether it can be run, and succeeds. Silent.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// The program and its first argument: `docker run`.
fn name(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args()).take(2);
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_the_first_complaint() {
        let mut complaining = command("sh", &["-c", "echo; echo first; echo second; exit 3"]);
        let text = output(complaining.args(["sh"]).stdout(Stdio::piped())).unwrap_err().to_string();
        assert_eq!(text, "sh -c: exit status: 3");
        let script = "echo >&2; echo ' first' >&2; echo second >&2; exit 3";
        let text = output(&mut command("sh", &["-c", script])).unwrap_err().to_string();
        assert_eq!(text, "sh -c: first");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let text = run(&mut command("no-such-program", &["up"])).unwrap_err().to_string();
        assert!(text.starts_with("no-such-program up: No such file"), "{text}");
        assert!(!succeeds(&mut command("no-such-program", &[])));
    }

    #[test]
    fn what_a_program_writes_is_returned() {
        assert_eq!(output(&mut command("echo", &["a b"])).unwrap(), "a b\n");
    }
}
