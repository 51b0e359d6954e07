//! Hints: kept, listed, delivered, dropped, bounded.

use super::*;
use esker::testing::CrashMode;

fn mark(store: &Store, target: NodeId, key: &str) -> (u64, bool) {
    let (keyspace, key) = (CAUSAL, Slice::from(key));
    match store.execute(StoreOperation::KeepMarker { target, keyspace, key, wall_millis: NOW }).0 {
        StoreOutcome::Hinted { waiting, overflowed } => (waiting, overflowed),
        other => panic!("{other:?}"),
    }
}

fn list(store: &Store, target: NodeId, after: Option<HintKey>, limit: usize) -> Vec<Hint> {
    match store.execute(StoreOperation::Hints { target, after, limit }).0 {
        StoreOutcome::Hints { hints, unreadable } if unreadable.is_empty() => hints,
        other => panic!("{other:?}"),
    }
}

fn forget(store: &Store, hint: &Hint) -> u64 {
    match store.execute(StoreOperation::DropHint { hint: hint.key.clone(), stamp: hint.stamp }).0 {
        StoreOutcome::Hinted { waiting, overflowed: false } => waiting,
        other => panic!("{other:?}"),
    }
}

fn mint_for(store: &Store, target: NodeId, key: &str, value: &str) -> SiblingSet {
    set_of(try_mint(store, CAUSAL, key, put(value), None, Copy::For(target)).0)
}

#[test]
fn a_marker_sends_what_the_store_has_when_it_is_listed() {
    let store = open(&SimEnv::new(), 1);
    mint(&store, "k", put("missed"), None);
    assert_eq!(mark(&store, TARGET, "k"), (1, false));
    assert_eq!(mark(&store, TARGET, "k"), (1, false), "one marker is enough");
    assert_eq!(mark(&store, NodeId(1), "k"), (1, false));
    mint(&store, "k", put("later, and lying apart from the record"), None);
    let listed = list(&store, TARGET, None, 10);
    assert_eq!(values(&listed[0].set), ["later, and lying apart from the record"]);
    assert_eq!(store.hints_waiting(), [(TARGET, 1), (NodeId(1), 1)].into_iter().collect());
    assert_eq!(forget(&store, &listed[0]), 0);
    assert_eq!(forget(&store, &listed[0]), 0, "once more does no harm");
    assert!(list(&store, TARGET, None, 10).is_empty());
    assert_eq!(store.hints_waiting(), [(NodeId(1), 1)].into_iter().collect());
}

#[test]
fn a_miss_while_the_replay_is_in_flight_is_not_forgotten() {
    let store = open(&SimEnv::new(), 1);
    mint(&store, "k", put("first"), None);
    mark(&store, TARGET, "k");
    let in_flight = list(&store, TARGET, None, 10);
    mint(&store, "k", put("second"), None);
    mark(&store, TARGET, "k");
    assert_eq!(forget(&store, &in_flight[0]), 1, "the second miss keeps it");
    let again = list(&store, TARGET, None, 10);
    assert_eq!(values(&again[0].set), ["second"]);
    assert_eq!(forget(&store, &again[0]), 0);

    mint_for(&store, TARGET, "value", "first");
    let in_flight = list(&store, TARGET, None, 10);
    mint_for(&store, TARGET, "value", "second");
    assert_eq!(forget(&store, &in_flight[0]), 1);
    assert_eq!(values(&list(&store, TARGET, None, 10)[0].set), ["second"]);
}

#[test]
fn a_copy_for_another_is_apart_from_the_own_record() {
    let store = open(&SimEnv::new(), 1);
    let first = mint_for(&store, TARGET, "k", "a value longer than what lies inline");
    assert!(read(&store, "k").is_empty());
    let second = try_mint(&store, CAUSAL, "k", put("beside"), Some(Context::default()), Copy::For(TARGET)).0;
    assert_eq!(values(&set_of(second)), ["a value longer than what lies inline", "beside"]);
    let foreign = mint(&open(&SimEnv::new(), 2), "k", put("foreign"), None);
    let (outcome, commit) = try_join(&store, "k", &foreign, Copy::For(TARGET));
    assert!(matches!(outcome, StoreOutcome::Joined { changed: true }) && commit.is_some());
    let (outcome, commit) = try_join(&store, "k", &foreign, Copy::For(TARGET));
    assert!(matches!(outcome, StoreOutcome::Joined { changed: false }) && commit.is_some());
    mint(&store, "k", put("own"), None);
    mark(&store, TARGET, "k");
    let listed = list(&store, TARGET, None, 10);
    assert_eq!(listed.len(), 1);
    assert_eq!(values(&listed[0].set), ["a value longer than what lies inline", "beside", "foreign", "own"]);
    assert!(listed[0].set.clock().covers_all(first.clock()));
}

