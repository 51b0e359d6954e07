//! A connection: receives, answers, sends, until somebody has enough.
//!
//! - *Pipelines*: everything that was received is answered before anything is sent, with one write, and one wait for durability.
//! - *Back pressure*: while answers wait to be sent nothing is received. A client that does not read holds no more memory here than
//!   one chunk of answers and the answer that went over it; if that alone is over the limit, or if the client takes nothing for a
//!   while, it is closed, and the log says so.
//! - *Idle connections* hold a task and a socket, and no buffer: bytes are received into a buffer of the thread, and only when there
//!   are some is a [`Turn`](super::turn::Turn) taken.
//! - *Stopping*: what was received is answered, also where that takes a while: the stop has a patience of its own.
//! - *Durability*: answers are sent when the last write among them has it. The thread never waits for the device.
//! - *Many connections*: those that have something to answer at the same time are answered first, and then sent to.

use super::clients::Client;
use super::parse::ProtocolError;
use super::refusal::Refusal;
use super::reply::Reply;
use super::session::Session;
use super::turn::{Stop, Turn};
use super::writes::{WritesOutcome, durable};
use crate::server::Server;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that are received at once.
const RECEIVE_BYTES: usize = 64 << 10;

/// How long the first answers of the node wait for the others, to be sent with them.
const TOGETHER: Duration = Duration::from_millis(5);

thread_local! {
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; RECEIVE_BYTES]);
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// One of the two wanted it.
    Closed,
    /// What came was no request.
    Garbage(ProtocolError),
    /// The client takes no answers.
    SlowReader(String),
}

/// What came of waiting for bytes.
enum Received {
    Bytes,
    Nothing,
    Woken,
}

/// Serves a connection to its end.
pub(super) async fn serve(server: Arc<Server>, stream: TcpStream, client: Arc<Client>) {
    let id = client.id;
    let address = client.address;
    let connection = Connection { session: Session::new(&server, client), server, stream, turn: None };
    match connection.run().await {
        End::Closed => {}
        End::Garbage(error) => tracing::info!("client {id} ({address}) is closed: {error}"),
        End::SlowReader(what) => tracing::warn!("client {id} ({address}) is closed: {what}"),
    }
}

struct Connection {
    server: Arc<Server>,
    stream: TcpStream,
    session: Session,
    turn: Option<Box<Turn>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.clients.remove(self.session.client.id);
    }
}

