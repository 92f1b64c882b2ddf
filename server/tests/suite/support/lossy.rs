//! A proxy before a node that loses one reply: to the first request that holds a sign, once the node
//! has answered it, and so has done it. Everything else it hands on.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// What becomes of the connection on which the reply was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It ends.
    Ends,
    /// It stays, and nothing comes on it any more.
    FallsSilent,
}

/// Takes connections for as long as the test's process runs.
#[derive(Debug)]
pub struct LossyProxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    node: SocketAddr,
    /// In lower case: some clients write commands so.
    sign: String,
    loss: Loss,
    /// Whether the sign has been seen.
    is_over: AtomicBool,
    lost: AtomicUsize,
}

impl LossyProxy {
    /// One before this node.
    pub fn before(node: SocketAddr, sign: &str, loss: Loss) -> LossyProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            node,
            sign: sign.to_lowercase(),
            loss,
            is_over: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
        });
        let taken = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A node that has gone is for the client to see.
                let _ = hand_on(client, &taken);
            }
        });
        LossyProxy { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many replies were lost.
    pub fn lost(&self) -> usize {
        self.state.lost.load(SeqCst)
    }
}

/// Hands on what one client and the node say, each way in a thread of its own.
fn hand_on(client: TcpStream, state: &Arc<State>) -> io::Result<()> {
    let node = TcpStream::connect(state.node)?;
    let loses = Arc::new(AtomicBool::new(false));
    let both = (client.try_clone()?, node.try_clone()?);
    let (there, its_loses) = (Arc::clone(state), Arc::clone(&loses));
    thread::spawn(move || {
        let _ = requests(&both.0, &both.1, &there, &its_loses);
        end(&both.0, &both.1);
    });
    let back = Arc::clone(state);
    thread::spawn(move || {
        let _ = replies(&client, &node, &back, &loses);
        end(&client, &node);
    });
    Ok(())
}

fn requests(
    mut client: &TcpStream,
    mut node: &TcpStream,
    state: &State,
    loses: &AtomicBool,
) -> io::Result<()> {
    let (mut part, mut seen) = (vec![0; 64 << 10], String::new());
    loop {
        let length = client.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        // The sign may come in parts, and is short.
        seen.push_str(&String::from_utf8_lossy(&part[..length]).to_lowercase());
        if seen.contains(&state.sign) && !state.is_over.swap(true, SeqCst) {
            loses.store(true, SeqCst);
        }
        node.write_all(&part[..length])?;
    }
}

fn replies(
    mut client: &TcpStream,
    mut node: &TcpStream,
    state: &State,
    loses: &AtomicBool,
) -> io::Result<()> {
    let mut part = vec![0; 64 << 10];
    loop {
        let length = node.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        if loses.load(SeqCst) {
            state.lost.fetch_add(1, SeqCst);
            match state.loss {
                Loss::Ends => return Ok(()),
                Loss::FallsSilent => continue,
            }
        }
        client.write_all(&part[..length])?;
    }
}

fn end(client: &TcpStream, node: &TcpStream) {
    // The second of the two ways finds them ended.
    let _ = client.shutdown(Shutdown::Both);
    let _ = node.shutdown(Shutdown::Both);
}
