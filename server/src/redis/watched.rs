//! `WATCH`: counters as this node saw them, which `EXEC` has the node hold against what there is.
//!
//! It is exact: see `quipu_core::condition`. One that was changed and changed back has changed.

use bytes::Bytes;
use quipu_core::condition::{Condition, Holds, Stamp};
use quipu_core::name::CounterName;
use quipu_core::query::Looked;

use crate::access::{Caller, Denied, OnlyIf};

/// Most counters that one connection watches: `EXEC` looks at all of them.
const WATCHED_MAX: usize = 1024;

/// The counters that one connection watches.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched(Vec<(CounterName, Stamp)>);

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

    /// Watches counters as they were seen just now. What was watched before is compared with what was
    /// seen first.
    pub(super) fn add(&mut self, names: &[CounterName], looked: &Looked) {
        let stamps = looked.sights.iter().map(|sight| sight.stamp);
        self.0.extend(names.iter().map(copied).zip(stamps));
    }

    /// That none of them has changed.
    pub(super) fn conditions(&self) -> impl Iterator<Item = Condition> {
        self.0
            .iter()
            .map(|(name, stamp)| Condition { name: name.clone(), holds: Holds::Unchanged(*stamp) })
    }

    /// The same, judged.
    pub(super) fn only_if(&self, caller: &Caller) -> Result<OnlyIf, Denied> {
        let mut only_if = OnlyIf::default();
        for Condition { name, holds } in self.conditions() {
            only_if.add(caller, name, holds)?;
        }
        Ok(only_if)
    }
}

/// A name of its own: as a slice it would keep alive the whole read in which it came.
fn copied(name: &CounterName) -> CounterName {
    let bytes = Bytes::copy_from_slice(name.as_str().as_bytes());
    CounterName::bound(bytes).unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use quipu_core::query::Sight;

    use super::*;

    fn name(name: &str) -> CounterName {
        CounterName::new(name.to_owned()).unwrap()
    }

    #[test]
    fn what_is_watched_already_is_not_looked_at_anew_and_all_is_bounded() {
        let mut watched = Watched::default();
        let sight = Sight { value: None, until: None, stamp: Stamp::default() };
        watched.add(&[name("a")], &Looked { now_ms: 1, sights: vec![sight] });
        assert_eq!(watched.new_ones(vec![name("a"), name("b")]), Ok(vec![name("b")]));
        let names = |count: usize| (0..count).map(|n| name(&format!("n{n}"))).collect();
        assert!(watched.new_ones(names(WATCHED_MAX - 1)).is_ok());
        assert!(watched.new_ones(names(WATCHED_MAX)).is_err());
    }
}
