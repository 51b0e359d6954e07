//! What jobs leave behind: the same answers, and no files but those they name.

use super::store::{Random, Store};
use crate::Error;
use crate::compaction::{Choice, JobContext, Reason};
use crate::fs::simulated::Fault;
use crate::fs::standing::testing::standing;
use crate::options::{ByLevel, CompactionStrategy, KeyspaceOptions};
use esker_format_block::BlockFormat;
use esker_table::codec::Compression;
use esker_table::{
    BlockSource, Capabilities, FormatId, RangeTombstone, TableError, TableFormat, TableReader, TableSummary,
    TableWriter, Trailer, WriteOptions,
};
use std::sync::Arc;
use std::time::Duration;

fn leveled(table_bytes: u64) -> KeyspaceOptions {
    KeyspaceOptions::new()
        .compaction(CompactionStrategy::Leveled { l0_trigger: 3, ratio: 4, table_bytes })
        .block_bytes(256)
}

/// Random writes, snapshots, flushes and compactions, held against the model all along.
fn against_the_model(options: &KeyspaceOptions, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut random = Random(seed);
        let mut store = Store::new(options.clone());
        let keys = 20 + random.below(200);
        for round in 0..40 {
            for _ in 0..random.below(120) {
                let key = format!("key{:04}", random.below(keys));
                match random.below(20) {
                    0..=12 => {
                        let fill = random.below(60) as usize;
                        let value = format!("{}-{}", store.seqno, "x".repeat(fill));
                        store.put(&key, &value);
                    }
                    13..=18 => store.delete(&key),
                    _ => {
                        let end = format!("key{:04}", random.below(keys + 20));
                        store.delete_range(&key, &end);
                    }
                }
                if random.below(150) == 0 {
                    let seqno = store.seqno;
                    store.snapshots.push(seqno);
                }
            }
            if !store.snapshots.is_empty() && random.below(4) == 0 {
                let gone = random.below(store.snapshots.len() as u64) as usize;
                store.snapshots.remove(gone);
            }
            store.flush().unwrap();
            if random.below(12) == 0 {
                store.is_filling = !store.is_filling;
            }
            if random.below(8) == 0 {
                store.set_larger_than_memory(random.below(2) == 0);
            }
            match random.below(12) {
                0..=3 => {}
                4 => store.compact(),
                _ => store.settle(),
            }
            if round % 3 == 0 {
                store.check(&format!("seed {seed}, round {round}"));
            }
        }
        store.snapshots.clear();
        store.compact();
        store.check(&format!("seed {seed}, compacted"));
        let version = store.version();
        assert!(version.tables().all(|t| t.deletes == 0 && t.range_tombstones == 0), "seed {seed}");
        assert_eq!(
            version.tables().map(|t| t.entries).sum::<u64>(),
            store.pairs().len() as u64,
            "seed {seed}"
        );
    }
}

#[test]
fn leveled_keeps_every_answer() {
    against_the_model(&leveled(2000), 0..5);
}

#[test]
fn leveled_with_one_layout_keeps_every_answer() {
    // Moves and block copies are possible everywhere.
    against_the_model(&leveled(1000).compression(ByLevel::all(Compression::None)), 100..105);
}

#[test]
fn tiered_keeps_every_answer() {
    let options = KeyspaceOptions::new()
        .compaction(CompactionStrategy::tiered())
        .compression(ByLevel::all(Compression::None))
        .block_bytes(256);
    against_the_model(&options, 200..205);
}

#[test]
fn changing_the_strategy_keeps_every_answer() {
    let strategies = [leveled(1500).compaction, CompactionStrategy::tiered()];
    for seed in 300..303 {
        let mut random = Random(seed);
        let mut store = Store::new(leveled(1500));
        for round in 0..30 {
            store.options.compaction = strategies[random.below(2) as usize];
            for _ in 0..60 {
                let key = format!("key{:03}", random.below(150));
                if random.below(4) == 0 { store.delete(&key) } else { store.put(&key, &format!("{round}")) }
            }
            store.flush().unwrap();
            store.settle();
            store.check(&format!("seed {seed}, round {round}"));
        }
    }
}

#[test]
fn what_is_larger_than_memory_is_laid_in_pages() {
    let mut store =
        Store::new(leveled(200_000).block_bytes(1000).compression(ByLevel::all(Compression::None)));
    let fill = |store: &mut Store| {
        for i in 0..3000 {
            store.put(&format!("key{i:05}"), &format!("{i:090}"));
        }
        store.flush().unwrap();
        store.compact();
    };
    let across = |store: &Store| {
        let blocks: Vec<(u64, u64)> = store.pages_of_blocks().into_iter().flatten().collect();
        assert!(blocks.len() > 200, "{} blocks", blocks.len());
        blocks.iter().filter(|(first, last)| first != last).count() * 100 / blocks.len()
    };
    fill(&mut store);
    assert!(
        (15..35).contains(&across(&store)),
        "{} of a hundred blocks of a quarter of a page",
        across(&store)
    );
    store.set_larger_than_memory(true);
    fill(&mut store);
    assert!(across(&store) < 5, "{} of a hundred", across(&store));
    store.check("in pages");
}

