//! [`Client`]: a connection to a node by RESP, for as much of it as the demonstration speaks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A word, or a number as text.
    Word(String),
    /// Bytes; `None` where there is no value.
    Bytes(Option<Vec<u8>>),
    /// Several answers.
    List(Vec<Reply>),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of this machine.
    pub(super) fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::new(stream) })
    }

    /// Asks for something and waits for the answer. What the node refuses is an error with its words.
    pub(super) fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
        let foreign = || io::Error::new(io::ErrorKind::InvalidData, "the node gave an answer that is none");
        match kind {
            "+" | ":" => Ok(Reply::Word(rest.to_owned())),
            "-" => Err(io::Error::other(rest.to_owned())),
            "$" if rest == "-1" => Ok(Reply::Bytes(None)),
            "$" => {
                let mut bytes = vec![0; rest.parse().map_err(|_| foreign())?];
                self.stream.read_exact(&mut bytes)?;
                self.stream.read_exact(&mut [0; 2])?;
                Ok(Reply::Bytes(Some(bytes)))
            }
            "*" => {
                let count: usize = rest.parse().map_err(|_| foreign())?;
                (0..count).map(|_| self.reply()).collect::<io::Result<_>>().map(Reply::List)
            }
            _ => Err(foreign()),
        }
    }
}

impl Reply {
    /// The answer as text, for showing.
    pub(super) fn text(&self) -> String {
        match self {
            Reply::Word(word) => word.clone(),
            Reply::Bytes(None) => "(nothing)".to_owned(),
            Reply::Bytes(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::List(replies) => replies.iter().map(Reply::text).collect::<Vec<_>>().join(", "),
        }
    }

    /// The answers of a list; the answer itself if it is none.
    pub(super) fn items(self) -> Vec<Reply> {
        match self {
            Reply::List(replies) => replies,
            one => vec![one],
        }
    }
}
