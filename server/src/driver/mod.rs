//! The sole owner of the node: takes inputs in batches, has what they changed kept, then lets
//! effects out.
//!
//! A task, not a thread: it never blocks, and on the thread of the task that woke it its memory is
//! warm. What makes many increments cheap is that everything that waits becomes one batch, with one
//! delta, one sync and one push. While a batch is being synced the next ones gather and are applied;
//! their effects stand in line behind it and leave in order (protocol, rule `publish-after-sync`).
//!
//! Rejected: a lock around the node instead of a queue before it. Then every request would be a
//! batch of its own, and the membership's datagrams would wait for the lock like every client.

mod reports;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use quipu_core::effect::Effect;
use quipu_core::histogram::Histogram;
use quipu_core::input::{Input, Token};
use quipu_core::node::Node;
use quipu_core::operation::Request;
use quipu_core::outbox::{Effects, Outbox, Released};
use quipu_core::query::{Answer, Changes};
use quipu_core::room::Room;
use quipu_core::storage::snapshot::Walk;
use quipu_core::time::Time;
use slab::Slab;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::disk::{Disk, News};
use crate::events::Events;
use crate::inbox::{Arrival, Command, Depths, Done, Inbox, Members, Received, Report};
use crate::network::Network;
use crate::os::memory::Memory;
use crate::os::wall_clock::wall_clock_ms;
use crate::watch::Line;

use self::reports::{Asked, Reports};

/// Inputs of one way in that one batch takes: enough that a crowd shares a sync, few enough that a
/// datagram that arrives meanwhile waits for less than a millisecond.
const BATCH_INPUTS_MAX: usize = 256;

/// How long a batch that costs a sync may stay open while clients still have something to say. A
/// sync takes a processor some 60 µs whatever it holds: with fewer of them, a crowd that keeps the
/// processor busy is done with sooner, though each has waited for others. About as long as a sync
/// of the disk itself, so that no client waits for more than twice that. A client that is alone
/// waits for no other: a batch is closed as soon as a turn has brought nothing.
const GATHERING_TIME_MAX: Duration = Duration::from_micros(300);

/// Batches that wait for the disk beyond which commands wait in their queue. One sync serves them
/// all, so more would not make anything quicker.
const COMMANDS_WAIT_AT_BATCHES: usize = 64;

/// The same for what links bring, which is bounded by the protocol's own windows as well. Peers are
/// listened to for longer than clients, since a link that is not read for seconds looks dead.
/// Datagrams and timers go on whatever waits: they leave hardly anything to be kept.
const ARRIVALS_WAIT_AT_BATCHES: usize = 1024;

/// The same in bytes of records, of which a peer that catches up brings many.
const ARRIVALS_WAIT_AT_BYTES: usize = 64 << 20;

/// How often it is looked how much memory is used: some microseconds' work, and in between there
/// come no more than some thousand names, each of which is counted.
const MEASURING_INTERVAL: Duration = Duration::from_millis(100);

/// How much of a snapshot is made at a time, in bytes: some millisecond's work, between two batches.
const SNAPSHOT_STEP_BYTES: usize = 128 << 10;

/// Time as the node counts it: from the start of its driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Clock(Instant::now())
    }

    fn time(self, at: Instant) -> Time {
        let micros = at.saturating_duration_since(self.0).as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn instant(self, time: Time) -> Instant {
        self.0 + Duration::from_micros(time.as_micros())
    }
}

/// Where a reply goes.
enum Waiter {
    /// And when its request was taken.
    Done(oneshot::Sender<Done>, Time),
    Answer(oneshot::Sender<Answer>),
    Changes(oneshot::Sender<Changes>),
}

/// What ended the driver's wait.
enum Wake {
    Disk(io::Result<News>),
    Datagram(Received),
    Arrival(Arrival),
    Command(Command),
    Due,
    Leave,
}

/// See the file.
pub(crate) struct Driver<D> {
    node: Node,
    clock: Clock,
    disk: D,
    network: Network,
    inbox: Inbox,
    effects: Effects,
    /// What waits for the disk.
    outbox: Outbox,
    replies: Slab<Waiter>,
    /// How long requests waited for their replies.
    replied: Histogram,
    events: Events,
    reports: Reports,
    memory: Arc<Memory>,
    /// When the memory was measured last, and how much room that left.
    measured: Option<(Instant, Room)>,
    /// When the node was given something first since the last batch was closed.
    open_since: Option<Time>,
    snapshot: Snapshot,
}

