//! What clients and operators ask of a node besides operations. Each question names its answer's type.
//!
//! A front end asks a [`Question`] and gets its [`Question::Answer`]. In between, the node and its
//! driver carry any question as a [`Query`] and any answer as an [`Answer`], so neither needs to be
//! generic. [`Question::read`] is the one way back from an [`Answer`]; a node that answers with
//! another kind than was asked for ends there, in [`WrongKind`].

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::condition::Stamp;
use crate::identity::{Address, OriginId, Version};
use crate::membership::PeersRefusal;
use crate::name::{CounterName, DATABASES};
use crate::operation::Value;
use crate::slot::Slot;

/// Most rows that a page holds: a MiB of names at worst, gathered in 0.6 ms (measured).
pub const PAGE_ROWS_MAX: usize = 1000;

/// Most rows of changes that a watcher gets at a time: as many as a page of a listing, for the same
/// reason.
pub const CHANGES_ROWS_MAX: usize = PAGE_ROWS_MAX;

/// A counter's name, and its value when it was listed.
pub type Row = (CounterName, Value);

/// A counter's name, and its value when its change was told; or how it ended, if it does not exist any
/// more.
pub type ChangedRow = (CounterName, Result<Value, Gone>);

/// How a counter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its time is over.
    Expired,
    /// What was left of it was taken away.
    Deleted,
}

/// A question, to which its answer belongs by type.
pub trait Question: Into<Query> {
    /// What it is answered with.
    type Answer;

    /// The answer as the node hands it out.
    fn answer(answer: Self::Answer) -> Answer;

    /// The answer, out of what a node has handed out.
    ///
    /// # Errors
    /// If it answers another question.
    fn read(answer: Answer) -> Result<Self::Answer, WrongKind>;
}

/// How many counters there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size;

/// The answer to it, for each database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes(pub Box<[DatabaseSize; DATABASES]>);

/// How much a database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseSize {
    /// How many counters exist.
    pub counters: usize,
    /// How many of them are to expire.
    pub expiring: usize,
    /// The deadlines of those, added up: milliseconds since 1970.
    pub deadlines_ms: u128,
}

impl Sizes {
    /// How many counters exist in all databases together.
    pub fn counters(&self) -> usize {
        self.0.iter().map(|size| size.counters).sum()
    }
}

/// Names in the order in which this node first heard of them. A counter that was there when the
/// first call of a walk was answered is named exactly once by the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// 0 to begin with, then [`Scanned::next`].
    pub from: u64,
    /// How many names at most; [`crate::node::SCAN_NAMES_MAX`] bounds it.
    pub count: usize,
}

/// Counters in the order of their names, byte by byte; those that were there when it was asked and
/// come next, and perhaps some that came since. Where many new names have to be put in order first,
/// later questions are answered before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// What the names begin with; anything if there is none.
    pub prefix: Option<CounterName>,
    /// The last name that is known already: it and what stands before it are left out.
    pub after: Option<CounterName>,
    /// How many rows at most; [`PAGE_ROWS_MAX`] bounds it.
    pub limit: usize,
}

/// Who has contributed what to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// It need not exist.
    pub name: CounterName,
}

/// What is seen of counters at one moment, for a request that is to be carried out only while it is
/// still so ([`crate::operation::Request::only_if`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// At most [`crate::node::REQUEST_OPS_MAX`]; none need exist.
    pub names: Vec<CounterName>,
}

/// A client waits until peers have confirmed a version of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Await {
    /// As [`crate::effect::Effect::Reply`] has it.
    pub version: Version,
    /// How many peers must have confirmed it.
    pub peers: usize,
    /// How long to wait; `None` waits for as long as it takes.
    pub patience: Option<Duration>,
}

/// An operator asks to take a peer in (again).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// It need not have answered yet.
    pub peer: PeerName,
}

/// An operator asks to remove a peer from the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove {
    /// It need not be up.
    pub peer: PeerName,
}

/// An operator asks for a settlement; answered with whether this node takes part in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle;

/// A peer as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerName {
    /// The text exactly as it was given; lists repeat it until the peer has answered.
    pub given: String,
    /// The same with its port.
    pub address: Address,
    /// The addresses to which the name resolves now; the address itself if it is one.
    pub resolved: Vec<SocketAddr>,
}

/// The next names of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// In the order in which this node first heard of them.
    pub names: Vec<CounterName>,
    /// Where to go on; 0 at the end of the walk.
    pub next: u64,
}

/// Counters in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most as many as were asked for.
    pub rows: Vec<Row>,
    /// Whether there is at least one more behind them.
    pub more: bool,
}

/// Too many listings wait for their pages; this one was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// What one origin has contributed to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose.
    pub origin: OriginId,
    /// Where the origin answers, if it is this node or a peer that is alive.
    pub address: Option<Address>,
    /// The numbers.
    pub slot: Slot,
    /// What is left of them, which is what the counter's value is made of (rule `cover`).
    pub left: Slot,
    /// Not below the origin's version that last changed them.
    pub version: Version,
}

/// What was seen of counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What the wall clock showed, in milliseconds since 1970.
    pub now_ms: u64,
    /// Of each counter that was named, in their order.
    pub sights: Vec<Sight>,
}

/// What was seen of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// `None` if it does not exist.
    pub value: Option<Value>,
    /// When it expires, in milliseconds since 1970; `None` if never.
    pub until: Option<NonZeroU64>,
    /// To find whether it has changed since.
    pub stamp: Stamp,
}

