//! Who is who: nodes, their starts, their addresses.
//!
//! A *node* is a process with a data directory, an *origin* is one start of it. The origin writes
//! slots, the node is a member of the cluster, the address is where both answer.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Random 64 bits that name a node for as long as it keeps its data directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

/// Random 64 bits that name one start of a node. The only writer of its own slots; never reused,
/// so that neither a lost tail nor an old backup can hide new increments behind old ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OriginId(pub u64);

/// The number of a batch of one origin's changes: 1, 2, 3, … Zero means "nothing yet".
pub type Version = u64;

macro_rules! hex_display {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
hex_display!(NodeId);
hex_display!(OriginId);

/// Longest host name that DNS allows (RFC 1035, section 2.3.4), in bytes.
const HOST_BYTES_MAX: usize = 253;

/// A `host:port` at which a node answers: HTTP and links on TCP, membership on UDP.
///
/// The host may be a name, an IPv4 address or a bracketed IPv6 address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

/// Why a text is not a `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing before the port, or nothing at all.
    #[error("expected host:port, found {0:?} without a host")]
    NoHost(String),
    /// A URL, of which only a part is an address.
    #[error("expected host:port, found the URL {0:?}")]
    Url(String),
    /// The part after the last colon is not a port.
    #[error("expected a port between 1 and 65535 after the host, found {0:?}")]
    BadPort(String),
    /// More than 253 bytes of host.
    #[error("expected a host of at most {HOST_BYTES_MAX} bytes, found {0}")]
    TooLong(usize),
    /// A character that no host name or address has.
    #[error("expected a host of letters, digits, '.', '-', '_' and ':', found {0:?}")]
    BadCharacter(char),
    /// Several colons, and no brackets to tell which of them stands before a port.
    #[error("expected an IPv6 address in brackets, like [::1]:8088, found {0:?}")]
    Unbracketed(String),
    /// Something in brackets that is no IPv6 address.
    #[error("expected an IPv6 address between brackets, found {0:?}")]
    NotIpv6(String),
    /// Its last part is a number, and yet it is no IPv4 address.
    #[error("expected an IPv4 address of four numbers up to 255, or a name, found {0:?}")]
    NotIpv4(String),
    /// What stands between two dots is nothing, too long, or begins or ends with a hyphen.
    #[error(
        "expected a name whose parts have 1 to 63 characters and neither begin nor end with '-', \
         found {0:?}"
    )]
    BadLabel(String),
    /// An address at which no single node can be.
    #[error("expected an address of one node, found {0}, which is that of all or of many")]
    NotOne(IpAddr),
}

impl Address {
    /// Reads what an operator or a client says: `host:port`; a text without a port gets
    /// `default_port`. An IP address is taken in the one form in which it is told to others, so that
    /// two spellings of it are one address.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str, default_port: u16) -> Result<Self, AddressError> {
        if text.contains("://") {
            return Err(AddressError::Url(text.to_owned()));
        }
        let address = Address::parse_leniently(text, default_port)?;
        let host = address.host();
        let ip: IpAddr = if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').unwrap_or(inner);
            let ip: Ipv6Addr =
                inner.parse().map_err(|_| AddressError::NotIpv6(shortened(inner)))?;
            ip.to_canonical()
        } else if let Ok(ip) = host.parse() {
            IpAddr::V4(ip)
        } else {
            check_name(host)?;
            return Ok(address);
        };
        let is_of_many = match ip {
            IpAddr::V4(ip) => ip.is_broadcast(),
            IpAddr::V6(_) => false,
        };
        if ip.is_unspecified() || ip.is_multicast() || is_of_many {
            return Err(AddressError::NotOne(ip));
        }
        Ok(SocketAddr::new(ip, address.port()).into())
    }

    /// Reads what peers say, which may be of a release that took more.
    fn parse_leniently(text: &str, default_port: u16) -> Result<Self, AddressError> {
        if !text.starts_with('[') && text.bytes().filter(|byte| *byte == b':').count() > 1 {
            return Err(AddressError::Unbracketed(shortened(text)));
        }
        let unported_v6 = text.starts_with('[') && text.ends_with(']');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !unported_v6 => {
                let port: u16 = port
                    .parse()
                    .ok()
                    // Rust takes a sign as well.
                    .filter(|p| *p != 0 && port.starts_with(|first: char| first.is_ascii_digit()))
                    .ok_or_else(|| AddressError::BadPort(shortened(port)))?;
                (host, port)
            }
            _ => (text, default_port),
        };
        if host.is_empty() {
            return Err(AddressError::NoHost(shortened(text)));
        }
        if host.len() > HOST_BYTES_MAX {
            return Err(AddressError::TooLong(host.len()));
        }
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || (bracketed && c == ':')
        };
        let inner = if bracketed { &host[1..host.len() - 1] } else { host };
        if let Some(bad) = inner.chars().find(|c| !allowed(*c)) {
            return Err(AddressError::BadCharacter(bad));
        }
        Ok(Address(format!("{host}:{port}").into()))
    }

    /// The whole, `host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the port.
    pub fn host(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(host, _)| host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
    }

    /// The socket address, if the host is an IP address and not a name.
    pub fn ip(&self) -> Option<SocketAddr> {
        self.0.parse().ok()
    }
}

