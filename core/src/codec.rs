//! What is said between nodes, as bytes.
//!
//! Datagrams carry beacons and membership, frames on links carry everything that is counted. Both
//! are postcard (its wire format 1.0) behind a few bytes of our own:
//!
//! ```text
//! datagram  "QPU" | versions u8 | cluster tag u32 LE | body (postcard) | MAC 16 bytes, with a secret
//!           versions: the low four bits are that of the body; the high four bits the highest that
//!           the sender reads, 0 where it is that of the body
//! frame     kind u8 | body (postcard)            (its length, 3 bytes big-endian, is the link's)
//! ```
//!
//! postcard does not describe itself, so kinds are never reordered and a changed body is a new
//! kind. Every length is bounded before it is trusted: a frame by the link before it is read, a
//! sequence by the bytes that are really there, and what is decoded is checked before it is used.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::auth::{MAC_BYTES, PROOF_BYTES, Secret};
use crate::counters::Known;
use crate::delta::{Delta, Entry};
use crate::fingerprint;
use crate::identity::{Identity, NodeId, OriginId, Version};
use crate::name::{self, NameError};
use crate::registry::comparison::PARTS_ASKED_MAX;
use crate::registry::{PARTS, Standing};
use crate::scan::Want;

/// Longest frame on a link, in bytes: large enough that a catch-up of millions of slots is not
/// spent on round trips, small enough that a thousand links' buffers are no danger.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Longest frame before the other side has proved who it is, in bytes. A hello is below 1 KiB.
pub const FRAME_BYTES_MAX_UNPROVED: usize = 4 << 10;

/// Longest datagram, in bytes: below the smallest path MTU in common use, so none is fragmented.
pub const DATAGRAM_BYTES_MAX: usize = 1400;

/// Bytes of a datagram that are not its body.
pub(crate) const ENVELOPE_BYTES: usize = 8 + MAC_BYTES;

/// Longest cluster name, in bytes: it is in every beacon.
pub const CLUSTER_BYTES_MAX: usize = 64;

/// A beacon's size as a call, in bytes. All are padded to it, so that an answer, which is not, is
/// never larger than the call that it answers: a forged sender gains nothing.
const CALL_BYTES: usize = 512;

/// The versions of the link protocol that this release speaks. It talks to the release before it.
///
/// Version 2 compares records of removals by hashes. Both sides speak the highest that both know.
pub const PROTOCOL_VERSIONS: (u16, u16) = (1, 2);

const MAGIC: [u8; 3] = *b"QPU";

/// The versions of datagrams that this release reads, lowest and highest, of 1 to 15. Nobody shakes
/// hands over a datagram: it is written in the lowest version that is still spoken, until the
/// receiver has said in one of its own that it reads a higher one. So the next release can bring
/// a version 2, tell of it in the high bits of what it writes as version 1, and is understood by
/// this one.
pub const DATAGRAM_VERSIONS: (u8, u8) = (1, 1);

/// The bits of a datagram's version that are its body's.
const BODY_VERSION: u8 = 0x0f;

/// Most wants in one ask: a counter's slots of so many origins fit a part beside its budget.
pub const WANTS_MAX: usize = 256;

/// Versions beyond this are nobody's: at a batch a microsecond they take 292,000 years.
const VERSION_MAX: Version = 1 << 63;

/// Why bytes were not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not one of our datagrams at all.
    #[error("expected a datagram that begins with \"QPU\"")]
    NotOurs,
    /// One of ours, of a release that this one cannot read.
    #[error("{}", Foreign::Version(*.0))]
    DatagramVersion(u8),
    /// Another cluster's name, or no or another secret.
    #[error("{0}")]
    Foreign(Foreign),
    /// A kind of message that this release does not know.
    #[error("unknown kind of {what}: {kind}")]
    UnknownKind {
        /// What it is a kind of.
        what: &'static str,
        /// The byte that says so.
        kind: u8,
    },
    /// No bytes where some must be.
    #[error("expected a {0}, found nothing")]
    Empty(&'static str),
    /// The body is cut short, too long, or not what its kind says.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A name that no counter can have.
    #[error("malformed entry: {0}")]
    Name(#[from] NameError),
}

/// In what way a datagram is another cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It carries another cluster's tag.
    #[error("it belongs to a cluster of another name (--cluster)")]
    Cluster,
    /// Its MAC is wrong or missing.
    #[error("it does not have this cluster's secret (--secret-file)")]
    Secret,
    /// It is of a release that this one cannot read.
    #[error(
        "expected datagrams of version {lowest} to {highest}, found {0} (upgrade one release at a time)",
        lowest = DATAGRAM_VERSIONS.0,
        highest = DATAGRAM_VERSIONS.1
    )]
    Version(u8),
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Datagram<'a> {
    /// "Here I am."
    Beacon(Beacon),
    /// A message of the membership protocol.
    Swim(#[serde(borrow)] &'a [u8]),
    /// What the sender knows of the receiver's own removals and registrations.
    Standing(Vec<Standing>),
}

