//! [`Connection`]: the protocol of Redis, as a client that must live with nodes that die while it waits.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Word(String),
    Error(String),
    Integer(i64),
    Bytes(Vec<u8>),
    Nothing,
    List(Vec<Answer>),
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        match self {
            Answer::Word(text) | Answer::Error(text) => text.clone(),
            Answer::Integer(n) => n.to_string(),
            Answer::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Answer::Nothing => String::new(),
            Answer::List(list) => list.iter().map(Answer::text).collect::<Vec<_>>().join(" "),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    pub(crate) address: SocketAddr,
}

/// A request as clients encode it.
pub(crate) fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn malformed(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{line}` is no answer"))
}

impl Connection {
    /// Connects; no answer may take longer than `patience`.
    pub(crate) fn open(address: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, patience.min(Duration::from_secs(1)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Connection { reader: BufReader::new(stream), address })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let kind = line.chars().next().ok_or_else(|| malformed(line))?;
        let rest = &line[kind.len_utf8()..];
        let number = || rest.parse::<i64>().map_err(|_| malformed(line));
        match kind {
            '+' => Ok(Answer::Word(rest.to_owned())),
            '-' => Ok(Answer::Error(rest.to_owned())),
            ':' => Ok(Answer::Integer(number()?)),
            '$' | '*' if number()? < 0 => Ok(Answer::Nothing),
            '$' => {
                let mut bytes = vec![0; number()? as usize + 2];
                self.reader.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(Answer::Bytes(bytes))
            }
            '*' => (0..number()?).map(|_| self.answer()).collect::<io::Result<_>>().map(Answer::List),
            _ => Err(malformed(line)),
        }
    }

    pub(crate) fn ask(&mut self, args: &[&[u8]]) -> io::Result<Answer> {
        self.send(&request(args))?;
        self.answer()
    }

    /// Sends the words of a line as a request.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<Answer> {
        self.ask(&line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>())
    }
}
