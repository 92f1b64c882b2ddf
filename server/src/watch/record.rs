//! What has changed, in the order of the last changes: each counter once, at its newest.
//!
//! Every change gets the next number, and takes the counter's older entry out. So a watcher
//! that reads on from a number sees each counter that has changed since once, with the value that
//! it has now.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use quipu_core::name::CounterName;
use quipu_core::operation::Value;
use quipu_core::query::{ChangedRow, Gone};
use quipu_core::status::{PeerState, PeerStatus};
use serde::Serialize;

use crate::access::{Action, Asks, Denied};

/// Counters that the record holds at most: those that changed last. At some 300 bytes each, 40 MB,
/// and only while there are watchers. One so slow that more have changed meanwhile begins anew.
const COUNTERS_MAX: usize = 1 << 17;

/// Bytes of names that it holds at most, so that those 40 MB hold for long ones, too: each is written
/// three times.
const NAMES_BYTES_MAX: usize = 12 << 20;

/// Lines of the node's log that are kept, to be shown to who begins to watch.
const LINES_MAX: usize = 100;

/// Entries that one reading looks at before it lets others in, some 0.1 ms.
const LOOKS_MAX: usize = 1 << 13;

/// A place in the record: everything up to and including it is known.
pub(crate) type Position = u64;

/// Which counters a client wants to see.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    /// Those whose names begin so; all if there is nothing.
    Prefix(Option<CounterName>),
    /// These.
    Counters(Vec<CounterName>),
}

impl Asks for Filter {
    fn each_action(
        &self,
        mut judge: impl FnMut(&Action<'_>) -> Result<(), Denied>,
    ) -> Result<(), Denied> {
        match self {
            Filter::Prefix(prefix) => judge(&Action::WatchPrefix(prefix.as_ref())),
            Filter::Counters(names) => {
                names.iter().try_for_each(|name| judge(&Action::Watch(name)))
            }
        }
    }
}

/// Something that is told.
#[derive(Debug)]
pub(crate) enum Change {
    /// A counter has changed.
    Counter {
        name: CounterName,
        /// 0 if it does not exist any more.
        value: Value,
        /// How it ended, if it does not exist any more, and the position since which it does not.
        gone: Option<(Gone, Position)>,
        /// Its name and value as JSON, and whether it is deleted: written once, for all watchers.
        json: Box<str>,
    },
    /// The peers are not who or how they were.
    Peers(Arc<[Peer]>),
    /// The node's log has a new line.
    Line(Arc<LogLine>),
}

/// A peer and how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Peer {
    address: String,
    node: Option<String>,
    state: &'static str,
}

/// A line of the node's log.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LogLine {
    /// Milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    pub(crate) level: &'static str,
    pub(crate) text: String,
}

#[derive(Debug)]
struct Entry {
    position: Position,
    /// The first bytes of a counter's name, so that most of those that were not asked for are passed
    /// over without reading it.
    head: u64,
    /// `None` once something newer stands further back.
    change: Option<Change>,
}

/// What was asked for lies before all that is kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Forgotten;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// By position.
    entries: VecDeque<Entry>,
    counters: HashMap<CounterName, Position, RandomState>,
    names_bytes: usize,
    lines: VecDeque<Position>,
    peers: Option<(Position, Arc<[Peer]>)>,
    /// Of the last entry.
    last: Position,
    /// Changes of counters up to here may be missing.
    floor: Position,
    outdated: usize,
}

impl Record {
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// Whether everything that changed behind this position is here.
    pub(crate) fn reaches(&self, position: Position) -> bool {
        (self.floor..=self.last).contains(&position)
    }

