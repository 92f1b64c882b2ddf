//! The nodes that this one has met: which are up, who is where, and how many there may be.
//!
//! Without a secret anyone can say that there are members, and with one a member that has gone wrong
//! can. So what would make one more than [`MEMBERS_MAX`] is taken out before foca sees it, and of
//! those that are down only some are remembered, here as in foca.
//!
//! A message of the membership protocol may be answered with more than it is: up to a whole
//! datagram of gossip, sent to the address that its sender gives. What comes from others than the
//! members that are up is therefore looked at so often a second only, as beacons are.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Event;
use crate::identity::{Address, Identity, NodeId};
use crate::limit::RateLimit;
use crate::query::PeerName;
use crate::time::Time;
use crate::turn::Turn;

/// Members that are up at one time. A full mesh of so many nodes would be out of reason for other
/// causes; the server takes as many links.
pub(super) const MEMBERS_MAX: usize = 1024;

/// Members that are down and remembered; beyond it the one that is down longest is forgotten.
pub(crate) const DOWN_MAX: usize = 256;

/// Messages from others than the members that are up in a second: 140 kB of answers at most. As many
/// nodes can join or come back in a second; what they say is repeated.
const STRANGERS_PER_SECOND: u32 = 100;

/// The time between announcements to a member that is down. A partition may heal after hours and
/// shall be healed within seconds, so this never grows.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// Announcements to down members at one time; the others' turns come later.
const ANNOUNCE_AT_ONCE: usize = 16;

#[derive(Debug)]
struct Member {
    identity: Identity,
    is_up: bool,
    /// When it came up or went down.
    since: Time,
    announced: Time,
    /// Another node answers at its address: there is nothing to announce to.
    is_superseded: bool,
    /// Whether it was reported as suspect, and as nothing else since.
    is_suspect: bool,
}

impl Member {
    /// Whether it answers, and at an address of its own.
    fn is_there(&self) -> bool {
        self.is_up && !self.is_superseded
    }

    /// Takes another identity. What was found out about the address does not go with it to another.
    fn is_now(&mut self, identity: Identity) {
        self.is_superseded &= identity.address == self.identity.address;
        self.identity = identity;
    }
}

/// What an answer from an address settles: of two nodes that live there, the later start does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Whether it is the node that answered.
    pub(super) is_there: bool,
    /// Those that are to be declared down.
    pub(super) down: Vec<Identity>,
}

#[derive(Debug)]
pub(super) struct Members {
    members: BTreeMap<NodeId, Member>,
    next_announcements: Time,
    strangers: RateLimit,
}

impl Members {
    pub(super) fn new(now: Time) -> Self {
        Members {
            members: BTreeMap::new(),
            next_announcements: now,
            strangers: RateLimit::new(STRANGERS_PER_SECOND, STRANGERS_PER_SECOND, now),
        }
    }

    /// An earlier start of this node, which is at `ours`, has met a node. It is down until it
    /// answers, and is announced to at once.
    pub(super) fn recover(&mut self, identity: Identity, ours: &Address, now: Time) {
        let member = Member {
            is_superseded: identity.address == *ours,
            identity,
            is_up: false,
            since: now,
            announced: Time::ZERO,
            is_suspect: false,
        };
        self.members.insert(member.identity.node, member);
    }

    /// Forgets all, and answers who they were.
    pub(super) fn forget_all(&mut self) -> Vec<Identity> {
        std::mem::take(&mut self.members).into_values().map(|member| member.identity).collect()
    }

    pub(super) fn identity(&self, node: NodeId) -> Option<&Identity> {
        self.members.get(&node).map(|member| &member.identity)
    }

