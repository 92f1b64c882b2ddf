//! What a connection has subscribed to: a channel for each counter, `counter:<name>`, on which its
//! value is told when it changes.
//!
//! There is no queue of messages. The connection reads the record of changes when all that it told
//! before has left, so a slow client skips values and never the last one.
//!
//! Beside them stand Redis's keyspace notifications, as far as `CONFIG SET notify-keyspace-events` asks
//! for them: that a counter has expired or was deleted ([`notification`](super::notification)).
//!
//! Any other channel is silent: it is confirmed and counted, and nothing is ever told on it. Clients
//! subscribe to channels of Redis's or their own as soon as they connect, and take a refusal for a
//! server that does not work.

use bytes::Bytes;
use quipu_core::name::{CounterName, NAME_BYTES_MAX};
use quipu_core::operation::Value;
use quipu_core::query::Gone;

use super::glob;
use super::notification::{self, Told};
use super::reply::{self, Protocol};
use super::settings::Classes;
use crate::watch::Filter;

/// What every channel of a counter begins with.
const CHANNEL: &[u8] = b"counter:";

/// Channels of one connection: each is looked up at every turn, as for who watches by HTTP.
const CHANNELS_MAX: usize = 200;

/// Patterns of one connection: each is held against every counter that has changed.
const PATTERNS_MAX: usize = 8;

/// Longest channel: of the notifications of a counter with the longest name. A silent one has no reason to be longer.
const CHANNEL_BYTES_MAX: usize = notification::PREFIX_BYTES_MAX + NAME_BYTES_MAX;

/// Longest pattern: the channels' beginning, and the longest name with every byte escaped.
const PATTERN_BYTES_MAX: usize = notification::PREFIX_BYTES_MAX + 2 * NAME_BYTES_MAX;

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Channel,
    Pattern,
}

/// What has become of a counter.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) name: CounterName,
    /// 0 if it does not exist any more.
    pub(super) value: Value,
    /// How it ended, if that was not told before.
    pub(super) gone: Option<Gone>,
}

/// The subscriptions of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    channels: Vec<Bytes>,
    patterns: Vec<Bytes>,
    /// Whether notifications were asked for when it subscribed last. While they are not, their channels
    /// are as silent as any other, and cost nothing.
    is_notified: bool,
}

impl Topic {
    fn subscribed(self) -> &'static [u8] {
        match self {
            Topic::Channel => b"subscribe",
            Topic::Pattern => b"psubscribe",
        }
    }

    fn unsubscribed(self) -> &'static [u8] {
        match self {
            Topic::Channel => b"unsubscribe",
            Topic::Pattern => b"punsubscribe",
        }
    }
}

impl Subscriptions {
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Whether a counter may be among them, so that there is something to tell.
    pub(super) fn are_of_counters(&self) -> bool {
        self.channels.iter().any(|channel| self.told_by(channel).is_some())
            || self.patterns.iter().any(|pattern| can_match(pattern) || self.may_notify(pattern))
    }

    /// What is subscribed to.
    pub(super) fn names(&self, topic: Topic) -> &[Bytes] {
        match topic {
            Topic::Channel => &self.channels,
            Topic::Pattern => &self.patterns,
        }
    }

    fn of(&mut self, topic: Topic) -> &mut Vec<Bytes> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    /// Whether these can be subscribed to as well. All are or none is: who counts confirmations
    /// knows from the one error that none will come.
    pub(super) fn admit(&self, topic: Topic, names: &[Bytes]) -> Result<(), String> {
        let (known, max) = match topic {
            Topic::Channel => (&self.channels, CHANNELS_MAX),
            Topic::Pattern => (&self.patterns, PATTERNS_MAX),
        };
        let mut new: Vec<&Bytes> = names.iter().filter(|name| !known.contains(name)).collect();
        new.sort_unstable();
        new.dedup();
        if names.len() > max || known.len() + new.len() > max {
            return Err(match topic {
                Topic::Channel => format!(
                    "ERR expected at most {max} channels of a connection, found more; a pattern \
                     has room for all"
                ),
                Topic::Pattern => format!(
                    "ERR expected at most {max} patterns of a connection, found more; each is \
                     held against all that changes"
                ),
            });
        }
        new.into_iter().try_for_each(|name| match topic {
            Topic::Channel => check_channel(name),
            Topic::Pattern => check_pattern(name),
        })
    }

