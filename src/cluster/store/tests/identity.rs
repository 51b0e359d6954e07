//! Who a store is after whatever happened to it: no dot is ever given twice, and none is given under a name whose writes
//! may be lost.

use super::*;
use crate::causality::{HybridClock, LEASE_MILLIS};
use esker::testing::CrashMode;

/// Makes the store a member of a cluster of several.
fn join_cluster(store: &Store) {
    let identity = Identity { cluster: 5, alone: false, ..store.identity() };
    assert!(matches!(store.execute(StoreOperation::Adopt(identity)), (StoreOutcome::Done, None)));
}

#[test]
fn a_store_that_was_closed_goes_on_as_it_was() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    join_cluster(&store);
    let before = store.identity();
    let last = mint(&store, "k", put("v"), None).siblings()[0].dot;
    store.close().unwrap();
    assert!(store.is_writable().is_err());
    drop(store);
    let store = open_as(&env, Continuity { boot: 2, ..HERE }, 2);
    let expected = Identity { generation: before.generation + 1, boot: 2, ..before };
    assert_eq!(store.identity(), expected);
    assert_eq!(store.cluster_state_bytes().unwrap(), b"state");
    let next = mint(&store, "k", put("w"), None).siblings()[0].dot;
    assert_eq!(next.actor, last.actor);
    assert_eq!(next.counter, last.counter + 1, "the clock goes on where it was, not at the end of its lease");
}

#[test]
fn an_unsynced_tail_that_is_lost_is_not_claimed_under_the_same_name() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    join_cluster(&store);
    settle(&store);
    let seen_by_others = mint(&store, "k", put("not synced here, acknowledged elsewhere"), None);
    let after = env.power_loss(CrashMode::LoseAll);
    drop(store);
    let store = open_as(&after, Continuity { boot: 2, ..HERE }, 2);
    assert!(store.identity().ready, "what was acknowledged as synced is there");
    assert!(read(&store, "k").is_empty(), "the test loses the write");
    let blind = mint(&store, "k", put("blind"), None);
    assert_ne!(blind.siblings()[0].dot.actor, seen_by_others.siblings()[0].dot.actor);
    assert!(join(&store, "k", &seen_by_others));
    assert_eq!(values(&read(&store, "k")), ["blind", "not synced here, acknowledged elsewhere"]);
}

#[test]
fn a_killed_process_takes_a_new_name_too() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    settle(&store);
    let before = store.identity();
    // Visible, sent to others, and not yet handed to the operating system.
    let sent = mint(&store, "k", put("v"), None);
    let killed = env.kill();
    drop(store);
    let store = open(&killed, 2);
    assert!(store.identity().ready && store.identity().node == before.node);
    assert_ne!(store.identity().actor, before.actor);
    assert!(read(&store, "k").is_empty(), "the test loses the write");
    mint(&store, "k", put("blind"), None);
    assert!(join(&store, "k", &sent));
    assert_eq!(values(&read(&store, "k")), ["blind", "v"]);
}

#[test]
fn a_copied_directory_is_somebody_else_and_not_ready() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    join_cluster(&store);
    let before = store.identity();
    store.close().unwrap();
    drop(store);
    let copies: Vec<Identity> = (2..4)
        .map(|entropy| {
            let copy = env.power_loss(CrashMode::KeepAll);
            open_as(&copy, Continuity { fingerprint: entropy, boot: 1 }, entropy).identity()
        })
        .collect();
    for copy in &copies {
        assert!(!copy.ready && copy.actor != before.actor && copy.node == before.node);
    }
    assert_ne!(copies[0].actor, copies[1].actor, "both are started");
    // It stays so until somebody says otherwise.
    let copy = env.power_loss(CrashMode::KeepAll);
    let store = open_as(&copy, Continuity { fingerprint: 9, boot: 1 }, 9);
    store.close().unwrap();
    drop(store);
    let store = open_as(&copy, Continuity { fingerprint: 9, boot: 1 }, 10);
    assert!(!store.identity().ready);
    let rebuilt = Identity { ready: true, ..store.identity() };
    store.execute(StoreOperation::Adopt(rebuilt));
    assert!(store.identity().ready);
}

#[test]
fn a_copy_of_a_store_that_is_alone_has_nothing_to_learn() {
    let env = SimEnv::new();
    let actor = open(&env, 1).identity().actor;
    let store = open_as(&env, Continuity { fingerprint: 2, boot: 1 }, 2);
    assert!(store.identity().ready && store.identity().actor != actor);
}

