//! Who gets which delta when: pushing, confirming, exchanging digests, catching up.
//!
//! This room knows links by their names and the table by its digest; it knows nothing of how a
//! link came to be. What it sends is of two kinds: pushes, made of synced batches, leave at once;
//! everything that is read from the table waits for the sync of the batch that is open (rule
//! `publish-after-sync`).

pub(crate) mod arrivals;
pub(crate) mod digests;
mod exchange;
mod knowledge;
mod pauses;
pub(crate) mod pull;
mod push;
pub mod scan;
mod session;
pub(crate) mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::counters::{Counters, LocalBatch};
use crate::delta::Delta;
use crate::digest::Want;
use crate::event::Event;
use crate::identity::{NodeId, OriginId, Version};
use crate::input::LinkId;
use crate::limit::RateLimit;
use crate::operation::Behind;
use crate::replication::digests::COMPARED_SINCE;
use crate::replication::exchange::Stage;
use crate::replication::knowledge::Knowledge;
use crate::replication::pauses::Pauses;
use crate::replication::pull::{PullRequest, PullResponse};
use crate::replication::push::PushCoalescer;
pub(crate) use crate::replication::session::Session;
use crate::replication::window::Window;
use crate::settlement::Prefix;
use crate::status::LinkStatus;
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::frame::{self, Message, WANTS_MAX, WANTS_MAX_BEFORE_3};

/// The time between confirmations on one link.
const CONFIRM_EVERY: Duration = Duration::from_millis(1);

/// The time between looks at whether what must be here before anything is confirmed is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A peer that has not told what it holds for so long does not count where others do: three
/// exchanges. It is a link's silence too, which this would be but for signs of life.
const UNTOLD_MAX: Duration = Duration::from_secs(3);

/// Origins that this node has never heard of, and that it asks for at once and then each second. An
/// old cluster's joiner is told of as many as that by its first peer, or nearly; a peer that invents
/// origins would else have filled the table within a second, and with these it takes a quarter of
/// an hour, which operators can see coming.
const NEWCOMERS_AT_ONCE: u32 = 1 << 17;
const NEWCOMERS_PER_SECOND: u32 = 1000;

/// The replication of one node with all its links.
#[derive(Debug)]
pub(crate) struct Replication {
    pub(crate) sessions: BTreeMap<LinkId, Session>,
    /// The origins under which the links' peers write, and up to which version each has told of them
    /// itself.
    pub(crate) writers: BTreeMap<OriginId, Version>,
    /// Origins whose changes are asked for.
    asked: BTreeSet<OriginId>,
    /// When all links are told what we hold, and the batch in which they last were.
    pub(crate) exchange_at: Time,
    pub(crate) exchanged_in: u64,
    /// The last batch in which links that are gone asked or answered about a digest: should it wait
    /// for a disk that hangs, those that begin meanwhile add nothing to it.
    left_in: u64,
    knowledge: Knowledge,
    gather: PushCoalescer,
    requests: u32,
    /// Origins that are not asked for again yet, for want of room.
    pauses: Pauses,
    newcomers: RateLimit,
    /// What may be unconfirmed on each link.
    window: window::Bounds,
    /// Bytes of a part of an answer, about.
    part_bytes: usize,
    /// The number of the batch that is open, and of the last one that is synced.
    pub(crate) open: u64,
    pub(crate) synced: u64,
    #[cfg(feature = "planted-bugs")]
    pub(crate) bug: Option<crate::bug::Bug>,
}

impl Default for Replication {
    fn default() -> Self {
        Replication {
            sessions: BTreeMap::new(),
            writers: BTreeMap::new(),
            asked: BTreeSet::new(),
            exchange_at: Time::ZERO,
            exchanged_in: 0,
            left_in: 0,
            knowledge: Knowledge::default(),
            gather: PushCoalescer::default(),
            requests: 0,
            pauses: Pauses::default(),
            newcomers: RateLimit::new(NEWCOMERS_PER_SECOND, NEWCOMERS_AT_ONCE, Time::ZERO),
            window: window::Bounds::default(),
            part_bytes: pull::PART_BYTES,
            open: 1,
            synced: 0,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }
}

/// What a part is to what was asked for on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// The next part of the answer that is awaited.
    InTurn,
    /// A part of it in front of which one is missing.
    OutOfTurn,
    /// An answer that nobody here awaits.
    Unasked,
}

