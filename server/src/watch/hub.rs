//! The one who asks the driver, on behalf of all who watch.
//!
//! It has one question under way at a time, and so knows what was read before what: a watcher that
//! begins gets a snapshot and the position that belongs to it, misses nothing between the two, and
//! never sees a counter go back.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quipu_core::identity::OriginId;
use quipu_core::name::CounterName;
use quipu_core::operation::{Op, Outcome, Refusal};
use quipu_core::query::{Busy, Changes, List, PAGE_ROWS_MAX, Page, Row};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::gauge::Gauge;
use super::record::{Filter, LogLine, Position, Record};
use super::watcher::{Begin, Refused, Watcher};
use crate::access::{Allowed, Door, EveryChange, Observe, own};
use crate::handle::{Handle, Unavailable};

/// Those who may watch at a time: beyond some hundreds each would see little, since all of them
/// share [`super::watcher::ROWS_PER_SECOND_MAX`].
pub(super) const WATCHERS_MAX: usize = 256;

/// The rest between two questions: no watcher is told more often.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// How long changes are recorded after the last watcher has gone: its connection may have broken,
/// and then it is back within seconds and goes on where it was.
const LINGER: Duration = Duration::from_secs(30);

/// How often the peers are looked at while there are watchers. Most of what becomes of them is
/// logged, and then looked at at once; not that a caller is given up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Lines of the log that wait to be recorded. They are rationed already; what does not fit is in
/// the log only.
const LINES_WAIT_MAX: usize = 64;

/// A line that was logged.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) is_warning: bool,
}

/// Where lines come from.
#[derive(Debug)]
pub(crate) struct Lines(mpsc::Receiver<Line>);

/// A bounded way for lines of the log to those who watch.
pub(crate) fn lines() -> (mpsc::Sender<Line>, Lines) {
    let (sender, receiver) = mpsc::channel(LINES_WAIT_MAX);
    (sender, Lines(receiver))
}

/// The door for those who want to watch. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    handle: Handle,
    joins: mpsc::Sender<Join>,
    shared: Arc<Shared>,
}

/// What hub and watchers have in common.
#[derive(Debug)]
pub(super) struct Shared {
    record: Mutex<Record>,
    /// The record's last position: tells watchers when there is something to read, and when there
    /// will be nothing any more.
    pub(super) last: watch::Receiver<Position>,
    pub(super) slots: Arc<Semaphore>,
    /// Told when a watcher goes.
    pub(super) left: Notify,
    pub(super) gauge: Gauge,
}

impl Shared {
    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        // A task that panicked with it did not leave it half changed, or only a row short.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an earlier watcher was: a position in the record of the process with this origin.
pub(crate) type Resume = (OriginId, Position);

/// A client wants to watch.
#[derive(Debug)]
struct Join {
    filter: Filter,
    resume: Option<Resume>,
    reply: oneshot::Sender<Begin>,
}

impl Watch {
    /// Starts to record what is logged, and what changes as soon as there is a watcher.
    pub(crate) fn start(handle: Handle, lines: Lines) -> Watch {
        let (joins, joining) = mpsc::channel(WATCHERS_MAX);
        let (told, last) = watch::channel(0);
        let shared = Arc::new(Shared {
            record: Mutex::default(),
            last,
            slots: Arc::new(Semaphore::new(WATCHERS_MAX)),
            left: Notify::new(),
            gauge: Gauge::default(),
        });
        let hub = Hub {
            handle: handle.clone(),
            shared: Arc::clone(&shared),
            told,
            asked: None,
            ask_at: None,
            idle_since: None,
            look_at: Instant::now(),
        };
        tokio::spawn(hub.run(joining, lines.0));
        Watch { handle, joins, shared }
    }

