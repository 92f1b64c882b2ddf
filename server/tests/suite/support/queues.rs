//! What the system knows of bytes that one end of a connection has sent and the other has not read.
//!
//! Asked by netlink (sock_diag(7)), which looks up one socket. /proc/net/tcp would tell it too, but
//! walks all places that sockets may have, which takes milliseconds.

use std::io::{Read, Write};
use std::net::SocketAddrV4;

use socket2::{Domain, Protocol, Socket, Type};

const AF_INET: u8 = 2;
const AF_NETLINK: i32 = 16;
const IPPROTO_TCP: u8 = 6;
const NETLINK_SOCK_DIAG: i32 = 4;
const NLM_F_REQUEST: u16 = 1;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_BYTES: usize = 72;

/// How many bytes are on their way from one end to the other, both on this machine, or wait there to
/// be read.
#[track_caller]
pub fn unread(from: SocketAddrV4, to: SocketAddrV4) -> u32 {
    queues(from, to).1 + queues(to, from).0
}

/// Of a socket, by its own address and the other end's: bytes that wait to be read, and bytes that
/// the other end has not acknowledged.
#[track_caller]
fn queues(local: SocketAddrV4, remote: SocketAddrV4) -> (u32, u32) {
    let mut request = Vec::with_capacity(REQUEST_BYTES);
    // nlmsghdr: length, type, flags, sequence, port.
    request.extend((REQUEST_BYTES as u32).to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    // inet_diag_req_v2: family, protocol, no extensions, padding, any state, and the socket: ports,
    // addresses of up to 16 bytes, any interface, any cookie.
    request.extend([AF_INET, IPPROTO_TCP, 0, 0]);
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    for address in [local, remote] {
        request.extend(address.ip().octets());
        request.extend([0; 12]);
    }
    request.extend([0; 4]);
    request.extend([0xff; 8]);

    let protocol = Protocol::from(NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(Domain::from(AF_NETLINK), Type::DGRAM, Some(protocol))
        .expect("the system tells of sockets");
    socket.write_all(&request).expect("it takes a request");
    let mut answer = [0; 1024];
    let length = socket.read(&mut answer).expect("an answer");
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    assert!(
        kind == SOCK_DIAG_BY_FAMILY && length >= 80,
        "expected the socket {local} to {remote}, found {:?}",
        &answer[..length]
    );
    // nlmsghdr, then inet_diag_msg, in which the two lengths follow 56 bytes.
    let number = |at: usize| u32::from_ne_bytes(std::array::from_fn(|n| answer[at + n]));
    (number(72), number(76))
}
