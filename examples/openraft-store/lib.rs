//! Openraft's log and state machine, kept in Esker.
//!
//! One store holds everything, in keyspaces of its own:
//!
//! | keyspace | keys | values |
//! |---|---|---|
//! | `raft-log` | index, 8 bytes big endian | a log entry |
//! | `raft-meta` | `vote`, `committed`, `purged` | what Raft must remember beside the log |
//! | `raft-state` | `d/` and a key; `m/applied`, `m/membership` | the replicated data, and how far it has come |
//! | `raft-snapshot` | `meta`, `data` | the newest snapshot |
//!
//! Raft asks that votes and entries are on the device before it is told so. They are *submitted*: visible at once, with a
//! callback when the log's sync has happened, so that the async runtime never waits in an fsync and commits that arrive
//! together share one.

#![allow(clippy::result_large_err, reason = "the size of its error is openraft's choice")]
#![allow(missing_docs, reason = "the macro that declares the types writes items without documentation")]

mod durable;
mod log_store;
mod state_machine;

pub use log_store::LogStore;
pub use state_machine::{SnapshotBuilder, StateMachine};

use esker::{Db, Error, Keyspace, KeyspaceOptions};
use serde::{Deserialize, Serialize};
use std::io::Cursor;

/// What a client asks to be replicated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Sets a key to a value.
    Set { key: String, value: String },
    /// Deletes a key.
    Delete { key: String },
}

/// The value that the key had before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub before: Option<String>,
}

openraft::declare_raft_types!(
    /// The types of this example.
    pub TypeConfig:
        D = Request,
        R = Response,
        NodeId = u64,
        Node = openraft::BasicNode,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
);

/// A log store and a state machine that share `db`.
///
/// # Errors
/// What opening keyspaces can say.
pub fn open(db: &Db) -> Result<(LogStore, StateMachine), Error> {
    let log = LogStore::new(db, keyspace(db, "raft-log")?, keyspace(db, "raft-meta")?);
    let state = StateMachine::new(db, keyspace(db, "raft-state")?, keyspace(db, "raft-snapshot")?);
    Ok((log, state))
}

fn keyspace(db: &Db, name: &str) -> Result<Keyspace, Error> {
    match db.keyspace(name) {
        Err(Error::NoSuchKeyspace { .. }) => db.create_keyspace(name, KeyspaceOptions::new()),
        found => found,
    }
}
