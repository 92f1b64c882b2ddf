//! Whether a calm cluster has come together, and whether it has counted right.

use super::machines::Machines;
use super::stage::Stage;
use crate::checker::Checker;
use crate::disk::Fsync;
use crate::host::{HostId, Process};
use crate::violation::Violation;

/// Why the nodes of a calm cluster have not come together.
#[derive(Debug)]
pub enum Divergence {
    /// Requests wait, or tables differ.
    Counts(String),
    /// A list of peers is not complete, or has too much.
    Lists {
        /// The machine of the node that lists them.
        host: HostId,
        /// What it lists.
        listed: Vec<String>,
        /// What it should.
        expected: Vec<String>,
    },
}

/// Why the running nodes, of which some are members, do not agree, if they do not.
pub(super) fn divergence(
    members: &[HostId],
    machines: &Machines,
    stage: &Stage<'_>,
) -> Option<Divergence> {
    if !stage.judge.checker.all_answered() {
        return Some(Divergence::Counts("requests wait for their answers".to_owned()));
    }
    let joined: Vec<&Process> =
        machines.processes().filter(|process| members.contains(&process.id.host)).collect();
    for pair in joined.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        let found = Checker::difference(one.node.counters(), other.node.counters());
        if let Some(what) = found {
            let (one, other) = (one.id.host, other.id.host);
            let settling = |host: HostId| {
                let status = machines.status(host, stage.now());
                let status = status.map(|status| status.settlement);
                let pending = status.as_ref().and_then(|status| status.settlement);
                let process = machines[host].process.as_ref();
                let lacks = pending.zip(process).map(|(pending, process)| {
                    stage.judge.checker.lacks(pending, process.node.counters())
                });
                (status, lacks.unwrap_or_default())
            };
            let (ours, theirs) = (settling(one), settling(other));
            let what = format!("n{one} and n{other}: {what}; settling {ours:?} and {theirs:?}");
            return Some(Divergence::Counts(what));
        }
    }
    for process in machines.processes() {
        let host = process.id.host;
        let Some(status) = machines.status(host, stage.now()) else { continue };
        let mut listed: Vec<String> = status.listed_peers().map(str::to_owned).collect();
        listed.sort();
        // A removed node knows that it is, and lists no peer.
        let mut expected: Vec<String> = joined
            .iter()
            .filter(|other| other.id != process.id && members.contains(&host))
            .map(|other| machines[other.id.host].address.to_string())
            .collect();
        expected.sort();
        if listed != expected {
            return Some(Divergence::Lists { host, listed, expected });
        }
    }
    None
}

/// Looks whether every running origin counted exactly what it acknowledged.
///
/// # Errors
/// If one did not.
pub(super) fn settle(
    members: &[HostId],
    machines: &Machines,
    stage: &Stage<'_>,
) -> Result<(), Box<Violation>> {
    let checker = &stage.judge.checker;
    for &host in members {
        if let Some(process) = &machines[host].process {
            let counters = process.node.counters();
            checker.settle_harmed(members, host, counters)?;
            checker.settle_endings(host, process.looked_ms, counters)?;
        }
    }
    for process in machines.processes() {
        checker.settle(process.node.counters())?;
        if stage.plan.usage.fsync == Fsync::Always {
            checker.settle_lineage(process.id.host, process.node.counters())?;
        }
    }
    Ok(())
}
