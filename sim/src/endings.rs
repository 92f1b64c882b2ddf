//! How counters end, held against every step of every node.
//!
//! Some counters are set, deleted and given lifetimes. For those the simulator carries out each
//! operation itself ([`reference`]), on what the node's table held of others when it was applied and
//! on what the node's origin has done before by the simulator's own reckoning. So it knows what each
//! reply must say, what each reset has seen, and what each origin's slot, covers and lifetime are
//! after each version; that is what others may hold, what a digest's claim must be backed by, and
//! what a start must find.
//!
//! At the end the same is added up once more, from what was acknowledged alone: an increment is alive
//! if no reset had seen it.

pub mod reference;
pub mod said;
pub mod workload;

mod disks;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::counters::Counters;
use quipu_core::effect::Effect;
use quipu_core::identity::{OriginId, Version};
use quipu_core::slot::{Numbers, Slot};

use crate::checker::Checker;
use crate::host::HostId;
use crate::settlements::Families;
use crate::violation::Violation;
use reference::Seen;
use said::{AllSaid, Said};
use workload::may_end;

/// In what a node breaks the rules by which counters end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A reply is not what the operation comes to.
    #[error("an operation's outcome is {found}, expected {expected}")]
    Reply {
        /// What was replied.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// An origin's own slot, covers or lifetime are not what it was asked for.
    #[error("its own origin holds {found}, expected {expected}")]
    Own {
        /// What is held.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A node holds more than an origin has synced.
    #[error("it holds {held:?} of origin {origin}, which had synced {synced:?} only")]
    Invented {
        /// Whose.
        origin: OriginId,
        /// What is held.
        held: Said,
        /// The most that may be held.
        synced: Said,
    },
    /// A digest claims what is not there, or a disk has lost what was safe on it.
    #[error(
        "{how} origin {origin} up to version {version}: that is {truth:?}, and it has {found:?}"
    )]
    Missing {
        /// Why it should be there.
        how: &'static str,
        /// Whose.
        origin: OriginId,
        /// Up to which version.
        version: Version,
        /// What it is by then.
        truth: Said,
        /// What is held.
        found: Said,
    },
    /// A start finds a state that never was.
    #[error("a start finds {found:?} of origin {origin} at version {version}, expected {truth:?}")]
    Mixed {
        /// Whose.
        origin: OriginId,
        /// At which version.
        version: Version,
        /// What it was then.
        truth: Said,
        /// What was found.
        found: Said,
    },
    /// A table shows what is not left, or not what is.
    #[error("it shows {found:?}, expected {expected:?}")]
    NotWhatIsLeft {
        /// What it shows; nothing, if the counter does not exist.
        found: Option<i128>,
        /// What is left by all that was acknowledged.
        expected: Option<i128>,
    },
    /// The number of counters that exist is not theirs.
    #[error("it counts {found} counters that exist, expected {expected}")]
    Miscounted {
        /// How many it counts.
        found: usize,
        /// How many there are.
        expected: usize,
    },
    /// What was acknowledged is not there at the end.
    #[error("of origin {origin}, which acknowledged version {acknowledged}, it has {found}")]
    Forgotten {
        /// Whose.
        origin: OriginId,
        /// The last version of which a client was told.
        acknowledged: Version,
        /// What is there.
        found: Version,
    },
    /// In a calm cluster an ending took too long to be seen by all.
    #[error("{millis} ms after a calm cluster was asked for {expected:?}, it shows {found:?}")]
    Slow {
        /// After how long.
        millis: u128,
        /// What it should show.
        expected: Option<i128>,
        /// What it shows.
        found: Option<i128>,
    },
}

impl Fault {
    pub(crate) fn at(self, host: HostId, name: &str) -> Box<Violation> {
        Box::new(Violation::Ending { host, name: name.to_owned(), fault: self })
    }
}

/// What one origin has done to the counters that end, as the simulator reckons it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndedHistory {
    now: BTreeMap<String, (Numbers, Said)>,
    changed: BTreeSet<String>,
    /// By counter, what it had said after each version that changed it.
    said: BTreeMap<String, Vec<(Version, Said)>>,
    /// The last version of which a client was told.
    acknowledged: Version,
}

