//! Redis's keyspace notifications: `expired` and `del`, for the counters of a database.
//!
//! `__keyspace@0__:visits` tells what happened to that counter, `__keyevent@0__:expired` to which counters
//! it happened. Nodes pass no messages on: each tells what it sees, whichever node deleted a counter, and
//! at most once in the time in which values are told. A counter that is there again by then has not
//! ended for those who listen.

use bytes::Bytes;
use quipu_core::name::{CounterName, in_database};
use quipu_core::query::Gone;

use super::database::Database;
use super::number;
use super::settings::Classes;

const KEYSPACE: &[u8] = b"__keyspace@";
const KEYEVENT: &[u8] = b"__keyevent@";

/// What stands behind the number of a database.
const BEHIND: &[u8] = b"__:";

/// What all channels of notifications begin with.
pub(super) const PREFIXES: [&[u8]; 2] = [KEYSPACE, KEYEVENT];

/// The longest beginning of one, with a number of two digits.
pub(super) const PREFIX_BYTES_MAX: usize = KEYSPACE.len() + 2 + BEHIND.len();

/// Of what a channel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Counter(CounterName),
    All,
}

/// Of what a channel of notifications tells; `None` of one on which nothing will be told.
pub(super) fn told_by(channel: &Bytes) -> Option<Told> {
    if let Some(rest) = channel.strip_prefix(KEYSPACE) {
        let (database, name) = cut(rest)?;
        return database.counter(name).ok().map(Told::Counter);
    }
    let (_, event) = cut(channel.strip_prefix(KEYEVENT)?)?;
    [Gone::Expired, Gone::Deleted].iter().any(|gone| word(*gone) == event).then_some(Told::All)
}

/// The database that a channel is of, and what stands behind it.
fn cut(rest: &[u8]) -> Option<(Database, &[u8])> {
    let at = rest.windows(BEHIND.len()).position(|bytes| bytes == BEHIND)?;
    let database = Database::new(number::integer(&rest[..at])?)?;
    Some((database, &rest[at + BEHIND.len()..]))
}

/// The event, in Redis's word.
fn word(gone: Gone) -> &'static [u8] {
    match gone {
        Gone::Expired => b"expired",
        Gone::Deleted => b"del",
    }
}

/// What is told when a counter has ended, in the order of Redis: channels and messages.
pub(super) fn of(name: &CounterName, gone: Gone, classes: Classes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let class = match gone {
        Gone::Expired => b'x',
        Gone::Deleted => b'g',
    };
    let mut told = Vec::new();
    if !classes.has(class) {
        return told;
    }
    let (database, key) = in_database(name.as_str());
    let channel = |prefix: &[u8], what: &[u8]| {
        [prefix, database.to_string().as_bytes(), BEHIND, what].concat()
    };
    let (key, event) = (key.as_bytes(), word(gone));
    if classes.has(b'K') {
        told.push((channel(KEYSPACE, key), event.to_vec()));
    }
    if classes.has(b'E') {
        told.push((channel(KEYEVENT, event), key.to_vec()));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CounterName {
        CounterName::new(text.to_owned()).unwrap()
    }

    fn told(text: &str, gone: Gone, classes: &str) -> Vec<String> {
        let classes = Classes::parse(classes.as_bytes()).unwrap();
        let text_of = |(channel, message): (Vec<u8>, Vec<u8>)| {
            format!("{} {}", channel.escape_ascii(), message.escape_ascii())
        };
        of(&name(text), gone, classes).into_iter().map(text_of).collect()
    }

    #[test]
    fn an_end_is_told_on_the_channels_that_its_classes_ask_for() {
        assert_eq!(
            told("a", Gone::Expired, "KEA"),
            ["__keyspace@0__:a expired", "__keyevent@0__:expired a"]
        );
        assert_eq!(told("db3:a", Gone::Deleted, "Kg"), ["__keyspace@3__:a del"]);
        assert_eq!(told("a", Gone::Expired, "Eg"), [""; 0]);
        assert_eq!(told("a", Gone::Expired, "x"), [""; 0]);
        assert_eq!(told("a", Gone::Deleted, ""), [""; 0]);
    }

    #[test]
    fn a_channel_tells_of_one_counter_or_of_all_or_is_silent() {
        let by = |channel: &'static str| told_by(&Bytes::from_static(channel.as_bytes()));
        assert_eq!(by("__keyspace@0__:a"), Some(Told::Counter(name("a"))));
        assert_eq!(by("__keyspace@15__:a__:b"), Some(Told::Counter(name("db15:a__:b"))));
        assert_eq!(by("__keyevent@9__:expired"), Some(Told::All));
        assert_eq!(by("__keyevent@0__:del"), Some(Told::All));
        for silent in
            ["__keyevent@0__:set", "__keyspace@16__:a", "__keyspace@0__:", "__keyspace@0", "news"]
        {
            assert_eq!(by(silent), None, "{silent}");
        }
    }
}
