//! A cluster for tests: it answers as nodes do, but for one thing that it does wrong when asked to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::Node;
use crate::failure::Failure;
use crate::stage::{Stage, Times};

/// How often lists are read until a peer that never answers is gone from them, and until a removed
/// node comes back by itself, where it wrongly does.
const READS_UNTIL_CHANGE: u32 = 2;

/// What a cluster does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Node 2 does not answer.
    Silent,
    /// Node 2 is not well.
    Unwell,
    /// Node 2 counts one less than the others.
    CountsLess,
    /// An increment counts twice.
    CountsTwice,
    /// An increment stays where it was made.
    KeepsIncrements,
    /// `/sync` is granted, and changes nothing.
    IgnoresSync,
    /// `/sync` with a lower value lowers.
    Lowers,
    /// Node 1 does not list node 3.
    ListsLess,
    /// A peer registered by hand is not listed.
    IgnoresStrangers,
    /// A peer that never answers stays listed.
    KeepsStrangers,
    /// A new node does not answer.
    NewcomerIsSilent,
    /// A new node is not listed.
    NewcomerIsUnknown,
    /// A new node has no counts.
    NewcomerIsEmpty,
    /// A node that stopped stays listed.
    KeepsStopped,
    /// A removal is granted, and changes nothing.
    IgnoresRemovals,
    /// A removed node is told of increments.
    TellsRemoved,
    /// A removed node comes back by itself.
    TakesRemovedBack,
    /// A removed node stays away though it is registered again.
    IgnoresRegistrations,
}

/// Nodes that share one state, each at a port of its own.
pub(super) struct Fake {
    state: Arc<Mutex<State>>,
}

struct State {
    fault: Fault,
    nodes: BTreeMap<u16, Member>,
    removed: BTreeSet<u16>,
    /// What is listed though no node has this address.
    strangers: BTreeSet<String>,
    /// How often lists were read since the last registration or removal.
    reads: u32,
}

#[derive(Clone, Copy)]
struct Member {
    port: u16,
    count: i64,
}

impl Fake {
    /// Three nodes.
    pub(super) fn start(fault: Fault) -> Self {
        let (nodes, removed, strangers) = Default::default();
        let state = State { fault, nodes, removed, strangers, reads: 0 };
        let fake = Fake { state: Arc::new(Mutex::new(state)) };
        for number in 1..=3 {
            fake.serve(number, 7).unwrap();
        }
        fake
    }

    pub(super) fn strangers(&self) -> usize {
        self.state.lock().unwrap().strangers.len()
    }

    pub(super) fn removed(&self) -> usize {
        self.state.lock().unwrap().removed.len()
    }

    fn serve(&self, number: u16, count: i64) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        self.state.lock().unwrap().nodes.insert(number, Member { port, count });
        let state = Arc::clone(&self.state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A caller that has gone is none.
                let _ = stream.and_then(|stream| answer(&state, number, stream));
            }
        });
        Ok(())
    }
}

impl Stage for Fake {
    fn running(&self) -> Vec<Node> {
        let state = self.state.lock().unwrap();
        state.nodes.iter().map(|(number, node)| Node { number: *number, port: node.port }).collect()
    }

    fn has_node(&self, number: u16) -> bool {
        self.state.lock().unwrap().nodes.contains_key(&number)
    }

    fn start_node(&self, number: u16) -> Result<(), Failure> {
        let state = self.state.lock().unwrap();
        let count = if state.fault == Fault::NewcomerIsEmpty { 0 } else { state.nodes[&1].count };
        drop(state);
        self.serve(number, count).unwrap();
        Ok(())
    }

    fn restart_node(&self, number: u16) -> Result<(), Failure> {
        Err(Failure::Unable(format!("expected that no check restarts node{number}")))
    }

    fn remove_node(&self, number: u16) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap();
        if state.nodes.remove(&number).is_some() && state.fault == Fault::KeepsStopped {
            state.strangers.insert(address(number));
        }
        Ok(())
    }

    fn times(&self) -> Times {
        let (limit, watched) = (Duration::from_millis(500), Duration::from_millis(200));
        // A stranger is forgotten at the second look, which a busy machine may make late.
        let forget = Duration::from_secs(1);
        Times { agree: limit, join: limit, forget, unchanged: watched, away: watched }
    }
}

