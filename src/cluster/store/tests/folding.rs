//! `prev` through flush and compaction: what the surviving entries replaced is always what is there minus what was.

use super::super::record::HeadRecord;
use super::*;
use crate::causality::Dot;
use crate::ring::Token;

fn head(store: &Store, key: &str) -> HeadRecord {
    let mut stored = Vec::new();
    layout::stored_key(&mut stored, Token::of_key(key.as_bytes()), key.as_bytes());
    let bytes = store.db().keyspace("causal.heads").unwrap().get(&stored).unwrap().unwrap();
    HeadRecord::decode(&bytes).unwrap()
}

fn replaced(store: &Store, key: &str) -> Vec<Dot> {
    head(store, key).prev.iter().map(|replaced| replaced.dot).collect()
}

#[test]
fn prev_is_what_was_replaced_and_folding_keeps_the_oldest() {
    let store = open(&SimEnv::new(), 1);
    let heads = store.db().keyspace("causal.heads").unwrap();
    let first = mint(&store, "k", put("1"), None).siblings()[0].dot;
    assert_eq!(replaced(&store, "k"), []);
    mint(&store, "k", put("2"), None);
    assert_eq!(replaced(&store, "k"), [first]);
    heads.flush().unwrap();
    assert_eq!(replaced(&store, "k"), [], "the two met, and the older replaced nothing");
    let second = head(&store, "k").set.siblings()[0].dot;
    mint(&store, "k", Change::Delete, None);
    mint(&store, "k", put("a value that lies apart"), None);
    mint(&store, "k", put("5"), Some(Context::default()));
    heads.flush().unwrap();
    assert_eq!(replaced(&store, "k"), [second], "what the three replaced together");
    let fifth = read(&store, "k");
    heads.compact(..).unwrap();
    assert_eq!(replaced(&store, "k"), [], "all is folded into one");
    assert_eq!(
        (read(&store, "k"), values(&fifth)),
        (fifth.clone(), vec!["5".into(), "a value that lies apart".into()])
    );
}

/// However flushes, compactions and reopenings cut a history into pieces: once all of it has met, no entry replaces anything.
#[test]
fn whatever_met_when_all_together_replaced_nothing() {
    let env = SimEnv::new();
    let mut store = open(&env, 1);
    let mut dice = Dice(5);
    for round in 0..300u64 {
        let key = format!("k{}", dice.below(12));
        let seen = (dice.below(3) == 0).then(Context::default);
        let change = if dice.below(5) == 0 { Change::Delete } else { put(&format!("value {round}")) };
        let before: Vec<Dot> = read(&store, &key).siblings().iter().map(|sibling| sibling.dot).collect();
        if !matches!(try_mint(&store, CAUSAL, &key, change, seen, Copy::Own).0, StoreOutcome::Failed(_)) {
            assert_eq!(replaced(&store, &key), before);
        }
        let heads = store.db().keyspace("causal.heads").unwrap();
        match dice.below(40) {
            0..=2 => heads.flush().unwrap(),
            3 => settle(&store),
            4 => {
                settle(&store);
                drop(heads);
                drop(store);
                store = open(&env, 100 + round);
            }
            _ => {}
        }
        if round % 25 == 0 {
            assert_folded(&env, &store);
        }
    }
}

/// Compacts a copy of the store whole.
fn assert_folded(env: &SimEnv, store: &Store) {
    settle(store);
    let folded = open(&env.kill(), 9_999);
    let heads = folded.db().keyspace("causal.heads").unwrap();
    heads.compact(..).unwrap();
    for entry in heads.range(..) {
        assert_eq!(HeadRecord::decode(&entry.unwrap().1).unwrap().prev, []);
    }
    let all = |store: &Store| store.page(CAUSAL, &[], usize::MAX, usize::MAX, true).unwrap().records;
    assert_eq!(all(&folded), all(store));
}
