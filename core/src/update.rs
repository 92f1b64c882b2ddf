//! Operations that set, bound, end or limit a counter, and what becomes of it.
//!
//! What such an operation does depends on what its node sees: whether the counter exists, its value,
//! its lifetime. [`judge`] says it, as steps of four kinds, and nothing else does: a node carries the
//! steps out, and a script may judge by the same function what it would come to.

/// What sets, bounds, ends or limits a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Add `by`, if the value after it is within bounds.
    Add {
        /// How much; negative or zero, too.
        by: i64,
        /// The least and the largest value that it may lead to.
        within: (i64, i64),
        /// Whether to go as far as the bounds let it; else nothing is done.
        saturate: bool,
        /// What becomes of the lifetime.
        expiry: Expiry,
    },
    /// Bring the value to `to`, whatever it is.
    Set {
        /// The value.
        to: i64,
        /// Whether the counter must exist, or must not.
        only: Option<Only>,
        /// What becomes of the lifetime.
        expiry: Expiry,
    },
    /// End the counter: take away what is seen of it.
    Delete,
    /// Give it a lifetime, if it exists.
    Expire {
        /// What it is to be.
        expiry: Expiry,
        /// On which condition.
        only: Option<OnlyExpire>,
    },
}

/// On which condition a counter is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// It exists.
    Existing,
    /// It does not.
    Missing,
}

/// On which condition a counter's lifetime is set. One that never expires lives for longer than any
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyExpire {
    /// It has none.
    WithoutLifetime,
    /// It has one.
    WithLifetime,
    /// The new one ends later.
    Later,
    /// The new one ends sooner.
    Sooner,
    /// It has one, and the new one ends sooner.
    Shortened,
}

/// What becomes of a counter's lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing.
    #[default]
    Keep,
    /// It ends so many milliseconds from now.
    After(u64),
    /// It ends at this time, in milliseconds since 1970.
    At(u64),
    /// The same as [`Expiry::After`], if it has none.
    AfterIfNone(u64),
    /// The same as [`Expiry::At`], if it has none.
    AtIfNone(u64),
    /// It never ends.
    Never,
}

/// A counter as a node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `None` if it does not exist.
    pub value: Option<i128>,
    /// When it expires, in milliseconds since 1970; `None` if never.
    pub until: Option<u64>,
}

/// What is to be done to a counter, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Whether the operation's condition held.
    pub applied: bool,
    /// Whether to take away what is seen of it.
    pub reset: bool,
    /// What to add.
    pub add: Option<i64>,
    /// To which value to raise it.
    pub raise: Option<i64>,
    /// Which lifetime to give it.
    pub lifetime: Option<Option<u64>>,
}

impl Update {
    /// See [`crate::operation::Op`].
    pub(crate) fn waits_while_behind(&self) -> bool {
        match self {
            Update::Add { .. } | Update::Expire { .. } => false,
            Update::Set { .. } | Update::Delete => true,
        }
    }

    /// Whether it may end the counter, at once or in time.
    pub fn ends(&self) -> bool {
        !matches!(self, Update::Add { expiry: Expiry::Keep, .. })
    }
}

impl Expiry {
    /// Which lifetime it gives a counter that has this one; `None` if it leaves that.
    fn resolve(self, until: Option<u64>, now_ms: u64) -> Option<Option<u64>> {
        match self {
            Expiry::Keep => None,
            Expiry::Never => until.is_some().then_some(None),
            Expiry::AfterIfNone(_) | Expiry::AtIfNone(_) if until.is_some() => None,
            Expiry::After(ms) | Expiry::AfterIfNone(ms) => Some(Some(now_ms.saturating_add(ms))),
            Expiry::At(at) | Expiry::AtIfNone(at) => Some(Some(at)),
        }
    }
}

impl OnlyExpire {
    fn holds(self, until: Option<u64>, new: Option<u64>) -> bool {
        let (old, new) = (until.unwrap_or(u64::MAX), new.unwrap_or(u64::MAX));
        match self {
            OnlyExpire::WithoutLifetime => until.is_none(),
            OnlyExpire::WithLifetime => until.is_some(),
            OnlyExpire::Later => new > old,
            OnlyExpire::Sooner => new < old,
            OnlyExpire::Shortened => until.is_some() && new < old,
        }
    }
}