#[test]
fn counters_stay_above_the_lease_whatever_the_clock_says() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    let mint_at = |store: &Store, wall_millis: u64| {
        let (keyspace, key, change, seen) = (CAUSAL, Slice::from("k"), put("v"), None);
        let (copy, durability) = (Copy::Own, Durability::Synced);
        let mint = StoreOperation::Mint { keyspace, key, change, seen, copy, durability, wall_millis };
        set_of(store.execute(mint).0).siblings().iter().map(|s| s.dot.counter).max().unwrap()
    };
    let mut last = 0;
    for step in 0..100 {
        last = mint_at(&store, NOW + step * 7_000);
    }
    settle(&store);
    let after = env.power_loss(CrashMode::LoseAll);
    drop(store);
    let store = open(&after, 2);
    let back = mint_at(&store, NOW - 3_600_000);
    assert!(back > last, "a clock that was set back gives no counter again");
    assert!(back <= HybridClock::lease_for(last) + 1, "and does not run far ahead");
    assert!(mint_at(&store, NOW - 3_600_000) == back + 1);
}

#[test]
fn after_a_crash_the_clock_is_ahead_by_less_than_its_lease() {
    let write_at = |store: &Store, value: &str, wall_millis| {
        let (keyspace, key, change, seen) = (LWW, Slice::from("k"), put(value), None);
        let (copy, durability) = (Copy::Own, Durability::Synced);
        set_of(
            store
                .execute(StoreOperation::Mint { keyspace, key, change, seen, copy, durability, wall_millis })
                .0,
        )
    };
    for started_after in [1, LEASE_MILLIS / 2, 2 * LEASE_MILLIS] {
        let env = SimEnv::new();
        let store = open(&env, 1);
        write_at(&store, "before", NOW);
        settle(&store);
        let store = open(&env.power_loss(CrashMode::LoseAll), 2);
        let first = write_at(&store, "right after the start", NOW + started_after);
        let later = write_at(&open(&SimEnv::new(), 7), "later", NOW + started_after + LEASE_MILLIS + 1);
        let mut set = first.clone();
        set.join(&later, ConflictMode::LastWriteWins);
        assert_eq!(values(&set), ["later"], "started after {started_after} ms");
    }
}

#[test]
fn identities_are_durable_when_they_are_taken() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    let adopted =
        Identity { node: NodeId(77), cluster: 1 << 100, generation: 40, alone: false, ..store.identity() };
    let strange = Identity { fingerprint: 99, boot: 99, clean: true, ..adopted.clone() };
    store.execute(StoreOperation::Adopt(strange));
    assert_eq!(store.identity(), adopted, "the directory stays what it is");
    let renewed = store.renew(false).unwrap();
    assert!(renewed.actor != adopted.actor && renewed.generation == 41 && !renewed.ready);
    assert_eq!(mint(&store, "k", put("v"), None).siblings()[0].dot.actor, renewed.actor);
    let store = open(&env.power_loss(CrashMode::LoseAll), 2);
    let identity = store.identity();
    assert_eq!((identity.node, identity.cluster, identity.generation), (NodeId(77), 1 << 100, 42));
    assert!(!identity.ready && identity.actor != renewed.actor);
}

/// The mark that the store has told others.
fn told(store: &Store, marks: &[(NodeId, u64)]) -> u64 {
    let (outcome, commit) = store.execute(StoreOperation::KeepMarks(marks.to_vec()));
    let StoreOutcome::Mark(mark) = outcome else { panic!("{outcome:?}") };
    settle(store);
    assert!(matches!(commit.unwrap().poll(), Some(Ok(()))));
    mark
}

#[test]
fn an_older_copy_in_the_same_place_claims_less_than_was_told() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    join_cluster(&store);
    let vouched = |store: &Store| Identity { vouched: true, ..store.identity() };
    store.execute(StoreOperation::Adopt(vouched(&store)));
    mint(&store, "k", put("in the copy"), None);
    settle(&store);
    let copy = env.kill();
    join(&store, "k", &mint(&open(&SimEnv::new(), 9), "k", put("of another, not in the copy"), None));
    let mark = told(&store, &[]);
    let whole = open(&env.power_loss(CrashMode::LoseAll), 2);
    assert!(whole.identity().claim >= mark, "what was told is durable");
    // However often the copy is opened and written to: nobody has vouched for it.
    let mut identity = open(&copy, 3).identity();
    for entropy in 4..20 {
        let store = open(&copy, entropy);
        identity = store.identity();
        mint(&store, "other", put("v"), None);
        settle(&store);
    }
    assert!(identity.ready && identity.claim < mark, "{identity:?} {mark}");
    // Once it has learned what it missed it counts on from there.
    let store = open(&copy, 20);
    store.execute(StoreOperation::Adopt(Identity { claim: mark + 1_000, ..vouched(&store) }));
    assert!(told(&store, &[]) >= mark + 1_000);
    let store = open(&copy.power_loss(CrashMode::LoseAll), 21);
    assert!(store.identity().claim >= mark + 1_000);
}

