//! What replaces what, through the store.

use super::*;
use crate::causality::{Actor, Body, Content, Dot, MILLIS_SHIFT};

#[test]
fn blind_puts_through_one_store_replace_each_other() {
    let store = open(&SimEnv::new(), 1);
    for i in 0..10 {
        let set = mint(&store, "k", put(&format!("v{i}")), None);
        assert_eq!(values(&set), [format!("v{i}")]);
    }
    let set = read(&store, "k");
    assert_eq!((values(&set), set.clock().len()), (vec!["v9".to_owned()], 1));
    assert!(read(&store, "other").is_empty());
}

#[test]
fn a_context_replaces_what_it_has_seen_and_no_more() {
    let store = open(&SimEnv::new(), 1);
    let first = mint(&store, "k", put("a"), None);
    let second = mint(&store, "k", put("b"), Some(context(&first)));
    assert_eq!(values(&second), ["b"]);
    let stale = mint(&store, "k", put("a value that lies apart"), Some(context(&first)));
    assert_eq!(values(&stale), ["a value that lies apart", "b"]);
    let nothing_seen = mint(&store, "k", put("d"), Some(Context::default()));
    assert_eq!(values(&nothing_seen), ["a value that lies apart", "b", "d"], "all with their bytes");
    let full = mint(&store, "k", put("all"), Some(context(&nothing_seen)));
    assert_eq!(values(&full), ["all"]);
    assert_eq!(read(&store, "k"), full);
}

#[test]
fn too_many_siblings_are_refused_and_never_dropped() {
    let store = open(&SimEnv::new(), 1);
    for i in 0..4 {
        mint(&store, "k", put(&i.to_string()), Some(Context::default()));
    }
    let refused = try_mint(&store, CAUSAL, "k", put("5"), Some(Context::default()), Copy::Own).0;
    assert_eq!(failure_of(refused), StoreFailure::TooManySiblings { siblings: 4 });
    assert_eq!(values(&read(&store, "k")), ["0", "1", "2", "3"]);
    let seen = context(&read(&store, "k"));
    assert_eq!(values(&mint(&store, "k", put("one"), Some(seen))), ["one"]);
}

#[test]
fn a_delete_leaves_a_tombstone_and_expiry_hides_without_removing() {
    let store = open(&SimEnv::new(), 1);
    mint(&store, "k", put("v"), None);
    let deleted = mint(&store, "k", Change::Delete, None);
    assert_eq!(values(&deleted), ["-"]);
    assert_eq!(store.get(CAUSAL, b"k", NOW).unwrap(), None);
    mint(&store, "e", Change::Put { value: "soon".into(), expires_at: Some(NOW + 5) }, None);
    assert_eq!(store.get(CAUSAL, b"e", NOW + 4).unwrap(), Some(("soon".into(), Some(NOW + 5))));
    assert_eq!(store.get(CAUSAL, b"e", NOW + 5).unwrap(), None);
    assert_eq!(values(&read(&store, "e")), ["soon"], "it is hidden, and still there");
}

#[test]
fn two_stores_that_exchange_what_they_know_are_equal() {
    let (a, b) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    let at_a = mint(&a, "k", put("from a, and long enough to lie apart"), None);
    let at_b = mint(&b, "k", put("from b"), None);
    assert!(join(&a, "k", &at_b) && join(&b, "k", &at_a));
    assert_eq!(read(&a, "k"), read(&b, "k"));
    assert_eq!(values(&read(&a, "k")), ["from a, and long enough to lie apart", "from b"]);
    assert!(!join(&a, "k", &at_b), "it is known");
    let both = read(&a, "k");
    let merged = mint(&b, "k", put("merged"), Some(context(&both)));
    assert!(join(&a, "k", &merged) && !join(&a, "k", &at_a));
    assert_eq!(values(&read(&a, "k")), ["merged"]);
}

#[test]
fn the_last_write_wins_where_the_keyspace_says_so() {
    let (a, b) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    let mint =
        |store: &Store, value: &str, seen| set_of(try_mint(store, LWW, "k", put(value), seen, Copy::Own).0);
    let join = |store: &Store, set: &SiblingSet| {
        let (keyspace, key, copy, durability) = (LWW, Slice::from("k"), Copy::Own, Durability::Synced);
        let set = set.clone();
        store.execute(StoreOperation::Join { keyspace, key, set, copy, durability, wall_millis: NOW })
    };
    let from_a = mint(&a, "a", None);
    mint(&a, "again", None);
    let from_b = mint(&b, "b", Some(Context::default()));
    join(&b, &from_a);
    let after = mint(&b, "later", Some(Context::default()));
    assert_eq!(values(&after), ["later"]);
    join(&a, &after);
    join(&a, &from_b);
    let at_a = set_of(try_read(&a, LWW, "k", true));
    assert_eq!(at_a.siblings().len(), 1);
    assert!(after.siblings()[0].dot.counter > from_a.siblings()[0].dot.counter);
}

