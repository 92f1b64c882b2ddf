//! One client, from its first byte to its last.
//!
//! One task and one loop: read what is there, find the whole commands in it, have the driver apply
//! them as one message, write the replies as one. A second task for writing would let a client's
//! next commands be read while its last ones are applied, and would cost every increment two more
//! wakes; the driver serves the other clients meanwhile.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::clients::Client;
use super::command::Command;
use super::commands::{
    dbsize, exec, flush, info, keys, msetnx, pubsub, randomkey, role, scan, wait, watch,
};
use super::context::Context;
use super::frames::Frames;
use super::output::{Output, Unread};
use super::parser::Parser;
use super::plan::{OPS_MAX, Plan};
use super::question::{Question, Scripts};
use super::script::run::{self, Job};
use super::session::Session;
use super::spec::Next;
use super::state::State;
use super::subscriptions::{News, Subscriptions, Topic};
use super::table::Last;
use super::traffic::Tally;
use super::walk::Walk;
use super::{dispatch, errors, reply};
use crate::access::{Allowed, Caller, Door, Names};
use crate::handle::Unavailable;
use crate::transport::stream::Stream;
use crate::watch::{Change, Filter, Read, Refused, Watch, Watcher};

/// What a connection reads at a time: little to begin with, since most of ten thousand are idle and
/// a lone command takes forty bytes; twice as much each time that it was not enough.
const READ_BYTES_MIN: usize = 1 << 10;
const READ_BYTES_MAX: usize = 64 << 10;

/// Between two values of one counter for one who listens, as for who watches by HTTP and does not
/// say otherwise.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How long a client that did not speak the protocol has to read why it is left.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client has gone, or has said QUIT")]
    Over,
    #[error("the node stops")]
    Stopping,
    #[error("not the protocol")]
    NotTheProtocol,
    #[error("the client does not read its answers")]
    Unread,
    #[error(transparent)]
    Broken(#[from] io::Error),
}

impl From<Unread> for End {
    fn from(_: Unread) -> Self {
        End::Unread
    }
}

impl From<Unavailable> for End {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Starting | Unavailable::Stopping => End::Stopping,
            Unavailable::WrongKind(wrong) => End::Broken(io::Error::other(wrong)),
        }
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Connection {
    context: Arc<Context>,
    session: Session,
    last: Last,
    /// While there are subscriptions to counters.
    watcher: Option<Box<Watcher>>,
    /// Whether the audience knows of subscriptions.
    is_listed: bool,
    /// What has arrived and is no whole command yet.
    input: BytesMut,
    parser: Parser,
    frames: Frames,
    plan: Plan,
    output: Output,
    tally: Tally,
    read_bytes: usize,
    /// How long the node had the commands that are not looked at yet.
    took: Duration,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_listed {
            self.context.audience.forget(self.session.client.id);
        }
    }
}

impl Connection {
    pub(super) fn new(context: Arc<Context>, client: Arc<Client>, caller: Caller) -> Self {
        Connection {
            session: Session::new(Arc::clone(&context.state), client, caller),
            last: Last::default(),
            watcher: None,
            is_listed: false,
            output: Output::new(Arc::clone(&context)),
            context,
            input: BytesMut::new(),
            parser: Parser::default(),
            frames: Frames::default(),
            plan: Plan::default(),
            tally: Tally::default(),
            read_bytes: READ_BYTES_MIN,
            took: Duration::ZERO,
        }
    }

    /// Serves the client until it goes, or `stopped` tells that the node stops: then it is still
    /// answered what it has asked.
    pub(super) async fn run(mut self, mut stream: Stream, mut stopped: Receiver<()>) -> End {
        let Err(end) = self.converse(&mut stream, &mut stopped).await;
        self.context.state.traffic.add(&mut self.tally);
        if !matches!(end, End::Broken(_) | End::Unread)
            && let Err(error) = self.write_out(&mut stream).await
        {
            return End::Broken(error);
        }
        if matches!(end, End::NotTheProtocol) {
            let _ = timeout(LINGER_TIME_MAX, linger(stream)).await;
        }
        end
    }

