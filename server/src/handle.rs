//! What front ends may ask of the node; the only way to the driver.
//!
//! A front end parses a request into operations and hands them in here as one message; the answer
//! comes back when what it tells is durable. What is handed in was judged before: see [`access`].
//! The queue behind it is bounded: when the driver is busy, callers wait, and so do the connections
//! that they serve. That is the back-pressure of the whole program, and why nothing in here ever
//! answers "try again".
//!
//! [`access`]: crate::access

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use quipu_core::identity::Address;
use quipu_core::membership::PeersRefusal;
use quipu_core::operation::Request;
use quipu_core::query::{Changes, PeerName, Question, Register, Remove, WrongKind};
use tokio::sync::{mpsc, oneshot};

use crate::access::{
    Administer, Allowed, Configure, EveryChange, Health, Link, Observe, OnlyIf, Ops, Peers,
};
use crate::config::DEFAULT_PORT;
use crate::disk;
use crate::disk::fsync::Fsync;
use crate::inbox::{Arrival, Command, Done, Members, Report, Work};
use crate::network::Counts;
use crate::network::resolve::Resolver;
use crate::os::memory::{Level, Memory, Size};
use crate::transport::link::Connection;

/// The way to the driver. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    arrivals: mpsc::Sender<Arrival>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    resolver: Arc<Resolver>,
    counts: Arc<Counts>,
    kept: Kept,
    memory: Arc<Memory>,
    /// Whether there is a driver that reads what is asked.
    is_open: AtomicBool,
}

/// Where what was counted is kept, as far as others may know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// `None`: in memory only.
    pub(crate) fsync: Option<Fsync>,
    pub(crate) counts: Arc<disk::counts::Counts>,
}

/// Why the driver gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    #[error("the node is starting: it reads what it had counted before")]
    Starting,
    #[error("the node is shutting down")]
    Stopping,
    /// A fault of this program, which no client can do anything about.
    #[error(transparent)]
    WrongKind(#[from] WrongKind),
}

