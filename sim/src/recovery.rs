//! What a disk must have kept, held against what a start finds on it.
//!
//! Of every origin that was written on a disk, a start finds the state after one of its versions,
//! whole: a table that mixes two was read from a snapshot that its journal does not cover. With a
//! sync before every answer, that version is none before the last that was synced; everything that
//! was claimed of other origins is there; and no reader sees less than one has seen.
//!
//! The same is asked of crashes that did not happen: of moments between two operations on files,
//! after which the power might have been cut.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::counters::Counters;
use quipu_core::identity::{OriginId, Version};
use quipu_core::slot::Slot;
use quipu_core::storage::state::Recovered;

use crate::checker::{Checker, check_own};
use crate::disk::Fsync;
use crate::endings::said::AllSaid;
use crate::held::Held;
use crate::history::OriginHistory;
use crate::host::{HostId, InFlight};
use crate::identities::Identities;
use crate::memberships::{NodeMemberships, of_nodes, shrunk};
use crate::violation::Violation;

/// What is known of one disk.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// Origins whose changes reached it from their own process only.
    written: BTreeSet<OriginId>,
    /// Origins that wrote on it while it was copied: their changes may come from the copy as well.
    copied: BTreeSet<OriginId>,
    /// Up to which version all changes of each origin must be on it.
    kept: BTreeMap<OriginId, Version>,
    /// Slots of others that were there in a safe batch, claimed or not.
    held: BTreeMap<(OriginId, String), Slot>,
    /// The same of what was said about ends.
    held_endings: AllSaid,
    /// Removals and registrations that must be on it.
    memberships: NodeMemberships,
    /// The ids and boots of its processes.
    pub(crate) identities: Identities,
    /// By counter that only grows, what its readers last saw.
    pub(crate) read: BTreeMap<String, i128>,
}

impl Lineage {
    /// A process writes on it under another origin.
    pub(crate) fn writes_on(&mut self, origin: OriginId) {
        self.written.insert(origin);
    }

    /// A settlement is given up: what it had folded comes again from others.
    pub(crate) fn gives_up(&mut self, settlement: OriginId, family: &BTreeSet<OriginId>) {
        let is_kept = |origin: &OriginId| *origin != settlement && !family.contains(origin);
        self.written.retain(is_kept);
        self.copied.retain(is_kept);
        self.kept.retain(|origin, _| is_kept(origin));
        self.held.retain(|(origin, _), _| is_kept(origin));
        self.held_endings.retain(is_kept);
    }

    /// Up to which version all changes of each origin must be on it.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (OriginId, Version)> + '_ {
        self.kept.iter().map(|(origin, version)| (*origin, *version))
    }

    /// What was said about ends and must be on it, claimed or not.
    pub(crate) fn held_endings(&self) -> &AllSaid {
        &self.held_endings
    }
}

impl Checker {
    /// A batch of a process is safe, at whose closing all changes up to these versions were there.
    pub fn safe(&mut self, host: HostId, batch: &InFlight) {
        self.settlements.closings.safe(&batch.closed);
        let disk = self.disks.entry(host).or_default();
        let (node, boot) = batch.lives_as;
        disk.identities.safe(node, boot);
        // They only grow, and batches are safe in the order in which they were closed.
        if !batch.memberships.is_empty() {
            disk.memberships = batch.memberships.clone();
        }
        for (origin, name, slot) in &batch.held {
            disk.held.insert((*origin, name.clone()), *slot);
        }
        disk.held_endings.merge(&batch.held_endings);
        let kept = &mut disk.kept;
        let ever = self.ever_safe.entry(host).or_default();
        for (origin, version) in &batch.known {
            for safe in [kept.entry(*origin).or_default(), ever.entry(*origin).or_default()] {
                *safe = (*safe).max(*version);
            }
        }
    }

    /// Up to which version all changes of each origin are safe at a machine.
    pub fn safe_at(&self, host: HostId) -> Vec<(OriginId, Version)> {
        let kept = self.disks.get(&host).map(|disk| &disk.kept);
        kept.into_iter().flatten().map(|(origin, version)| (*origin, *version)).collect()
    }

