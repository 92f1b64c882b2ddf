//! Tells the service manager that started this process how it is: sd_notify(3).
//!
//! A datagram to the socket that `NOTIFY_SOCKET` names, if there is one. So `systemctl start` returns
//! when the node answers, and not when its process exists: what waits for the node can count on it.
//!
//! Rejected: a crate for it. The protocol is this one datagram, and has been for ten years.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The node has read what it had kept, and answers.
pub(crate) const READY: &str = "READY=1\nSTATUS=counting";

/// The node takes its leave.
pub(crate) const STOPPING: &str = "STOPPING=1\nSTATUS=leaving the cluster";

/// Tells the service manager that watches over this process, if one does.
pub(crate) fn tell(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    // A node that counts is worth more than one that is known to count.
    if let Err(error) = send(&socket, state) {
        tracing::warn!("NOTIFY_SOCKET: cannot tell {}: {error}", socket.display());
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let from = UnixDatagram::unbound()?;
    // A manager that does not read must not hold up the node.
    from.set_nonblocking(true)?;
    from.send_to_addr(state.as_bytes(), &address(socket)?).map(drop)
}

/// A path, or behind an @ a name without a file.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
        }
        _ => SocketAddr::from_pathname(socket),
    }
}
