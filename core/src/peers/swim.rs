//! SWIM by the crate foca: its timers, its packets, and what it finds out.
//!
//! Failure detection and its gossip are SWIM (Das, Gupta, Motivala: "SWIM: Scalable
//! Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002). foca says what
//! it wants done to a runtime; here that becomes timers, datagrams and [`Finding`]s.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, Member, OwnedNotification, PostcardCodec, State, Timer};
use rand_chacha::ChaCha8Rng;

use super::faults::Faults;
use crate::chance;
use crate::effect::Destination;
use crate::identity::{Identity, NodeId};
use crate::time::Time;
use crate::turn::Turn;
use crate::wire::datagram::{DATAGRAM_BYTES_MAX, Datagram, ENVELOPE_BYTES, Envelope};

fn config() -> foca::Config {
    // A crash is seen by its first failed probe, at most two periods and a bit later at three
    // nodes, and declared when the suspicion ends: some 4 s. (foca's own LAN settings: 6 to 12 s.)
    let one = NonZeroUsize::MIN;
    let three = one.saturating_add(2);
    foca::Config {
        probe_period: Duration::from_millis(700),
        probe_rtt: Duration::from_millis(250),
        num_indirect_probes: three,
        max_transmissions: NonZeroU8::MIN.saturating_add(9),
        suspect_to_down_after: Duration::from_secs(2),
        // Never forgotten by time; `forget_down` bounds their number.
        remove_down_after: None,
        max_packet_size: one.saturating_add(DATAGRAM_BYTES_MAX - ENVELOPE_BYTES - 8 - 1),
        notify_down_members: true,
        periodic_announce: Some(foca::PeriodicParams {
            frequency: Duration::from_secs(5),
            num_members: one,
        }),
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(foca::PeriodicParams {
            frequency: Duration::from_millis(200),
            num_members: three,
        }),
    }
}

type Detector = Foca<Identity, PostcardCodec, ChaCha8Rng, foca::NoCustomBroadcast>;

/// What SWIM finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A member answers.
    Up(Identity),
    /// A member does not, or has left.
    Down(Identity),
    /// A newer incarnation takes the place of the one that was known.
    Renamed(Identity),
    /// The other members hold this node for down.
    WeAreDown,
}

/// This node's part in the membership protocol.
pub(super) struct Swim {
    foca: Detector,
    runtime: AccumulatingRuntime<Identity>,
    /// Each with a number, so that those of one time stay in their order.
    timers: BTreeMap<(Time, u64), Timer<Identity>>,
    timers_ever: u64,
    envelope: Envelope,
    faults: Faults,
    /// That of the next [`Swim::start_over`].
    next_chance: ChaCha8Rng,
}

impl std::fmt::Debug for Swim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Swim").field("members", &self.members()).finish_non_exhaustive()
    }
}

impl Swim {
    pub(super) fn new(me: &Identity, envelope: Envelope, chance: ChaCha8Rng, now: Time) -> Self {
        Swim {
            next_chance: chance::next_stream(&chance),
            foca: detector(me, chance),
            runtime: AccumulatingRuntime::new(),
            timers: BTreeMap::new(),
            timers_ever: 0,
            envelope,
            faults: Faults::new(now),
        }
    }

    /// Starts over as another node that knows no members. foca's own change of identity would
    /// declare the former one down, under which another process may live.
    pub(super) fn start_over(&mut self, me: &Identity) {
        self.foca = detector(me, self.next_chance.clone());
        self.next_chance = chance::next_stream(&self.next_chance);
        self.timers.clear();
    }

