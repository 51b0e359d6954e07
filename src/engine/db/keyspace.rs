//! [`Keyspace`]: a named tree of keys with options of its own.

use super::core::Core;
use super::{Handle, IngestWriter, View};
use crate::error::Result;
use crate::options::{Durability, KeyspaceOptions};
use crate::read::{Bounds, Cursor, KeyRange, Range, ReadOptions};
use crate::write::batch::{Op, Ops};
use crate::write::tree::Tree;
use crate::write::{WriteBatch, WriteOptions};
use crate::{Error, MAX_KEY_LEN, Slice};
use esker_table::{Kind, LookupKey, SeqNo};
use std::sync::Arc;

/// A named tree of keys with options of its own. Handles are cheap to clone and keep the store open.
///
/// Keys are bytes, ordered like byte strings, of up to [`MAX_KEY_LEN`] bytes; values have up to
/// [`crate::MAX_VALUE_LEN`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let db = esker::Db::open(dir.path())?;
/// let names = db.create_keyspace("names", esker::KeyspaceOptions::new())?;
/// names.put("de", "Deutschland")?;
/// names.put("dk", "Danmark")?;
/// let d: Vec<_> = names.prefix("d").collect::<Result<_, _>>()?;
/// assert_eq!(d.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyspace {
    handle: Arc<Handle>,
    tree: Arc<Tree>,
}

impl Keyspace {
    pub(crate) fn new(handle: Arc<Handle>, tree: Arc<Tree>) -> Keyspace {
        Keyspace { handle, tree }
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.tree.name()
    }

