//! What clients ask beside operations: whether peers have synced, names, pages of names, who counted.
//!
//! Asked of nodes as the plan says, a walk to its end, and judged against the table: at the time of
//! the question, of which the answer must hold everything, and at that of the answer, of which it may
//! hold nothing more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use quipu_core::counters::Counters;
use quipu_core::identity::{OriginId, Version};
use quipu_core::name::CounterName;
use quipu_core::node::limits::Limits;
use quipu_core::query::{
    Answer, Await, Busy, Confirmed, List, Origins, Page, Query, Question as _, Row, Scan, Scanned,
    Settle, Share, Size, WrongKind,
};
use quipu_core::slot::Slot;
use quipu_core::time::Time;

use crate::chance::Chance;
use crate::endings::workload::{ENDING, may_end};
use crate::host::HostId;
use crate::replies::sum_of_slots;
use crate::settlements::Families;
use crate::workload::{any_counter, only_grows};

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Counts, and waits until so many peers have synced it, for so long.
    Wait {
        /// How many.
        peers: usize,
        /// For how long, in milliseconds.
        patience_ms: u64,
    },
    /// Walks over all names, so many at a time.
    Scan {
        /// How many.
        count: usize,
    },
    /// Walks over the pages of names that begin so.
    List {
        /// What with, if with anything.
        prefix: Option<CounterName>,
        /// How many rows a page has.
        limit: usize,
    },
    /// How many counters there are.
    Size,
    /// Who has counted what.
    Origins(CounterName),
    /// An operator asks for a settlement.
    Settle,
}

/// A question to one machine.
#[derive(Clone, Debug)]
pub struct ClientQuestion {
    /// When it reaches the machine.
    pub at: Time,
    /// Which machine.
    pub host: HostId,
    /// What is asked.
    pub question: Question,
}

impl fmt::Display for ClientQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.since(Time::ZERO).as_secs_f64();
        write!(f, "{seconds:8.3} s  to n{}: {:?}", self.host, self.question)
    }
}

/// Draws questions to `hosts` machines until `until`: some alone, some several at once.
pub fn draw(hosts: usize, until: Time, chance: &mut Chance) -> Vec<ClientQuestion> {
    let span = until.as_micros();
    let mut questions = Vec::new();
    for _ in 0..chance.between(10, 40) {
        let at = Time::ZERO + chance.micros(0, span - 1);
        let host = chance.index(hosts);
        let at_once = if chance.permille(800) { 1 } else { chance.between(2, 4) };
        for _ in 0..at_once {
            questions.push(ClientQuestion { at, host, question: one(hosts, chance) });
        }
    }
    questions.sort_by_key(|question| question.at);
    questions
}

/// Draws settlements that operators ask for until `until`, some at two machines at once.
pub fn draw_settlements(hosts: usize, until: Time, chance: &mut Chance) -> Vec<ClientQuestion> {
    let mut questions = Vec::new();
    for _ in 0..chance.between(2, 8) {
        let at = Time::ZERO + chance.micros(0, until.as_micros() - 1);
        let at_once = if chance.permille(700) { 1 } else { 2 };
        for _ in 0..at_once {
            let host = chance.index(hosts);
            questions.push(ClientQuestion { at, host, question: Question::Settle });
        }
    }
    questions
}

fn one(hosts: usize, chance: &mut Chance) -> Question {
    match chance.below(10) {
        0..4 => Question::Wait {
            peers: chance.index(hosts + 1),
            patience_ms: chance.pick(&[0, 5, 100, 2_000]),
        },
        4..6 => Question::Scan { count: chance.index(4) + 1 },
        6..8 => {
            let prefix = chance.permille(500).then(|| CounterName::new(b"grows/".to_vec()));
            let prefix = prefix.and_then(Result::ok);
            Question::List { prefix, limit: chance.index(4) + 1 }
        }
        8 => Question::Size,
        _ => Question::Origins(any_counter(chance)),
    }
}

/// The table when a question was asked: the value of each counter that exists and that cannot end
/// before the answer.
pub type Values = BTreeMap<String, i128>;

