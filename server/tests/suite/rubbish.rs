//! Strangers send rubbish to every port: bytes without a sense, lengths beyond all bounds, halves of
//! requests, links that claim to be members, floods of datagrams.
//!
//! What each decoder makes of rubbish is tested where the decoder is. Here a whole cluster is
//! watched from outside while it gets all of it: see `support/siege.rs` for what must hold.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use quipu_core::delta::Change;
use quipu_core::identity::{Address, Identity, NodeId, OriginId};
use quipu_core::membership::{Key, MembershipRecord};
use quipu_core::slot::{Numbers, Slot};
use quipu_core::wire::datagram::{Beacon, BeaconKind, Datagram, Envelope};
use quipu_core::wire::frame::{self, Goodbye, Hello, Message};
use quipu_core::wire::versions::PROTOCOL_VERSIONS;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::support::http::Connection;
use crate::support::node::Node;
use crate::support::secret::SecretFile;
use crate::support::siege::{Target, withstand};

/// Datagrams of strangers, in a second.
const DATAGRAMS_PER_SECOND: u32 = 10_000;

/// They leave in so many bursts a second.
const BURSTS_PER_SECOND: u32 = 100;

/// Links that one assault opens before it waits a moment.
const LINKS_AT_ONCE: usize = 50;

const LINK: &[u8] =
    b"GET /link HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: quipu/1\r\n\r\n";

