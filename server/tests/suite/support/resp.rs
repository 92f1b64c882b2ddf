//! The least Redis client that shows a test every byte: a plain socket, and where a reply ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::queues::unread;

/// Longer than any answer may take; a test that meets it has failed.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// A command as clients frame it.
pub fn framed(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

impl Client {
    #[track_caller]
    pub fn open(server: SocketAddr) -> Client {
        Client::try_open(server).unwrap_or_else(|error| panic!("{server}: {error}"))
    }

    pub fn try_open(server: SocketAddr) -> io::Result<Client> {
        Client::over(TcpStream::connect_timeout(&server, ANSWER_TIME_MAX)?)
    }

    /// By a connection that stands.
    pub fn over(stream: TcpStream) -> io::Result<Client> {
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the server takes what is sent");
    }

    /// Tells the other side that nothing more will be sent. It may have left already.
    pub fn end_sending(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Waits until a server on this machine has read all that was sent, as the system tells of the
    /// two sockets.
    #[track_caller]
    pub fn wait_until_read(&self) {
        let stream = self.stream.get_ref();
        let addresses = (stream.local_addr(), stream.peer_addr());
        let (Ok(SocketAddr::V4(ours)), Ok(SocketAddr::V4(theirs))) = addresses else {
            panic!("expected an open socket of IPv4, found {addresses:?}");
        };
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        // A rest between two looks would be longer than what is waited for.
        while unread(ours, theirs) > 0 {
            assert!(Instant::now() < deadline, "the server does not read what was sent");
            thread::yield_now();
        }
    }

    /// Closes at once, without the system remembering the connection: thousands of them would be in
    /// every list of sockets.
    pub fn abort(self) {
        let linger = SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO));
        linger.expect("an open socket");
    }

    /// Sends a command, and reads its reply.
    #[track_caller]
    pub fn ask(&mut self, words: &[&str]) -> String {
        self.send(&framed(words));
        self.reply()
    }

    /// Reads one reply whole; every byte of it, the unprintable ones escaped.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        let mut bytes = Vec::new();
        self.read_reply(&mut bytes).expect("a whole reply");
        bytes.escape_ascii().to_string()
    }

    pub fn read_reply(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let start = bytes.len();
        if self.stream.read_until(b'\n', bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = bytes[start..].trim_ascii_end();
        let number = std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse::<i64>().ok());
        match (line[0], number) {
            (b'$' | b'=', Some(length @ 0..)) => {
                let mut rest = vec![0; usize::try_from(length).expect("a length") + 2];
                self.stream.read_exact(&mut rest)?;
                bytes.extend(rest);
            }
            (b'*' | b'~' | b'>' | b'%', Some(count)) => {
                for _ in 0..if line[0] == b'%' { 2 * count } else { count } {
                    self.read_reply(bytes)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whatever comes until the other side closes.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the other side closes");
        rest.escape_ascii().to_string()
    }
}