/// "Here I am."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// Who calls.
    pub identity: Identity,
    /// Grows with every beacon of one origin.
    pub sequence: u64,
    /// Whether, and by whom, an answer is expected.
    pub kind: BeaconKind,
}

/// What a beacon expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BeaconKind {
    /// To all: who has not heard of the caller answers.
    Call,
    /// To one address: whoever is there answers.
    Ask,
    /// To the one who asked or called with this sequence number.
    Answer(u64),
}

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
    Removed(Vec<Standing>),
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
    pub fn known(&self) -> Known {
        Known { version: self.version, fingerprint: self.fingerprint }
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
    Membership(Vec<Standing>),
    /// The sender's own changes in (`after`, `after + batches`]: the gathering push.
    Push {
        /// The version after which the range begins.
        after: Version,
        /// How many versions the range holds.
        batches: u64,
        /// How long before it left its oldest change was accepted, in microseconds.
        age_us: u64,
        /// The slots.
        entries: Vec<Entry<'a>>,
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
    Ask {
        /// Names the request on this link.
        request: u32,
        /// At most [`WANTS_MAX`].
        wants: Vec<Want>,
    },
    /// Part of the answer to an ask. Only the last one's deltas claim ranges.
    Part {
        /// Which request.
        request: u32,
        /// 0, 1, 2, …
        index: u32,
        /// Whether it is the last.
        last: bool,
        /// What was asked for.
        deltas: Vec<Delta<'a>>,
    },
    /// A part has been synced: the next may come.
    PartTaken {
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
}

const KINDS: u8 = 17;

/// Writes one frame.
pub fn encode(message: &Message<'_>) -> Bytes {
    write(message, Vec::with_capacity(64)).into()
}

fn write<T: Serialize>(value: &T, into: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, into).expect("writing to memory does not fail")
}

/// Reads one frame.
///
/// # Errors
/// See [`CodecError`].
pub fn decode(frame: &[u8]) -> Result<Message<'_>, CodecError> {
    let message: Message<'_> = read("message", frame, KINDS)?;
    match &message {
        Message::Hello(hello) if hello.cluster.len() > CLUSTER_BYTES_MAX => {
            return Err(malformed("hello", "a cluster name of more than 64 bytes"));
        }
        Message::Hello(hello) if !hello.identity.is_sane() => {
            return Err(malformed("hello", "an epoch or boot beyond 2^48"));
        }
        Message::Push { after, batches, entries, .. } => {
            after
                .checked_add(*batches)
                .filter(|upto| *upto < VERSION_MAX)
                .ok_or_else(|| malformed("push", "a version beyond 2^63"))?;
            check_entries(entries)?;
        }
        Message::Part { deltas, .. } => {
            for delta in deltas {
                if delta.after > delta.upto || delta.upto >= VERSION_MAX {
                    return Err(malformed("delta", "a range that runs backwards or beyond 2^63"));
                }
                check_entries(&delta.entries)?;
            }
        }
        Message::Ask { wants, .. } if wants.len() > WANTS_MAX => {
            return Err(malformed("ask", "more than 256 wants"));
        }
        Message::DigestPart { first, last, rows } => {
            let in_order = rows.windows(2).all(|pair| pair[0].origin < pair[1].origin);
            let in_range = rows.first().is_none_or(|row| row.origin >= *first)
                && rows.last().is_none_or(|row| row.origin <= *last);
            if !in_order || !in_range || first > last {
                return Err(malformed("digest", "rows out of order or of their range"));
            }
            if rows.iter().any(|row| row.version >= VERSION_MAX) {
                return Err(malformed("digest", "a version beyond 2^63"));
            }
        }
        Message::MembershipHashes(hashes) if !hashes.is_empty() && hashes.len() != PARTS => {
            return Err(malformed("hashes", "not one for each of 256 parts"));
        }
        Message::MembershipAsk(parts) if parts.len() > PARTS_ASKED_MAX => {
            return Err(malformed("ask", "more than 16 parts"));
        }
        Message::Confirm(version) if *version >= VERSION_MAX => {
            return Err(malformed("confirm", "a version beyond 2^63"));
        }
        _ => {}
    }
    Ok(message)
}

