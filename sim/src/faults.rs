//! What goes wrong, and when: a schedule drawn from the seed.
//!
//! Each seed uses only some kinds of faults, and those more often: a cluster that suffers
//! everything at once gets to do so little that deep states are never reached (Groce, Zhang,
//! Eide, Chen, Regehr: "Swarm testing", ISSTA 2012). Faults are values with a beginning and an
//! end, so that a failing schedule can be made smaller by leaving some out.

use std::fmt;
use std::time::Duration;

use quipu_core::time::Time;

use crate::chance::Chance;
use crate::host::HostId;

/// How many machines a simulated cluster has at most: sets of them are the bits of one number.
pub const HOSTS_MAX: usize = 32;

/// A set of machines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HostSet(u32);

impl HostSet {
    /// The set of one machine.
    pub fn one(host: HostId) -> Self {
        HostSet(1 << host)
    }

    /// Whether a machine is in it.
    pub fn contains(self, host: HostId) -> bool {
        self.0 & (1 << host) != 0
    }

    /// The set of the first `hosts` machines.
    fn all(hosts: usize) -> Self {
        HostSet(u32::try_from((1u64 << hosts) - 1).unwrap_or(u32::MAX))
    }

    /// The machines in it.
    pub fn hosts(self) -> impl Iterator<Item = HostId> {
        (0..HOSTS_MAX).filter(move |host| self.contains(*host))
    }

    /// Whether the two have a machine in common.
    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Some of `hosts` machines, not none and not all. There must be two at least.
    pub(crate) fn some(hosts: usize, chance: &mut Chance) -> Self {
        let all = (1u64 << hosts) - 1;
        HostSet(u32::try_from(chance.between(1, all - 1)).unwrap_or(1))
    }
}

impl fmt::Debug for HostSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hosts()).finish()
    }
}

/// A kind of fault and whom it befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing passes between these machines and the others.
    Partition(HostSet),
    /// Nothing passes from these machines to the others; the other way all does.
    OneWay(HostSet),
    /// Nothing passes between two machines.
    Cut(HostId, HostId),
    /// Nothing passes from the first machine to the second.
    CutOneWay(HostId, HostId),
    /// So many in a thousand of all packets are lost; links stall for retransmission.
    Loss(u64),
    /// Between two machines all is late and little passes.
    Thin(HostId, HostId),
    /// All connections between two machines are reset.
    Break(HostId, HostId),
    /// A process stands still and then handles in a burst what has come.
    Pause(HostId),
    /// A process is killed; its machine's kernel closes its connections. It starts again when the
    /// fault ends.
    Kill(HostId),
    /// A machine loses power: its peers are not notified. It starts again when the fault ends.
    PowerCut(HostId),
    /// A process is asked to stop, and starts again when the fault ends.
    Stop(HostId),
    /// A machine's clock runs at so many parts per million of the true rate.
    Clock(HostId, u64),
    /// A machine's wall clock is set by so many milliseconds. Its process is killed before, and
    /// starts again when the fault ends.
    ClockSet(HostId, i64),
    /// A machine's monotonic clock leaps ahead by so many milliseconds.
    Leap(HostId, u64),
    /// A stranger who has listened to all sends datagrams to a machine: replayed, foreign, forged.
    Stranger(HostId),
    /// A process is killed, and starts at another address when the fault ends.
    Moved(HostId),
    /// Two processes are killed, and start at each other's address when the fault ends.
    Swapped(HostId, HostId),
    /// Syncs take long.
    SlowDisk(HostId),
    /// Nothing that is asked of a disk ends; the process runs on.
    HungDisk(HostId),
    /// These machines lose power at once, and start again when the fault ends.
    Blackout(HostSet),
    /// A machine loses power in the middle of what it does to its files, after so many more
    /// operations. It starts again when the fault ends.
    CutInWrite(HostId, u64),
    /// The next sync of a file fails. The process ends, and is started again soon.
    FailedSync(HostId),
    /// A machine's disk is full. The process ends at its next write, and starts in vain until the
    /// fault ends.
    FullDisk(HostId),
    /// A machine's files are copied, and put back when the fault ends, in place of those that are
    /// there then.
    OldCopy(HostId),
    /// The first machine's files are copied, as they are while it runs, in place of the second's,
    /// whose process is killed before and started when the fault ends.
    CopiedDisk(HostId, HostId),
    /// A process is killed, and a bit of a machine's files flips. It starts again when the fault ends,
    /// or is refused and repaired.
    BitRot(HostId),
    /// An operator at the second machine removes the first from the cluster, and registers it
    /// again when the fault ends; if it never does, only after all has been judged without it.
    Remove(HostId, HostId),
}

