//! `GET /events`: what changes, as it changes, as Server-Sent Events (WHATWG HTML, section 9.2).
//!
//! An event's id is the origin of this process and a position in its record of changes. A browser
//! that lost its connection gives the last one back by itself, and goes on there if the record
//! still reaches so far; else it is told so and gets a fresh snapshot.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use quipu_core::identity::OriginId;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::app::Shared;
use super::errors::{Kind, Problem};
use super::listing::{bound, name};
use super::problem_document::Documented;
use super::query::{self, wrong};
use super::routes::Route;
use crate::access::{Caller, Door};
use crate::watch::{
    Begin, Change, EVERY_MAX, EVERY_MIN, Filter, Peer, Position, Read, Refused, Watch, Watcher,
    row_json,
};

/// Between two values of one counter, where nothing else is asked for: as quick as an eye can use.
const EVERY_DEFAULT: Duration = Duration::from_millis(100);

/// Counters that may be asked for by name: a screenful of rows.
const COUNTERS_MAX: usize = 200;

/// After so long without anything to tell, a comment is sent: proxies end connections that are
/// silent for 30 or 60 s, and a client that vanished is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Tells what changes, as it changes
///
/// A stream that begins with a `snapshot` of the counters asked for (the first 1,000 by name; `more`
/// says whether there are others), the `peers`, and the last lines of the node's log, each a `log`.
/// Then `change` has the counters that have changed with their newest values, one that was deleted or
/// has expired with 0 and `deleted`; `peers` and `log` what is new of those. With the id of an event in `Last-Event-ID` the stream goes on behind that
/// event; where it cannot, `reset` says so, and a snapshot follows.
#[utoipa::path(
    get, path = "/events", tag = "operation",
    params(
        ("prefix" = Option<String>, Query, description = "What the names of the counters begin with"),
        ("counter" = Option<String>, Query, description = "The name of a counter; may be given up to 200 times, instead of prefix"),
        ("every" = Option<String>, Query, description = "How long to wait at least between two values of one counter: 20ms to 60s; 100ms if it is not given"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that arrived"),
    ),
    responses((status = 200, description = "Events without end", body = String, content_type = "text/event-stream"))
)]
pub(super) async fn events(
    State(app): Shared,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Documented> {
    let Asked { filter, every } = Asked::parse(uri.query().unwrap_or_default())?;
    let resume = headers.get("last-event-id").map(|id| parse_id(id.as_bytes()));
    let filter = caller.ask(filter)?;
    let (begin, watcher) =
        app.watch.join(Door::Http, filter, resume).await.map_err(Problem::from)?;
    let mut first = Text::new(begin.origin);
    first.begin(&begin, app.node_id());
    let stream = EventStream {
        watch: app.watch.clone(),
        watcher,
        every,
        node_id: app.node_id().to_owned(),
        origin: begin.origin,
        ready: Some(first.finish(begin.position)),
        heartbeat_at: Instant::now() + HEARTBEAT,
        stopped: app.stopped.clone(),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would gather what is meant to arrive at once.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = Body::from_stream(unfold(stream, EventStream::next));
    Ok((headers, body).into_response())
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooMany(_) => Problem::new(Kind::Busy, refused.to_string()),
            Refused::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// One client's stream.
struct EventStream {
    watch: Watch,
    watcher: Watcher,
    every: Duration,
    node_id: String,
    origin: OriginId,
    /// What is to be sent first.
    ready: Option<Bytes>,
    heartbeat_at: Instant,
    /// Ends when the server stops.
    stopped: watch::Receiver<()>,
}

impl EventStream {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let bytes = match self.ready.take() {
            Some(ready) => ready,
            None => self.wait().await?,
        };
        self.heartbeat_at = Instant::now() + HEARTBEAT;
        Some((Ok(bytes), self))
    }

    /// What there is to send next; `None` at the end.
    async fn wait(&mut self) -> Option<Bytes> {
        loop {
            let mut text = Text::new(self.origin);
            let show = |position, change: &Change| text.add(position, change);
            let read = tokio::select! {
                biased;
                _ = self.stopped.changed() => return None,
                read = timeout_at(self.heartbeat_at, self.watcher.read(self.every, show)) => read,
            };
            match read {
                Err(_) => return Some(Bytes::from_static(b": nothing new\n\n")),
                Ok(Read::Up) if text.is_empty() => {}
                Ok(Read::Up) => return Some(text.finish(self.watcher.position())),
                Ok(Read::Outrun) => {
                    let begin = self.watch.begin_anew(&mut self.watcher).await.ok()?;
                    text.begin(&begin, &self.node_id);
                    return Some(text.finish(begin.position));
                }
                Ok(Read::Ended) => return None,
            }
        }
    }
}

/// Events as they are written.
struct Text {
    origin: OriginId,
    text: String,
    /// Whether the event under way is a list of counters that may go on.
    is_listing: bool,
    last: Position,
}

impl Text {
    fn new(origin: OriginId) -> Self {
        Text { origin, text: String::new(), is_listing: false, last: 0 }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What a stream begins with.
    fn begin(&mut self, begin: &Begin, node_id: &str) {
        #[derive(Serialize)]
        struct Reset {
            reason: &'static str,
        }
        // A node that restarts is back in about a second.
        self.text.push_str("retry: 1000\n\n");
        if begin.is_reset {
            let reason = "not all that has changed since is known here; a snapshot follows";
            self.event("reset", begin.position, &Reset { reason });
        }
        let Some((rows, more)) = &begin.snapshot else { return };
        self.text.push_str("event: snapshot\ndata: {\"node_id\":");
        self.text.push_str(&json(&node_id));
        self.text.push_str(",\"counters\":[");
        for (place, (name, value)) in rows.iter().enumerate() {
            if place > 0 {
                self.text.push(',');
            }
            self.text.push_str(&row_json(name, *value));
        }
        self.text.push_str(if *more { "],\"more\":true}" } else { "],\"more\":false}" });
        self.end(begin.position);
        self.peers(begin.position, &begin.peers);
        for line in &begin.lines {
            self.event("log", begin.position, line.as_ref());
        }
    }

    fn add(&mut self, position: Position, change: &Change) {
        match change {
            Change::Counter { json, .. } => {
                self.text.push_str(match self.is_listing {
                    true => ",",
                    false => "event: change\ndata: {\"counters\":[",
                });
                self.text.push_str(json);
                (self.is_listing, self.last) = (true, position);
            }
            Change::Peers(peers) => self.peers(position, peers),
            Change::Line(line) => self.event("log", position, line.as_ref()),
        }
    }

    fn peers(&mut self, position: Position, peers: &[Peer]) {
        #[derive(Serialize)]
        struct Peers<'a> {
            peers: &'a [Peer],
        }
        self.event("peers", position, &Peers { peers });
    }

    fn event(&mut self, event: &str, position: Position, data: &impl Serialize) {
        self.end_listing(self.last);
        self.text.push_str("event: ");
        self.text.push_str(event);
        self.text.push_str("\ndata: ");
        self.text.push_str(&json(data));
        self.end(position);
    }

    fn end_listing(&mut self, position: Position) {
        if std::mem::take(&mut self.is_listing) {
            self.text.push_str("]}");
            self.end(position);
        }
    }

    fn end(&mut self, position: Position) {
        self.text.push_str(&format!("\nid: {}-{position}\n\n", self.origin));
    }

    /// All of it; up to this position nothing is missing.
    fn finish(mut self, position: Position) -> Bytes {
        self.end_listing(position);
        self.text.into()
    }
}

/// JSON has no line breaks outside of strings and escapes them inside, so it is one line.
fn json(value: &impl Serialize) -> String {
    // Text and numbers can always be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// What an event was called. One that this program never wrote is a place that no record has.
fn parse_id(id: &[u8]) -> (OriginId, Position) {
    let parsed = std::str::from_utf8(id).ok().and_then(|id| {
        let (origin, position) = id.split_once('-')?;
        Some((OriginId(u64::from_str_radix(origin, 16).ok()?), position.parse().ok()?))
    });
    parsed.unwrap_or((OriginId(0), Position::MAX))
}

/// What a query says.
#[derive(Debug)]
struct Asked {
    filter: Filter,
    every: Duration,
}

impl Asked {
    fn parse(query: &str) -> Result<Self, Problem> {
        let (mut prefix, mut counters, mut every) = (None, Vec::new(), EVERY_DEFAULT);
        for (parameter, value) in query::pairs(Route::Events, query)? {
            match &*parameter {
                "prefix" => prefix = bound("prefix", value)?,
                "counter" => counters.extend(name("counter", value)?),
                _ => every = interval(&value)?,
            }
        }
        let filter = match (prefix, counters) {
            (prefix, counters) if counters.is_empty() => Filter::Prefix(prefix),
            (None, counters) if counters.len() <= COUNTERS_MAX => Filter::Counters(counters),
            (None, counters) => {
                let found = counters.len();
                return Err(wrong(format!(
                    "expected at most {COUNTERS_MAX} counters, found {found}; ask for a prefix"
                )));
            }
            (Some(_), _) => return Err(wrong("expected prefix or counter, found both".to_owned())),
        };
        Ok(Asked { filter, every })
    }
}

/// Not parsed as counters are named by clients: a repeated counter is no more work than one.
fn interval(text: &str) -> Result<Duration, Problem> {
    if text.is_empty() {
        return Ok(EVERY_DEFAULT);
    }
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').unwrap_or(""), 1000),
    };
    // Rust takes a sign as well.
    let digits = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let ms = digits.and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit_ms));
    let every = ms.map(Duration::from_millis);
    every.filter(|every| (EVERY_MIN..=EVERY_MAX).contains(every)).ok_or_else(|| {
        let found: String = text.chars().take(32).collect();
        wrong(format!("expected every from 20ms to 60s, like 100ms or 2s, found {found:?}"))
    })
}