    /// Counters have changed.
    pub(crate) fn changed(&mut self, rows: &[ChangedRow]) {
        for (name, seen) in rows {
            let value = seen.unwrap_or(Value(0));
            let json = json(name, value, seen.is_err());
            let gone = seen.err().map(|how| (how, self.gone_since(name).unwrap_or(self.last + 1)));
            let change = Change::Counter { name: name.clone(), value, gone, json };
            let position = self.push(head(name.as_str()), change);
            match self.counters.insert(name.clone(), position) {
                Some(older) => self.outdate(older),
                None => self.names_bytes += name.as_str().len(),
            }
        }
        while self.counters.len() > COUNTERS_MAX || self.names_bytes > NAMES_BYTES_MAX {
            self.forget_oldest();
        }
        if self.outdated > self.entries.len() / 2 {
            self.entries.retain(|entry| entry.change.is_some());
            self.outdated = 0;
        }
    }

    /// Since when a counter that was gone at its last change has been so.
    fn gone_since(&self, name: &CounterName) -> Option<Position> {
        match self.at(*self.counters.get(name)?)?.change.as_ref()? {
            Change::Counter { gone, .. } => gone.map(|(_, since)| since),
            _ => None,
        }
    }

    /// Peers are as the node's status says; true if they were not.
    pub(crate) fn peers(&mut self, peers: &[PeerStatus]) -> bool {
        let peers: Arc<[Peer]> = peers.iter().map(Peer::from).collect();
        if self.peers.as_ref().is_some_and(|(_, known)| *known == peers) {
            return false;
        }
        let position = self.push(0, Change::Peers(Arc::clone(&peers)));
        if let Some((older, _)) = self.peers.replace((position, peers)) {
            self.outdate(older);
        }
        true
    }

