//! Frames: all that is said on links.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::write;
use crate::absence::AbsenceEntry;
use crate::delta::{Change, Delta};
use crate::digest::{DIGEST_PARTS, DigestEntry, Want};
use crate::identity::{Identity, NodeId, OriginId, Version};
use crate::membership::{MembershipRecord, PARTS, PARTS_ASKED_MAX};
use crate::name;
use crate::settlement::Entry;
use crate::wire::absences::entries as absence_entries;
use crate::wire::auth::PROOF_BYTES;
use crate::wire::datagram::CLUSTER_BYTES_MAX;
use crate::wire::error::{CodecError, malformed};
use crate::wire::settlements::entries;
use crate::wire::values::{changes, ending_deltas, list, slots};

/// Bytes of a frame's length on the connection.
pub(crate) const FRAME_LENGTH_BYTES: u64 = 3;

/// Longest frame on a link, in bytes: large enough that a catch-up of millions of slots is not
/// spent on round trips, small enough that a thousand links' buffers are no danger.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Longest frame before the other side has proved who it is, in bytes. A hello is below 1 KiB.
pub const FRAME_BYTES_MAX_UNPROVED: usize = 4 << 10;

/// Most wants in one ask: each ask costs a walk over the whole table, and so many ranges are claimed
/// in 140 KB of the answer's last part.
pub const WANTS_MAX: usize = 4096;

/// The same where the other side speaks a version before 3.
pub const WANTS_MAX_BEFORE_3: usize = 256;

/// Settlements that a node holds at most when it tells of them: a cluster has one, and one more for
/// each half of it that settled by itself.
const HELD_MAX: usize = 256;

/// Versions beyond this are nobody's: at a batch a microsecond they take 292,000 years.
const VERSION_MAX: Version = 1 << 63;

/// The first frame of each side of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The lowest and highest protocol version that the sender speaks.
    pub versions: (u16, u16),
    /// The sender's cluster.
    pub cluster: &'a str,
    /// Who it is.
    pub identity: Identity,
    /// Fresh random bytes, so that no proof can be used twice.
    pub nonce: [u8; 16],
    /// Whether the sender has a secret.
    pub has_secret: bool,
}

/// Why a link is refused or left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Goodbye {
    /// The receiver is not, or not yet, a live member as the sender sees it.
    #[error("not known as a live member yet")]
    NotAMember,
    /// The receiver was removed.
    #[error("removed from the cluster")]
    Removed(#[serde(with = "list")] Vec<MembershipRecord>),
    /// Another process with the receiver's NodeId answers.
    #[error("its node id is in use by another process")]
    NodeIdInUse(NodeId),
    /// The sender belongs to another cluster.
    #[error("it belongs to a cluster of another name")]
    OtherCluster,
    /// A proof was wrong or missing.
    #[error("it does not have this cluster's secret")]
    WrongSecret,
    /// No protocol version in common; the sender's lowest and highest.
    #[error("no protocol version in common: the other side speaks {0} to {1}")]
    Versions(u16, u16),
    /// Both ends are the same process.
    #[error("it is this node itself")]
    Itself,
    /// Another link between the two is kept.
    #[error("another link between the two is kept")]
    Duplicate,
    /// The sender leaves the cluster.
    #[error("it is shutting down")]
    Leaving,
}

/// A row of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Whose changes.
    pub origin: OriginId,
    /// Up to which version the sender has all of them.
    pub version: Version,
    /// Of all slots of the origin that the sender has.
    pub fingerprint: u64,
}

impl Row {
    /// What the sender knows of the origin.
    pub fn known(&self) -> DigestEntry {
        DigestEntry { version: self.version, fingerprint: self.fingerprint }
    }
}

