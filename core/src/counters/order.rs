//! The counters in the order of their names, for who lists them.
//!
//! The table is a hash table over a list in no order, which is what an increment wants and a
//! listing does not. So the order is built beside it, and only once somebody lists: the places of
//! the list in *runs*, each sorted by name, by the logarithmic method (Bentley, Saxe: "Decomposable
//! searching problems I", J. Algorithms 1, 1980). Places that no run holds yet are absorbed, sorted,
//! as a new run; of [`FAN`] runs of about the same size one is made. A page is then a few binary
//! searches and a merge of what follows. Four bytes a counter, nothing at all while nobody lists,
//! and an increment never learns of it.
//!
//! The node serves others meanwhile: all work is done in steps of a bounded size, one each time that
//! the node is asked to do what is due, and a listing waits until the counters that were there when
//! it came are absorbed. So is the answering of a page a step.
//!
//! When counters are let go of after a settlement, the order of all is forgotten, and its memory with it;
//! the next listing builds it anew. So a place that comes to another counter is in no run for the one
//! before, and names that went in the meantime are compared with none.
//!
//! Rejected: a B-tree or skip list that every new name enters, since everybody would pay with time
//! and some 60 bytes a name for what few ask; sorting in one go, which stops a node of a million
//! names for a second.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::counters::Counters;
use crate::input::Token;
use crate::name::CounterName;
use crate::query::{PAGE_ROWS_MAX, Row};

/// Listings that wait; more are refused at once. As many as there are raises that may wait.
pub(crate) const WAITING_MAX: usize = 1024;

/// Places that one step absorbs: sorting them reads each name from wherever it is in memory and
/// takes 0.1 ms (measured, with a million names, all of which are in order after a quarter second).
const ABSORBED_A_STEP: usize = 1024;

/// Places that one step of a merge moves; takes at most 0.4 ms (measured likewise).
const MERGED_A_STEP: usize = 1024;

/// As many runs of one size are merged at once. Each merge of two would read every name again for
/// each doubling; more than this at once would make pages search more runs.
const FAN: usize = 8;

/// How many names, and from where on.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// What they begin with; anything if there is none.
    pub(crate) prefix: Option<CounterName>,
    /// The last name that is known already.
    pub(crate) after: Option<CounterName>,
    /// How many at most.
    pub(crate) limit: usize,
}

/// Places of counters, sorted by name.
type Run = Vec<u32>;

/// A page that somebody waits for.
#[derive(Debug)]
struct Waiting {
    token: Token,
    window: Window,
    /// How much must be in runs first.
    until: Absorbed,
}

/// How much is in runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Absorbed {
    /// Every place below at which a counter stood when it was absorbed.
    end: usize,
    /// So many of [`Counters::reused_places`].
    reused: usize,
}

impl Absorbed {
    fn all_of(counters: &Counters) -> Self {
        Absorbed { end: counters.places_end(), reused: counters.reused_places().len() }
    }

    fn holds(self, other: Absorbed) -> bool {
        other.end <= self.end && other.reused <= self.reused
    }
}

/// Some runs on their way to becoming one.
#[derive(Debug)]
struct Merge {
    /// Whole, so that pages can be made of them meanwhile, and how far each has been moved.
    from: Vec<(Run, usize)>,
    into: Run,
}

/// The order of the names, as far as anybody has asked for it.
#[derive(Debug)]
pub(crate) struct Order {
    absorbed: Absorbed,
    runs: Vec<Run>,
    merge: Option<Merge>,
    waiting: VecDeque<Waiting>,
    waiting_max: usize,
}

impl Default for Order {
    fn default() -> Self {
        Order {
            absorbed: Absorbed::default(),
            runs: Vec::new(),
            merge: None,
            waiting: VecDeque::new(),
            waiting_max: WAITING_MAX,
        }
    }
}

/// A page's rows, and whether more follow.
pub(crate) type Rows = (Vec<Row>, bool);

impl Order {
    /// Has as many wait at most.
    pub(crate) fn limit(&mut self, waiting: usize) {
        self.waiting_max = waiting;
    }

    /// Takes a request for a page; false if too many wait.
    #[must_use]
    pub(crate) fn ask(&mut self, token: Token, window: Window, counters: &Counters) -> bool {
        let fits = self.waiting.len() < self.waiting_max;
        if fits {
            self.waiting.push_back(Waiting { token, window, until: Absorbed::all_of(counters) });
        }
        fits
    }

