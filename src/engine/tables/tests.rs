//! Tests of tables: opening, sharing, sequence numbers and bounds that the MANIFEST says.

use super::testing::{TestTables, TinyFormat, entry};
use super::*;
use crate::error::Error;
use crate::manifest::{FileMeta, SortedRun};
use esker_table::{Kind, LookupKey, RangeTombstone, ReadOptions, Run, Trailer};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn tables() -> TestTables {
    TestTables::new(vec![Arc::new(TinyFormat)])
}

#[test]
fn a_table_is_opened_once_and_closed_with_its_last_slot() {
    let t = tables();
    let meta = Arc::new(t.build(&vec![entry("a", 1, "x")], vec![]));
    let (one, two) = (t.cache.slot(&meta), t.cache.slot(&meta));
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(t.files.opens.load(Ordering::Relaxed), 0);
    one.table().unwrap();
    two.table().unwrap();
    assert_eq!(t.files.opens.load(Ordering::Relaxed), 1);
    assert_eq!(t.cache.open_tables().0, 1);
    drop((one, two));
    assert_eq!(t.cache.open_tables().0, 0);
    t.cache.slot(&meta).table().unwrap();
    assert_eq!(t.files.opens.load(Ordering::Relaxed), 2);
}

#[test]
fn a_failed_opening_is_tried_again() {
    let t = tables();
    let meta = Arc::new(t.build(&vec![entry("a", 1, "x")], vec![]));
    let slot = t.cache.slot(&meta);
    t.files.fail(true);
    assert!(matches!(slot.table(), Err(Error::Io { .. })));
    t.files.fail(false);
    slot.table().unwrap();
}

#[test]
fn files_that_are_not_as_the_manifest_says() {
    let t = tables();
    let mut meta = t.build(&vec![entry("a", 1, "x")], vec![]);
    meta.size += 1;
    let error = t.cache.slot(&Arc::new(meta)).table().unwrap_err();
    assert!(matches!(error, Error::Corruption { ref path, .. } if path.ends_with("000001.sst")), "{error}");
    let mut meta = t.build(&vec![entry("a", 1, "x")], vec![]);
    meta.number = 77;
    assert!(matches!(t.cache.slot(&Arc::new(meta)).table(), Err(Error::MissingFile { .. })));
    let mut meta = t.build(&vec![entry("a", 1, "x")], vec![]);
    meta.format = esker_table::FormatId(12345);
    let error = t.cache.slot(&Arc::new(meta)).table().unwrap_err();
    assert!(error.to_string().contains("12345"), "{error}");
}

fn all(table: &Arc<Table>, forward: bool, want: usize) -> Vec<(Vec<u8>, Trailer)> {
    let (mut runs, mut run, mut seen) = (table.runs(&ReadOptions::default()), Run::new(), Vec::new());
    if forward { runs.first(&mut run, want) } else { runs.last(&mut run, want) }.unwrap();
    while !run.is_empty() {
        let part: Vec<_> = (0..run.len()).map(|i| (run.key(i).to_vec(), run.trailer(i))).collect();
        if forward {
            seen.extend(part);
            runs.next(&mut run, want).unwrap();
        } else {
            seen.splice(..0, part);
            runs.prev(&mut run, want).unwrap();
        }
    }
    seen
}

#[test]
fn bounds_and_sequence_numbers_of_the_manifest_count() {
    let t = tables();
    let entries: Vec<_> = (0..40u8).map(|i| entry(&format!("k{i:02}"), 3, "v")).collect();
    for exclusive in [false, true] {
        let tombstone = RangeTombstone { start: b"k00".into(), end: b"k99".into(), seqno: 2 };
        let mut meta = t.build(&entries, vec![tombstone]);
        (meta.smallest, meta.largest) = (b"k07".to_vec(), b"k31".to_vec());
        (meta.largest_exclusive, meta.clipped, meta.seqno_override) = (exclusive, true, Some(50));
        let slot = t.cache.slot(&Arc::new(meta));
        let table = slot.table().unwrap();
        let last = if exclusive { 30 } else { 31 };
        let expected: Vec<_> =
            (7..=last).map(|i| (format!("k{i:02}").into_bytes(), Trailer::new(50, Kind::Put))).collect();
        for want in [1, 3, 64] {
            assert_eq!(all(table, true, want), expected);
            assert_eq!(all(table, false, want), expected);
        }
        for i in 0..40u8 {
            let key = format!("k{i:02}");
            let options = ReadOptions::default();
            let found = table.get(&LookupKey::new(key.as_bytes(), 60), &options).unwrap();
            assert_eq!(found.is_some(), (7..=last).contains(&i));
            assert!(found.is_none_or(|f| f.trailer.seqno() == 50));
            assert!(table.get(&LookupKey::new(key.as_bytes(), 49), &options).unwrap().is_none());
            let cover = table.fragments().unwrap().unwrap().covering(key.as_bytes(), 60);
            assert_eq!(cover, (7..=last).contains(&i).then_some(50));
            for (trailer, at_key) in [
                (Trailer::FIRST, true),
                (Trailer::lookup(50), true),
                (Trailer::lookup(49), false),
                (Trailer::LAST, false),
            ] {
                let (mut runs, mut run) = (table.runs(&options), Run::new());
                let start = expected.iter().position(|(k, _)| {
                    if at_key { k.as_slice() >= key.as_bytes() } else { k.as_slice() > key.as_bytes() }
                });
                let start = start.unwrap_or(expected.len());
                runs.seek(key.as_bytes(), trailer, &mut run, 2).unwrap();
                assert_eq!((!run.is_empty()).then(|| run.key(0)), expected.get(start).map(|e| &e.0[..]));
                runs.prev(&mut run, 2).unwrap();
                let before = start.checked_sub(1).map(|b| &expected[b].0[..]);
                assert_eq!(
                    run.len().checked_sub(1).map(|n| run.key(n)),
                    before,
                    "back from {key} {trailer:?}"
                );
                runs.seek_before(key.as_bytes(), trailer, &mut run, 2).unwrap();
                assert_eq!(run.len().checked_sub(1).map(|n| run.key(n)), before);
                runs.next(&mut run, 2).unwrap();
                assert_eq!((!run.is_empty()).then(|| run.key(0)), expected.get(start).map(|e| &e.0[..]));
            }
        }
    }
}

