//! [`PlainKeyspace`]: a keyspace of the engine as the library writes it, keys and values as they are, served with one copy.
//!
//! A write answers when it has its durability, and is visible to others a little before. Reads are answered in place: they are a
//! microsecond of work, and what they may have to read from the device is bounded by the number of levels.

use super::entry::{Change, Entry, Expiry, now_ms};
use super::expiry::{self, Expiries};
use super::locks::{KeyLocks, Stripes};
use esker::{Commit, Db, Durability, Keyspace, ReadOptions, Slice, Snapshot, WriteBatch, WriteOptions};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// The hash by which keys are spread over locks and hints. It never leaves the process.
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// Why a plain keyspace that becomes a replicated one takes no writes.
pub(crate) const ADOPTING: &str =
    "the keyspace is being adopted by the cluster and takes writes when that is done";

/// A plain keyspace that is served.
#[derive(Debug)]
pub(crate) struct PlainKeyspace {
    pub(crate) db: Db,
    pub(crate) data: Keyspace,
    pub(crate) expiries: Expiries,
    pub(crate) locks: KeyLocks,
    /// No more writes are taken. Read with a stripe held, so that no write is between the look and its batch when the one who
    /// set it has held all stripes.
    closed: AtomicBool,
    durability: Durability,
}

impl PlainKeyspace {
    /// Opens the keyspace of this name, which is created if it is not there.
    pub(crate) fn open(db: &Db, name: &str, durability: Durability) -> esker::Result<PlainKeyspace> {
        let data = match db.keyspace(name) {
            Err(esker::Error::NoSuchKeyspace { .. }) => db.create_keyspace(name, Default::default())?,
            other => other?,
        };
        Ok(PlainKeyspace {
            db: db.clone(),
            data,
            expiries: Expiries::open(db, name)?,
            locks: KeyLocks::new(),
            closed: AtomicBool::new(false),
            durability,
        })
    }

    /// What a key holds.
    pub(crate) fn get(&self, key: &[u8]) -> esker::Result<Option<Entry>> {
        if self.expiries.hint.is_empty() || !self.expiries.hint.may_have(hash(key)) {
            return Ok(self.data.get(key)?.map(|value| Entry { value, expires_at: None }));
        }
        // Value and expiry are two reads of one moment.
        self.get_at(&self.db.snapshot(), key, now_ms())
    }

    /// What several keys hold, at one moment.
    pub(crate) fn get_many<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> esker::Result<Vec<Option<Entry>>> {
        if self.expiries.hint.is_empty() {
            return self
                .data
                .multi_get(keys)
                .into_iter()
                .map(|value| Ok(value?.map(|value| Entry { value, expires_at: None })))
                .collect();
        }
        let (snapshot, now) = (self.db.snapshot(), now_ms());
        keys.map(|key| self.get_at(&snapshot, key, now)).collect()
    }

    fn get_at(&self, snapshot: &Snapshot, key: &[u8], now: u64) -> esker::Result<Option<Entry>> {
        let options = ReadOptions::new().snapshot(snapshot);
        let Some(value) = self.data.get_with(key, &options)? else { return Ok(None) };
        let expires_at = self.expiry_with(key, &options)?;
        Ok(Some(Entry { value, expires_at }).filter(|_| expires_at.is_none_or(|at| at > now)))
    }

    fn expiry_with(&self, key: &[u8], options: &ReadOptions) -> esker::Result<Option<u64>> {
        let Some(companion) = self.expiries.existing() else { return Ok(None) };
        Ok(companion.get_with(key, options)?.and_then(|bytes| expiry::decode(&bytes)))
    }

    /// What a key holds, and whether something lies there that has expired. For those who hold the key's stripe exclusively.
    fn get_locked(&self, key: &[u8], hash: u64) -> esker::Result<(Option<Entry>, bool)> {
        let Some(value) = self.data.get(key)? else { return Ok((None, false)) };
        let mut expires_at = None;
        if self.expiries.hint.may_have(hash) {
            expires_at = self.expiry_with(key, &ReadOptions::default())?;
        }
        if expires_at.is_some_and(|at| at <= now_ms()) {
            return Ok((None, true));
        }
        Ok((Some(Entry { value, expires_at }), false))
    }

    /// Adds a write of a key to a batch.
    pub(crate) fn put_to(
        &self,
        batch: &mut WriteBatch,
        key: &[u8],
        value: &[u8],
        expiry: Expiry,
    ) -> esker::Result<()> {
        self.data.put_to(batch, key, value);
        self.expire_to(batch, key, expiry)
    }

