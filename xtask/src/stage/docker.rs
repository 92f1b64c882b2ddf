//! The nodes as containers: node1, node2, node3 from `compose.yaml`, and any number beside them.
//!
//! What runs is found by asking the engine for containers of our image on our network: so a node
//! that a person started by hand is seen, and stopped, like the others.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Cluster, STOP_GRACE, Stage, http_port, number_of, redis_port};
use crate::ask::Node;
use crate::command::{command, output, run, succeeds};
use crate::failure::Failure;
use crate::{interrupt, say, wait};

const IMAGE: &str = "quipu";
const NETWORK: &str = "quipu_mynetwork";

/// What `docker ps` is asked for.
const OURS: [&str; 4] = [
    "--filter",
    "label=org.opencontainers.image.title=quipu",
    "--filter",
    "network=quipu_mynetwork",
];

/// The volumes that `compose.yaml` names.
const VOLUMES: &str = "name=^quipu_node[123]$";

/// The port on which a node in a container serves clients of Redis.
const REDIS_INSIDE: &str = "6380/tcp";

/// An engine that takes longer to say what it is and what runs is none. In seconds, for `timeout`.
const ENGINE_TIME_MAX_S: &str = "5";

/// Where Compose's report is kept: it redraws its lines, which is worth reading only when it fails.
const COMPOSE_LOG: &str = ".run/compose.log";

/// Where a Docker engine answers.
pub(super) struct Docker;

impl Docker {
    /// Why containers cannot be used here, if they cannot.
    pub(super) fn lacks(&self) -> Option<String> {
        let reason = if env::consts::OS != "linux" {
            "containers need a Linux host to build the binary"
        } else if !self.is_there() {
            "no Docker engine answers"
        } else if compose().is_none() {
            "neither 'docker compose' nor 'docker-compose' is installed"
        } else {
            return None;
        };
        Some(reason.to_owned())
    }

    /// The names of all containers, running or not, in order of their numbers.
    fn names(&self) -> Vec<String> {
        let format = ["--all", "--format", "{{.Names}}"];
        let listed = output(&mut ps(&format)).unwrap_or_default();
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort_by_key(|name| (number_of(name), name.clone()));
        names
    }
}

impl Stage for Docker {
    /// Where no engine answers, none runs.
    fn running(&self) -> Vec<Node> {
        let format = ["--format", "{{.Names}} {{.Ports}}"];
        let listed = output(&mut ps(&format)).unwrap_or_default();
        listed.lines().filter_map(published).collect()
    }

    /// A container that stopped has its name still.
    fn has_node(&self, number: u16) -> bool {
        succeeds(&mut command("docker", &["container", "inspect", &format!("node{number}")]))
    }

    fn start_node(&self, number: u16) -> Result<(), Failure> {
        let inside = 8087 + number;
        let mut start = command("docker", &["run", "--detach", "--network", NETWORK]);
        start
            .args(["--name", &format!("node{number}"), "--env", &format!("PORT={inside}")])
            .args(["--publish", &format!("127.0.0.1:{}:{inside}", http_port(number))])
            .args(["--publish", &format!("127.0.0.1:{}:{REDIS_INSIDE}", redis_port(number))])
            // As in compose.yaml: it needs its port, its volume and nothing else.
            .args(["--read-only", "--cap-drop", "ALL"])
            .args(["--security-opt", "no-new-privileges:true", IMAGE]);
        output(&mut start).map(drop)
    }

    fn restart_node(&self, number: u16) -> Result<(), Failure> {
        let grace = STOP_GRACE.as_secs().to_string();
        output(&mut command("docker", &["restart", "-t", &grace, &format!("node{number}")]))
            .map(drop)
    }

    /// Its nameless volume goes with the container.
    fn remove_node(&self, number: u16) -> Result<(), Failure> {
        let (grace, name) = (STOP_GRACE.as_secs().to_string(), format!("node{number}"));
        output(&mut command("docker", &["stop", "-t", &grace, &name]))?;
        output(&mut command("docker", &["rm", "--force", "--volumes", &name])).map(drop)
    }
}

