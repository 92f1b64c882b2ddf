//! The promises, held against every step of every node.
//!
//! The simulator hands every operation to a node and sees every answer, so it knows what each
//! origin may have counted: at least what it acknowledged, at most what it was asked for. It also
//! records each origin's slots at every version, so it knows what another node may hold (nothing
//! that the origin had not synced) and what a digest's claim must be backed by. A gap in the
//! protocol is thus found where it opens, not when the counts differ at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quipu_core::counters::Counters;
use quipu_core::identity::{OriginId, Version};
use quipu_core::input::Token;
use quipu_core::operation::{Op, Refusal, Results};
use quipu_core::slot::Slot;
use quipu_core::time::Time;

use crate::absences::Absences;
use crate::endings::EndedHistory;
use crate::endings::said::AllSaid;
use crate::endings::workload::{ends, may_end, waits_while_behind};
use crate::held::Held;
use crate::history::{OriginHistory, Sums};
use crate::host::HostId;
use crate::memberships::{NodeMemberships, Operators};
use crate::recovery::Lineage;
use crate::settlements::Settlements;
use crate::violation::Violation;
use crate::workload::{may_overflow, only_grows};

/// A table of more slots than this is looked at by sweeps only, not at every step.
pub const SLOTS_AT_EVERY_STEP_MAX: usize = 256;

#[derive(Debug)]
struct Asked {
    origin: OriginId,
    at: Time,
    ops: Vec<Op>,
    /// Whether the reply is made, be it that it has not left yet.
    is_replied: bool,
}

/// What has been counted, for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Increments that were acknowledged.
    pub acknowledged: u64,
    /// Increments whose node died before it answered.
    pub unanswered: u64,
    /// Operations that were refused, as they may be.
    pub refused: u64,
}

/// The checker of one run.
#[derive(Debug, Default)]
pub struct Checker {
    pub(crate) histories: BTreeMap<OriginId, OriginHistory>,
    /// By machine, what its disk must keep.
    pub(crate) disks: BTreeMap<HostId, Lineage>,
    /// By machine, up to which version all changes of each origin were ever safe there.
    pub(crate) ever_safe: BTreeMap<HostId, BTreeMap<OriginId, Version>>,
    /// Origins of which something was lost on their own disk.
    pub(crate) harmed: BTreeSet<OriginId>,
    pub(crate) operators: Operators,
    pub(crate) settlements: Settlements,
    pub(crate) absences: Absences,
    lives: u64,
    asked: BTreeMap<Token, Asked>,
    tally: Tally,
}

impl Checker {
    /// A process has started.
    pub fn started(&mut self, origin: OriginId, host: HostId) {
        self.lives += 1;
        let life = self.lives;
        self.begins_to_count(origin, host, life);
    }

    fn begins_to_count(&mut self, origin: OriginId, host: HostId, life: u64) {
        // There is one already only where a bug has an origin used again.
        self.histories
            .entry(origin)
            .or_insert(OriginHistory {
                host,
                runs: true,
                life,
                before: 0,
                here: BTreeSet::new(),
                slots: BTreeMap::new(),
                version: 0,
                synced: 0,
                acknowledged: BTreeMap::new(),
                asked: BTreeMap::new(),
                endings: EndedHistory::default(),
                memberships: NodeMemberships::new(),
                held: BTreeMap::new(),
                looked_at: 0,
            })
            .runs = true;
    }

    /// A process has ended; what it has not answered it never will.
    pub fn ended(&mut self, origin: OriginId) {
        if let Some(history) = self.histories.get_mut(&origin) {
            history.runs = false;
            history.held.clear();
            self.settlements.closings.ended(history.host);
        }
        let life = self.histories.get(&origin).map(|history| history.life);
        let is_of_it: BTreeSet<OriginId> = self
            .histories
            .iter()
            .filter(|(id, history)| **id == origin || Some(history.life) == life)
            .map(|(id, _)| *id)
            .collect();
        let tally = &mut self.tally;
        self.asked.retain(|_, asked| {
            if is_of_it.contains(&asked.origin) {
                tally.unanswered += adds(&asked.ops).count() as u64;
            }
            !is_of_it.contains(&asked.origin)
        });
    }

