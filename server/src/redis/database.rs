//! The databases of Redis. There is one table: what a client of database `n` calls `a` is the counter
//! `dbn:a`, which clients of database 0 and of HTTP reach under that name. Lists of database 0 leave
//! such names out.

use bytes::Bytes;
use quipu_core::name::{CounterName, NameError};

use super::command::Command;

/// As many as Redis has unless it is told otherwise.
pub(super) const DATABASES: u8 = 16;

/// A database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Database(u8);

impl Database {
    /// `None` if there is none of this number.
    pub(super) fn new(number: i64) -> Option<Database> {
        u8::try_from(number).ok().filter(|number| *number < DATABASES).map(Database)
    }

    /// All but the first, whose names begin with something.
    pub(super) fn others() -> impl Iterator<Item = Database> {
        (1..DATABASES).map(Database)
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
        if self.is_first() { command.name(at) } else { self.named(command.argument(at)) }
    }

    /// The counter that a text names to its clients, wherever it was told.
    pub(super) fn named(self, name: &[u8]) -> Result<CounterName, NameError> {
        match name {
            b"" => Err(NameError::Empty),
            name => CounterName::new(Bytes::from([self.prefix().as_bytes(), name].concat())),
        }
    }

    /// What its clients call a counter; `None` if it is another database's.
    pub(super) fn shown(self, name: &str) -> Option<&str> {
        let (database, rest) = split(name);
        (database == self).then_some(rest)
    }
}

/// Which database a counter is of, and what it is called there.
fn split(name: &str) -> (Database, &str) {
    let parts = || {
        let (number, rest) = name.strip_prefix("db")?.split_once(':')?;
        let database = Database::new(super::number::integer(number.as_bytes())?)?;
        (!database.is_first() && !rest.is_empty()).then_some((database, rest))
    };
    parts().unwrap_or((Database::default(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_of_one_database() {
        for (name, number, shown) in [
            ("a", 0, "a"),
            ("db1:a", 1, "a"),
            ("db15:a:b", 15, "a:b"),
            ("db1:db2:a", 1, "db2:a"),
            ("db0:a", 0, "db0:a"),
            ("db16:a", 0, "db16:a"),
            ("db01:a", 0, "db01:a"),
            ("db-1:a", 0, "db-1:a"),
            ("db1:", 0, "db1:"),
            ("db:a", 0, "db:a"),
            ("db1", 0, "db1"),
            ("DB1:a", 0, "DB1:a"),
        ] {
            for database in std::iter::once(Database::default()).chain(Database::others()) {
                let expected = (database == Database(number)).then_some(shown);
                assert_eq!(database.shown(name), expected, "{name} in {database:?}");
            }
        }
    }

    #[test]
    fn there_are_as_many_as_redis_has() {
        assert!(Database::new(0).is_some_and(Database::is_first) && Database::new(15).is_some());
        assert!(Database::new(16).is_none() && Database::new(-1).is_none());
        assert!(Database::new(256).is_none());
    }
}