/// The values of a table.
pub fn values(counters: &Counters) -> Values {
    let mut sums: BTreeMap<&str, (i128, u64)> = BTreeMap::new();
    for view in counters.iter().filter(|view| !may_end(view.name)) {
        let (sum, raise) = sums.entry(view.name).or_default();
        let numbers = view.slot.numbers();
        *sum += i128::from(numbers.plus) - i128::from(numbers.minus);
        *raise = numbers.raise.max(*raise);
    }
    sums.into_iter()
        .map(|(name, (sum, raise))| (name.to_owned(), sum + i128::from(raise)))
        .collect()
}

/// A question that waits for its answer.
#[derive(Clone, Debug)]
pub enum Waiting {
    /// For peers that have synced a version.
    Peers {
        /// Of which origin.
        origin: OriginId,
        /// Which version.
        version: Version,
        /// How many are waited for.
        peers: usize,
        /// Until when, by the node's clock.
        until: Time,
    },
    /// A walk over all names.
    Scan {
        /// How many at a time.
        count: usize,
        /// The table when it began.
        first: Values,
        /// What was answered so far.
        told: Vec<String>,
    },
    /// A page.
    Page {
        /// Which page.
        list: List,
        /// The table then.
        before: Values,
    },
    /// How many there are.
    Size {
        /// How many there were.
        before: usize,
    },
    /// Who has counted what.
    Origins {
        /// Of which counter.
        name: CounterName,
        /// What they had counted.
        before: Vec<(OriginId, Slot)>,
    },
    /// A settlement that was asked for.
    Settle,
}

/// What an answer is held against.
#[derive(Debug)]
pub struct Truth<'a> {
    /// The table now.
    pub counters: &'a Counters,
    /// How many other machines have ever had safe what was waited for.
    pub confirmable: usize,
    /// What the node's clock shows.
    pub local: Time,
    /// How many may wait at a time.
    pub limits: Limits,
}

/// Judges an answer. A walk that goes on gives its next question, and then waits for that.
///
/// # Errors
/// What is wrong with the answer, in words.
pub fn judge(
    waiting: &mut Waiting,
    answer: Answer,
    truth: &Truth<'_>,
) -> Result<Option<Query>, String> {
    let wrong_kind = |wrong: WrongKind| wrong.to_string();
    let sound = |fault: Option<String>| fault.map_or(Ok(()), Err);
    let counters = truth.counters;
    match waiting {
        Waiting::Peers { peers, until, .. } => {
            let confirmed = Await::read(answer).map_err(wrong_kind)?;
            sound(fault_of_wait(confirmed, *peers, *until, truth))?;
            Ok(None)
        }
        Waiting::Scan { count, first, told } => {
            let Scanned { names, next } = Scan::read(answer).map_err(wrong_kind)?;
            told.extend(names.iter().map(|name| name.as_str().to_owned()));
            sound(fault_of_walk(told, first, next == 0))?;
            Ok((next > 0).then(|| Scan { from: next, count: *count }.into()))
        }
        Waiting::Page { list, before } => {
            let page = match List::read(answer).map_err(wrong_kind)? {
                Ok(page) => page,
                Err(Busy) if truth.limits.listings < Limits::default().listings => return Ok(None),
                Err(busy) => return Err(format!("{busy:?}")),
            };
            sound(fault_of_page(&page, list, before, counters))?;
            if !page.more {
                return Ok(None);
            }
            list.after = page.rows.last().map(|(name, _)| name.clone());
            *before = values(counters);
            Ok(Some(list.clone().into()))
        }
        Waiting::Size { before } => {
            let size = Size::read(answer).map_err(wrong_kind)?.counters();
            let least = before.saturating_sub(ENDING.len());
            let is_right = (least..=counters.len() + ENDING.len()).contains(&size);
            sound((!is_right).then(|| format!("{size} counters; there were {before}")))?;
            Ok(None)
        }
        Waiting::Settle => {
            Settle::read(answer).map_err(wrong_kind)?;
            Ok(None)
        }
        Waiting::Origins { name, before } => {
            let shares = Origins::read(answer).map_err(wrong_kind)?;
            sound(fault_of_shares(&shares, name, before, counters))?;
            Ok(None)
        }
    }
}

