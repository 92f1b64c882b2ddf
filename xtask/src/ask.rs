//! One node, and what it is asked over HTTP.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use ureq::{Agent, Body, http};

use crate::failure::Failure;

/// `/sync` may wait two seconds before it answers; a node that takes longer than this is as good as
/// gone.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a connection to a port of this machine may take. It is made or refused at once.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// A node that answers on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Counted from 1.
    pub(crate) number: u16,
    /// Where it answers HTTP, on 127.0.0.1.
    pub(crate) port: u16,
}

/// What a node answered: its text, which people are shown, and what it says.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) text: String,
    pub(crate) value: T,
}

/// An answer to `/health`.
#[derive(Debug, Deserialize)]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) node_id: String,
}

/// An answer to `/count` and `/increment`.
#[derive(Debug, Deserialize)]
pub(crate) struct Count {
    pub(crate) count: i64,
}

/// What `/status` says of the other nodes.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) peers: Vec<Peer>,
}

/// A node as another one sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) state: String,
}

/// An answer to `/counters/{name}`.
#[derive(Debug, Deserialize)]
pub(crate) struct Counter {
    pub(crate) value: i64,
}

impl Node {
    /// Its `host:port` on this machine.
    pub(crate) fn socket(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Where it stands on this machine.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.socket())
    }

    pub(crate) fn health(&self) -> Result<Answer<Health>, Failure> {
        self.get("/health")
    }

    /// Its own address, by which the others list it.
    pub(crate) fn address(&self) -> Result<String, Failure> {
        Ok(self.health()?.value.node_id)
    }

    pub(crate) fn count(&self) -> Result<Answer<Count>, Failure> {
        self.get("/count")
    }

    pub(crate) fn increment(&self) -> Result<Answer<Count>, Failure> {
        let text = self.post("/increment", "")?;
        self.read("POST /increment", text)
    }

    pub(crate) fn sync(&self, count: i64) -> Result<(), Failure> {
        self.post("/sync", &json!({ "count": count }).to_string()).map(drop)
    }

    pub(crate) fn peers(&self) -> Result<Answer<Vec<String>>, Failure> {
        self.get("/peers")
    }

    pub(crate) fn register(&self, address: &str) -> Result<(), Failure> {
        self.post("/register", &json!({ "id": address }).to_string()).map(drop)
    }

    pub(crate) fn remove_peer(&self, address: &str) -> Result<(), Failure> {
        self.post("/remove-peer", &json!({ "id": address }).to_string()).map(drop)
    }

    pub(crate) fn status(&self) -> Result<Status, Failure> {
        Ok(self.get("/status")?.value)
    }

    /// The value of a counter whose name needs no encoding.
    pub(crate) fn counter(&self, name: &str) -> Result<i64, Failure> {
        let answer: Answer<Counter> = self.get(&format!("/counters/{name}"))?;
        Ok(answer.value.value)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        let call = format!("GET {path}");
        let text = self.text(&call, agent().get(self.url() + path).call())?;
        self.read(&call, text)
    }

    fn post(&self, path: &str, body: &str) -> Result<String, Failure> {
        self.text(&format!("POST {path}"), agent().post(self.url() + path).send(body))
    }

    /// The text of an answer that grants what was asked.
    fn text(
        &self,
        call: &str,
        response: Result<http::Response<Body>, ureq::Error>,
    ) -> Result<String, Failure> {
        let silent = |error| {
            let reason = match error {
                ureq::Error::Timeout(_) => format!("not within {} s", ANSWER_TIME_MAX.as_secs()),
                error => error.to_string(),
            };
            Failure::NotAsDescribed(format!("{self} does not answer {call}: {reason}"))
        };
        let mut response = response.map_err(silent)?;
        let text = response.body_mut().read_to_string().map_err(silent)?;
        match response.status().as_u16() {
            200 => Ok(text.trim_end().to_owned()),
            status => Err(Failure::NotAsDescribed(format!(
                "expected {self} to answer {call} with 200; found {status}: {text}"
            ))),
        }
    }

    fn read<T: DeserializeOwned>(&self, call: &str, text: String) -> Result<Answer<T>, Failure> {
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Answer { text, value }),
            Err(error) => {
                Err(Failure::NotAsDescribed(format!("{self} answers {call} with {text}: {error}")))
            }
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}", self.number)
    }
}

/// One for each call: a connection that is kept for the next one would be dead after a restart.
fn agent() -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_TIME_MAX));
    config.build().into()
}

/// Whether a program has that port of this machine.
pub(crate) fn port_answers(port: u16) -> bool {
    let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&socket, CONNECT_TIME_MAX).is_ok()
}
