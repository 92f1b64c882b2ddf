//! A network namespace: a machine's network without the machine.
//!
//! It has no name in the file system. A process that does nothing holds it, and ends when its
//! standard input does, which is when the test does, however that comes about; once the nodes inside
//! have ended too, the kernel takes the namespace with all its interfaces. Rejected: `ip netns add`, which leaves a name and
//! whatever hangs on it behind when a test is killed.
//!
//! A socket belongs to the namespace of the thread that made it, so a test talks to a node inside
//! by way of a thread that enters, connects, and hands the connection out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace that lives as long as this does.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// A fresh one, in which not even loopback is up. Needs root.
    pub fn new() -> Result<Namespace, String> {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare cannot be started: {error}"))?;
        // What comes back came through a process that is in the namespace.
        let mut echo = String::new();
        let asked = holder.stdin.as_mut().expect("piped").write_all(b"inside?\n");
        let heard = BufReader::new(holder.stdout.as_mut().expect("piped")).read_line(&mut echo);
        let namespace = Namespace { holder };
        match (asked, heard, echo.as_str()) {
            (Ok(()), Ok(_), "inside?\n") => Ok(namespace),
            _ => Err("unshare --net is not allowed here".to_owned()),
        }
    }

    /// Its holder's process id, by which other tools name the namespace.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// What a command line must begin with in order to run inside, as the same process.
    pub fn enter(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net={}", self.path())]
    }

    /// Runs a tool inside that reads its orders from standard input; what it answered.
    pub fn order(&self, tool: &[&str], orders: &str) -> Result<String, String> {
        let [nsenter, net] = self.enter();
        let mut child = Command::new(nsenter)
            .arg(net)
            .args(tool)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("nsenter cannot be started: {error}"))?;
        // A tool that ended early has said why.
        let _ = child.stdin.take().expect("piped").write_all(orders.as_bytes());
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} refused {orders:?}: {}", tool.join(" "), said.trim()))
    }

    /// Connects from inside.
    pub fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let namespace = File::open(self.path())?;
        let entered = thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpStream::connect(to)
        });
        entered.join().expect("entering a namespace does not panic")
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
