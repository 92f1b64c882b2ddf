//! The look from outside at all machines, at times of its own.

use std::time::Duration;

use super::inquiries::Inquiries;
use super::machines::Machines;
use super::membership::look_at_links;
use super::stage::Stage;
use super::trouble::Trouble;
use crate::violation::Violation;

/// A running process on a machine without trouble answers within this time.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// How much longer a raise may take: the node waits so long for what it lacks.
const RAISE_MAX: Duration = Duration::from_secs(2);

/// Looks what every node holds, and whether it answers in time.
pub(super) fn sweep(
    trouble: &Trouble,
    machines: &Machines,
    inquiries: &Inquiries,
    stage: &mut Stage<'_>,
) {
    let now = stage.now();
    for process in machines.processes() {
        let host = process.id.host;
        let machine = &machines[host];
        let checker = &mut stage.judge.checker;
        let looked = checker.look_at(process.node.counters());
        let (origin, since) = (process.origin, machine.steady_since);
        let overdue = checker.overdue(now, origin, since, ANSWER_MAX, RAISE_MAX);
        let overdue = overdue.or_else(|| inquiries.overdue(host, ANSWER_MAX, machines, now));
        stage.check(looked);
        look_at_links(host, machines, stage);
        let is_troubled = machine.paused || trouble.slows_disk(host, stage.plan);
        if let Some((token, waited)) = overdue.filter(|_| !is_troubled) {
            let millis = waited.as_millis();
            stage.fail(Violation::Unanswered { host, token, millis });
        }
    }
}
