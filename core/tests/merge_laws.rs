//! The laws on which everything else stands.
//!
//! Slots, and tables of them, form a join semilattice: merging is commutative, associative and
//! idempotent, and never lowers anything. So deltas may come in any order, twice or not at all;
//! what is lost is asked for again, and in the end all tables are the same. That is shown here on
//! bare tables, with schedules that no network would dare. A failure prints its seed and keeps it
//! in a file beside this one, which is tried first from then on.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use quipu_core::counters::Counters;
use quipu_core::delta::{Change, Delta};
use quipu_core::digest::Want;
use quipu_core::ending::{Covered, Ending, EndingKey, Lifetime};
use quipu_core::identity::{OriginId, Version};
use quipu_core::replication::scan::Scan;
use quipu_core::slot::{Contribution, Numbers, Slot};
use quipu_core::update::{Expiry, Update};

const NODES: usize = 3;
const NAMES: [&str; 4] = ["w", "x", "y", "z"];

/// What wall clocks show in the end.
const NOW_MS: u64 = 1_000;

fn laws(cases: u32) -> ProptestConfig {
    let beside = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(beside)), ..Default::default() }
}

// --- slots ---------------------------------------------------------------------------------------

fn number() -> impl Strategy<Value = u64> {
    // Small ones, so that two are often equal, and the ends of the range.
    prop_oneof![4 => 0..4u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn slot() -> impl Strategy<Value = Slot> {
    (number(), number(), number())
        .prop_map(|(plus, minus, raise)| Slot::from(Numbers { plus, minus, raise }))
}

fn merged(one: &Slot, other: &Slot) -> Slot {
    let mut slot = *one;
    slot.merge(other);
    slot
}

proptest! {
    #![proptest_config(laws(512))]

    #[test]
    fn merging_slots_is_commutative_associative_and_idempotent(
        a in slot(), b in slot(), c in slot(),
    ) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a);
    }

    #[test]
    fn merging_slots_is_the_least_that_holds_both(a in slot(), b in slot(), c in slot()) {
        let both = merged(&a, &b);
        prop_assert!(a.is_within(&both) && b.is_within(&both));
        if a.is_within(&c) && b.is_within(&c) {
            prop_assert!(both.is_within(&c));
        }
    }
}

// --- tables --------------------------------------------------------------------------------------

/// A delta that has left its table.
#[derive(Clone, Debug)]
struct Letter {
    origin: OriginId,
    after: Version,
    upto: Version,
    entries: Vec<(String, Entry)>,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Slot(Slot),
    Ending(Ending),
}

impl Letter {
    fn of(delta: &Delta<'_>) -> Self {
        let entry = |change: &Change<'_>| match *change {
            Change::Slot { name, slot } => (name.to_owned(), Entry::Slot(slot)),
            Change::Ending { name, ending } => (name.to_owned(), Entry::Ending(ending)),
        };
        let entries = delta.changes.iter().map(entry).collect();
        Letter { origin: delta.origin, after: delta.after, upto: delta.upto, entries }
    }

    fn read(&self) -> Delta<'_> {
        fn change((name, entry): &(String, Entry)) -> Change<'_> {
            match *entry {
                Entry::Slot(slot) => Change::slot(name, slot),
                Entry::Ending(ending) => Change::Ending { name, ending },
            }
        }
        let changes = self.entries.iter().map(change).collect();
        Delta { origin: self.origin, after: self.after, upto: self.upto, changes }
    }

    /// The same cut into pieces of one change each, of which the last one claims.
    fn parts(&self) -> Vec<Letter> {
        let (upto, origin) = (self.upto, self.origin);
        let part = |entry: &(String, Entry)| Letter {
            origin,
            after: upto,
            upto,
            entries: vec![entry.clone()],
        };
        let last = Letter { entries: Vec::new(), ..self.clone() };
        self.entries.iter().map(part).chain([last]).collect()
    }
}

