//! Real uses of the hooks: a counter that is folded, a digest that is collected and summed, values that expire.

use super::store::{Random, Store};
use crate::hooks::{Collector, CollectorFactory, CompactionFilter, FilterDecision, Fold, Folded, Shadow};
use crate::options::{CompactionStrategy, KeyspaceOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn small() -> KeyspaceOptions {
    KeyspaceOptions::new()
        .compaction(CompactionStrategy::Leveled { l0_trigger: 3, ratio: 4, table_bytes: 2000 })
        .block_bytes(256)
}

/// Keeps the newer version, as if there were no fold.
pub(super) struct Newest;

impl Fold for Newest {
    fn name(&self) -> &str {
        "newest"
    }

    fn fold(&self, _: &Shadow<'_>) -> Folded {
        Folded::Newer
    }
}

/// Values are increments; what is stored of a key is their sum.
struct Counter;

impl Fold for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn fold(&self, shadow: &Shadow<'_>) -> Folded {
        let number = |v: Option<&[u8]>| -> i64 {
            v.and_then(|v| std::str::from_utf8(v).ok()).and_then(|v| v.parse().ok()).unwrap_or(0)
        };
        Folded::Value((number(shadow.newer) + number(shadow.older)).to_string().into_bytes())
    }
}

#[test]
fn increments_written_blindly_become_one_sum() {
    let mut store = Store::new(small().fold(Arc::new(Counter)));
    let mut random = Random(5);
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for _ in 0..60 {
        for _ in 0..200 {
            let key = format!("page{:03}", random.below(90));
            let step = random.below(7) as i64 - 2;
            *expected.entry(key.clone()).or_default() += step;
            store.put(&key, &step.to_string());
        }
        store.flush().unwrap();
        store.settle();
    }
    store.compact();
    let sums: BTreeMap<String, i64> =
        store.pairs().into_iter().map(|(k, v)| (k, v.parse().unwrap())).collect();
    assert_eq!(sums, expected);
    assert_eq!(store.version().tables().map(|t| t.entries).sum::<u64>(), expected.len() as u64);
}

/// The sum of the hashes of all entries.
struct Digest;

struct Sum(u64);

fn hash(key: &[u8], seqno: u64, value: Option<&[u8]>) -> u64 {
    let mut bytes = key.to_vec();
    bytes.extend_from_slice(&seqno.to_le_bytes());
    bytes.extend_from_slice(value.unwrap_or(b"deleted"));
    esker_table::key::filter_hash(&bytes)
}

impl Collector for Sum {
    fn add(&mut self, user_key: &[u8], seqno: u64, value: Option<&[u8]>) {
        self.0 = self.0.wrapping_add(hash(user_key, seqno, value));
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
}

impl CollectorFactory for Digest {
    fn name(&self) -> &str {
        "digest"
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(Sum(0))
    }
}

#[test]
fn digests_of_all_tables_add_up_to_the_digest_of_the_store() {
    let mut store = Store::new(small().collector(Arc::new(Digest)));
    let mut random = Random(9);
    let mut newest: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
    for round in 0..40 {
        for _ in 0..150 {
            let key = format!("key{:04}", random.below(400));
            if random.below(5) == 0 {
                store.delete(&key);
                newest.insert(key, (store.seqno, None));
            } else {
                let value = format!("{round}");
                store.put(&key, &value);
                newest.insert(key, (store.seqno, Some(value)));
            }
        }
        store.flush().unwrap();
        store.settle();
    }
    store.compact();
    let sum = store
        .collected("digest")
        .iter()
        .fold(0u64, |sum, bytes| sum.wrapping_add(u64::from_le_bytes(bytes.as_slice().try_into().unwrap())));
    let expected =
        newest.iter().filter(|(_, (_, value))| value.is_some()).fold(0u64, |sum, (k, (seqno, v))| {
            sum.wrapping_add(hash(k.as_bytes(), *seqno, v.as_ref().map(String::as_bytes)))
        });
    assert_eq!(sum, expected);
    assert!(store.version().tables().count() > 2);
    // Every table also says whose it is.
    let stamps = store.collected(crate::manifest::STAMP);
    assert!(stamps.iter().all(|s| s == &stamps[0] && !s.is_empty()));
}

/// A value begins with the second it expires at.
struct Expiry(Arc<AtomicU64>);

impl CompactionFilter for Expiry {
    fn name(&self) -> &str {
        "expiry"
    }

    fn filter(&self, _: &[u8], value: &[u8]) -> FilterDecision {
        let until = std::str::from_utf8(value).ok().and_then(|v| v.split(' ').next()?.parse::<u64>().ok());
        match until {
            Some(until) if until <= self.0.load(Ordering::Relaxed) => FilterDecision::Remove,
            _ => FilterDecision::Keep,
        }
    }
}

#[test]
fn values_expire() {
    let now = Arc::new(AtomicU64::new(0));
    let mut store = Store::new(small().filter(Arc::new(Expiry(now.clone()))));
    for round in 0..20u64 {
        for i in 0..100u64 {
            store.put(&format!("session{:04}", round * 100 + i), &format!("{} data", round + 1 + i % 10));
        }
        store.flush().unwrap();
        store.settle();
    }
    assert_eq!(store.pairs().len(), 2000);
    now.store(15, Ordering::Relaxed);
    store.compact();
    let left = store.pairs();
    assert!(left.iter().all(|(_, v)| v.split(' ').next().unwrap().parse::<u64>().unwrap() > 15));
    let expected = (0..2000u64).filter(|i| i / 100 + 1 + i % 10 > 15).count();
    assert_eq!(left.len(), expected);
    assert_eq!(store.version().tables().map(|t| t.entries).sum::<u64>(), expected as u64);
}