    /// The node's log has a new line.
    pub(crate) fn line(&mut self, line: LogLine) {
        let position = self.push(0, Change::Line(Arc::new(line)));
        self.lines.push_back(position);
        if self.lines.len() > LINES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.outdate(oldest);
        }
    }

    /// Forgets counters: there was no watcher for long, and changes are no longer told.
    pub(crate) fn forget_counters(&mut self) {
        self.entries.retain(|entry| !matches!(entry.change, None | Some(Change::Counter { .. })));
        self.entries.shrink_to_fit();
        self.counters = HashMap::default();
        self.names_bytes = 0;
        self.outdated = 0;
        // What changes from now on gets no number: a position of today would claim to know it.
        self.last += 1;
        self.floor = self.last;
    }

    /// The peers and the last lines, for who begins to watch.
    pub(crate) fn state(&self) -> (Arc<[Peer]>, Vec<Arc<LogLine>>) {
        let peers = self.peers.as_ref().map_or_else(|| Arc::from([]), |(_, peers)| peers.clone());
        let line = |position: &Position| match self.at(*position)?.change.as_ref()? {
            Change::Line(line) => Some(Arc::clone(line)),
            _ => None,
        };
        (peers, self.lines.iter().filter_map(line).collect())
    }

    /// Shows what lies behind `after`, up to and including `upto`, in order; no more than so many
    /// entries. The position up to which everything was shown, and how many there were.
    pub(crate) fn read(
        &self,
        after: Position,
        upto: Position,
        filter: &Filter,
        shown_max: usize,
        mut show: impl FnMut(Position, &Change),
    ) -> Result<(Position, usize), Forgotten> {
        if !self.reaches(after) {
            return Err(Forgotten);
        }
        let mut shown = 0;
        if let Filter::Counters(names) = filter {
            return Ok(self.read_named(after, upto, names, show));
        }
        let wanted = Wanted::new(filter);
        let begin = self.entries.partition_point(|entry| entry.position <= after);
        for (looks, entry) in self.entries.range(begin..).enumerate() {
            if entry.position > upto {
                break;
            }
            if shown == shown_max || looks == LOOKS_MAX {
                return Ok((entry.position - 1, shown));
            }
            if let Some(change) =
                entry.change.as_ref().filter(|change| wanted.takes(entry.head, change))
            {
                show(entry.position, change);
                shown += 1;
            }
        }
        Ok((upto, shown))
    }

    /// The same for a handful of counters, which are looked up and not looked for.
    fn read_named(
        &self,
        after: Position,
        upto: Position,
        names: &[CounterName],
        mut show: impl FnMut(Position, &Change),
    ) -> (Position, usize) {
        let counters = names.iter().filter_map(|name| self.counters.get(name).copied());
        let peers = self.peers.as_ref().map(|(position, _)| *position);
        let mut positions: Vec<Position> = counters
            .chain(peers)
            .chain(self.lines.iter().copied())
            .filter(|position| (after + 1..=upto).contains(position))
            .collect();
        positions.sort_unstable();
        positions.dedup();
        for position in &positions {
            if let Some(change) = self.at(*position).and_then(|entry| entry.change.as_ref()) {
                show(*position, change);
            }
        }
        (upto, positions.len())
    }

    fn push(&mut self, head: u64, change: Change) -> Position {
        self.last += 1;
        self.entries.push_back(Entry { position: self.last, head, change: Some(change) });
        self.last
    }

    fn at(&self, position: Position) -> Option<&Entry> {
        self.entries.get(self.place_of(position)?)
    }

    /// Where the entry of a position stands. Positions grow by one or more from entry to entry, which
    /// bounds the place from both sides; where nothing was taken out behind it, to a single one.
    fn place_of(&self, position: Position) -> Option<usize> {
        let (first, last) = (self.entries.front()?.position, self.entries.back()?.position);
        let from_front = usize::try_from(position.checked_sub(first)?).ok()?;
        let from_back = usize::try_from(last.checked_sub(position)?).ok()?;
        let mut begin = self.entries.len().saturating_sub(from_back + 1);
        let mut end = self.entries.len().min(from_front + 1);
        while begin < end {
            let middle = begin.midpoint(end);
            match self.entries[middle].position.cmp(&position) {
                Ordering::Less => begin = middle + 1,
                Ordering::Equal => return Some(middle),
                Ordering::Greater => end = middle,
            }
        }
        None
    }

    fn outdate(&mut self, position: Position) {
        if let Some(place) = self.place_of(position) {
            self.entries[place].change = None;
            self.outdated += 1;
        }
    }

    /// Takes out the counter that has not changed for longest.
    fn forget_oldest(&mut self) {
        let mut kept = Vec::new();
        while let Some(entry) = self.entries.pop_front() {
            match entry.change {
                None => self.outdated -= 1,
                Some(Change::Counter { name, .. }) => {
                    self.counters.remove(&name);
                    self.names_bytes -= name.as_str().len();
                    self.floor = self.floor.max(entry.position);
                    break;
                }
                Some(Change::Peers(_) | Change::Line(_)) => kept.push(entry),
            }
        }
        while let Some(entry) = kept.pop() {
            self.entries.push_front(entry);
        }
    }
}

impl From<&PeerStatus> for Peer {
    fn from(peer: &PeerStatus) -> Self {
        Peer {
            address: peer.address.clone(),
            node: peer.node.map(|node| node.to_string()),
            state: PeerState::as_str(peer.state),
        }
    }
}

/// A filter, ready to be asked often.
struct Wanted<'a> {
    prefix: &'a str,
    head: u64,
    mask: u64,
}

impl<'a> Wanted<'a> {
    fn new(filter: &'a Filter) -> Self {
        let prefix = match filter {
            Filter::Prefix(Some(prefix)) => prefix.as_str(),
            Filter::Prefix(None) | Filter::Counters(_) => "",
        };
        let bits = 8 * u32::try_from(prefix.len().min(8)).unwrap_or(8);
        let mask = if bits == 0 { 0 } else { u64::MAX << (64 - bits) };
        Wanted { prefix, head: head(prefix), mask }
    }

    fn takes(&self, head: u64, change: &Change) -> bool {
        match change {
            Change::Counter { name, .. } => {
                head & self.mask == self.head && name.as_str().starts_with(self.prefix)
            }
            Change::Peers(_) | Change::Line(_) => true,
        }
    }
}

