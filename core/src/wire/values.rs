//! The values that frames and datagrams carry, in the form in which they travel.
//!
//! What the protocol's rooms work with knows nothing of formats: here each such value has a twin
//! whose fields, and their order, are the wire's (postcard writes them one after the other). So a
//! field that the domain gains or loses changes no frame before a new kind of frame carries it.
//! Identities and what they are made of are their own twins: the membership library writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::delta::{Change, Delta};
use crate::digest::Want;
use crate::ending::{Covered, Ending, Lifetime};
use crate::identity::{OriginId, Version};
use crate::membership::{Key, MembershipRecord};
use crate::slot::{Numbers, Slot};

/// A value of the domain that travels as its twin.
pub(super) trait Travels: Sized {
    /// Its form on the wire.
    type Twin: From<Self> + Into<Self>;
}

/// One slot of a delta.
#[derive(Serialize, Deserialize)]
struct SlotTwin<'a> {
    name: &'a str,
    plus: u64,
    minus: u64,
    raise: u64,
}

impl<'a> SlotTwin<'a> {
    fn of(change: &Change<'a>) -> Option<Self> {
        let Change::Slot { name, slot } = change else { return None };
        let Numbers { plus, minus, raise } = slot.numbers();
        Some(SlotTwin { name, plus, minus, raise })
    }
}

impl<'a> From<SlotTwin<'a>> for Change<'a> {
    fn from(SlotTwin { name, plus, minus, raise }: SlotTwin<'a>) -> Self {
        Change::Slot { name, slot: Slot::from(Numbers { plus, minus, raise }) }
    }
}

/// One thing that a delta says about the end of a counter.
#[derive(Serialize, Deserialize)]
enum EndingTwin<'a> {
    Cover { name: &'a str, of: OriginId, plus: u64, minus: u64, raise: u64, stamp: u64 },
    Lifetime { name: &'a str, stamp: u64, until: Option<u64> },
    Whole { name: &'a str, settlement: OriginId },
}

impl<'a> EndingTwin<'a> {
    fn of(change: &Change<'a>) -> Option<Self> {
        let Change::Ending { name, ending } = change else { return None };
        Some(match ending {
            Ending::Cover { of, covered } => {
                let Numbers { plus, minus, raise } = covered.numbers;
                EndingTwin::Cover { name, of: *of, plus, minus, raise, stamp: covered.stamp }
            }
            Ending::Lifetime(Lifetime { stamp, until }) => {
                EndingTwin::Lifetime { name, stamp: *stamp, until: *until }
            }
            Ending::Whole(settlement) => EndingTwin::Whole { name, settlement: *settlement },
        })
    }
}

impl<'a> From<EndingTwin<'a>> for Change<'a> {
    fn from(twin: EndingTwin<'a>) -> Self {
        match twin {
            EndingTwin::Cover { name, of, plus, minus, raise, stamp } => {
                let covered = Covered { numbers: Numbers { plus, minus, raise }, stamp };
                Change::Ending { name, ending: Ending::Cover { of, covered } }
            }
            EndingTwin::Lifetime { name, stamp, until } => {
                Change::Ending { name, ending: Ending::Lifetime(Lifetime { stamp, until }) }
            }
            EndingTwin::Whole { name, settlement } => {
                Change::Ending { name, ending: Ending::Whole(settlement) }
            }
        }
    }
}

/// A delta of slots alone, as the chunks of a catch-up carry it.
#[derive(Serialize, Deserialize)]
pub(super) struct DeltaTwin<'a> {
    origin: OriginId,
    after: Version,
    upto: Version,
    #[serde(borrow, with = "slots")]
    changes: Vec<Change<'a>>,
}

impl<'a> Travels for Delta<'a> {
    type Twin = DeltaTwin<'a>;
}

impl<'a> From<Delta<'a>> for DeltaTwin<'a> {
    fn from(Delta { origin, after, upto, changes }: Delta<'a>) -> Self {
        DeltaTwin { origin, after, upto, changes }
    }
}

impl<'a> From<DeltaTwin<'a>> for Delta<'a> {
    fn from(DeltaTwin { origin, after, upto, changes }: DeltaTwin<'a>) -> Self {
        Delta { origin, after, upto, changes }
    }
}

