//! The nodes as processes of this machine, for where there is no Docker: on 127.0.0.1, ports 9088
//! and up, and 6380 and up for clients of Redis.
//!
//! They find each other by broadcast on the loopback network, as containers do on theirs. Each has a
//! pid, a log and a data directory under `.run`.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Cluster, FIRST_NODES, STOP_GRACE, Stage, http_port, number_of, redis_port};
use crate::ask::Node;
use crate::command::{command, run};
use crate::failure::Failure;
use crate::{ask, files, say, wait};

const DIRECTORY: &str = ".run";

/// This machine.
pub(super) struct Local;

impl Stage for Local {
    fn running(&self) -> Vec<Node> {
        let running = numbers().into_iter().filter(|number| pid_of(*number).is_some());
        running.map(|number| Node { number, port: http_port(number) }).collect()
    }

    fn has_node(&self, number: u16) -> bool {
        pid_of(number).is_some()
    }

    fn start_node(&self, number: u16) -> Result<(), Failure> {
        let mut redis = format!("127.0.0.1:{}", redis_port(number));
        if ask::port_answers(redis_port(number)) {
            let port = redis_port(number);
            say::complain(format_args!(
                "node{number} serves no Redis clients: another program has port {port}"
            ));
            "off".clone_into(&mut redis);
        }
        spawn(number, &redis).map_err(|error| Failure::Unable(format!("node{number}: {error}")))
    }

    fn restart_node(&self, number: u16) -> Result<(), Failure> {
        stop(number);
        self.start_node(number)
    }

    /// As a container's nameless volume goes with it.
    fn remove_node(&self, number: u16) -> Result<(), Failure> {
        stop(number);
        remove_all(&data(number))
    }
}

impl Cluster for Local {
    fn is_there(&self) -> bool {
        true
    }

    fn build(&self) -> Result<(), Failure> {
        run(&mut command("cargo", &["build", "--release", "--package", "quipu"]))
    }

    fn start_three(&self) -> Result<(), Failure> {
        for log in logs() {
            remove_all(&log)?;
        }
        (1..=FIRST_NODES).try_for_each(|number| self.start_node(number))
    }

    fn stop(&self) -> Result<(), Failure> {
        for number in numbers() {
            if number > FIRST_NODES {
                self.remove_node(number)?;
            } else {
                stop(number);
            }
        }
        Ok(())
    }

    /// All of it lies under `.run`.
    fn clean(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn has_logs(&self) -> bool {
        !logs().is_empty()
    }

    fn logs(&self, follow: bool) -> Result<(), Failure> {
        let tail = &mut command("tail", &["--lines=+1"]);
        run(tail.args(follow.then_some("--follow")).args(logs()))
    }
}

fn remove_all(path: &Path) -> Result<(), Failure> {
    files::remove_all(path).map_err(|error| Failure::Unable(format!("{}: {error}", path.display())))
}

/// Starts node `number` in a session of its own, so that a Ctrl-C at this terminal is not the node's.
/// It outlives this program; where it does not, see `pid_of`.
fn spawn(number: u16, redis: &str) -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    let log = File::options().create(true).append(true).open(file(number, "log"))?;
    let mut node = Command::new("setsid")
        .arg(binary())
        .args(["--http", &format!("127.0.0.1:{}", http_port(number)), "--redis", redis])
        .arg("--data-dir")
        .arg(data(number))
        // They may be set for some other purpose, and would be obeyed.
        .env_remove("PORT")
        .env_remove("PEERS")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    // A node that is written down nowhere could not be stopped.
    fs::write(file(number, "pid"), format!("{}\n", node.id())).inspect_err(|_| {
        let _ = node.kill();
        let _ = node.wait();
    })
}

/// What `cargo build --release` makes.
pub(crate) fn binary() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    target.join("release/quipu")
}

/// Stops node `number` if it runs: asks, then kills.
fn stop(number: u16) {
    if let Some(pid) = pid_of(number) {
        let _ = kill_process(pid, Signal::TERM);
        if wait::poll(STOP_GRACE, || pid_of(number).is_none()).is_none() {
            say::complain(format_args!(
                "node{number} (pid {pid}) did not stop when it was asked to, and was killed",
                pid = pid.as_raw_nonzero()
            ));
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = fs::remove_file(file(number, "pid"));
}

/// The process of node `number`, if it runs. A pid alone does not tell: it may belong to another
/// program by now, or to a node of another checkout, or to a dead process whose status has not been
/// collected, which has neither arguments nor a directory.
fn pid_of(number: u16) -> Option<Pid> {
    let written = fs::read_to_string(file(number, "pid")).ok()?;
    let pid = Pid::from_raw(written.trim().parse().ok()?)?;
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let arguments = fs::read(process.join("cmdline")).ok()?;
    let is_here = fs::read_link(process.join("cwd")).ok()? == env::current_dir().ok()?;
    (is_here && keeps_data_in(&arguments, &data(number))).then_some(pid)
}

/// Whether a command line, as `/proc` shows it, has this data directory among its arguments.
fn keeps_data_in(arguments: &[u8], data: &Path) -> bool {
    let mut arguments = arguments.split(|byte| *byte == 0);
    arguments.any(|argument| argument == b"--data-dir")
        && arguments.next() == Some(data.as_os_str().as_encoded_bytes())
}

fn file(number: u16, kind: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("node{number}.{kind}"))
}

fn data(number: u16) -> PathBuf {
    file(number, "data")
}

/// The numbers of the nodes that have a pid file, in order.
fn numbers() -> Vec<u16> {
    let mut numbers: Vec<u16> = files_of("pid").into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    numbers
}

/// The logs, in order of the nodes' numbers.
fn logs() -> Vec<PathBuf> {
    let mut logs = files_of("log");
    logs.sort_unstable();
    logs.into_iter().map(|(_, path)| path).collect()
}

/// The nodes' files of one kind.
fn files_of(kind: &str) -> Vec<(u16, PathBuf)> {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_of_kind = |path: &PathBuf| path.extension().is_some_and(|found| found == kind);
    paths
        .filter(is_of_kind)
        .filter_map(|path| Some((number_of(path.file_stem()?.to_str()?)?, path)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_a_node_by_its_data_directory() {
        let node = b"target/release/quipu\0--http\x00127.0.0.1:9088\0--data-dir\0.run/node1.data\0";
        assert!(keeps_data_in(node, &data(1)));
        assert!(!keeps_data_in(node, &data(2)));
        // So it is for a moment after its start.
        assert!(keeps_data_in(&[b"setsid\0", &node[..]].concat(), &data(1)));
    }

    #[test]
    fn another_program_with_that_pid_is_no_node() {
        assert!(!keeps_data_in(b"", &data(1)));
        assert!(!keeps_data_in(b"tail\0.run/node1.data\0", &data(1)));
        assert!(!keeps_data_in(b"quipu\0--data-dir\0", &data(1)));
        assert!(!keeps_data_in(b"quipu\0--data-dir\0.run/node11.data\0", &data(1)));
    }
}
