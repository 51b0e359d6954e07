//! Several threads on one store in a real directory: writers, readers, and one that flushes, compacts and copies.
//!
//! What a writer does is decided by the seed and a count alone, and every batch writes the count too. So whatever a reader
//! sees tells by the counts in it what it must be, as a whole: a batch in part, a lost write, or two reads of one snapshot
//! that differ would show.

use esker::{
    Builder, CompactionStrategy, Db, Durability, Error, Keyspace, KeyspaceOptions, Snapshot, WriteBatch,
    WriteOptions,
};
use esker_tests::bytes::Random;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Writers, each with keys of its own in each keyspace.
const WRITERS: usize = 3;
/// Batches that each writes.
const BATCHES: u64 = 4000;
/// The keyspaces.
const NAMES: [&str; 2] = ["default", "other"];
/// Snapshots that a reader comes back to.
const KEPT: usize = 4;

/// One keyspace's entries.
type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// Every keyspace's.
type Maps = [Map; NAMES.len()];

/// What a writer does at one count.
enum Action {
    Put(usize, Vec<u8>, Vec<u8>),
    Delete(usize, Vec<u8>),
    DeleteRange(usize, Vec<u8>, Vec<u8>),
}

fn count_key(writer: usize) -> Vec<u8> {
    format!("{writer}/count").into_bytes()
}

/// The batch of a count, which is 1 for the first. Depends on the arguments alone.
fn actions(seed: u64, writer: usize, count: u64) -> Vec<Action> {
    let mut random = Random::new(seed ^ (writer as u64) << 40 ^ count << 8);
    let key = |random: &mut Random| format!("{writer}/key/{:03}", random.below(150)).into_bytes();
    let mut actions: Vec<Action> = (0..1 + random.below(5))
        .map(|_| {
            let (keyspace, first) = (random.below(NAMES.len()), key(&mut random));
            match random.below(16) {
                0 => {
                    let mut last = first.clone();
                    last.push(b'0' + random.below(3) as u8);
                    DeleteRange(keyspace, first, last)
                }
                1 => DeleteRange(keyspace, first, key(&mut random)),
                2..=4 => Delete(keyspace, first),
                _ => {
                    let len = [20, 100, 1000][random.below(3)];
                    let mut value = format!("{writer} at {count} ").into_bytes();
                    value.extend(random.bytes(len));
                    Put(keyspace, first, value)
                }
            }
        })
        .collect();
    let put = |keyspace| Put(keyspace, count_key(writer), count.to_string().into_bytes());
    actions.extend((0..NAMES.len()).map(put));
    actions
}

use Action::{Delete, DeleteRange, Put};

/// The model of all writers: at which counts it stands, and what is there then.
#[derive(Clone, Default)]
struct Model {
    counts: [u64; WRITERS],
    maps: Maps,
}

impl Model {
    /// Goes on to these counts, each of which is at least what it was.
    fn advance(&mut self, seed: u64, counts: [u64; WRITERS]) {
        for (writer, to) in counts.into_iter().enumerate() {
            let from = self.counts[writer];
            assert!(from <= to && to <= BATCHES, "writer {writer} went from {from} to {to}");
            for action in (from + 1..=to).flat_map(|count| actions(seed, writer, count)) {
                match action {
                    Put(keyspace, key, value) => drop(self.maps[keyspace].insert(key, value)),
                    Delete(keyspace, key) => drop(self.maps[keyspace].remove(&key)),
                    DeleteRange(keyspace, start, end) => {
                        self.maps[keyspace].retain(|key, _| *key < start || *key >= end);
                    }
                }
            }
            self.counts[writer] = to;
        }
    }

