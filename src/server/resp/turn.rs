//! [`Turn`]: the buffers with which a connection works, from the first byte of a request to the last byte of its answer.
//!
//! A connection takes one from the pool when something arrives and gives it back when nothing is left over. So buffers are as many
//! as connections that are being served at one moment, not as many as there are connections.

use super::asked::{Asked, Gathered};
use super::causal::Fetched;
use super::command::{self, TABLE};
use super::context::{Context, Fetch, Flow, Later};
use super::parse::{Parser, ProtocolError};
use super::refusal::Refusal;
use super::reply::Reply;
use super::session::{Replies, Session};
use super::writes::Writes;
use crate::server::Server;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Answers are sent when they have grown to this, even if more requests wait.
pub(super) const OUTPUT_CHUNK: usize = 256 << 10;

/// Buffers larger than this are not kept for the next turn.
pub(super) const KEEP_BUFFER: usize = 64 << 10;

/// Turns that are kept.
const KEEP_TURNS: usize = 64;

/// Why a turn stopped.
pub(crate) enum Stop {
    /// All whole requests are answered.
    Drained,
    /// The answers are to be sent before more requests are looked at.
    Full,
    /// The next answer comes later.
    Later(Later),
    /// The next command is run again with what this brings.
    Fetch(Fetch),
    /// The next command is run again when everything before it is answered.
    Again,
    /// The connection ends behind these answers.
    Close,
    /// The bytes are no request; the connection ends.
    Garbage(ProtocolError),
}

/// Commands that were run one after the other, of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    command: usize,
    calls: u64,
    errors: u64,
}

/// What a connection works with.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// What was received; what lies before `start` is answered.
    pub(crate) input: Vec<u8>,
    start: usize,
    parser: Parser,
    pub(crate) output: Vec<u8>,
    pub(crate) writes: Writes,
    pub(crate) asked: Asked,
    tally: Tally,
    /// The length of the request that is to be run again.
    fetching: usize,
    /// The command run last.
    last: usize,
    /// Commands answered since the last [`account`](Turn::account).
    answered: u64,
}

impl Turn {
    /// Whether nothing is left over.
    pub(crate) fn is_idle(&self) -> bool {
        self.input.len() == self.start && self.output.is_empty()
    }

