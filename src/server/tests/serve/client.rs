//! A raw client: sends bytes, and shows answers as short texts. The answers are decoded by a library that the server does not use.
//!
//! `+OK` a word, `-ERR ...` an error, `:1` a number, `$text` bytes, `_` nothing, `[a, b]` an array, `{k: v}` a map in the order of its keys, `<a>` a set.

use redis_protocol::resp2::types::OwnedFrame as Frame2;
use redis_protocol::resp3::types::OwnedFrame as Frame3;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
    pub(crate) resp3: bool,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn show2(frame: &Frame2) -> String {
    match frame {
        Frame2::SimpleString(word) => format!("+{}", text(word)),
        Frame2::Error(sentence) => format!("-{sentence}"),
        Frame2::Integer(number) => format!(":{number}"),
        Frame2::BulkString(bytes) => format!("${}", text(bytes)),
        Frame2::Array(list) => format!("[{}]", list.iter().map(show2).collect::<Vec<_>>().join(", ")),
        Frame2::Null => "_".to_owned(),
    }
}

fn show3(frame: &Frame3) -> String {
    match frame {
        Frame3::SimpleString { data, .. } => format!("+{}", text(data)),
        Frame3::SimpleError { data, .. } => format!("-{data}"),
        Frame3::Number { data, .. } => format!(":{data}"),
        Frame3::BlobString { data, .. } => format!("${}", text(data)),
        Frame3::VerbatimString { data, .. } => format!("={}", text(data)),
        Frame3::Null => "_".to_owned(),
        Frame3::Array { data, .. } => {
            format!("[{}]", data.iter().map(show3).collect::<Vec<_>>().join(", "))
        }
        Frame3::Map { data, .. } => {
            let mut pairs: Vec<String> =
                data.iter().map(|(k, v)| format!("{}: {}", show3(k), show3(v))).collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(", "))
        }
        Frame3::Set { data, .. } => format!("<{}>", data.iter().map(show3).collect::<Vec<_>>().join(", ")),
        other => format!("{other:?}"),
    }
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

/// The words of a line; `''` is an empty one.
pub(crate) fn words(line: &str) -> Vec<&[u8]> {
    line.split_whitespace().map(|word| if word == "''" { &[] } else { word.as_bytes() }).collect()
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        // Nothing in the tests waits so long unless something is wrong.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, received: Vec::new(), resp3: false }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next answer; nothing if the server has closed the connection.
    pub(crate) fn try_answer(&mut self) -> Option<String> {
        loop {
            let decoded = if self.resp3 {
                let decoded = redis_protocol::resp3::decode::complete::decode(&self.received).unwrap();
                decoded.map(|(frame, used)| (show3(&frame), used))
            } else {
                let decoded = redis_protocol::resp2::decode::decode(&self.received).unwrap();
                decoded.map(|(frame, used)| (show2(&frame), used))
            };
            if let Some((shown, used)) = decoded {
                self.received.drain(..used);
                return Some(shown);
            }
            let mut more = [0; 65536];
            match self.stream.read(&mut more) {
                Ok(0) => return None,
                Ok(len) => self.received.extend_from_slice(&more[..len]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("no answer: {e}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn answer(&mut self) -> String {
        self.try_answer().expect("the server closed the connection")
    }

    /// Sends a request of these arguments and gives the answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, args: &[&[u8]]) -> String {
        self.send(&request(args));
        self.answer()
    }

    /// Sends the words of a line as a request and gives the answer.
    #[track_caller]
    pub(crate) fn say(&mut self, line: &str) -> String {
        self.ask(&words(line))
    }

    /// Plays a script: a line for each request, and behind `=>` the answer. A trailing `...` stands for any rest.
    #[track_caller]
    pub(crate) fn play(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (command, expected) =
                line.split_once("=>").unwrap_or_else(|| panic!("no answer in `{line}`"));
            let (answer, expected) = (self.say(command), expected.trim());
            // Plain keyspaces give their keys in order, replicated ones in that of their tokens.
            let is_walk = command.starts_with("KEYS") || command.starts_with("SCAN");
            if is_walk && words_of(&answer) == words_of(expected) {
                continue;
            }
            match expected.strip_suffix("...") {
                Some(beginning) => {
                    assert!(answer.starts_with(beginning), "{command}: {answer}, not {expected}")
                }
                None => assert_eq!(answer, expected, "{command}"),
            }
        }
    }
}

/// The words of an answer, sorted: equal for lists of the same keys.
fn words_of(answer: &str) -> Vec<&str> {
    let mut words: Vec<&str> = answer.split(['[', ']', ',', ' ']).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words
}
