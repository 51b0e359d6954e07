//! Time to live under each strategy: what is old goes, what is young stays, and nothing older comes back.

use super::store::{Random, Store};
use crate::compaction::{Choice, Reason};
use crate::options::{ByLevel, CompactionStrategy, KeyspaceOptions};
use esker_table::codec::Compression;
use std::collections::BTreeMap;
use std::time::Duration;

const TTL: u64 = 64_000;

fn with(compaction: CompactionStrategy) -> KeyspaceOptions {
    KeyspaceOptions::new().compaction(compaction).block_bytes(256).ttl(Duration::from_millis(TTL))
}

fn leveled() -> KeyspaceOptions {
    with(CompactionStrategy::Leveled { l0_trigger: 3, ratio: 4, table_bytes: 2000 })
}

fn all() -> [KeyspaceOptions; 3] {
    [leveled(), with(CompactionStrategy::tiered()), with(CompactionStrategy::Fifo { max_bytes: u64::MAX })]
}

/// Random writes while the clock goes on. A value is the time it was flushed at.
#[test]
fn the_young_stay_the_old_go_and_nothing_older_comes_back() {
    for (i, options) in all().into_iter().enumerate() {
        for seed in 0..4 {
            let what = format!("strategy {i}, seed {seed}");
            let mut random = Random(seed);
            let mut store = Store::new(options.clone());
            let mut newest: BTreeMap<String, Option<u64>> = BTreeMap::new();
            for round in 0..120 {
                store.now_millis += random.below(6000);
                let now = store.now_millis;
                // Each part of the key space is left alone for long times.
                let part = round / 20 % 3 * 100;
                for _ in 0..random.below(80) {
                    let key = format!("key{:04}", part + random.below(100));
                    if random.below(4) == 0 {
                        store.delete(&key);
                        newest.insert(key, None);
                    } else {
                        store.put(&key, &now.to_string());
                        newest.insert(key, Some(now));
                    }
                }
                store.flush().unwrap();
                if random.below(12) == 0 {
                    store.compact()
                } else {
                    store.settle()
                }
                let live: BTreeMap<String, u64> =
                    store.pairs().into_iter().map(|(k, v)| (k, v.parse().unwrap())).collect();
                for (key, written) in &newest {
                    let seen = live.get(key).copied();
                    match *written {
                        Some(written) if written + TTL > now => {
                            assert_eq!(seen, Some(written), "{what}, {key}")
                        }
                        written => assert!(seen.is_none() || seen == written, "{what}, {key}: {seen:?}"),
                    }
                    let latest = 2 * TTL + TTL / 16;
                    assert!(seen.is_none_or(|t| t + latest > now), "{what}, {key} of {seen:?} at {now}");
                }
            }
            // Nothing is written any more.
            store.now_millis += TTL + TTL / 16;
            store.settle();
            assert_eq!((store.pairs().len(), store.version().tables().count()), (0, 0), "{what}");
        }
    }
}

#[test]
fn expired_tables_go_whole_and_younger_ones_stay() {
    let mut store = Store::new(leveled());
    for i in 0..300 {
        store.put(&format!("key{i:04}"), "oldest");
    }
    store.flush().unwrap();
    store.compact();
    store.put("key0100", "older");
    store.flush().unwrap();
    store.now_millis += TTL - 1;
    store.put("key0200", "young");
    store.flush().unwrap();
    store.now_millis += 1;
    let pick = store.next().unwrap();
    assert!(matches!(pick.choice, Choice::Drop { .. }) && pick.reason == Reason::Expired, "{pick:?}");
    store.run(&pick.choice).unwrap();
    store.settle();
    assert_eq!(store.pairs(), [("key0200".to_owned(), "young".to_owned())]);
}

#[test]
fn blocks_are_copied_only_where_nothing_has_expired() {
    for (passed, copies) in [(TTL - 2, true), (TTL, false)] {
        let mut store = Store::new(
            with(CompactionStrategy::Leveled { l0_trigger: 3, ratio: 4, table_bytes: 1 << 20 })
                .compression(ByLevel::all(Compression::None)),
        );
        for i in 0..4000 {
            store.put(&format!("key{i:05}"), &format!("value {i}"));
        }
        store.flush().unwrap();
        store.compact();
        store.now_millis += 1;
        store.put("key00000", "young");
        store.put("key03999", "young");
        store.flush().unwrap();
        // Now one table holds old and young entries.
        store.compact();
        store.blocks_copied = 0;
        store.now_millis += passed - 1;
        store.compact();
        assert_eq!(store.blocks_copied > 50, copies, "{} blocks", store.blocks_copied);
        assert_eq!(store.pairs().len(), if copies { 4000 } else { 2 });
    }
}