#[test]
fn nothing_becomes_no_table() {
    let mut store = Store::new(leveled(1000));
    assert_eq!(store.flush().unwrap(), 0);
    assert_eq!(store.files(), 0);
    store.put("a", "1");
    store.delete("a");
    assert_eq!(store.flush().unwrap(), 1);
    store.compact();
    assert_eq!((store.files(), store.version().tables().count()), (0, 0));
    store.delete_range("a", "z");
    assert_eq!(store.flush().unwrap(), 1, "a table of nothing but a range tombstone");
    store.check("a tombstone alone");
    store.compact();
    assert_eq!(store.files(), 0);
}

#[test]
fn blocks_that_nothing_meets_are_copied() {
    let build = |options: KeyspaceOptions| {
        let mut store = Store::new(options.compression(ByLevel::all(Compression::None)));
        for i in 0..4000 {
            store.put(&format!("key{i:05}"), &format!("value {i}"));
        }
        store.flush().unwrap();
        store.compact();
        for i in 0..40 {
            store.put(&format!("key{:05}", 2000 + i), "new");
        }
        store.delete("key03000");
        store.delete_range("key03500", "key03510");
        store.flush().unwrap();
        store.compact();
        store.check("after copying");
        store
    };
    let copied = build(leveled(1 << 20));
    assert!(copied.blocks_copied > 50, "{} blocks were copied", copied.blocks_copied);
    let decoded = build(leveled(1 << 20).fold(std::sync::Arc::new(super::hooks::Newest)));
    // (A keyspace with a fold takes no range deletes from users; here it serves to keep blocks from being copied.)
    assert_eq!(decoded.blocks_copied, 0);
    assert_eq!(copied.pairs(), decoded.pairs());
    assert_eq!(copied.pairs().len(), 4000 - 1 - 10);
}

#[test]
fn a_range_delete_drops_whole_tables_without_reading() {
    let mut store = Store::new(leveled(4000));
    for i in 0..2000 {
        store.put(&format!("key{i:05}"), &"v".repeat(50));
    }
    store.flush().unwrap();
    store.compact();
    let before = store.version().tables().count();
    assert!(before > 10);
    let snapshot = store.seqno;
    store.snapshots.push(snapshot);
    store.delete_range("key00100", "key01900");
    store.flush().unwrap();
    assert!(store.next().is_none(), "the snapshot protects everything");
    store.snapshots.clear();
    let pick = store.next().unwrap();
    assert!(matches!(pick.choice, Choice::Drop { .. }) && pick.reason == Reason::Covered, "{pick:?}");
    store.run(&pick.choice).unwrap();
    drop(pick);
    store.check("dropped");
    assert!(store.version().tables().count() <= before / 4);
}

#[test]
fn very_many_range_tombstones_are_cut_into_several_tables() {
    let mut store = Store::new(leveled(1 << 20));
    let long = "k".repeat(3000);
    for i in 0..1000 {
        let start = format!("{i:05}{long}");
        store.delete_range(&start, &format!("{start}x"));
    }
    store.put("99999", "after them all");
    assert!(store.flush().unwrap() > 1);
    let version = store.version();
    assert_eq!(version.levels[0].runs.len(), 1);
    assert_eq!(version.tables().map(|t| t.range_tombstones).sum::<u64>(), 1000);
    store.check("flushed");
}

#[test]
fn old_tables_expire() {
    let strategy = CompactionStrategy::Fifo { max_bytes: u64::MAX };
    let options = KeyspaceOptions::new().compaction(strategy).ttl(Duration::from_secs(60));
    let mut store = Store::new(options);
    for minute in 0..10 {
        store.now_millis = minute * 30_000;
        store.put(&format!("at{minute}"), "seen");
        store.put("counter", &minute.to_string());
        store.flush().unwrap();
        store.settle();
        let live = store.pairs();
        let expected: Vec<String> =
            (minute.saturating_sub(1)..=minute).map(|m| format!("at{m}")).chain(["counter".into()]).collect();
        assert_eq!(live.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(), expected);
        assert_eq!(store.files(), expected.len() - 1);
    }
}

/// A store with a merge ahead.
fn before_a_merge() -> (Store, Choice) {
    // With another compression below a table cannot just be moved there.
    let compression = ByLevel::levels([Compression::None, Compression::Lz4]);
    let mut store = Store::new(leveled(4000).compression(compression));
    for round in 0..3 {
        for i in 0..1000 {
            store.put(&format!("key{i:05}"), &format!("{round} {}", "v".repeat(40)));
        }
        store.flush().unwrap();
    }
    let choice = store.next().unwrap().choice;
    assert!(matches!(choice, Choice::Merge(_)));
    (store, choice)
}

