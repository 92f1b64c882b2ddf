//! What foca says of what it was asked to do.
//!
//! Most of its errors are caused by the sender of a message, and cost nothing. What is left is a
//! bug, here or in foca, after which its state may not be what it says: a node that no longer
//! probes, say. Such an error must not go unseen: it is counted, and reported at a rate.

use foca::Error;

use crate::event::Event;
use crate::limit::RateLimit;
use crate::time::Time;
use crate::turn::Turn;

/// Faults that are reported in a second.
const FAULTS_PER_SECOND: u32 = 1;

/// Faults that have not been counted and reported yet.
#[derive(Debug)]
pub(super) struct Faults {
    count: u64,
    /// What was being done when the first of them happened, and what foca says of it.
    first: Option<(&'static str, String)>,
    events: RateLimit,
}

impl Faults {
    pub(super) fn new(now: Time) -> Self {
        let events = RateLimit::new(FAULTS_PER_SECOND, FAULTS_PER_SECOND, now);
        Faults { count: 0, first: None, events }
    }

    /// Looks at the result of something that only a fault lets fail.
    pub(super) fn check(&mut self, doing: &'static str, result: Result<(), Error>) {
        if let Err(error) = result {
            self.count += 1;
            self.first.get_or_insert_with(|| (doing, error.to_string()));
        }
    }

    /// Looks at the result of handling a message: whether it was taken.
    pub(super) fn is_taken(&mut self, result: Result<(), Error>) -> bool {
        match result {
            Ok(()) => true,
            Err(
                // The sender's: a packet cut short, too long, from our own id or about it, or with
                // what only another protocol's packets hold. None of them changes foca's state but
                // for what the packet said before it.
                Error::DataTooBig
                | Error::Decode(_)
                | Error::MalformedPacket
                | Error::CustomBroadcast(_)
                | Error::DataFromOurselves
                | Error::IndirectForOurselves,
            ) => false,
            fault => {
                self.check("handling a message", fault);
                false
            }
        }
    }

    pub(super) fn report(&mut self, turn: &mut Turn<'_>) {
        turn.totals.swim_faults += std::mem::take(&mut self.count);
        if let Some((doing, reason)) = self.first.take()
            && self.events.allow(turn.now)
        {
            turn.event(Event::MembershipFault { doing, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Driver, MS, events};
    use super::*;

    #[test]
    fn a_fault_is_counted_and_reported_once_a_second() {
        let (mut faults, mut driver) = (Faults::new(Time::ZERO), Driver::default());
        let mut reported = Vec::new();
        for ms in [0, 1, 999, 1000] {
            driver.now = Time::ZERO + ms * MS;
            faults.check("announcing", Ok(()));
            faults.check("announcing", Err(Error::NotUndead));
            faults.check("leaving", Err(Error::NotUndead));
            let said = events(driver.turn(|turn| faults.report(turn)).1);
            let is_first = |event: &Event| matches!(event, Event::MembershipFault { doing, .. } if *doing == "announcing");
            assert!(said.iter().all(is_first), "{said:?}");
            reported.extend(said.iter().map(|_| ms));
        }
        assert_eq!((driver.totals.swim_faults, reported), (8, vec![0, 1000]));
    }

    #[test]
    fn what_the_sender_of_a_message_did_wrong_is_no_fault() {
        let (mut faults, mut driver) = (Faults::new(Time::ZERO), Driver::default());
        assert!(faults.is_taken(Ok(())));
        assert!(!faults.is_taken(Err(Error::DataFromOurselves)));
        driver.turn(|turn| faults.report(turn));
        assert_eq!(driver.totals.swim_faults, 0);
        assert!(!faults.is_taken(Err(Error::NotUndead)));
        driver.turn(|turn| faults.report(turn));
        assert_eq!(driver.totals.swim_faults, 1);
    }
}
