//! Stores that lost this or that, put together again and read back.

use super::entries::Entry;
use super::*;
use crate::fs::simulated::{CrashMode, Fault, SimEnv};
use crate::manifest::{AddedFile, KeyspaceEdit, KeyspaceRecord};
use crate::options::TableIo;
use crate::record::append_record;
use crate::wal::{self, Segment};
use crate::write::batch::{PayloadHeader, decode_payload};
use esker_table::codec::varint;
use esker_table::{Fragments, Kind, RangeTombstone, Slice, Trailer};

mod unknown;

const DIR: &str = "store";

/// What is visible in each keyspace.
type Model = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// One operation; a range delete's value is its end.
type Op<'a> = (Kind, u32, &'a str, &'a str);

/// A store that is made by hand, with what it should hold.
struct Store {
    env: SimEnv,
    set: VersionSet,
    segment: Segment,
    seqno: u64,
    model: Model,
    names: Vec<String>,
    /// Operations that are not in tables yet, of each keyspace.
    memtables: BTreeMap<u32, Vec<(Kind, String, String, u64)>>,
}

fn record(name: &str) -> KeyspaceRecord {
    KeyspaceRecord { name: name.into(), log: true, ..KeyspaceRecord::default() }
}

fn file(name: FileName) -> String {
    format!("{DIR}/{name}")
}

impl Store {
    fn new(names: &[&str]) -> Store {
        let env = SimEnv::new();
        env.create_dir_all(Path::new(DIR)).unwrap();
        env.sync_dir(Path::new("")).unwrap();
        let keyspaces = names.iter().zip(0..).map(|(name, id)| KeyspaceEdit {
            id,
            record: Some(record(name)),
            ..KeyspaceEdit::default()
        });
        let first = VersionEdit {
            next_keyspace: Some(names.len() as u32),
            keyspaces: keyspaces.collect(),
            ..VersionEdit::default()
        };
        let set = VersionSet::create(Arc::new(env.clone()), Path::new(DIR), first).unwrap();
        let number = set.new_file_number();
        let segment = Segment::create(&env, Path::new(DIR), number, 0).unwrap();
        let edit =
            VersionEdit { oldest_wal: Some(number), newest_wal: Some(number), ..VersionEdit::default() };
        set.log_and_apply(edit, |_| ()).unwrap();
        let model = names.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Store { env, set, segment, seqno: 1, model, names, memtables: BTreeMap::new() }
    }

    /// Writes one commit.
    fn write(&mut self, ops: &[Op<'_>]) {
        let mut payload = PayloadHeader::new(self.seqno, ops.len() as u32).bytes().to_vec();
        for &(kind, id, key, value) in ops {
            payload.push(kind as u8);
            varint::put(&mut payload, u64::from(id));
            varint::put_bytes(&mut payload, key.as_bytes());
            if kind != Kind::Delete {
                varint::put_bytes(&mut payload, value.as_bytes());
            }
            let entry = (kind, key.to_owned(), value.to_owned(), self.seqno);
            self.memtables.entry(id).or_default().push(entry);
            self.seqno += 1;
            let model = self.model.get_mut(&self.names[id as usize]).unwrap();
            match kind {
                Kind::Put => drop(model.insert(key.into(), value.into())),
                Kind::Delete => drop(model.remove(key.as_bytes())),
                _ => model.retain(|k, _| &k[..] < key.as_bytes() || &k[..] >= value.as_bytes()),
            }
        }
        let mut bytes = Vec::new();
        let (number, at) = (self.segment.number(), self.segment.len());
        append_record(&mut bytes, number, at, self.segment.synced(), &[&payload]);
        self.segment.append(&bytes).unwrap();
        self.segment.sync().unwrap();
    }

    fn puts(&mut self, id: u32, keys: impl IntoIterator<Item = u32>, value: &str) {
        for key in keys {
            self.write(&[(Kind::Put, id, &format!("key{key:05}"), &format!("{value}-{key}"))]);
        }
    }

    fn output(&self) -> Output<'_> {
        // Far above the numbers that the set gives out: these are taken over one by one.
        Output { env: &self.env, dir: Path::new(DIR), next_file: AtomicU64::new(self.set.new_file_number()) }
    }

