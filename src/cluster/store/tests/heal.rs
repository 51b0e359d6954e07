//! Healing: what cannot be read gives way to what enough others have, and to nothing else.

use super::*;
use crate::causality::Dot;
use crate::ring::Token;

const LONG: &str = "a value that lies apart";

fn try_heal(store: &Store, key: &str, set: &SiblingSet) -> StoreOutcome {
    let (keyspace, key, set) = (CAUSAL, Slice::from(key), set.clone());
    store.execute(StoreOperation::Heal { keyspace, key, set, wall_millis: NOW }).0
}

fn heal(store: &Store, key: &str, set: &SiblingSet) -> bool {
    match try_heal(store, key, set) {
        StoreOutcome::Joined { changed } => changed,
        other => panic!("{other:?}"),
    }
}

fn stored(key: &str) -> Vec<u8> {
    let mut stored = Vec::new();
    layout::stored_key(&mut stored, Token::of_key(key.as_bytes()), key.as_bytes());
    stored
}

fn spoil_head(store: &Store, key: &str) {
    store.db().keyspace("causal.heads").unwrap().put(stored(key), b"\x01\xffnothing").unwrap();
    assert!(matches!(try_read(store, CAUSAL, key, false), StoreOutcome::Failed(StoreFailure::Unreadable(_))));
}

fn spoil_body(store: &Store, key: &str, dot: Dot) {
    let bodies = store.db().keyspace("causal.bodies").unwrap();
    bodies.put(layout::body_key(&stored(key), dot), b"nothing").unwrap();
    assert!(matches!(try_read(store, CAUSAL, key, true), StoreOutcome::Failed(StoreFailure::Unreadable(_))));
}

fn bodies(store: &Store) -> usize {
    store.db().keyspace("causal.bodies").unwrap().range(..).filter(Result::is_ok).count()
}

#[test]
fn a_damaged_record_gives_way_and_what_can_be_read_is_joined() {
    let (store, other) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    mint(&store, "k", put(LONG), None);
    let theirs = mint(&other, "k", put("theirs"), None);
    spoil_head(&store, "k");
    assert!(!matches!(try_join(&store, "k", &theirs, Copy::Own).0, StoreOutcome::Joined { .. }));
    assert!(heal(&store, "k", &theirs));
    assert_eq!(read(&store, "k"), theirs);
    assert_eq!(bodies(&store), 0, "the value that nobody knows of any more is gone");
    let both = mint(&store, "k", put("beside"), Some(Context::default()));
    assert!(!heal(&store, "k", &theirs), "it is all known");
    assert_eq!(read(&store, "k"), both, "a record that can be read loses nothing");
}

#[test]
fn a_damaged_value_is_written_again() {
    let (store, other) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    let set = mint(&store, "k", put(LONG), None);
    assert!(join(&other, "k", &set));
    let own = mint(&store, "k", put("known here alone"), Some(Context::default()));
    let actor = store.identity().actor;
    spoil_body(&store, "k", set.siblings()[0].dot);
    assert!(heal(&store, "k", &read(&other, "k")));
    assert_eq!(read(&store, "k"), own, "what can be read stays, though the others do not have it");
    assert_eq!(store.identity().actor, actor, "nothing was forgotten");
}

#[test]
fn a_damaged_value_that_nobody_else_has_goes_with_its_record() {
    let (store, other) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    let alone = mint(&store, "k", put(LONG), None);
    let theirs = mint(&other, "k", put("theirs"), None);
    spoil_body(&store, "k", alone.siblings()[0].dot);
    assert!(heal(&store, "k", &theirs));
    assert_eq!(read(&store, "k"), theirs);
}

/// A write that this store took and gave away just before may reach the others after they were asked. What the store takes then
/// must not say that it knows of it.
#[test]
fn what_a_store_takes_after_it_gave_up_a_record_replaces_nothing_that_it_forgot() {
    let (store, other) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    let first = mint(&store, "k", put("first"), None);
    assert!(join(&other, "k", &first));
    let under_way = mint(&store, "k", put("under way"), None);
    spoil_head(&store, "k");
    let stale = store.identity();
    assert!(heal(&store, "k", &read(&other, "k")));
    assert!(join(&other, "k", &under_way));
    // Whoever keeps an identity from before does not bring the old name back.
    assert!(matches!(store.execute(StoreOperation::Adopt(stale)).0, StoreOutcome::Done));
    let later = mint(&store, "k", put("later"), None);
    assert!(join(&other, "k", &later));
    assert_eq!(values(&read(&other, "k")), ["later", "under way"]);
    // One name is enough for all records that are given up before the next write.
    let named = store.identity().actor;
    for key in ["a", "b"] {
        spoil_head(&store, key);
        heal(&store, key, &SiblingSet::new());
    }
    assert_ne!(store.identity().actor, named);
    let named = store.identity().actor;
    spoil_head(&store, "c");
    heal(&store, "c", &SiblingSet::new());
    assert_eq!(store.identity().actor, named);
}

