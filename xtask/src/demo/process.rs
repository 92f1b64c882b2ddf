//! A program that runs beside the demo, and ends with it.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How long it may take to end when asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);

pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Process)
    }

    /// Stops it in mid-air.
    pub(super) fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Sends a signal to a process that has not been waited for, whose pid is therefore its own.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        // One that is frozen would not hear that it shall end.
        let _ = self.thaw();
        let _ = self.signal(Signal::TERM);
        if wait::poll(STOP_GRACE, || self.ended().is_some()).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
