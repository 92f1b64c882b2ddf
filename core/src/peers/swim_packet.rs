//! What a message of the membership protocol says, before foca sees it.
//!
//! foca knows nothing of removals. So its packets are read here first: who sends, whom the gossip
//! is about. What concerns removed nodes is taken out, and the rest written anew.
//!
//! ```text
//! packet  header (postcard) | number of updates u16 BE | updates (postcard)
//! ```

use std::borrow::Cow;

use foca::{Header, Member, Message, State};

use crate::identity::Identity;

/// A packet, read.
pub(super) struct SwimPacket<'a> {
    bytes: &'a [u8],
    header: Header<Identity>,
    /// Where the updates begin, if there are any.
    body: Option<usize>,
    updates: Vec<Member<Identity>>,
}

/// Whether gossip says that a node is down.
pub(super) struct IsDown(pub(super) bool);

/// Reads a packet; `None` if it is none, or from or for an identity that no node can have.
pub(super) fn parse(bytes: &[u8]) -> Option<SwimPacket<'_>> {
    let (header, rest) = postcard::take_from_bytes::<Header<Identity>>(bytes).ok()?;
    if !(header.src.is_sane() && header.dst.is_sane()) {
        return None;
    }
    let at = bytes.len() - rest.len();
    if rest.is_empty() {
        return Some(SwimPacket { bytes, header, body: None, updates: Vec::new() });
    }
    let (count, mut rest) = rest.split_at_checked(2)?;
    let count = u16::from_be_bytes([count[0], count[1]]);
    let mut updates = Vec::new();
    for _ in 0..count {
        let (member, after) = postcard::take_from_bytes::<Member<Identity>>(rest).ok()?;
        updates.push(member);
        rest = after;
    }
    rest.is_empty().then_some(SwimPacket { bytes, header, body: Some(at), updates })
}

impl<'a> SwimPacket<'a> {
    /// Who sent it.
    pub(super) fn sender(&self) -> &Identity {
        &self.header.src
    }

    /// Whether it says no more than that its sender holds the receiver for down.
    pub(super) fn is_obituary(&self) -> bool {
        matches!(self.header.message, Message::TurnUndead)
    }

    /// Whether it answers an announcement.
    pub(super) fn is_feed(&self) -> bool {
        matches!(self.header.message, Message::Feed)
    }

    /// The newest incarnation of `me` that the sender knows of, if it is newer than `me`.
    pub(super) fn newer_incarnation_of(&self, me: &Identity) -> Option<&Identity> {
        self.updates
            .iter()
            .map(Member::id)
            .chain([&self.header.dst])
            .filter(|id| id.node == me.node && id.order() > me.order() && id.is_sane())
            .max_by_key(|id| id.order())
    }

    /// The packet without gossip about removed nodes, or such as is not welcome; `None` if it is about
    /// a removed one altogether, or about an identity that no node can have.
    pub(super) fn without(
        &self,
        is_removed: impl Fn(&Identity) -> bool,
        mut is_welcome: impl FnMut(&Identity, IsDown) -> bool,
    ) -> Option<Cow<'a, [u8]>> {
        let about = match &self.header.message {
            Message::PingReq { target, .. } | Message::IndirectAck { target, .. } => Some(target),
            Message::IndirectPing { origin, .. } | Message::ForwardedAck { origin, .. } => {
                Some(origin)
            }
            _ => None,
        };
        if about.is_some_and(|id| is_removed(id) || !id.is_sane()) {
            return None;
        }
        let Some(body) = self.body else { return Some(Cow::Borrowed(self.bytes)) };
        let is_kept = |member: &&Member<Identity>| {
            let is_down = IsDown(member.state() == State::Down);
            !is_removed(member.id()) && is_welcome(member.id(), is_down)
        };
        let kept: Vec<&Member<Identity>> = self.updates.iter().filter(is_kept).collect();
        if kept.len() == self.updates.len() {
            return Some(Cow::Borrowed(self.bytes));
        }
        let mut packet = self.bytes[..body].to_vec();
        packet.extend_from_slice(&u16::try_from(kept.len()).ok()?.to_be_bytes());
        for member in kept {
            packet = postcard::to_extend(member, packet).ok()?;
        }
        Some(Cow::Owned(packet))
    }
}
