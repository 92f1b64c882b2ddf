//! The sockets that a node needs to be reached: TCP and UDP of one number, and one for calls.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::broadcast;
use super::datagrams::{bind_own, bind_shared};
use crate::config::DiscoveryConfig;
use crate::transport::listener::Listener;

/// How often a free number is asked for that is free for both protocols.
const FREE_PORT_TRIES: usize = 16;

/// What a node hears.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// HTTP and links.
    pub(crate) listener: Listener,
    /// Membership, and answers to calls; the same number as the listener's.
    pub(crate) own: UdpSocket,
    /// Calls; shared with the other nodes of this host.
    pub(crate) calls: Option<UdpSocket>,
}

/// Why a node cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {at} ({protocol}): {error}; {remedy}")]
pub(crate) struct BindError {
    at: SocketAddr,
    protocol: &'static str,
    error: io::Error,
    remedy: &'static str,
}

impl BindError {
    fn new(at: SocketAddr, protocol: &'static str, error: io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has this port: stop it, or choose another port with --http or PORT"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine does not have that address: name one of its own with --http"
            }
            io::ErrorKind::PermissionDenied => {
                "this user may not have that port: choose one above 1023 with --http or PORT"
            }
            _ => "choose another address with --http",
        };
        BindError { at, protocol, error, remedy }
    }
}

impl Sockets {
    /// Binds them all. A node that cannot hear calls is told of in a warning and runs without.
    pub(crate) fn bind(
        listen: SocketAddr,
        discovery: Option<&DiscoveryConfig>,
    ) -> Result<Self, BindError> {
        let (listener, own) = bind_pair(listen)?;
        let calls = discovery.and_then(|discovery| bind_calls(listen, discovery));
        Ok(Sockets { listener, own, calls })
    }
}

/// One number for both protocols; where the system chooses it, one that is free for both.
fn bind_pair(listen: SocketAddr) -> Result<(Listener, UdpSocket), BindError> {
    let mut tries = if listen.port() == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        let listener =
            Listener::at(listen).map_err(|error| BindError::new(listen, "tcp", error))?;
        let at = listener.local_addr().map_err(|error| BindError::new(listen, "tcp", error))?;
        match bind_own(at) {
            Ok(own) => return Ok((listener, own)),
            Err(error) if tries == 1 => return Err(BindError::new(at, "udp", error)),
            Err(_) => tries -= 1,
        }
    }
}

fn bind_calls(listen: SocketAddr, discovery: &DiscoveryConfig) -> Option<UdpSocket> {
    let Some(at) = broadcast::ear(listen.ip(), discovery.port, &broadcast::interfaces()) else {
        tracing::info!(
            "{} has neither broadcast nor multicast: other nodes are found by --join only",
            listen.ip()
        );
        return None;
    };
    match bind_shared(at) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(
                "cannot hear the calls of other nodes on {at} (udp): {error}; they are found by \
                 --join, or by this node's own calls; choose another port for the whole cluster \
                 with --discovery-port"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_is_free_for_both_protocols() {
        let (listener, own) = bind_pair("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(listener.local_addr().unwrap(), own.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_protocol_and_a_way_out() {
        // Another program may use the same port of TCP, which is asked for first.
        let (at, error) = loop {
            let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let at = taken.local_addr().unwrap();
            let error = bind_pair(at).unwrap_err().to_string();
            if !error.contains("(tcp)") {
                break (at, error);
            }
        };
        assert!(error.starts_with(&format!("cannot listen on {at} (udp): ")), "{error}");
        assert!(error.ends_with("choose another port with --http or PORT"), "{error}");
    }
}
