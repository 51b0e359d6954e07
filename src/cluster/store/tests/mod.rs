//! Tests of the store, all of them on a simulated environment unless threads are what they are about.

mod bodies;
mod crash;
mod damage;
mod direct;
mod folding;
mod heal;
mod hints;
mod identity;
mod pages;
mod records;
mod versions;

use super::*;
use crate::causality::{ConflictMode, Context, ContextKey, Sibling, SiblingSet, VectorClock};
use crate::id::NodeId;
use esker::testing::SimEnv;
use esker::{Commit, Durability, Slice};
use std::sync::Arc;

pub(super) const NOW: u64 = 1_704_067_200_000;
pub(super) const CAUSAL: KeyspaceId = KeyspaceId(7);
pub(super) const LWW: KeyspaceId = KeyspaceId(8);
pub(super) const HERE: Continuity = Continuity { fingerprint: 1, boot: 1 };

pub(super) fn config(env: &SimEnv) -> StoreConfig {
    let env = Arc::new(env.clone());
    StoreConfig { env, memory_budget: 4 << 20, max_siblings: 4, inline_bytes: 16, ..StoreConfig::default() }
}

pub(super) fn definitions() -> Vec<KeyspaceDefinition> {
    let define = |id, name: &str, mode| KeyspaceDefinition { id, name: name.to_owned(), mode, replicas: 3 };
    vec![define(CAUSAL, "causal", ConflictMode::Causal), define(LWW, "lww", ConflictMode::LastWriteWins)]
}

/// Opens a store with the keyspaces of the tests.
pub(super) fn open_as(env: &SimEnv, continuity: Continuity, entropy: u64) -> Store {
    let store = Store::open("node", config(env), continuity, entropy, NOW).unwrap();
    if store.keyspaces().is_empty() {
        let operation =
            StoreOperation::KeepClusterState { bytes: b"state".to_vec(), keyspaces: definitions() };
        assert!(matches!(store.execute(operation), (StoreOutcome::Done, None)));
    }
    store
}

pub(super) fn open(env: &SimEnv, entropy: u64) -> Store {
    open_as(env, HERE, entropy)
}

pub(super) fn settle(store: &Store) {
    let _ = store.db().barrier(esker::Durability::Synced);
    while store.step_background().unwrap() {}
}

pub(super) fn put(value: &str) -> Change {
    Change::Put { value: Slice::from(value), expires_at: None }
}

/// A put of which the outcome is for the caller to look at.
pub(super) fn try_mint(
    store: &Store,
    keyspace: KeyspaceId,
    key: &str,
    change: Change,
    seen: Option<Context>,
    copy: Copy,
) -> (StoreOutcome, Option<Commit>) {
    let durability = Durability::Synced;
    let key = Slice::from(key);
    store.execute(StoreOperation::Mint { keyspace, key, change, seen, copy, durability, wall_millis: NOW })
}

pub(super) fn set_of(outcome: StoreOutcome) -> SiblingSet {
    match outcome {
        StoreOutcome::Set { set } | StoreOutcome::Minted { set, .. } => set,
        other => panic!("{other:?} has no set"),
    }
}

pub(super) fn failure_of(outcome: StoreOutcome) -> StoreFailure {
    match outcome {
        StoreOutcome::Failed(failure) => failure,
        other => panic!("{other:?} did not fail"),
    }
}

pub(super) fn mint(store: &Store, key: &str, change: Change, seen: Option<Context>) -> SiblingSet {
    set_of(try_mint(store, CAUSAL, key, change, seen, Copy::Own).0)
}

pub(super) fn try_join(
    store: &Store,
    key: &str,
    set: &SiblingSet,
    copy: Copy,
) -> (StoreOutcome, Option<Commit>) {
    let (keyspace, key, set, durability) = (CAUSAL, Slice::from(key), set.clone(), Durability::Synced);
    store.execute(StoreOperation::Join { keyspace, key, set, copy, durability, wall_millis: NOW })
}

pub(super) fn join(store: &Store, key: &str, set: &SiblingSet) -> bool {
    match try_join(store, key, set, Copy::Own).0 {
        StoreOutcome::Joined { changed } => changed,
        other => panic!("{other:?}"),
    }
}

pub(super) fn try_read(store: &Store, keyspace: KeyspaceId, key: &str, bodies: bool) -> StoreOutcome {
    store.execute(StoreOperation::Read { keyspace, key: Slice::from(key), bodies }).0
}

pub(super) fn read(store: &Store, key: &str) -> SiblingSet {
    set_of(try_read(store, CAUSAL, key, true))
}

/// The values of a set, sorted; `-` for a delete.
pub(super) fn values(set: &SiblingSet) -> Vec<String> {
    let text = |s: &Sibling| s.bytes().map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
    let mut values: Vec<String> = set.siblings().iter().map(text).collect();
    values.sort();
    values
}

/// Numbers that depend on the seed alone.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A context as a client brings it back.
pub(super) fn context(set: &SiblingSet) -> Context {
    let key = ContextKey::new(0, b"key");
    let bytes = Context::from(set.clock().clone()).to_bytes(key);
    Context::from_bytes(&bytes, key).unwrap()
}

pub(super) const TARGET: NodeId = NodeId(0xabc);