    /// A process goes on under a fresh origin; what it has not answered, it answers under that.
    pub fn goes_on(&mut self, former: OriginId, counters: &Counters) -> Result<(), Box<Violation>> {
        let fresh = counters.our_origin();
        self.closed_of(former, counters)?;
        let Some(history) = self.histories.get_mut(&former) else { return Ok(()) };
        history.runs = false;
        let (host, life) = (history.host, history.life);
        let held = std::mem::take(&mut history.held);
        let here = std::mem::take(&mut history.here);
        let memberships = history.memberships.clone();
        self.begins_to_count(fresh, host, life);
        if let Some(history) = self.histories.get_mut(&fresh) {
            history.before = counters.versions_before();
            (history.held, history.here, history.memberships) = (held, here, memberships);
        }
        let waits = |asked: &&mut Asked| asked.origin == former && !asked.is_replied;
        for asked in self.asked.values_mut().filter(waits) {
            asked.origin = fresh;
            for (name, by) in adds(&asked.ops) {
                if let Some(history) = self.histories.get_mut(&former) {
                    history.asked.entry(name.to_owned()).or_default().remove(by);
                }
                if let Some(history) = self.histories.get_mut(&fresh) {
                    history.asked.entry(name.to_owned()).or_default().add(by);
                }
            }
        }
        if let Some(disk) = self.disks.get_mut(&host) {
            disk.writes_on(fresh);
        }
        self.check_adoption(host, former, counters)
    }

    /// Whether an origin's process has ended, or its node was removed.
    pub(crate) fn is_no_voice(&self, origin: OriginId) -> bool {
        let history = self.histories.get(&origin);
        history.is_some_and(|history| {
            let went_on =
                self.histories.values().any(|other| other.life == history.life && other.runs);
            !went_on || self.operators.has_removed(history.host)
        })
    }

    /// A reply is made, and is to leave.
    pub(crate) fn replies(&mut self, token: Token) {
        if let Some(asked) = self.asked.get_mut(&token) {
            asked.is_replied = true;
        }
    }

    /// Whether one process counts, or counted, under both.
    pub(crate) fn is_same_life(&self, one: OriginId, other: OriginId) -> bool {
        let life = |origin| self.histories.get(&origin).map(|history| history.life);
        one == other || life(one).is_some_and(|it| life(other) == Some(it))
    }

    /// Under which origin a process made a reply, and the version of that in which its changes are.
    pub fn written(&self, token: Token, version: Version) -> Option<(OriginId, Version)> {
        let origin = self.asked.get(&token)?.origin;
        let before = self.histories.get(&origin)?.before;
        Some((origin, version.saturating_sub(before)))
    }

    /// A request has reached a process.
    pub fn asked(&mut self, now: Time, token: Token, origin: OriginId, ops: &[Op]) {
        if let Some(history) = self.histories.get_mut(&origin) {
            for (name, by) in adds(ops) {
                history.asked.entry(name.to_owned()).or_default().add(by);
            }
        }
        let ops = ops.to_vec();
        self.asked.insert(token, Asked { origin, at: now, ops, is_replied: false });
    }

    /// What a request that waits for its answer asks for.
    pub(crate) fn ops_of(&self, token: Token) -> &[Op] {
        self.asked.get(&token).map_or(&[], |asked| &asked.ops)
    }

    /// What requests ask for that a process has not answered.
    pub(crate) fn asked_of(&self, origin: OriginId) -> impl Iterator<Item = &[Op]> {
        let asked = self.asked.values().filter(move |asked| asked.origin == origin);
        asked.map(|asked| asked.ops.as_slice())
    }