/// What a frame says. The order of the kinds is the wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<'a> {
    /// Who each side is.
    Hello(#[serde(borrow)] Hello<'a>),
    /// That the sender has the secret: the HMAC over both hellos; zeros without a secret.
    Proof([u8; PROOF_BYTES]),
    /// The acceptor takes the link.
    Welcome,
    /// The sender is about to close the link, and why.
    Goodbye(Goodbye),
    /// Removals and registrations.
    Membership(#[serde(with = "list")] Vec<MembershipRecord>),
    /// The sender's own changes in (`after`, `after + batches`]: the gathering push.
    Push {
        /// The version after which the range begins.
        after: Version,
        /// How many versions the range holds.
        batches: u64,
        /// How long before it left its oldest change was accepted, in microseconds.
        age_us: u64,
        /// What changed.
        #[serde(borrow, with = "slots")]
        changes: Vec<Change<'a>>,
    },
    /// The sender has synced the receiver's own changes up to this version.
    Confirm(Version),
    /// A hash of the sender's whole digest; parts of it follow unless it was the receiver's too.
    DigestHash(u64),
    /// The rows of the sender's digest whose origins are in [`first`, `last`]; judged alone.
    DigestPart {
        /// The range's first origin.
        first: OriginId,
        /// The range's last origin.
        last: OriginId,
        /// Sorted by origin.
        rows: Vec<Row>,
    },
    /// Asks for what the sender lacks; answered in parts.
    PullRequest {
        /// Names the request on this link.
        request: u32,
        /// At most [`WANTS_MAX`].
        #[serde(with = "list")]
        wants: Vec<Want>,
    },
    /// Part of the answer to an ask. Only the last one's deltas claim ranges.
    PullChunk {
        /// Which request.
        request: u32,
        /// 0, 1, 2, …
        index: u32,
        /// Whether it is the last.
        last: bool,
        /// What was asked for.
        #[serde(borrow, with = "list")]
        deltas: Vec<Delta<'a>>,
    },
    /// A part has been synced: the next may come.
    ChunkTaken {
        /// Which request.
        request: u32,
        /// Which part.
        index: u32,
    },
    /// Asks for any sign of life.
    Ping,
    /// A sign of life.
    Pong,
    /// A hash of each of the [`PARTS`] of the sender's records of removals; none if it has no record.
    MembershipHashes(Vec<u64>),
    /// Asks for the records of these parts; answered by [`Message::Membership`], as often as it
    /// takes, and [`Message::MembershipTold`].
    MembershipAsk(Vec<u8>),
    /// All records that were asked for have been told.
    MembershipTold,
    /// The rows of the sender's digest that have changed lately, and a hash of all others: what
    /// each side tells each second. (Version 3, as all that follow.)
    Digest {
        /// Sorted by origin.
        recent: Vec<Row>,
        /// The sum of all other rows' hashes.
        rest: u64,
    },
    /// Asks for [`Message::DigestHashes`].
    DigestAsk,
    /// As [`Message::Digest`], with the rest's hash part by part.
    DigestHashes {
        /// Sorted by origin.
        recent: Vec<Row>,
        /// For each of 256 first bytes of an origin: the hash of the other rows, and how many rows
        /// there are at most.
        parts: Vec<(u64, u32)>,
    },
    /// Asks for the rows of these parts; answered by [`Message::DigestPart`], as often as it takes,
    /// and [`Message::DigestTold`].
    DigestPartsAsk(Vec<u8>),
    /// All rows that were asked for have been told.
    DigestTold,
    /// [`Message::Push`] as it travels where it says something about the ends of counters; read, it
    /// is one. (Version 4, as the next.)
    EndingPush {
        /// See [`Message::Push`], and so for all of these.
        after: Version,
        /// See there.
        batches: u64,
        /// See there.
        age_us: u64,
        /// See there.
        #[serde(borrow, with = "changes")]
        changes: Vec<Change<'a>>,
    },
    /// [`Message::PullChunk`] likewise.
    EndingPullChunk {
        /// See [`Message::PullChunk`], and so for all of these.
        request: u32,
        /// See there.
        index: u32,
        /// See there.
        last: bool,
        /// See there.
        #[serde(borrow, with = "ending_deltas")]
        deltas: Vec<Delta<'a>>,
    },
    /// What the sender's records of settlements hash to: what each side tells before any of the
    /// other frames of replication (rule `told-before-data`). (Version 5, as all that follow.)
    SettlementHashes {
        /// Of all records but families.
        rest: u64,
        /// Settlements that are here whole.
        held: Vec<OriginId>,
    },
    /// Records of settlements.
    Settlement(#[serde(with = "entries")] Vec<Entry>),
    /// All that the receiver lacked has been told.
    SettlementTold,
    /// The sender goes on under this origin: its pushes are of that one from now on.
    FreshOrigin(OriginId),
    /// The receiver's pushes are taken for those of this origin from now on; what was confirmed before
    /// was of another.
    OriginTaken(OriginId),
    /// [`Message::Pong`], and what the sender's wall clock shows: milliseconds since 1970. (Version 6.)
    TimedPong(u64),
    /// What the sender's records of removals for absence hash to. (Version 7, as all that follow.)
    AbsenceHash(u64),
    /// Records of removals for absence, and calls for one.
    Absences(#[serde(with = "absence_entries")] Vec<AbsenceEntry>),
    /// What the list hashes to of all members that the sender knows (rule `common-list`).
    Roll(u64),
}

const KINDS: u8 = 33;

impl<'a> Message<'a> {
    /// Itself in the form in which it travels, if that is another kind.
    fn in_transit(&self) -> Option<Message<'a>> {
        let ends = |changes: &[Change<'_>]| {
            changes.iter().any(|change| matches!(change, Change::Ending { .. }))
        };
        match self {
            Message::Push { after, batches, age_us, changes } if ends(changes) => {
                let (after, batches, age_us) = (*after, *batches, *age_us);
                Some(Message::EndingPush { after, batches, age_us, changes: changes.clone() })
            }
            Message::PullChunk { request, index, last, deltas }
                if deltas.iter().any(|delta| ends(&delta.changes)) =>
            {
                let (request, index, last) = (*request, *index, *last);
                Some(Message::EndingPullChunk { request, index, last, deltas: deltas.clone() })
            }
            _ => None,
        }
    }

    /// What came in this form.
    fn arrived(self) -> Message<'a> {
        match self {
            Message::EndingPush { after, batches, age_us, changes } => {
                Message::Push { after, batches, age_us, changes }
            }
            Message::EndingPullChunk { request, index, last, deltas } => {
                Message::PullChunk { request, index, last, deltas }
            }
            other => other,
        }
    }
}

/// Writes one frame.
pub fn encode(message: &Message<'_>) -> Bytes {
    let in_transit = message.in_transit();
    write(in_transit.as_ref().unwrap_or(message), Vec::with_capacity(64)).into()
}

/// Reads one frame.
///
/// # Errors
/// See [`CodecError`].
pub fn decode(frame: &[u8]) -> Result<Message<'_>, CodecError> {
    let message = read::<Message<'_>>("message", frame, KINDS)?.arrived();
    match &message {
        Message::Hello(hello) if hello.cluster.len() > CLUSTER_BYTES_MAX => {
            return Err(malformed("hello", "a cluster name of more than 64 bytes"));
        }
        Message::Hello(hello) if !hello.identity.is_sane() => {
            return Err(malformed("hello", "an epoch or boot beyond 2^48"));
        }
        Message::Push { after, batches, changes, .. } => {
            after
                .checked_add(*batches)
                .filter(|upto| *upto < VERSION_MAX)
                .ok_or_else(|| malformed("push", "a version beyond 2^63"))?;
            check_changes(changes)?;
        }
        Message::PullChunk { deltas, .. } => {
            for delta in deltas {
                if delta.after > delta.upto || delta.upto >= VERSION_MAX {
                    return Err(malformed("delta", "a range that runs backwards or beyond 2^63"));
                }
                check_changes(&delta.changes)?;
            }
        }
        Message::PullRequest { wants, .. } if wants.len() > WANTS_MAX => {
            return Err(malformed("ask", "more than 4096 wants"));
        }
        Message::DigestPart { first, last, rows } => {
            let in_range = rows.first().is_none_or(|row| row.origin >= *first)
                && rows.last().is_none_or(|row| row.origin <= *last);
            if !in_range || first > last {
                return Err(malformed("digest", "rows out of their range"));
            }
            check_rows(rows)?;
        }
        Message::Digest { recent, .. } => check_rows(recent)?,
        Message::DigestHashes { recent, parts } => {
            if parts.len() != DIGEST_PARTS {
                return Err(malformed("digest", "not a hash for each of 256 parts"));
            }
            check_rows(recent)?;
        }
        Message::DigestPartsAsk(parts) if parts.len() > DIGEST_PARTS => {
            return Err(malformed("ask", "more than 256 parts"));
        }
        Message::MembershipHashes(hashes) if !hashes.is_empty() && hashes.len() != PARTS => {
            return Err(malformed("hashes", "not one for each of 256 parts"));
        }
        Message::MembershipAsk(parts) if parts.len() > PARTS_ASKED_MAX => {
            return Err(malformed("ask", "more than 16 parts"));
        }
        Message::SettlementHashes { held, .. } if held.len() > HELD_MAX => {
            return Err(malformed("hashes", "more than 256 settlements"));
        }
        Message::Settlement(entries) if !entries.iter().all(Entry::is_sane) => {
            return Err(malformed("settlement", "more of something than there may be"));
        }
        Message::Absences(entries) if !entries.iter().all(AbsenceEntry::is_sane) => {
            return Err(malformed("absence", "more of something than there may be"));
        }
        Message::Confirm(version) if *version >= VERSION_MAX => {
            return Err(malformed("confirm", "a version beyond 2^63"));
        }
        _ => {}
    }
    Ok(message)
}

fn check_rows(rows: &[Row]) -> Result<(), CodecError> {
    if !rows.windows(2).all(|pair| pair[0].origin < pair[1].origin) {
        return Err(malformed("digest", "rows out of order"));
    }
    if rows.iter().any(|row| row.version >= VERSION_MAX) {
        return Err(malformed("digest", "a version beyond 2^63"));
    }
    Ok(())
}

fn check_changes(changes: &[Change<'_>]) -> Result<(), CodecError> {
    for change in changes {
        name::check(change.name()).map_err(CodecError::Name)?;
        if matches!(change, Change::Ending { ending, .. } if !ending.is_sane()) {
            return Err(malformed("ending", "a stamp or a deadline beyond 2^62"));
        }
    }
    Ok(())
}

fn read<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
    kinds: u8,
) -> Result<T, CodecError> {
    let kind = *bytes.first().ok_or(CodecError::Empty(what))?;
    if kind >= kinds {
        return Err(CodecError::UnknownKind { what, kind });
    }
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(malformed(what, "more bytes than its kind has")),
        Err(postcard::Error::DeserializeUnexpectedEnd) => Err(malformed(what, "cut short")),
        Err(_) => Err(malformed(what, "not what its kind says")),
    }
}
