//! Every command that is served, and the known ones that are refused.
//!
//! One row each, from which the lookup, `COMMAND` and the metrics all read.

use super::command::Command;
use super::errors;
use super::subcommands::words;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Auth,
    Client,
    CommandInfo,
    Config,
    DbSize,
    Decr,
    DecrBy,
    Discard,
    Echo,
    Exec,
    Exists,
    Get,
    Hello,
    Incr,
    IncrBy,
    Info,
    Keys,
    MGet,
    Multi,
    Ping,
    PSubscribe,
    PubSub,
    PUnsubscribe,
    Quit,
    Reset,
    Role,
    Scan,
    Select,
    StrLen,
    Subscribe,
    Ttl,
    Type,
    Unsubscribe,
    Unwatch,
    Wait,
}

/// Why a command of Redis is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Assigns,
    Clusters,
    Deletes,
    Expires,
    NotACounter,
    NotAnInteger,
    Publishes,
    Scripts,
    Subscribes,
    Watches,
}

/// A group of commands, as metrics count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Write,
    Read,
    Keyspace,
    Connection,
    Transaction,
    Subscription,
    Refused,
    Unknown,
}

impl Class {
    pub(super) const ALL: [Class; 8] = [
        Class::Write,
        Class::Read,
        Class::Keyspace,
        Class::Connection,
        Class::Transaction,
        Class::Subscription,
        Class::Refused,
        Class::Unknown,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Class::Write => "write",
            Class::Read => "read",
            Class::Keyspace => "keyspace",
            Class::Connection => "connection",
            Class::Transaction => "transaction",
            Class::Subscription => "subscription",
            Class::Refused => "refused",
            Class::Unknown => "unknown",
        }
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Spec {
    /// In lower case.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) class: Class,
    /// How many arguments it takes, its name included; at least so many if negative.
    pub(super) arity: i64,
    /// Where its first and last key stand: (0, 0) if it has none, -1 for the last argument.
    pub(super) keys: (i64, i64),
    /// For `COMMAND DOCS`.
    pub(super) summary: &'static str,
}

/// The commands that are served, in alphabetical order.
pub(super) static SERVED: [Spec; 39] = {
    use Class::{Connection, Keyspace, Read, Subscription, Transaction, Write};
    [
        row(
            "auth",
            Kind::Auth,
            Connection,
            -2,
            (0, 0),
            "Lets in the user `default`, whatever the password",
        ),
        row("client", Kind::Client, Connection, -2, (0, 0), "Names this connection"),
        row("command", Kind::CommandInfo, Connection, -1, (0, 0), "Tells what is served"),
        row("config", Kind::Config, Connection, -2, (0, 0), "Tells settings that tools ask for"),
        row("dbsize", Kind::DbSize, Keyspace, 1, (0, 0), "Tells how many counters there are"),
        row("decr", Kind::Decr, Write, 2, (1, 1), "Subtracts one from a counter"),
        row("decrby", Kind::DecrBy, Write, 3, (1, 1), "Subtracts from a counter"),
        row("discard", Kind::Discard, Transaction, 1, (0, 0), "Forgets the commands since MULTI"),
        row("echo", Kind::Echo, Connection, 2, (0, 0), "Answers with its argument"),
        row("exec", Kind::Exec, Transaction, 1, (0, 0), "Does the commands since MULTI as one"),
        row("exists", Kind::Exists, Read, -2, (1, -1), "Tells how many of the counters exist"),
        row("expiretime", Kind::Ttl, Read, 2, (1, 1), "Tells that a counter lives for ever"),
        row("get", Kind::Get, Read, 2, (1, 1), "Tells a counter's value"),
        row("hello", Kind::Hello, Connection, -1, (0, 0), "Agrees on the protocol's version"),
        row("incr", Kind::Incr, Write, 2, (1, 1), "Adds one to a counter"),
        row("incrby", Kind::IncrBy, Write, 3, (1, 1), "Adds to a counter"),
        row("info", Kind::Info, Keyspace, -1, (0, 0), "Tells of this node"),
        row("keys", Kind::Keys, Keyspace, 2, (0, 0), "Tells the names that match a pattern"),
        row("mget", Kind::MGet, Read, -2, (1, -1), "Tells the values of counters"),
        row("multi", Kind::Multi, Transaction, 1, (0, 0), "Holds commands back until EXEC"),
        row("pexpiretime", Kind::Ttl, Read, 2, (1, 1), "Tells that a counter lives for ever"),
        row("ping", Kind::Ping, Connection, -1, (0, 0), "Answers"),
        row(
            "psubscribe",
            Kind::PSubscribe,
            Subscription,
            -2,
            (0, 0),
            "Tells the values of counters that match a pattern, as they change",
        ),
        row("pttl", Kind::Ttl, Read, 2, (1, 1), "Tells that a counter lives for ever"),
        row("pubsub", Kind::PubSub, Subscription, -2, (0, 0), "Tells who listens on this node"),
        row("punsubscribe", Kind::PUnsubscribe, Subscription, -1, (0, 0), "Ends PSUBSCRIBE"),
        row("quit", Kind::Quit, Connection, -1, (0, 0), "Ends the connection"),
        row("reset", Kind::Reset, Connection, 1, (0, 0), "Makes the connection as new"),
        row("role", Kind::Role, Keyspace, 1, (0, 0), "Tells that this node takes writes"),
        row("scan", Kind::Scan, Keyspace, -2, (0, 0), "Tells all names, step by step"),
        row("select", Kind::Select, Connection, 2, (0, 0), "Chooses the only database, 0"),
        row("strlen", Kind::StrLen, Read, 2, (1, 1), "Tells how long a counter's value is"),
        row(
            "subscribe",
            Kind::Subscribe,
            Subscription,
            -2,
            (0, 0),
            "Tells the values of counters, as they change",
        ),
        row("touch", Kind::Exists, Read, -2, (1, -1), "Tells how many of the counters exist"),
        row("ttl", Kind::Ttl, Read, 2, (1, 1), "Tells that a counter lives for ever"),
        row("type", Kind::Type, Read, 2, (1, 1), "Tells that a counter is a string"),
        row("unsubscribe", Kind::Unsubscribe, Subscription, -1, (0, 0), "Ends SUBSCRIBE"),
        row("unwatch", Kind::Unwatch, Transaction, 1, (0, 0), "Answers: nothing is ever watched"),
        row(
            "wait",
            Kind::Wait,
            Keyspace,
            3,
            (0, 0),
            "Waits until peers have confirmed the last change",
        ),
    ]
};

/// What is wrong with a command's number of arguments, or with its second word.
pub(super) fn check(spec: &Spec, command: &Command<'_>) -> Result<(), Vec<u8>> {
    if !takes(spec.arity, command.len()) {
        return Err(errors::arity(spec.name).into());
    }
    // What has second words takes any number of arguments, which spares an INCR the search.
    if spec.arity >= 0 || command.len() < 2 {
        return Ok(());
    }
    let mut words = words(spec.kind).peekable();
    if words.peek().is_none() {
        return Ok(());
    }
    match words.find(|word| command.is(1, word.word)) {
        Some(word) if takes(word.arity, command.len()) => Ok(()),
        Some(word) => Err(errors::arity(word.name).into()),
        None => Err(errors::unknown_subcommand(command, spec.name)),
    }
}

/// A command's name with its second word, if it has some, as errors tell it.
pub(super) fn full_name(spec: &Spec, command: &Command<'_>) -> &'static str {
    words(spec.kind).find(|word| command.is(1, word.word)).map_or(spec.name, |word| word.name)
}

fn takes(arity: i64, arguments: usize) -> bool {
    let arguments = i64::try_from(arguments).unwrap_or(i64::MAX);
    if arity < 0 { arguments >= -arity } else { arguments == arity }
}

const fn row(
    name: &'static str,
    kind: Kind,
    class: Class,
    arity: i64,
    keys: (i64, i64),
    summary: &'static str,
) -> Spec {
    Spec { name, kind, class, arity, keys, summary }
}

/// Commands of Redis that are refused with a reason, by reason.
const REFUSED: [(Reason, &[&str]); 10] = [
    (
        Reason::Assigns,
        &[
            "set", "setnx", "setex", "psetex", "getset", "mset", "msetnx", "setrange", "append",
            "restore",
        ],
    ),
    (
        Reason::Deletes,
        &[
            "del", "unlink", "getdel", "flushdb", "flushall", "rename", "renamenx", "move", "copy",
            "swapdb",
        ],
    ),
    (Reason::Expires, &["expire", "pexpire", "expireat", "pexpireat", "persist", "getex"]),
    (Reason::NotAnInteger, &["incrbyfloat", "hincrbyfloat"]),
    (
        Reason::NotACounter,
        &[
            "hset", "hsetnx", "hmset", "hincrby", "hdel", "lpush", "rpush", "lpop", "rpop", "lset",
            "sadd", "srem", "spop", "zadd", "zincrby", "zrem", "xadd", "pfadd", "setbit",
            "bitfield", "geoadd", "hget", "hgetall", "lrange", "smembers", "zrange", "object",
        ],
    ),
    (Reason::Scripts, &["eval", "evalsha", "eval_ro", "evalsha_ro", "script", "function", "fcall"]),
    (Reason::Publishes, &["publish", "spublish"]),
    (Reason::Subscribes, &["ssubscribe", "sunsubscribe", "monitor"]),
    (Reason::Watches, &["watch"]),
    (Reason::Clusters, &["cluster", "readonly", "readwrite", "asking"]),
];

/// What was found under a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Served(&'static Spec),
    Refused(Reason),
}

/// Finds a command by its name in upper or lower case.
pub(super) fn find(name: &[u8]) -> Option<Found> {
    let sought = key(name)?;
    match SERVED_KEYS.binary_search_by_key(&sought, |(key, _)| *key) {
        Ok(at) => Some(Found::Served(&SERVED[SERVED_KEYS[at].1])),
        Err(_) => REFUSED
            .iter()
            .find(|(_, names)| names.iter().any(|name| key(name.as_bytes()) == Some(sought)))
            .map(|(reason, _)| Found::Refused(*reason)),
    }
}

/// A connection's last command, which nearly always is the next one too.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Exactly as it came.
    name: Vec<u8>,
    spec: Option<&'static Spec>,
}