fn fault_of_wait(
    confirmed: Confirmed,
    wanted: usize,
    until: Time,
    truth: &Truth<'_>,
) -> Option<String> {
    let Truth { confirmable, local, limits, .. } = *truth;
    let (Confirmed::Waited(peers) | Confirmed::TooManyWait(peers)) = confirmed;
    if peers > confirmable {
        return Some(format!("{peers} peers have synced it, but only {confirmable} have"));
    }
    match confirmed {
        Confirmed::TooManyWait(_) => {
            let is_usual = limits.waits >= Limits::default().waits;
            is_usual.then(|| format!("{confirmed:?}"))
        }
        Confirmed::Waited(_) => {
            let is_early = peers < wanted && local < until;
            is_early.then(|| format!("{peers} peers of {wanted}, before the patience is over"))
        }
    }
}

fn fault_of_walk(told: &[String], first: &Values, is_over: bool) -> Option<String> {
    let mut sorted: Vec<&str> = told.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("a walk that names {} twice", twice[0]));
    }
    let mut missing = first.keys().filter(|name| sorted.binary_search(&name.as_str()).is_err());
    let missing = missing.next().filter(|_| is_over);
    missing.map(|name| format!("a walk without {name}, which was there when it began"))
}

fn fault_of_page(page: &Page, list: &List, before: &Values, counters: &Counters) -> Option<String> {
    let (Page { rows, more }, List { prefix, after, limit }) = (page, list);
    let starts = |name: &str| prefix.as_ref().is_none_or(|p| name.starts_with(p.as_str()));
    let follows = |name: &str| after.as_ref().is_none_or(|last| name > last.as_str());
    let is_meant = |name: &str| starts(name) && follows(name);
    if rows.len() > *limit || (*more && rows.is_empty()) {
        return Some(format!("{} rows of {limit}, more: {more}", rows.len()));
    }
    let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    if names.windows(2).any(|pair| pair[0] >= pair[1]) || !names.iter().all(|name| is_meant(name)) {
        return Some(format!("names out of order or not asked for: {names:?}"));
    }
    let is_covered = |name: &str| !*more || names.last().is_some_and(|last| name <= *last);
    let mut expected = before.keys().filter(|name| is_meant(name) && is_covered(name));
    if let Some(name) = expected.find(|name| !names.contains(&name.as_str())) {
        return Some(format!("a page without {name}, which was there: {names:?}"));
    }
    let is_wrong = |(name, value): &&Row| {
        let least = before.get(name.as_str()).copied().unwrap_or_default();
        // Of a counter that ends nothing is judged here.
        let most = || sum_of_slots(counters, name.as_str(), &Families::new());
        only_grows(name.as_str()) && !(least..=most()).contains(&value.0)
    };
    rows.iter().find(is_wrong).map(|(name, value)| format!("{name} at {}", value.0))
}

fn fault_of_shares(
    shares: &[Share],
    name: &CounterName,
    before: &[(OriginId, Slot)],
    counters: &Counters,
) -> Option<String> {
    let told: BTreeMap<OriginId, Slot> =
        shares.iter().map(|share| (share.origin, share.slot)).collect();
    let now: BTreeMap<OriginId, Slot> =
        counters.slots_of(name.as_str()).map(|view| (view.origin, view.slot)).collect();
    // What was folded meanwhile is in no slot of its own any more.
    let folded: BTreeSet<OriginId> =
        counters.settlements().flat_map(|(id, _, family)| family.into_iter().chain([id])).collect();
    let is_within = |origin: &OriginId, slot: &Slot, of: &BTreeMap<OriginId, Slot>| {
        folded.contains(origin) || of.get(origin).is_some_and(|larger| slot.is_within(larger))
    };
    let is_right = told.len() == shares.len()
        && before.iter().all(|(origin, slot)| is_within(origin, slot, &told))
        && told.iter().all(|(origin, slot)| is_within(origin, slot, &now));
    (!is_right).then(|| format!("{told:?} of {name}; it was {before:?} and is {now:?}"))
}