    /// A reply has left a process.
    ///
    /// # Errors
    /// If it says what it must not.
    pub fn answered(
        &mut self,
        token: Token,
        results: &Results,
        version: Version,
    ) -> Result<(), Box<Violation>> {
        let Some(asked) = self.asked.remove(&token) else { return Ok(()) };
        self.acknowledged(asked.origin, version);
        let Some(history) = self.histories.get_mut(&asked.origin) else { return Ok(()) };
        let host = history.host;
        if results.len() != asked.ops.len() {
            let (found, expected) = (results.len(), asked.ops.len());
            return Err(Box::new(Violation::StrangeReply { host, token, found, expected }));
        }
        let waits = asked.ops.iter().any(waits_while_behind);
        for (op, result) in asked.ops.iter().zip(results) {
            let name = op.name().as_str();
            let value = match result {
                Ok(outcome) => outcome.value.0,
                Err(refusal) => {
                    let allowed = match refusal {
                        Refusal::Overflow { .. } => may_overflow(name),
                        Refusal::Behind(_) => waits,
                        // A node that knows that it was removed ends nothing.
                        Refusal::Removed => ends(op),
                        // Whether there was no room was looked at when the batch was closed.
                        Refusal::TooManyCounters(_) => true,
                        Refusal::OutOfMemory | Refusal::OlderPeer(_) | Refusal::Changed => false,
                    };
                    if !allowed {
                        let name = name.to_owned();
                        return Err(Box::new(Violation::Refused { host, name, refusal: *refusal }));
                    }
                    if let Some((_, by)) = add(op) {
                        history.asked.entry(name.to_owned()).or_default().remove(by);
                    }
                    self.tally.refused += 1;
                    continue;
                }
            };
            let added = match op {
                Op::Add { by, .. } => {
                    self.tally.acknowledged += 1;
                    if add(op).is_some() {
                        history.acknowledged.entry(name.to_owned()).or_default().add(*by);
                    }
                    i128::from(*by)
                }
                Op::Raise { to, .. } if value < i128::from(*to) => {
                    let name = name.to_owned();
                    return Err(Box::new(Violation::RaiseFellShort { host, name, to: *to, value }));
                }
                Op::Raise { .. } | Op::Get { .. } | Op::Update { .. } => 0,
            };
            if only_grows(name) {
                let disk = self.disks.entry(host).or_default();
                let read = disk.read.entry(name.to_owned()).or_default();
                let (before, least) = (*read, *read + added);
                if value < least {
                    let name = name.to_owned();
                    return Err(Box::new(Violation::WentDown {
                        host,
                        name,
                        before,
                        least,
                        after: value,
                    }));
                }
                *read = value;
            }
        }
        Ok(())
    }

    /// A process has closed a batch.
    ///
    /// # Errors
    /// If what it has counted of its own is not what it was asked for.
    pub fn closed(&mut self, counters: &Counters) -> Result<(), Box<Violation>> {
        self.closed_of(counters.our_origin(), counters)
    }

    fn closed_of(&mut self, origin: OriginId, counters: &Counters) -> Result<(), Box<Violation>> {
        let Some(history) = self.histories.get_mut(&origin) else { return Ok(()) };
        if counters.settlements().next().is_some() {
            history.endings.adopted(origin, counters);
        }
        let version = counters.known(origin).version;
        if version == history.version {
            return Ok(());
        }
        // Only slots that changed since the last version seen can be news.
        let before = history.version;
        history.version = version;
        history.endings.closed(version);
        for view in counters.iter().filter(|view| view.origin == origin && view.version > before) {
            if history.slot_at(view.name, version) == view.slot {
                continue;
            }
            history.slots.entry(view.name.to_owned()).or_default().push((version, view.slot));
            if may_end(view.name) {
                continue;
            }
            check_own(history, origin, view.name, &view.slot)?;
        }
        Ok(())
    }

    /// A process has synced its batches up to one that made it `version`.
    pub fn synced(&mut self, origin: OriginId, version: Version) {
        if let Some(history) = self.histories.get_mut(&origin) {
            history.synced = history.synced.max(version);
        }
    }

