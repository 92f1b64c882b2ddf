//! What tests with real processes share: starting nodes, talking to them, waiting for what they do.

pub mod browser;
pub mod cgroup;
pub mod chance;
pub mod chaos;
pub mod cluster;
pub mod data;
pub mod deaf;
pub mod events;
pub mod http;
pub mod load;
pub mod lossy;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod node;
pub mod program;
pub mod queues;
pub mod redis_server;
pub mod resp;
pub mod secret;
pub mod siege;
pub mod storm;
pub mod strace;
pub mod transcript;
pub mod wait;
pub mod writers;
