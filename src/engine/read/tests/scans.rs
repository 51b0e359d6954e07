//! What scans must not read: deleted ranges, what lies beyond the bounds, the versions that a snapshot does not see.

use super::history::{History, Op, memtable};
use crate::manifest::{SortedRun, Version};
use crate::memtable::Memtable;
use crate::read::{Bounds, Cursor, Range, ReadOptions, ReadState};
use crate::tables::LevelView;
use crate::tables::testing::{Entries, Random, TestTables, TinyFormat};
use esker_table::key::MAX_SEQNO;
use esker_table::{Kind, LookupKey, RangeTombstone, Trailer};
use std::ops::Bound;
use std::sync::Arc;

/// A run of `n` keys in several tables.
pub(super) fn deep(tables: &TestTables, n: u64) -> SortedRun {
    let entries: Entries = (0..n)
        .map(|i| (format!("{i:08}").into_bytes(), Trailer::new(1 + i, Kind::Put), b"value".to_vec()))
        .collect();
    let metas = entries.chunks(n as usize / 4).map(|c| Arc::new(tables.build(&c.to_vec(), vec![]))).collect();
    SortedRun { id: 0, tables: metas }
}

pub(super) fn empty_memtable() -> Arc<Memtable> {
    Arc::new(Memtable::new(1 << 16))
}

#[test]
fn scanning_over_a_deleted_range_reads_a_few_blocks() {
    let n = 20_000;
    let tables = TestTables::new(vec![Arc::new(TinyFormat)]);
    let bottom = deep(&tables, n);
    let (from, to) = (b"00000010".to_vec(), b"00019990".to_vec());
    let tombstone = RangeTombstone { start: from.clone(), end: to.clone(), seqno: n + 1 };
    // A newer entry inside the deleted range stays.
    let kept = || (b"00012345".to_vec(), Trailer::new(n + 2, Kind::Put), b"new".to_vec());
    for place in ["memtable", "level 0", "level 5", "same table"] {
        let mut version = Version::default();
        let mut mem = empty_memtable();
        version.levels[6].runs.push(bottom.clone());
        let mut kept_somewhere = true;
        match place {
            "memtable" => {
                mem = memtable(
                    &[Op::DeleteRange(from.clone(), to.clone()), Op::Put(kept().0, kept().2)],
                    n + 1,
                );
            }
            "same table" => {
                // The tombstone is newer than everything beside it.
                kept_somewhere = false;
                let entries: Entries = (0..n)
                    .map(|i| {
                        (format!("{i:08}").into_bytes(), Trailer::new(1 + i, Kind::Put), b"value".to_vec())
                    })
                    .collect();
                let meta = Arc::new(tables.build(&entries, vec![tombstone.clone()]));
                version.levels[6].runs = vec![SortedRun { id: 0, tables: vec![meta] }];
            }
            level => {
                let meta = Arc::new(tables.build(&vec![kept()], vec![tombstone.clone()]));
                let i = if level == "level 0" { 0 } else { 5 };
                version.levels[i].runs.push(SortedRun { id: 9, tables: vec![meta] });
            }
        }
        let state = Arc::new(ReadState::new(mem, vec![], Arc::new(version), &tables.cache));
        let new = || {
            Range::new(state.clone(), MAX_SEQNO, Bounds::all(), &ReadOptions::default(), None)
                .map(|item| item.unwrap())
        };
        assert_eq!(new().count(), 20 + usize::from(kept_somewhere), "{place}");
        for backwards in [false, true] {
            tables.files.take_reads();
            let range = Range::new(state.clone(), MAX_SEQNO, Bounds::all(), &ReadOptions::default(), None);
            let seen = if backwards { range.rev().count() } else { range.count() };
            assert_eq!(seen, 20 + usize::from(kept_somewhere));
            let blocks = tables.files.take_reads();
            assert!(blocks <= 20, "{place}, backwards {backwards}: {blocks} blocks read");
        }
    }
}

