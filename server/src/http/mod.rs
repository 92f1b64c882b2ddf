//! The HTTP API: requests become operations on the [`Handle`](crate::handle::Handle), results
//! become JSON.
//!
//! `accept` takes connections and keeps their number and manners in bounds, `routes` names every
//! call, and each theme of calls has a file of its own. Nothing here decides anything about a count.

mod accept;
mod addition;
mod answer;
mod app;
mod batch;
mod batch_operation;
mod batch_parser;
mod caller;
mod counters;
mod cross_site_guard;
mod deletion;
mod endings;
mod errors;
mod events;
mod exposition;
mod extract;
mod field;
mod given;
mod link;
mod listing;
mod metrics;
mod noted;
mod openapi;
mod original;
mod origins;
mod page;
mod problem_document;
mod query;
mod routes;
mod scrape;
mod settle;
mod status;
mod traffic;
mod unknown;

pub(crate) use accept::serve;