/// How many kinds there are.
pub const KINDS: usize = 27;

impl FaultKind {
    /// Its name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Partition(_) => "partitions",
            FaultKind::OneWay(_) => "one-way partitions",
            FaultKind::Cut(..) => "cuts",
            FaultKind::CutOneWay(..) => "one-way cuts",
            FaultKind::Loss(_) => "losses",
            FaultKind::Thin(..) => "thin lines",
            FaultKind::Break(..) => "link resets",
            FaultKind::Pause(_) => "pauses",
            FaultKind::Kill(_) => "kills",
            FaultKind::PowerCut(_) => "power cuts",
            FaultKind::Stop(_) => "stops",
            FaultKind::Clock(..) => "clock drifts",
            FaultKind::ClockSet(..) => "wall clocks set",
            FaultKind::Leap(..) => "clock leaps",
            FaultKind::HungDisk(_) => "hung disks",
            FaultKind::Stranger(_) => "strangers",
            FaultKind::Moved(_) => "moves to another address",
            FaultKind::Swapped(..) => "swapped addresses",
            FaultKind::SlowDisk(_) => "slow disks",
            FaultKind::Remove(..) => "removals",
            FaultKind::Blackout(_) => "blackouts",
            FaultKind::CutInWrite(..) => "power cuts in a write",
            FaultKind::FailedSync(_) => "failed syncs",
            FaultKind::FullDisk(_) => "full disks",
            FaultKind::OldCopy(_) => "old copies put back",
            FaultKind::BitRot(_) => "flipped bits",
            FaultKind::CopiedDisk(..) => "copies of a running node's disk",
        }
    }

    /// The machines that this fault keeps from running as they should, if not all are hit alike.
    pub fn strikes(self) -> HostSet {
        match self {
            FaultKind::Pause(host)
            | FaultKind::Kill(host)
            | FaultKind::PowerCut(host)
            | FaultKind::Stop(host)
            | FaultKind::CutInWrite(host, _)
            | FaultKind::FailedSync(host)
            | FaultKind::FullDisk(host)
            | FaultKind::OldCopy(host)
            | FaultKind::BitRot(host)
            | FaultKind::CopiedDisk(_, host)
            | FaultKind::ClockSet(host, _)
            | FaultKind::Moved(host)
            | FaultKind::Remove(host, _) => HostSet::one(host),
            FaultKind::Swapped(a, b) => HostSet(HostSet::one(a).0 | HostSet::one(b).0),
            FaultKind::Blackout(hosts) => hosts,
            _ => HostSet(0),
        }
    }

    /// Whether a machine runs nothing until this fault ends.
    pub fn keeps_down(self, host: HostId) -> bool {
        match self {
            FaultKind::Kill(_)
            | FaultKind::PowerCut(_)
            | FaultKind::Stop(_)
            | FaultKind::Blackout(_)
            | FaultKind::ClockSet(..)
            | FaultKind::Moved(_)
            | FaultKind::Swapped(..)
            | FaultKind::BitRot(_)
            | FaultKind::CopiedDisk(..) => self.strikes().contains(host),
            _ => false,
        }
    }

    /// Whether it involves a machine beyond the first `hosts`.
    pub fn is_beyond(self, hosts: usize) -> bool {
        match self {
            FaultKind::Loss(_)
            | FaultKind::Partition(_)
            | FaultKind::OneWay(_)
            | FaultKind::Blackout(_) => false,
            FaultKind::Cut(a, b)
            | FaultKind::CutOneWay(a, b)
            | FaultKind::Thin(a, b)
            | FaultKind::Break(a, b)
            | FaultKind::Swapped(a, b)
            | FaultKind::CopiedDisk(a, b)
            | FaultKind::Remove(a, b) => a.max(b) >= hosts,
            FaultKind::Pause(host)
            | FaultKind::Kill(host)
            | FaultKind::PowerCut(host)
            | FaultKind::Stop(host)
            | FaultKind::Clock(host, _)
            | FaultKind::ClockSet(host, _)
            | FaultKind::Leap(host, _)
            | FaultKind::Stranger(host)
            | FaultKind::Moved(host)
            | FaultKind::CutInWrite(host, _)
            | FaultKind::FailedSync(host)
            | FaultKind::FullDisk(host)
            | FaultKind::OldCopy(host)
            | FaultKind::BitRot(host)
            | FaultKind::HungDisk(host)
            | FaultKind::SlowDisk(host) => host >= hosts,
        }
    }
}

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub at: Time,
    /// When it ends; `None` for what is never mended.
    pub until: Option<Time>,
    /// What it is.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Time| time.since(Time::ZERO).as_secs_f64();
        write!(f, "{:8.3} s to ", seconds(self.at))?;
        match self.until {
            Some(until) => write!(f, "{:8.3} s", seconds(until))?,
            None => f.write_str("the end   ")?,
        }
        write!(f, "  {:?}", self.kind)
    }
}