    /// Subscribes to what was admitted, and confirms each.
    pub(super) fn add(
        &mut self,
        topic: Topic,
        names: Vec<Bytes>,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) {
        for name in names {
            if !self.of(topic).contains(&name) {
                self.of(topic).push(name.clone());
            }
            self.confirm(topic.subscribed(), Some(&name), protocol, out);
        }
    }

    /// These classes of notifications are asked for.
    pub(super) fn notify(&mut self, classes: Classes) {
        self.is_notified |= classes.tell_of_ends();
    }

    /// Of whom a channel tells; `None` of a silent one.
    fn told_by(&self, channel: &Bytes) -> Option<Told> {
        if !channel.starts_with(CHANNEL) {
            return notification::told_by(channel).filter(|_| self.is_notified);
        }
        CounterName::new(channel.slice(CHANNEL.len()..)).ok().map(Told::Counter)
    }

    /// The counter that a channel is of; none of a silent one, or of one that tells of all.
    fn counter(&self, channel: &Bytes) -> Option<CounterName> {
        match self.told_by(channel)? {
            Told::Counter(name) => Some(name),
            Told::All => None,
        }
    }

    /// Whether a pattern matches any channel of notifications, as far as its beginning tells.
    fn may_notify(&self, pattern: &Bytes) -> bool {
        let literal = literal(pattern);
        let is_whole = literal.len() == pattern.len();
        let matches = |prefix: &&[u8]| {
            literal.starts_with(prefix) || (!is_whole && prefix.starts_with(literal))
        };
        self.is_notified && notification::PREFIXES.iter().any(matches)
    }

    /// Ends subscriptions, all of this kind if none is named, and confirms each.
    pub(super) fn remove(
        &mut self,
        topic: Topic,
        names: Vec<Bytes>,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) {
        let names = if names.is_empty() { self.of(topic).clone() } else { names };
        if names.is_empty() {
            self.confirm(topic.unsubscribed(), None, protocol, out);
        }
        for name in names {
            self.of(topic).retain(|known| *known != name);
            self.confirm(topic.unsubscribed(), Some(&name), protocol, out);
        }
    }

    fn confirm(&self, what: &[u8], name: Option<&Bytes>, protocol: Protocol, out: &mut Vec<u8>) {
        reply::push(out, protocol, 3);
        reply::bulk(out, what);
        match name {
            Some(name) => reply::bulk(out, name),
            None => reply::null(out, protocol),
        }
        reply::integer(out, i64::try_from(self.count()).unwrap_or(i64::MAX));
    }

    /// The least that shows all counters that are subscribed to.
    pub(super) fn filter(&self) -> Filter {
        let is_of_all = |channel: &Bytes| matches!(self.told_by(channel), Some(Told::All));
        if self.channels.iter().any(is_of_all)
            || self.patterns.iter().any(|pattern| self.may_notify(pattern))
        {
            return Filter::Prefix(None);
        }
        let mut common = self
            .patterns
            .iter()
            .filter(|pattern| can_match(pattern))
            .map(|pattern| literal(pattern));
        let Some(first) = common.next() else {
            return Filter::Counters(
                self.channels.iter().filter_map(|channel| self.counter(channel)).collect(),
            );
        };
        let first = first.strip_prefix(CHANNEL).unwrap_or_default();
        let counters: Vec<CounterName> =
            self.channels.iter().filter_map(|channel| self.counter(channel)).collect();
        let named = counters.iter().map(|name| name.as_str().as_bytes());
        let common = common.map(|literal| literal.strip_prefix(CHANNEL).unwrap_or_default());
        let shared = common.chain(named).fold(first, |shared, other| {
            let same = shared.iter().zip(other).take_while(|(one, other)| one == other).count();
            &shared[..same]
        });
        let prefix = Some(Bytes::copy_from_slice(shared));
        // One that is cut within a character is no name, and then all are looked at.
        Filter::Prefix(prefix.and_then(|prefix| CounterName::bound(prefix).ok()))
    }

