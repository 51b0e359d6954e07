//! Reads from a device that fails: an error is an error, and never the end.

use super::history::{history, layout, model, pairs};
use super::scans::{deep, empty_memtable};
use crate::manifest::Version;
use crate::read::{Bounds, Cursor, Range, ReadOptions, ReadState};
use crate::tables::testing::{Random, TestTables, TinyFormat};
use esker_format_block::BlockFormat;
use esker_table::LookupKey;
use esker_table::key::MAX_SEQNO;
use std::sync::Arc;

#[test]
fn an_error_stays_an_error() {
    let tables = TestTables::new(vec![Arc::new(TinyFormat)]);
    let mut version = Version::default();
    version.levels[6].runs.push(deep(&tables, 1000));
    let state = Arc::new(ReadState::new(empty_memtable(), vec![], Arc::new(version), &tables.cache));
    let new = || Cursor::new(state.clone(), MAX_SEQNO, Bounds::all(), &ReadOptions::default(), None);
    for forward in [true, false] {
        let mut cursor = new();
        let step = |c: &mut Cursor| if forward { c.next() } else { c.prev() };
        for _ in 0..10 {
            assert!(step(&mut cursor).unwrap());
        }
        tables.files.fail(true);
        let failed = (0..1000).find_map(|_| step(&mut cursor).err()).expect("reading on must fail");
        assert!(failed.to_string().contains("the device failed"), "{failed}");
        assert!(failed.to_string().contains(".sst"), "{failed}");
        tables.files.fail(false);
        for _ in 0..3 {
            assert!(!cursor.valid() && cursor.key().is_empty());
            assert!(cursor.next().is_err() && cursor.prev().is_err());
        }
        assert!(cursor.seek("00000500").unwrap());
        assert_eq!(cursor.key(), b"00000500");
        assert!(cursor.next().unwrap() && cursor.prev().unwrap());
    }
    let mut range = Range::new(state.clone(), MAX_SEQNO, Bounds::all(), &ReadOptions::default(), None);
    assert!(range.next().unwrap().is_ok());
    tables.files.fail(true);
    let items: Vec<_> = range.by_ref().collect();
    assert!(items.len() < 1000 && items.last().unwrap().is_err());
    assert_eq!(items.iter().filter(|i| i.is_err()).count(), 1);
    tables.files.fail(false);
    assert!(range.next().is_none() && range.next_back().is_none());
    tables.files.fail(true);
    let key = LookupKey::new(b"00000500", MAX_SEQNO);
    let options = ReadOptions::default().for_tables();
    assert!(state.get(&key, &options).is_err());
    tables.files.fail(false);
    assert_eq!(state.get(&key, &options).unwrap().unwrap(), b"value");
}

#[test]
fn a_scan_or_lookup_that_a_failure_meets_says_so() {
    let mut met = 0;
    for seed in 0..20 {
        for reverse in [false, true] {
            for failing_from in 0.. {
                // The same store every time, with nothing opened yet.
                let mut random = Random::new(seed);
                let tables = TestTables::new(vec![Arc::new(TinyFormat), Arc::new(BlockFormat::new())]);
                let history = history(&mut random, 40, 120);
                let state = Arc::new(layout(&mut random, &tables, &history, 40));
                let expected = pairs(&model(&history, MAX_SEQNO), &Bounds::all());
                tables.files.fail_from(failing_from);
                let range =
                    Range::new(state.clone(), MAX_SEQNO, Bounds::all(), &ReadOptions::default(), None);
                let items: Vec<_> = if reverse { range.rev().collect() } else { range.collect() };
                let ordered = |i: usize| &expected[if reverse { expected.len() - 1 - i } else { i }];
                let failed = items.last().is_some_and(Result::is_err);
                let good = items.len() - usize::from(failed);
                for (i, item) in items[..good].iter().enumerate() {
                    let (key, value) = item.as_ref().unwrap();
                    assert_eq!((&**key, &**value), (&*ordered(i).0, &*ordered(i).1), "seed {seed}");
                }
                for (key, value) in &expected {
                    match state.get(&LookupKey::new(key, MAX_SEQNO), &ReadOptions::default().for_tables()) {
                        Ok(found) => assert_eq!(found.as_deref(), Some(&**value), "seed {seed}"),
                        Err(error) => assert!(error.to_string().contains("the device failed"), "{error}"),
                    }
                }
                if !failed {
                    assert_eq!(good, expected.len(), "seed {seed}, failing from read {failing_from}");
                    break;
                }
                met += 1;
            }
        }
    }
    assert!(met > 500, "only {met} failures were met");
    println!("{met} failures met");
}
