//! [`Writes`]: the blind writes of one pipeline, gathered into one batch, and whether they became what their answers say.
//!
//! A client that sends many requests at once gets all answers at once. Its blind writes are answered while they are gathered, and
//! become visible together, before the next thing that could see them: a read, a read-modify-write, another database, the end of what
//! was received. Nothing is sent before the last of them has its durability. If that fails, [`Writes::settle`] turns the answers
//! that were written too early into errors.

use super::refusal::Refusal;
use super::reply::Reply;
use crate::database::{Expiry, PlainKeyspace, ReplicatedKeyspace, Stripes, hash};
use esker::{Commit, WriteBatch};
use esker_cluster::store::{KeyspaceId, Pair};
use std::ops::Range;
use std::sync::Arc;

/// A batch that has grown to this is written without waiting for more.
const BATCH_BYTES: usize = 128 << 10;

/// The writes of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Where the batch goes.
    keyspace: Option<Arc<PlainKeyspace>>,
    batch: WriteBatch,
    /// Where the pairs go: a replicated keyspace of which this node has the only copy.
    here: Option<(Arc<ReplicatedKeyspace>, KeyspaceId)>,
    pairs: Vec<Pair>,
    pair_bytes: usize,
    /// Where the pairs of each command end, and whether one of the claims that are not visible yet is for them.
    commands: Vec<(usize, bool)>,
    /// The keys in the batch, one after the other, and of each its hash, its end, and its expiry.
    keys: Vec<u8>,
    entries: Vec<(u64, usize, Expiry)>,
    /// The answers that claim a write, by their place in the output.
    claims: Vec<Range<usize>>,
    /// How many of them belong to what is visible already.
    visible: usize,
    /// Claims that are false, and why.
    broken: Vec<(Range<usize>, Refusal)>,
    /// The last write that was made visible: when it is durable, so are those before it.
    last: Option<Commit>,
}

/// What became of the writes.
#[derive(Debug)]
pub(crate) enum WritesOutcome {
    /// They have their durability, or there were none.
    Done,
    /// This one has to be waited for.
    Wait(Commit),
}

impl Writes {
    /// Adds a blind write.
    pub(crate) fn put(&mut self, keyspace: &Arc<PlainKeyspace>, key: &[u8], value: &[u8], expiry: Expiry) {
        if !self.keyspace.as_ref().is_some_and(|now| Arc::ptr_eq(now, keyspace)) || !self.pairs.is_empty() {
            self.flush();
            self.keyspace = Some(keyspace.clone());
        }
        keyspace.data.put_to(&mut self.batch, key, value);
        self.keys.extend_from_slice(key);
        self.entries.push((hash(key), self.keys.len(), expiry));
    }

    /// Adds a blind write to a replicated keyspace of which this node has the only copy.
    pub(crate) fn put_here(&mut self, keyspace: &Arc<ReplicatedKeyspace>, id: KeyspaceId, pair: Pair) {
        let is_there = |(now, _): &(Arc<ReplicatedKeyspace>, KeyspaceId)| Arc::ptr_eq(now, keyspace);
        if !self.here.as_ref().is_some_and(is_there) || !self.batch.is_empty() {
            self.flush();
            self.here = Some((keyspace.clone(), id));
        }
        self.pair_bytes += pair.key.len() + pair.value.len();
        self.pairs.push(pair);
    }

    /// Whether an answer claims a write, or has to be corrected: places in the output are not final then.
    pub(crate) fn has_claims(&self) -> bool {
        !self.claims.is_empty() || !self.broken.is_empty()
    }

