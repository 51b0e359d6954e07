//! Opening a store: [`StoreConfig`], [`OpenError`], and what happens in which order.
//!
//! The identity is durable before anything else: whatever the store does afterwards, the next opening knows that this one
//! took place.

use super::hints::HintBook;
use super::identity::{Continuity, Identity, Names};
use super::marks::MarkBook;
use super::replicated::{CLUSTER_KEY, KEYSPACES_KEY, Replicated, open_or_create};
use super::store::{Life, Store, Stripe};
use super::{layout, registry};
use crate::causality::HybridClock;
use esker::{Db, Durability, Env, Error, Keyspace, LocalEnv, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

pub(super) const IDENTITY_KEY: &str = "identity";

/// How a store is set up.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The most siblings that a key may have. A write that would make more is refused. Default 32.
    pub max_siblings: usize,
    /// The most entries of a record's clock after a put. Default 32.
    pub max_clock_entries: usize,
    /// Values up to this length lie in the record itself. Default 256.
    pub inline_bytes: usize,
    /// By how much the counters of others may lie ahead of this store's wall clock, in milliseconds. Default a day.
    pub max_clock_lead_millis: u64,
    /// The most hints kept for one target. Default 1,000,000.
    pub hint_limit_entries: u64,
    /// The most bytes of hints kept for one target. Default 64 MiB.
    pub hint_limit_bytes: u64,
    /// The engine's memory budget, in bytes. Default 256 MiB.
    pub memory_budget: usize,
    /// The environment. Default [`LocalEnv`].
    pub env: Arc<dyn Env>,
    /// Runs what waits for the engine's background work, in [`Store::update`] and [`Store::put_all`]: whoever calls these on a
    /// thread that others share may let those go elsewhere first. By default it runs the work and nothing else.
    pub wait: fn(&mut dyn FnMut()),
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            max_siblings: 32,
            max_clock_entries: 32,
            inline_bytes: 256,
            max_clock_lead_millis: 24 * 60 * 60 * 1000,
            hint_limit_entries: 1_000_000,
            hint_limit_bytes: 64 << 20,
            memory_budget: 256 << 20,
            env: Arc::new(LocalEnv),
            wait: |work| work(),
        }
    }
}

/// Why a store could not be opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The engine could not be opened, or not be read or written.
    Engine(Error),
    /// What the store keeps of itself is not what it wrote.
    Damaged {
        /// Which entry of `esker.node` or `esker.hints`.
        entry: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Engine(error) => error.fmt(f),
            OpenError::Damaged { entry } => write!(
                f,
                "the entry {entry} of the store is damaged, or was written by a newer Esker: open it with that, or restore the store from a backup"
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Engine(error) => Some(error),
            OpenError::Damaged { .. } => None,
        }
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> OpenError {
        OpenError::Engine(error)
    }
}

impl Store {
    /// Opens the store in this directory; creates it if there is none.
    ///
    /// `entropy` is the seed of the names that the store gives itself: to be drawn anew for each opening, so that two copies of
    /// a directory never take the same. `wall_millis` is the time, in milliseconds since 1970.
    ///
    /// # Errors
    /// If the engine cannot be opened or written, or what the store keeps of itself is damaged.
    pub fn open(
        path: impl AsRef<Path>,
        config: StoreConfig,
        continuity: Continuity,
        entropy: u64,
        wall_millis: u64,
    ) -> Result<Store, OpenError> {
        let db = Db::builder()
            .env(config.env.clone())
            .memory_budget(config.memory_budget)
            .keyspace_options_by(layout::options_for)
            .open(path)?;
        // Before anything is written: what the store brings from its life before.
        let seqno = db.snapshot().seqno();
        let node = open_or_create(&db, layout::NODE)?;
        let life = begin_life(&node, continuity, seqno, Names::new(entropy ^ wall_millis.rotate_left(32)))?;
        let mut keyspaces = BTreeMap::new();
        for definition in registered(&node)? {
            keyspaces.insert(definition.id, Arc::new(Replicated::open(&db, definition)?));
        }
        let marks = MarkBook::open(&node)?;
        let cluster_state = node.get(CLUSTER_KEY)?.map(|bytes| bytes.to_vec());
        let hints = open_or_create(&db, layout::HINTS)?;
        let book = HintBook::open(&node, &hints, config.hint_limit_entries, config.hint_limit_bytes)?;
        Ok(Store {
            db,
            node,
            hints,
            config,
            keyspaces: RwLock::new(keyspaces),
            stripes: (0..Store::STRIPES).map(|_| Mutex::new(Stripe::default())).collect(),
            life: Mutex::new(life),
            book: Mutex::new(book),
            cluster_state: Mutex::new(cluster_state),
            marks: Mutex::new(marks),
        })
    }
}

/// Finds out who the store is, and makes it durable.
fn begin_life(
    node: &Keyspace,
    continuity: Continuity,
    seqno: u64,
    mut names: Names,
) -> Result<Life, OpenError> {
    let (identity, lease) = match node.get(IDENTITY_KEY)? {
        None => (Identity::fresh(continuity, &mut names), 0),
        Some(bytes) => {
            let damaged = || OpenError::Damaged { entry: format!("`{IDENTITY_KEY}`") };
            let (before, lease) = Identity::decode(&bytes).ok_or_else(damaged)?;
            (before.reopened(continuity, seqno, &mut names), lease)
        }
    };
    node.put_with(IDENTITY_KEY, identity.encode(lease), WriteOptions::new(Durability::Synced))?;
    Ok(Life {
        identity,
        clock: HybridClock::resumed(lease),
        lease,
        names,
        named_at: None,
        retired: BTreeSet::new(),
    })
}

fn registered(node: &Keyspace) -> Result<Vec<super::KeyspaceDefinition>, OpenError> {
    let Some(bytes) = node.get(KEYSPACES_KEY)? else { return Ok(Vec::new()) };
    registry::decode(&bytes).ok_or_else(|| OpenError::Damaged { entry: format!("`{KEYSPACES_KEY}`") })
}
