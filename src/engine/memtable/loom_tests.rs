//! The memtable under the model checker: the list, the range deletions and their runs.

use super::*;
use esker_table::key::MAX_SEQNO;
use loom::thread;

fn check(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(test);
}

/// Everything in the list, forwards; backwards it must be the same.
fn contents(memtable: &Arc<Memtable>) -> Vec<(Vec<u8>, SeqNo)> {
    let mut cursor = memtable.cursor();
    let mut forwards = Vec::new();
    let mut more = cursor.first();
    while more {
        assert_eq!(cursor.value(), [cursor.trailer().seqno() as u8]);
        forwards.push((cursor.key().to_vec(), cursor.trailer().seqno()));
        more = cursor.next();
    }
    assert!(forwards.is_sorted_by_key(|(key, seqno)| (key.clone(), std::cmp::Reverse(*seqno))));
    forwards
}

fn insert(memtable: &Memtable, key: &str, seqno: SeqNo, height: usize) {
    let trailer = Trailer::new(seqno, Kind::Put);
    memtable.list.insert_with_height(key.as_bytes(), trailer, &[seqno as u8], height);
}

/// Two writers whose entries belong into the same gap, at one level and at two, in both orders.
#[test]
fn loom_no_insert_is_lost() {
    for (first, second, heights) in [("a", "b", [2, 2]), ("b", "a", [2, 1]), ("k", "k", [1, 2])] {
        check(3, move || {
            let memtable = Arc::new(Memtable::new(0));
            let other = memtable.clone();
            let writer = thread::spawn(move || insert(&other, first, 1, heights[0]));
            insert(&memtable, second, 2, heights[1]);
            assert_eq!(memtable.get(&LookupKey::new(second.as_bytes(), 2)).unwrap().trailer.seqno(), 2);
            writer.join().unwrap();
            let mut expected = vec![(first.into(), 1), (second.into(), 2)];
            expected.sort_by_key(|(key, seqno): &(Vec<u8>, SeqNo)| (key.clone(), std::cmp::Reverse(*seqno)));
            assert_eq!(contents(&memtable), expected);
            for (key, seqno) in [(first, 1), (second, 2)] {
                let found = memtable.get(&LookupKey::new(key.as_bytes(), seqno)).unwrap();
                assert_eq!((found.trailer.seqno(), &found.value[..]), (seqno, &[seqno as u8][..]));
                let mut cursor = memtable.cursor();
                assert!(cursor.seek_before(key.as_bytes(), Trailer::LAST) && cursor.key() == key.as_bytes());
            }
        });
    }
}

/// A reader beside a writer: what was inserted before the reader looked is found, and the order always holds.
#[test]
fn loom_readers_meet_whole_entries_in_order() {
    for (keys, heights) in [(["m", "c"], [1, 2]), (["c", "m"], [2, 2]), (["c", "c"], [2, 1])] {
        check(3, move || {
            let memtable = Arc::new(Memtable::new(0));
            insert(&memtable, "h", 1, 2);
            let done = Arc::new(AtomicU64::new(1));
            let (memtable2, done2) = (memtable.clone(), done.clone());
            let writer = thread::spawn(move || {
                for (i, (key, height)) in keys.into_iter().zip(heights).enumerate() {
                    insert(&memtable2, key, i as u64 + 2, height);
                    done2.store(i as u64 + 2, Ordering::Release);
                }
            });
            let snapshot = done.load(Ordering::Acquire);
            for (i, key) in keys.iter().enumerate() {
                let found = memtable.get(&LookupKey::new(key.as_bytes(), snapshot));
                let visible = keys.iter().enumerate().filter(|(j, k)| *k == key && *j as u64 + 2 <= snapshot);
                let expected = visible.map(|(j, _)| j as u64 + 2).max();
                assert_eq!(found.map(|found| found.trailer.seqno()), expected, "{i}");
            }
            let met = contents(&memtable).len() as u64;
            assert!(met >= snapshot && met <= 3);
            let mut cursor = memtable.cursor();
            let mut before = (vec![0xff], 0);
            let mut more = cursor.last();
            while more {
                let at = (cursor.key().to_vec(), cursor.trailer().seqno());
                assert!(at.0 < before.0 || (at.0 == before.0 && at.1 > before.1));
                before = at;
                more = cursor.prev();
            }
            writer.join().unwrap();
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
        assert_eq!(memtable.fragments().as_slice()[0].seqnos, [2, 1]);
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
        let memtable = Arc::new(Memtable::new(bound + bound / 2));
        let write = move |memtable: &Memtable, seqno| {
            let reserved = memtable.try_reserve(bound);
            if reserved {
                insert(memtable, "k", seqno, arena::MAX_HEIGHT);
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
        assert!(memtable.bytes_used() <= bound + bound / 2);
    });
}