    /// Begins to watch: with a snapshot, or from a position on that an earlier watcher has reached
    /// and that the record still reaches.
    pub(crate) async fn join(
        &self,
        door: Door,
        filter: Allowed<Filter>,
        resume: Option<Resume>,
    ) -> Result<(Begin, Watcher), Refused> {
        let filter = filter.into_inner();
        if !self.handle.is_open() {
            return Err(Refused::Unavailable(Unavailable::Starting));
        }
        let slot = Arc::clone(&self.shared.slots).try_acquire_owned();
        let slot = slot.map_err(|_| {
            self.shared.gauge.refuse(door);
            Refused::TooMany(WATCHERS_MAX)
        })?;
        let mut watcher = Watcher::new(door, filter.clone(), Arc::clone(&self.shared), slot);
        let begin = self.begin(&mut watcher, filter, resume).await?;
        Ok((begin, watcher))
    }

    /// How many watch.
    pub(crate) fn gauge(&self) -> &Gauge {
        &self.shared.gauge
    }

    /// Begins anew with one whom the record has outrun.
    pub(crate) async fn begin_anew(&self, watcher: &mut Watcher) -> Result<Begin, Unavailable> {
        let filter = watcher.filter().clone();
        let begin = self.begin(watcher, filter, None).await?;
        Ok(Begin { is_reset: true, ..begin })
    }

    async fn begin(
        &self,
        watcher: &mut Watcher,
        filter: Filter,
        resume: Option<Resume>,
    ) -> Result<Begin, Unavailable> {
        let (reply, begin) = oneshot::channel();
        let join = Join { filter, resume, reply };
        self.joins.send(join).await.map_err(|_| Unavailable::Stopping)?;
        let begin = begin.await.map_err(|_| Unavailable::Stopping)?;
        watcher.begin(begin.position);
        Ok(begin)
    }
}

type Asked = Pin<Box<dyn Future<Output = Result<Changes, Unavailable>> + Send>>;

struct Hub {
    handle: Handle,
    shared: Arc<Shared>,
    told: watch::Sender<Position>,
    /// The question that waits for the next change.
    asked: Option<Asked>,
    /// When to ask it again.
    ask_at: Option<Instant>,
    /// Since when there is no watcher while changes are still recorded.
    idle_since: Option<Instant>,
    /// When to look at the peers again.
    look_at: Instant,
}

impl Hub {
    async fn run(mut self, mut joins: mpsc::Receiver<Join>, mut lines: mpsc::Receiver<Line>) {
        let shared = Arc::clone(&self.shared);
        loop {
            let far = Instant::now() + Duration::from_secs(3600);
            let ask_at = self.ask_at.unwrap_or(far);
            let stop_at = self.idle_since.map_or(far, |since| since + LINGER);
            let went_well = tokio::select! {
                Some(line) = lines.recv() => self.line(line).await,
                join = joins.recv() => match join {
                    Some(join) => self.join(join).await,
                    None => return,
                },
                answer = answered(&mut self.asked) => self.hear(answer),
                () = sleep_until(ask_at), if self.ask_at.is_some() => {
                    self.ask();
                    Ok(())
                }
                () = sleep_until(self.look_at), if shared.gauge.size() > 0 => {
                    self.look_at_peers().await.map(drop)
                }
                () = shared.left.notified() => {
                    self.look_around();
                    Ok(())
                }
                () = sleep_until(stop_at), if self.idle_since.is_some() => {
                    self.stop().await
                }
            };
            // The driver has ended, and soon all else will.
            if went_well.is_err() {
                return;
            }
        }
    }

    fn ask(&mut self) {
        self.ask_at = None;
        let handle = self.handle.clone();
        self.asked =
            Some(Box::pin(async move { handle.watch(&own::ask(EveryChange), true).await }));
    }

    fn hear(&mut self, answer: Result<Changes, Unavailable>) -> Result<(), Unavailable> {
        self.asked = None;
        let Changes { rows, more } = answer?;
        self.publish(|record| record.changed(&rows));
        let now = Instant::now();
        self.ask_at = Some(if more { now } else { now + TICK });
        Ok(())
    }

    /// Records all that has changed until now; nothing is asked when it returns.
    async fn catch_up(&mut self) -> Result<(), Unavailable> {
        loop {
            let every_change = own::ask(EveryChange);
            let now = self.handle.watch(&every_change, false);
            // In this order: a question that waits is answered when another is asked.
            let (waited, now) = match self.asked.take() {
                Some(asked) => {
                    let (waited, now) = tokio::join!(biased; asked, now);
                    (Some(waited), now)
                }
                None => (None, now.await),
            };
            if let Some(waited) = waited {
                self.hear(waited)?;
            }
            self.hear(now)?;
            // What comes at once is the rest; a tick's rest says that there is none.
            if self.ask_at.is_none_or(|at| at > Instant::now()) {
                return Ok(());
            }
        }
    }

