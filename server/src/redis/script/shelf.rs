//! Scripts that were sent once, by their SHA-1.
//!
//! `EVALSHA` saves a client to send its script each time. One that is not here any more is answered
//! `NOSCRIPT`, on which clients send it anew: so what has not been used for longest may go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha1::{Digest, Sha1};
use tokio::sync::Semaphore;

use super::budget::Kills;
use super::shebang::{self, Flags};
use crate::redis::question::AskedOfShelf;
use crate::redis::reply;

/// Most scripts that are kept, and most bytes of them: an application has a dozen of a kilobyte each,
/// and a hundred applications may share a node. Redis keeps all, and grows.
const SCRIPTS_MAX: usize = 1000;
const BYTES_MAX: usize = 8 << 20;

/// Most scripts that run at once, each in up to 16 MiB of memory (`budget`): there are as many threads
/// as processors that do something, but a script that looks at counters waits for a sync now and then.
pub(super) const RUNNING_MAX: usize = 8;

/// Scripts that look at the same counter take turns. So many turns there are: collisions between
/// counters make scripts wait that need not, and each takes some 40 bytes.
const TURNS: usize = 256;

/// A script by its name.
pub(in crate::redis) type Sha = [u8; 20];

/// A script that can be run.
#[derive(Debug)]
pub(in crate::redis) struct Script {
    /// In hexadecimal, as errors tell it.
    pub(in crate::redis) sha: String,
    /// What Lua reads of it: from the end of the first line on, if that says what it needs.
    pub(super) source: Bytes,
    pub(super) flags: Flags,
}

#[derive(Debug)]
struct Kept {
    script: Arc<Script>,
    used: u64,
}

#[derive(Debug, Default)]
struct Shelved {
    scripts: HashMap<Sha, Kept>,
    bytes: usize,
    uses: u64,
}

/// All scripts of a node, and what those that run share.
#[derive(Debug)]
pub(in crate::redis) struct Shelf {
    shelved: Mutex<Shelved>,
    pub(super) running: AtomicUsize,
    pub(super) kills: Arc<Kills>,
    pub(super) threads: Semaphore,
    pub(super) turns: Vec<tokio::sync::Mutex<()>>,
}

impl Default for Shelf {
    fn default() -> Self {
        Shelf {
            shelved: Mutex::default(),
            running: AtomicUsize::new(0),
            kills: Arc::default(),
            threads: Semaphore::new(RUNNING_MAX),
            turns: std::iter::repeat_with(Default::default).take(TURNS).collect(),
        }
    }
}

impl Shelf {
    /// A script that was sent; the error is what its client is told.
    pub(super) fn script(&self, body: &[u8]) -> Result<Arc<Script>, Vec<u8>> {
        let sha = sha(body);
        if let Some(script) = self.find(&sha) {
            return Ok(script);
        }
        let (flags, first_line) = shebang::read(body)?;
        let source = Bytes::copy_from_slice(&body[first_line..]);
        Ok(Arc::new(Script { sha: hex(&sha), source, flags }))
    }

    /// A script that was kept, by its name in hexadecimal.
    pub(in crate::redis) fn named(&self, name: &[u8]) -> Option<Arc<Script>> {
        self.find(&unhex(name)?)
    }

    fn find(&self, sha: &Sha) -> Option<Arc<Script>> {
        let mut shelved = self.lock();
        shelved.uses += 1;
        let uses = shelved.uses;
        let kept = shelved.scripts.get_mut(sha)?;
        kept.used = uses;
        Some(Arc::clone(&kept.script))
    }

    /// Keeps a script that was found to be one.
    pub(super) fn keep(&self, script: &Arc<Script>) {
        let Some(sha) = unhex(script.sha.as_bytes()) else { return };
        let mut shelved = self.lock();
        if shelved.scripts.contains_key(&sha) || script.source.len() > BYTES_MAX {
            return;
        }
        while shelved.scripts.len() >= SCRIPTS_MAX
            || shelved.bytes + script.source.len() > BYTES_MAX
        {
            let oldest = shelved.scripts.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(sha, _)| *sha) else { break };
            if let Some(gone) = shelved.scripts.remove(&oldest) {
                shelved.bytes -= gone.script.source.len();
            }
        }
        shelved.uses += 1;
        shelved.bytes += script.source.len();
        let kept = Kept { script: Arc::clone(script), used: shelved.uses };
        shelved.scripts.insert(sha, kept);
    }

    /// Answers what needs no script to run.
    pub(in crate::redis) fn answer(&self, asked: &AskedOfShelf, out: &mut Vec<u8>) {
        match asked {
            AskedOfShelf::Exist(names) => {
                reply::array(out, names.len());
                for name in names {
                    reply::integer(out, i64::from(self.named(name).is_some()));
                }
            }
            AskedOfShelf::Flush => {
                self.flush();
                reply::simple(out, "OK");
            }
            AskedOfShelf::Kill if self.kill() => reply::simple(out, "OK"),
            AskedOfShelf::Kill => {
                reply::error(out, b"NOTBUSY No scripts in execution right now.");
            }
        }
    }

    /// Forgets all of them. Those that run go on.
    fn flush(&self) {
        let mut shelved = self.lock();
        shelved.scripts = HashMap::new();
        shelved.bytes = 0;
    }

    /// Ends the scripts that run; false if none does.
    fn kill(&self) -> bool {
        self.kills.kill();
        self.running.load(Relaxed) > 0
    }

    fn lock(&self) -> MutexGuard<'_, Shelved> {
        // No thread that holds it fails half way.
        self.shelved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn sha(bytes: &[u8]) -> Sha {
    Sha1::digest(bytes).into()
}

pub(super) fn hex(sha: &Sha) -> String {
    sha.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(name: &[u8]) -> Option<Sha> {
    let mut sha = [0; 20];
    if name.len() != 2 * sha.len() {
        return None;
    }
    for (byte, digits) in sha.iter_mut().zip(name.chunks(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(shelf: &Shelf, body: &str) -> String {
        let script = shelf.script(body.as_bytes()).unwrap();
        shelf.keep(&script);
        script.sha.clone()
    }

    #[test]
    fn a_script_is_found_by_its_name_in_either_case_until_all_are_forgotten() {
        let shelf = Shelf::default();
        let name = kept(&shelf, "return 1");
        assert_eq!(name, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert!(shelf.named(name.to_uppercase().as_bytes()).is_some());
        assert!(shelf.named(b"e0").is_none() && shelf.named(&[b'z'; 40]).is_none());
        shelf.flush();
        assert!(shelf.named(name.as_bytes()).is_none());
    }

    #[test]
    fn the_shelf_is_bounded_and_what_was_not_used_for_longest_goes() {
        let shelf = Shelf::default();
        let first = kept(&shelf, "return 0");
        let second = kept(&shelf, "return 1");
        for n in 2..SCRIPTS_MAX {
            kept(&shelf, &format!("return {n}"));
        }
        assert!(shelf.named(first.as_bytes()).is_some(), "it is used");
        kept(&shelf, "return 'one more'");
        assert!(shelf.named(first.as_bytes()).is_some());
        assert!(shelf.named(second.as_bytes()).is_none());
        let long = kept(&shelf, &format!("return '{}'", "x".repeat(BYTES_MAX - 9)));
        assert!(shelf.named(long.as_bytes()).is_some());
        assert!(shelf.named(first.as_bytes()).is_none(), "there was no room left");
        assert!(shelf.lock().bytes <= BYTES_MAX);
    }
}
