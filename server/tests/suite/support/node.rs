//! A node as a process of its own: the real binary, on 127.0.0.1, at a port that the system chose.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use super::http::{Answer, Connection};
use super::namespace::Namespace;
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
    /// Where tests reach it.
    address: SocketAddr,
    /// As which it is known to the others.
    id: String,
    /// The machine on which it runs, if not on this one.
    machine: Option<Arc<Namespace>>,
    log: PathBuf,
}

/// Numbers the logs of this process's nodes.
static NODES: AtomicU32 = AtomicU32::new(0);

/// The program that is tested.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_quipu");

/// A port of 127.0.0.1 that is free for TCP and UDP now.
pub fn free_port() -> u16 {
    free_address(Ipv4Addr::LOCALHOST).port()
}

/// A port that is free for TCP and UDP now, of a loopback address. Of another one than 127.0.0.1 it
/// stays free though the node that has it goes for a moment: the system gives it to no outgoing
/// connection, all of which come from 127.0.0.1.
pub fn free_address(ip: impl Into<IpAddr>) -> SocketAddr {
    let ip = ip.into();
    loop {
        let tcp = TcpListener::bind((ip, 0)).expect("a free TCP port");
        let address = tcp.local_addr().expect("a bound socket has an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

impl Node {
    /// Starts a node that no other finds by broadcast, with further arguments.
    #[track_caller]
    pub fn start(args: &[&str]) -> Node {
        Node::start_with(&[&["--disable-discovery"], args].concat())
    }

    /// Starts a node with exactly these arguments behind `--http`.
    #[track_caller]
    pub fn start_with(args: &[&str]) -> Node {
        Node::start_as(&[PROGRAM], args)
    }

    /// Starts a node that may have only so many files and sockets open at a time.
    #[track_caller]
    pub fn start_with_descriptors(max: u32, args: &[&str]) -> Node {
        let script = format!("ulimit -n {max} && exec \"$0\" \"$@\"");
        Node::start_as(&["sh", "-c", &script, PROGRAM], args)
    }

    /// Starts a node at an address, by way of another program or by none, and does not wait.
    pub fn begin(program: &[&str], address: SocketAddr, args: &[&str]) -> Node {
        Node::spawn(program, address, address, args)
    }

    /// The same at a free port, for a node that no other finds by broadcast.
    pub fn begin_free(program: &[&str], args: &[&str]) -> Node {
        let alone =
            if args.contains(&"--disable-discovery") { &[][..] } else { &["--disable-discovery"] };
        Node::spawn_here(program, free_port(), &[alone, args].concat())
    }

    #[track_caller]
    fn start_as(program: &[&str], args: &[&str]) -> Node {
        for _ in 1..STARTS_MAX {
            let mut node = Node::spawn_here(program, free_port(), args);
            if node.answers_or_ended() {
                return node;
            }
            let log = node.log();
            assert!(log.contains("in use"), "the node ended at once: {log}");
        }
        Node::spawn_here(program, free_port(), args).answering()
    }

    /// Starts a node at a port that another one had.
    #[track_caller]
    pub fn start_at(port: u16, args: &[&str]) -> Node {
        Node::spawn_here(&[PROGRAM], port, args).answering()
    }

    /// Starts a node on another machine, where it is known as `known_as`. One that listens on all
    /// addresses is talked to by that machine's loopback, which works whatever becomes of its network.
    #[track_caller]
    pub fn start_inside(
        machine: &Arc<Namespace>,
        listen: SocketAddr,
        known_as: SocketAddr,
        args: &[&str],
    ) -> Node {
        let [nsenter, net] = machine.enter();
        let mut node = Node::spawn(
            &[&nsenter, &net, PROGRAM],
            listen,
            SocketAddr::new(talked_to(listen.ip()), listen.port()),
            args,
        );
        node.id = known_as.to_string();
        node.machine = Some(Arc::clone(machine));
        node.answering()
    }

    fn spawn_here(program: &[&str], port: u16, args: &[&str]) -> Node {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Node::spawn(program, address, address, args)
    }

    fn spawn(program: &[&str], listen: SocketAddr, address: SocketAddr, args: &[&str]) -> Node {
        let number = NODES.fetch_add(1, Relaxed);
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("node-{}-{number}.log", std::process::id()));
        let output = File::create(&log).expect("a log file can be made");
        let child = Command::new(program[0])
            .args(&program[1..])
            .args(["--http", &listen.to_string()])
            // The default port is one for the whole machine.
            .args(if args.contains(&"--redis") { &[][..] } else { &["--redis", "off"] })
            .args(args)
            .args(if args.contains(&"--data-dir") { &[][..] } else { &["--in-memory"] })
            // A developer's shell may have set these for something else.
            .env_remove("PORT")
            .env_remove("PEERS")
            .env_remove("QUIPU_REDIS")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("the node's binary can be started");
        Node { child, address, id: address.to_string(), machine: None, log }
    }

    /// Waits until it answers.
    #[track_caller]
    pub fn answering(mut self) -> Node {
        assert!(self.answers_or_ended(), "the node ended at once: {}", self.log());
        self
    }

    /// Waits until the node answers (true) or has ended (false).
    #[track_caller]
    pub fn answers_or_ended(&mut self) -> bool {
        wait_until(
            "the node answers, or ends",
            START_TIME_MAX,
            || {
                let ended = self.child.try_wait().expect("a child can be waited for").is_some();
                let health = self.ask("GET", "/health", "");
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

    /// Where it answers Redis clients, if it was started with `--redis 127.0.0.1:0`.
    #[track_caller]
    pub fn redis(&self) -> SocketAddr {
        let said = |log: &String| {
            let (_, rest) = log.split_once("Redis clients on ")?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let what = "the node says where it answers Redis clients";
        let log = wait_until(what, START_TIME_MAX, || self.log(), |log| said(log).is_some());
        said(&log).expect("it has said so")
    }

    /// As it names itself, and as the others list it.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// A connection to it.
    pub fn connect(&self) -> io::Result<Connection> {
        match &self.machine {
            None => Connection::open(self.address),
            Some(machine) => machine.connect(self.address).and_then(Connection::over),
        }
    }

    /// The memory that it has in use, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("a process that runs has a status");
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
            .map(|kib: u64| kib << 10)
            .expect("a status tells of VmRSS")
    }

    /// Leaves it the descriptors that it has open and no other, as if files and links had taken
    /// them; tells what it might have before.
    pub fn take_descriptors(&self) -> Rlimit {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let numbers = open
            .expect("a process that runs has some")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let all = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: numbers.max().map(|last| last + 1), maximum: all };
        self.limit_descriptors(limit)
    }

    /// Allows it so many descriptors; tells what it might have before.
    pub fn limit_descriptors(&self, limit: Rlimit) -> Rlimit {
        prlimit(Some(self.pid()), Resource::Nofile, limit).expect("the child is ours")
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
        self.ask(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"))
    }

    /// One request over a connection of its own.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.connect()?.request(method, path, &["Connection: close"], body)
    }

    /// What `GET /count` says.
    #[track_caller]
    pub fn count(&self) -> i64 {
        let answer = self.get("/count");
        answer.json()["count"].as_i64().unwrap_or_else(|| panic!("no count in {answer:?}"))
    }

    /// What `GET /counters/{name}` says.
    #[track_caller]
    pub fn value(&self, counter: &str) -> u64 {
        let answer = self.get(&format!("/counters/{counter}"));
        answer.json()["value"].as_u64().unwrap_or_else(|| panic!("no value in {answer:?}"))
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
        self.wait_for_end()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_until(
            "the node ends",
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
        kill_process(self.pid(), signal).expect("a child can be signalled");
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid")
    }
}

/// Where a node is talked to from its own machine: one that listens on all addresses, by loopback.
fn talked_to(listen: IpAddr) -> IpAddr {
    if listen.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listen }
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
