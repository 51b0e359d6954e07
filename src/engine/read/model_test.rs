//! The read path against a model: random histories laid into memtables, level 0 and levels; every read of every snapshot
//! must be what the history says.

use super::{Bounds, Cursor, MergeCursor, Range, ReadOptions, ReadState, Source};
use crate::manifest::{Level, SortedRun, Version};
use crate::memtable::Memtable;
use crate::tables::LevelView;
use crate::tables::testing::{Entries, Random, TestTables, TinyFormat};
use esker_format_block::BlockFormat;
use esker_table::key::{MAX_SEQNO, compare};
use esker_table::{Kind, LookupKey, RangeTombstone, SeqNo, Trailer};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// Operation `i` has sequence number `i + 1`.
type History = Vec<Op>;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn model(history: &History, snapshot: SeqNo) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut map = BTreeMap::new();
    for op in &history[..(snapshot as usize).min(history.len())] {
        match op {
            Op::Put(k, v) => drop(map.insert(k.clone(), v.clone())),
            Op::Delete(k) => drop(map.remove(k)),
            Op::DeleteRange(from, to) => map.retain(|k, _| !(from <= k && k < to)),
        }
    }
    map
}

fn key(random: &mut Random, keys: u64) -> Vec<u8> {
    let n = random.below(keys);
    match n % 3 {
        // Some keys differ within their heads, some only after them, some are prefixes of others.
        0 => format!("{n:03}").into_bytes(),
        1 => format!("{:03}longer-than-a-head-{n:03}", n / 9).into_bytes(),
        _ => format!("{:03}longer-than-a-head-", n / 9).into_bytes(),
    }
}

fn history(random: &mut Random, keys: u64, ops: u64) -> History {
    let range_deletes = random.below(4);
    (0..ops)
        .map(|i| match random.below(20) {
            0..=4 => Op::Delete(key(random, keys)),
            n if n < 5 + range_deletes => {
                let (a, b) = (key(random, keys), key(random, keys));
                Op::DeleteRange(a.clone().min(b.clone()), a.max(b))
            }
            _ => {
                let long = if random.one_in(30) { 5000 } else { 0 };
                let value = format!("v{i}{}", "+".repeat(long));
                Op::Put(key(random, keys), value.into_bytes())
            }
        })
        .collect()
}

fn memtable(window: &[Op], first: SeqNo) -> Arc<Memtable> {
    let memtable = Arc::new(Memtable::new(4 << 20));
    for (op, seqno) in window.iter().zip(first..) {
        let (key, kind, value): (&[u8], _, &[u8]) = match op {
            Op::Put(k, v) => (k, Kind::Put, v),
            Op::Delete(k) => (k, Kind::Delete, b""),
            Op::DeleteRange(a, b) => (a, Kind::RangeDelete, b),
        };
        let bound = crate::memtable::entry_bound(key.len(), value.len());
        assert!(memtable.try_reserve(bound));
        memtable.insert(key, Trailer::new(seqno, kind), value);
        memtable.release(bound);
    }
    memtable
}

/// The window as a sorted run, in tables that are cut between keys.
fn run(tables: &TestTables, window: &[Op], first: SeqNo, cuts: &[Vec<u8>], id: u64) -> Option<SortedRun> {
    let (mut entries, mut tombstones) = (Entries::new(), Vec::new());
    for (op, seqno) in window.iter().zip(first..) {
        match op {
            Op::Put(k, v) => entries.push((k.clone(), Trailer::new(seqno, Kind::Put), v.clone())),
            Op::Delete(k) => entries.push((k.clone(), Trailer::new(seqno, Kind::Delete), vec![])),
            Op::DeleteRange(start, end) if start < end => {
                tombstones.push(RangeTombstone { start: start.clone(), end: end.clone(), seqno });
            }
            Op::DeleteRange(..) => {}
        }
    }
    entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
    let mut metas = Vec::new();
    for i in 0..=cuts.len() {
        let from = i.checked_sub(1).map_or(&[][..], |b| &cuts[b]);
        let to = cuts.get(i);
        let part = entries.iter().filter(|e| e.0.as_slice() >= from && to.is_none_or(|t| e.0 < *t));
        let part: Entries = part.cloned().collect();
        let clipped: Vec<_> = tombstones
            .iter()
            .map(|t| RangeTombstone {
                start: t.start.clone().max(from.to_vec()),
                end: to.map_or(t.end.clone(), |to| t.end.clone().min(to.clone())),
                seqno: t.seqno,
            })
            .filter(|t| t.start < t.end)
            .collect();
        if !(part.is_empty() && clipped.is_empty()) {
            metas.push(Arc::new(tables.build(&part, clipped)));
        }
    }
    (!metas.is_empty()).then_some(SortedRun { id, tables: metas })
}

