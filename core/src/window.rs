//! What was pushed on a link and is not confirmed yet.
//!
//! A slow peer is a peer that is behind. Pushes go out as long as what is unconfirmed fits a
//! window; beyond it the link is left alone until all of it is confirmed, and the peer then asks
//! for what it lacks. So memory never grows with a peer's slowness (rule 13). Since a peer confirms
//! what it has *synced* (rule 14), the window's age is the replication lag that /status shows.

use std::collections::VecDeque;
use std::time::Duration;

use crate::identity::Version;
use crate::status::LinkStatus;
use crate::time::Time;

/// Unconfirmed bytes on one link: some ten frames of full size, or a second of small pushes at a
/// gigabit's tenth.
const WINDOW_BYTES_MAX: usize = 8 << 20;

/// Unconfirmed pushes on one link: at one a millisecond, eight seconds of them.
const WINDOW_PUSHES_MAX: usize = 8192;

#[derive(Clone, Copy, Debug)]
struct Pushed {
    upto: Version,
    bytes: usize,
    at: Time,
}

/// The unconfirmed pushes of one link.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pushed: VecDeque<Pushed>,
    bytes: usize,
    is_behind: bool,
    confirmed: Version,
}

impl Window {
    /// Whether another push may be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_behind
    }

    /// Notes a push.
    pub(crate) fn push(&mut self, now: Time, upto: Version, bytes: usize) {
        self.pushed.push_back(Pushed { upto, bytes, at: now });
        self.bytes += bytes;
        self.is_behind |= self.bytes >= WINDOW_BYTES_MAX || self.pushed.len() >= WINDOW_PUSHES_MAX;
    }

    /// Notes that the peer has synced our changes up to `version`, without a gap.
    pub(crate) fn confirm(&mut self, version: Version) {
        self.confirmed = self.confirmed.max(version);
        while let Some(first) = self.pushed.front()
            && first.upto <= self.confirmed
        {
            self.bytes -= first.bytes;
            self.pushed.pop_front();
        }
        if self.pushed.is_empty() {
            self.is_behind = false;
        }
    }

    /// Up to which version of ours the peer has everything synced.
    pub(crate) fn confirmed(&self) -> Version {
        self.confirmed
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
            window.push(Time::from_micros(sent), sent, 1 << 20);
        }
        assert_eq!(sent, 8);
        window.confirm(7);
        assert!(!window.is_open(), "not before everything has drained");
        let status = window.status(Time::from_micros(1008), 9);
        assert_eq!((status.lag_versions, status.unconfirmed_bytes), (2, 1 << 20));
        assert_eq!(status.lag, Duration::from_millis(1));
        window.confirm(8);
        assert!(window.is_open());
        assert_eq!(window.status(Time::ZERO, 8).lag_versions, 0);
    }
}
