//! A few lines of HTTP over a plain socket: one connection for each call, closed by the other side.
//!
//! Commands make a call or two and end; a client with a pool and a runtime would be started anew for
//! each of them, and every ten seconds for the image's health check.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::transport::blocking::{self, Stream};

/// How long connecting may take, and how long each step of an answer. A node answers in milliseconds,
/// but for raises, which wait two seconds at most, and the first listing of millions of names.
pub(super) const STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest answer that is read, in bytes. The largest is that to a batch of as many names as there
/// may be, some 4 MiB.
pub(super) const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Where a node answers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    node: String,
    sockets: Vec<SocketAddr>,
}

/// What a node said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Looks up where `node`, a `host:port`, is.
    pub(crate) fn to(node: &str) -> Result<Self, Failure> {
        let sockets = node
            .to_socket_addrs()
            .map_err(|error| Failure::Unresolved(node.to_owned(), error))?
            .collect();
        Ok(Client { node: node.to_owned(), sockets })
    }

    /// Its `host:port`.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Its addresses.
    pub(crate) fn sockets(&self) -> &[SocketAddr] {
        &self.sockets
    }

    /// Reads what stands at a path.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.call("GET", path, "", STEP_TIME_MAX)?;
        self.read(&answer)
    }

    /// Reads the text that stands at a path.
    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        let answer = self.call("GET", path, "", STEP_TIME_MAX)?;
        if answer.status != 200 {
            return Err(self.refusal(&answer));
        }
        String::from_utf8(answer.body)
            .map_err(|error| Failure::Foreign(self.node.clone(), error.to_string()))
    }

    /// Posts a JSON text.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> Result<T, Failure> {
        self.ask("POST", path, body)
    }

    /// Makes a call of any method.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<T, Failure> {
        self.ask_for(method, path, body, STEP_TIME_MAX)
    }

    /// The same, of which each step may take so long.
    pub(super) fn ask_for<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
        step: Duration,
    ) -> Result<T, Failure> {
        let answer = self.call(method, path, body, step)?;
        self.read(&answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        if answer.status != 200 {
            return Err(self.refusal(answer));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::Foreign(self.node.clone(), error.to_string()))
    }

    /// Why a node refused something.
    pub(super) fn refusal(&self, answer: &Answer) -> Failure {
        /// Either way in which a node says why.
        #[derive(Deserialize)]
        struct Refusal {
            #[serde(alias = "error")]
            detail: String,
        }
        let reason = match serde_json::from_slice::<Refusal>(&answer.body) {
            Ok(refusal) => refusal.detail,
            Err(_) => String::from_utf8_lossy(&answer.body).chars().take(200).collect(),
        };
        Failure::Refused { node: self.node.clone(), status: answer.status, reason }
    }

    /// Makes one call, of which each step may take so long.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        body: &str,
        step: Duration,
    ) -> Result<Answer, Failure> {
        let mut stream =
            self.connect(step).map_err(|error| Failure::Silent(self.node.clone(), error))?;
        let answer = self
            .exchange(&mut stream, method, path, body, step)
            .map_err(|error| Failure::of_answer(&self.node, step, error))?;
        parsed(&answer).map_err(|found| Failure::Foreign(self.node.clone(), found))
    }

    /// A connection, of which connecting may take so long.
    pub(super) fn connect(&self, step: Duration) -> io::Result<Stream> {
        blocking::dial(&self.sockets, step)
    }

    fn exchange(
        &self,
        stream: &mut Stream,
        method: &str,
        path: &str,
        body: &str,
        step: Duration,
    ) -> io::Result<Vec<u8>> {
        stream.limit(step, step)?;
        let (host, length) = (&self.node, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Reads an answer, or tells what was found instead.
pub(super) fn parsed(answer: &[u8]) -> Result<Answer, String> {
    let found = || {
        let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        format!("{:?}", String::from_utf8_lossy(&first[..first.len().min(64)]))
    };
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(found)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| found())?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok())
        .ok_or_else(found)?;
    let body = answer[end + 4..].to_vec();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok());
    match length {
        Some(length) if length != body.len() => {
            Err(format!("{} bytes of an answer of {length}", body.len()))
        }
        _ => Ok(Answer { status, body }),
    }
}