    /// Says that the answer at this place of the output claims the writes added last.
    pub(crate) fn claim(&mut self, answer: Range<usize>) {
        self.claims.push(answer);
        self.commands.push((self.pairs.len(), true));
        if self.batch.byte_len() + self.pair_bytes >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Says that a write was made visible outside of the batch, and which answer claims it.
    pub(crate) fn claim_commit(&mut self, commit: Commit, answer: Range<usize>) {
        debug_assert!(self.batch.is_empty() && self.pairs.is_empty(), "an earlier write is not visible yet");
        self.claims.push(answer);
        self.visible = self.claims.len();
        self.last = Some(commit);
    }

    /// Forgets the claims of answers that are taken back. The writes stay.
    pub(crate) fn unclaim(&mut self, from: usize) {
        while self.claims.last().is_some_and(|claim| claim.start >= from) {
            self.claims.pop();
            if let Some((_, claimed)) = self.commands.iter_mut().rfind(|(_, claimed)| *claimed) {
                *claimed = false;
            }
        }
        self.visible = self.visible.min(self.claims.len());
        self.broken.retain(|(claim, _)| claim.start < from);
    }

    /// Makes what was gathered visible.
    pub(crate) fn flush(&mut self) {
        if !self.pairs.is_empty() {
            self.flush_pairs();
        } else if !self.batch.is_empty() {
            match self.submit() {
                Ok(commit) => self.last = Some(commit),
                Err(error) => {
                    let refusal = Refusal::from(error);
                    let claims = self.claims.drain(self.visible..);
                    self.broken.extend(claims.map(|claim| (claim, refusal.clone())));
                }
            }
            self.batch.clear();
            self.keys.clear();
            self.entries.clear();
        } else {
            return;
        }
        self.commands.clear();
        self.visible = self.claims.len();
    }

    /// Writes the pairs at one moment. If that cannot be, because of one of them, each command's are tried by themselves.
    fn flush_pairs(&mut self) {
        let pairs = std::mem::take(&mut self.pairs);
        self.pair_bytes = 0;
        let Some((keyspace, id)) = &self.here else { return };
        let refusal = match keyspace.put_here(*id, &pairs) {
            Ok(commit) => return self.last = commit.or(self.last.take()),
            Err(failure) => Refusal::from(failure),
        };
        let mut claims = self.claims.split_off(self.visible).into_iter();
        let mut start = 0;
        for &(end, claimed) in &self.commands {
            let own = pairs.get(start..end).unwrap_or_default();
            start = end;
            let retried = match own.len() == pairs.len() {
                true => Err(refusal.clone()),
                false => keyspace.put_here(*id, own).map_err(Refusal::from),
            };
            // Nobody wants to know of the others; they are tried all the same.
            let claim = if claimed { claims.next() } else { None };
            match retried {
                Ok(commit) => {
                    self.last = commit.or(self.last.take());
                    self.claims.extend(claim);
                }
                Err(refusal) => self.broken.extend(claim.map(|claim| (claim, refusal))),
            }
        }
    }

    fn submit(&mut self) -> esker::Result<Commit> {
        let Some(keyspace) = &self.keyspace else { return Err(esker::Error::Closed) };
        let mut stripes = Stripes::default();
        self.entries.iter().for_each(|(hash, ..)| stripes.add(Stripes::of(*hash)));
        let _held = keyspace.locks.shared(stripes);
        let mut start = 0;
        for (_, end, expiry) in &self.entries {
            // Whether a key may have an expiry is asked here, under its stripe: nobody gives it one in between.
            keyspace.expire_to(&mut self.batch, self.keys.get(start..*end).unwrap_or_default(), *expiry)?;
            start = *end;
        }
        keyspace.submit_deferred(&self.batch)
    }

    /// Makes everything visible and says whether something is to be waited for.
    pub(crate) fn outcome(&mut self) -> WritesOutcome {
        self.flush();
        match self.last.take() {
            Some(commit) if commit.poll().is_none() => WritesOutcome::Wait(commit),
            Some(commit) => {
                if let Some(Err(error)) = commit.poll() {
                    self.fail(error);
                }
                WritesOutcome::Done
            }
            None => WritesOutcome::Done,
        }
    }

    /// Says that what was visible did not become durable.
    pub(crate) fn fail(&mut self, error: esker::Error) {
        let refusal = Refusal::from(error);
        let claims = self.claims.drain(..);
        self.broken.extend(claims.map(|claim| (claim, refusal.clone())));
    }

    /// Puts errors in the place of answers that claim what did not happen. Call it when nothing is to be waited for any more.
    pub(crate) fn settle(&mut self, output: &mut Vec<u8>) {
        if !self.broken.is_empty() {
            self.broken.sort_by_key(|(claim, _)| claim.start);
            let before = std::mem::take(output);
            let mut copied = 0;
            for (claim, refusal) in self.broken.drain(..) {
                output.extend_from_slice(before.get(copied..claim.start).unwrap_or_default());
                Reply::new(output, false).error(refusal.text());
                copied = claim.end;
            }
            output.extend_from_slice(before.get(copied..).unwrap_or_default());
        }
        self.claims.clear();
        self.commands.clear();
        self.visible = 0;
        (self.keyspace, self.here) = (None, None);
    }
}

/// Has a write brought to its durability, and returns once it has it.
pub(crate) async fn durable(commit: Commit) -> esker::Result<()> {
    commit.begin();
    if let Some(result) = commit.poll() {
        return result;
    }
    let (done, told) = tokio::sync::oneshot::channel();
    commit.on_done(move |result| drop(done.send(result)));
    told.await.unwrap_or(Err(esker::Error::Closed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker::{Db, Durability};

    fn claim(writes: &mut Writes, keyspace: &Arc<PlainKeyspace>, output: &mut Vec<u8>, key: &str) {
        let start = output.len();
        writes.put(keyspace, key.as_bytes(), b"v", Expiry::Never);
        output.extend_from_slice(b"+OK\r\n");
        writes.claim(start..output.len());
    }

    #[test]
    fn an_answer_that_turned_out_false_becomes_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        let keyspace = Arc::new(PlainKeyspace::open(&db, "default", Durability::Buffered).unwrap());
        let (mut writes, mut output) = (Writes::default(), Vec::new());
        claim(&mut writes, &keyspace, &mut output, "a");
        writes.flush();
        assert!(keyspace.get(b"a").unwrap().is_some());
        output.extend_from_slice(b":7\r\n");
        db.close().unwrap();
        claim(&mut writes, &keyspace, &mut output, "b");
        claim(&mut writes, &keyspace, &mut output, "c");
        output.extend_from_slice(b"$1\r\nx\r\n");
        // One whose answer is not wanted has nothing to correct.
        claim(&mut writes, &keyspace, &mut output, "d");
        writes.unclaim(output.len() - 5);
        output.truncate(output.len() - 5);
        assert!(matches!(writes.outcome(), WritesOutcome::Done));
        // Nothing is put between answers that are still to be corrected.
        assert!(writes.has_claims());
        writes.settle(&mut output);
        assert!(!writes.has_claims());
        let refusal = Refusal::from(esker::Error::Closed);
        let error = format!("-{refusal}\r\n");
        assert_eq!(String::from_utf8(output).unwrap(), format!("+OK\r\n:7\r\n{error}{error}$1\r\nx\r\n"));
    }

    #[test]
    fn a_write_that_is_not_durable_takes_its_answers_back() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        let keyspace = Arc::new(PlainKeyspace::open(&db, "default", Durability::Synced).unwrap());
        let (mut writes, mut output) = (Writes::default(), Vec::new());
        claim(&mut writes, &keyspace, &mut output, "a");
        output.extend_from_slice(b"_\r\n");
        claim(&mut writes, &keyspace, &mut output, "b");
        let _ = writes.outcome();
        writes.fail(esker::Error::Closed);
        writes.settle(&mut output);
        let error = format!("-{}\r\n", Refusal::from(esker::Error::Closed));
        assert_eq!(String::from_utf8(output).unwrap(), format!("{error}_\r\n{error}"));
        // The next pipeline begins with a clean slate.
        let mut output = Vec::new();
        claim(&mut writes, &keyspace, &mut output, "c");
        let _ = writes.outcome();
        writes.settle(&mut output);
        assert_eq!(output, b"+OK\r\n");
    }
}
