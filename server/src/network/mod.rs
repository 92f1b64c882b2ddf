//! Links, datagrams and broadcasts to bytes and back. Decides nothing: what is sent to whom, who is
//! believed and when a connection ends is the node's to say. What is decided here is only how much
//! of anything may be under way.

pub(crate) mod addresses;
mod broadcast;
mod counts;
mod datagrams;
mod dial;
mod frames;
mod link;
mod links;
pub(crate) mod metrics;
mod outbox;
pub(crate) mod resolve;
mod sockets;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use quipu_core::effect::Destination;
use quipu_core::identity::{Address, NodeId};
use quipu_core::input::LinkId;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, mpsc};

use crate::config::DiscoveryConfig;
use crate::inbox::{Arrival, Outside};
use crate::transport::link::Connection;
use broadcast::Member;
use datagrams::Datagrams;
use links::Links;
use resolve::Resolver;

pub(crate) use counts::Counts;
pub(crate) use sockets::{BindError, Sockets};

/// Dials under way at a time. The node dials each peer once at a time, and again when it failed.
const DIALS_MAX: usize = 64;

/// Datagrams to names whose lookup is awaited; more are lost, as datagrams may be.
const NAMED_MAX: usize = 64;

/// The network as the driver sees it.
#[derive(Debug)]
pub(crate) struct Network {
    listen: IpAddr,
    discovery: Option<DiscoveryConfig>,
    datagrams: Datagrams,
    links: Links,
    resolver: Arc<Resolver>,
    arrivals: mpsc::Sender<Arrival>,
    dials: Arc<Semaphore>,
    named: Arc<Semaphore>,
    counts: Arc<Counts>,
    /// What hears calls by IPv6, if anything does.
    member: Option<Member>,
}

impl Network {
    /// Begins to hear datagrams on the node's own socket and on that for calls; what arrives goes
    /// to `outside`.
    pub(crate) async fn start(
        own: UdpSocket,
        calls: Option<UdpSocket>,
        discovery: Option<DiscoveryConfig>,
        outside: &Outside,
        resolver: Arc<Resolver>,
        counts: Arc<Counts>,
    ) -> io::Result<Self> {
        let listen = own.local_addr()?.ip();
        let (own, calls) = (Arc::new(own), calls.map(Arc::new));
        let hears_v6 = |socket: &Arc<UdpSocket>| socket.local_addr().is_ok_and(|at| at.is_ipv6());
        let mut member = calls.clone().filter(hears_v6).map(Member::new);
        if let Some(member) = &mut member {
            member.join(&broadcast::links(listen, &broadcast::interfaces()));
        }
        for socket in [Some(Arc::clone(&own)), calls].into_iter().flatten() {
            let inbox = outside.datagrams.clone();
            tokio::spawn(datagrams::listen(socket, inbox, Arc::clone(&counts)));
        }
        Ok(Network {
            listen,
            discovery,
            datagrams: Datagrams::new(own, Arc::clone(&counts)).await?,
            links: Links::new(outside.arrivals.clone(), Arc::clone(&counts)),
            resolver,
            arrivals: outside.arrivals.clone(),
            dials: Arc::new(Semaphore::new(DIALS_MAX)),
            named: Arc::new(Semaphore::new(NAMED_MAX)),
            counts,
            member,
        })
    }

    /// Sends a datagram; to all addresses of a name.
    pub(crate) fn send_datagram(&self, to: Destination, bytes: Bytes) {
        let name = match to {
            Destination::Socket(socket) => return self.datagrams.send(&bytes, socket),
            Destination::Address(address) => match address.ip() {
                Some(socket) => return self.datagrams.send(&bytes, socket),
                None => address,
            },
        };
        let Ok(place) = Arc::clone(&self.named).try_acquire_owned() else {
            return self.counts.datagrams_unsent.add(1);
        };
        let (resolver, datagrams) = (Arc::clone(&self.resolver), self.datagrams.clone());
        tokio::spawn(async move {
            for socket in resolver.resolve(&name).await {
                datagrams.send(&bytes, socket);
            }
            drop(place);
        });
    }

    /// Sends a datagram to all who might hear calls.
    pub(crate) fn broadcast(&mut self, bytes: &Bytes) {
        let Some(discovery) = &self.discovery else { return };
        let interfaces = broadcast::interfaces();
        if let Some(member) = &mut self.member {
            member.join(&broadcast::links(self.listen, &interfaces));
        }
        for target in broadcast::targets(self.listen, discovery, &interfaces) {
            self.datagrams.send(bytes, target);
        }
    }

    /// Dials a peer; how it went arrives later.
    pub(crate) fn dial(&self, node: NodeId, address: Address) {
        let place = Arc::clone(&self.dials).try_acquire_owned();
        let (resolver, arrivals) = (Arc::clone(&self.resolver), self.arrivals.clone());
        let counts = Arc::clone(&self.counts);
        tokio::spawn(async move {
            let dialed = match place {
                Ok(_) => dial::dial(&address, &resolver).await.map_err(|error| error.to_string()),
                Err(_) => Err("too many dials are under way".to_owned()),
            };
            let arrival = match dialed {
                Ok(connection) => Arrival::Dialed { node, connection },
                Err(reason) => {
                    counts.dials_failed.add(1);
                    tracing::debug!(%address, reason, "a dial came to nothing");
                    Arrival::DialFailed { node }
                }
            };
            // A driver that is gone need not be told.
            let _ = arrivals.send(arrival).await;
        });
    }

    /// Takes a connection for a link; `None` if there are too many.
    pub(crate) fn accept_link(&mut self, connection: Connection) -> Option<LinkId> {
        self.links.accept(connection)
    }

    /// The same for one that was dialed.
    pub(crate) fn open_link(&mut self, connection: Connection) -> Option<LinkId> {
        self.links.open(connection)
    }

    /// Queues a frame on links.
    pub(crate) fn send_frame(&mut self, links: &[LinkId], frame: &Bytes) {
        self.links.send(links, frame);
    }

    /// Lets frames of full size come.
    pub(crate) fn establish_link(&mut self, link: LinkId) {
        self.links.establish(link);
    }

    /// Closes a link once its frames so far are written.
    pub(crate) fn close_link(&mut self, link: LinkId) {
        self.links.close(link);
    }

    /// Drops what is known of a link that has ended.
    pub(crate) fn forget_link(&mut self, link: LinkId) {
        self.links.forget(link);
    }

    /// Writes what is queued on every link, as far as that is quickly done.
    pub(crate) async fn drain(&mut self) {
        self.links.drain().await;
    }
}