    /// At how many other machines a version of an origin has ever been safe. What has changed nothing
    /// is of version 0, which all have.
    pub fn confirmable(&self, host: HostId, origin: OriginId, version: Version) -> usize {
        if version == 0 {
            return usize::MAX;
        }
        let has = |safe: &BTreeMap<OriginId, Version>| {
            safe.get(&origin).is_some_and(|known| *known >= version)
        };
        self.ever_safe.iter().filter(|(other, safe)| **other != host && has(safe)).count()
    }

    /// What was on a disk is not any more: another one takes its place.
    pub fn disk_replaced(&mut self, host: HostId) {
        self.disks.remove(&host);
    }

    /// A disk was copied while its process counted under `origin`: what that had not synced may
    /// come back to it from the copy.
    pub fn copied(&mut self, host: HostId, origin: OriginId) {
        if let Some(disk) = self.disks.get_mut(&host)
            && disk.written.remove(&origin)
        {
            disk.copied.insert(origin);
        }
    }

    /// A bit has flipped on a disk, and cost something that was on it: what is there still, a start will
    /// show. What its origins had written and not synced may be shown with holes.
    pub fn harmed(&mut self, host: HostId) {
        let Some(disk) = self.disks.get_mut(&host) else { return };
        for origin in disk.written.iter().chain(&disk.copied) {
            if let Some(history) = self.histories.get_mut(origin) {
                history.synced = history.version;
                self.harmed.insert(*origin);
            }
        }
        *disk = Lineage { identities: Identities::lost(), ..Lineage::default() };
    }

    /// In a calm cluster: of origins that lost something on their own disk a table has all that
    /// another disk of these machines claims, and nothing twice.
    ///
    /// # Errors
    /// If it has not.
    pub fn settle_harmed(
        &self,
        hosts: &[HostId],
        host: HostId,
        counters: &Counters,
    ) -> Result<(), Box<Violation>> {
        let slots = Held::new(self, counters).slots();
        for origin in self.harmed.iter().copied() {
            let Some(history) = self.histories.get(&origin) else { continue };
            let kept = |host: &HostId| self.disks.get(host)?.kept.get(&origin).copied();
            let version = hosts.iter().filter_map(kept).max().unwrap_or_default();
            for name in history.slots.keys() {
                let found = slots.get(&(origin, name.clone())).copied().unwrap_or_default();
                let (truth, most) =
                    (history.slot_at(name, version), history.slot_at(name, history.version));
                let name = name.clone();
                if !truth.is_within(&found) {
                    let lost = Violation::Lost { host, origin, version, name, truth, found };
                    return Err(Box::new(lost));
                }
                if !found.is_within(&most) {
                    let (held, synced) = (found, most);
                    let twice = Violation::Invented { host, origin, name, held, synced };
                    return Err(Box::new(twice));
                }
            }
        }
        Ok(())
    }

    /// The power of a machine whose disk is not synced before answers is cut.
    pub fn may_have_lost(&mut self, host: HostId, fsync: Fsync) {
        if fsync != Fsync::Always
            && let Some(disk) = self.disks.get_mut(&host)
        {
            disk.kept.clear();
            disk.held.clear();
            disk.held_endings.clear();
            disk.read.clear();
            disk.memberships.clear();
            disk.identities = Identities::lost();
        }
    }

