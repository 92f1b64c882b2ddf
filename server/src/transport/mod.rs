//! Connections: how they are listened for, taken, dialed and bounded, and what they are made of.
//!
//! A front end is given a [`Stream`](stream::Stream) and never a socket: what lies beneath it, and
//! what the system has to be told of it, is known in this room only. So a connection that is
//! encrypted will be one more case of that type, and no front end will see it.
//!
//! `listener` hears connections, `acceptor` hands them to a front end and keeps their number in
//! bounds, `dial` opens one; `blocking` is the same for commands that have no runtime. `half_closed`
//! is the rule for clients that end their side behind a request, `link` what is left of an HTTP
//! connection that has become a link.

pub(crate) mod acceptor;
pub(crate) mod blocking;
pub(crate) mod dial;
pub(crate) mod half_closed;
pub(crate) mod link;
pub(crate) mod listener;
mod read_through;
mod spare;
pub(crate) mod stream;
