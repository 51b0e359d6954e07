//! Reading and writing the records that a store keeps as a replica.

use super::keyspace::KeyspaceId;
use super::operation::{Change, StoreFailure};
use super::record::{self, HeadRecord, RecordError, ReplacedDot};
use super::replicated::Replicated;
use super::store::{Store, Stripe};
use super::{failure, layout};
use crate::causality::{Body, ConflictMode, Content, Context, Dot, Sibling, SiblingSet, VectorClock};
use crate::ring::Token;
use esker::{Commit, Durability, Slice, Snapshot, WriteBatch, WriteOptions};
use xxhash_rust::xxh3::xxh3_64;

/// What was stored of a key, before a change.
#[derive(Default)]
pub(super) struct Before {
    /// What the new entry replaces.
    prev: Vec<ReplacedDot>,
    /// Values whose bytes lie apart from the record.
    apart: Vec<Dot>,
}

/// A node never waits for the engine's background work: a write that would have to is refused.
pub(super) fn no_stall(durability: Durability) -> WriteOptions {
    WriteOptions::new(durability).no_stall(true)
}

/// As [`no_stall`], for writes that are handed out: whoever drives the store asks for the durability of many together.
pub(super) fn deferred(durability: Durability) -> WriteOptions {
    no_stall(durability).deferred(true)
}

/// A write that was taken.
pub(super) struct Minted {
    /// The new set, with all bytes.
    pub(super) set: SiblingSet,
    /// What its writer has seen now.
    pub(super) context: Context,
    /// How much the clock lost.
    pub(super) truncated: usize,
}

impl Before {
    /// Of a record that cannot be read; values that lie apart go.
    pub(super) fn without_record(apart: Vec<Dot>) -> Before {
        Before { prev: Vec::new(), apart }
    }

    /// The values that lie apart.
    pub(super) fn apart(&self) -> impl Iterator<Item = Dot> + '_ {
        self.apart.iter().copied()
    }

    /// These values are to be written again, if they stay.
    pub(super) fn write_again(&mut self, dots: &[Dot]) {
        self.apart.retain(|dot| !dots.contains(dot));
    }
}

/// The head's memory is kept for the next one up to this size.
pub(super) const KEPT_BYTES: usize = 64 << 10;

impl Store {
    /// What is known of a key.
    pub(super) fn read(&self, id: KeyspaceId, key: &[u8], bodies: bool) -> Result<SiblingSet, StoreFailure> {
        let tables = self.replicated(id)?;
        let (token, mut stored) = (Token::of_key(key), Vec::with_capacity(key.len() + 8));
        layout::stored_key(&mut stored, token, key);
        self.read_stored(&tables, &stored, token, bodies)
    }

    /// A value that lies apart may be replaced between the look at the head and the look at the value: then both are looked at
    /// again while nobody can.
    pub(super) fn read_stored(
        &self,
        tables: &Replicated,
        stored: &[u8],
        token: Token,
        bodies: bool,
    ) -> Result<SiblingSet, StoreFailure> {
        let mut set = read_head(tables, stored)?.set;
        if !bodies || self.load_bodies(tables, stored, &mut set, None).is_ok() {
            return Ok(set);
        }
        let _stripe = self.stripe(token);
        let mut set = read_head(tables, stored)?.set;
        self.load_bodies(tables, stored, &mut set, None)?;
        Ok(set)
    }

    /// Fills in the bytes of the values that lie apart.
    pub(super) fn load_bodies(
        &self,
        tables: &Replicated,
        stored: &[u8],
        set: &mut SiblingSet,
        at: Option<&Snapshot>,
    ) -> Result<(), StoreFailure> {
        fill_bodies(tables, stored, set, at)
    }

    /// Takes a new write of a key.
    pub(super) fn mint(
        &self,
        id: KeyspaceId,
        key: &[u8],
        change: Change,
        seen: Option<&Context>,
        durability: Durability,
        wall_millis: u64,
    ) -> Result<(Minted, Commit), StoreFailure> {
        Store::check_key(key)?;
        let tables = self.replicated(id)?;
        seen.map_or(Ok(()), |seen| self.check_lead(seen.clock(), wall_millis))?;
        let mut stripe = self.lock_key(key);
        let (before, set) = stored_before(&tables, &stripe.stored)?;
        let minted = self.put(&tables, &stripe, set, change, seen, wall_millis)?;
        let commit = self.write_head(&tables, &mut stripe, &minted.set, &before, deferred(durability))?;
        Ok((minted, commit))
    }