    async fn converse(
        &mut self,
        stream: &mut Stream,
        stopped: &mut Receiver<()>,
    ) -> Result<std::convert::Infallible, End> {
        let mut stopping = pin!(stopped.changed());
        loop {
            self.input.reserve(self.read_bytes);
            let mut changed: Vec<News> = Vec::new();
            // Only once all has left that was told before: a client that reads slowly skips values.
            let may_tell = self.watcher.is_some() && self.output.is_empty();
            let read = tokio::select! {
                biased;
                // First, since it comes now and then, and a client's commands may never end.
                read = watched(&mut self.watcher, &mut changed), if may_tell => {
                    self.tell(read, changed).await?;
                    None
                }
                read = exchange(stream, &mut self.input, &mut self.output) => read?,
                _ = &mut stopping => return Err(End::Stopping),
            };
            match read {
                Some(0) => return Err(End::Over),
                Some(read) => self.take_rest(stream, read)?,
                None => {}
            }
            while !self.serve(stream).await? {}
            self.context.state.traffic.add(&mut self.tally);
            self.forget_ended_subscriptions();
            self.output.send(stream)?;
            self.output.check()?;
        }
    }

    /// Reads what more there is when a read has filled all the room that it was given.
    fn take_rest(&mut self, stream: &mut Stream, read: usize) -> io::Result<()> {
        let mut room = self.read_bytes;
        let mut filled = read >= room;
        while filled && room < READ_BYTES_MAX {
            self.read_bytes = (2 * room).min(READ_BYTES_MAX);
            self.input.reserve(self.read_bytes);
            let Some(read) = stream.read_now(&mut self.input) else { break };
            room = self.read_bytes;
            filled = read? >= room;
        }
        Ok(())
    }

    /// Answers the commands that are here; true if none was.
    async fn serve(&mut self, stream: &mut Stream) -> Result<bool, End> {
        let parsed = self.parser.parse(&mut self.input, &mut self.frames);
        let whole = self.parser.whole();
        let is_idle = whole == 0;
        let bytes = self.input.split_to(whole).freeze();
        self.parser.took(whole);
        self.plan.expect(self.frames.len());
        if !is_idle {
            self.session.client.hear();
        }
        let mut first = 0;
        for at in 0..self.frames.len() {
            let command = Command::new(&bytes, self.frames.command(at));
            if command.len() == 0 {
                // As in Redis, a blank line is a command that has no reply which could be skipped.
                self.end_command();
                continue;
            }
            let held = self.session.transaction.as_ref().map_or(0, |held| held.ops_max());
            if self.plan.ops() + command.len() + held > OPS_MAX {
                self.settle().await?;
                self.note_if_slow(&bytes, &mut first, at);
            }
            let command = Command::new(&bytes, self.frames.command(at));
            let handle = &self.context.handle;
            let (next, class) =
                dispatch::plan(&command, handle, &mut self.last, &mut self.session, &mut self.plan);
            self.tally.add(class);
            match next {
                Next::Go => {}
                Next::Ask(question) => {
                    self.settle().await?;
                    self.note_if_slow(&bytes, &mut first, at);
                    // Who waits for others is not slow.
                    let is_wait = matches!(question, Question::Wait { .. });
                    let began = Instant::now();
                    // In memory of its own, which each idle connection would else keep for it.
                    Box::pin(self.answer(question, stream)).await?;
                    self.took = if is_wait { Duration::ZERO } else { began.elapsed() };
                    self.note_if_slow(&bytes, &mut first, at + 1);
                }
                Next::Close => {
                    self.settle().await?;
                    return Err(End::Over);
                }
                Next::Leave => {
                    self.settle().await?;
                    return Err(End::NotTheProtocol);
                }
            }
            self.end_command();
        }
        self.settle().await?;
        self.note_if_slow(&bytes, &mut first, self.frames.len());
        self.tell_others();
        self.frames.forget(whole);
        if let Err(error) = parsed {
            if !self.session.silence.holds() {
                let text = [b"ERR Protocol error: ", &error.text()[..]].concat();
                reply::error(&mut self.output.bytes, &text);
            }
            return Err(End::NotTheProtocol);
        }
        Ok(is_idle)
    }

