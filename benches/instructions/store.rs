//! The stores: one that is read, the same in every run and settled, and an empty one for writes.

use crate::Result;
use crate::record::record;
use esker::{ByLevel, Db, Keyspace, KeyspaceOptions};
use std::path::Path;
use tempfile::TempDir;

/// Records of each keyspace.
pub(crate) const RECORDS: u64 = 100_000;

/// The keyspaces of the store that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The default keyspace, with default options.
    Default,
    /// All tables are of the format `plain`.
    Plain,
}

impl Layout {
    /// Both.
    pub(crate) const ALL: [Layout; 2] = [Layout::Default, Layout::Plain];

    /// The name of the keyspace.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::Default => "default",
            Layout::Plain => "plain",
        }
    }
}

/// Builds the store that is read.
pub(crate) fn build(dir: &Path) -> Result<()> {
    let db = Db::builder().error_if_exists(true).open(dir)?;
    db.create_keyspace("plain", KeyspaceOptions::new().format(ByLevel::all("plain".to_owned())))?;
    for layout in Layout::ALL {
        let keyspace = db.keyspace(layout.name())?;
        for number in 0..RECORDS {
            let (key, value) = record(number);
            keyspace.put(key, value)?;
        }
        keyspace.compact(..)?;
    }
    db.close()?;
    // Whoever opens the store would read all of the log otherwise, of which nothing is needed any more.
    Ok(Db::open(dir)?.close()?)
}

/// Opens a keyspace of the store that is read. No background thread is started for a store that is only read, and the next one
/// finds it as it was.
pub(crate) fn open(dir: &Path, layout: Layout) -> Result<Keyspace> {
    let db = Db::builder().read_only(true).open(dir)?;
    if db.stats().memtable_bytes > 0 {
        return Err("the store has not settled: something is in no table yet".into());
    }
    Ok(db.keyspace(layout.name())?)
}

/// An empty store, which goes with the directory.
pub(crate) fn empty() -> Result<(TempDir, Keyspace)> {
    let dir = tempfile::tempdir()?;
    let db = Db::open(dir.path())?;
    Ok((dir, db.keyspace(Layout::Default.name())?))
}
