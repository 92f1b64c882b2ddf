//! A node of the demo: on ports that the system chose, its data in the scratch directory.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use super::process::Process;
use super::scratch::Scratch;
use crate::failure::Failure;
use crate::{ask, wait};

/// How long a node may take until it listens, on a busy machine.
pub(super) const START_TIME_MAX: Duration = Duration::from_secs(20);

pub(super) struct Node {
    pub(super) http: ask::Node,
    /// Where it serves clients of Redis.
    pub(super) redis: SocketAddr,
    pub(super) process: Process,
}

impl Node {
    /// Starts node `number`, which is told of another one if there is one, and waits until it says
    /// where it listens.
    pub(super) fn start(
        program: &Path,
        scratch: &Scratch,
        number: u16,
        other: Option<&Node>,
    ) -> Result<Self, Failure> {
        let unable = |error| Failure::Unable(format!("node {number}: {error}"));
        let log = scratch.file(&format!("node{number}.log"));
        let file = File::create(&log).map_err(unable)?;
        let mut command = Command::new(program);
        command
            .args(["--http", "127.0.0.1:0", "--redis", "127.0.0.1:0", "--disable-discovery"])
            .args(["--cluster", &format!("demo-{}", process::id())])
            .arg("--data-dir")
            .arg(scratch.file(&format!("data{number}")))
            .env_remove("PORT")
            .env_remove("PEERS")
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(unable)?)
            .stderr(file);
        if let Some(other) = other {
            command.args(["--join", &other.http.socket().to_string()]);
        }
        let mut process = Process::start(&mut command).map_err(unable)?;
        let mut listening = None;
        let listens_or_ended = || {
            listening = fs::read_to_string(&log).ok().as_deref().and_then(sockets);
            listening.is_some() || process.ended().is_some()
        };
        let late = || format!("node {number} does not listen after {START_TIME_MAX:?}");
        wait::within(START_TIME_MAX, listens_or_ended, late)?;
        let (http, redis) = listening.ok_or_else(|| {
            Failure::NotAsDescribed(format!("node {number} ended before it listened"))
        })?;
        Ok(Node { http: ask::Node { number, port: http.port() }, redis, process })
    }

    /// Whether this node sees another one in that state.
    pub(super) fn sees(&self, other: &Node, state: &str) -> bool {
        let address = other.http.socket().to_string();
        self.http.status().is_ok_and(|status| {
            status.peers.iter().any(|peer| peer.address == address && peer.state == state)
        })
    }
}

/// Where a node's log says that it listens, for HTTP and for clients of Redis.
fn sockets(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let after = |words: &str| {
        let (_, rest) = log.split_once(words)?;
        let end = rest.find(|found: char| found == ',' || found.is_whitespace())?;
        rest[..end].parse().ok()
    };
    Some((after(" listens on ")?, after("; Redis clients on ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_where_its_node_listens() {
        let line = "2026-01-02T03:04:05.678Z  INFO quipu 0.1.0 listens on 127.0.0.1:4711, advertised \
                    as 127.0.0.1:4711; Redis clients on 127.0.0.1:4712\n";
        let (http, redis) = sockets(&format!("INFO reading\n{line}INFO more\n")).unwrap();
        assert_eq!((http.port(), redis.port()), (4711, 4712));
        for cut in 0..line.len() {
            assert_eq!(sockets(&line[..cut]), None, "{}", &line[..cut]);
        }
    }
}
