//! [`Context`]: what a command has in its hands. Commands reach keys only through its operations, which know each kind of target.
//!
//! There are three kinds: [`read`](Context::read); [`put`](Context::put) and [`delete`](Context::delete), which are done whatever is
//! there; and [`modify`](Context::modify) (what is written depends on what was read, with no write in between).

use super::asked::Asked;
use super::causal::Fetched;
use super::command::Command;
use super::parse::Args;
use super::refusal::Refusal;
use super::reply::Reply;
use super::session::Session;
use super::writes::Writes;
use crate::database::{Change, Database, Entry, Expiry, PlainKeyspace, Target};
use crate::server::Server;
use esker_cluster::store::MAX_USER_KEY_LEN;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

/// An answer that comes later: its bytes, or why there is none.
pub(crate) type Later = Pin<Box<dyn Future<Output = Result<Vec<u8>, Refusal>> + Send>>;

/// What a command needs to have read before it can decide.
pub(crate) type Fetch = Pin<Box<dyn Future<Output = Result<Fetched, Refusal>> + Send>>;

/// What a command leaves behind.
pub(crate) enum Flow {
    /// Its answer is written.
    Done,
    /// Its answer is written, and the connection ends.
    Close,
    /// Its answer comes later; what was received behind it waits.
    Later(Later),
    /// It has to be run again, with what this brings.
    Fetch(Fetch),
    /// It was asked of the node, together with others.
    Asked,
    /// It has done nothing yet, and has to be run again when everything before it is answered.
    Again,
}

/// What a command returns.
pub(crate) type Ran = Result<Flow, Refusal>;

/// What a command has in its hands.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) session: &'a mut Session,
    pub(crate) reply: Reply<'a>,
    pub(crate) writes: &'a mut Writes,
    pub(crate) asked: &'a mut Asked,
    pub(crate) command: &'static Command,
    /// The command keeps the expiry of what it replaces, and otherwise does not depend on it.
    pub(crate) keeps_ttl: bool,
}

