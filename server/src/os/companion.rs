//! A thread that is kept on the processor of the one that it works for.
//!
//! Two threads that take turns do so cheapest on one processor, where the one that goes to sleep
//! makes room for the other. The scheduler rather wakes the second one on an idle processor, which
//! must first be brought out of its sleep, and again on the way back.

/// Another thread's hold on the one that made this value.
#[derive(Debug)]
pub(crate) struct Companion {
    thread: system::Thread,
    /// Where the thread was put last.
    processor: Option<usize>,
    /// Whether the system has refused to put it anywhere: it then stays where the scheduler puts it.
    is_refused: bool,
}

impl Companion {
    /// A hold on the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        Companion { thread: system::this_thread(), processor: None, is_refused: false }
    }

    /// Puts the thread on the caller's processor, where it stays until this is called on another
    /// one. Costs a few nanoseconds if both are there already, else a system call.
    pub(crate) fn join_me(&mut self) {
        let here = system::processor();
        if self.is_refused || self.processor == here {
            return;
        }
        if let Some(here) = here {
            if let Err(error) = system::put(self.thread, here) {
                self.is_refused = true;
                tracing::debug!("a thread stays where the system puts it: {error}");
            }
            self.processor = Some(here);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use rustix::thread::{CpuSet, Pid, gettid, sched_getcpu, sched_setaffinity};

    pub(super) type Thread = Pid;

    pub(super) fn this_thread() -> Thread {
        gettid()
    }

    pub(super) fn processor() -> Option<usize> {
        Some(sched_getcpu()).filter(|processor| *processor < CpuSet::MAX_CPU)
    }

    pub(super) fn put(thread: Thread, processor: usize) -> io::Result<()> {
        let mut only = CpuSet::new();
        only.set(processor);
        Ok(sched_setaffinity(Some(thread), &only)?)
    }
}

/// Elsewhere threads are the scheduler's alone.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    pub(super) type Thread = ();

    pub(super) fn this_thread() -> Thread {}

    pub(super) fn processor() -> Option<usize> {
        None
    }

    pub(super) fn put((): Thread, _: usize) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};

    use super::*;

    #[test]
    fn a_companion_is_put_on_the_processor_of_the_thread_that_calls_it() {
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        let other = thread::spawn(move || {
            tell.send((Companion::of_this_thread(), gettid())).unwrap();
            let _ = ended.recv();
        });
        let (mut companion, its_id) = told.recv().unwrap();
        let allowed = sched_getaffinity(None).unwrap();
        let processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
        for processor in processors {
            let mut here = CpuSet::new();
            here.set(processor);
            sched_setaffinity(None, &here).unwrap();
            companion.join_me();
            assert_eq!(sched_getaffinity(Some(its_id)).unwrap(), here);
        }
        drop(end);
        other.join().unwrap();
    }

    #[test]
    fn a_companion_that_has_ended_is_left_alone() {
        let mut companion = thread::spawn(Companion::of_this_thread).join().unwrap();
        // The system may still know it for a moment.
        while !companion.is_refused {
            companion.processor = None;
            companion.join_me();
        }
    }
}
