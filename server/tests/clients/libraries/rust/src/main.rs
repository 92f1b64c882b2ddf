//! actix-limitation, unchanged: a limiter at each of three nodes: PROGRAM PORT PORT PORT.

use std::thread;
use std::time::{Duration, Instant};

use actix_limitation::{Error, Limiter};
use redis::{Client, Commands, Connection};

/// How long what is waited for may take: of a cluster on one machine, some milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
const DAY: Duration = Duration::from_hours(24);

/// A name, its value, and when it expires.
type Shown = (String, Option<i64>, i64);

struct Cluster {
    urls: Vec<String>,
    nodes: Vec<Connection>,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn begin() -> Cluster {
        let urls: Vec<_> =
            std::env::args().skip(1).map(|port| format!("redis://127.0.0.1:{port}")).collect();
        let connect = |url: &String| Client::open(url.as_str()).unwrap().get_connection().unwrap();
        let nodes = urls.iter().map(connect).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut cluster = Cluster { urls, nodes, runtime };
        // What the program before has left.
        cluster.agree();
        let () = redis::cmd("FLUSHALL").query(&mut cluster.nodes[1]).unwrap();
        cluster.agree();
        assert_eq!(shown(&mut cluster.nodes[2]), []);
        cluster
    }

    fn limiters(&self, limit: usize, period: Duration) -> Vec<Limiter> {
        let limiter =
            |url: &String| Limiter::builder(url).limit(limit).period(period).build().unwrap();
        self.urls.iter().map(limiter).collect()
    }

    /// What is left after a hit, or nothing where it is not let through; then every node has it.
    fn hit(&mut self, limiter: &Limiter, key: &str) -> Option<usize> {
        let answer = self.runtime.block_on(limiter.count(key));
        self.agree();
        match answer {
            Ok(status) => Some(status.remaining()),
            Err(Error::LimitExceeded(_)) => None,
            Err(error) => panic!("expected a status, found {error}"),
        }
    }

    /// Waits until all nodes show the same: then each has what was written on any of them before.
    fn agree(&mut self) {
        let begun = Instant::now();
        loop {
            let looks: Vec<_> = self.nodes.iter_mut().map(shown).collect();
            if looks.iter().all(|look| *look == looks[0]) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "the nodes do not agree: {looks:?}");
            thread::sleep(POLL);
        }
    }
}

fn shown(node: &mut Connection) -> Vec<Shown> {
    let mut names: Vec<String> = node.keys("*").unwrap();
    names.sort();
    let mut show = |name: String| {
        let value = node.get(&name).unwrap();
        let expires = node.pexpire_time(&name).unwrap();
        (name, value, expires)
    };
    names.drain(..).map(&mut show).collect()
}

fn lets_exactly_its_limit_through(cluster: &mut Cluster) {
    let limiters = cluster.limiters(5, DAY);
    let left: Vec<_> = (0..9).map(|turn| cluster.hit(&limiters[turn % 3], "five")).collect();
    assert_eq!(left, [Some(4), Some(3), Some(2), Some(1), Some(0), None, None, None, None]);
    assert_eq!(cluster.hit(&limiters[1], "another"), Some(4));
}

fn lets_through_again_when_the_window_ends(cluster: &mut Cluster) {
    let limiters = cluster.limiters(1, Duration::from_secs(2));
    for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1]] {
        let begun = Instant::now();
        while cluster.hit(&limiters[order[0]], "window").is_none() {
            assert!(begun.elapsed() < DEADLINE, "the window does not end");
            thread::sleep(POLL);
        }
        assert_eq!(order.map(|node| cluster.hit(&limiters[node], "window")), [None; 3]);
    }
}

fn main() {
    let mut cluster = Cluster::begin();
    lets_exactly_its_limit_through(&mut cluster);
    lets_through_again_when_the_window_ends(&mut cluster);
    println!("all as expected");
}
