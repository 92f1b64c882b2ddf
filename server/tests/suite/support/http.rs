//! The least HTTP client that shows a test every byte that matters: one connection over a plain
//! socket, with nothing retried and nothing hidden.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer may take; a test that meets it has failed.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// One HTTP/1.1 connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The value of the first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("expected JSON, found {:?}: {error}", self.body))
    }
}

impl Connection {
    pub fn open(node: SocketAddr) -> io::Result<Self> {
        Connection::over(TcpStream::connect_timeout(&node, ANSWER_TIME_MAX)?)
    }

    /// Over a stream that stands already.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends one request. `headers` are whole lines' contents, such as `"Accept: */*"`.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if method != "GET" || !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        self.send(request.as_bytes())?;
        self.answer()
    }

    /// Reads one answer whole.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status =
            status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(
                || io::Error::other(format!("expected a status, found {status_line:?}")),
            )?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        self.stream.by_ref().take(length.unwrap_or(0)).read_to_string(&mut answer.body)?;
        Ok(answer)
    }

    /// So many bytes of what follows an answer that ended HTTP.
    pub fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next chunk of an answer that comes in chunks; an empty one is its end.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16)
            .map_err(|_| io::Error::other(format!("expected a chunk's size, found {size:?}")))?;
        let chunk = self.take(size)?;
        self.line()?;
        Ok(chunk)
    }

    /// Whatever comes until the other side closes.
    pub fn rest(&mut self) -> io::Result<String> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(String::from_utf8_lossy(&rest).into_owned())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One request over a connection of its own.
pub fn request(node: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    Connection::open(node)?.request(method, path, &["Connection: close"], body)
}
