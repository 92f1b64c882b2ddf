//! Settlements in a calm cluster: whether one can come to pass, and what it leaves.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::counters::Counters;
use quipu_core::identity::{NodeId, OriginId};
use quipu_core::input::Input;
use quipu_core::query::Settle;
use quipu_core::settlement::{Entry, Prefix};
use quipu_core::slot::Numbers;
use quipu_core::status::{AbsentPhase, AbsentStatus, SettlementPhase};

use super::World;
use crate::absences::members_known_to;
use crate::disk::Fsync;
use crate::endings::workload::may_end;
use crate::host::{HostId, Process};
use crate::settlements::Fault;
use crate::violation::Violation;

/// Whether what was added to each counter, and what was subtracted, fits into one slot: else no voter may grant
/// that it is folded.
fn fits(counters: &Counters) -> bool {
    let mut sums: BTreeMap<&str, [u128; 2]> = BTreeMap::new();
    for view in counters.iter() {
        let Numbers { plus, minus, .. } = view.slot.numbers();
        let [added, subtracted] = sums.entry(view.name).or_default();
        (*added, *subtracted) = (*added + u128::from(plus), *subtracted + u128::from(minus));
    }
    sums.values().flatten().all(|sum| *sum <= u128::from(u64::MAX))
}

impl World<'_> {
    /// An operator asks a machine's node for a settlement.
    pub fn ask_to_settle(&mut self, host: HostId) {
        let token = self.stage.token();
        self.deliver(host, Input::Query { token, query: Settle.into() });
    }

    /// Whether settlements are taken part in, and every member runs that any member knows of.
    pub fn may_settle(&self) -> bool {
        let usage = &self.stage.plan.usage;
        let members = self.members();
        let joined: Vec<&Process> = self
            .machines
            .processes()
            .filter(|process| members.contains(&process.id.host))
            .collect();
        let ids: BTreeSet<NodeId> =
            joined.iter().map(|process| process.node.identity().node).collect();
        (usage.in_memory || usage.fsync == Fsync::Always)
            && joined.iter().all(|process| fits(process.node.counters()))
            && joined.iter().all(|process| members_known_to(&process.node).is_subset(&ids))
    }

    /// A member that still knows of one which is away and is about to be removed.
    pub fn still_absent(&self) -> Option<(HostId, String)> {
        self.members().into_iter().find_map(|host| {
            let absent = self.machines.status(host, self.now())?.absent;
            let is_due = |status: &&AbsentStatus| {
                matches!(status.phase, AbsentPhase::Watched | AbsentPhase::Deciding)
            };
            absent.iter().find(is_due).map(|status| (host, format!("{status:?}")))
        })
    }

    /// A member for which something is still to be settled, and how far that has come.
    pub fn unsettled(&self, asked: HostId) -> Option<(HostId, String)> {
        let mut members = self.members();
        members.sort_by_key(|host| *host != asked);
        if self.divergence().is_some() {
            return Some((asked, "tables differ".to_owned()));
        }
        members.into_iter().find_map(|host| {
            let status = self.machines.status(host, self.now())?.settlement;
            (status.phase != SettlementPhase::Idle).then(|| (host, format!("{status:?}")))
        })
    }

    /// Of each counter that never ends, one slot is left of all that was closed.
    ///
    /// # Errors
    /// If there are more.
    pub fn check_slots(&self) -> Result<(), Box<Violation>> {
        let settlements = &self.stage.judge.checker.settlements;
        for host in self.members() {
            let Some(process) = &self.machines[host].process else { continue };
            // What a removed node has closed its members need not know, or not have all of.
            let counters = process.node.counters();
            let is_whole = |prefix: &Prefix| {
                let known = counters.known(prefix.origin);
                (known.version, known.fingerprint) == (prefix.version, prefix.fingerprint)
            };
            let closes: BTreeSet<OriginId> = process
                .node
                .settlement_entries()
                .filter_map(|entry| match entry {
                    Entry::Close(prefix) if is_whole(&prefix) => Some(prefix.origin),
                    _ => None,
                })
                .collect();
            let mut closed: BTreeMap<&str, usize> = BTreeMap::new();
            for view in process.node.counters().iter().filter(|view| !may_end(view.name)) {
                let is_closed = settlements.is_one(view.origin) || closes.contains(&view.origin);
                *closed.entry(view.name).or_default() += usize::from(is_closed);
            }
            if let Some((name, found)) = closed.into_iter().find(|(_, slots)| *slots > 1) {
                let name = name.to_owned();
                return Err(Fault::Slots { name, found, most: 1 }.at(host));
            }
        }
        Ok(())
    }
}
