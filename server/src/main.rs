mod config;
mod handle;
mod http;
mod inbox;
mod network;
fn main() {}
