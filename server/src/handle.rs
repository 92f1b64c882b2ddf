//! What front ends may ask of the node; the only door to the driver.
//!
//! A front end parses a request into operations and hands them in here as one message; the answer
//! comes back when what it tells is durable. The queue behind the door is bounded: when the driver
//! is busy, callers wait at the door, and so do the connections that they serve. That is the
//! back-pressure of the whole program, and why nothing in here ever answers "try again".

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use quipu_core::identity::{Address, Version};
use quipu_core::input::PeerName;
use quipu_core::membership::PeersRefusal;
use quipu_core::operation::Op;
use quipu_core::query::{Answer, Query};
use tokio::sync::{mpsc, oneshot};

use crate::config::DEFAULT_PORT;
use crate::disk;
use crate::disk::fsync::Fsync;
use crate::inbox::{Arrival, Command, Done, Members, Report};
use crate::network::Counts;
use crate::network::resolve::Resolver;
use crate::os::memory::Memory;
use crate::transport::link::Connection;

/// A door to the driver. Cheap to clone.
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
}

/// What a client that waits for peers is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confirmed {
    /// How many have synced what it waits for.
    pub(crate) peers: usize,
    /// No if it was answered at once because too many wait already.
    pub(crate) has_waited: bool,
}

impl Handle {
    /// A door to the driver that reads the other ends of these queues.
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

    /// Lets everybody in: the node has started.
    pub(crate) fn open(&self) {
        self.shared.is_open.store(true, Relaxed);
    }

    /// Whether the node has started.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.is_open.load(Relaxed)
    }

    /// Applies operations in order, as one message; answers when they are durable.
    pub(crate) async fn request(&self, ops: Vec<Op>) -> Result<Done, Unavailable> {
        self.ask(|reply| Command::Request { ops, reply }).await
    }

    /// Answers a question about the table as a whole.
    pub(crate) async fn query(&self, query: Query) -> Result<Answer, Unavailable> {
        self.ask(|reply| Command::Query { query, reply }).await
    }

    /// Waits until so many peers have synced this node's changes up to a version, or the patience
    /// is over.
    pub(crate) async fn confirmed(
        &self,
        version: Version,
        peers: usize,
        patience: Option<Duration>,
    ) -> Result<Confirmed, Unavailable> {
        match self.ask(|reply| Command::Await { version, peers, patience, reply }).await? {
            Answer::Confirmed(peers) => Ok(Confirmed { peers, has_waited: true }),
            Answer::TooManyWait(peers) => Ok(Confirmed { peers, has_waited: false }),
            _ => Err(Unavailable::Stopping),
        }
    }

    /// Takes a peer in. `given` is a host or host:port, `address` the same with its port.
    pub(crate) async fn register(
        &self,
        given: String,
        address: Address,
    ) -> Result<Result<(), PeersRefusal>, Unavailable> {
        let peer = self.peer(given, address).await;
        peers(self.ask(|reply| Command::Register { peer, reply }).await?)
    }

    /// Removes a peer from the cluster, until somebody registers it again.
    pub(crate) async fn remove(
        &self,
        given: String,
        address: Address,
    ) -> Result<Result<(), PeersRefusal>, Unavailable> {
        let peer = self.peer(given, address).await;
        peers(self.ask(|reply| Command::Remove { peer, reply }).await?)
    }

    /// How the node is and what it has done, as of one moment; how much was counted, as of one at
    /// which all of that is safe.
    pub(crate) async fn report(&self) -> Result<Report, Unavailable> {
        self.ask(|reply| Command::Report { reply }).await
    }

    /// Who belongs to the cluster.
    pub(crate) async fn members(&self) -> Result<Members, Unavailable> {
        self.ask(|reply| Command::Members { reply }).await
    }

    /// Where what was counted is kept.
    pub(crate) fn kept(&self) -> &Kept {
        &self.shared.kept
    }

    /// How much memory is used of what may be.
    pub(crate) fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    /// What the network has sent, received, dropped and refused.
    pub(crate) fn network_counts(&self) -> &Counts {
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
    pub(crate) fn accept_link(&self, connection: Connection) {
        if !self.is_open() || self.arrivals.try_send(Arrival::Accepted(connection)).is_err() {
            self.shared.counts.links_refused.add(1);
        }
    }

    async fn peer(&self, given: String, address: Address) -> PeerName {
        let resolved = self.shared.resolver.resolve(&address).await;
        PeerName { given, address, resolved }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Unavailable> {
        if !self.is_open() {
            return Err(Unavailable::Starting);
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Unavailable::Stopping)?;
        answer.await.map_err(|_| Unavailable::Stopping)
    }
}

fn peers(answer: Answer) -> Result<Result<(), PeersRefusal>, Unavailable> {
    match answer {
        Answer::Peers(done) => Ok(done),
        _ => Err(Unavailable::Stopping),
    }
}