impl<'a> Context<'a> {
    /// The database that was selected.
    pub(crate) fn database(&self) -> Result<&'a Database, Refusal> {
        let server: &'a Server = self.server;
        let database = server.databases.get(self.session.database);
        database.ok_or(Refusal::fixed("ERR DB index is out of range"))
    }

    pub(super) fn target(&self) -> Result<Target<'a>, Refusal> {
        Ok(self.database()?.target())
    }

    /// Whether commands before this one are not answered yet. Whatever is not asked of the node together with them waits.
    pub(crate) fn must_wait(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Makes earlier writes of this connection visible: call it before anything that could see them.
    pub(crate) fn settle_order(&mut self) {
        self.writes.flush();
    }

    /// Answers from what a key holds.
    pub(crate) fn read(
        &mut self,
        key: &[u8],
        answer: impl FnOnce(Option<&Entry>, &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> Ran {
        self.settle_order();
        match self.target()? {
            Target::Plain(_) if self.must_wait() => Ok(Flow::Again),
            Target::Plain(keyspace) => {
                let entry = keyspace.get(key)?;
                answer(entry.as_ref(), &mut self.reply)?;
                Ok(Flow::Done)
            }
            Target::Replicated(keyspace) => self.read_replicated(keyspace, key, answer),
        }
    }

    /// Answers from what several keys hold at one moment.
    pub(crate) fn read_many(
        &mut self,
        keys: Args<'_>,
        answer: impl FnOnce(&[Option<Entry>], &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> Ran {
        self.settle_order();
        match self.target()? {
            Target::Plain(_) if self.must_wait() => Ok(Flow::Again),
            Target::Plain(keyspace) => {
                answer(&keyspace.get_many(keys.iter())?, &mut self.reply)?;
                Ok(Flow::Done)
            }
            Target::Replicated(keyspace) => self.read_many_replicated(keyspace, keys.iter(), answer),
        }
    }

    /// Refuses a pair that is larger than pairs may be.
    pub(crate) fn check_pair(&self, key: &[u8], value_len: usize) -> Result<(), Refusal> {
        let (len, limit) = (key.len() + value_len, self.server.config.max_pair_bytes);
        if len as u64 > limit || key.len() > MAX_USER_KEY_LEN {
            let what = if len as u64 > limit {
                format!(
                    "ERR the pair has {len} bytes and the limit is {limit}; the option max-pair-bytes sets it"
                )
            } else {
                format!("ERR the key has {} bytes and the limit is {MAX_USER_KEY_LEN}", key.len())
            };
            return Err(Refusal::new(what));
        }
        Ok(())
    }

    /// Writes pairs whatever is there, all of them at one moment, and answers OK.
    pub(crate) fn put<'k>(
        &mut self,
        pairs: impl Iterator<Item = (&'k [u8], &'k [u8])> + Clone,
        expiry: Expiry,
    ) -> Ran {
        for (key, value) in pairs.clone() {
            self.check_pair(key, value.len())?;
        }
        let start = self.reply.len();
        match self.target()? {
            Target::Plain(_) if self.must_wait() => Ok(Flow::Again),
            Target::Plain(keyspace) => {
                pairs.for_each(|(key, value)| self.writes.put(keyspace, key, value, expiry));
                self.reply.ok();
                self.writes.claim(start..self.reply.len());
                Ok(Flow::Done)
            }
            Target::Replicated(keyspace) => self.put_replicated(keyspace, pairs, expiry),
        }
    }

    /// Deletes keys, and answers how many were there. On a plain keyspace all of them go at one moment.
    pub(crate) fn delete(&mut self, keys: Args<'_>) -> Ran {
        self.modify_many(
            keys.iter(),
            |entries| {
                let mut gone = HashSet::new();
                let pairs = keys.iter().zip(entries);
                // A key that is named twice goes once.
                let change = |(key, entry): (_, &Option<Entry>)| {
                    if entry.is_some() && gone.insert(key) { Change::Delete } else { Change::None }
                };
                let changes = pairs.map(change).collect();
                (changes, gone.len())
            },
            |gone, reply| reply.size(gone),
        )
    }

    /// Reads a key, decides what becomes of it, writes that, and answers; nobody writes the key in between.
    pub(crate) fn modify<'v, R>(
        &mut self,
        key: &[u8],
        decide: impl FnOnce(Option<&Entry>) -> Result<(Change<'v>, R), Refusal>,
        answer: impl FnOnce(R, &mut Reply<'_>),
    ) -> Ran {
        self.settle_order();
        match self.target()? {
            Target::Plain(_) if self.must_wait() => Ok(Flow::Again),
            Target::Plain(keyspace) => {
                let limit = &*self;
                let (commit, result) = keyspace.modify(key, |entry| {
                    let (change, result) = decide(entry)?;
                    if let Change::Put(value, _) = &change {
                        limit.check_pair(key, value.len())?;
                    }
                    Ok::<_, Refusal>((change, result))
                })?;
                self.answer_commit(commit, |reply| answer(result, reply));
                Ok(Flow::Done)
            }
            Target::Replicated(keyspace) => {
                let decide = |entries: &[Option<Entry>]| {
                    let (change, result) = decide(entries.first().and_then(Option::as_ref))?;
                    Ok((vec![change], result))
                };
                self.modify_replicated(keyspace, &[key], decide, answer)
            }
        }
    }

    /// The same for several keys; `decide` sees what each held before, and gives a change for each.
    pub(crate) fn modify_many<'v, R>(
        &mut self,
        keys: impl Iterator<Item = &'v [u8]> + Clone,
        decide: impl FnOnce(&[Option<Entry>]) -> (Vec<Change<'v>>, R),
        answer: impl FnOnce(R, &mut Reply<'_>),
    ) -> Ran {
        self.settle_order();
        match self.target()? {
            Target::Plain(_) if self.must_wait() => Ok(Flow::Again),
            Target::Plain(keyspace) => {
                let mut result = None;
                let commit = keyspace.modify_many(keys, |entries| {
                    let (changes, decided) = decide(entries);
                    result = Some(decided);
                    Ok::<_, Refusal>(changes)
                })?;
                self.answer_commit(commit, |reply| {
                    if let Some(result) = result {
                        answer(result, reply);
                    }
                });
                Ok(Flow::Done)
            }
            Target::Replicated(keyspace) => {
                let keys: Vec<&[u8]> = keys.collect();
                self.modify_replicated(keyspace, &keys, |entries| Ok(decide(entries)), answer)
            }
        }
    }

    /// Writes an answer that is sent when a write has its durability.
    pub(crate) fn answer_commit(
        &mut self,
        commit: Option<esker::Commit>,
        answer: impl FnOnce(&mut Reply<'_>),
    ) {
        let start = self.reply.len();
        answer(&mut self.reply);
        if let Some(commit) = commit {
            self.writes.claim_commit(commit, start..self.reply.len());
        }
    }

    /// Does what may take long with a plain keyspace where it hinders nobody, and answers then.
    pub(crate) fn aside<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&PlainKeyspace) -> Result<R, Refusal> + Send + 'static,
        answer: impl FnOnce(R, &mut Reply<'_>) + Send + 'static,
    ) -> Ran {
        if self.must_wait() {
            return Ok(Flow::Again);
        }
        self.settle_order();
        let Target::Plain(keyspace) = self.target()? else {
            return Err(Refusal::fixed("ERR this command needs a plain keyspace"));
        };
        let (keyspace, resp3) = (keyspace.clone(), self.session.resp3);
        Ok(Flow::Later(Box::pin(async move {
            let result = tokio::task::spawn_blocking(move || work(&keyspace)).await;
            let result = result
                .map_err(|_| Refusal::fixed("ERR the server failed in this command; see its log"))??;
            let mut bytes = Vec::new();
            answer(result, &mut Reply::new(&mut bytes, resp3));
            Ok(bytes)
        })))
    }
}
