//! The values that frames and datagrams carry, in the form in which they travel.
//!
//! What the protocol's rooms work with knows nothing of formats: here each such value has a twin
//! whose fields, and their order, are the wire's (postcard writes them one after the other). So a
//! field that the domain gains or loses changes no frame before a new kind of frame carries it.
//! Identities and what they are made of are their own twins: the membership library writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::delta::{Change, Delta};
use crate::digest::Want;
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
pub(super) struct SlotTwin<'a> {
    name: &'a str,
    plus: u64,
    minus: u64,
    raise: u64,
}

impl<'a> Travels for Change<'a> {
    type Twin = SlotTwin<'a>;
}

impl<'a> From<Change<'a>> for SlotTwin<'a> {
    fn from(change: Change<'a>) -> Self {
        let Change::Slot { name, slot } = change;
        let Numbers { plus, minus, raise } = slot.numbers();
        SlotTwin { name, plus, minus, raise }
    }
}

impl<'a> From<SlotTwin<'a>> for Change<'a> {
    fn from(SlotTwin { name, plus, minus, raise }: SlotTwin<'a>) -> Self {
        Change::Slot { name, slot: Slot::from(Numbers { plus, minus, raise }) }
    }
}

/// A delta as the parts of a catch-up carry it.
#[derive(Serialize, Deserialize)]
pub(super) struct DeltaTwin<'a> {
    origin: OriginId,
    after: Version,
    upto: Version,
    #[serde(borrow, with = "list")]
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
