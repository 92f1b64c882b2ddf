//! What can be asked of a node, in the words of the domain: counters, not calls or commands.

use std::fmt;

use quipu_core::name::CounterName;
use quipu_core::operation::Op;
use quipu_core::query::{List, Origins};

/// What a caller may be allowed, each as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Read the values of counters, and where they come from.
    Read,
    /// Add to counters, subtract from them, raise them.
    Change,
    /// Set counters, reset, delete and expire them.
    End,
    /// Learn which counters there are.
    List,
    /// Be told what changes.
    Watch,
    /// Wait until peers have confirmed a change.
    Confirm,
    /// Register peers, remove them, and ask for settlements.
    Administer,
    /// Change settings of a node that runs, and end or unblock other clients' connections.
    Configure,
    /// Learn which peers there are.
    Peers,
    /// Read status, settings and metrics.
    Observe,
    /// Learn whether the node is well.
    Health,
    /// Become a link; what is said on it is proved there, by the cluster's secret.
    Link,
}

impl Right {
    /// All, in the order of their numbers.
    #[cfg(test)]
    pub(crate) const ALL: [Right; 12] = [
        Right::Read,
        Right::Change,
        Right::End,
        Right::List,
        Right::Watch,
        Right::Confirm,
        Right::Administer,
        Right::Configure,
        Right::Peers,
        Right::Observe,
        Right::Health,
        Right::Link,
    ];

    /// With "may" before it, a sentence about a caller.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read counters",
            Right::Change => "change counters",
            Right::End => "set, reset, delete and expire counters",
            Right::List => "list counters",
            Right::Watch => "watch counters",
            Right::Confirm => "wait for confirmations",
            Right::Administer => "register and remove peers, and settle",
            Right::Configure => "change settings and end connections",
            Right::Peers => "list peers",
            Right::Observe => "read status and metrics",
            Right::Health => "ask whether this node is well",
            Right::Link => "open links",
        }
    }
}

/// What is asked: a right, and of which counters, where it is of some.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action<'a> {
    Read(&'a CounterName),
    Change(&'a CounterName),
    End(&'a CounterName),
    /// Those whose names begin so; all if there is nothing.
    List(Option<&'a CounterName>),
    /// The same, of those that are watched.
    WatchPrefix(Option<&'a CounterName>),
    Watch(&'a CounterName),
    /// Nothing of a counter.
    Node(Right),
}

impl Action<'_> {
    /// The right that it needs.
    pub(super) const fn right(&self) -> Right {
        match self {
            Action::Read(_) => Right::Read,
            Action::Change(_) => Right::Change,
            Action::End(_) => Right::End,
            Action::List(_) => Right::List,
            Action::Watch(_) | Action::WatchPrefix(_) => Right::Watch,
            Action::Node(right) => *right,
        }
    }
}

impl<'a> From<&'a Op> for Action<'a> {
    fn from(op: &'a Op) -> Self {
        match op {
            Op::Get { name } => Action::Read(name),
            Op::Add { name, .. } | Op::Raise { name, .. } => Action::Change(name),
            Op::Update { name, update } if update.ends() => Action::End(name),
            Op::Update { name, .. } => Action::Change(name),
        }
    }
}

impl<'a> From<&'a List> for Action<'a> {
    fn from(list: &'a List) -> Self {
        Action::List(list.prefix.as_ref())
    }
}

impl<'a> From<&'a Origins> for Action<'a> {
    fn from(origins: &'a Origins) -> Self {
        Action::Read(&origins.name)
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.right().as_str())?;
        match self {
            Action::Read(name) | Action::Change(name) | Action::End(name) | Action::Watch(name) => {
                write!(f, ": {}", name.as_str())
            }
            Action::List(Some(prefix)) | Action::WatchPrefix(Some(prefix)) => {
                write!(f, ": {}*", prefix.as_str())
            }
            Action::List(None) | Action::WatchPrefix(None) | Action::Node(_) => Ok(()),
        }
    }
}