#[cfg(test)]
mod tests {
    use quipu_core::name::CounterName;
    use quipu_core::operation::Value;

    use super::*;

    fn counters(names: &[&str]) -> String {
        names.iter().map(|name| format!("counter={name}&")).collect()
    }

    #[test]
    fn a_query_names_a_prefix_or_counters_and_an_interval() {
        let asked = Asked::parse("prefix=a%2F&every=2s").unwrap();
        assert_eq!(asked.every, Duration::from_secs(2));
        assert!(matches!(asked.filter, Filter::Prefix(Some(prefix)) if prefix.as_str() == "a/"));
        let asked = Asked::parse(&counters(&["a", "b+c"])).unwrap();
        assert_eq!(asked.every, EVERY_DEFAULT);
        assert!(matches!(asked.filter, Filter::Counters(names) if names[1].as_str() == "b c"));
        let asked = Asked::parse("prefix=&counter=&every=").unwrap();
        assert!(matches!(asked.filter, Filter::Prefix(None)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_parameter() {
        let many = counters(&vec!["a"; COUNTERS_MAX + 1]);
        for (query, words) in [
            ("every=19ms", "expected every from 20ms to 60s, like 100ms or 2s, found \"19ms\""),
            ("every=61s", "found \"61s\""),
            ("every=100", "found \"100\""),
            ("every=%2B2s", "found \"+2s\""),
            ("every=99999999999999999999s", "expected every"),
            ("every=18446744073709551615s", "expected every"),
            ("prefix=a&counter=b", "expected prefix or counter, found both"),
            ("limit=3", "expected prefix, counter or every, found the unknown parameter \"limit\""),
            (many.as_str(), "expected at most 200 counters, found 201"),
        ] {
            let problem = Asked::parse(query).unwrap_err();
            assert!(problem.reason.contains(words), "{query}: {}", problem.reason);
        }
    }

    #[test]
    fn what_is_shown_becomes_events_in_order_and_each_id_claims_no_more_than_was_sent() {
        let row = |text: &str, value| Change::Counter {
            name: CounterName::new(text.as_bytes().to_vec()).unwrap(),
            value: Value(value),
            gone: None,
            json: format!(r#"{{"name":"{text}","value":{value}}}"#).into(),
        };
        let mut text = Text::new(OriginId(0xab));
        text.add(3, &row("a", 1));
        text.add(5, &row("b", 2));
        text.add(6, &Change::Peers([].into()));
        text.add(9, &row("c", 3));
        let told = text.finish(12);
        assert_eq!(
            std::str::from_utf8(&told).unwrap(),
            "event: change\n\
             data: {\"counters\":[{\"name\":\"a\",\"value\":1},{\"name\":\"b\",\"value\":2}]}\n\
             id: 00000000000000ab-5\n\n\
             event: peers\ndata: {\"peers\":[]}\nid: 00000000000000ab-6\n\n\
             event: change\ndata: {\"counters\":[{\"name\":\"c\",\"value\":3}]}\n\
             id: 00000000000000ab-12\n\n"
        );
        assert_eq!(parse_id(b"00000000000000ab-12"), (OriginId(0xab), 12));
        for id in ["", "ab", "-", "x-1", "ab-", "ab-99999999999999999999"] {
            assert_eq!(parse_id(id.as_bytes()), (OriginId(0), Position::MAX), "{id}");
        }
    }
}
