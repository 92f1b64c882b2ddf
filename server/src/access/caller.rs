//! Who asks.

use std::fmt;
use std::net::SocketAddr;

use super::action::Action;
use super::allowed::{Allowed, Asks};
use super::judge::{Denied, Rights, judge};

/// By which front end a caller comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Http,
    Redis,
}

impl Door {
    pub(crate) const ALL: [Door; 2] = [Door::Http, Door::Redis];
}

/// Who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A client that has not said who it is; all that is known is where it asks from.
    Anyone { address: SocketAddr },
}

/// One who asks, for as long as its connection lasts or until it says who it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    who: Who,
    door: Door,
    rights: Rights,
}

impl Caller {
    /// A client that has not said who it is. It may do everything.
    pub(crate) fn anyone(door: Door, address: SocketAddr) -> Self {
        Caller { who: Who::Anyone { address }, door, rights: Rights::ALL }
    }

    /// The same, but for one right.
    #[cfg(test)]
    pub(crate) fn without(mut self, right: super::action::Right) -> Self {
        self.rights = self.rights.without(right);
        self
    }

    /// Asks for something.
    pub(crate) fn ask<T: Asks>(&self, asked: T) -> Result<Allowed<T>, Denied> {
        asked.each_action(|action| self.may(action))?;
        Ok(Allowed::new(asked))
    }

    /// Whether something would be allowed.
    pub(crate) fn may(&self, action: &Action<'_>) -> Result<(), Denied> {
        judge(self, self.rights, action)
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Who::Anyone { address } = self.who;
        match self.door {
            Door::Http => write!(f, "HTTP client {address}"),
            Door::Redis => write!(f, "Redis client {address}"),
        }
    }
}
