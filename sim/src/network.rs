//! Who reaches whom, and what becomes of a packet on the way.
//!
//! The state of the network is worked out anew from the faults that are on, whenever one begins
//! or ends: overlapping partitions then need no bookkeeping, and healing is the absence of faults.
//!
//! Datagrams suffer everything: loss, delay, doubling, changed order. Links are in `links`.

use std::time::Duration;

use crate::chance::Chance;
use crate::faults::FaultKind;
use crate::host::HostId;
use crate::plan::Weather;

/// How much of a link's rate is left on a thin line: one part of so many.
const THIN_RATE: u64 = 20;

/// How much later everything is on a thin line, at most.
const THIN_DELAY_MICROS: u64 = 200_000;

/// How late a packet is at most that others may overtake.
const LATE_MICROS: u64 = 50_000;

/// How long a link waits for an acknowledgement before it sends a lost packet again: Linux's least
/// (RFC 6298 has 1 s). It doubles with each loss.
pub const RETRANSMIT_MICROS: u64 = 200_000;

/// After so many losses in a row a packet passes, three seconds late: by then the nodes have given the
/// link up. With more, what was sent in bad times would still be on its way long after they ended.
pub const RETRANSMITS_MAX: u32 = 4;

/// What lies between two machines, in one direction.
#[derive(Clone, Copy, Debug)]
struct Path {
    open: bool,
    lost_permille: u64,
    thin: bool,
}

/// The network as it is now.
#[derive(Debug)]
pub struct Network {
    hosts: usize,
    weather: Weather,
    paths: Vec<Path>,
}

impl Network {
    /// A network between so many machines on which no fault is.
    pub fn new(hosts: usize, weather: Weather) -> Self {
        let mut network = Network { hosts, weather, paths: Vec::new() };
        network.suffer(&[]);
        network
    }

    /// These faults, and no others, are on from now.
    pub fn suffer(&mut self, faults: &[FaultKind]) {
        self.paths.clear();
        for from in 0..self.hosts {
            for to in 0..self.hosts {
                let mut path =
                    Path { open: true, lost_permille: self.weather.lost_permille, thin: false };
                for fault in faults {
                    apply(fault, from, to, &mut path);
                }
                self.paths.push(path);
            }
        }
    }

    /// From now on nothing is late, nor lost but where the calm is lossy.
    pub fn calm(&mut self) {
        if !self.weather.is_calm_lossy {
            self.weather.lost_permille = 0;
        }
        self.weather.late_permille = 0;
        self.suffer(&[]);
    }

    /// Whether anything passes from one machine to another. Every machine reaches itself.
    pub fn passes(&self, from: HostId, to: HostId) -> bool {
        self.path(from, to).open
    }

    /// When the copies of a datagram arrive: none, one or two.
    pub fn datagram(&self, from: HostId, to: HostId, chance: &mut Chance) -> Vec<Duration> {
        let path = self.path(from, to);
        let copies = if chance.permille(self.weather.doubled_permille) { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            // Drawn for lost ones, too: who reaches whom must not shift the chance of others.
            let delay = self.delay(from, to, chance);
            let late = chance.permille(self.weather.late_permille);
            let delay = if late { delay + chance.micros(0, LATE_MICROS) } else { delay };
            if path.open && !chance.permille(path.lost_permille) {
                arrivals.push(delay);
            }
        }
        arrivals
    }

    /// How long one packet takes.
    pub fn delay(&self, from: HostId, to: HostId, chance: &mut Chance) -> Duration {
        let thin = if self.path(from, to).thin { THIN_DELAY_MICROS } else { 0 };
        let most = if from == to { 50 } else { self.weather.delay_micros_max };
        chance.micros(self.weather.delay_micros_min.min(most), most + thin)
    }

    /// How long a link needs to put so many bytes on the line.
    pub fn transmission(&self, from: HostId, to: HostId, bytes: usize) -> Duration {
        let thin = if self.path(from, to).thin { THIN_RATE } else { 1 };
        let rate = self.weather.link_bytes_per_second / thin;
        Duration::from_micros(bytes as u64 * 1_000_000 / rate)
    }

    /// How long what a link sends now is held up by packets that are lost and sent again.
    pub fn retransmission(&self, from: HostId, to: HostId, chance: &mut Chance) -> Duration {
        let lost = self.path(from, to).lost_permille;
        let mut held = 0;
        for time in 0..RETRANSMITS_MAX {
            if !chance.permille(lost) {
                break;
            }
            held += RETRANSMIT_MICROS << time;
        }
        Duration::from_micros(held)
    }

    fn path(&self, from: HostId, to: HostId) -> Path {
        self.paths[from * self.hosts + to]
    }
}

fn apply(fault: &FaultKind, from: HostId, to: HostId, path: &mut Path) {
    if from == to {
        return;
    }
    let pair = |a: HostId, b: HostId| (from == a && to == b) || (from == b && to == a);
    match *fault {
        FaultKind::Partition(side) => path.open &= side.contains(from) == side.contains(to),
        FaultKind::OneWay(side) => path.open &= !side.contains(from) || side.contains(to),
        FaultKind::Cut(a, b) => path.open &= !pair(a, b),
        FaultKind::CutOneWay(a, b) => path.open &= !(from == a && to == b),
        FaultKind::Loss(permille) => path.lost_permille = path.lost_permille.max(permille),
        FaultKind::Thin(a, b) => path.thin |= pair(a, b),
        FaultKind::Break(..)
        | FaultKind::Pause(_)
        | FaultKind::Kill(_)
        | FaultKind::PowerCut(_)
        | FaultKind::Stop(_)
        | FaultKind::Clock(..)
        | FaultKind::ClockSet(..)
        | FaultKind::Leap(..)
        | FaultKind::Stranger(_)
        | FaultKind::Moved(_)
        | FaultKind::Swapped(..)
        | FaultKind::SlowDisk(_)
        | FaultKind::HungDisk(_)
        | FaultKind::Blackout(_)
        | FaultKind::CutInWrite(..)
        | FaultKind::FailedSync(_)
        | FaultKind::FullDisk(_)
        | FaultKind::OldCopy(_)
        | FaultKind::BitRot(_)
        | FaultKind::CopiedDisk(..)
        | FaultKind::Remove(..) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::HostSet;

    fn network() -> Network {
        let weather = Weather {
            delay_micros_min: 20,
            delay_micros_max: 200,
            lost_permille: 0,
            is_calm_lossy: false,
            doubled_permille: 0,
            late_permille: 0,
            link_bytes_max: 8 << 20,
            link_bytes_per_second: 1_000_000,
        };
        Network::new(3, weather)
    }

    #[test]
    fn a_one_way_partition_lets_answers_pass_and_healing_lets_all_pass() {
        let mut network = network();
        network.suffer(&[FaultKind::OneWay(HostSet::one(1))]);
        assert!(!network.passes(1, 0) && !network.passes(1, 2));
        assert!(network.passes(0, 1) && network.passes(0, 2) && network.passes(1, 1));
        network.suffer(&[]);
        assert!(network.passes(1, 0));
    }

    #[test]
    fn overlapping_partitions_heal_one_by_one() {
        let mut network = network();
        let (one, other) = (FaultKind::Cut(0, 1), FaultKind::Partition(HostSet::one(0)));
        network.suffer(&[one, other]);
        assert!(!network.passes(0, 1) && !network.passes(0, 2));
        network.suffer(&[one]);
        assert!(!network.passes(1, 0) && network.passes(0, 2));
    }
}
