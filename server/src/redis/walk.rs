//! A walk over the names of one database, in steps, so that the driver serves others between two of
//! them.

use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::query::{Scan, Scanned};

use super::database::Database;
use crate::access::{Allowed, Caller, Names, Ops};
use crate::handle::{Handle, Unavailable};

/// A walk: whose, and over what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    pub(super) handle: &'a Handle,
    pub(super) names: &'a Allowed<Names>,
    pub(super) caller: &'a Caller,
    /// `None`: all.
    pub(super) database: Option<Database>,
}

impl Walk<'_> {
    /// The next names, fewer where counters have ended, and where the walk goes on; 0 at its end.
    pub(super) async fn names(
        &self,
        from: u64,
        count: usize,
    ) -> Result<(Vec<CounterName>, u64), Unavailable> {
        let scan = self.names.covering(Scan { from, count });
        let Scanned { mut names, next } = self.handle.ask(scan).await?;
        names.retain(|name| self.database.is_none_or(|it| it.shown(name.as_str()).is_some()));
        Ok((names, next))
    }

    /// The same of those that exist, and that are wanted by what clients of the database call them.
    /// What the caller may not read is left out.
    pub(super) async fn existing(
        &self,
        from: u64,
        count: usize,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<(Vec<CounterName>, u64), Unavailable> {
        let (mut names, next) = self.names(from, count).await?;
        let mut ops = Ops::default();
        names.retain(|name| {
            is_wanted(self.shown(name))
                && ops.add(self.caller, Op::Get { name: name.clone() }).is_ok()
        });
        if names.is_empty() {
            return Ok((names, next));
        }
        let mut results = self.handle.request(ops).await?.results.into_iter();
        names.retain(|_| matches!(results.next(), Some(Ok(outcome)) if outcome.exists));
        Ok((names, next))
    }

    /// What clients of the database call a counter.
    pub(super) fn shown<'n>(&self, name: &'n CounterName) -> &'n str {
        shown(self.database, name)
    }
}

/// What clients of a database call a counter; without one, its whole name.
pub(super) fn shown(database: Option<Database>, name: &CounterName) -> &str {
    let name = name.as_str();
    database.and_then(|database| database.shown(name)).unwrap_or(name)
}
