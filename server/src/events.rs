//! What the node tells of, as log lines: one line an event, and never a flood.
//!
//! Lines are rationed by kind, and what was left out is counted and said once there is room.
//! Strangers can cause some kinds, as by opening links that they never prove; of those a handful
//! says as much as a million. Members cause the others, and a cluster that restarts as a whole may
//! say so peer by peer. Rejected: one ration for all kinds, in which an attack would hide the one
//! line that matters.
//!
//! What is logged is also told to those who watch.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use quipu_core::event::Event;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::watch::Line;

/// Lines of one kind that strangers can cause: there are three such kinds, so that under attack some
/// six lines a second are logged at most.
const STRANGERS: Ration = Ration { burst: 3, refill: Duration::from_secs(1) };

/// Lines of one kind that members cause.
const MEMBERS: Ration = Ration { burst: 64, refill: Duration::from_secs(1) };

/// How often it is said that lines were left out.
const SUMMARY_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Ration {
    burst: u32,
    /// The time after which one more may be used.
    refill: Duration,
}

/// A bucket of tokens that refills.
#[derive(Debug)]
struct Bucket {
    ration: Ration,
    left: u32,
    refilled: Instant,
}

impl Bucket {
    fn new(ration: Ration, now: Instant) -> Self {
        Bucket { ration, left: ration.burst, refilled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.refilled);
        let earned = since.as_nanos() / self.ration.refill.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(self.ration.burst);
        self.refilled += self.ration.refill.saturating_mul(earned);
        let has_one = self.left > 0;
        self.left -= u32::from(has_one);
        has_one
    }
}

/// One kind of event. As many as [`Event`] has variants, and one more.
#[derive(Debug)]
struct Kind {
    name: (Discriminant<Event>, bool),
    bucket: Bucket,
    /// How many were left out since the last summary, and the first of them.
    left_out: u64,
    example: String,
}

/// The log of events.
#[derive(Debug)]
pub(crate) struct Events {
    kinds: Vec<Kind>,
    summarised: Instant,
    lines: mpsc::Sender<Line>,
}

impl Events {
    pub(crate) fn new(now: Instant, lines: mpsc::Sender<Line>) -> Self {
        Events { kinds: Vec::new(), summarised: now, lines }
    }

    /// Logs an event, or counts it among those left out.
    pub(crate) fn log(&mut self, event: &Event, now: Instant) {
        if !self.admit(event, now) {
            return;
        }
        let line = Line { text: event.to_string(), is_warning: event.is_warning() };
        if line.is_warning {
            tracing::warn!("{event}");
        } else {
            tracing::info!("{event}");
        }
        // The driver waits for no watcher: what does not fit is in the log all the same.
        let _ = self.lines.try_send(line);
    }

    /// Says what was left out, now and then. To be called as time passes.
    pub(crate) fn summarise(&mut self, now: Instant) {
        if now.saturating_duration_since(self.summarised) < SUMMARY_EVERY {
            return;
        }
        self.summarised = now;
        for kind in self.kinds.iter_mut().filter(|kind| kind.left_out > 0) {
            tracing::warn!(
                "{} more lines like this one were left out: {}",
                kind.left_out,
                kind.example
            );
            kind.left_out = 0;
        }
    }

    fn admit(&mut self, event: &Event, now: Instant) -> bool {
        let is_strangers = is_strangers(event);
        let name = (discriminant(event), is_strangers);
        let place = self.kinds.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
            let bucket = Bucket::new(if is_strangers { STRANGERS } else { MEMBERS }, now);
            self.kinds.push(Kind { name, bucket, left_out: 0, example: String::new() });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[place];
        let is_admitted = kind.bucket.take(now);
        if !is_admitted {
            if kind.left_out == 0 {
                kind.example = event.to_string();
            }
            kind.left_out += 1;
        }
        is_admitted
    }
}

/// Whether a stranger can cause this: a node of no cluster, or of another one.
fn is_strangers(event: &Event) -> bool {
    matches!(
        event,
        Event::Stranger { .. } | Event::LinkDown { peer: None, .. } | Event::PeerJoining(_)
    )
}

#[cfg(test)]
mod tests {
    use quipu_core::event::LinkEnd;
    use quipu_core::identity::NodeId;

    use super::*;

    fn link_down(peer: Option<NodeId>) -> Event {
        Event::LinkDown { peer, reason: LinkEnd::Closed }
    }

    fn events(now: Instant) -> Events {
        Events::new(now, mpsc::channel(1).0)
    }

    #[test]
    fn a_flood_by_strangers_is_logged_once_a_second_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut events = events(start);
        let seconds = 60;
        let logged = (0..seconds * 1000)
            .filter(|ms| events.admit(&link_down(None), start + Duration::from_millis(*ms)))
            .count() as u64;
        assert!(logged <= u64::from(STRANGERS.burst) + seconds, "{logged}");
        assert!(logged >= seconds, "{logged}");
        assert_eq!(events.kinds[0].left_out, seconds * 1000 - logged);
    }

    #[test]
    fn a_flood_by_strangers_hides_nothing_that_a_member_causes() {
        let start = Instant::now();
        let mut events = events(start);
        while events.admit(&link_down(None), start) {}
        for node in 0..10 {
            assert!(events.admit(&link_down(Some(NodeId(node))), start));
        }
    }

    #[test]
    fn what_was_left_out_is_said_once() {
        let start = Instant::now();
        let mut events = events(start);
        while events.admit(&link_down(None), start) {}
        events.summarise(start + SUMMARY_EVERY / 2);
        assert_eq!(events.kinds[0].left_out, 1, "not yet");
        events.summarise(start + SUMMARY_EVERY);
        assert_eq!(events.kinds[0].left_out, 0);
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(MEMBERS, start);
        let later = start + Duration::from_secs(3600);
        let used = std::iter::from_fn(|| bucket.take(later).then_some(())).count();
        assert_eq!(used, MEMBERS.burst as usize);
    }
}