    /// Writes what is in memory of a keyspace to a table at L0.
    fn flush(&mut self, id: u32) -> u64 {
        let mut ops = self.memtables.remove(&id).unwrap();
        let last = ops.iter().map(|op| op.3).max();
        let (ranges, points): (Vec<_>, Vec<_>) = ops.drain(..).partition(|op| op.0 == Kind::RangeDelete);
        let tombstones = ranges.into_iter().map(|(_, start, end, seqno)| RangeTombstone {
            start: start.into(),
            end: end.into(),
            seqno,
        });
        let mut entries: Vec<Entry> = points
            .into_iter()
            .map(|(kind, key, value, seqno)| Entry {
                key: key.into(),
                trailer: Trailer::new(seqno, kind),
                value: Slice::copy_from(value.as_bytes()),
            })
            .collect();
        entries.sort_by(Entry::order);
        let tombstones = Fragments::new(tombstones);
        let added = self.table(id, entries, &tombstones, 0);
        let number = added.meta.number;
        let edit = KeyspaceEdit { id, flushed_seqno: last, added: vec![added], ..KeyspaceEdit::default() };
        let edit = VersionEdit { keyspaces: vec![edit], ..VersionEdit::default() };
        self.set.log_and_apply(edit, |_| ()).unwrap();
        number
    }

    fn table(&self, id: u32, entries: Vec<Entry>, tombstones: &Fragments, level: usize) -> AddedFile {
        let mut entries = entries.into_iter();
        let record = record(&self.names[id as usize]);
        let output = self.output();
        let mut metas =
            output.write_tables((id, &record), &mut || entries.next(), tombstones, u64::MAX).unwrap();
        self.env.sync_dir(Path::new(DIR)).unwrap();
        let meta = metas.pop().unwrap();
        let run = if level == 0 { meta.number } else { 0 };
        AddedFile { level, run, meta: Arc::new(meta) }
    }

    /// Merges tables of a keyspace, keeping every entry: keys before `cut` come to one level, the others to another.
    fn compact(&mut self, id: u32, inputs: &[(usize, u64)], cut: &str, levels: [usize; 2]) -> [u64; 2] {
        let mut entries = Vec::new();
        let mut tombstones = Vec::new();
        for &(_, number) in inputs {
            let reader = open(&self.env, &self.set, number);
            entries.extend(all_entries(&reader));
            tombstones.extend(reader.range_tombstones().unwrap().iter());
        }
        entries.sort_by(Entry::order);
        let cut = cut.as_bytes();
        let (low, high): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| &entry.key[..] < cut);
        let fragments = Fragments::new(tombstones);
        let added = vec![
            self.table(id, low, &fragments.clip(None, Some(cut)), levels[0]),
            self.table(id, high, &fragments.clip(Some(cut), None), levels[1]),
        ];
        let numbers = [added[0].meta.number, added[1].meta.number];
        let edit = KeyspaceEdit { id, removed: inputs.to_vec(), added, ..KeyspaceEdit::default() };
        let edit = VersionEdit { keyspaces: vec![edit], ..VersionEdit::default() };
        self.set.log_and_apply(edit, |_| ()).unwrap();
        for &(_, number) in inputs {
            self.remove(FileName::Table(number));
            self.set.removed(number);
        }
        numbers
    }

    /// Begins a new segment, and gives up those before if `drop_old` says so.
    fn new_segment(&mut self, drop_old: bool) {
        let number = self.set.new_file_number();
        let old = self.segment.number();
        let end = self.segment.len();
        self.segment =
            Segment::create_after(&self.env, Path::new(DIR), number, old, end, TableIo::Mmap).unwrap();
        let oldest_wal = drop_old.then_some(number);
        let edit = VersionEdit { newest_wal: Some(number), oldest_wal, ..VersionEdit::default() };
        self.set.log_and_apply(edit, |_| ()).unwrap();
        if drop_old {
            self.env.remove_file(&FileName::Wal(old).path(Path::new(DIR))).unwrap();
        }
    }

    fn remove(&self, name: FileName) {
        self.env.remove_file(&name.path(Path::new(DIR))).unwrap();
    }

    fn remove_manifest(&self) {
        for name in self.env.read_dir(Path::new(DIR)).unwrap() {
            if name.starts_with("MANIFEST") || name == "CURRENT" {
                self.env.remove_file(&Path::new(DIR).join(name)).unwrap();
            }
        }
    }
}

