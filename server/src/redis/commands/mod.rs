//! The commands, a file for each: its row of the [table](crate::redis::table), how it is read, and how
//! it is answered. Commands that differ in a unit or in a word share one.

pub(super) mod auth;
pub(super) mod client;
pub(super) mod command;
pub(super) mod config;
pub(super) mod dbsize;
pub(super) mod decr;
pub(super) mod decrby;
pub(super) mod discard;
pub(super) mod echo;
pub(super) mod exec;
pub(super) mod exists;
pub(super) mod get;
pub(super) mod hello;
pub(super) mod incr;
pub(super) mod incrby;
pub(super) mod info;
pub(super) mod keys;
pub(super) mod kind;
pub(super) mod mget;
pub(super) mod multi;
pub(super) mod ping;
pub(super) mod pubsub;
pub(super) mod quit;
pub(super) mod refused;
pub(super) mod reset;
pub(super) mod role;
pub(super) mod scan;
pub(super) mod select;
pub(super) mod strlen;
pub(super) mod subscribe;
pub(super) mod ttl;
pub(super) mod unsubscribe;
pub(super) mod unwatch;
pub(super) mod wait;
