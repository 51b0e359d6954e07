//! Operations on replicated keyspaces, and their outcomes in the words of the protocol.
//!
//! | answer | meaning |
//! |---|---|
//! | `CLUSTERDOWN …` | too few replicas, or the node is not ready; nothing was done |
//! | `TIMEOUT …` | a read did not get enough answers in time; nothing was done |
//! | `OVERLOADED …` | the node sheds load; nothing was done |
//! | `SIBLINGS n …` | the key has several values, and one was asked for |
//! | `UNKNOWN …` | the write may or may not be there, or come to be there |
//! | `ERR …` | the request itself cannot be done |

use super::context::{Context, Flow, Ran};
use super::refusal::Refusal;
use super::reply::Reply;
use super::walk::Walk;
use crate::config::Siblings;
use crate::database::{Change, Entry, Expiry, Levels, ReplicatedKeyspace};
use esker::Slice;
use esker_cluster::causality;
use esker_cluster::request::{Level, Operation, Rejection, Request, Response, Version};
use esker_cluster::store::{self, KeyspaceId, Pair, StoreFailure, Update};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What keys hold, brought by one run of a command for the next run of it.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    entries: Vec<Option<Entry>>,
    contexts: Vec<causality::Context>,
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Refusal {
        let code = match rejection {
            Rejection::Unavailable { .. } | Rejection::NotReady(_) => "CLUSTERDOWN",
            Rejection::Timeout { .. } => "TIMEOUT",
            Rejection::Overloaded => "OVERLOADED",
            Rejection::TooManySiblings { .. } => "SIBLINGS",
            _ => "ERR",
        };
        Refusal::new(format!("{code} {rejection}"))
    }
}

impl From<StoreFailure> for Refusal {
    fn from(failure: StoreFailure) -> Refusal {
        let code = match failure {
            StoreFailure::ReadOnly(_) => "READONLY",
            StoreFailure::TooManySiblings { .. } => "SIBLINGS",
            StoreFailure::Busy(_) => "OVERLOADED",
            _ => "ERR",
        };
        Refusal::new(format!("{code} {failure}"))
    }
}

/// The words for an outcome that nobody expects there.
pub(super) fn unexpected(response: Response) -> Refusal {
    match response {
        Response::Rejected(rejection) => rejection.into(),
        Response::Unknown { acks, why } => Refusal::new(format!(
            "UNKNOWN {acks} replicas acknowledged the write and more were needed: {why}; read before you write again"
        )),
        _ => Refusal::fixed("ERR the node gave an answer to another question; see its log"),
    }
}

/// What a read found: the values, and what was seen.
pub(super) fn found(response: Response) -> Result<(Vec<Version>, causality::Context), Refusal> {
    match response {
        Response::Found { versions, context, .. } => Ok((versions, context)),
        other => Err(unexpected(other)),
    }
}

/// What a write left: the context, and how many replicas have it.
pub(super) fn written(response: Response) -> Result<(causality::Context, u32), Refusal> {
    match response {
        Response::Written { context, acks, .. } => Ok((context, acks)),
        other => Err(unexpected(other)),
    }
}

/// The one value that commands of Redis know of.
fn one(versions: Vec<Version>, siblings: Siblings) -> Result<Option<Entry>, Refusal> {
    if versions.len() > 1 && siblings == Siblings::Error {
        return Err(Refusal::new(format!(
            "SIBLINGS {0} the key has {0} values that were written without knowledge of each other: EK.GET shows them, and \
             EK.SET with its context replaces them",
            versions.len()
        )));
    }
    let newest = versions.into_iter().max_by_key(|version| version.dot.age());
    Ok(newest.map(|version| Entry { value: version.value, expires_at: version.expires_at }))
}

/// The refusal of a command that only one copy can do exactly.
fn not_exact(name: &str) -> Refusal {
    Refusal::new(format!(
        "ERR {} reads and writes in one step, which this keyspace cannot do exactly, since the cluster keeps it: read with EK.GET and \
         write with EK.SET and its context, or use a plain keyspace",
        name.to_uppercase()
    ))
}

