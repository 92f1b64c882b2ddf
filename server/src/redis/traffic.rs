//! Connections and commands, counted where they pass. A read counts its commands for itself and
//! adds them up once, since fifty connections would otherwise fight for the same number with every
//! increment.

use super::spec::Class;
use crate::count::Count;

/// Connections and commands since the start.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Connections taken.
    pub(crate) accepted: Count,
    /// Connections that have ended.
    pub(crate) ended: Count,
    /// Connections turned away because there were too many.
    pub(crate) refused: Count,
    /// Times that the system could not hand out a connection, as for want of descriptors.
    pub(crate) accept_errors: Count,
    /// Connections that ended with an error of the network.
    pub(crate) broken: Count,
    /// Connections ended because what they sent was not the protocol.
    pub(crate) protocol_errors: Count,
    /// Connections dropped because they did not read their answers.
    pub(crate) unread: Count,
    commands: [Count; Class::ALL.len()],
}

/// What `INFO` tells of the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) commands: u64,
}

impl Totals {
    /// What came since there were so many.
    pub(super) fn since(self, before: Totals) -> Totals {
        Totals {
            accepted: self.accepted.saturating_sub(before.accepted),
            refused: self.refused.saturating_sub(before.refused),
            commands: self.commands.saturating_sub(before.commands),
        }
    }
}

/// The commands of one read.
#[derive(Debug, Default)]
pub(super) struct Tally([u64; Class::ALL.len()]);

impl Tally {
    pub(super) fn add(&mut self, class: Class) {
        self.0[class as usize] += 1;
    }

    /// Whether there was a command since the last sum that may have changed what others see of this
    /// connection.
    pub(super) fn has_changed_the_connection(&self) -> bool {
        [Class::Connection, Class::Transaction, Class::Subscription]
            .iter()
            .any(|class| self.0[*class as usize] > 0)
    }
}

impl Traffic {
    /// Adds what a read counted, and lets it begin anew.
    pub(super) fn add(&self, tally: &mut Tally) {
        for (total, more) in self.commands.iter().zip(&mut tally.0) {
            if *more > 0 {
                total.add(std::mem::take(more));
            }
        }
    }

    /// What `INFO` tells.
    pub(super) fn totals(&self) -> Totals {
        let commands = self.commands().map(|(_, total)| total).sum();
        Totals { accepted: self.accepted.get(), refused: self.refused.get(), commands }
    }

    /// Commands by class.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Class::ALL.iter().map(|class| class.as_str()).zip(self.commands.iter().map(Count::get))
    }
}
