//! Counters as a script sees them: as they were when it first looked at each, and what it has done to
//! them since.
//!
//! What becomes of them is judged by [`update::judge`], as it is in the node, at the time of the first
//! look. What is to be done in the end is what all of it comes to, counter by counter: an order in
//! which a reset comes first, then the value, then the lifetime. A lifetime that ends while the script
//! runs so ends the counter, and nothing that was added behind it makes it anew.
//!
//! [`update::judge`]: quipu_core::update::judge

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use quipu_core::condition::{Condition, Holds, Stamp};
use quipu_core::name::CounterName;
use quipu_core::node::SCAN_NAMES_MAX;
use quipu_core::operation::{Op, Outcome, Refusal, Value};
use quipu_core::query::{Look, Looked, Scan, Scanned, Sight};
use quipu_core::update::{Expiry, Seen, Steps, Update, judge};

use crate::access::{Allowed, Caller, Denied, Names, OnlyIf, Ops};
use crate::handle::Unavailable;

/// Most counters that a script may touch. For each there are four operations at most, and a request
/// holds 20,000.
pub(super) const COUNTERS_MAX: usize = 5000;

const _: () = assert!(4 * COUNTERS_MAX <= quipu_core::node::REQUEST_OPS_MAX);

/// Why a script cannot go on, whatever it does.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("ERR expected a script of at most {COUNTERS_MAX} counters, found more")]
    TooMany,
    #[error("TRYAGAIN a script that lists names has nothing done while others change its counters")]
    NoWalk,
    #[error("NOPERM this user has no permissions to access one of the keys used as arguments")]
    Denied,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<Denied> for Stop {
    fn from(_: Denied) -> Self {
        Stop::Denied
    }
}

/// How a script looks at what is on the node.
pub(super) trait Eyes {
    /// Looks at counters.
    fn look(&self, look: Allowed<Look>) -> Result<Looked, Unavailable>;

    /// The next names of a walk over all.
    ///
    /// # Errors
    /// [`Stop::NoWalk`] in the driver's place, where others wait.
    fn scan(&self, scan: Allowed<Scan>) -> Result<Scanned, Stop>;
}

/// What all that was done to a counter comes to, in the order in which it is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Net {
    reset: bool,
    raise: Option<i64>,
    add: Option<i128>,
    lifetime: Option<Option<u64>>,
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    existed: bool,
    now: Seen,
    net: Net,
}