impl Cluster for Docker {
    fn is_there(&self) -> bool {
        succeeds(&mut command("timeout", &[ENGINE_TIME_MAX_S, "docker", "version"]))
    }

    fn build(&self) -> Result<(), Failure> {
        run(&mut command("scripts/image", &[]))
    }

    fn start_three(&self) -> Result<(), Failure> {
        let unable = |error: io::Error| Failure::Unable(format!("{COMPOSE_LOG}: {error}"));
        fs::create_dir_all(".run").map_err(unable)?;
        let log = File::create(COMPOSE_LOG).map_err(unable)?;
        let mut compose = compose().ok_or_else(|| Failure::Unable("no Compose answers".into()))?;
        compose.args(["--project-name", "quipu", "up", "--detach", "--no-build"]);
        compose.stdout(log.try_clone().map_err(unable)?).stderr(log);
        run(&mut compose).inspect_err(|_| {
            say::complain(fs::read_to_string(COMPOSE_LOG).unwrap_or_default().trim_end());
        })
    }

    fn stop(&self) -> Result<(), Failure> {
        let containers = output(&mut ps(&["--all", "--quiet"]))?;
        let containers: Vec<&str> = containers.split_whitespace().collect();
        if !containers.is_empty() {
            // A container that was started with --rm goes by itself between these two, and Docker
            // complains of that. What they fail to end keeps its network from being removed below,
            // and is named there. --volumes takes the nameless ones; compose.yaml's outlive a stop.
            let grace = STOP_GRACE.as_secs().to_string();
            succeeds(command("docker", &["stop", "-t", &grace]).args(&containers));
            succeeds(command("docker", &["rm", "--force", "--volumes"]).args(&containers));
        }
        remove_if_there("network", NETWORK)
    }

    fn clean(&self) -> Result<(), Failure> {
        let volumes =
            output(&mut command("docker", &["volume", "ls", "--quiet", "--filter", VOLUMES]))?;
        if !volumes.is_empty() {
            output(command("docker", &["volume", "rm"]).args(volumes.split_whitespace()))?;
        }
        remove_if_there("image", IMAGE)
    }

    fn has_logs(&self) -> bool {
        !self.names().is_empty()
    }

    /// Of stopped containers too, which are the ones that a person wants to read.
    fn logs(&self, follow: bool) -> Result<(), Failure> {
        let mut logs = Vec::new();
        for name in self.names() {
            logs.push(
                Log::open(name, follow)
                    .map_err(|error| Failure::Unable(format!("docker logs: {error}")))?,
            );
        }
        let mut are_over = || logs.iter_mut().all(Log::is_over);
        wait::poll(Duration::MAX, || interrupt::caught().is_some() || are_over());
        Ok(())
    }
}

/// One container's log on its way to our output. Dropped, it is not followed any longer.
struct Log {
    docker: Child,
    copying: Option<JoinHandle<()>>,
}

impl Log {
    fn open(name: String, follow: bool) -> io::Result<Self> {
        // What the node wrote to either of its outputs comes out by the same pipe, in order.
        let (lines, pipe) = io::pipe()?;
        let docker = command("docker", &["logs"])
            .args(follow.then_some("--follow"))
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(pipe.try_clone()?)
            .stderr(pipe)
            .spawn()?;
        let copying = Some(thread::spawn(move || copy(&name, BufReader::new(lines))));
        Ok(Log { docker, copying })
    }

    fn is_over(&mut self) -> bool {
        !matches!(self.docker.try_wait(), Ok(None))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = self.docker.kill();
        let _ = self.docker.wait();
        // The pipe has ended with its writer; what is in it yet shall be seen.
        if let Some(copying) = self.copying.take() {
            let _ = copying.join();
        }
    }
}

