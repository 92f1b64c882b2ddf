//! What foca says of what it was asked to do.
//!
//! Most of its errors are the sender's of a message, and cost nothing. What is left is a bug, here
//! or in foca, after which its state may not be what it says: a node that no longer probes, say.
//! Such an error must not go unseen, and is counted and told of, at a rate.

use foca::Error;

use super::Peers;
use crate::effect::Effect;
use crate::event::Event;
use crate::status::Totals;
use crate::time::Time;

/// Faults that are told of in a second.
pub(super) const FAULTS_PER_SECOND: u32 = 1;

/// Faults that have not been counted and told of yet.
#[derive(Debug, Default)]
pub(super) struct Faults {
    ever: u64,
    /// What was being done when the first of them happened, and what foca says of it.
    first: Option<(&'static str, String)>,
}

impl Peers {
    /// Looks at the result of something that only a fault lets fail.
    pub(super) fn check(&mut self, doing: &'static str, result: Result<(), Error>) {
        if let Err(error) = result {
            self.faults.ever += 1;
            self.faults.first.get_or_insert_with(|| (doing, error.to_string()));
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

    pub(super) fn tell_faults(&mut self, now: Time, totals: &mut Totals, out: &mut Vec<Effect>) {
        totals.swim_faults += std::mem::take(&mut self.faults.ever);
        if let Some((doing, reason)) = self.faults.first.take()
            && self.fault_events.allow(now)
        {
            out.push(Effect::Event(Event::MembershipFault { doing, reason }));
        }
    }
}

#[cfg(test)]
mod tests {
    use foca::Timer;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::identity::{Address, Identity, NodeId, OriginId};
    use crate::wire::datagram::Envelope;

    #[test]
    fn a_fault_is_counted_and_told_of_once_a_second() {
        let address = Address::parse("10.0.0.1:8088", 1).unwrap();
        let me = Identity { node: NodeId(1), address, epoch: 0, boot: 1, origin: OriginId(1) };
        let (envelope, chance) = (Envelope::new("c", None), ChaCha8Rng::seed_from_u64(1));
        let mut peers = Peers::new(me, envelope, &[], chance, Time::ZERO);
        let (mut totals, mut out) = (Totals::default(), Vec::new());
        // A probe is due though nobody is there: only a bug would set such a timer.
        for n in 0..3 {
            peers.timers.insert((Time::ZERO, n), Timer::ProbeRandomMember(0));
        }
        peers.tick(Time::from_micros(1), &mut totals, &mut out);
        assert_eq!(totals.swim_faults, 3);
        let is_fault = |effect: &&Effect| matches!(effect, Effect::Event(Event::MembershipFault { doing, .. }) if *doing == "handling a timer");
        assert_eq!(out.iter().filter(is_fault).count(), 1);
    }
}