    /// Looks at what a process holds of others, and claims of them. A step that changed nothing
    /// costs no more than its digest.
    ///
    /// # Errors
    /// If it holds what it cannot have, has lost what it had, or claims what it does not hold.
    pub fn look_at(&mut self, counters: &Counters) -> Result<(), Box<Violation>> {
        let ours = counters.our_origin();
        let Some(history) = self.histories.get(&ours) else { return Ok(()) };
        let state = counters.digest().fold(1, |sum: u64, (_, known)| {
            sum.wrapping_add(known.version).wrapping_add(known.fingerprint)
        });
        let state = state.wrapping_add(u64::from(counters.has_chores()));
        if state == history.looked_at {
            return Ok(());
        }
        let host = history.host;
        self.look_at_settlements(host, counters)?;
        self.look_what_was_given_up(ours, counters);
        let Some(history) = self.histories.get(&ours) else { return Ok(()) };
        let table = Held::new(self, counters);
        let mut held = table.slots();
        held.retain(|(origin, _), _| *origin != ours);
        for ((origin, name), before) in &history.held {
            let after = held.get(&(*origin, name.clone())).copied().unwrap_or_default();
            if !before.is_within(&after) {
                let (origin, name, before) = (*origin, name.clone(), *before);
                return Err(Box::new(Violation::SlotShrank { host, origin, name, before, after }));
            }
        }
        for ((origin, name), slot) in &held {
            let (origin, held) = (*origin, *slot);
            if self.settlements.is_one(origin) || self.is_same_life(ours, origin) {
                continue;
            }
            let Some(writer) = self.histories.get(&origin) else {
                return Err(Box::new(Violation::UnknownOrigin { host, origin }));
            };
            let synced = writer.slot_at(name, writer.synced);
            if !held.is_within(&synced) {
                let name = name.clone();
                return Err(Box::new(Violation::Invented { host, origin, name, held, synced }));
            }
        }
        for (origin, version) in table.digest() {
            if self.settlements.is_one(origin) || self.is_same_life(ours, origin) {
                continue;
            }
            let Some(writer) = self.histories.get(&origin) else {
                return Err(Box::new(Violation::UnknownOrigin { host, origin }));
            };
            if version > writer.synced {
                let synced = writer.synced;
                return Err(Box::new(Violation::ClaimBeyondSync { host, origin, version, synced }));
            }
            for name in writer.slots.keys() {
                let truth = writer.slot_at(name, version);
                let held = held.get(&(origin, name.clone())).copied().unwrap_or_default();
                if !truth.is_within(&held) {
                    let name = name.clone();
                    return Err(Box::new(Violation::EmptyClaim {
                        host,
                        origin,
                        version,
                        name,
                        truth,
                        held,
                    }));
                }
            }
        }
        self.look_at_said(host, counters)?;
        if let Some(history) = self.histories.get_mut(&ours) {
            history.held = held;
            history.looked_at = state;
        }
        Ok(())
    }

    /// A settlement that is not here any more, and has gone into no other, was given up: what it had
    /// folded is taken again, piece by piece.
    fn look_what_was_given_up(&mut self, ours: OriginId, counters: &Counters) {
        let table: Vec<(OriginId, bool, Vec<OriginId>)> = counters.settlements().collect();
        let held = table.iter().filter(|(_, is_here, _)| *is_here);
        let gone: BTreeSet<OriginId> =
            held.clone().flat_map(|(.., family)| family.iter().copied()).collect();
        let here: BTreeSet<OriginId> = held.map(|(id, ..)| *id).collect();
        let Some(history) = self.histories.get_mut(&ours) else { return };
        let before = std::mem::replace(&mut history.here, here.clone());
        let is_given_up = |id: &OriginId| !here.contains(id) && !gone.contains(id);
        let given_up: Vec<OriginId> = before.into_iter().filter(is_given_up).collect();
        if given_up.is_empty() {
            return;
        }
        history.held.clear();
        let host = history.host;
        for settlement in given_up {
            let family = self.settlements.families().get(&settlement).cloned().unwrap_or_default();
            if let Some(disk) = self.disks.get_mut(&host) {
                disk.gives_up(settlement, &family);
            }
        }
    }

    /// A request that a process has not answered though it had `patience`, longer by
    /// `raise_patience` for a raise, since it came or since `steady_since`; and how long it waits.
    pub fn overdue(
        &self,
        now: Time,
        origin: OriginId,
        steady_since: Time,
        patience: Duration,
        raise_patience: Duration,
    ) -> Option<(Token, Duration)> {
        self.asked.iter().filter(|(_, asked)| asked.origin == origin).find_map(|(token, asked)| {
            let waits = asked.ops.iter().any(waits_while_behind);
            let patience = if waits { patience + raise_patience } else { patience };
            let waited = now.since(asked.at.max(steady_since));
            (waited > patience).then_some((*token, waited))
        })
    }

    /// Whether every request was answered or its process is gone.
    pub fn all_answered(&self) -> bool {
        self.asked.is_empty()
    }

