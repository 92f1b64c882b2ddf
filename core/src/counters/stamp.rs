//! How far a counter has grown, and whether a request's conditions hold: see [`crate::condition`].

use super::{Counters, LOOKUPS_MAX, Lookup};
use crate::condition::{Condition, Holds, Stamp};
use crate::counters::counter::Counter;
use crate::ending::{Ending, Lifetime};
use crate::name::CounterName;
use crate::query::Sight;
use crate::slot::Numbers;

impl Counters {
    /// What is seen of counters, and how far they have grown.
    pub(crate) fn sights(&self, names: &[CounterName]) -> Vec<Sight> {
        let mut lookups = Vec::with_capacity(names.len().min(LOOKUPS_MAX));
        let mut sights = Vec::with_capacity(names.len());
        for names in names.chunks(LOOKUPS_MAX) {
            self.prefetch(names.iter().map(|name| name.as_str().as_bytes()), &mut lookups);
            sights.extend(lookups.iter().map(|lookup| self.sight(lookup)));
        }
        sights
    }

    fn sight(&self, lookup: &Lookup<'_>) -> Sight {
        let outcome = self.read(lookup);
        Sight {
            value: outcome.exists.then_some(outcome.value),
            until: outcome.until,
            stamp: self.stamp(lookup),
        }
    }

    /// Whether a condition holds.
    pub(crate) fn holds(&self, condition: &Condition) -> bool {
        let lookup = self.lookup(condition.name.as_str());
        match condition.holds {
            Holds::Missing => !self.read(&lookup).exists,
            Holds::Unchanged(stamp) => self.stamp(&lookup) == stamp,
        }
    }

    fn stamp(&self, lookup: &Lookup<'_>) -> Stamp {
        let folded = self.losses();
        // What a settlement left nothing of may have been counted and deleted since it was looked at.
        let Some(place) = self.find(lookup) else { return Stamp { folded, ..Stamp::default() } };
        let counter = &self.list[place];
        Stamp { grown: grown(counter), exists: self.is_existing(counter), folded }
    }
}

/// The sum of all that only grows. That it wraps does no harm: it would have to grow by 2^128.
fn grown(counter: &Counter) -> u128 {
    let slots = counter.slots().iter().map(|held| sum(&held.slot().numbers()));
    let endings = counter.ended().into_iter().flat_map(|ended| ended.endings());
    let ended = endings.map(|(_, ending)| match ending {
        Ending::Cover { covered, .. } => sum(&covered.numbers) + u128::from(covered.stamp),
        // A later one may end sooner, so the stamp outweighs the time.
        Ending::Lifetime(Lifetime { stamp, until }) => {
            u128::from(stamp) << 64 | u128::from(until.map_or(0, |until| until + 1))
        }
        Ending::Whole(_) => 1,
    });
    slots.chain(ended).fold(0, u128::wrapping_add)
}

