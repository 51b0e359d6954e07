//! [`LogStore`]: the Raft log, the vote and what goes with them.

use crate::{TypeConfig, durable};
use esker::{Db, Keyspace, WriteBatch};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{Entry, LogId, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";

/// The Raft log in Esker. Clones share it; each may read while another writes.
#[derive(Clone, Debug)]
pub struct LogStore {
    db: Db,
    log: Keyspace,
    meta: Keyspace,
}

type Result<T> = std::result::Result<T, StorageError<u64>>;

fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}

fn read_error(error: &(impl std::error::Error + 'static)) -> StorageError<u64> {
    StorageIOError::read_logs(error).into()
}

fn write_error(error: &(impl std::error::Error + 'static)) -> StorageError<u64> {
    StorageIOError::write_logs(error).into()
}

impl LogStore {
    pub(crate) fn new(db: &Db, log: Keyspace, meta: Keyspace) -> LogStore {
        LogStore { db: db.clone(), log, meta }
    }

    fn read_meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let found = self.meta.get(key).map_err(|e| read_error(&e))?;
        found.map(|bytes| decode(&bytes).map_err(|e| read_error(&e))).transpose()
    }

    async fn write_meta<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let mut batch = WriteBatch::new();
        self.meta.put_to(&mut batch, key, encode(value).map_err(|e| write_error(&e))?);
        durable::write(&self.db, &batch).await.map_err(|e| write_error(&e))
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry<TypeConfig>>> {
        let key = |bound: Bound<&u64>| bound.map(|index| index.to_be_bytes());
        let entries = self.log.range((key(range.start_bound()), key(range.end_bound())));
        entries
            .map(|pair| {
                let (_, bytes) = pair.map_err(|e| read_error(&e))?;
                decode(&bytes).map_err(|e| read_error(&e))
            })
            .collect()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>> {
        let last_purged_log_id: Option<LogId<u64>> = self.read_meta(PURGED)?;
        let last = match self.log.last().map_err(|e| read_error(&e))? {
            Some((_, bytes)) => Some(decode::<Entry<TypeConfig>>(&bytes).map_err(|e| read_error(&e))?.log_id),
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<u64>) -> Result<()> {
        self.write_meta(VOTE, vote).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<u64>>> {
        self.read_meta(VOTE)
    }

    async fn save_committed(&mut self, committed: Option<LogId<u64>>) -> Result<()> {
        self.write_meta(COMMITTED, &committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId<u64>>> {
        Ok(self.read_meta::<Option<LogId<u64>>>(COMMITTED)?.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<()>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = WriteBatch::new();
        for entry in entries {
            let bytes = encode(&entry).map_err(|e| write_error(&e))?;
            self.log.put_to(&mut batch, entry.log_id.index.to_be_bytes(), bytes);
        }
        durable::submit(&self.db, &batch, |result| callback.log_io_completed(result))
            .map_err(|e| write_error(&e))
    }

    async fn truncate(&mut self, log_id: LogId<u64>) -> Result<()> {
        let mut batch = WriteBatch::new();
        self.log.delete_range_to(&mut batch, log_id.index.to_be_bytes()..);
        durable::write(&self.db, &batch).await.map_err(|e| write_error(&e))
    }

    async fn purge(&mut self, log_id: LogId<u64>) -> Result<()> {
        let mut batch = WriteBatch::new();
        self.log.delete_range_to(&mut batch, ..=log_id.index.to_be_bytes());
        self.meta.put_to(&mut batch, PURGED, encode(&log_id).map_err(|e| write_error(&e))?);
        durable::write(&self.db, &batch).await.map_err(|e| write_error(&e))
    }
}