#[test]
fn a_record_of_a_newer_version_is_no_damage() {
    let (store, other) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    let theirs = mint(&other, "k", put("theirs"), None);
    let (heads, newer) = (store.db().keyspace("causal.heads").unwrap(), b"\x02what a newer version writes");
    heads.put(stored("k"), newer).unwrap();
    assert!(matches!(try_heal(&store, "k", &theirs), StoreOutcome::Failed(StoreFailure::Unreadable(_))));
    assert_eq!(heads.get(stored("k")).unwrap().unwrap(), newer[..]);
}

#[test]
fn what_is_sent_to_heal_must_be_whole() {
    let (store, other) = (open(&SimEnv::new(), 1), open(&SimEnv::new(), 2));
    mint(&other, "k", put(LONG), None);
    let without_bytes = set_of(try_read(&other, CAUSAL, "k", false));
    spoil_head(&store, "k");
    assert!(matches!(try_heal(&store, "k", &without_bytes), StoreOutcome::Failed(StoreFailure::Engine(_))));
}

#[test]
fn a_page_passes_over_what_cannot_be_read_and_says_which_keys() {
    let store = open(&SimEnv::new(), 1);
    let keys: Vec<String> = (0..20).map(|i| format!("k{i}")).collect();
    for key in &keys {
        mint(&store, key, put(&format!("the value of {key}, lying apart")), None);
    }
    spoil_head(&store, "k3");
    spoil_body(&store, "k7", read(&store, "k7").siblings()[0].dot);
    for records in [1, 6, 100] {
        let (mut from, mut read, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let page = store.page(CAUSAL, &from, records, 1 << 20, true).unwrap();
            assert!(!page.gap && page.records.len() + page.unreadable.len() <= records);
            read.extend(page.records.iter().map(|record| String::from_utf8_lossy(&record.key).into_owned()));
            unreadable.extend(page.unreadable.iter().map(|key| String::from_utf8_lossy(key).into_owned()));
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        unreadable.sort();
        assert_eq!(unreadable, ["k3", "k7"]);
        assert_eq!(read.len(), 18);
    }
    let heads_only = store.page(CAUSAL, &[], 100, 1 << 20, false).unwrap();
    assert_eq!(heads_only.unreadable, [Slice::from("k3")]);
}

/// A block that cannot be read hides its keys. The page goes on behind it, and says that something is missing.
#[test]
fn a_page_goes_on_behind_a_damaged_block() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    let keys: Vec<String> = (0..3000).map(|i| format!("key number {i}")).collect();
    for key in &keys {
        mint(&store, key, put("short"), None);
    }
    store.db().flush().unwrap();
    store.close().unwrap();
    drop(store);
    let files = env.files().into_iter().filter(|(name, _)| name.ends_with(".sst"));
    let (table, len) = files.max_by_key(|(_, len)| *len).unwrap();
    let mut met = 0;
    for place in 1..8 {
        let copy = env.kill();
        copy.flip(&table, len * place / 8, 1).unwrap();
        let Ok(store) = Store::open("node", config(&copy), HERE, 2, NOW) else { continue };
        let page = store.page(CAUSAL, &[], usize::MAX, usize::MAX, true).unwrap();
        assert!(page.unreadable.is_empty() && page.next.is_none());
        if !page.gap {
            continue;
        }
        met += 1;
        let lost = keys.len() - page.records.len();
        assert!((1..500).contains(&lost), "{lost} of the records are in one block");
        for key in &keys {
            let in_page = page.records.iter().any(|record| *record.key == *key.as_bytes());
            assert_eq!(
                in_page,
                matches!(try_read(&store, CAUSAL, key, true), StoreOutcome::Set { .. }),
                "{key}"
            );
        }
    }
    assert!(met > 3, "the block of a page was damaged {met} times");
}