fn open(env: &SimEnv, set: &VersionSet, number: u64) -> Arc<dyn esker_table::TableReader> {
    let source = env.open(&set.table_path(number)).unwrap();
    esker_format_block::BlockFormat::new().open(esker_table::BlockSource::new(source)).unwrap()
}

fn all_entries(reader: &Arc<dyn esker_table::TableReader>) -> Vec<Entry> {
    let mut entries = entries::TableEntries::new(reader, None, None);
    let found = std::iter::from_fn(|| entries.next()).collect();
    assert_eq!(entries.problems, Vec::<String>::new());
    found
}

/// Everything that the store in this environment shows, as a reader would see it: the first run that has a key answers.
/// That no run further down has a newer entry is asserted.
fn read(env: &SimEnv) -> Model {
    let (set, _) =
        VersionSet::load(Arc::new(env.clone()), Path::new(DIR), Recovery::TolerateTornTail, true).unwrap();
    let state = set.state();
    let segments: Vec<u64> = wal::list(env, Path::new(DIR))
        .unwrap()
        .into_iter()
        .filter(|n| (state.oldest_wal..=state.newest_wal).contains(n))
        .collect();
    let mut logged: BTreeMap<u32, (Vec<Entry>, Vec<RangeTombstone>)> = BTreeMap::new();
    let (mode, known) = (Recovery::TolerateTornTail, wal::Known::NOTHING);
    wal::replay(env, Path::new(DIR), &segments, mode, &known, &mut |_, _, bytes| {
        let (first, ops) = decode_payload(bytes).unwrap();
        for (op, seqno) in ops.iter().zip(first..) {
            assert!(op.keyspace < state.next_keyspace);
            let flushed = state.keyspaces.get(&op.keyspace).map(|k| k.flushed_seqno);
            if flushed.is_some_and(|flushed| seqno > flushed) {
                let (entries, tombstones) = logged.entry(op.keyspace).or_default();
                if op.kind == Kind::RangeDelete {
                    let (start, end) = (op.key.to_vec(), op.value.to_vec());
                    tombstones.push(RangeTombstone { start, end, seqno });
                } else {
                    let value = Slice::copy_from(op.value);
                    entries.push(Entry {
                        key: op.key.to_vec(),
                        trailer: Trailer::new(seqno, op.kind),
                        value,
                    });
                }
            }
        }
        Ok(())
    })
    .unwrap();
    let mut model = Model::new();
    for (id, keyspace) in &state.keyspaces {
        let mut runs = vec![logged.remove(id).unwrap_or_default()];
        for run in keyspace.version.levels.iter().flat_map(|level| &level.runs) {
            let (mut entries, mut tombstones) = (Vec::new(), Vec::new());
            for table in &run.tables {
                let reader = open(env, &set, table.number);
                entries.extend(all_entries(&reader));
                tombstones.extend(reader.range_tombstones().unwrap().iter());
            }
            runs.push((entries, tombstones));
        }
        let fragments = Fragments::new(runs.iter().flat_map(|(_, tombstones)| tombstones.iter().cloned()));
        let mut newest: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        for (entries, _) in runs {
            let mut in_run: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
            for entry in entries {
                let seqno = entry.trailer.seqno();
                match in_run.get(&entry.key) {
                    Some(other) if other.trailer.seqno() >= seqno => {}
                    _ => drop(in_run.insert(entry.key.clone(), entry)),
                }
            }
            for (key, entry) in in_run {
                if let Some(above) = newest.get(&key) {
                    assert!(above.trailer >= entry.trailer, "a run further down has a newer {key:?}");
                }
                newest.entry(key).or_insert(entry);
            }
        }
        newest.retain(|key, entry| {
            let covered = fragments.covering(key, u64::MAX >> 8);
            entry.trailer.kind() == Some(Kind::Put) && covered.is_none_or(|s| s < entry.trailer.seqno())
        });
        let visible = newest.into_iter().map(|(key, entry)| (key, entry.value.as_bytes().to_vec()));
        model.insert(keyspace.record.name.clone(), visible.collect());
    }
    model
}

fn run(env: &SimEnv) -> Result<RepairReport> {
    repair(DIR, RepairOptions::new().env(Arc::new(env.clone())))
}

