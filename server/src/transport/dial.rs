//! Opening a connection.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::stream::Stream;

/// Dials these addresses one after the other, until one answers.
///
/// # Errors
/// Of the last address, if none answers.
pub(crate) async fn dial(addresses: &[SocketAddr]) -> io::Result<Stream> {
    let socket = TcpStream::connect(addresses).await?;
    // What is sent leaves in one write; waiting for more to send with it would only delay it.
    socket.set_nodelay(true)?;
    let peer = socket.peer_addr()?;
    Ok(Stream::tcp(socket, peer))
}