    /// Adds to a batch what becomes of a key's expiry. For those who hold the key's stripe, or set an expiry blindly.
    pub(crate) fn expire_to(&self, batch: &mut WriteBatch, key: &[u8], expiry: Expiry) -> esker::Result<()> {
        match expiry {
            Expiry::Keep => {}
            Expiry::At(at) => {
                self.expiries.hint.add(hash(key));
                self.expiries.keyspace()?.put_to(batch, key, expiry::encode(at));
            }
            Expiry::Never if self.expiries.hint.is_empty() => {}
            Expiry::Never => {
                if self.expiries.hint.may_have(hash(key))
                    && let Some(companion) = self.expiries.existing()
                {
                    companion.delete_to(batch, key);
                }
            }
        }
        Ok(())
    }

    /// Reads a key, decides, and writes, with nobody's write in between. What `decide` refuses leaves no trace.
    pub(crate) fn modify<'a, R, E: From<esker::Error>>(
        &self,
        key: &[u8],
        decide: impl FnOnce(Option<&Entry>) -> Result<(Change<'a>, R), E>,
    ) -> Result<(Option<Commit>, R), E> {
        let hash = hash(key);
        let _held = self.locks.exclusive(Stripes::of(hash));
        let (entry, expired) = self.get_locked(key, hash)?;
        let (change, result) = decide(entry.as_ref())?;
        let mut batch = WriteBatch::new();
        self.change_to(&mut batch, key, change, expired)?;
        if batch.is_empty() {
            return Ok((None, result));
        }
        Ok((Some(self.submit(&batch)?), result))
    }