    /// Notes commands of a read that were done as one and took long: those before `behind`, from where the
    /// next part begins.
    fn note_if_slow(&mut self, bytes: &Bytes, first: &mut usize, behind: usize) {
        let State { settings, slow, .. } = &*self.context.state;
        let took = std::mem::take(&mut self.took);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let commands = std::mem::replace(first, behind)..behind;
        if took_us >= settings.slow_us() && !commands.is_empty() {
            let command = Command::new(bytes, self.frames.command(commands.start));
            let arguments = (0..command.len()).map(|at| command.argument(at));
            slow.note(settings, &self.session.client, took, arguments, commands.len() - 1);
        }
    }

    /// Lets others see what has become of this connection; where it only counted on, that is nothing.
    fn tell_others(&mut self) {
        if self.session.transaction.is_some() || self.tally.has_changed_the_connection() {
            self.session.tell_others();
        }
        if let Some(name) = self.last.take_new() {
            self.session.client.shown().command = name;
        }
    }

    /// What was said of the present command's reply holds for the next one.
    fn end_command(&mut self) {
        self.session.silence.next_command();
        self.plan.silence(self.session.silence.holds());
    }

    /// Has done what is planned, and writes the replies.
    async fn settle(&mut self) -> Result<(), Unavailable> {
        let mut results = Vec::new();
        if self.plan.ops() > 0 {
            let done = self.context.handle.request(self.plan.take_ops()).await?;
            self.session.version = self.session.version.max(done.version);
            self.took += done.took;
            results = done.results;
        }
        self.plan.render(results, &mut self.output.bytes);
        Ok(())
    }

    async fn answer(&mut self, question: Question, stream: &mut Stream) -> Result<(), End> {
        let handle = &self.context.handle;
        let mut answer = Vec::new();
        let out = &mut answer;
        match question {
            Question::Size(names) => {
                dbsize::answer(self.walk(&names), self.session.database, out).await?;
            }
            Question::RandomKey(names) => {
                randomkey::answer(self.walk(&names), self.session.protocol, out).await?;
            }
            Question::Flush { names, database, name } => {
                let walk = Walk { database, ..self.walk(&names) };
                let version = flush::answer(walk, name, out).await?;
                self.session.version = self.session.version.max(version);
            }
            Question::SetMissing { sets, missing } => {
                msetnx::answer(handle, (sets, missing), &mut self.session, out).await?;
            }
            Question::Watch(names) => {
                let Session { caller, watched, .. } = &mut self.session;
                watch::answer(handle, caller, names, watched, out).await?;
            }
            Question::Execute { transaction, watched, served } => {
                let session = &mut self.session;
                if transaction.has_scripts {
                    let job = Job::transaction(transaction, &watched);
                    run::answer(
                        &self.context.handle,
                        &self.context.shelf,
                        (job, served),
                        session,
                        out,
                    )
                    .await?;
                } else {
                    let asked = (transaction, &watched);
                    exec::answer_unless_changed(asked, served, handle, session, out).await?;
                }
            }
            Question::Scripts(Scripts::Shelf(asked), _) => self.context.shelf.answer(&asked, out),
            Question::Scripts(asked, served) => {
                let job = (Job::Scripts(asked), served);
                run::answer(handle, &self.context.shelf, job, &mut self.session, out).await?;
            }
            Question::Role(observe) => role::answer(handle, &observe, out).await?,
            Question::Scan(names, asked) => {
                scan::answer(self.walk(&names), &asked, out).await?;
            }
            Question::Keys { names, pattern } => {
                keys::answer(self.walk(&names), &pattern, out).await?;
            }
            Question::Info { asked, sections } => {
                info::answer(&self.context, &asked, &sections, self.session.protocol, out).await?;
            }
            Question::Subscribe(topic, names) => self.subscribe(topic, names, out).await?,
            Question::Unsubscribe(topic, names) => self.unsubscribe(topic, names),
            Question::Audience(about) => {
                self.forget_ended_subscriptions();
                pubsub::answer(&self.context.audience, &about, out);
            }
            Question::Wait { asked, peers, patience } => {
                // A client that waits shall have its earlier answers.
                self.output.send(stream)?;
                wait::answer(handle, &self.session, stream, (asked, peers, patience), out).await?;
            }
        }
        if !self.session.silence.holds() {
            self.output.bytes.append(&mut answer);
        }
        // Such answers may be long, and a read may hold thousands of such questions.
        self.output.send(stream)?;
        self.output.check()?;
        Ok(())
    }

