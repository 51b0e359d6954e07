//! The memtable under the model checker: the tree, the range deletions and their runs.

use super::*;
use esker_table::key::MAX_SEQNO;
use loom::thread;

fn check(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    model.check(test);
}

/// Everything in the memtable, forwards.
fn contents(memtable: &Arc<Memtable>) -> Vec<(Vec<u8>, SeqNo)> {
    let mut cursor = memtable.cursor();
    let mut forwards = Vec::new();
    let mut more = cursor.first();
    while more {
        assert_eq!(cursor.value(), [cursor.trailer().seqno() as u8]);
        forwards.push((cursor.key().to_vec(), cursor.trailer().seqno()));
        more = cursor.next();
    }
    assert!(
        forwards.is_sorted_by_key(|(key, seqno)| (key.clone(), std::cmp::Reverse(*seqno))),
        "{forwards:?}"
    );
    forwards
}

fn insert(memtable: &Memtable, key: &str, seqno: SeqNo) {
    memtable.insert(key.as_bytes(), Trailer::new(seqno, Kind::Put), &[seqno as u8]);
}

/// A memtable with these entries, so that what comes next meets an empty, a half full or a full leaf, or a tree. A
/// block has two slots here.
fn prepared(keys: &[&str]) -> Arc<Memtable> {
    let memtable = Arc::new(Memtable::new(0));
    for (key, seqno) in keys.iter().zip(1..) {
        insert(&memtable, key, seqno);
    }
    memtable
}

/// Two writers whose entries belong into the same gap, in both orders: both claim the next slot, or both split.
#[test]
fn loom_no_insert_is_lost() {
    let before: [&'static [&'static str]; 4] = [&[], &["m"], &["m", "c"], &["c", "m", "p", "d"]];
    for before in before {
        for (first, second) in [("j", "k"), ("k", "j"), ("k", "k")] {
            check(3, move || {
                let memtable = prepared(before);
                let seqno = before.len() as u64 + 1;
                let other = memtable.clone();
                let writer = thread::spawn(move || insert(&other, first, seqno));
                insert(&memtable, second, seqno + 1);
                let mine = memtable.get(&LookupKey::new(second.as_bytes(), seqno + 1)).unwrap();
                assert_eq!(mine.trailer.seqno(), seqno + 1);
                writer.join().unwrap();
                let mut expected: Vec<(Vec<u8>, SeqNo)> = before
                    .iter()
                    .chain(&[first, second])
                    .map(|key| key.as_bytes().to_vec())
                    .zip(1..)
                    .collect();
                expected.sort_by_key(|(key, seqno)| (key.clone(), std::cmp::Reverse(*seqno)));
                assert_eq!(contents(&memtable), expected, "{before:?}");
                for (key, seqno) in expected {
                    let found = memtable.get(&LookupKey::new(&key, seqno)).unwrap();
                    assert_eq!((found.trailer.seqno(), &found.value[..]), (seqno, &[seqno as u8][..]));
                    let mut cursor = memtable.cursor();
                    assert!(cursor.seek_before(&key, Trailer::LAST) && cursor.key() == key);
                }
            });
        }
    }
}

/// A reader beside a writer that adds `keys` one after the other. The reader is given the memtable and the sequence
/// number up to which everything was inserted before it looks.
fn beside_a_writer(
    before: &'static [&'static str],
    keys: &'static [&'static str],
    read: impl Fn(&Arc<Memtable>, SeqNo) + Send + Sync + 'static,
) {
    check(2, move || {
        let memtable = prepared(before);
        let count = before.len() as u64;
        let done = Arc::new(AtomicU64::new(count));
        let (memtable2, done2) = (memtable.clone(), done.clone());
        let writer = thread::spawn(move || {
            for (key, seqno) in keys.iter().zip(count + 1..) {
                insert(&memtable2, key, seqno);
                done2.store(seqno, Ordering::Release);
            }
        });
        read(&memtable, done.load(Ordering::Acquire));
        writer.join().unwrap();
    });
}

/// Into an empty slot, into a full leaf that is the root, into a full leaf below, and one after the other.
const CASES: [(&[&str], &[&str]); 4] =
    [(&["h"], &["k"]), (&["h", "p"], &["k"]), (&["b", "h", "p", "t"], &["k"]), (&["h"], &["m", "k"])];

#[test]
fn loom_readers_find_what_was_inserted() {
    for (before, keys) in CASES {
        beside_a_writer(before, keys, move |memtable, snapshot| {
            for (key, seqno) in before.iter().chain(keys).zip(1..) {
                let found = memtable.get(&LookupKey::new(key.as_bytes(), snapshot));
                assert_eq!(found.map(|found| found.trailer.seqno()), Some(seqno).filter(|&n| n <= snapshot));
            }
        });
    }
}