impl State {
    fn answer(&mut self, number: u16, call: &str, body: &Value) -> Option<Value> {
        let node_id = address(number);
        match call {
            "GET /health" => {
                let is_well = number != 2 || self.fault != Fault::Unwell;
                let status = if is_well { "ok" } else { "poorly" };
                Some(json!({ "status": status, "node_id": node_id }))
            }
            "GET /count" => {
                let less = i64::from(number == 2 && self.fault == Fault::CountsLess);
                Some(json!({ "count": self.nodes[&number].count - less, "node_id": node_id }))
            }
            "POST /increment" => {
                let by = if self.fault == Fault::CountsTwice { 2 } else { 1 };
                let count = self.nodes[&number].count + by;
                self.raise(count, |other| other == number);
                if self.fault != Fault::KeepsIncrements {
                    self.raise(count, |_| true);
                }
                Some(json!({ "count": count, "node_id": node_id }))
            }
            "POST /sync" => {
                let count = body["count"].as_i64()?;
                match self.fault {
                    Fault::IgnoresSync => {}
                    Fault::Lowers => self.nodes.values_mut().for_each(|node| node.count = count),
                    _ => self.raise(count, |_| true),
                }
                Some(Value::Null)
            }
            "GET /peers" => Some(json!(self.peers(number))),
            "POST /register" => self.register(body["id"].as_str()?),
            "POST /remove-peer" => self.remove(body["id"].as_str()?),
            _ => None,
        }
    }

    fn raise(&mut self, count: i64, is_meant: impl Fn(u16) -> bool) {
        let tells_all = self.fault == Fault::TellsRemoved;
        for (number, node) in &mut self.nodes {
            if is_meant(*number) && (tells_all || !self.removed.contains(number)) {
                node.count = node.count.max(count);
            }
        }
    }

    fn peers(&mut self, number: u16) -> Vec<String> {
        self.reads += 1;
        if self.reads > READS_UNTIL_CHANGE
            && !matches!(self.fault, Fault::KeepsStrangers | Fault::KeepsStopped)
        {
            self.strangers.clear();
        }
        if self.reads > READS_UNTIL_CHANGE && self.fault == Fault::TakesRemovedBack {
            self.removed.clear();
        }
        let is_member = |number: u16| !self.removed.contains(&number);
        let is_missed = |other: u16| match self.fault {
            Fault::ListsLess => (number, other) == (1, 3),
            Fault::NewcomerIsUnknown => other > 3,
            _ => false,
        };
        let is_listed = |other: u16| {
            other != number && is_member(number) && is_member(other) && !is_missed(other)
        };
        let nodes = self.nodes.keys().copied().filter(|other| is_listed(*other)).map(address);
        nodes.chain(self.strangers.iter().cloned()).collect()
    }

    fn register(&mut self, id: &str) -> Option<Value> {
        self.reads = 0;
        match (self.number_of(id), self.fault) {
            (Some(_), Fault::IgnoresRegistrations) | (None, Fault::IgnoresStrangers) => {}
            (Some(number), _) => {
                self.removed.remove(&number);
                let count = self.nodes.values().map(|node| node.count).max()?;
                self.raise(count, |_| true);
            }
            (None, _) => drop(self.strangers.insert(id.to_owned())),
        }
        Some(Value::Null)
    }

    fn remove(&mut self, id: &str) -> Option<Value> {
        self.reads = 0;
        match self.number_of(id) {
            Some(_) if self.fault == Fault::IgnoresRemovals => {}
            Some(number) => drop(self.removed.insert(number)),
            None => drop(self.strangers.remove(id)),
        }
        Some(Value::Null)
    }

    fn number_of(&self, id: &str) -> Option<u16> {
        self.nodes.keys().copied().find(|number| address(*number) == id)
    }

    fn is_silent(&self, number: u16) -> bool {
        match self.fault {
            Fault::Silent => number == 2,
            Fault::NewcomerIsSilent => number > 3,
            _ => false,
        }
    }
}

/// As which a node is known to the others.
fn address(number: u16) -> String {
    format!("10.0.0.{number}:8088")
}

/// Answers one call. A node that is silent ends the connection.
fn answer(state: &Mutex<State>, number: u16, mut stream: TcpStream) -> io::Result<()> {
    let (call, body) = read_call(&mut stream)?;
    let mut state = state.lock().unwrap();
    if state.is_silent(number) {
        return Ok(());
    }
    let (status, text) = match state.answer(number, &call, &body) {
        Some(Value::Null) => ("200 OK", String::new()),
        Some(answer) => ("200 OK", answer.to_string()),
        None => ("400 Bad Request", json!({ "error": call }).to_string()),
    };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
}

/// Reads a call, `METHOD PATH`, and the JSON that comes with it.
fn read_call(stream: &mut TcpStream) -> io::Result<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let call = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((call, serde_json::from_slice(&body).unwrap_or_default()))
}