    /// A walk over the names of the database that was chosen.
    fn walk<'a>(&'a self, names: &'a Allowed<Names>) -> Walk<'a> {
        Walk {
            handle: &self.context.handle,
            names,
            caller: &self.session.caller,
            database: Some(self.session.database),
        }
    }

    /// Subscribes and confirms that, or answers why not. It watches before it confirms, so that all
    /// that changes behind the confirmation is told.
    async fn subscribe(
        &mut self,
        topic: Topic,
        names: Vec<Bytes>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unavailable> {
        let Session { client, caller, subscriptions, protocol, state, .. } = &mut self.session;
        if let Err(text) = subscriptions.admit(topic, &names) {
            reply::error(out, text.as_bytes());
            return Ok(());
        }
        let (mut more, mut confirmations) = (subscriptions.clone(), Vec::new());
        more.add(topic, names, *protocol, &mut confirmations);
        more.notify(state.settings.notified());
        let Ok(filter) = caller.ask(more.filter()) else {
            reply::error(out, errors::DENIED_CHANNEL.as_bytes());
            return Ok(());
        };
        if let Err(too_many) = self.context.audience.note(client.id, &more) {
            reply::error(out, format!("ERR {too_many}").as_bytes());
            return Ok(());
        }
        self.is_listed = true;
        if let Err(refused) = watch_for(&more, filter, &mut self.watcher, &self.context.watch).await
        {
            // As few as before always have room.
            let _ = self.context.audience.note(client.id, subscriptions);
            let text = match refused {
                Refused::Unavailable(Unavailable::Starting) => errors::LOADING.to_owned(),
                Refused::Unavailable(unavailable) => return Err(unavailable),
                Refused::TooMany(_) => format!("ERR {refused}"),
            };
            reply::error(out, text.as_bytes());
            return Ok(());
        }
        *subscriptions = more;
        // No reply but a message, and so told to one who wants no replies, too.
        self.output.bytes.append(&mut confirmations);
        Ok(())
    }

    /// Ends subscriptions, and confirms that.
    fn unsubscribe(&mut self, topic: Topic, names: Vec<Bytes>) {
        let Session { client, caller, subscriptions, protocol, .. } = &mut self.session;
        subscriptions.remove(topic, names, *protocol, &mut self.output.bytes);
        // Where a right was taken away meanwhile, what is told is still what it listens to.
        if let Some(watcher) = &mut self.watcher
            && let Ok(filter) = caller.ask(subscriptions.filter())
        {
            watcher.look_for(filter);
        }
        // Fewer than before always have room.
        let _ = self.context.audience.note(client.id, subscriptions);
        self.forget_ended_subscriptions();
    }

    /// Gives back what was taken for subscriptions that there are no more, also by `RESET`.
    fn forget_ended_subscriptions(&mut self) {
        let Session { client, subscriptions, .. } = &self.session;
        if self.is_listed && subscriptions.is_empty() {
            self.is_listed = false;
            self.context.audience.forget(client.id);
        }
        if self.watcher.is_some() && !subscriptions.are_of_counters() {
            self.watcher = None;
        }
    }

    /// Tells what has changed to one who listens.
    async fn tell(&mut self, read: Read, changed: Vec<News>) -> Result<(), End> {
        let changed = match (read, &mut self.watcher) {
            (Read::Up, _) => changed,
            // What it missed is not known one by one any more, so it is told how all stands.
            (Read::Outrun, Some(watcher)) => {
                let begin = self.context.watch.begin_anew(watcher).await?;
                let rows = begin.snapshot.map_or_else(Vec::new, |(rows, _)| rows);
                rows.into_iter().map(|(name, value)| News { name, value, gone: None }).collect()
            }
            (Read::Outrun | Read::Ended, _) => return Err(End::Stopping),
        };
        let Session { subscriptions, protocol, state, .. } = &self.session;
        let classes = state.settings.notified();
        for news in &changed {
            subscriptions.tell(news, classes, *protocol, &mut self.output.bytes);
        }
        Ok(())
    }

    /// Writes all that is still to be read by a client that will be left.
    async fn write_out(&mut self, stream: &mut Stream) -> io::Result<()> {
        while !self.output.is_empty() {
            poll_fn(|cx| self.output.poll_send(stream, cx)).await?;
        }
        Ok(())
    }
}

/// Waits until the client has sent something, or has taken some of what it is sent; how many bytes
/// came, if any did.
async fn exchange(
    stream: &mut Stream,
    input: &mut BytesMut,
    output: &mut Output,
) -> io::Result<Option<usize>> {
    poll_fn(|cx| {
        if let Poll::Ready(read) = stream.poll_read_buf(cx, input) {
            return Poll::Ready(read.map(Some));
        }
        if output.is_empty() {
            return Poll::Pending;
        }
        output.poll_send(stream, cx).map_ok(|()| None)
    })
    .await
}

/// Watches the counters among these subscriptions, if there are any.
async fn watch_for(
    subscriptions: &Subscriptions,
    filter: Allowed<Filter>,
    watcher: &mut Option<Box<Watcher>>,
    watch: &Watch,
) -> Result<(), Refused> {
    if !subscriptions.are_of_counters() {
        return Ok(());
    }
    match watcher {
        Some(watcher) => watcher.look_for(filter),
        None => *watcher = Some(Box::new(watch.join(Door::Redis, filter, None).await?.1)),
    }
    Ok(())
}

/// Waits until counters have changed, and it is time to tell it; never ends without a watcher.
async fn watched(watcher: &mut Option<Box<Watcher>>, changed: &mut Vec<News>) -> Read {
    let Some(watcher) = watcher else { return std::future::pending().await };
    let known = watcher.position();
    let show = |_, change: &Change| {
        if let Change::Counter { name, value, gone, .. } = change {
            // That it has ended is told once.
            let gone = gone.filter(|(_, since)| *since > known).map(|(how, _)| how);
            changed.push(News { name: name.clone(), value: *value, gone });
        }
    };
    watcher.read(TELL_EVERY, show).await
}

/// Reads to the client's end, and forgets it. A connection that is closed while bytes are unread is
/// reset, and the client would not see the error that tells why.
async fn linger(mut stream: Stream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut forgotten = [0; 1 << 10];
    while stream.read(&mut forgotten).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Right;
    use crate::handle::Handle;
    use crate::redis::clients::Socket;
    use crate::redis::traffic::Traffic;
    use crate::watch::lines;

    #[tokio::test]
    async fn a_caller_that_may_not_watch_is_denied_the_channels_of_counters() {
        let (handle, mut inbox) = Handle::without_driver();
        let watch = Watch::start(handle.clone(), lines().1);
        let context = Context::new(handle, watch, Arc::new(Traffic::default()), 1, 1);
        let caller = Caller::anyone(Door::Redis, "127.0.0.1:1".parse().unwrap());
        let address = "127.0.0.1:1".parse().unwrap();
        let socket = Socket { peer: address, local: address, descriptor: 1 };
        let client = context.state.clients.admit(socket);
        let caller = caller.without(Right::Watch);
        let mut connection = Connection::new(Arc::new(context), client, caller);
        let mut out = Vec::new();
        let names = vec![Bytes::from_static(b"counter:a")];
        // There is no driver, so what reaches the node is never answered.
        let subscribed = connection.subscribe(Topic::Channel, names, &mut out);
        timeout(Duration::from_secs(10), subscribed).await.expect("an answer").unwrap();
        assert_eq!(out, [b"-", errors::DENIED_CHANNEL.as_bytes(), b"\r\n"].concat());
        assert!(connection.session.subscriptions.is_empty() && connection.output.is_empty());
        assert!(inbox.commands.try_recv().is_err(), "it reached the node");
    }
}