    /// When [`Swim::handle_due_timer`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Handles the next timer; tells whether one was due.
    pub(super) fn handle_due_timer(&mut self, now: Time) -> bool {
        let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) else {
            return false;
        };
        let timer = entry.remove();
        // A timer that is no longer wanted is no error.
        let done = self.foca.handle_timer(timer, &mut self.runtime);
        self.faults.check("handling a timer", done);
        true
    }

    /// A packet has come; tells whether foca took it.
    pub(super) fn hears(&mut self, packet: &[u8]) -> bool {
        let done = self.foca.handle_data(packet, &mut self.runtime);
        self.faults.is_taken(done)
    }

    /// Says to a node that we are there.
    pub(super) fn announce(&mut self, to: Identity) {
        let done = self.foca.announce(to, &mut self.runtime);
        self.faults.check("announcing", done);
    }

    /// The sender may be down to us because of a newer incarnation of its id, lived elsewhere: a
    /// copied disk's, that has taken another id since. It may have been our own life. foca answers the
    /// sender that it is down, but not which boot it has to beat; an announcement to that life, sent
    /// where the sender is, does.
    pub(super) fn announce_newer_incarnation(&mut self, sender: &Identity) {
        let is_newer = |id: &&Identity| id.node == sender.node && id.order() > sender.order();
        let newer = self.foca.iter_membership_state().map(Member::id).find(is_newer).cloned();
        if let Some(newer) = newer {
            self.announce(Identity { address: sender.address.clone(), ..newer });
        }
    }

    pub(super) fn declare_down(&mut self, identity: Identity) {
        let down = std::iter::once(Member::down(identity));
        let done = self.foca.apply_many(down, true, &mut self.runtime);
        self.faults.check("declaring a member down", done);
    }

    /// Goes on under a newer identity of this node.
    pub(super) fn come_back_as(&mut self, me: &Identity) {
        let done = self.foca.change_identity(me.clone(), &mut self.runtime);
        self.faults.check("changing our identity", done);
        // foca is not connected until a member writes to the new identity, and would probe none
        // until then; an empty update makes it look at the members that it has.
        let done = self.foca.apply_many(std::iter::empty(), false, &mut self.runtime);
        self.faults.check("looking at the members", done);
    }

    /// Says goodbye to the members.
    pub(super) fn leave(&mut self) {
        let done = self.foca.leave_cluster(&mut self.runtime);
        self.faults.check("leaving", done);
    }

    /// Carries out what foca wants done, up to the next thing that it has found out.
    pub(super) fn next_finding(&mut self, turn: &mut Turn<'_>) -> Option<Finding> {
        loop {
            while let Some((after, timer)) = self.runtime.to_schedule() {
                self.timers_ever += 1;
                self.timers.insert((turn.now + after, self.timers_ever), timer);
            }
            while let Some((to, packet)) = self.runtime.to_send() {
                turn.totals.swim_sent += 1;
                let bytes = self.envelope.seal(&Datagram::Swim(&packet));
                turn.datagram(Destination::Address(to.address), bytes);
            }
            match self.runtime.to_notify() {
                Some(OwnedNotification::MemberUp(identity)) => return Some(Finding::Up(identity)),
                Some(OwnedNotification::MemberDown(identity)) => {
                    return Some(Finding::Down(identity));
                }
                Some(OwnedNotification::Rename(_, identity)) => {
                    return Some(Finding::Renamed(identity));
                }
                Some(OwnedNotification::Defunct) => return Some(Finding::WeAreDown),
                Some(
                    OwnedNotification::Active
                    | OwnedNotification::Idle
                    | OwnedNotification::Rejoin(_),
                ) => {}
                None if self.runtime.backlog() == 0 => return None,
                None => {}
            }
        }
    }

    /// How many members are up, as far as SWIM knows.
    pub(super) fn members(&self) -> usize {
        self.foca.num_members()
    }

    /// Members that failed to answer and have not been declared down yet.
    pub(super) fn suspects(&self) -> Vec<NodeId> {
        let members = self.foca.iter_members().filter(|member| member.state() == State::Suspect);
        members.map(|member| member.id().node).collect()
    }

    /// Forgets members that are down where there are more than `down_max`, but none that `is_known`.
    pub(super) fn forget_down(&mut self, down_max: usize, is_known: impl Fn(NodeId) -> bool) {
        let is_down = |member: &&Member<Identity>| member.state() == State::Down;
        let down = self.foca.iter_membership_state().filter(is_down).count();
        if down <= down_max {
            return;
        }
        let ids = self.foca.iter_membership_state().filter(is_down).map(Member::id);
        let unknown: Vec<Identity> =
            ids.filter(|id| !is_known(id.node)).take(down - down_max).cloned().collect();
        for identity in unknown {
            let done = self.foca.handle_timer(Timer::RemoveDown(identity), &mut self.runtime);
            self.faults.check("forgetting a member", done);
        }
    }

    /// Reports what foca could not do.
    pub(super) fn report_faults(&mut self, turn: &mut Turn<'_>) {
        self.faults.report(turn);
    }

    /// Members whatever their state.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.foca.iter_membership_state().len()
    }
}

fn detector(me: &Identity, chance: ChaCha8Rng) -> Detector {
    Foca::new(me.clone(), config(), chance, PostcardCodec)
}

