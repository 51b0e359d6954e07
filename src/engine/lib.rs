//! Esker: an embedded, ordered, durable key-value store.
//!
//! A [`Db`] is a directory that one process has open. It holds [`Keyspace`]s, each a map of its own from byte strings to
//! byte strings, in order; the `Db` itself stands for the one named `default`. Handles are clones of each other and go
//! wherever threads go.
//!
//! ```
//! # let dir = tempfile::tempdir()?;
//! use esker::{Db, Durability, WriteBatch};
//!
//! let db = Db::open(dir.path())?;
//! db.put("planet/3", "Earth")?;
//!
//! let mut batch = WriteBatch::new();
//! batch.put("planet/4", "Mars").put("planet/5", "Jupiter");
//! db.write(batch, Durability::Synced)?;
//!
//! assert_eq!(db.get("planet/3")?.unwrap(), "Earth");
//! for pair in db.prefix("planet/").rev() {
//!     let (key, value) = pair?;
//!     println!("{key:?}: {value:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to | there is |
//! |---|---|
//! | open a store, with options | [`Db::open`], [`Builder`] |
//! | write, one by one or all or nothing | [`Keyspace::put`], [`Keyspace::delete`], [`Keyspace::delete_range`], [`WriteBatch`] |
//! | choose what a write survives, and who waits for it | [`Durability`], [`Db::submit`], [`Db::barrier`], [`Commit`] |
//! | read | [`Keyspace::get`], [`Keyspace::range`], [`Cursor`], [`Snapshot`] |
//! | load much that is sorted | [`Keyspace::ingest`] |
//! | lay data out | [`KeyspaceOptions`], [`CompactionStrategy`], [`Builder::table_format`] |
//! | build upon flush and compaction | [`Fold`], [`CompactionFilter`], [`Collector`], [`View`] |
//! | look after a store | [`Db::verify`], [`Db::checkpoint`], [`Db::stats`], [`EventListener`], [`repair`], [`inspect`] |

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
pub use fs::{Background, DirLock, Env, LocalEnv, LockMode, SpareTime, WritableFile};
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
