//! What the program says when it is started wrongly, and how it stops.
//!
//! Each complaint is one line on stderr that names what is wrong and what to do, and an exit code
//! that a script can tell apart: 2 for a command line that is none to run, 1 for one that failed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use crate::support::data::DataDirectory;
use crate::support::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quipu");

/// The program with these arguments and variables, and no others of this environment.
fn quipu(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    quipu(arguments, &[]).output().expect("the program can be started")
}

/// The one line that was said with this exit code.
fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "expected one line, found:\n{text}");
    assert!(output.stdout.is_empty(), "nothing but answers belongs on stdout");
    text.strip_prefix("quipu: ").expect("the program's name first").trim_end().to_owned()
}

/// A node that runs, and is killed at the latest when this goes.
struct Node {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it said before it was ready.
    before: String,
    /// The line with which it said that it is ready.
    ready: String,
}

impl Node {
    /// Starts one that no other finds, on a port of the system's choice.
    fn start(more: &[&str]) -> Self {
        let quiet = ["--http", "127.0.0.1:0", "--redis", "off", "--disable-discovery"];
        Node::start_as(&[&quiet, more].concat())
    }

    /// Starts one with these arguments and no others.
    fn start_as(arguments: &[&str]) -> Self {
        let child = quipu(arguments, &[])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        Node::ready(child)
    }

    /// Waits until one is ready that was started.
    fn ready(mut child: Child) -> Self {
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let (mut before, mut ready) = (String::new(), String::new());
        while !ready.contains("listens on") {
            before.push_str(&ready);
            ready.clear();
            let length = log.read_line(&mut ready).expect("text");
            assert!(length > 0, "the node ended before it was ready: {before}");
        }
        Node { child, log, before, ready }
    }

    fn address(&self) -> &str {
        let (_, rest) = self.ready.split_once("listens on ").expect("where it listens");
        rest.split_once(',').expect("and as what it is advertised").0
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the node runs");
    }

    /// Its exit code, and what else it said.
    fn ended(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("a child").code(), rest)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_taken_port_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let line = complaint(&run(&["--http", &address, "--disable-discovery"]), 1);
    assert!(line.starts_with(&format!("cannot listen on {address} (tcp): ")), "{line}");
    assert!(line.ends_with("choose another port with --http or PORT"), "{line}");
}

#[test]
fn a_counter_without_a_name_is_not_watched_as_all_of_them() {
    let line = run(&["watch", "--counter", ""]);
    assert_eq!(line.status.code(), Some(2));
    let text = String::from_utf8(line.stderr).expect("text");
    assert!(text.contains("expected a counter name of 1 to 1024 bytes, found none"), "{text}");
}

#[test]
fn a_data_directory_that_is_not_used_is_said() {
    let quiet = ["--http", "127.0.0.1:0", "--redis", "off", "--disable-discovery"];
    let more = ["--in-memory", "--data-dir", "/nowhere"];
    let mut child = quipu(&[&quiet[..], &more].concat(), &[])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    log.read_line(&mut line).expect("text");
    child.kill().and_then(|()| child.wait()).expect("it runs");
    assert!(line.contains("the data directory /nowhere is not used"), "{line}");
}

#[test]
fn a_port_for_redis_clients_that_was_asked_for_must_be_free() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let args = ["--http", "127.0.0.1:0", "--in-memory", "--disable-discovery", "--redis", &address];
    let line = complaint(&run(&args), 1);
    assert!(line.starts_with(&format!("--redis: cannot listen on {address}: ")), "{line}");
    assert!(line.ends_with("give another address with --redis, or off"), "{line}");
}

#[test]
fn a_port_for_redis_clients_that_was_not_asked_for_may_be_taken() {
    // It may be taken by another program already, which does as well.
    let _taken = TcpListener::bind("127.0.0.1:6380");
    let arguments = ["--http", "127.0.0.1:0", "--in-memory", "--disable-discovery"];
    let mut node = Node::start_as(&arguments);
    assert!(node.ready.contains("no Redis clients"), "{}", node.ready);
    node.signal(Signal::TERM);
    assert_eq!(node.ended().0, Some(0));
}

