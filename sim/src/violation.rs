//! The ways in which a cluster can break its promises, in words that help to find out why.

use quipu_core::identity::{Address, NodeId, OriginId, Version};
use quipu_core::input::LinkId;
use quipu_core::membership::MembershipRecord;
use quipu_core::operation::Refusal;
use quipu_core::slot::Slot;
use quipu_core::storage::record::Start;

use crate::absences::Fault as AbsenceFault;
use crate::endings::Fault;
use crate::host::HostId;
use crate::settlements::Fault as SettlementFault;
use crate::world::Reason;

/// A broken promise, or a broken rule of the protocol that would break one later.
#[expect(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A node holds more of an origin's slot than that origin had synced.
    #[error(
        "n{host} holds {held:?} of origin {origin} in {name}; that origin had synced {synced:?} \
         only: counted twice, invented, or shown before it was synced"
    )]
    Invented {
        host: HostId,
        origin: OriginId,
        name: String,
        held: Slot,
        /// The most that may be held.
        synced: Slot,
    },
    /// A node holds slots of an origin that no process ever had.
    #[error("n{host} holds slots of origin {origin}, which no process ever had")]
    UnknownOrigin { host: HostId, origin: OriginId },
    /// A number of a slot shrank while the process ran.
    #[error("n{host} held {before:?} of origin {origin} in {name}, and now {after:?}")]
    SlotShrank { host: HostId, origin: OriginId, name: String, before: Slot, after: Slot },
    /// A digest claims what is not there.
    #[error(
        "n{host} claims all of origin {origin} up to version {version}, by which {name} was \
         {truth:?}, but holds {held:?}"
    )]
    EmptyClaim {
        host: HostId,
        origin: OriginId,
        version: Version,
        name: String,
        truth: Slot,
        held: Slot,
    },
    /// A digest claims a version that the origin has not synced.
    #[error("n{host} claims version {version} of origin {origin}, which had synced {synced}")]
    ClaimBeyondSync { host: HostId, origin: OriginId, version: Version, synced: Version },
    /// An origin's own slot does not add up to what it was asked to do.
    #[error(
        "origin {origin} on n{host} holds {held:?} of its own in {name}: it acknowledged +{} -{} \
         and was asked for +{} -{}", .acknowledged.0, .acknowledged.1, .asked.0, .asked.1
    )]
    Miscounted {
        host: HostId,
        origin: OriginId,
        name: String,
        held: Slot,
        /// The least that it may hold: plus and minus.
        acknowledged: (u128, u128),
        asked: (u128, u128),
    },
    /// A disk has lost what was safe on it.
    #[error(
        "a start of n{host} finds {found:?} of origin {origin} in {name}; it was {truth:?} at \
         version {version}, which was safe on that disk"
    )]
    Lost {
        host: HostId,
        origin: OriginId,
        /// Up to which version they were safe.
        version: Version,
        name: String,
        truth: Slot,
        found: Slot,
    },
    /// A start finds a state that never was.
    #[error(
        "a start of n{host} finds origin {origin} at version {version}, and {found:?} of it in \
         {name}; at that version it was {truth:?}: a snapshot that its journal does not cover"
    )]
    Mixed {
        host: HostId,
        origin: OriginId,
        version: Version,
        name: String,
        truth: Slot,
        found: Slot,
    },
    /// A crash has left what a start holds for damage.
    #[error("after {after}, n{host} does not start: {error}")]
    Damaged {
        host: HostId,
        /// What happened before.
        after: &'static str,
        error: String,
    },
    /// A reader saw a counter that is only added to go down.
    #[error(
        "a reader of n{host} saw {name} at {before}, and later expected {least} and saw {after}"
    )]
    WentDown {
        host: HostId,
        name: String,
        before: i128,
        /// The least that it may see.
        least: i128,
        after: i128,
    },
    /// A value is not what the slots add up to, or a reply is not the value.
    #[error(
        "n{host} replied {replied} for {name}; its slots add up to {sum}, its value is {value}"
    )]
    NotTheSum {
        host: HostId,
        name: String,
        /// What its slots add up to.
        sum: i128,
        /// What the table says that its value is.
        value: i128,
        replied: i128,
    },
    /// A raise was granted by a node that was behind.
    #[error("n{host} granted a raise though it is known to be behind: {reason:?}")]
    RaisedBehind { host: HostId, reason: Reason },
    /// A raise was acknowledged and the value is below what was asked.
    #[error("n{host} acknowledged a raise of {name} to {to}, and the value is {value}")]
    RaiseFellShort { host: HostId, name: String, to: i64, value: i128 },
    /// A reply that does not fit its request.
    #[error("n{host} answered request {token} with {found} results where {expected} were asked")]
    StrangeReply { host: HostId, token: u64, found: usize, expected: usize },
    /// An operation was refused without a reason.
    #[error("n{host} refused an operation on {name} that it must take: {refusal}")]
    Refused { host: HostId, name: String, refusal: Refusal },
    /// A question was answered with what is not so.
    #[error("n{host} was asked {asked}, and told {told}")]
    WrongAnswer {
        host: HostId,
        asked: String,
        /// What is wrong with the answer.
        told: String,
    },
    /// A running node did not answer.
    #[error("n{host} has not answered request {token} after {millis} ms, though it runs")]
    Unanswered { host: HostId, token: u64, millis: u128 },
    /// A record of a removal or a registration is not what it was.
    #[error("n{host} held a record of node {node}, and it says less or is gone: lost {when}")]
    MembershipLost { host: HostId, node: NodeId, when: &'static str },
    /// A removal or a registration that no operator asked for.
    #[error("n{host} holds a record that no operator asked for: {record:?}")]
    MembershipInvented { host: HostId, record: MembershipRecord },
    /// A node is another one than its disk says.
    #[error("n{host} lives as node {node}, though its disk is that of {before:?}")]
    IdentityLost {
        host: HostId,
        /// The last id that was safe on its disk, and those that may have been written since.
        before: Vec<NodeId>,
        node: NodeId,
    },
    /// A start is not later than an earlier one.
    #[error("n{host} starts as node {node} with boot {boot}, after one with boot {before}")]
    BootWentBack {
        host: HostId,
        node: NodeId,
        /// The boot of an earlier start.
        before: u64,
        boot: u64,
    },
    /// A disk does not show the last start that was written on it.
    #[error("the disk of n{host} tells of {found:?} as the last start, expected {expected}")]
    StartForgotten { host: HostId, found: Option<Start>, expected: String },
    /// A removal was acknowledged, and its node is still a member.
    #[error("n{host} was asked to remove n{removed}, said that it has, and still lists it")]
    RemovalIgnored { host: HostId, removed: HostId },
    /// A link stands to a node that was removed, or from one that knows that it was.
    #[error("n{host} has a link to {address}, though {why}")]
    LinkOutlived {
        host: HostId,
        address: String,
        /// Which of the two was removed.
        why: &'static str,
    },
    /// What a removed node counts has reached a member, or the other way.
    #[error("n{at} counted while n{removed} is removed, and n{seen} shows it")]
    PassedARemoval { at: HostId, removed: HostId, seen: HostId },
    /// The nodes did not come to the same counts.
    #[error("{seconds} s after all was mended, counts differ: {difference}")]
    Apart { seconds: u64, difference: String },
    /// A node does not list the others.
    #[error("{seconds} s after all was mended, n{host} lists {listed:?}, expected {expected:?}")]
    Lists { seconds: u64, host: HostId, listed: Vec<String>, expected: Vec<String> },
    /// In a calm cluster an increment took too long to be seen by all.
    #[error("in calm, an increment on n{at} was not on n{missing} within {millis} ms")]
    Slow { at: HostId, missing: HostId, millis: u128 },
    /// In a calm cluster a raise did not bring the value to what was asked.
    #[error(
        "in calm, n{at} was asked to raise the value to {to}: {millis} ms later n{host} shows {value}"
    )]
    RaiseMissed { at: HostId, to: i128, host: HostId, value: i128, millis: u128 },
    /// A node sent a frame that no receiver takes.
    #[error("n{host} sent a frame of {bytes} bytes on link {link}, which takes {most} at most")]
    FrameTooLong { host: HostId, link: LinkId, bytes: usize, most: usize },
    /// A frame was lost on a link that stands.
    #[error("a frame to n{host} did not arrive, and link {link} brought a later one")]
    FrameLost {
        host: HostId,
        /// On which link, as it names it.
        link: LinkId,
    },
    /// A node sent a datagram that would be fragmented.
    #[error("n{host} sent a datagram of {bytes} bytes, expected {most} at most")]
    DatagramTooLong { host: HostId, bytes: usize, most: usize },
    /// A node broke off a link because another, honest node broke the protocol.
    #[error("n{host} ended a link to an honest node: {reason}")]
    ProtocolBroken { host: HostId, reason: String },
    /// A node dials an address where no machine is.
    #[error("n{host} dials {address}, an address of no machine")]
    StrangeDial { host: HostId, address: Address },
    /// A node's deadline stays in the past.
    #[error("n{host} woke {wakes} times in a second for nothing: its deadline does not advance")]
    Spins { host: HostId, wakes: u64 },
    /// The nodes talk without end.
    #[error("{events} events within one second: the nodes flood each other")]
    Storm { events: u64 },
    /// A counter does not end as it must, or ends as it must not.
    #[error("n{host}, {name}: {fault}")]
    Ending { host: HostId, name: String, fault: Fault },
    /// Origins are not folded as they must be.
    #[error("n{host}: {fault}")]
    Settlement { host: HostId, fault: SettlementFault },
    /// Members are not removed for absence as they must be.
    #[error("n{host}: {fault}")]
    Absence { host: HostId, fault: AbsenceFault },
    /// A node panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}
