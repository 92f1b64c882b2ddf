//! Many operations in one request: applied in order as one message to the driver, answered in order,
//! each with its own result or its own problem.
//!
//! What is wrong with one operation is its own problem and no reason to refuse the others; what is
//! wrong with the whole, such as text that is not JSON, refuses the whole before anything is
//! applied. A request of ten thousand is read and written in a few milliseconds, since a name is a
//! slice of the body that it came in.
//!
//! Rejected: all or nothing. It would promise a transaction, which a counter that others count too
//! cannot keep: whether the tenth operation overflows depends on what arrives from peers.

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use quipu_core::name::{CounterName, NAME_BYTES_MAX};
use quipu_core::operation;
use quipu_core::operation::{Op, Refusal};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::addition::{Addition, overflow};
use super::answer::{Lifetime, exact, missing};
use super::app::{App, Shared};
use super::batch_operation::Operation;
use super::batch_parser::{Batch, OPERATIONS_MAX};
use super::errors::{Kind, Problem};
use super::extract::{self, BODY_BYTES_MAX, BODY_TIME_MAX};
use super::problem_document::{Document, Documented};
use crate::access::{Action, Caller, Denied, Ops};

/// Longest operation, in bytes: a decrement of a name of 1,024 bytes, each escaped as in \u0061, by 19
/// digits, within bounds of as many and with a lifetime, with the spaces and line ends that writers
/// put in.
const OPERATION_BYTES_MAX: usize = 6 * NAME_BYTES_MAX + 350;

/// Longest body, in bytes: as many operations as may be, each of the longest.
const BATCH_BYTES_MAX: usize = OPERATIONS_MAX * OPERATION_BYTES_MAX + BODY_BYTES_MAX;

/// What bodies of batches that are longer than other calls' may take together, however many
/// connections send one: that of nine batches of the longest names unescaped. Others wait, as long
/// as a body may take to arrive.
const BATCHES_BYTES_MAX: usize = 100 << 20;

/// In what steps they take it.
const STEP_BYTES: usize = BODY_BYTES_MAX;

/// How many steps there are.
pub(super) const BATCHES_STEPS_MAX: usize = BATCHES_BYTES_MAX / STEP_BYTES;

const _: () = assert!(BATCH_BYTES_MAX.div_ceil(STEP_BYTES) <= BATCHES_STEPS_MAX);

/// What the node says of one operation.
type Done = Result<operation::Outcome, Refusal>;

/// A result for each operation, in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct Results<'a> {
    /// The node that answers, as host:port.
    node_id: &'a str,
    results: Vec<Outcome<'a>>,
}

/// What came of an operation: a value, or a problem.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Outcome<'a> {
    /// Missing if the operation names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<&'a str>,
    /// The value after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<i64>,
    /// By how much it has changed the value; missing if it only reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    applied: Option<i128>,
    /// The digits of a value that does not fit, which `value` is as near to as it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exact: Option<String>,
    /// Only if there is no such counter after it, and then false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exists: Option<bool>,
    /// The value before it, of what sets or ends counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<i64>,
    /// The digits of that, if it does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before_exact: Option<String>,
    /// Whether there was such a counter before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    existed: Option<bool>,
    /// When it expires (RFC 3339), if it has a lifetime that ends before the year 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<String>,
    /// In how many milliseconds that is, by the clock of the node that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ttl_ms: Option<u64>,
    /// Why it was not carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<Document<'a>>,
}

/// What an operation was, once it has been handed in.
enum Awaited {
    Add { name: CounterName, by: i64 },
    Bounded { name: CounterName, addition: Box<Addition> },
    Get { name: CounterName },
    Raise { name: CounterName },
    End { name: CounterName },
    Refused { name: Option<CounterName>, problem: Problem },
}

