//! [`Pipeline`]: a connection to a member of Esker by the protocol of Redis, with several requests outstanding on it.

use crate::{Failure, Operation, Run, Seen};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, and what is outstanding on it.
pub(crate) struct Pipeline {
    stream: TcpStream,
    /// When each request was sent, in the order of the answers.
    sent: VecDeque<Instant>,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl Pipeline {
    pub(crate) async fn connect(address: &str) -> Result<Pipeline, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Pipeline { stream, sent: VecDeque::new(), output: Vec::new(), input: Vec::new() })
    }

    /// Keeps as many requests outstanding as the load says, until its end.
    pub(crate) async fn call(mut self, run: Arc<Run>, number: u64) -> Result<Seen, Failure> {
        let mut seen = Seen::new()?;
        let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
        let value = vec![b'v'; run.load.value];
        let mut more = true;
        while more || !self.sent.is_empty() {
            while more && self.sent.len() < run.load.outstanding {
                match run.key(&mut random) {
                    Some(key) => self.add(run.load.operation, key, &value),
                    None => more = false,
                }
            }
            if !self.output.is_empty() {
                self.stream.write_all(&self.output).await?;
                self.output.clear();
            }
            if !self.sent.is_empty() {
                self.receive(&run, &mut seen).await?;
            }
        }
        Ok(seen)
    }

    fn add(&mut self, operation: Operation, key: u64, value: &[u8]) {
        let out = &mut self.output;
        if operation == Operation::Get {
            out.extend_from_slice(format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{key:012}\r\n").as_bytes());
        } else {
            let head = format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n${}\r\n", value.len());
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        self.sent.push_back(Instant::now());
    }

    /// Waits for answers, and takes those that are whole.
    async fn receive(&mut self, run: &Run, seen: &mut Seen) -> Result<(), Failure> {
        if self.stream.read_buf(&mut self.input).await? == 0 {
            return Err("the member closed the connection".into());
        }
        let now = Instant::now();
        let mut taken = 0;
        while let Some((len, failure)) = answer(&self.input[taken..])? {
            taken += len;
            let at = self.sent.pop_front().ok_or("an answer to no request")?;
            seen.answered(run, now - at, failure.map_or(Ok(()), Err));
        }
        self.input.drain(..taken);
        Ok(())
    }
}

/// The length of the first answer, and its sentence if it is an error. `None` if it has not come whole.
fn answer(input: &[u8]) -> Result<Option<(usize, Option<String>)>, Failure> {
    let Some(line) = input.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(&input[1..line]);
    match input[0] {
        b'+' | b'_' => Ok(Some((line + 2, None))),
        b'-' => Ok(Some((line + 2, Some(text.into_owned())))),
        b'$' if text == "-1" => Ok(Some((line + 2, None))),
        b'$' => {
            let whole = line + 2 + text.parse::<usize>()? + 2;
            Ok((input.len() >= whole).then_some((whole, None)))
        }
        other => Err(format!("an answer of kind {:?}", other as char).into()),
    }
}