fn ending() -> impl Strategy<Value = Ending> {
    let cover = (1..5u64, number(), number(), number(), 0..4u64);
    let cover = cover.prop_map(|(of, plus, minus, raise, stamp)| {
        let numbers = Numbers { plus, minus, raise };
        Ending::Cover { of: OriginId(of), covered: Covered { numbers, stamp } }
    });
    let until = prop::option::of(0..2 * NOW_MS);
    let lifetime = (0..4u64, until);
    let lifetime = lifetime.prop_map(|(stamp, until)| Ending::Lifetime(Lifetime { stamp, until }));
    prop_oneof![3 => cover, 1 => lifetime]
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![slot().prop_map(Entry::Slot), ending().prop_map(Entry::Ending)]
}

fn letter() -> impl Strategy<Value = Letter> {
    // No real origin writes such a history: merging does not depend on anyone's good manners.
    let name = prop::sample::select(&NAMES[..]);
    let entries = prop::collection::vec((name, entry()), 0..6);
    (1..4u64, 0..5u64, 0..3u64, entries).prop_map(|(origin, after, length, entries)| Letter {
        origin: OriginId(origin),
        after,
        upto: after + length,
        entries: entries.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect(),
    })
}

/// Everything that can be told from a table, in an order of its own.
fn state(table: &Counters) -> BTreeMap<(String, OriginId), (u64, u64, u64)> {
    table
        .iter()
        .filter(|view| view.slot != Slot::default())
        .map(|view| {
            let Numbers { plus, minus, raise } = view.slot.numbers();
            ((view.name.to_owned(), view.origin), (plus, minus, raise))
        })
        .collect()
}

/// Everything that was said about ends.
fn ends(table: &Counters) -> BTreeMap<(String, OriginId, EndingKey), Ending> {
    let key = |name: &str, origin, ending: &Ending| (name.to_owned(), origin, ending.key());
    table.endings().map(|v| (key(v.name, v.origin, &v.ending), v.ending)).collect()
}

/// What a table should show of a counter, added up anew: what is left of each slot above all covers on
/// it, unless the newest lifetime that no cover has seen is over.
fn shown_anew(table: &Counters, name: &str) -> Option<i128> {
    let cover_on = |of: OriginId| {
        let mut all = Covered::default();
        for view in table.endings_of(name) {
            match view.ending {
                Ending::Cover { of: other, covered } if other == of => all.merge(&covered),
                _ => {}
            }
        }
        all
    };
    let left: Vec<Slot> =
        table.slots_of(name).map(|view| cover_on(view.origin).rest_of(&view.slot)).collect();
    let lifetimes = table.endings_of(name).filter_map(|view| match view.ending {
        Ending::Lifetime(lifetime) => Some((lifetime.stamp, view.origin, lifetime.until)),
        Ending::Cover { .. } | Ending::Whole(_) => None,
    });
    let uncovered = lifetimes.filter(|(stamp, origin, _)| *stamp > cover_on(*origin).stamp);
    let until = uncovered.max_by_key(|(stamp, _, until)| (*stamp, *until));
    let is_over = until.and_then(|(.., until)| until).is_some_and(|until| until <= NOW_MS);
    let is_live = left.iter().any(|slot| *slot != Slot::default());
    (is_live && !is_over).then(|| Contribution::of(&left).value())
}

fn shown(table: &Counters) -> Vec<Option<i128>> {
    NAMES.iter().map(|name| table.existing(name).map(|value| value.0)).collect()
}

fn all_shown_anew(table: &Counters) -> Vec<Option<i128>> {
    NAMES.iter().map(|name| shown_anew(table, name)).collect()
}

fn digest(table: &Counters) -> BTreeMap<OriginId, (Version, u64)> {
    table.digest().map(|(origin, known)| (origin, (known.version, known.fingerprint))).collect()
}

fn values(table: &Counters) -> Vec<i128> {
    NAMES.iter().map(|name| table.value(name).0).collect()
}

fn table_of<'a>(letters: impl IntoIterator<Item = &'a Letter>) -> Counters {
    let mut table = Counters::new(OriginId(1000), 0);
    table.set_wall_clock(NOW_MS);
    for letter in letters {
        table.merge(&letter.read()).expect("nobody else's origin is ours");
    }
    table
}