    /// Whether there is a step to do.
    pub(crate) fn has_work(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Does one step towards the pages that are waited for, and tells the page if it made one.
    pub(crate) fn step(&mut self, counters: &Counters) -> Option<(Token, Rows)> {
        // None further back waits for less than the first.
        let first = self.waiting.front()?;
        if self.absorbed.holds(first.until) {
            let Waiting { token, window, .. } = self.waiting.pop_front()?;
            return Some((token, self.page(&window, counters)));
        }
        // Merging comes first, so that the number of runs stays within `FAN` for each size.
        if self.merge.is_none() {
            self.merge = self.begin_merge();
        }
        match &mut self.merge {
            Some(merge) => {
                if merge.step(counters) {
                    self.runs.extend(self.merge.take().map(|merge| merge.into));
                }
            }
            None => self.absorb(counters),
        }
        None
    }

    fn absorb(&mut self, counters: &Counters) {
        if self.absorbed == Absorbed::default() {
            // What has come to vacant places so far is met on the way through all of them.
            self.absorbed.reused = counters.reused_places().len();
        }
        let Absorbed { end, reused } = &mut self.absorbed;
        let upto = counters.places_end().min(*end + ABSORBED_A_STEP);
        let places = (*end..upto).filter(|at| counters.has_at(*at));
        let mut run: Run = places.filter_map(|at| u32::try_from(at).ok()).collect();
        *end = upto;
        if run.is_empty() {
            let rest = &counters.reused_places()[*reused..];
            run.extend(rest.iter().take(ABSORBED_A_STEP));
            *reused += run.len();
        }
        if !run.is_empty() {
            run.sort_unstable_by_key(|&place| counters.name_at(place));
            self.runs.push(run);
        }
    }

    /// Counters have been let go of: their places are in no run any more.
    pub(crate) fn forget(&mut self, counters: &Counters) {
        (self.absorbed, self.runs, self.merge) = (Absorbed::default(), Vec::new(), None);
        let until = Absorbed::all_of(counters);
        self.waiting.iter_mut().for_each(|waiting| waiting.until = until);
    }

    fn begin_merge(&mut self) -> Option<Merge> {
        let mut of_size = [0; usize::BITS as usize];
        for run in &self.runs {
            of_size[size_of(run)] += 1;
        }
        let size = of_size.iter().position(|&runs| runs >= FAN)?;
        let from: Vec<(Run, usize)> =
            self.runs.extract_if(.., |run| size_of(run) == size).map(|run| (run, 0)).collect();
        let into = Vec::with_capacity(from.iter().map(|(run, _)| run.len()).sum());
        Some(Merge { from, into })
    }

    /// Every run that holds anything that `absorbed` claims.
    fn all_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().chain(self.merge.iter().flat_map(|merge| merge.from.iter().map(|f| &f.0)))
    }

    fn page(&self, window: &Window, counters: &Counters) -> Rows {
        let prefix = window.prefix.as_ref().map_or("", CounterName::as_str);
        let after = window.after.as_ref().map(CounterName::as_str);
        let is_before = |name: &str| name < prefix || after.is_some_and(|after| name <= after);
        // The next name of each run, the least of them on top.
        let mut next = BinaryHeap::new();
        for run in self.all_runs() {
            let begin = run.partition_point(|&place| is_before(counters.name_at(place)));
            next.extend(head(&run[begin..], counters));
        }
        let limit = window.limit.clamp(1, PAGE_ROWS_MAX);
        let mut rows: Vec<Row> = Vec::new();
        while let Some(Reverse((name, rest))) = next.pop() {
            if !name.starts_with(prefix) {
                break;
            }
            // A counter that came to a vacant place while all were absorbed is in two runs.
            let is_told = rows.last().is_some_and(|(last, _)| last.as_str() == name);
            // A counter that has ended leaves its name behind, and so does a refused operation.
            if !is_told && let Some(value) = counters.existing(name) {
                if rows.len() == limit {
                    return (rows, true);
                }
                rows.push((CounterName::known(name), value));
            }
            next.extend(head(rest, counters));
        }
        (rows, false)
    }
}

impl Merge {
    /// Moves the next places; true when all are moved.
    fn step(&mut self, counters: &Counters) -> bool {
        let head = |(run, moved): &(Run, usize)| run.get(*moved).map(|&p| counters.name_at(p));
        let mut heads: Vec<Option<&str>> = self.from.iter().map(head).collect();
        for _ in 0..MERGED_A_STEP {
            let least = heads.iter().enumerate().filter_map(|(at, name)| name.map(|n| (n, at)));
            let Some((_, at)) = least.min() else { return true };
            let (run, moved) = &mut self.from[at];
            self.into.push(run[*moved]);
            *moved += 1;
            heads[at] = head(&self.from[at]);
        }
        false
    }
}

/// The name of a sorted slice's first place, and the places behind it; in a heap, the least first.
fn head<'a>(places: &'a [u32], counters: &'a Counters) -> Option<Reverse<(&'a str, &'a [u32])>> {
    places.split_first().map(|(&place, rest)| Reverse((counters.name_at(place), rest)))
}