fn sum(numbers: &Numbers) -> u128 {
    let Numbers { plus, minus, raise } = *numbers;
    u128::from(plus) + u128::from(minus) + u128::from(raise)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::{Change, Delta};
    use crate::ending::Covered;
    use crate::identity::OriginId;
    use crate::slot::Slot;
    use crate::update::{Expiry, Seen, Update, judge};

    const NOW: u64 = 1_000_000;

    fn counters() -> Counters {
        let mut counters = Counters::new(OriginId(1), 7);
        counters.set_wall_clock(NOW);
        counters
    }

    fn stamp(counters: &Counters) -> Stamp {
        counters.stamp(&counters.lookup("a"))
    }

    #[test]
    fn a_counter_that_was_changed_and_changed_back_has_changed() {
        let mut counters = counters();
        counters.add("a", 5).unwrap();
        let before = stamp(&counters);
        counters.add("a", 1).unwrap();
        counters.add("a", -1).unwrap();
        assert_ne!(stamp(&counters), before);
        let before = stamp(&counters);
        let at = |expiry| Update::Expire { expiry, only: None };
        counters.apply("a", &at(Expiry::At(NOW + 10))).unwrap();
        let once = stamp(&counters);
        counters.apply("a", &at(Expiry::Never)).unwrap();
        assert!(stamp(&counters) != once && stamp(&counters) != before);
        let before = stamp(&counters);
        counters.apply("a", &Update::Delete).unwrap();
        counters.add("a", 5).unwrap();
        assert_ne!(stamp(&counters), before, "ended and counted anew");
    }

    #[test]
    fn a_counter_has_changed_once_its_time_is_over() {
        let mut counters = counters();
        let set = Update::Set { to: 5, only: None, expiry: Expiry::At(NOW + 10) };
        counters.apply("a", &set).unwrap();
        let before = stamp(&counters);
        counters.set_wall_clock(NOW + 9);
        assert_eq!(stamp(&counters), before);
        counters.set_wall_clock(NOW + 10);
        assert_ne!(stamp(&counters), before);
    }

    #[test]
    fn what_does_not_exist_is_as_it_was_until_a_client_counts() {
        let mut counters = counters();
        let before = stamp(&counters);
        assert_eq!(before, Stamp::default());
        counters.add("b", 1).unwrap();
        assert_eq!(stamp(&counters), before);
        counters.add("a", 0).unwrap();
        assert_ne!(stamp(&counters), before);
    }

    /// Everything that is held of the counter, spelled out; but for slots and covers of nothing.
    fn held(counters: &Counters) -> String {
        let Some(place) = counters.find(&counters.lookup("a")) else { return "[] []".to_owned() };
        let counter = &counters.list[place];
        let slots = counter.slots().iter().map(|held| (held.origin, held.slot()));
        let slots: Vec<_> = slots.filter(|(_, slot)| *slot != Slot::default()).collect();
        let ended = counter.ended().into_iter().flat_map(|ended| ended.endings());
        let is_something = |(_, ending): &(_, Ending)| !matches!(ending, Ending::Cover { covered, .. } if *covered == Covered::default());
        format!("{slots:?} {:?}", ended.filter(is_something).collect::<Vec<_>>())
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(i64),
        Update(Update),
        Told(u64, Numbers),
        ToldEnding(u64, Ending),
    }

    fn steps() -> impl Strategy<Value = Step> {
        let numbers = || {
            (0..4_u64, 0..4_u64, 0..4_u64).prop_map(|(plus, minus, raise)| Numbers {
                plus,
                minus,
                raise,
            })
        };
        let at =
            || prop_oneof![Just(Expiry::Never), (1..50_u64).prop_map(|ms| Expiry::At(NOW + ms))];
        let lifetime = (NOW - 2..NOW + 3, prop::option::of(NOW + 1..NOW + 50))
            .prop_map(|(stamp, until)| Ending::Lifetime(Lifetime { stamp, until }));
        let cover = (1..4_u64, numbers(), 0..2_u64).prop_map(|(of, numbers, stamp)| {
            let covered = Covered { numbers, stamp: stamp * NOW };
            Ending::Cover { of: OriginId(of), covered }
        });
        prop_oneof![
            (-3..4_i64).prop_map(Step::Add),
            (-3..4_i64, at()).prop_map(|(to, expiry)| Step::Update(Update::Set {
                to,
                only: None,
                expiry
            })),
            at().prop_map(|expiry| Step::Update(Update::Expire { expiry, only: None })),
            Just(Step::Update(Update::Delete)),
            (2..4_u64, numbers()).prop_map(|(origin, numbers)| Step::Told(origin, numbers)),
            (2..4_u64, prop_oneof![lifetime, cover])
                .prop_map(|(origin, ending)| Step::ToldEnding(origin, ending)),
        ]
    }

    proptest! {
        /// Of any two moments, whichever clients did what in between.
        #[test]
        fn a_stamp_is_the_same_exactly_while_nothing_changes(
            steps in prop::collection::vec(steps(), 1..20),
        ) {
            let mut counters = counters();
            let mut seen = vec![(stamp(&counters).grown, held(&counters))];
            for (version, step) in (1..).zip(steps) {
                match step {
                    Step::Add(by) => drop(counters.add("a", by)),
                    Step::Update(update) => drop(counters.apply("a", &update)),
                    Step::Told(origin, numbers) => {
                        let changes = vec![Change::slot("a", Slot::from(numbers))];
                        tell(&mut counters, OriginId(origin), version, changes);
                    }
                    Step::ToldEnding(origin, ending) => {
                        let changes = vec![Change::Ending { name: "a", ending }];
                        tell(&mut counters, OriginId(origin), version, changes);
                    }
                }
                seen.push((stamp(&counters).grown, held(&counters)));
            }
            for (one, other) in seen.iter().flat_map(|one| seen.iter().map(move |other| (one, other))) {
                prop_assert_eq!(one.0 == other.0, one.1 == other.1, "{:?} {:?}", one, other);
            }
        }
    }

    proptest! {
        /// What a script is told of its own updates is what they come to.
        #[test]
        fn what_steps_lead_to_is_what_carrying_them_out_leads_to(
            steps in prop::collection::vec(steps(), 1..12),
        ) {
            let mut counters = counters();
            for step in steps {
                let update = match step {
                    Step::Update(update) => update,
                    Step::Add(by) => Update::Add {
                        // Far enough to leave 64 bits as a value, and never as a sum of our own.
                        by: by.clamp(-1, 1) * (i64::MAX / 8),
                        within: (i64::MIN, i64::MAX),
                        saturate: by % 2 == 0,
                        expiry: Expiry::Keep,
                    },
                    Step::Told(..) | Step::ToldEnding(..) => continue,
                };
                let seen = |counters: &Counters| {
                    let sight = counters.sights(&[CounterName::new("a").unwrap()])[0];
                    Seen { value: sight.value.map(|value| value.0), until: sight.until.map(u64::from) }
                };
                let before = seen(&counters);
                let led = judge(&update, &before, NOW).lead(&before);
                match counters.apply("a", &update) {
                    Ok(_) => prop_assert_eq!(led, Some(seen(&counters)), "{:?}", update),
                    Err(refusal) => prop_assert_eq!(led, None, "{:?}: {}", update, refusal),
                }
            }
        }
    }

    fn tell(counters: &mut Counters, origin: OriginId, upto: u64, changes: Vec<Change<'_>>) {
        counters.merge(&Delta { origin, after: 0, upto, changes }).expect("a sane delta");
    }
}
