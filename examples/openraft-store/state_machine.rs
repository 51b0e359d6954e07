//! [`StateMachine`]: the replicated data, and snapshots of it.

use crate::{Request, Response, TypeConfig, durable};
use esker::{Db, Keyspace, Snapshot as Moment, WriteBatch};
use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    BasicNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, SnapshotMeta, StorageError,
    StorageIOError, StoredMembership,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::{self, Cursor};

const APPLIED: &str = "m/applied";
const MEMBERSHIP: &str = "m/membership";
const DATA: &str = "d/";

type Result<T> = std::result::Result<T, StorageError<u64>>;
type Membership = StoredMembership<u64, BasicNode>;

/// The replicated data in Esker. Each batch of entries is applied together with the position it brings the data to, so
/// that after a crash nothing is applied twice and nothing left out.
#[derive(Clone, Debug)]
pub struct StateMachine {
    db: Db,
    state: Keyspace,
    snapshots: Keyspace,
}

/// Builds a snapshot of the data as it was when the builder was made.
#[derive(Debug)]
pub struct SnapshotBuilder {
    moment: Moment,
    machine: StateMachine,
}

fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}

fn read_error(error: &(impl std::error::Error + 'static)) -> StorageError<u64> {
    StorageIOError::read_state_machine(error).into()
}

fn write_error(error: &(impl std::error::Error + 'static)) -> StorageError<u64> {
    StorageIOError::write_state_machine(error).into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl StateMachine {
    pub(crate) fn new(db: &Db, state: Keyspace, snapshots: Keyspace) -> StateMachine {
        StateMachine { db: db.clone(), state, snapshots }
    }

    /// The value of a key in the replicated data.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn get(&self, key: &str) -> std::result::Result<Option<String>, esker::Error> {
        Ok(self.state.get(format!("{DATA}{key}"))?.map(|value| text(&value)))
    }

    async fn write(&self, batch: &WriteBatch) -> Result<()> {
        durable::write(&self.db, batch).await.map_err(|e| write_error(&e))
    }

    /// Adds a snapshot, as the current one, to a batch.
    fn keep_snapshot(
        &self,
        batch: &mut WriteBatch,
        meta: &SnapshotMeta<u64, BasicNode>,
        data: &[u8],
    ) -> Result<()> {
        self.snapshots.put_to(batch, "meta", encode(meta).map_err(|e| write_error(&e))?);
        self.snapshots.put_to(batch, "data", data);
        Ok(())
    }
}

/// A value of the state machine as a moment saw it.
fn at<T: DeserializeOwned>(moment: &Moment, state: &Keyspace, key: &str) -> Result<Option<T>> {
    let found = moment.get_in(state, key).map_err(|e| read_error(&e))?;
    found.map(|bytes| decode(&bytes).map_err(|e| read_error(&e))).transpose()
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>> {
        let (moment, machine) = (&self.moment, &self.machine);
        let last_log_id: Option<LogId<u64>> = at(moment, &machine.state, APPLIED)?;
        let last_membership: Membership = at(moment, &machine.state, MEMBERSHIP)?.unwrap_or_default();
        let mut data = BTreeMap::new();
        for pair in moment.range_in(&machine.state, DATA.."d0") {
            let (key, value) = pair.map_err(|e| read_error(&e))?;
            data.insert(text(&key[DATA.len()..]), text(&value));
        }
        let bytes = encode(&data).map_err(|e| read_error(&e))?;
        let snapshot_id = match last_log_id {
            Some(last) => format!("{}-{}-{}", last.leader_id, last.index, moment.seqno()),
            None => format!("empty-{}", moment.seqno()),
        };
        let meta = SnapshotMeta { last_log_id, last_membership, snapshot_id };
        let mut batch = WriteBatch::new();
        machine.keep_snapshot(&mut batch, &meta, &bytes)?;
        machine.write(&batch).await?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(bytes)) })
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId<u64>>, Membership)> {
        let moment = self.db.snapshot();
        let membership = at(&moment, &self.state, MEMBERSHIP)?.unwrap_or_default();
        Ok((at(&moment, &self.state, APPLIED)?, membership))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Response>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = WriteBatch::new();
        let mut responses = Vec::new();
        // What earlier entries of this batch have written is not in the store yet.
        let mut written: BTreeMap<String, Option<String>> = BTreeMap::new();
        for entry in entries {
            let mut response = Response::default();
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(request) => {
                    let (key, value) = match request {
                        Request::Set { key, value } => (key, Some(value)),
                        Request::Delete { key } => (key, None),
                    };
                    response.before = match written.get(&key) {
                        Some(before) => before.clone(),
                        None => self.get(&key).map_err(|e| read_error(&e))?,
                    };
                    match &value {
                        Some(value) => self.state.put_to(&mut batch, format!("{DATA}{key}"), value),
                        None => self.state.delete_to(&mut batch, format!("{DATA}{key}")),
                    };
                    written.insert(key, value);
                }
                EntryPayload::Membership(membership) => {
                    let stored = Membership::new(Some(entry.log_id), membership);
                    self.state.put_to(&mut batch, MEMBERSHIP, encode(&stored).map_err(|e| write_error(&e))?);
                }
            }
            self.state.put_to(&mut batch, APPLIED, encode(&entry.log_id).map_err(|e| write_error(&e))?);
            responses.push(response);
        }
        self.write(&batch).await?;
        Ok(responses)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { moment: self.db.snapshot(), machine: self.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<()> {
        let bytes = snapshot.into_inner();
        let data: BTreeMap<String, String> = decode(&bytes).map_err(|e| read_error(&e))?;
        // One batch: the old data goes and the new comes in one step.
        let mut batch = WriteBatch::new();
        self.state.delete_range_to(&mut batch, DATA.."d0");
        for (key, value) in &data {
            self.state.put_to(&mut batch, format!("{DATA}{key}"), value);
        }
        match &meta.last_log_id {
            Some(last) => self.state.put_to(&mut batch, APPLIED, encode(last).map_err(|e| write_error(&e))?),
            None => self.state.delete_to(&mut batch, APPLIED),
        };
        let membership = encode(&meta.last_membership).map_err(|e| write_error(&e))?;
        self.state.put_to(&mut batch, MEMBERSHIP, membership);
        self.keep_snapshot(&mut batch, meta, &bytes)?;
        self.write(&batch).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>> {
        let moment = self.db.snapshot();
        let Some(meta) = at(&moment, &self.snapshots, "meta")? else { return Ok(None) };
        let data = moment.get_in(&self.snapshots, "data").map_err(|e| read_error(&e))?.unwrap_or_default();
        Ok(Some(Snapshot { meta, snapshot: Box::new(Cursor::new(data.to_vec())) }))
    }
}