proptest! {
    #![proptest_config(laws(256))]

    #[test]
    fn tables_do_not_depend_on_the_order_of_deltas_nor_on_how_often_they_come(
        letters in prop::collection::vec(letter(), 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let once = table_of(&letters);
        let backwards = table_of(letters.iter().rev());
        let again = letters.len().min(1) * order.len();
        let shuffled = order.iter().take(again).map(|index| index.get(&letters));
        let often = table_of(shuffled.chain(&letters));
        for other in [&backwards, &often] {
            prop_assert_eq!(state(&once), state(other));
            prop_assert_eq!(ends(&once), ends(other));
            prop_assert_eq!(digest(&once), digest(other));
            prop_assert_eq!(shown(&once), shown(other));
        }
        prop_assert_eq!(shown(&once), all_shown_anew(&once));
    }

    #[test]
    fn tables_do_not_depend_on_how_deltas_are_cut(
        letters in prop::collection::vec(letter(), 0..12),
    ) {
        let whole = table_of(&letters);
        let parts: Vec<Letter> = letters.iter().flat_map(Letter::parts).collect();
        let cut = table_of(&parts);
        prop_assert_eq!(state(&whole), state(&cut));
        prop_assert_eq!(ends(&whole), ends(&cut));
        prop_assert_eq!(digest(&whole), digest(&cut));
        prop_assert_eq!(shown(&whole), shown(&cut));
    }

    #[test]
    fn merging_never_lowers_a_slot_a_claim_or_a_version(
        letters in prop::collection::vec(letter(), 1..12),
    ) {
        let mut table = table_of(&[]);
        for letter in &letters {
            let (slots, claims) = (state(&table), digest(&table));
            let versions: BTreeMap<(String, OriginId), Version> =
                table.iter().map(|v| ((v.name.to_owned(), v.origin), v.version)).collect();
            table.merge(&letter.read()).unwrap();
            let now = state(&table);
            for (key, (plus, minus, raise)) in slots {
                let (p, m, r) = now[&key];
                prop_assert!(plus <= p && minus <= m && raise <= r);
            }
            for (origin, (version, _)) in claims {
                prop_assert!(version <= table.known(origin).version);
            }
            for view in table.iter() {
                let before = versions.get(&(view.name.to_owned(), view.origin));
                prop_assert!(before.is_none_or(|before| *before <= view.version));
            }
        }
    }

    #[test]
    fn a_second_merge_of_the_same_delta_is_no_news(
        letters in prop::collection::vec(letter(), 1..8),
    ) {
        let mut table = table_of(&letters);
        for letter in &letters {
            let before = digest(&table);
            prop_assert!(!table.merge(&letter.read()).unwrap().news);
            prop_assert_eq!(&before, &digest(&table));
        }
    }
}

// --- nodes that exchange deltas ------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Step {
    Add {
        node: usize,
        name: usize,
        by: i64,
    },
    Raise {
        node: usize,
        name: usize,
        to: i64,
    },
    /// Whatever sets, ends or limits a counter.
    Update {
        node: usize,
        name: usize,
        update: Update,
    },
    /// A wall clock goes on.
    Pass {
        node: usize,
        ms: u64,
    },
    Close {
        node: usize,
    },
    /// One of the deltas that have ever been on their way arrives, whether or not it has before.
    Arrive {
        letter: prop::sample::Index,
        to: usize,
    },
    /// A catch-up begins; one that was under way between the two is lost.
    Ask {
        from: usize,
        to: usize,
        origin: usize,
        all: bool,
    },
    /// One part of it is scanned, and arrives.
    Part {
        from: usize,
        to: usize,
        places: usize,
    },
}

