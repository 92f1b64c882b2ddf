//! How often operators are warned of what other nodes do.

use std::net::SocketAddr;

use crate::event::Event;
use crate::identity::NodeId;
use crate::limit::RateLimit;
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::error::Foreign;

/// Warnings in a second, and at once: a stranger can cause them a thousand times a second.
const PER_SECOND: u32 = 1;
const STRANGERS_AT_ONCE: u32 = 2;
const FOREIGN_WRITERS_AT_ONCE: u32 = 10;

#[derive(Debug)]
pub(super) struct Warnings {
    strangers: RateLimit,
    foreign_writers: RateLimit,
}

impl Warnings {
    pub(super) fn new(now: Time) -> Self {
        Warnings {
            strangers: RateLimit::new(PER_SECOND, STRANGERS_AT_ONCE, now),
            foreign_writers: RateLimit::new(PER_SECOND, FOREIGN_WRITERS_AT_ONCE, now),
        }
    }

    /// A datagram has come from a node that is none of this cluster's.
    pub(super) fn stranger(&mut self, from: SocketAddr, reason: Foreign, turn: &mut Turn<'_>) {
        if self.strangers.allow(turn.now) {
            turn.event(Event::Stranger { from: from.to_string(), reason });
        }
    }

    /// A peer claims changes of ours that we never made.
    pub(super) fn foreign_writer(&mut self, peer: Option<NodeId>, turn: &mut Turn<'_>) {
        turn.totals.foreign_writes += 1;
        if let Some(peer) = peer
            && self.foreign_writers.allow(turn.now)
        {
            turn.event(Event::ForeignWriter { peer });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Effects;
    use crate::status::Totals;

    #[test]
    fn operators_are_warned_a_few_times_and_all_is_counted() {
        let (mut effects, mut totals) = (Effects::default(), Totals::default());
        let mut turn = effects.turn(Time::ZERO, &mut totals);
        let mut warnings = Warnings::new(Time::ZERO);
        for _ in 0..100 {
            warnings.foreign_writer(Some(NodeId(2)), &mut turn);
            warnings.foreign_writer(None, &mut turn);
            warnings.stranger("10.0.0.2:1".parse().unwrap(), Foreign::Cluster, &mut turn);
        }
        assert_eq!(effects.at_once.len() as u32, STRANGERS_AT_ONCE + FOREIGN_WRITERS_AT_ONCE);
        assert_eq!(totals.foreign_writes, 200);
    }
}
