//! The least that axum can do for `POST /increment`: the peer that `make bench` measures Quipu
//! against.
//!
//! It counts nothing and stores nothing; it answers with a constant of the same shape. What Quipu
//! needs beyond it is the price of counting. It has Quipu's allocator, so that this is not what is
//! compared.
//!
//! ```text
//! cargo run --release --package quipu --example bare_axum -- 127.0.0.1:9000
//! ```

use axum::Router;
use axum::http::header;
use axum::routing::post;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Some(address) = std::env::args().nth(1) else {
        return Err(std::io::Error::other("expected an address to listen on, found none"));
    };
    let router = Router::new().route("/increment", post(increment));
    axum::serve(TcpListener::bind(address).await?, router).await
}

async fn increment() -> impl axum::response::IntoResponse {
    let json = r#"{"count":1000000,"node_id":"127.0.0.1:9088"}"#;
    ([(header::CONTENT_TYPE, "application/json")], json)
}
