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
use crate::access::{Allowed, Confirm, Names, Observe, OnlyIf, Ops};

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
    /// `MSETNX`: sets of counters if they are missing.
    SetMissing { sets: Ops, missing: OnlyIf },
    /// `WATCH`
    Watch(Vec<CounterName>),
    /// `EXEC` behind `WATCH`, or of scripts
    Execute { transaction: Transaction, watched: Watched, served: &'static Served },
    /// `EVAL`, `SCRIPT` and the like
    Scripts(Scripts, &'static Served),
    /// `WAIT`; no patience is no end to it.
    Wait { asked: Allowed<Confirm>, peers: usize, patience: Option<Duration> },
}

/// What is asked of scripts.
#[derive(Clone, Debug)]
pub(super) enum Scripts {
    /// To run one.
    Eval(Eval),
    /// `SCRIPT LOAD`
    Load(Bytes),
    Shelf(AskedOfShelf),
}

/// What is answered without running one.
#[derive(Clone, Debug)]
pub(super) enum AskedOfShelf {
    /// `SCRIPT EXISTS`
    Exist(Vec<Bytes>),
    /// `SCRIPT FLUSH`
    Flush,
    /// `SCRIPT KILL`
    Kill,
}

/// `EVAL script numkeys [key …] [arg …]` and its kind.
#[derive(Clone, Debug)]
pub(super) struct Eval {
    pub(super) script: Named,
    pub(super) keys: Vec<Bytes>,
    pub(super) arguments: Vec<Bytes>,
    /// Whether it may only read, by its command.
    pub(super) only_reads: bool,
}

/// Which script.
#[derive(Clone, Debug)]
pub(super) enum Named {
    Body(Bytes),
    /// In hexadecimal.
    Sha(Bytes),
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
