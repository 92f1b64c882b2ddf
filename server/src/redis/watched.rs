//! `WATCH`: counters as this node saw them, held against what it sees at `EXEC`.
//!
//! What is compared is the value, whether there is one, and when it expires. A counter that was changed
//! and changed back is not found to have changed.

use std::num::NonZeroU64;

use bytes::Bytes;
use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Outcome, Results, Value};

use super::errors;
use crate::access::{Caller, Denied, Ops};

/// Most counters that one connection watches: `EXEC` reads all of them.
const WATCHED_MAX: usize = 1024;

/// What was seen of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    value: Value,
    exists: bool,
    until: Option<NonZeroU64>,
}

impl From<&Outcome> for Seen {
    fn from(outcome: &Outcome) -> Self {
        Seen { value: outcome.value, exists: outcome.exists, until: outcome.until }
    }
}

/// The counters that one connection watches.
#[derive(Debug, Default)]
pub(super) struct Watched(Vec<(CounterName, Seen)>);

impl Watched {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of these names those that are not watched yet, or why there are too many.
    pub(super) fn new_ones(&self, mut names: Vec<CounterName>) -> Result<Vec<CounterName>, String> {
        names.retain(|name| !self.0.iter().any(|(known, _)| known == name));
        if self.0.len() + names.len() > WATCHED_MAX {
            return Err(format!(
                "ERR expected at most {WATCHED_MAX} watched keys of a connection, found more"
            ));
        }
        Ok(names)
    }

    /// Watches counters as they were read just now. What was watched before is compared with what was
    /// seen first. Where reading failed, that is the error, and none is watched.
    pub(super) fn add(&mut self, names: &[CounterName], results: &Results) -> Result<(), String> {
        let outcomes = outcomes(results)?;
        self.0.extend(names.iter().map(copied).zip(outcomes.iter().map(Seen::from)));
        Ok(())
    }

    /// What must be read again to find what has changed.
    pub(super) fn look(&self, caller: &Caller) -> Result<Ops, Denied> {
        reads(caller, self.0.iter().map(|(name, _)| name))
    }

    /// Whether any of them has changed.
    pub(super) fn has_changed(&self, results: &Results) -> Result<bool, String> {
        let outcomes = outcomes(results)?;
        Ok(self.0.iter().zip(outcomes).any(|((_, seen), now)| *seen != Seen::from(&now)))
    }
}

/// A name of its own: as a slice it would keep alive the whole read in which it came.
fn copied(name: &CounterName) -> CounterName {
    let bytes = Bytes::copy_from_slice(name.as_str().as_bytes());
    CounterName::bound(bytes).unwrap_or_else(|_| name.clone())
}

/// Reads of counters.
pub(super) fn reads<'a>(
    caller: &Caller,
    names: impl Iterator<Item = &'a CounterName>,
) -> Result<Ops, Denied> {
    let mut ops = Ops::default();
    for name in names {
        ops.add(caller, Op::Get { name: name.clone() })?;
    }
    Ok(ops)
}

fn outcomes(results: &Results) -> Result<Vec<Outcome>, String> {
    results.iter().map(|result| result.map_err(errors::refusal)).collect()
}

#[cfg(test)]
mod tests {
    use quipu_core::operation::Refusal;

    use super::*;

    const HERE: Outcome = Outcome { exists: true, existed: true, ..Outcome::MISSING };

    fn name(name: &str) -> CounterName {
        CounterName::new(name.to_owned()).unwrap()
    }

    #[test]
    fn a_counter_has_changed_if_its_value_its_existence_or_its_lifetime_has() {
        let mut watched = Watched::default();
        watched.add(&[name("a")], &vec![Ok(HERE)]).unwrap();
        let changed = |now| watched.has_changed(&vec![Ok(now)]);
        assert_eq!(changed(HERE), Ok(false));
        assert_eq!(changed(Outcome { value: Value(1), ..HERE }), Ok(true));
        assert_eq!(changed(Outcome::MISSING), Ok(true));
        assert_eq!(changed(Outcome { until: Some(NonZeroU64::MIN), ..HERE }), Ok(true));
        assert!(watched.has_changed(&vec![Err(Refusal::Removed)]).is_err());
    }

    #[test]
    fn what_is_watched_already_is_not_looked_at_anew_and_all_is_bounded() {
        let mut watched = Watched::default();
        watched.add(&[name("a")], &vec![Ok(HERE)]).unwrap();
        assert_eq!(watched.new_ones(vec![name("a"), name("b")]), Ok(vec![name("b")]));
        let names = |count: usize| (0..count).map(|n| name(&format!("n{n}"))).collect();
        assert!(watched.new_ones(names(WATCHED_MAX - 1)).is_ok());
        assert!(watched.new_ones(names(WATCHED_MAX)).is_err());
    }
}
