//! What clients ask of counters that may end.
//!
//! Drawn from a stream of its own, beside what is asked of the others. Much of it comes in bursts:
//! several machines are asked about one counter within some milliseconds, so that resets, additions
//! and lifetimes meet that have not seen each other.

use std::time::Duration;

use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::time::Time;
use quipu_core::update::{Expiry, Only, OnlyExpire, Update};

use crate::chance::Chance;
use crate::host::HostId;
use crate::workload::ClientRequest;

/// Counters that may end.
pub const ENDING: [&str; 3] = ["ends/a", "ends/b", "ends/c"];

/// Within so many milliseconds a burst comes.
const BURST_MILLIS_MAX: u64 = 60;

/// Whether a counter may end.
pub fn may_end(name: &str) -> bool {
    name.starts_with("ends/")
}

/// Whether a node that is known to be behind does not take this operation.
pub fn waits_while_behind(op: &Op) -> bool {
    match op {
        Op::Raise { .. } => true,
        Op::Update { update, .. } => matches!(**update, Update::Set { .. } | Update::Delete),
        Op::Add { .. } | Op::Get { .. } => false,
    }
}

/// Whether a removed node does not take this operation.
pub fn ends(op: &Op) -> bool {
    matches!(op, Op::Update { update, .. } if update.ends())
}

/// The counter that a calm cluster is asked to set and to delete.
pub fn calm_ending() -> CounterName {
    name(ENDING[0])
}

/// Sets a counter, whatever its lifetime was.
pub fn set(counter: &CounterName, to: i64) -> Op {
    let update = Update::Set { to, only: None, expiry: Expiry::Never };
    Op::Update { name: counter.clone(), update: Box::new(update) }
}

/// Deletes a counter.
pub fn delete(counter: &CounterName) -> Op {
    Op::Update { name: counter.clone(), update: Box::new(Update::Delete) }
}

/// Draws requests to `hosts` machines until `until`, where the world's wall clocks begin at
/// `epoch_ms`.
pub fn draw(hosts: usize, until: Time, epoch_ms: u64, chance: &mut Chance) -> Vec<ClientRequest> {
    let mut requests = Vec::new();
    for _ in 0..chance.between(5, 40) {
        let first = Time::ZERO + chance.micros(0, until.as_micros() - 1);
        let counter = name(chance.pick(&ENDING));
        for _ in 0..chance.between(1, 4) {
            let at = first + chance.millis(0, BURST_MILLIS_MAX);
            let wall_ms = epoch_ms + at.as_micros() / 1000;
            let ops = if chance.permille(700) { 1 } else { chance.between(2, 4) };
            let ops = (0..ops).map(|_| one(&counter, wall_ms, chance)).collect();
            requests.push(ClientRequest { at, host: chance.index(hosts), ops });
        }
    }
    requests.retain(|request| request.at < until);
    requests.sort_by_key(|request| request.at);
    requests
}

/// Draws sets and deletes at machines that were struck, soon after: they may be behind.
pub fn draw_behind(moments: &[(Time, HostId)], chance: &mut Chance) -> Vec<ClientRequest> {
    let struck = moments.iter().filter(|_| chance.permille(300)).copied().collect::<Vec<_>>();
    let reset = |(at, host)| {
        let counter = name(chance.pick(&ENDING));
        let op = if chance.permille(500) { delete(&counter) } else { set(&counter, 7) };
        let at: Time = at;
        ClientRequest { at: at + chance.micros(0, 1_500_000), host, ops: vec![op] }
    };
    struck.into_iter().map(reset).collect()
}

fn one(counter: &CounterName, wall_ms: u64, chance: &mut Chance) -> Op {
    let name = counter.clone();
    let update = match chance.below(100) {
        0..30 => return Op::Add { name, by: signed(9, chance) },
        30..35 => return Op::Get { name },
        35..40 => {
            let to = i64::try_from(chance.between(1, 60)).unwrap_or(1);
            return Op::Raise { name, to };
        }
        40..52 => Update::Add {
            by: signed(12, chance),
            within: chance.pick(&[(i64::MIN, i64::MAX), (0, 30), (-10, 10)]),
            saturate: chance.permille(500),
            expiry: expiry(wall_ms, chance),
        },
        52..66 => Update::Set {
            to: chance.pick(&[0, -6, 1, 5, 5, 40]),
            only: chance.pick(&[None, None, Some(Only::Existing), Some(Only::Missing)]),
            expiry: expiry(wall_ms, chance),
        },
        66..82 => Update::Delete,
        _ => Update::Expire {
            expiry: expiry(wall_ms, chance),
            only: chance.pick(&[
                None,
                None,
                None,
                Some(OnlyExpire::WithoutLifetime),
                Some(OnlyExpire::WithLifetime),
                Some(OnlyExpire::Later),
                Some(OnlyExpire::Sooner),
            ]),
        },
    };
    Op::Update { name, update: Box::new(update) }
}

/// Lifetimes so short that most end within a run; some are over already.
fn expiry(wall_ms: u64, chance: &mut Chance) -> Expiry {
    let ms = chance.pick(&[50, 300, 1_000, 4_000, 3_600_000]);
    let at = wall_ms + chance.pick(&[0, 500, 2_000, 5_000]);
    match chance.below(10) {
        0..3 => Expiry::Keep,
        3..6 => Expiry::After(ms),
        6 => Expiry::At(at),
        7 => Expiry::AfterIfNone(ms),
        8 => Expiry::AtIfNone(at),
        _ => Expiry::Never,
    }
}

fn signed(most: u64, chance: &mut Chance) -> i64 {
    let by = i64::try_from(chance.between(1, most)).unwrap_or(1);
    if chance.permille(300) { -by } else { by }
}

fn name(text: &str) -> CounterName {
    CounterName::new(text.as_bytes().to_vec()).expect("every name above is a counter's name")
}

/// How often a node is told what its machine's wall clock shows.
pub const WALL_CLOCK_EVERY: Duration = Duration::from_secs(1);