    /// In what two tables differ; `None` if they are the same in every slot.
    pub fn difference(one: &Counters, other: &Counters) -> Option<String> {
        let digest = |counters: &Counters| counters.digest().collect::<BTreeMap<_, _>>();
        let (ours, theirs) = (digest(one), digest(other));
        if ours != theirs {
            let all: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            return all.into_iter().find(|origin| ours.get(origin) != theirs.get(origin)).map(
                |origin| {
                    let (a, b) = (ours.get(origin), theirs.get(origin));
                    format!("origin {origin}: {a:?} against {b:?}")
                },
            );
        }
        let slots = |counters: &Counters| {
            counters
                .iter()
                .filter(|view| view.slot != Slot::default())
                .map(|view| ((view.name.to_owned(), view.origin), view.slot))
                .collect::<BTreeMap<_, _>>()
        };
        let (ours, theirs) = (slots(one), slots(other));
        let different = ours.iter().find(|(key, slot)| theirs.get(key) != Some(slot));
        let different =
            different.or_else(|| theirs.iter().find(|(key, _)| !ours.contains_key(key)));
        let different = different.map(|(key, slot)| {
            let (name, origin) = key;
            format!("{name}, origin {origin}: {slot:?} against {:?}", theirs.get(key))
        });
        let (ours, theirs) = (AllSaid::read(one), AllSaid::read(other));
        let mut both = ours.clone();
        both.merge(&theirs);
        different.or_else(|| {
            both.iter().find_map(|(origin, name, _)| {
                let (a, b) = (ours.of(origin, name), theirs.of(origin, name));
                (a != b).then(|| format!("{name}, origin {origin}: {a:?} against {b:?}"))
            })
        })
    }

    /// In a calm cluster that has answered everything: what every running origin counted is
    /// exactly what it acknowledged.
    ///
    /// # Errors
    /// If it is not.
    pub fn settle(&self, counters: &Counters) -> Result<(), Box<Violation>> {
        let ours = counters.our_origin();
        let of_it = self.histories.iter().filter(|(origin, _)| self.is_same_life(ours, **origin));
        for (origin, history) in of_it {
            for name in history.acknowledged.keys() {
                check_own(history, *origin, name, &history.slot_at(name, history.version))?;
            }
        }
        let Some(history) = self.histories.get(&ours) else { return Ok(()) };
        for name in history.acknowledged.keys() {
            let value = counters.value(name).0;
            let read = self.disks.get(&history.host).and_then(|disk| disk.read.get(name));
            let read = read.copied().unwrap_or(value);
            if value < read {
                let (host, name) = (history.host, name.clone());
                let (before, least, after) = (read, read, value);
                return Err(Box::new(Violation::WentDown { host, name, before, least, after }));
            }
        }
        self.settle_values(history.host, counters)
    }

    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many origins there were, and how many of them still run.
    pub fn origins(&self) -> (usize, usize) {
        (self.histories.len(), self.histories.values().filter(|history| history.runs).count())
    }
}

fn adds(ops: &[Op]) -> impl Iterator<Item = (&str, i64)> {
    ops.iter().filter_map(add)
}

/// An addition that is only ever added up: to a counter that may end, how much is added depends.
fn add(op: &Op) -> Option<(&str, i64)> {
    match op {
        Op::Add { name, by } if !may_end(name.as_str()) => Some((name.as_str(), *by)),
        Op::Add { .. } | Op::Get { .. } | Op::Raise { .. } | Op::Update { .. } => None,
    }
}

/// What an origin holds of its own lies between what it acknowledged and what it was asked for;
/// once all is answered, the two are the same.
pub(crate) fn check_own(
    history: &OriginHistory,
    origin: OriginId,
    name: &str,
    held: &Slot,
) -> Result<(), Box<Violation>> {
    let sums = |of: &BTreeMap<String, Sums>| of.get(name).copied().unwrap_or_default();
    let (least, most) = (sums(&history.acknowledged), sums(&history.asked));
    let numbers = held.numbers();
    let fits = (least.plus..=most.plus).contains(&u128::from(numbers.plus))
        && (least.minus..=most.minus).contains(&u128::from(numbers.minus));
    if fits {
        return Ok(());
    }
    Err(Box::new(Violation::Miscounted {
        host: history.host,
        origin,
        name: name.to_owned(),
        held: *held,
        acknowledged: (least.plus, least.minus),
        asked: (most.plus, most.minus),
    }))
}
