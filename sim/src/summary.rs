//! What a run, or many, have done: a simulator that tests nothing would pass, too.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::checker::Tally;
use crate::host::{Host, Process};

/// The work of one run.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// How much virtual time went by.
    pub virtual_time: Duration,
    /// What nodes replied to clients.
    pub tally: Tally,
    /// The names of the faults, in the order in which they befell.
    pub faults: Vec<&'static str>,
    /// Questions answered.
    pub answers: u64,
    /// Batches closed.
    pub batches: u64,
    /// Datagrams sent.
    pub datagrams: u64,
    /// Datagrams that found a full socket.
    pub datagrams_overflown: u64,
    /// Datagrams of strangers.
    pub strange_datagrams: u64,
    /// Frames sent.
    pub frames: u64,
    /// Bytes journaled.
    pub journal_bytes: u64,
    /// Syncs of journals.
    pub syncs: u64,
    /// Snapshots that took the place of older segments.
    pub snapshots: u64,
    /// Starts that found something on their disk.
    pub recoveries: u64,
    /// Starts that found a torn tail, and cut it.
    pub torn_tails: u64,
    /// Starts that found sound records that were not known to be synced, and kept them.
    pub tails_kept: u64,
    /// Directories that were repaired.
    pub repaired: u64,
    /// Crashes that did not happen: what a start would have found after them.
    pub crashes_tried: u64,
    /// Starts of processes.
    pub origins: usize,
    /// How many of these still ran at the end.
    pub origins_running: usize,
    /// Repairs by fingerprint.
    pub repairs: u64,
    /// Deltas that came beyond a gap.
    pub gaps: u64,
    /// Catch-ups asked for.
    pub catch_ups: u64,
    /// Links that ended because there was no room for a frame.
    pub links_overflown: u64,
    /// Links established, counted at both ends.
    pub links: u64,
}

impl Work {
    /// Adds what a machine's disk was used for, and what its process, if one runs, has counted.
    pub fn add_machine(&mut self, machine: &Host) {
        let disk = machine.disk.work();
        self.journal_bytes += disk.journal_bytes;
        self.syncs += disk.syncs;
        self.snapshots += disk.snapshots;
        self.add_totals(machine.process.as_ref());
    }

    /// Adds what a process counted of its own work.
    pub fn add_totals(&mut self, process: Option<&Process>) {
        if let Some(process) = process {
            let totals = process.node.totals();
            self.repairs += totals.repairs;
            self.gaps += totals.gaps;
            self.catch_ups += totals.catch_ups_asked;
            self.links += totals.links_established;
        }
    }
}

/// How long a cluster took to come together once all was mended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Convergence {
    /// Until all counts were equal.
    pub counts: Duration,
    /// Until all lists were complete as well.
    pub lists: Duration,
}

/// The work of many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    runs: u64,
    total: Work,
    faults: BTreeMap<&'static str, u64>,
    traces: u64,
    counts: Vec<(Duration, u64)>,
    lists: Vec<(Duration, u64)>,
}

impl Summary {
    /// Adds a run that kept every promise, and the hash of its trace.
    pub fn add(&mut self, seed: u64, work: &Work, convergence: Convergence, trace: u64) {
        self.runs += 1;
        self.traces = self.traces.rotate_left(1) ^ trace;
        for fault in &work.faults {
            *self.faults.entry(fault).or_default() += 1;
        }
        self.counts.push((convergence.counts, seed));
        self.lists.push((convergence.lists, seed));
        let total = &mut self.total;
        total.virtual_time += work.virtual_time;
        total.tally.acknowledged += work.tally.acknowledged;
        total.tally.unanswered += work.tally.unanswered;
        total.tally.refused += work.tally.refused;
        total.answers += work.answers;
        total.batches += work.batches;
        total.datagrams += work.datagrams;
        total.datagrams_overflown += work.datagrams_overflown;
        total.strange_datagrams += work.strange_datagrams;
        total.frames += work.frames;
        total.journal_bytes += work.journal_bytes;
        total.syncs += work.syncs;
        total.snapshots += work.snapshots;
        total.recoveries += work.recoveries;
        total.torn_tails += work.torn_tails;
        total.tails_kept += work.tails_kept;
        total.repaired += work.repaired;
        total.crashes_tried += work.crashes_tried;
        total.origins += work.origins;
        total.origins_running += work.origins_running;
        total.repairs += work.repairs;
        total.gaps += work.gaps;
        total.catch_ups += work.catch_ups;
        total.links += work.links;
        total.links_overflown += work.links_overflown;
    }

    /// How many increments were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.total.tally.acknowledged
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        let tally = &total.tally;
        writeln!(
            f,
            "{} runs kept every promise: {:.0} virtual seconds, {} starts of nodes, {} of which \
             were ended",
            self.runs,
            total.virtual_time.as_secs_f64(),
            total.origins,
            total.origins - total.origins_running,
        )?;
        writeln!(
            f,
            "  increments      {} acknowledged, {} never answered, {} operations refused; {} questions \
             answered",
            tally.acknowledged, tally.unanswered, tally.refused, total.answers
        )?;
        writeln!(
            f,
            "  work            {} batches, {} journal bytes, {} datagrams ({} found a full \
             socket) and {} of strangers, {} frames, {} link ends, {} \
             links overflown",
            total.batches,
            total.journal_bytes,
            total.datagrams,
            total.datagrams_overflown,
            total.strange_datagrams,
            total.frames,
            total.links,
            total.links_overflown
        )?;
        writeln!(
            f,
            "  mending         {} catch-ups, {} deltas beyond a gap, {} repairs by fingerprint",
            total.catch_ups, total.gaps, total.repairs
        )?;
        writeln!(
            f,
            "  disks           {} syncs, {} snapshots, {} recoveries ({} cut a torn tail, {} kept \
             one that was not synced), {} repairs of damage, {} more crashes tried beside the run",
            total.syncs,
            total.snapshots,
            total.recoveries,
            total.torn_tails,
            total.tails_kept,
            total.repaired,
            total.crashes_tried
        )?;
        let faults: Vec<String> =
            self.faults.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(f, "  faults          {}", faults.join(", "))?;
        writeln!(f, "  counts equal    {}", spread(&self.counts))?;
        writeln!(f, "  lists complete  {}", spread(&self.lists))?;
        write!(f, "  traces          {:016x}, the same whenever these seeds are run", self.traces)
    }
}

fn spread(times: &[(Duration, u64)]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    let (Some(middle), Some((longest, seed))) = (times.get(times.len() / 2), times.last()) else {
        return "never".to_owned();
    };
    format!(
        "{:.1} s after the last fault (median), {:.1} s at most (seed {seed})",
        middle.0.as_secs_f64(),
        longest.as_secs_f64()
    )
}
