//! A node as a process of its own: the real binary, on 127.0.0.1, at a port that the system chose.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::http::{self, Answer};
use super::wait::wait_until;

/// How long a node may take to answer after its start, on a machine that runs other tests too.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// How long it may take to end when asked to.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a node is started anew because another process took its port first.
const STARTS_MAX: usize = 5;

/// A running node. Killed when dropped; its log is shown if the test fails.
#[derive(Debug)]
pub struct Node {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// A port of 127.0.0.1 that is free for TCP and UDP now.
pub fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let address = tcp.local_addr().expect("a bound socket has an address");
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

impl Node {
    /// Starts a node that nobody can find by broadcast, with further arguments.
    #[track_caller]
    pub fn start(args: &[&str]) -> Node {
        Node::start_with(&[&["--disable-discovery"], args].concat())
    }

    /// Starts a node with exactly these arguments behind `--http`.
    #[track_caller]
    pub fn start_with(args: &[&str]) -> Node {
        Node::start_as(&[env!("CARGO_BIN_EXE_quipu")], args)
    }

    /// Starts a node that may have only so many files and sockets open at a time.
    #[track_caller]
    pub fn start_with_descriptors(max: u32, args: &[&str]) -> Node {
        let script = format!("ulimit -n {max} && exec \"$0\" \"$@\"");
        Node::start_as(&["sh", "-c", &script, env!("CARGO_BIN_EXE_quipu")], args)
    }

    #[track_caller]
    fn start_as(program: &[&str], args: &[&str]) -> Node {
        for _ in 1..STARTS_MAX {
            let mut node = Node::spawn(program, free_port(), args);
            if node.answers_or_ended() {
                return node;
            }
            if !node.log().contains("in use") {
                break;
            }
        }
        Node::spawn(program, free_port(), args).answering()
    }

    /// Starts a node at a port that another one had.
    #[track_caller]
    pub fn start_at(port: u16, args: &[&str]) -> Node {
        Node::spawn(&[env!("CARGO_BIN_EXE_quipu")], port, args).answering()
    }

    fn spawn(program: &[&str], port: u16, args: &[&str]) -> Node {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("node-{}-{port}.log", std::process::id()));
        let output = File::create(&log).expect("a log file can be made");
        let child = Command::new(program[0])
            .args(&program[1..])
            .args(["--http", &address.to_string()])
            .args(args)
            // Whoever runs the tests may have set these for something else.
            .env_remove("PORT")
            .env_remove("PEERS")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("the node's binary can be started");
        Node { child, address, log }
    }

    #[track_caller]
    fn answering(mut self) -> Node {
        assert!(self.answers_or_ended(), "the node ended at once: {}", self.log());
        self
    }

    /// Waits until the node answers (true) or has ended (false).
    #[track_caller]
    fn answers_or_ended(&mut self) -> bool {
        let address = self.address;
        wait_until(
            "the node answers, or ends",
            START_TIME_MAX,
            || {
                let ended = self.child.try_wait().expect("a child can be waited for").is_some();
                let health = http::request(address, "GET", "/health", "");
                (ended, health.is_ok_and(|answer| answer.status == 200))
            },
            |(ended, answers)| *ended || *answers,
        )
        .1
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as it names itself.
    pub fn id(&self) -> String {
        self.address.to_string()
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.request("POST", path, body)
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        http::request(self.address, method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"))
    }

    /// What `GET /count` says.
    #[track_caller]
    pub fn count(&self) -> i64 {
        let answer = self.get("/count");
        answer.json()["count"].as_i64().unwrap_or_else(|| panic!("no count in {answer:?}"))
    }

    /// What `GET /peers` says.
    #[track_caller]
    pub fn peers(&self) -> Vec<String> {
        let answer = self.get("/peers");
        serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no list in {answer:?}"))
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        wait_until(
            "the node ends on SIGTERM",
            STOP_TIME_MAX,
            || self.child.try_wait().expect("a child can be waited for"),
            Option::is_some,
        )
        .expect("it has ended")
    }

    /// Takes the processor away from it.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Gives the processor back to it.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("a child can be signalled");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- log of node {}:\n{}", self.address, self.log());
        }
        let _ = fs::remove_file(&self.log);
    }
}
