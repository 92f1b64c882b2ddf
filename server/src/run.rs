//! Puts the parts of a node together, and takes them apart in order when it stops.
//!
//! The order of stopping is the reverse of what depends on what: first no new requests and an end
//! to those under way, while the node is still a member and pushes what they count; then the node
//! says goodbye; then the links write their last words.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quipu_core::identity::{Address, AddressError};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{Config, RedisConfig};
use crate::driver::{Clock, Driver};
use crate::handle::{Handle, Kept};
use crate::inbox::inbox;
use crate::network::resolve::Resolver;
use crate::network::{BindError, Counts, Network, Sockets, addresses};
use crate::os::descriptors::{allow_all, shares};
use crate::os::memory::Memory;
use crate::os::notify;
use crate::os::signals::Signals;
use crate::start::{StartError, start};
use crate::transport::listener::Listener;
use crate::watch::{Watch, lines};
use crate::{http, redis};

/// How long requests that are under way may delay the goodbye.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Why a node could not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("--redis: cannot listen on {0}: {1}; give another address with --redis, or off")]
    Redis(SocketAddr, io::Error),
    #[error("--advertise: {0}")]
    Advertise(#[from] AddressError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(
        "the disk failed, and the node stopped: what was not safe was neither acknowledged nor \
             sent. {0}"
    )]
    Disk(io::Error),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    #[error("the driver ended before it was asked to; this is a bug")]
    DriverLost,
}

/// Runs a node until it is told to stop.
pub(crate) async fn run(config: Config) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    allow_all();
    let sockets = Sockets::bind(config.listen, config.discovery.as_ref())?;
    let listen = sockets.listener.local_addr()?;
    let redis = redis_listener(config.redis)?;
    let address = advertised(&config, listen)?;
    warn_if_open(&config, listen);
    let memory = Arc::new(Memory::new(config.max_memory));

    let (outside, inbox) = inbox();
    let resolver = Arc::new(Resolver::new());
    let counts = Arc::new(Counts::default());
    let kept = Kept {
        fsync: config.keeping.as_ref().map(|keeping| keeping.fsync),
        counts: Arc::default(),
    };
    let Sockets { listener, own, calls } = sockets;
    let handle = Handle::new(
        outside.commands.clone(),
        outside.arrivals.clone(),
        address.clone(),
        Arc::clone(&resolver),
        Arc::clone(&counts),
        kept.clone(),
        Arc::clone(&memory),
    );
    // Before what was kept is read, so that a client that asks learns that the node is starting.
    let (logged, lines) = lines();
    let watching = Watch::start(handle.clone(), lines);
    let (stop, stopping) = watch::channel(());
    let stopped = |mut stopping: watch::Receiver<()>| async move {
        let _ = stopping.changed().await;
    };
    let traffic = Arc::new(redis::Traffic::default());
    let shares = shares(redis.is_some());
    let mut fronts = JoinSet::new();
    let clients = match redis {
        Some((listener, at)) => {
            let (handle, traffic) = (handle.clone(), Arc::clone(&traffic));
            let (watching, stopped) = (watching.clone(), stopped(stopping.clone()));
            fronts.spawn(redis::serve(listener, handle, watching, traffic, shares.redis, stopped));
            format!("Redis clients on {at}")
        }
        None => "no Redis clients".to_owned(),
    };
    fronts.spawn(http::serve(
        listener,
        handle.clone(),
        traffic,
        watching,
        shares.http,
        config.allowed_hosts.clone(),
        stopped(stopping),
    ));
    let started = start(&config, address.clone(), kept.counts, Arc::clone(&memory));
    let (node, disk) = tokio::select! {
        started = started => started?,
        name = signals.next() => {
            tracing::info!("{name}: stopping before the node has started");
            return Ok(());
        }
    };
    memory.tell();
    let network = Network::start(
        own,
        calls,
        config.discovery,
        &outside,
        Arc::clone(&resolver),
        Arc::clone(&counts),
    )
    .await?;
    let (leave, leaving) = oneshot::channel();
    let driver = Driver::new(node, Clock::start(), disk, network, inbox, logged, memory);
    let mut driver = tokio::spawn(driver.run(leaving));
    handle.open();
    notify::tell(notify::READY);
    tracing::info!(
        "quipu {} listens on {listen}, advertised as {address}; {clients}",
        env!("CARGO_PKG_VERSION")
    );

    tokio::select! {
        name = signals.next() => tracing::info!("{name}: leaving the cluster"),
        ended = &mut driver => return Err(ended_early(ended)),
    }
    notify::tell(notify::STOPPING);
    let stopped = async {
        drop(stop);
        let _ = timeout(DRAIN_TIME_MAX, fronts.join_all()).await;
        drop(leave);
        driver.await
    };
    tokio::select! {
        ended = stopped => match ended {
            Ok(Ok(())) => Ok(()),
            other => Err(ended_early(other)),
        },
        name = signals.next() => {
            tracing::warn!("{name} again: stopping at once");
            Ok(())
        }
    }
}

/// Listens for clients of Redis, and tells where.
fn redis_listener(config: RedisConfig) -> Result<Option<(Listener, SocketAddr)>, RunError> {
    let at = match config {
        RedisConfig::Off => return Ok(None),
        RedisConfig::At(at) | RedisConfig::IfFree(at) => at,
    };
    match Listener::at(at) {
        Ok(listener) => {
            let at = listener.local_addr()?;
            Ok(Some((listener, at)))
        }
        Err(error) if matches!(config, RedisConfig::IfFree(_)) => {
            tracing::warn!(
                "no Redis clients: cannot listen on {at}: {error}; give another address with \
                 --redis, or off"
            );
            Ok(None)
        }
        Err(error) => Err(RunError::Redis(at, error)),
    }
}

fn ended_early(ended: Result<io::Result<()>, tokio::task::JoinError>) -> RunError {
    match ended {
        Ok(Err(error)) => RunError::Disk(error),
        Ok(Ok(())) | Err(_) => RunError::DriverLost,
    }
}

/// At which address others are told to reach this node.
fn advertised(config: &Config, listen: SocketAddr) -> Result<Address, AddressError> {
    match &config.advertise {
        Some(advertise) => Address::parse(advertise, listen.port()),
        None if listen.ip().is_unspecified() => {
            let ip = addresses::reachable(listen.ip());
            if ip.is_loopback() {
                tracing::warn!(
                    "other machines cannot reach this node: it listens on {}, and none of this \
                     machine's addresses of that kind is known to them; give one with --advertise{}",
                    listen.ip(),
                    if listen.is_ipv4() { ", or listen on [::] if they have IPv6" } else { "" },
                );
            }
            Ok(SocketAddr::new(ip, listen.port()).into())
        }
        None => Ok(listen.into()),
    }
}

fn warn_if_open(config: &Config, listen: SocketAddr) {
    if config.secret.is_none() && !listen.ip().is_loopback() {
        tracing::warn!(
            "no secret: any client that reaches {listen} can join this cluster and change its counts; give \
             all its nodes one with --secret-file"
        );
    }
}
