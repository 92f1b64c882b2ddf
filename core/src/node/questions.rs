//! What clients and operators ask beside operations: each question goes to the room that knows its
//! answer.

use super::Node;
use super::requests::REQUEST_OPS_MAX;
use crate::counters::SlotView;
use crate::counters::order::Window;
use crate::effect::Effect;
use crate::identity::{Address, OriginId, Version};
use crate::input::Token;
use crate::outbox::Effects;
use crate::query::{
    Await, Busy, List, Look, Looked, Origins, Query, Question, Scan, Scanned, Settle, Share, Size,
};
use crate::time::Time;

/// Most names that one step of a scan has.
pub const SCAN_NAMES_MAX: usize = 10_000;

/// The answer to a question, once it is safe.
fn answer<Q: Question>(token: Token, answer: Q::Answer, effects: &mut Effects) {
    effects.after_sync.push(Effect::Answer { token, answer: Q::answer(answer) });
}

impl Node {
    /// Answers a question, or has it wait.
    pub(super) fn query(&mut self, now: Time, token: Token, query: Query, effects: &mut Effects) {
        match query {
            Query::Size(Size) => answer::<Size>(token, self.counters.sizes(), effects),
            Query::Scan(scan) => answer::<Scan>(token, self.scan(scan), effects),
            Query::Origins(origins) => {
                answer::<Origins>(token, self.shares(&origins), effects);
            }
            Query::List(List { prefix, after, limit }) => {
                let window = Window { prefix, after, limit };
                if !self.order.ask(token, window, &self.counters) {
                    answer::<List>(token, Err(Busy), effects);
                }
            }
            Query::Look(look) => answer::<Look>(token, self.look(&look), effects),
            Query::Await(asked) => self.await_peers(now, token, asked, effects),
            Query::Register(asked) => self.register(now, token, &asked.peer, effects),
            Query::Remove(asked) => self.remove(now, token, &asked.peer, effects),
            Query::Settle(Settle) => {
                let takes_part = self.ask_to_settle();
                answer::<Settle>(token, takes_part, effects);
            }
        }
    }

    fn scan(&self, Scan { from, count }: Scan) -> Scanned {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let count = count.clamp(1, SCAN_NAMES_MAX);
        let (names, next) = self.counters.names_from(from, count);
        #[cfg(feature = "planted-bugs")]
        let next = next.map(|next| next + usize::from(self.has(crate::bug::Bug::ScanSkips)));
        Scanned { names, next: next.map_or(0, |next| next as u64) }
    }

    /// What is seen of counters, told at once: it may leave the process with the reply to a request
    /// that is handed in behind it, and not before (rule `publish-after-sync`).
    pub fn look(&self, Look { names }: &Look) -> Looked {
        debug_assert!(names.len() <= REQUEST_OPS_MAX, "{} names", names.len());
        Looked { now_ms: self.counters.wall_clock(), sights: self.counters.sights(names) }
    }

    fn shares(&self, Origins { name }: &Origins) -> Vec<Share> {
        let share = |view: SlotView<'_>| Share {
            origin: view.origin,
            address: self.address_of(view.origin),
            slot: view.slot,
            left: view.left,
            version: view.version,
        };
        self.counters.slots_of(name.as_str()).map(share).collect()
    }

    fn address_of(&self, origin: OriginId) -> Option<Address> {
        let me = self.peers.me();
        std::iter::once(me)
            .chain(self.peers.up())
            .find(|identity| identity.origin == origin)
            .map(|identity| identity.address.clone())
    }

    fn await_peers(&mut self, now: Time, token: Token, asked: Await, effects: &mut Effects) {
        #[cfg(feature = "planted-bugs")]
        let asked = match self.has(crate::bug::Bug::WaitCountsLinks) {
            true => Await { version: 0, ..asked },
            false => asked,
        };
        let confirmations = self.confirmations();
        if let Some(confirmed) = self.waiters.take(now, token, &asked, &confirmations) {
            #[cfg(feature = "planted-bugs")]
            if self.has(crate::bug::Bug::WaitEndsAll)
                && matches!(confirmed, crate::query::Confirmed::TooManyWait(_))
            {
                for token in self.waiters.take_all() {
                    answer::<Await>(token, crate::query::Confirmed::Waited(0), effects);
                }
            }
            answer::<Await>(token, confirmed, effects);
        }
    }

    /// What each member that is up has confirmed.
    fn confirmations(&self) -> Vec<Version> {
        self.replication.confirmations(|node| self.peers.up_member(node).is_some())
    }

    /// Answers clients that need not wait for confirmations any longer.
    pub(super) fn answer_waiters(&mut self, now: Time, effects: &mut Effects) {
        if self.waiters.is_empty() {
            return;
        }
        for (token, confirmed) in self.waiters.take_due(now, &self.confirmations()) {
            answer::<Await>(token, confirmed, effects);
        }
    }
}
