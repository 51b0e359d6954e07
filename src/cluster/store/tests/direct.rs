//! Reads and read-modify-writes without a cluster around them.

use super::*;
use esker::LocalEnv;
use esker::testing::CrashMode;

fn increment(store: &Store, key: &[u8]) -> u64 {
    let number =
        |value: Option<&[u8]>| value.map_or(0, |v| std::str::from_utf8(v).unwrap().parse::<u64>().unwrap());
    let change = |value: Option<&[u8]>, expires_at| {
        let next = number(value) + 1;
        (Update::Put { value: next.to_string().into_bytes().into(), expires_at }, next)
    };
    store.update(CAUSAL, key, NOW, Durability::Buffered, change).unwrap().0
}

#[test]
fn four_threads_that_count_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { env: Arc::new(LocalEnv), memory_budget: 16 << 20, ..StoreConfig::default() };
    let store = Store::open(dir.path(), config, HERE, 1, NOW).unwrap();
    store.execute(StoreOperation::KeepClusterState { bytes: Vec::new(), keyspaces: definitions() });
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..500u32 {
                    increment(store, b"shared");
                    increment(store, &[b'k', (round % 7) as u8]);
                    increment(store, &[thread]);
                }
            });
        }
    });
    let value = |key: &[u8]| store.get(CAUSAL, key, NOW).unwrap().unwrap().0;
    assert_eq!(value(b"shared"), "2000");
    assert_eq!(value(&[3]), "500");
    let total: u64 =
        (0..7).map(|k| String::from_utf8(value(&[b'k', k]).to_vec()).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(total, 2000);
    store.close().unwrap();
}

#[test]
fn an_update_sees_what_a_reader_sees() {
    let store = open(&SimEnv::new(), 1);
    let durability = Durability::Synced;
    let see = |key: &str, wall: u64, update: Update| {
        let shown =
            |value: Option<&[u8]>, expires: Option<u64>| (update, value.map(|v| (v.to_vec(), expires)));
        let (seen, commit) = store.update(CAUSAL, key.as_bytes(), wall, durability, shown).unwrap();
        (seen.map(|(value, expires)| (String::from_utf8(value).unwrap(), expires)), commit.is_some())
    };
    let put = |value: &str, expires_at| Update::Put { value: value.into(), expires_at };
    assert_eq!(see("k", NOW, Update::Delete), (None, false), "there is nothing to be deleted");
    assert_eq!(see("k", NOW, put("a value that lies apart", Some(NOW + 10))), (None, true));
    let visible = Some(("a value that lies apart".to_owned(), Some(NOW + 10)));
    assert_eq!(see("k", NOW + 9, Update::Keep), (visible, false));
    assert_eq!(see("k", NOW + 10, Update::Keep), (None, false), "it has expired");
    assert_eq!(see("k", NOW + 10, put("b", None)), (None, true));
    mint(&store, "k", super::put("beside"), Some(Context::default()));
    assert_eq!(see("k", NOW, put("all", None)), (Some(("beside".to_owned(), None)), true), "the newest");
    assert_eq!(values(&read(&store, "k")), ["all"], "all were replaced");
    assert_eq!(see("k", NOW, Update::Delete), (Some(("all".to_owned(), None)), true));
    assert_eq!(store.get(CAUSAL, b"k", NOW).unwrap(), None);
    assert_eq!(store.db().keyspace("causal.bodies").unwrap().range(..).count(), 0);
}

#[test]
fn pairs_are_written_together_and_the_last_of_a_key_counts() {
    let env = SimEnv::new();
    let store = open(&env, 1);
    mint(&store, "k1", put("old"), None);
    mint(&store, "k1", put("beside"), Some(Context::default()));
    let long = "a value that lies apart from its record";
    mint(&store, "k2", put(long), None);
    let pair = |key: &str, value: &str, expires_at| Pair { key: key.into(), value: value.into(), expires_at };
    let mut pairs: Vec<Pair> =
        (0..600).map(|n| pair(&format!("k{}", n % 400), &format!("v{n}"), None)).collect();
    pairs.push(pair("k3", long, Some(NOW + 10)));
    let synced = Durability::Synced;
    let commit = store.put_all(CAUSAL, &pairs, NOW, synced).unwrap().unwrap();
    commit.wait().unwrap();
    for n in 0..400 {
        let key = format!("k{n}");
        let (value, expires_at) = store.get(CAUSAL, key.as_bytes(), NOW).unwrap().unwrap();
        let written =
            if n == 3 { long.to_owned() } else { format!("v{}", if n < 200 { n + 400 } else { n }) };
        assert_eq!(
            (value.to_vec(), expires_at),
            (written.into_bytes(), (n == 3).then_some(NOW + 10)),
            "{key}"
        );
        assert_eq!(read(&store, &key).siblings().len(), 1);
    }
    assert_eq!(store.get(CAUSAL, b"k3", NOW + 10).unwrap(), None);
    assert!(store.put_all(CAUSAL, &[], NOW, synced).unwrap().is_none());
    let long_key = Pair { key: vec![0; MAX_USER_KEY_LEN + 1].into(), ..pairs[0].clone() };
    let refused = store.put_all(CAUSAL, &[pair("k1", "new", None), long_key], NOW, synced);
    assert!(matches!(refused, Err(StoreFailure::TooLong(_))));
    assert_eq!(values(&read(&store, "k1")), ["v401"]);
    // What is durable is there after a power loss, all of it.
    let after = env.power_loss(CrashMode::LoseAll);
    assert_eq!(values(&read(&open(&after, 2), "k399")), ["v399"]);
}
