//! What a caller has asked for and may have.

use quipu_core::query::{Await, List, Look, Origins, Register, Remove, Scan, Settle, Size};

use super::action::{Action, Right};
use super::judge::Denied;

/// Something that can be asked for.
pub(crate) trait Asks {
    /// Has every action that it needs judged.
    fn each_action(
        &self,
        judge: impl FnMut(&Action<'_>) -> Result<(), Denied>,
    ) -> Result<(), Denied>;
}

/// Something that was asked for, and that its caller may have. Only this room makes one.
#[derive(Debug)]
pub(crate) struct Allowed<T>(T);

impl<T> Allowed<T> {
    pub(super) fn new(asked: T) -> Self {
        Allowed(asked)
    }

    /// What was asked for.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl Asks for List {
    fn each_action(
        &self,
        mut judge: impl FnMut(&Action<'_>) -> Result<(), Denied>,
    ) -> Result<(), Denied> {
        judge(&Action::from(self))
    }
}

impl Asks for Origins {
    fn each_action(
        &self,
        mut judge: impl FnMut(&Action<'_>) -> Result<(), Denied>,
    ) -> Result<(), Denied> {
        judge(&Action::from(self))
    }
}

impl Asks for Look {
    fn each_action(
        &self,
        mut judge: impl FnMut(&Action<'_>) -> Result<(), Denied>,
    ) -> Result<(), Denied> {
        self.names.iter().try_for_each(|name| judge(&Action::Read(name)))
    }
}

/// What is asked of the node itself and needs one right, whatever is asked exactly.
pub(crate) trait NeedsRight {
    const RIGHT: Right;
}

impl<T: NeedsRight> Asks for T {
    fn each_action(
        &self,
        mut judge: impl FnMut(&Action<'_>) -> Result<(), Denied>,
    ) -> Result<(), Denied> {
        judge(&Action::Node(T::RIGHT))
    }
}

/// A right under which its holder may ask this question, as often as it likes.
pub(crate) trait Covers<Q> {}

impl<T> Allowed<T> {
    /// A question that this right covers.
    pub(crate) fn covering<Q>(&self, question: Q) -> Allowed<Q>
    where
        T: Covers<Q>,
    {
        Allowed(question)
    }
}

impl Covers<Size> for Names {}
impl Covers<Scan> for Names {}
impl Covers<Await> for Confirm {}
impl Covers<Register> for Administer {}
impl Covers<Remove> for Administer {}
impl Covers<Settle> for Administer {}

/// The names of counters, and how many there are.
#[derive(Debug)]
pub(crate) struct Names;

impl NeedsRight for Names {
    const RIGHT: Right = Right::List;
}

/// Every change of every counter.
#[derive(Debug)]
pub(crate) struct EveryChange;

impl NeedsRight for EveryChange {
    const RIGHT: Right = Right::Watch;
}

/// Status, settings and metrics.
#[derive(Debug)]
pub(crate) struct Observe;

impl NeedsRight for Observe {
    const RIGHT: Right = Right::Observe;
}

/// Whether the node is well.
#[derive(Debug)]
pub(crate) struct Health;

impl NeedsRight for Health {
    const RIGHT: Right = Right::Health;
}

/// Which peers there are.
#[derive(Debug)]
pub(crate) struct Peers;

impl NeedsRight for Peers {
    const RIGHT: Right = Right::Peers;
}

/// To register peers and remove them.
#[derive(Debug)]
pub(crate) struct Administer;

impl NeedsRight for Administer {
    const RIGHT: Right = Right::Administer;
}

/// To change settings of a node that runs, and to end or unblock other clients' connections.
#[derive(Debug)]
pub(crate) struct Configure;

impl NeedsRight for Configure {
    const RIGHT: Right = Right::Configure;
}

/// To wait until peers have confirmed a change.
#[derive(Debug)]
pub(crate) struct Confirm;

impl NeedsRight for Confirm {
    const RIGHT: Right = Right::Confirm;
}

/// To become a link.
#[derive(Debug)]
pub(crate) struct Link;

impl NeedsRight for Link {
    const RIGHT: Right = Right::Link;
}