/// Two keyspaces, levels whose entries interleave in age, range deletes, a log of two segments, part of it flushed.
fn busy() -> Store {
    let mut store = Store::new(&["default", "users"]);
    store.puts(0, 0..400, "oldest");
    store.puts(1, 0..50, "user");
    let a = store.flush(0);
    store.puts(0, (0..400).step_by(3), "newer");
    store.write(&[(Kind::RangeDelete, 0, "key00100", "key00110"), (Kind::Delete, 0, "key00300", "")]);
    let b = store.flush(0);
    let [low, _high] = store.compact(0, &[(0, a), (0, b)], "key00200", [5, 6]);
    store.puts(0, (0..400).step_by(7), "third");
    let c = store.flush(0);
    // Level 5 now has entries older than those of level 6, and newer ones.
    store.compact(0, &[(0, c), (5, low)], "key00398", [5, 5]);
    store.flush(1);
    store.new_segment(true);
    store.puts(0, 100..105, "fourth");
    store.flush(0);
    store.puts(1, 20..30, "changed");
    store.new_segment(false);
    store.puts(0, [1, 2, 399], "in the log");
    store.write(&[(Kind::Delete, 1, "key00021", ""), (Kind::Put, 0, "key00500", "batch")]);
    assert!(read(&store.env) == store.model);
    store
}

fn lost_files(env: &SimEnv) -> Vec<String> {
    let prefix = format!("{DIR}/{LOST}/");
    env.files().into_iter().filter_map(|(path, _)| path.split(&prefix).nth(1).map(str::to_owned)).collect()
}

#[test]
fn an_intact_store_is_left_alone() {
    let store = busy();
    let before = store.env.files();
    let report = run(&store.env).unwrap();
    assert!(report.is_intact(), "{report}");
    assert_eq!((report.tables_kept, report.keyspaces.len()), (5, 2));
    let after: Vec<_> = store.env.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect();
    assert_eq!(after, before);
}

#[test]
fn a_lost_or_damaged_current() {
    for damage in 0..2 {
        let store = busy();
        match damage {
            0 => store.remove(FileName::Current),
            _ => store.env.flip(file(FileName::Current), 12, 1).unwrap(),
        }
        let report = run(&store.env).unwrap();
        assert!(report.manifest[0].starts_with("CURRENT is"), "{report}");
        assert_eq!((report.tables_kept, report.tables_rewritten), (5, 0), "{report}");
        assert!(read(&store.env) == store.model);
        assert!(run(&store.env).unwrap().is_intact());
    }
}

#[test]
fn a_lost_manifest_brings_back_every_entry() {
    let store = busy();
    store.remove_manifest();
    let report = run(&store.env).unwrap();
    assert!(!report.is_intact() && report.damaged_tables.is_empty(), "{report}");
    assert_eq!(report.keyspaces, ["default", "users"]);
    assert!(read(&store.env) == store.model, "{report}");
    // The levels of `default` interleave and were merged; `users` had one table.
    assert_eq!((report.tables_kept, report.tables_rewritten), (1, 4), "{report}");
    assert_eq!(lost_files(&store.env).len(), 4);
    assert!(run(&store.env).unwrap().is_intact());
}

#[test]
fn tables_in_layers_stay_as_they_are() {
    let mut store = Store::new(&["default"]);
    for round in 0..4 {
        store.puts(0, round * 10..round * 10 + 15, &format!("round{round}"));
        store.write(&[(Kind::RangeDelete, 0, "key00005", "key00007")]);
        store.flush(0);
    }
    store.puts(0, 900..905, "log");
    store.remove_manifest();
    let report = run(&store.env).unwrap();
    assert_eq!((report.tables_kept, report.tables_rewritten, lost_files(&store.env).len()), (4, 0, 0));
    assert!(read(&store.env) == store.model, "{report}");
}