    /// Holds one keyspace against the model.
    fn check(&self, keyspace: usize, found: &Map, what: &str) {
        let map = &self.maps[keyspace];
        if map != found {
            let differs = |key: &&Vec<u8>| map.get(*key) != found.get(*key);
            let mut keys = map.keys().chain(found.keys()).filter(differs);
            let key = keys.next().cloned().unwrap_or_default();
            let text = |map: &Map| map.get(&key).map(|v| v[..v.len().min(20)].escape_ascii().to_string());
            panic!(
                "{what}, keyspace {keyspace} at {:?}: {} is {:?} and not {:?}; {} keys differ",
                self.counts,
                key.escape_ascii(),
                text(found),
                text(map),
                keys.count() + 1,
            );
        }
    }
}

/// The counts that a keyspace's content tells.
fn counts_in(found: &Map) -> [u64; WRITERS] {
    std::array::from_fn(|writer| {
        let count = found.get(&count_key(writer));
        count.map_or(0, |count| String::from_utf8_lossy(count).parse().expect("a count"))
    })
}

fn collect(entries: impl Iterator<Item = esker::Result<(esker::Slice, esker::Slice)>>) -> Map {
    entries.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec())).expect("a scan")).collect()
}

/// What the threads share.
struct Shared {
    seed: u64,
    db: Db,
    keyspaces: Vec<Keyspace>,
    /// For each writer, the count of the last batch that was acknowledged.
    acknowledged: [AtomicU64; WRITERS],
    writing: AtomicUsize,
    /// Callbacks asked for, and done.
    wanted: AtomicU64,
    called: Arc<AtomicU64>,
}

/// Says that a writer has ended, also when it panics: the others go on as long as one writes.
struct Writing<'a>(&'a AtomicUsize);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Shared {
    fn is_written(&self) -> bool {
        self.writing.load(Ordering::Acquire) > 0
    }

    fn acknowledged(&self) -> [u64; WRITERS] {
        std::array::from_fn(|writer| self.acknowledged[writer].load(Ordering::Acquire))
    }

    /// Nothing that was acknowledged before may be missing.
    fn at_least(&self, acknowledged: [u64; WRITERS], found: [u64; WRITERS], what: &str) {
        let behind = (0..WRITERS).any(|writer| found[writer] < acknowledged[writer]);
        assert!(!behind, "{what} shows {found:?} after {acknowledged:?} was acknowledged");
    }

    fn write(&self, writer: usize) {
        let _writing = Writing(&self.writing);
        let mut random = Random::new(self.seed ^ (77 + writer as u64));
        let mut commits = Vec::new();
        for count in 1..=BATCHES {
            let mut batch = WriteBatch::new();
            for action in actions(self.seed, writer, count) {
                match action {
                    Put(keyspace, key, value) => self.keyspaces[keyspace].put_to(&mut batch, key, value),
                    Delete(keyspace, key) => self.keyspaces[keyspace].delete_to(&mut batch, key),
                    DeleteRange(keyspace, start, end) => {
                        self.keyspaces[keyspace].delete_range_to(&mut batch, start..end)
                    }
                };
            }
            let synced = random.below(32) == 0;
            let durability = if synced { Durability::Synced } else { Durability::Buffered };
            let options = WriteOptions::new(durability).no_stall(random.below(2) == 0);
            if random.below(3) == 0 {
                let commit = match self.db.submit(&batch, options) {
                    Err(Error::Busy { .. }) if options.no_stall => {
                        self.db.submit(&batch, options.no_stall(false))
                    }
                    other => other,
                };
                let commit = commit.expect("submit");
                if random.below(2) == 0 {
                    let called = self.called.clone();
                    self.wanted.fetch_add(1, Ordering::Relaxed);
                    commit.on_done(move |done| {
                        done.expect("a commit");
                        called.fetch_add(1, Ordering::Relaxed);
                    });
                } else {
                    commits.push(commit);
                }
            } else {
                match self.db.write_with(&batch, options) {
                    Err(Error::Busy { .. }) if options.no_stall => {
                        self.db.write_with(&batch, options.no_stall(false)).expect("write");
                    }
                    other => other.expect("write"),
                }
            }
            self.acknowledged[writer].store(count, Ordering::Release);
        }
        let seqnos: Vec<u64> = commits.iter().map(esker::Commit::seqno).collect();
        assert!(seqnos.is_sorted(), "a later write has a lower sequence number");
        commits.iter().for_each(|commit| commit.wait().expect("wait"));
        self.db.sync().expect("sync");
        println!("writer {writer}: {} handles", commits.len());
    }

