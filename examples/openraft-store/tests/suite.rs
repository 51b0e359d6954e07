//! Openraft's own storage test suite, and what a restart finds.

#![allow(clippy::result_large_err, reason = "the size of its error is openraft's choice")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use esker::Db;
use openraft::entry::FromAppData;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, Entry, LogId, RaftLogReader, StorageError, StorageIOError, Vote};
use openraft_store::{LogStore, Request, StateMachine, TypeConfig};
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<u64>> {
        let dir = tempfile::tempdir().map_err(|e| StorageIOError::write(&e))?;
        let db =
            Db::builder().memory_budget(8 << 20).open(dir.path()).map_err(|e| StorageIOError::write(&e))?;
        let (log, state) = openraft_store::open(&db).map_err(|e| StorageIOError::write(&e))?;
        Ok((dir, log, state))
    }
}

#[test]
fn openrafts_storage_suite() {
    Suite::test_all(Builder).unwrap();
}

fn entry(index: u64, key: &str, value: &str) -> Entry<TypeConfig> {
    let mut entry = Entry::from_app_data(Request::Set { key: key.to_owned(), value: value.to_owned() });
    entry.log_id = LogId::new(CommittedLeaderId::new(1, 0), index);
    entry
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let entries = [entry(1, "a", "1"), entry(2, "b", "2"), entry(3, "a", "3")];
    {
        let db = Db::open(dir.path()).unwrap();
        let (mut log, mut state) = openraft_store::open(&db).unwrap();
        log.save_vote(&Vote::new(1, 7)).await.unwrap();
        log.blocking_append(entries.clone()).await.unwrap();
        let responses = state.apply(entries.clone()).await.unwrap();
        assert_eq!(responses[2].before.as_deref(), Some("1"));
        log.purge(entries[0].log_id).await.unwrap();
    }
    let db = Db::open(dir.path()).unwrap();
    let (mut log, mut state) = openraft_store::open(&db).unwrap();
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(1, 7)));
    assert_eq!(log.try_get_log_entries(..).await.unwrap().len(), 2);
    let found = log.get_log_state().await.unwrap();
    assert_eq!(found.last_purged_log_id, Some(entries[0].log_id));
    assert_eq!(found.last_log_id, Some(entries[2].log_id));
    assert_eq!(state.applied_state().await.unwrap().0, Some(entries[2].log_id));
    assert_eq!(state.get("a").unwrap().as_deref(), Some("3"));
}
