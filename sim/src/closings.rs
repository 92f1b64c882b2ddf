//! At which version each origin is closed, as far as any node has written it down.
//!
//! A process may close an origin and end before that is synced. Then no peer was told of it (rule
//! `grant-closes`: a vote is in the journal before it leaves), and the next start on the same disk closes
//! the origin at whatever version it finds. What was synced, or closed by a process that still runs, is
//! closed for good.

use std::collections::{BTreeMap, BTreeSet};

use quipu_core::identity::{OriginId, Version};
use quipu_core::settlement::Prefix;

use crate::host::HostId;
use crate::settlements::Fault;

/// See the file.
#[derive(Debug, Default)]
pub(crate) struct Closings {
    closed: BTreeMap<OriginId, Version>,
    /// What was closed since this was asked for last.
    news: Vec<OriginId>,
    /// Closed in batches that are not known to be safe, and where.
    unsynced: BTreeMap<OriginId, HostId>,
    /// The same of processes that have ended.
    untold: BTreeSet<OriginId>,
}

impl Closings {
    /// At which version an origin is closed.
    pub(crate) fn version(&self, origin: OriginId) -> Option<Version> {
        self.closed.get(&origin).copied()
    }

    /// Takes down that an origin is closed; tells whether it was closed otherwise before, and that is lost.
    ///
    /// # Errors
    /// If it was closed otherwise before, and that is not lost.
    pub(crate) fn close(&mut self, prefix: &Prefix) -> Result<bool, Fault> {
        let Prefix { origin, version, .. } = *prefix;
        // What has changed nothing is closed without a word.
        if version == 0 {
            return Ok(false);
        }
        let one = self.closed.get(&origin).copied();
        let is_lost = self.untold.remove(&origin);
        match one {
            Some(one) if one == version => return Ok(false),
            Some(one) if !is_lost => {
                return Err(Fault::ClosedTwice { origin, one, other: version });
            }
            Some(_) | None => {}
        }
        self.closed.insert(origin, version);
        self.news.push(origin);
        Ok(one.is_some())
    }

    /// What a machine's process has closed in the batch that it ends.
    pub(crate) fn take_news(&mut self, host: HostId) -> Vec<OriginId> {
        let news = std::mem::take(&mut self.news);
        self.unsynced.extend(news.iter().map(|origin| (*origin, host)));
        news
    }

    /// A batch is safe in which these were closed.
    pub(crate) fn safe(&mut self, closed: &[OriginId]) {
        for origin in closed {
            self.unsynced.remove(origin);
        }
    }

    /// A machine's process has ended.
    pub(crate) fn ended(&mut self, host: HostId) {
        let lost = self.unsynced.iter().filter(|(_, at)| **at == host);
        self.untold.extend(lost.map(|(origin, _)| *origin));
        self.unsynced.retain(|_, at| *at != host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: OriginId = OriginId(7);

    fn at(version: Version) -> Prefix {
        Prefix { origin: ORIGIN, version, fingerprint: 0 }
    }

    fn closed_by(host: HostId) -> (Closings, Vec<OriginId>) {
        let mut closings = Closings::default();
        assert_eq!(closings.close(&at(13)), Ok(false));
        let news = closings.take_news(host);
        (closings, news)
    }

    #[test]
    fn what_was_closed_and_lost_with_its_process_binds_nobody() {
        let (mut closings, _) = closed_by(1);
        closings.ended(1);
        assert_eq!(closings.close(&at(12)), Ok(true));
        assert_eq!(closings.version(ORIGIN), Some(12));
    }

    #[test]
    fn what_was_synced_or_is_of_a_process_that_runs_is_closed_for_good() {
        let twice = Err(Fault::ClosedTwice { origin: ORIGIN, one: 13, other: 12 });
        let (mut closings, news) = closed_by(1);
        closings.safe(&news);
        closings.ended(1);
        assert_eq!(closings.close(&at(12)), twice);
        let (mut closings, _) = closed_by(1);
        closings.ended(2);
        assert_eq!(closings.close(&at(12)), twice);
    }
}
