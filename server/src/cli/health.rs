//! `quipu health`: whether a running node is well, for what watches over it.
//!
//! An image of one file has no shell and no curl, so the program asks itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::cli::Failure;
use crate::cli::client::Client;

/// How long each step may take. What watches gives up after a few seconds.
const STEP_TIME_MAX: Duration = Duration::from_secs(2);

/// Where to ask a node that listens there: one on all addresses is asked on loopback.
pub(crate) fn asked_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}

/// Asks the node at `node`, a `host:port`.
pub(crate) fn check(node: &str) -> Result<(), Failure> {
    match Client::to(node)?.call("GET", "/health", "", STEP_TIME_MAX)?.status {
        200 => Ok(()),
        other => Err(Failure::Foreign(node.to_owned(), format!("status {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered_with(answer: &'static [u8]) -> Result<(), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(answer).unwrap();
        });
        let result = check(&node);
        server.join().unwrap();
        result
    }

    #[test]
    fn a_node_is_well_that_answers_200_and_no_other() {
        answered_with(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        let unwell = answered_with(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err();
        assert!(unwell.to_string().ends_with("found status 503"), "{unwell}");
        let unwell = answered_with(b"220 mail.example.com ESMTP\r\n").unwrap_err();
        assert!(matches!(unwell, Failure::Foreign(..)));
    }

    #[test]
    fn where_no_node_listens_none_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(matches!(check(&node), Err(Failure::Silent(..))));
        assert!(matches!(check("no port"), Err(Failure::Unresolved(..))));
    }

    #[test]
    fn a_node_that_says_nothing_in_its_time_is_said_to_be_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = check(&listener.local_addr().unwrap().to_string()).unwrap_err();
        assert!(slow.to_string().contains("has not answered within 2s"), "{slow}");
    }

    #[test]
    fn a_node_on_all_addresses_is_asked_on_loopback() {
        let asked = |listen: &str| asked_at(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8089"), "127.0.0.1:8089");
        assert_eq!(asked("[::]:1"), "[::1]:1");
        assert_eq!(asked("10.0.0.1:1"), "10.0.0.1:1");
    }
}