#[test]
fn nothing_is_read_beyond_the_bounds() {
    let tables = TestTables::new(vec![Arc::new(TinyFormat)]);
    let mut version = Version::default();
    version.levels[6].runs.push(deep(&tables, 10_000));
    let state = Arc::new(ReadState::new(empty_memtable(), vec![], Arc::new(version), &tables.cache));
    let bounds = Bounds::new(Bound::Included(b"00004990"), Bound::Excluded(b"00005000"));
    let range = |b: &Bounds| Range::new(state.clone(), MAX_SEQNO, b.clone(), &ReadOptions::default(), None);
    assert_eq!(range(&bounds).count(), 10);
    // The upper bound is where the third of four tables begins: it is never opened.
    assert_eq!(tables.files.opens.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(range(&bounds).rev().count(), 10);
    assert_eq!(tables.files.opens.load(std::sync::atomic::Ordering::Relaxed), 1);
    tables.files.take_reads();
    assert_eq!(range(&bounds).count(), 10);
    let blocks = tables.files.take_reads();
    assert!(blocks <= 6, "{blocks} blocks read for ten entries in two blocks");
}

#[test]
fn many_versions_of_a_key_are_not_stepped_through() {
    let tables = TestTables::new(vec![Arc::new(TinyFormat)]);
    let n = 20_000;
    let mut entries: Entries =
        (0..n).rev().map(|i| (b"m".to_vec(), Trailer::new(2 + i, Kind::Put), b"value".to_vec())).collect();
    entries.insert(0, (b"a".to_vec(), Trailer::new(1, Kind::Put), vec![]));
    entries.push((b"z".to_vec(), Trailer::new(1, Kind::Put), vec![]));
    let mut version = Version::default();
    let meta = Arc::new(tables.build(&entries, vec![]));
    version.levels[6].runs.push(SortedRun { id: 0, tables: vec![meta] });
    let state = Arc::new(ReadState::new(empty_memtable(), vec![], Arc::new(version), &tables.cache));
    for backwards in [false, true] {
        for snapshot in [1, 2, n / 2, MAX_SEQNO] {
            tables.files.take_reads();
            let range = Range::new(state.clone(), snapshot, Bounds::all(), &ReadOptions::default(), None);
            let seen = if backwards { range.rev().count() } else { range.count() };
            assert_eq!(seen, if snapshot == 1 { 2 } else { 3 });
            let blocks = tables.files.take_reads();
            assert!(blocks < 40, "{blocks} blocks read, backwards {backwards}, snapshot {snapshot}");
        }
    }
}

#[test]
fn reading_goes_on_while_the_memtable_grows() {
    let history: History =
        (0..200).map(|i| Op::Put(format!("{:03}", i * 5).into_bytes(), b"old".to_vec())).collect();
    let mem = memtable(&history, 1);
    let older: History =
        (0..200).map(|i| Op::Put(format!("{:03}", i * 5).into_bytes(), b"x".to_vec())).collect();
    let tables = TestTables::new(vec![Arc::new(TinyFormat)]);
    let mut version = Version::default();
    // The same keys below, older: to be hidden whatever is inserted meanwhile.
    let shifted: Entries = older
        .iter()
        .map(|op| match op {
            Op::Put(k, v) => (k.clone(), Trailer::new(0, Kind::Put), v.clone()),
            _ => unreachable!(),
        })
        .collect();
    let meta = Arc::new(tables.build(&shifted, vec![]));
    version.levels[3].runs.push(SortedRun { id: 0, tables: vec![meta] });
    let state = Arc::new(ReadState::new(mem.clone(), vec![], Arc::new(version), &tables.cache));
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut cursor = Cursor::new(state.clone(), 200, Bounds::all(), &ReadOptions::default(), None);
        cursor.seek_first().unwrap();
        let mut at = 0i64;
        for n in 0..300u64 {
            let bound = crate::memtable::entry_bound(3, 3);
            assert!(mem.try_reserve(bound));
            let new = format!("{:03}", random.below(1000));
            mem.insert(new.as_bytes(), Trailer::new(1000 + seed * 1000 + n, Kind::Put), b"new");
            mem.release(bound);
            let up = if at <= 0 {
                true
            } else if at >= 199 {
                false
            } else {
                random.one_in(2)
            };
            at += if up { 1 } else { -1 };
            assert!(if up { cursor.next() } else { cursor.prev() }.unwrap());
            assert_eq!(cursor.key(), format!("{:03}", at * 5).as_bytes(), "seed {seed}");
            assert_eq!(cursor.value(), b"old");
        }
    }
}

#[test]
fn nothing_at_all() {
    let tables = TestTables::new(vec![Arc::new(TinyFormat)]);
    let state =
        Arc::new(ReadState::new(empty_memtable(), vec![], Arc::new(Version::default()), &tables.cache));
    let mut cursor = Cursor::new(state.clone(), MAX_SEQNO, Bounds::all(), &ReadOptions::default(), None);
    assert!(!cursor.next().unwrap() && !cursor.prev().unwrap() && !cursor.seek("x").unwrap());
    assert!(!cursor.seek_first().unwrap() && !cursor.seek_last().unwrap());
    assert!(state.get(&LookupKey::new(b"x", 1), &ReadOptions::default().for_tables()).unwrap().is_none());
    assert_eq!(state.approximate_size(&Bounds::all()).unwrap(), state.mem().bytes_used() as u64);
    let view = Arc::new(LevelView::of(std::iter::empty(), &tables.cache));
    assert!(!view.overlaps(None, None));
}
