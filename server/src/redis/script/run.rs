//! Runs scripts until the node has done what they ask for.
//!
//! 1. What is known of the counters that a script will name is looked at, without a thread.
//! 2. The script runs, on a thread of those that may wait: on what was seen, and on what it looks at
//!    besides.
//! 3. The node is asked to do all of it, if nothing that was seen has changed.
//!
//! Scripts whose first key is the same take turns: they would only undo one another's work. A turn ends
//! when the request stands in the node's queue, for what the next one asks stands behind it. So one
//! counter takes a script for each look, however long a sync takes.
//!
//! What others do to a counter meanwhile has the script run again. After some tries it runs in the
//! driver's place, where nothing comes in between, if it is done within a millisecond.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quipu_core::condition::Condition;
use quipu_core::name::CounterName;
use quipu_core::operation::Refusal;
use quipu_core::query::{Look, Looked, Scan, Scanned};
use tokio::runtime;
use tokio::task::spawn_blocking;

use super::budget::{ALONE, BESIDE, Bounds};
use super::ended::Ended;
use super::machine::Machine;
use super::scratch::{Eyes, Scratch, Stop};
use super::shelf::Shelf;
use crate::access::{Allowed, OnlyIf, Ops};
use crate::handle::{Handle, Unavailable};
use crate::inbox::Work;
use crate::redis::frames::Frames;
use crate::redis::question::Scripts;
use crate::redis::session::Session;
use crate::redis::spec::Served;
use crate::redis::transaction::Transaction;
use crate::redis::watched::Watched;
use crate::redis::{errors, reply};

/// How often a script runs beside the driver. Of scripts that take turns none changes what another has
/// seen; so it is for increments and for other nodes that it runs again.
const TRIES: usize = 4;

/// How often it then runs in the driver's place: the system may have taken its processor away for the
/// millisecond that it had. Others are served in between.
const TRIES_ALONE: usize = 5;

const CHANGING: &str = "TRYAGAIN the counters of this script change faster than it runs; it was tried \
                        several times, and nothing of it was done";

/// What is to be run.
#[derive(Debug)]
pub(in crate::redis) enum Job {
    Scripts(Scripts),
    Transaction { commands: (Bytes, Frames), watched: Vec<Condition> },
}

impl Job {
    pub(in crate::redis) fn transaction(transaction: Transaction, watched: &Watched) -> Self {
        let watched = watched.conditions().collect();
        Job::Transaction { commands: transaction.into_commands(), watched }
    }

    /// The counters that it says it will touch.
    fn keys(&self, session: &Session) -> Vec<CounterName> {
        match self {
            Job::Scripts(Scripts::Eval(eval)) => {
                eval.keys.iter().filter_map(|key| session.database.counter(key).ok()).collect()
            }
            Job::Scripts(_) => Vec::new(),
            Job::Transaction { watched, .. } => {
                watched.iter().map(|condition| condition.name.clone()).collect()
            }
        }
    }
}

/// One try.
#[derive(Debug)]
struct Try {
    job: Arc<Job>,
    served: &'static Served,
    handle: Handle,
    shelf: Arc<Shelf>,
    session: Session,
    bounds: Bounds,
}

/// What it has come to.
#[derive(Debug)]
struct Tried {
    /// What the client is to be told, if the request is carried out.
    reply: Vec<u8>,
    session: Session,
    request: (Ops, OnlyIf),
    /// Whether it took more than it may.
    is_over: bool,
}

impl Try {
    fn run(
        self,
        seen: Option<(Vec<CounterName>, Looked)>,
        eyes: &dyn Eyes,
    ) -> Result<Tried, Unavailable> {
        let mut scratch = Scratch::new(self.session.caller, eyes);
        if let Some((names, looked)) = seen {
            scratch.has_seen(names, looked);
        }
        let kills_before = self.shelf.kills.count();
        self.shelf.running.fetch_add(1, Relaxed);
        let (handle, shelf, session) = (&self.handle, &*self.shelf, self.session);
        let (served, bounds) = (self.served, self.bounds);
        let mut machine = Machine { served, handle, shelf, bounds, kills_before, session, scratch };
        let mut reply = Vec::new();
        let ended = match &*self.job {
            Job::Scripts(asked) => machine.scripts(asked.clone(), &mut reply),
            Job::Transaction { commands, watched } => {
                machine.transaction(commands, watched, &mut reply)
            }
        };
        self.shelf.running.fetch_sub(1, Relaxed);
        let Machine { session, scratch, .. } = machine;
        let request = ended.and_then(|()| Ok(scratch.into_request()?));
        let (request, text, is_over) = match request {
            Ok(request) => (request, None, false),
            Err(Ended::Over(text)) => (Default::default(), Some(text), true),
            Err(Ended::Stop(Stop::Unavailable(unavailable))) => return Err(unavailable),
            // It is tried again, and then the client is told.
            Err(Ended::Stop(stop @ Stop::NoWalk)) => {
                (Default::default(), Some(stop.to_string()), true)
            }
            Err(Ended::Stop(stop)) => (Default::default(), Some(stop.to_string()), false),
        };
        if let Some(text) = text {
            reply.clear();
            reply::error(&mut reply, text.as_bytes());
        }
        Ok(Tried { reply, session, request, is_over })
    }
}

