//! Every command that is served, and the known ones that are refused.
//!
//! One row each, from which the lookup, `COMMAND` and the metrics all read.

use super::command::Command;
use super::commands::refused::{REFUSED, Reason};
use super::commands::{
    auth, client, command, config, dbsize, decr, decrby, del, discard, echo, eval, exec, exists,
    expire, flush, function, get, getdel, getex, getrange, getset, hello, incr, incrby,
    incrbyfloat, increx, info, keys, kind, latency, memory, mget, mset, msetnx, multi, object,
    persist, ping, pubsub, quit, randomkey, reset, role, scan, script, select, set, setex, setnx,
    slowlog, strlen, subscribe, time, ttl, unsubscribe, unwatch, wait, watch,
};
use super::errors;
use super::spec::{Served, Spec};

/// The commands that are served, in alphabetical order.
static SERVED: [Spec; 75] = [
    auth::SPEC,
    client::SPEC,
    command::SPEC,
    config::SPEC,
    dbsize::SPEC,
    decr::SPEC,
    decrby::SPEC,
    del::SPEC,
    discard::SPEC,
    echo::SPEC,
    eval::SPEC,
    eval::EVAL_RO,
    eval::EVALSHA,
    eval::EVALSHA_RO,
    exec::SPEC,
    exists::SPEC,
    expire::SPEC,
    expire::EXPIREAT,
    ttl::EXPIRETIME,
    flush::FLUSHALL,
    flush::FLUSHDB,
    function::SPEC,
    get::SPEC,
    getrange::GETBIT,
    getdel::SPEC,
    getex::SPEC,
    getrange::SPEC,
    getset::SPEC,
    hello::SPEC,
    incr::SPEC,
    incrby::SPEC,
    incrbyfloat::SPEC,
    increx::SPEC,
    info::SPEC,
    keys::SPEC,
    latency::SPEC,
    memory::SPEC,
    mget::SPEC,
    mset::SPEC,
    msetnx::SPEC,
    multi::SPEC,
    object::SPEC,
    persist::SPEC,
    expire::PEXPIRE,
    expire::PEXPIREAT,
    ttl::PEXPIRETIME,
    ping::SPEC,
    setex::PSETEX,
    subscribe::PSUBSCRIBE,
    ttl::PTTL,
    pubsub::SPEC,
    unsubscribe::PUNSUBSCRIBE,
    quit::SPEC,
    randomkey::SPEC,
    reset::SPEC,
    role::SPEC,
    scan::SPEC,
    script::SPEC,
    select::SPEC,
    set::SPEC,
    setex::SPEC,
    setnx::SPEC,
    slowlog::SPEC,
    strlen::SPEC,
    subscribe::SPEC,
    getrange::SUBSTR,
    time::SPEC,
    exists::TOUCH,
    ttl::SPEC,
    kind::SPEC,
    del::UNLINK,
    unsubscribe::SPEC,
    unwatch::SPEC,
    wait::SPEC,
    watch::SPEC,
];

/// The same, for commands that tell of commands.
pub(super) static TABLE: Served = Served { all: &SERVED, find: served };

/// What is wrong with a command's number of arguments, or with its second word.
pub(super) fn check(spec: &Spec, command: &Command<'_>) -> Result<(), Vec<u8>> {
    if !takes(spec.arity, command.len()) {
        return Err(errors::arity(spec.name).into());
    }
    // What has second words takes any number of arguments, which spares an INCR the search.
    if spec.arity >= 0 || command.len() < 2 {
        return Ok(());
    }
    if spec.words.is_empty() {
        return Ok(());
    }
    match spec.words.iter().find(|word| command.is(1, word.word)) {
        Some(word) if takes(word.arity, command.len()) => Ok(()),
        Some(word) => Err(errors::arity(word.name).into()),
        None => Err(errors::unknown_subcommand(command, spec.name)),
    }
}

fn takes(arity: i64, arguments: usize) -> bool {
    let arguments = i64::try_from(arguments).unwrap_or(i64::MAX);
    if arity < 0 { arguments >= -arity } else { arguments == arity }
}

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
            .find(|(_, names)| names.split(' ').any(|name| key(name.as_bytes()) == Some(sought)))
            .map(|(reason, _)| Found::Refused(*reason)),
    }
}

fn served(name: &[u8]) -> Option<&'static Spec> {
    match find(name)? {
        Found::Served(spec) => Some(spec),
        Found::Refused(_) => None,
    }
}

/// A connection's last two commands, of which nearly always one is the next one too: clients that
/// limit send `INCR` and `EXPIRE` by turns.
#[derive(Debug, Default)]
pub(super) struct Last {
    /// Each exactly as it came.
    known: [(Vec<u8>, Option<&'static Spec>); 2],
    /// Which of them came earlier.
    older: usize,
    /// Which of them was the last, and whether that was told.
    last: usize,
    is_new: bool,
}

impl Last {
    /// As [`find`], and takes it down.
    #[inline]
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Found> {
        for (at, (known, spec)) in self.known.iter().enumerate() {
            if known == name {
                self.is_new |= self.last != at;
                self.last = at;
                return spec.map(Found::Served);
            }
        }
        self.find_other(name)
    }

    #[inline(never)]
    fn find_other(&mut self, name: &[u8]) -> Option<Found> {
        let found = find(name);
        if let Some(Found::Served(spec)) = found {
            let (known, of) = &mut self.known[self.older];
            known.clear();
            known.extend_from_slice(name);
            *of = Some(spec);
            self.last = self.older;
            self.older = 1 - self.older;
            self.is_new = true;
        }
        found
    }

    /// The name of the last command, if it is another one than when this was asked before. What takes
    /// second words is told where those are read.
    pub(super) fn take_new(&mut self) -> Option<&'static str> {
        let is_new = std::mem::take(&mut self.is_new);
        let spec = self.known[self.last].1;
        spec.filter(|spec| is_new && spec.words.is_empty()).map(|spec| spec.name)
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
                spec.words.is_empty() || spec.arity < 0,
                "{}: they would not be looked at",
                spec.name
            );
        }
        assert!(matches!(find(b"ApPend"), Some(Found::Refused(Reason::Edits))));
        assert!(find(b"").is_none() && find(b"incrx").is_none() && find(&[b'a'; 300]).is_none());
    }

    #[test]
    fn the_last_command_is_no_other_one() {
        let mut last = Last::default();
        for name in ["incr", "incr", "INCR", "incrby", "append", "nothing", "incr", "decr", ""] {
            let (found, expected) = (last.find(name.as_bytes()), find(name.as_bytes()));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{name}");
        }
    }
}