/// See the file.
pub(super) struct Scratch<'a> {
    caller: Caller,
    eyes: &'a dyn Eyes,
    /// When the first look was, in milliseconds since 1970.
    now_ms: Option<u64>,
    counters: BTreeMap<CounterName, Entry>,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(caller: Caller, eyes: &'a dyn Eyes) -> Self {
        Scratch { caller, eyes, now_ms: None, counters: BTreeMap::new() }
    }

    /// Looks at counters, those that are known already left out.
    pub(super) fn look(&mut self, mut names: Vec<CounterName>) -> Result<(), Stop> {
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !self.counters.contains_key(name));
        if names.is_empty() {
            return Ok(());
        }
        if self.counters.len() + names.len() > COUNTERS_MAX {
            return Err(Stop::TooMany);
        }
        let looked = self.eyes.look(self.caller.ask(Look { names: names.clone() })?)?;
        self.has_seen(names, looked);
        Ok(())
    }

    /// Names of counters that exist and are wanted, some more than `most` at most. Those that the script has
    /// looked at exist if they do so for the script; of the others each is told as it was when the walk
    /// came by, and what becomes of it afterwards is no matter to the script.
    pub(super) fn names(
        &self,
        asked: &Allowed<Names>,
        most: usize,
        is_wanted: impl Fn(&CounterName) -> bool,
    ) -> Result<Vec<CounterName>, Stop> {
        let own = self.counters.iter().filter(|(_, entry)| entry.now.value.is_some());
        let mut found: Vec<CounterName> =
            own.map(|(name, _)| name.clone()).filter(&is_wanted).collect();
        let mut from = 0;
        loop {
            let scan = asked.covering(Scan { from, count: SCAN_NAMES_MAX });
            let Scanned { mut names, next } = self.eyes.scan(scan)?;
            let mut ops = Ops::default();
            names.retain(|name| {
                !self.counters.contains_key(name)
                    && is_wanted(name)
                    && ops.add(&self.caller, Op::Get { name: name.clone() }).is_ok()
            });
            if !names.is_empty() {
                let look = self.caller.ask(Look { names: names.clone() })?;
                let mut sights = self.eyes.look(look)?.sights.into_iter();
                names.retain(|_| sights.next().is_some_and(|sight| sight.value.is_some()));
            }
            found.append(&mut names);
            if next == 0 || found.len() > most {
                return Ok(found);
            }
            from = next;
        }
    }

    /// Counters were looked at before, and nothing was done to them.
    pub(super) fn has_seen(&mut self, names: Vec<CounterName>, looked: Looked) {
        self.now_ms.get_or_insert(looked.now_ms);
        for (name, sight) in names.into_iter().zip(looked.sights) {
            let Sight { value, until, stamp } = sight;
            let now = Seen { value: value.map(|value| value.0), until: until.map(u64::from) };
            let existed = value.is_some();
            self.counters.insert(name, Entry { stamp, existed, now, net: Net::default() });
        }
    }

    /// Whether a counter is still as it was seen at another time.
    pub(super) fn holds(&mut self, condition: &Condition) -> Result<bool, Stop> {
        let entry = self.entry(&condition.name)?;
        Ok(match condition.holds {
            Holds::Unchanged(stamp) => entry.stamp == stamp,
            Holds::Missing => entry.now.value.is_none(),
        })
    }

    /// Does an operation, here, and tells what it comes to.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Result<Outcome, Refusal>, Stop> {
        let name = op.name();
        self.look(vec![name.clone()])?;
        let now_ms = self.now_ms.unwrap_or_default();
        let entry = self.entry(name)?;
        let before = outcome(&entry.now);
        let steps = match op {
            Op::Get { .. } => return Ok(Ok(before)),
            Op::Add { by, .. } => Steps { applied: true, add: Some(*by), ..Steps::default() },
            Op::Raise { to, .. } => {
                let is_below = before.value.0 < i128::from(*to);
                Steps { applied: true, raise: is_below.then_some(*to), ..Steps::default() }
            }
            Op::Update { update, .. } => judge(update, &entry.now, now_ms),
        };
        if !steps.applied {
            return Ok(Ok(Outcome { applied: false, ..before }));
        }
        let Some(now) = steps.lead(&entry.now) else {
            return Ok(Err(Refusal::Overflow { found: before.value }));
        };
        entry.now = now;
        entry.net.follow(&steps);
        let after = outcome(&now);
        let change = after.value.0 - before.value.0;
        Ok(Ok(Outcome { change, existed: before.exists, ..after }))
    }

    fn entry(&mut self, name: &CounterName) -> Result<&mut Entry, Stop> {
        self.look(vec![name.clone()])?;
        // It was looked at just now, and the node tells of each name.
        self.counters.get_mut(name).ok_or(Stop::Unavailable(Unavailable::Stopping))
    }

    /// What is to be done, and on which conditions.
    pub(super) fn into_request(self) -> Result<(Ops, OnlyIf), Stop> {
        let (mut ops, mut only_if) = (Ops::default(), OnlyIf::default());
        for (name, Entry { stamp, existed, now, net }) in self.counters {
            net.tell(&name, existed, now.value.is_some(), |op| ops.add(&self.caller, op))?;
            only_if.add(&self.caller, name, Holds::Unchanged(stamp))?;
        }
        Ok((ops, only_if))
    }
}