/// The same of slots and of what is said about the ends of counters.
#[derive(Serialize, Deserialize)]
pub(super) struct EndingDeltaTwin<'a> {
    origin: OriginId,
    after: Version,
    upto: Version,
    #[serde(borrow, with = "changes")]
    changes: Vec<Change<'a>>,
}

/// Slots alone: for `#[serde(with = "slots")]`. Who has endings too takes [`changes`].
pub(super) mod slots {
    use super::*;

    pub(in crate::wire) fn serialize<S: Serializer>(
        changes: &[Change<'_>],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let twins: Vec<SlotTwin<'_>> = changes.iter().filter_map(SlotTwin::of).collect();
        twins.serialize(to)
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Change<'de>>, D::Error> {
        let twins = Vec::<SlotTwin<'de>>::deserialize(from)?;
        Ok(twins.into_iter().map(Change::from).collect())
    }
}

/// Slots, and behind them what is said about the ends of counters: for `#[serde(with = "changes")]`.
pub(super) mod changes {
    use super::*;

    pub(in crate::wire) fn serialize<S: Serializer>(
        changes: &[Change<'_>],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let slots: Vec<SlotTwin<'_>> = changes.iter().filter_map(SlotTwin::of).collect();
        let endings: Vec<EndingTwin<'_>> = changes.iter().filter_map(EndingTwin::of).collect();
        (slots, endings).serialize(to)
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Change<'de>>, D::Error> {
        type Twins<'de> = (Vec<SlotTwin<'de>>, Vec<EndingTwin<'de>>);
        let (slots, endings) = Twins::deserialize(from)?;
        let slots = slots.into_iter().map(Change::from);
        Ok(slots.chain(endings.into_iter().map(Change::from)).collect())
    }
}

/// Deltas as [`EndingDeltaTwin`]: for `#[serde(with = "ending_deltas")]`.
pub(super) mod ending_deltas {
    use super::*;

    pub(in crate::wire) fn serialize<S: Serializer>(
        deltas: &[Delta<'_>],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(deltas.iter().cloned().map(|Delta { origin, after, upto, changes }| {
            EndingDeltaTwin { origin, after, upto, changes }
        }))
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Delta<'de>>, D::Error> {
        let twins = Vec::<EndingDeltaTwin<'de>>::deserialize(from)?;
        let delta = |EndingDeltaTwin { origin, after, upto, changes }| Delta {
            origin,
            after,
            upto,
            changes,
        };
        Ok(twins.into_iter().map(delta).collect())
    }
}

/// What one peer asks of another.
#[derive(Serialize, Deserialize)]
pub(super) struct WantTwin {
    origin: OriginId,
    after: Option<Version>,
}

impl Travels for Want {
    type Twin = WantTwin;
}

impl From<Want> for WantTwin {
    fn from(Want { origin, after }: Want) -> Self {
        WantTwin { origin, after }
    }
}

impl From<WantTwin> for Want {
    fn from(WantTwin { origin, after }: WantTwin) -> Self {
        Want { origin, after }
    }
}

/// The record of a removal or a registration.
#[derive(Serialize, Deserialize)]
pub(super) struct MembershipTwin {
    key: Key,
    removed: u64,
    registered: u64,
}

impl Travels for MembershipRecord {
    type Twin = MembershipTwin;
}

impl From<MembershipRecord> for MembershipTwin {
    fn from(MembershipRecord { key, removed, registered }: MembershipRecord) -> Self {
        MembershipTwin { key, removed, registered }
    }
}

impl From<MembershipTwin> for MembershipRecord {
    fn from(MembershipTwin { key, removed, registered }: MembershipTwin) -> Self {
        MembershipRecord { key, removed, registered }
    }
}

/// A list of values, each as its twin: for `#[serde(with = "list")]`.
pub(super) mod list {
    use super::*;

    pub(in crate::wire) fn serialize<T, S>(values: &[T], to: S) -> Result<S::Ok, S::Error>
    where
        T: Travels<Twin: Serialize> + Clone,
        S: Serializer,
    {
        to.collect_seq(values.iter().map(|value| T::Twin::from(value.clone())))
    }

    pub(in crate::wire) fn deserialize<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
    where
        T: Travels<Twin: Deserialize<'de>>,
        D: Deserializer<'de>,
    {
        let twins = Vec::<T::Twin>::deserialize(from)?;
        Ok(twins.into_iter().map(Into::into).collect())
    }
}