    /// The same for several keys at once; `decide` is asked for each in turn and sees what was there before all of it.
    pub(crate) fn modify_many<'k, E: From<esker::Error>>(
        &self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        decide: impl FnOnce(&[Option<Entry>]) -> Result<Vec<Change<'k>>, E>,
    ) -> Result<Option<Commit>, E> {
        let mut stripes = Stripes::default();
        keys.clone().for_each(|key| stripes.add(Stripes::of(hash(key))));
        let _held = self.locks.exclusive(stripes);
        let mut entries = Vec::new();
        let mut expired = Vec::new();
        for key in keys.clone() {
            let (entry, gone) = self.get_locked(key, hash(key))?;
            entries.push(entry);
            expired.push(gone);
        }
        let changes = decide(&entries)?;
        let mut batch = WriteBatch::new();
        for ((key, change), expired) in keys.zip(changes).zip(expired) {
            self.change_to(&mut batch, key, change, expired)?;
        }
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.submit(&batch)?))
    }

    /// Adds a change to a batch. What had expired goes on the way, even if nothing is to change.
    fn change_to(
        &self,
        batch: &mut WriteBatch,
        key: &[u8],
        change: Change<'_>,
        expired: bool,
    ) -> esker::Result<()> {
        match change {
            // The expiry that would be kept is that of a value which is gone.
            Change::Put(value, Expiry::Keep) if expired => self.put_to(batch, key, &value, Expiry::Never),
            Change::Put(value, expiry) => self.put_to(batch, key, &value, expiry),
            Change::Expire(expiry) => self.expire_to(batch, key, expiry),
            Change::None if !expired => Ok(()),
            Change::None | Change::Delete => {
                self.data.delete_to(batch, key);
                self.expire_to(batch, key, Expiry::Never)
            }
        }
    }

    /// Makes a batch visible. A store that stalls writers makes this wait, and then the other tasks of this thread are given to
    /// another one first.
    pub(crate) fn submit(&self, batch: &WriteBatch) -> esker::Result<Commit> {
        self.submit_with(batch, WriteOptions::new(self.durability))
    }

    /// The same for a batch that is brought to its durability once its commit is [begun](Commit::begin).
    pub(crate) fn submit_deferred(&self, batch: &WriteBatch) -> esker::Result<Commit> {
        self.submit_with(batch, WriteOptions::new(self.durability).deferred(true))
    }

    fn submit_with(&self, batch: &WriteBatch, options: WriteOptions) -> esker::Result<Commit> {
        if self.closed.load(Ordering::Acquire) {
            return Err(esker::Error::ReadOnly { reason: ADOPTING.into() });
        }
        match self.db.submit(batch, options.no_stall(true)) {
            Err(esker::Error::Busy { .. }) => tokio::task::block_in_place(|| self.db.submit(batch, options)),
            other => other,
        }
    }

    /// Takes no more writes: those that were taken are visible when this returns.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.locks.exclusive(Stripes::ALL));
    }

    /// Takes writes again.
    pub(super) fn reopen(&self) {
        self.closed.store(false, Ordering::Release);
    }

    /// Removes every key.
    pub(crate) fn clear(&self) -> esker::Result<Commit> {
        let _held = self.locks.exclusive(Stripes::ALL);
        let mut batch = WriteBatch::new();
        self.data.delete_range_to(&mut batch, ..);
        if let Some(companion) = self.expiries.existing() {
            companion.delete_range_to(&mut batch, ..);
        }
        let commit = self.submit(&batch)?;
        self.expiries.hint.clear();
        Ok(commit)
    }

    /// How many keys there are, and how many of them expire.
    pub(crate) fn count(&self) -> esker::Result<(u64, u64)> {
        let snapshot = self.db.snapshot();
        let options = ReadOptions::new().snapshot(&snapshot).fill_cache(false);
        let mut keys = 0u64;
        let mut cursor = self.data.cursor_with(&options)?;
        let mut more = cursor.seek_first()?;
        while more {
            keys += 1;
            more = cursor.next()?;
        }
        let (mut expiring, now) = (0, now_ms());
        if let Some(companion) = self.expiries.existing() {
            let mut cursor = companion.cursor_with(&options)?;
            let mut more = cursor.seek_first()?;
            while more {
                match expiry::decode(cursor.value()) {
                    Some(at) if at <= now => keys = keys.saturating_sub(1),
                    _ => expiring += 1,
                }
                more = cursor.next()?;
            }
        }
        Ok((keys, expiring))
    }

    /// Shows the keys from `from` on in order, those that have expired left out, until `visit` has seen enough.
    pub(crate) fn visit(
        &self,
        from: &[u8],
        mut visit: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> esker::Result<()> {
        let snapshot = self.db.snapshot();
        let options = ReadOptions::new().snapshot(&snapshot).fill_cache(false);
        let hint = &self.expiries.hint;
        let (now, expire) = (now_ms(), !hint.is_empty());
        let mut cursor = self.data.cursor_with(&options)?;
        let mut more = cursor.seek(from)?;
        while more {
            let key = cursor.key();
            let expired = expire
                && hint.may_have(hash(key))
                && self.expiry_with(key, &options)?.is_some_and(|at| at <= now);
            if !expired && visit(key).is_break() {
                break;
            }
            more = cursor.next()?;
        }
        Ok(())
    }

    /// Removes keys that have expired, among the next `limit` that have an expiry, from `from` on. Returns where to go on, and how
    /// many were removed; at the end the place is `None`.
    pub(crate) fn sweep(&self, from: &[u8], limit: usize) -> esker::Result<(Option<Vec<u8>>, usize)> {
        let Some(companion) = self.expiries.existing().filter(|_| !self.expiries.hint.is_empty()) else {
            return Ok((None, 0));
        };
        let now = now_ms();
        let mut expired: Vec<Slice> = Vec::new();
        let mut seen = 0;
        let mut next = None;
        let mut cursor = companion.cursor_with(&ReadOptions::new().fill_cache(false))?;
        let mut more = cursor.seek(from)?;
        while more {
            if seen == limit {
                next = Some(cursor.key().to_vec());
                break;
            }
            seen += 1;
            if expiry::decode(cursor.value()).is_some_and(|at| at <= now) {
                expired.push(Slice::copy_from(cursor.key()));
            }
            more = cursor.next()?;
        }
        drop(cursor);
        for key in &expired {
            // Decided again under the lock: the key may have been written since.
            self.modify::<_, esker::Error>(key, |_| Ok((Change::None, ())))?;
        }
        if from.is_empty() && seen == 0 {
            self.forget_hint(companion)?;
        }
        Ok((next, expired.len()))
    }

    /// Clears the hint if the companion is empty.
    fn forget_hint(&self, companion: &Keyspace) -> esker::Result<()> {
        // A bit that is set by somebody who writes after this stays: setting it blindly happens under a shared stripe.
        let _held = self.locks.exclusive(Stripes::ALL);
        if companion.first()?.is_none() {
            self.expiries.hint.clear();
        }
        Ok(())
    }
}