    /// Answers the requests that have come whole, in order.
    pub(crate) fn run(&mut self, server: &Arc<Server>, session: &mut Session) -> Stop {
        let stop = loop {
            let rest = self.input.get(self.start..).unwrap_or_default();
            match self.parser.next(rest, session.limits(server)) {
                Ok(None) => break Stop::Drained,
                Err(error) => break Stop::Garbage(error),
                Ok(Some(len)) => {
                    let flow = self.run_one(server, session);
                    let start = self.start;
                    self.start += len;
                    match flow {
                        Flow::Fetch(fetch) => {
                            self.start = start;
                            self.fetching = len;
                            break Stop::Fetch(fetch);
                        }
                        Flow::Again => {
                            self.start = start;
                            break Stop::Again;
                        }
                        Flow::Done | Flow::Asked => {}
                        Flow::Close => break Stop::Close,
                        Flow::Later(later) => break Stop::Later(later),
                    }
                }
            }
            if self.output.len() >= OUTPUT_CHUNK {
                break Stop::Full;
            }
        };
        self.hand_over_tally(server);
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        } else if self.start >= KEEP_BUFFER {
            self.input.drain(..self.start);
            self.start = 0;
        }
        stop
    }

    fn run_one(&mut self, server: &Arc<Server>, session: &mut Session) -> Flow {
        let args = self.parser.args(self.input.get(self.start..).unwrap_or_default());
        if args.len() == 0 {
            return Flow::Done;
        }
        let before = self.output.len();
        let place = command::find(args.get(0));
        let ran = match place.and_then(|place| TABLE.get(place)) {
            None => Err(command::unknown(args)),
            Some(command) => command::check(command, args, server, session).and_then(|()| {
                let reply = Reply::new(&mut self.output, session.resp3);
                (command.run)(
                    &mut Context {
                        server,
                        session,
                        reply,
                        writes: &mut self.writes,
                        asked: &mut self.asked,
                        command,
                        keeps_ttl: false,
                    },
                    args,
                )
            }),
        };
        let failed = ran.is_err();
        let flow = ran.unwrap_or_else(|refusal| {
            self.refuse(before, session, &refusal);
            Flow::Done
        });
        // What is run again is counted then.
        if !matches!(flow, Flow::Fetch(_) | Flow::Again) {
            self.count(server, place.unwrap_or(TABLE.len()), failed);
            // These are answered when their answers are there.
            self.answered += u64::from(!matches!(flow, Flow::Later(_) | Flow::Asked));
        }
        if session.replies != Replies::On && matches!(flow, Flow::Done | Flow::Close | Flow::Asked) {
            if matches!(flow, Flow::Asked) {
                self.asked.silence();
            }
            self.silence(before, session);
        }
        flow
    }

    fn refuse(&mut self, before: usize, session: &Session, refusal: &Refusal) {
        self.output.truncate(before);
        self.writes.unclaim(before);
        Reply::new(&mut self.output, session.resp3).error(refusal.text());
    }

    /// Takes an answer back that is not wanted.
    fn silence(&mut self, before: usize, session: &mut Session) {
        session.replies = match session.replies {
            // The command that asked for it is not answered either.
            Replies::SkipNext => Replies::Skip,
            Replies::Skip => Replies::On,
            other => other,
        };
        self.output.truncate(before);
        self.writes.unclaim(before);
    }

    /// Hands over what the next command needed to read. If that could not be read, this is its answer.
    pub(crate) fn add_fetched(&mut self, fetched: Result<Fetched, Refusal>, session: &mut Session) {
        match fetched {
            Ok(fetched) => session.fetched = Some(fetched),
            Err(refusal) => {
                self.start += self.fetching;
                self.add_later(Err(refusal), session);
            }
        }
    }

    /// Puts the node's answers into their places, up to the first that is missing.
    pub(crate) fn bring_in(&mut self, gathered: &Gathered) {
        self.answered += self.asked.bring_in(&self.output, gathered);
    }

    /// Says of the node's answers that are missing that nobody waits for them any longer.
    pub(crate) fn give_up(&mut self) {
        self.answered += self.asked.give_up(&self.output);
    }

    /// Adds the answer that came later.
    pub(crate) fn add_later(&mut self, answer: Result<Vec<u8>, Refusal>, session: &mut Session) {
        let before = self.output.len();
        self.answered += 1;
        match answer {
            Ok(bytes) => self.output.extend_from_slice(&bytes),
            Err(refusal) => self.refuse(before, session, &refusal),
        }
        if session.replies != Replies::On {
            self.silence(before, session);
        }
    }

    /// Counts a command. Runs of one kind are counted together.
    fn count(&mut self, server: &Server, command: usize, failed: bool) {
        if command != self.tally.command {
            self.hand_over_tally(server);
            self.tally.command = command;
        }
        self.last = command;
        self.tally.calls += 1;
        self.tally.errors += u64::from(failed);
    }

    fn hand_over_tally(&mut self, server: &Server) {
        let Tally { command, calls, errors } = std::mem::take(&mut self.tally);
        if calls > 0 {
            server.metrics.commands.count(command, calls, errors);
        }
    }

    /// Counts the answers that are ready, and how long they took since the turn began: before they are sent, so that whoever has read an
    /// answer finds it counted.
    pub(crate) fn account(&mut self, server: &Server, session: &Session, began: Instant) {
        let answered = std::mem::take(&mut self.answered);
        server.metrics.latency.observe(began.elapsed(), answered);
        let client = &session.client;
        client.commands.fetch_add(answered, Ordering::Relaxed);
        client.last_command.store(self.last, Ordering::Relaxed);
        client.last_active.store(client.since.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Says that the answers were sent.
    pub(crate) fn sent(&mut self) {
        self.output.clear();
        self.output.shrink_to(KEEP_BUFFER);
    }
}

/// A box, since an idle connection keeps room for one.
type Kept = Box<Turn>;

/// Turns that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct TurnPool {
    turns: Mutex<Vec<Kept>>,
}

impl TurnPool {
    fn turns(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Kept {
        self.turns().pop().unwrap_or_default()
    }

    /// Takes a turn back that is idle.
    pub(crate) fn give_back(&self, mut turn: Kept) {
        debug_assert!(turn.is_idle());
        if turn.input.capacity() > KEEP_BUFFER || turn.output.capacity() > KEEP_BUFFER {
            turn.input.shrink_to(KEEP_BUFFER);
            turn.output.shrink_to(KEEP_BUFFER);
        }
        let mut turns = self.turns();
        if turns.len() < KEEP_TURNS {
            turns.push(turn);
        }
    }
}