    /// Locks a key. Its stored key is in the stripe then.
    pub(super) fn lock_key(&self, key: &[u8]) -> std::sync::MutexGuard<'_, Stripe> {
        let token = Token::of_key(key);
        let mut stripe = self.stripe(token);
        layout::stored_key(&mut stripe.stored, token, key);
        stripe
    }

    /// Puts a change into a set, under a new dot. Nothing is written yet.
    fn put(
        &self,
        tables: &Replicated,
        stripe: &Stripe,
        mut set: SiblingSet,
        change: Change,
        seen: Option<&Context>,
        wall_millis: u64,
    ) -> Result<Minted, StoreFailure> {
        let mode = tables.definition.mode;
        let max_entries = self.config.max_clock_entries;
        match seen {
            // All that is known is replaced.
            None => {
                let known = Context::from(set.clock().clone());
                let dot = self.dot_after(&SiblingSet::new(), known.clock(), mode, wall_millis)?;
                set.put(&known, sibling_of(change, dot), mode);
                let truncated = set.truncate_clock(max_entries);
                Ok(Minted { context: Context::from(set.clock().clone()), set, truncated })
            }
            Some(seen) => {
                self.check_siblings(&set, seen, mode)?;
                // In last-write-wins mode the new write is the last, so that nothing else stays.
                let stays = |old: &&Sibling| mode == ConflictMode::Causal && !seen.covers(old.dot);
                let mut rest = SiblingSet::from_parts(
                    set.clock().clone(),
                    set.siblings().iter().filter(stays).cloned().collect(),
                );
                self.load_bodies(tables, &stripe.stored, &mut rest, None)?;
                let dot = self.dot_after(&rest, seen.clock(), mode, wall_millis)?;
                rest.put(seen, sibling_of(change, dot), mode);
                let context = Context::after_write(dot, &rest);
                let truncated = rest.truncate_clock(max_entries);
                Ok(Minted { set: rest, context, truncated })
            }
        }
    }

    /// A dot for a write that has seen `seen`, of a key of which `set` is known.
    pub(super) fn dot_after(
        &self,
        set: &SiblingSet,
        seen: &VectorClock,
        mode: ConflictMode,
        wall_millis: u64,
    ) -> Result<Dot, StoreFailure> {
        let of_all = match mode {
            ConflictMode::LastWriteWins => set.clock().max_counter().max(seen.max_counter()),
            ConflictMode::Causal => 0,
        };
        self.give_dot(wall_millis, |actor| set.counter(actor).max(seen.counter(actor)).max(of_all))
    }

    /// Refuses a write that would make too many siblings, or whose writer knows of one that is not known here.
    pub(super) fn check_siblings(
        &self,
        set: &SiblingSet,
        seen: &Context,
        mode: ConflictMode,
    ) -> Result<(), StoreFailure> {
        if let Some(missing) = set.unknown_to(seen).filter(|_| mode == ConflictMode::Causal) {
            return Err(StoreFailure::BehindContext { missing });
        }
        let staying = set.siblings().iter().filter(|old| !seen.covers(old.dot)).count();
        if mode == ConflictMode::Causal && staying >= self.config.max_siblings {
            return Err(StoreFailure::TooManySiblings { siblings: staying });
        }
        Ok(())
    }

    /// Learns what another store knows of a key. Gives whether anything was new.
    pub(super) fn join(
        &self,
        id: KeyspaceId,
        key: &[u8],
        other: &SiblingSet,
        durability: Durability,
        wall_millis: u64,
    ) -> Result<(bool, Commit), StoreFailure> {
        Store::check_key(key)?;
        let tables = self.replicated(id)?;
        self.check_foreign(other, wall_millis)?;
        let mut stripe = self.lock_key(key);
        let (before, mut set) = stored_before(&tables, &stripe.stored)?;
        if !set.join(other, tables.definition.mode) {
            drop(stripe);
            // It is all known, but whoever wrote it may still be waiting for the device.
            return Ok((false, self.db.barrier(durability).map_err(failure::of_write)?));
        }
        Ok((true, self.write_head(&tables, &mut stripe, &set, &before, deferred(durability))?))
    }

    /// Refuses a set of another store that cannot be right, or lacks what it promises.
    pub(super) fn check_foreign(&self, set: &SiblingSet, wall_millis: u64) -> Result<(), StoreFailure> {
        self.check_lead(set.clock(), wall_millis)?;
        for sibling in set.siblings() {
            let Content::Value { hash, len, .. } = &sibling.content else { continue };
            let whole = sibling
                .bytes()
                .is_some_and(|bytes| bytes.len() as u64 == u64::from(*len) && xxh3_64(bytes) == *hash);
            if !whole {
                let dot = sibling.dot;
                let what = format!(
                    "malformed: the value {dot:?} came without its bytes, or with others; send it again"
                );
                return Err(StoreFailure::Engine(what));
            }
        }
        Ok(())
    }

    /// Writes a new record, and the values that lie apart from it; removes those that it does not know any more.
    pub(super) fn write_head(
        &self,
        tables: &Replicated,
        stripe: &mut Stripe,
        set: &SiblingSet,
        before: &Before,
        options: WriteOptions,
    ) -> Result<Commit, StoreFailure> {
        let Stripe { stored, head, batch } = stripe;
        batch.clear();
        self.head_to(tables, batch, stored, head, set, before);
        let commit = self.db.submit(batch, options).map_err(failure::of_write);
        if batch.byte_len() > KEPT_BYTES || head.capacity() > KEPT_BYTES {
            (*batch, *head) = Default::default();
        }
        commit
    }

    /// Adds a new record to a batch, with what goes with it. `head` is memory to work in.
    pub(super) fn head_to(
        &self,
        tables: &Replicated,
        batch: &mut WriteBatch,
        stored: &[u8],
        head: &mut Vec<u8>,
        set: &SiblingSet,
        before: &Before,
    ) {
        let inline_bytes = self.config.inline_bytes;
        let lay_apart = |sibling: &Sibling| before.apart.contains(&sibling.dot);
        head.clear();
        record::encode(head, set, &before.prev, |sibling| {
            lay_apart(sibling) || sibling.bytes().is_some_and(|bytes| bytes.len() > inline_bytes)
        });
        tables.heads.put_to(batch, stored, &*head);
        for sibling in set.siblings().iter().filter(|sibling| !lay_apart(sibling)) {
            if let Some(bytes) = sibling.bytes().filter(|bytes| bytes.len() > inline_bytes) {
                tables.bodies.put_to(batch, layout::body_key(stored, sibling.dot), bytes);
            }
        }
        for dot in &before.apart {
            if !set.siblings().iter().any(|sibling| sibling.dot == *dot) {
                tables.bodies.delete_to(batch, layout::body_key(stored, *dot));
            }
        }
    }
}