#[test]
fn to_keep_the_marks_of_others_is_no_progress() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    mint(&store, "k", put("v"), None);
    let mark = told(&store, &[]);
    for of_others in 1..5 {
        assert_eq!(told(&store, &[(NodeId(7), of_others)]), mark, "idle nodes come to rest");
    }
    mint(&store, "k", put("w"), None);
    assert!(told(&store, &[(NodeId(7), 4)]) > mark);
    let store = open(&env.power_loss(CrashMode::LoseAll), 2);
    assert_eq!(store.marks(), [(NodeId(7), 4)]);
}

#[test]
fn a_full_disk_makes_the_store_read_only() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    mint(&store, "k", put("v"), None);
    settle(&store);
    store.is_writable().unwrap();
    env.fail_from(env.calls(), esker::testing::Fault::NoSpace);
    let mut last = None;
    for _ in 0..3 {
        let (outcome, commit) = try_mint(&store, CAUSAL, "k", put("w"), None, Copy::Own);
        let told = commit.map(|commit| commit.wait());
        last = Some(outcome);
        if let Some(result) = told {
            assert!(result.is_err(), "nothing can become durable");
        }
    }
    assert!(matches!(failure_of(last.unwrap()), StoreFailure::ReadOnly(_)));
    assert!(store.is_writable().is_err());
    let other = open(&SimEnv::new(), 2);
    let set = mint(&other, "k", put("v"), None);
    assert!(matches!(failure_of(try_join(&store, "k", &set, Copy::Own).0), StoreFailure::ReadOnly(_)));
    assert!(!read(&store, "k").is_empty(), "reads go on");
    assert!(store.close().is_err());
}

#[test]
fn identity_bytes_round_trip_and_garbage_is_refused() {
    let identity = open(&SimEnv::new(), 1).identity();
    let bytes = identity.encode(42);
    assert_eq!(Identity::decode(&bytes), Some((identity, 42)));
    for cut in 0..bytes.len() {
        assert_eq!(Identity::decode(&bytes[..cut]), None);
    }
    let mut dice = Dice(3);
    for _ in 0..2000 {
        let noise: Vec<u8> = (0..dice.below(80)).map(|_| dice.below(256) as u8).collect();
        let _ = Identity::decode(&noise);
        let _ = registry::decode(&noise);
    }
    let definitions = definitions();
    let bytes = registry::encode(definitions.iter());
    assert_eq!(registry::decode(&bytes), Some(definitions));
    assert!((0..bytes.len()).all(|cut| registry::decode(&bytes[..cut]).is_none()));
}

#[test]
fn keyspaces_are_kept_and_names_are_not_taken_over() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    mint(&store, "k", put("v"), None);
    assert_eq!(store.db().keyspace("causal.heads").unwrap().kind(), REPLICATED_KIND);
    assert_eq!(store.db().keyspace("esker.node").unwrap().kind(), INTERNAL_KIND);
    let keep = |store: &Store, keyspaces| {
        store.execute(StoreOperation::KeepClusterState { bytes: vec![1], keyspaces }).0
    };
    let mut changed = definitions();
    changed[0].id = KeyspaceId(70);
    assert!(matches!(failure_of(keep(&store, changed)), StoreFailure::Engine(_)));
    let mut internal = definitions();
    internal[0].name = "esker.node".to_owned();
    internal[0].id = KeyspaceId(71);
    assert!(matches!(failure_of(keep(&store, internal)), StoreFailure::Engine(_)));
    assert_eq!(store.keyspaces(), definitions());
    let mut fewer = definitions();
    fewer[1].replicas = 2;
    assert!(matches!(keep(&store, fewer.clone()), StoreOutcome::Done));
    let store = open(&env.power_loss(CrashMode::LoseAll), 2);
    assert_eq!((store.keyspaces(), store.cluster_state_bytes()), (fewer, Some(vec![1])));
}
