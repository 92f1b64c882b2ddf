//! Everything that will happen to one cluster, drawn from one seed before it begins.
//!
//! A plan is a list, not a stream of decisions: a failing one is made smaller by crossing out.

use std::ops::RangeInclusive;
use std::time::Duration;

use quipu_core::counters::Bounds as TableBounds;
use quipu_core::node::limits::Limits as NodeLimits;
use quipu_core::storage::journal::Limits;
use quipu_core::time::Time;

use crate::bug::Bug;
use crate::chance::{Chance, Purpose};
use crate::disk::{Fsync, Usage};
use crate::endings::workload as endings;
use crate::faults::{Fault, FaultKind, HOSTS_MAX};
use crate::host::HostId;
use crate::inquiries::ClientQuestion;
use crate::workload::{ClientRequest, Load};
use crate::world::{EPOCH_MILLIS, WALL_SKEW_MILLIS_MAX};
use crate::{faults, inquiries, splits, workload};

/// What a plan is drawn within.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How many nodes, from 2 to [`HOSTS_MAX`].
    pub nodes: RangeInclusive<usize>,
    /// Whether one cluster in a hundred has 17 to 24 nodes instead.
    pub crowds: bool,
    /// How long faults go on.
    pub troubled: Duration,
    /// Whether every plan's nodes keep nothing; otherwise a fifth of the plans are so.
    pub in_memory: bool,
    /// Whether operators ask for settlements.
    pub settles: bool,
    /// Whether members that are away are removed, and splits outlast that.
    pub absent: bool,
    /// A bug planted in every node.
    pub bug: Option<Bug>,
}

impl Bounds {
    /// Clusters in which members are removed for absence.
    pub fn absent() -> Self {
        Bounds {
            nodes: 3..=6,
            crowds: false,
            troubled: Duration::from_secs(90),
            settles: true,
            absent: true,
            ..Bounds::default()
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            nodes: 3..=7,
            crowds: true,
            troubled: Duration::from_secs(20),
            in_memory: false,
            settles: false,
            absent: false,
            bug: None,
        }
    }
}

/// The nodes of a large cluster: more than the bits of a small number, or a datagram's gossip names.
const CROWD: (u64, u64) = (17, 24);

/// What the server lets wait on one link.
pub const LINK_BYTES_MAX: usize = 8 << 20;

/// How nodes find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// By calls on the broadcast port only.
    Broadcast,
    /// By a list of the others' addresses only, as where no broadcast passes.
    Seeds,
    /// By both.
    Both,
}

/// What the network does to every packet when no fault is on.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The shortest way from one machine to another, in microseconds.
    pub delay_micros_min: u64,
    /// The longest way.
    pub delay_micros_max: u64,
    /// How many datagrams in a thousand are lost, and frames sent again.
    pub lost_permille: u64,
    /// Whether that goes on in the calm.
    pub is_calm_lossy: bool,
    /// How many datagrams in a thousand arrive twice.
    pub doubled_permille: u64,
    /// How many datagrams in a thousand take up to 50 ms more and so change places.
    pub late_permille: u64,
    /// How much waits to be sent on one link at most, until the calm.
    pub link_bytes_max: usize,
    /// How much one link carries.
    pub link_bytes_per_second: u64,
}

/// Everything that will happen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all of it comes from.
    pub seed: u64,
    /// How many machines there are.
    pub hosts: usize,
    /// How their nodes find each other.
    pub joining: Joining,
    /// Whether they share a secret.
    pub has_secret: bool,
    /// Whether their lists hold names instead of addresses.
    pub by_name: bool,
    /// How they use their disks.
    pub usage: Usage,
    /// How much each node takes at a time.
    pub limits: NodeLimits,
    /// How much each node's table holds until the calm.
    pub table: TableBounds,
    /// By how many milliseconds two machines' wall clocks differ at most.
    pub wall_skew_millis: u64,
    /// When each starts.
    pub starts: Vec<Time>,
    /// What the network is like.
    pub weather: Weather,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What clients ask for.
    pub requests: Vec<ClientRequest>,
    /// What clients ask beside that.
    pub questions: Vec<ClientQuestion>,
    /// Whether operators ask for settlements, in the calm too.
    pub settles: bool,
    /// Whether members that are away are removed.
    pub absent: bool,
    /// When all that can be mended is mended and clients fall silent.
    pub calm_at: Time,
    /// A bug planted in every node.
    pub bug: Option<Bug>,
}

