//! A closed loop on each of many connections: some requests are sent together, and the next ones
//! when all of these are answered; at a rate that was asked for, not before they are due either.
//!
//! Three things can become of a request, and only the first is counted on: it is acknowledged, it is
//! refused, or it is unanswered, because its connection broke or the run ended first; then it
//! is not known whether it was counted. One thread and plain sockets: on a small machine a heavier
//! client would measure itself.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinSet, LocalSet};

use super::latencies::Latencies;
use super::names::Names;
use super::protocol::Protocol;
use crate::transport::dial::dial;
use crate::transport::stream::Stream;

/// How long requests that are under way at the end are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// Rest before a broken connection is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Longest answers that are read, in bytes, for each request of a pipeline.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) protocol: Protocol,
    pub(super) socket: SocketAddr,
    pub(super) connections: u16,
    /// Requests that are sent together.
    pub(super) pipeline: u16,
    pub(super) time_max: Duration,
    pub(super) requests_max: u64,
    /// Requests a second at most.
    pub(super) rate: Option<u32>,
    pub(super) names: Names,
}

/// What has come of it.
pub(super) struct Tally {
    left: u64,
    begun: u64,
    /// When the next request is due.
    due: Instant,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) start: Instant,
    last_answer: Instant,
    pub(super) latencies: Latencies,
}

impl Tally {
    fn new(requests_max: u64) -> Self {
        let start = Instant::now();
        Tally {
            left: requests_max,
            begun: 0,
            due: start,
            acknowledged: 0,
            refused: 0,
            start,
            last_answer: start,
            latencies: Latencies::new(),
        }
    }

    /// Sent, and neither acknowledged nor refused.
    pub(super) fn unanswered(&self) -> u64 {
        self.begun - self.acknowledged - self.refused
    }

    pub(super) fn seconds(&self) -> f64 {
        (self.last_answer - self.start).as_secs_f64()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.acknowledged as f64 / self.seconds().max(f64::EPSILON)
    }

    /// When the next requests are due, and the ones behind them later.
    fn next_due(&mut self, pipeline: u16, rate: u32) -> Instant {
        let due = self.due;
        self.due = due + Duration::from_secs(1) * u32::from(pipeline) / rate;
        due
    }

    /// How many more requests may be sent together; they count as begun then.
    fn take(&mut self, pipeline: u16) -> u16 {
        let some = u16::try_from(self.left).unwrap_or(u16::MAX).min(pipeline);
        self.left -= u64::from(some);
        self.begun += u64::from(some);
        some
    }
}

/// Carries out a plan; `watch` is called once a second meanwhile.
pub(super) async fn run(plan: &Plan, mut watch: impl FnMut(&Tally)) -> io::Result<Tally> {
    let mut streams = Vec::new();
    for _ in 0..plan.connections {
        streams.push(dial(&[plan.socket]).await?);
    }
    let tally = Rc::new(RefCell::new(Tally::new(plan.requests_max)));
    let deadline = tally.borrow().start + plan.time_max;
    let all = async {
        let mut connections = JoinSet::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let names = plan.names.clone().of_connection(number as u64);
            let connection = Connection {
                plan: plan.clone(),
                names,
                deadline,
                tally: Rc::clone(&tally),
                requests: String::new(),
                came: Vec::new(),
            };
            connections.spawn_local(connection.run(stream));
        }
        connections.join_all().await
    };
    let watching = async {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            watch(&tally.borrow());
        }
    };
    let local = LocalSet::new();
    let all = local.run_until(async {
        tokio::select! {
            _ = all => {}
            () = watching => {}
        }
    });
    // Who has no answer by then is unanswered.
    let _ = tokio::time::timeout_at((deadline + GRACE).into(), all).await;
    Ok(tally.replace(Tally::new(0)))
}

struct Connection {
    plan: Plan,
    names: Names,
    deadline: Instant,
    tally: Rc<RefCell<Tally>>,
    requests: String,
    came: Vec<u8>,
}

impl Connection {
    async fn run(mut self, mut stream: Stream) {
        loop {
            let due = self.pause().await;
            if Instant::now() >= self.deadline {
                return;
            }
            let some = self.tally.borrow_mut().take(self.plan.pipeline);
            if some == 0 {
                return;
            }
            if self.exchange(&mut stream, some, due).await.is_ok() {
                continue;
            }
            loop {
                tokio::time::sleep(RECONNECT_PAUSE).await;
                match dial(&[self.plan.socket]).await {
                    Ok(fresh) => break stream = fresh,
                    Err(_) if Instant::now() < self.deadline => {}
                    Err(_) => return,
                }
            }
        }
    }

    /// Waits until the next requests are due; tells since when they are, if they are late. They
    /// have waited for an answer since then: a server that stalls must not be let off with the
    /// requests that were not sent meanwhile.
    async fn pause(&self) -> Option<Instant> {
        let due = self.tally.borrow_mut().next_due(self.plan.pipeline, self.plan.rate?);
        if due <= Instant::now() {
            return Some(due);
        }
        tokio::time::sleep_until(due.min(self.deadline).into()).await;
        None
    }

    /// Sends so many requests and reads their answers. They wait from now on, or longer already.
    async fn exchange(
        &mut self,
        stream: &mut Stream,
        some: u16,
        due: Option<Instant>,
    ) -> io::Result<()> {
        let protocol = self.plan.protocol;
        self.requests.clear();
        self.came.clear();
        for _ in 0..some {
            let name = self.names.next_name();
            protocol.ask(name, &mut self.requests);
        }
        let sent = due.unwrap_or_else(Instant::now);
        stream.write_all(self.requests.as_bytes()).await?;
        let (mut left, mut read) = (some, 0);
        while left > 0 {
            if stream.read_buf(&mut self.came).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let now = Instant::now();
            let mut tally = self.tally.borrow_mut();
            while left > 0
                && let Some(answer) = protocol.answer(&self.came[read..])?
            {
                read += answer.bytes;
                left -= 1;
                tally.last_answer = now;
                tally.latencies.add(now - sent);
                if answer.is_acknowledged {
                    tally.acknowledged += 1;
                } else {
                    tally.refused += 1;
                }
            }
            if self.came.len() - read > ANSWER_BYTES_MAX {
                return Err(io::Error::other("more bytes than any answer has"));
            }
        }
        Ok(())
    }
}
