//! Scripts: `EVAL` and what belongs to it.
//!
//! A script may take long, so none runs on the driver's thread. It runs beside it, on what it has seen
//! of the counters that it names (`scratch`): what it writes is judged there by the same function that
//! judges it in the node, and told to the script. At its end the node is asked to do all of it as one,
//! if every counter that the script looked at is still as it was (`quipu_core::condition`); else the
//! script runs again (`run`). So a script is atomic on its node, whatever else the node does.
//!
//! A script's path: `shelf` (scripts by their SHA-1) → `run` (looks, runs, asks, and again) → `machine`
//! (the commands that a script or a transaction calls) → `scratch`; inside of it `sandbox` (Lua, and
//! what a script finds there), `budget` (how much it may take), `pattern` and `convert`.

pub(super) mod budget;
mod chance;
mod convert;
mod ended;
mod library;
pub(super) mod machine;
mod pattern;
mod raised;
pub(super) mod run;
mod sandbox;
mod scratch;
mod shebang;
pub(super) mod shelf;
mod strings;