/// The sibling that a change makes.
pub(super) fn sibling_of(change: Change, dot: Dot) -> Sibling {
    match change {
        Change::Put { value, expires_at } => Sibling::value(dot, value, expires_at),
        Change::Delete => Sibling::tombstone(dot),
    }
}

/// Fills in the bytes of the values that lie apart from their record.
pub(super) fn fill_bodies(
    tables: &Replicated,
    stored: &[u8],
    set: &mut SiblingSet,
    at: Option<&Snapshot>,
) -> Result<(), StoreFailure> {
    if !set.siblings().iter().any(is_elsewhere) {
        return Ok(());
    }
    set.siblings_mut().try_for_each(|(dot, content)| fill_body(tables, stored, dot, content, at))
}

/// Fills in the bytes of one value, if they lie apart.
pub(super) fn fill_body(
    tables: &Replicated,
    stored: &[u8],
    dot: Dot,
    content: &mut Content,
    at: Option<&Snapshot>,
) -> Result<(), StoreFailure> {
    let Content::Value { hash, len, body: body @ Body::Elsewhere } = content else { return Ok(()) };
    let key = layout::body_key(stored, dot);
    let found = match at {
        Some(snapshot) => snapshot.get_in(&tables.bodies, &key),
        None => tables.bodies.get(&key),
    };
    let Some(bytes) = found.map_err(failure::of_read)? else {
        let what = format!("the record knows the value {dot:?}, but its bytes are not there");
        return Err(StoreFailure::Unreadable(what));
    };
    if bytes.len() as u64 != u64::from(*len) || xxh3_64(&bytes) != *hash {
        let what = format!("the bytes of the value {dot:?} are not those that were written");
        return Err(StoreFailure::Unreadable(what));
    }
    *body = Body::Here(bytes);
    Ok(())
}

fn is_elsewhere(sibling: &Sibling) -> bool {
    matches!(sibling.content, Content::Value { body: Body::Elsewhere, .. })
}

/// The record of a key; empty if there is none.
pub(super) fn read_head(tables: &Replicated, stored: &[u8]) -> Result<HeadRecord, StoreFailure> {
    match tables.heads.get(stored).map_err(failure::of_read)? {
        None => Ok(HeadRecord::default()),
        Some(bytes) => decode_head(&bytes, stored),
    }
}

pub(super) fn decode_head(bytes: &Slice, stored: &[u8]) -> Result<HeadRecord, StoreFailure> {
    HeadRecord::decode(bytes).map_err(|error| unreadable(stored, &error))
}

/// The record of this key is none.
pub(super) fn unreadable(stored: &[u8], error: &RecordError) -> StoreFailure {
    failure::of_record(&format!("the record of `{}`", stored.escape_ascii()), error)
}

/// What is stored of a key, and what a new entry has to know of that.
pub(super) fn stored_before(
    tables: &Replicated,
    stored: &[u8],
) -> Result<(Before, SiblingSet), StoreFailure> {
    let set = read_head(tables, stored)?.set;
    let prev = set.siblings().iter().map(ReplacedDot::from).collect();
    let apart =
        set.siblings().iter().filter(|sibling| is_elsewhere(sibling)).map(|sibling| sibling.dot).collect();
    Ok((Before { prev, apart }, set))
}
