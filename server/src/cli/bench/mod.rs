//! `quipu bench`: how many increments a node takes, how long each waits, and whether all of them
//! were counted.
//!
//! The load goes to counters of their own name, read before and after: what was acknowledged must be
//! what the counters have grown by. Requests without an answer may have been counted or not, and so
//! may what others add to the same counters meanwhile; the former is allowed for, the latter is the
//! user's to avoid.

mod latencies;
mod load;
mod names;
mod protocol;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::load::{Plan, Tally};
use self::names::Names;
use self::protocol::Protocol;
use super::client::Client;
use super::row::Row;
use super::{Asking, Failure, encoded, list};
use crate::words;

/// Where nodes speak the Redis protocol.
const REDIS_PORT: u16 = 6380;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// What to load the node through
    #[arg(long, default_value = "http")]
    protocol: Protocol,
    /// Where it speaks the Redis protocol [default: port 6380 of the same host]
    #[arg(long, value_name = "IP:PORT", value_parser = words::redis)]
    redis: Option<SocketAddr>,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = words::whole(1..=10_000_u16))]
    connections: u16,
    /// Requests that each connection sends together
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = words::whole(1..=1000_u16))]
    pipeline: u16,
    /// The longest that it may take
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = words::whole(1..=3600_u16))]
    seconds: u16,
    /// The most increments in all
    #[arg(long, value_name = "N", value_parser = words::one_or_more)]
    requests: Option<u64>,
    /// Increments a second at most. Those that had to wait for their turn because answers were slow
    /// count from when they were due
    #[arg(long, value_name = "N", value_parser = words::whole(1..=1_000_000_000_u32))]
    rate: Option<u32>,
    /// The counter that is incremented, or what the names of several begin with
    #[arg(long, value_name = "NAME", default_value = "bench", value_parser = base)]
    name: String,
    /// Out of how many counters each increment takes a random one. Counters stay: they cannot be
    /// deleted
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = words::whole(1..=1_000_000_u32))]
    names: u32,
    #[command(flatten)]
    pub(super) asking: Asking,
}

/// A name that leaves room for a number behind it.
fn base(text: &str) -> Result<String, String> {
    quipu_core::name::check(text).map_err(|error| error.to_string())?;
    match text.len() {
        ..=247 => Ok(text.to_owned()),
        more => Err(format!("expected at most 247 bytes, found {more}")),
    }
}

impl Bench {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<(), Failure> {
        let plan = self.plan(client)?;
        let before = counted(client, &plan.names)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shows_progress = io::stderr().is_terminal();
        let ran = runtime.block_on(load::run(&plan, |tally| {
            if shows_progress {
                progress(tally);
            }
        }));
        if shows_progress {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        let tally = ran.map_err(|error| Failure::Silent(plan.socket.to_string(), error))?;
        let grown = counted(client, &plan.names)? - before;
        self.report(&plan, &tally, grown, out)?;
        verdict(&tally, grown)
    }

    fn plan(&self, client: &Client) -> Result<Plan, Failure> {
        let first = client.sockets().first().copied().ok_or_else(|| {
            Failure::Unresolved(client.node().to_owned(), io::ErrorKind::NotFound.into())
        })?;
        let socket = match self.protocol {
            Protocol::Http => first,
            Protocol::Redis => self.redis.unwrap_or(SocketAddr::new(first.ip(), REDIS_PORT)),
        };
        let seed = getrandom::u64().map_err(|error| Failure::Bench(error.to_string()))?;
        Ok(Plan {
            protocol: self.protocol,
            socket,
            connections: self.connections,
            pipeline: self.pipeline,
            time_max: Duration::from_secs(self.seconds.into()),
            requests_max: self.requests.unwrap_or(u64::MAX),
            rate: self.rate,
            names: Names::new(&self.name, self.names, seed),
        })
    }

    fn report(
        &self,
        plan: &Plan,
        tally: &Tally,
        grown: i128,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let ms = |per_mille| tally.latencies.per_mille(per_mille).as_secs_f64() * 1e3;
        let [p50, p90, p99, p999, max] = [500, 900, 990, 999, 1000].map(ms);
        let (seconds, per_second) = (tally.seconds(), tally.per_second());
        if self.asking.json {
            let report = json!({
                "protocol": plan.protocol.as_str(),
                "address": plan.socket.to_string(),
                "connections": plan.connections,
                "pipeline": plan.pipeline,
                "names": self.names,
                "seconds": seconds,
                "acknowledged": tally.acknowledged,
                "refused": tally.refused,
                "unanswered": tally.unanswered(),
                "counted": i64::try_from(grown).ok(),
                "per_second": per_second.round(),
                "latency_ms": {"p50": p50, "p90": p90, "p99": p99, "p99.9": p999, "max": max},
            });
            return writeln!(out, "{report}");
        }
        writeln!(
            out,
            "{} at {}: {} connections, pipeline {}, {} names, {seconds:.1} s",
            plan.protocol.as_str(),
            plan.socket,
            plan.connections,
            plan.pipeline,
            self.names,
        )?;
        writeln!(
            out,
            "acknowledged {} ({per_second:.0} a second), refused {}, unanswered {}, counted {grown}",
            tally.acknowledged,
            tally.refused,
            tally.unanswered(),
        )?;
        writeln!(
            out,
            "latency in ms: p50 {p50:.3}, p90 {p90:.3}, p99 {p99:.3}, p99.9 {p999:.3}, max {max:.3}"
        )
    }
}

/// The sum of the counters.
fn counted(client: &Client, names: &Names) -> Result<i128, Failure> {
    if let Some(name) = names.only() {
        let row: Row = client.get(&format!("/counters/{}", encoded(name)))?;
        return Ok(row.exact_value());
    }
    let mut sum = 0;
    list::each_row(client, &names.prefix(), u64::MAX, |row| {
        if names.has(&row.name) {
            sum += row.exact_value();
        }
        Ok(())
    })?;
    Ok(sum)
}

fn progress(tally: &Tally) {
    let p99 = tally.latencies.per_mille(990).as_secs_f64() * 1e3;
    // Best effort: an operator who cannot see it waits without.
    let _ = write!(
        io::stderr(),
        "\r\x1b[K{:.0} s: {} increments, {:.0} a second, p99 {p99:.3} ms",
        tally.start.elapsed().as_secs_f64(),
        tally.acknowledged,
        tally.per_second(),
    );
    let _ = io::stderr().flush();
}

/// Whether the node did what it said.
fn verdict(tally: &Tally, grown: i128) -> Result<(), Failure> {
    let least = i128::from(tally.acknowledged);
    let most = least + i128::from(tally.unanswered());
    if !(least..=most).contains(&grown) {
        return Err(Failure::Bench(format!(
            "expected the counters to grow by {least} to {most}, found {grown}; if no other client \
             increments them, the node has miscounted"
        )));
    }
    if tally.refused > 0 || tally.acknowledged == 0 {
        return Err(Failure::Bench(format!(
            "expected every increment to be acknowledged, found {} that were, {} that were refused",
            tally.acknowledged, tally.refused
        )));
    }
    Ok(())
}