#[test]
fn an_address_of_another_machine_cannot_be_listened_on() {
    let line = complaint(&run(&["--http", "192.0.2.1:8088", "--disable-discovery"]), 1);
    assert!(line.contains("name one of its own with --http"), "{line}");
}

#[test]
fn a_secret_that_cannot_be_used_is_named_with_its_file_and_what_to_do() {
    let line = complaint(&run(&["--secret-file", "/nowhere/secret"]), 2);
    assert!(line.starts_with("--secret-file: cannot read /nowhere/secret: "), "{line}");

    let file = std::env::temp_dir().join(format!("quipu-short-secret-{}", std::process::id()));
    fs::write(&file, "too short\n").expect("a temporary file");
    let line = complaint(&run(&["--secret-file", file.to_str().expect("text")]), 2);
    fs::remove_file(&file).expect("the temporary file");
    assert!(line.contains("expected a secret of at least 16 bytes, found 9 in"), "{line}");
    assert!(line.contains("make one with: head -c 32 /dev/urandom | base64 > "), "{line}");
}

#[test]
fn nonsense_gets_one_line_that_says_what_was_expected() {
    for (arguments, words) in [
        (&["--no-such-flag"][..], "unexpected argument '--no-such-flag' found"),
        (&["--htttp", "x"], "a similar argument exists: '--http'"),
        (&["--http", "localhost"], "expected an IP address and a port, like 127.0.0.1:8088"),
        (&["--http"], "a value is required for '--http <IP:PORT>'"),
        (&["--redis", "on"], "expected off, or an IP address and a port, like 127.0.0.1:6380"),
        (&["--advertise", "0.0.0.0"], "expected an address at which other nodes reach this one"),
        (&["--join", "a:1,b:b"], "expected a port between 1 and 65535 after the host, found \"b\""),
        (&["--join", "http://a:1"], "--join: expected host:port, found the URL \"http://a:1\""),
        (&["--discovery-port=0"], "expected a port from 1 to 65535, found \"0\""),
        (&["--discovery-to", "example.com"], "expected IP addresses"),
        (&["--cluster", ""], "expected 1 to 64 bytes, found 0"),
        (&["--threads", "0"], "expected a whole number from 1 to 1024, found \"0\""),
        (&["--threads", "many"], "expected a whole number from 1 to 1024, found \"many\""),
        (&["--threads", "+2"], "expected a whole number from 1 to 1024, found \"+2\""),
        (
            &["--max-memory", "much"],
            "expected a size like 512MiB or 2GiB, or 0 for no bound, found",
        ),
        (&["--remove-absent-after", "59s"], "expected a time of 1m or more, like 30m or 24h"),
        (&["--fsync", "every:+1s"], "expected always, never, or every:"),
        (&["--log-level", "loud"], "possible values: error, warn, info, debug, trace"),
        (&["no-such-command"], "unrecognized subcommand 'no-such-command'"),
    ] {
        let line = complaint(&run(arguments), 2);
        assert!(line.contains(words), "{arguments:?}: {line}");
    }
}

