//! Walks over replicated keyspaces: their keys in the order of their tokens, a page at a time.

use super::causal::unexpected;
use super::refusal::Refusal;
use super::reply::Reply;
use crate::database::{Glob, Page, ReplicatedKeyspace, Wanted};
use esker::Slice;
use esker_cluster::request::{Level, Response};
use esker_cluster::store::{Change, KeyspaceId};
use std::sync::Arc;

/// Keys asked for at once by walks over everything.
const PAGE: usize = 1000;

/// A walk: over which keyspace, and at which levels.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) keyspace: Arc<ReplicatedKeyspace>,
    pub(super) id: KeyspaceId,
    pub(super) read: Level,
    pub(super) write: Level,
}

impl Walk {
    async fn next(&self, from: Vec<u8>, limit: usize) -> Result<(Vec<Slice>, Option<Vec<u8>>), Refusal> {
        match self.keyspace.scan(self.id, from, limit, self.read).await {
            Response::Scanned { pairs, next } => Ok((pairs.into_iter().map(|(key, _)| key).collect(), next)),
            other => Err(unexpected(other)),
        }
    }

    /// The keys that are wanted, among about as many as were asked for from `from` on.
    pub(super) async fn page(&self, from: Vec<u8>, wanted: Wanted) -> Result<Page, Refusal> {
        let (keys, next) = self.next(from, wanted.count).await?;
        let is_wanted = |key: &Slice| wanted.pattern.as_ref().is_none_or(|glob| glob.matches(key));
        Ok(Page { keys: keys.iter().filter(|key| is_wanted(key)).map(|key| key.to_vec()).collect(), next })
    }

    /// Shows every key to `visit`, until that has seen enough.
    async fn visit(
        &self,
        from: Vec<u8>,
        mut visit: impl FnMut(&Slice) -> bool + Send,
    ) -> Result<(), Refusal> {
        let mut from = Some(from);
        while let Some(at) = from {
            let (keys, next) = self.next(at, PAGE).await?;
            if !keys.iter().all(&mut visit) {
                break;
            }
            from = next;
        }
        Ok(())
    }

    /// How many keys there are.
    pub(super) async fn count(&self) -> Result<u64, Refusal> {
        let mut count = 0;
        self.visit(Vec::new(), |_| {
            count += 1;
            true
        })
        .await?;
        Ok(count)
    }

    /// The keys that match, encoded, and how many they are.
    pub(super) async fn keys(&self, pattern: Glob, limit: usize) -> Result<(usize, Vec<u8>), Refusal> {
        let (mut count, mut bytes) = (0, Vec::new());
        self.visit(Vec::new(), |key| {
            if pattern.matches(key) {
                count += 1;
                Reply::new(&mut bytes, false).bulk(key);
            }
            bytes.len() <= limit
        })
        .await?;
        if bytes.len() > limit {
            return Err(too_many(limit));
        }
        Ok((count, bytes))
    }

    /// Some key: the first one from a random token on.
    pub(super) async fn random_key(&self, random: u64) -> Result<Option<Vec<u8>>, Refusal> {
        for from in [random.to_be_bytes().to_vec(), Vec::new()] {
            let mut found = None;
            self.visit(from, |key| {
                found = Some(key.to_vec());
                false
            })
            .await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Deletes every key that there is, one by one: each delete is a write like any other.
    pub(super) async fn clear(&self) -> Result<(), Refusal> {
        let mut from = Some(Vec::new());
        while let Some(at) = from {
            let (keys, next) = self.next(at, PAGE).await?;
            let deletes: Vec<_> = keys
                .into_iter()
                .map(|key| {
                    let walk = self.clone();
                    tokio::spawn(async move {
                        walk.keyspace.write(walk.id, key, Change::Delete, None, walk.write).await
                    })
                })
                .collect();
            for delete in deletes {
                match delete.await {
                    Ok(Response::Written { .. }) => {}
                    Ok(other) => return Err(unexpected(other)),
                    Err(_) => {
                        return Err(Refusal::fixed("ERR the server failed in this command; see its log"));
                    }
                }
            }
            from = next;
        }
        Ok(())
    }
}

/// The refusal of an answer that would be too long.
pub(super) fn too_many(limit: usize) -> Refusal {
    Refusal::new(format!(
        "ERR the keys are more than the {limit} bytes that client-output-limit allows; use SCAN"
    ))
}
