//! Esker: an embedded, ordered, durable key-value store.

#![deny(unsafe_code)]

mod compaction;
mod db;
mod error;
mod event;
mod fs;
mod hooks;
mod manifest;
mod memtable;
mod metrics;
mod options;
mod pin;
mod read;
mod record;
mod sync;
mod tables;
mod wal;
mod write;

pub use error::{Error, Result};
pub use esker_table::Slice;
pub use esker_table::codec::Compression;
pub use esker_table::key::{MAX_KEY_LEN, MAX_VALUE_LEN};
pub use fs::{Background, DirLock, Env, LocalEnv, LockMode, WritableFile};
pub use hooks::{Collector, CollectorFactory, CompactionFilter, FilterDecision, Fold, Folded, Shadow};
#[cfg(feature = "testing")]
pub mod testing;

pub use db::{
    Builder, DEFAULT_KEYSPACE_NAME, DamagedLog, DamagedTable, Db, IngestWriter, InspectOptions, Inspected,
    Keyspace, KeyspaceStats, LevelStats, MIN_MEMORY_BUDGET, RecoveryReport, RepairOptions, RepairReport,
    Snapshot, Stats, TableInfo, TornLog, Unflushed, UnflushedEntry, VerifyReport, View, inspect, repair,
};
pub use event::{Event, EventListener};
pub use options::{ByLevel, CompactionStrategy, Durability, KeyspaceOptions, Recovery, TableIo};
pub use read::{Cursor, KeyRange, Range, ReadOptions};
pub use write::{Commit, WriteBatch, WriteOptions};

/// The example in the README is one of the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
