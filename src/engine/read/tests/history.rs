//! Random histories of writes, what they amount to at each sequence number, and the ways in which a store may have laid
//! them out.

use crate::manifest::{FileMeta, Level, SortedRun, Version};
use crate::memtable::Memtable;
use crate::read::{Bounds, ReadState};
use crate::tables::testing::{Entries, Random, TestTables};
use esker_table::key::compare;
use esker_table::{Kind, RangeTombstone, SeqNo, Trailer};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    /// Ascending pairs, all under one sequence number, in a file of their own.
    Ingest(Pairs),
}

/// Operation `i` has sequence number `i + 1`.
pub(super) type History = Vec<Op>;

pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) fn model(history: &History, snapshot: SeqNo) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut map = BTreeMap::new();
    for op in &history[..(snapshot as usize).min(history.len())] {
        match op {
            Op::Put(k, v) => drop(map.insert(k.clone(), v.clone())),
            Op::Delete(k) => drop(map.remove(k)),
            Op::DeleteRange(from, to) => map.retain(|k, _| !(from <= k && k < to)),
            Op::Ingest(pairs) => map.extend(pairs.iter().cloned()),
        }
    }
    map
}

pub(super) fn key(random: &mut Random, keys: u64) -> Vec<u8> {
    let n = random.below(keys);
    match n % 3 {
        // Some keys differ within their heads, some only after them, some are prefixes of others.
        0 => format!("{n:03}").into_bytes(),
        1 => format!("{:03}longer-than-a-head-{n:03}", n / 9).into_bytes(),
        _ => format!("{:03}longer-than-a-head-", n / 9).into_bytes(),
    }
}