/// What an update does to a counter that is seen so, at a time in milliseconds since 1970.
pub fn judge(update: &Update, seen: &Seen, now_ms: u64) -> Steps {
    let value = seen.value.unwrap_or(0);
    match *update {
        Update::Add { by, within: (least, most), saturate, expiry } => {
            let wanted = value + i128::from(by);
            let (least, most) = (i128::from(least), i128::from(most));
            // A value that is out of bounds already may be led back, not further away.
            let bounded = match by {
                ..0 => wanted.max(least.min(value)),
                _ => wanted.min(most.max(value)),
            };
            if bounded != wanted && !saturate {
                return Steps::default();
            }
            let by = i64::try_from(bounded - value).unwrap_or(by);
            let lifetime = expiry.resolve(seen.until, now_ms);
            ended_by(now_ms, Steps { applied: true, add: Some(by), lifetime, ..Steps::default() })
        }
        Update::Set { to, only, expiry } => {
            let holds = match only {
                None => true,
                Some(Only::Existing) => seen.value.is_some(),
                Some(Only::Missing) => seen.value.is_none(),
            };
            if !holds {
                return Steps::default();
            }
            // The reset takes the lifetime away, so what is to be kept is given anew.
            let lifetime = match expiry {
                Expiry::Keep => seen.until.map(Some),
                Expiry::Never => None,
                given => given.resolve(seen.until, now_ms).or(seen.until.map(Some)),
            };
            let steps = Steps { applied: true, reset: true, lifetime, ..Steps::default() };
            let steps = match to {
                1.. => Steps { raise: Some(to), ..steps },
                _ => Steps { add: Some(to), ..steps },
            };
            ended_by(now_ms, steps)
        }
        Update::Delete => {
            Steps { applied: seen.value.is_some(), reset: seen.value.is_some(), ..Steps::default() }
        }
        Update::Expire { expiry, only } => {
            let new = expiry.resolve(seen.until, now_ms);
            let holds = |new| only.is_none_or(|only| only.holds(seen.until, new));
            match new.filter(|new| seen.value.is_some() && holds(*new)) {
                Some(until) => {
                    let lifetime = Some(until);
                    ended_by(now_ms, Steps { applied: true, lifetime, ..Steps::default() })
                }
                None => Steps::default(),
            }
        }
    }
}

impl Steps {
    /// As what the counter is seen when they have been carried out; `None` if they are refused, since
    /// the value would leave i64.
    pub fn lead(&self, seen: &Seen) -> Option<Seen> {
        let mut seen = if self.reset { Seen::default() } else { *seen };
        if let Some(by) = self.add {
            seen.value = Some(added(seen.value.unwrap_or(0), by)?);
        }
        if let Some(to) = self.raise {
            seen.value = Some(seen.value.unwrap_or(0).max(i128::from(to)));
        }
        if let Some(until) = self.lifetime {
            seen.until = until;
        }
        Some(seen)
    }
}

/// What a value becomes by an addition; `None` if that would leave i64. A value that merging took out
/// of it may be led back, not further away.
pub(crate) fn added(value: i128, by: i64) -> Option<i128> {
    let after = value + i128::from(by);
    let is_within = |value: i128| i64::try_from(value).is_ok();
    let leaves = !is_within(after) && (by.is_negative() == after.is_negative() || is_within(value));
    (!leaves).then_some(after)
}

