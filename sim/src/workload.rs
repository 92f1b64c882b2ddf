//! What clients ask for, and when: a schedule drawn from the seed.
//!
//! Few counters, so that nodes write the same ones at once. Some are only ever added to: their
//! readers must never see them go down. Now and then a cluster gets thousands of counters with
//! long names instead, so that what one node lacks does not fit one frame.

use std::fmt;

use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::time::Time;

use crate::chance::Chance;
use crate::host::HostId;

/// A client's request: operations sent to one machine as one.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// When it reaches the machine.
    pub at: Time,
    /// Which machine.
    pub host: HostId,
    /// What it asks for.
    pub ops: Vec<Op>,
}

/// How much clients do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many requests in all.
    pub requests: u64,
    /// How many more counters than the usual few, written once or twice each.
    pub wide_counters: u64,
    /// How many more counters that are written all the time: what one part of a catch-up says of
    /// them has changed again before the next one leaves.
    pub many_counters: u64,
    /// Whether values come close to what a counter can hold.
    pub to_the_edge: bool,
}

/// Most requests that a plan holds; a run of a minute under heavy load.
pub const REQUESTS_MAX: u64 = 20_000;

/// Counters that are only added to.
const GROWING: [&str; 3] = ["default", "grows/a", "grows/b"];

/// Counters that are added to and subtracted from.
const MIXED: [&str; 2] = ["mixed/a", "mixed/b"];

/// A counter that is added to and raised.
const RAISED: &str = "grows/raised";

/// A counter whose increments reach the bounds of i64.
const EDGE: &str = "edge";

/// Whether a counter is only added to and raised, so that no reader may see it go down.
pub fn only_grows(name: &str) -> bool {
    name == "default"
        || name.starts_with("grows/")
        || name.starts_with("wide/")
        || name.starts_with("many/")
}

/// Whether an operation on a counter may be refused because it would leave i64.
pub fn may_overflow(name: &str) -> bool {
    name == EDGE
}

/// An increment with which a calm cluster is probed, and its counter.
pub fn calm_increment() -> (CounterName, Op) {
    (name(GROWING[1]), add(GROWING[1], 1))
}

/// The counter that is raised in a calm cluster.
pub fn calm_raise() -> CounterName {
    name(RAISED)
}

/// Draws requests to `hosts` machines between `from` and `until`.
pub fn draw(
    hosts: usize,
    from: Time,
    until: Time,
    load: &Load,
    chance: &mut Chance,
) -> Vec<ClientRequest> {
    let span = u64::try_from(until.since(from).as_micros()).unwrap_or(u64::MAX);
    let mut requests: Vec<ClientRequest> = (0..load.requests.min(REQUESTS_MAX))
        .map(|_| {
            let at = from + chance.micros(0, span - 1);
            // Often one, sometimes what a pipelining connection sends at once.
            let ops = if chance.permille(800) { 1 } else { chance.between(2, 8) };
            let ops = (0..ops).map(|_| one(load, chance)).collect();
            ClientRequest { at, host: chance.index(hosts), ops }
        })
        .collect();
    for first in (0..load.wide_counters).step_by(WIDE_OPS) {
        let ops = (first..first + WIDE_OPS as u64).map(|n| add(&wide(n), 1)).collect();
        let at = from + chance.micros(0, span - 1);
        requests.push(ClientRequest { at, host: chance.index(hosts), ops });
    }
    requests.sort_by_key(|request| request.at);
    requests
}

/// Draws raises at machines that were struck, soon after: a node is behind when it has started, or
/// when it is reached again.
pub fn draw_raises(moments: &[(Time, HostId)], chance: &mut Chance) -> Vec<ClientRequest> {
    let struck = moments.iter().filter(|_| chance.permille(500)).copied().collect::<Vec<_>>();
    let raise = |(at, host)| {
        let to = i64::try_from(chance.between(1, 400)).unwrap_or(1);
        let ops = vec![Op::Raise { name: name(RAISED), to }];
        ClientRequest { at: at + chance.micros(0, 1_500_000), host, ops }
    };
    struck.into_iter().map(raise).collect()
}

/// How many of the wide counters one request touches.
const WIDE_OPS: usize = 200;

fn one(load: &Load, chance: &mut Chance) -> Op {
    match chance.below(100) {
        0..45 => add(chance.pick(&GROWING), amount(chance)),
        45..70 => {
            let by = amount(chance);
            let sign = if chance.permille(450) { -1 } else { 1 };
            add(chance.pick(&MIXED), sign * by)
        }
        70..75 if load.to_the_edge => {
            let by = i64::MAX / i64::try_from(chance.between(1, 3)).unwrap_or(1);
            add(EDGE, if chance.permille(500) { -by } else { by })
        }
        70..80 => add(RAISED, amount(chance)),
        80..85 => {
            let to = i64::try_from(chance.between(1, 400)).unwrap_or(1);
            Op::Raise { name: name(RAISED), to }
        }
        85..95 if load.many_counters > 0 => {
            let number = chance.below(load.many_counters);
            add(&format!("many/{number:0>2}"), amount(chance))
        }
        _ => {
            let names = [GROWING[0], GROWING[1], GROWING[2], MIXED[0], MIXED[1], RAISED];
            Op::Get { name: name(chance.pick(&names)) }
        }
    }
}

/// One of the usual counters.
pub fn any_counter(chance: &mut Chance) -> CounterName {
    name(chance.pick(&[GROWING[0], GROWING[1], MIXED[0], RAISED]))
}

fn amount(chance: &mut Chance) -> i64 {
    let most = chance.pick(&[1, 1, 1, 9, 1_000_000_000]);
    i64::try_from(chance.between(1, most)).unwrap_or(1)
}

fn add(counter: &str, by: i64) -> Op {
    Op::Add { name: name(counter), by }
}

fn wide(number: u64) -> String {
    format!("wide/{number:0>240}")
}

fn name(text: &str) -> CounterName {
    CounterName::new(text.as_bytes().to_vec()).expect("every name above is a counter's name")
}

impl fmt::Display for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.since(Time::ZERO).as_secs_f64();
        write!(f, "{seconds:8.3} s  to n{}:", self.host)?;
        for op in self.ops.iter().take(OPS_SHOWN) {
            match op {
                Op::Add { name, by } => write!(f, " {name} {by:+};")?,
                Op::Get { name } => write!(f, " {name} ?;")?,
                Op::Raise { name, to } => write!(f, " {name} >= {to};")?,
                Op::Update { name, update } => write!(f, " {name} {update:?};")?,
            }
        }
        if self.ops.len() > OPS_SHOWN {
            write!(f, " and {} more", self.ops.len() - OPS_SHOWN)?;
        }
        Ok(())
    }
}

/// How many of a request's operations are worth reading.
const OPS_SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Purpose;

    #[test]
    fn a_counter_that_only_grows_is_never_subtracted_from() {
        let load =
            Load { requests: 2_000, wide_counters: 400, many_counters: 20, to_the_edge: true };
        let mut chance = Chance::new(1, Purpose::Workload);
        let until = Time::from_micros(1_000_000);
        let requests = draw(3, Time::ZERO, until, &load, &mut chance);
        assert!(requests.is_sorted_by_key(|request| request.at));
        for op in requests.iter().flat_map(|request| &request.ops) {
            if let Op::Add { name, by } = op {
                assert!(*by > 0 || !only_grows(name.as_str()), "{name} {by}");
            }
        }
    }
}
