//! The memtable against a `BTreeMap`, alone and with many threads.

use super::*;
use esker_table::key::MAX_SEQNO;
use esker_table::{Fragments, RangeTombstone, Slice};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::thread;

/// A small generator (xorshift), so that a failing case is told by its seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    /// Keys that share beginnings of every length, are beginnings of each other, hold zeros and 0xff, or are empty.
    fn key(&mut self) -> Vec<u8> {
        let len = self.below(12) as usize;
        (0..len).map(|_| [0, b'a', b'b', 0xff][self.below(4) as usize]).collect()
    }

    fn value(&mut self) -> Vec<u8> {
        let len = if self.below(50) == 0 { self.below(5000) } else { self.below(40) };
        (0..len).map(|_| self.next() as u8).collect()
    }
}

type Model = BTreeMap<(Vec<u8>, Reverse<Trailer>), Vec<u8>>;

fn filled(seed: u64, count: u64) -> (Arc<Memtable>, Model) {
    let mut random = Random::new(seed);
    let memtable = Arc::new(Memtable::new(count as usize * 400 + 100_000));
    let mut model = Model::new();
    let mut bounds = 0;
    for seqno in 1..=count {
        let kind = if random.below(4) == 0 { Kind::Delete } else { Kind::Put };
        let key = random.key();
        let value = if kind == Kind::Put { random.value() } else { Vec::new() };
        let trailer = Trailer::new(seqno, kind);
        let bound = entry_bound(key.len(), value.len());
        assert!(memtable.try_reserve(bound));
        memtable.insert(&key, trailer, &value);
        memtable.release(bound);
        // An entry may need new blocks, on all levels, which the entries before it have paid for.
        bounds += bound;
        assert!(memtable.bytes_used() <= bounds + 1024);
        model.insert((key, Reverse(trailer)), value);
    }
    (memtable, model)
}

#[test]
fn lookups_agree_with_the_model_at_every_snapshot() {
    for seed in 0..20 {
        println!("seed {seed}");
        let count = 20 << (seed % 8);
        let (memtable, model) = filled(seed, count);
        assert_eq!((memtable.entries(), memtable.max_seqno()), (count, count));
        let mut random = Random::new(seed ^ 77);
        for _ in 0..1000 {
            let (key, snapshot) = (random.key(), random.below(count + 2));
            let from = (key.clone(), Reverse(Trailer::lookup(snapshot)));
            let expected = model.range(from..).next().filter(|((k, _), _)| *k == key);
            let found = memtable.get(&LookupKey::new(&key, snapshot));
            assert_eq!(
                found.as_ref().map(|found| (found.trailer, &found.value[..])),
                expected.map(|((_, Reverse(trailer)), value)| (*trailer, &value[..])),
                "{key:?} at {snapshot}"
            );
        }
    }
}

#[test]
fn cursors_agree_with_the_model_both_ways() {
    for seed in 0..20 {
        println!("seed {seed}");
        let (memtable, model) = filled(seed, 10 << (seed % 7));
        let all: Vec<_> = model.iter().collect();
        let mut random = Random::new(seed ^ 99);
        let mut cursor = memtable.cursor();
        assert!(!cursor.valid());
        // The model's position; `None`: nowhere.
        let mut at: Option<usize> = None;
        for _ in 0..3000 {
            let target = (random.key(), Reverse(Trailer::lookup(random.below(all.len() as u64 + 2))));
            let bound = all.partition_point(|(key, _)| **key < target);
            let valid = match random.below(12) {
                0 => {
                    at = Some(bound).filter(|&i| i < all.len());
                    cursor.seek(&target.0, target.1.0)
                }
                1 => {
                    at = bound.checked_sub(1);
                    cursor.seek_before(&target.0, target.1.0)
                }
                2 => {
                    at = Some(0);
                    cursor.first()
                }
                3 => {
                    at = Some(all.len() - 1);
                    cursor.last()
                }
                4..=7 => {
                    at = at.map(|i| i + 1).filter(|&i| i < all.len());
                    cursor.next()
                }
                _ => {
                    at = at.and_then(|i| i.checked_sub(1));
                    cursor.prev()
                }
            };
            assert_eq!((valid, cursor.valid()), (at.is_some(), at.is_some()));
            if let Some(i) = at {
                let ((key, Reverse(trailer)), value) = all[i];
                assert_eq!(
                    (cursor.key(), cursor.trailer(), cursor.value()),
                    (&key[..], *trailer, &value[..])
                );
                assert_eq!(
                    (cursor.key_slice(), cursor.value_slice()),
                    (Slice::from(&key[..]), Slice::from(&value[..]))
                );
            }
        }
    }
}

