//! [`ask`]: one request to a node's HTTP address, for the command line. It speaks as much of HTTP/1.1 as a node answers with.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection may take, and each of the pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A longer answer is none of a node.
const MAX_ANSWER: u64 = 16 << 20;

/// What a node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The status, 200 for one that has what was asked for.
    pub(crate) status: u16,
    /// The text.
    pub(crate) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Nobody can be reached there, or the connection broke.
    Io(io::Error),
    /// What came is no answer of a node.
    Foreign,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Io(source) => match source.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("nobody listens there"),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    f.write_str("nobody answers there in time")
                }
                _ => source.fmt(f),
            },
            AskError::Foreign => f.write_str("what answers there does not speak HTTP as a node does"),
        }
    }
}

impl From<io::Error> for AskError {
    fn from(source: io::Error) -> AskError {
        AskError::Io(source)
    }
}

/// Asks the node whose HTTP address is `at`. `authorization` is the value of that header.
pub(crate) fn ask(
    at: &str,
    method: &str,
    path: &str,
    authorization: Option<&str>,
) -> Result<Asked, AskError> {
    let mut stream = connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let secret = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\n{secret}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    parse(&answer).ok_or(AskError::Foreign)
}

/// Connects to the first of the addresses that a name stands for and somebody listens at.
fn connect(at: &str) -> io::Result<TcpStream> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for address in at.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// `None` unless the answer is whole.
fn parse(answer: &[u8]) -> Option<Asked> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let body = answer.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") && value.trim().parse() != Ok(body.len()) {
            return None;
        }
    }
    Some(Asked { status, body: String::from_utf8(body.to_vec()).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nnot y";
        assert_eq!(parse(whole), Some(Asked { status: 503, body: "not y".to_owned() }));
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut}");
        }
        for foreign in [&b"-ERR unknown command 'GET'\r\n"[..], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 \r\n\r\n"] {
            assert_eq!(parse(foreign), None);
        }
    }
}