/// Draws what goes wrong between `from` and `calm_at`, when all is mended.
pub fn draw(hosts: usize, from: Time, calm_at: Time, chance: &mut Chance) -> Vec<Fault> {
    let span = calm_at.since(from);
    let used: Vec<u64> = (0..KINDS as u64).filter(|_| chance.permille(400)).collect();
    if used.is_empty() || hosts < 2 {
        return Vec::new();
    }
    // One fault for every one to three seconds.
    let seconds = span.as_secs().max(1);
    let count = chance.between(seconds / 3, seconds);
    let mut faults: Vec<Fault> = Vec::new();
    let mut gone_for_ever = 0;
    for _ in 0..count {
        let at = from + within(span, chance);
        let length = match chance.below(10) {
            0..5 => chance.millis(50, 2_000),
            5..8 => chance.millis(2_000, 6_000),
            _ => chance.millis(6_000, 15_000),
        };
        let kind = one(chance.pick(&used), hosts, chance);
        let mut until = Some((at + length).min(calm_at));
        let is_crash = matches!(kind, FaultKind::Kill(_) | FaultKind::PowerCut(_));
        // Two machines stay, so that a node has a peer to agree with.
        let is_removal = matches!(kind, FaultKind::Remove(..));
        let stays = (is_crash && chance.permille(150)) || (is_removal && chance.permille(300));
        if stays && gone_for_ever + 2 < hosts {
            gone_for_ever += 1;
            until = None;
        }
        let fault = Fault { at, until, kind };
        if !faults.iter().any(|other| collides(other, &fault)) {
            faults.push(fault);
        }
    }
    // A machine whose disk is copied gives its removal away with its id, and may take it back with
    // the copy's. One whose disk loses its id may come back under another one.
    let out = kept_out(&faults);
    let gives_away = |kind| match kind {
        FaultKind::CopiedDisk(a, b) => out.contains(a) || out.contains(b),
        FaultKind::BitRot(host) => out.contains(host),
        _ => false,
    };
    faults.retain(|fault| !gives_away(fault.kind));
    // The address of a removed node is removed as well, and so is the node that comes to live there.
    if faults.iter().any(|fault| matches!(fault.kind, FaultKind::Remove(..))) {
        faults.retain(|fault| !matches!(fault.kind, FaultKind::Swapped(..)));
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// The machines whose nodes are removed and not registered again.
pub fn kept_out(faults: &[Fault]) -> HostSet {
    let kinds = faults.iter().filter(|fault| fault.until.is_none()).map(|fault| fault.kind);
    let out = kinds.filter(|kind| matches!(kind, FaultKind::Remove(..)));
    HostSet(out.fold(0, |set, kind| set | kind.strikes().0))
}

fn within(span: Duration, chance: &mut Chance) -> Duration {
    chance.micros(0, u64::try_from(span.as_micros()).unwrap_or(u64::MAX) - 1)
}

/// A machine suffers one fate at a time, and one removal is repaired before the next.
pub(crate) fn collides(one: &Fault, other: &Fault) -> bool {
    let same = match (one.kind, other.kind) {
        (FaultKind::Remove(..), FaultKind::Remove(..)) => true,
        _ => one.kind.strikes().meets(other.kind.strikes()),
    };
    let before = |a: &Fault, b: &Fault| a.until.is_some_and(|until| until < b.at);
    same && !before(one, other) && !before(other, one)
}

fn one(kind: u64, hosts: usize, chance: &mut Chance) -> FaultKind {
    let a = chance.index(hosts);
    let b = (a + 1 + chance.index(hosts - 1)) % hosts;
    match kind {
        0 => FaultKind::Partition(HostSet::some(hosts, chance)),
        1 => FaultKind::OneWay(HostSet::some(hosts, chance)),
        2 => FaultKind::Cut(a, b),
        3 => FaultKind::CutOneWay(a, b),
        4 => FaultKind::Loss(chance.pick(&[50, 300, 300, 600])),
        5 => FaultKind::Thin(a, b),
        6 => FaultKind::Break(a, b),
        7 => FaultKind::Pause(a),
        8 => FaultKind::Kill(a),
        9 => FaultKind::PowerCut(a),
        10 => FaultKind::Stop(a),
        11 => FaultKind::Clock(a, chance.between(900_000, 1_100_000)),
        12 => FaultKind::SlowDisk(a),
        13 => FaultKind::Remove(a, b),
        14 if chance.permille(500) => FaultKind::Blackout(HostSet::all(hosts)),
        14 => FaultKind::Blackout(HostSet::some(hosts, chance)),
        15 => FaultKind::CutInWrite(a, chance.between(1, 60)),
        16 => FaultKind::FailedSync(a),
        17 => FaultKind::FullDisk(a),
        18 => FaultKind::OldCopy(a),
        19 => FaultKind::CopiedDisk(b, a),
        20 => FaultKind::ClockSet(a, clock_error(chance)),
        21 => FaultKind::Leap(a, chance.between(10, 10_000)),
        22 => FaultKind::Moved(a),
        23 => FaultKind::Swapped(a, b),
        24 => FaultKind::Stranger(a),
        25 => FaultKind::HungDisk(a),
        _ => FaultKind::BitRot(a),
    }
}

/// By how many milliseconds a wall clock is set: an hour or ten years, ahead or back.
fn clock_error(chance: &mut Chance) -> i64 {
    let most = chance.pick(&[3_600_000, 315_000_000_000]);
    let by = i64::try_from(chance.between(1, most)).unwrap_or(1);
    if chance.permille(500) { -by } else { by }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Purpose;

    #[test]
    fn every_fault_ends_before_the_calm_unless_a_machine_dies_and_two_never_do() {
        let calm_at = Time::from_micros(20_000_000);
        for seed in 0..300 {
            let hosts = 3 + usize::try_from(seed % 5).unwrap();
            let mut chance = Chance::new(seed, Purpose::Faults);
            let faults = draw(hosts, Time::from_micros(2_000_000), calm_at, &mut chance);
            let dead = faults.iter().filter(|fault| fault.until.is_none()).count();
            assert!(dead + 2 <= hosts, "seed {seed}: {faults:?}");
            assert!(faults.iter().all(|f| f.until.is_none_or(|until| until <= calm_at)));
            assert!(faults.iter().all(|f| !f.kind.is_beyond(hosts)));
        }
    }

    #[test]
    fn all_kinds_of_faults_are_drawn() {
        let mut names: Vec<&str> = (0..100)
            .flat_map(|seed| {
                let mut chance = Chance::new(seed, Purpose::Faults);
                draw(5, Time::ZERO, Time::from_micros(20_000_000), &mut chance)
            })
            .map(|fault| fault.kind.name())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS, "{names:?}");
    }
}