/// In which power of `FAN` a run's length lies.
fn size_of(run: &Run) -> usize {
    run.len().checked_ilog(FAN).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::identity::OriginId;
    use crate::operation::Value;

    fn table() -> Counters {
        Counters::new(OriginId(1), 0)
    }

    /// Distinct names in no order.
    fn scattered(number: u64) -> String {
        format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn everything() -> Window {
        Window { prefix: None, after: None, limit: PAGE_ROWS_MAX }
    }

    /// Steps until the next page is there: the page, and how many steps it took.
    fn next_page(order: &mut Order, counters: &Counters) -> (Rows, usize) {
        for steps in 1..1_000_000 {
            let runs = order.all_runs().count();
            assert!(runs <= FAN * 9, "{runs} runs");
            if let Some((_, page)) = order.step(counters) {
                return (page, steps);
            }
        }
        panic!("no page")
    }

    fn listed(order: &mut Order, counters: &Counters, mut window: Window) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            assert!(order.ask(0, window.clone(), counters));
            let ((rows, more), _) = next_page(order, counters);
            all.extend(rows.iter().map(|(name, _)| name.as_str().to_owned()));
            window.after = rows.last().map(|(name, _)| name.clone()).or(window.after);
            if !more {
                return all;
            }
        }
    }

    #[test]
    fn a_hundred_thousand_names_are_listed_in_order_while_more_are_added() {
        let mut counters = table();
        let mut order = Order::default();
        let mut names = BTreeSet::new();
        for number in 0..100_000 {
            let name = scattered(number);
            counters.add(&name, 1).unwrap();
            names.insert(name);
            if number % 30_011 == 0 {
                // Unfinished: what is merged and absorbed so far must do for the next one as well.
                assert!(order.ask(number, everything(), &counters));
                order.step(&counters);
            }
        }
        while order.has_work() {
            order.step(&counters);
        }
        let all = listed(&mut order, &counters, everything());
        assert!(all.iter().eq(&names));
        let held: usize = order.all_runs().map(Vec::len).sum();
        assert_eq!(held, 100_000, "each place once");
    }

    #[test]
    fn a_page_is_not_kept_waiting_by_a_merge_that_it_does_not_need() {
        let mut counters = table();
        let mut order = Order::default();
        for number in 0..(FAN * ABSORBED_A_STEP) as u64 {
            counters.add(&scattered(number), 1).unwrap();
        }
        assert_eq!(listed(&mut order, &counters, everything()).len(), FAN * ABSORBED_A_STEP);
        counters.add("one more", 1).unwrap();
        assert!(order.ask(1, everything(), &counters));
        assert!(order.step(&counters).is_none());
        assert!(order.merge.is_some(), "a merge comes before the next name is absorbed");
        order.waiting.clear();
        // Asked while the merge stands half done, of what was there before.
        let until = order.absorbed;
        order.waiting.push_back(Waiting { token: 2, window: everything(), until });
        let (token, (rows, more)) = order.step(&counters).unwrap();
        assert_eq!((token, rows.len(), more), (2, PAGE_ROWS_MAX, true));
    }

    #[test]
    fn a_lone_new_name_costs_the_next_listing_few_steps() {
        let mut counters = table();
        let mut order = Order::default();
        for number in 0..50_000 {
            counters.add(&scattered(number), 1).unwrap();
        }
        listed(&mut order, &counters, everything());
        let mut all_steps = 0;
        for number in 50_000..51_000 {
            counters.add(&scattered(number), 1).unwrap();
            assert!(order.ask(1, everything(), &counters));
            all_steps += next_page(&mut order, &counters).1;
        }
        assert!(all_steps < 3 * 1000, "{all_steps} steps for 1000 listings");
    }

    #[test]
    fn a_prefix_and_a_cursor_need_not_be_names_of_counters() {
        let mut counters = table();
        let mut order = Order::default();
        // Earlier releases took `.` and `..`, which no client may name any more.
        for name in [".", "..", ".a", "a", "b", "b/1", "b/2", "b0", "c"] {
            counters.add(name, 1).unwrap();
        }
        let name = |text: &str| Some(CounterName::bound(text.to_owned()).unwrap());
        let mut names =
            |prefix, after| listed(&mut order, &counters, Window { prefix, after, limit: 2 });
        assert_eq!(names(name("b/"), None), ["b/1", "b/2"]);
        assert_eq!(names(name("b"), name("b/15")), ["b/2", "b0"]);
        assert_eq!(names(name("b"), name("zzz")), Vec::<String>::new());
        assert_eq!(names(name("b"), name("a")), ["b", "b/1", "b/2", "b0"]);
        assert_eq!(names(None, name("b0")), ["c"]);
        assert_eq!(names(name("."), None), [".", "..", ".a"]);
        assert_eq!(names(name("."), name("..")), [".a"]);
    }

    #[test]
    fn values_are_those_of_the_moment_of_the_answer() {
        let mut counters = table();
        let mut order = Order::default();
        counters.add("a", 1).unwrap();
        assert!(order.ask(1, everything(), &counters));
        counters.add("a", 1).unwrap();
        let ((rows, more), _) = next_page(&mut order, &counters);
        assert_eq!((rows.len(), rows[0].1, more), (1, Value(2), false));
    }

    #[test]
    fn listings_beyond_the_bound_are_refused() {
        let counters = table();
        let mut order = Order::default();
        for token in 0..WAITING_MAX as Token {
            assert!(order.ask(token, everything(), &counters));
        }
        assert!(!order.ask(0, everything(), &counters));
        assert!(order.step(&counters).is_some());
        assert!(order.ask(0, everything(), &counters));
    }
}