/// A store forgets a copy once it is delivered. What it writes afterwards must not claim to have seen it.
#[test]
fn a_delivered_copy_is_not_covered_by_later_writes() {
    let (store, target) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    mint_for(&store, TARGET, "k", "delivered");
    let listed = list(&store, TARGET, None, 1);
    assert!(join(&target, "k", &listed[0].set));
    forget(&store, &listed[0]);
    let later = mint_for(&store, TARGET, "k", "blind");
    let for_another = mint_for(&store, NodeId(5), "k", "for another");
    let own = mint(&store, "k", put("own"), None);
    for set in [&later, &for_another, &own] {
        assert!(join(&target, "k", set));
    }
    assert_eq!(values(&read(&target, "k")), ["blind", "delivered", "for another", "own"]);
}

/// The same after a crash that took the last write into the copy, which others have.
#[test]
fn a_write_that_a_copy_lost_is_not_covered_by_later_ones() {
    let env = SimEnv::new();
    let (store, target) = (open(&env, 1), open(&SimEnv::new(), 2));
    mint_for(&store, TARGET, "k", "first");
    settle(&store);
    let lost = try_mint(&store, CAUSAL, "k", put("lost"), Some(Context::default()), Copy::For(TARGET)).0;
    let lost = set_of(lost);
    let store = open(&env.kill(), 3);
    assert_eq!(values(&list(&store, TARGET, None, 1)[0].set), ["first"], "the test loses a write");
    let later = mint_for(&store, TARGET, "k", "later");
    assert!(join(&target, "k", &lost) && join(&target, "k", &later));
    assert_eq!(values(&read(&target, "k")), ["later", "lost"]);
}

#[test]
fn hints_are_listed_in_pieces_and_counted_again_after_a_crash() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    for i in 0..25 {
        mint(&store, &format!("k{i}"), put("v"), None);
        mark(&store, TARGET, &format!("k{i}"));
        mint_for(&store, NodeId(TARGET.0 + 1), &format!("k{i}"), "other target");
    }
    settle(&store);
    let stamp = list(&store, TARGET, None, 25).iter().map(|hint| hint.stamp).max().unwrap();
    let store = open(&env.power_loss(CrashMode::LoseAll), 2);
    assert_eq!(store.hints_waiting(), [(TARGET, 25), (NodeId(TARGET.0 + 1), 25)].into_iter().collect());
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let listed = list(&store, TARGET, after.clone(), 4);
        let Some(last) = listed.last() else { break };
        assert!(listed.len() <= 4);
        after = Some(last.key.clone());
        for hint in &listed {
            assert_eq!(values(&hint.set), ["v"]);
            forget(&store, hint);
            seen.push(hint.key.key.to_vec());
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    mark(&store, TARGET, "k1");
    assert!(list(&store, TARGET, None, 1)[0].stamp > stamp, "a stamp is given once");
}

#[test]
fn what_there_is_no_room_for_is_noted_by_its_part_of_the_ring() {
    let env = SimEnv::new();
    let config = StoreConfig { hint_limit_entries: 2, hint_limit_bytes: 400, ..config(&env) };
    let store = Store::open("node", config.clone(), HERE, 1, NOW).unwrap();
    store.execute(StoreOperation::KeepClusterState { bytes: Vec::new(), keyspaces: definitions() });
    assert_eq!((mark(&store, TARGET, "a"), mark(&store, TARGET, "b")), ((1, false), (2, false)));
    assert_eq!(mark(&store, TARGET, "c"), (2, true));
    assert_eq!(mark(&store, TARGET, "a"), (2, false), "the one that is there takes no more room");
    let bucket = |key: &str| (crate::ring::Token::of_key(key.as_bytes()).0 >> 52) as u16;
    assert_eq!(store.dirty_buckets(), [(TARGET, bucket("c"))]);
    assert_eq!(mark(&store, NodeId(1), "c"), (1, false), "each target has its own room");
    let large = "x".repeat(500);
    let refused = try_mint(&store, CAUSAL, "c", put(&large), None, Copy::For(NodeId(1))).0;
    assert!(matches!(failure_of(refused), StoreFailure::Engine(_)));
    assert_eq!(store.hints_waiting()[&NodeId(1)], 1);
    settle(&store);
    drop(store);
    let lost = env.power_loss(CrashMode::LoseAll);
    let config = StoreConfig { env: Arc::new(lost), ..config };
    let store = Store::open("node", config, HERE, 2, NOW).unwrap();
    let mut expected = vec![(TARGET, bucket("c")), (NodeId(1), bucket("c"))];
    expected.sort();
    assert_eq!(store.dirty_buckets(), expected);
    let listed = list(&store, TARGET, None, 1);
    forget(&store, &listed[0]);
    assert_eq!(mark(&store, TARGET, "c"), (2, false), "there is room again");
}
