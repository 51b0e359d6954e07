//! [`Store`]: a pipeline and one keyspace, on a [`Log`] that holds every step against what it must never do.

use crate::WriteOptions;
use crate::fs::filename::FileName;
use crate::fs::simulated::SimEnv;
use crate::fs::{Background, DirLock, Env, LockMode, WritableFile};
use crate::manifest::{Ages, FileGuard, FileMeta, KeyspaceEdit, KeyspaceRecord, VersionEdit, VersionSet};
use crate::memtable::Memtable;
use crate::metrics::Metrics;
use crate::options::{Durability, KeyspaceOptions, TableIo};
use crate::record::{HEADER_LEN, append_record};
use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, std_lock};
use crate::tables::{CachedBlocks, FormatRegistry, TableCache};
use crate::wal::Segment;
use crate::write::batch::{DEFAULT_KEYSPACE, Op, Ops};
use crate::write::commit::{Committed, Committer, CommitterParts, WriteLimits};
use crate::write::handle::Commit;
use crate::write::health::Health;
use crate::write::tree::Tree;
use crate::{Result, event::Events};
use esker_table::codec::varint::Reader;
use esker_table::{ByteSource, Kind, SeqNo};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a store is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// A segment of the log takes records up to this length, and at least one.
    pub(super) segment_bytes: u64,
    /// The number of the write to the log that fails, counted from one; 0: none does.
    pub(super) failing_write: u64,
    /// The number of the sync of the log that fails; 0: none does.
    pub(super) failing_sync: u64,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { segment_bytes: 1 << 20, failing_write: 0, failing_sync: 0 }
    }
}

/// What all executions of a model share: nothing in it can change threads.
#[derive(Clone)]
pub(super) struct Ground {
    sim: SimEnv,
    set: Arc<VersionSet>,
    tables: TableCache,
}

impl Ground {
    pub(super) fn new() -> Ground {
        let sim = SimEnv::new();
        let env: Arc<dyn Env> = Arc::new(sim.clone());
        let record = KeyspaceRecord { name: "k".into(), log: true, ..KeyspaceRecord::default() };
        let keyspace = KeyspaceEdit { id: DEFAULT_KEYSPACE, record: Some(record), ..KeyspaceEdit::default() };
        let first = VersionEdit {
            next_keyspace: Some(DEFAULT_KEYSPACE + 1),
            keyspaces: vec![keyspace],
            ..VersionEdit::default()
        };
        let set = VersionSet::create(env.clone(), Path::new(""), first).unwrap();
        let metrics: Arc<Metrics> = Arc::default();
        let blocks = Arc::new(CachedBlocks::new(0, 4096, metrics.clone()));
        let formats = Arc::new(FormatRegistry::builtin());
        let tables = TableCache::new(env, Path::new(""), TableIo::default(), formats, blocks, metrics);
        Ground { sim, set: Arc::new(set), tables }
    }
}

/// See the head of this file.
pub(super) struct Store {
    pub(super) committer: Arc<Committer>,
    pub(super) tree: Arc<Tree>,
    pub(super) log: Arc<Log>,
    /// Callbacks that were called, and whether with success.
    pub(super) called: Arc<(Mutex<Vec<bool>>, Condvar)>,
    /// Writes that were acknowledged, and refused.
    pub(super) outcome: std::sync::Mutex<(usize, usize)>,
    set: Arc<VersionSet>,
}

