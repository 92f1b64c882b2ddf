//! A few real nodes in virtual time, under a test's control.
//!
//! Everything takes [`LATENCY`] and nothing is left to chance, so a test reads as what it does:
//! start, add, hold, cut, crash, run until. Each node is driven as the server drives it: handle,
//! close the batch, let go what may leave at once, sync, and let go what core's `Outbox` releases;
//! where a test holds a node's syncs, the outbox is not told that anything is safe.

mod clients;
mod driving;
mod looking;
mod time;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use quipu_core::counters::{Bounds, Counters};
use quipu_core::effect::{Destination, Effect};
use quipu_core::event::Event;
use quipu_core::identity::{Address, NodeId, OriginId, Version};
use quipu_core::input::{Input, LinkId, Token};
use quipu_core::membership::PeersRefusal;
use quipu_core::name::CounterName;
use quipu_core::node::{Config, Node, RemovesAfter};
use quipu_core::operation::{Op, Refusal, Request, Results, Value};
use quipu_core::outbox::{Effects, Outbox, Released};
use quipu_core::query::{Answer, Changes, PeerName};
use quipu_core::room::Room;
use quipu_core::status::{LinkStatus, PeerState};
use quipu_core::storage::state::Recovered;
use quipu_core::time::Time;
use quipu_core::update::{Expiry, Update};
use quipu_core::wire::frame::{self, Message};

use crate::network::{End, Item, Network, Place};
use crate::watch::{self, Left};

/// The first four nodes.
pub(crate) const A: Place = 0;
pub(crate) const B: Place = 1;
pub(crate) const C: Place = 2;
pub(crate) const D: Place = 3;

/// How long everything that is sent takes to arrive.
pub(crate) const LATENCY: Duration = Duration::from_micros(50);

/// How long a dial to where nobody answers takes to fail, as the server sets it.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Inputs that one node may ask for in one instant: more means that it never stops asking.
const SPINS_MAX: u32 = 20_000;

/// Datagrams that wait for a paused node, as in a kernel's buffer.
const INBOX_MAX: usize = 256;

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The first life of the node at a place: it calls by broadcast, has no seeds and no secret.
pub(crate) fn config(place: Place) -> Config {
    let n = u8::try_from(place + 1).expect("few nodes");
    Config {
        node: NodeId(n.into()),
        origin: OriginId(100 * u64::from(n)),
        address: Address::parse(&format!("10.0.0.{n}:8088"), 1).expect("an address"),
        boot: 1,
        cluster: "traces".to_owned(),
        secret: None,
        seeds: Vec::new(),
        discovery: true,
        is_kept: true,
        settles: true,
        removes_after: RemovesAfter::default(),
        chance: [n; 32],
    }
}

/// The life that follows, as a restart from the same data directory makes it.
pub(crate) fn next_life(config: &Config) -> Config {
    let mut chance = config.chance;
    chance[0] = chance[0].wrapping_add(100);
    Config {
        origin: OriginId(config.origin.0 + 1),
        boot: config.boot + 1,
        chance,
        ..config.clone()
    }
}

pub(crate) fn name(text: &str) -> CounterName {
    CounterName::new(text.to_owned()).expect("a counter's name")
}

pub(crate) fn add(counter: &str, by: i64) -> Op {
    Op::Add { name: name(counter), by }
}

pub(crate) fn get(counter: &str) -> Op {
    Op::Get { name: name(counter) }
}

pub(crate) fn raise(counter: &str, to: i64) -> Op {
    Op::Raise { name: name(counter), to }
}

pub(crate) fn set(counter: &str, to: i64) -> Op {
    update(counter, Update::Set { to, only: None, expiry: Expiry::Never })
}

pub(crate) fn delete(counter: &str) -> Op {
    update(counter, Update::Delete)
}

pub(crate) fn expire(counter: &str, ms: u64) -> Op {
    update(counter, Update::Expire { expiry: Expiry::After(ms), only: None })
}

