//! What nodes reply to clients, held against the table that it was read from.
//!
//! A counter's value is what its slots add up to: that is added up here once more, slot by slot. Where
//! a counter only grows, a reply lies between what the table showed before its batch and what it
//! shows when the batch is closed; where a batch took one input, its reply is what the table shows.

use std::collections::BTreeMap;

use quipu_core::counters::{Bounds, Counters};
use quipu_core::effect::Effect;
use quipu_core::identity::OriginId;
use quipu_core::operation::Refusal;

use crate::checker::Checker;
use crate::endings::reference::Seen;
use crate::endings::workload::{may_end, waits_while_behind};
use crate::settlements::Families;
use crate::violation::Violation;
use crate::workload::only_grows;

/// What the slots of a counter add up to, as far as no cover has taken it away; 0 if it has expired.
pub(crate) fn sum_of_slots(counters: &Counters, name: &str, families: &Families) -> i128 {
    if may_end(name) {
        let is_there = counters.existing(name).is_some();
        return if is_there { Seen::read(counters, name, families).value() } else { 0 };
    }
    let (mut sum, mut raise) = (0, 0);
    for view in counters.slots_of(name) {
        let numbers = view.slot.numbers();
        sum += i128::from(numbers.plus) - i128::from(numbers.minus);
        raise = raise.max(numbers.raise);
    }
    sum + i128::from(raise)
}

impl Checker {
    /// Whether a process has not answered yet to a raise, a set or a delete.
    pub fn is_asked_for_a_raise(&self, origin: OriginId) -> bool {
        self.asked_of(origin).any(|ops| ops.iter().any(waits_while_behind))
    }

    /// Whether one of these effects grants a raise, a set or a delete.
    pub fn grants_a_raise(&self, effects: &[Effect]) -> bool {
        effects.iter().any(|effect| match effect {
            Effect::Reply { token, results, .. } => {
                let mut asked = self.ops_of(*token).iter().zip(results);
                asked.any(|(op, result)| waits_while_behind(op) && result.is_ok())
            }
            _ => false,
        })
    }

    /// The replies of a batch that has just been closed; `is_alone` if it took one input at most.
    ///
    /// # Errors
    /// If a value is not what the slots add up to, a reply says more than them, or a counter is refused
    /// though there is room or it has its place.
    pub fn look_at_replies(
        &self,
        origin: OriginId,
        counters: &Counters,
        effects: &[Effect],
        is_alone: bool,
        bounds: Bounds,
    ) -> Result<(), Box<Violation>> {
        let Some(history) = self.histories.get(&origin) else { return Ok(()) };
        let (host, families) = (history.host, self.settlements.families());
        let is_reply = |effect: &&Effect| matches!(effect, Effect::Reply { .. });
        // Raises that wait are answered together once they may be.
        let is_exact = is_alone && effects.iter().filter(is_reply).count() == 1;
        for effect in effects {
            let Effect::Reply { token, results, .. } = effect else { continue };
            let mut last: BTreeMap<&str, i128> = BTreeMap::new();
            for (op, result) in self.ops_of(*token).iter().zip(results) {
                let name = op.name().as_str();
                match result {
                    Ok(outcome) => {
                        last.insert(name, outcome.value.0);
                    }
                    Err(refusal @ Refusal::TooManyCounters(_)) => {
                        let is_full = counters.names() >= bounds.counters as usize;
                        if !is_full || counters.existing(name).is_some() {
                            let (name, refusal) = (name.to_owned(), *refusal);
                            return Err(Box::new(Violation::Refused { host, name, refusal }));
                        }
                    }
                    Err(_) => {}
                }
            }
            for (name, replied) in last {
                let (sum, value) = (sum_of_slots(counters, name, families), counters.value(name).0);
                let is_beyond = only_grows(name) && replied > sum;
                // What is over may be added to and not be taken away, where nothing may be covered.
                let is_exact = is_exact && !(may_end(name) && counters.covers_nothing());
                if value != sum || is_beyond || (is_exact && replied != sum) {
                    let name = name.to_owned();
                    return Err(Box::new(Violation::NotTheSum { host, name, sum, value, replied }));
                }
            }
        }
        Ok(())
    }
}
