//! Settlements, held against what the simulator reckons of them.
//!
//! Whatever any node writes down of settlements is taken down here. With what each origin had said at
//! each of its versions, that tells to what a settlement must fold: every node that folds it, or takes
//! it, must hold exactly that, at every moment and behind every crash.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::counters::Counters;
use quipu_core::ending::{Covered, Lifetime};
use quipu_core::identity::{OriginId, Version};
use quipu_core::settlement::{Entry, Prefix, Proposal, Voter};
use quipu_core::slot::{Numbers, Slot};

use crate::checker::Checker;
use crate::closings::Closings;
use crate::endings::said::{AllSaid, Said};
use crate::endings::workload::may_end;
use crate::held::Held;
use crate::host::HostId;
use crate::violation::Violation;

/// In what a node breaks the rules by which origins are folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A settlement's slot is not what its members come to.
    #[error("{name}: settlement {settlement} holds {found}, expected {expected}")]
    NotTheFold {
        /// Which.
        settlement: OriginId,
        /// The counter.
        name: String,
        /// What is held.
        found: String,
        /// What its members come to.
        expected: String,
    },
    /// An origin is closed at two versions.
    #[error("origin {origin} is closed at version {one} and at {other}")]
    ClosedTwice {
        /// Which.
        origin: OriginId,
        /// At the one.
        one: Version,
        /// At the other.
        other: Version,
    },
    /// A settlement is here that some voter has not granted.
    #[error("settlement {settlement} is here, and not all of its voters have granted it")]
    NotGranted {
        /// Which.
        settlement: OriginId,
    },
    /// What has gone into a settlement that is here still counts.
    #[error("{name}: origin {origin} is here, and has gone into a settlement that is here too")]
    Stays {
        /// Whose slot.
        origin: OriginId,
        /// The counter.
        name: String,
    },
    /// Two settlements with members in common are here.
    #[error("settlements {one} and {other} are here, and have members in common")]
    Apart {
        /// The one.
        one: OriginId,
        /// The other.
        other: OriginId,
    },
    /// A counter's value is not what was counted.
    #[error("{name} is {found}, expected {expected}")]
    Value {
        /// The counter.
        name: String,
        /// What it is.
        found: i128,
        /// What was counted.
        expected: i128,
    },
    /// A voter granted a settlement, and had not adopted what was covered of its family (rule `adoption`).
    #[error("{name}: granted {settlement}, and had not adopted what {by} has covered")]
    NotAdopted {
        /// Which.
        settlement: OriginId,
        /// The counter.
        name: String,
        /// Who had covered it.
        by: OriginId,
    },
    /// A settlement that was asked for in a calm cluster did not come to pass.
    #[error("a settlement that was asked for has not come to pass within {seconds} s: {state}")]
    Stuck {
        /// How long it was waited for.
        seconds: u64,
        /// What the node says of it.
        state: String,
    },
    /// More slots are left than there must be.
    #[error("{name}: {found} slots behind a settlement, expected {most} at most")]
    Slots {
        /// The counter.
        name: String,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

impl Fault {
    pub(crate) fn at(self, host: HostId) -> Box<Violation> {
        Box::new(Violation::Settlement { host, fault: self })
    }
}

/// The families of settlements: all that they fold, those of the settlements among their members
/// included.
pub type Families = BTreeMap<OriginId, BTreeSet<OriginId>>;

/// What a settlement folds to: of each counter of which something is left.
pub(crate) type Fold = BTreeMap<String, (Numbers, Said)>;

/// All that any node has written down of settlements.
#[derive(Debug, Default)]
pub(crate) struct Settlements {
    pub(crate) closings: Closings,
    proposals: BTreeMap<OriginId, Proposal>,
    grants: BTreeMap<OriginId, BTreeMap<Voter, Prefix>>,
    families: Families,
    /// Nothing where it cannot be reckoned: a flipped bit has taken of what it folds.
    folds: BTreeMap<OriginId, Option<Fold>>,
}

impl Settlements {
    pub(crate) fn families(&self) -> &Families {
        &self.families
    }

    pub(crate) fn is_one(&self, origin: OriginId) -> bool {
        self.proposals.contains_key(&origin)
    }

    /// At which version an origin is closed.
    pub(crate) fn closed(&self, origin: OriginId) -> Option<Version> {
        self.closings.version(origin)
    }

    fn close(&mut self, prefix: &Prefix) -> Result<(), Fault> {
        if self.closings.close(prefix)? {
            // The grant that had closed it otherwise is lost as well, and what was reckoned with it.
            let mut lost: Vec<OriginId> = Vec::new();
            for (settlement, grants) in &mut self.grants {
                let before = grants.len();
                grants.retain(|_, granted| granted.origin != prefix.origin || granted == prefix);
                lost.extend((grants.len() < before).then_some(*settlement));
            }
            lost.into_iter().for_each(|settlement| self.forget_fold(settlement));
        }
        Ok(())
    }

    /// What a settlement folds to is to be reckoned anew.
    fn forget_fold(&mut self, settlement: OriginId) {
        let families = &self.families;
        let holds = |id: &OriginId| families.get(id).is_some_and(|all| all.contains(&settlement));
        self.folds.retain(|id, _| *id != settlement && !holds(id));
    }

    fn hear(&mut self, entry: &Entry) -> Result<(), Fault> {
        match entry {
            Entry::Close(prefix) => self.close(prefix),
            Entry::Proposal(proposal) => {
                let id = proposal.settlement;
                if self.proposals.contains_key(&id) {
                    return Ok(());
                }
                let mut family = BTreeSet::new();
                for member in &proposal.members {
                    family.insert(member.origin);
                    family.extend(self.families.get(&member.origin).into_iter().flatten());
                }
                self.families.insert(id, family);
                self.proposals.insert(id, proposal.clone());
                proposal.members.iter().try_for_each(|member| self.close(member))
            }
            Entry::Vote(vote) => {
                let Some(prefix) = vote.ballot.granted() else { return Ok(()) };
                let grants = self.grants.entry(vote.settlement).or_default();
                // A grant that was lost before it was synced may be followed by another one.
                if grants.insert(vote.voter, prefix).is_some_and(|before| before != prefix) {
                    self.forget_fold(vote.settlement);
                }
                self.close(&prefix)
            }
            Entry::Member { .. } | Entry::Family { .. } | Entry::Opened(_) | Entry::GivenUp(_) => {
                Ok(())
            }
        }
    }
}

impl Checker {
    /// Takes down what a node knows of settlements; tells what is closed now and was not before.
    ///
    /// # Errors
    /// If it contradicts what another one has.
    pub fn hear(
        &mut self,
        host: HostId,
        entries: impl Iterator<Item = Entry>,
    ) -> Result<Vec<OriginId>, Box<Violation>> {
        for entry in entries {
            self.settlements.hear(&entry).map_err(|fault| fault.at(host))?;
        }
        Ok(self.settlements.closings.take_news(host))
    }

    /// What an origin has said of a counter up to a version, be it a process's or a settlement.
    pub(crate) fn state(&self, origin: OriginId, name: &str, version: Version) -> (Slot, Said) {
        if let Some(fold) = self.settlements.folds.get(&origin) {
            let left = fold.as_ref().and_then(|fold| fold.get(name)).cloned();
            let (numbers, said) = left.unwrap_or_default();
            return (Slot::from(numbers), said);
        }
        let Some(history) = self.histories.get(&origin) else { return Default::default() };
        let said = history.endings.said_at(name, version).clone();
        (history.slot_at(name, version), said)
    }

    /// The counters that an origin has ever changed.
    pub(crate) fn names_of(&self, origin: OriginId) -> BTreeSet<&str> {
        let fold = self.settlements.folds.get(&origin).and_then(Option::as_ref);
        let history = self.histories.get(&origin);
        let names = history.into_iter().flat_map(|history| {
            history.slots.keys().chain(history.endings.names()).map(String::as_str)
        });
        fold.into_iter().flat_map(|fold| fold.keys().map(String::as_str)).chain(names).collect()
    }

    /// A voter has granted a settlement with what it had written until then: among that is all that
    /// processes which are gone, or were removed, have covered of its family.
    pub(crate) fn check_adoption(
        &self,
        host: HostId,
        former: OriginId,
        counters: &Counters,
    ) -> Result<(), Box<Violation>> {
        let all = &self.settlements;
        let granted = all
            .grants
            .iter()
            .find(|(_, grants)| grants.values().any(|prefix| prefix.origin == former));
        let Some((&settlement, _)) = granted else { return Ok(()) };
        let Some(family) = all.families.get(&settlement) else { return Ok(()) };
        // Where it is folded at once its rows may be gone.
        if counters.known(settlement).version > 0 || counters.has_chores() {
            return Ok(());
        }
        let said = AllSaid::read(counters);
        for (by, name, others) in said.iter().filter(|(by, ..)| *by != former) {
            if family.contains(&by) || !self.is_no_voice(by) {
                continue;
            }
            let own = said.of(former, name);
            let mut met = others.covers.iter().filter(|(of, _)| family.contains(of));
            if !met.all(|(of, covered)| covered.is_within(&own.cover_on(*of))) {
                let name = name.to_owned();
                return Err(Fault::NotAdopted { settlement, name, by }.at(host));
            }
        }
        Ok(())
    }

    /// What a node that has granted a settlement lacks of what was closed for it, in words.
    pub(crate) fn lacks(&self, settlement: OriginId, counters: &Counters) -> Vec<String> {
        let members = self.settlements.proposals.get(&settlement).map(|all| &all.members);
        let grants = self.settlements.grants.get(&settlement).map(BTreeMap::values);
        let all = members.into_iter().flatten().chain(grants.into_iter().flatten());
        let differs = |prefix: &&Prefix| {
            let known = counters.known(prefix.origin);
            (known.version, known.fingerprint) != (prefix.version, prefix.fingerprint)
        };
        all.filter(differs)
            .map(|prefix| format!("{prefix:?} is {:?}", counters.known(prefix.origin)))
            .collect()
    }

    /// What a settlement folds to, reckoned from what its members and those who granted it had said.
    fn reckon(&self, settlement: OriginId) -> Result<Option<Fold>, Fault> {
        let all = &self.settlements;
        let not_granted = Fault::NotGranted { settlement };
        let Some(proposal) = all.proposals.get(&settlement) else { return Err(not_granted) };
        let grants = all.grants.get(&settlement);
        let granted: Option<Vec<Prefix>> =
            proposal.voters.iter().map(|voter| grants?.get(voter).copied()).collect();
        let Some(granted) = granted else { return Err(not_granted) };
        let everyone = || proposal.members.iter().chain(&granted);
        let is_lost = |prefix: &Prefix| {
            self.harmed.contains(&prefix.origin)
                || matches!(all.folds.get(&prefix.origin), Some(None))
        };
        if everyone().any(is_lost) {
            return Ok(None);
        }
        let names: BTreeSet<&str> =
            proposal.members.iter().flat_map(|member| self.names_of(member.origin)).collect();
        let state = |name: &str, prefix: &Prefix| {
            let (slot, said) = self.state(prefix.origin, name, prefix.version);
            (prefix.origin, slot, said)
        };
        let fold = names.into_iter().filter_map(|name| {
            let members = proposal.members.iter().map(|member| state(name, member)).collect();
            let others = granted.iter().map(|granted| state(name, granted)).collect();
            let left = folded(settlement, members, others, &all.families);
            (left != Default::default()).then(|| (name.to_owned(), left))
        });
        Ok(Some(fold.collect()))
    }

    /// Looks at the settlements that a table holds.
    ///
    /// # Errors
    /// If they are not what they must fold to, or what they fold is still there.
    pub fn look_at_settlements(
        &mut self,
        host: HostId,
        counters: &Counters,
    ) -> Result<(), Box<Violation>> {
        let mut held: Vec<(OriginId, bool, Vec<OriginId>)> = counters.settlements().collect();
        let slots = |id: OriginId| counters.iter().any(move |view| view.origin == id);
        held.retain(|(id, is_here, _)| *is_here || slots(*id));
        // Those among the members of others are reckoned first.
        held.sort_by_key(|(id, ..)| self.settlements.families.get(id).map_or(0, BTreeSet::len));
        for (id, ..) in &held {
            if !self.settlements.folds.contains_key(id) {
                self.reckon_within(*id).map_err(|fault| fault.at(host))?;
            }
        }
        self.check_settlements(host, counters)
    }

    /// Reckons a settlement, and before it those among its members.
    fn reckon_within(&mut self, settlement: OriginId) -> Result<(), Fault> {
        let family = self.settlements.families.get(&settlement).cloned().unwrap_or_default();
        let mut nested: Vec<OriginId> =
            family.into_iter().filter(|id| self.settlements.is_one(*id)).collect();
        nested.sort_by_key(|id| self.settlements.families.get(id).map_or(0, BTreeSet::len));
        for id in nested.into_iter().chain([settlement]) {
            if !self.settlements.folds.contains_key(&id) {
                let fold = self.reckon(id)?;
                self.settlements.folds.insert(id, fold);
            }
        }
        Ok(())
    }

    /// In a calm cluster: a counter that never ends is what all origins that are known have counted.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn settle_values(
        &self,
        host: HostId,
        counters: &Counters,
    ) -> Result<(), Box<Violation>> {
        if self.settlements.families.is_empty() {
            return Ok(());
        }
        let mut sums: BTreeMap<String, (i128, u64)> = BTreeMap::new();
        for ((origin, name), slot) in Held::new(self, counters).slots() {
            if !self.settlements.is_one(origin) && !may_end(&name) {
                let (sum, raise) = sums.entry(name).or_default();
                let numbers = slot.numbers();
                *sum += i128::from(numbers.plus) - i128::from(numbers.minus);
                *raise = numbers.raise.max(*raise);
            }
        }
        for (name, (sum, raise)) in sums {
            let (found, expected) = (counters.value(&name).0, sum + i128::from(raise));
            if found != expected {
                return Err(Fault::Value { name, found, expected }.at(host));
            }
        }
        Ok(())
    }

    /// The same for one that any node has held before.
    ///
    /// # Errors
    /// See [`Checker::look_at_settlements`].
    pub(crate) fn check_settlements(
        &self,
        host: HostId,
        counters: &Counters,
    ) -> Result<(), Box<Violation>> {
        let known: Vec<(OriginId, bool, Vec<OriginId>)> = counters.settlements().collect();
        if known.is_empty() {
            return Ok(());
        }
        let said = AllSaid::read(counters);
        // Where a settlement is taken row by row, a row of it stands for all that it was made of.
        let taken = known.iter().filter(|(_, is_here, _)| !is_here);
        let done: BTreeSet<(OriginId, &str)> = taken
            .flat_map(|(taken, _, family)| {
                let rows = counters.iter().filter(|view| view.origin == *taken);
                rows.flat_map(|view| family.iter().map(move |member| (*member, view.name)))
            })
            .collect();
        for (id, is_here, family) in &known {
            let Some(Some(fold)) = self.settlements.folds.get(id) else { continue };
            let mut here: BTreeMap<&str, Slot> = BTreeMap::new();
            for view in counters.iter().filter(|view| view.origin == *id) {
                here.insert(view.name, view.slot);
            }
            let is_whole = counters.known(*id).version > 0;
            let names = fold.keys().map(String::as_str).filter(|_| is_whole);
            for name in names.chain(here.keys().copied()) {
                if done.contains(&(*id, name)) {
                    continue;
                }
                let (numbers, truth) = fold.get(name).cloned().unwrap_or_default();
                let found = here.get(name).copied().unwrap_or_default();
                let found_said = said.of(*id, name);
                let is_right = match is_whole {
                    true => found.numbers() == numbers && *found_said == truth,
                    false => found.is_within(&Slot::from(numbers)) && found_said.is_within(&truth),
                };
                if !is_right {
                    let (settlement, name) = (*id, name.to_owned());
                    let found = format!("{:?}, {found_said:?}", found.numbers());
                    let expected = format!("{numbers:?}, {truth:?}");
                    let wrong = Fault::NotTheFold { settlement, name, found, expected };
                    return Err(wrong.at(host));
                }
            }
            if *is_here && !counters.has_chores() {
                let stays = counters.iter().find(|view| family.contains(&view.origin));
                if let Some(view) = stays {
                    let (origin, name) = (view.origin, view.name.to_owned());
                    return Err(Fault::Stays { origin, name }.at(host));
                }
            }
        }
        let here: Vec<&(OriginId, bool, Vec<OriginId>)> =
            known.iter().filter(|(_, is_here, _)| *is_here).collect();
        for (at, (one, _, family)) in here.iter().enumerate() {
            for (other, _, others) in &here[at + 1..] {
                let is_nested = family.contains(other) || others.contains(one);
                if !is_nested && family.iter().any(|member| others.contains(member)) {
                    return Err(Fault::Apart { one: *one, other: *other }.at(host));
                }
            }
        }
        Ok(())
    }
}