pub(crate) fn update(counter: &str, update: Update) -> Op {
    Op::Update { name: name(counter), update: Box::new(update) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Runs,
    /// Stopped by a signal: its sockets stand, and nobody reads them.
    Paused,
    /// Its sockets are closed.
    Stopped,
    /// Gone without a word, as at a power cut: its peers' sockets still seem to stand.
    Vanished,
}

#[derive(Debug)]
struct Machine {
    config: Config,
    socket: SocketAddr,
    node: Node,
    condition: Condition,
    wake: Time,
    holds_syncs: bool,
    outbox: Outbox,
    /// Closed batches that have not been released, with the node's own version as of each.
    closed: VecDeque<(u64, Version)>,
    /// The node's own version up to which its batches were released.
    synced: Version,
    established: BTreeSet<LinkId>,
    inbox: Vec<(SocketAddr, Bytes)>,
    spins: (Time, u32),
}

#[derive(Debug)]
enum Arrival {
    Datagram { from: SocketAddr, to: Place, bytes: Bytes },
    Pipe(LinkId),
    Dial { from: Place, node: NodeId, address: Address },
    DialFailed { from: Place, node: NodeId },
}

/// A frame that left a node.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Time,
    pub(crate) from: Place,
    pub(crate) to: Option<End>,
    /// To how many links these same bytes went.
    pub(crate) shared_by: usize,
    pub(crate) bytes: Bytes,
}

impl Sent {
    pub(crate) fn message(&self) -> Message<'_> {
        frame::decode(&self.bytes).expect("it was watched when it left")
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) at: Time,
    pub(crate) outcomes: Results,
    /// The values alone.
    pub(crate) results: Vec<Result<Value, Refusal>>,
    pub(crate) version: Version,
}

/// What a stranger has heard on its connection.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) frames: Vec<Bytes>,
    pub(crate) is_closed: bool,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    now: Time,
    machines: Vec<Machine>,
    network: Network,
    arrivals: BTreeMap<(Time, u64), Arrival>,
    arrivals_ever: u64,
    names: BTreeMap<String, Place>,
    tokens: Token,
    replies: BTreeMap<Token, Reply>,
    answers: BTreeMap<Token, Answer>,
    changes: BTreeMap<Token, Changes>,
    strangers: BTreeMap<LinkId, Heard>,
    datagrams_to_lose: usize,
    datagrams_sent: Vec<(Time, Place)>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) events: Vec<(Time, Place, Event)>,
}