/// Whatever byte of the MANIFEST is flipped, and wherever it is cut, nothing is lost.
#[test]
fn a_damaged_manifest_at_any_byte() {
    let store = busy();
    let path = file(FileName::Manifest(1));
    let whole = store.env.read_file(&path).unwrap();
    let pristine = store.env.power_loss(CrashMode::KeepAll);
    let copy = || {
        let env = SimEnv::new();
        env.create_dir_all(Path::new(DIR)).unwrap();
        for (path, _) in pristine.files() {
            env.write_file(&path, &pristine.read_file(&path).unwrap()).unwrap();
        }
        env
    };
    for at in (0..whole.len()).step_by(13) {
        for cut in [false, true] {
            let env = copy();
            let mut bad = whole.clone();
            match cut {
                true => bad.truncate(at),
                false => bad[at] ^= 0x41,
            }
            env.write_file(&path, &bad).unwrap();
            let what = format!("{} at {at}", if cut { "cut" } else { "flip" });
            match run(&env) {
                Ok(report) => assert!(read(&env) == store.model, "{what}: {report}"),
                Err(error) => panic!("{what}: {error}"),
            }
            assert!(run(&env).unwrap().is_intact(), "{what}");
        }
    }
}

#[test]
fn a_damaged_block_costs_its_entries_only() {
    let mut store = Store::new(&["default"]);
    store.puts(0, 0..2000, &"x".repeat(40));
    let number = store.flush(0);
    store.new_segment(true);
    store.puts(0, 5000..5010, "after");
    let path = file(FileName::Table(number));
    store.env.flip(&path, 20_000, 0x80).unwrap();
    let report = run(&store.env).unwrap();
    let [damaged] = &report.damaged_tables[..] else { panic!("{report}") };
    assert_eq!(damaged.entries, Some(2000));
    assert!(damaged.kept > 1850 && damaged.kept < 2000, "{report}");
    assert!(damaged.path.ends_with(FileName::Table(number).to_string()));
    let left = read(&store.env);
    let left = &left["default"];
    assert_eq!(left.len() as u64, damaged.kept + 10);
    assert!(left.iter().all(|(key, value)| store.model["default"].get(key) == Some(value)));
    assert_eq!(lost_files(&store.env), [FileName::Table(number).to_string()]);
    assert!(run(&store.env).unwrap().is_intact());
}

#[test]
fn what_a_damaged_table_lost_comes_out_of_the_log() {
    for lose_manifest in [false, true] {
        for missing in [false, true] {
            let mut store = Store::new(&["default"]);
            store.puts(0, 0..300, "old");
            store.flush(0);
            store.new_segment(true);
            store.puts(0, 100..700, &"y".repeat(60));
            store.write(&[(Kind::RangeDelete, 0, "key00010", "key00020"), (Kind::Delete, 0, "key00200", "")]);
            let number = store.flush(0);
            store.puts(0, 650..655, "memory");
            match missing {
                true => store.remove(FileName::Table(number)),
                false => store.env.flip(file(FileName::Table(number)), 9000, 1).unwrap(),
            }
            if lose_manifest {
                store.remove_manifest();
            }
            let report = run(&store.env).unwrap();
            assert!(read(&store.env) == store.model, "manifest lost {lose_manifest}: {report}");
            // A table that nothing remembers is not missed.
            assert_eq!(report.damaged_tables.len(), usize::from(!(lose_manifest && missing)), "{report}");
        }
    }
}

#[test]
fn a_damaged_middle_of_the_log_costs_its_record_only() {
    for lose_manifest in [false, true] {
        let mut store = Store::new(&["default"]);
        store.puts(0, 0..10, "one");
        store.new_segment(false);
        let hit = store.segment.len();
        store.puts(0, 10..20, "two");
        store.new_segment(false);
        store.puts(0, 20..30, "three");
        let number = store.segment.number();
        store.env.flip(file(FileName::Wal(number - 1)), hit + 20, 1).unwrap();
        if lose_manifest {
            store.remove_manifest();
        }
        let report = run(&store.env).unwrap();
        let [damage] = &report.damaged_log[..] else { panic!("{report}") };
        assert_eq!(damage.offset, hit);
        let left = read(&store.env).remove("default").unwrap();
        let mut expected = store.model["default"].clone();
        expected.remove(&b"key00010"[..]);
        assert_eq!(left, expected, "{report}");
        assert!(lost_files(&store.env).len() >= 3, "{report}");
        assert!(run(&store.env).unwrap().is_intact());
    }
}

