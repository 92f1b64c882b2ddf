//! What the node asks of itself, on behalf of clients that were judged before: which counters have
//! changed, for all watchers together. `core/tests/rooms.rs` sees to it that no front end uses this.

use quipu_core::operation::Op;

use super::allowed::Allowed;
use super::ops::Ops;

/// Something that the node asks.
pub(crate) fn ask<T>(asked: T) -> Allowed<T> {
    Allowed::new(asked)
}

/// Operations that the node asks for.
pub(crate) fn ops(ops: Vec<Op>) -> Ops {
    Ops::of(ops)
}