/// Lays the history out: the newest part in memtables, then level 0, then levels.
fn layout(random: &mut Random, tables: &TestTables, history: &History, keys: u64) -> ReadState {
    let mut version = Version::default();
    let parts = 1 + random.below(9) as usize;
    let mut ends: Vec<usize> = (1..parts).map(|_| random.below(history.len() as u64 + 1) as usize).collect();
    ends.push(history.len());
    ends.sort_unstable();
    let mut memtables = Vec::new();
    let mut start = 0;
    let (deep, sealed) = (random.below(4) as usize, random.below(3) as usize);
    for (i, &end) in ends.iter().enumerate() {
        let window = &history[start..end];
        let first = start as SeqNo + 1;
        if i + 1 + sealed >= ends.len() {
            memtables.push(memtable(window, first));
        } else if i < deep {
            let mut cuts: Vec<_> = (0..random.below(6)).map(|_| key(random, keys)).collect();
            cuts.sort();
            cuts.dedup();
            if let Some(run) = run(tables, window, first, &cuts, i as u64) {
                version.levels[6 - i] = Level { runs: vec![run] };
            }
        } else if let Some(run) = run(tables, window, first, &[], i as u64) {
            version.levels[0].runs.insert(0, run);
        }
        start = end;
    }
    memtables.reverse();
    let mem = memtables.remove(0);
    ReadState::new(mem, memtables, Arc::new(version), &tables.cache)
}

fn bounds(random: &mut Random, keys: u64) -> Bounds {
    let side = |random: &mut Random| match random.below(4) {
        0 => Bound::Included(key(random, keys)),
        1 => Bound::Excluded(key(random, keys)),
        _ => Bound::Unbounded,
    };
    let (a, b) = (side(random), side(random));
    Bounds::new(a.as_ref().map(Vec::as_slice), b.as_ref().map(Vec::as_slice))
}

/// Where the model's cursor stands: before entry 0 is `None, 0`; after the last is `None, len`.
fn walk(random: &mut Random, cursor: &mut Cursor, expected: &Pairs, keys: u64, steps: u64) {
    let mut gap = None::<usize>;
    let mut at = None::<usize>;
    let mut forward = true;
    let mut trace = String::new();
    for _ in 0..steps {
        if random.one_in(6) {
            forward = !forward;
        }
        let n = expected.len();
        let probe = key(random, keys);
        let there = match random.below(30) {
            0 => {
                trace += " first";
                (at, gap) = if n > 0 { (Some(0), None) } else { (None, Some(n)) };
                cursor.seek_first()
            }
            1 => {
                trace += " last";
                (at, gap) = (n.checked_sub(1), Some(0));
                cursor.seek_last()
            }
            2 | 3 => {
                trace += &format!(" seek({})", probe.escape_ascii());
                let i = expected.partition_point(|(k, _)| *k < probe);
                (at, gap) = ((i < n).then_some(i), Some(n));
                cursor.seek(&probe)
            }
            4 | 5 => {
                trace += &format!(" seek_for_prev({})", probe.escape_ascii());
                let i = expected.partition_point(|(k, _)| *k <= probe);
                (at, gap) = (i.checked_sub(1), Some(0));
                cursor.seek_for_prev(&probe)
            }
            _ if forward => {
                trace += " next";
                let i = match (at, gap) {
                    (Some(i), _) => i + 1,
                    (None, Some(gap)) => gap,
                    (None, None) => 0,
                };
                (at, gap) = ((i < n).then_some(i), Some(n));
                cursor.next()
            }
            _ => {
                trace += " prev";
                let i = match (at, gap) {
                    (Some(i), _) | (None, Some(i)) => i,
                    (None, None) => n,
                };
                (at, gap) = (i.checked_sub(1), Some(0));
                cursor.prev()
            }
        };
        assert_eq!(there.unwrap(), at.is_some(), "{trace}");
        assert_eq!(cursor.valid(), at.is_some(), "{trace}");
        let want = at.map_or((&[][..], &[][..]), |i| (&expected[i].0, &expected[i].1));
        assert!(
            (cursor.key(), cursor.value()) == want,
            "{} is not {}; {trace}",
            cursor.key().escape_ascii(),
            want.0.escape_ascii()
        );
        assert_eq!(cursor.value_slice(), want.1, "{trace}");
    }
}