#[test]
fn searching_a_run_by_heads_agrees_with_searching_it_by_keys() {
    let t = tables();
    let mixed = ["a", "aaaaaaaa1", "aaaaaaaa3", "aaaaaaaa3x", "aaaaaaaa7", "b", "c"];
    let alike = ["user/0001", "user/0001/a-long-tail-1", "user/0001/a-long-tail-2", "user/0003", "user/0007"];
    let long = ["a/prefix/of/many/bytes/1", "a/prefix/of/many/bytes/1\0", "a/prefix/of/many/bytes/2", "b"];
    for (keys, keys_a_table) in [
        (&mixed[..], 1),
        (&alike, 1),
        (&mixed[1..5], 1),
        (&mixed[3..4], 1),
        (&[], 1),
        (&mixed, 2),
        (&alike, 3),
        (&alike, 5),
        (&long, 2),
        (&long[..3], 1),
        (&long[..3], 3),
    ] {
        let built = |keys: &[&str]| {
            let entries: Vec<_> = keys.iter().map(|k| entry(k, 1, "")).collect();
            Arc::new(t.build(&entries, vec![]))
        };
        let run = SortedRun { id: 0, tables: keys.chunks(keys_a_table).map(built).collect() };
        let table_of =
            |key: &[u8]| run.tables.iter().find(|table| table.contains(key)).map(|table| table.number);
        let view = LevelView::new(&run, &t.cache);
        let near = keys.iter().flat_map(|k| {
            let shorter = k[..k.len() - 1].to_owned();
            [
                k.to_string(),
                format!("{k}\0"),
                format!("{k}z"),
                format!("{shorter}0"),
                format!("{shorter}z"),
                shorter,
            ]
        });
        let probes =
            ["", "a", "u", "user", "user/", "usa", "uzz", "zz", "a/prefix/", "a/pregix/"].map(str::to_owned);
        for probe in near.chain(probes) {
            let key = probe.as_bytes();
            assert_eq!(view.first_not_before(key), run.first_not_before(key), "{probe:?} in {keys:?}");
            let found = view.find(key).map(|slot| slot.meta().number);
            assert_eq!(found, table_of(key), "{probe:?} in {keys:?}");
        }
    }
}

#[test]
fn a_key_at_an_exclusive_bound_is_in_the_next_table() {
    let t = tables();
    let built = |keys: [&str; 2]| t.build(&keys.map(|k| entry(k, 1, "")).to_vec(), vec![]);
    let until_m = FileMeta { largest: b"m".to_vec(), largest_exclusive: true, ..built(["a", "f"]) };
    let run = SortedRun { id: 0, tables: vec![Arc::new(until_m), Arc::new(built(["m", "z"]))] };
    let view = LevelView::new(&run, &t.cache);
    for key in ["", "a", "g", "l", "lz", "m", "m\0", "z", "zz"] {
        let table = run.tables.iter().find(|table| table.contains(key.as_bytes())).map(|table| table.number);
        assert_eq!(view.find(key.as_bytes()).map(|slot| slot.meta().number), table, "{key:?}");
    }
}

#[test]
fn formats_are_found_by_number_and_name() {
    let mut registry = FormatRegistry::builtin();
    assert_eq!(registry.by_name("block").unwrap().id(), esker_table::FormatId::BLOCK);
    registry.register(Arc::new(TinyFormat)).unwrap();
    assert!(registry.register(Arc::new(TinyFormat)).is_err());
    assert_eq!(registry.by_id(super::testing::TINY).unwrap().name(), "tiny");
    let error = registry.by_name("blok").unwrap_err();
    assert!(error.to_string().contains("block, plain, tiny"), "{error}");
}

#[test]
fn a_slot_gives_way_to_one_with_other_bounds() {
    let t = tables();
    let meta = t.build(&vec![entry("a", 1, "x"), entry("b", 1, "y")], vec![]);
    let narrow = FileMeta { largest: b"a".to_vec(), clipped: true, kept_tombstones: vec![], ..copy(&meta) };
    let wide = t.cache.slot(&Arc::new(copy(&meta)));
    let slot = t.cache.slot(&Arc::new(narrow));
    assert!(!Arc::ptr_eq(&wide, &slot));
    let options = ReadOptions::default();
    let b = LookupKey::new(b"b", 9);
    assert!(wide.table().unwrap().get(&b, &options).unwrap().is_some());
    assert!(slot.table().unwrap().get(&b, &options).unwrap().is_none());
    drop(wide);
    assert_eq!(t.cache.open_tables().0, 1);
    drop(slot);
    assert_eq!(t.cache.open_tables().0, 0);
}

fn copy(meta: &FileMeta) -> FileMeta {
    FileMeta {
        smallest: meta.smallest.clone(),
        largest: meta.largest.clone(),
        kept_tombstones: meta.kept_tombstones.clone(),
        kept_collected: meta.kept_collected.clone(),
        guard: meta.guard.clone(),
        ..*meta
    }
}
