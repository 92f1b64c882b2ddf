//! `INFO`: this node at a glance, in the lines that tools for Redis read.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::name::DATABASES;
use quipu_core::query::{DatabaseSize, Size, Sizes};
use quipu_core::status::PeerState;

use crate::access::{Allowed, Names, Observe};
use crate::handle::Unavailable;
use crate::inbox::Report;
use crate::os::process::Usage;
use crate::os::wall_clock::wall_clock_ms;
use crate::redis::context::Context;
use crate::redis::question::Question;
use crate::redis::reply::Protocol;
use crate::redis::spec::{Call, Class, Next, Spec};
use crate::redis::subscriptions::Topic;
use crate::redis::{REDIS_VERSION, reply};

/// The sections, in the order in which they are told.
const SECTIONS: [&str; 8] =
    ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "keyspace"];

pub(in crate::redis) const SPEC: Spec =
    Spec::new("info", Class::Keyspace, -1, run, "Tells of this node").before_start();

/// Words that stand for all sections.
const ALL: [&str; 3] = ["default", "all", "everything"];

/// When clients that were told that the node is starting ask again. How long it takes is not known.
const LOADING_ETA_S: u64 = 1;

/// `INFO [section …]`
fn run(call: &mut Call<'_>) -> Next {
    let sections = call.command.arguments(1).map(|section| section.to_ascii_lowercase().into());
    let sections = sections.collect();
    let Some(names) = call.allowed(Names) else { return Next::Go };
    call.ask(Observe, |observe| Question::Info { asked: (observe, names), sections })
}

/// What is known once the node has read what it had kept.
struct Known {
    report: Report,
    sizes: Sizes,
}

/// Answers `INFO`. A node that is starting answers it too: many clients ask it first and wait while
/// it says so, and take an error for one that will not pass.
pub(in crate::redis) async fn answer(
    context: &Context,
    (observe, names): &(Allowed<Observe>, Allowed<Names>),
    asked: &[Bytes],
    protocol: Protocol,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let known = match context.handle.report(observe).await {
        Ok(report) => {
            let sizes = context.handle.ask(names.covering(Size)).await?;
            Some(Known { report, sizes })
        }
        Err(Unavailable::Starting) => None,
        Err(unavailable) => return Err(unavailable),
    };
    let is_asked = |section: &str| {
        asked.is_empty()
            || asked.iter().any(|asked| {
                asked == section.as_bytes() || ALL.iter().any(|all| asked == all.as_bytes())
            })
    };
    // Asked of the system once, and only for those who want to know.
    let is_used = ["memory", "cpu"].into_iter().any(is_asked);
    let usage = is_used.then(Usage::now).flatten();
    let mut text = String::new();
    for section in SECTIONS.into_iter().filter(|section| is_asked(section)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let most = context.handle.memory(observe).bytes_max().unwrap_or_default();
        let (title, lines) = lines(section, context, known.as_ref(), (usage.as_ref(), most));
        let _ = write!(text, "# {title}\r\n");
        for (key, value) in lines {
            let _ = write!(text, "{key}:{value}\r\n");
        }
    }
    reply::verbatim(out, protocol, &text);
    Ok(())
}

