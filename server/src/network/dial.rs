//! From an address to a connection for a link: TCP, then an HTTP/1.1 Upgrade.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use quipu_core::identity::Address;
use tokio::time::timeout;

use super::resolve::Resolver;
use crate::transport::dial;
use crate::transport::link::{Connection, PATH, PROTOCOL};
use crate::transport::stream::Stream;

/// How long a connection may take, all addresses of a name together.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// How long the other side may take to agree.
const UPGRADE_TIME_MAX: Duration = Duration::from_secs(1);

/// Longest head of an answer, in bytes: the least that hyper can be set to.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("expected an address of {0}, found none")]
    Unresolved(Address),
    #[error("no connection within {CONNECT_TIME_MAX:?}")]
    ConnectTime,
    #[error("no answer to the request for a link within {UPGRADE_TIME_MAX:?}")]
    UpgradeTime,
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("expected an answer to the request for a link, found: {0}")]
    Http(#[from] hyper::Error),
    #[error("expected 101 Switching Protocols, found {0}")]
    Refused(StatusCode),
}

/// Dials.
pub(super) async fn dial(address: &Address, resolver: &Resolver) -> Result<Connection, DialError> {
    let stream = timeout(CONNECT_TIME_MAX, connect(address, resolver))
        .await
        .map_err(|_| DialError::ConnectTime)??;
    timeout(UPGRADE_TIME_MAX, upgrade(stream, address)).await.map_err(|_| DialError::UpgradeTime)?
}

async fn connect(address: &Address, resolver: &Resolver) -> Result<Stream, DialError> {
    let sockets = resolver.resolve(address).await;
    if sockets.is_empty() {
        return Err(DialError::Unresolved(address.clone()));
    }
    Ok(dial::dial(&sockets).await?)
}

async fn upgrade(stream: Stream, address: &Address) -> Result<Connection, DialError> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static(PATH);
    let headers = request.headers_mut();
    if let Ok(host) = address.as_str().try_into() {
        headers.insert(HOST, host);
    }
    headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, hyper::header::HeaderValue::from_static(PROTOCOL));
    // Takes the sender along: with it gone, a connection that was refused ends.
    let asking = async move {
        let response = sender.send_request(request).await?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Ok(hyper::upgrade::on(response).await?),
            other => Err(DialError::Refused(other)),
        }
    };
    // The connection has to be driven while it is asked on.
    let (upgraded, driven) = tokio::join!(asking, connection.with_upgrades());
    let upgraded = upgraded?;
    driven?;
    Ok(Connection::dialed(upgraded)?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Dials a listener that answers so; what was asked, and what came of it.
    async fn dial_listener(answer: &'static [u8]) -> (String, Result<Connection, DialError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            // A dialer that has seen enough may be gone.
            let _ = stream.write_all(answer).await;
            (String::from_utf8(head).unwrap(), stream)
        });
        let result = dial(&address, &Resolver::new()).await;
        let (head, _stream) = answering.await.unwrap();
        (head, result)
    }

    #[tokio::test]
    async fn a_dial_asks_for_an_upgrade_and_loses_nothing_that_follows_the_answer() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: quipu/1\r\n\r\nabc";
        let (head, connection) = dial_listener(answer).await;
        assert!(head.starts_with("GET /link HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("connection: Upgrade\r\nupgrade: quipu/1\r\n"), "{head}");
        let mut first = [0; 3];
        connection.unwrap().read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"abc");
    }

    #[tokio::test]
    async fn a_listener_that_does_not_agree_is_no_peer() {
        let (_, refused) =
            dial_listener(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        assert!(matches!(refused, Err(DialError::Refused(StatusCode::NOT_FOUND))), "{refused:?}");
        let (_, rubbish) = dial_listener(b"\x00\x01\x02rubbish\r\n\r\n").await;
        assert!(matches!(rubbish, Err(DialError::Http(_))), "{rubbish:?}");
        static ENDLESS: [u8; 64 << 10] = [b'x'; 64 << 10];
        let (_, endless) = dial_listener(&ENDLESS).await;
        assert!(matches!(endless, Err(DialError::Http(_))), "{endless:?}");
    }

    #[tokio::test]
    async fn a_port_without_a_listener_is_an_error_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        drop(listener);
        let error = dial(&address, &Resolver::new()).await.unwrap_err();
        assert!(matches!(error, DialError::Connect(_)), "{error}");
    }
}