pub(super) fn history(random: &mut Random, keys: u64, ops: u64) -> History {
    let range_deletes = random.below(4);
    (0..ops)
        .map(|i| match random.below(20) {
            // Recent writes lie in memtables, an ingested file does not.
            _ if i < ops / 2 && random.one_in(40) => {
                let pairs = (0..random.below(20)).map(|_| (key(random, keys), format!("i{i}").into_bytes()));
                Op::Ingest(pairs.collect::<BTreeMap<_, _>>().into_iter().collect())
            }
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

pub(super) fn memtable(window: &[Op], first: SeqNo) -> Arc<Memtable> {
    let memtable = Arc::new(Memtable::new(4 << 20));
    for (op, seqno) in window.iter().zip(first..) {
        let (key, kind, value): (&[u8], _, &[u8]) = match op {
            Op::Put(k, v) => (k, Kind::Put, v),
            Op::Delete(k) => (k, Kind::Delete, b""),
            Op::DeleteRange(a, b) => (a, Kind::RangeDelete, b),
            Op::Ingest(_) => unreachable!("ingested files are no part of a memtable"),
        };
        let bound = crate::memtable::entry_bound(key.len(), value.len());
        assert!(memtable.try_reserve(bound));
        memtable.insert(key, Trailer::new(seqno, kind), value);
        memtable.release(bound);
    }
    memtable
}

/// The window as a sorted run, in tables that are cut between keys. An ingested file's entries have no sequence number of
/// their own; some other files hold the whole window and are narrowed by the MANIFEST.
fn run(
    random: &mut Random,
    tables: &TestTables,
    window: &[Op],
    first: SeqNo,
    cuts: &[Vec<u8>],
    id: u64,
) -> Option<SortedRun> {
    let (mut entries, mut tombstones, mut ingested) = (Entries::new(), Vec::new(), None);
    for (op, seqno) in window.iter().zip(first..) {
        match op {
            Op::Put(k, v) => entries.push((k.clone(), Trailer::new(seqno, Kind::Put), v.clone())),
            Op::Delete(k) => entries.push((k.clone(), Trailer::new(seqno, Kind::Delete), vec![])),
            Op::DeleteRange(start, end) if start < end => {
                tombstones.push(RangeTombstone { start: start.clone(), end: end.clone(), seqno });
            }
            Op::DeleteRange(..) => {}
            Op::Ingest(pairs) => {
                assert_eq!(window.len(), 1);
                ingested = Some(seqno);
                entries =
                    pairs.iter().map(|(k, v)| (k.clone(), Trailer::new(0, Kind::Put), v.clone())).collect();
            }
        }
    }
    entries.sort_by(|a, b| compare(&a.0, a.1, &b.0, b.1));
    let mut metas = Vec::new();
    for i in 0..=cuts.len() {
        let from = i.checked_sub(1).map_or(&[][..], |b| &cuts[b]);
        let to = cuts.get(i);
        let part = entries.iter().filter(|e| e.0.as_slice() >= from && to.is_none_or(|t| e.0 < *t));
        let part: Entries = part.cloned().collect();
        let cut: Vec<_> = tombstones
            .iter()
            .map(|t| RangeTombstone {
                start: t.start.clone().max(from.to_vec()),
                end: to.map_or(t.end.clone(), |to| t.end.clone().min(to.clone())),
                seqno: t.seqno,
            })
            .filter(|t| t.start < t.end)
            .collect();
        if part.is_empty() && cut.is_empty() {
            continue;
        }
        let mut meta = tables.build(&part, cut);
        if random.one_in(4) {
            let whole = tables.build(&entries, tombstones.clone());
            meta = FileMeta {
                number: whole.number,
                format: whole.format,
                size: whole.size,
                own: whole.own,
                clipped: true,
                range_tombstones: meta.range_tombstones,
                ..meta
            };
        }
        if let Some(seqno) = ingested {
            meta = FileMeta { seqno_override: Some(seqno), min_seqno: seqno, max_seqno: seqno, ..meta };
        }
        metas.push(Arc::new(meta));
    }
    (!metas.is_empty()).then_some(SortedRun { id, tables: metas })
}

/// Lays the history out: the newest part in memtables, then level 0, then levels.
pub(super) fn layout(random: &mut Random, tables: &TestTables, history: &History, keys: u64) -> ReadState {
    let mut version = Version::default();
    let parts = 1 + random.below(9) as usize;
    let mut ends: Vec<usize> = (1..parts).map(|_| random.below(history.len() as u64 + 1) as usize).collect();
    ends.push(history.len());
    let ingests = || (0..history.len()).filter(|&i| matches!(history[i], Op::Ingest(_)));
    ends.extend(ingests().flat_map(|i| [i, i + 1]));
    ends.sort_unstable();
    let after_ingests = ingests().next_back().map_or(0, |i| i + 1);
    let mut memtables = Vec::new();
    let mut start = 0;
    let (deep, sealed) = (random.below(4) as usize, random.below(3) as usize);
    for (i, &end) in ends.iter().enumerate() {
        let window = &history[start..end];
        let first = start as SeqNo + 1;
        if i + 1 + sealed >= ends.len() && start >= after_ingests {
            memtables.push(memtable(window, first));
        } else if i < deep {
            let mut cuts: Vec<_> = (0..random.below(6)).map(|_| key(random, keys)).collect();
            cuts.sort();
            cuts.dedup();
            if let Some(run) = run(random, tables, window, first, &cuts, i as u64) {
                version.levels[6 - i] = Level { runs: vec![run] };
            }
        } else if let Some(run) = run(random, tables, window, first, &[], i as u64) {
            version.levels[0].runs.insert(0, run);
        }
        start = end;
    }
    memtables.reverse();
    let mem = if memtables.is_empty() { memtable(&[], 1) } else { memtables.remove(0) };
    ReadState::new(mem, memtables, Arc::new(version), &tables.cache)
}

pub(super) fn bounds(random: &mut Random, keys: u64) -> Bounds {
    let side = |random: &mut Random| match random.below(4) {
        0 => Bound::Included(key(random, keys)),
        1 => Bound::Excluded(key(random, keys)),
        _ => Bound::Unbounded,
    };
    let (a, b) = (side(random), side(random));
    Bounds::new(a.as_ref().map(Vec::as_slice), b.as_ref().map(Vec::as_slice))
}

pub(super) fn pairs(map: &BTreeMap<Vec<u8>, Vec<u8>>, bounds: &Bounds) -> Pairs {
    map.iter().filter(|(k, _)| bounds.contains(k)).map(|(k, v)| (k.clone(), v.clone())).collect()
}