impl Last {
    /// As [`find`], and takes it down.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Found> {
        if let Some(spec) = self.spec
            && self.name == name
        {
            return Some(Found::Served(spec));
        }
        let found = find(name);
        if let Some(Found::Served(spec)) = found {
            self.name.clear();
            self.name.extend_from_slice(name);
            self.spec = Some(spec);
        }
        found
    }
}

/// A name of up to 16 bytes as one number, letters in lower case: comparing numbers takes a tenth
/// of the time that comparing texts does, and this happens for every command.
const fn key(name: &[u8]) -> Option<u128> {
    let mut key = 0;
    if name.len() > size_of::<u128>() {
        return None;
    }
    let mut at = 0;
    while at < name.len() {
        key = key << 8 | name[at].to_ascii_lowercase() as u128;
        at += 1;
    }
    Some(key)
}

/// The keys of the commands that are served, in order, and where they stand.
const SERVED_KEYS: [(u128, usize); SERVED.len()] = {
    let mut keys = [(0, 0); SERVED.len()];
    let mut count = 0;
    while count < SERVED.len() {
        let new = match key(SERVED[count].name.as_bytes()) {
            Some(new) => new,
            None => panic!("a command's name is longer than those that are looked for"),
        };
        let mut at = count;
        while at > 0 && keys[at - 1].0 > new {
            keys[at] = keys[at - 1];
            at -= 1;
        }
        keys[at] = (new, count);
        count += 1;
    }
    keys
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_by_its_name_in_any_case() {
        for spec in &SERVED {
            let found = find(spec.name.to_uppercase().as_bytes());
            assert!(
                matches!(found, Some(Found::Served(found)) if found.name == spec.name),
                "{}: {found:?}",
                spec.name
            );
        }
        for spec in &SERVED {
            assert!(
                words(spec.kind).next().is_none() || spec.arity < 0,
                "{}: they would not be looked at",
                spec.name
            );
        }
        assert!(matches!(find(b"SeT"), Some(Found::Refused(Reason::Assigns))));
        assert!(find(b"").is_none() && find(b"incrx").is_none() && find(&[b'a'; 300]).is_none());
    }

    #[test]
    fn the_last_command_is_no_other_one() {
        let mut last = Last::default();
        for name in ["incr", "incr", "INCR", "incrby", "set", "nothing", "incr", "decr", ""] {
            let (found, expected) = (last.find(name.as_bytes()), find(name.as_bytes()));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{name}");
        }
    }
}
