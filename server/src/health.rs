//! `quipu health`: whether a running node is well, for whoever watches over it.
//!
//! An image of one file has no shell and no curl, so the program asks itself. Three lines of HTTP
//! over a plain socket; a client and its runtime would be started every few seconds for that.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long each step may take. Whoever watches gives up after a few seconds.
const STEP_TIME_MAX: Duration = Duration::from_secs(2);

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Why a node is not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwell {
    #[error("nobody knows where {0} is: {1}")]
    Unresolved(String, io::Error),
    #[error("no node answers at {0}: {1}")]
    Silent(String, io::Error),
    #[error("expected {0} to answer 200, found {1:?}")]
    Other(String, String),
}

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
pub(crate) fn check(node: &str) -> Result<(), Unwell> {
    let sockets: Vec<SocketAddr> = node
        .to_socket_addrs()
        .map_err(|error| Unwell::Unresolved(node.to_owned(), error))?
        .collect();
    let answer = ask(&sockets, node).map_err(|error| Unwell::Silent(node.to_owned(), error))?;
    let status = answer.lines().next().unwrap_or_default();
    if status.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(Unwell::Other(node.to_owned(), status.chars().take(64).collect()))
    }
}

fn ask(sockets: &[SocketAddr], host: &str) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for socket in sockets {
        match ask_one(socket, host) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask_one(socket: &SocketAddr, host: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(socket, STEP_TIME_MAX)?;
    stream.set_read_timeout(Some(STEP_TIME_MAX))?;
    stream.set_write_timeout(Some(STEP_TIME_MAX))?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered_with(answer: &'static [u8]) -> Result<(), Unwell> {
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
        assert!(unwell.to_string().ends_with(r#"found "HTTP/1.1 503 Service Unavailable""#));
        let unwell = answered_with(b"220 mail.example.com ESMTP\r\n").unwrap_err();
        assert!(matches!(unwell, Unwell::Other(..)));
    }

    #[test]
    fn where_nobody_listens_no_node_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(matches!(check(&node), Err(Unwell::Silent(..))));
        assert!(matches!(check("no port"), Err(Unwell::Unresolved(..))));
    }

    #[test]
    fn a_node_on_all_addresses_is_asked_on_loopback() {
        let asked = |listen: &str| asked_at(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8089"), "127.0.0.1:8089");
        assert_eq!(asked("[::]:1"), "[::1]:1");
        assert_eq!(asked("10.0.0.1:1"), "10.0.0.1:1");
    }
}
