//! What was pushed on a link and is not confirmed yet.
//!
//! A slow peer is a peer that is behind. Pushes go out as long as what is unconfirmed fits a
//! window; beyond it the link is left alone until all of it is confirmed, and the peer then asks
//! for what it lacks. So memory never grows with a peer's slowness (rule `slow-peer-is-behind`).
//! Since a peer confirms what it has *synced* (rule `confirm-after-sync`), the window's age is the
//! replication lag that /status shows, and the time from a change's acceptance to its confirmation
//! is what the cluster took to agree on it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::identity::Version;
use crate::status::LinkStatus;
use crate::time::Time;

/// Unconfirmed bytes on one link: some ten frames of full size, or a second of small pushes at a
/// gigabit's tenth.
pub(crate) const WINDOW_BYTES_MAX: usize = 8 << 20;

/// Unconfirmed pushes on one link: at one a millisecond, eight seconds of them.
pub(crate) const WINDOW_PUSHES_MAX: usize = 8192;

/// What may be unconfirmed on one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) pushes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { bytes: WINDOW_BYTES_MAX, pushes: WINDOW_PUSHES_MAX }
    }
}

#[derive(Clone, Copy, Debug)]
struct Pushed {
    upto: Version,
    bytes: usize,
    at: Time,
    accepted: Time,
}

/// Pushes that were left out while the peer was behind, as one.
#[derive(Clone, Copy, Debug)]
struct Withheld {
    upto: Version,
    accepted: Time,
}

/// The unconfirmed pushes of one link.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bounds: Bounds,
    pushed: VecDeque<Pushed>,
    bytes: usize,
    is_behind: bool,
    withheld: Option<Withheld>,
    confirmed: Version,
}

impl Window {
    /// The window of a new link to a peer that has confirmed so much before.
    pub(crate) fn after(confirmed: Version, bounds: Bounds) -> Self {
        Window { confirmed, bounds, ..Window::default() }
    }

    /// Whether another push may be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_behind
    }

    /// Notes a push, of which the oldest change was accepted at a time.
    pub(crate) fn push(&mut self, now: Time, accepted: Time, upto: Version, bytes: usize) {
        self.pushed.push_back(Pushed { upto, bytes, at: now, accepted });
        self.bytes += bytes;
        self.is_behind |=
            self.bytes >= self.bounds.bytes || self.pushed.len() >= self.bounds.pushes;
    }

    /// Notes a push that was left out.
    pub(crate) fn withhold(&mut self, accepted: Time, upto: Version) {
        self.withheld.get_or_insert(Withheld { upto, accepted }).upto = upto;
    }

    /// Notes that the peer has synced our changes up to `version`, without a gap, and how long that
    /// took since they were accepted.
    pub(crate) fn confirm(&mut self, now: Time, version: Version, took: &mut Histogram) {
        self.confirmed = self.confirmed.max(version);
        while let Some(first) = self.pushed.front()
            && first.upto <= self.confirmed
        {
            took.note(now.since(first.accepted));
            self.bytes -= first.bytes;
            self.pushed.pop_front();
        }
        if let Some(withheld) = self.withheld.take_if(|left_out| left_out.upto <= self.confirmed) {
            took.note(now.since(withheld.accepted));
        }
        if self.pushed.is_empty() {
            self.is_behind = false;
        }
    }

    /// How far the peer is behind `version`, our last.
    pub(crate) fn status(&self, now: Time, version: Version) -> LinkStatus {
        LinkStatus {
            lag_versions: version.saturating_sub(self.confirmed),
            lag: self.pushed.front().map_or(Duration::ZERO, |first| now.since(first.at)),
            unconfirmed_bytes: self.bytes,
            behind: self.is_behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_confirms_nothing_is_sent_no_more_than_a_window_and_goes_on_when_it_drains() {
        let mut window = Window::default();
        let mut sent = 0;
        while window.is_open() {
            sent += 1;
            window.push(Time::from_micros(sent), Time::ZERO, sent, 1 << 20);
        }
        assert_eq!(sent, 8);
        let mut took = Histogram::default();
        window.confirm(Time::from_micros(1007), 7, &mut took);
        assert!(!window.is_open(), "not before everything has drained");
        let status = window.status(Time::from_micros(1008), 9);
        assert_eq!((status.lag_versions, status.unconfirmed_bytes), (2, 1 << 20));
        assert_eq!(status.lag, Duration::from_millis(1));
        window.confirm(Time::from_micros(1008), 8, &mut took);
        assert!(window.is_open());
        assert_eq!(window.status(Time::ZERO, 8).lag_versions, 0);
    }

    #[test]
    fn a_push_is_timed_once_from_acceptance_to_confirmation_and_what_was_left_out_as_one() {
        let us = Time::from_micros;
        let (mut window, mut took) = (Window::default(), Histogram::default());
        window.push(us(1_000), us(900), 1, 10);
        window.push(us(2_000), us(1_900), 2, 10);
        window.confirm(us(2_400), 1, &mut took);
        window.confirm(us(2_500), 1, &mut took);
        assert_eq!((took.count(), took.sum()), (1, Duration::from_micros(1_500)));
        window.withhold(us(3_000), 3);
        window.withhold(us(4_000), 4);
        window.confirm(us(5_000), 3, &mut took);
        assert_eq!((took.count(), took.sum()), (2, Duration::from_micros(1_500 + 3_100)));
        window.confirm(us(9_000), 4, &mut took);
        window.confirm(us(9_500), 4, &mut took);
        assert_eq!((took.count(), took.sum()), (3, Duration::from_micros(4_600 + 6_000)));
    }
}