/// How many peers have confirmed a version: have merged it, and synced it if they keep anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// When they were enough, or the patience was over.
    Waited(usize),
    /// At the moment of the question: too many clients wait already.
    TooManyWait(usize),
}

/// Counters that have changed, for a watcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Each once, with its value when this was read; at most [`CHANGES_ROWS_MAX`] of them.
    pub rows: Vec<ChangedRow>,
    /// Whether there are more already.
    pub more: bool,
}

/// Any question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Answered by [`Answer::Size`].
    Size(Size),
    /// Answered by [`Answer::Scanned`].
    Scan(Scan),
    /// Answered by [`Answer::Page`].
    List(List),
    /// Answered by [`Answer::Origins`].
    Origins(Origins),
    /// Answered by [`Answer::Looked`].
    Look(Look),
    /// Answered by [`Answer::Confirmed`].
    Await(Await),
    /// Answered by [`Answer::Peers`].
    Register(Register),
    /// Answered by [`Answer::Peers`].
    Remove(Remove),
    /// Answered by [`Answer::Settle`].
    Settle(Settle),
}

/// Any answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Size`].
    Size(Sizes),
    /// To [`Scan`].
    Scanned(Scanned),
    /// To [`List`].
    Page(Result<Page, Busy>),
    /// To [`Origins`]: every origin's share; none if there is no such counter.
    Origins(Vec<Share>),
    /// To [`Look`].
    Looked(Looked),
    /// To [`Await`].
    Confirmed(Confirmed),
    /// To [`Register`] and [`Remove`].
    Peers(Result<(), PeersRefusal>),
    /// To [`Settle`].
    Settle(bool),
}

/// A node has answered with another kind than was asked for: a fault of this program. The answer is
/// dropped; what the question did is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an answer of the kind {expected}, found {found}")]
pub struct WrongKind {
    /// A variant of [`Answer`].
    pub expected: &'static str,
    /// Another one.
    pub found: &'static str,
}

impl Answer {
    fn kind(&self) -> &'static str {
        match self {
            Answer::Size(_) => "Size",
            Answer::Scanned(_) => "Scanned",
            Answer::Page(_) => "Page",
            Answer::Origins(_) => "Origins",
            Answer::Looked(_) => "Looked",
            Answer::Confirmed(_) => "Confirmed",
            Answer::Peers(_) => "Peers",
            Answer::Settle(_) => "Settle",
        }
    }
}

/// Binds each question to its variant of [`Query`], and to its answer's variant and type.
macro_rules! questions {
    ($($question:ident => $kind:ident($answer:ty);)*) => {$(
        impl From<$question> for Query {
            fn from(question: $question) -> Self {
                Query::$question(question)
            }
        }

        impl Question for $question {
            type Answer = $answer;

            fn answer(answer: $answer) -> Answer {
                Answer::$kind(answer)
            }

            fn read(answer: Answer) -> Result<$answer, WrongKind> {
                match answer {
                    Answer::$kind(answer) => Ok(answer),
                    other => Err(WrongKind { expected: stringify!($kind), found: other.kind() }),
                }
            }
        }
    )*};
}

questions! {
    Size => Size(Sizes);
    Scan => Scanned(Scanned);
    List => Page(Result<Page, Busy>);
    Origins => Origins(Vec<Share>);
    Look => Looked(Looked);
    Await => Confirmed(Confirmed);
    Register => Peers(Result<(), PeersRefusal>);
    Remove => Peers(Result<(), PeersRefusal>);
    Settle => Settle(bool);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads its own answer, and none of another kind.
    fn reads_its_own<Q>(answer: &Q::Answer, kind: &str)
    where
        Q: Question,
        Q::Answer: Clone + PartialEq + std::fmt::Debug,
    {
        let page = Page { rows: Vec::new(), more: false };
        let all = [
            Answer::Size(Sizes::default()),
            Answer::Scanned(Scanned { names: Vec::new(), next: 0 }),
            Answer::Page(Ok(page)),
            Answer::Origins(Vec::new()),
            Answer::Looked(Looked { now_ms: 1, sights: Vec::new() }),
            Answer::Confirmed(Confirmed::Waited(1)),
            Answer::Peers(Ok(())),
            Answer::Settle(true),
        ];
        assert_eq!(Q::read(Q::answer(answer.clone())).as_ref(), Ok(answer));
        for other in all.into_iter().filter(|other| other.kind() != kind) {
            let wrong = Q::read(other.clone()).expect_err("another kind");
            assert_eq!((wrong.expected, wrong.found), (kind, other.kind()));
        }
    }

    #[test]
    fn a_question_reads_its_own_answer_and_refuses_every_other_kind_by_name() {
        reads_its_own::<Size>(&Sizes::default(), "Size");
        reads_its_own::<Scan>(&Scanned { names: vec![CounterName::DEFAULT], next: 7 }, "Scanned");
        reads_its_own::<List>(&Err(Busy), "Page");
        reads_its_own::<Origins>(&Vec::new(), "Origins");
        reads_its_own::<Look>(&Looked { now_ms: 2, sights: Vec::new() }, "Looked");
        reads_its_own::<Await>(&Confirmed::TooManyWait(2), "Confirmed");
        let refused = Err(PeersRefusal::TooManyRemovals(1));
        reads_its_own::<Register>(&refused, "Peers");
        reads_its_own::<Remove>(&refused, "Peers");
        reads_its_own::<Settle>(&true, "Settle");
    }
}
