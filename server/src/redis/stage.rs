//! What tests of this room need around it: a way to a driver that is not there.

use std::sync::Arc;

use quipu_core::identity::Address;

use crate::handle::{Handle, Kept};
use crate::inbox::{Inbox, inbox};
use crate::network::Counts;
use crate::network::resolve::Resolver;
use crate::os::memory::{Memory, Size};

/// A handle, and where what is asked by it arrives.
pub(super) fn handle() -> (Handle, Inbox) {
    let (outside, inbox) = inbox();
    let handle = Handle::new(
        outside.commands,
        outside.arrivals,
        Address::parse("127.0.0.1:1", 1).unwrap(),
        Arc::new(Resolver::new()),
        Arc::new(Counts::default()),
        Kept::default(),
        Arc::new(Memory::new(Some(Size(0)))),
    );
    handle.open();
    (handle, inbox)
}