impl Store {
    pub(super) fn new(ground: &Ground, setup: Setup) -> Store {
        let log = Arc::new(Log::new(setup));
        let env = Arc::new(Device { sim: ground.sim.clone(), log: log.clone() });
        let number = ground.set.new_file_number();
        let segment = Segment::create(env.as_ref(), Path::new(""), number, 0).unwrap();
        let limits = WriteLimits {
            memtable_bytes: 1 << 20,
            sealed_bytes: 1 << 20,
            batch_bytes: 1 << 20,
            segment_bytes: setup.segment_bytes,
            log_bytes: u64::MAX,
        };
        let committer = Arc::new(Committer::new(CommitterParts {
            env,
            dir: "".into(),
            table_io: TableIo::Pread,
            set: ground.set.clone(),
            metrics: ground.tables.metrics().clone(),
            events: Arc::new(Events::new(Vec::new(), |_| false)),
            health: Arc::new(Health::writable()),
            limits,
            last_seqno: 0,
            segment: Some(segment),
            older_segments: BTreeMap::new(),
        }));
        let tree = Arc::new(Tree::new(
            DEFAULT_KEYSPACE,
            KeyspaceRecord { name: "k".into(), log: true, ..KeyspaceRecord::default() },
            KeyspaceOptions::default(),
            ground.tables.clone(),
            Arc::new(Memtable::new(1 << 20)),
            Arc::default(),
            Ages::default(),
        ));
        committer.add_tree(tree.clone(), None);
        Store {
            committer,
            tree,
            log,
            called: Arc::new((Mutex::new(Vec::new()), Condvar::new())),
            outcome: std::sync::Mutex::default(),
            set: ground.set.clone(),
        }
    }

    /// Makes one put visible. Its key is its durability's, so that two writers may write the same one.
    pub(super) fn commit(&self, durability: Durability) -> Result<Committed> {
        let key = if durability == Durability::Synced { b"s" } else { b"b" };
        let op = Op { kind: Kind::Put, keyspace: DEFAULT_KEYSPACE, key, value: b"" };
        let committed = self.committer.commit(&Ops::Single(op), WriteOptions::new(durability))?;
        assert!(self.committer.visible() >= committed.last_seqno);
        Ok(committed)
    }

    /// A put from beginning to end. What is acknowledged must be in the log, as far as was asked.
    pub(super) fn write(&self, durability: Durability) {
        let result = self.commit(durability).and_then(|committed| {
            match durability {
                Durability::Buffered => self.committer.write_through(committed.lsn)?,
                Durability::Synced => self.committer.sync_through(committed.lsn)?,
            }
            Ok(committed.last_seqno)
        });
        let mut outcome = match &result {
            Ok(seqno) => {
                self.log.assert_holds(*seqno, durability);
                std_lock(&self.outcome)
            }
            // From a failure on, nothing is accepted.
            Err(_) => {
                assert!(self.commit(durability).is_err());
                std_lock(&self.outcome)
            }
        };
        if result.is_ok() { outcome.0 += 1 } else { outcome.1 += 1 }
    }

    /// A put whose durability is told by a callback.
    pub(super) fn submit(&self) {
        let Ok(committed) = self.commit(Durability::Synced) else {
            return self.called.note(false);
        };
        self.committer.write_large_tail(committed.lsn).unwrap();
        let commit =
            Commit::new(self.committer.clone(), committed.lsn, Durability::Synced, committed.last_seqno);
        let (log, called) = (self.log.clone(), self.called.clone());
        commit.on_done(move |result| {
            if result.is_ok() {
                log.assert_holds(committed.last_seqno, Durability::Synced);
            }
            called.note(result.is_ok());
        });
    }

    /// Waits until so many callbacks were called.
    pub(super) fn wait_called(&self, count: usize) {
        let mut called = crate::sync::lock(&self.called.0);
        while called.len() < count {
            called = crate::sync::wait(&self.called.1, called);
        }
    }

