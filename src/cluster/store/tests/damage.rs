//! Damage: what cannot be read is never taken for what is not there.

use super::*;
use crate::ring::Token;

fn unreadable(outcome: StoreOutcome) -> bool {
    matches!(outcome, StoreOutcome::Failed(StoreFailure::Unreadable(_)))
}

#[test]
fn flipped_bits_in_tables_are_unreadable_and_never_not_found() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    let keys: Vec<String> = (0..20).map(|i| format!("k{i}")).collect();
    for key in &keys {
        mint(&store, key, put(&format!("the value of {key}, lying apart")), None);
    }
    store.db().flush().unwrap();
    store.close().unwrap();
    drop(store);
    let tables: Vec<(String, u64)> =
        env.files().into_iter().filter(|(name, _)| name.ends_with(".sst")).collect();
    assert!(tables.len() >= 2, "{tables:?}");
    let (mut refused, mut dice) = (0, Dice(4));
    for (name, len) in &tables {
        for _ in 0..12 {
            let copy = env.kill();
            copy.flip(name, dice.below(*len), 1 << dice.below(8)).unwrap();
            let Ok(store) = Store::open("node", config(&copy), HERE, 2, NOW) else { continue };
            for key in &keys {
                let outcome = try_read(&store, CAUSAL, key, true);
                if unreadable(outcome.clone()) {
                    refused += 1;
                    assert!(store.get(CAUSAL, key.as_bytes(), NOW).is_err());
                } else {
                    assert_eq!(values(&set_of(outcome)), [format!("the value of {key}, lying apart")]);
                }
            }
        }
    }
    assert!(refused > 20, "the flips were met only {refused} times");
}

#[test]
fn a_record_or_value_that_is_not_what_was_written_is_unreadable() {
    let store = open(&SimEnv::new(), 1);
    let (heads, bodies) =
        (store.db().keyspace("causal.heads").unwrap(), store.db().keyspace("causal.bodies").unwrap());
    let spoil = |keyspace: &esker::Keyspace, value: Option<&[u8]>| {
        let (key, _) = keyspace.first().unwrap().unwrap();
        match value {
            Some(value) => keyspace.put(key, value).unwrap(),
            None => keyspace.delete(key).unwrap(),
        }
    };
    let seen = mint(&store, "k", put("the value that lies apart"), None);
    for value in [None, Some(&b"the value that lies apbrt"[..]), Some(b"short")] {
        spoil(&bodies, Some(b"anything"));
        spoil(&bodies, value);
        assert!(unreadable(try_read(&store, CAUSAL, "k", true)), "{value:?}");
        assert!(!unreadable(try_read(&store, CAUSAL, "k", false)), "the record is whole");
        assert!(unreadable(try_mint(&store, CAUSAL, "k", put("x"), Some(Context::default()), Copy::Own).0));
        let paged = store.page(CAUSAL, &[], 10, 1000, true);
        assert_eq!(paged.unwrap().unreadable, [Slice::from("k")]);
        bodies
            .put(
                bodies.first().unwrap().map_or_else(|| body_of(&seen), |(key, _)| key.to_vec()),
                "the value that lies apart",
            )
            .unwrap();
        assert_eq!(values(&read(&store, "k")), ["the value that lies apart"]);
    }
    spoil(&heads, Some(b"\x02what a newer version writes"));
    assert!(unreadable(try_read(&store, CAUSAL, "k", false)));
    assert!(unreadable(try_mint(&store, CAUSAL, "k", put("x"), None, Copy::Own).0));
    assert!(unreadable(try_join(&store, "k", &seen, Copy::Own).0));
    assert_eq!(store.page(CAUSAL, &[], 10, 1000, false).unwrap().unreadable, [Slice::from("k")]);
    heads.flush().unwrap();
    assert!(unreadable(try_read(&store, CAUSAL, "k", false)), "folding leaves it as it is");
}

fn body_of(set: &SiblingSet) -> Vec<u8> {
    let mut stored = Vec::new();
    layout::stored_key(&mut stored, Token::of_key(b"k"), b"k");
    layout::body_key(&stored, set.siblings()[0].dot)
}

#[test]
fn a_store_whose_identity_is_damaged_does_not_open() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    let node = store.db().keyspace("esker.node").unwrap();
    let identity = node.get("identity").unwrap().unwrap();
    for key in ["identity", "keyspaces"] {
        let whole = node.get(key).unwrap().unwrap();
        node.put(key, &whole[1..]).unwrap();
        let refused = Store::open("node", config(&env.kill()), HERE, 2, NOW).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        node.put(key, whole).unwrap();
    }
    assert_eq!(node.get("identity").unwrap().unwrap(), identity);
}
