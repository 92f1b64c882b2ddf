//! All that one origin has said about the end of one counter.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::counters::Counters;
use quipu_core::ending::{Covered, Ending, Lifetime};
use quipu_core::identity::{OriginId, Version};
use quipu_core::slot::Numbers;

/// See the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Of whose slots it has seen how much.
    pub covers: BTreeMap<OriginId, Covered>,
    /// The lifetime that it has given the counter last.
    pub lifetime: Option<Lifetime>,
    /// Settlements that it has seen whole.
    pub wholes: BTreeSet<OriginId>,
}

/// The larger of each number.
fn larger(one: &Covered, other: &Covered) -> Covered {
    let (a, b) = (one.numbers, other.numbers);
    let numbers = Numbers {
        plus: a.plus.max(b.plus),
        minus: a.minus.max(b.minus),
        raise: a.raise.max(b.raise),
    };
    Covered { numbers, stamp: one.stamp.max(other.stamp) }
}

impl Said {
    /// Says one thing more.
    pub fn add(&mut self, ending: Ending) {
        match ending {
            Ending::Cover { of, covered } => self.cover(of, covered),
            Ending::Lifetime(lifetime) => self.lifetime = self.lifetime.max(Some(lifetime)),
            Ending::Whole(settlement) => {
                self.wholes.insert(settlement);
            }
        }
    }

    /// So much of a slot was seen.
    pub fn cover(&mut self, of: OriginId, covered: Covered) {
        if covered != Covered::default() {
            let cover = self.covers.entry(of).or_default();
            *cover = larger(cover, &covered);
        }
    }

    /// How much of a slot was seen.
    pub fn cover_on(&self, of: OriginId) -> Covered {
        self.covers.get(&of).copied().unwrap_or_default()
    }

    /// Takes what another copy says more.
    pub fn merge(&mut self, other: &Said) {
        other.covers.iter().for_each(|(of, covered)| self.cover(*of, *covered));
        self.lifetime = self.lifetime.max(other.lifetime);
        self.wholes.extend(&other.wholes);
    }

    /// Whether another one says all of this.
    pub fn is_within(&self, other: &Said) -> bool {
        let is_covered = |(of, covered): (&OriginId, &Covered)| {
            let cover = other.cover_on(*of);
            larger(&cover, covered) == cover
        };
        self.lifetime <= other.lifetime
            && self.covers.iter().all(is_covered)
            && self.wholes.is_subset(&other.wholes)
    }
}

/// What everybody has said, by origin and counter, as a table holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllSaid(BTreeMap<OriginId, BTreeMap<String, Said>>);

/// Nothing.
static NOTHING: Said = Said { covers: BTreeMap::new(), lifetime: None, wholes: BTreeSet::new() };

impl AllSaid {
    /// What a table holds.
    pub fn read(counters: &Counters) -> Self {
        let mut all = AllSaid::default();
        for view in counters.endings() {
            let of_origin = all.0.entry(view.origin).or_default();
            match of_origin.get_mut(view.name) {
                Some(said) => said.add(view.ending),
                None => of_origin.entry(view.name.to_owned()).or_default().add(view.ending),
            }
        }
        all
    }

    /// What an origin has said of a counter.
    pub fn of(&self, origin: OriginId, name: &str) -> &Said {
        self.0.get(&origin).and_then(|of_origin| of_origin.get(name)).unwrap_or(&NOTHING)
    }

    /// Has an origin have said this of a counter, and nothing else.
    pub fn set(&mut self, origin: OriginId, name: &str, said: Said) {
        self.0.entry(origin).or_default().insert(name.to_owned(), said);
    }

    /// Forgets what an origin has said.
    pub fn remove(&mut self, origin: OriginId) {
        self.0.remove(&origin);
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (OriginId, &str, &Said)> + '_ {
        self.0.iter().flat_map(|(origin, said)| {
            said.iter().map(move |(name, said)| (*origin, name.as_str(), said))
        })
    }

    /// Takes what another one says more.
    pub fn merge(&mut self, other: &AllSaid) {
        for (origin, name, said) in other.iter() {
            self.0.entry(origin).or_default().entry(name.to_owned()).or_default().merge(said);
        }
    }

    /// Forgets what those have said that are not meant.
    pub fn retain(&mut self, is_kept: impl Fn(&OriginId) -> bool) {
        self.0.retain(|origin, _| is_kept(origin));
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The state after the last of these versions up to one.
pub(crate) fn at(states: Option<&Vec<(Version, Said)>>, version: Version) -> &Said {
    let states = states.map_or(&[][..], Vec::as_slice);
    let later = states.partition_point(|(changed, _)| *changed <= version);
    later.checked_sub(1).map_or(&NOTHING, |at| &states[at].1)
}