/// Chance whose seed a failed test shows.
fn chance() -> ChaCha8Rng {
    let seed = getrandom::u64().expect("the system has chance");
    eprintln!("seed: {seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn random_bytes(chance: &mut impl Rng, length_max: u32) -> Vec<u8> {
    let length = chance.next_u32() % length_max + 1;
    let mut bytes = vec![0; length as usize];
    chance.fill_bytes(&mut bytes);
    bytes
}

/// Sends datagrams to every socket of the cluster in turn until time is up.
fn flood(target: &Target, mut next: impl FnMut(u32) -> Vec<u8>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.set_broadcast(true).expect("loopback allows broadcasts");
    let everywhere: Vec<_> = target.nodes.iter().copied().chain([target.calls]).collect();
    let mut number = 0;
    let mut sent = 0;
    let mut due = Instant::now();
    while due < target.until {
        for _ in 0..DATAGRAMS_PER_SECOND / BURSTS_PER_SECOND {
            let to = everywhere[number as usize % everywhere.len()];
            // One for which the system has no room is lost, as any may be.
            sent += u32::from(socket.send_to(&next(number), to).is_ok());
            number += 1;
        }
        due += Duration::from_secs(1) / BURSTS_PER_SECOND;
        // The rate is the story: no condition says when the next burst is due.
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    assert!(sent > DATAGRAMS_PER_SECOND, "a flood of {sent} datagrams is none");
}

/// Opens connections, has `assail` do something to each, and holds the last ones, until time is up.
/// How many there were.
fn open_many(target: &Target, mut assail: impl FnMut(SocketAddr, Connection)) -> usize {
    let mut opened = 0;
    while Instant::now() < target.until {
        for _ in 0..LINKS_AT_ONCE {
            let to = target.nodes[opened % target.nodes.len()];
            let connection = Connection::open(to).expect("the node still takes connections");
            assail(to, connection);
            opened += 1;
        }
        // Paced, or the assault would take the processor that the nodes need; nothing is waited for.
        thread::sleep(Duration::from_millis(20));
    }
    opened
}

/// A link that the node has taken, and on which no hello was said.
fn link(mut connection: Connection) -> Option<Connection> {
    connection.send(LINK).ok()?;
    (connection.answer().ok()?.status == 101).then_some(connection)
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short frame");
    [&length.to_be_bytes()[1..], bytes].concat()
}

#[test]
fn random_bytes_on_every_port_change_nothing() {
    let mut chance = chance();
    withstand(&[], |target, _| {
        let mut of_datagrams = ChaCha8Rng::seed_from_u64(chance.next_u64());
        thread::scope(|scope| {
            scope.spawn(|| flood(target, |_| random_bytes(&mut of_datagrams, 1500)));
            let mut held = Vec::new();
            open_many(target, |_, connection| {
                let rubbish = random_bytes(&mut chance, 4000);
                let connection = match chance.next_u32() % 2 {
                    0 => Some(connection),
                    _ => link(connection),
                };
                // The node may close before it has been sent all.
                held.extend(connection.map(|mut connection| {
                    let _ = connection.send(&rubbish);
                    connection
                }));
                held.drain(..held.len().saturating_sub(300));
            });
            held
        })
    });
}

#[test]
fn lengths_beyond_all_bounds_take_no_memory() {
    withstand(&[], |target, _| {
        let mut held = Vec::new();
        let chunk = vec![b'x'; 64 << 10];
        open_many(target, |_, mut connection| {
            let assailed = match held.len() % 5 {
                0 => connection.send(
                    b"POST /sync HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551615\r\n\r\n",
                ),
                1 => connection.send(
                    b"POST /sync HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\
                      fffffffffffffff\r\n",
                ),
                // A frame of 1 MiB, which is allowed once a link is proved, and one of 16 MiB.
                2 => connection.send(&[LINK, &[0x10, 0, 0]].concat()),
                3 => connection.send(&[LINK, &[0xff, 0xff, 0xff]].concat()),
                // A frame that is just allowed, of which the last byte never comes.
                _ => connection.send(&[LINK, &[0, 0x10, 0]].concat()),
            };
            // And as much of it as is taken at once.
            let _ = assailed.and_then(|()| connection.send(&chunk[..4095]));
            held.push(connection);
            held.drain(..held.len().saturating_sub(1500));
        });
        held
    });
}

#[test]
fn a_thousand_halves_of_requests_held_open_shut_no_client_out() {
    withstand(&[], |target, _| {
        let halves: [&[u8]; 4] = [
            b"POST /incr",
            b"POST /increment HTTP/1.1\r\nHost: t\r\n",
            b"POST /increment HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab",
            LINK,
        ];
        let held: Vec<_> = (0..1000)
            .map(|number| {
                let mut stream = TcpStream::connect(target.nodes[0]).expect("it is taken");
                stream.write_all(halves[number % halves.len()]).expect("it is read");
                stream
            })
            .collect();
        // Held, that is the point of them, however long it took to open so many: the time is the
        // story, and no condition ends it.
        let rest = target.until.saturating_duration_since(Instant::now());
        thread::sleep(rest.max(Duration::from_secs(1)));
        held
    });
}

/// An identity that no node has.
fn stranger(chance: &mut impl Rng) -> Identity {
    Identity {
        node: NodeId(chance.next_u64()),
        // What the nodes send there goes no further than this machine.
        address: Address::parse("127.1.2.3:9", 1).expect("an address"),
        epoch: 0,
        boot: 1,
        origin: OriginId(chance.next_u64()),
    }
}

/// An identity that would replace that of a node, were it believed.
fn forged(node: &Node, chance: &mut impl Rng) -> Identity {
    let status = node.get("/status").json();
    let id = status["node"].as_str().expect("a node's id");
    Identity {
        node: NodeId(u64::from_str_radix(id, 16).expect("hexadecimal")),
        address: Address::parse(&node.id(), 1).expect("a node's address"),
        epoch: 0,
        boot: u64::MAX / 2,
        origin: OriginId(chance.next_u64()),
    }
}

#[test]
fn links_that_claim_to_be_members_are_not_believed() {
    let mut chance = chance();
    let secret = SecretFile::of("a secret that no stranger knows");
    withstand(&secret.flags(), |target, nodes| {
        let identities: Vec<_> = nodes.iter().map(|node| forged(node, &mut chance)).collect();
        let removal = MembershipRecord {
            key: Key::Node(identities[1].node),
            removed: u64::MAX / 2,
            registered: 0,
        };
        let origin = identities[0].origin;
        let numbers = Numbers { plus: 1 << 40, ..Numbers::default() };
        let change = Change::slot("default", Slot::from(numbers));
        let mut held = Vec::new();
        open_many(target, |_, connection| {
            let Some(mut link) = link(connection) else { return };
            let number = held.len();
            let mut nonce = [0; 16];
            chance.fill_bytes(&mut nonce);
            let mut proof = [0; 32];
            if number.is_multiple_of(2) {
                chance.fill_bytes(&mut proof);
            }
            let hello = Message::Hello(Hello {
                versions: PROTOCOL_VERSIONS,
                cluster: &target.cluster,
                identity: identities[number % identities.len()].clone(),
                nonce,
                has_secret: !number.is_multiple_of(3),
            });
            let lies = [
                Message::Proof(proof),
                Message::Welcome,
                Message::Push { after: 0, batches: 1, age_us: 0, changes: vec![change] },
                Message::Membership(vec![removal.clone()]),
                Message::Goodbye(Goodbye::Removed(vec![removal.clone()])),
                Message::DigestPart { first: origin, last: origin, rows: Vec::new() },
                Message::Goodbye(Goodbye::Leaving),
            ];
            // In their order, or from any of them on: what follows a wrong proof must not count.
            let said = lies
                .iter()
                .skip(number % lies.len())
                .fold(framed(&frame::encode(&hello)), |said, lie| {
                    [said, framed(&frame::encode(lie))].concat()
                });
            let _ = link.send(&said);
            held.push(link);
            held.drain(..held.len().saturating_sub(300));
        });
        held
    });
}

#[test]
fn links_of_nodes_that_do_not_exist_are_sent_away() {
    let mut chance = chance();
    withstand(&[], |target, _| {
        let mut held = Vec::new();
        open_many(target, |_, connection| {
            let Some(mut link) = link(connection) else { return };
            let mut nonce = [0; 16];
            chance.fill_bytes(&mut nonce);
            let hello = Message::Hello(Hello {
                versions: PROTOCOL_VERSIONS,
                cluster: &target.cluster,
                identity: stranger(&mut chance),
                nonce,
                has_secret: false,
            });
            // Without a secret any proof will do; yet a link is for members.
            let proof = Message::Proof([0; 32]);
            let said = [frame::encode(&hello), frame::encode(&proof)];
            let _ = link.send(&said.map(|message| framed(&message)).concat());
            held.push(link);
            held.drain(..held.len().saturating_sub(300));
        });
        held
    });
}

#[test]
fn a_flood_of_datagrams_is_no_membership() {
    let mut chance = chance();
    let secret = SecretFile::of("a secret that no stranger knows");
    withstand(&secret.flags(), |target, nodes| {
        let identities: Vec<_> = nodes.iter().map(|node| forged(node, &mut chance)).collect();
        let ours_but_for_the_secret = Envelope::new(&target.cluster, None);
        let theirs = Envelope::new("another cluster", None);
        flood(target, |number| {
            let identity = identities[number as usize % identities.len()].clone();
            let swim = random_bytes(&mut chance, 400);
            let call = Beacon { identity, sequence: number.into(), kind: BeaconKind::Call };
            let datagram = match number % 3 {
                0 => Datagram::Beacon(call),
                1 => Datagram::Swim(&swim),
                _ => Datagram::Membership(Vec::new()),
            };
            let mut bytes = match number % 4 {
                0 => theirs.seal(&datagram).to_vec(),
                _ => ours_but_for_the_secret.seal(&datagram).to_vec(),
            };
            if number.is_multiple_of(2) {
                // Where the MAC would be.
                bytes.extend_from_slice(&[0; 16]);
            }
            bytes
        });
    });
}

#[test]
fn calls_of_nodes_that_do_not_exist_list_no_peer() {
    let mut chance = chance();
    withstand(&[], |target, _| {
        let envelope = Envelope::new(&target.cluster, None);
        flood(target, |number| {
            let identity = stranger(&mut chance);
            let kind = if number.is_multiple_of(2) { BeaconKind::Call } else { BeaconKind::Ask };
            envelope.seal(&Datagram::Beacon(Beacon { identity, sequence: 1, kind })).to_vec()
        });
    });
}