impl EndedHistory {
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.said.keys()
    }

    pub(crate) fn said_at(&self, name: &str, version: Version) -> &Said {
        said::at(self.said.get(name), version)
    }

    /// A version is closed.
    pub(crate) fn closed(&mut self, version: Version) {
        for name in std::mem::take(&mut self.changed) {
            let Some((_, said)) = self.now.get(&name) else { continue };
            let states = self.said.entry(name).or_default();
            if states.last().map(|(_, last)| last) != Some(said) {
                states.push((version, said.clone()));
            }
        }
    }

    /// Takes down what an origin has adopted of the covers of others (rule `adoption`).
    pub(crate) fn adopted(&mut self, ours: OriginId, counters: &Counters) {
        let table = AllSaid::read(counters);
        let names: BTreeSet<&str> =
            table.iter().filter(|(by, ..)| *by == ours).map(|(_, name, _)| name).collect();
        for name in names {
            let mut others = Said::default();
            let all = table.iter().filter(|(by, row, _)| *by != ours && *row == name);
            all.for_each(|(.., said)| others.merge(said));
            let own = table.of(ours, name);
            let before = self.now.get(name).map(|(_, said)| said.clone()).unwrap_or_default();
            let mut after = before.clone();
            for (of, covered) in &own.covers {
                if covered.is_within(&others.cover_on(*of)) {
                    after.cover(*of, *covered);
                }
            }
            after.wholes.extend(own.wholes.intersection(&others.wholes));
            if after != before {
                self.now.entry(name.to_owned()).or_default().1 = after;
                self.changed.insert(name.to_owned());
            }
        }
    }

    /// Whether what an origin's own table holds of it is as reckoned.
    fn check_own(&self, host: HostId, ours: OriginId, counters: &Counters, name: &str) -> Checked {
        let table = Seen::read(counters, name, &Families::new());
        let found = (table.numbers_of(ours), table.said_by(ours));
        let expected = self.now.get(name).cloned().unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
        Err(Fault::Own { found, expected }.at(host, name))
    }
}

type Checked = Result<(), Box<Violation>>;

impl Checker {
    /// A process has handled an input, or done what was due, at a time of its wall clock, and these
    /// effects came of it.
    ///
    /// # Errors
    /// If a reply, or what the process then holds of its own, is not what the operations come to.
    pub fn look_at_endings(
        &mut self,
        ours: OriginId,
        wall_ms: u64,
        counters: &Counters,
        effects: &[Effect],
    ) -> Result<(), Box<Violation>> {
        for effect in effects {
            if let Effect::Reply { token, .. } = effect {
                self.replies(*token);
            }
        }
        let Some(history) = self.histories.get(&ours) else { return Ok(()) };
        let (host, known) = (history.host, &history.endings.now);
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        for effect in effects {
            let Effect::Reply { token, results, .. } = effect else { continue };
            for (op, result) in self.ops_of(*token).iter().zip(results) {
                let name = op.name().as_str();
                let Some(outcome) = result.as_ref().ok().filter(|_| may_end(name)) else {
                    continue;
                };
                let seen = seen.entry(name.to_owned()).or_insert_with(|| {
                    // Others' part does not change between the operation and the end of its input.
                    let (numbers, said) = known.get(name).cloned().unwrap_or_default();
                    Seen::read(counters, name, self.settlements.families())
                        .with(ours, numbers, said)
                });
                let expected = seen.apply(ours, wall_ms, op);
                if let Some((found, expected)) = reference::fault(op, outcome, &expected) {
                    return Err(Fault::Reply { found, expected }.at(host, name));
                }
            }
        }
        let Some(history) = self.histories.get_mut(&ours) else { return Ok(()) };
        for (name, seen) in seen {
            let own = (seen.numbers_of(ours), seen.said_by(ours));
            history.endings.now.insert(name.clone(), own);
            history.endings.check_own(host, ours, counters, &name)?;
            history.endings.changed.insert(name);
        }
        Ok(())
    }

    /// A client was told of a version.
    pub(crate) fn acknowledged(&mut self, origin: OriginId, version: Version) {
        if let Some(history) = self.histories.get_mut(&origin) {
            let last = &mut history.endings.acknowledged;
            *last = (*last).max(version.saturating_sub(history.before));
        }
    }
}

/// A slot's numbers, taken apart for reckoning.
fn numbers_of(slot: Option<Slot>) -> Numbers {
    slot.unwrap_or_default().numbers()
}