impl Handle {
    /// The way to the driver that reads the other ends of these queues.
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        arrivals: mpsc::Sender<Arrival>,
        address: Address,
        resolver: Arc<Resolver>,
        counts: Arc<Counts>,
        kept: Kept,
        memory: Arc<Memory>,
    ) -> Self {
        let is_open = AtomicBool::new(false);
        let shared = Arc::new(Shared { address, resolver, counts, kept, memory, is_open });
        Handle { commands, arrivals, shared }
    }

    /// Lets callers in: the node has started.
    pub(crate) fn open(&self) {
        self.shared.is_open.store(true, Relaxed);
    }

    /// Whether the node has started.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.is_open.load(Relaxed)
    }

    /// Applies operations in order, as one message; answers when they are durable.
    pub(crate) async fn request(&self, ops: Ops) -> Result<Done, Unavailable> {
        let request = Request::from(ops.into_inner());
        self.send(|reply| Command::Request { request, reply }).await
    }

    /// The same, of operations that are all carried out or none, on conditions. Answers when they stand
    /// in the queue, with what answers when they are durable: what is asked behind that finds them done.
    pub(crate) async fn request_if(
        &self,
        ops: Ops,
        only_if: OnlyIf,
    ) -> Result<Queued, Unavailable> {
        let request = Request { ops: ops.into_inner(), only_if: only_if.into_inner() };
        self.enqueue(|reply| Command::Request { request, reply }).await.map(Queued)
    }

    /// The same, where the request is made while nothing else is done: see [`Work`].
    pub(crate) async fn request_alone(&self, work: Box<dyn Work>) -> Result<Done, Unavailable> {
        self.send(|reply| Command::Alone { work, reply }).await
    }

    /// Asks a question; the answer is of the type that the question names. The one place where an
    /// answer of the node becomes that type.
    ///
    /// # Errors
    /// [`Unavailable::WrongKind`] if the node has answered another question, which would be a fault
    /// of the node or its driver.
    pub(crate) async fn ask<Q: Question>(
        &self,
        question: Allowed<Q>,
    ) -> Result<Q::Answer, Unavailable> {
        let query = question.into_inner().into();
        let answer = self.send(|reply| Command::Query { query, reply }).await?;
        Ok(Q::read(answer)?)
    }

    /// Which counters have changed since this was answered last; if it is to wait, not before there
    /// are any. A node has one watcher: a call that still waits is answered when another comes.
    pub(crate) async fn watch(
        &self,
        _: &Allowed<EveryChange>,
        wait: bool,
    ) -> Result<Changes, Unavailable> {
        self.send(|reply| Command::Watch { wait, reply }).await
    }

    /// Has the node forget what has changed, and keep it no longer. A call that still waits is
    /// answered before this one.
    pub(crate) async fn unwatch(&self, _: &Allowed<EveryChange>) -> Result<(), Unavailable> {
        self.send(|reply| Command::Unwatch { reply }).await.map(drop)
    }

    /// Takes a peer in. `given` is a host or host:port, `address` the same with its port.
    pub(crate) async fn register(
        &self,
        operator: &Allowed<Administer>,
        given: String,
        address: Address,
    ) -> Result<Result<(), PeersRefusal>, Unavailable> {
        let peer = self.peer(given, address).await;
        self.ask(operator.covering(Register { peer })).await
    }

    /// Removes a peer from the cluster, until an operator registers it again.
    pub(crate) async fn remove(
        &self,
        operator: &Allowed<Administer>,
        given: String,
        address: Address,
    ) -> Result<Result<(), PeersRefusal>, Unavailable> {
        let peer = self.peer(given, address).await;
        self.ask(operator.covering(Remove { peer })).await
    }

    /// How the node is and what it has done, as of one moment; how much was counted, as of one at
    /// which all of that is safe.
    pub(crate) async fn report(&self, _: &Allowed<Observe>) -> Result<Report, Unavailable> {
        self.send(|reply| Command::Report { reply }).await
    }

    /// Which nodes belong to the cluster.
    pub(crate) async fn members(&self, _: &Allowed<Peers>) -> Result<Members, Unavailable> {
        self.send(|reply| Command::Members { reply }).await
    }

    /// Where what was counted is kept.
    pub(crate) fn kept(&self, _: &Allowed<Observe>) -> &Kept {
        &self.shared.kept
    }

    /// How much memory is used of what may be.
    pub(crate) fn memory(&self, _: &Allowed<Observe>) -> &Memory {
        &self.shared.memory
    }

    /// Has the process use so much memory at most before new names are refused; 0 is no bound.
    pub(crate) fn limit_memory(&self, _: &Allowed<Configure>, most: Size) {
        self.shared.memory.limit(most);
    }

    /// How full the memory is, if new names are refused for that.
    pub(crate) fn full(&self, _: &Allowed<Health>) -> Option<Level> {
        self.shared.memory.full()
    }

    /// What the network has sent, received, dropped and refused.
    pub(crate) fn network_counts(&self, _: &Allowed<Observe>) -> &Counts {
        &self.shared.counts
    }

    /// host:port at which others reach this node.
    pub(crate) fn address(&self) -> &Address {
        &self.shared.address
    }

    /// The default port that is meant where a peer is named without one.
    pub(crate) fn default_port(&self) -> u16 {
        DEFAULT_PORT
    }

    /// Takes over an upgraded connection as an incoming link.
    ///
    /// Does not wait: strangers open these too, and while the driver has more than it can take,
    /// the connection is closed. A peer dials again within a second.
    pub(crate) fn accept_link(&self, _: Allowed<Link>, connection: Connection) {
        if !self.is_open() || self.arrivals.try_send(Arrival::Accepted(connection)).is_err() {
            self.shared.counts.links_refused.add(1);
        }
    }

    async fn peer(&self, given: String, address: Address) -> PeerName {
        let resolved = self.shared.resolver.resolve(&address).await;
        PeerName { given, address, resolved }
    }

    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Unavailable> {
        self.enqueue(command).await?.await.map_err(|_| Unavailable::Stopping)
    }

    async fn enqueue<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<oneshot::Receiver<T>, Unavailable> {
        if !self.is_open() {
            return Err(Unavailable::Starting);
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Unavailable::Stopping)?;
        Ok(answer)
    }
}

/// A request that stands in the queue.
#[derive(Debug)]
pub(crate) struct Queued(oneshot::Receiver<Done>);

impl Queued {
    /// Waits until what it tells is durable.
    pub(crate) async fn done(self) -> Result<Done, Unavailable> {
        self.0.await.map_err(|_| Unavailable::Stopping)
    }
}

#[cfg(test)]
impl Handle {
    /// A handle of tests, open, and where what is asked by it arrives: there is no driver.
    pub(crate) fn without_driver() -> (Handle, crate::inbox::Inbox) {
        let (outside, inbox) = crate::inbox::inbox();
        let handle = Handle::new(
            outside.commands,
            outside.arrivals,
            Address::parse("127.0.0.1:1", 1).expect("an address"),
            Arc::new(Resolver::new()),
            Arc::new(Counts::default()),
            Kept::default(),
            Arc::new(Memory::new(Some(Size(0)))),
        );
        handle.open();
        (handle, inbox)
    }
}
