//! The commit pipeline under the model checker: real commits, memtables and log, on a device that watches them.

mod store;

use crate::manifest::{SortedRun, Version};
use crate::options::Durability::{Buffered, Synced};
use crate::sync::std_lock;
use crate::write::batch::DEFAULT_KEYSPACE;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Ground, Setup, Store};

/// Runs each part of the work in a thread of its own (the last in the first thread), in every order with at most so
/// many preemptions, and `after` when all are done.
fn check<const N: usize>(preemptions: usize, setup: Setup, work: [fn(&Store); N], after: fn(&Store)) {
    let ground = Ground::new();
    let executions = Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let store = Arc::new(Store::new(&ground, setup));
        let Some((mine, others)) = work.split_last() else { return };
        let threads: Vec<_> = others
            .iter()
            .map(|&part| {
                let store = store.clone();
                thread::spawn(move || part(&store))
            })
            .collect();
        mine(&store);
        for thread in threads {
            thread.join().unwrap();
        }
        after(&store);
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

fn buffered(store: &Store) {
    store.write(Buffered);
}

fn synced(store: &Store) {
    store.write(Synced);
}

/// Everything is acknowledged and in the log; nobody wrote or synced for nothing.
fn all_went_well(store: &Store) {
    let (acknowledged, refused) = *std_lock(&store.outcome);
    let (writes, syncs, idle) = store.log.calls();
    assert_eq!((store.log.records(), refused, idle), (acknowledged, 0, 0));
    assert!(writes <= acknowledged as u64 && syncs <= acknowledged as u64);
}

#[test]
fn loom_buffered_writes_are_written_once_acknowledged() {
    check(3, Setup::default(), [buffered, buffered], all_went_well);
    check(2, Setup::default(), [buffered, buffered, buffered], all_went_well);
}

#[test]
fn loom_synced_writes_are_synced_once_acknowledged() {
    check(3, Setup::default(), [synced, synced], all_went_well);
    check(2, Setup::default(), [synced, buffered], all_went_well);
    // Written while another's sync is under way, which did not cover it.
    let written_first: fn(&Store) = |store| {
        let committed = store.commit(Synced).unwrap();
        store.committer.write_through(committed.lsn).unwrap();
        store.committer.sync_through(committed.lsn).unwrap();
        store.log.assert_holds(committed.last_seqno, Synced);
    };
    check(3, Setup::default(), [synced, written_first], |store| assert_eq!(store.log.records(), 2));
}

/// A segment takes one record here, so a sync is of all segments that were left before.
#[test]
fn loom_a_sync_is_of_all_segments_that_were_left() {
    let setup = Setup { segment_bytes: 1, ..Setup::default() };
    let after: fn(&Store) = |store| {
        let (acknowledged, refused) = *std_lock(&store.outcome);
        assert_eq!((store.log.records(), store.log.segments(), refused), (acknowledged, acknowledged, 0));
    };
    check(3, setup, [buffered, synced], after);
    check(2, setup, [synced, synced], after);
    check(1, setup, [buffered, synced, buffered], after);
}

/// Two records to a segment: the log goes on in the next one while a sync of the last is under way, and the records there
/// must not claim what was synced in the other.
#[test]
fn loom_records_claim_nothing_of_another_segment() {
    let setup = Setup { segment_bytes: 150, ..Setup::default() };
    let two: fn(&Store) = |store| {
        drop(store.commit(Buffered));
        store.write(Synced);
    };
    check(2, setup, [two, two], |store| {
        assert_eq!((store.log.records(), store.log.segments()), (4, 2));
    });
}

/// Background work leaves a segment that is nearly full, unless writers come to its end before.
#[test]
fn loom_a_segment_is_left_in_the_background_or_by_who_fills_it() {
    static LEFT: AtomicUsize = AtomicUsize::new(0);
    let setup = Setup { segment_bytes: 120, ..Setup::default() };
    let tend: fn(&Store) = |store| {
        let before = store.log.segments();
        store.committer.tend_log().unwrap();
        LEFT.fetch_add(usize::from(store.log.segments() > before), Ordering::Relaxed);
    };
    let two: fn(&Store) = |store| {
        store.write(Buffered);
        store.write(Synced);
    };
    let after: fn(&Store) = |store| {
        let (acknowledged, refused) = *std_lock(&store.outcome);
        assert_eq!((store.log.records(), refused), (acknowledged, 0));
    };
    // There is room for two records, so that only background work leaves the segment.
    check(3, setup, [two, tend], after);
    check(2, setup, [buffered, synced, tend], after);
    assert!(LEFT.load(Ordering::Relaxed) > 0, "background work never left it");
    // And none for a third.
    let three: fn(&Store) = |store| {
        store.write(Buffered);
        store.write(Buffered);
        store.write(Synced);
    };
    check(2, setup, [three, tend], |store| {
        assert_eq!(store.log.records(), 3);
        assert!(store.log.segments() > 1);
    });
}

/// Who is served and who is refused is checked as it happens; here: that nobody is left over, that the failure was told
/// if there was one, and that the store takes nothing any more.
fn after_a_failure(store: &Store) {
    let (acknowledged, refused) = *std_lock(&store.outcome);
    let failed = store.log.failed();
    assert_eq!(refused > 0, failed, "{acknowledged} acknowledged");
    assert_eq!(store.commit(Buffered).is_err(), failed);
    assert!(acknowledged < 2 || !failed);
}

#[test]
fn loom_a_failed_write_fails_all_that_it_concerns() {
    for failing_write in [1, 2] {
        let setup = Setup { failing_write, ..Setup::default() };
        check(3, setup, [buffered, buffered], after_a_failure);
        check(3, setup, [synced, buffered], after_a_failure);
    }
}

#[test]
fn loom_a_failed_sync_fails_all_that_it_concerns() {
    for failing_sync in [1, 2] {
        let setup = Setup { failing_sync, ..Setup::default() };
        check(3, setup, [synced, synced], after_a_failure);
    }
}

/// The sync that fails may be that of a segment that was left.
#[test]
fn loom_a_segment_that_was_left_and_could_not_be_synced_ends_writing() {
    let setup = Setup { segment_bytes: 1, failing_sync: 1, ..Setup::default() };
    check(3, setup, [synced, buffered], |store| assert!(store.log.failed()));
}

/// Three that wait are served by fewer syncs in some order, and by one in the best.
#[test]
fn loom_syncs_are_shared() {
    static LARGEST: AtomicUsize = AtomicUsize::new(0);
    check(2, Setup::default(), [synced, synced, synced], |store| {
        all_went_well(store);
        LARGEST.fetch_max(store.log.largest_group(), Ordering::Relaxed);
    });
    assert_eq!(LARGEST.load(Ordering::Relaxed), 3);
    // A sync serves also those whose records nobody has written yet.
    check(2, Setup::default(), [|_| ()], |store| {
        let first = store.commit(Synced).unwrap();
        store.committer.write_through(first.lsn).unwrap();
        let second = store.commit(Synced).unwrap();
        store.committer.sync_through(first.lsn).unwrap();
        store.log.assert_holds(second.last_seqno, Synced);
    });
}

const SYNC_THREAD: fn(&Store) = |store| store.committer.run_sync_thread();

const SUBMIT_TWO: fn(&Store) = |store| {
    store.submit();
    store.submit();
    store.wait_called(2);
    store.committer.queue.stop();
};

/// Leaves the syncing thread alone if it has a failure to end by.
const SUBMIT_TWO_AND_LEAVE: fn(&Store) = |store| {
    store.submit();
    store.submit();
    store.wait_called(2);
    if !store.log.failed() {
        store.committer.queue.stop();
    }
};

const SUBMIT_AND_WAIT: fn(&Store) = |store| {
    store.submit();
    store.wait_called(2);
    store.committer.queue.stop();
};

/// Nobody but the syncing thread syncs here, so a lost wake-up or callback is a deadlock.
#[test]
fn loom_every_callback_is_called_once() {
    let after: fn(&Store) = |store| {
        assert_eq!(*crate::sync::lock(&store.called.0), [true, true]);
        assert_eq!(store.log.records(), 2);
    };
    check(3, Setup::default(), [SYNC_THREAD, SUBMIT_TWO], after);
    check(2, Setup::default(), [SYNC_THREAD, Store::submit, SUBMIT_AND_WAIT], after);
}

/// Here the syncing thread is not told to end, but by the failure.
#[test]
fn loom_every_callback_is_told_of_a_failure() {
    for failing_sync in [1, 2] {
        let setup = Setup { failing_sync, ..Setup::default() };
        check(3, setup, [SYNC_THREAD, SUBMIT_TWO_AND_LEAVE], |store| {
            let called = crate::sync::lock(&store.called.0);
            assert_eq!(called.len(), 2);
            assert_eq!(called.contains(&false), store.log.failed());
        });
    }
}

/// What is visible was appended to the log before: whoever makes the log durable up to its end, after a look at what is
/// visible, has made that durable. A flush relies on it.
#[test]
fn loom_what_is_visible_is_in_the_log() {
    check(
        3,
        Setup::default(),
        [
            |store| drop(store.commit(Buffered)),
            |store| {
                let visible = store.committer.visible();
                store.committer.sync_through(store.committer.log_end().0).unwrap();
                (1..=visible).for_each(|seqno| store.log.assert_holds(seqno, Synced));
            },
        ],
        |_| (),
    );
}

/// Closing makes everything durable that it let in, and nobody writes afterwards.
#[test]
fn loom_nobody_writes_after_the_end() {
    check(
        3,
        Setup::default(),
        [buffered, |store| {
            let pause = store.committer.pause();
            store.committer.finish_log().unwrap();
            store.committer.health.close();
            let end = store.log.len();
            drop(pause);
            store.log.step();
            (1..=store.log.records() as u64).for_each(|seqno| store.log.assert_holds(seqno, Synced));
            assert_eq!(store.log.len(), end);
        }],
        |store| {
            let (acknowledged, refused) = *std_lock(&store.outcome);
            assert_eq!((store.log.records(), acknowledged + refused), (acknowledged, 1));
            assert_eq!(store.committer.visible(), acknowledged as u64);
            (1..=acknowledged as u64).for_each(|seqno| store.log.assert_holds(seqno, Synced));
        },
    );
}

/// The sequence numbers that the keyspace's memtables hold, and the highest in its tables.
fn contents(state: &crate::read::ReadState) -> (Vec<u64>, u64) {
    let mut seqnos = Vec::new();
    for memtable in state.memtables() {
        let mut cursor = memtable.cursor();
        let mut more = cursor.first();
        while more {
            seqnos.push(cursor.trailer().seqno());
            more = cursor.next();
        }
    }
    seqnos.sort_unstable();
    let in_tables = state.slots().map(|(_, slot)| slot.meta().max_seqno).max().unwrap_or(0);
    (seqnos, in_tables)
}

/// Seals the memtable and puts a table in its place.
const FLUSH: fn(&Store) = |store| {
    store.committer.seal(DEFAULT_KEYSPACE);
    let sealed = store.tree.sealed();
    let Some(last) = sealed.last() else { return };
    store.committer.wait_visible(last.seqno);
    let mut entries = 0;
    for sealed in &sealed {
        entries += sealed.mem.entries();
    }
    assert_eq!(entries, last.seqno, "the table would miss an entry");
    let mut version = Version::default();
    version.levels[0].runs = vec![SortedRun { id: 1, tables: vec![store.table(last.seqno)] }];
    store.tree.install(Arc::new(version), sealed.len());
};

/// A reader takes what is visible and then the read state: every entry up to there is in its memtables or its table,
/// while the memtable that takes them is sealed and then replaced by a table.
const READ: fn(&Store) = |store| {
    let visible = store.committer.visible();
    let state = store.tree.read_state();
    let (seqnos, in_tables) = contents(&state);
    for seqno in in_tables + 1..=visible {
        assert!(seqnos.contains(&seqno), "{seqno} is not in {seqnos:?} nor in the table, {in_tables}");
    }
    // The other way round, what is missing is only newer than everything else.
    let until = store.committer.visible();
    let (seqnos, in_tables) = contents(&state);
    let mut next = in_tables + 1;
    for seqno in seqnos.into_iter().filter(|&seqno| seqno > in_tables && seqno <= until) {
        assert_eq!(seqno, next);
        next += 1;
    }
};

/// Every entry is in a memtable that readers see or in the table.
const AFTER_FLUSH: fn(&Store) = |store| {
    let (seqnos, in_tables) = contents(&store.tree.read_state());
    let missing = (in_tables + 1..=store.committer.visible()).find(|seqno| !seqnos.contains(seqno));
    assert_eq!(missing, None);
};

/// The read state is changed from two sides.
#[test]
fn loom_a_memtable_sealed_while_another_is_flushed_stays() {
    let seal_between: fn(&Store) = |store| {
        store.commit(Buffered).unwrap();
        store.commit(Buffered).unwrap();
        store.committer.seal(DEFAULT_KEYSPACE);
        store.commit(Synced).unwrap();
    };
    check(3, Setup::default(), [seal_between, FLUSH], AFTER_FLUSH);
}

#[test]
fn loom_readers_miss_nothing_while_the_memtable_is_sealed_and_flushed() {
    let two_writes: fn(&Store) = |store| {
        store.commit(Buffered).unwrap();
        store.commit(Synced).unwrap();
    };
    check(2, Setup::default(), [two_writes, FLUSH, READ], AFTER_FLUSH);
}
