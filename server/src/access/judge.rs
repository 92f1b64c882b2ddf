//! The one place where it is judged what a caller may have.

use std::fmt::Display;

use super::action::{Action, Right};

/// Which rights a caller has: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights(u16);

impl Rights {
    pub(super) const ALL: Rights = Rights(u16::MAX);

    const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u16) != 0
    }

    #[cfg(test)]
    pub(super) const fn without(self, right: Right) -> Rights {
        Rights(self.0 & !(1 << right as u16))
    }
}

/// That a caller may not have what it asked for. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a caller that may {}, found one that may not", .0.as_str())]
pub(crate) struct Denied(pub(crate) Right);

/// Judges what a caller with these rights asks. Later rights that end at a prefix of names will be
/// looked for here: the action knows the counter.
pub(super) fn judge(
    caller: impl Display,
    rights: Rights,
    action: &Action<'_>,
) -> Result<(), Denied> {
    if rights.has(action.right()) { Ok(()) } else { Err(denied(caller, action)) }
}

/// By itself, so that what is allowed, as nearly everything is, pays one look at a bit.
#[cold]
fn denied(caller: impl Display, action: &Action<'_>) -> Denied {
    tracing::debug!(%caller, %action, "denied");
    Denied(action.right())
}

#[cfg(test)]
mod tests {
    use quipu_core::name::CounterName;
    use quipu_core::operation::Op;
    use quipu_core::query::{List, Origins};

    use super::*;
    use crate::access::{Asks, Caller, Door, EveryChange, Names, Ops};

    fn anyone() -> Caller {
        Caller::anyone(Door::Http, "127.0.0.1:1".parse().unwrap())
    }

    #[test]
    fn anyone_may_do_everything_and_one_right_less_denies_that_one_alone() {
        for right in Right::ALL {
            assert_eq!(anyone().may(&Action::Node(right)), Ok(()));
            let caller = anyone().without(right);
            for other in Right::ALL {
                let judged = caller.may(&Action::Node(other));
                assert_eq!(judged, if other == right { Err(Denied(right)) } else { Ok(()) });
            }
        }
    }

    #[test]
    fn what_is_asked_of_counters_needs_the_right_that_it_is_named_by() {
        let name = || CounterName::new("visits".to_owned()).unwrap();
        let ops = [
            (Op::Get { name: name() }, Right::Read),
            (Op::Add { name: name(), by: 1 }, Right::Change),
            (Op::Raise { name: name(), to: 1 }, Right::Change),
        ];
        for (op, right) in ops {
            assert!(Ops::default().add(&anyone(), op.clone()).is_ok());
            let mut denied = Ops::default();
            assert_eq!(denied.add(&anyone().without(right), op), Err(Denied(right)));
            assert_eq!(denied.len(), 0, "what is denied is not taken in");
        }
        needs(|| Names, Right::List);
        needs(|| List { prefix: None, after: None, limit: 1 }, Right::List);
        needs(|| Origins { name: name() }, Right::Read);
        needs(|| EveryChange, Right::Watch);
    }

    fn needs<T: Asks + std::fmt::Debug>(asked: impl Fn() -> T, right: Right) {
        assert!(anyone().ask(asked()).is_ok());
        assert_eq!(anyone().without(right).ask(asked()).unwrap_err(), Denied(right));
    }

    #[test]
    fn a_denial_says_who_asked_for_what() {
        let name = CounterName::new("visits".to_owned()).unwrap();
        assert_eq!(Action::Change(&name).to_string(), "change counters: visits");
        assert_eq!(Action::List(Some(&name)).to_string(), "list counters: visits*");
        assert_eq!(anyone().to_string(), "HTTP client 127.0.0.1:1");
        let words = "expected a caller that may change counters, found one that may not";
        assert_eq!(Denied(Right::Change).to_string(), words);
    }
}