/// Copies lines to our output, each behind the name of its node.
fn copy(name: &str, mut lines: impl BufRead) {
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let mut out = io::stdout().lock();
        // Who reads no longer has read enough, and docker hears so by the pipe that ends here.
        let written = write!(out, "{name} | ").and_then(|()| out.write_all(&line));
        if written.is_err() {
            return;
        }
        line.clear();
    }
}

fn ps(words: &[&str]) -> Command {
    let mut ps = command("timeout", &[ENGINE_TIME_MAX_S, "docker", "ps"]);
    ps.args(OURS).args(words);
    ps
}

/// Compose v2, else 1.29.
fn compose() -> Option<Command> {
    if succeeds(&mut command("docker", &["compose", "version"])) {
        Some(command("docker", &["compose"]))
    } else if succeeds(&mut command("docker-compose", &["version"])) {
        Some(command("docker-compose", &[]))
    } else {
        None
    }
}

fn remove_if_there(kind: &str, name: &str) -> Result<(), Failure> {
    if succeeds(&mut command("docker", &[kind, "inspect", name])) {
        output(&mut command("docker", &[kind, "rm", name]))?;
    }
    Ok(())
}

/// Reads a line of `docker ps`, `NAME PORT, PORT…`: the node, if it is one and its HTTP port is
/// published. Any other port that is published than the one for clients of Redis is that.
fn published(line: &str) -> Option<Node> {
    let (name, ports) = line.split_once(' ')?;
    let number = number_of(name)?;
    let http = ports.split(", ").find_map(|mapping| {
        let (host, inside) = mapping.split_once("->")?;
        let (_, port) = host.rsplit_once(':')?;
        (inside.ends_with("/tcp") && inside != REDIS_INSIDE).then(|| port.parse().ok())?
    })?;
    Some(Node { number, port: http })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(line: &str) -> Option<(u16, u16)> {
        published(line).map(|node| (node.number, node.port))
    }

    #[test]
    fn a_node_of_compose_yaml_is_read_from_its_line() {
        let line = "node2 7000/udp, 8088/tcp, 127.0.0.1:6381->6380/tcp, 8088/udp, 127.0.0.1:9089->8089/tcp";
        assert_eq!(port(line), Some((2, 9089)));
        let line = "node12 127.0.0.1:9099->8099/tcp, 127.0.0.1:6391->6380/tcp";
        assert_eq!(port(line), Some((12, 9099)));
    }

    #[test]
    fn a_port_that_is_published_to_all_is_read_in_either_spelling() {
        let line = "node1 0.0.0.0:6380->6380/tcp, :::6380->6380/tcp, 0.0.0.0:9088->8088/tcp, :::9088->8088/tcp";
        assert_eq!(port(line), Some((1, 9088)));
        assert_eq!(port("node1 [::]:6380->6380/tcp, [::]:9088->8088/tcp"), Some((1, 9088)));
    }

    #[test]
    fn a_node_whose_http_port_is_not_published_cannot_be_reached() {
        for ports in
            ["", "6380/tcp, 7000/udp, 8088/tcp, 8088/udp", "127.0.0.1:6380->6380/tcp, 8088/tcp"]
        {
            assert_eq!(port(&format!("node1 {ports}")), None, "{ports}");
        }
        assert_eq!(port("node1 127.0.0.1:7000->7000/udp, 8088/tcp"), None);
    }

    #[test]
    fn a_container_with_another_name_is_no_node_of_ours() {
        for name in ["mynode1", "node1_old", "node"] {
            assert_eq!(port(&format!("{name} 127.0.0.1:9088->8088/tcp")), None, "{name}");
        }
    }

    #[test]
    fn lines_that_are_no_mapping_are_not_guessed_at() {
        for ports in ["->", "x->8088/tcp", "127.0.0.1:many->8088/tcp", "127.0.0.1:99999->8088/tcp"]
        {
            assert_eq!(port(&format!("node1 {ports}")), None, "{ports}");
        }
        assert_eq!(port("node1"), None);
    }
}