impl Cluster {
    /// No nodes yet.
    pub(crate) fn new() -> Self {
        Cluster {
            now: Time::from_micros(1_000_000),
            machines: Vec::new(),
            network: Network::default(),
            arrivals: BTreeMap::new(),
            arrivals_ever: 0,
            names: BTreeMap::new(),
            tokens: 0,
            replies: BTreeMap::new(),
            answers: BTreeMap::new(),
            changes: BTreeMap::new(),
            strangers: BTreeMap::new(),
            datagrams_to_lose: 0,
            datagrams_sent: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    /// So many nodes, each linked to each, their first digests exchanged.
    pub(crate) fn of(nodes: usize) -> Self {
        let mut cluster = Cluster::new();
        for place in 0..nodes {
            cluster.start(config(place));
        }
        cluster.run_until("all are linked", secs(3), Cluster::all_linked);
        cluster.run(ms(1500));
        cluster
    }

    // --- nodes -------------------------------------------------------------------------------

    /// Starts another node.
    pub(crate) fn start(&mut self, config: Config) -> Place {
        let place = self.machines.len();
        let machine = self.machine(place, config);
        self.machines.push(machine);
        self.step(place, Input::Tick);
        place
    }

    /// Starts another node, which finds this table on its disk.
    pub(crate) fn start_with(&mut self, config: Config, kept: Counters) -> Place {
        self.start_on(config, Recovered::holding(kept))
    }

    /// Starts another node, which finds this on its disk.
    pub(crate) fn start_on(&mut self, config: Config, kept: Recovered) -> Place {
        let place = self.start(config.clone());
        let node = Node::recovered(config, kept, self.now);
        self.machines[place].node = node;
        self.step(place, Input::Tick);
        place
    }

    /// Has a node speak as an earlier release does.
    pub(crate) fn speak_up_to(&mut self, place: Place, version: u16) {
        self.machines[place].node.speak_up_to(version);
    }

    /// Has a node's table hold no more than this.
    pub(crate) fn bound_table(&mut self, place: Place, bounds: Bounds) {
        self.machines[place].node.bound_table(bounds);
    }

    /// Starts a node again, with an empty table, at the place where one has ended.
    pub(crate) fn restart(&mut self, place: Place, config: Config) {
        assert!(!self.is_running(place), "node {place} still runs");
        self.machines[place] = self.machine(place, config);
        self.step(place, Input::Tick);
    }

    fn machine(&mut self, place: Place, config: Config) -> Machine {
        let own = SocketAddr::from((
            [10, 0, 0, u8::try_from(place + 1).expect("few nodes")],
            config.address.port(),
        ));
        self.names.insert(config.address.host().to_owned(), place);
        Machine {
            socket: config.address.ip().unwrap_or(own),
            node: Node::new(config.clone(), self.now),
            config,
            condition: Condition::Runs,
            wake: self.now,
            holds_syncs: false,
            outbox: Outbox::default(),
            closed: VecDeque::new(),
            synced: 0,
            established: BTreeSet::new(),
            inbox: Vec::new(),
            spins: (self.now, 0),
        }
    }

    /// Ends a node as kill -9 does: its sockets close.
    pub(crate) fn crash(&mut self, place: Place) {
        for link in self.network.links_of(place) {
            self.put(link, Item::End);
            self.network.close(link);
        }
        self.machines[place].condition = Condition::Stopped;
    }

    /// Ends a node as a power cut does: nobody is told.
    pub(crate) fn vanish(&mut self, place: Place) {
        for link in self.network.links_of(place) {
            self.network.close(link);
        }
        self.machines[place].condition = Condition::Vanished;
    }

    /// Stops a node for a while, its sockets standing.
    pub(crate) fn pause(&mut self, place: Place) {
        self.machines[place].condition = Condition::Paused;
    }

    /// Lets a paused node go on with all that has come meanwhile.
    pub(crate) fn resume(&mut self, place: Place) {
        self.machines[place].condition = Condition::Runs;
        for (from, bytes) in std::mem::take(&mut self.machines[place].inbox) {
            self.step(place, Input::Datagram { from, bytes });
        }
        self.look_at_pipes();
    }

    pub(crate) fn node(&self, place: Place) -> &Node {
        &self.machines[place].node
    }

    pub(crate) fn config_of(&self, place: Place) -> &Config {
        &self.machines[place].config
    }

    pub(crate) fn origin_of(&self, place: Place) -> OriginId {
        self.machines[place].config.origin
    }

    /// The NodeId that a node has now.
    pub(crate) fn id_of(&self, place: Place) -> NodeId {
        self.machines[place].node.status(self.now).identity.node
    }

    pub(crate) fn address_of(&self, place: Place) -> String {
        self.machines[place].config.address.to_string()
    }

    fn is_running(&self, place: Place) -> bool {
        self.machines[place].condition == Condition::Runs
    }

    fn running(&self) -> impl Iterator<Item = Place> + '_ {
        (0..self.machines.len()).filter(|place| self.is_running(*place))
    }

    // --- disks -------------------------------------------------------------------------------

    /// From now on no batch of this node is synced.
    pub(crate) fn hold_syncs(&mut self, place: Place) {
        self.machines[place].holds_syncs = true;
    }

    /// Syncs all that waits, and from now on everything at once.
    pub(crate) fn release_syncs(&mut self, place: Place) {
        self.machines[place].holds_syncs = false;
        self.step(place, Input::Tick);
    }

    // --- the network -------------------------------------------------------------------------

    /// Nothing passes between the two in either direction.
    pub(crate) fn cut(&mut self, one: Place, other: Place) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Nothing passes from the one to the other.
    pub(crate) fn cut_one_way(&mut self, from: Place, to: Place) {
        self.network.cut(from, to);
    }

    /// Undoes [`Cluster::cut`]; what waited in connections comes out.
    pub(crate) fn mend(&mut self, one: Place, other: Place) {
        self.network.mend(one, other);
        self.network.mend(other, one);
        self.look_at_pipes();
    }

    /// Frames from the one to the other wait; datagrams pass.
    pub(crate) fn hold_frames(&mut self, from: Place, to: Place) {
        self.network.hold(from, to);
    }

    pub(crate) fn release_frames(&mut self, from: Place, to: Place) {
        self.network.release(from, to);
        self.look_at_pipes();
    }

    /// The one cannot open connections to the other.
    pub(crate) fn forbid_dial(&mut self, from: Place, to: Place) {
        self.network.forbid_dial(from, to);
    }

    pub(crate) fn allow_dial(&mut self, from: Place, to: Place) {
        self.network.allow_dial(from, to);
    }

    /// Breaks every connection between the two: what is on its way is gone, both learn of it.
    pub(crate) fn break_links(&mut self, one: Place, other: Place) {
        self.lose_link(one, other);
        self.lose_link(other, one);
    }

    /// The one loses its connections to the other, which learns of it only if it is told.
    pub(crate) fn lose_link(&mut self, place: Place, other: Place) {
        for link in self.network.links(place, other) {
            self.network.close(link);
            self.step(place, Input::LinkClosed { link });
        }
    }

    /// The next datagrams, whosever, are lost.
    pub(crate) fn lose_datagrams(&mut self, datagrams: usize) {
        self.datagrams_to_lose = datagrams;
    }

    /// A name under which a node can be found.
    pub(crate) fn give_name(&mut self, name: &str, place: Place) {
        self.names.insert(name.to_owned(), place);
    }

    /// The name leads nowhere any more.
    pub(crate) fn forget_name(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Datagrams that a node has sent since a time.
    pub(crate) fn datagrams_since(&self, since: Time, place: Place) -> usize {
        self.datagrams_sent.iter().filter(|(at, from)| *at >= since && *from == place).count()
    }

    /// A frame arrives at `to` as if `from` had sent it on their link.
    pub(crate) fn inject(&mut self, from: Place, to: Place, message: &Message<'_>) {
        let link = self.network.links(from, to).pop().expect("a link between the two");
        self.put(link, Item::Frame(frame::encode(message)));
    }

    /// The name by which `from` calls its link to `to`.
    pub(crate) fn name_of_link(&self, from: Place, to: Place) -> LinkId {
        self.network.links(from, to).pop().expect("a link between the two")
    }

    /// A frame that was sent on this link arrives only now, though who sent it may have ended.
    pub(crate) fn arrive_late(&mut self, link: LinkId, message: &Message<'_>) {
        self.put(link, Item::Frame(frame::encode(message)));
    }

    /// A datagram arrives that none of the nodes sent.
    pub(crate) fn inject_datagram(&mut self, from: SocketAddr, to: Place, bytes: Bytes) {
        self.arrive(LATENCY, Arrival::Datagram { from, to, bytes });
    }

    /// A connection that no node has dialed.
    pub(crate) fn call_as_stranger(&mut self, to: Place) -> LinkId {
        let (stranger, link) = self.network.connect(End::Stranger, End::Node(to));
        self.strangers.insert(stranger, Heard::default());
        self.step(to, Input::LinkOpened { link, dialed: None });
        stranger
    }

    /// The stranger says something.
    pub(crate) fn say(&mut self, stranger: LinkId, bytes: Bytes) {
        self.put(stranger, Item::Frame(bytes));
    }

    pub(crate) fn heard(&self, stranger: LinkId) -> &Heard {
        &self.strangers[&stranger]
    }
}