#[test]
fn clocks_that_lead_too_far_are_refused_wherever_they_come_from() {
    let store = open(&SimEnv::new(), 1);
    let day = StoreConfig::default().max_clock_lead_millis;
    let ahead = |millis: u64| Dot { actor: Actor(9), counter: (NOW + millis) << MILLIS_SHIFT };
    let set = |millis| {
        SiblingSet::from_parts(VectorClock::new(), vec![Sibling::value(ahead(millis), "v".into(), None)])
    };
    assert!(join(&store, "k", &set(day)));
    let refused = failure_of(try_join(&store, "l", &set(day + 1), Copy::Own).0);
    assert_eq!(refused, StoreFailure::ClockTooFarAhead { lead_millis: day + 1 });
    let seen = Some(Context::from([ahead(day + 7)].into_iter().collect::<VectorClock>()));
    let refused = failure_of(try_mint(&store, CAUSAL, "l", put("v"), seen.clone(), Copy::Own).0);
    assert_eq!(refused, StoreFailure::ClockTooFarAhead { lead_millis: day + 7 });
    let refused = failure_of(try_mint(&store, CAUSAL, "l", put("v"), seen, Copy::For(TARGET)).0);
    assert_eq!(refused, StoreFailure::ClockTooFarAhead { lead_millis: day + 7 });
    assert!(read(&store, "l").is_empty());
}

#[test]
fn sets_without_their_bytes_are_refused() {
    let store = open(&SimEnv::new(), 1);
    let dot = Dot { actor: Actor(9), counter: 1 };
    for copy in [Copy::Own, Copy::For(TARGET)] {
        let value = Sibling::value(dot, "v".into(), None);
        let contents = [
            Content::Value { hash: 1, len: 1, body: Body::Here("v".into()) },
            Content::Value { hash: xxhash_rust::xxh3::xxh3_64(b"v"), len: 2, body: Body::Here("v".into()) },
            Content::Value { hash: 1, len: 1, body: Body::Elsewhere },
        ];
        for content in contents {
            let set = SiblingSet::from_parts(VectorClock::new(), vec![Sibling { content, ..value.clone() }]);
            assert!(matches!(failure_of(try_join(&store, "k", &set, copy).0), StoreFailure::Engine(_)));
        }
    }
    assert!(read(&store, "k").is_empty());
}

#[test]
fn an_unchanged_join_is_durable_only_when_what_it_rests_on_is() {
    let env = SimEnv::new();
    let (store, other) = (open(&env, 1), open(&SimEnv::new(), 2));
    let set = mint(&other, "k", put("v"), None);
    settle(&store);
    let (_, first) = try_join(&store, "k", &set, Copy::Own);
    let (outcome, again) = try_join(&store, "k", &set, Copy::Own);
    assert!(matches!(outcome, StoreOutcome::Joined { changed: false }));
    assert!(first.unwrap().poll().is_none());
    let again = again.unwrap();
    assert!(again.poll().is_none(), "the write that it rests on is not durable");
    settle(&store);
    assert!(matches!(again.poll(), Some(Ok(()))));
    let lost = open(&env.power_loss(esker::testing::CrashMode::LoseAll), 3);
    assert_eq!(values(&read(&lost, "k")), ["v"]);
}

#[test]
fn clocks_are_truncated_by_puts_and_that_is_counted() {
    let env = SimEnv::new();
    let config = StoreConfig { max_clock_entries: 3, ..config(&env) };
    let store = Store::open("node", config, HERE, 1, NOW).unwrap();
    store.execute(StoreOperation::KeepClusterState { bytes: Vec::new(), keyspaces: definitions() });
    let clock: VectorClock = (1..=5).map(|actor| Dot { actor: Actor(actor), counter: 10 + actor }).collect();
    let set = SiblingSet::from_parts(
        clock,
        vec![Sibling::value(Dot { actor: Actor(1), counter: 11 }, "v".into(), None)],
    );
    assert!(join(&store, "k", &set));
    assert_eq!(read(&store, "k").clock().len(), 5, "a join keeps all");
    match try_mint(&store, CAUSAL, "k", put("w"), Some(Context::default()), Copy::Own).0 {
        StoreOutcome::Minted { set, truncated, .. } => {
            assert_eq!((set.clock().len(), truncated, values(&set)), (3, 3, vec!["v".into(), "w".into()]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_too_long_or_unknown_is_refused() {
    let store = open(&SimEnv::new(), 1);
    let key = "k".repeat(MAX_USER_KEY_LEN);
    mint(&store, &key, put("a value that lies apart"), None);
    assert_eq!(values(&read(&store, &key)), ["a value that lies apart"]);
    set_of(try_mint(&store, CAUSAL, &key, put("v"), None, Copy::For(TARGET)).0);
    let longer = format!("{key}k");
    assert!(matches!(
        failure_of(try_mint(&store, CAUSAL, &longer, put("v"), None, Copy::Own).0),
        StoreFailure::TooLong(_)
    ));
    let huge = Change::Put { value: vec![0; 3 << 20].into(), expires_at: None };
    assert!(matches!(
        failure_of(try_mint(&store, CAUSAL, "k", huge, None, Copy::Own).0),
        StoreFailure::TooLong(_)
    ));
    let unknown = failure_of(try_mint(&store, KeyspaceId(1), "k", put("v"), None, Copy::Own).0);
    assert_eq!(unknown, StoreFailure::NoSuchKeyspace(KeyspaceId(1)));
}