type Lines = Vec<(&'static str, String)>;

/// Names of databases, as `INFO` has them.
const NAMES: [&str; DATABASES] = [
    "db0", "db1", "db2", "db3", "db4", "db5", "db6", "db7", "db8", "db9", "db10", "db11", "db12",
    "db13", "db14", "db15",
];

fn lines(
    section: &str,
    context: &Context,
    known: Option<&Known>,
    (usage, memory_max): (Option<&Usage>, u64),
) -> (&'static str, Lines) {
    let traffic = &context.state.traffic;
    let totals = context.state.totals();
    match section {
        "server" => {
            let mut lines = vec![
                // Clients decide by it what they may send.
                ("redis_version", REDIS_VERSION.to_owned()),
                ("redis_mode", "standalone".to_owned()),
                ("quipu_version", env!("CARGO_PKG_VERSION").to_owned()),
                ("process_id", std::process::id().to_string()),
                ("tcp_port", context.state.port.to_string()),
                ("node_id", context.handle.address().as_str().to_owned()),
            ];
            if let Some(Known { report, .. }) = known {
                lines.push(("run_id", report.status.identity.origin.to_string()));
                lines.push(("uptime_in_seconds", report.uptime.as_secs().to_string()));
            }
            ("Server", lines)
        }
        "clients" => {
            let open = traffic.accepted.get().saturating_sub(traffic.ended.get());
            (
                "Clients",
                vec![
                    ("connected_clients", open.to_string()),
                    ("maxclients", context.state.connections_max.to_string()),
                ],
            )
        }
        "memory" => (
            "Memory",
            usage.map_or_else(Vec::new, |usage| {
                // Redis counts what it has asked its allocator for, and beside it what is really
                // there. Only the latter is known here, and tools show the former.
                let bytes = usage.resident_bytes.to_string();
                vec![
                    ("used_memory", bytes.clone()),
                    ("used_memory_rss", bytes),
                    ("maxmemory", memory_max.to_string()),
                ]
            }),
        ),
        "persistence" => (
            "Persistence",
            match known {
                Some(_) => vec![("loading", "0".to_owned())],
                None => vec![
                    ("loading", "1".to_owned()),
                    ("loading_eta_seconds", LOADING_ETA_S.to_string()),
                ],
            },
        ),
        "stats" => (
            "Stats",
            vec![
                ("total_connections_received", totals.accepted.to_string()),
                ("rejected_connections", totals.refused.to_string()),
                ("total_commands_processed", totals.commands.to_string()),
                ("pubsub_channels", context.audience.of(Topic::Channel).len().to_string()),
                ("pubsub_patterns", context.audience.of(Topic::Pattern).len().to_string()),
            ],
        ),
        "replication" => {
            // Every node takes writes, and every other one follows them.
            let mut lines = vec![("role", "master".to_owned())];
            if let Some(Known { report: Report { status, .. }, .. }) = known {
                let is_alive = |state| matches!(state, PeerState::Alive | PeerState::Suspect);
                let alive = status.peers.iter().filter(|peer| is_alive(peer.state)).count();
                lines.push(("connected_slaves", alive.to_string()));
                lines.push(("master_repl_offset", status.version.to_string()));
            }
            ("Replication", lines)
        }
        "cpu" => (
            "CPU",
            usage.map_or_else(Vec::new, |usage| {
                let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
                vec![
                    ("used_cpu_sys", seconds(usage.cpu_system)),
                    ("used_cpu_user", seconds(usage.cpu_user)),
                ]
            }),
        ),
        _ => (
            "Keyspace",
            match known {
                Some(Known { sizes, .. }) => keyspace(sizes, wall_clock_ms()),
                None => Vec::new(),
            },
        ),
    }
}

/// A line for each database that has counters: how many, how many of them are to expire, and how many
/// milliseconds these have left on average.
fn keyspace(Sizes(sizes): &Sizes, now_ms: u64) -> Lines {
    let line = |(name, size): (&'static str, &DatabaseSize)| {
        let DatabaseSize { counters, expiring, deadlines_ms } = *size;
        let deadline = deadlines_ms.checked_div(expiring as u128).unwrap_or_default();
        let left = deadline.saturating_sub(now_ms.into());
        (counters > 0).then(|| (name, format!("keys={counters},expires={expiring},avg_ttl={left}")))
    };
    NAMES.into_iter().zip(sizes.iter()).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_that_has_counters_has_a_line() {
        let mut sizes = Sizes::default();
        sizes.0[0] = DatabaseSize { counters: 2, ..DatabaseSize::default() };
        sizes.0[15] = DatabaseSize { counters: 3, expiring: 2, deadlines_ms: 1_500 + 2_500 };
        let expected = [
            ("db0", "keys=2,expires=0,avg_ttl=0".to_owned()),
            ("db15", "keys=3,expires=2,avg_ttl=1000".to_owned()),
        ];
        assert_eq!(keyspace(&sizes, 1_000), expected);
    }
}
