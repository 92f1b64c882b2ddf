//! Counters by name.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use quipu_core::effects::Op;
use quipu_core::name::CounterName;
use serde::Deserialize;

use super::answer;
use super::app::{App, Shared};
use super::errors::Problem;
use super::extract::WholeBody;

/// The name in the path, percent-decoded. Not decodable, it is a bad request like any other.
type NameInPath = Result<Path<String>, PathRejection>;

/// `GET /counters/{name}`. A counter that nobody has touched is zero.
pub(super) async fn get(State(app): Shared, name: NameInPath) -> Result<Response, Problem> {
    let name = self::name(name)?;
    apply(app, name.clone(), Op::Get { name }).await
}

/// `POST /counters/{name}/increment`, by one or by what the body says.
pub(super) async fn increment(
    State(app): Shared,
    name: NameInPath,
    body: WholeBody,
) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct Increment {
        #[serde(default = "one")]
        by: i64,
    }
    fn one() -> i64 {
        1
    }
    impl Default for Increment {
        fn default() -> Self {
            Increment { by: one() }
        }
    }
    let name = self::name(name)?;
    let Increment { by } = body.object_if_any(r#"{"by": 5}"#)?;
    apply(app, name.clone(), Op::Add { name, by }).await
}

fn name(in_path: NameInPath) -> Result<CounterName, Problem> {
    let Path(name) = in_path.map_err(|rejection| {
        Problem::bad_request(format!("expected a counter name in UTF-8, found: {rejection}"))
    })?;
    Ok(CounterName::new(name)?)
}

async fn apply(app: Arc<App>, name: CounterName, op: Op) -> Result<Response, Problem> {
    let value = app.apply(op).await?;
    Ok(answer::named(name.as_str(), value, app.node_id()))
}