#[test]
fn variables_are_checked_like_flags() {
    for (variable, words) in [
        (("PORT", "http"), "PORT: expected a port between 0 and 65535, found \"http\""),
        (("PEERS", "a:1,b c"), "PEERS: expected a host of letters"),
        (("QUIPU_HTTP", "nowhere"), "expected an IP address and a port"),
        (("QUIPU_DISCOVERY_PORT", "0"), "expected a port from 1 to 65535, found \"0\""),
    ] {
        let output = quipu(&[], &[variable]).output().expect("the program can be started");
        let line = complaint(&output, 2);
        assert!(line.contains(words), "{variable:?}: {line}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).expect("text");
    for word in ["Where it answers:", "QUIPU_JOIN", "[default: 7000]", "Examples:", "PORT"] {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
    assert!(text.lines().all(|line| line.len() <= 100), "a line is too long");
    let version = run(&["--version"]);
    let expected = format!("quipu {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).expect("text"), expected);
}

#[test]
fn help_is_given_by_that_word_as_well() {
    for (words, flag) in [(&["help"][..], &["--help"][..]), (&["help", "add"], &["add", "--help"])]
    {
        let (by_word, by_flag) = (run(words), run(flag));
        assert_eq!(by_word.status.code(), Some(0), "{by_word:?}");
        assert!(!by_word.stdout.is_empty() && by_word.stdout == by_flag.stdout, "{by_word:?}");
    }
}

#[test]
fn no_complaint_is_in_the_words_of_a_parser() {
    let commands = [
        "add", "get", "set", "reset", "delete", "expire", "list", "peers", "status", "bench",
        "top", "watch", "health",
    ];
    let rubbish = ["", "x", "-1", "+1", "1e3", "0x1", "99999999999999999999", "1.5", "\u{1f600}"];
    let flags = [
        "--threads",
        "--discovery-port",
        "--max-memory",
        "--remove-absent-after",
        "--fsync",
        "--http",
        "--redis",
        "--join",
        "--discovery-to",
        "--advertise",
        "--allow-host",
        "--log-level",
        "--log-format",
    ];
    let of_commands = [
        (
            "bench",
            &[
                "--redis",
                "--connections",
                "--pipeline",
                "--seconds",
                "--requests",
                "--rate",
                "--names",
                "--protocol",
            ][..],
        ),
        ("set", &["--ttl"]),
        ("reset", &["--to"]),
        ("expire", &["--at"]),
        ("delete", &["--prefix"]),
        ("list", &["--limit"]),
        ("top", &["--every"]),
        ("watch", &["--every", "--counter"]),
    ];
    let mut lines: Vec<Vec<&str>> =
        commands.iter().map(|command| vec![*command, "--nonsense"]).collect();
    lines.extend(commands.iter().map(|command| vec![*command, "--node"]));
    for value in rubbish {
        // What a node would take as well ends as well: the port is taken.
        lines.extend(flags.iter().map(|flag| vec!["--secret-file", "/nowhere", *flag, value]));
        lines.push(vec!["add", "c", value, "--node", "127.0.0.1:1"]);
        for (command, flags) in of_commands {
            lines.extend(
                flags.iter().map(|flag| vec![command, "--node", "127.0.0.1:1", *flag, value]),
            );
        }
    }
    for arguments in lines {
        let output = run(&arguments);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {output:?}");
        let line = complaint(&output, output.status.code().expect("it has one"));
        for raw in [
            "invalid digit",
            "in string",
            "syntax",
            "not in",
            "float",
            "number too",
            "panicked",
            ":;",
        ] {
            assert!(!line.contains(raw), "{arguments:?}: {line}");
        }
    }
}

#[test]
fn a_node_is_well_while_it_runs_and_ends_with_zero_when_asked_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = Node::start(&["--in-memory"]);
        let address = node.address().to_owned();
        let health = run(&["health", "--node", &address]);
        assert_eq!(health.status.code(), Some(0), "{health:?}");
        assert!(health.stderr.is_empty() && health.stdout.is_empty(), "{health:?}");

        node.signal(signal);
        let (code, log) = node.ended();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("leaving the cluster"), "{log}");

        let line = complaint(&run(&["health", "--node", &address]), 1);
        assert!(line.starts_with(&format!("no node answers at {address}: ")), "{line}");
    }
}

#[test]
fn a_terminal_that_hangs_up_does_not_end_a_node() {
    let mut node = Node::start(&["--in-memory"]);
    let address = node.address().to_owned();
    node.signal(Signal::HUP);
    let mut said = String::new();
    node.log.read_line(&mut said).expect("text");
    assert!(said.contains("SIGHUP") && said.contains("goes on"), "{said}");
    assert_eq!(run(&["health", "--node", &address]).status.code(), Some(0));
    node.signal(Signal::TERM);
    assert_eq!(node.ended().0, Some(0));
}

#[test]
fn who_cannot_complain_ends_with_the_same_code() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let in_use = ["--http", &address, "--in-memory", "--disable-discovery", "--redis", "off"];
    for (arguments, code) in [
        (&["--no-such-flag"][..], 2),
        (&["--threads", "0"], 2),
        (&["--secret-file", "/nowhere"], 2),
        (&in_use, 1),
        (&["check", "/nowhere"], 1),
        (&["repair", "/nowhere"], 1),
        (&["get", "x", "--node", "127.0.0.1:1"], 1),
        (&["health", "--node", "127.0.0.1:1"], 1),
        (&["watch", "--node", "127.0.0.1:1"], 1),
        (&["bench", "--node", "127.0.0.1:1"], 1),
    ] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let ended = quipu(arguments, &[]).stderr(full).status().expect("it can be started");
        assert_eq!(ended.code(), Some(code), "{arguments:?} with a full stderr");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = quipu(arguments, &[]).stderr(writer).status().expect("it can be started");
        assert_eq!(ended.code(), Some(code), "{arguments:?} with stderr closed");
        let ended = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 2>&-", PROGRAM])
            .args(arguments)
            .env_clear()
            .status()
            .expect("a shell");
        assert_eq!(ended.code(), Some(code), "{arguments:?} without stderr");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_one_that_is_not_read_is_none() {
    let directory = std::env::temp_dir().join(format!("quipu-empty-{}", std::process::id()));
    fs::create_dir(&directory).expect("a temporary directory");
    let path = directory.to_str().expect("text").to_owned();
    for arguments in [&["check", &path][..], &["--help"], &["--version"]] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = quipu(arguments, &[]).stdout(full).output().expect("it can be started");
        let line = complaint(&output, 1);
        assert!(line.starts_with("cannot write the answer: "), "{arguments:?}: {line}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = quipu(arguments, &[]).stdout(writer).output().expect("it can be started");
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{arguments:?}");
    }
    fs::remove_dir(&directory).expect("the temporary directory");
}

#[test]
fn a_node_whose_log_cannot_be_written_counts_on_and_ends_as_it_should() {
    for log in ["/dev/full", "closed"] {
        let (reader, pipe) = std::io::pipe().expect("a pipe");
        drop(reader);
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let address = crate::support::node::free_port();
        let address = format!("127.0.0.1:{address}");
        let arguments = ["--http", &address, "--redis", "off", "--disable-discovery"];
        let mut command = quipu(&[&arguments[..], &["--in-memory"]].concat(), &[]);
        let command = if log == "closed" { command.stderr(pipe) } else { command.stderr(full) };
        let mut child = command.spawn().expect("the program can be started");
        let answers = || run(&["health", "--node", &address]).status.code();
        wait_until("it answers", Duration::from_secs(10), answers, |code| *code == Some(0));
        for signal in [Signal::HUP, Signal::TERM] {
            kill_process(Pid::from_child(&child), signal).expect("the node runs");
        }
        assert_eq!(child.wait().expect("a child").code(), Some(0), "{log}");
    }
}

#[test]
fn a_bound_on_the_length_of_files_is_met_like_a_full_disk() {
    let data = DataDirectory::empty();
    // In blocks of 512 bytes.
    let script = "ulimit -f 6000 && exec \"$0\" \"$@\"";
    let mut node =
        crate::support::node::Node::begin_free(&["sh", "-c", script, PROGRAM], &data.flags())
            .answering();
    let name = "n".repeat(255);
    let path = format!("/counters/{name}/increment");
    let mut connection = node.connect().expect("a connection");
    let mut acknowledged = 0;
    while connection.request("POST", &path, &[], "").is_ok_and(|answer| answer.status == 200) {
        acknowledged += 1;
    }
    assert_eq!(node.wait_for_end().code(), Some(1), "{}", node.log());
    let said = crate::support::program::complaint(&node.log());
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("the disk failed") && said.contains("File too large"), "{said}");
    let count = crate::support::node::Node::start(&data.flags()).value(&name);
    assert!(count == acknowledged || count == acknowledged + 1, "{count}, not {acknowledged}");
}

