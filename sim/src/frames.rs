//! What was sent on each link and has not arrived: every frame arrives once, whole and in order, or
//! the link ends (rule `link-loses-nothing`).
//!
//! The links of a simulated machine stand for its server's. One that drops a frame and goes on
//! breaks no count for long, since gaps are noticed and asked for; only what a node receives
//! then, and when, is wrong. So it is judged where it happens.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use quipu_core::input::LinkId;

use crate::host::HostId;

/// One end of a link.
pub type End = (HostId, LinkId);

/// The frames under way on all links.
#[derive(Debug, Default)]
pub struct Frames {
    others: BTreeMap<End, End>,
    /// By the end that has sent them.
    under_way: BTreeMap<End, VecDeque<Bytes>>,
}

impl Frames {
    /// A link opens between two ends.
    pub fn opened(&mut self, one: End, other: End) {
        self.others.insert(one, other);
        self.others.insert(other, one);
    }

    /// A frame is sent from an end.
    pub fn sent(&mut self, from: End, frame: &Bytes) {
        // Behind the end of a link nothing arrives.
        if self.others.contains_key(&from) {
            self.under_way.entry(from).or_default().push_back(frame.clone());
        }
    }

    /// A frame arrives at an end: whether it is the one that was to come next.
    pub fn arrived(&mut self, at: End, frame: &Bytes) -> bool {
        let sent = self.others.get(&at).and_then(|from| self.under_way.get_mut(from));
        sent.and_then(VecDeque::pop_front).is_some_and(|next| next == *frame)
    }

    /// A link has ended for one of its ends: what the other sends does not arrive any more. What this
    /// one has sent before does.
    pub fn closed(&mut self, end: End) {
        if let Some(other) = self.others.remove(&end) {
            self.under_way.remove(&other);
            if !self.others.contains_key(&other) {
                self.under_way.remove(&end);
            }
        }
    }
}