impl Plan {
    /// Whether tables may be full.
    pub fn is_bounded(&self) -> bool {
        self.table != TableBounds::default()
    }

    /// Draws the plan of a seed.
    pub fn draw(seed: u64, bounds: &Bounds) -> Self {
        let mut chance = Chance::new(seed, Purpose::Cluster);
        let (fewest, most) = (*bounds.nodes.start() as u64, *bounds.nodes.end() as u64);
        let is_crowd = bounds.crowds && fewest < most && chance.permille(10);
        let (fewest, most) = if is_crowd { CROWD } else { (fewest, most) };
        let hosts = usize::try_from(chance.between(fewest, most)).unwrap_or(2).clamp(2, HOSTS_MAX);
        let calm_at = Time::ZERO + bounds.troubled;
        let joining = chance.pick(&[Joining::Broadcast, Joining::Seeds, Joining::Both]);
        // A far cluster, a near one, or one machine's loopback.
        let delay_micros_max = chance.pick(&[200, 2_000, 30_000]);
        let mut weather = Weather {
            delay_micros_min: 20,
            delay_micros_max,
            lost_permille: chance.below(20),
            is_calm_lossy: chance.permille(200),
            doubled_permille: chance.below(50),
            late_permille: chance.below(50),
            link_bytes_max: LINK_BYTES_MAX,
            link_bytes_per_second: chance.pick(&[200_000, 10_000_000, 100_000_000]),
        };
        let load = Load {
            requests: chance.between(50, 600),
            wide_counters: if chance.permille(100) { chance.between(1_000, 4_000) } else { 0 },
            many_counters: if chance.permille(300) { chance.between(20, 60) } else { 0 },
            to_the_edge: chance.permille(200),
        };
        // So little that a second of pushes fills it; but where a catch-up has many parts, those that
        // are on their way at a time fit, or none would ever end.
        let least = if load.wide_counters > 0 { 600 << 10 } else { 600 };
        weather.link_bytes_max = chance.pick(&[least, LINK_BYTES_MAX]);
        // Most clusters start together; some of their nodes come late.
        let starts: Vec<Time> = (0..hosts)
            .map(|_| match chance.permille(850) {
                true => Time::ZERO + chance.millis(0, 1_500),
                false => Time::ZERO + chance.micros(0, calm_at.as_micros() / 2),
            })
            .collect();
        let mut faults_chance = Chance::new(seed, Purpose::Faults);
        let mut workload_chance = Chance::new(seed, Purpose::Workload);
        let mut faults = faults::draw(hosts, Time::ZERO, calm_at, &mut faults_chance);
        let mut requests = workload::draw(hosts, Time::ZERO, calm_at, &load, &mut workload_chance);
        let mended = faults.iter().filter_map(|fault| Some((fault.until?, fault.kind.strikes())));
        let mended = mended.flat_map(|(at, hosts)| hosts.hosts().map(move |host| (at, host)));
        let struck: Vec<(Time, HostId)> =
            starts.iter().copied().zip(0..).chain(mended).filter(|(at, _)| *at < calm_at).collect();
        requests.extend(workload::draw_raises(&struck, &mut workload_chance));
        let mut endings_chance = Chance::new(seed, Purpose::Endings);
        let wall_skew_millis = endings_chance.pick(&[50, 2_000, WALL_SKEW_MILLIS_MAX]);
        requests.extend(endings::draw(hosts, calm_at, EPOCH_MILLIS, &mut endings_chance));
        requests.extend(endings::draw_behind(&struck, &mut endings_chance));
        requests.sort_by_key(|request| request.at);
        let mut usage = draw_usage(bounds, &mut Chance::new(seed, Purpose::Disks));
        if bounds.settles {
            // What a repaired directory has lost of votes is told to no peer.
            faults.retain(|fault| !matches!(fault.kind, FaultKind::BitRot(_)));
            // A fold waits for the snapshot that is being made.
            let is_wide = load.wide_counters > 0;
            usage.step_bytes = if is_wide { 64 << 10 } else { usage.step_bytes };
        }
        let (has_secret, by_name) = (chance.permille(300), chance.permille(300));
        let mut limits = draw_limits(&load, &mut chance);
        if bounds.absent {
            faults = splits::draw(hosts, calm_at, &mut Chance::new(seed, Purpose::Splits));
            usage.fsync = Fsync::Always;
        }
        let mut questions = inquiries::draw(hosts, calm_at, &mut workload_chance);
        if bounds.settles {
            let mut chance = Chance::new(seed, Purpose::Settlements);
            questions.extend(inquiries::draw_settlements(hosts, calm_at, &mut chance));
            questions.sort_by_key(|question| question.at);
            // In some plans nodes settle of their own accord as well.
            limits.settle_slots = chance.pick(&[1, 5, limits.settle_slots]);
            limits.settle_every = Duration::from_millis(chance.pick(&[2_000, 10_000, 600_000]));
        }
        Plan {
            seed,
            hosts,
            joining,
            has_secret,
            by_name,
            usage,
            limits,
            table: if bounds.absent {
                TableBounds::default()
            } else {
                draw_table(hosts, &mut chance)
            },
            wall_skew_millis,
            starts,
            weather,
            faults,
            requests,
            questions,
            settles: bounds.settles,
            absent: bounds.absent,
            calm_at,
            bug: bounds.bug,
        }
    }
}