#[test]
fn ascending_descending_and_alternating_keys_are_all_in_order() {
    let orders: [fn(u64) -> u64; 4] =
        [|i| i, |i| 10_000 - i, |i| if i % 2 == 0 { i } else { 10_000 - i }, |i| i % 100 * 100 + i / 100];
    for order in orders {
        let memtable = Arc::new(Memtable::new(10_000 * entry_bound(8, 8)));
        for i in 0..10_000 {
            let key = order(i).to_be_bytes();
            memtable.insert(&key, Trailer::new(i + 1, Kind::Put), &key);
        }
        let mut cursor = memtable.cursor();
        let mut keys = Vec::new();
        let mut more = cursor.first();
        while more {
            assert_eq!(cursor.key(), cursor.value());
            keys.push(cursor.key().to_vec());
            more = cursor.next();
        }
        assert_eq!(keys.len(), 10_000);
        assert!(keys.is_sorted());
        assert!(cursor.last());
        assert_eq!(cursor.key(), keys[9_999]);
    }
}

#[test]
fn an_empty_memtable_has_nothing() {
    let memtable = Arc::new(Memtable::new(0));
    assert!(memtable.is_empty() && memtable.bytes_used() == 0);
    assert!(memtable.get(&LookupKey::new(b"", MAX_SEQNO)).is_none());
    assert_eq!(memtable.covering_tombstone(b"a", MAX_SEQNO), None);
    assert!(memtable.range_deletes().next().is_none() && memtable.cuts(MAX_SEQNO).is_empty());
    let mut cursor = memtable.cursor();
    assert!(!cursor.first() && !cursor.last() && !cursor.next() && !cursor.prev());
    assert!(!cursor.seek(b"", Trailer::FIRST) && !cursor.seek_before(b"\xff", Trailer::LAST));
    assert!(!memtable.try_reserve(1));
}

#[test]
fn lengths_that_the_header_has_no_room_for() {
    let memtable = Arc::new(Memtable::new(2 << 20));
    let lens = [0usize, 65_534, 65_535, 65_536, 200_000];
    for (i, &len) in lens.iter().enumerate() {
        memtable.insert(
            &vec![b'k'; len.min(65_535)],
            Trailer::new(i as u64 + 1, Kind::Put),
            &vec![i as u8; len],
        );
    }
    for (i, &len) in lens.iter().enumerate() {
        let key = vec![b'k'; len.min(65_535)];
        let found = memtable.get(&LookupKey::new(&key, i as u64 + 1)).unwrap();
        assert_eq!((found.trailer.seqno(), found.value), (i as u64 + 1, Slice::from(vec![i as u8; len])));
    }
    let end = [b'z'; 65_535];
    memtable.insert(b"a", Trailer::new(9, Kind::RangeDelete), &end);
    assert_eq!(memtable.range_deletes().collect::<Vec<_>>(), [(&b"a"[..], &end[..], 9)]);
    assert_eq!(memtable.covering_tombstone(b"b", 9), Some(9));
}

