//! A closed loop: each connection sends its next request when the last one is answered.
//!
//! Three things can become of a request, and only the first is counted on: it is acknowledged (2xx),
//! it is refused (any other answer), or it is unanswered, because its connection broke or the run
//! ended first; then nobody can say whether it was counted.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;
use tokio::task::LocalSet;

use crate::client::{Client, Target};
use crate::latencies::Latencies;

/// How long requests that are under way at the end are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// How long connections rest that have sent what the pace allows. As long as the runtime's clock can
/// tell apart: so the load comes in a burst each millisecond.
const PACE_PAUSE: Duration = Duration::from_millis(1);

/// Rest before a broken connection is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Args)]
pub(crate) struct Throughput {
    /// A node, as http://host:port; more of them are loaded together
    #[arg(long = "url", required = true)]
    urls: Vec<Target>,
    /// Connections to each node
    #[arg(long, default_value_t = 32)]
    connections: u16,
    /// The longest that the run may take
    #[arg(long, default_value_t = 3)]
    seconds: u16,
    /// The most requests that are sent in all
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// What is posted to
    #[arg(long, default_value = "/increment")]
    path: String,
    /// A file with what is posted; without it, nothing
    #[arg(long)]
    body: Option<PathBuf>,
    /// The most requests that are begun in a second, all connections together
    #[arg(long)]
    per_second: Option<u32>,
}

/// What every connection of a run has to know.
struct Plan {
    path: String,
    body: String,
    start: Instant,
    deadline: Instant,
    per_second: Option<u32>,
}

struct Tally {
    left: u64,
    begun: u64,
    acknowledged: u64,
    refused: u64,
    last_answer: Instant,
    latencies: Latencies,
}

impl Throughput {
    pub(crate) async fn run(&self) -> Result<String, String> {
        let body = match &self.body {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
            None => String::new(),
        };
        let mut clients = Vec::new();
        for target in &self.urls {
            for _ in 0..self.connections {
                let client = Client::connect(target, "POST", &self.path, Some(&body)).await;
                clients.push((target.clone(), client.map_err(|e| format!("{target:?}: {e}"))?));
            }
        }
        let start = Instant::now();
        let deadline = start + Duration::from_secs(self.seconds.into());
        let plan = Rc::new(Plan {
            path: self.path.clone(),
            body,
            start,
            deadline,
            per_second: self.per_second,
        });
        let tally = Rc::new(RefCell::new(Tally {
            left: self.requests,
            begun: 0,
            acknowledged: 0,
            refused: 0,
            last_answer: start,
            latencies: Latencies::new(),
        }));
        let all = async {
            let mut connections = JoinSet::new();
            for (target, client) in clients {
                let (tally, plan) = (Rc::clone(&tally), Rc::clone(&plan));
                connections.spawn_local(connection(target, plan, client, tally));
            }
            connections.join_all().await
        };
        // Who has no answer by then is unanswered.
        let _ = tokio::time::timeout_at((deadline + GRACE).into(), LocalSet::new().run_until(all))
            .await;
        let tally = tally.borrow();
        let Tally { acknowledged, refused, begun, .. } = *tally;
        let seconds = (tally.last_answer - start).as_secs_f64();
        Ok(format!(
            "acknowledged {acknowledged} refused {refused} unanswered {} seconds {seconds:.3} \
             per_second {:.0} {}",
            begun - acknowledged - refused,
            acknowledged as f64 / seconds.max(f64::EPSILON),
            tally.latencies,
        ))
    }
}

async fn connection(target: Target, plan: Rc<Plan>, mut client: Client, tally: Rc<RefCell<Tally>>) {
    let Plan { path, body, deadline, .. } = &*plan;
    let mut sent = Instant::now();
    while sent < *deadline {
        if !plan.allows(tally.borrow().begun, sent) {
            tokio::time::sleep(PACE_PAUSE).await;
            sent = Instant::now();
            continue;
        }
        if !take_one(&tally) {
            return;
        }
        let status = client.call().await.map(|answer| answer.status);
        let now = Instant::now();
        match status {
            Ok(status) => {
                let mut tally = tally.borrow_mut();
                tally.last_answer = now;
                tally.latencies.add(now - sent);
                if (200..300).contains(&status) {
                    tally.acknowledged += 1;
                } else {
                    tally.refused += 1;
                }
            }
            Err(_) => loop {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                match Client::connect(&target, "POST", path, Some(body)).await {
                    Ok(fresh) => break client = fresh,
                    Err(_) if Instant::now() < *deadline => {}
                    Err(_) => return,
                }
            },
        }
        sent = Instant::now();
    }
}

impl Plan {
    /// Whether the pace lets one more begin after so many.
    fn allows(&self, begun: u64, now: Instant) -> bool {
        self.per_second.is_none_or(|per_second| {
            (begun as f64) < f64::from(per_second) * (now - self.start).as_secs_f64()
        })
    }
}

/// Whether one more request may be sent; it counts as begun then.
fn take_one(tally: &RefCell<Tally>) -> bool {
    let mut tally = tally.borrow_mut();
    if tally.left == 0 {
        return false;
    }
    tally.left -= 1;
    tally.begun += 1;
    true
}
