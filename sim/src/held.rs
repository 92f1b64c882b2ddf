//! A table as the checker reads it, whatever has been folded in it.
//!
//! A settlement stands for all that it has folded: an origin that has gone into one which is here counts
//! as known up to the version at which it was closed, with all that it had said by then. So every
//! promise reads the same with settlements and without. That a settlement's own slots are what they
//! must be is looked at elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::counters::Counters;
use quipu_core::identity::{OriginId, Version};
use quipu_core::slot::Slot;

use crate::checker::Checker;
use crate::endings::reference::Seen;
use crate::endings::said::AllSaid;

/// See the file.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    checker: &'a Checker,
    counters: &'a Counters,
    /// Origins that have gone into a settlement that is here.
    gone: BTreeSet<OriginId>,
    /// Families of settlements of which some rows may be here.
    taken: Vec<(OriginId, Vec<OriginId>)>,
}

impl<'a> Held<'a> {
    pub(crate) fn new(checker: &'a Checker, counters: &'a Counters) -> Self {
        let mut held = Held { checker, counters, gone: BTreeSet::new(), taken: Vec::new() };
        for (settlement, is_here, family) in counters.settlements() {
            if is_here {
                held.gone.extend(family);
            } else {
                held.taken.push((settlement, family));
            }
        }
        held
    }

    /// Up to which version an origin closed that has gone.
    fn closed(&self, origin: OriginId) -> Version {
        self.checker.settlements.closed(origin).unwrap_or_default()
    }

    /// Up to which version everything of an origin is here.
    pub(crate) fn known(&self, origin: OriginId) -> Version {
        match self.gone.contains(&origin) {
            true => self.closed(origin),
            false => self.counters.known(origin).version,
        }
    }

    /// The same of an origin that was written on the disk from which this was read: all that it ever said
    /// was there. Where a settlement that is being taken has some of its rows nothing of it is claimed, and
    /// those rows and its others are what it had said when it was closed.
    pub(crate) fn written(&self, origin: OriginId) -> Version {
        let has_rows =
            |settlement: &OriginId| self.counters.iter().any(|view| view.origin == *settlement);
        let mut over = self.taken.iter().filter(|(_, family)| family.contains(&origin));
        match over.any(|(settlement, _)| has_rows(settlement)) {
            true => self.closed(origin),
            false => self.known(origin),
        }
    }

    /// The same for each origin.
    pub(crate) fn digest(&self) -> Vec<(OriginId, Version)> {
        let here = self.counters.digest().filter(|(origin, _)| !self.gone.contains(origin));
        let here = here.map(|(origin, row)| (origin, row.version));
        let gone = self.gone.iter().map(|origin| (*origin, self.closed(*origin)));
        here.chain(gone.filter(|(_, version)| *version > 0)).collect()
    }

    /// The rows in which an origin has gone, though its settlement is not whole here.
    fn rows_done(&self) -> Vec<(OriginId, &'a str)> {
        let mut done = Vec::new();
        for (settlement, family) in &self.taken {
            for view in self.counters.iter().filter(|view| view.origin == *settlement) {
                done.extend(family.iter().map(|member| (*member, view.name)));
            }
        }
        done
    }

    /// All rows of origins that have gone.
    fn gone_rows(&self) -> Vec<(OriginId, &str)> {
        let rows = |origin: &OriginId| {
            let origin = *origin;
            self.checker.names_of(origin).into_iter().map(move |name| (origin, name))
        };
        let mut gone: Vec<(OriginId, &str)> = self.gone.iter().flat_map(rows).collect();
        gone.extend(self.rows_done());
        gone
    }

    /// Every slot.
    pub(crate) fn slots(&self) -> BTreeMap<(OriginId, String), Slot> {
        let here = self.counters.iter().filter(|view| !self.gone.contains(&view.origin));
        let mut slots: BTreeMap<(OriginId, String), Slot> =
            here.map(|view| ((view.origin, view.name.to_owned()), view.slot)).collect();
        for (origin, name) in self.gone_rows() {
            let (slot, _) = self.checker.state(origin, name, self.closed(origin));
            slots.insert((origin, name.to_owned()), slot);
        }
        slots
    }

    /// All that was said about ends.
    pub(crate) fn said(&self) -> AllSaid {
        let mut all = AllSaid::read(self.counters);
        self.gone.iter().for_each(|origin| all.remove(*origin));
        for (origin, name) in self.gone_rows() {
            let (_, said) = self.checker.state(origin, name, self.closed(origin));
            all.set(origin, name, said);
        }
        all
    }

    /// One counter as if nothing had ever been folded.
    pub(crate) fn seen(&self, name: &str) -> Seen {
        let settlements = &self.checker.settlements;
        let mut seen = Seen::default().among(settlements.families());
        let is_meant = |origin: &OriginId, row: &str| row == name && !settlements.is_one(*origin);
        for ((origin, row), slot) in self.slots() {
            if is_meant(&origin, &row) {
                let said = seen.said_by(origin);
                seen = seen.with(origin, slot.numbers(), said);
            }
        }
        for (origin, row, said) in self.said().iter() {
            if is_meant(&origin, row) {
                let numbers = seen.numbers_of(origin);
                seen = seen.with(origin, numbers, said.clone());
            }
        }
        seen
    }
}
