//! A machine: an address, a clock, a disk, and at most one running process.
//!
//! What arrives for the process waits in its inbox until the process wakes, takes all that is
//! there as one batch (datagrams first, so that load does not look like death) and closes it: the
//! loop of the server's driver, turn by turn.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use quipu_core::identity::{Address, NodeId, OriginId, Version};
use quipu_core::input::{Input, LinkId};
use quipu_core::node::Node;
use quipu_core::outbox::Outbox;
use quipu_core::slot::Slot;
use quipu_core::storage::snapshot::Walk;
use quipu_core::time::Time;

use crate::clock::Clock;
use crate::directory::Directory;
use crate::disk::Disk;
use crate::endings::said::AllSaid;
use crate::memberships::NodeMemberships;

/// A machine, by its place in the plan.
pub type HostId = usize;

/// One start of a machine's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId {
    /// The machine.
    pub host: HostId,
    /// Which of its starts: 1, 2, 3, …
    pub start: u32,
}

/// Where all nodes listen.
const PORT: u16 = 8088;

/// Datagrams that wait in a socket; more are lost. Some 200 KB of them, Linux's usual buffer.
const DATAGRAMS_MAX: usize = 256;

/// Inputs that one batch takes at most, as the driver does.
pub const BATCH_INPUTS_MAX: usize = 256;

/// A batch that was closed and is not known to be safe: what a start must find of it afterwards.
#[derive(Debug)]
pub struct InFlight {
    /// The node's number for it.
    pub batch: u64,
    /// Whether anything is to be kept of it.
    pub has_records: bool,
    /// The node's own version once it is synced, of each origin that it counted under in it.
    pub own: Vec<(OriginId, Version)>,
    /// The origins that were closed in it.
    pub closed: Vec<OriginId>,
    /// Up to which version everything of each origin was there when it closed.
    pub known: Vec<(OriginId, Version)>,
    /// What was held of others when it closed, claimed or not; noted only where tables may be full.
    pub held: Vec<(OriginId, String, Slot)>,
    /// The same of what was said about ends.
    pub held_endings: AllSaid,
    /// Removals and registrations that were there when it closed.
    pub memberships: NodeMemberships,
    /// The node's id and boot that were written down by then.
    pub lives_as: (NodeId, u64),
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    /// Which start it is.
    pub id: ProcessId,
    /// The node that it runs.
    pub node: Node,
    /// What the node counts under.
    pub origin: OriginId,
    /// Under which id it was last seen to live.
    pub lives_as: NodeId,
    /// What its clock showed when it started.
    pub began: Time,
    /// When it was told what its machine's wall clock shows, by its own clock, and that.
    pub wall: (Time, u64),
    /// What it took a wall clock to show when it last did something.
    pub looked_ms: u64,
    /// When it will wake, if it will.
    pub wake_at: Option<Time>,
    /// Whether it was asked to leave.
    pub leaving: bool,
    /// When the disk will be looked after, if it will.
    pub disk_at: Option<Time>,
    /// The snapshot that is being made.
    pub walk: Option<Walk>,
    /// What may not leave yet.
    pub outbox: Outbox,
    /// Batches that are not known to be safe, in the order in which they were closed.
    pub in_flight: VecDeque<InFlight>,
    datagrams: VecDeque<Input>,
    inbox: VecDeque<Input>,
}

impl Process {
    /// A process that has just started.
    pub fn new(id: ProcessId, node: Node, origin: OriginId, began: Time) -> Self {
        let node_boot = node.identity().boot;
        Process {
            id,
            lives_as: node.identity().node,
            node,
            origin,
            began,
            wall: (began, node_boot),
            looked_ms: node_boot,
            wake_at: None,
            leaving: false,
            disk_at: None,
            walk: None,
            outbox: Outbox::default(),
            in_flight: VecDeque::new(),
            datagrams: VecDeque::new(),
            inbox: VecDeque::new(),
        }
    }

    /// Puts an input where the process will find it; returns whether there was room.
    pub fn receive(&mut self, input: Input) -> bool {
        if !matches!(input, Input::Datagram { .. }) {
            self.inbox.push_back(input);
            return true;
        }
        if self.datagrams.len() >= DATAGRAMS_MAX {
            return false;
        }
        self.datagrams.push_back(input);
        true
    }

