//! How much memory the table may still take.
//!
//! The caller measures from time to time what the process uses, and in between what is new is
//! counted here. There are two bounds, since what a node refuses first should be what costs least
//! to be without: new names. Known names count on, but they grow too: each start of each node that
//! counts on one leaves a slot. Where the system would end the process for one slot more, slots
//! that are not there yet are refused as well, and what has its slot counts on.

/// What a new counter is held to take beside its name, in bytes: some
/// four times what one takes with a slot, for its record on the way to the disk, its push, and the hash table's next growth. It
/// only has to serve until the caller measures anew.
const NEW_COUNTER_BYTES: u64 = 384;

/// The same for a new slot of a counter that is known.
const NEW_SLOT_BYTES: u64 = 96;

/// How many bytes may still be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// By new names.
    pub names: u64,
    /// By new slots of known ones.
    pub slots: u64,
}

impl Default for Room {
    /// Without end.
    fn default() -> Self {
        Room { names: u64::MAX, slots: u64::MAX }
    }
}

impl Room {
    /// What a counter of this name takes.
    pub(crate) fn of_name(name: &[u8]) -> u64 {
        NEW_COUNTER_BYTES + name.len() as u64
    }

    pub(crate) fn has_for_name(&self, bytes: u64) -> bool {
        bytes <= self.names && bytes <= self.slots
    }

    pub(crate) fn has_for_slot(&self) -> bool {
        NEW_SLOT_BYTES <= self.slots
    }

    /// Whether there is room for new names of so many bytes, and for so many new slots, together.
    pub(crate) fn has_for(&self, names_bytes: u64, slots: u64) -> bool {
        let slots_bytes = slots.saturating_mul(NEW_SLOT_BYTES);
        (names_bytes == 0 || self.has_for_name(names_bytes))
            && names_bytes.saturating_add(slots_bytes) <= self.slots
    }

    pub(crate) fn take_name(&mut self, bytes: u64) {
        self.names = self.names.saturating_sub(bytes);
        self.slots = self.slots.saturating_sub(bytes);
    }

    pub(crate) fn take_slot(&mut self) {
        self.names = self.names.saturating_sub(NEW_SLOT_BYTES);
        self.slots = self.slots.saturating_sub(NEW_SLOT_BYTES);
    }
}