impl Connection {
    async fn run(mut self) -> End {
        loop {
            match self.receive().await {
                Ok(Received::Bytes) => {}
                Ok(Received::Nothing) | Err(_) => return End::Closed,
                Ok(Received::Woken) => {
                    // What had arrived before the server was told to stop is answered.
                    let last_words = !self.session.client.is_killed() && self.receive_now();
                    if last_words && let Some(end) = self.answer().await {
                        return end;
                    }
                    return End::Closed;
                }
            }
            if let Some(end) = self.answer().await {
                return end;
            }
            if self.session.client.is_killed() {
                return End::Closed;
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Received> {
        let client = self.session.client.clone();
        // Whoever waited for something else may have taken the message.
        if client.is_killed() || self.server.clients.is_stopping() {
            return Ok(Received::Woken);
        }
        let received = poll_fn(|cx| self.poll_receive(cx));
        tokio::select! {
            biased;
            received = received => received,
            () = client.woken() => Ok(Received::Woken),
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Received>> {
        RECEIVED.with_borrow_mut(|room| {
            let mut buffer = ReadBuf::new(room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(self.take(buffer.filled())))
        })
    }

    /// Takes what is there without waiting. Returns whether anything was.
    fn receive_now(&mut self) -> bool {
        RECEIVED.with_borrow_mut(|room| match self.stream.try_read(room) {
            Ok(len) => matches!(self.take(room.get(..len).unwrap_or_default()), Received::Bytes),
            Err(_) => false,
        })
    }

    fn take(&mut self, bytes: &[u8]) -> Received {
        if bytes.is_empty() {
            return Received::Nothing;
        }
        self.server.metrics.bytes_in.add(bytes.len() as u64);
        let turn = self.turn.get_or_insert_with(|| self.server.turns.take());
        turn.input.extend_from_slice(bytes);
        Received::Bytes
    }

    /// Answers what was received, and sends the answers. Returns how the connection ends, if it does.
    async fn answer(&mut self) -> Option<End> {
        let mut turn = self.turn.take()?;
        let began = Instant::now();
        loop {
            let stop = turn.run(&self.server, &mut self.session);
            let outcome = turn.writes.outcome();
            if !turn.output.is_empty() {
                // The other connections answer what they have received first: then the log is written once for all of them, and
                // a client of many connections is woken once.
                tokio::task::yield_now().await;
            }
            if let WritesOutcome::Wait(commit) = outcome
                && let Err(error) = durable(commit).await
            {
                turn.writes.fail(error);
            }
            turn.writes.settle(&mut turn.output);
            if let Some(end) = self.gather(&mut turn, began).await {
                return Some(end);
            }
            if let Stop::Garbage(error) = &stop {
                self.server.metrics.protocol_errors.add(1);
                Reply::new(&mut turn.output, self.session.resp3).error(&format!("ERR {error}"));
            }
            turn.account(&self.server, &self.session, began);
            if let Some(end) = self.send(&turn.output).await {
                return Some(end);
            }
            turn.sent();
            match stop {
                Stop::Full | Stop::Again => {}
                Stop::Later(later) => {
                    let answer = tokio::select! {
                        answer = later => answer,
                        () = killed(&self.session.client) => Err(Refusal::STOPPING),
                    };
                    turn.add_later(answer, &mut self.session);
                }
                Stop::Fetch(fetch) => {
                    let fetched = tokio::select! {
                        fetched = fetch => fetched,
                        () = killed(&self.session.client) => Err(Refusal::STOPPING),
                    };
                    turn.add_fetched(fetched, &mut self.session);
                }
                Stop::Drained => break,
                Stop::Close => return Some(End::Closed),
                Stop::Garbage(error) => {
                    // The client reads the reason rather than a reset, if it has stopped sending.
                    let _ = self.stream.shutdown().await;
                    return Some(End::Garbage(error));
                }
            }
        }
        if turn.is_idle() {
            self.server.turns.give_back(turn);
        } else {
            self.turn = Some(turn);
        }
        None
    }

    /// Asks the node what the commands of this turn ask, and puts its answers into their places. All of them are sent together
    /// unless some take long: then those before are sent meanwhile.
    async fn gather(&mut self, turn: &mut Turn, began: Instant) -> Option<End> {
        if turn.asked.is_empty() {
            return None;
        }
        let server = self.server.clone();
        // Nobody closes the semaphore.
        let places = server.asking.acquire_many(turn.asked.len() as u32).await.ok();
        let gathered = turn.asked.begin()?;
        let mut ended = tokio::select! {
            biased;
            // The clock is looked at where there is something to wait for.
            _ = tokio::time::timeout(TOGETHER, gathered.all()) => false,
            () = killed(&self.session.client) => true,
        };
        // What takes longer, or a client that does not read, is not to keep others from asking.
        drop(places);
        turn.bring_in(&gathered);
        while !ended && !turn.asked.is_empty() {
            turn.account(&self.server, &self.session, began);
            if let Some(end) = self.send(turn.asked.whole()).await {
                return Some(end);
            }
            turn.asked.sent();
            ended = tokio::select! {
                () = gathered.some() => false,
                () = killed(&self.session.client) => true,
            };
            turn.bring_in(&gathered);
        }
        turn.give_up();
        turn.asked.end(&mut turn.output);
        if ended {
            // What was answered is sent; what was not looked at yet is left.
            let _ = self.send(&turn.output).await;
            return Some(End::Closed);
        }
        None
    }

    async fn send(&mut self, output: &[u8]) -> Option<End> {
        if output.is_empty() {
            return None;
        }
        let limit = self.server.config.client_output_limit;
        if output.len() as u64 > limit {
            return Some(End::SlowReader(format!(
                "an answer of {} bytes is over the limit of {limit} bytes that client-output-limit sets",
                output.len()
            )));
        }
        let patience = self.server.config.client_write_timeout;
        let mut rest = output;
        while !rest.is_empty() {
            let sent = match self.stream.try_write(rest) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let write = tokio::time::timeout(patience, self.stream.write(rest));
                    tokio::select! {
                        sent = write => match sent {
                            Ok(sent) => sent,
                            Err(_) => return Some(End::SlowReader(format!(
                                "it took none of {} bytes of answers for {} s, which client-write-timeout allows",
                                rest.len(),
                                patience.as_secs()
                            ))),
                        },
                        () = killed(&self.session.client) => return Some(End::Closed),
                    }
                }
                other => other,
            };
            match sent {
                Ok(0) | Err(_) => return Some(End::Closed),
                Ok(len) => {
                    self.server.metrics.bytes_out.add(len as u64);
                    rest = rest.get(len..).unwrap_or_default();
                }
            }
        }
        None
    }
}

/// Returns when the connection is to end at once. Whoever waits for the next bytes is to notice whatever else it was woken for.
async fn killed(client: &Client) {
    let mut woken = false;
    while !client.is_killed() {
        if std::mem::replace(&mut woken, true) {
            client.wake_again();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client.woken().await;
    }
}