/// Where a snapshot stands.
#[derive(Debug, Default)]
struct Snapshot {
    is_due: bool,
    under_way: Option<Walk>,
    /// Whether the disk can take the next part.
    is_ready: bool,
}

impl<D: Disk> Driver<D> {
    pub(crate) fn new(
        node: Node,
        clock: Clock,
        disk: D,
        network: Network,
        inbox: Inbox,
        logged: mpsc::Sender<Line>,
        memory: Arc<Memory>,
    ) -> Self {
        // Whatever it begins with was made safe before.
        let safe = node.status(Time::ZERO);
        Driver {
            node,
            clock,
            disk,
            network,
            inbox,
            effects: Effects::default(),
            outbox: Outbox::default(),
            replies: Slab::new(),
            replied: Histogram::default(),
            events: Events::new(Instant::now(), logged),
            reports: Reports::new(safe),
            memory,
            measured: None,
            open_since: None,
            snapshot: Snapshot::default(),
        }
    }

    /// Runs until `leave` ends; then takes the node out of the cluster, lets out what is due, and
    /// returns. An error of the disk ends it as well, and nothing that was not safe has left.
    pub(crate) async fn run(mut self, leave: oneshot::Receiver<()>) -> io::Result<()> {
        let mut leave = pin!(leave);
        let mut last = Instant::now();
        let mut alarm = pin!(sleep_until(last));
        loop {
            let due = self.node.next_deadline();
            let due = self.clock.instant(self.reports.due().map_or(due, |report| report.min(due)));
            // An alarm too early costs one look; setting it anew for every input would cost more.
            if due < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(due);
            }
            // A timer counts in milliseconds; what can be done now need not wait for its next one, nor
            // need a batch that is open still. One turn is left to the other tasks.
            let is_pressed = due <= last || self.open_since.is_some();
            let (arrivals, commands) = (self.takes_arrivals(), self.takes_commands());
            let wake = tokio::select! {
                biased;
                news = self.disk.news() => Wake::Disk(news),
                _ = &mut leave => Wake::Leave,
                Some(received) = self.inbox.datagrams.recv() => Wake::Datagram(received),
                Some(arrival) = self.inbox.arrivals.recv(), if arrivals => Wake::Arrival(arrival),
                Some(command) = self.inbox.commands.recv(), if commands => Wake::Command(command),
                // Last, since closing a batch does what is due however the batch came about.
                () = tokio::task::yield_now(), if is_pressed => Wake::Due,
                () = &mut alarm => Wake::Due,
            };
            if matches!(wake, Wake::Command(_)) && self.open_since.is_none() {
                // Other connections that have something to say come first: else the runtime would come
                // back here after each connection that it lets speak, for a batch of one command.
                tokio::task::yield_now().await;
            }
            let now = Instant::now();
            last = now;
            let time = self.clock.time(now);
            let is_leaving = matches!(wake, Wake::Leave);
            let heard = matches!(wake, Wake::Command(_));
            self.make_room(now);
            self.reports.give_up(time);
            match wake {
                Wake::Disk(news) => self.hear_disk(news?, time),
                Wake::Datagram(received) => self.datagram(received, time),
                Wake::Arrival(arrival) => self.arrival(arrival, time),
                Wake::Command(command) => self.command(command, time),
                Wake::Due => self.input(Input::Tick, time),
                Wake::Leave => self.input(Input::Leave, time),
            }
            let heard = self.gather(time) || heard;
            self.events.summarise(now);
            if heard && !is_leaving && self.may_gather_on(time) {
                continue;
            }
            if self.open_since.is_some() || self.node.next_deadline() <= time {
                self.close(time);
            }
            self.go_on_with_snapshot();
            if is_leaving {
                return self.finish().await;
            }
        }
    }

    /// Takes what waits already. Answers whether a client has said something.
    fn gather(&mut self, time: Time) -> bool {
        for _ in 0..BATCH_INPUTS_MAX {
            let Ok(received) = self.inbox.datagrams.try_recv() else { break };
            self.datagram(received, time);
        }
        if self.takes_arrivals() {
            for _ in 0..BATCH_INPUTS_MAX {
                let Ok(arrival) = self.inbox.arrivals.try_recv() else { break };
                self.arrival(arrival, time);
            }
        }
        let mut heard = false;
        if self.takes_commands() {
            for _ in 0..BATCH_INPUTS_MAX {
                let Ok(command) = self.inbox.commands.try_recv() else { break };
                self.command(command, time);
                heard = true;
            }
        }
        heard
    }

    /// Whether what is open may stay so for another turn, since it gets the cheaper to keep the more
    /// it holds.
    fn may_gather_on(&self, time: Time) -> bool {
        let since = self.open_since.unwrap_or(time);
        self.node.will_sync() && time.since(since) < GATHERING_TIME_MAX
    }

    fn takes_arrivals(&self) -> bool {
        self.outbox.batches() < ARRIVALS_WAIT_AT_BATCHES
            && self.outbox.bytes() < ARRIVALS_WAIT_AT_BYTES
    }

    fn takes_commands(&self) -> bool {
        self.outbox.batches() < COMMANDS_WAIT_AT_BATCHES
    }

    /// Tells the node how much memory new names may take, from time to time, and at once when half
    /// of that is used up: what they take is only guessed at until it is measured.
    fn make_room(&mut self, now: Instant) {
        if let Some((at, room)) = self.measured
            && now.saturating_duration_since(at) < MEASURING_INTERVAL
            && self.node.room().names >= room.names / 2
            && self.node.room().slots >= room.slots / 2
        {
            return;
        }
        let room = self.memory.room(self.node.counters().names());
        self.measured = Some((now, room));
        let time = self.clock.time(now);
        self.node.handle(time, Input::Room(room), &mut self.effects);
        // As often: a wall clock that was set is followed within so long.
        self.node.handle(time, Input::WallClock(wall_clock_ms()), &mut self.effects);
    }

    fn datagram(&mut self, received: Received, time: Time) {
        let Received { from, bytes } = received;
        self.input(Input::Datagram { from, bytes }, time);
    }

    fn arrival(&mut self, arrival: Arrival, time: Time) {
        let input = match arrival {
            Arrival::Accepted(connection) => {
                let Some(link) = self.network.accept_link(connection) else { return };
                Input::LinkOpened { link, dialed: None }
            }
            Arrival::Dialed { node, connection } => match self.network.open_link(connection) {
                Some(link) => Input::LinkOpened { link, dialed: Some(node) },
                None => Input::DialFailed { node },
            },
            Arrival::DialFailed { node } => Input::DialFailed { node },
            Arrival::Frame { link, frame, share } => {
                // Taken: the memory may be used for the next one.
                drop(share);
                Input::LinkFrame { link, frame }
            }
            Arrival::Closed { link } => {
                self.network.forget_link(link);
                Input::LinkClosed { link }
            }
        };
        self.input(input, time);
    }

    fn command(&mut self, command: Command, time: Time) {
        let input = match command {
            Command::Request { request, reply } => {
                Input::Request { token: self.token(Waiter::Done(reply, time)), request }
            }
            Command::Alone { work, reply } => {
                let node = &self.node;
                let (ops, only_if) = work.request(&|look| node.look(&look.into_inner()));
                let request = Request { ops: ops.into_inner(), only_if: only_if.into_inner() };
                Input::Request { token: self.token(Waiter::Done(reply, time)), request }
            }
            Command::Query { query, reply } => {
                Input::Query { token: self.token(Waiter::Answer(reply)), query }
            }
            Command::Watch { wait, reply } => {
                Input::Watch { token: self.token(Waiter::Changes(reply)), wait }
            }
            Command::Unwatch { reply } => {
                Input::Unwatch { token: self.token(Waiter::Changes(reply)) }
            }
            Command::Report { reply } => {
                let report = self.report(time);
                let batch = self.outbox.newest();
                let is_open = self.open_since.is_some();
                self.reports.take(Asked { report, reply, at: time, batch, is_open });
                return;
            }
            Command::Members { reply } => {
                let status = self.node.status(time);
                // The client may be gone.
                let _ = reply.send(Members {
                    node: status.identity.node,
                    removed: status.removed,
                    listed: status.listed_peers().map(str::to_owned).collect(),
                });
                return;
            }
        };
        self.input(input, time);
    }

    fn token(&mut self, waiter: Waiter) -> Token {
        self.replies.insert(waiter) as Token
    }

    fn waiter(&mut self, token: Token) -> Option<Waiter> {
        usize::try_from(token).ok().and_then(|key| self.replies.try_remove(key))
    }

    fn report(&self, time: Time) -> Report {
        Report {
            status: self.node.status(time),
            totals: self.node.totals().clone(),
            uptime: time.since(Time::ZERO),
            depths: Depths {
                datagrams: self.inbox.datagrams.len(),
                arrivals: self.inbox.arrivals.len(),
                commands: self.inbox.commands.len(),
                batches: self.outbox.batches(),
                replies: self.replies.len(),
            },
            replied: self.replied.clone(),
        }
    }

    fn input(&mut self, input: Input, time: Time) {
        self.node.handle(time, input, &mut self.effects);
        self.open_since.get_or_insert(time);
    }

    /// Ends the batch: what may leave leaves, what must be kept goes to the disk.
    fn close(&mut self, time: Time) {
        self.open_since = None;
        let batch = self.node.close_batch(time, &mut self.effects);
        self.let_go_at_once(time);
        let records = self.outbox.close(batch, &mut self.effects);
        self.reports.closed(records.is_some().then_some(batch));
        if let Some(records) = records {
            self.disk.append(batch, records);
        }
        self.let_go(time);
    }

    /// What the effects of a batch told is safe, and they have left.
    fn is_safe(&mut self, batch: u64, time: Time) {
        self.node.handle(time, Input::Synced { batch }, &mut self.effects);
        // A push need not wait for the next batch; should the node have read its table, it must.
        self.let_go_at_once(time);
        if !self.effects.after_sync.is_empty() || !self.effects.journal.is_empty() {
            self.open_since.get_or_insert(time);
        }
    }

    fn hear_disk(&mut self, news: News, time: Time) {
        match news {
            News::Safe(batch) => self.release(batch, time),
            News::SnapshotDue => self.snapshot.is_due = true,
            News::SnapshotReady => self.snapshot.is_ready = true,
            News::SnapshotFailed => {
                self.snapshot.under_way = None;
                self.node.end_snapshot();
            }
        }
    }

    /// Between two batches, when all that was closed has been handed to the disk: the point at
    /// which a snapshot may be cut, and its parts read from the table (rule
    /// `cut-at-the-beginning`).
    fn go_on_with_snapshot(&mut self) {
        if let Some(walk) = &mut self.snapshot.under_way {
            if !std::mem::take(&mut self.snapshot.is_ready) {
                return;
            }
            let records = self.node.snapshot_step(walk, SNAPSHOT_STEP_BYTES);
            self.disk.append_snapshot(records);
            if walk.is_over() {
                self.disk.publish_snapshot();
                self.snapshot.under_way = None;
                self.node.end_snapshot();
            }
        } else if (self.snapshot.is_due || self.node.has_shrunk()) && !self.node.is_folding() {
            self.snapshot.is_due = false;
            self.snapshot.under_way = Some(self.node.begin_snapshot());
            self.snapshot.is_ready = false;
            self.disk.begin_snapshot();
        }
    }

    /// Lets out what waited for batches up to and including this one.
    fn release(&mut self, synced: u64, time: Time) {
        self.outbox.safe(synced);
        self.let_go(time);
        self.reports.synced(synced);
    }

    /// Lets out what waits for nothing any more.
    fn let_go(&mut self, time: Time) {
        while let Some(Released { effects, batch }) = self.outbox.release() {
            effects.into_iter().for_each(|effect| self.carry_out(effect, time));
            self.is_safe(batch, time);
        }
    }

    fn let_go_at_once(&mut self, time: Time) {
        let mut effects = std::mem::take(&mut self.effects.at_once);
        for effect in effects.drain(..) {
            self.carry_out(effect, time);
        }
        // Its memory serves again.
        self.effects.at_once = effects;
    }

    fn carry_out(&mut self, effect: Effect, time: Time) {
        match effect {
            // The client may be gone, and its answer is dropped.
            Effect::Reply { token, results, version } => {
                if let Some(Waiter::Done(reply, since)) = self.waiter(token) {
                    let took = time.since(since);
                    self.replied.note(took);
                    let _ = reply.send(Done { results, version, took });
                }
            }
            Effect::Answer { token, answer } => {
                if let Some(Waiter::Answer(reply)) = self.waiter(token) {
                    let _ = reply.send(answer);
                }
            }
            Effect::Changes { token, changes } => {
                if let Some(Waiter::Changes(reply)) = self.waiter(token) {
                    let _ = reply.send(changes);
                }
            }
            Effect::Datagram { to, bytes } => self.network.send_datagram(to, bytes),
            Effect::Broadcast { bytes } => self.network.broadcast(&bytes),
            Effect::Dial { node, address } => self.network.dial(node, address),
            Effect::Frame { links, bytes } => self.network.send_frame(&links, &bytes),
            Effect::LinkEstablished { link } => self.network.establish_link(link),
            Effect::CloseLink { link } => self.network.close_link(link),
            Effect::Event(event) => self.events.log(&event, Instant::now()),
        }
    }

    /// Waits for the disk, and for the last words to be written.
    async fn finish(mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            if let News::Safe(batch) = self.disk.news().await? {
                self.release(batch, self.clock.time(Instant::now()));
            }
        }
        self.network.drain().await;
        self.disk.close().await
    }
}