    /// What a table written from memtables up to `max_seqno` would be recorded as.
    pub(super) fn table(&self, max_seqno: SeqNo) -> Arc<FileMeta> {
        let number = self.set.new_file_number();
        Arc::new(FileMeta {
            number,
            format: esker_table::FormatId(0),
            size: 1,
            smallest: b"b".to_vec(),
            largest: b"s".to_vec(),
            largest_exclusive: false,
            clipped: false,
            min_seqno: 1,
            max_seqno,
            seqno_override: None,
            entries: 1,
            deletes: 0,
            range_tombstones: 0,
            created_millis: 0,
            own: true,
            kept_tombstones: Vec::new(),
            kept_collected: Vec::new(),
            guard: FileGuard::new(number, Arc::default()),
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The checker is gone, and what would drop its atomics must not ask it.
            std::mem::forget((self.committer.clone(), self.tree.clone()));
        }
    }
}

trait Note {
    fn note(&self, success: bool);
}

impl Note for (Mutex<Vec<bool>>, Condvar) {
    fn note(&self, success: bool) {
        crate::sync::lock(&self.0).push(success);
        self.1.notify_all();
    }
}

/// The segments of the log as the device has them.
#[derive(Debug)]
pub(super) struct Log {
    setup: Setup,
    /// Touched with every step, so that the checker takes the steps in every order.
    step: AtomicU64,
    files: std::sync::Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    segments: BTreeMap<u64, File>,
    records: Vec<Record>,
    writes: u64,
    syncs: u64,
    idle_syncs: u64,
    largest_group: usize,
}

#[derive(Debug, Default)]
struct File {
    len: usize,
    synced: usize,
    /// Ends with half a write.
    torn: bool,
    /// A sync failed, and what it should have made durable is lost, though later syncs succeed.
    forgotten: bool,
}

#[derive(Debug)]
struct Record {
    seqno: SeqNo,
    segment: u64,
    end: usize,
}

impl Log {
    fn new(setup: Setup) -> Log {
        Log { setup, step: AtomicU64::new(0), files: std::sync::Mutex::default() }
    }

    pub(super) fn step(&self) {
        self.step.fetch_add(1, Ordering::Relaxed);
    }

