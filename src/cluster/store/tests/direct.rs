//! Reads and read-modify-writes without a cluster around them.

use super::*;
use esker::LocalEnv;

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
