//! What a start finds of the starts before it, and the node that it makes of that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use quipu_core::identity::{Address, NodeId, OriginId};
use quipu_core::node::Node;
use quipu_core::storage::read::{ReadError, Reading};
use quipu_core::storage::record::Start;
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;
use quipu_core::{node, storage};

use crate::config::{Config, Keeping};
use crate::disk::counts::Counts;
use crate::disk::directory::{Directory, Lock, LockError};
use crate::disk::fsync::Fsync;
use crate::disk::original::{self, Original};
use crate::disk::{Begin, Durable, Either, InMemory};
use crate::os::memory::Memory;
use crate::os::wall_clock::wall_clock_ms;

/// Why a node could not start on what it had kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the system gives no random numbers: {0}")]
    Chance(#[from] getrandom::Error),
    #[error("data directory {0}: {1}; nothing was changed")]
    Io(PathBuf, io::Error),
    #[error(
        "data directory {0}: {1}; nothing was changed. quipu check {0} tells more, quipu repair \
         {0} keeps what is sound and gets the rest from peers"
    )]
    Damaged(PathBuf, ReadError),
    #[error("the system gives no threads: {0}")]
    Threads(io::Error),
}

/// Reads what was kept, and makes all of it safe that was not known to be. Takes as long as the
/// disk needs, on a thread that may block.
pub(crate) async fn start(
    config: &Config,
    address: Address,
    counts: Arc<Counts>,
    memory: Arc<Memory>,
) -> Result<(Node, Either), StartError> {
    let mut chance = [0; 32];
    getrandom::fill(&mut chance)?;
    let recovered = Recovered::new(OriginId(getrandom::u64()?), getrandom::u64()?);
    let fresh = NodeId(getrandom::u64()?);
    let (recovered, start, disk) = match &config.keeping {
        None => {
            if let Some(unused) = &config.unused_directory {
                let unused = unused.display();
                tracing::warn!(
                    "--in-memory keeps nothing: the data directory {unused} is not used"
                );
            }
            let start = recovered.next_start(fresh, wall_clock_ms());
            (recovered, start, Either::InMemory(InMemory))
        }
        Some(keeping) => {
            let path = directory(keeping, &address);
            let fsync = keeping.fsync;
            let opened = tokio::task::spawn_blocking(move || {
                let lock = Lock::take(&path)?;
                open(path, lock, fsync, (counts, memory), recovered, fresh)
            });
            opened.await.map_err(|error| StartError::Threads(io::Error::other(error)))??
        }
    };
    let node = node::Config {
        node: start.node,
        origin: start.origin,
        address,
        boot: start.boot,
        cluster: config.cluster.clone(),
        secret: config.secret.clone(),
        seeds: config.seeds.clone(),
        discovery: config.discovery.is_some(),
        is_kept: config.keeping.is_some(),
        removes_after: node::RemovesAfter {
            on_disk: config.remove_absent_after,
            ..node::RemovesAfter::default()
        },
        settles: config.keeping.as_ref().is_none_or(|keeping| keeping.fsync == Fsync::Always),
        chance,
    };
    Ok((Node::recovered(node, recovered, Time::ZERO), disk))
}

fn directory(keeping: &Keeping, address: &Address) -> PathBuf {
    match &keeping.directory {
        Some(directory) => directory.clone(),
        None => PathBuf::from(format!("quipu-{}.data", address.port())),
    }
}

fn open(
    path: PathBuf,
    lock: Lock,
    fsync: Fsync,
    (counts, memory): (Arc<Counts>, Arc<Memory>),
    mut recovered: Recovered,
    fresh: NodeId,
) -> Result<(Recovered, Start, Either), StartError> {
    let began = Instant::now();
    let mut directory = Directory::minding(&path, memory);
    let failed = |error| StartError::Io(path.clone(), error);
    let original = original::look(&path).map_err(failed)?;
    let next = |found: &Recovered| match original {
        Original::Copy => found.start_of_copy(fresh, wall_clock_ms()),
        Original::Same | Original::Unmarked => found.next_start(fresh, wall_clock_ms()),
    };
    let (journal, start, reading) =
        storage::open(&mut directory, &mut recovered, next).map_err(|error| match error {
            ReadError::Io(error) => StartError::Io(path.clone(), error),
            damaged @ ReadError::Damaged { .. } => StartError::Damaged(path.clone(), damaged),
        })?;
    directory.mind_no_longer();
    if original == Original::Copy {
        tracing::warn!(
            "data directory {} is a copy of another one, or was put back from one: this node is a new \
             one, {}, with all that is in it; remove the former node if it is gone for good",
            path.display(),
            start.node
        );
    }
    if original != Original::Same {
        original::claim(&path).map_err(failed)?;
    }
    tell(&path, &reading, &recovered, began);
    let disk =
        Durable::start(Begin { path: &path, lock, directory, journal, fsync, counts, reading })
            .map_err(StartError::Threads)?;
    Ok((recovered, start, Either::Durable(disk)))
}

/// One line that says what was found, and one for what a crash has torn.
fn tell(path: &Path, reading: &Reading, recovered: &Recovered, began: Instant) {
    let path = path.display();
    if let Some(torn) = &reading.torn {
        tracing::warn!(
            "the last write before the crash is cut off, it was never acknowledged as safe: {} at \
             byte {} of {path}/{}",
            torn.fault,
            torn.offset,
            torn.file
        );
    }
    if reading.files.is_empty() {
        tracing::info!("data directory {path} is new");
        return;
    }
    let records: u64 = reading.files.iter().map(|file| file.records).sum();
    let bytes: u64 = reading.files.iter().map(|file| file.bytes).sum();
    tracing::info!(
        "data directory {path}: {} counters from {records} records of {bytes} bytes in {:.3} s",
        recovered.counters().len(),
        began.elapsed().as_secs_f64()
    );
}