    /// What it takes a wall clock to show when its own shows this.
    pub fn wall_ms(&self, local: Time) -> u64 {
        let (then, ms) = self.wall;
        ms + u64::try_from(local.since(then).as_millis()).unwrap_or(u64::MAX)
    }

    /// The next input of a batch.
    pub fn take(&mut self) -> Option<Input> {
        self.datagrams.pop_front().or_else(|| self.inbox.pop_front())
    }

    /// Whether anything waits.
    pub fn has_mail(&self) -> bool {
        !self.datagrams.is_empty() || !self.inbox.is_empty()
    }
}

/// A machine.
#[derive(Debug)]
pub struct Host {
    /// Where its node answers.
    pub socket: SocketAddr,
    /// The same, as others write it down.
    pub address: Address,
    /// Its clock.
    pub clock: Clock,
    /// Milliseconds that its wall clock shows when the world begins; no two agree.
    pub wall_at_zero_millis: u64,
    /// Its disk.
    pub disk: Disk,
    /// A copy of its files, made earlier.
    pub copy: Option<Directory>,
    /// Under which origin its process counted last.
    pub last_origin: Option<OriginId>,
    /// Whether it has lost power since its process started.
    pub has_lost_power: bool,
    /// Whether it has power.
    pub powered: bool,
    /// Whether its process stands still.
    pub paused: bool,
    /// What runs on it.
    pub process: Option<Process>,
    /// How often its process was started.
    pub starts: u32,
    /// When it last came out of trouble that slows down answers.
    pub steady_since: Time,
    links: LinkId,
}

impl Host {
    /// What its wall clock shows, in milliseconds since 1970.
    pub fn wall_ms(&self, now: Time) -> u64 {
        self.wall_at_zero_millis + now.as_micros() / 1000
    }

    /// A machine on which nothing runs yet.
    pub fn new(host: HostId, clock: Clock, wall_at_zero_millis: u64, disk: Disk) -> Self {
        Host {
            socket: socket_of(host),
            address: Address::from(socket_of(host)),
            clock,
            wall_at_zero_millis,
            disk,
            copy: None,
            last_origin: None,
            has_lost_power: false,
            powered: true,
            paused: false,
            process: None,
            starts: 0,
            steady_since: Time::ZERO,
            // Ids of different machines differ, so that one used at the wrong end is noticed.
            links: host as u64 * 1_000_000,
        }
    }

    /// The machine is found at another address from now on.
    pub fn move_to(&mut self, socket: SocketAddr) {
        self.socket = socket;
        self.address = Address::from(socket);
    }

    /// A name for a connection, never used before on this machine.
    pub fn next_link(&mut self) -> LinkId {
        self.links += 1;
        self.links
    }

    /// The process, if it is this start's.
    pub fn running(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.id == id)
    }
}

/// One of the addresses that machines have: 10.0.0.1 and so on. Each has that of its own number
/// until it moves.
pub fn socket_of(number: usize) -> SocketAddr {
    let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), PORT))
}

/// The name under which the machine is found, too.
pub fn name_of(host: HostId) -> Address {
    Address::parse(&format!("node{}", host + 1), PORT).expect("a name of letters and digits")
}

/// The machine at an address, given as an IP address or a name; `None` if there is none.
pub fn host_at(address: &Address, hosts: &[Host]) -> Option<HostId> {
    let ip = address.ip();
    (0..hosts.len()).find(|&host| ip == Some(hosts[host].socket) || *address == name_of(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Bounds, Plan};

    #[test]
    fn a_machine_is_found_by_its_address_and_by_its_name_also_after_it_has_moved() {
        let plan = Plan::draw(1, &Bounds { nodes: 3..=3, ..Bounds::default() });
        let machine = |host| {
            let disk = Disk::new(Directory::new(0), plan.usage, None);
            Host::new(host, Clock::new(Time::ZERO), 0, disk)
        };
        let mut hosts: Vec<Host> = (0..3).map(machine).collect();
        let at = |number, hosts: &[Host]| host_at(&Address::from(socket_of(number)), hosts);
        for host in 0..3 {
            assert_eq!(at(host, &hosts), Some(host));
            assert_eq!(host_at(&name_of(host), &hosts), Some(host));
        }
        hosts[1].move_to(socket_of(3));
        assert_eq!((at(1, &hosts), at(3, &hosts)), (None, Some(1)));
        assert_eq!(host_at(&name_of(1), &hosts), Some(1));
        assert_eq!(host_at(&name_of(3), &hosts), None);
    }
}
