//! The least that a server can do for `INCR`: how fast `redis-benchmark` finds one that costs next to
//! nothing, and so how large a difference between servers it can show.
//!
//! One thread reads what is there, counts the commands in it by their first byte, and answers each
//! with a constant. It knows no counters, no names and no other commands.
//!
//! ```text
//! cargo run --release --package quipu --example bare_resp -- 127.0.0.1:9000
//! ```

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read, Result, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const ANSWER: &[u8] = b":1000000\r\n";

/// More than a generator's pipeline of 64 takes.
const READ_BYTES: usize = 64 << 10;

fn main() -> Result<()> {
    let address = std::env::args().nth(1).and_then(|address| address.parse().ok());
    let Some(address) = address else {
        return Err(Error::other("expected an address to listen on, such as 127.0.0.1:9000"));
    };
    let mut listener = TcpListener::bind(address)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut events, mut clients) = (Events::with_capacity(128), HashMap::new());
    let mut next = 1;
    let (mut bytes, mut answers) = (vec![0; READ_BYTES], Vec::new());
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Some(mut client) = none_if_blocked(listener.accept())?.map(|(it, _)| it) {
                    client.set_nodelay(true)?;
                    poll.registry().register(&mut client, Token(next), Interest::READABLE)?;
                    clients.insert(Token(next), client);
                    next += 1;
                }
            } else if let Some(client) = clients.get_mut(&event.token())
                && answer(client, &mut bytes, &mut answers).is_err()
            {
                clients.remove(&event.token());
            }
        }
    }
}

/// Answers all that a client has said; an error if it has gone.
fn answer(client: &mut TcpStream, bytes: &mut [u8], answers: &mut Vec<u8>) -> Result<()> {
    loop {
        let Some(read) = none_if_blocked(client.read(bytes))? else { return Ok(()) };
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answers.clear();
        for _ in bytes[..read].iter().filter(|byte| **byte == b'*') {
            answers.extend_from_slice(ANSWER);
        }
        // What a generator has not read yet fits the socket's buffer many times over.
        client.write_all(answers)?;
        // The system tells again when more comes.
        if read < bytes.len() {
            return Ok(());
        }
    }
}

fn none_if_blocked<T>(done: Result<T>) -> Result<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