    /// All that it has met and not forgotten.
    pub(super) fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.members.values().map(|member| &member.identity)
    }

    /// The members that answer, in the order of their ids.
    pub(super) fn up(&self) -> impl Iterator<Item = &Identity> {
        self.members.values().filter(|member| member.is_up).map(|member| &member.identity)
    }

    pub(super) fn up_member(&self, node: NodeId) -> Option<&Identity> {
        self.members.get(&node).filter(|member| member.is_up).map(|member| &member.identity)
    }

    pub(super) fn is_up(&self, node: NodeId) -> bool {
        self.up_member(node).is_some()
    }

    /// Those at whose addresses no other node answers, each with whether it is up.
    pub(super) fn not_superseded(&self) -> impl Iterator<Item = (&Identity, bool)> {
        let members = self.members.values().filter(|member| !member.is_superseded);
        members.map(|member| (&member.identity, member.is_up))
    }

    /// Those that an operator's name leads to, each with whether it is up. `alias` is the node that
    /// is known under the name.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a PeerName,
        alias: Option<NodeId>,
    ) -> impl Iterator<Item = (&'a Identity, bool)> {
        let is_named = move |member: &&Member| {
            let address = &member.identity.address;
            *address == name.address
                || alias == Some(member.identity.node)
                || address.ip().is_some_and(|socket| name.resolved.contains(&socket))
        };
        self.members.values().filter(is_named).map(|member| (&member.identity, member.is_up))
    }

    /// Whether a member is up at an address, or is the node that answered there last.
    pub(super) fn is_met(&self, address: &Address, answered: Option<NodeId>) -> bool {
        answered.and_then(|node| self.members.get(&node)).is_some_and(Member::is_there)
            || self
                .members
                .values()
                .any(|member| member.is_there() && member.identity.address == *address)
    }

    /// Whether a message from this sender is looked at: from a member that is up whenever it comes,
    /// from others at a rate.
    pub(super) fn may_speak(&mut self, sender: &Identity, now: Time) -> bool {
        self.up_member(sender.node) == Some(sender) || self.strangers.allow(now)
    }

    /// Whether a node may be a member beside the `up` ones that there are. Gossip that names several
    /// at once may go beyond the bound by a datagram's worth of them.
    pub(super) fn has_room_for(&self, node: NodeId, up: usize) -> bool {
        self.is_up(node) || up < MEMBERS_MAX
    }

    /// A node answers: settles whether it or another one lives at its address.
    pub(super) fn comes_up(&mut self, identity: Identity, turn: &mut Turn<'_>) -> Settled {
        let rivals: Vec<NodeId> = self
            .not_superseded()
            .filter(|(rival, _)| rival.address == identity.address && rival.node != identity.node)
            .map(|(rival, _)| rival.node)
            .collect();
        let is_later =
            |rival: &NodeId| self.up_member(*rival).is_some_and(|rival| rival.boot > identity.boot);
        if rivals.iter().any(is_later) {
            self.insert_up(identity.clone(), true, turn.now);
            return Settled { is_there: false, down: vec![identity] };
        }
        let mut down = Vec::new();
        for rival in rivals {
            if let Some(member) = self.members.get_mut(&rival) {
                member.is_superseded = true;
                if member.is_up {
                    turn.event(Event::PeerDown(member.identity.clone()));
                    down.push(member.identity.clone());
                }
            }
        }
        turn.event(Event::PeerUp(identity.clone()));
        self.insert_up(identity, false, turn.now);
        Settled { is_there: true, down }
    }

    fn insert_up(&mut self, identity: Identity, is_superseded: bool, now: Time) {
        let node = identity.node;
        let member = Member {
            identity,
            is_up: true,
            since: now,
            announced: now,
            is_superseded,
            is_suspect: false,
        };
        self.members.insert(node, member);
    }

    /// A member does not answer.
    pub(super) fn goes_down(&mut self, identity: Identity, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get_mut(&identity.node) {
            if member.is_there() {
                turn.event(Event::PeerDown(identity.clone()));
            }
            member.is_up = false;
            member.since = turn.now;
            member.is_now(identity);
        }
    }

    /// A newer incarnation of a member takes the place of the one that was known. Answers one that is
    /// up elsewhere: it [comes up](Members::comes_up) there, and is settled with what else does. One
    /// that is down is settled when it comes up.
    pub(super) fn rename(&mut self, identity: Identity, turn: &mut Turn<'_>) -> Option<Identity> {
        let member = self.members.get_mut(&identity.node)?;
        if !member.is_up || member.identity.address == identity.address {
            member.is_now(identity);
            return None;
        }
        if !member.is_superseded {
            turn.event(Event::PeerDown(member.identity.clone()));
        }
        Some(identity)
    }

    /// Reports which members are suspect since this was last called, and which no more. foca reports
    /// ups and downs only.
    pub(super) fn suspect(&mut self, suspects: &[NodeId], turn: &mut Turn<'_>) {
        for (node, member) in &mut self.members {
            let is_suspect = member.is_there() && suspects.contains(node);
            if is_suspect && !member.is_suspect {
                turn.event(Event::PeerSuspect(member.identity.clone()));
            } else if !is_suspect && member.is_suspect && member.is_there() {
                turn.event(Event::PeerTrusted(member.identity.clone()));
            }
            member.is_suspect = is_suspect;
        }
    }

    /// Forgets those that are down longest, where there are too many.
    pub(super) fn forget_longest_down(&mut self) {
        let down = self.members.values().filter(|member| !member.is_up);
        let excess = down.count().saturating_sub(DOWN_MAX);
        if excess == 0 {
            return;
        }
        let down = self.members.iter().filter(|(_, member)| !member.is_up);
        let mut longest: Vec<(Time, NodeId)> =
            down.map(|(node, member)| (member.since, *node)).collect();
        longest.sort_unstable();
        for (_, node) in longest.into_iter().take(excess) {
            self.members.remove(&node);
        }
    }

    /// When [`Members::due_announcements`] has something to say.
    pub(super) fn next_deadline(&self) -> Time {
        self.next_announcements
    }

    /// Members that are down and are to be announced to now: those first whose last turn is longest
    /// ago, and none that `is_barred`.
    pub(super) fn due_announcements(
        &mut self,
        is_barred: impl Fn(&Identity) -> bool,
        now: Time,
    ) -> Vec<Identity> {
        if self.next_announcements > now {
            return Vec::new();
        }
        self.next_announcements = now + ANNOUNCE_EVERY;
        let mut down: Vec<&mut Member> = self
            .members
            .values_mut()
            .filter(|member| !member.is_up && !member.is_superseded && !is_barred(&member.identity))
            .collect();
        down.sort_by_key(|member| member.announced);
        let due = down.into_iter().take(ANNOUNCE_AT_ONCE);
        due.map(|member| {
            member.announced = now;
            member.identity.clone()
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{BOOT, Driver, MS, address, events, identity, name};
    use super::*;

    fn up(members: &mut Members, identity: Identity) -> (Settled, Vec<Event>) {
        let (settled, effects) = Driver::default().turn(|turn| members.comes_up(identity, turn));
        (settled, events(effects))
    }

    fn down(members: &mut Members, n: u64, now: Time) -> Vec<Event> {
        let mut driver = Driver { now, ..Driver::default() };
        events(driver.turn(|turn| members.goes_down(identity(n), turn)).1)
    }

    fn with(up_members: std::ops::Range<u64>) -> Members {
        let mut members = Members::new(Time::ZERO);
        up_members.for_each(|n| {
            up(&mut members, identity(n));
        });
        members
    }

    #[test]
    fn of_two_nodes_at_one_address_the_later_start_is_there() {
        for (boot, is_there) in [(BOOT - 1, false), (BOOT, true), (BOOT + 1, true)] {
            let mut members = with(2..3);
            let newcomer = Identity { address: address(2), boot, ..identity(3) };
            let (settled, events) = up(&mut members, newcomer.clone());
            let loser = if is_there { identity(2) } else { newcomer };
            assert_eq!(settled, Settled { is_there, down: vec![loser] });
            assert_eq!(events.len(), if is_there { 2 } else { 0 }, "one down, one up");
            assert!(members.is_met(&address(2), None));
            let there: Vec<u64> = members.not_superseded().map(|(id, _)| id.node.0).collect();
            assert_eq!(there, [if is_there { 3 } else { 2 }]);
        }
    }

    #[test]
    fn a_newer_incarnation_is_settled_anew_only_where_it_is_up_elsewhere() {
        let mut members = with(2..4);
        down(&mut members, 3, Time::ZERO);
        let mut driver = Driver::default();
        let mut rename = |identity| driver.turn(|turn| members.rename(identity, turn));
        let here = Identity { boot: BOOT + 1, ..identity(2) };
        let elsewhere = Identity { address: address(7), ..here.clone() };
        let of_3 = Identity { boot: BOOT + 1, address: address(8), ..identity(3) };
        assert_eq!(rename(here).0, None);
        let (moved, effects) = rename(elsewhere.clone());
        assert_eq!((moved, events(effects).len()), (Some(elsewhere), 1), "down where it was");
        assert_eq!(rename(of_3.clone()).0, None, "it is down");
        assert_eq!(rename(identity(9)).0, None, "it was not met");
        assert_eq!(members.identity(NodeId(3)), Some(&of_3));
    }

    #[test]
    fn only_members_that_are_up_are_heard_without_a_limit() {
        let mut members = with(2..3);
        let mut limited =
            |from: &Identity| (0..300).filter(|_| !members.may_speak(from, Time::ZERO)).count();
        assert_eq!(limited(&identity(2)), 0);
        let former = Identity { boot: BOOT - 1, ..identity(2) };
        assert_eq!(limited(&former), 200, "a former life is no member");
        assert_eq!(limited(&identity(2)), 0);
    }

    #[test]
    fn those_that_are_down_longest_are_forgotten_first() {
        let most = DOWN_MAX as u64;
        let mut members = with(0..most + 10);
        for n in 0..most + 5 {
            down(&mut members, n, Time::ZERO + MS * u32::try_from(n).unwrap());
        }
        members.forget_longest_down();
        let left: Vec<u64> = members.identities().map(|id| id.node.0).collect();
        assert_eq!(left, (5..most + 10).collect::<Vec<_>>());
    }

    #[test]
    fn members_that_are_down_are_announced_to_by_turns() {
        let mut members = with(0..40);
        (0..20).for_each(|n| {
            down(&mut members, n, Time::ZERO);
        });
        let mut due = |ms: u32| -> Vec<u64> {
            let due = members.due_announcements(|id| id.node.0 == 1, Time::ZERO + ms * MS);
            due.iter().map(|id| id.node.0).collect()
        };
        assert_eq!(due(1), [&[0][..], &(2..17).collect::<Vec<_>>()].concat());
        assert_eq!(due(1000), [0; 0]);
        assert_eq!(due(1001)[..4], [17, 18, 19, 0]);
    }

    #[test]
    fn suspicion_and_its_end_are_reported_once() {
        let mut members = with(2..4);
        let mut suspect = |suspects: &[u64]| {
            let suspects: Vec<NodeId> = suspects.iter().copied().map(NodeId).collect();
            events(Driver::default().turn(|turn| members.suspect(&suspects, turn)).1)
        };
        assert_eq!(suspect(&[2, 9]), [Event::PeerSuspect(identity(2))]);
        assert_eq!(suspect(&[2, 9]), []);
        assert_eq!(
            suspect(&[3]),
            [Event::PeerTrusted(identity(2)), Event::PeerSuspect(identity(3))]
        );
    }

    #[test]
    fn an_operator_finds_a_member_by_its_address_its_name_and_what_a_name_leads_to() {
        let members = with(2..5);
        let named = Address::parse("peers.example:8088", 1).unwrap();
        let resolved = PeerName { resolved: address(3).ip().into_iter().collect(), ..name(&named) };
        let find = |name: &PeerName, alias| -> Vec<u64> {
            members.named(name, alias).map(|(id, _)| id.node.0).collect()
        };
        assert_eq!(find(&name(&address(2)), None), [2]);
        assert_eq!(find(&resolved, None), [3]);
        assert_eq!(find(&name(&named), Some(NodeId(4))), [4]);
        assert_eq!(find(&name(&named), None), [0; 0]);
    }
}
