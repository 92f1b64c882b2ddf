//! Why bytes were not understood.

use crate::name::NameError;
use crate::wire::versions::DATAGRAM_VERSIONS;

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

pub(super) fn malformed(what: &'static str, reason: &'static str) -> CodecError {
    CodecError::Malformed { what, reason }
}
