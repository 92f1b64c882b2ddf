//! Datagrams: beacons and membership.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::write;
use crate::fingerprint;
use crate::identity::Identity;
use crate::membership::MembershipRecord;
use crate::wire::auth::{MAC_BYTES, Secret};
use crate::wire::error::{CodecError, Foreign, malformed};
use crate::wire::values::list;
use crate::wire::versions::DATAGRAM_VERSIONS;

/// Longest datagram, in bytes: below the smallest path MTU in common use, so none is fragmented.
pub const DATAGRAM_BYTES_MAX: usize = 1400;

/// Bytes of a datagram that are not its body.
pub(crate) const ENVELOPE_BYTES: usize = 8 + MAC_BYTES;

/// Longest cluster name, in bytes: it is in every beacon.
pub const CLUSTER_BYTES_MAX: usize = 64;

/// A beacon's size as a call, in bytes. All are padded to it, so that an answer, which is not, is
/// never larger than the call that it answers: a forged sender gains nothing.
const CALL_BYTES: usize = 512;

const MAGIC: [u8; 3] = *b"QPU";

/// The bits of a datagram's version that are its body's.
const BODY_VERSION: u8 = 0x0f;

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Datagram<'a> {
    /// "Here I am."
    Beacon(Beacon),
    /// A message of the membership protocol.
    Swim(#[serde(borrow)] &'a [u8]),
    /// What the sender knows of the receiver's own removals and registrations.
    Membership(#[serde(with = "list")] Vec<MembershipRecord>),
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