    /// Everything that a snapshot shows, read in a way that the number picks.
    fn content(&self, snapshot: &Snapshot, keyspace: usize, way: usize) -> Map {
        let handle = &self.keyspaces[keyspace];
        match way {
            0 => collect(snapshot.range_in(handle, ..)),
            1 => collect(snapshot.range_in(handle, ..).rev()),
            _ => {
                let mut cursor = snapshot.cursor_in(handle).expect("a cursor");
                let mut found = Map::new();
                let mut valid = cursor.seek_first().expect("a cursor");
                while valid {
                    found.insert(cursor.key().to_vec(), cursor.value().to_vec());
                    // Back and forth is where it was.
                    if found.len().is_multiple_of(7) {
                        cursor.prev().expect("a cursor");
                        cursor.next().expect("a cursor");
                    }
                    valid = cursor.next().expect("a cursor");
                }
                found
            }
        }
    }

    fn check_snapshot(&self, snapshot: &Snapshot, model: &Model, random: &mut Random) {
        for keyspace in 0..NAMES.len() {
            let found = self.content(snapshot, keyspace, random.below(3));
            model.check(keyspace, &found, "a snapshot");
            for _ in 0..20 {
                let key = format!("{}/key/{:03}", random.below(WRITERS), random.below(150)).into_bytes();
                let got = snapshot.get_in(&self.keyspaces[keyspace], &key).expect("get");
                assert_eq!(got.as_deref(), found.get(&key).map(Vec::as_slice), "a get in a snapshot");
            }
        }
    }

    fn read(&self, reader: u64) {
        let mut random = Random::new(self.seed ^ reader << 20);
        let (mut model, mut kept, mut looks) = (Model::default(), Vec::new(), 0);
        while self.is_written() {
            looks += 1;
            let acknowledged = self.acknowledged();
            let snapshot = self.db.snapshot();
            let counts = counts_in(&self.content(&snapshot, 0, 0));
            self.at_least(acknowledged, counts, "a snapshot");
            model.advance(self.seed, counts);
            self.check_snapshot(&snapshot, &model, &mut random);
            if kept.len() == KEPT {
                let (snapshot, model): (Snapshot, Model) = kept.remove(random.below(KEPT));
                self.check_snapshot(&snapshot, &model, &mut random);
            }
            kept.push((snapshot, model.clone()));
            // Without a snapshot, a scan sees one state of its keyspace all the same.
            let keyspace = random.below(NAMES.len());
            let found = collect(self.keyspaces[keyspace].range(..));
            let mut then = model.clone();
            then.advance(self.seed, counts_in(&found));
            then.check(keyspace, &found, "a scan");
        }
        println!("reader {reader}: {looks} looks");
    }

    fn maintain(&self, dir: &Path) {
        let mut random = Random::new(self.seed ^ 5);
        let (mut model, mut rounds) = (Model::default(), 0);
        while self.is_written() {
            rounds += 1;
            let handle = &self.keyspaces[random.below(NAMES.len())];
            match random.below(6) {
                0 => self.db.flush().expect("flush"),
                1 => handle.flush().expect("flush"),
                2 => handle.compact(..).expect("compact"),
                3 => handle.compact("1/".."2/").expect("compact"),
                4 => {
                    let report = self.db.verify().expect("verify");
                    assert!(report.is_intact(), "{report}");
                }
                _ => {
                    let acknowledged = self.acknowledged();
                    self.db.checkpoint(dir).expect("checkpoint");
                    let copy = builder().read_only(true).open(dir).expect("a checkpoint opens");
                    let counts = counts_in(&collect(copy.range(..)));
                    self.at_least(acknowledged, counts, "a checkpoint");
                    model.advance(self.seed, counts);
                    check_all(&copy, &model, "a checkpoint");
                    drop(copy);
                    std::fs::remove_dir_all(dir).expect("the copy is ours");
                }
            }
        }
        println!("{rounds} rounds of maintenance");
    }
}