/// A lifetime that is over already ends the counter at once.
fn ended_by(now_ms: u64, steps: Steps) -> Steps {
    match steps.lifetime {
        Some(Some(until)) if until <= now_ms => {
            Steps { applied: steps.applied, reset: true, ..Steps::default() }
        }
        _ => steps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    fn seen(value: i128, until: Option<u64>) -> Seen {
        Seen { value: Some(value), until }
    }

    fn add(by: i64, within: (i64, i64), saturate: bool) -> Update {
        Update::Add { by, within, saturate, expiry: Expiry::Keep }
    }

    fn set(to: i64, only: Option<Only>, expiry: Expiry) -> Update {
        Update::Set { to, only, expiry }
    }

    #[test]
    fn an_addition_keeps_to_its_bounds_or_is_not_made() {
        let added = |update: &Update, value| judge(update, &seen(value, None), NOW).add;
        for (by, value, saturate, expected) in [
            (3, 0, false, Some(3)),
            (3, 8, false, None),
            (3, 8, true, Some(2)),
            (3, 10, true, Some(0)),
            (-3, 1, false, None),
            (-3, 1, true, Some(-1)),
            // Out of bounds already: back, but not further away.
            (3, 12, true, Some(0)),
            (-3, 12, false, Some(-3)),
            (3, -5, false, Some(3)),
            (-3, -5, true, Some(0)),
        ] {
            let update = add(by, (0, 10), saturate);
            assert_eq!(added(&update, value), expected, "{by} to {value}, saturate {saturate}");
        }
        let widest = add(i64::MIN, (i64::MIN, i64::MAX), true);
        assert_eq!(added(&widest, -1), Some(i64::MIN + 1));
    }

    #[test]
    fn a_set_takes_away_what_is_seen_and_begins_anew() {
        let steps = |to| judge(&set(to, None, Expiry::Never), &seen(7, Some(5_000)), NOW);
        let reset = Steps { applied: true, reset: true, ..Steps::default() };
        assert_eq!(steps(5), Steps { raise: Some(5), ..reset });
        assert_eq!(steps(0), Steps { add: Some(0), ..reset }, "it exists");
        assert_eq!(steps(-5), Steps { add: Some(-5), ..reset });
    }

    #[test]
    fn a_set_with_a_condition_needs_it_to_hold() {
        let applied =
            |only, seen: &Seen| judge(&set(1, Some(only), Expiry::Never), seen, NOW).applied;
        let missing = Seen::default();
        assert!(applied(Only::Existing, &seen(0, None)) && !applied(Only::Existing, &missing));
        assert!(!applied(Only::Missing, &seen(0, None)) && applied(Only::Missing, &missing));
    }

    #[test]
    fn a_set_keeps_gives_or_takes_a_lifetime() {
        let lifetime = |expiry, until| judge(&set(1, None, expiry), &seen(7, until), NOW).lifetime;
        let old = Some(5_000);
        for (expiry, with, without) in [
            (Expiry::Never, None, None),
            (Expiry::Keep, Some(old), None),
            (Expiry::After(50), Some(Some(1_050)), Some(Some(1_050))),
            (Expiry::At(2_000), Some(Some(2_000)), Some(Some(2_000))),
            (Expiry::AfterIfNone(50), Some(old), Some(Some(1_050))),
            (Expiry::AtIfNone(2_000), Some(old), Some(Some(2_000))),
        ] {
            assert_eq!(lifetime(expiry, old), with, "{expiry:?} on one that expires");
            assert_eq!(lifetime(expiry, None), without, "{expiry:?} on one that does not");
        }
    }

    #[test]
    fn a_lifetime_is_given_to_what_exists_and_on_its_condition() {
        let given = |only, until, at| {
            let update = Update::Expire { expiry: Expiry::At(at), only };
            judge(&update, &seen(7, until), NOW).lifetime
        };
        for (only, until, at, is_given) in [
            (None, None, 2_000, true),
            (Some(OnlyExpire::WithoutLifetime), None, 2_000, true),
            (Some(OnlyExpire::WithoutLifetime), Some(3_000), 2_000, false),
            (Some(OnlyExpire::WithLifetime), None, 2_000, false),
            (Some(OnlyExpire::WithLifetime), Some(3_000), 2_000, true),
            (Some(OnlyExpire::Later), None, 2_000, false),
            (Some(OnlyExpire::Later), Some(1_500), 2_000, true),
            (Some(OnlyExpire::Later), Some(2_000), 2_000, false),
            (Some(OnlyExpire::Sooner), None, 2_000, true),
            (Some(OnlyExpire::Sooner), Some(3_000), 2_000, true),
            (Some(OnlyExpire::Sooner), Some(2_000), 2_000, false),
            (Some(OnlyExpire::Shortened), None, 2_000, false),
            (Some(OnlyExpire::Shortened), Some(3_000), 2_000, true),
            (Some(OnlyExpire::Shortened), Some(2_000), 2_000, false),
        ] {
            let expected = is_given.then_some(Some(at));
            assert_eq!(given(only, until, at), expected, "{only:?} on {until:?}");
        }
        let update = Update::Expire { expiry: Expiry::After(5), only: None };
        assert_eq!(judge(&update, &Seen::default(), NOW), Steps::default(), "it does not exist");
        let persist = Update::Expire { expiry: Expiry::Never, only: None };
        assert_eq!(judge(&persist, &seen(7, Some(5_000)), NOW).lifetime, Some(None));
        assert!(!judge(&persist, &seen(7, None), NOW).applied, "there is nothing to take");
    }

    #[test]
    fn a_lifetime_that_is_over_ends_the_counter_at_once() {
        let ended = Steps { applied: true, reset: true, ..Steps::default() };
        let expire = Update::Expire { expiry: Expiry::At(NOW), only: None };
        assert_eq!(judge(&expire, &seen(7, None), NOW), ended);
        assert_eq!(judge(&set(5, None, Expiry::At(1)), &Seen::default(), NOW), ended);
    }

    #[test]
    fn a_delete_of_what_does_not_exist_does_nothing() {
        assert_eq!(judge(&Update::Delete, &Seen::default(), NOW), Steps::default());
        let ended = Steps { applied: true, reset: true, ..Steps::default() };
        assert_eq!(judge(&Update::Delete, &seen(0, None), NOW), ended);
    }
}
