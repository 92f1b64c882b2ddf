//! A connection of a command that makes a call or two and ends, and has no runtime for that.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One connection. Reads and writes wait.
#[derive(Debug)]
pub(crate) struct Stream(TcpStream);

/// Dials these addresses one after the other, for so long each, until one answers.
///
/// # Errors
/// Of the last address, if none answers.
pub(crate) fn dial(addresses: &[SocketAddr], time_max: Duration) -> io::Result<Stream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(address, time_max) {
            Ok(socket) => return Ok(Stream(socket)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Stream {
    /// How long each read and each write may take from here on.
    pub(crate) fn limit(
        &self,
        read_time_max: Duration,
        write_time_max: Duration,
    ) -> io::Result<()> {
        self.0.set_read_timeout(Some(read_time_max))?;
        self.0.set_write_timeout(Some(write_time_max))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