#[test]
fn stopping_in_the_middle_leaves_nothing() {
    let (mut store, choice) = before_a_merge();
    store.stop();
    assert!(matches!(store.run(&choice), Err(Error::Closed)));
    store.check("stopped");
    store.stop = std::sync::atomic::AtomicBool::new(false);
    store.run(&choice).unwrap();
    drop(choice);
    store.check("and run to the end");
    assert!(store.version().tables().count() > 5);
}

#[test]
fn a_failure_at_any_call_leaves_nothing() {
    let (store, choice) = before_a_merge();
    let job = store.job();
    let begin = store.sim.calls();
    drop(crate::compaction::run(&job, &choice).unwrap());
    let calls = store.sim.calls() - begin;
    assert!(calls > 10);
    for call in 0..calls {
        let (mut store, choice) = before_a_merge();
        let files = store.files();
        store.sim.fail_at(store.sim.calls() + call, Fault::Io);
        let result = crate::compaction::run(&store.job(), &choice);
        store.sim.clear_faults();
        if let Err(error) = result {
            assert!(matches!(error, Error::Io { .. }), "call {call}: {error}");
            assert_eq!(store.files(), files, "call {call}");
            store.run(&choice).unwrap();
            drop(choice);
            if call % 8 == 0 {
                store.check(&format!("after a failure at call {call}"));
            }
        }
    }
}

#[test]
fn flushes_get_their_turn() {
    let (store, choice) = before_a_merge();
    let turns = std::cell::Cell::new(0);
    let between = || {
        turns.set(turns.get() + 1);
        Ok(())
    };
    let mut job = store.job();
    job.between = Some(&between);
    crate::compaction::run(&job, &choice).unwrap();
    assert!(turns.get() >= 2, "{}", turns.get());
    let refuse = || Err(Error::Closed);
    let mut job = store.job();
    job.between = Some(&refuse);
    assert!(crate::compaction::run(&job, &choice).is_err());
}

#[test]
fn flushes_and_merges_stand_back_but_for_the_file_system() {
    let (mut store, choice) = before_a_merge();
    let (standing, told) = standing();
    let backs = std::cell::Cell::new(0);
    let between = || {
        backs.set(backs.get() + usize::from(standing.is_back()));
        Ok(())
    };
    let standing_job = |store: &Store, run: &dyn Fn(&JobContext<'_>)| {
        let mut job = store.job();
        job.between = Some(&between);
        job.standing = Some(&standing);
        run(&job);
        assert!(!standing.is_back());
        let told = told();
        // A file is created, written to and synced.
        assert!(told.len() >= 8 && told.chunks(2).all(|pair| pair == [true, false]), "{told:?}");
        assert!(backs.take() > 0);
    };
    standing_job(&store, &|job| drop(crate::compaction::run(job, &choice).unwrap()));
    store.put("key", "value");
    standing_job(&store, &|job| drop(crate::compaction::flush(job, &[store.mem.clone()]).unwrap()));
    // One that fails comes forward too.
    let refuse = || Err(Error::Closed);
    let mut job = store.job();
    job.between = Some(&refuse);
    job.standing = Some(&standing);
    assert!(crate::compaction::run(&job, &choice).is_err());
    assert!(!standing.is_back());
}

#[test]
fn the_space_of_deleted_entries_comes_back_unasked() {
    for strategy in [leveled(20_000).compaction, CompactionStrategy::tiered()] {
        let mut random = Random(3);
        let mut store = Store::new(leveled(20_000).compaction(strategy));
        for i in 0..5000 {
            let noise: String = (0..40).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
            store.put(&format!("key{i:05}"), &noise);
            if i % 700 == 0 {
                store.flush().unwrap();
                store.settle();
            }
        }
        store.flush().unwrap();
        store.settle();
        let before = store.version().bytes();
        for i in (0..5000).filter(|i| i % 10 != 0) {
            store.delete(&format!("key{i:05}"));
        }
        store.flush().unwrap();
        store.settle();
        store.check("deleted");
        let after = store.version().bytes();
        assert!(after * 100 <= before * 15, "{strategy:?}: {after} of {before} bytes are left");
    }
}

