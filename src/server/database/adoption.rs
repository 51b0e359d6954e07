//! How a plain keyspace becomes a replicated one: [`Adoption`], and what a store notes of one that is under way.
//!
//! Every pair is written through the node to its replicas, and then the plain pairs go. In between the plain keyspace answers
//! reads and takes no writes, so that nothing is written behind the copy's back. How far it came is noted, durably, in a
//! keyspace named `<name>.adopting`:
//!
//! ```text
//!   key     value
//!   stage   copying    the plain keyspace answers reads and takes no writes, also after a restart
//!   stage   copied     every pair is at its replicas; the plain ones are to go, and nobody sees them any more
//! ```
//! Nothing is noted before and after, so that the last step, which removes the pairs and the note in one batch, is the end of
//! it. Since the plain pairs stand still from the first note on, whatever the cluster knows of a key by then is this copy or
//! something newer: an adoption that was interrupted writes only keys that the cluster knows nothing of, and can be repeated as
//! often as it takes.

use super::plain::PlainKeyspace;
use super::replicated::ReplicatedKeyspace;
use esker::{Db, Durability, Keyspace, KeyspaceOptions, Slice, WriteBatch, WriteOptions};
use esker_cluster::causality::Context;
use esker_cluster::request::{Level, Response};
use esker_cluster::store::{Change, KeyspaceId, MAX_USER_KEY_LEN};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

const SUFFIX: &str = ".adopting";
const STAGE: &str = "stage";
const COPYING: &[u8] = b"copying";
const COPIED: &[u8] = b"copied";

/// Pairs that are on their way at one time.
const AT_ONCE: usize = 256;

/// How often a write that too few replicas took is tried again, and how long it is waited each time.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// How far the adoption of a keyspace is, in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nobody asked for one.
    #[default]
    None,
    /// It is under way.
    Running,
    /// It came to this end, and can be asked for again.
    Failed(String),
    /// It is done.
    Done,
}

/// The adoption of a keyspace.
#[derive(Debug, Default)]
pub(crate) struct Adoption {
    progress: Mutex<Progress>,
    pairs: AtomicU64,
}

/// What a store has noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Copying,
    Copied,
}

/// What the store has noted of the adoption of a keyspace.
pub(super) fn noted(db: &Db, name: &str) -> esker::Result<Option<Stage>> {
    match db.keyspace(&format!("{name}{SUFFIX}")) {
        Err(esker::Error::NoSuchKeyspace { .. }) => Ok(None),
        notes => {
            Ok(notes?.get(STAGE)?.map(|stage| if &*stage == COPIED { Stage::Copied } else { Stage::Copying }))
        }
    }
}

fn notes(db: &Db, name: &str) -> esker::Result<Keyspace> {
    let notes = format!("{name}{SUFFIX}");
    match db.keyspace(&notes) {
        Err(esker::Error::NoSuchKeyspace { .. }) => db.create_keyspace(&notes, KeyspaceOptions::new()),
        found => found,
    }
}

fn note(plain: &PlainKeyspace, name: &str, stage: &[u8]) -> esker::Result<()> {
    notes(&plain.db, name)?.put_with(STAGE, stage, WriteOptions::new(Durability::Synced))
}

/// The last step: the plain pairs go, and the note with them.
pub(super) fn remove(plain: &PlainKeyspace, name: &str) -> esker::Result<()> {
    let mut batch = WriteBatch::new();
    plain.data.delete_range_to(&mut batch, ..);
    if let Some(companion) = plain.expiries.existing() {
        companion.delete_range_to(&mut batch, ..);
    }
    notes(&plain.db, name)?.delete_to(&mut batch, STAGE);
    plain.db.write(batch, Durability::Synced)
}