/// The writer splits a leaf whose parent has a free slot, so that the parent changes in place, in two steps. A reader
/// that has the parent's order from before and the slot from after would look for the right half's keys in the left one.
#[test]
fn loom_readers_of_a_changed_parent_come_to_the_right_half() {
    beside_a_writer(&["a", "b", "c", "d", "e", "g"], &["f"], |memtable, snapshot| {
        let found = memtable.get(&LookupKey::new(b"g", snapshot));
        assert_eq!(found.map(|found| found.trailer.seqno()), Some(6));
    });
    beside_a_writer(&["a", "b", "c", "d", "e", "g"], &["f"], |memtable, _| {
        let mut cursor = memtable.cursor();
        assert!(cursor.last() && cursor.key() == b"g");
    });
}

#[test]
fn loom_readers_walk_over_whole_entries_in_order() {
    for (before, keys) in CASES {
        beside_a_writer(before, keys, move |memtable, snapshot| {
            let met = contents(memtable);
            assert_eq!(met.iter().filter(|(_, seqno)| *seqno <= snapshot).count() as u64, snapshot);
        });
    }
}

#[test]
fn loom_readers_walk_backwards_too() {
    for (before, keys) in CASES {
        beside_a_writer(before, keys, move |memtable, snapshot| {
            let mut cursor = memtable.cursor();
            let (mut after, mut met, mut more) = (vec![0xff], 0, cursor.last());
            while more {
                assert!(cursor.key() < &after[..]);
                after = cursor.key().to_vec();
                met += u64::from(cursor.trailer().seqno() <= snapshot);
                more = cursor.prev();
            }
            assert_eq!(met, snapshot);
        });
    }
}

/// Each push makes a run here, so that building, merging and searching all meet.
#[test]
fn loom_range_deletions_are_seen_once_inserted() {
    check(3, || {
        let memtable = Arc::new(Memtable::new(0));
        let done = Arc::new(AtomicU64::new(0));
        let (memtable2, done2) = (memtable.clone(), done.clone());
        let writer = thread::spawn(move || {
            for seqno in 1..=2 {
                memtable2.insert(b"c", Trailer::new(seqno, Kind::RangeDelete), b"m");
                done2.store(seqno, Ordering::Release);
            }
        });
        let finished = done.load(Ordering::Acquire);
        let found = memtable.covering_tombstone(b"d", MAX_SEQNO);
        assert!(found >= Some(finished).filter(|&n| n > 0) && found <= Some(2));
        assert_eq!(memtable.covering_tombstone(b"m", MAX_SEQNO), None);
        writer.join().unwrap();
        assert_eq!(memtable.covering_tombstone(b"c", MAX_SEQNO), Some(2));
        assert_eq!(memtable.covering_tombstone(b"c", 1), Some(1));
        assert_eq!(memtable.range_deletes().map(|range| range.2).collect::<Vec<_>>(), [2, 1]);
        assert!(memtable.cuts(MAX_SEQNO).iter().any(|cut| cut.part(b"c", MAX_SEQNO).seqno == Some(2)));
    });
}

#[test]
fn loom_range_deletions_of_two_writers_all_count() {
    check(3, || {
        let memtable = Arc::new(Memtable::new(0));
        let memtable2 = memtable.clone();
        let writer = thread::spawn(move || memtable2.insert(b"a", Trailer::new(1, Kind::RangeDelete), b"c"));
        memtable.insert(b"b", Trailer::new(2, Kind::RangeDelete), b"d");
        assert_eq!(memtable.covering_tombstone(b"b", MAX_SEQNO), Some(2));
        writer.join().unwrap();
        let covering = |key: &str| memtable.covering_tombstone(key.as_bytes(), MAX_SEQNO);
        assert_eq!(
            (covering("a"), covering("b"), covering("c"), covering("d")),
            (Some(1), Some(2), Some(2), None)
        );
    });
}

/// Two writers that reserve at once never get more than there is.
#[test]
fn loom_reservations_hold() {
    check(5, || {
        let bound = entry_bound(1, 1);
        let memtable = Arc::new(Memtable::new(bound + 8));
        let write = move |memtable: &Memtable, seqno| {
            let reserved = memtable.try_reserve(bound);
            if reserved {
                insert(memtable, "k", seqno);
                memtable.release(bound);
            }
            reserved
        };
        let memtable2 = memtable.clone();
        let writer = thread::spawn(move || write(&memtable2, 1));
        let mine = write(&memtable, 2);
        let theirs = writer.join().unwrap();
        assert!(!(mine && theirs));
        assert_eq!(memtable.entries(), u64::from(mine) + u64::from(theirs));
        assert!(memtable.bytes_used() <= bound + 8);
    });
}
