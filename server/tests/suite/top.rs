//! `quipu top` in a real terminal: a pane of tmux of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::support::node::Node;
use crate::support::wait::{say_loudly, wait_until};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything on the screen may take on a machine that runs other tests too.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A terminal in which a shell runs `quipu top` and tells, once that has ended, how it ended and
/// whether the terminal is as it was.
struct Screen {
    place: PathBuf,
    socket: String,
}

impl Screen {
    /// `None`, said loudly, where there is no tmux.
    fn of(node: &Node, name: &str) -> Option<Screen> {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let socket = format!("quipu-{name}-{}", std::process::id());
        let place = place.join(&socket);
        fs::create_dir_all(&place).expect("a directory can be made");
        let screen = Screen { place, socket };
        let script = format!(
            "before=$(stty -g)\n\
             sh -c 'echo $$ >pid; exec \"$0\" top --every 0.2 --node {}' '{}'\n\
             echo \"ended with $?\"\n\
             [ \"$before\" = \"$(stty -g)\" ] && echo 'the terminal is as it was'\n\
             exec sleep 1000\n",
            node.id(),
            env!("CARGO_BIN_EXE_quipu")
        );
        fs::write(screen.place.join("script"), script).expect("a file can be written");
        let size = ["-x", "110", "-y", "24"];
        let tmux = screen.tmux(&[&["new-session", "-d"][..], &size, &["sh ./script"]].concat());
        match tmux {
            Ok(output) => {
                assert!(output.status.success(), "{output:?}");
                Some(screen)
            }
            Err(error) => {
                say_loudly(&format!(
                    "SKIPPED, nothing was tested: tmux: {error}. scripts/packages installs it"
                ));
                None
            }
        }
    }

    fn tmux(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .current_dir(&self.place)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
    }

    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.tmux(arguments).expect("tmux has run before");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until what is on the screen is as wanted.
    #[track_caller]
    fn sees(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        wait_until(what, TIME_MAX, || self.ask(&["capture-pane", "-p"]), |text| wanted(text))
    }

    /// Waits until `quipu top` has ended well and has left nothing behind.
    #[track_caller]
    fn sees_the_end(&self) {
        let text = self.sees("it has ended", |text| text.contains("ended with"));
        assert!(text.contains("ended with 0"), "{text}");
        self.sees("the terminal is as it was", |text| text.contains("the terminal is as it was"));
        let modes = self.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
        assert_eq!(modes.trim(), "0 1", "the usual screen, and a cursor");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
        let _ = fs::remove_dir_all(&self.place);
    }
}

#[test]
fn it_draws_follows_the_counts_and_the_size_and_quits_on_q() {
    let node = Node::start(&[]);
    node.post("/counters/visits/increment", r#"{"by":41}"#);
    let Some(screen) = Screen::of(&node, "draws") else { return };
    screen.sees("the node and its counter", |text| {
        text.contains(&node.id()) && text.contains("visits") && text.contains("41")
    });
    node.post("/increment", "");
    node.post("/counters/visits/increment", r#"{"by":1000}"#);
    screen.sees("the counts follow", |text| text.contains("1,041") && text.contains("default"));
    screen.ask(&["resize-window", "-x", "60", "-y", "12"]);
    screen.sees("it is drawn anew in the smaller window", |text| {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines.len() == 12 && lines[11].contains("q quit")
    });
    screen.ask(&["resize-window", "-x", "120", "-y", "40"]);
    screen.sees("and in the larger one", |text| {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines.len() == 40 && lines[39].contains("q quit")
    });
    screen.ask(&["send-keys", "q"]);
    screen.sees_the_end();
}

#[test]
fn control_c_ends_it_and_so_does_being_told_to_terminate() {
    let node = Node::start(&[]);
    for by_key in [true, false] {
        let Some(screen) = Screen::of(&node, if by_key { "key" } else { "signal" }) else { return };
        screen.sees("it draws", |text| text.contains("q quit"));
        if by_key {
            screen.ask(&["send-keys", "C-c"]);
        } else {
            let pid = fs::read_to_string(screen.place.join("pid")).expect("the shell has told it");
            let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
            kill_process(pid, Signal::TERM).expect("it runs");
        }
        screen.sees_the_end();
    }
}

#[test]
fn a_node_that_dies_is_said_to_be_gone_and_its_last_counts_stay() {
    let mut node = Node::start(&[]);
    node.post("/counters/visits/increment", r#"{"by":7}"#);
    let Some(screen) = Screen::of(&node, "dies") else { return };
    screen.sees("the counter", |text| text.contains("visits"));
    node.kill();
    let text = screen.sees("that no node answers", |text| text.contains("no node answers at"));
    assert!(text.contains("visits"), "{text}");
    screen.ask(&["send-keys", "Escape"]);
    screen.sees_the_end();
}

#[test]
fn without_a_terminal_it_says_so_in_one_line() {
    let node = Node::start(&[]);
    let output = Command::new(env!("CARGO_BIN_EXE_quipu"))
        .args(["top", "--node", &node.id()])
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.starts_with("quipu: expected a terminal to draw on"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}
