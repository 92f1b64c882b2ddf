//! Virtual time: what happens next, and when.
//!
//! Time jumps from event to event, so a quiet minute costs nothing. Events of the same moment
//! come in the order in which they were planned, which is what makes a run repeat exactly.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;

use bytes::Bytes;
use quipu_core::identity::NodeId;
use quipu_core::time::Time;

use crate::host::{HostId, ProcessId};
use crate::links::{ConnectionId, Side};

/// Something that will happen.
#[derive(Debug)]
pub enum Event {
    /// A machine's process starts, for the first time or because it failed.
    Start(HostId),
    /// A process looks at what waits for it.
    Wake(ProcessId),
    /// The disk of a process may have something to do.
    Disk(ProcessId),
    /// The next step of a snapshot is due.
    Snapshot(ProcessId),
    /// A datagram reaches a machine.
    Datagram {
        /// Which machine sent it.
        from: HostId,
        /// Which it reaches.
        to: HostId,
        /// All of it.
        bytes: Bytes,
    },
    /// A connection attempt reaches a machine.
    DialArrives {
        /// The process that dials.
        dialer: ProcessId,
        /// The node that it wants.
        node: NodeId,
        /// The machine at the address dialed.
        to: HostId,
    },
    /// A connection attempt has failed.
    DialFailed {
        /// The process that dialed.
        dialer: ProcessId,
        /// The node that it wanted.
        node: NodeId,
    },
    /// A dialer has waited long enough for a connection to open.
    DialTimeout(ConnectionId),
    /// The next item sent by one side of a connection is due at the other.
    LinkDue(ConnectionId, Side),
    /// A fault of the plan begins; its place in the plan.
    FaultBegins(usize),
    /// A fault of the plan ends; its place in the plan.
    FaultEnds(usize),
    /// A client's request reaches a machine; its place in the plan.
    Request(usize),
    /// A stranger sends a datagram; the place of its fault in the plan.
    Stranger(usize),
    /// A client's question reaches a machine; its place in the plan.
    Question(usize),
    /// A process that was asked to leave has had the time to.
    Stopped(ProcessId),
    /// Everything is looked at from outside.
    Sweep,
    /// An operator registers again all nodes that were removed.
    RegisterRemoved,
    /// A process is told what its machine's wall clock shows.
    WallClock(ProcessId),
}

/// The time, and the events to come.
#[derive(Debug, Default)]
pub struct Schedule {
    now: Time,
    order: BinaryHeap<Reverse<(Time, u64)>>,
    events: BTreeMap<u64, Event>,
    planned: u64,
}

impl Schedule {
    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Plans an event.
    pub fn at(&mut self, time: Time, event: Event) {
        self.order.push(Reverse((time, self.planned)));
        self.events.insert(self.planned, event);
        self.planned += 1;
    }

    /// Takes the next event, if it comes by `until`, and lets the time of it come. If none does,
    /// it is `until`.
    pub fn pop_until(&mut self, until: Time) -> Option<Event> {
        let Some(Reverse((time, number))) = self.order.peek().filter(|next| next.0.0 <= until)
        else {
            self.now = until;
            return None;
        };
        let (time, number) = (*time, *number);
        self.order.pop();
        self.now = time;
        self.events.remove(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_in_the_order_planned_within_a_moment() {
        let mut schedule = Schedule::default();
        for (micros, host) in [(5, 0), (3, 1), (5, 2), (3, 3), (6, 4)] {
            schedule.at(Time::from_micros(micros), Event::Start(host));
        }
        let mut hosts = Vec::new();
        while let Some(event) = schedule.pop_until(Time::from_micros(5)) {
            match event {
                Event::Start(host) => hosts.push(host),
                other => panic!("{other:?} was never planned"),
            }
        }
        assert_eq!(hosts, [1, 3, 0, 2]);
        assert_eq!(schedule.now(), Time::from_micros(5));
    }
}
