//! Fingerprints: whether two nodes hold the same slots of an origin, told by one number.
//!
//! The sum, modulo 2^64, of a keyed hash of (name, plus, minus, raise) over all slots of the
//! origin, and of other keyed hashes over its covers and lifetimes. A sum does not depend on the order, and a changed slot takes one subtraction and one
//! addition. The hash must be the same on every node and in every release, so it is SipHash-1-3
//! (Aumasson and Bernstein, 2012) with keys written here. They are no secret: fingerprints find
//! what faults left different, and two tables are told apart with all but 2^-64 of certainty.

use siphasher::sip::SipHasher13;

use crate::identity::{OriginId, Version};

const NAME_KEY: (u64, u64) = (0x7175_6970_752d_6e61, 0x6d65_2d76_3100_0001);
const ROW_KEY: (u64, u64) = (0x7175_6970_752d_726f, 0x772d_7631_0000_0001);
const SLOT_KEY: (u64, u64) = (0x7175_6970_752d_736c, 0x6f74_2d76_3100_0001);
const COVER_KEY: (u64, u64) = (0x7175_6970_752d_636f, 0x7665_722d_7631_0001);
const LIFETIME_KEY: (u64, u64) = (0x7175_6970_752d_6c69, 0x6665_2d76_3100_0001);
const WHOLE_KEY: (u64, u64) = (0x7175_6970_752d_7768, 0x6f6c_652d_7631_0001);
const ENTRY_KEY: (u64, u64) = (0x7175_6970_752d_656e, 0x7472_792d_7631_0001);
const RECORD_KEY: (u64, u64) = (0x7175_6970_752d_7265, 0x636f_7264_2d76_3101);

/// A counter's name as it enters the fingerprints of its slots.
pub(crate) fn of_name(name: &str) -> u64 {
    SipHasher13::new_with_keys(NAME_KEY.0, NAME_KEY.1).hash(name.as_bytes())
}

/// The summand of a slot's numbers.
pub(crate) fn of_slot(name_hash: u64, [plus, minus, raise]: [u64; 3]) -> u64 {
    of_numbers(SLOT_KEY, [name_hash, plus, minus, raise])
}

/// The summand of a cover on another origin's slot.
pub(crate) fn of_cover(name_hash: u64, of: OriginId, numbers: [u64; 4]) -> u64 {
    let [plus, minus, raise, stamp] = numbers;
    of_numbers(COVER_KEY, [name_hash, of.0, plus, minus, raise, stamp])
}

/// The summand of a lifetime.
pub(crate) fn of_lifetime(name_hash: u64, [stamp, until]: [u64; 2]) -> u64 {
    of_numbers(LIFETIME_KEY, [name_hash, stamp, until])
}

/// The summand of a cover on a settlement.
pub(crate) fn of_whole(name_hash: u64, settlement: OriginId) -> u64 {
    of_numbers(WHOLE_KEY, [name_hash, settlement.0])
}

/// A record about settlements, as it enters the hash of the records.
pub(crate) fn of_entry(numbers: &[u64]) -> u64 {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    SipHasher13::new_with_keys(ENTRY_KEY.0, ENTRY_KEY.1).hash(&bytes)
}

/// A digest's row, as it enters the hash of the whole digest.
pub(crate) fn of_row(origin: OriginId, version: Version, fingerprint: u64) -> u64 {
    of_numbers(ROW_KEY, [origin.0, version, fingerprint])
}

/// What a record of a removal is about, as it enters the hash of the records.
pub(crate) fn of_record_key(bytes: &[u8]) -> u64 {
    SipHasher13::new_with_keys(RECORD_KEY.0, RECORD_KEY.1).hash(bytes)
}

/// A record's summand.
pub(crate) fn of_record(key_hash: u64, removed: u64, registered: u64) -> u64 {
    of_numbers(RECORD_KEY, [key_hash, removed, registered])
}

/// In one piece: this runs twice for every slot that changes, and number by number takes more than
/// half as many instructions again.
fn of_numbers<const N: usize>(key: (u64, u64), numbers: [u64; N]) -> u64 {
    let bytes = numbers.map(u64::to_le_bytes);
    SipHasher13::new_with_keys(key.0, key.1).hash(bytes.as_flattened())
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn numbers_hash_as_if_they_were_written_one_by_one() {
        let mut hasher = SipHasher13::new_with_keys(ROW_KEY.0, ROW_KEY.1);
        for number in [1_u64, 2, 3] {
            hasher.write(&number.to_le_bytes());
        }
        assert_eq!(of_row(OriginId(1), 2, 3), hasher.finish());
    }
}