/// Runs a job, and writes its answer.
pub(in crate::redis) async fn answer(
    handle: &Handle,
    shelf: &Arc<Shelf>,
    (job, served): (Job, &'static Served),
    session: &mut Session,
    out: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let keys = job.keys(session);
    let turn = turn(shelf, keys.first());
    let job = Arc::new(job);
    let a_try = |session: &Session, bounds| Try {
        job: Arc::clone(&job),
        served,
        handle: handle.clone(),
        shelf: Arc::clone(shelf),
        session: session.clone(),
        bounds,
    };
    for _ in 0..TRIES {
        let its_turn = turn.lock().await;
        let seen = look(handle, session, keys.clone()).await?;
        let tried = beside(shelf, a_try(session, BESIDE), seen).await?;
        let (ops, only_if) = tried.request;
        if only_if.is_empty() {
            finish(tried.session, &tried.reply, session, out);
            return Ok(());
        }
        let queued = handle.request_if(ops, only_if).await?;
        drop(its_turn);
        let done = queued.done().await?;
        match done.results.iter().find_map(|result| result.err()) {
            None => {
                finish(tried.session, &tried.reply, session, out);
                session.version = session.version.max(done.version);
                return Ok(());
            }
            Some(Refusal::Changed) => {}
            Some(refusal) => {
                reply::error(out, errors::refusal(refusal).as_bytes());
                return Ok(());
            }
        }
    }
    for _ in 0..TRIES_ALONE {
        let tried = Arc::default();
        let work = Alone { a_try: a_try(session, ALONE), tried: Arc::clone(&tried) };
        let done = handle.request_alone(Box::new(work)).await?;
        let tried: Option<_> = tried.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (tried, done.results.iter().find_map(|result| result.err())) {
            (Some(tried), None) if !tried.is_over => {
                finish(tried.session, &tried.reply, session, out);
                session.version = session.version.max(done.version);
                return Ok(());
            }
            (_, None | Some(Refusal::Changed)) => {}
            (_, Some(refusal)) => {
                reply::error(out, errors::refusal(refusal).as_bytes());
                return Ok(());
            }
        }
    }
    reply::error(out, CHANGING.as_bytes());
    Ok(())
}

/// The answer is true, and so is what became of the session.
fn finish(after: Session, reply: &[u8], session: &mut Session, out: &mut Vec<u8>) {
    *session = after;
    out.extend_from_slice(reply);
}

/// Whose turn a script waits for. Those that name no counter wait for one another.
fn turn<'a>(shelf: &'a Shelf, key: Option<&CounterName>) -> &'a tokio::sync::Mutex<()> {
    let mut hasher = DefaultHasher::new();
    key.map(CounterName::as_str).hash(&mut hasher);
    let turns = shelf.turns.len() as u64;
    // Less than there are, and so within usize.
    &shelf.turns[(hasher.finish() % turns) as usize]
}

/// What is seen of the counters that a job says it will touch. Whether it may have them is found when
/// it touches them.
async fn look(
    handle: &Handle,
    session: &Session,
    mut names: Vec<CounterName>,
) -> Result<Option<(Vec<CounterName>, Looked)>, Unavailable> {
    names.sort_unstable();
    names.dedup();
    names.truncate(super::scratch::COUNTERS_MAX);
    match session.caller.ask(Look { names: names.clone() }) {
        Ok(look) if !names.is_empty() => Ok(Some((names, handle.ask(look).await?))),
        _ => Ok(None),
    }
}

/// Runs it on a thread that may wait, and waits for one.
async fn beside(
    shelf: &Shelf,
    a_try: Try,
    seen: Option<(Vec<CounterName>, Looked)>,
) -> Result<Tried, Unavailable> {
    let _permit = shelf.threads.acquire().await.map_err(|_| Unavailable::Stopping)?;
    let eyes = Beside { here: runtime::Handle::current(), handle: a_try.handle.clone() };
    let tried = spawn_blocking(move || a_try.run(seen, &eyes)).await;
    // It ends early with the runtime alone: a fault in it ends the process.
    tried.unwrap_or(Err(Unavailable::Stopping))
}

/// Sees by asking the driver.
struct Beside {
    here: runtime::Handle,
    handle: Handle,
}

impl Eyes for Beside {
    fn look(&self, look: Allowed<Look>) -> Result<Looked, Unavailable> {
        self.here.block_on(self.handle.ask(look))
    }

    fn scan(&self, scan: Allowed<Scan>) -> Result<Scanned, Stop> {
        Ok(self.here.block_on(self.handle.ask(scan))?)
    }
}

/// Sees from the driver's place.
struct There<'a>(&'a dyn Fn(Allowed<Look>) -> Looked);

impl Eyes for There<'_> {
    fn look(&self, look: Allowed<Look>) -> Result<Looked, Unavailable> {
        Ok((self.0)(look))
    }

    fn scan(&self, _: Allowed<Scan>) -> Result<Scanned, Stop> {
        Err(Stop::NoWalk)
    }
}

/// A try in the driver's place.
#[derive(Debug)]
struct Alone {
    a_try: Try,
    tried: Arc<Mutex<Option<Tried>>>,
}

impl Work for Alone {
    fn request(self: Box<Self>, look: &dyn Fn(Allowed<Look>) -> Looked) -> (Ops, OnlyIf) {
        let Alone { a_try, tried } = *self;
        let Ok(mut done) = a_try.run(None, &There(look)) else {
            return Default::default();
        };
        let request = std::mem::take(&mut done.request);
        *tried.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        request
    }
}