/// All that there may be of a slot.
const EVERYTHING: Covered = Covered {
    numbers: Numbers { plus: u64::MAX, minus: u64::MAX, raise: u64::MAX },
    stamp: u64::MAX,
};

/// How much of a slot these have covered, by name or with a settlement whole.
pub(crate) fn cover_on<'a>(
    of: OriginId,
    said: impl Iterator<Item = &'a Said>,
    families: &Families,
) -> Covered {
    let mut all = Said::default();
    for said in said {
        all.cover(of, said.cover_on(of));
        let is_in = |whole: &OriginId| {
            *whole == of || families.get(whole).is_some_and(|family| family.contains(&of))
        };
        if said.wholes.iter().any(is_in) {
            return EVERYTHING;
        }
    }
    all.cover_on(of)
}

/// What one counter is folded to (rule `fold-what-was-granted`), of its members and of those that granted it.
fn folded(
    settlement: OriginId,
    members: Vec<(OriginId, Slot, Said)>,
    granted: Vec<(OriginId, Slot, Said)>,
    families: &Families,
) -> (Numbers, Said) {
    let none = BTreeSet::new();
    let family = families.get(&settlement).unwrap_or(&none);
    let mut counted: Vec<Said> =
        members.iter().chain(&granted).map(|(.., said)| said.clone()).collect();
    counted.iter_mut().for_each(|said| {
        said.wholes.remove(&settlement);
    });
    let (mut plus, mut minus, mut raise) = (0_u128, 0_u128, 0_u64);
    let mut lifetime: Option<(Lifetime, OriginId)> = None;
    let mut left = Said::default();
    for (origin, slot, said) in &members {
        let cover = cover_on(*origin, counted.iter(), families);
        let rest = cover.rest_of(slot).numbers();
        plus += u128::from(rest.plus);
        minus += u128::from(rest.minus);
        raise = raise.max(rest.raise);
        if let Some(said) = said.lifetime.filter(|said| said.stamp > cover.stamp) {
            lifetime = lifetime.max(Some((said, *origin)));
        }
        for (of, covered) in said.covers.iter().filter(|(of, _)| !family.contains(of)) {
            left.cover(*of, *covered);
        }
        let is_beyond = |whole: &&OriginId| {
            let within = families.get(whole).is_none_or(|other| other.is_subset(family));
            **whole != settlement && !family.contains(whole) && !within
        };
        left.wholes.extend(said.wholes.iter().filter(is_beyond));
    }
    let excess = plus.max(minus).saturating_sub(u128::from(u64::MAX));
    let number = |sum: u128| u64::try_from(sum.saturating_sub(excess)).unwrap_or(u64::MAX);
    let numbers = Numbers { plus: number(plus), minus: number(minus), raise };
    left.lifetime = lifetime.map(|(said, _)| said);
    (numbers, left)
}
