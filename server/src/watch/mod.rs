//! Who wants to see what changes: one asks the driver for all of them.
//!
//! A watcher wants the newest value of each counter and every one in the end, but need not see each
//! step on the way. So `hub` asks the driver what has changed, whatever the number of watchers, and
//! writes it into a `record` in which every counter stands once, at the place of its last change. A
//! watcher is then nothing but a position in that record: it reads on from there at its own pace,
//! skips by itself what has been overtaken meanwhile, and costs no memory however slow it is. The
//! same position lets it go on where it was after its connection broke.
//!
//! Rejected: a queue for each watcher, which is either without bound or loses the last value; a
//! broadcast of every change, which makes each watcher handle the load of all counters.

mod gauge;
mod hub;
pub(crate) mod metrics;
mod record;
mod watcher;

pub(crate) use hub::TICK as EVERY_MIN;
pub(crate) use hub::{Line, Watch, lines};
pub(crate) use record::{Change, Filter, Peer, Position, row_json};
pub(crate) use watcher::{Begin, EVERY_MAX, Read, Refused, Watcher};
