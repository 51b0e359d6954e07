//! Exact access to keyspaces that are kept on one node only: reads and read-modify-writes without a cluster around them.

use super::keyspace::KeyspaceId;
use super::newest::Newest;
use super::operation::{Change, StoreFailure};
use super::own::{no_stall, sibling_of, stored_before, unreadable};
use super::replicated::Replicated;
use super::store::{Store, Stripe};
use super::{failure, layout};
use crate::causality::{Context, Sibling, SiblingSet};
use crate::ring::Token;
use esker::{Commit, Durability, Error, Slice, WriteBatch, WriteOptions};

/// What a read-modify-write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Nothing.
    Keep,
    /// The key gets a value.
    Put {
        /// The value.
        value: Slice,
        /// When it ends to be visible, in milliseconds since 1970.
        expires_at: Option<u64>,
    },
    /// The key is deleted.
    Delete,
}

impl Store {
    /// The value of a key and when it expires; of several siblings the newest. `None` if a reader sees none.
    ///
    /// # Errors
    /// `Unreadable` if the record, or the value, cannot be read; `NoSuchKeyspace`.
    pub fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        wall_millis: u64,
    ) -> Result<Option<(Slice, Option<u64>)>, StoreFailure> {
        let tables = self.replicated(keyspace)?;
        let token = Token::of_key(key);
        let mut stored = Vec::with_capacity(key.len() + 8);
        layout::stored_key(&mut stored, token, key);
        let Some(head) = tables.heads.get(&stored).map_err(failure::of_read)? else { return Ok(None) };
        match Newest::of(&head, wall_millis).map_err(|error| unreadable(&stored, &error))? {
            Newest::None => Ok(None),
            Newest::Here { value, expires_at } => Ok(Some((value, expires_at))),
            Newest::Apart => {
                let set = self.read_stored(&tables, &stored, token, true)?;
                Ok(newest(&set, wall_millis).and_then(|s| Some((s.bytes()?.clone(), s.expires_at))))
            }
        }
    }

    /// Reads a key, lets `change` decide, and writes what it decided, in one step: nobody else changes the key in between. Of
    /// several siblings `change` sees the newest, and what it writes replaces them all.
    ///
    /// `change` runs under a lock: it must be quick, and must not use the store. What it gives beside its decision is given
    /// back. The [`Commit`] tells when the write is durable; there is none if nothing was written.
    ///
    /// # Errors
    /// Those of [`StoreOperation::Mint`](super::StoreOperation::Mint); nothing was written then.
    pub fn update<T>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        wall_millis: u64,
        durability: Durability,
        change: impl FnOnce(Option<&[u8]>, Option<u64>) -> (Update, T),
    ) -> Result<(T, Option<Commit>), StoreFailure> {
        Store::check_key(key)?;
        let tables = self.replicated(keyspace)?;
        let mut stripe = self.lock_key(key);
        let (before, mut set) = stored_before(&tables, &stripe.stored)?;
        let (update, given) = self.decide(&tables, &stripe.stored, &set, wall_millis, change)?;
        let visible = newest(&set, wall_millis).is_some();
        let change = match update {
            Update::Put { value, expires_at } => Change::Put { value, expires_at },
            Update::Delete if visible => Change::Delete,
            Update::Delete | Update::Keep => return Ok((given, None)),
        };
        let mode = tables.definition.mode;
        let seen = Context::from(set.clock().clone());
        let dot = self.dot_after(&set, seen.clock(), mode, wall_millis)?;
        set.put(&seen, sibling_of(change, dot), mode);
        set.truncate_clock(self.config.max_clock_entries);
        let Stripe { stored, head, batch } = &mut *stripe;
        batch.clear();
        self.head_to(&tables, batch, stored, head, &set, &before);
        self.submit_patiently(batch, no_stall(durability)).map(|commit| (given, Some(commit)))
    }

    /// Makes a batch visible; waits for the engine's background work if that is far behind.
    pub(super) fn submit_patiently(
        &self,
        batch: &WriteBatch,
        options: WriteOptions,
    ) -> Result<Commit, StoreFailure> {
        let mut submitted = self.db.submit(batch, options);
        if matches!(submitted, Err(Error::Busy { .. })) {
            (self.config.wait)(&mut || submitted = self.db.submit(batch, options.no_stall(false)));
        }
        submitted.map_err(failure::of_write)
    }

    /// Shows the newest visible value, and no other, to `change`.
    fn decide<T>(
        &self,
        tables: &Replicated,
        stored: &[u8],
        set: &SiblingSet,
        wall_millis: u64,
        change: impl FnOnce(Option<&[u8]>, Option<u64>) -> (Update, T),
    ) -> Result<(Update, T), StoreFailure> {
        let Some(sibling) = newest(set, wall_millis) else { return Ok(change(None, None)) };
        if let Some(bytes) = sibling.bytes() {
            return Ok(change(Some(bytes), sibling.expires_at));
        }
        let mut one = SiblingSet::from_parts(Default::default(), vec![sibling.clone()]);
        self.load_bodies(tables, stored, &mut one, None)?;
        let loaded = one.siblings().first().and_then(|sibling| sibling.bytes().cloned());
        Ok(change(loaded.as_deref(), sibling.expires_at))
    }
}

/// Of the values that a reader sees, the last.
fn newest(set: &SiblingSet, wall_millis: u64) -> Option<&Sibling> {
    set.visible(wall_millis).max_by_key(|sibling| sibling.dot.age())
}
