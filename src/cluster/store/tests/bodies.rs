//! Values that lie apart from their records: there as long as a sibling needs them, and not longer.

use super::*;
use crate::causality::Body;

/// As many values lie apart as siblings are too long to lie in their records.
pub(super) fn assert_no_leak(store: &Store) {
    let records = store.page(CAUSAL, &[], usize::MAX, usize::MAX, false).unwrap().records;
    let apart =
        |s: &&Sibling| matches!(&s.content, crate::causality::Content::Value { body: Body::Elsewhere, .. });
    let siblings = records.iter().flat_map(|record| record.set.siblings()).filter(apart).count();
    assert_eq!(store.db().keyspace("causal.bodies").unwrap().range(..).count(), siblings);
    let whole = store.page(CAUSAL, &[], usize::MAX, usize::MAX, true).unwrap().records;
    assert!(whole.iter().flat_map(|r| r.set.siblings()).all(|s| s.is_tombstone() || s.bytes().is_some()));
}

#[test]
fn none_leaks_and_none_is_missing_whatever_happens() {
    let envs = [SimEnv::new(), SimEnv::new()];
    let mut stores: Vec<Store> = envs.iter().zip(1..).map(|(env, entropy)| open(env, entropy)).collect();
    let mut dice = Dice(11);
    for round in 0..600u64 {
        let at = dice.below(2) as usize;
        let key = format!("k{}", dice.below(10));
        let length = if dice.below(2) == 0 { 3 } else { 16 + dice.below(40) as usize };
        let change = match dice.below(6) {
            0 => Change::Delete,
            _ => put(&format!("{round:0length$}")),
        };
        let seen = match dice.below(3) {
            0 => None,
            1 => Some(Context::default()),
            _ => Some(context(&read(&stores[1 - at], &key))),
        };
        try_mint(&stores[at], CAUSAL, &key, change, seen, Copy::Own);
        if dice.below(2) == 0 {
            let set = read(&stores[at], &key);
            join(&stores[1 - at], &key, &set);
        }
        if dice.below(50) == 0 {
            settle(&stores[at]);
            let other = stores.remove(at);
            other.close().unwrap();
            drop(other);
            stores.insert(at, open(&envs[at], 50 + round));
        }
        if round % 20 == 0 {
            stores.iter().for_each(assert_no_leak);
        }
    }
    stores.iter().for_each(assert_no_leak);
}

#[test]
fn a_value_stays_where_it_lies_when_the_limit_changes() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    mint(&store, "k", put("longer than sixteen bytes"), None);
    mint(&store, "l", put("short"), None);
    store.close().unwrap();
    drop(store);
    for (entropy, inline_bytes) in [(2, 1000), (3, 2)] {
        let config = StoreConfig { inline_bytes, ..config(&env) };
        let store = Store::open("node", config, HERE, entropy, NOW).unwrap();
        for key in ["k", "l"] {
            mint(&store, key, put(&format!("beside {entropy}")), Some(Context::default()));
        }
        assert_no_leak(&store);
        store.close().unwrap();
    }
    let store = open(&env, 4);
    assert_eq!(values(&read(&store, "k")), ["beside 2", "beside 3", "longer than sixteen bytes"]);
    assert_eq!(values(&read(&store, "l")), ["beside 2", "beside 3", "short"]);
}

#[test]
fn heads_alone_say_what_there_is_without_the_bytes() {
    let store = open(&SimEnv::new(), 1);
    let whole = mint(&store, "k", put("longer than sixteen bytes"), None);
    let head = set_of(try_read(&store, CAUSAL, "k", false));
    assert!(head.siblings()[0].bytes().is_none() && head.same_dots(&whole));
    assert_eq!(head.digest(), whole.digest());
}
