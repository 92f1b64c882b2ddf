//! The Discovery Service: when to call, and what a heard call means.
//!
//! A node calls quickly after its start, so that a cluster forms within a second, and then every
//! few seconds for those who could not hear it. A beacon is a rumour and no more: it names an
//! identity to which `peers` then announces itself. What a stranger can make us do with forged
//! beacons is bounded by a rate, and an answer is never larger than its call.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::identity::{Identity, OriginId};
use crate::limit::RateLimit;
use crate::time::Time;
use crate::wire::datagram::{Beacon, BeaconKind};

/// When, after the start, the first calls go out. Datagrams get lost, and nodes that start
/// together are not all listening at once.
const FIRST_CALLS_MS: [u64; 6] = [0, 150, 400, 800, 1300, 2000];

/// The time between calls after that.
const CALL_EVERY: Duration = Duration::from_millis(2500);

/// Up to how much of it is added by chance, so that nodes do not call in step.
const CALL_JITTER_MS: u32 = 1000;

/// Of how many origins the last sequence number is remembered, in order to drop replays. One that
/// was forgotten is answered again; that is all.
const HEARD_MAX: usize = 4096;

/// How many beacons of unknown origins are looked at in a second. A real network of hundreds of
/// nodes that all start at once needs no more; beacons are repeated.
const STRANGERS_PER_SECOND: u32 = 50;

/// Beacons are numbered from a number of 48 bits of chance on: no stranger guesses it, and it grows for
/// ever.
const SEQUENCE_SHIFT: u32 = 16;

/// What a heard beacon calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Our own echo, a replay, or a call where discovery is off.
    Nothing,
    /// More than the rate of strangers that is looked at.
    Limited,
    /// Someone is there; answer if a beacon is given.
    Rumour {
        /// To be sent back to the socket from which the call came.
        answer: Option<Beacon>,
    },
    /// The answer to the beacon with this sequence number.
    Answer(u64),
}

/// The state of calling and hearing.
#[derive(Debug)]
pub struct Discovery {
    enabled: bool,
    started: Time,
    calls: usize,
    next_call: Time,
    sequence: u64,
    heard: BTreeMap<OriginId, u64>,
    heard_order: VecDeque<OriginId>,
    strangers: RateLimit,
    chance: ChaCha8Rng,
}

impl Discovery {
    /// Discovery that starts calling now, if it is enabled at all. An answer is known by the number
    /// of what it answers, so the number before the first one comes from chance: no stranger can
    /// then guess one, nor have recorded an answer to it.
    pub fn new(enabled: bool, mut chance: ChaCha8Rng, now: Time) -> Self {
        Discovery {
            enabled,
            started: now,
            calls: 0,
            next_call: now,
            sequence: chance.next_u64() >> SEQUENCE_SHIFT,
            heard: BTreeMap::new(),
            heard_order: VecDeque::new(),
            strangers: RateLimit::new(STRANGERS_PER_SECOND, STRANGERS_PER_SECOND, now),
            chance,
        }
    }

    /// When [`Discovery::due`] has something to say.
    pub fn next_deadline(&self) -> Option<Time> {
        self.enabled.then_some(self.next_call)
    }

    /// The call to be broadcast now, if it is time.
    pub fn due(&mut self, now: Time, me: &Identity) -> Option<Beacon> {
        if !self.enabled || now < self.next_call {
            return None;
        }
        self.calls += 1;
        self.next_call = match FIRST_CALLS_MS.get(self.calls) {
            Some(&ms) => (self.started + Duration::from_millis(ms)).max(now),
            None => {
                let jitter = u64::from(self.chance.next_u32() % CALL_JITTER_MS);
                now + CALL_EVERY + Duration::from_millis(jitter)
            }
        };
        Some(self.beacon(me, BeaconKind::Call))
    }

    /// A beacon for one address; its answer names this one's sequence number.
    pub fn ask(&mut self, me: &Identity) -> Beacon {
        self.beacon(me, BeaconKind::Ask)
    }

    /// What a beacon means that came from `from`.
    pub fn hear(&mut self, now: Time, from: SocketAddr, beacon: &Beacon, me: &Identity) -> Heard {
        let origin = beacon.identity.origin;
        if origin == me.origin || (beacon.kind == BeaconKind::Call && !self.enabled) {
            return Heard::Nothing;
        }
        let last = self.heard.get(&origin).copied();
        if last.is_some_and(|last| beacon.sequence <= last) {
            return Heard::Nothing;
        }
        if last.is_none() && !self.strangers.allow(now) {
            return Heard::Limited;
        }
        self.remember(origin, beacon.sequence);
        match beacon.kind {
            BeaconKind::Answer(sequence) => Heard::Answer(sequence),
            BeaconKind::Call if last.is_some() => Heard::Rumour { answer: None },
            BeaconKind::Call | BeaconKind::Ask => Heard::Rumour {
                answer: is_from(&beacon.identity, from)
                    .then(|| self.beacon(me, BeaconKind::Answer(beacon.sequence))),
            },
        }
    }

