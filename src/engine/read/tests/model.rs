//! The read path against a model: random histories laid into memtables, level 0 and levels; every read of every snapshot
//! must be what the history says.

use super::history::{Pairs, bounds, history, key, layout, model, pairs};
use crate::read::{Bounds, Cursor, MergeCursor, Range, ReadOptions, ReadState, Source};
use crate::tables::testing::{Random, TestTables, TinyFormat};
use esker_format_block::BlockFormat;
use esker_table::LookupKey;
use esker_table::key::compare;
use std::sync::Arc;

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
        let levels = state.runs().iter().map(|v| Source::level(v.clone(), Bounds::all(), &options, 0));
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