fn update() -> impl Strategy<Value = Update> {
    let expiry = || {
        prop_oneof![
            2 => Just(Expiry::Keep),
            2 => (0..80u64).prop_map(Expiry::After),
            1 => Just(Expiry::Never),
        ]
    };
    prop_oneof![
        2 => Just(Update::Delete),
        2 => (-3..9i64, expiry()).prop_map(|(to, expiry)| Update::Set { to, only: None, expiry }),
        2 => (-9..9i64, any::<bool>(), expiry()).prop_map(|(by, saturate, expiry)| {
            Update::Add { by, within: (-5, 20), saturate, expiry }
        }),
        2 => expiry().prop_map(|expiry| Update::Expire { expiry, only: None }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    let name = || 0..NAMES.len();
    prop_oneof![
        4 => (node(), name(), -3..9i64).prop_map(|(node, name, by)| Step::Add { node, name, by }),
        1 => (node(), name(), 0..20i64).prop_map(|(node, name, to)| Step::Raise { node, name, to }),
        3 => (node(), name(), update())
            .prop_map(|(node, name, update)| Step::Update { node, name, update }),
        1 => (node(), 1..60u64).prop_map(|(node, ms)| Step::Pass { node, ms }),
        3 => node().prop_map(|node| Step::Close { node }),
        6 => (any::<prop::sample::Index>(), node())
            .prop_map(|(letter, to)| Step::Arrive { letter, to }),
        2 => (node(), node(), node(), any::<bool>())
            .prop_map(|(from, to, origin, all)| Step::Ask { from, to, origin, all }),
        4 => (node(), node(), 1..3usize)
            .prop_map(|(from, to, places)| Step::Part { from, to, places }),
    ]
}

fn origin(node: usize) -> OriginId {
    OriginId(node as u64 + 1)
}

/// Whether a table knows that an origin has said this, or more.
fn is_said(table: &Counters, by: OriginId, name: &str, ending: &Ending) -> bool {
    let said = table.endings_of(name).filter(|view| view.origin == by).map(|view| view.ending);
    said.into_iter().any(|held| match (ending, held) {
        (Ending::Cover { of, covered }, Ending::Cover { of: other, covered: held }) => {
            *of == other && covered.is_within(&held)
        }
        (Ending::Lifetime(lifetime), Ending::Lifetime(held)) => *lifetime <= held,
        _ => false,
    })
}

/// Three tables, all that is on its way between them, and what really happened.
struct World {
    tables: Vec<Counters>,
    letters: Vec<Letter>,
    catch_ups: BTreeMap<(usize, usize), Scan>,
    /// What each node's batches held: the truth against which claims are measured.
    history: Vec<Vec<Letter>>,
    /// By counter: everything that was added anywhere, and whether anyone raised it.
    added: [i128; NAMES.len()],
    raised: [bool; NAMES.len()],
    /// By counter: whether anybody did more to it than adding and raising.
    updated: [bool; NAMES.len()],
    walls: [u64; NODES],
}

impl World {
    fn new() -> Self {
        World {
            tables: (0..NODES).map(|node| Counters::new(origin(node), node as u64)).collect(),
            letters: Vec::new(),
            catch_ups: BTreeMap::new(),
            history: vec![Vec::new(); NODES],
            added: [0; NAMES.len()],
            raised: [false; NAMES.len()],
            updated: [false; NAMES.len()],
            walls: [1; NODES],
        }
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Update { node, name, ref update } => {
                let outcome = self.tables[node].apply(NAMES[name], update);
                outcome.expect("far from any bound");
                self.updated[name] = true;
            }
            Step::Pass { node, ms } => {
                self.walls[node] = (self.walls[node] + ms).min(NOW_MS);
                self.tables[node].set_wall_clock(self.walls[node]);
            }
            Step::Add { node, name, by } => {
                self.tables[node].add(NAMES[name], by).expect("far from any bound");
                self.added[name] += i128::from(by);
            }
            Step::Raise { node, name, to } => {
                let before = self.tables[node].value(NAMES[name]).0;
                let value = self.tables[node].raise(NAMES[name], to).expect("far from any bound").0;
                assert_eq!(value, before.max(i128::from(to)));
                self.raised[name] |= value > before;
            }
            Step::Close { node } => self.close(node),
            Step::Arrive { letter, to } => {
                if !self.letters.is_empty() {
                    let letter = letter.get(&self.letters);
                    self.tables[to].merge(&letter.read()).expect("nobody writes under our origin");
                }
            }
            Step::Ask { from, to, origin: whose, all } => {
                let after = self.tables[to].known(origin(whose)).version;
                let want = Want { origin: origin(whose), after: (!all).then_some(after) };
                if from != to && whose != to {
                    self.catch_ups.insert((from, to), Scan::new(&self.tables[from], &[want]));
                }
            }
            Step::Part { from, to, places } => self.part(from, to, places),
        }
    }

    fn close(&mut self, node: usize) {
        let Some(batch) = self.tables[node].close() else { return };
        let letter = Letter::of(&self.tables[node].delta_of(&batch));
        self.history[node].push(letter.clone());
        self.letters.push(letter);
    }

    fn part(&mut self, from: usize, to: usize, places: usize) {
        // A part leaves when the batch that is open while it is read has closed (rule
        // `publish-after-sync`).
        let Some(scan) = self.catch_ups.get_mut(&(from, to)) else { return };
        let (deltas, last) = scan.step(&self.tables[from], usize::MAX, places);
        let letters: Vec<Letter> = deltas.iter().map(Letter::of).collect();
        self.close(from);
        for letter in &letters {
            self.tables[to].merge(&letter.read()).expect("nobody writes under our origin");
        }
        if last {
            self.catch_ups.remove(&(from, to));
        }
    }

    /// What a digest claims is there, and will be relayed: for each batch up to the claimed
    /// version, its slots' numbers, and versions that are not too low (rules
    /// `merge-now-claim-without-gap`, `version-never-too-low`, `select-by-after-alone` and
    /// `claim-the-beginning`).
    fn assert_claims_hold(&self) {
        for table in &self.tables {
            let held: BTreeMap<(&str, OriginId), (Slot, Version)> = table
                .iter()
                .map(|view| ((view.name, view.origin), (view.slot, view.version)))
                .collect();
            for (node, batches) in self.history.iter().enumerate() {
                let claimed = table.known(origin(node)).version;
                for batch in batches.iter().filter(|batch| batch.upto <= claimed) {
                    for (name, entry) in &batch.entries {
                        let (found, version) = held[&(name.as_str(), origin(node))];
                        let is_there = match entry {
                            Entry::Slot(slot) => slot.is_within(&found),
                            Entry::Ending(ending) => is_said(table, origin(node), name, ending),
                        };
                        assert!(is_there, "{name} of {} is missing", origin(node));
                        assert!(version >= batch.upto, "{name} would be left out of relays");
                    }
                }
            }
        }
    }

    /// What links do sooner or later: everyone asks everyone for what digests show to be lacking
    /// or different.
    fn repair(&mut self) {
        for node in 0..NODES {
            self.close(node);
        }
        for _ in 0..NODES {
            for from in 0..NODES {
                for to in 0..NODES {
                    self.compare(from, to);
                }
            }
        }
    }

    fn compare(&mut self, from: usize, to: usize) {
        let mut letters = Vec::new();
        for (origin, theirs) in self.tables[from].digest() {
            let ours = self.tables[to].known(origin);
            if origin == self.tables[to].our_origin() || ours == theirs {
                continue;
            }
            let is_lacking = ours.version < theirs.version;
            let after = is_lacking.then_some(ours.version);
            let mut scan = Scan::new(&self.tables[from], &[Want { origin, after }]);
            let (deltas, _) = scan.step(&self.tables[from], usize::MAX, usize::MAX);
            letters.extend(deltas.iter().map(Letter::of));
        }
        for letter in &letters {
            self.tables[to].merge(&letter.read()).expect("nobody writes under our origin");
        }
    }
}

proptest! {
    #![proptest_config(laws(512))]

    #[test]
    fn whatever_is_lost_doubled_or_reordered_all_come_to_the_same_once_it_is_repaired(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.play(step);
            world.assert_claims_hold();
        }
        world.repair();
        world.assert_claims_hold();
        world.tables.iter_mut().for_each(|table| table.set_wall_clock(NOW_MS));
        let first = &world.tables[0];
        for other in &world.tables[1..] {
            prop_assert_eq!(state(first), state(other));
            prop_assert_eq!(ends(first), ends(other));
            prop_assert_eq!(digest(first), digest(other));
            prop_assert_eq!(shown(first), shown(other));
        }
        prop_assert_eq!(shown(first), all_shown_anew(first));
        for (name, value) in values(first).into_iter().enumerate() {
            if world.updated[name] {
                continue;
            }
            if world.raised[name] {
                prop_assert!(value >= world.added[name], "a raise never takes anything away");
            } else {
                prop_assert_eq!(value, world.added[name], "each increment counts once");
            }
        }
    }
}