fn outcome(seen: &Seen) -> Outcome {
    let exists = seen.value.is_some();
    Outcome {
        value: Value(seen.value.unwrap_or(0)),
        change: 0,
        exists,
        existed: exists,
        until: seen.until.and_then(NonZeroU64::new),
        applied: true,
    }
}

impl Net {
    fn follow(&mut self, steps: &Steps) {
        if steps.reset {
            *self = Net { reset: true, ..Net::default() };
        }
        if let Some(by) = steps.add {
            self.add = Some(self.add.unwrap_or(0) + i128::from(by));
        }
        if let Some(to) = steps.raise {
            // To raise what was added to means to add what lacks, as far as one node can tell; no
            // command of scripts does.
            self.raise = Some(to);
        }
        if let Some(until) = steps.lifetime {
            self.lifetime = Some(until);
        }
    }

    fn tell(
        self,
        name: &CounterName,
        existed: bool,
        exists: bool,
        mut tell: impl FnMut(Op) -> Result<(), Denied>,
    ) -> Result<(), Denied> {
        let mut update = |update| tell(Op::Update { name: name.clone(), update: Box::new(update) });
        if !exists {
            return if self.reset && existed { update(Update::Delete) } else { Ok(()) };
        }
        let at = |until: Option<u64>| until.map_or(Expiry::Never, Expiry::At);
        let mut lifetime = self.lifetime;
        match (self.reset, self.raise) {
            (true, Some(to)) => {
                // All at once, if nothing comes in between.
                let given = lifetime.filter(|_| self.add.is_none());
                if given.is_some() {
                    lifetime = None;
                }
                let expiry = at(given.flatten());
                update(Update::Set { to, only: None, expiry })?;
            }
            (true, None) if existed => update(Update::Delete)?,
            (_, None) => {}
            (false, Some(to)) => tell(Op::Raise { name: name.clone(), to })?,
        }
        if let Some(add) = self.add {
            // Within i64 at both ends, but the way may be twice as long.
            let first = i64::try_from(add).unwrap_or(if add < 0 { i64::MIN } else { i64::MAX });
            tell(Op::Add { name: name.clone(), by: first })?;
            let rest = i64::try_from(add - i128::from(first)).unwrap_or_default();
            if rest != 0 {
                tell(Op::Add { name: name.clone(), by: rest })?;
            }
        }
        match lifetime {
            Some(until) => {
                let update = Box::new(Update::Expire { expiry: at(until), only: None });
                tell(Op::Update { name: name.clone(), update })
            }
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Scratch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("counters", &self.counters).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use quipu_core::counters::Counters;
    use quipu_core::identity::OriginId;
    use quipu_core::update::Only;

    use super::*;
    use crate::access::Door;

    const NOW: u64 = 1_000_000;

    fn name(text: &str) -> CounterName {
        CounterName::new(text.to_owned()).unwrap()
    }

    fn update(update: Update) -> Op {
        Op::Update { name: name("a"), update: Box::new(update) }
    }

    fn set(to: i64, expiry: Expiry) -> Op {
        update(Update::Set { to, only: None, expiry })
    }

    fn expire(expiry: Expiry) -> Op {
        update(Update::Expire { expiry, only: None })
    }

    fn add(by: i64) -> Op {
        Op::Add { name: name("a"), by }
    }

    fn caller() -> Caller {
        Caller::anyone(Door::Redis, "127.0.0.1:1".parse().unwrap())
    }

    fn apply(counters: &RefCell<Counters>, op: &Op) -> Result<Outcome, Refusal> {
        let mut counters = counters.borrow_mut();
        match op {
            Op::Update { update, .. } => counters.apply("a", update),
            Op::Add { by, .. } => counters.apply(
                "a",
                &Update::Add {
                    by: *by,
                    within: (i64::MIN, i64::MAX),
                    saturate: false,
                    expiry: Expiry::Keep,
                },
            ),
            other => panic!("not told: {other:?}"),
        }
    }

    fn table(begun: &[Op]) -> RefCell<Counters> {
        let mut counters = Counters::new(OriginId(1), 7);
        counters.set_wall_clock(NOW);
        let counters = RefCell::new(counters);
        for op in begun {
            apply(&counters, op).unwrap();
        }
        counters
    }

    fn seen(counters: &RefCell<Counters>) -> (Option<i128>, Option<u64>) {
        let look = apply(counters, &update(Update::Delete)).unwrap();
        (look.existed.then(|| look.before().0), None)
    }

    /// Sees the one counter of a table.
    struct Told<'a>(&'a RefCell<Counters>);

    impl Eyes for Told<'_> {
        fn look(&self, look: Allowed<Look>) -> Result<Looked, Unavailable> {
            let names = look.into_inner().names;
            let sights = names.iter().map(|_| {
                let none = Update::Expire { expiry: Expiry::Keep, only: None };
                let outcome = self.0.borrow_mut().apply("a", &none).unwrap();
                let value = outcome.exists.then_some(outcome.value);
                Sight { value, until: outcome.until, stamp: Stamp::default() }
            });
            Ok(Looked { now_ms: NOW, sights: sights.collect() })
        }

        fn scan(&self, _: Allowed<Scan>) -> Result<Scanned, Stop> {
            Err(Stop::NoWalk)
        }
    }