    /// Tells a counter's value to all subscriptions that it matches, and that it ended to those who want
    /// to be notified.
    pub(super) fn tell(
        &self,
        News { name, value, gone }: &News,
        classes: Classes,
        protocol: Protocol,
        out: &mut Vec<u8>,
    ) {
        let channel = [CHANNEL, name.as_str().as_bytes()].concat();
        let mut digits = itoa::Buffer::new();
        self.publish(&channel, digits.format(value.clamped()).as_bytes(), protocol, out);
        let notifications = gone.iter().flat_map(|gone| notification::of(name, *gone, classes));
        for (channel, message) in notifications {
            self.publish(&channel, &message, protocol, out);
        }
    }

    fn publish(&self, channel: &[u8], message: &[u8], protocol: Protocol, out: &mut Vec<u8>) {
        if self.channels.iter().any(|known| known == channel) {
            reply::push(out, protocol, 3);
            reply::bulk(out, b"message");
            reply::bulk(out, channel);
            reply::bulk(out, message);
        }
        for pattern in self.patterns.iter().filter(|pattern| glob::matches(pattern, channel)) {
            reply::push(out, protocol, 4);
            reply::bulk(out, b"pmessage");
            reply::bulk(out, pattern);
            reply::bulk(out, channel);
            reply::bulk(out, message);
        }
    }
}

/// Whether a pattern matches any channel of a counter that there may be, as far as its beginning tells.
fn can_match(pattern: &Bytes) -> bool {
    let literal = literal(pattern);
    let is_whole = literal.len() == pattern.len();
    literal.starts_with(CHANNEL) || (!is_whole && CHANNEL.starts_with(literal))
}

/// What is wrong with a channel. One of a counter that cannot be is no silent one: the client means to
/// be told something.
fn check_channel(channel: &Bytes) -> Result<(), String> {
    match channel.strip_prefix(CHANNEL) {
        Some(_) => CounterName::new(channel.slice(CHANNEL.len()..))
            .map(drop)
            .map_err(|error| format!("ERR {error}")),
        None => check_length("a channel", channel, CHANNEL_BYTES_MAX),
    }
}

fn check_pattern(pattern: &Bytes) -> Result<(), String> {
    check_length("a pattern", pattern, PATTERN_BYTES_MAX)
}

fn check_length(what: &str, name: &Bytes, bytes_max: usize) -> Result<(), String> {
    match name.len() {
        found if found > bytes_max => {
            Err(format!("ERR expected {what} of at most {bytes_max} bytes, found {found}"))
        }
        _ => Ok(()),
    }
}

