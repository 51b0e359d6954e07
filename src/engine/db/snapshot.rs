//! [`Snapshot`]: the state of the whole store at one moment.

use super::{Db, Keyspace};
use crate::Slice;
use crate::error::Result;
use crate::read::{Cursor, KeyRange, Range, ReadOptions, SnapshotGuard};
use std::sync::Arc;

/// The state of the whole store at one moment. While it lives, compaction keeps what it sees. Cloning is cheap.
///
/// A snapshot costs disk space as entries that it sees are overwritten; drop it when it is no longer needed. It does not
/// survive the store's being closed.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// db.put("a", "1")?;
/// let snapshot = db.snapshot();
/// db.delete("a")?;
/// db.put("b", "2")?;
/// assert_eq!(snapshot.get("a")?.unwrap(), "1");
/// assert_eq!(snapshot.range(..).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Snapshot {
    db: Db,
    guard: Arc<SnapshotGuard>,
}

impl Snapshot {
    pub(crate) fn new(db: &Db) -> Snapshot {
        let core = db.core();
        let guard = core.snapshots.acquire(|| core.committer.visible());
        Snapshot { db: db.clone(), guard }
    }

    /// The sequence number of the newest write that the snapshot sees.
    pub fn seqno(&self) -> u64 {
        self.guard.seqno()
    }

    fn options(&self) -> ReadOptions {
        ReadOptions::new().at(self.guard.clone())
    }

    /// The value of a key in the default keyspace.
    ///
    /// # Errors
    /// Those of [`Keyspace::get`], here and below.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.get_in(&self.db, key)
    }

    /// The value of a key in a keyspace.
    ///
    /// # Errors
    /// Those of [`Keyspace::get_with`].
    pub fn get_in(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        keyspace.get_with(key, &self.options())
    }

    /// The values of many keys in a keyspace, in the order asked for.
    pub fn multi_get_in<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: impl IntoIterator<Item = K>,
    ) -> Vec<Result<Option<Slice>>> {
        keyspace.multi_get_with(keys, &self.options())
    }

    /// The entries of a range in the default keyspace.
    pub fn range(&self, range: impl KeyRange) -> Range {
        self.range_in(&self.db, range)
    }

    /// The entries of a range in a keyspace.
    pub fn range_in(&self, keyspace: &Keyspace, range: impl KeyRange) -> Range {
        keyspace.range_with(range, &self.options())
    }

    /// The entries of the default keyspace whose keys begin with these bytes.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.db.prefix_with(prefix, &self.options())
    }

    /// The entries of a keyspace whose keys begin with these bytes.
    pub fn prefix_in(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Range {
        keyspace.prefix_with(prefix, &self.options())
    }

    /// A cursor over the default keyspace.
    ///
    /// # Errors
    /// Those of [`Keyspace::cursor`].
    pub fn cursor(&self) -> Result<Cursor> {
        self.cursor_in(&self.db)
    }

    /// A cursor over a keyspace.
    ///
    /// # Errors
    /// Those of [`Keyspace::cursor_with`].
    pub fn cursor_in(&self, keyspace: &Keyspace) -> Result<Cursor> {
        keyspace.cursor_with(&self.options())
    }
}

impl ReadOptions {
    /// Reads what this snapshot sees.
    #[must_use]
    pub fn snapshot(self, snapshot: &Snapshot) -> ReadOptions {
        self.at(snapshot.guard.clone())
    }
}
