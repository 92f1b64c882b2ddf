//! The settings of Redis that have a meaning here: a row each, with how it is told and what may be set.
//!
//! One that is given by flags can be set to what it is already, since many programs set what they need
//! without a look: it is answered as done, for it is so. Any other value is refused in Redis's words
//! for what cannot be changed.

use std::str::FromStr;
use std::time::Duration;

use quipu_core::name::DATABASES;

use super::number;
use super::parser::ARGUMENT_BYTES_MAX;
use super::settings::{Classes, KEEPALIVE, SLOW_LOG_MAX};
use super::state::State;
use crate::access::{Allowed, Configure, Observe};
use crate::disk::fsync::Fsync;
use crate::handle::Handle;
use crate::os::memory::Size;

/// What settings are read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) handle: &'a Handle,
    pub(super) asked: &'a Allowed<Observe>,
    pub(super) state: &'a State,
}

/// A row.
#[derive(Debug)]
pub(super) struct Setting {
    /// In lower case.
    pub(super) name: &'static str,
    pub(super) value: fn(&View<'_>) -> String,
    /// What a value means; `None` for what cannot be changed.
    parse: Option<Parse>,
}

type Parse = fn(&[u8]) -> Result<Change, String>;

/// Something that is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is so already.
    Nothing,
    MemoryMax(Size),
    Notified(Classes),
    SlowerThanUs(i64),
    SlowLogEntries(usize),
    SpikeMs(u64),
}

const IMMUTABLE: &str = "can't set immutable config";
const NOT_A_SIZE: &str = "argument must be a memory value";
const NOT_AN_INTEGER: &str = "argument couldn't be parsed into an integer";
const NO_CLASS: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";

/// In alphabetical order.
pub(super) static ALL: [Setting; 20] = [
    fixed("appendfsync", |view| match view.handle.kept(view.asked).fsync {
        Some(Fsync::Every(_)) => "everysec".to_owned(),
        Some(Fsync::Never) | None => "no".to_owned(),
        Some(Fsync::Always) => "always".to_owned(),
    }),
    // Whether every change is written down.
    fixed("appendonly", |view| yes_or_no(view.handle.kept(view.asked).fsync.is_some())),
    fixed("cluster-enabled", |_| yes_or_no(false)),
    fixed("databases", |_| DATABASES.to_string()),
    fixed("enable-debug-command", |_| yes_or_no(false)),
    mutable(
        "latency-monitor-threshold",
        |view| view.state.settings.spike_ms().to_string(),
        |text| integer(text, 0, i64::MAX).map(|ms| Change::SpikeMs(ms.unsigned_abs())),
    ),
    fixed("maxclients", |view| view.state.connections_max.to_string()),
    mutable(
        "maxmemory",
        |view| view.handle.memory(view.asked).bytes_max().unwrap_or_default().to_string(),
        |text| {
            let size = std::str::from_utf8(text).ok().and_then(|text| Size::from_str(text).ok());
            size.map(Change::MemoryMax).ok_or_else(|| NOT_A_SIZE.to_owned())
        },
    ),
    fixed("maxmemory-policy", |_| "noeviction".to_owned()),
    mutable(
        "notify-keyspace-events",
        |view| view.state.settings.notified().to_string(),
        |text| Classes::parse(text).map(Change::Notified).ok_or_else(|| NO_CLASS.to_owned()),
    ),
    fixed("port", |view| view.state.port.to_string()),
    fixed("proto-max-bulk-len", |_| ARGUMENT_BYTES_MAX.to_string()),
    fixed("replica-read-only", |_| yes_or_no(false)),
    fixed("requirepass", |_| String::new()),
    // When all is written anew is never a matter of a schedule.
    fixed("save", |_| String::new()),
    fixed("slave-read-only", |_| yes_or_no(false)),
    mutable(
        "slowlog-log-slower-than",
        |view| view.state.settings.slower_than_us().to_string(),
        |text| integer(text, -1, i64::MAX).map(Change::SlowerThanUs),
    ),
    mutable(
        "slowlog-max-len",
        |view| view.state.settings.slow_log_entries().to_string(),
        |text| {
            let entries = integer(text, 0, SLOW_LOG_MAX as i64)?;
            Ok(Change::SlowLogEntries(usize::try_from(entries).unwrap_or_default()))
        },
    ),
    fixed("tcp-keepalive", |_| KEEPALIVE.as_secs().to_string()),
    // Connections may be idle for ever.
    fixed("timeout", |_| Duration::ZERO.as_secs().to_string()),
];