/// Bounds so small that they are met, in some plans.
fn draw_limits(load: &Load, chance: &mut Chance) -> NodeLimits {
    let usual = NodeLimits::default();
    // Four parts take a way there and back, so a long table in very small ones would not be over in
    // the time that a mended cluster has.
    let part_bytes_min = if load.wide_counters > 0 { 16 << 10 } else { 100 };
    NodeLimits {
        removals: chance.pick(&[1, 2, usual.removals]),
        waits: chance.pick(&[1, 2, usual.waits]),
        raises: chance.pick(&[1, 2, usual.raises]),
        listings: chance.pick(&[1, 2, usual.listings]),
        window_bytes: chance.pick(&[100, 1 << 10, usual.window_bytes]),
        window_pushes: chance.pick(&[1, 4, usual.window_pushes]),
        part_bytes: chance.pick(&[part_bytes_min, 10 * part_bytes_min, usual.part_bytes]),
        record_bytes: chance.pick(&[60, 500, usual.record_bytes]),
        // What ends counters here are operations, each carried out anew by the simulator itself: it does not
        // know what a node takes away of its own accord.
        reaped_after: Duration::MAX,
        ..usual
    }
}

/// A table that is soon full, in some plans: of counters, of origins, or of both.
fn draw_table(hosts: usize, chance: &mut Chance) -> TableBounds {
    let usual = TableBounds::default();
    if !chance.permille(300) {
        return usual;
    }
    let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    TableBounds {
        counters: chance.pick(&[3, 5, 20, usual.counters]),
        origins: chance.pick(&[2, hosts, 2 * hosts, usual.origins]),
    }
}

/// Segments and snapshots so small that each comes many times in a run.
fn draw_usage(bounds: &Bounds, chance: &mut Chance) -> Usage {
    let fsync = match chance.below(10) {
        0..8 => Fsync::Always,
        8 => Fsync::Every,
        _ => Fsync::Never,
    };
    let segment_bytes_max = chance.pick(&[1 << 10, 8 << 10, 1 << 20]);
    let reserve_bytes = chance.pick(&[1, 700, 16 << 10]);
    Usage {
        in_memory: chance.permille(200) || bounds.in_memory,
        fsync,
        limits: Limits { segment_bytes_max, reserve_bytes },
        snapshot_every_bytes: chance.pick(&[1 << 10, 4 << 10, 32 << 10]),
        step_bytes: chance.pick(&[100, 1 << 10, 64 << 10]),
    }
}
