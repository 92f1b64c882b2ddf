//! A node under a service manager says when it answers and when it leaves: sd_notify(3).

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::http::{Answer, request};
use crate::support::node::free_port;
use crate::support::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process};

/// How long a start or an end may take on a machine that runs other tests too.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Killed when dropped.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(port: u16, notify: &OsStr) -> Service {
    let child = Command::new(env!("CARGO_BIN_EXE_quipu"))
        .args(["--http", &format!("127.0.0.1:{port}"), "--redis", "off"])
        .args(["--in-memory", "--disable-discovery"])
        .env_remove("PORT")
        .env_remove("PEERS")
        .env("NOTIFY_SOCKET", notify)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the node's binary can be started");
    Service(child)
}

fn said(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = manager.recv(&mut bytes).expect("the node says something in time");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// Starts a node under a manager, sees it answer once it says so, and has it leave.
#[track_caller]
fn watch_over(manager: &UnixDatagram, notify: &OsStr) {
    manager.set_read_timeout(Some(TIME_MAX)).expect("a socket can have a timeout");
    let port = free_port();
    let mut service = start(port, notify);
    let first = said(manager);
    assert!(first.lines().any(|line| line == "READY=1"), "{first:?}");
    let health = request(([127, 0, 0, 1], port).into(), "GET", "/health", "");
    assert_eq!(health.expect("it said that it answers").status, 200);
    let pid = i32::try_from(service.0.id()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::TERM).expect("a child can be signalled");
    let last = said(manager);
    assert!(last.lines().any(|line| line == "STOPPING=1"), "{last:?}");
    let ended = wait_until(
        "the node ends",
        TIME_MAX,
        || service.0.try_wait().expect("a child can be waited for"),
        Option::is_some,
    );
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
}

#[test]
fn readiness_and_leave_are_told_to_a_socket_in_a_directory() {
    let path = std::env::temp_dir().join(format!("quipu-notify-{}", std::process::id()));
    let manager = UnixDatagram::bind(&path).expect("a socket can be made");
    watch_over(&manager, path.as_os_str());
    std::fs::remove_file(&path).expect("the socket's file can be removed");
}

#[test]
fn readiness_and_leave_are_told_to_a_socket_without_a_file() {
    let name = format!("quipu-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let manager = UnixDatagram::bind_addr(&address).expect("a socket can be made");
    watch_over(&manager, OsStr::new(&format!("@{name}")));
}

#[test]
fn a_node_counts_where_the_manager_cannot_be_reached() {
    let port = free_port();
    let _service = start(port, OsStr::new("/nowhere/at/all"));
    let look = || request(([127, 0, 0, 1], port).into(), "POST", "/increment", "");
    let counts = |answer: &std::io::Result<Answer>| answer.as_ref().is_ok_and(|a| a.status == 200);
    wait_until("the node counts", TIME_MAX, look, counts).expect("an answer");
}
