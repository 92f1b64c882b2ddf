//! The cluster's secret, and what is proved with it.
//!
//! Every datagram ends in a MAC over all before it; every link begins with each side proving that
//! it can compute one over both sides' hellos, which hold a fresh nonce each. HMAC-SHA-256
//! (RFC 2104, FIPS 198-1). Authenticated, not encrypted.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a datagram's MAC: HMAC-SHA-256 cut to 128 bits (RFC 2104, section 5).
pub const MAC_BYTES: usize = 16;

/// Bytes of a link's proof: the whole HMAC.
pub const PROOF_BYTES: usize = 32;

/// What all members of a cluster share and nobody else knows.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a secret of at least {SECRET_BYTES_MIN} bytes, found {0}")]
pub struct SecretTooShort(pub usize);

/// Shorter ones can be guessed from one recorded datagram.
pub const SECRET_BYTES_MIN: usize = 16;

impl Secret {
    /// Takes a secret; white space at its end, such as an editor's newline, is not part of it.
    ///
    /// # Errors
    /// If fewer than [`SECRET_BYTES_MIN`] bytes remain.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretTooShort> {
        let bytes = bytes.trim_ascii_end();
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretTooShort(bytes.len()));
        }
        // Hashed first, so that the key has one length whatever the file held.
        let key = Sha256::digest(bytes);
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key)
            .expect("HMAC takes a key of any length");
        Ok(Secret(mac))
    }

    /// Appends the MAC of all that `datagram` holds.
    pub(crate) fn seal(&self, datagram: &mut Vec<u8>) {
        let mac = self.mac(&[b"datagram", datagram]);
        datagram.extend_from_slice(&mac[..MAC_BYTES]);
    }

    /// The datagram without its MAC, if that is right. Compared in constant time.
    pub(crate) fn open<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        let (body, mac) = datagram.split_at_checked(datagram.len().checked_sub(MAC_BYTES)?)?;
        self.loaded(&[b"datagram", body]).verify_truncated_left(mac).ok()?;
        Some(body)
    }

    /// What `role` proves itself with on a link that began with these two hellos.
    pub(crate) fn prove(&self, role: Role, dialer: &[u8], acceptor: &[u8]) -> [u8; PROOF_BYTES] {
        self.mac(&[role.label(), dialer, acceptor])
    }

    /// Whether a proof is right. Compared in constant time.
    pub(crate) fn verify(&self, role: Role, dialer: &[u8], acceptor: &[u8], proof: &[u8]) -> bool {
        self.loaded(&[role.label(), dialer, acceptor]).verify_slice(proof).is_ok()
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; PROOF_BYTES] {
        self.loaded(parts).finalize().into_bytes().into()
    }

    fn loaded(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            // Each part's length goes first, so that no two lists of parts read the same.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Which end of a link. Each proves something else, so that no proof can be sent back as one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opened the connection.
    Dialer,
    /// Took it.
    Acceptor,
}

impl Role {
    fn label(self) -> &'static [u8] {
        match self {
            Role::Dialer => b"dialer",
            Role::Acceptor => b"acceptor",
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_a_sealed_datagram_and_not_one_bit_may_change() {
        let ours = Secret::new(b"sixteen bytes at least\n").unwrap();
        let theirs = Secret::new(b"another sixteen bytes").unwrap();
        let mut datagram = b"hello".to_vec();
        ours.seal(&mut datagram);
        assert_eq!(ours.open(&datagram), Some(&b"hello"[..]));
        assert_eq!(theirs.open(&datagram), None);
        for bit in 0..datagram.len() * 8 {
            let mut bent = datagram.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ours.open(&bent), None, "bit {bit}");
        }
        assert_eq!(ours.open(b"short"), None);
    }

    #[test]
    fn a_proof_cannot_be_sent_back_as_ones_own() {
        let secret = Secret::new(b"sixteen bytes at least").unwrap();
        let proof = secret.prove(Role::Acceptor, b"dialer's hello", b"acceptor's hello");
        assert!(secret.verify(Role::Acceptor, b"dialer's hello", b"acceptor's hello", &proof));
        assert!(!secret.verify(Role::Dialer, b"dialer's hello", b"acceptor's hello", &proof));
        assert!(!secret.verify(Role::Acceptor, b"dialer's hell", b"oacceptor's hello", &proof));
    }

    #[test]
    fn a_short_secret_is_refused_and_a_newline_at_the_end_is_not_part_of_one() {
        assert_eq!(Secret::new(b"too short\n").unwrap_err(), SecretTooShort(9));
        let mut sealed = Vec::new();
        Secret::new(b"sixteen bytes at least\n").unwrap().seal(&mut sealed);
        assert!(Secret::new(b"sixteen bytes at least").unwrap().open(&sealed).is_some());
    }
}