/// Longest part of a name between two dots that DNS allows (RFC 1035, section 2.3.4), in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Whether a host that is no address can be a name (RFC 1123, section 2.1, and the `_` that
/// containers have). A name whose last part is a number is none: resolvers take `127.1` for an
/// address, each in its own way.
fn check_name(host: &str) -> Result<(), AddressError> {
    let name = host.strip_suffix('.').unwrap_or(host);
    for label in name.split('.') {
        let is_one = (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-');
        if !is_one {
            return Err(AddressError::BadLabel(shortened(host)));
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match hex {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    if is_number { Err(AddressError::NotIpv4(shortened(host))) } else { Ok(()) }
}

/// As much of a client's text as an error may repeat.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

impl From<SocketAddr> for Address {
    /// Without the zone of a link-local one (`%eth0`): it means something on this machine only, and
    /// no address that is sent or kept may have it.
    fn from(socket: SocketAddr) -> Self {
        Address(SocketAddr::new(socket.ip(), socket.port()).to_string().into())
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        if !text.contains(':') {
            return Err(AddressError::BadPort(String::new()));
        }
        Address::parse_leniently(&text, 1)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.as_str().to_owned()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Epochs of identities beyond this are nobody's: as milliseconds of a wall clock they end in the
/// year 10889. Whoever came with a larger one could never be removed.
pub const EPOCH_MAX: u64 = 1 << 48;

/// Boots beyond this are nobody's, for the same reason: no later start could follow one.
pub const BOOT_MAX: u64 = 1 << 48;

/// What a node is known by among the members: its id, where it answers, and which of its lives
/// this is.
///
/// Two identities of one NodeId are ordered by (epoch, boot, origin); the later one is the node's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// Where it answers.
    pub address: Address,
    /// How often it was taken back after a removal: the registration's epoch.
    pub epoch: u64,
    /// Grows with every start and every return: milliseconds of a wall clock, or the last one + 1.
    pub boot: u64,
    /// The origin it counts under.
    pub origin: OriginId,
}

impl Identity {
    /// Whether its numbers can be anyone's.
    pub(crate) fn is_sane(&self) -> bool {
        self.epoch <= EPOCH_MAX && self.boot <= BOOT_MAX
    }

    /// The order in which identities of one node follow each other.
    pub fn order(&self) -> (u64, u64, OriginId) {
        (self.epoch, self.boot, self.origin)
    }
}

impl foca::Identity for Identity {
    type Addr = NodeId;

    /// Never: an automatic renewal of a removed node floods the cluster. `peers` decides.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.order() > adversary.order()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_the_default_one() {
        assert_eq!(Address::parse("test-peer", 8088).unwrap().as_str(), "test-peer:8088");
        assert_eq!(Address::parse("[::1]", 8088).unwrap().as_str(), "[::1]:8088");
        assert_eq!(Address::parse("10.0.0.1:9", 8088).unwrap().as_str(), "10.0.0.1:9");
    }

    #[test]
    fn two_spellings_of_an_ip_address_are_one_address_and_names_stay_as_they_are() {
        for (text, address) in [
            ("[0:0::0:1]:9", "[::1]:9"),
            ("[2001:DB8::A]", "[2001:db8::a]:8088"),
            ("[::ffff:10.0.0.1]:9", "10.0.0.1:9"),
            ("10.0.0.1:09", "10.0.0.1:9"),
            ("Node_1.Example.:9", "Node_1.Example.:9"),
            ("3com", "3com:8088"),
            ("0x7fg", "0x7fg:8088"),
        ] {
            assert_eq!(Address::parse(text, 8088).unwrap().as_str(), address);
        }
    }

    #[test]
    fn what_earlier_releases_told_of_their_peers_is_still_taken_from_peers() {
        for text in ["256.0.0.1:1", "-a:1", "0.0.0.0:1", "[::0:1]:1"] {
            assert_eq!(Address::try_from(text.to_owned()).unwrap().as_str(), text);
        }
    }

    #[test]
    fn an_address_made_of_a_sockets_is_one_that_can_be_read() {
        let zoned = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 8088, 5, 3);
        let sockets: [(SocketAddr, &str); 3] = [
            (zoned.into(), "[fe80::1]:8088"),
            ("[::ffff:10.0.0.1]:1".parse().unwrap(), "[::ffff:10.0.0.1]:1"),
            ("10.0.0.1:65535".parse().unwrap(), "10.0.0.1:65535"),
        ];
        for (socket, expected) in sockets {
            let address = Address::from(socket);
            assert_eq!(address.as_str(), expected);
            assert_eq!(Address::try_from(expected.to_owned()).as_ref(), Ok(&address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "without a host"),
            (":8088", "without a host"),
            ("a:0", "port"),
            ("a:65536", "port"),
            ("a:b", "port"),
            ("::1", "in brackets, like [::1]:8088"),
            ("::1:8088", "in brackets"),
            ("http://a:1", "the URL"),
            ("a b:1", "letters"),
            ("http://a", "port"),
            ("[::g]:1", "between brackets"),
            ("[:::1]:1", "between brackets"),
            ("[]:1", "between brackets"),
            ("[a]:1", "between brackets"),
            ("[127.0.0.1]:1", "between brackets"),
            ("256.0.0.1:1", "IPv4 address of four numbers"),
            ("127.1", "IPv4 address of four numbers"),
            ("a.0x7f:1", "IPv4 address of four numbers"),
            ("a..b:1", "parts have 1 to 63"),
            (".:1", "parts have 1 to 63"),
            ("-a:1", "neither begin nor end"),
            ("a-.b:1", "neither begin nor end"),
            ("0.0.0.0:1", "of one node"),
            ("[::]", "of one node"),
            ("255.255.255.255", "of one node"),
            ("239.1.2.3:1", "of one node"),
            ("[ff05::1]:1", "of one node"),
            ("[::ffff:0.0.0.0]:1", "of one node"),
        ] {
            let error = Address::parse(text, 8088).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        assert!(Address::parse(&"a".repeat(300), 1).is_err());
    }
}