impl Adoption {
    /// How far it is, and how many pairs are at their replicas.
    pub(crate) fn progress(&self) -> (Progress, u64) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (progress, self.pairs.load(Ordering::Relaxed))
    }

    /// Begins it. `false` if it is under way or done.
    pub(super) fn begin(&self) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !matches!(*progress, Progress::Running | Progress::Done);
        if begins {
            *progress = Progress::Running;
            self.pairs.store(0, Ordering::Relaxed);
        }
        begins
    }

    pub(super) fn end(&self, ended: Result<(), String>) {
        let progress = ended.map_or_else(Progress::Failed, |()| Progress::Done);
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Brings every pair to its replicas. The plain keyspace takes no writes when this has begun, and stays so if it fails on the
    /// way; a refusal at the beginning leaves everything as it was.
    pub(super) async fn copy(
        &self,
        name: &str,
        plain: &Arc<PlainKeyspace>,
        replicated: &ReplicatedKeyspace,
        max_pair_bytes: u64,
    ) -> Result<(), String> {
        // The plain pairs go for good, and so must not outlast what replaces them.
        let replicated = Arc::new(replicated.synced());
        let id =
            replicated.id().ok_or("the cluster does not have the keyspace yet; ask again in a moment")?;
        let said = |error: esker::Error| error.to_string();
        if noted(&plain.db, name).map_err(said)?.is_none() {
            if !is_empty(&replicated, id).await? {
                return Err(format!(
                    "the cluster has, or had, pairs in a keyspace `{name}`, and what was deleted there must not come back: copy the \
                     plain one to another name with `esker scan` and `esker load`, and adopt that"
                ));
            }
            let (plain, name) = (plain.clone(), name.to_owned());
            blocking(move || close(&plain, &name, max_pair_bytes)).await??;
        }
        let mut from = Bound::Unbounded;
        loop {
            let (plain, start) = (plain.clone(), from.clone());
            let page = blocking(move || page(&plain, start)).await?.map_err(said)?;
            let Some((last, ..)) = page.last() else { break };
            from = Bound::Excluded(last.clone());
            let mut under_way = JoinSet::new();
            for (key, value, expires_at) in page {
                let replicated = replicated.clone();
                under_way.spawn(async move { bring(&replicated, id, key, value, expires_at).await });
            }
            while let Some(brought) = under_way.join_next().await {
                brought.map_err(|error| error.to_string())??;
                self.pairs.fetch_add(1, Ordering::Relaxed);
            }
        }
        note(plain, name, COPIED).map_err(said)
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// Whether the cluster knows of no key in it, deleted ones included: those that this node has are seen in its store.
async fn is_empty(replicated: &ReplicatedKeyspace, id: KeyspaceId) -> Result<bool, String> {
    let page = replicated.node.store().page(id, &[], 1, 1, false).map_err(|e| e.to_string())?;
    if !page.records.is_empty() || !page.is_whole() {
        return Ok(false);
    }
    match replicated.scan(id, Vec::new(), 1, Level::Quorum).await {
        Response::Scanned { pairs, next } => Ok(pairs.is_empty() && next.is_none()),
        Response::Rejected(why) => Err(why.to_string()),
        _ => Err("the node gave an answer to another question; see its log".to_owned()),
    }
}

/// Lets the plain keyspace take no more writes, and notes it. Pairs that the cluster would refuse are a reason not to.
fn close(plain: &PlainKeyspace, name: &str, max_pair_bytes: u64) -> Result<(), String> {
    plain.close();
    let checked =
        check(plain, max_pair_bytes).and_then(|()| note(plain, name, COPYING).map_err(|e| e.to_string()));
    if checked.is_err() {
        plain.reopen();
    }
    checked
}

fn check(plain: &PlainKeyspace, max_pair_bytes: u64) -> Result<(), String> {
    for pair in plain.data.range(..) {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        let bytes = (key.len() + value.len()) as u64;
        if bytes > max_pair_bytes {
            return Err(format!(
                "the pair of the key `{}` has {bytes} bytes and the limit is {max_pair_bytes}; raise `max-pair-bytes` on every node, \
                 or delete the pair",
                key.escape_ascii()
            ));
        }
        if key.len() > MAX_USER_KEY_LEN {
            return Err(format!(
                "a key of {} bytes is too long for a replicated keyspace, the limit is {MAX_USER_KEY_LEN}; delete its pair",
                key.len()
            ));
        }
    }
    Ok(())
}

type Pair = (Slice, Slice, Option<u64>);

/// The next pairs, those left out that have expired; empty at the end.
fn page(plain: &PlainKeyspace, from: Bound<Slice>) -> esker::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for pair in plain.data.range((from, Bound::<Slice>::Unbounded)) {
        let (key, _) = pair?;
        if let Some(entry) = plain.get(&key)? {
            pairs.push((key, entry.value, entry.expires_at));
        }
        if pairs.len() == AT_ONCE {
            break;
        }
    }
    Ok(pairs)
}

/// Brings a pair to its replicas, if the cluster knows nothing of its key. It is written as by somebody who has seen nothing: what
/// another client writes at the same moment stays beside it.
async fn bring(
    replicated: &ReplicatedKeyspace,
    id: KeyspaceId,
    key: Slice,
    value: Slice,
    expires_at: Option<u64>,
) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match replicated.get(id, key.clone(), Level::Quorum).await {
            Response::Found { context, .. } if context != Context::default() => return Ok(()),
            Response::Found { .. } => {
                let change = Change::Put { value: value.clone(), expires_at };
                let seen = Some(Context::default());
                match replicated.write(id, key.clone(), change, seen, Level::Quorum).await {
                    Response::Written { .. } => return Ok(()),
                    Response::Rejected(rejection) => why = rejection.to_string(),
                    Response::Unknown { why: missing, .. } => why = missing,
                    _ => {}
                }
            }
            Response::Rejected(rejection) => why = rejection.to_string(),
            _ => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(format!("the pair of the key `{}` does not get to enough replicas: {why}", key.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::super::target::open_plain;
    use super::*;

    #[test]
    fn what_an_adoption_left_decides_what_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        let pairs = db.create_keyspace("k", KeyspaceOptions::new()).unwrap();
        assert!(open_plain(&db, "k", Durability::Buffered).unwrap().is_none());
        pairs.put("a", "1").unwrap();
        let mut write = WriteBatch::new();
        pairs.put_to(&mut write, "b", "2");
        let open = || open_plain(&db, "k", Durability::Buffered).unwrap();

        let plain = open().unwrap();
        plain.submit(&write).unwrap();
        note(&plain, "k", COPYING).unwrap();
        let copying = open().unwrap();
        assert!(matches!(copying.submit(&write), Err(esker::Error::ReadOnly { .. })));
        assert_eq!(copying.get(b"b").unwrap().map(|entry| entry.value.to_vec()), Some(b"2".to_vec()));

        note(&copying, "k", COPIED).unwrap();
        assert!(open().is_none());
        assert!(pairs.first().unwrap().is_none());
        assert_eq!(noted(&db, "k").unwrap(), None);
    }
}
