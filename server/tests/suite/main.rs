//! Tests with real processes: a file for each story, one program for all of them, since linking a
//! program for each took longer than running it.

pub mod support;

mod batch_api;
mod cli;
mod cluster;
mod command_line;
mod convergence;
mod counters_api;
mod crowd;
mod data_directory;
mod disk_failure;
mod dot_segments;
mod events;
mod hosts;
mod http_api;
mod http_endings;
mod ipv6;
mod kill_points;
mod kill_storm;
mod listing_api;
mod live_page;
mod lost_directory;
mod lost_replies;
mod memory;
mod metrics;
mod not_understood;
mod openapi;
mod operators_files;
mod partition;
mod problems;
mod redis_clients;
mod redis_commands;
mod redis_compare;
mod redis_compare_random;
mod redis_endings;
mod redis_fuzz;
mod redis_protocol;
mod redis_subscriptions;
mod restart;
mod rubbish;
mod secrets;
mod service_manager;
mod slow_peer;
mod top;
mod upgrade;
mod watch_command;
