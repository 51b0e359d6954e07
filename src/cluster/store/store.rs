//! [`Store`]: the engine with records, an identity and hints.

use super::identity::{Identity, Names};
use super::keyspace::KeyspaceId;
use super::marks::MarkBook;
use super::open::{IDENTITY_KEY, StoreConfig};
use super::operation::{Copy, StoreFailure, StoreOperation, StoreOutcome};
use super::own::{Minted, no_stall};
use super::replicated::Replicated;
use super::{failure, hints, layout};
use crate::causality::{Actor, Dot, HybridClock, VectorClock, millis_of};
use crate::id::NodeId;
use crate::ring::Token;
use esker::{Commit, Db, Durability, Keyspace, WriteBatch, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// A store of a node. Everything may be called from any thread.
///
/// It never looks at a clock and draws nothing: on a stepped environment it does the same every time.
pub struct Store {
    pub(super) db: Db,
    pub(super) node: Keyspace,
    pub(super) hints: Keyspace,
    pub(super) config: StoreConfig,
    pub(super) keyspaces: RwLock<BTreeMap<KeyspaceId, Arc<Replicated>>>,
    /// Whoever changes a key, or its hints, holds the stripe of its token. Taken before the locks below.
    pub(super) stripes: Box<[Mutex<Stripe>]>,
    pub(super) life: Mutex<Life>,
    pub(super) book: Mutex<hints::HintBook>,
    /// The bytes last kept. Held while they, and the keyspaces, are replaced.
    pub(super) cluster_state: Mutex<Option<Vec<u8>>>,
    pub(super) marks: Mutex<MarkBook>,
}

/// Memory that is used again by whoever holds the stripe.
#[derive(Default)]
pub(super) struct Stripe {
    pub(super) stored: Vec<u8>,
    pub(super) head: Vec<u8>,
    pub(super) batch: WriteBatch,
}

/// Who the store is at this time, and the counters that it gives.
pub(super) struct Life {
    pub(super) identity: Identity,
    pub(super) clock: HybridClock,
    /// As it is kept.
    pub(super) lease: u64,
    pub(super) names: Names,
    /// What the clock had come to when the store took its actor, if it did so in this life.
    pub(super) named_at: Option<u64>,
    /// Actors that it had in this life and is not to have again.
    pub(super) retired: BTreeSet<Actor>,
}

/// Takes a lock. What it guards is whole between any two statements, so that a panic elsewhere is no reason to stop.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) type Executed = Result<(StoreOutcome, Option<Commit>), StoreFailure>;

impl Store {
    pub(super) const STRIPES: usize = 256;

    /// Runs an operation. Where a [`Commit`] comes with the outcome, the driver [begins](Commit::begin) it, or a later one of the
    /// same durability, waits for it and then reports what became of it; otherwise there is nothing to wait for.
    ///
    /// Callbacks of commits may be called from here, while locks are held: they must not call the store.
    pub fn execute(&self, operation: StoreOperation) -> (StoreOutcome, Option<Commit>) {
        self.run(operation).unwrap_or_else(|failure| (StoreOutcome::Failed(failure), None))
    }

    fn run(&self, operation: StoreOperation) -> Executed {
        match operation {
            StoreOperation::Read { keyspace, key, bodies } => {
                let set = self.read(keyspace, &key, bodies)?;
                Ok((StoreOutcome::Set { set }, None))
            }
            StoreOperation::Mint { keyspace, key, change, seen, copy, durability, wall_millis } => {
                let seen = seen.as_ref();
                let (minted, commit) = match copy {
                    Copy::Own => self.mint(keyspace, &key, change, seen, durability, wall_millis)?,
                    Copy::For(target) => {
                        self.mint_hint((target, keyspace, &key), change, seen, durability, wall_millis)?
                    }
                };
                let Minted { set, context, truncated } = minted;
                Ok((StoreOutcome::Minted { set, context, truncated }, Some(commit)))
            }
            StoreOperation::Join { keyspace, key, set, copy, durability, wall_millis } => {
                let (changed, commit) = match copy {
                    Copy::Own => self.join(keyspace, &key, &set, durability, wall_millis)?,
                    Copy::For(target) => {
                        self.join_hint((target, keyspace, &key), &set, durability, wall_millis)?
                    }
                };
                Ok((StoreOutcome::Joined { changed }, Some(commit)))
            }
            StoreOperation::Heal { keyspace, key, set, wall_millis } => {
                let (changed, commit) = self.heal(keyspace, &key, &set, wall_millis)?;
                Ok((StoreOutcome::Joined { changed }, Some(commit)))
            }
            StoreOperation::Page { keyspace, from, records, bytes, bodies } => {
                Ok((StoreOutcome::Page(self.page(keyspace, &from, records, bytes, bodies)?), None))
            }
            StoreOperation::KeepMarker { target, keyspace, key, wall_millis } => {
                Ok((self.keep_marker((target, keyspace, &key), wall_millis)?, None))
            }
            StoreOperation::Hints { target, after, limit } => {
                Ok((self.list_hints(target, after.as_ref(), limit)?, None))
            }
            StoreOperation::DropHint { hint, stamp } => Ok((self.drop_hint(&hint, stamp)?, None)),
            StoreOperation::KeepClusterState { bytes, keyspaces } => {
                self.keep_cluster_state(bytes, keyspaces).map(|()| (StoreOutcome::Done, None))
            }
            StoreOperation::KeepMarks(marks) => {
                self.keep_marks(marks).map(|(number, commit)| (StoreOutcome::Mark(number), Some(commit)))
            }
            StoreOperation::Adopt(identity) => self.adopt(identity).map(|()| (StoreOutcome::Done, None)),
        }
    }

    /// Who the store is.
    pub fn identity(&self) -> Identity {
        locked(&self.life).identity.clone()
    }

    /// The state of the cluster that was kept last.
    pub fn cluster_state_bytes(&self) -> Option<Vec<u8>> {
        locked(&self.cluster_state).clone()
    }

    /// The engine.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Does one piece of the engine's background work, if its environment leaves that to the caller. Returns whether there
    /// was any.
    ///
    /// # Errors
    /// What the work ran into; the store takes no more writes then.
    pub fn step_background(&self) -> Result<bool, StoreFailure> {
        self.db.step_background().map_err(failure::of_write)
    }

    /// Whether the store takes writes.
    ///
    /// # Errors
    /// Why not.
    pub fn is_writable(&self) -> Result<(), String> {
        self.db.write(WriteBatch::new(), Durability::Buffered).map_err(|error| error.to_string())
    }

    /// Whether writes are slowed or stopped at the moment because the engine's background is behind.
    pub fn is_stalled(&self) -> bool {
        self.db.is_stalled()
    }

    /// Waits as long as a write of so many bytes is to be slowed down for the engine's background: a few milliseconds at most.
    /// Operations themselves never wait for it, and are refused where it has fallen too far behind.
    pub fn keep_step(&self, bytes: usize) {
        // If it has failed, the write says so.
        let _ = self.db.keep_step(bytes);
    }

    /// Hints that wait, by target.
    pub fn hints_waiting(&self) -> BTreeMap<NodeId, u64> {
        locked(&self.book).waiting()
    }

    /// Parts of the ring of which targets missed writes that there was no room to note: the target, and the upper
    /// 12 bits of the tokens.
    pub fn dirty_buckets(&self) -> Vec<(NodeId, u16)> {
        locked(&self.book).dirty()
    }

    /// Closes the store, and notes that it was closed: nothing can have been lost, so that it goes on under its name.
    ///
    /// # Errors
    /// If something could not be made durable. The store is closed all the same, and takes a new name when it is opened.
    pub fn close(&self) -> Result<(), StoreFailure> {
        // Whoever has a stripe may have given a dot that is not written yet.
        let _still: Vec<MutexGuard<'_, Stripe>> = self.stripes.iter().map(locked).collect();
        let life = locked(&self.life);
        let closed = Identity { clean: true, ..life.identity.clone() };
        let noted = self.db.sync().and_then(|()| {
            // The clock goes on from where it came to, and not from the end of its lease.
            let options = WriteOptions::new(Durability::Synced);
            self.node.put_with(IDENTITY_KEY, closed.encode(life.clock.last()), options)
        });
        noted.and(self.db.clone().close()).map_err(failure::of_write)
    }

    /// Takes another identity. It is durable when this returns.
    fn adopt(&self, identity: Identity) -> Result<(), StoreFailure> {
        let mut life = locked(&self.life);
        let Identity { fingerprint, boot, clean, mut base, .. } = life.identity;
        if identity.claim > life.identity.claim {
            base = base.max(identity.claim.saturating_sub(self.db.snapshot().seqno()));
        }
        let mut adopted = Identity { fingerprint, boot, clean, base, ..identity };
        if life.retired.contains(&adopted.actor) {
            // Whoever made this identity had not heard of the store's new name.
            adopted.actor = life.identity.actor;
        }
        self.keep_identity(&adopted, life.lease)?;
        life.identity = adopted;
        Ok(())
    }

    /// Goes on under a new actor, as one that may answer or not: for a store that learned that it lost something. Durable
    /// when this returns.
    ///
    /// # Errors
    /// If the store takes no writes; nothing is changed then.
    pub fn renew(&self, ready: bool) -> Result<Identity, StoreFailure> {
        let renewed = {
            let mut life = locked(&self.life);
            let (actor, generation) = (Actor(life.names.next()), life.identity.generation + 1);
            Identity { actor, generation, ready, ..life.identity.clone() }
        };
        self.adopt(renewed.clone()).map(|()| renewed)
    }

    pub(super) fn keep_identity(&self, identity: &Identity, lease: u64) -> Result<(), StoreFailure> {
        let options = WriteOptions::new(Durability::Synced);
        self.node.put_with(IDENTITY_KEY, identity.encode(lease), options).map_err(failure::of_write)
    }

    /// Names a new write: above all counters that this store gave, and above `floor`.
    pub(super) fn give_dot(
        &self,
        wall_millis: u64,
        floor: impl Fn(Actor) -> u64,
    ) -> Result<Dot, StoreFailure> {
        let mut life = locked(&self.life);
        let actor = life.identity.actor;
        let floor = floor(actor);
        if let Some(counter) = life.clock.next(wall_millis, floor) {
            return Ok(Dot { actor, counter });
        }
        // The log keeps the order: where a write is, the lease that it was given under is too, and where the lease is lost, so is
        // what came after it. Nobody waits.
        let lease = HybridClock::lease_for(life.clock.peek(wall_millis, floor));
        let mut batch = WriteBatch::new();
        self.node.put_to(&mut batch, IDENTITY_KEY, life.identity.encode(lease));
        self.db.submit(&batch, no_stall(Durability::Buffered)).map_err(failure::of_write)?;
        life.lease = lease;
        life.clock.extend(lease);
        let counter = life.clock.next(wall_millis, floor);
        let spent =
            || StoreFailure::Engine("the clock has come to its end: set the clocks of the nodes".to_owned());
        counter.map(|counter| Dot { actor, counter }).ok_or_else(spent)
    }

    /// Refuses a clock that is not to be believed.
    pub(super) fn check_lead(&self, clock: &VectorClock, wall_millis: u64) -> Result<(), StoreFailure> {
        let lead_millis = millis_of(clock.max_counter()).saturating_sub(wall_millis);
        if lead_millis > self.config.max_clock_lead_millis {
            return Err(StoreFailure::ClockTooFarAhead { lead_millis });
        }
        Ok(())
    }

    pub(super) fn stripe_of(token: Token) -> usize {
        // The upper bits are a slot, which keys with a hashtag share.
        (token.0 >> 20) as usize % Store::STRIPES
    }

    pub(super) fn stripe(&self, token: Token) -> MutexGuard<'_, Stripe> {
        locked(&self.stripes[Store::stripe_of(token)])
    }

    pub(super) fn check_key(key: &[u8]) -> Result<(), StoreFailure> {
        if key.len() <= layout::MAX_USER_KEY_LEN {
            return Ok(());
        }
        let (len, max) = (key.len(), layout::MAX_USER_KEY_LEN);
        Err(StoreFailure::TooLong(format!("a key of {len} bytes is too long; the limit is {max} bytes")))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.db.path()).finish_non_exhaustive()
    }
}
