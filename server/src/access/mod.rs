//! Who asks, and whether that caller may have what is asked.
//!
//! Each front end makes a [`Caller`] of each connection, and has it ask: `caller.ask(what)` gives an
//! [`Allowed`] of it, and [`Ops::add`] takes an operation in. A [`Handle`](crate::handle::Handle)
//! takes nothing else, and only this room can make one, so no call and no command reaches the node
//! without a judgement. Every judgement is made in [`judge`], from what is asked in the words of the
//! domain. For now every caller may have everything.
//!
//! Rejected: a check at each call and command, which the next one would lack; a check in the driver,
//! in which one refused operation would have to be told apart from the others of its message.

mod action;
mod allowed;
mod caller;
mod judge;
mod ops;
pub(crate) mod own;

pub(crate) use action::Action;
#[cfg(test)]
pub(crate) use action::Right;
pub(crate) use allowed::{
    Administer, Allowed, Asks, Configure, Confirm, EveryChange, Health, Link, Names, Observe, Peers,
};
pub(crate) use caller::{Caller, Door};
pub(crate) use judge::Denied;
pub(crate) use ops::{OnlyIf, Ops};
