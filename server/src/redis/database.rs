//! The databases of Redis. There is one table: what a client of database `n` calls `a` is the counter
//! `dbn:a`, which clients of database 0 and of HTTP reach under that name. Lists of database 0 leave
//! such names out.

use bytes::Bytes;
use quipu_core::name::{CounterName, DATABASES, NameError, in_database};

use super::command::Command;

/// A database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Database(u8);

impl Database {
    /// `None` if there is none of this number.
    pub(super) fn new(number: i64) -> Option<Database> {
        u8::try_from(number).ok().filter(|number| usize::from(*number) < DATABASES).map(Database)
    }

    pub(super) fn number(self) -> u8 {
        self.0
    }

    pub(super) fn is_first(self) -> bool {
        self.0 == 0
    }

    /// What the names of its counters begin with.
    pub(super) fn prefix(self) -> String {
        if self.is_first() { String::new() } else { format!("db{}:", self.0) }
    }

    /// The counter that an argument names to its clients. The prefix is part of the name's length.
    #[inline]
    pub(super) fn name(self, command: &Command<'_>, at: usize) -> Result<CounterName, NameError> {
        if self.is_first() { command.name(at) } else { self.counter(command.argument(at)) }
    }

    /// The counter that a text names to its clients, wherever it was told.
    pub(super) fn counter(self, name: &[u8]) -> Result<CounterName, NameError> {
        match name {
            b"" => Err(NameError::Empty),
            name => CounterName::new(Bytes::from([self.prefix().as_bytes(), name].concat())),
        }
    }

    /// What its clients call a counter; `None` if it is another database's.
    pub(super) fn shown(self, name: &str) -> Option<&str> {
        let (database, rest) = in_database(name);
        (database == usize::from(self.0)).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_redis_has() {
        assert!(Database::new(0).is_some_and(Database::is_first) && Database::new(15).is_some());
        assert!(Database::new(16).is_none() && Database::new(-1).is_none());
        assert!(Database::new(256).is_none());
    }
}
