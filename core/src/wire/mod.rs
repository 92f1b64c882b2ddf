//! What is said between nodes, as bytes.
//!
//! Datagrams carry beacons and membership, frames on links carry everything that is counted. Both
//! are postcard (its wire format 1.0) behind a few bytes of our own:
//!
//! ```text
//! datagram  "QPU" | versions u8 | cluster tag u32 LE | body (postcard) | MAC 16 bytes, with a secret
//!           versions: the low four bits are that of the body; the high four bits the highest that
//!           the sender reads, 0 where it is that of the body
//! frame     kind u8 | body (postcard)            (its length, 3 bytes big-endian, is the link's)
//! ```
//!
//! postcard does not describe itself, so kinds are never reordered and a changed body is a new
//! kind. Every length is bounded before it is trusted: a frame by the link before it is read, a
//! sequence by the bytes that are really there, and what is decoded is checked before it is used.

mod absences;
pub mod auth;
pub mod datagram;
pub mod error;
pub mod frame;
mod settlements;
mod values;
pub mod versions;

use serde::Serialize;

fn write<T: Serialize>(value: &T, into: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, into).expect("writing to memory does not fail")
}