#[test]
fn values_outlive_their_memtable() {
    let memtable = Arc::new(Memtable::new(1000));
    memtable.insert(b"k", Trailer::new(1, Kind::Put), b"value");
    let value = memtable.get(&LookupKey::new(b"k", 1)).unwrap().value;
    let mut cursor = memtable.cursor();
    assert!(cursor.first());
    let key = cursor.key_slice();
    drop((memtable, cursor));
    assert_eq!((key, value), (Slice::from("k"), Slice::from("value")));
}

#[test]
fn reservations_never_promise_more_than_there_is() {
    let bound = entry_bound(8, 100);
    let memtable = Arc::new(Memtable::new(bound * 1000));
    assert!(!memtable.try_reserve(usize::MAX));
    assert!(memtable.try_reserve(bound * 1000));
    assert!(!memtable.try_reserve(bound));
    memtable.release(bound * 1000);
    // Towers are lower than the bound allows, so more than a thousand fit; an insert without room would panic.
    let total: u64 = thread::scope(|scope| {
        let writer = |thread: u64| {
            let memtable = &memtable;
            scope.spawn(move || {
                let mut done = 0;
                while memtable.try_reserve(bound) {
                    let seqno = done * 4 + thread + 1;
                    memtable.insert(&seqno.to_be_bytes(), Trailer::new(seqno, Kind::Put), &[7; 100]);
                    memtable.release(bound);
                    done += 1;
                }
                done
            })
        };
        let writers = [0, 1, 2, 3].map(writer);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(memtable.entries(), total);
    assert_eq!(memtable.promised(), 0);
    assert!(total > 1000);
}

fn ranges(model: &[RangeTombstone]) -> impl Iterator<Item = (&[u8], &[u8], u64)> {
    model.iter().map(|t| (&t.start[..], &t.end[..], t.seqno))
}

/// What a scan is told of a key and around it, against what covers each key.
fn cuts_agree(memtable: &Memtable, model: &[RangeTombstone], random: &mut Random) {
    let snapshot = random.below(model.len() as u64 + 2);
    let cuts = memtable.cuts(snapshot);
    let key_of = |n: u64| (n as u16).to_be_bytes();
    let within = |key: &[u8; 2], start: Option<&[u8]>, end: Option<&[u8]>| {
        start.is_none_or(|start| start <= &key[..]) && end.is_none_or(|end| &key[..] < end)
    };
    for _ in 0..20 {
        let key = key_of(random.below(2100));
        let covers =
            |t: &&RangeTombstone, key: &[u8]| t.seqno <= snapshot && &t.start[..] <= key && key < &t.end[..];
        let expected = model.iter().filter(|t| covers(t, &key)).map(|t| t.seqno).max();
        assert_eq!(cuts.iter().filter_map(|cut| cut.part(&key, snapshot).seqno).max(), expected);
        for cut in &cuts {
            let part = cut.part(&key, snapshot);
            assert!(within(&key, part.start, part.end));
            let Some(seqno) = part.seqno else { continue };
            let start = cut.reach_start(&key, seqno, snapshot).expect("a part with a number");
            let end = cut.reach_end(&key, seqno, snapshot).expect("a part with a number");
            let reaches = |n: u64| cut.part(&key_of(n), snapshot).seqno >= Some(seqno);
            for n in 0..2100 {
                let inside = within(&key_of(n), Some(start), Some(end));
                assert!(!inside || reaches(n));
                // The first key outside is not reached, unless there is none.
                let first_outside = end == key_of(n) || key_of(n + 1) == start;
                assert!(!first_outside || !reaches(n));
            }
        }
    }
}

#[test]
fn nested_range_deletions_take_little_more_than_their_number() {
    let n = 20_000u32;
    for from_the_front in [true, false] {
        let memtable = Memtable::new(64 << 20);
        for i in 0..n {
            let trailer = Trailer::new(u64::from(i) + 1, Kind::RangeDelete);
            if from_the_front {
                memtable.insert(b"", trailer, &(i + 1).to_be_bytes());
            } else {
                memtable.insert(&i.to_be_bytes(), trailer, &n.to_be_bytes());
            }
        }
        let cuts = memtable.cuts(MAX_SEQNO);
        println!("{} bytes, {} cuts", memtable.bytes_used(), cuts.len());
        assert!(memtable.bytes_used() < n as usize * 300, "{} bytes", memtable.bytes_used());
        assert!(cuts.len() < 20, "{} cuts", cuts.len());
        for i in (0..n).step_by(777) {
            let expected = if from_the_front { n } else { i + 1 };
            assert_eq!(memtable.covering_tombstone(&i.to_be_bytes(), MAX_SEQNO), Some(u64::from(expected)));
        }
    }
}

#[test]
fn range_deletions_agree_with_the_model() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        // From ranges that hardly meet to ranges that all overlap.
        let width = 1 << (seed % 10);
        let memtable = Memtable::new(1 << 20);
        let mut model: Vec<RangeTombstone> = Vec::new();
        for seqno in 1..=400u64 {
            let start = random.below(1000);
            let end = start + random.below(width + 1);
            let [start, end] = [start, end].map(|n| (n as u16).to_be_bytes());
            memtable.insert(&start, Trailer::new(seqno, Kind::RangeDelete), &end);
            model.push(RangeTombstone { start: start.into(), end: end.into(), seqno });
            for _ in 0..5 {
                let key = (random.below(1100) as u16).to_be_bytes();
                let snapshot = random.below(seqno + 2);
                let covers = |t: &&RangeTombstone| {
                    t.seqno <= snapshot && t.start[..] <= key[..] && key[..] < t.end[..]
                };
                let expected = model.iter().filter(covers).map(|t| t.seqno).max();
                assert_eq!(memtable.covering_tombstone(&key, snapshot), expected);
            }
            if random.below(20) == 0 {
                cuts_agree(&memtable, &model, &mut random);
            }
        }
        assert_eq!(
            Fragments::seen_by(memtable.range_deletes(), &[]),
            Fragments::seen_by(ranges(&model), &[])
        );
        assert_eq!((memtable.entries(), memtable.max_seqno()), (400, 400));
        assert!(memtable.range_deletes().count() == 400 && !memtable.is_empty());
        let mut cursor = Arc::new(memtable).cursor();
        assert!(!cursor.first());
    }
}