impl Replication {
    /// So much may be unconfirmed on each link that stands later, and so many bytes, about, has a
    /// part of an answer.
    pub(crate) fn limit(&mut self, window: window::Bounds, part_bytes: usize) {
        self.window = window;
        self.part_bytes = part_bytes;
    }

    /// A link stands: digests are exchanged at once, and pushes go there from now on.
    pub(crate) fn link_up(
        &mut self,
        link: LinkId,
        version: u16,
        peer: NodeId,
        origin: OriginId,
        now: Time,
    ) {
        self.link_down(link);
        self.writers.entry(origin).or_default();
        let confirmed = self.knowledge.link_up(peer, origin);
        let window = Window::after(confirmed, self.window);
        let session = Session::new((peer, origin), version, window, self.left_in, now);
        self.sessions.insert(link, session);
    }

    /// A link is gone, and all that was half said on it.
    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.end_pull(link);
        let Some(session) = self.sessions.remove(&link) else { return };
        self.left_in = self.left_in.max(session.asked_in).max(session.answered_in);
        let origin = session.peer_origin;
        self.knowledge.link_down(session.peer);
        if !self.sessions.values().any(|other| other.peer_origin == origin) {
            self.writers.remove(&origin);
        }
    }

    fn end_pull(&mut self, link: LinkId) -> Option<PullRequest> {
        let asking = self.sessions.get_mut(&link)?.asking.take()?;
        for origin in asking.origins() {
            self.asked.remove(&origin);
        }
        Some(asking)
    }

    /// How far the peer of a link is behind us.
    pub(crate) fn status(&self, link: LinkId, now: Time, ours: Version) -> Option<LinkStatus> {
        self.sessions.get(&link).map(|session| session.window.status(now, ours))
    }

    /// Of how many origins there was no room for all changes when they were asked for last.
    pub(crate) fn without_room(&self) -> usize {
        self.pauses.len()
    }

    /// Up to which version of ours each peer has confirmed everything, of those that are linked and
    /// that `is_up` holds for.
    pub(crate) fn confirmations(&self, is_up: impl Fn(NodeId) -> bool) -> Vec<Version> {
        self.knowledge.confirmations(is_up)
    }

    /// In what way this node is known to be behind one of its links' peers. One that says nothing of
    /// what it holds, as while its disk hangs, is passed over like one that is cut off, if there is
    /// another to which this node has been compared and of which it lacks nothing. So is
    /// `unreached`, a member to which there has been no link for long.
    pub(crate) fn behind(
        &self,
        now: Time,
        counters: &Counters,
        unreached: Option<NodeId>,
    ) -> Option<Behind> {
        let mut behind_silent = unreached.map(Behind::NotCompared);
        let (mut behind, mut has_one) = (None, false);
        for session in self.sessions.values() {
            let found = if !session.exchange.is_first_over {
                Some(Behind::NotCompared(session.peer))
            } else if session.exchange.shows_lack(counters) {
                Some(Behind::Lacking(session.peer))
            } else {
                None
            };
            let is_silent = session.told + UNTOLD_MAX <= now;
            has_one |= found.is_none() && !is_silent;
            let so_far = if is_silent { &mut behind_silent } else { &mut behind };
            *so_far = so_far.or(found);
        }
        behind.or(behind_silent.filter(|_| !has_one))
    }

    /// When [`Replication::tick`] or [`Replication::push`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let sessions = self.sessions.values().flat_map(|session| {
            let every = if session.owed.is_empty() { CONFIRM_EVERY } else { LOOK_EVERY };
            let confirm =
                session.owes_confirm.then(|| session.confirmed.map_or(Time::ZERO, |at| at + every));
            let asking = session.asking.as_ref().and_then(|a| a.next_deadline(self.synced));
            let serving = session.serving.as_ref().filter(|s| s.is_ready()).map(|_| Time::ZERO);
            let owes = session.owes_answer.is_some() && session.answered_in <= self.synced;
            let answer = owes.then_some(Time::ZERO);
            [session.exchange.next_deadline(), confirm, asking, serving, answer]
        });
        let others = [self.gather.next_deadline(), self.next_exchange()];
        sessions.flatten().chain(others.into_iter().flatten()).min()
    }

    /// What is sent from now on waits for the sync of the batch after this one.
    pub(crate) fn batch_closed(&mut self, batch: u64) {
        self.open = batch + 1;
    }

    /// Batches up to this one have been synced, and what they sent has left.
    pub(crate) fn batch_synced(&mut self, batch: u64, now: Time) {
        self.synced = self.synced.max(batch);
        for asking in self.sessions.values_mut().filter_map(|session| session.asking.as_mut()) {
            asking.synced(now, batch);
        }
    }

    /// A batch of our own has been synced. One sync may cover many; whenever what they gather to
    /// fills a push, it leaves.
    pub(crate) fn synced(
        &mut self,
        accepted: Time,
        batch: &LocalBatch,
        counters: &Counters,
        turn: &mut Turn<'_>,
    ) {
        if batch.origin != counters.our_origin() {
            return;
        }
        self.gather.add(accepted, batch, counters);
        if self.gather.is_full() {
            self.push(counters, turn);
        }
    }

    /// Sends the gathered push, if it is time.
    pub(crate) fn push(&mut self, counters: &Counters, turn: &mut Turn<'_>) {
        let Some(push) = self.gather.take(turn.now, counters) else { return };
        if self.sessions.is_empty() {
            return;
        }
        let (upto, accepted) = (push.upto() + counters.versions_before(), push.accepted);
        let bytes = frame::encode(&Message::Push {
            after: push.after,
            batches: push.batches,
            age_us: u64::try_from(turn.now.since(accepted).as_micros()).unwrap_or(u64::MAX),
            changes: push.changes,
        });
        let mut links = Vec::with_capacity(self.sessions.len());
        for (&link, session) in &mut self.sessions {
            if session.window.is_open() {
                session.window.push(turn.now, accepted, upto, bytes.len());
                links.push(link);
            } else {
                session.window.withhold(accepted, upto);
                turn.totals.pushes_withheld += 1;
            }
        }
        turn.totals.deltas_sent += links.len() as u64;
        if !links.is_empty() {
            turn.frame_at_once(links, bytes);
        }
    }

    /// Does what is due on every link.
    pub(crate) fn tick(&mut self, counters: &mut Counters, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.tell_digest(counters, turn);
        self.answer_asks(counters, turn);
        let mut given_up = Vec::new();
        for (&link, session) in &mut self.sessions {
            if session.owes_confirm && session.confirmed.is_none_or(|at| at + CONFIRM_EVERY <= now)
            {
                session.confirmed = Some(now);
                session.owed.retain(|prefix| !is_here(prefix, counters));
                if !session.owed.is_empty() {
                    continue;
                }
                session.owes_confirm = false;
                let version = counters.known(session.peer_origin).version;
                session.told_confirmed = version;
                let confirm = Message::Confirm(version);
                turn.frame_after_sync(vec![link], &confirm);
            }
            let answer = session.exchange.next_deadline();
            let asking = session.asking.as_ref().and_then(|a| a.next_deadline(self.synced));
            if answer.into_iter().chain(asking).any(|at| at <= now) {
                given_up.push((link, asking.is_some_and(|at| at <= now)));
            }
            if let Some(serving) = &mut session.serving
                && serving.is_ready()
            {
                if let Some((part, slots)) = serving.step(now, counters) {
                    turn.totals.catch_up_slots_sent += slots;
                    turn.frame_after_sync(vec![link], &part);
                }
                if serving.is_over() {
                    session.serving = None;
                }
            }
        }
        for (link, is_asking) in given_up {
            if is_asking {
                self.end_pull(link);
            }
            if let Some(session) = self.sessions.get_mut(&link) {
                session.exchange.stage = Stage::Idle;
            }
            self.release(link, turn);
        }
    }

    /// Whether replication runs on a link.
    pub(crate) fn is_linked(&self, link: LinkId) -> bool {
        self.sessions.contains_key(&link)
    }

    /// Every link on which it does.
    pub(crate) fn links(&self) -> Vec<LinkId> {
        self.sessions.keys().copied().collect()
    }

    /// This node goes on under a fresh origin: what gathers of the one before is had by asking.
    pub(crate) fn take_fresh_origin(&mut self, origin: OriginId, turn: &mut Turn<'_>) {
        self.gather = PushCoalescer::default();
        let links = self.links();
        self.sessions.values_mut().for_each(|session| session.is_origin_untaken = true);
        // At once: its peers confirm nothing of what follows before they have it.
        self.exchange_at = turn.now;
        if !links.is_empty() {
            turn.frame_after_sync(links, &Message::FreshOrigin(origin));
        }
    }

    /// The peer goes on under another origin, and has closed these before.
    pub(crate) fn peer_takes_origin(&mut self, link: LinkId, origin: OriginId, owed: Vec<Prefix>) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let former = session.peer_takes_origin(origin, owed);
        self.knowledge.peer_takes_origin(session.peer, origin);
        self.writers.entry(origin).or_default();
        if !self.sessions.values().any(|other| other.peer_origin == former) {
            self.writers.remove(&former);
        }
    }

    /// What the peer of a link wrote before under other origins.
    pub(crate) fn owe(&mut self, link: LinkId, owed: Vec<Prefix>) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.owed = owed;
        }
    }

    /// The peer has not said yet that it takes our pushes for those of the origin that we write under
    /// now: what it confirms may be of the one before.
    pub(crate) fn tell_origin(&mut self, link: LinkId) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.is_origin_untaken = true;
        }
    }

    /// The peer takes our pushes for those of the origin that we write under now.
    pub(crate) fn origin_taken(&mut self, link: LinkId) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.is_origin_untaken = false;
        }
    }

    /// Whether what the peer confirms is of the origin that we write under now.
    pub(crate) fn confirms_ours(&self, link: LinkId) -> bool {
        self.sessions.get(&link).is_some_and(|session| !session.is_origin_untaken)
    }

    /// The peer has synced our changes up to a version.
    pub(crate) fn confirmed(&mut self, link: LinkId, version: Version, turn: &mut Turn<'_>) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.window.confirm(turn.now, version, &mut turn.totals.confirmation);
            self.knowledge.confirm(session.peer, session.peer_origin, version);
        }
    }

    /// The peer pushed its changes up to a version: it is owed a confirmation.
    pub(crate) fn pushed(&mut self, link: LinkId, upto: Version) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.owes_confirm = true;
            let word = self.writers.entry(session.peer_origin).or_default();
            *word = upto.max(*word);
        }
    }

    /// Whose changes a push on this link holds.
    pub(crate) fn pusher(&self, link: LinkId) -> Option<OriginId> {
        self.sessions.get(&link).map(|session| session.peer_origin)
    }

    /// Asks the peer of a link for what it was seen to hold beyond us, unless something is asked of
    /// it already.
    pub(crate) fn ask_for_lacking(
        &mut self,
        link: LinkId,
        counters: &Counters,
        turn: &mut Turn<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let mut wants = session.exchange.take_wants();
        if session.asking.is_some() {
            return;
        }
        #[cfg(feature = "planted-bugs")]
        if self.bug == Some(crate::bug::Bug::FingerprintsIgnored) {
            wants.retain(|want| want.after.is_some());
        }
        wants.retain(|want| {
            let pauses = if want.after.is_some() { &self.pauses } else { &session.repairs };
            !pauses.is_on(turn.now, want.origin) && !self.asked.contains(&want.origin)
        });
        let is_old = session.version < COMPARED_SINCE;
        wants.truncate(if is_old { WANTS_MAX_BEFORE_3 } else { WANTS_MAX });
        wants.retain(|want| {
            counters.index_of(want.origin).is_some() || self.newcomers.allow(turn.now)
        });
        if wants.is_empty() {
            return;
        }
        for want in wants.iter().filter(|want| want.after.is_none()) {
            turn.totals.repairs += 1;
            session.repairs.begin(turn.now, want.origin);
            let event = Event::RepairStarted { peer: session.peer, origin: want.origin };
            turn.event(event);
        }
        turn.totals.catch_ups_asked += 1;
        self.requests = self.requests.wrapping_add(1);
        self.asked.extend(wants.iter().map(|want| want.origin));
        session.asking = Some(PullRequest::new(self.requests, &wants, turn.now));
        turn.frame_after_sync(vec![link], &Message::PullRequest { request: self.requests, wants });
    }

    /// The peer asks for what it lacks. A second ask takes the place of the first.
    pub(crate) fn asked(
        &mut self,
        link: LinkId,
        request: u32,
        wants: &[Want],
        counters: &Counters,
        turn: &mut Turn<'_>,
    ) {
        if let Some(session) = self.sessions.get_mut(&link) {
            turn.totals.catch_ups_served += 1;
            let is_served = |want: &&Want| !counters.is_unserved(want.origin);
            let wants: Vec<Want> = wants.iter().filter(is_served).copied().collect();
            session.serving =
                Some(PullResponse::new(turn.now, request, &wants, self.part_bytes, counters));
        }
    }

    /// The peer has synced a part of what it asked for.
    pub(crate) fn part_taken(&mut self, link: LinkId, request: u32, index: u32) {
        if let Some(serving) =
            self.sessions.get_mut(&link).and_then(|session| session.serving.as_mut())
        {
            serving.taken(request, index);
        }
    }

    /// A part of what we asked for has come, or what is said to be one. Its deltas are to be judged
    /// by [`Replication::may_take`], and then it is [`Replication::part_over`].
    pub(crate) fn part_came(
        &mut self,
        link: LinkId,
        part: (u32, u32, bool),
        slots: usize,
        turn: &mut Turn<'_>,
    ) -> Came {
        let (request, index, _) = part;
        let asking = self.sessions.get_mut(&link).and_then(|session| session.asking.as_mut());
        let Some(asking) = asking.filter(|asking| asking.request == request) else {
            // Not taken, so that whoever answers what we have given up goes no further.
            turn.totals.parts_unasked += 1;
            return Came::Unasked;
        };
        turn.totals.catch_up_slots_received += slots as u64;
        let came = if asking.take(index, slots, turn.now, self.open) {
            Came::InTurn
        } else {
            Came::OutOfTurn
        };
        turn.frame_after_sync(vec![link], &Message::ChunkTaken { request, index });
        came
    }

    /// Whether changes of an origin that came in a part may be taken, and whether they may be
    /// claimed: nobody brings what was not asked for.
    /// Nor what a writer whose link stands cannot have made.
    pub(crate) fn may_take(&self, link: LinkId, came: Came, delta: &Delta<'_>) -> Option<bool> {
        let asking = self.sessions.get(&link)?.asking.as_ref()?;
        let is_asked = came != Came::Unasked && asking.is_for(delta.origin);
        let word = self.writers.get(&delta.origin).copied();
        let is_taken = is_asked && exchange::is_possible(delta.upto, word);
        is_taken.then(|| came == Came::InTurn && asking.has_all_of(delta.origin))
    }

    /// Whether an origin is that of a link's peer.
    pub(crate) fn is_writer(&self, origin: OriginId) -> bool {
        self.writers.contains_key(&origin)
    }

    /// There was no room for some changes of an origin that were asked for.
    pub(crate) fn lack_room(&mut self, link: LinkId, origin: OriginId, now: Time) {
        self.pauses.begin(now, origin);
        let asking = self.sessions.get_mut(&link).and_then(|session| session.asking.as_mut());
        if let Some(asking) = asking {
            asking.lack_room(origin);
        }
    }

    /// What a part held has been taken.
    pub(crate) fn part_over(&mut self, link: LinkId, came: Came, last: bool, turn: &mut Turn<'_>) {
        if came == Came::Unasked || came == Came::InTurn && !last {
            return;
        }
        let Some(asking) = self.end_pull(link) else { return };
        if came == Came::InTurn
            && let Some(session) = self.sessions.get_mut(&link)
        {
            let (slots, took) = (asking.slots, turn.now.since(asking.began));
            let event = Event::CaughtUp { peer: session.peer, slots, took };
            turn.event(event);
            asking.complete().for_each(|origin| self.pauses.end(origin));
            // What was withheld from us has come this way: the peer need not wait for our next
            // digest to know it.
            session.owes_confirm = true;
        }
        self.release(link, turn);
    }
}

/// Whether all of a closed origin is here, or in a settlement that is.
fn is_here(prefix: &Prefix, counters: &Counters) -> bool {
    counters.known(prefix.origin).version >= prefix.version || counters.is_untaken(prefix.origin)
}

#[cfg(test)]
mod tests;
