//! Pages: all records, once, in order, in pieces of any size.

use super::*;

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let store = open(&SimEnv::new(), 1);
    let mut expected: Vec<Vec<u8>> = (0..60).map(|i| format!("key {i}").into_bytes()).collect();
    for key in &expected {
        mint(&store, std::str::from_utf8(key).unwrap(), put("a value of thirty bytes' length"), None);
    }
    expected.sort_by_key(|key| (crate::ring::Token::of_key(key), key.clone()));
    for (records, bytes) in
        [(1, usize::MAX), (7, usize::MAX), (1000, 100), (1000, 1), (0, 0), (60, usize::MAX)]
    {
        let (mut from, mut keys, mut pages) = (Vec::new(), Vec::new(), 0);
        loop {
            let operation = StoreOperation::Page { keyspace: CAUSAL, from, records, bytes, bodies: true };
            let (page, next) = match store.execute(operation).0 {
                StoreOutcome::Page(page) if page.is_whole() => (page.records, page.next),
                other => panic!("{other:?}"),
            };
            assert!(page.len() <= records.max(1));
            assert!(page.iter().all(|record| values(&record.set) == ["a value of thirty bytes' length"]));
            keys.extend(page.into_iter().map(|record| record.key.to_vec()));
            pages += 1;
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(keys, expected);
        let most = if bytes == 100 { 3 } else { records.max(1) };
        if bytes != 1 {
            assert_eq!(pages, 60usize.div_ceil(most), "{records} records, {bytes} bytes");
        }
    }
    assert!(store.page(CAUSAL, &[0xff; 9], 10, 10, true).unwrap().records.is_empty());
    assert!(store.page(LWW, &[], 10, 10, true).unwrap().records.is_empty());
}
