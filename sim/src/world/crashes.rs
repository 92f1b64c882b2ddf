//! Crashes of the plan, and those that do not happen.
//!
//! Moments between operations on files are kept as crash images, the image loses power, and what
//! a start would find there is held against the promises. So every run tries hundreds of crashes
//! at little cost.

use quipu_core::identity::OriginId;
use quipu_core::storage;
use quipu_core::storage::read::ReadError;
use quipu_core::storage::state::Recovered;

use super::stage::Stage;
use crate::chance::{Chance, Purpose};
use crate::directory::Directory;
use crate::disk::Fsync;
use crate::host::{Host, HostId};
use crate::plan::Plan;
use crate::violation::Violation;

/// How many crash images in a thousand show a killed process, and not a power cut.
const KILLED_PERMILLE: u64 = 200;

/// What chance makes of files in a crash.
#[derive(Debug)]
pub(super) struct Crashes {
    chance: Chance,
}

impl Crashes {
    pub(super) fn new(plan: &Plan) -> Self {
        Crashes { chance: Chance::new(plan.seed, Purpose::Crashes) }
    }

    /// A machine's disk loses what was not synced.
    pub(super) fn lose_power(&mut self, machine: &mut Host) {
        machine.disk.directory.lose_power(&mut self.chance);
    }

    /// A bit flips on a machine's disk: where, if there is any file.
    pub(super) fn rot(&mut self, machine: &mut Host) -> Option<String> {
        machine.disk.directory.rot(&mut self.chance)
    }

    /// Looks what crashes at the moments kept would have left.
    pub(super) fn look_at_images(
        &mut self,
        host: HostId,
        machine: &mut Host,
        stage: &mut Stage<'_>,
    ) {
        for mut image in machine.disk.directory.take_crash_images() {
            let survives = stage.plan.usage.fsync == Fsync::Always;
            if self.chance.permille(KILLED_PERMILLE) {
                look_into(host, &image, survives, "a kill", stage);
            } else {
                image.lose_power(&mut self.chance);
                look_into(host, &image, survives, "a power cut", stage);
            }
        }
    }
}

/// Looks what a power cut right after a start would leave. Rule `sync-the-tail-before-showing-it`:
/// from here on others see what was found, so a power cut must not take it back.
pub(super) fn look_behind_a_start(host: HostId, machine: &mut Host, stage: &mut Stage<'_>) {
    let mut image = machine.disk.directory.crash_image();
    image.lose_all_that_may_be_lost();
    look_into(host, &image, true, "a start and a power cut", stage);
}

/// Looks what a start would find in a directory.
fn look_into(
    host: HostId,
    files: &Directory,
    survives: bool,
    after: &'static str,
    stage: &mut Stage<'_>,
) {
    if stage.plan.usage.in_memory {
        return;
    }
    stage.work.crashes_tried += 1;
    let mut state = Recovered::new(OriginId(0), 0);
    match storage::check(files, &mut state) {
        Ok(_) => {
            let found = stage.judge.checker.recovered(host, &state, survives);
            stage.check(found);
        }
        Err(error) => stage.fail(damaged(host, after, &error)),
    }
}

pub(super) fn damaged(host: HostId, after: &'static str, error: &ReadError) -> Violation {
    Violation::Damaged { host, after, error: error.to_string() }
}