    fn append(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.step();
        let mut files = std_lock(&self.files);
        let files = &mut *files;
        let is_whole = |before: (&u64, &File)| before.1.synced == before.1.len;
        let before = files.segments.range(..number);
        let end_of_previous = before.clone().next_back().map(|(_, file)| file.len as u64);
        let all_are_whole = before.clone().all(is_whole);
        let whole_up_to = before.clone().take_while(|&one| is_whole(one)).count();
        // How far a link may claim that the log is synced.
        let synced_to = before
            .clone()
            .nth(whole_up_to)
            .or(before.last())
            .map(|(&number, file)| (number, file.synced as u64));
        let file = files.segments.entry(number).or_default();
        assert!(!file.torn, "a segment is written to after a write failed");
        if file.len == 0 {
            assert_eq!(bytes.len(), HEADER_LEN);
            file.len = HEADER_LEN;
            return Ok(());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        files.writes += 1;
        if files.writes == self.setup.failing_write {
            file.torn = true;
            return Err(io::Error::other("no"));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // Behind checksum and tag.
            let mut header = Reader::new(&rest[8..]);
            let (payload_len, claimed) = (header.varint().unwrap() as usize, header.varint().unwrap());
            let (record, after) = rest.split_at(rest.len() - header.rest().len() + payload_len);
            let payload = &record[record.len() - payload_len..];
            let first = HEADER_LEN as u64;
            let is_link = file.len == HEADER_LEN && claimed > first;
            if is_link {
                let mut link = Reader::new(payload);
                let claims = Some((link.varint().unwrap(), link.varint().unwrap()));
                assert_eq!(Some(claimed), end_of_previous, "a link does not lead to the end");
                assert!(claims <= synced_to, "a link claims syncs that have not been");
            } else {
                assert!(claimed <= file.synced as u64, "a record claims a sync that has not been");
                assert!(claimed <= first || all_are_whole, "a record claims syncs that have not been");
            }
            let mut framed = Vec::new();
            append_record(&mut framed, number, file.len as u64, claimed, &[payload]);
            assert_eq!(framed, record, "a record is framed for another place");
            file.len += record.len();
            if !payload.is_empty() && !is_link {
                let seqno = Reader::new(payload).varint().unwrap();
                assert_eq!(seqno, files.records.len() as u64 + 1, "records are not in order");
                files.records.push(Record { seqno, segment: number, end: file.len });
            }
            rest = after;
        }
        Ok(())
    }

    fn sync(&self, number: u64) -> io::Result<()> {
        self.step();
        let covered = {
            let mut files = std_lock(&self.files);
            let file = &files.segments[&number];
            let covered = file.len;
            if covered == HEADER_LEN && file.synced == 0 {
                files.segments.entry(number).or_default().synced = covered;
                return Ok(());
            }
            files.syncs += 1;
            covered
        };
        let fails = std_lock(&self.files).syncs == self.setup.failing_sync;
        // Others go on while the device works.
        self.step();
        let mut files = std_lock(&self.files);
        let files = &mut *files;
        let file = files.segments.entry(number).or_default();
        file.forgotten |= fails;
        if fails {
            return Err(io::Error::other("no"));
        }
        if !file.forgotten {
            let fresh = |r: &&Record| r.segment == number && r.end > file.synced && r.end <= covered;
            files.largest_group = files.largest_group.max(files.records.iter().filter(fresh).count());
            files.idle_syncs += u64::from(covered <= file.synced);
            file.synced = file.synced.max(covered);
        }
        Ok(())
    }

    /// Fails if the write of this number is not in the log, or, if it asked for that, not synced.
    pub(super) fn assert_holds(&self, seqno: SeqNo, durability: Durability) {
        self.step();
        let files = std_lock(&self.files);
        let record = files.records.iter().find(|record| record.seqno == seqno);
        let record = record.unwrap_or_else(|| panic!("write {seqno} is acknowledged and not in the log"));
        assert_eq!(record.seqno, seqno);
        if durability == Durability::Synced {
            let synced = files.segments[&record.segment].synced;
            assert!(record.end <= synced, "write {seqno} is acknowledged and not synced");
            let are_before =
                files.segments.range(..record.segment).all(|(_, before)| before.synced == before.len);
            assert!(are_before, "write {seqno} is acknowledged, and what is before it is not synced");
        }
    }

    /// How many records there are.
    pub(super) fn records(&self) -> usize {
        self.step();
        std_lock(&self.files).records.len()
    }

    /// Whether a write or a sync has failed.
    pub(super) fn failed(&self) -> bool {
        std_lock(&self.files).segments.values().any(|file| file.torn || file.forgotten)
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> usize {
        std_lock(&self.files).segments.len()
    }

    /// All bytes of all segments.
    pub(super) fn len(&self) -> usize {
        std_lock(&self.files).segments.values().map(|file| file.len).sum()
    }

    /// Writes to the log, syncs of it, and among these the ones that found nothing to do.
    pub(super) fn calls(&self) -> (u64, u64, u64) {
        let files = std_lock(&self.files);
        (files.writes, files.syncs, files.idle_syncs)
    }

    /// The most records that became durable with one sync.
    pub(super) fn largest_group(&self) -> usize {
        std_lock(&self.files).largest_group
    }
}

/// Where the pipeline's segments go.
#[derive(Debug)]
struct Device {
    sim: SimEnv,
    log: Arc<Log>,
}

#[derive(Debug)]
struct LogFile {
    number: u64,
    log: Arc<Log>,
}

impl WritableFile for LogFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.log.append(self.number, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.log.sync(self.number)
    }
}

/// Of an environment, the pipeline uses nothing but this.
impl Env for Device {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WritableFile>> {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse);
        let Some(FileName::Wal(number)) = name else { panic!("{path:?} is no segment of the log") };
        Ok(Box::new(LogFile { number, log: self.log.clone() }))
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn background(&self) -> Background {
        Background::Threads
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        self.sim.open(path)
    }

    fn map(&self, path: &Path, len: u64) -> io::Result<Arc<dyn ByteSource>> {
        self.sim.map(path, len)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.sim.truncate(path, len)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.sim.file_len(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.sim.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.sim.remove_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.sim.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.sim.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.sim.hard_link(from, to)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Box<dyn DirLock>> {
        self.sim.lock(path, mode)
    }

    fn now_millis(&self) -> u64 {
        self.sim.now_millis()
    }

    fn monotonic(&self) -> Duration {
        self.sim.monotonic()
    }
}
