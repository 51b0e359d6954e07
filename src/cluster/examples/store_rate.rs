//! How long a store takes for an operation, on one thread and a real directory: `store_rate [directory] [rounds]`.
//!
//! Beside the time it shows the processor's time of the thread, where the system tells it. Values have 100 bytes, writes are handed to the operating system, keys come from 100,000 that are written once before.

use esker::{Durability, LocalEnv, Slice};
use esker_cluster::causality::{ConflictMode, SiblingSet};
use esker_cluster::store::{
    Change, Continuity, Copy, KeyspaceDefinition, KeyspaceId, Pair, Store, StoreConfig, StoreOperation,
    StoreOutcome,
};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const KEYSPACE: KeyspaceId = KeyspaceId(1);
const KEYS: u64 = 100_000;
const NOW: u64 = 1_704_067_200_000;

fn open(dir: &Path, entropy: u64) -> Result<Store, Box<dyn Error>> {
    let config = StoreConfig { env: Arc::new(LocalEnv), ..StoreConfig::default() };
    let store = Store::open(dir, config, Continuity { fingerprint: 1, boot: 1 }, entropy, NOW)?;
    let (name, mode) = ("rate".to_owned(), ConflictMode::Causal);
    let keyspaces = vec![KeyspaceDefinition { id: KEYSPACE, name, mode, replicas: 3 }];
    store.execute(StoreOperation::KeepClusterState { bytes: Vec::new(), keyspaces });
    Ok(store)
}

fn key(i: u64) -> Slice {
    Slice::from(format!("user/{:08}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS).into_bytes())
}

fn mint(store: &Store, i: u64) -> Result<SiblingSet, Box<dyn Error>> {
    let change = Change::Put { value: Slice::from(vec![i as u8; 100]), expires_at: None };
    let (copy, durability) = (Copy::Own, Durability::Buffered);
    let mint = StoreOperation::Mint {
        keyspace: KEYSPACE,
        key: key(i),
        change,
        seen: None,
        copy,
        durability,
        wall_millis: NOW + i / 300,
    };
    match store.execute(mint) {
        (StoreOutcome::Minted { set, .. }, Some(commit)) => commit.wait().map(|()| set).map_err(Into::into),
        (other, _) => Err(format!("{other:?}").into()),
    }
}

fn join(store: &Store, i: u64, set: SiblingSet) -> Result<(), Box<dyn Error>> {
    let (copy, durability, wall_millis) = (Copy::Own, Durability::Buffered, NOW);
    let join = StoreOperation::Join { keyspace: KEYSPACE, key: key(i), set, copy, durability, wall_millis };
    match store.execute(join) {
        (StoreOutcome::Joined { .. }, Some(commit)) => commit.wait().map_err(Into::into),
        (other, _) => Err(format!("{other:?}").into()),
    }
}

/// The time that this thread has run, by Linux; 0 elsewhere.
fn on_cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn measure<T>(
    what: &str,
    rounds: u64,
    mut each: impl FnMut(u64) -> Result<T, Box<dyn Error>>,
) -> Result<Vec<T>, Box<dyn Error>> {
    let mut results = Vec::with_capacity(rounds as usize);
    let (begun, on_cpu) = (Instant::now(), on_cpu_nanos());
    for i in 0..rounds {
        results.push(each(i)?);
    }
    let nanos = begun.elapsed().as_nanos() as u64 / rounds.max(1);
    let on_cpu = on_cpu_nanos().saturating_sub(on_cpu) / rounds.max(1);
    println!("{what:32} {nanos:6} ns, {on_cpu:6} ns on the processor");
    Ok(results)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| "store-rate".to_owned());
    let rounds: u64 = arguments.next().map_or(Ok(200_000), |rounds| rounds.parse())?;
    let (a, b) = (open(&Path::new(&dir).join("a"), 1)?, open(&Path::new(&dir).join("b"), 2)?);
    measure("first put", KEYS, |i| mint(&a, i).map(drop))?;
    let sets = measure("Mint over a record", rounds, |i| mint(&a, i))?;
    let mut fresh = sets.into_iter();
    measure("Join of something new", rounds, |i| join(&b, i, fresh.next().unwrap_or_default()))?;
    let sets = measure("Read", rounds, |i| {
        let read = StoreOperation::Read { keyspace: KEYSPACE, key: key(i), bodies: true };
        match a.execute(read).0 {
            StoreOutcome::Set { set, .. } => Ok(set),
            other => Err(format!("{other:?}").into()),
        }
    })?;
    let mut known = sets.into_iter();
    measure("Join of something known", rounds, |i| join(&a, i, known.next().unwrap_or_default()))?;
    measure("get of one value", rounds, |i| a.get(KEYSPACE, &key(i), NOW).map_err(Into::into))?;
    measure("put_all of 16 pairs", rounds / 16, |i| {
        let pairs: Vec<Pair> = (i * 16..i * 16 + 16)
            .map(|i| Pair { key: key(i), value: Slice::from(vec![i as u8; 100]), expires_at: None })
            .collect();
        a.put_all(KEYSPACE, &pairs, NOW + i / 20, Durability::Buffered).map_err(Into::into)
    })?;
    let engine = a.db().create_keyspace("plain", esker::KeyspaceOptions::new())?;
    measure("for comparison: engine put", rounds, |i| {
        engine.put(key(i), [i as u8; 100]).map_err(Into::into)
    })?;
    measure("for comparison: engine get", rounds, |i| engine.get(key(i)).map_err(Into::into))?;
    a.close()?;
    b.close()?;
    Ok(())
}