    fn beacon(&mut self, me: &Identity, kind: BeaconKind) -> Beacon {
        self.sequence += 1;
        Beacon { identity: me.clone(), sequence: self.sequence, kind }
    }

    fn remember(&mut self, origin: OriginId, sequence: u64) {
        if self.heard.insert(origin, sequence).is_none() {
            self.heard_order.push_back(origin);
        }
        if self.heard_order.len() > HEARD_MAX
            && let Some(oldest) = self.heard_order.pop_front()
        {
            self.heard.remove(&oldest);
        }
    }
}

/// Whether the caller can be where its datagram came from: the same socket, or, where it goes by a
/// name, the same port. Answering anywhere else would let anyone aim our answers at others.
fn is_from(identity: &Identity, from: SocketAddr) -> bool {
    match identity.address.ip() {
        Some(socket) => socket == from,
        None => identity.address.port() == from.port(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Address, NodeId};
    use rand_core::SeedableRng;

    fn identity(n: u64) -> Identity {
        let address = Address::parse(&format!("10.0.0.{n}:8088"), 1).unwrap();
        Identity { node: NodeId(n), address, epoch: 0, boot: 1, origin: OriginId(n) }
    }

    fn socket(n: u64) -> SocketAddr {
        format!("10.0.0.{n}:8088").parse().unwrap()
    }

    fn pair() -> (Discovery, Discovery) {
        let of = |seed| Discovery::new(true, ChaCha8Rng::seed_from_u64(seed), Time::ZERO);
        (of(1), of(2))
    }

    fn call(from: &mut Discovery, n: u64) -> Beacon {
        let now = from.next_call;
        from.due(now, &identity(n)).unwrap()
    }

    #[test]
    fn some_calls_go_out_in_the_first_two_seconds_and_then_one_every_few_seconds() {
        let (mut one, _) = pair();
        let mut early = 0;
        let mut late = 0;
        for ms in 0..60_000 {
            let now = Time::from_micros(ms * 1000);
            if one.due(now, &identity(1)).is_some() {
                *if ms <= 2000 { &mut early } else { &mut late } += 1;
            }
        }
        assert_eq!(early, FIRST_CALLS_MS.len());
        assert!((15..=24).contains(&late), "{late}");
    }

    #[test]
    fn a_first_call_is_answered_and_a_replay_or_an_echo_is_not_even_heard() {
        let (mut one, mut two) = pair();
        let first = call(&mut one, 1);
        let Heard::Rumour { answer: Some(answer) } =
            two.hear(Time::ZERO, socket(1), &first, &identity(2))
        else {
            panic!("not answered");
        };
        assert_eq!(answer.kind, BeaconKind::Answer(first.sequence));
        assert_eq!(two.hear(Time::ZERO, socket(1), &first, &identity(2)), Heard::Nothing);
        assert_eq!(one.hear(Time::ZERO, socket(1), &first, &identity(1)), Heard::Nothing);
        let second = call(&mut one, 1);
        assert_eq!(
            two.hear(Time::ZERO, socket(1), &second, &identity(2)),
            Heard::Rumour { answer: None }
        );
        assert_eq!(
            one.hear(Time::ZERO, socket(2), &answer, &identity(1)),
            Heard::Answer(first.sequence)
        );
    }

    #[test]
    fn a_caller_that_is_not_where_it_says_gets_no_answer() {
        let (mut one, mut two) = pair();
        let first = call(&mut one, 1);
        assert_eq!(
            two.hear(Time::ZERO, socket(9), &first, &identity(2)),
            Heard::Rumour { answer: None }
        );
    }

    #[test]
    fn a_flood_of_strangers_is_looked_at_only_so_often_and_remembered_in_bounds() {
        let (_, mut two) = pair();
        let mut looked_at = 0;
        for n in 0..100_000 {
            let stranger = Identity { origin: OriginId(n + 10), ..identity(1) };
            let beacon = Beacon { identity: stranger, sequence: 1, kind: BeaconKind::Call };
            let now = Time::from_micros(n * 100);
            if two.hear(now, socket(1), &beacon, &identity(2)) != Heard::Limited {
                looked_at += 1;
            }
        }
        assert!(looked_at <= 11 * STRANGERS_PER_SECOND, "{looked_at} in ten seconds");
        assert!(two.heard.len() <= HEARD_MAX);
    }
}