fn pairs(map: &BTreeMap<Vec<u8>, Vec<u8>>, bounds: &Bounds) -> Pairs {
    map.iter().filter(|(k, _)| bounds.contains(k)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn check(seed: u64) {
    let mut random = Random::new(seed);
    // Tables of either format in turn: reads are always mixed.
    let tables = TestTables::new(vec![Arc::new(TinyFormat), Arc::new(BlockFormat::new())]);
    let keys = 3 + random.below(120);
    let ops = 1 + random.below(300);
    let history = history(&mut random, keys, ops);
    let state = Arc::new(layout(&mut random, &tables, &history, keys));
    let options = ReadOptions::default();
    for _ in 0..4 {
        let snapshot = if random.one_in(2) { ops } else { random.below(ops + 1) };
        let map = model(&history, snapshot);
        let mut probes: Vec<_> = (0..20).map(|_| key(&mut random, keys)).collect();
        probes.extend(map.keys().cloned());
        for probe in &probes {
            let found = state.get(&LookupKey::new(probe, snapshot), &options.for_tables()).unwrap();
            assert_eq!(found.as_deref(), map.get(probe).map(Vec::as_slice), "get {}", probe.escape_ascii());
        }
        let many = state.multi_get(&probes, snapshot, &options.for_tables());
        for (probe, found) in probes.iter().zip(many) {
            assert_eq!(found.unwrap().as_deref(), map.get(probe).map(Vec::as_slice));
        }
        let bounds = bounds(&mut random, keys);
        let expected = pairs(&map, &bounds);
        let new_range = || Range::new(state.clone(), snapshot, bounds.clone(), &options, None);
        let owned = |item: crate::Result<(crate::Slice, crate::Slice)>| {
            item.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()
        };
        assert_eq!(new_range().map(owned).collect::<Pairs>(), expected);
        let mut reversed: Pairs = new_range().rev().map(owned).collect();
        reversed.reverse();
        assert_eq!(reversed, expected);
        let (mut both, mut front, mut back) = (new_range(), Pairs::new(), Pairs::new());
        loop {
            let (end, item) =
                if random.one_in(2) { (&mut front, both.next()) } else { (&mut back, both.next_back()) };
            match item {
                Some(item) => end.push(owned(item)),
                None => break,
            }
        }
        assert!(both.next().is_none() && both.next_back().is_none());
        front.extend(back.into_iter().rev());
        assert_eq!(front, expected, "from both ends");
        let mut cursor = Cursor::new(state.clone(), snapshot, bounds, &options, None);
        walk(&mut random, &mut cursor, &expected, keys, 150);
    }
    merged(&mut random, &state);
}

/// All versions of everything, both ways and with turns, against sorting.
fn merged(random: &mut Random, state: &Arc<ReadState>) {
    let sources = || -> Vec<Source> {
        let options = esker_table::ReadOptions::default();
        let levels = state.runs().iter().map(|v| Source::level(v.clone(), Bounds::all(), &options));
        state.memtables().map(Source::memtable).chain(levels).collect()
    };
    let mut all = Vec::new();
    for source in sources() {
        let mut merge = MergeCursor::new(vec![source]);
        merge.first().unwrap();
        while merge.valid() {
            all.push((merge.key().to_vec(), merge.trailer(), merge.value().to_vec()));
            merge.next().unwrap();
        }
    }
    all.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
    let mut merge = MergeCursor::new(sources());
    let mut next = 0;
    for _ in 0..400 {
        // `next` is the entry that a step forwards leads to; the cursor stands on the one before, or before all.
        match random.below(20) {
            0 if !all.is_empty() => {
                let i = random.below(all.len() as u64) as usize;
                merge.seek(&all[i].0, all[i].1).unwrap();
                next = i + 1;
            }
            1 if !all.is_empty() => {
                let i = random.below(all.len() as u64) as usize;
                merge.seek_before(&all[i].0, all[i].1).unwrap();
                next = i;
            }
            2..=11 => {
                merge.next().unwrap();
                next += 1;
            }
            _ if next > 0 => {
                merge.prev().unwrap();
                next -= 1;
            }
            _ => {
                merge.first().unwrap();
                next = 1;
            }
        }
        if next > all.len() {
            assert!(!merge.valid());
            merge.last().unwrap();
            next = all.len();
        }
        assert_eq!(merge.valid(), next > 0);
        if let Some(i) = next.checked_sub(1) {
            assert_eq!((merge.key(), merge.trailer(), merge.value()), (&*all[i].0, all[i].1, &*all[i].2));
        }
    }
}

#[test]
fn reads_are_what_the_history_says() {
    let number = |name| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let (from, count) = match number("ESKER_SEED") {
        Some(seed) => (seed, number("ESKER_SEEDS").unwrap_or(1)),
        None => (0, number("ESKER_SEEDS").unwrap_or(200)),
    };
    for seed in from..from + count {
        if let Err(panic) = std::panic::catch_unwind(|| check(seed)) {
            eprintln!("failed with ESKER_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// A store whose bottom level holds `n` keys in several tables, under whatever `above` makes of them.
fn deep(tables: &TestTables, n: u64) -> SortedRun {
    let entries: Entries = (0..n)
        .map(|i| (format!("{i:08}").into_bytes(), Trailer::new(1 + i, Kind::Put), b"value".to_vec()))
        .collect();
    let metas = entries.chunks(n as usize / 4).map(|c| Arc::new(tables.build(&c.to_vec(), vec![]))).collect();
    SortedRun { id: 0, tables: metas }
}

fn empty_memtable() -> Arc<Memtable> {
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