    async fn join(&mut self, join: Join) -> Result<(), Unavailable> {
        self.idle_since = None;
        self.catch_up().await?;
        let origin = self.look_at_peers().await?;
        let reaches =
            |(of, at): Resume| (of == origin && self.shared.record().reaches(at)).then_some(at);
        let resumes = join.resume.and_then(reaches);
        let snapshot = match resumes {
            Some(_) => None,
            None => Some(self.snapshot(&join.filter).await?),
        };
        let begin = {
            let record = self.shared.record();
            let (peers, lines) = record.state();
            Begin {
                origin,
                position: resumes.unwrap_or(record.last()),
                is_reset: join.resume.is_some() && resumes.is_none(),
                snapshot,
                peers,
                lines,
            }
        };
        // The client may be gone, and its watcher says so when it is dropped.
        let _ = join.reply.send(begin);
        Ok(())
    }

    /// The counters as they are now, and whether there are more.
    async fn snapshot(&mut self, filter: &Filter) -> Result<(Vec<Row>, bool), Unavailable> {
        match filter {
            Filter::Prefix(prefix) => {
                let (prefix, after, limit) = (prefix.clone(), None, PAGE_ROWS_MAX);
                let list = List { prefix, after, limit };
                match self.handle.ask(own::ask(list)).await? {
                    Ok(Page { rows, more }) => Ok((rows, more)),
                    // The changes will show what matters.
                    Err(Busy) => Ok((Vec::new(), true)),
                }
            }
            Filter::Counters(names) => {
                let ops = names.iter().map(|name| Op::Get { name: name.clone() }).collect();
                let results = self.handle.request(own::ops(ops)).await?.results;
                let row = |(name, result): (&CounterName, Result<Outcome, Refusal>)| {
                    let outcome = result.ok().filter(|outcome| outcome.exists)?;
                    Some((name.clone(), outcome.value))
                };
                Ok((names.iter().zip(results).filter_map(row).collect(), false))
            }
        }
    }

    async fn line(&mut self, line: Line) -> Result<(), Unavailable> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = LogLine {
            at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            level: if line.is_warning { "warn" } else { "info" },
            text: line.text,
        };
        self.publish(|record| record.line(line));
        // What is logged is mostly about peers.
        self.look_at_peers().await.map(drop)
    }

    /// Records how the peers are, if they were not so before. This process's origin.
    async fn look_at_peers(&mut self) -> Result<OriginId, Unavailable> {
        self.look_at = Instant::now() + LOOK_EVERY;
        let status = self.handle.report(&own::ask(Observe)).await?.status;
        self.publish(|record| record.peers(&status.peers));
        Ok(status.identity.origin)
    }

    fn look_around(&mut self) {
        if self.shared.gauge.size() == 0 && self.idle_since.is_none() {
            self.idle_since = Some(Instant::now());
        }
    }

    /// There was no watcher for long.
    async fn stop(&mut self) -> Result<(), Unavailable> {
        self.idle_since = None;
        if self.shared.gauge.size() > 0 {
            return Ok(());
        }
        self.ask_at = None;
        let every_change = own::ask(EveryChange);
        let unwatch = self.handle.unwatch(&every_change);
        match self.asked.take() {
            Some(asked) => tokio::join!(biased; asked, unwatch).1?,
            None => unwatch.await?,
        }
        self.publish(Record::forget_counters);
        Ok(())
    }

    /// Changes the record, and tells those who wait for it.
    fn publish<T>(&self, change: impl FnOnce(&mut Record) -> T) {
        let last = {
            let mut record = self.shared.record();
            change(&mut record);
            record.last()
        };
        self.told.send_if_modified(|told| std::mem::replace(told, last) != last);
    }
}

/// The answer to the question that is under way; never, if there is none.
async fn answered(asked: &mut Option<Asked>) -> Result<Changes, Unavailable> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}