#[test]
fn a_missing_segment_is_reported_and_the_others_are_read() {
    for which in 0..3 {
        let mut store = Store::new(&["default"]);
        let mut numbers = Vec::new();
        for part in 0..3 {
            numbers.push(store.segment.number());
            store.puts(0, part * 10..part * 10 + 10, "value");
            if part < 2 {
                store.new_segment(false);
            }
        }
        store.remove(FileName::Wal(numbers[which]));
        let report = run(&store.env).unwrap();
        assert_eq!(report.missing_log, [FileName::Wal(numbers[which]).path(Path::new(DIR))], "{report}");
        assert_eq!(read(&store.env)["default"].len(), 20, "{report}");
        assert!(run(&store.env).unwrap().is_intact());
    }
}

#[test]
fn a_cut_table_gives_back_its_blocks_if_the_manifest_knows_it() {
    for lose_manifest in [false, true] {
        let mut store = Store::new(&["default", "other"]);
        store.puts(0, 0..100, "gone");
        let number = store.flush(0);
        store.puts(1, 0..100, "kept");
        store.flush(1);
        store.new_segment(true);
        let path = file(FileName::Table(number));
        let bytes = store.env.read_file(&path).unwrap();
        store.env.write_file(&path, &bytes[..bytes.len() - 10]).unwrap();
        if lose_manifest {
            store.remove_manifest();
        }
        let report = run(&store.env).unwrap();
        assert_eq!(report.damaged_tables.len(), 1, "{report}");
        assert_eq!(lost_files(&store.env), [FileName::Table(number).to_string()]);
        let left = read(&store.env);
        assert_eq!(left["other"], store.model["other"]);
        // Without footer and MANIFEST nothing says whose entries these are.
        match lose_manifest {
            true => assert!(left["default"].is_empty()),
            false => assert!(left["default"] == store.model["default"], "{report}"),
        }
    }
}

#[test]
fn keyspaces_that_only_the_log_names_come_back_under_a_made_up_name() {
    let mut store = Store::new(&["default", "users"]);
    store.puts(1, 0..5, "logged");
    store.remove_manifest();
    let report = run(&store.env).unwrap();
    assert_eq!(report.keyspaces, ["default", "recovered-1"], "{report}");
    assert_eq!(read(&store.env)["recovered-1"], store.model["users"]);
}

#[test]
fn a_repair_that_is_interrupted_can_be_repeated() {
    let mut tried = 0;
    for damage in 0..3 {
        let prepare = || {
            let store = busy();
            match damage {
                0 => store.remove_manifest(),
                1 => store.env.flip(file(FileName::Manifest(1)), 100, 1).unwrap(),
                _ => {
                    let number = store.set.with_state(|s| s.tables().map(|t| t.number).max()).unwrap();
                    store.env.flip(file(FileName::Table(number)), 5, 1).unwrap();
                }
            }
            store.env.sync_dir(Path::new(DIR)).unwrap();
            let calls = store.env.calls();
            (store, calls)
        };
        let (store, from) = prepare();
        run(&store.env).unwrap();
        let to = store.env.calls();
        let expected = read(&store.env);
        assert_eq!(expected, store.model, "the log still has what the damaged table lost");
        // All calls that change something, and some of the many reads.
        for at in (from..to).filter(|at| to - at < 150 || at % 17 == 0) {
            let (store, _) = prepare();
            store.env.fail_at(at, Fault::Stop);
            if run(&store.env).is_ok() {
                continue;
            }
            for mode in [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(at)] {
                let env = store.env.power_loss(mode);
                let what = format!("damage {damage}, stopped at call {at}, {mode:?}");
                let report = run(&env).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert!(read(&env) == expected, "{what}: {report}");
                tried += 1;
            }
        }
    }
    println!("{tried} interrupted repairs");
}

#[test]
fn nothing_to_repair() {
    let env = SimEnv::new();
    env.create_dir_all(Path::new(DIR)).unwrap();
    assert!(matches!(run(&env), Err(Error::NoStore { .. })));
    let nowhere = repair("nowhere", RepairOptions::new().env(Arc::new(env.clone())));
    assert!(matches!(nowhere, Err(Error::NoStore { .. })));
    let store = busy();
    let _held = store.env.lock(&FileName::Lock.path(Path::new(DIR)), LockMode::Exclusive).unwrap();
    assert!(matches!(run(&store.env), Err(Error::Locked { .. })));
}