    /// Does operations on a scratch and in a table: each must come to the same, and what the scratch
    /// asks for in the end must lead to where the table is.
    fn check(begun: &[Op], ops: &[Op]) {
        let (direct, told) = (table(begun), table(begun));
        let eyes = Told(&told);
        let mut scratch = Scratch::new(caller(), &eyes);
        for op in ops {
            let (here, there) = (scratch.apply(op).unwrap(), apply(&direct, op));
            // What would overflow is refused, and by bounds of all numbers not applied.
            let is_add = matches!(op, Op::Add { .. });
            let there = there.ok().filter(|outcome| outcome.applied || !is_add);
            let visible =
                |outcome: Outcome| (outcome.value, outcome.exists, outcome.until, outcome.applied);
            assert_eq!(here.map(visible).ok(), there.map(visible), "{op:?} of {ops:?}");
        }
        let (request, _) = scratch.into_request().unwrap();
        let request = request.into_inner();
        assert!(request.len() <= 4, "{request:?}");
        for op in &request {
            apply(&told, op).unwrap();
        }
        let none = Update::Expire { expiry: Expiry::Keep, only: None };
        let state = |counters: &RefCell<Counters>| {
            let outcome = counters.borrow_mut().apply("a", &none).unwrap();
            (outcome.exists, outcome.value, outcome.until)
        };
        assert_eq!(state(&direct), state(&told), "{begun:?} {ops:?} {request:?}");
        assert_eq!(seen(&direct), seen(&told));
    }

    #[test]
    fn what_is_asked_for_in_the_end_comes_to_what_was_told_on_the_way() {
        let at = Expiry::At(NOW + 500);
        let nx = update(Update::Set { to: 7, only: Some(Only::Missing), expiry: at });
        let all = [
            add(3),
            add(0),
            // Twice of it is too much, and no sum of three leaves what a slot holds.
            add(i64::MAX / 2 + 10),
            add(i64::MIN / 2 - 10),
            set(5, Expiry::Never),
            set(0, at),
            set(-4, Expiry::Keep),
            set(9, Expiry::After(200)),
            set(1, Expiry::At(1)),
            nx,
            update(Update::Delete),
            expire(at),
            expire(Expiry::Never),
            expire(Expiry::At(3)),
            expire(Expiry::AfterIfNone(70)),
        ];
        for begun in [vec![], vec![add(2)], vec![set(4, at)]] {
            for one in &all {
                for two in &all {
                    for three in &all {
                        check(&begun, &[one.clone(), two.clone(), three.clone()]);
                    }
                }
            }
        }
    }
}