/// Commands whose meaning is lost if somebody else writes between their read and their write.
const EXACT: [&str; 12] = [
    "append",
    "decr",
    "decrby",
    "getdel",
    "getset",
    "incr",
    "incrby",
    "incrbyfloat",
    "msetnx",
    "setnx",
    "setrange",
    // With NX, XX or GET; without them, and KEEPTTL, it is a blind write and never comes here.
    "set",
];

impl Context<'_> {
    pub(super) fn replicated_id(keyspace: &ReplicatedKeyspace) -> Result<KeyspaceId, Refusal> {
        keyspace.id().ok_or(Refusal::fixed(
            "CLUSTERDOWN this node is not part of a cluster yet, or its cluster does not have this keyspace; ask again later",
        ))
    }

    /// Answers when the future has its answer.
    pub(super) fn later<R: Send + 'static>(
        &self,
        work: impl Future<Output = Result<R, Refusal>> + Send + 'static,
        answer: impl FnOnce(R, &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> Ran {
        if self.must_wait() {
            return Ok(Flow::Again);
        }
        let resp3 = self.session.resp3;
        Ok(Flow::Later(Box::pin(async move {
            let result = work.await?;
            let mut bytes = Vec::new();
            answer(result, &mut Reply::new(&mut bytes, resp3))?;
            Ok(bytes)
        })))
    }

    /// Asks the node, together with the commands before this one and behind it, and answers when the node has.
    pub(super) fn ask(
        &mut self,
        keyspace: &ReplicatedKeyspace,
        request: Request,
        answer: impl FnOnce(Response, &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> Ran {
        let (at, resp3) = (self.reply.len(), self.session.resp3);
        let waits = self.writes.has_claims() || !self.asked.add(&keyspace.node, request, at, resp3, answer);
        Ok(if waits { Flow::Again } else { Flow::Asked })
    }

    /// A walk over a replicated keyspace.
    pub(super) fn walk(&self, keyspace: &Arc<ReplicatedKeyspace>) -> Result<Walk, Refusal> {
        let id = Self::replicated_id(keyspace)?;
        let Levels { read, write } = self.session.levels;
        Ok(Walk { keyspace: keyspace.clone(), id, read, write })
    }

    pub(super) fn read_replicated(
        &mut self,
        keyspace: &Arc<ReplicatedKeyspace>,
        key: &[u8],
        answer: impl FnOnce(Option<&Entry>, &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> Ran {
        if let Some(id) = keyspace.single_copy() {
            if self.must_wait() {
                return Ok(Flow::Again);
            }
            let entry = keyspace.get_here(id, key)?;
            answer(entry.as_ref(), &mut self.reply)?;
            return Ok(Flow::Done);
        }
        let id = Self::replicated_id(keyspace)?;
        let (level, siblings) = (self.session.levels.read, self.server.config.siblings);
        let operation = Operation::Get { key: Slice::copy_from(key), context: None };
        self.ask(keyspace, keyspace.request(id, operation, level), move |response, reply| {
            let (versions, _) = found(response)?;
            answer(one(versions, siblings)?.as_ref(), reply)
        })
    }

    pub(super) fn read_many_replicated<'k>(
        &mut self,
        keyspace: &Arc<ReplicatedKeyspace>,
        keys: impl Iterator<Item = &'k [u8]>,
        answer: impl FnOnce(&[Option<Entry>], &mut Reply<'_>) -> Result<(), Refusal> + Send + 'static,
    ) -> Ran {
        if self.must_wait() {
            return Ok(Flow::Again);
        }
        if let Some(id) = keyspace.single_copy() {
            let entries = keys.map(|key| keyspace.get_here(id, key)).collect::<Result<Vec<_>, _>>()?;
            answer(&entries, &mut self.reply)?;
            return Ok(Flow::Done);
        }
        let work = self.fetch(keyspace, keys)?;
        self.later(work, move |fetched, reply| answer(&fetched.entries, reply))
    }

    /// Reads several keys at once.
    fn fetch<'k>(
        &self,
        keyspace: &Arc<ReplicatedKeyspace>,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<impl Future<Output = Result<Fetched, Refusal>> + Send + 'static, Refusal> {
        let id = Self::replicated_id(keyspace)?;
        let level = self.session.levels.read;
        // Whether a key is there does not depend on which of its values is the right one.
        let siblings = match self.command.name {
            "del" | "unlink" | "exists" | "touch" => Siblings::Newest,
            _ => self.server.config.siblings,
        };
        let reads: Vec<_> = keys
            .map(|key| {
                let (keyspace, key) = (keyspace.clone(), Slice::copy_from(key));
                tokio::spawn(async move { keyspace.get(id, key, level).await })
            })
            .collect();
        Ok(async move {
            let mut fetched = Fetched { entries: Vec::new(), contexts: Vec::new() };
            for read in reads {
                let (versions, context) = found(joined(read).await?)?;
                fetched.entries.push(one(versions, siblings)?);
                fetched.contexts.push(context);
            }
            Ok(fetched)
        })
    }

    /// Writes pairs whatever is there. On one copy they are visible at one moment; on several each is a write of its own, and the
    /// first that fails is the answer.
    pub(super) fn put_replicated<'k>(
        &mut self,
        keyspace: &Arc<ReplicatedKeyspace>,
        pairs: impl Iterator<Item = (&'k [u8], &'k [u8])>,
        expiry: Expiry,
    ) -> Ran {
        let expires_at = match expiry {
            Expiry::At(at) => Some(at),
            Expiry::Never | Expiry::Keep => None,
        };
        if let Some(id) = keyspace.single_copy() {
            if self.must_wait() {
                return Ok(Flow::Again);
            }
            let start = self.reply.len();
            for (key, value) in pairs {
                let (key, value) = (Slice::copy_from(key), Slice::copy_from(value));
                self.writes.put_here(keyspace, id, Pair { key, value, expires_at });
            }
            self.reply.ok();
            self.writes.claim(start..self.reply.len());
            return Ok(Flow::Done);
        }
        self.settle_order();
        let mut changes: Vec<Write> = pairs
            .map(|(key, value)| {
                let change = store::Change::Put { value: Slice::copy_from(value), expires_at };
                (Slice::copy_from(key), change, None)
            })
            .collect();
        let id = Self::replicated_id(keyspace)?;
        let level = self.session.levels.write;
        if changes.len() == 1
            && let Some((key, change, context)) = changes.pop()
        {
            return self.ask_write(
                keyspace,
                id,
                Operation::Write { key, change, context },
                level,
                |_, reply| {
                    reply.ok();
                },
            );
        }
        if self.must_wait() {
            return Ok(Flow::Again);
        }
        let work = write_all(keyspace.clone(), id, changes, level);
        self.session.acks.store(0, Ordering::Relaxed);
        let told = self.session.acks.clone();
        self.later(work, move |acks, reply| {
            told.store(acks, Ordering::Relaxed);
            reply.ok();
            Ok(())
        })
    }

    /// Asks the node for a write. The session knows afterwards how many replicas have it.
    pub(super) fn ask_write(
        &mut self,
        keyspace: &ReplicatedKeyspace,
        id: KeyspaceId,
        operation: Operation,
        level: Level,
        answer: impl FnOnce(causality::Context, &mut Reply<'_>) + Send + 'static,
    ) -> Ran {
        let told = self.session.acks.clone();
        self.ask(keyspace, keyspace.request(id, operation, level), move |response, reply| {
            // Whatever became of it, it is the last write.
            told.store(0, Ordering::Relaxed);
            let (context, acks) = written(response)?;
            told.store(acks, Ordering::Relaxed);
            answer(context, reply);
            Ok(())
        })
    }

    /// Reads keys, decides what becomes of each, and writes that. Exact on one copy. On several the writes bring back what the
    /// reads saw: a write of somebody else in between stays beside them.
    pub(super) fn modify_replicated<'v, R>(
        &mut self,
        keyspace: &Arc<ReplicatedKeyspace>,
        keys: &[&[u8]],
        decide: impl FnOnce(&[Option<Entry>]) -> Result<(Vec<Change<'v>>, R), Refusal>,
        answer: impl FnOnce(R, &mut Reply<'_>),
    ) -> Ran {
        if self.must_wait() {
            return Ok(Flow::Again);
        }
        let fetched = self.session.fetched.take();
        if let Some(id) = keyspace.single_copy() {
            return self.modify_here(keyspace, id, keys, decide, answer);
        }
        if keyspace.is_unsealed_alone() {
            // Whether the node stays alone is settled first; the command is run again then.
            let node = keyspace.node.clone();
            return Ok(Flow::Fetch(Box::pin(async move {
                node.seal().await.map_err(|why| Refusal::new(format!("CLUSTERDOWN {why}")))?;
                Ok(Fetched::default())
            })));
        }
        if EXACT.contains(&self.command.name) && !self.keeps_ttl {
            return Err(not_exact(self.command.name));
        }
        let Some(fetched) = fetched.filter(|fetched| fetched.entries.len() == keys.len()) else {
            let fetch = self.fetch(keyspace, keys.iter().copied())?;
            return Ok(Flow::Fetch(Box::pin(fetch)));
        };
        let (changes, result) = decide(&fetched.entries)?;
        let mut writes = Vec::new();
        for (((key, change), entry), context) in
            keys.iter().zip(changes).zip(&fetched.entries).zip(fetched.contexts)
        {
            if let Some(change) = as_stored(change, entry.as_ref()) {
                self.check_change(key, &change)?;
                writes.push((Slice::copy_from(key), change, Some(context)));
            }
        }
        let mut bytes = Vec::new();
        answer(result, &mut Reply::new(&mut bytes, self.session.resp3));
        let id = Self::replicated_id(keyspace)?;
        let work = write_all(keyspace.clone(), id, writes, self.session.levels.write);
        let told = self.session.acks.clone();
        Ok(Flow::Later(Box::pin(async move {
            // Whatever became of it, it is the last write.
            told.store(0, Ordering::Relaxed);
            told.store(work.await?, Ordering::Relaxed);
            Ok(bytes)
        })))
    }

    fn check_change(&self, key: &[u8], change: &store::Change) -> Result<(), Refusal> {
        match change {
            store::Change::Put { value, .. } => self.check_pair(key, value.len()),
            store::Change::Delete => Ok(()),
        }
    }

    /// One key is read, decided and written in one step. Several are so one after the other: each by itself is exact.
    fn modify_here<'v, R>(
        &mut self,
        keyspace: &Arc<ReplicatedKeyspace>,
        id: KeyspaceId,
        keys: &[&[u8]],
        decide: impl FnOnce(&[Option<Entry>]) -> Result<(Vec<Change<'v>>, R), Refusal>,
        answer: impl FnOnce(R, &mut Reply<'_>),
    ) -> Ran {
        let (mut commits, mut result) = (Vec::new(), None);
        if let [key] = keys {
            let limit = &*self;
            let (decided, commit) = keyspace.update_here(id, key, |entry| {
                let entries = [entry];
                let decided = decide(&entries).and_then(|(mut changes, result)| {
                    let change = changes.pop().and_then(|change| as_stored(change, entries[0].as_ref()));
                    change.iter().try_for_each(|change| limit.check_change(key, change))?;
                    Ok((change, result))
                });
                match decided {
                    Ok((change, result)) => (update_of(change), Ok(result)),
                    Err(refusal) => (Update::Keep, Err(refusal)),
                }
            })?;
            result = Some(decided?);
            commits.extend(commit);
        } else {
            // What becomes of a key depends on that key alone, but for MSETNX, whose keys would have to be seen at one moment.
            if EXACT.contains(&self.command.name) {
                return Err(not_exact(self.command.name));
            }
            let entries = keys.iter().map(|key| keyspace.get_here(id, key)).collect::<Result<Vec<_>, _>>()?;
            let (changes, decided) = decide(&entries)?;
            for ((key, change), entry) in keys.iter().zip(changes).zip(&entries) {
                let change = as_stored(change, entry.as_ref());
                change.iter().try_for_each(|change| self.check_change(key, change))?;
                let ((), commit) = keyspace.update_here(id, key, |_| (update_of(change), ()))?;
                commits.extend(commit);
            }
            result.get_or_insert(decided);
        }
        let start = self.reply.len();
        if let Some(result) = result {
            answer(result, &mut self.reply);
        }
        // When the last one is durable, so are those before it.
        if let Some(commit) = commits.pop() {
            self.writes.claim_commit(commit, start..self.reply.len());
        }
        Ok(Flow::Done)
    }
}

/// What a change means for a store that keeps a value together with its expiry.
fn as_stored(change: Change<'_>, entry: Option<&Entry>) -> Option<store::Change> {
    let kept = |expiry: Expiry| match expiry {
        Expiry::Never => None,
        Expiry::At(at) => Some(at),
        Expiry::Keep => entry.and_then(|entry| entry.expires_at),
    };
    match change {
        Change::None => None,
        Change::Put(value, expiry) => {
            Some(store::Change::Put { value: Slice::from(value.into_owned()), expires_at: kept(expiry) })
        }
        Change::Expire(expiry) => {
            let value = entry?.value.clone();
            Some(store::Change::Put { value, expires_at: kept(expiry) })
        }
        Change::Delete => Some(store::Change::Delete),
    }
}

fn update_of(change: Option<store::Change>) -> Update {
    match change {
        None => Update::Keep,
        Some(store::Change::Delete) => Update::Delete,
        Some(store::Change::Put { value, expires_at }) => Update::Put { value, expires_at },
    }
}

/// A key, what becomes of it, and what its writer has seen.
type Write = (Slice, store::Change, Option<causality::Context>);

/// The most keys that one command writes: each is a request of its own, and all are under way at once.
const MANY: usize = 5000;

/// Writes several keys at once, and says how many replicas have the write that fewest have.
async fn write_all(
    keyspace: Arc<ReplicatedKeyspace>,
    id: KeyspaceId,
    writes: Vec<Write>,
    level: Level,
) -> Result<u32, Refusal> {
    let mut least = u32::MAX;
    if writes.len() > MANY {
        let count = writes.len();
        return Err(Refusal::new(format!(
            "ERR {count} keys are more than the {MANY} that one command may write"
        )));
    }
    if writes.len() == 1 {
        for (key, change, context) in writes {
            least = written(keyspace.write(id, key, change, context, level).await)?.1;
        }
        return Ok(least);
    }
    let under_way: Vec<_> = writes
        .into_iter()
        .map(|(key, change, context)| {
            let keyspace = keyspace.clone();
            tokio::spawn(async move { keyspace.write(id, key, change, context, level).await })
        })
        .collect();
    let (mut failed, mut done) = (None, 0);
    for write in under_way {
        match joined(write).await.and_then(written) {
            Ok((_, acks)) => (least, done) = (least.min(acks), done + 1),
            Err(refusal) => failed = failed.or(Some(refusal)),
        }
    }
    match failed {
        None => Ok(if least == u32::MAX { 0 } else { least }),
        Some(refusal) if done == 0 => Err(refusal),
        Some(refusal) => Err(Refusal::new(format!(
            "UNKNOWN {done} of the keys were written, and not all: {refusal}; read before you write again"
        ))),
    }
}

async fn joined(task: tokio::task::JoinHandle<Response>) -> Result<Response, Refusal> {
    task.await.map_err(|_| Refusal::fixed("ERR the server failed in this command; see its log"))
}