fn check_entries(entries: &[Entry<'_>]) -> Result<(), CodecError> {
    entries.iter().try_for_each(|entry| name::check(entry.name).map_err(CodecError::Name))
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

fn malformed(what: &'static str, reason: &'static str) -> CodecError {
    CodecError::Malformed { what, reason }
}

/// Refuses a beacon of nobody's, and a call that its answer may be larger than.
fn check_beacon(beacon: &Beacon, bytes: usize) -> Result<(), CodecError> {
    if !beacon.identity.is_sane() {
        return Err(malformed("beacon", "an epoch or boot beyond 2^48"));
    }
    if !matches!(beacon.kind, BeaconKind::Answer(_)) && bytes < CALL_BYTES - MAC_BYTES {
        return Err(malformed("beacon", "a call that is not filled up"));
    }
    Ok(())
}

/// Datagrams of one cluster: written, and told from all others.
#[derive(Clone, Debug)]
pub struct Envelope {
    tag: [u8; 4],
    secret: Option<Secret>,
}

impl Envelope {
    /// The envelope of the cluster with this name and secret.
    pub fn new(cluster: &str, secret: Option<Secret>) -> Self {
        let [a, b, c, d, ..] = fingerprint::of_name(cluster).to_le_bytes();
        Envelope { tag: [a, b, c, d], secret }
    }

    /// The cluster's secret.
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Writes a datagram.
    pub fn seal(&self, datagram: &Datagram<'_>) -> Bytes {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(DATAGRAM_VERSIONS.0);
        bytes.extend_from_slice(&self.tag);
        bytes = write(datagram, bytes);
        if let Datagram::Beacon(beacon) = datagram
            && !matches!(beacon.kind, BeaconKind::Answer(_))
        {
            bytes.resize(bytes.len().max(CALL_BYTES - MAC_BYTES), 0);
        }
        if let Some(secret) = &self.secret {
            secret.seal(&mut bytes);
        }
        bytes.into()
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub fn open<'a>(&self, bytes: &'a [u8]) -> Result<Datagram<'a>, CodecError> {
        let [m0, m1, m2, versions, t0, t1, t2, t3, ..] = *bytes else {
            return Err(CodecError::NotOurs);
        };
        if [m0, m1, m2] != MAGIC {
            return Err(CodecError::NotOurs);
        }
        let version = versions & BODY_VERSION;
        if version < DATAGRAM_VERSIONS.0 || version > DATAGRAM_VERSIONS.1 {
            return Err(CodecError::DatagramVersion(version));
        }
        if [t0, t1, t2, t3] != self.tag {
            return Err(CodecError::Foreign(Foreign::Cluster));
        }
        let body = match &self.secret {
            Some(secret) => secret.open(bytes).ok_or(CodecError::Foreign(Foreign::Secret))?,
            None => bytes,
        };
        let body = &body[8..];
        let kind = *body.first().ok_or(CodecError::Empty("datagram"))?;
        if kind > 2 {
            return Err(CodecError::UnknownKind { what: "datagram", kind });
        }
        // A call's padding, and the MAC of a sender that has a secret where we have none.
        let (datagram, rest) = postcard::take_from_bytes(body)
            .map_err(|_| malformed("datagram", "not what its kind says"))?;
        if let Datagram::Beacon(beacon) = &datagram {
            check_beacon(beacon, 8 + body.len())?;
        }
        let padded = matches!(datagram, Datagram::Beacon(_)) && rest.iter().all(|byte| *byte == 0);
        if rest.is_empty() || padded {
            return Ok(datagram);
        }
        if self.secret.is_none() && rest.len() >= MAC_BYTES {
            return Err(CodecError::Foreign(Foreign::Secret));
        }
        Err(malformed("datagram", "more bytes than its kind has"))
    }
}