#[cfg(test)]
mod tests {
    use foca::Message;
    use rand_core::SeedableRng;

    use super::super::tests::{Driver, MS, identity, packet, sent};
    use super::*;

    fn swim() -> Swim {
        let chance = ChaCha8Rng::seed_from_u64(1);
        Swim::new(&identity(0), Envelope::new("c", None), chance, Time::ZERO)
    }

    fn hears(swim: &mut Swim, from: u64, updates: &[Member<Identity>]) -> Vec<Finding> {
        let packet = packet(&identity(from), &identity(0), Message::Gossip, updates);
        assert!(swim.hears(&packet));
        findings(swim)
    }

    fn findings(swim: &mut Swim) -> Vec<Finding> {
        Driver::default().turn(|turn| std::iter::from_fn(|| swim.next_finding(turn)).collect()).0
    }

    #[test]
    fn what_the_members_say_is_found_out_in_its_order() {
        let mut swim = swim();
        let (one, two) = (identity(1), identity(2));
        let up = [Member::alive(two.clone())];
        assert_eq!(hears(&mut swim, 1, &up), [Finding::Up(one), Finding::Up(two.clone())]);
        let newer = Identity { boot: two.boot + 1, ..two.clone() };
        let update = [Member::alive(newer.clone())];
        assert_eq!(hears(&mut swim, 1, &update), [Finding::Renamed(newer.clone())]);
        assert_eq!(swim.members(), 2);
        let suspect = [Member::new(newer.clone(), 0, State::Suspect)];
        assert_eq!(hears(&mut swim, 1, &suspect), []);
        assert_eq!(swim.suspects(), [NodeId(2)]);
        swim.declare_down(newer.clone());
        assert_eq!(findings(&mut swim), [Finding::Down(newer)]);
        assert_eq!(hears(&mut swim, 1, &[Member::down(identity(0))]), [Finding::WeAreDown]);
    }

    #[test]
    fn what_foca_sends_is_sealed_and_counted() {
        let (mut swim, mut driver) = (swim(), Driver::default());
        swim.announce(identity(2));
        let (found, effects) = driver.turn(|turn| swim.next_finding(turn));
        assert_eq!(found, None);
        assert_eq!(sent(&effects), [(Destination::Address(identity(2).address), false)]);
        assert_eq!(driver.totals.swim_sent, 1);
    }

    #[test]
    fn timers_are_handled_one_by_one_when_they_are_due_and_go_with_the_former_node() {
        let mut swim = swim();
        hears(&mut swim, 1, &[]);
        let due = swim.next_deadline().unwrap();
        assert!(!swim.handle_due_timer(Time::ZERO));
        assert!(swim.handle_due_timer(due));
        assert!(!swim.timers.is_empty(), "foca sets others");
        swim.start_over(&identity(9));
        assert_eq!((swim.next_deadline(), swim.members()), (None, 0));
    }

    #[test]
    fn a_timer_that_foca_cannot_have_set_is_a_fault() {
        let (mut swim, mut driver) = (swim(), Driver::default());
        // A probe is due though there is no member.
        swim.timers.insert((Time::ZERO, 0), Timer::ProbeRandomMember(0));
        assert!(swim.handle_due_timer(Time::ZERO + MS));
        driver.turn(|turn| swim.report_faults(turn));
        assert_eq!(driver.totals.swim_faults, 1);
    }

    #[test]
    fn of_members_that_are_down_those_that_are_known_are_kept() {
        let mut swim = swim();
        let down: Vec<_> = (2..12).map(|n| Member::down(identity(n))).collect();
        hears(&mut swim, 1, &down);
        swim.forget_down(10, |_| false);
        assert_eq!(swim.remembered(), 11);
        swim.forget_down(4, |node| node.0 < 8);
        assert_eq!(swim.remembered(), 1 + 6, "2 to 7, and 1, which is up");
    }

    #[test]
    fn a_packet_fills_a_datagram_and_no_more() {
        let secret = crate::wire::auth::Secret::new(b"the knots are tied at noon").ok();
        let packet = vec![0; config().max_packet_size.get()];
        let bytes = Envelope::new("c", secret).seal(&Datagram::Swim(&packet)).len();
        assert!((DATAGRAM_BYTES_MAX - 8..=DATAGRAM_BYTES_MAX).contains(&bytes), "{bytes}");
    }
}
