//! Fingerprints: whether two nodes hold the same slots of an origin, told by one number.
//!
//! The sum, modulo 2^64, of a keyed hash of (name, plus, minus, raise) over all slots of the
//! origin. A sum does not depend on the order, and a changed slot takes one subtraction and one
//! addition. The hash must be the same on every node and in every release, so it is SipHash-1-3
//! (Aumasson and Bernstein, 2012) with keys written here. They are no secret: fingerprints find
//! what faults left different, and two tables are told apart with all but 2^-64 of certainty.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::counter::Slot;
use crate::identity::{OriginId, Version};

const NAME_KEY: (u64, u64) = (0x7175_6970_752d_6e61, 0x6d65_2d76_3100_0001);
const ROW_KEY: (u64, u64) = (0x7175_6970_752d_726f, 0x772d_7631_0000_0001);
const SLOT_KEY: (u64, u64) = (0x7175_6970_752d_736c, 0x6f74_2d76_3100_0001);

/// A counter's name as it enters the fingerprints of its slots.
pub(crate) fn of_name(name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(NAME_KEY.0, NAME_KEY.1);
    hasher.write(name.as_bytes());
    hasher.finish()
}

/// A slot's summand. Zero for a slot that was never written, so that holding none is the same.
pub(crate) fn of_slot(name_hash: u64, slot: &Slot) -> u64 {
    if *slot == Slot::default() {
        return 0;
    }
    let mut hasher = SipHasher13::new_with_keys(SLOT_KEY.0, SLOT_KEY.1);
    for number in [name_hash, slot.plus, slot.minus, slot.raise] {
        hasher.write(&number.to_le_bytes());
    }
    hasher.finish()
}

/// A digest's row, as it enters the hash of the whole digest.
pub(crate) fn of_row(origin: OriginId, version: Version, fingerprint: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(ROW_KEY.0, ROW_KEY.1);
    for number in [origin.0, version, fingerprint] {
        hasher.write(&number.to_le_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_in_every_release() {
        let slot = Slot { plus: 1, minus: 2, raise: 3 };
        assert_eq!(of_slot(of_name("default"), &slot), 0x2c80_6d92_78b2_c3e5);
        assert_eq!(of_slot(of_name("default"), &Slot::default()), 0);
    }
}
