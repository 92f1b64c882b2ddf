//! The ways in which a cluster can break its promises, in words that help to find out why.

use quipu_core::identity::{Address, NodeId, OriginId, Version};
use quipu_core::input::LinkId;
use quipu_core::membership::MembershipRecord;
use quipu_core::operation::Refusal;
use quipu_core::slot::Slot;
use quipu_core::storage::record::Start;

use crate::host::HostId;
use crate::world::Reason;

/// A broken promise, or a broken rule of the protocol that would break one later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A node holds more of an origin's slot than that origin had synced.
    #[error(
        "n{host} holds {held:?} of origin {origin} in {name}; that origin had synced {synced:?} \
         only: counted twice, invented, or shown before it was synced"
    )]
    Invented {
        /// Who holds it.
        host: HostId,
        /// Whose slot.
        origin: OriginId,
        /// Of which counter.
        name: String,
        /// What is held.
        held: Slot,
        /// The most that may be held.
        synced: Slot,
    },
    /// A node holds slots of an origin that nobody ever was.
    #[error("n{host} holds slots of origin {origin}, which no process ever had")]
    UnknownOrigin {
        /// Who holds it.
        host: HostId,
        /// Whose.
        origin: OriginId,
    },
    /// A number of a slot shrank while the process ran.
    #[error("n{host} held {before:?} of origin {origin} in {name}, and now {after:?}")]
    SlotShrank {
        /// Who holds it.
        host: HostId,
        /// Whose slot.
        origin: OriginId,
        /// Of which counter.
        name: String,
        /// What was held.
        before: Slot,
        /// What is held now.
        after: Slot,
    },
    /// A digest claims what is not there.
    #[error(
        "n{host} claims all of origin {origin} up to version {version}, by which {name} was \
         {truth:?}, but holds {held:?}"
    )]
    EmptyClaim {
        /// Who claims.
        host: HostId,
        /// Whose changes.
        origin: OriginId,
        /// Up to which version.
        version: Version,
        /// What is missing: the counter,
        name: String,
        /// what it was,
        truth: Slot,
        /// and what is held.
        held: Slot,
    },
    /// A digest claims a version that the origin has not synced.
    #[error("n{host} claims version {version} of origin {origin}, which had synced {synced}")]
    ClaimBeyondSync {
        /// Who claims.
        host: HostId,
        /// Whose changes.
        origin: OriginId,
        /// Up to which version.
        version: Version,
        /// How far the origin is.
        synced: Version,
    },
    /// An origin's own slot does not add up to what it was asked to do.
    #[error(
        "origin {origin} on n{host} holds {held:?} of its own in {name}: it acknowledged +{} -{} \
         and was asked for +{} -{}", .acknowledged.0, .acknowledged.1, .asked.0, .asked.1
    )]
    Miscounted {
        /// Where.
        host: HostId,
        /// Which origin.
        origin: OriginId,
        /// Which counter.
        name: String,
        /// What it holds.
        held: Slot,
        /// The least that it may hold: plus and minus.
        acknowledged: (u128, u128),
        /// The most.
        asked: (u128, u128),
    },
    /// A disk has lost what was safe on it.
    #[error(
        "a start of n{host} finds {found:?} of origin {origin} in {name}; it was {truth:?} at \
         version {version}, which was safe on that disk"
    )]
    Lost {
        /// Where.
        host: HostId,
        /// Whose changes.
        origin: OriginId,
        /// Up to which version they were safe.
        version: Version,
        /// What is missing: the counter,
        name: String,
        /// what it was,
        truth: Slot,
        /// and what was found.
        found: Slot,
    },
    /// A start finds a state that never was.
    #[error(
        "a start of n{host} finds origin {origin} at version {version}, and {found:?} of it in \
         {name}; at that version it was {truth:?}: a snapshot that its journal does not cover"
    )]
    Mixed {
        /// Where.
        host: HostId,
        /// Whose changes.
        origin: OriginId,
        /// The version that was found.
        version: Version,
        /// The counter,
        name: String,
        /// what it was then,
        truth: Slot,
        /// and what was found.
        found: Slot,
    },
    /// A crash has left what a start holds for damage.
    #[error("after {after}, n{host} does not start: {error}")]
    Damaged {
        /// Where.
        host: HostId,
        /// What happened before.
        after: &'static str,
        /// What the start said.
        error: String,
    },
    /// A reader saw a counter that is only added to go down.
    #[error(
        "a reader of n{host} saw {name} at {before}, and later expected {least} and saw {after}"
    )]
    WentDown {
        /// Where.
        host: HostId,
        /// Which counter.
        name: String,
        /// What it saw before.
        before: i128,
        /// The least that it may see.
        least: i128,
        /// What it saw.
        after: i128,
    },
    /// A value is not what the slots add up to, or a reply is not the value.
    #[error(
        "n{host} replied {replied} for {name}; its slots add up to {sum}, its value is {value}"
    )]
    NotTheSum {
        /// Where.
        host: HostId,
        /// Which counter.
        name: String,
        /// What its slots add up to.
        sum: i128,
        /// What the table says that its value is.
        value: i128,
        /// What a client is told.
        replied: i128,
    },
    /// A raise was granted by a node that was behind.
    #[error("n{host} granted a raise though it is known to be behind: {reason:?}")]
    RaisedBehind {
        /// Where.
        host: HostId,
        /// In what way.
        reason: Reason,
    },
    /// A raise was acknowledged and the value is below what was asked.
    #[error("n{host} acknowledged a raise of {name} to {to}, and the value is {value}")]
    RaiseFellShort {
        /// Where.
        host: HostId,
        /// Which counter.
        name: String,
        /// What was asked.
        to: i64,
        /// What it is.
        value: i128,
    },
    /// A reply that does not fit its request.
    #[error("n{host} answered request {token} with {found} results where {expected} were asked")]
    StrangeReply {
        /// Where.
        host: HostId,
        /// Which request.
        token: u64,
        /// How many results it has.
        found: usize,
        /// How many it must have.
        expected: usize,
    },
    /// An operation was refused without a reason.
    #[error("n{host} refused an operation on {name} that it must take: {refusal}")]
    Refused {
        /// Where.
        host: HostId,
        /// Which counter.
        name: String,
        /// What it said.
        refusal: Refusal,
    },
    /// A question was answered with what is not so.
    #[error("n{host} was asked {asked}, and told {told}")]
    WrongAnswer {
        /// Where.
        host: HostId,
        /// What it was asked.
        asked: String,
        /// What is wrong with the answer.
        told: String,
    },
    /// A running node did not answer.
    #[error("n{host} has not answered request {token} after {millis} ms, though it runs")]
    Unanswered {
        /// Where.
        host: HostId,
        /// Which request.
        token: u64,
        /// For how long.
        millis: u128,
    },
    /// A record of a removal or a registration is not what it was.
    #[error("n{host} held a record of node {node}, and it says less or is gone: lost {when}")]
    StandingLost {
        /// Where.
        host: HostId,
        /// Whose record.
        node: NodeId,
        /// How.
        when: &'static str,
    },
    /// A removal or a registration that no operator asked for.
    #[error("n{host} holds a record that no operator asked for: {record:?}")]
    StandingInvented {
        /// Where.
        host: HostId,
        /// The record.
        record: MembershipRecord,
    },
    /// A node is another one than its disk says.
    #[error("n{host} lives as node {node}, though its disk is that of {before:?}")]
    IdentityLost {
        /// Where.
        host: HostId,
        /// The last id that was safe on its disk, and those that may have been written since.
        before: Vec<NodeId>,
        /// The id now.
        node: NodeId,
    },
    /// A start is not later than an earlier one.
    #[error("n{host} starts as node {node} with boot {boot}, after one with boot {before}")]
    BootWentBack {
        /// Where.
        host: HostId,
        /// As whom.
        node: NodeId,
        /// The boot of an earlier start.
        before: u64,
        /// The boot of this one.
        boot: u64,
    },
    /// A disk does not tell of the last start that was written on it.
    #[error("the disk of n{host} tells of {found:?} as the last start, expected {expected}")]
    StartForgotten {
        /// Where.
        host: HostId,
        /// What it tells.
        found: Option<Start>,
        /// What it should.
        expected: String,
    },
    /// A removal was acknowledged, and its node is still a member.
    #[error("n{host} was asked to remove n{removed}, said that it has, and still lists it")]
    RemovalIgnored {
        /// Who was asked.
        host: HostId,
        /// Whom.
        removed: HostId,
    },
    /// A link stands to a node that was removed, or from one that knows that it was.
    #[error("n{host} has a link to {address}, though {why}")]
    LinkOutlived {
        /// Who has it.
        host: HostId,
        /// To whom.
        address: String,
        /// Which of the two was removed.
        why: &'static str,
    },
    /// What a removed node counts has reached a member, or the other way.
    #[error("n{at} counted while n{removed} is removed, and n{seen} shows it")]
    PassedARemoval {
        /// Where it was counted.
        at: HostId,
        /// Who is removed.
        removed: HostId,
        /// Where it was seen.
        seen: HostId,
    },
    /// The nodes did not come to the same counts.
    #[error("{seconds} s after all was mended, counts differ: {difference}")]
    Apart {
        /// How long.
        seconds: u64,
        /// In what.
        difference: String,
    },
    /// A node does not list the others.
    #[error("{seconds} s after all was mended, n{host} lists {listed:?}, expected {expected:?}")]
    Lists {
        /// How long.
        seconds: u64,
        /// Who.
        host: HostId,
        /// What it lists.
        listed: Vec<String>,
        /// What it should.
        expected: Vec<String>,
    },
    /// In a calm cluster an increment took too long to be seen by all.
    #[error("in calm, an increment on n{at} was not on n{missing} within {millis} ms")]
    Slow {
        /// Where it was made.
        at: HostId,
        /// Where it was not seen.
        missing: HostId,
        /// For how long.
        millis: u128,
    },
    /// In a calm cluster a raise did not bring the value to what was asked.
    #[error(
        "in calm, n{at} was asked to raise the value to {to}: {millis} ms later n{host} shows {value}"
    )]
    RaiseMissed {
        /// Which node was asked.
        at: HostId,
        /// For which value.
        to: i128,
        /// Which node shows another.
        host: HostId,
        /// What it shows.
        value: i128,
        /// After how long.
        millis: u128,
    },
    /// A node sent a frame that no receiver takes.
    #[error("n{host} sent a frame of {bytes} bytes on link {link}, which takes {most} at most")]
    FrameTooLong {
        /// Who.
        host: HostId,
        /// On which link.
        link: LinkId,
        /// How long.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// A frame was lost on a link that stands.
    #[error("a frame to n{host} did not arrive, and link {link} brought a later one")]
    FrameLost {
        /// To whom it was sent.
        host: HostId,
        /// On which link, as it names it.
        link: LinkId,
    },
    /// A node sent a datagram that would be fragmented.
    #[error("n{host} sent a datagram of {bytes} bytes, expected {most} at most")]
    DatagramTooLong {
        /// Who.
        host: HostId,
        /// How long.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// A node broke off a link because another, honest node broke the protocol.
    #[error("n{host} ended a link to an honest node: {reason}")]
    ProtocolBroken {
        /// Who.
        host: HostId,
        /// Why.
        reason: String,
    },
    /// A node dials where nobody is.
    #[error("n{host} dials {address}, an address of no machine")]
    StrangeDial {
        /// Who.
        host: HostId,
        /// Where.
        address: Address,
    },
    /// A node's deadline stays in the past.
    #[error("n{host} woke {wakes} times in a second for nothing: its deadline does not advance")]
    Spins {
        /// Who.
        host: HostId,
        /// How often.
        wakes: u64,
    },
    /// The nodes talk without end.
    #[error("{events} events within one second: the nodes flood each other")]
    Storm {
        /// How many.
        events: u64,
    },
    /// A node panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}
