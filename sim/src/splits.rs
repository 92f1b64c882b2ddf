//! What goes wrong for so long that members are removed for absence: splits into halves and thirds that
//! heal, and machines that are away.

use std::time::Duration;

use quipu_core::time::Time;

use crate::chance::Chance;
use crate::faults::{self, Fault, FaultKind, HostSet};

/// After this time members that are away are removed: so short that a run holds several removals.
pub const REMOVED_AFTER: Duration = Duration::from_secs(12);

/// A split that shall outlast it: that a member is away is seen after some five seconds, and a removal
/// is agreed to within two calls.
const SPLIT_MILLIS: (u64, u64) = (14_000, 40_000);

/// Draws what goes wrong until `calm_at`.
pub(crate) fn draw(hosts: usize, calm_at: Time, chance: &mut Chance) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut at = Time::ZERO + chance.millis(3_000, 9_000);
    while at < calm_at {
        let until = Some((at + chance.millis(SPLIT_MILLIS.0, SPLIT_MILLIS.1)).min(calm_at));
        let kind = match chance.below(10) {
            0..6 => FaultKind::Partition(HostSet::some(hosts, chance)),
            6 => FaultKind::PowerCut(chance.index(hosts)),
            7 => FaultKind::Kill(chance.index(hosts)),
            8 => FaultKind::Stop(chance.index(hosts)),
            _ => FaultKind::Pause(chance.index(hosts)),
        };
        add(&mut faults, Fault { at, until, kind });
        if matches!(kind, FaultKind::Partition(_)) && chance.permille(300) {
            // Into thirds; the later cut moves some from one side to the other.
            let at = at + chance.millis(0, 14_000);
            let kind = FaultKind::Partition(HostSet::some(hosts, chance));
            let until = Some((at + chance.millis(SPLIT_MILLIS.0, SPLIT_MILLIS.1)).min(calm_at));
            if at < calm_at {
                add(&mut faults, Fault { at, until, kind });
            }
        }
        at = at + chance.millis(2_000, 30_000);
    }
    for _ in 0..chance.below(24) {
        let at = Time::ZERO + chance.micros(0, calm_at.as_micros());
        let until = Some((at + chance.millis(50, 3_000)).min(calm_at));
        let (a, b) = (chance.index(hosts), chance.index(hosts));
        let kind = match chance.below(7) {
            0 => FaultKind::Kill(a),
            1 => FaultKind::PowerCut(a),
            2 => FaultKind::Pause(a),
            3 => FaultKind::Leap(a, chance.between(10, 10_000)),
            4 => FaultKind::Clock(a, chance.between(900_000, 1_100_000)),
            5 => FaultKind::HungDisk(a),
            _ if a != b => FaultKind::Cut(a, b),
            _ => FaultKind::SlowDisk(a),
        };
        add(&mut faults, Fault { at, until, kind });
    }
    if hosts > 3 && chance.permille(300) {
        let at = Time::ZERO + chance.micros(0, calm_at.as_micros());
        add(&mut faults, Fault { at, until: None, kind: FaultKind::Kill(chance.index(hosts)) });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn add(faults: &mut Vec<Fault>, fault: Fault) {
    if !faults.iter().any(|other| faults::collides(other, &fault)) {
        faults.push(fault);
    }
}
