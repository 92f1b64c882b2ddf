//! What tables hold of ends: while they run, and once all is calm.

use std::collections::BTreeSet;

use quipu_core::counters::Counters;
use quipu_core::identity::OriginId;

use super::said::{AllSaid, Said};
use super::workload::ENDING;
use super::{Checked, Fault};
use crate::checker::Checker;
use crate::held::Held;
use crate::history::OriginHistory;
use crate::host::HostId;

/// Tables of more names than this are counted through at the end only.
const NAMES_COUNTED_MAX: usize = 32;

impl Checker {
    /// What a process holds of others' endings, and claims of them.
    ///
    /// # Errors
    /// If it holds what it cannot have, or claims what it does not hold.
    pub(crate) fn look_at_said(&self, host: HostId, counters: &Counters) -> Checked {
        let ours = counters.our_origin();
        let held = Held::new(self, counters).said();
        for (origin, name, held) in
            held.iter().filter(|(origin, ..)| !self.is_same_life(ours, *origin))
        {
            let Some(writer) = self.histories.get(&origin) else { continue };
            let synced = writer.endings.said_at(name, writer.synced);
            if !held.is_within(synced) {
                let (held, synced) = (held.clone(), synced.clone());
                return Err(Fault::Invented { origin, held, synced }.at(host, name));
            }
        }
        self.check_claims(host, counters, &held, "it claims")
    }

    /// A process has closed a batch, and noticed what has expired: it counts those that exist.
    ///
    /// # Errors
    /// If it counts wrongly.
    pub fn look_at_size(&self, host: HostId, counters: &Counters) -> Checked {
        if counters.names() > NAMES_COUNTED_MAX {
            return Ok(());
        }
        count_through(host, counters)
    }

    /// What a table claims of others is there.
    pub(super) fn check_claims(
        &self,
        host: HostId,
        counters: &Counters,
        held: &AllSaid,
        how: &'static str,
    ) -> Checked {
        for (origin, version) in Held::new(self, counters).digest() {
            let Some(writer) = self.histories.get(&origin) else { continue };
            for name in writer.endings.names() {
                let truth = writer.endings.said_at(name, version);
                let found = held.of(origin, name);
                if !truth.is_within(found) {
                    let (truth, found) = (truth.clone(), found.clone());
                    let missing = Fault::Missing { how, origin, version, truth, found };
                    return Err(missing.at(host, name));
                }
            }
        }
        Ok(())
    }

    /// In a calm cluster: a member's table shows what is left by all that was acknowledged, at this
    /// time of its wall clock, and nothing else.
    ///
    /// # Errors
    /// If it does not.
    pub fn settle_endings(&self, host: HostId, wall_ms: u64, counters: &Counters) -> Checked {
        count_through(host, counters)?;
        let table = Held::new(self, counters);
        let held = table.said();
        for name in ENDING {
            if self.is_half_covered(name) {
                continue;
            }
            let mut seen = table.seen(name);
            for (origin, history) in &self.histories {
                let version = table.known(*origin);
                let least = history.endings.said_at(name, version);
                let most = history.endings.said_at(name, history.version);
                let found = held.of(*origin, name);
                if !least.is_within(found) {
                    let (how, origin) = ("in calm it lacks of", *origin);
                    let (truth, found) = (least.clone(), found.clone());
                    let missing = Fault::Missing { how, origin, version, truth, found };
                    return Err(missing.at(host, name));
                }
                if !found.is_within(most) {
                    let (origin, held, synced) = (*origin, found.clone(), most.clone());
                    return Err(Fault::Invented { origin, held, synced }.at(host, name));
                }
                // All that the origin ever did is here, so nothing depends on what is held. Of others,
                // which died before they had told all, what survives of the rest is not foreseen.
                if version == history.version {
                    let numbers = history.slot_at(name, version).numbers();
                    seen = seen.with(*origin, numbers, most.clone());
                }
            }
            let found = counters.existing(name).map(|value| value.0);
            let expected = seen.shown(wall_ms);
            if found != expected {
                return Err(Fault::NotWhatIsLeft { found, expected }.at(host, name));
            }
        }
        Ok(())
    }

    /// Whether a node that was removed has ended this counter, and some of it was folded: what it had
    /// told no peer that granted that is void.
    fn is_half_covered(&self, name: &str) -> bool {
        let has_ended = |history: &OriginHistory| {
            let was_removed = self.operators.has_removed(history.host);
            was_removed && *history.endings.said_at(name, history.version) != Said::default()
        };
        !self.settlements.families().is_empty() && self.histories.values().any(has_ended)
    }

    /// In a calm cluster: what an origin acknowledged on a disk that is still there is in a table.
    pub(crate) fn check_acknowledged(
        &self,
        host: HostId,
        origin: OriginId,
        counters: &Counters,
    ) -> Checked {
        let Some(history) = self.histories.get(&origin) else { return Ok(()) };
        let (acknowledged, found) =
            (history.endings.acknowledged, Held::new(self, counters).known(origin));
        if found >= acknowledged {
            return Ok(());
        }
        Err(Fault::Forgotten { origin, acknowledged, found }.at(host, "all counters"))
    }
}

/// The number of counters that exist is theirs.
fn count_through(host: HostId, counters: &Counters) -> Checked {
    let names: BTreeSet<&str> = counters.iter().map(|view| view.name).collect();
    let expected = names.into_iter().filter(|name| counters.existing(name).is_some()).count();
    let found = counters.len();
    if found == expected {
        return Ok(());
    }
    Err(Fault::Miscounted { found, expected }.at(host, "all counters"))
}
