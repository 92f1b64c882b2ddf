//! Machines on one Ethernet, each a namespace of its own, around a switch that can be told to lose
//! what goes from one to another.
//!
//! What is lost is lost in the switch, as by a bad cable: neither side is told, which a rule on the
//! machine itself would do (a send that such a rule drops fails with EPERM).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::namespace::Namespace;
use super::node::Node;
use super::wait::say_loudly;

/// The nodes' port, the default one: every machine has all ports to itself.
const PORT: u16 = 8088;

/// A switch and the machines on it, numbered from 0.
#[derive(Debug)]
pub struct Network {
    switch: Namespace,
    machines: Vec<Arc<Namespace>>,
    kind: Kind,
}

/// What addresses machines have, beside those of loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    V4,
    V6,
}

impl Network {
    /// So many machines with IPv4; `None`, said loudly, where the system does not allow it.
    pub fn of(machines: usize) -> Option<Network> {
        Network::of_kind(Kind::V4, machines)
    }

    /// The same with addresses of one kind only.
    pub fn of_kind(kind: Kind, machines: usize) -> Option<Network> {
        match Network::new(kind, machines) {
            Ok(network) => Some(network),
            Err(reason) => {
                say_loudly(&format!(
                    "SKIPPED, nothing was tested: {reason}. Partitions need root, network \
                     namespaces and the packages that scripts/packages installs"
                ));
                None
            }
        }
    }

    fn new(kind: Kind, number: usize) -> Result<Network, String> {
        let switch = Namespace::new()?;
        switch
            .order(&["ip", "-batch", "-"], "link add switch type bridge\nlink set switch up\n")?;
        switch.order(
            &["nft", "-f", "-"],
            "add table bridge faults\n\
             add chain bridge faults forward { type filter hook forward priority 0; }\n\
             add rule bridge faults forward numgen random mod 100 < 0 drop\n\
             flush chain bridge faults forward\n",
        )?;
        let mut machines = Vec::new();
        for place in 0..number {
            let machine = Namespace::new()?;
            let (cable, pid) = (cable(place), machine.pid());
            switch.order(
                &["ip", "-batch", "-"],
                &format!(
                    "link add {cable} type veth peer name eth0 netns {pid}\n\
                     link set {cable} master switch up\n"
                ),
            )?;
            let ip = kind.ip(place);
            let orders = match kind {
                // 255.255.255.255 goes where the default route goes, and nowhere if there is none.
                Kind::V4 => format!(
                    "link set lo up\n\
                     addr add {ip}/24 broadcast 10.0.0.255 dev eth0\n\
                     link set eth0 up\n\
                     route add default via 10.0.0.254\n",
                ),
                // Whether another machine has the same address is not looked for, which takes a second.
                Kind::V6 => format!(
                    "link set lo up\n\
                     addr add {ip}/64 dev eth0 nodad\n\
                     link set eth0 up\n\
                     route add default via fd00::ff dev eth0\n",
                ),
            };
            machine.order(&["ip", "-batch", "-"], &orders)?;
            machines.push(Arc::new(machine));
        }
        Ok(Network { switch, machines, kind })
    }

    /// Starts a node on a machine, as an operator would: on all interfaces, with no list.
    #[track_caller]
    pub fn start(&self, place: usize, more: &[&str]) -> Node {
        let listen: IpAddr = match self.kind {
            Kind::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Kind::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.start_on(listen, place, more)
    }

    /// Starts a node on a machine, where it listens on this address.
    #[track_caller]
    pub fn start_on(&self, listen: IpAddr, place: usize, more: &[&str]) -> Node {
        let listen = SocketAddr::new(listen, PORT);
        Node::start_inside(&self.machines[place], listen, self.address(place), more)
    }

    /// A node on every machine.
    #[track_caller]
    pub fn start_all(&self) -> Vec<Node> {
        (0..self.machines.len()).map(|place| self.start(place, &[])).collect()
    }

    /// Where the node of this machine answers.
    pub fn address(&self, place: usize) -> SocketAddr {
        SocketAddr::new(self.kind.ip(place), PORT)
    }

    /// Has a machine's network changed by a tool that reads its orders from standard input.
    #[track_caller]
    pub fn change(&self, place: usize, tool: &[&str], orders: &str) {
        self.machines[place].order(tool, orders).expect("the machine obeys");
    }

    /// Loses all that goes from one machine to another; what comes back still does.
    #[track_caller]
    pub fn cut(&self, from: usize, to: usize) {
        let (from, to) = (cable(from), cable(to));
        self.fault(&format!("iifname {from} oifname {to}"));
    }

    /// Loses all that goes between two machines.
    #[track_caller]
    pub fn cut_both_ways(&self, one: usize, other: usize) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Loses so many of a hundred packets, whatever they are.
    #[track_caller]
    pub fn lose(&self, percent: u32) {
        self.fault(&format!("numgen random mod 100 < {percent}"));
    }

    /// Loses nothing more. How many packets each fault has lost.
    #[track_caller]
    pub fn heal(&self) -> Vec<u64> {
        let rules = self.rule("list chain bridge faults forward");
        self.rule("flush chain bridge faults forward");
        let mut words = rules.split_whitespace();
        let mut lost = Vec::new();
        while words.any(|word| word == "packets") {
            lost.push(words.next().and_then(|word| word.parse().ok()).expect("a number"));
        }
        lost
    }

    #[track_caller]
    fn fault(&self, packets: &str) {
        self.rule(&format!("add rule bridge faults forward {packets} counter drop"));
    }

    #[track_caller]
    fn rule(&self, order: &str) -> String {
        self.switch.order(&["nft", "-f", "-"], &format!("{order}\n")).expect("the switch obeys")
    }
}

fn cable(place: usize) -> String {
    format!("cable{place}")
}

impl Kind {
    fn ip(self, place: usize) -> IpAddr {
        let host = u8::try_from(place + 1).expect("a handful of machines");
        match self {
            Kind::V4 => Ipv4Addr::new(10, 0, 0, host).into(),
            Kind::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into()).into(),
        }
    }
}
