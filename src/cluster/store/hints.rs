//! Hints: what a store keeps for replicas that are absent.
//!
//! A replica that has a write notes the keys that another one missed, as markers: what is sent later is what it knows then. A
//! store that is no replica of a key keeps a copy for the one that it stands in for. It forgets that copy once it is
//! delivered, and a store that forgot its writes of a key must not write it under the same name again: to others that would
//! say that it knows them. So each copy has an actor of its own, made from the first dot that was given in it, and another one
//! once the store itself has taken another.
//!
//! Hints are bounded for each target. What there is no room for is noted by the part of the ring in which it lies.

use super::hint_record::{CopyWriter, HintRecord};
use super::keyspace::KeyspaceId;
use super::open::OpenError;
use super::operation::{Change, Hint, HintKey, StoreFailure, StoreOutcome};
use super::own::{Minted, no_stall, sibling_of};
use super::store::{Store, locked};
use super::{failure, layout};
use crate::causality::{Actor, Context, Dot, SiblingSet};
use crate::id::NodeId;
use crate::ring::Token;
use esker::{Commit, Durability, Keyspace, Slice, WriteBatch};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use xxhash_rust::xxh3::xxh3_64;

/// Of a token, the bits that say in which part of the ring it lies.
pub(super) const BUCKET_BITS: u32 = 12;

const DIRTY_PREFIX: &[u8] = b"dirty/";
/// A list of hints ends when its values have this many bytes.
const LISTED_BYTES: u64 = 4 << 20;

/// Of which hint: for whom, and of which key of which keyspace.
pub(super) type Place<'a> = (NodeId, KeyspaceId, &'a [u8]);

/// How much is kept for whom.
pub(super) struct HintBook {
    targets: BTreeMap<NodeId, Waiting>,
    dirty: BTreeSet<(NodeId, u16)>,
    next_stamp: u64,
    limit: Waiting,
}

#[derive(Clone, Copy, Default)]
struct Waiting {
    hints: u64,
    bytes: u64,
}

impl HintBook {
    /// Counts what is kept.
    pub(super) fn open(
        node: &Keyspace,
        hints: &Keyspace,
        limit_hints: u64,
        limit_bytes: u64,
    ) -> Result<HintBook, OpenError> {
        let limit = Waiting { hints: limit_hints, bytes: limit_bytes };
        let mut book = HintBook { targets: BTreeMap::new(), dirty: BTreeSet::new(), next_stamp: 1, limit };
        let damaged = |key: &Slice| OpenError::Damaged { entry: format!("`{}`", key.escape_ascii()) };
        for entry in hints.range(..) {
            let (key, value) = entry?;
            let (target, ..) = layout::parse_hint_key(&key).ok_or_else(|| damaged(&key))?;
            let waiting = book.targets.entry(target).or_default();
            waiting.hints += 1;
            waiting.bytes += (key.len() + value.len()) as u64;
            // One that cannot be read is never listed, so that nobody has its stamp.
            let stamp = HintRecord::decode(&value).map_or(0, |hint| hint.stamp);
            book.next_stamp = book.next_stamp.max(stamp.saturating_add(1));
        }
        for entry in node.prefix(DIRTY_PREFIX) {
            let (key, _) = entry?;
            let mark = key.get(DIRTY_PREFIX.len()..).and_then(|mark| mark.split_at_checked(8));
            let parse = |(target, bucket): (&[u8], &[u8])| {
                let target = target.try_into().map(u64::from_be_bytes).ok()?;
                Some((NodeId(target), bucket.try_into().map(u16::from_be_bytes).ok()?))
            };
            book.dirty.insert(mark.and_then(parse).ok_or_else(|| damaged(&key))?);
        }
        Ok(book)
    }

    pub(super) fn waiting(&self) -> BTreeMap<NodeId, u64> {
        self.targets.iter().map(|(&target, waiting)| (target, waiting.hints)).collect()
    }

    pub(super) fn dirty(&self) -> Vec<(NodeId, u16)> {
        self.dirty.iter().copied().collect()
    }

    fn stamp(&mut self) -> u64 {
        self.next_stamp += 1;
        self.next_stamp - 1
    }

    fn count(&self, target: NodeId) -> u64 {
        self.targets.get(&target).map_or(0, |waiting| waiting.hints)
    }

    /// Counts a hint of `new` bytes, none for one that goes, in the place of one of `old` bytes. `false` if there is no room.
    fn replace(&mut self, target: NodeId, old: Option<u64>, new: Option<u64>) -> bool {
        let waiting = self.targets.entry(target).or_default();
        let hints = waiting.hints.saturating_sub(u64::from(old.is_some())) + u64::from(new.is_some());
        let bytes = waiting.bytes.saturating_sub(old.unwrap_or(0)) + new.unwrap_or(0);
        let grows = hints > waiting.hints || bytes > waiting.bytes;
        if grows && (hints > self.limit.hints || bytes > self.limit.bytes) {
            if waiting.hints == 0 {
                self.targets.remove(&target);
            }
            return false;
        }
        *waiting = Waiting { hints, bytes };
        if hints == 0 {
            self.targets.remove(&target);
        }
        true
    }
}

