//! What all connections of this front end share, and what commands tell of it or change in it.

use std::sync::{Arc, Mutex, PoisonError};

use super::clients::Clients;
use super::settings::Settings;
use super::slow::Slow;
use super::traffic::{Totals, Traffic};

/// See the file.
#[derive(Debug)]
pub(super) struct State {
    /// The port that is listened on.
    pub(super) port: u16,
    pub(super) connections_max: usize,
    pub(super) traffic: Arc<Traffic>,
    pub(super) settings: Settings,
    pub(super) clients: Clients,
    pub(super) slow: Slow,
    /// What had been counted at the last `CONFIG RESETSTAT`. Metrics go on: they never go back.
    forgotten: Mutex<Totals>,
}

impl State {
    pub(super) fn new(traffic: Arc<Traffic>, port: u16, connections_max: usize) -> Self {
        State {
            port,
            connections_max,
            traffic,
            settings: Settings::default(),
            clients: Clients::default(),
            slow: Slow::default(),
            forgotten: Mutex::default(),
        }
    }

    /// What was counted since the start, or since the counts were reset.
    pub(super) fn totals(&self) -> Totals {
        let forgotten = *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        self.traffic.totals().since(forgotten)
    }

    /// Counts anew from now on.
    pub(super) fn reset_totals(&self) {
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner) = self.traffic.totals();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_begins_to_count_anew_and_takes_nothing_from_the_metrics() {
        let state = State::new(Arc::new(Traffic::default()), 1, 1);
        state.traffic.accepted.add(3);
        state.reset_totals();
        state.traffic.accepted.add(2);
        state.traffic.refused.add(1);
        assert_eq!(state.totals(), Totals { accepted: 2, refused: 1, commands: 0 });
        assert_eq!(state.traffic.accepted.get(), 5);
    }
}
