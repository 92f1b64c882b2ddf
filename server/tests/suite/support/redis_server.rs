//! A real redis-server beside the node, for as long as a test runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::node::free_port;
use super::resp::Client;
use super::wait::{say_loudly, wait_until};

/// How long it may take to answer after its start.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// A running server, empty at first.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    address: SocketAddr,
}

impl RedisServer {
    /// Starts one; `None`, said loudly, where it is not installed.
    pub fn start() -> Option<RedisServer> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir", env!("CARGO_TARGET_TMPDIR")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            say_loudly(
                "SKIPPED, nothing was compared: redis-server is not installed; scripts/packages \
                 installs it",
            );
            return None;
        };
        let server = RedisServer { child, address };
        let is_up = || Client::try_open(address).is_ok();
        wait_until("redis-server answers", START_TIME_MAX, is_up, |is_up| *is_up);
        Some(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