#[test]
fn a_repair_that_may_not_write_fails_and_is_not_killed() {
    let data = DataDirectory::of_format_1();
    data.edit(&data.last(".segment"), |bytes| bytes[70] ^= 1);
    let ended = Command::new("sh")
        .args(["-c", "ulimit -f 0 && exec \"$0\" \"$@\"", PROGRAM, "repair", data.path()])
        .output()
        .expect("a shell");
    let line = complaint(&ended, 1);
    assert!(line.contains("File too large"), "{line}");
}

#[test]
fn what_kubernetes_says_of_a_service_is_passed_over_with_a_word() {
    let link = ("QUIPU_DISCOVERY_PORT", "tcp://10.0.0.1:7000");
    let more = [
        ("QUIPU_PORT", "tcp://10.0.0.1:8088"),
        ("QUIPU_SERVICE_HOST", "10.0.0.1"),
        ("QUIPU_SERVICE_PORT", "8088"),
        ("QUIPU_PORT_7000_TCP", "tcp://10.0.0.1:7000"),
        ("QUIPU_PORT_7000_TCP_PROTO", "tcp"),
        ("QUIPU_PORT_7000_TCP_PORT", "7000"),
        ("QUIPU_PORT_7000_TCP_ADDR", "10.0.0.1"),
        ("QUIPU_DISCOVERY_SERVICE_HOST", "10.0.0.1"),
    ];
    for link in [link, (link.0, "udp://[fd00::1]:7000"), (link.0, "sctp://10.0.0.1:7000")] {
        let arguments = ["--http", "127.0.0.1:0", "--redis", "off", "--in-memory"];
        let mut command =
            quipu(&[&arguments[..], &["--discovery-to", "127.0.0.1"]].concat(), &[link]);
        let child = command.envs(more).stderr(Stdio::piped()).spawn().expect("it can be started");
        let mut node = Node::ready(child);
        let log = &node.before;
        let words = log.lines().find(|line| line.contains("QUIPU_DISCOVERY_PORT"));
        let words = words.unwrap_or_else(|| panic!("{link:?}: not a word in {log}"));
        assert!(words.contains("Kubernetes") && words.contains("passed over"), "{words}");
        node.signal(Signal::TERM);
        assert_eq!(node.ended().0, Some(0));
        let health = quipu(&["health", "--node", "127.0.0.1:1"], &[link]).output();
        assert_eq!(health.expect("it can be started").status.code(), Some(1), "{link:?}");
    }
    for wrong in ["tcp://10.0.0.1", "http://10.0.0.1:7000", "tcp://here:7000", "7000/udp", ""] {
        let output =
            quipu(&["--in-memory"], &[(link.0, wrong)]).output().expect("it can be started");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
    let flag = run(&["--discovery-port", "tcp://10.0.0.1:7000"]);
    assert_eq!(flag.status.code(), Some(2), "a flag is no variable");
}

#[test]
fn health_asks_the_node_that_its_environment_would_start() {
    let node = Node::start(&[]);
    let port = node.address().rsplit_once(':').expect("a port").1;
    let variables = [("QUIPU_HTTP", "0.0.0.0:8088"), ("PORT", port)];
    let health = quipu(&["health"], &variables).output().expect("the program can be started");
    assert_eq!(health.status.code(), Some(0), "{health:?}");
}

#[test]
fn a_log_for_machines_is_one_object_a_line() {
    let mut node = Node::start(&["--log-format", "json"]);
    node.signal(Signal::TERM);
    let (code, rest) = node.ended();
    assert_eq!(code, Some(0));
    for line in rest.lines().chain([node.ready.as_str()]) {
        let object: serde_json::Value = serde_json::from_str(line).expect(line);
        for key in ["timestamp", "level", "message"] {
            assert!(object[key].is_string(), "{key} is missing: {line}");
        }
    }
}

#[test]
fn two_nodes_never_share_a_port() {
    let node = Node::start(&[]);
    let line = complaint(&run(&["--http", node.address(), "--disable-discovery"]), 1);
    assert!(line.contains("another program has this port"), "{line}");
}
