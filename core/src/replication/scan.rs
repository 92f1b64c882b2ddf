//! Walking the table for a peer that asked, in bounded steps while the node goes on serving.
//!
//! A range selects slots by `version > after` alone, also those changed beyond `upto` (rule
//! `select-by-after-alone`), and `upto` is our digest when the scan begins (rule
//! `claim-the-beginning`): what changes while it runs is in later versions, which later ranges
//! hold. Each step yields deltas that claim nothing; the last one claims all ranges.

use crate::counters::Counters;
use crate::delta::{Delta, ENTRY_BYTES_MAX, Entry};
use crate::digest::Want;
use crate::identity::{OriginId, Version};

/// A walk over the table under way.
#[derive(Debug)]
pub struct Scan {
    wants: Vec<Wanted>,
    /// By place of the origin: the lowest version that is wanted, and where in `wants` it stands.
    from: Vec<(Version, u32)>,
    at: usize,
    /// Counters that were added later hold nothing up to any `upto`.
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    origin: OriginId,
    after: Version,
    upto: Version,
}

const UNWANTED: (Version, u32) = (Version::MAX, 0);

impl Scan {
    /// Begins a scan for these wants, each origin at most once.
    pub fn new(counters: &Counters, wants: &[Want]) -> Self {
        let mut from = vec![UNWANTED; counters.origins()];
        let wants: Vec<Wanted> = wants
            .iter()
            .enumerate()
            .map(|(at, want)| {
                let upto = counters.known(want.origin).version;
                if let Some(index) = counters.index_of(want.origin) {
                    let lowest = want.after.map_or(0, |after| after.saturating_add(1));
                    from[index as usize] = (lowest, u32::try_from(at).unwrap_or(u32::MAX));
                }
                // Who claims to be beyond us gets an empty range, not one that runs backwards.
                let after = want.after.unwrap_or(0).min(upto);
                Wanted { origin: want.origin, after, upto }
            })
            .collect();
        Scan { wants, from, at: 0, end: counters.len() }
    }

    /// Walks on until some `bytes` are gathered or `places` counters passed. The deltas of the
    /// last step, and only they, claim their ranges; `true` beside them says that it is the last.
    pub fn step<'a>(
        &mut self,
        counters: &'a Counters,
        bytes: usize,
        places: usize,
    ) -> (Vec<Delta<'a>>, bool) {
        let mut entries: Vec<Vec<Entry<'a>>> = vec![Vec::new(); self.wants.len()];
        let mut gathered = 0;
        let stop = self.end.min(self.at.saturating_add(places));
        while self.at < stop && gathered < bytes {
            let Some((name, slots)) = counters.slots_at(self.at) else { break };
            for held in slots {
                let (lowest, want) =
                    self.from.get(held.origin as usize).copied().unwrap_or(UNWANTED);
                if held.version >= lowest {
                    entries[want as usize].push(Entry::new(name, held.slot()));
                    gathered += name.len() + ENTRY_BYTES_MAX;
                }
            }
            self.at += 1;
        }
        let last = self.at >= self.end;
        let deltas = self
            .wants
            .iter()
            .zip(entries)
            .filter(|(_, entries)| last || !entries.is_empty())
            .map(|(want, entries)| Delta {
                origin: want.origin,
                after: if last { want.after } else { want.upto },
                upto: want.upto,
                entries,
            })
            .collect();
        (deltas, last)
    }
}