#[test]
fn readers_meet_every_entry_that_was_inserted_before_they_looked() {
    const WRITERS: u64 = 3;
    const EACH: u64 = 4000;
    let memtable = Arc::new(Memtable::new((WRITERS * EACH) as usize * entry_bound(8, 16)));
    // How many entries each writer has finished.
    let done: [std::sync::atomic::AtomicU64; WRITERS as usize] = Default::default();
    let key_of = |writer: u64, i: u64| (((i.wrapping_mul(0x9e37_79b9) % 512) << 8) | writer).to_be_bytes();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (memtable, done, stop) = (&memtable, &done, &stop);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    for i in 0..EACH {
                        let seqno = i * WRITERS + writer + 1;
                        memtable.insert(
                            &key_of(writer, i),
                            Trailer::new(seqno, Kind::Put),
                            &seqno.to_be_bytes(),
                        );
                        done[writer as usize].store(i + 1, Ordering::Release);
                    }
                })
            })
            .collect();
        for reader in 0..2 {
            scope.spawn(move || {
                let mut random = Random::new(reader);
                let mut cursor = memtable.cursor();
                while !stop.load(Ordering::Relaxed) {
                    let writer = random.below(WRITERS);
                    let finished = done[writer as usize].load(Ordering::Acquire);
                    if finished > 0 {
                        let i = random.below(finished);
                        let (key, seqno) = (key_of(writer, i), i * WRITERS + writer + 1);
                        let found = memtable.get(&LookupKey::new(&key, seqno)).unwrap();
                        assert_eq!(found.trailer.seqno(), seqno);
                        assert_eq!(found.value, seqno.to_be_bytes());
                        assert!(cursor.seek(&key, Trailer::lookup(seqno)));
                        assert_eq!(cursor.trailer().seqno(), seqno);
                    }
                    for _ in 0..20 {
                        let before = (cursor.key().to_vec(), Reverse(cursor.trailer()));
                        let forwards = random.below(3) > 0;
                        if !cursor.valid() || !(if forwards { cursor.next() } else { cursor.prev() }) {
                            break;
                        }
                        let after = (cursor.key().to_vec(), Reverse(cursor.trailer()));
                        assert!(if forwards { before < after } else { after < before });
                        assert_eq!(cursor.value(), cursor.trailer().seqno().to_be_bytes());
                    }
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(memtable.entries(), WRITERS * EACH);
    let mut cursor = memtable.cursor();
    let (mut count, mut more) = (0, cursor.first());
    while more {
        count += 1;
        more = cursor.next();
    }
    assert_eq!(count, WRITERS * EACH);
}

#[test]
fn range_deletions_are_seen_as_soon_as_they_are_inserted() {
    const COUNT: u64 = 3000;
    let memtable = Memtable::new(1 << 20);
    let done = std::sync::atomic::AtomicU64::new(0);
    thread::scope(|scope| {
        let (memtable, done) = (&memtable, &done);
        for writer in 0..2u64 {
            scope.spawn(move || {
                // The second writer only makes the first one's life harder.
                for i in 0..COUNT {
                    let start = i as u16 | (writer as u16) << 15;
                    let end = start + 1;
                    let trailer = Trailer::new(i * 2 + writer + 1, Kind::RangeDelete);
                    memtable.insert(&start.to_be_bytes(), trailer, &end.to_be_bytes());
                    if writer == 0 {
                        done.store(i + 1, Ordering::Release);
                    }
                }
            });
        }
        scope.spawn(move || {
            let mut random = Random::new(5);
            loop {
                let finished = done.load(Ordering::Acquire);
                if finished == COUNT {
                    break;
                }
                if finished > 0 {
                    let i = random.below(finished);
                    assert_eq!(
                        memtable.covering_tombstone(&(i as u16).to_be_bytes(), MAX_SEQNO),
                        Some(i * 2 + 1)
                    );
                }
            }
        });
    });
    assert_eq!(memtable.range_deletes().count(), 2 * COUNT as usize);
}

#[test]
fn the_entries_between_two_keys_are_estimated() {
    for ascending in [true, false] {
        let mut random = Random::new(7);
        let memtable = Memtable::new(64 << 20);
        let mut keys: Vec<u64> =
            (0..100_000).map(|i| if ascending { i << 20 } else { random.next() }).collect();
        for (key, seqno) in keys.iter().zip(1..) {
            memtable.insert(&key.to_be_bytes(), Trailer::new(seqno, Kind::Put), b"v");
        }
        keys.sort_unstable();
        assert_eq!(memtable.entries_between(b"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 100_000);
        assert_eq!(memtable.entries_between(b"b", b"a"), 0);
        for seqno in 0..1000 {
            memtable.insert(b"", Trailer::new(200_000 + seqno, Kind::RangeDelete), b"z");
        }
        assert_eq!(memtable.entries_between(b"", &[0xff; 9]), 100_000, "range deletions are not counted");
        for _ in 0..100 {
            let from = random.below(80_000) as usize;
            let len = 10_000 + random.below(10_000) as usize;
            let (a, b) = (keys[from].to_be_bytes(), keys[from + len].to_be_bytes());
            let told = memtable.entries_between(&a, &b) as usize;
            assert!((len / 3..len * 3).contains(&told), "{told} told for {len} entries from rank {from}");
        }
    }
}
