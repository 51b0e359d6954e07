//! A small store for tests: memtables, a version set and a model that remembers every write.

use crate::Result;
use crate::compaction::{Choice, Context, Done, JobContext, ManualPlan, Pick, flush, pick, run};
use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::fs::simulated::SimEnv;
use crate::manifest::{
    AddedFile, Ages, FileMeta, KeyspaceEdit, KeyspaceRecord, Version, VersionEdit, VersionSet,
};
use crate::memtable::{Memtable, entry_bound};
use crate::metrics::Metrics;
use crate::options::{KeyspaceOptions, TableIo};
use crate::tables::{CachedBlocks, FormatRegistry, TableCache};
use esker_format_block::BlockFormat;
use esker_table::{Fragments, Kind, LookupKey, ReadOptions, Run, SeqNo, TableFormat, Trailer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The only keyspace.
const ID: u32 = 1;

/// What a write did to a key, newest last.
type History = BTreeMap<Vec<u8>, Vec<(SeqNo, Option<Vec<u8>>)>>;

pub(super) struct Store {
    pub(super) sim: SimEnv,
    env: Arc<dyn Env>,
    registry: Arc<FormatRegistry>,
    tables: TableCache,
    set: VersionSet,
    record: KeyspaceRecord,
    pub(super) options: KeyspaceOptions,
    pub(super) is_filling: bool,
    pub(super) snapshots: Vec<SeqNo>,
    pub(super) seqno: SeqNo,
    pub(super) now_millis: u64,
    ages: Ages,
    pub(super) stop: AtomicBool,
    pub(super) mem: Arc<Memtable>,
    /// Every version of every key that was ever written.
    history: History,
    pub(super) blocks_copied: u64,
}

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

impl Store {
    pub(super) fn new(options: KeyspaceOptions) -> Store {
        Store::with_formats(options, vec![Arc::new(BlockFormat::new())])
    }

    pub(super) fn with_format(options: KeyspaceOptions, format: Arc<dyn TableFormat>) -> Store {
        Store::with_formats(options, vec![Arc::new(BlockFormat::new()), format])
    }

    fn with_formats(options: KeyspaceOptions, formats: Vec<Arc<dyn TableFormat>>) -> Store {
        let sim = SimEnv::new();
        let env: Arc<dyn Env> = Arc::new(sim.clone());
        let dir = Path::new("/store");
        env.create_dir_all(dir).unwrap();
        let record = KeyspaceRecord { name: "test".into(), log: true, ..KeyspaceRecord::default() };
        let first = VersionEdit {
            next_keyspace: Some(ID + 1),
            keyspaces: vec![KeyspaceEdit { id: ID, record: Some(record.clone()), ..KeyspaceEdit::default() }],
            ..VersionEdit::default()
        };
        let set = VersionSet::create(env.clone(), dir, first).unwrap();
        let mut registry = FormatRegistry::empty();
        formats.into_iter().for_each(|format| registry.register(format).unwrap());
        let registry = Arc::new(registry);
        let metrics = Arc::new(Metrics::default());
        let blocks = Arc::new(CachedBlocks::new(1 << 20, 4096, metrics.clone()));
        let tables = TableCache::new(env.clone(), dir, TableIo::Pread, registry.clone(), blocks, metrics);
        Store {
            sim,
            env,
            registry,
            tables,
            set,
            record,
            options,
            is_filling: false,
            snapshots: Vec::new(),
            seqno: 0,
            now_millis: 0,
            ages: Ages::default(),
            stop: AtomicBool::new(false),
            mem: Arc::new(Memtable::new(8 << 20)),
            history: History::new(),
            blocks_copied: 0,
        }
    }

    fn insert(&mut self, kind: Kind, key: &[u8], value: &[u8]) {
        self.seqno += 1;
        let bound = entry_bound(key.len(), value.len());
        assert!(self.mem.try_reserve(bound));
        self.mem.insert(key, Trailer::new(self.seqno, kind), value);
        self.mem.release(bound);
    }

    pub(super) fn put(&mut self, key: &str, value: &str) {
        self.insert(Kind::Put, key.as_bytes(), value.as_bytes());
        let versions = self.history.entry(key.into()).or_default();
        versions.push((self.seqno, Some(value.into())));
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.insert(Kind::Delete, key.as_bytes(), b"");
        self.history.entry(key.into()).or_default().push((self.seqno, None));
    }

    pub(super) fn delete_range(&mut self, start: &str, end: &str) {
        self.insert(Kind::RangeDelete, start.as_bytes(), end.as_bytes());
        if start < end {
            for (_, versions) in self.history.range_mut(start.as_bytes().to_vec()..end.as_bytes().to_vec()) {
                versions.push((self.seqno, None));
            }
        }
    }

    /// Makes tables larger than the memory that there is for them, or not.
    pub(super) fn set_larger_than_memory(&self, yes: bool) {
        self.tables.way().choose(1, 0, yes.then_some(0));
    }

    /// The page that each block of the tables begins in and the page that it ends in, by the table.
    pub(super) fn pages_of_blocks(&self) -> Vec<Vec<(u64, u64)>> {
        let of_table = |meta: &Arc<FileMeta>| {
            let slot = self.tables.slot(meta);
            let table = slot.table().unwrap();
            let (mut runs, mut run) = (table.runs(&ReadOptions::default()), Run::new());
            let mut found = Vec::new();
            runs.first(&mut run, usize::MAX).unwrap();
            while !run.is_empty() {
                if let Some(block) = table.raw_block_at(run.key(0), run.trailer(0)).unwrap() {
                    let start = table.estimated_offset(&block.first_key);
                    found.push((start / 4096, (start + block.stored.len() as u64 - 1) / 4096));
                }
                runs.next(&mut run, usize::MAX).unwrap();
            }
            found
        };
        self.version().tables().map(of_table).collect()
    }

    pub(super) fn version(&self) -> Arc<Version> {
        self.set.version(ID).unwrap()
    }

    fn horizon(&self) -> SeqNo {
        self.options.ttl_millis().map_or(0, |ttl| self.ages.horizon(self.now_millis, ttl))
    }

    pub(super) fn job(&self) -> JobContext<'_> {
        JobContext {
            env: &self.env,
            dir: Path::new("/store"),
            registry: &self.registry,
            tables: &self.tables,
            set: &self.set,
            keyspace: ID,
            record: &self.record,
            options: &self.options,
            snapshots: self.snapshots.clone(),
            visible: self.seqno,
            now_millis: self.now_millis,
            horizon: self.horizon(),
            stop: &self.stop,
            between: None,
            standing: None,
        }
    }

    pub(super) fn flush(&mut self) -> Result<usize> {
        let added = flush(&self.job(), std::slice::from_ref(&self.mem))?;
        let tables = added.len();
        let edit = KeyspaceEdit { id: ID, flushed_seqno: Some(self.seqno), added, ..KeyspaceEdit::default() };
        self.install(edit)?;
        self.mem = Arc::new(Memtable::new(8 << 20));
        if let Some(ttl) = self.options.ttl_millis() {
            self.ages.note(self.seqno, self.now_millis, ttl);
        }
        Ok(tables)
    }

    /// Changes what the MANIFEST says of the newest table of L0.
    pub(super) fn change_newest(&mut self, change: impl FnOnce(&mut FileMeta)) {
        let version = self.version();
        let run = &version.levels[0].runs[0];
        let mut meta = run.tables[0].as_ref().clone();
        change(&mut meta);
        let edit = KeyspaceEdit {
            id: ID,
            removed: vec![(0, meta.number)],
            added: vec![AddedFile { level: 0, run: run.id, meta: Arc::new(meta) }],
            ..KeyspaceEdit::default()
        };
        self.install(edit).unwrap();
    }

    /// Runs a choice, and flushes the memtable in the middle of it.
    pub(super) fn run_around_a_flush(&mut self, choice: &Choice) -> Result<()> {
        let flushed = std::cell::Cell::new(false);
        let between = || {
            if flushed.replace(true) {
                return Ok(());
            }
            let added = flush(&self.job(), std::slice::from_ref(&self.mem))?;
            self.install(KeyspaceEdit { id: ID, added, ..KeyspaceEdit::default() })
        };
        let mut job = self.job();
        job.between = Some(&between);
        let done = run(&job, choice)?;
        self.install(done.edit)?;
        if flushed.get() {
            self.mem = Arc::new(Memtable::new(8 << 20));
        }
        Ok(())
    }

    fn install(&self, edit: KeyspaceEdit) -> Result<()> {
        let edit = VersionEdit { keyspaces: vec![edit], ..VersionEdit::default() };
        self.set.log_and_apply(edit, |_| {})
    }

    pub(super) fn next(&self) -> Option<Pick> {
        self.with_context(pick)
    }

    fn with_context<T>(&self, choose: impl FnOnce(&Version, &Context<'_>) -> T) -> T {
        let tombstones = |meta: &Arc<FileMeta>| -> Option<Arc<Fragments>> {
            self.tables.slot(meta).table().ok()?.fragments().ok()?.cloned()
        };
        let context = Context {
            options: &self.options,
            is_filling: self.is_filling,
            horizon: self.horizon(),
            snapshots: &self.snapshots,
            tombstones: &tombstones,
        };
        choose(&self.version(), &context)
    }

    pub(super) fn run(&mut self, choice: &Choice) -> Result<()> {
        let Done { edit, report } = run(&self.job(), choice)?;
        self.blocks_copied += report.blocks_copied;
        self.install(edit)?;
        Ok(())
    }

    /// Picks and runs until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..1000 {
            let Some(pick) = self.next() else { return };
            self.run(&pick.choice).unwrap();
        }
        panic!("compaction does not come to rest");
    }

    /// Compacts everything by hand.
    pub(super) fn compact(&mut self) {
        let mut plan = ManualPlan::new(None, None, self.set.new_file_number());
        for _ in 0..1000 {
            let Some(pick) = self.with_context(|version, context| plan.next(version, context)) else {
                return;
            };
            self.run(&pick.choice).unwrap();
        }
        panic!("the plan does not end");
    }

    /// A point lookup through memtable and tables.
    pub(super) fn get(&self, key: &[u8], snapshot: SeqNo) -> Option<Vec<u8>> {
        let lookup = LookupKey::new(key, snapshot);
        let mut covered = self.mem.covering_tombstone(key, snapshot);
        let mut found = self.mem.get(&lookup);
        for level in &self.version().levels {
            for run in &level.runs {
                let Some(meta) = run.tables.get(run.first_not_before(key)).filter(|t| t.contains(key)) else {
                    continue;
                };
                let slot = self.tables.slot(meta);
                let table = slot.table().unwrap();
                covered = covered.max(table.fragments().unwrap().and_then(|f| f.covering(key, snapshot)));
                // The first one found is the newest: that is what the order of levels and runs promises.
                if found.is_none() {
                    found = table.get(&lookup, &ReadOptions::default()).unwrap();
                }
            }
        }
        let found = found.filter(|f| covered.is_none_or(|t| t < f.trailer.seqno()))?;
        (found.trailer.kind() == Some(Kind::Put)).then(|| found.value.to_vec())
    }

    /// Holds every key at every snapshot against the model.
    pub(super) fn check(&self, what: &str) {
        let mut readers = self.snapshots.clone();
        readers.push(self.seqno);
        for (key, versions) in &self.history {
            for &reader in &readers {
                let seen = versions.partition_point(|(s, _)| *s <= reader);
                let expected = seen.checked_sub(1).and_then(|i| versions[i].1.clone());
                assert_eq!(
                    self.get(key, reader),
                    expected,
                    "{what}: key {:?} at {reader} of {readers:?}",
                    String::from_utf8_lossy(key)
                );
            }
        }
        self.check_tables(what);
    }

    /// Every table holds what its record says, in order; nothing else lies in the directory.
    fn check_tables(&self, what: &str) {
        let version = self.version();
        for meta in version.tables() {
            let slot = self.tables.slot(meta);
            let table = slot.table().unwrap();
            table.verify().unwrap();
            let mut runs = table.runs(&ReadOptions::default());
            let mut run = Run::new();
            let mut entries = 0;
            runs.first(&mut run, 1000).unwrap();
            while !run.is_empty() {
                for i in 0..run.len() {
                    assert!(meta.contains(run.key(i)), "{what}: an entry outside the bounds of its table");
                    let seqno = run.trailer(i).seqno();
                    assert!(meta.min_seqno <= seqno && seqno <= meta.max_seqno, "{what}: sequence numbers");
                    entries += 1;
                }
                runs.next(&mut run, 1000).unwrap();
            }
            assert_eq!(entries, meta.entries, "{what}");
        }
        assert_eq!(self.files(), version.tables().count(), "{what}: files in the directory");
    }

    /// Files that hold tables, whole or not, once the obsolete ones are removed.
    pub(super) fn files(&self) -> usize {
        for number in self.set.reclaim() {
            let path = FileName::Table(number).path(Path::new("/store"));
            self.env.remove_file(&path).unwrap();
            self.set.removed(number);
        }
        self.sim.files().iter().filter(|(name, _)| name.contains(".sst")).count()
    }

    /// What a collector left in all tables.
    pub(super) fn collected(&self, name: &str) -> Vec<Vec<u8>> {
        let version = self.version();
        version
            .tables()
            .map(|meta| self.tables.slot(meta).table().unwrap().collected(name).unwrap().to_vec())
            .collect()
    }

    /// All live pairs.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.history.keys().filter_map(|k| Some((text(k), text(&self.get(k, self.seqno)?)))).collect()
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}
