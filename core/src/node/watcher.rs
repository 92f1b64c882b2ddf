//! The watcher: the one caller that is kept up to date with which counters change.
//!
//! A node has a single watcher, since what has changed is forgotten once it is read. A driver with
//! many clients that watch asks once, on behalf of all. So one question at most waits here.

use crate::counters::Counters;
use crate::effect::Effect;
use crate::input::Token;
use crate::outbox::Effects;
use crate::query::Changes;

/// The watcher's question, as long as it waits.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    waits: Option<Token>,
}

impl Watcher {
    /// Begins to keep changes, and answers with them; or has the question wait until there are any.
    pub(super) fn watch(
        &mut self,
        token: Token,
        wait: bool,
        counters: &mut Counters,
        effects: &mut Effects,
    ) {
        self.give_up(effects);
        counters.watch_changes();
        if wait {
            self.waits = Some(token);
        } else {
            answer(token, taken(counters), effects);
        }
    }

    /// Keeps changes no longer.
    pub(super) fn unwatch(&mut self, token: Token, counters: &mut Counters, effects: &mut Effects) {
        self.give_up(effects);
        counters.ignore_changes();
        answer(token, Changes::default(), effects);
    }

    /// Answers a question that waits, once there are changes.
    pub(super) fn answer_due(&mut self, counters: &mut Counters, effects: &mut Effects) {
        if counters.has_changes()
            && let Some(token) = self.waits.take()
        {
            answer(token, taken(counters), effects);
        }
    }

    /// Answers a question that waits, though nothing has changed: another takes its place.
    fn give_up(&mut self, effects: &mut Effects) {
        if let Some(token) = self.waits.take() {
            answer(token, Changes::default(), effects);
        }
    }
}

fn taken(counters: &mut Counters) -> Changes {
    let (rows, more) = counters.take_changes();
    Changes { rows, more }
}

fn answer(token: Token, changes: Changes, effects: &mut Effects) {
    effects.after_sync.push(Effect::Changes { token, changes });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::OriginId;

    /// A watcher, with the table that it watches.
    struct Stage {
        watcher: Watcher,
        counters: Counters,
        effects: Effects,
    }

    impl Stage {
        fn new() -> Self {
            Stage {
                watcher: Watcher::default(),
                counters: Counters::new(OriginId(1), 0),
                effects: Effects::default(),
            }
        }

        fn watch(&mut self, token: Token, wait: bool) {
            self.watcher.watch(token, wait, &mut self.counters, &mut self.effects);
        }

        fn unwatch(&mut self, token: Token) {
            self.watcher.unwatch(token, &mut self.counters, &mut self.effects);
        }

        fn add(&mut self, name: &str) {
            self.counters.add(name, 1).expect("there is room");
            self.watcher.answer_due(&mut self.counters, &mut self.effects);
        }

        /// The answers since the last call: which question, and the names.
        fn answers(&mut self) -> Vec<(Token, Vec<String>)> {
            let read = |effect| match effect {
                Effect::Changes { token, changes } => {
                    let names = changes.rows.iter().map(|(name, _)| name.as_str().to_owned());
                    (token, names.collect())
                }
                other => panic!("expected changes, found {other:?}"),
            };
            assert!(self.effects.at_once.is_empty(), "a crash could take changes back");
            self.effects.after_sync.drain(..).map(read).collect()
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_question_that_waits_is_answered_once_by_the_first_change() {
        let mut stage = Stage::new();
        stage.watch(1, true);
        assert_eq!(stage.answers(), []);
        stage.add("a");
        assert_eq!(stage.answers(), [(1, names(&["a"]))]);
        stage.add("b");
        assert_eq!(stage.answers(), [], "it was answered");
        stage.watch(2, false);
        assert_eq!(stage.answers(), [(2, names(&["b"]))], "changes are kept in between");
    }

    #[test]
    fn a_question_takes_the_place_of_one_that_waits() {
        let mut stage = Stage::new();
        stage.watch(1, true);
        stage.watch(2, true);
        assert_eq!(stage.answers(), [(1, names(&[]))]);
        stage.watch(3, false);
        assert_eq!(stage.answers(), [(2, names(&[])), (3, names(&[]))], "in this order");
        stage.add("a");
        assert_eq!(stage.answers(), []);
    }

    #[test]
    fn nothing_is_kept_before_the_first_question_nor_behind_the_end() {
        let mut stage = Stage::new();
        stage.add("before");
        stage.watch(1, true);
        assert_eq!(stage.answers(), []);
        stage.unwatch(2);
        assert_eq!(stage.answers(), [(1, names(&[])), (2, names(&[]))]);
        stage.add("behind");
        stage.watch(3, false);
        assert_eq!(stage.answers(), [(3, names(&[]))]);
    }
}