fn builder() -> Builder {
    let options = KeyspaceOptions::new().block_bytes(512).compaction(CompactionStrategy::Leveled {
        l0_trigger: 2,
        ratio: 3,
        table_bytes: 64 << 10,
    });
    Db::builder().memory_budget(esker::MIN_MEMORY_BUDGET).segment_bytes(100_000).keyspace_defaults(options)
}

fn check_all(db: &Db, model: &Model, what: &str) {
    for (number, name) in NAMES.iter().enumerate() {
        let handle = db.keyspace(name).expect("a keyspace");
        model.check(number, &collect(handle.range(..)), what);
    }
}

fn run(seed: u64) {
    println!("threads, ESKER_SEED={seed}");
    let dir = tempfile::tempdir().expect("a directory");
    let store = dir.path().join("store");
    let db = builder().open(&store).expect("a new store");
    db.create_keyspace(NAMES[1], KeyspaceOptions::new().block_bytes(200)).expect("a keyspace");
    let keyspaces = NAMES.iter().map(|name| db.keyspace(name).expect("a keyspace")).collect();
    let shared = Shared {
        seed,
        db,
        keyspaces,
        acknowledged: Default::default(),
        writing: AtomicUsize::new(WRITERS),
        wanted: AtomicU64::new(0),
        called: Arc::default(),
    };
    std::thread::scope(|scope| {
        let shared = &shared;
        (0..WRITERS).for_each(|writer| drop(scope.spawn(move || shared.write(writer))));
        (1..=2).for_each(|reader| drop(scope.spawn(move || shared.read(reader))));
        let copy = dir.path().join("copy");
        scope.spawn(move || shared.maintain(&copy));
    });
    let Shared { db, keyspaces, wanted, called, .. } = shared;
    let mut model = Model::default();
    model.advance(seed, [BATCHES; WRITERS]);
    check_all(&db, &model, "the end");
    drop(keyspaces);
    db.close().expect("close");
    assert_eq!(called.load(Ordering::Acquire), wanted.into_inner(), "callbacks");
    let db = builder().open(&store).expect("the store opens again");
    check_all(&db, &model, "the store opened again");
    assert!(db.verify().expect("verify").is_intact());
    db.compact(..).expect("compact");
    check_all(&db, &model, "the store compacted");
}

#[test]
fn a_store_that_is_written_and_flushed_meanwhile_verifies() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = builder().segment_bytes(4096).open(dir.path()).expect("a new store");
    let writing = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _writing = Writing(&writing);
            for i in 0..2000u32 {
                db.put(i.to_be_bytes(), [7; 500]).expect("put");
                if i % 20 == 0 {
                    db.flush().expect("flush");
                }
            }
        });
        while writing.load(Ordering::Acquire) > 0 {
            let report = db.verify().expect("verify");
            assert!(report.is_intact(), "{report}");
        }
    });
}

#[test]
fn threads_see_whole_states_and_nothing_acknowledged_is_lost() {
    if let Some(seed) = super::number("ESKER_SEED") {
        return run(seed);
    }
    let (began, seconds) = (Instant::now(), super::number("ESKER_MODEL_SECONDS").unwrap_or(0));
    let mut seed = if seconds > 0 { super::number("ESKER_MODEL_FIRST").unwrap_or(1) } else { 0 };
    loop {
        run(seed);
        seed += 1;
        if began.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
    }
}