    /// The options that the keyspace is open with.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// let cache = db.create_keyspace("cache", esker::KeyspaceOptions::new().log(false))?;
    /// assert!(!cache.options().log);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn options(&self) -> &KeyspaceOptions {
        &self.tree.options
    }

    /// What the layer above that created the keyspace called its kind, see [`KeyspaceOptions::kind`]. Empty if nothing did.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.create_keyspace("orders", esker::KeyspaceOptions::new().kind("ledger"))?;
    /// assert_eq!(db.keyspace("orders")?.kind(), "ledger");
    /// assert_eq!(db.kind(), "");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kind(&self) -> &str {
        &self.tree.record.kind
    }

    fn check_open(&self) -> Result<()> {
        self.core().health.check_open()?;
        if self.tree.is_dropped() {
            return Err(Error::NoSuchKeyspace { name: self.name().to_owned() });
        }
        Ok(())
    }

    /// The sequence number that a read sees, if the options fix one.
    fn fixed_seqno(&self, options: &ReadOptions) -> Result<Option<SeqNo>> {
        self.check_open()?;
        match &options.snapshot {
            None => Ok(None),
            Some(snapshot) if snapshot.is_of(&self.core().snapshots) => Ok(Some(snapshot.seqno())),
            Some(_) => Err(Error::invalid("snapshot", "it belongs to another store")),
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `Corruption` or `Io` if a table cannot be read, `NoSuchKeyspace` if the keyspace was dropped, `Closed`; here and in
    /// all other reads.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("k", "v")?;
    /// assert_eq!(db.get("k")?.as_deref(), Some(b"v".as_slice()));
    /// assert_eq!(db.get("other")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>> {
        self.get_with(key, &ReadOptions::default())
    }

    /// The value of a key, as the options say.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get); `Invalid` if the snapshot belongs to another store.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::ReadOptions;
    /// db.put("k", "then")?;
    /// let snapshot = db.snapshot();
    /// db.put("k", "now")?;
    /// assert_eq!(db.get_with("k", &ReadOptions::new().snapshot(&snapshot))?.unwrap(), "then");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_with(&self, key: impl AsRef<[u8]>, options: &ReadOptions) -> Result<Option<Slice>> {
        let fixed = self.fixed_seqno(options)?;
        // The state first, the sequence number second: a flush or compaction between the two cannot take away what the
        // state pins, and every write that was done before this call is in the state.
        let state = self.tree.read_state();
        let seqno = fixed.unwrap_or_else(|| self.core().committer.visible());
        state.get(&LookupKey::new(key.as_ref(), seqno), &options.for_tables())
    }

    /// The values of several keys, each in the place of its key, all from one moment. Cheaper than one by one.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("b", "2")?;
    /// let values = db.multi_get(["a", "b"]);
    /// assert!(values[0].as_ref().unwrap().is_none());
    /// assert_eq!(values[1].as_ref().unwrap().as_deref(), Some(b"2".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn multi_get<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Result<Option<Slice>>> {
        self.multi_get_with(keys, &ReadOptions::default())
    }

    /// The values of several keys, as the options say.
    pub fn multi_get_with<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        options: &ReadOptions,
    ) -> Vec<Result<Option<Slice>>> {
        let keys: Vec<K> = keys.into_iter().collect();
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        match self.fixed_seqno(options) {
            Ok(fixed) => {
                let state = self.tree.read_state();
                let seqno = fixed.unwrap_or_else(|| self.core().committer.visible());
                state.multi_get(&keys, seqno, &options.for_tables())
            }
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Whether the key has a value.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("k", "")?;
    /// assert!(db.contains_key("k")? && !db.contains_key("l")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The first key and its value.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("b", "2")?;
    /// db.put("a", "1")?;
    /// assert_eq!(db.first()?.unwrap().0, "a");
    /// assert_eq!(db.last()?.unwrap().0, "b");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first(&self) -> Result<Option<(Slice, Slice)>> {
        self.range(..).next().transpose()
    }

    /// The last key and its value.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// for year in ["1969", "1971", "1973"] {
    ///     db.put(year, "")?;
    /// }
    /// assert_eq!(db.last()?.unwrap().0, "1973");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn last(&self) -> Result<Option<(Slice, Slice)>> {
        self.range(..).next_back().transpose()
    }

    /// The entries of a range of keys, from one moment, from both ends: `a..b`, `a..=b`, `a..`, `..b`, `..`.
    ///
    /// An error is yielded as the iterator's last item.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// for key in ["a", "b", "c"] {
    ///     db.put(key, "")?;
    /// }
    /// assert_eq!(db.range("b"..).count(), 2);
    /// assert_eq!(db.range(..).next_back().unwrap()?.0, "c");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range(&self, range: impl KeyRange) -> Range {
        self.range_with(range, &ReadOptions::default())
    }

    /// The entries of a range of keys, as the options say.
    pub fn range_with(&self, range: impl KeyRange, options: &ReadOptions) -> Range {
        self.range_within(range.bounds(), options)
    }

    fn range_within(&self, bounds: Bounds, options: &ReadOptions) -> Range {
        match self.cursor_parts(options) {
            Ok((state, seqno)) => Range::new(state, seqno, bounds, options, options.snapshot.clone()),
            Err(error) => Range::new(self.tree.read_state(), 0, bounds, options, None).failing(error),
        }
    }

    /// The entries whose keys begin with these bytes, from one moment, from both ends.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// for key in ["user/1", "user/2", "venue/1"] {
    ///     db.put(key, "")?;
    /// }
    /// assert_eq!(db.prefix("user/").count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.prefix_with(prefix, &ReadOptions::default())
    }

    /// The entries whose keys begin with these bytes, as the options say.
    pub fn prefix_with(&self, prefix: impl AsRef<[u8]>, options: &ReadOptions) -> Range {
        self.range_within(Bounds::prefix(prefix.as_ref()), options)
    }

    /// A cursor over all entries, from one moment, not positioned.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("a", "1")?;
    /// db.put("c", "3")?;
    /// let mut cursor = db.cursor()?;
    /// assert!(cursor.seek("b")?);
    /// assert_eq!((cursor.key(), cursor.value()), (b"c".as_slice(), b"3".as_slice()));
    /// assert!(cursor.prev()?);
    /// assert_eq!(cursor.key(), b"a");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cursor(&self) -> Result<Cursor> {
        self.cursor_with(&ReadOptions::default())
    }

    /// A cursor over all entries, as the options say.
    ///
    /// # Errors
    /// Those of [`get_with`](Keyspace::get_with).
    pub fn cursor_with(&self, options: &ReadOptions) -> Result<Cursor> {
        let (state, seqno) = self.cursor_parts(options)?;
        Ok(Cursor::new(state, seqno, Bounds::all(), options, options.snapshot.clone()))
    }

    fn cursor_parts(&self, options: &ReadOptions) -> Result<(Arc<crate::read::ReadState>, SeqNo)> {
        let fixed = self.fixed_seqno(options)?;
        let state = self.tree.read_state();
        let seqno = fixed.unwrap_or_else(|| self.core().committer.visible());
        Ok((state, seqno))
    }

    /// Sets a key to a value, with the store's default durability.
    ///
    /// # Errors
    /// `KeyTooLong`, `ValueTooLong`, `NoSuchKeyspace`: nothing was written. `Io`: the write may or may not be there after the
    /// store is opened again. `ReadOnly`, `Closed`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("key", "value")?;
    /// db.put([0xff, 0], vec![1, 2, 3])?;
    /// assert_eq!(db.get("key")?.unwrap(), "value");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_with(key, value, self.default_write())
    }

    /// Sets a key to a value, as the options say.
    ///
    /// # Errors
    /// Those of [`put`](Keyspace::put), and `Busy`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::{Durability, WriteOptions};
    /// // Returns once the pair is on the device.
    /// db.put_with("key", "value", WriteOptions::new(Durability::Synced))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: WriteOptions,
    ) -> Result<()> {
        self.write_one(Kind::Put, key.as_ref(), value.as_ref(), options)
    }

    /// Deletes a key, with the store's default durability. One that does not exist is no error.
    ///
    /// # Errors
    /// Those of [`put`](Keyspace::put).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("key", "value")?;
    /// db.delete("key")?;
    /// assert_eq!(db.get("key")?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.delete_with(key, self.default_write())
    }

    /// Deletes a key, as the options say.
    ///
    /// # Errors
    /// Those of [`put_with`](Keyspace::put_with).
    pub fn delete_with(&self, key: impl AsRef<[u8]>, options: WriteOptions) -> Result<()> {
        self.write_one(Kind::Delete, key.as_ref(), &[], options)
    }

    /// Deletes every key of a range, at the cost of one entry, whatever the range holds. Scans jump over what was deleted,
    /// but for entries that a snapshot kept alive when they were flushed together with the range delete and with newer
    /// entries: those are stepped over until a compaction after the snapshot's end. So are those of many small range
    /// deletes in one memtable until it is flushed.
    ///
    /// A range without an end is stored up to the greatest key that there can be, which takes some 128 KiB: where you know
    /// an end, give it.
    ///
    /// # Errors
    /// Those of [`put`](Keyspace::put); `Invalid` on a keyspace with a [`crate::Fold`], which would be passed by.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// for i in 0..1000u32 {
    ///     db.put(i.to_be_bytes(), "")?;
    /// }
    /// db.delete_range(10u32.to_be_bytes()..)?;
    /// assert_eq!(db.range(..).count(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_range(&self, range: impl KeyRange) -> Result<()> {
        self.delete_range_with(range, self.default_write())
    }

    /// Deletes every key of a range, as the options say.
    ///
    /// # Errors
    /// Those of [`delete_range`](Keyspace::delete_range), and `Busy`.
    pub fn delete_range_with(&self, range: impl KeyRange, options: WriteOptions) -> Result<()> {
        if self.tree.options.fold.is_some() {
            let what = format!("keyspace `{}` has a fold, which a range delete would pass by", self.name());
            return Err(Error::invalid("delete_range", what));
        }
        let mut batch = WriteBatch::new();
        self.delete_range_to(&mut batch, range);
        self.check_open()?;
        if batch.is_empty() {
            return batch.checked(self.core().id).and_then(|_| self.core().health.check_writable());
        }
        self.core().write(Some(&self.tree), &batch.checked(self.core().id)?, options).map(|_| ())
    }

    /// Adds a put to a batch.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::{Durability, WriteBatch};
    /// let index = db.create_keyspace("by-name", Default::default())?;
    /// let mut batch = WriteBatch::new();
    /// batch.put("user/1", "Ada");
    /// index.put_to(&mut batch, "Ada", "user/1");
    /// db.write(batch, Durability::Buffered)?;
    /// assert_eq!(index.get("Ada")?.unwrap(), "user/1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_to<'b>(
        &self,
        batch: &'b mut WriteBatch,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> &'b mut WriteBatch {
        batch.add_in(self.core().id, self.op(Kind::Put, key.as_ref(), value.as_ref()))
    }

    /// Adds a delete to a batch.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::{Durability, WriteBatch};
    /// let queue = db.create_keyspace("queue", Default::default())?;
    /// queue.put("job", "work")?;
    /// let mut batch = WriteBatch::new();
    /// queue.delete_to(&mut batch, "job");
    /// batch.put("done/job", "");
    /// db.write(batch, Durability::Buffered)?;
    /// assert!(!queue.contains_key("job")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_to<'b>(&self, batch: &'b mut WriteBatch, key: impl AsRef<[u8]>) -> &'b mut WriteBatch {
        batch.add_in(self.core().id, self.op(Kind::Delete, key.as_ref(), &[]))
    }

    /// Adds a range delete to a batch.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::{Durability, WriteBatch};
    /// let log = db.create_keyspace("log", Default::default())?;
    /// log.put("1", "")?;
    /// log.put("2", "")?;
    /// let mut batch = WriteBatch::new();
    /// log.delete_range_to(&mut batch, .."2");
    /// batch.put("purged", "1");
    /// db.write(batch, Durability::Buffered)?;
    /// assert_eq!(log.range(..).count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn delete_range_to<'b>(&self, batch: &'b mut WriteBatch, range: impl KeyRange) -> &'b mut WriteBatch {
        let store = self.core().id;
        let bounds = range.bounds();
        let start = bounds.lower().unwrap_or_default();
        // No key lies between the longest ones and what is longer still, so that the range then begins with what follows.
        let above = (start.len() > MAX_KEY_LEN).then(|| Bounds::prefix(&start[..MAX_KEY_LEN]));
        let start = match &above {
            None => start,
            Some(above) => match above.upper() {
                Some(next) => next,
                None => return batch,
            },
        };
        // The end of a range delete is exclusive and has the length of a key at most, so that the last key of a range that
        // goes to the greatest key of that length, or to the end, needs a delete of its own.
        let greatest = [0xff; MAX_KEY_LEN];
        let (end, and_last) = match bounds.upper() {
            Some(end) if end.len() <= MAX_KEY_LEN => (end, None),
            Some(end) => (&end[..MAX_KEY_LEN], Some(&end[..MAX_KEY_LEN])),
            None => (greatest.as_slice(), Some(greatest.as_slice())),
        };
        if start < end {
            batch.add_in(store, self.op(Kind::RangeDelete, start, end));
        }
        if let Some(last) = and_last.filter(|last| *last >= start) {
            batch.add_in(store, self.op(Kind::Delete, last, &[]));
        }
        batch
    }

    fn op<'a>(&self, kind: Kind, key: &'a [u8], value: &'a [u8]) -> Op<'a> {
        Op { kind, keyspace: self.tree.id, key, value }
    }

    fn default_write(&self) -> WriteOptions {
        let durability = if self.tree.options.log { self.core().durability } else { Durability::Buffered };
        WriteOptions::new(durability)
    }

    fn write_one(&self, kind: Kind, key: &[u8], value: &[u8], options: WriteOptions) -> Result<()> {
        let op = self.op(kind, key, value);
        op.check()?;
        if self.tree.is_dropped() {
            return Err(Error::NoSuchKeyspace { name: self.name().to_owned() });
        }
        self.core().write(Some(&self.tree), &Ops::Single(op), options).map(|_| ())
    }

    /// Writes the memtables of this keyspace to tables.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `Io`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("k", "v")?;
    /// db.flush()?;
    /// assert_eq!(db.stats().keyspaces[0].entries, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self) -> Result<()> {
        self.check_open()?;
        self.core().flush_tree(&self.tree)
    }

    /// Merges the tables of a range down to the bottom, so that nothing that was deleted or overwritten there takes space
    /// any more. Flushes first. Returns when it is done.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `Io`, `Corruption`.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.put("a", "1")?;
    /// db.delete("a")?;
    /// db.compact(..)?;
    /// assert_eq!(db.approximate_size(..)?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self, range: impl KeyRange) -> Result<()> {
        self.check_open()?;
        self.core().flush_tree(&self.tree)?;
        self.core().compact_range(&self.tree, &range.bounds())
    }

    /// About how many bytes the range takes on disk. What is only in memtables does not count.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// for i in 0..10_000u32 {
    ///     db.put(i.to_be_bytes(), [7; 100])?;
    /// }
    /// db.flush()?;
    /// let (part, whole) = (db.approximate_size(..1000u32.to_be_bytes())?, db.approximate_size(..)?);
    /// assert!(part < whole / 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn approximate_size(&self, range: impl KeyRange) -> Result<u64> {
        self.check_open()?;
        self.tree.read_state().approximate_size(&range.bounds())
    }

    /// One version of the keyspace: what collectors left in each table, and every entry that is in no table yet.
    ///
    /// # Errors
    /// Those of [`get`](Keyspace::get).
    pub fn view(&self) -> Result<View> {
        self.check_open()?;
        let state = self.tree.read_state();
        let seqno = self.core().committer.visible();
        View::new(state, seqno, self.tree.record.collector.as_deref())
    }

    /// Builds tables from the sorted entries that `fill` writes, outside of the log and the memtable, and adds them in one
    /// step: all of them are visible and durable when this returns, or none. Returns the number of entries.
    ///
    /// # Errors
    /// What `fill` returns; `ReadOnly`, `Closed`, `Io`; `Invalid` on a keyspace with a [`crate::Fold`], which would be passed
    /// by. Nothing was added then.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// db.ingest(|writer| (0..1000u32).try_for_each(|i| writer.put(i.to_be_bytes(), "value")))?;
    /// assert_eq!(db.range(..).count(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ingest(&self, fill: impl FnOnce(&mut IngestWriter<'_>) -> Result<()>) -> Result<u64> {
        self.check_open()?;
        super::ingest::ingest(self.core(), &self.tree, fill)
    }
}