const fn fixed(name: &'static str, value: fn(&View<'_>) -> String) -> Setting {
    Setting { name, value, parse: None }
}

const fn mutable(name: &'static str, value: fn(&View<'_>) -> String, parse: Parse) -> Setting {
    Setting { name, value, parse: Some(parse) }
}

fn yes_or_no(is: bool) -> String {
    (if is { "yes" } else { "no" }).to_owned()
}

fn integer(text: &[u8], least: i64, most: i64) -> Result<i64, String> {
    let number = number::integer(text).ok_or(NOT_AN_INTEGER)?;
    if !(least..=most).contains(&number) {
        return Err(format!("argument must be between {least} and {most} inclusive"));
    }
    Ok(number)
}

/// The setting with this name, in upper or lower case.
pub(super) fn find(name: &[u8]) -> Option<&'static Setting> {
    ALL.iter().find(|setting| name.eq_ignore_ascii_case(setting.name.as_bytes()))
}

impl Setting {
    /// What a value would change, or why it cannot be set.
    pub(super) fn change(&self, view: &View<'_>, value: &[u8]) -> Result<Change, String> {
        match self.parse {
            Some(parse) => parse(value),
            None if value.eq_ignore_ascii_case((self.value)(view).as_bytes()) => {
                Ok(Change::Nothing)
            }
            None => Err(IMMUTABLE.to_owned()),
        }
    }
}

impl Change {
    /// Sets it.
    pub(super) fn apply(self, view: &View<'_>, configure: &Allowed<Configure>) {
        let State { settings, slow, .. } = view.state;
        match self {
            Change::Nothing => {}
            Change::MemoryMax(size) => view.handle.limit_memory(configure, size),
            Change::Notified(classes) => settings.set_notified(classes),
            Change::SlowerThanUs(us) => settings.set_slower_than_us(us),
            Change::SlowLogEntries(entries) => {
                settings.set_slow_log_entries(entries);
                slow.truncate_log(entries);
            }
            Change::SpikeMs(ms) => settings.set_spike_ms(ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_in_order_so_that_none_is_there_twice() {
        assert!(ALL.is_sorted_by(|one, other| one.name < other.name));
    }

    #[test]
    fn a_value_is_read_or_refused_in_the_words_of_redis() {
        let parsed = |name: &str, value: &str| {
            let parse = find(name.as_bytes()).and_then(|setting| setting.parse).expect(name);
            parse(value.as_bytes())
        };
        assert_eq!(parsed("maxmemory", "1gb"), Ok(Change::MemoryMax(Size(1 << 30))));
        assert_eq!(parsed("MaxMemory", "bla"), Err(NOT_A_SIZE.to_owned()));
        assert_eq!(parsed("slowlog-log-slower-than", "-1"), Ok(Change::SlowerThanUs(-1)));
        assert_eq!(parsed("slowlog-log-slower-than", "x"), Err(NOT_AN_INTEGER.to_owned()));
        assert_eq!(
            parsed("slowlog-max-len", "-1"),
            Err("argument must be between 0 and 1024 inclusive".to_owned())
        );
        assert_eq!(parsed("notify-keyspace-events", "q"), Err(NO_CLASS.to_owned()));
        assert!(find(b"hash-max-ziplist-entries").is_none());
    }
}
