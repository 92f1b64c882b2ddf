//! Ports for nodes that a script is about to start.
//!
//! Another process may take one between this answer and its use; on a machine that runs a
//! benchmark that is rare, and the node says so and ends.

use std::net::{TcpListener, UdpSocket};

use clap::Args;

#[derive(Args)]
pub(crate) struct Ports {
    /// How many
    #[arg(value_parser = clap::value_parser!(u8).range(1..=64))]
    count: u8,
}

impl Ports {
    pub(crate) fn run(&self) -> Result<String, String> {
        // Held until all are found, so that none is found twice.
        let mut held = Vec::new();
        let mut ports = Vec::new();
        while held.len() < usize::from(self.count) {
            let tcp = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
            let address = tcp.local_addr().map_err(|e| e.to_string())?;
            let Ok(udp) = UdpSocket::bind(address) else { continue };
            held.push((tcp, udp));
            ports.push(address.port().to_string());
        }
        Ok(ports.join(" "))
    }
}