    /// Whether what a start of a machine finds on its disk is what it must. `survives` says
    /// whether all that was safe must be there.
    ///
    /// # Errors
    /// If it is not.
    pub fn recovered(
        &self,
        host: HostId,
        found: &Recovered,
        survives: bool,
    ) -> Result<(), Box<Violation>> {
        let counters = found.counters();
        let Some(disk) = self.disks.get(&host) else { return Ok(()) };
        self.check_settlements(host, counters)?;
        let table = Held::new(self, counters);
        let all = table.slots();
        let held: BTreeMap<(OriginId, &str), Slot> =
            all.iter().map(|((origin, name), slot)| ((*origin, name.as_str()), *slot)).collect();
        let slot =
            |origin: OriginId, name: &str| held.get(&(origin, name)).copied().unwrap_or_default();
        for origin in &disk.written {
            let Some(history) = self.histories.get(origin) else { continue };
            let version = table.written(*origin);
            let names = history.slots.keys().map(String::as_str);
            let names = names.chain(held.keys().filter(|(o, _)| o == origin).map(|(_, n)| *n));
            for name in names {
                let (found, truth) = (slot(*origin, name), history.slot_at(name, version));
                if found != truth {
                    let (origin, name) = (*origin, name.to_owned());
                    return Err(Box::new(Violation::Mixed {
                        host,
                        origin,
                        version,
                        name,
                        truth,
                        found,
                    }));
                }
            }
            if survives {
                for name in history.acknowledged.keys() {
                    check_own(history, *origin, name, &slot(*origin, name))?;
                }
            }
        }
        for (origin, version) in table.digest() {
            let Some(history) = self.histories.get(&origin) else { continue };
            for name in history.slots.keys() {
                let (truth, held) = (history.slot_at(name, version), slot(origin, name));
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
        let said = table.said();
        self.recovered_endings(host, disk.written.iter(), counters, &said)?;
        if !survives {
            return Ok(());
        }
        self.kept_endings(host, disk, counters, &said)?;
        for ((origin, name), truth) in &disk.held {
            let found = slot(*origin, name);
            if !truth.is_within(&found) {
                let version = table.known(*origin);
                let (origin, name, truth) = (*origin, name.clone(), *truth);
                return Err(Box::new(Violation::Lost {
                    host,
                    origin,
                    version,
                    name,
                    truth,
                    found,
                }));
            }
        }
        for (origin, version) in &disk.kept {
            let Some(history) = self.histories.get(origin) else { continue };
            for name in history.slots.keys() {
                let (truth, found) = (history.slot_at(name, *version), slot(*origin, name));
                if !truth.is_within(&found) {
                    let (origin, version, name) = (*origin, *version, name.clone());
                    return Err(Box::new(Violation::Lost {
                        host,
                        origin,
                        version,
                        name,
                        truth,
                        found,
                    }));
                }
            }
        }
        if !disk.identities.allow(found.last_start()) {
            let (found, expected) = (found.last_start(), format!("{:?}", disk.identities));
            return Err(Box::new(Violation::StartForgotten { host, found, expected }));
        }
        if let Some(node) = shrunk(&disk.memberships, &of_nodes(found.registry())) {
            return Err(Box::new(Violation::MembershipLost { host, node, when: "by a start" }));
        }
        for (name, before) in &disk.read {
            let after = counters.value(name).0;
            if after < *before {
                let (name, before, least) = (name.clone(), *before, *before);
                return Err(Box::new(Violation::WentDown { host, name, before, least, after }));
            }
        }
        Ok(())
    }

    /// A process begins with what it has recovered: others may see it, and it must stay. Its own
    /// changes go under `origin`.
    pub fn begins(&mut self, host: HostId, origin: OriginId, counters: &Counters, fsync: Fsync) {
        let is_copy = !self.disks.contains_key(&host);
        let digest = Held::new(self, counters).digest();
        let disk = self.disks.entry(host).or_default();
        for (known, version) in digest {
            let ever = self.ever_safe.entry(host).or_default();
            for safe in [disk.kept.entry(known).or_default(), ever.entry(known).or_default()] {
                *safe = (*safe).max(version);
            }
            // What its process had written and not synced is synced before a client or peer sees it (rule
            // `sync-the-tail-before-showing-it`).
            let is_own = disk.written.contains(&known) || disk.copied.contains(&known);
            if (is_copy || is_own)
                && let Some(history) = self.histories.get_mut(&known)
            {
                history.synced = history.synced.max(version);
            }
        }
        // What was answered and then lost may come back from peers, one by one.
        if fsync != Fsync::Always {
            disk.written.clear();
        }
        disk.written.insert(origin);
    }

    /// In a calm cluster: nothing that an origin acknowledged on a disk that is still there is
    /// missing from a table, even if its process is long gone.
    ///
    /// # Errors
    /// If something is.
    pub fn settle_lineage(&self, host: HostId, counters: &Counters) -> Result<(), Box<Violation>> {
        let Some(disk) = self.disks.get(&host) else { return Ok(()) };
        let histories = disk.written.iter().filter_map(|o| Some((*o, self.histories.get(o)?)));
        let histories: Vec<(OriginId, &OriginHistory)> = histories.collect();
        let slots = Held::new(self, counters).slots();
        for (origin, history) in histories {
            self.check_acknowledged(host, origin, counters)?;
            for name in history.acknowledged.keys() {
                let slot = slots.get(&(origin, name.clone())).copied().unwrap_or_default();
                check_own(history, origin, name, &slot)?;
            }
        }
        Ok(())
    }
}
