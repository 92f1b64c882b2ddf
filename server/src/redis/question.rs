//! What is asked of the driver besides operations: read by a command, answered once all before it is
//! done.

use std::time::Duration;

use bytes::Bytes;
use quipu_core::name::CounterName;

use super::database::Database;
use super::spec::Served;
use super::subscriptions::Topic;
use super::transaction::Transaction;
use super::watched::Watched;
use crate::access::{Allowed, Confirm, Names, Observe, Ops};

/// What is asked of the driver besides operations.
#[derive(Debug)]
pub(super) enum Question {
    /// `DBSIZE`
    Size(Allowed<Names>),
    /// `ROLE`
    Role(Allowed<Observe>),
    /// `INFO`, with the names of sections.
    Info { asked: (Allowed<Observe>, Allowed<Names>), sections: Vec<Bytes> },
    /// `KEYS`
    Keys { names: Allowed<Names>, pattern: Bytes },
    /// `SCAN`
    Scan(Allowed<Names>, Scan),
    /// `SUBSCRIBE`, `PSUBSCRIBE`
    Subscribe(Topic, Vec<Bytes>),
    /// `UNSUBSCRIBE`, `PUNSUBSCRIBE`; no names are all
    Unsubscribe(Topic, Vec<Bytes>),
    /// `PUBSUB`
    Audience(About),
    /// `RANDOMKEY`
    RandomKey(Allowed<Names>),
    /// `FLUSHDB`, and `FLUSHALL`, which is of no database.
    Flush { names: Allowed<Names>, database: Option<Database>, name: &'static str },
    /// `MSETNX`: reads of counters, and sets of them if none exists.
    SetMissing { look: Ops, sets: Ops },
    /// `WATCH`
    Watch(Vec<CounterName>),
    /// `EXEC` behind `WATCH`
    Execute { transaction: Transaction, watched: Watched, served: &'static Served },
    /// `WAIT`; no patience is no end to it.
    Wait { asked: Allowed<Confirm>, peers: usize, patience: Option<Duration> },
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) from: u64,
    pub(super) count: usize,
    pub(super) pattern: Option<Bytes>,
    /// Whether strings are asked for, which is what counters are.
    pub(super) is_of_strings: bool,
}

/// What of the audience is asked for.
#[derive(Debug)]
pub(super) enum About {
    /// `CHANNELS [pattern]`
    Channels(Option<Bytes>),
    /// `NUMSUB [channel …]`
    Subscribers(Vec<Bytes>),
    /// `NUMPAT`
    Patterns,
}
