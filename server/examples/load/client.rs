//! One kept HTTP/1.1 connection that sends the same request again and again.

use std::io;
use std::str::FromStr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer that is read, in bytes. That of a batch of ten thousand is below it.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Where a node answers, from `http://host:port`.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    authority: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) {
            Some(authority) if authority.contains(':') && !authority.contains('/') => {
                Ok(Target { authority: authority.to_owned() })
            }
            _ => Err(format!("expected http://host:port, found {url:?}")),
        }
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Client {
    /// `body` is sent with every request, also if it is empty; a GET has none.
    pub(crate) async fn connect(
        target: &Target,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        let host = &target.authority;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(body) = body {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request = format!("{request}\r\n{}", body.unwrap_or_default());
        Ok(Client { stream, request: request.into_bytes(), answer: Vec::with_capacity(1024) })
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn call(&mut self) -> io::Result<Answer<'_>> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        let head = loop {
            if let Some(head) = Head::parse(&self.answer)?
                && self.answer.len() >= head.bytes + head.body_bytes
            {
                break head;
            }
            if self.answer.len() > ANSWER_BYTES_MAX {
                return Err(malformed("more bytes than any answer has"));
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        Ok(Answer { status: head.status, body: &self.answer[head.bytes..] })
    }
}

struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// Reads an answer's head, if it is there whole.
    fn parse(answer: &[u8]) -> io::Result<Option<Head>> {
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&answer[..end]).map_err(|_| malformed("no text"))?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| malformed("no status"))?;
        let body_bytes = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse().ok())
            .ok_or_else(|| malformed("no length"))?;
        Ok(Some(Head { status, bytes: end + 4, body_bytes }))
    }
}

fn malformed(found: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected an HTTP answer, found {found}"))
}
