//! What disks keep of ends, held against what a start finds.

use quipu_core::counters::Counters;
use quipu_core::identity::OriginId;

use super::said::AllSaid;
use super::{Checked, Fault};
use crate::checker::Checker;
use crate::held::Held;
use crate::host::HostId;
use crate::recovery::Lineage;

impl Checker {
    /// Whether what a start finds was ever so, and has all that it claims.
    ///
    /// # Errors
    /// If it was not, or has not.
    pub(crate) fn recovered_endings<'a>(
        &self,
        host: HostId,
        written: impl Iterator<Item = &'a OriginId>,
        counters: &Counters,
        held: &AllSaid,
    ) -> Checked {
        let table = Held::new(self, counters);
        for origin in written {
            let Some(history) = self.histories.get(origin) else { continue };
            let version = table.written(*origin);
            for name in history.endings.names() {
                let truth = history.endings.said_at(name, version);
                let found = held.of(*origin, name);
                if found != truth {
                    let (origin, truth, found) = (*origin, truth.clone(), found.clone());
                    return Err(Fault::Mixed { origin, version, truth, found }.at(host, name));
                }
            }
        }
        self.check_claims(host, counters, held, "a start claims")
    }

    /// Whether all that was safe on a disk is there.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn kept_endings(
        &self,
        host: HostId,
        disk: &Lineage,
        counters: &Counters,
        held: &AllSaid,
    ) -> Checked {
        for (origin, version) in disk.kept() {
            let Some(history) = self.histories.get(&origin) else { continue };
            for name in history.endings.names() {
                let truth = history.endings.said_at(name, version);
                let found = held.of(origin, name);
                if !truth.is_within(found) {
                    let how = "a start has lost of";
                    let (truth, found) = (truth.clone(), found.clone());
                    let lost = Fault::Missing { how, origin, version, truth, found };
                    return Err(lost.at(host, name));
                }
            }
        }
        for (origin, name, truth) in disk.held_endings().iter() {
            let found = held.of(origin, name);
            if !truth.is_within(found) {
                let how = "a start has lost what it took of";
                let (truth, found) = (truth.clone(), found.clone());
                let version = Held::new(self, counters).known(origin);
                let lost = Fault::Missing { how, origin, version, truth, found };
                return Err(lost.at(host, name));
            }
        }
        Ok(())
    }
}