/// The first eight bytes of a text, zeros behind a shorter one.
fn head(text: &str) -> u64 {
    let mut bytes = [0; 8];
    for (byte, of_text) in bytes.iter_mut().zip(text.bytes()) {
        *byte = of_text;
    }
    u64::from_be_bytes(bytes)
}

/// A counter as the page of a listing has it.
pub(crate) fn row_json(name: &CounterName, value: Value) -> Box<str> {
    json(name, value, false)
}

fn json(name: &CounterName, value: Value, deleted: bool) -> Box<str> {
    #[derive(Serialize)]
    struct EncodedChange<'a> {
        name: &'a str,
        value: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        exact: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
    }
    let exact = value.is_out_of_range().then(|| value.0.to_string());
    let encoded = EncodedChange { name: name.as_str(), value: value.clamped(), exact, deleted };
    // Text and numbers can always be written.
    serde_json::to_string(&encoded).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CounterName {
        CounterName::new(text.as_bytes().to_vec()).unwrap()
    }

    fn changed(record: &mut Record, rows: &[(&str, i128)]) {
        let row = |(text, value): &(&str, i128)| (name(text), Ok(Value(*value)));
        record.changed(&rows.iter().map(row).collect::<Vec<ChangedRow>>());
    }

    #[test]
    fn long_names_are_forgotten_before_they_take_more_than_their_bytes() {
        let mut record = Record::default();
        let kept = NAMES_BYTES_MAX / 1024;
        let long = |n: usize| name(&format!("{n:0>1024}"));
        let rows: Vec<ChangedRow> = (0..kept + 3).map(|n| (long(n), Ok(Value(1)))).collect();
        record.changed(&rows);
        assert_eq!((record.counters.len(), record.names_bytes), (kept, NAMES_BYTES_MAX));
        assert!(!record.reaches(2) && record.reaches(3), "the oldest three are gone");
        record.changed(&rows[3..5]);
        assert_eq!(record.names_bytes, NAMES_BYTES_MAX, "a known name takes no more");
        record.forget_counters();
        assert_eq!(record.names_bytes, 0);
    }

    #[test]
    fn a_counter_that_stays_gone_has_been_so_since_it_ended() {
        let mut record = Record::default();
        let gone = |record: &mut Record, seen| {
            record.changed(&[(name("a"), seen)]);
            let Some(Change::Counter { gone, .. }) =
                record.at(record.last()).and_then(|entry| entry.change.as_ref())
            else {
                panic!("expected a counter");
            };
            *gone
        };
        assert_eq!(gone(&mut record, Ok(Value(1))), None);
        assert_eq!(gone(&mut record, Err(Gone::Expired)), Some((Gone::Expired, 2)));
        assert_eq!(gone(&mut record, Err(Gone::Deleted)), Some((Gone::Deleted, 2)));
        assert_eq!(gone(&mut record, Ok(Value(1))), None);
        assert_eq!(gone(&mut record, Err(Gone::Deleted)), Some((Gone::Deleted, 5)));
    }

    fn line(record: &mut Record, text: &str) {
        record.line(LogLine { at_ms: 0, level: "info", text: text.to_owned() });
    }

    fn prefix(text: &str) -> Filter {
        Filter::Prefix((!text.is_empty()).then(|| name(text)))
    }

    /// All that lies behind a position, in parts of so many, as names and texts.
    fn read(record: &Record, after: Position, filter: &Filter, part: usize) -> Vec<String> {
        let (mut position, mut seen) = (after, Vec::new());
        while position < record.last() {
            let show = |_, change: &Change| match change {
                Change::Counter { json, .. } => seen.push(json.to_string()),
                Change::Line(line) => seen.push(line.text.clone()),
                Change::Peers(_) => seen.push("peers".to_owned()),
            };
            let (upto, _) = record.read(position, record.last(), filter, part, show).unwrap();
            assert!(upto > position, "it goes on");
            position = upto;
        }
        seen
    }

    fn rows(rows: &[(&str, i128)]) -> Vec<String> {
        let row = |(text, value): &(&str, i128)| row_json(&name(text), Value(*value)).into();
        rows.iter().map(row).collect()
    }

    #[test]
    fn each_counter_is_shown_once_with_its_newest_value_from_wherever_one_reads_on() {
        let mut record = Record::default();
        changed(&mut record, &[("a", 1), ("b", 1)]);
        let early = record.last();
        changed(&mut record, &[("a", 2), ("c", 1), ("a", 3)]);
        for part in [1, 2, 100] {
            let all = read(&record, 0, &prefix(""), part);
            assert_eq!(all, rows(&[("b", 1), ("c", 1), ("a", 3)]));
            assert_eq!(read(&record, early, &prefix(""), part), rows(&[("c", 1), ("a", 3)]));
        }
        assert_eq!(read(&record, record.last(), &prefix(""), 1), rows(&[]));
    }

    #[test]
    fn a_counter_that_has_ended_is_told_as_deleted_until_it_counts_again() {
        let mut record = Record::default();
        changed(&mut record, &[("a", 7)]);
        record.changed(&[(name("a"), Err(Gone::Deleted))]);
        let told = read(&record, 0, &prefix(""), 9);
        assert_eq!(told, [r#"{"name":"a","value":0,"deleted":true}"#]);
        changed(&mut record, &[("a", 0)]);
        assert_eq!(read(&record, 0, &prefix(""), 9), [r#"{"name":"a","value":0}"#]);
    }

    #[test]
    fn only_what_was_asked_for_is_shown_and_lines_and_peers_always() {
        let mut record = Record::default();
        changed(&mut record, &[("page", 1), ("pages/about", 2), ("pages/a", 3), ("q", 4)]);
        line(&mut record, "said");
        let told = |filter: &Filter| read(&record, 0, filter, 100);
        let with_line = |rows: Vec<String>| [rows, vec!["said".to_owned()]].concat();
        assert_eq!(
            told(&prefix("pages/a")),
            with_line(rows(&[("pages/about", 2), ("pages/a", 3)]))
        );
        assert_eq!(told(&prefix("pages/ab")), with_line(rows(&[("pages/about", 2)])));
        assert_eq!(told(&prefix("x")), with_line(rows(&[])));
        let named = Filter::Counters(["q", "page", "none", "q"].map(name).to_vec());
        assert_eq!(told(&named), with_line(rows(&[("page", 1), ("q", 4)])));
    }

    #[test]
    fn the_record_is_bounded_and_says_so_to_whom_it_has_outrun() {
        let mut record = Record::default();
        line(&mut record, "first");
        let early = record.last();
        for round in 0..3 {
            for n in 0..COUNTERS_MAX + 10 {
                changed(&mut record, &[(&n.to_string(), round)]);
            }
        }
        assert_eq!(record.counters.len(), COUNTERS_MAX);
        assert!(record.entries.len() <= 2 * (COUNTERS_MAX + 2), "{}", record.entries.len());
        assert!(!record.reaches(early));
        let shown = record.read(early, record.last(), &prefix(""), 9, |_, _| ());
        assert_eq!(shown, Err(Forgotten));
        assert!(record.reaches(record.last()));
        for n in 0..2 * LINES_MAX {
            line(&mut record, &n.to_string());
        }
        let (_, lines) = record.state();
        assert_eq!((lines.len(), lines[0].text.as_str()), (LINES_MAX, "100"));
    }

    #[test]
    fn a_watcher_that_comes_back_after_there_was_none_is_told_that_changes_were_missed() {
        let mut record = Record::default();
        changed(&mut record, &[("a", 1)]);
        line(&mut record, "said");
        let before = record.last();
        record.forget_counters();
        assert!(!record.reaches(before));
        assert_eq!(record.state().1.len(), 1, "lines stay");
        let again = record.last();
        changed(&mut record, &[("a", 2)]);
        assert_eq!(read(&record, again, &prefix(""), 9), rows(&[("a", 2)]));
    }
}