/// Carries out many operations
///
/// In their order, each with a result or a problem of its own: one that is refused does not keep the
/// others from being carried out. Up to 10,000 in one request.
#[utoipa::path(
    post, path = "/batch", tag = "counters",
    request_body(content = inline(Batch)),
    responses((status = 200, description = "Results", body = inline(Results<'_>)))
)]
pub(super) async fn batch(
    State(app): Shared,
    caller: Caller,
    request: Request,
) -> Result<Response, Documented> {
    // Held until it is answered, since names are slices of the body.
    let declared = request.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = declared.unwrap_or(BATCH_BYTES_MAX).min(BATCH_BYTES_MAX);
    let _room = if bytes <= BODY_BYTES_MAX {
        None
    } else {
        let steps = u32::try_from(bytes.div_ceil(STEP_BYTES)).unwrap_or(u32::MAX);
        let room = timeout(BODY_TIME_MAX, app.batches.acquire_many(steps)).await;
        Some(room.map_err(|_| too_many())?)
    };
    let body = extract::read(request, BATCH_BYTES_MAX).await?;
    let (ops, awaited) = prepare(Batch::read(&body)?, &caller);
    let results = request_all(&app, ops).await?;
    let results = outcomes(&caller, &awaited, results)?;
    let json = serde_json::to_vec(&Results { node_id: app.node_id(), results })
        .map_err(|error| Problem::new(Kind::Internal, format!("cannot write it: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

async fn request_all(app: &App, ops: Ops) -> Result<operation::Results, Problem> {
    if ops.len() == 0 { Ok(Vec::new()) } else { Ok(app.handle.request(ops).await?.results) }
}

fn too_many() -> Problem {
    let reason = format!(
        "expected large batches of at most {BATCHES_BYTES_MAX} bytes together at a time, found more; \
         nothing was changed"
    );
    Problem::new(Kind::Busy, reason)
}

/// What is handed in, and what is to be made of the results.
fn prepare(operations: Vec<Operation>, caller: &Caller) -> (Ops, Vec<Awaited>) {
    let mut ops = Ops::with_capacity(operations.len());
    let awaited = operations.into_iter().map(|operation| take_in(&mut ops, caller, operation));
    let awaited = awaited.collect();
    (ops, awaited)
}

/// Hands in one operation, unless something is wrong with it or its caller may not have it.
fn take_in(ops: &mut Ops, caller: &Caller, operation: Operation) -> Awaited {
    match operation {
        Operation::Add { name, by } => {
            let added = ops.add(caller, Op::Add { name: name.clone(), by });
            awaited_unless_denied(added, name, |name| Awaited::Add { name, by })
        }
        Operation::Bounded { name, addition } => {
            let added = ops.add(caller, addition.op(name.clone()));
            awaited_unless_denied(added, name, |name| Awaited::Bounded { name, addition })
        }
        Operation::End { name, update } => {
            let ended = ops.add(caller, Op::Update { name: name.clone(), update });
            awaited_unless_denied(ended, name, |name| Awaited::End { name })
        }
        Operation::Get { name } => {
            let read = ops.add(caller, Op::Get { name: name.clone() });
            awaited_unless_denied(read, name, |name| Awaited::Get { name })
        }
        Operation::Raise { name, to } => {
            let raised = ops.add(caller, Op::Raise { name: name.clone(), to });
            awaited_unless_denied(raised, name, |name| Awaited::Raise { name })
        }
        Operation::Wrong { name, problem } => Awaited::Refused { name, problem },
    }
}

fn awaited_unless_denied(
    judged: Result<(), Denied>,
    name: CounterName,
    awaits: impl FnOnce(CounterName) -> Awaited,
) -> Awaited {
    match judged {
        Ok(()) => awaits(name),
        Err(denied) => Awaited::Refused { name: Some(name), problem: denied.into() },
    }
}

/// Whether a caller whose addition was refused is told what the value was.
fn may_read(caller: &Caller, name: &CounterName) -> bool {
    caller.may(&Action::Read(name)).is_ok()
}

fn outcomes<'a>(
    caller: &Caller,
    awaited: &'a [Awaited],
    results: operation::Results,
) -> Result<Vec<Outcome<'a>>, Problem> {
    let mut results = results.into_iter();
    let outcome = |awaits: &'a Awaited| {
        let name = match awaits {
            Awaited::Add { name, .. }
            | Awaited::Bounded { name, .. }
            | Awaited::Get { name }
            | Awaited::Raise { name }
            | Awaited::End { name } => name,
            Awaited::Refused { name, problem } => {
                return Ok(Outcome::refused(name.as_ref(), Document::from(problem)));
            }
        };
        Ok(match (awaits, next(&mut results)?) {
            (Awaited::Get { .. }, Ok(outcome)) => Outcome::read(name, &outcome),
            (Awaited::End { .. }, Ok(outcome)) => Outcome::ended(name, &outcome),
            (Awaited::Bounded { addition, .. }, Ok(outcome)) if addition.overflowed(&outcome) => {
                Outcome::refused(Some(name), overflow(addition.by, outcome.value).into())
            }
            (_, Ok(outcome)) => Outcome::changed(name, &outcome),
            (Awaited::Bounded { addition, .. }, Err(Refusal::Overflow { found }))
                if may_read(caller, name) =>
            {
                Outcome::refused(Some(name), overflow(addition.by, found).into())
            }
            (Awaited::Add { by, .. }, Err(Refusal::Overflow { found }))
                if may_read(caller, name) =>
            {
                Outcome::refused(Some(name), overflow(*by, found).into())
            }
            (_, Err(refusal)) => Outcome::from((name, refusal)),
        })
    };
    awaited.iter().map(outcome).collect()
}

fn next(results: &mut impl Iterator<Item = Done>) -> Result<Done, Problem> {
    let reason = "expected a result for every operation, found fewer";
    results.next().ok_or_else(|| Problem::new(Kind::Internal, reason))
}

impl<'a> Outcome<'a> {
    fn read(name: &'a CounterName, outcome: &operation::Outcome) -> Self {
        let Lifetime { expires_at, ttl_ms } = Lifetime::of(outcome);
        Outcome {
            name: Some(name.as_str()),
            value: Some(outcome.value.clamped()),
            exact: exact(outcome.value),
            exists: missing(outcome),
            expires_at,
            ttl_ms,
            ..Outcome::default()
        }
    }

    fn changed(name: &'a CounterName, outcome: &operation::Outcome) -> Self {
        Outcome { applied: Some(outcome.change), ..Outcome::read(name, outcome) }
    }

    fn ended(name: &'a CounterName, outcome: &operation::Outcome) -> Self {
        let (before, existed) = (outcome.before(), Some(outcome.existed));
        let (before, before_exact) = (Some(before.clamped()), exact(before));
        Outcome { before, before_exact, existed, ..Outcome::read(name, outcome) }
    }

    fn refused(name: Option<&'a CounterName>, problem: Document<'a>) -> Self {
        let name = name.map(CounterName::as_str);
        Outcome { name, problem: Some(problem), ..Outcome::default() }
    }
}

impl<'a> From<(&'a CounterName, Refusal)> for Outcome<'a> {
    fn from((name, refusal): (&'a CounterName, Refusal)) -> Self {
        Outcome::refused(Some(name), Problem::from(refusal).into())
    }
}
