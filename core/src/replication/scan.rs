//! Walking the table for a peer that asked, in bounded steps while the node goes on serving.
//!
//! A range selects slots by `version > after` alone, also those changed beyond `upto` (rule
//! `select-by-after-alone`), and `upto` is our digest when the scan begins (rule
//! `claim-the-beginning`): what changes while it runs is in later versions, which later ranges
//! hold. Each step yields deltas that claim nothing; the last one claims all ranges.

use crate::counters::Counters;
use crate::counters::slots::HeldSlot;
use crate::delta::{CHANGE_BYTES_MAX, Change, Delta, ENDING_BYTES_MAX};
use crate::digest::Want;
use crate::identity::{OriginId, Version};

/// A walk over the table under way.
#[derive(Debug)]
pub struct Scan {
    wants: Vec<Wanted>,
    /// By place of the origin: where in `wants` it stands, counted from 1; 0 if it is not wanted.
    wanted: Vec<u16>,
    at: usize,
    /// Slots of the counter at that place which are told already.
    slots_told: usize,
    /// What is told already of what the next slot's origin has said about the counter's end.
    endings_told: usize,
    /// Counters that were added later hold nothing up to any `upto`.
    end: usize,
    /// See [`Counters::losses`] and [`Counters::moves`].
    losses: u64,
    moves: u64,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    origin: OriginId,
    /// The lowest version that is wanted.
    lowest: Version,
    after: Version,
    upto: Version,
}

impl Scan {
    /// Begins a scan for these wants, each origin at most once.
    pub fn new(counters: &Counters, wants: &[Want]) -> Self {
        let wants: Vec<Wanted> = wants
            .iter()
            // Who asks for more than a frame holds is answered as far as they can be numbered.
            .take(usize::from(u16::MAX))
            .map(|want| {
                let upto = counters.known(want.origin).version;
                let lowest = want.after.map_or(0, |after| after.saturating_add(1));
                // Who claims to be beyond us gets an empty range, not one that runs backwards.
                let after = want.after.unwrap_or(0).min(upto);
                Wanted { origin: want.origin, lowest, after, upto }
            })
            .collect();
        let (losses, moves) = (counters.losses(), counters.moves());
        let (at, slots_told, endings_told, end) = (0, 0, 0, counters.places_end());
        let wanted = Vec::new();
        let mut scan = Scan { wants, wanted, at, slots_told, endings_told, end, losses, moves };
        scan.find_places(counters);
        scan
    }

    /// Looks where the origins stand that are wanted.
    fn find_places(&mut self, counters: &Counters) {
        self.wanted = vec![0; counters.origin_places()];
        for (want, number) in self.wants.iter().zip(1..) {
            if let Some(index) = counters.index_of(want.origin) {
                self.wanted[index as usize] = number;
            }
        }
    }

    /// Settlements fold rows while the walk goes on: a row that has lost slots is told anew, and what
    /// has gone is not claimed (rule `gone-for-good`).
    fn follow(&mut self, counters: &Counters) {
        if std::mem::replace(&mut self.losses, counters.losses()) != counters.losses() {
            (self.slots_told, self.endings_told) = (0, 0);
        }
        if std::mem::replace(&mut self.moves, counters.moves()) != counters.moves() {
            self.find_places(counters);
        }
    }

    /// Which want a slot falls under, if its version is wanted.
    fn want(&self, held: &HeldSlot) -> Option<usize> {
        let number = self.wanted.get(held.origin as usize).copied().unwrap_or(0);
        let want = usize::from(number).checked_sub(1)?;
        (held.version >= self.wants[want].lowest).then_some(want)
    }

    /// Walks on until some `bytes` are gathered or so many counters and slots passed; a counter
    /// of many slots may be left in the middle. The deltas of the last step, and only they, claim
    /// their ranges; `true` beside them says that it is the last.
    pub fn step<'a>(
        &mut self,
        counters: &'a Counters,
        bytes: usize,
        passed_max: usize,
    ) -> (Vec<Delta<'a>>, bool) {
        self.follow(counters);
        let mut changes: Vec<Vec<Change<'a>>> = vec![Vec::new(); self.wants.len()];
        let (mut gathered, mut passed) = (0, 0);
        while self.at < self.end
            && gathered < bytes
            && passed < passed_max
            && let Some((at, name, slots)) = counters.slots_from(self.at)
        {
            // Places between are vacant, and none of them was told half.
            self.at = at;
            if at >= self.end {
                break;
            }
            passed += usize::from(slots.is_empty());
            // Slots that come meanwhile stand behind those that are told, but for our own, which
            // sends the first one there; it is of a later version than any that is claimed.
            for held in slots.from(self.slots_told).iter() {
                if gathered >= bytes || passed >= passed_max {
                    break;
                }
                passed += 1;
                if let Some(want) = self.want(&held) {
                    let from = std::mem::take(&mut self.endings_told);
                    if from == 0 {
                        changes[want].push(Change::slot(name, held.slot()));
                        gathered += name.len() + CHANGE_BYTES_MAX;
                    }
                    let ended = counters.ended_at(self.at).into_iter();
                    #[cfg(feature = "planted-bugs")]
                    let ended =
                        ended.filter(|_| counters.bug != Some(crate::bug::Bug::ScanForgetsEndings));
                    let mut rest = ended.flat_map(|ended| ended.endings_of(held.origin, from));
                    // One at least, so that the walk goes on.
                    let most = (bytes.saturating_sub(gathered) / ENDING_BYTES_MAX).max(1);
                    let some: Vec<_> = rest.by_ref().take(most).collect();
                    gathered += some.len() * (name.len() + ENDING_BYTES_MAX);
                    passed += some.len();
                    if rest.next().is_some() {
                        self.endings_told = from + some.len();
                    }
                    changes[want]
                        .extend(some.into_iter().map(|ending| Change::Ending { name, ending }));
                    if self.endings_told > 0 {
                        break;
                    }
                }
                self.slots_told += 1;
            }
            if self.slots_told >= slots.len() {
                self.at += 1;
                self.slots_told = 0;
            } else if self.endings_told > 0 {
                break;
            }
        }
        if counters.slots_from(self.at).is_none() {
            self.at = self.end;
        }
        let last = self.at >= self.end;
        #[cfg(feature = "planted-bugs")]
        if last && counters.bug == Some(crate::bug::Bug::ClaimsTheEnd) {
            for want in &mut self.wants {
                want.upto = counters.known(want.origin).version;
            }
        }
        let deltas = self
            .wants
            .iter()
            .zip(changes)
            .filter(|(_, changes)| last || !changes.is_empty())
            .map(|(want, changes)| Delta {
                origin: want.origin,
                after: if last && !counters.is_unserved(want.origin) {
                    want.after
                } else {
                    want.upto
                },
                upto: want.upto,
                changes,
            })
            .collect();
        (deltas, last)
    }
}
