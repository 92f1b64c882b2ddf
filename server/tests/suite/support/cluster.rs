//! Several nodes of one test, and what must become true of them together.
//!
//! Each test calls on a discovery port of its own and under a cluster name of its own: a port that
//! another program takes a moment later then costs nothing but strangers.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::node::Node;
use super::wait::wait_until;

/// How long nodes may take to meet, on a machine that runs other tests too. Alone they take less
/// than a second.
pub const MEETING_TIME_MAX: Duration = Duration::from_secs(10);

/// How long counts may take to become equal once nothing keeps nodes apart: the promise.
pub const AGREEING_TIME_MAX: Duration = Duration::from_secs(5);

/// A failed peer is out of every list within this time.
pub const LEAVING_TIME_MAX: Duration = Duration::from_secs(6);

/// A restarted peer is back in every list within this time.
pub const RETURNING_TIME_MAX: Duration = Duration::from_secs(2);

/// The flags of nodes that find each other, and no others.
#[derive(Clone, Debug)]
pub struct Meeting {
    cluster: String,
    flags: Vec<String>,
    calls: Option<SocketAddr>,
}

impl Meeting {
    /// By broadcast on the loopback network.
    pub fn by_broadcast() -> Meeting {
        let calls = UdpSocket::bind((Ipv4Addr::new(127, 255, 255, 255), 0))
            .and_then(|socket| socket.local_addr())
            .expect("a free port for calls");
        let port = calls.port();
        Meeting {
            calls: Some(calls),
            ..Meeting::new(port, &["--discovery-port", &port.to_string()])
        }
    }

    /// Not at all by themselves.
    pub fn by_hand() -> Meeting {
        Meeting::new(super::node::free_port(), &["--disable-discovery"])
    }

    fn new(number: u16, flags: &[&str]) -> Meeting {
        let cluster = format!("test-{}-{number}", std::process::id());
        let flags = [&["--cluster", cluster.as_str()], flags].concat();
        let flags = flags.into_iter().map(str::to_owned).collect();
        Meeting { cluster, flags, calls: None }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Where its nodes call, if they do.
    pub fn calls(&self) -> Option<SocketAddr> {
        self.calls
    }

    /// The flags, and more.
    pub fn flags<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        self.flags.iter().map(String::as_str).chain(more.iter().copied()).collect()
    }

    /// One more node.
    #[track_caller]
    pub fn start(&self, more: &[&str]) -> Node {
        Node::start_with(&self.flags(more))
    }

    /// A node at a port that another one had.
    #[track_caller]
    pub fn start_at(&self, port: u16) -> Node {
        Node::start_at(port, &self.flags(&[]))
    }

    /// So many nodes that know each other.
    #[track_caller]
    pub fn start_together(&self, number: usize, more: &[&str]) -> Vec<Node> {
        let nodes: Vec<_> = (0..number).map(|_| self.start(more)).collect();
        wait_until_met(&nodes.iter().collect::<Vec<_>>(), MEETING_TIME_MAX);
        nodes
    }
}

/// Waits until each of these nodes lists exactly the others; how long that took.
#[track_caller]
pub fn wait_until_met(nodes: &[&Node], within: Duration) -> Duration {
    let start = Instant::now();
    wait_until(
        "every node lists all others and no more",
        within,
        || nodes.iter().map(|node| (node.id(), sorted(node.peers()))).collect::<Vec<_>>(),
        |lists| {
            lists.iter().all(|(id, list)| {
                let others = lists.iter().map(|(id, _)| id).filter(|other| *other != id);
                *list == sorted(others.cloned().collect())
            })
        },
    );
    start.elapsed()
}

/// Waits until all of these nodes show this count; how long that took.
#[track_caller]
pub fn wait_until_counted(nodes: &[&Node], count: u64, within: Duration) -> Duration {
    let start = Instant::now();
    wait_until(
        &format!("every node counts {count}"),
        within,
        || nodes.iter().map(|node| node.count()).collect::<Vec<_>>(),
        |counts| counts.iter().all(|seen| u64::try_from(*seen) == Ok(count)),
    );
    start.elapsed()
}

/// Waits until none of these nodes lists this peer; how long that took.
#[track_caller]
pub fn wait_until_unlisted(nodes: &[&Node], peer: &str, within: Duration) -> Duration {
    let start = Instant::now();
    wait_until(
        &format!("no node lists {peer}"),
        within,
        || nodes.iter().map(|node| node.peers()).collect::<Vec<_>>(),
        |lists| lists.iter().all(|list| list.iter().all(|listed| listed != peer)),
    );
    start.elapsed()
}

/// The JSON body that names a node.
pub fn named(id: &str) -> String {
    format!(r#"{{"id":"{id}"}}"#)
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}
