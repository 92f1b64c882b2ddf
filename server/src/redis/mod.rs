//! The Redis protocol: whatever speaks `INCR` to Redis can speak it to any node.
//!
//! A command's path: `accept` → `connection` → `parser` (which finds `frames`) → `dispatch` (which
//! looks into the `table`) → `commands` → a `plan` of operations, which the
//! [`Handle`](crate::handle::Handle) takes as one message → `reply` → `output`.

mod accept;
mod audience;
mod clients;
mod command;
mod commands;
mod connection;
mod context;
mod database;
mod digits;
mod dispatch;
mod errors;
mod frames;
mod glob;
mod inline;
mod lifetime;
pub(crate) mod metrics;
mod notification;
mod number;
mod output;
mod parser;
mod plan;
mod question;
mod reply;
mod script;
mod session;
mod setting;
mod settings;
mod silence;
mod slow;
mod spec;
mod state;
mod subcommands;
mod subscriptions;
mod table;
mod traffic;
mod transaction;
mod walk;
mod watched;

pub(crate) use accept::serve;
pub(crate) use traffic::Traffic;

/// The Redis whose words and codes this front end has. Clients decide by it what they may send.
const REDIS_VERSION: &str = "7.0.15";