/// A hint as it is stored, and its size there.
struct Stored {
    key: Vec<u8>,
    bytes: Option<u64>,
    hint: HintRecord,
}

impl Store {
    /// Notes that a replica missed a write that this store has itself.
    pub(super) fn keep_marker(
        &self,
        place: Place<'_>,
        wall_millis: u64,
    ) -> Result<StoreOutcome, StoreFailure> {
        self.check_place(place)?;
        let stripe = self.lock_key(place.2);
        let mut stored = self.stored_hint(place, &stripe.stored)?;
        stored.hint.marker = true;
        let commit = self.write_hint(place, stored, Durability::Synced, wall_millis)?;
        let waiting = locked(&self.book).count(place.0);
        Ok(StoreOutcome::Hinted { waiting, overflowed: commit.is_none() })
    }

    /// Takes a new write for an absent replica.
    pub(super) fn mint_hint(
        &self,
        place: Place<'_>,
        change: Change,
        seen: Option<&Context>,
        durability: Durability,
        wall_millis: u64,
    ) -> Result<(Minted, Commit), StoreFailure> {
        let mode = self.check_place(place)?.definition.mode;
        seen.map_or(Ok(()), |seen| self.check_lead(seen.clock(), wall_millis))?;
        let stripe = self.lock_key(place.2);
        let mut stored = self.stored_hint(place, &stripe.stored)?;
        let set = &mut stored.hint.copy;
        let known = Context::from(set.clock().clone());
        let seen = seen.unwrap_or(&known);
        self.check_siblings(set, seen, mode)?;
        // Above all counters that are known: whichever actor it gets, it is new.
        let floor = known.clock().max_counter().max(seen.clock().max_counter());
        let Dot { actor: store, counter } = self.give_dot(wall_millis, |_| floor)?;
        let writer = stored.hint.writer.filter(|writer| writer.store == store);
        let writer = writer.unwrap_or(CopyWriter { store, actor: actor_of_copy(store, counter) });
        stored.hint.writer = Some(writer);
        let dot = Dot { actor: writer.actor, counter };
        set.put(seen, sibling_of(change, dot), mode);
        let context = Context::after_write(dot, set);
        let truncated = set.truncate_clock(self.config.max_clock_entries);
        let set = set.clone();
        let commit = self.write_hint(place, stored, durability, wall_millis)?;
        Ok((Minted { set, context, truncated }, commit.ok_or_else(|| no_room(place.0))?))
    }

    /// Learns, for an absent replica, what another store knows of a key.
    pub(super) fn join_hint(
        &self,
        place: Place<'_>,
        set: &SiblingSet,
        durability: Durability,
        wall_millis: u64,
    ) -> Result<(bool, Commit), StoreFailure> {
        let mode = self.check_place(place)?.definition.mode;
        self.check_foreign(set, wall_millis)?;
        let stripe = self.lock_key(place.2);
        let mut stored = self.stored_hint(place, &stripe.stored)?;
        if !stored.hint.copy.join(set, mode) {
            drop(stripe);
            return Ok((false, self.db.barrier(durability).map_err(failure::of_write)?));
        }
        let commit = self.write_hint(place, stored, durability, wall_millis)?;
        Ok((true, commit.ok_or_else(|| no_room(place.0))?))
    }

    /// Lists hints in the order of their keys. A list without any is the end; one of fewer than `limit` need not be. Hints
    /// that cannot be sent now are passed over, and stay.
    pub(super) fn list_hints(
        &self,
        target: NodeId,
        after: Option<&HintKey>,
        limit: usize,
    ) -> Result<StoreOutcome, StoreFailure> {
        let prefix = target.0.to_be_bytes();
        let from = match after {
            None => Bound::Included(prefix.to_vec()),
            Some(after) => {
                let mut stored = Vec::new();
                layout::stored_key(&mut stored, Token::of_key(&after.key), &after.key);
                Bound::Excluded(layout::hint_key(target, after.keyspace, &stored))
            }
        };
        let (mut listed, mut unreadable, mut bytes) = (Vec::new(), Vec::new(), 0);
        for entry in self.hints.range((from, Bound::Unbounded)) {
            if listed.len() >= limit || bytes >= LISTED_BYTES {
                break;
            }
            let (key, value) = entry.map_err(failure::of_read)?;
            if !key.starts_with(&prefix) {
                break;
            }
            let Some((_, keyspace, user_key)) = layout::parse_hint_key(&key) else { continue };
            let Ok(hint) = HintRecord::decode(&value) else { continue };
            let found = self.set_to_send(keyspace, &user_key, hint.copy, hint.marker);
            let key = HintKey { target, keyspace, key: user_key };
            let set = match found {
                Ok(set) => set,
                Err(StoreFailure::Unreadable(_)) => {
                    unreadable.push(key);
                    continue;
                }
                Err(_) => continue,
            };
            bytes += set.siblings().iter().filter_map(|s| s.bytes()).map(|b| b.len() as u64).sum::<u64>();
            listed.push(Hint { key, stamp: hint.stamp, set });
        }
        Ok(StoreOutcome::Hints { hints: listed, unreadable })
    }