/// What a pattern begins with before anything in it stands for something else.
fn literal(pattern: &[u8]) -> &[u8] {
    let is_special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
    &pattern[..pattern.iter().position(is_special).unwrap_or(pattern.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect()
    }

    fn subscribed(channels: &[&str], patterns: &[&str]) -> Subscriptions {
        Subscriptions { channels: names(channels), patterns: names(patterns), is_notified: false }
    }

    #[test]
    fn no_more_is_looked_at_than_the_subscriptions_have_in_common() {
        let prefix =
            |channels: &[&str], patterns: &[&str]| match subscribed(channels, patterns).filter() {
                Filter::Prefix(prefix) => prefix.map(|name| name.as_str().to_owned()),
                Filter::Counters(names) => panic!("{names:?}"),
            };
        assert_eq!(prefix(&[], &["counter:page:*"]).as_deref(), Some("page:"));
        assert_eq!(prefix(&["counter:paper"], &["counter:page:*"]).as_deref(), Some("pa"));
        assert_eq!(prefix(&["counter:x"], &["counter:page:*"]), None);
        assert_eq!(prefix(&[], &["*"]), None);
        assert_eq!(prefix(&[], &[r"counter:a\*b"]).as_deref(), Some("a"));
        let Filter::Counters(counters) = subscribed(&["counter:a"], &[]).filter() else {
            panic!("a channel is looked up");
        };
        assert_eq!(counters[0].as_str(), "a");
    }

    #[test]
    fn a_silent_subscription_has_no_counter_looked_at() {
        let silent = subscribed(&["news", "count"], &["news.*", "counter", "b*"]);
        assert!(!silent.are_of_counters());
        assert!(matches!(silent.filter(), Filter::Counters(counters) if counters.is_empty()));
        let beside = subscribed(&["news", "counter:a"], &["news.*"]);
        assert!(beside.are_of_counters());
        assert!(matches!(beside.filter(), Filter::Counters(counters) if counters.len() == 1));
        let not_yet = subscribed(&["__keyevent@0__:expired"], &["__key*"]);
        assert!(!not_yet.are_of_counters(), "no client has asked for notifications");
        let notified = |channels: &[&str], patterns: &[&str]| {
            let mut subscriptions = subscribed(channels, patterns);
            subscriptions.notify(Classes::parse(b"Kg").unwrap());
            subscriptions
        };
        let some = notified(&["__keyspace@2__:a", "counter:b", "__keyspace@x__:a"], &[]);
        let Filter::Counters(counters) = some.filter() else { panic!("two are looked up") };
        assert_eq!(counters.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["db2:a", "b"]);
        for (channels, patterns) in [
            (&["__keyevent@0__:expired"][..], &[][..]),
            (&["counter:a"], &["__key*__:*"]),
            (&[], &["__keyspace@0__:a*"]),
        ] {
            let of_all = notified(channels, patterns);
            assert!(of_all.are_of_counters());
            assert!(matches!(of_all.filter(), Filter::Prefix(None)), "{channels:?} {patterns:?}");
        }
        assert!(!notified(&["__keyevent@0__:lpush"], &[]).are_of_counters());
        let beside = subscribed(&["news"], &["news.*", "counter:page:*"]);
        assert!(beside.are_of_counters());
        let Filter::Prefix(Some(prefix)) = beside.filter() else { panic!("all are looked at") };
        assert_eq!(prefix.as_str(), "page:");
        for pattern in ["*", "c*", "?ounter:a", r"\counter:a", "[a-d]ounter:x", "counter:a"] {
            assert!(subscribed(&[], &[pattern]).are_of_counters(), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_a_counter_or_is_too_much_is_refused_with_the_reason() {
        let none = Subscriptions::default();
        let (long, longer) = ("x".repeat(CHANNEL_BYTES_MAX), "x".repeat(PATTERN_BYTES_MAX));
        for text in ["counter:a", "counter:a:b", "news", "", "\n", long.as_str()] {
            assert_eq!(none.admit(Topic::Channel, &names(&[text])), Ok(()), "{text}");
        }
        for text in ["*", "c*", "counter:*", "counter:a", "[a-d]ounter:x", "news*", &longer] {
            assert_eq!(none.admit(Topic::Pattern, &names(&[text])), Ok(()), "{text}");
        }
        for (topic, text, words) in [
            (Topic::Channel, "counter:", "expected a counter name of 1 to 1024 bytes"),
            (Topic::Channel, "counter:a\n", "expected a counter name without control"),
            (Topic::Channel, &format!("{long}x"), "expected a channel of at most 1040 bytes"),
            (Topic::Pattern, &format!("{longer}x"), "expected a pattern of at most 2064 bytes"),
        ] {
            let refused = none.admit(topic, &names(&[text])).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        let many: Vec<_> = (0..=CHANNELS_MAX).map(|n| format!("counter:{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let refused = none.admit(Topic::Channel, &names(&many)).unwrap_err();
        assert!(refused.contains("at most 200 channels"), "{refused}");
        let full = subscribed(&many[1..], &[]);
        assert_eq!(full.admit(Topic::Channel, &names(&many[1..3])), Ok(()), "known already");
        let refused = none.admit(Topic::Pattern, &names(&many[..9])).unwrap_err();
        assert!(refused.contains("at most 8 patterns"), "{refused}");
    }
}