#[test]
fn a_flush_in_the_middle_of_a_merge_stays_above_it() {
    for strategy in [leveled(1500).compaction, CompactionStrategy::tiered()] {
        let mut random = Random(77);
        let mut store = Store::new(leveled(1500).compaction(strategy));
        for round in 0..40 {
            for step in 0..100 {
                let (a, b) = (random.below(300), random.below(300));
                match random.below(12) {
                    0 => store.delete_range(&format!("key{a:03}"), &format!("key{b:03}")),
                    1..=3 => store.delete(&format!("key{a:03}")),
                    _ => store.put(&format!("key{a:03}"), &format!("{round}-{step}")),
                }
            }
            if round % 7 == 3 {
                let seqno = store.seqno;
                store.snapshots.push(seqno);
            }
            match store.next() {
                Some(pick) => store.run_around_a_flush(&pick.choice).unwrap(),
                None => drop(store.flush().unwrap()),
            }
            store.check(&format!("{strategy:?}, round {round}"));
        }
    }
}

/// The default format without what only the MANIFEST can hold for others.
#[derive(Debug)]
struct Bare(BlockFormat);

struct BareWriter<'a>(Box<dyn TableWriter + 'a>);

impl TableFormat for Bare {
    fn id(&self) -> FormatId {
        FormatId(7001)
    }

    fn name(&self) -> &'static str {
        "bare"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().with_range_tombstones(false).with_properties(false).with_block_copy(false)
    }

    fn writer<'a>(
        &self,
        out: Box<dyn std::io::Write + Send + 'a>,
        options: &WriteOptions,
    ) -> esker_table::Result<Box<dyn TableWriter + 'a>> {
        Ok(Box::new(BareWriter(self.0.writer(out, options)?)))
    }

    fn open(&self, source: BlockSource) -> esker_table::Result<Arc<dyn TableReader>> {
        self.0.open(source)
    }
}

impl TableWriter for BareWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> esker_table::Result<()> {
        self.0.add(user_key, trailer, value)
    }

    fn add_range_tombstone(&mut self, _: &RangeTombstone) -> esker_table::Result<()> {
        Err(TableError::unsupported("no range tombstones here"))
    }

    fn estimated_size(&self) -> u64 {
        self.0.estimated_size()
    }

    fn entries(&self) -> u64 {
        self.0.entries()
    }

    fn finish(self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> esker_table::Result<TableSummary> {
        assert!(collected.is_empty(), "the engine keeps collected bytes for this format");
        self.0.finish(collected)
    }
}

#[test]
fn what_a_format_cannot_hold_is_kept_beside_it() {
    let options = leveled(1500).format(ByLevel::levels(["bare".to_owned(), "block".to_owned()]));
    for (at_top, seed) in [("bare", 1), ("block", 2)] {
        let mut options = options.clone();
        if at_top == "block" {
            options.format = ByLevel::levels(["block".to_owned(), "bare".to_owned()]);
        }
        let mut random = Random(seed);
        let mut store = Store::with_format(options, Arc::new(Bare(BlockFormat::new())));
        let mut kept = 0;
        for round in 0..30 {
            for _ in 0..60 {
                let (a, b) = (random.below(150), random.below(150));
                let key = format!("key{a:03}");
                if random.below(20) == 0 {
                    store.delete_range(&key, &format!("key{b:03}"));
                } else {
                    store.put(&key, &format!("{round}"));
                }
            }
            if round == 10 {
                let seqno = store.seqno;
                store.snapshots.push(seqno);
            }
            store.flush().unwrap();
            store.settle();
            kept += store.version().tables().filter(|t| !t.kept_tombstones.is_empty()).count();
            store.check(&format!("{at_top} at the top, round {round}"));
        }
        assert!(kept > 0);
        assert!(store.collected(crate::manifest::STAMP).iter().all(|stamp| !stamp.is_empty()));
    }
}

#[test]
fn tables_that_are_clipped_and_renumbered_are_merged_as_they_count() {
    let mut store = Store::new(leveled(1500));
    for i in 0..100 {
        store.put(&format!("key{i:03}"), "old");
    }
    store.flush().unwrap();
    for i in 0..100 {
        store.put(&format!("key{i:03}"), "attached");
    }
    store.flush().unwrap();
    // The second table counts as written after all else, and only from key020 to key050.
    store.seqno += 1;
    let seqno = store.seqno;
    store.change_newest(|meta| {
        meta.seqno_override = Some(seqno);
        (meta.min_seqno, meta.max_seqno) = (seqno, seqno);
        (meta.smallest, meta.largest, meta.largest_exclusive) = (b"key020".into(), b"key050".into(), true);
        meta.clipped = true;
    });
    store.compact();
    let attached = |i: usize| (20..50).contains(&i);
    for i in 0..100 {
        let expected: &[u8] = if attached(i) { b"attached" } else { b"old" };
        assert_eq!(store.get(format!("key{i:03}").as_bytes(), seqno).as_deref(), Some(expected));
        let before = store.get(format!("key{i:03}").as_bytes(), seqno - 1);
        assert_eq!(before.is_some(), !attached(i), "the override is what is written on");
    }
    assert_eq!(store.version().tables().map(|t| t.entries).sum::<u64>(), 100);
}