    /// What the target is to learn: the copy, and if it missed a write that is in the own record, that too.
    fn set_to_send(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        mut copy: SiblingSet,
        marker: bool,
    ) -> Result<SiblingSet, StoreFailure> {
        if marker {
            let mode = self.replicated(keyspace)?.definition.mode;
            copy.join(&self.read(keyspace, key, true)?, mode);
        }
        Ok(copy)
    }

    /// Forgets a hint, unless something was added to it since it had this stamp.
    pub(super) fn drop_hint(&self, hint: &HintKey, stamp: u64) -> Result<StoreOutcome, StoreFailure> {
        let stripe = self.lock_key(&hint.key);
        let stored = self.stored_hint((hint.target, hint.keyspace, &hint.key), &stripe.stored)?;
        if stored.bytes.is_some() && stored.hint.stamp == stamp {
            let mut batch = WriteBatch::new();
            self.hints.delete_to(&mut batch, &stored.key);
            // What is delivered twice is joined twice, which changes nothing: there is no hurry.
            self.db.submit(&batch, no_stall(Durability::Buffered)).map_err(failure::of_write)?;
            locked(&self.book).replace(hint.target, stored.bytes, None);
        }
        Ok(StoreOutcome::Hinted { waiting: locked(&self.book).count(hint.target), overflowed: false })
    }

    fn check_place(
        &self,
        place: Place<'_>,
    ) -> Result<std::sync::Arc<super::replicated::Replicated>, StoreFailure> {
        Store::check_key(place.2)?;
        self.replicated(place.1)
    }

    /// The hint of this place; one that says nothing if there is none.
    fn stored_hint(&self, place: Place<'_>, stored_key: &[u8]) -> Result<Stored, StoreFailure> {
        let key = layout::hint_key(place.0, place.1, stored_key);
        let Some(value) = self.hints.get(&key).map_err(failure::of_read)? else {
            return Ok(Stored { key, bytes: None, hint: HintRecord::default() });
        };
        let bytes = Some((key.len() + value.len()) as u64);
        match HintRecord::decode(&value) {
            Ok(hint) => Ok(Stored { key, bytes, hint }),
            Err(error) => Err(failure::of_record("a hint", &error)),
        }
    }

    /// Writes a hint, under a new stamp. `None` if there is no room for it; that is noted.
    fn write_hint(
        &self,
        place: Place<'_>,
        mut stored: Stored,
        durability: Durability,
        wall_millis: u64,
    ) -> Result<Option<Commit>, StoreFailure> {
        stored.hint.stamp = locked(&self.book).stamp();
        stored.hint.millis = wall_millis;
        let value = stored.hint.encode();
        let len = Some((stored.key.len() + value.len()) as u64);
        if !locked(&self.book).replace(place.0, stored.bytes, len) {
            return self.mark_dirty(place).map(|()| None);
        }
        let mut batch = WriteBatch::new();
        self.hints.put_to(&mut batch, &stored.key, value);
        match self.db.submit(&batch, no_stall(durability)) {
            Ok(commit) => Ok(Some(commit)),
            Err(error) => {
                locked(&self.book).replace(place.0, len, stored.bytes);
                Err(failure::of_write(error))
            }
        }
    }

    /// Notes in which part of the ring the target missed something.
    fn mark_dirty(&self, place: Place<'_>) -> Result<(), StoreFailure> {
        let bucket = (Token::of_key(place.2).0 >> (u64::BITS - BUCKET_BITS)) as u16;
        if locked(&self.book).dirty.contains(&(place.0, bucket)) {
            return Ok(());
        }
        let key = [DIRTY_PREFIX, &place.0.0.to_be_bytes(), &bucket.to_be_bytes()].concat();
        let mut batch = WriteBatch::new();
        self.node.put_to(&mut batch, key, []);
        self.db.submit(&batch, no_stall(Durability::Synced)).map_err(failure::of_write)?;
        locked(&self.book).dirty.insert((place.0, bucket));
        Ok(())
    }
}

/// The name under which a copy takes writes: nobody else's, since the dot that it is made from is nobody else's.
fn actor_of_copy(actor: Actor, counter: u64) -> Actor {
    let mut dot = [0; 16];
    dot[..8].copy_from_slice(&actor.0.to_le_bytes());
    dot[8..].copy_from_slice(&counter.to_le_bytes());
    Actor(xxh3_64(&dot))
}

fn no_room(target: NodeId) -> StoreFailure {
    StoreFailure::Engine(format!("there is no room for more hints for the node {target}: bring it back"))
}
