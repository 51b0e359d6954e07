//! Damage to a store whose process was killed while a part of its log was not synced.
//!
//! Of what was synced nothing may be lost without an error. Of the rest the log may lose its end, which is then said when
//! the store is opened; absolute recovery takes no damage at all. An opening that fails changes no table.

use super::STORE;
use esker::testing::SimEnv;
use esker::{
    Builder, ByLevel, CompactionStrategy, Db, Durability, Error, KeyspaceOptions, MIN_MEMORY_BUDGET,
    Recovery, WriteBatch,
};
use esker_table::codec::Compression;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Files up to this length are damaged at every byte.
const SMALL: usize = 800;

/// By keyspace.
type Content = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A store on a disk, nobody using it, and what it must answer.
struct Store {
    env: SimEnv,
    /// The state after each write since the tables were written.
    states: Vec<Content>,
    /// The first of them that cannot be lost.
    synced: usize,
    newest_wal: String,
}

#[derive(Clone, Debug)]
enum Damage {
    Flip { path: String, at: usize, mask: u8 },
    Cut { path: String, len: usize },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Flip { path, at, mask } => write!(f, "{path}: byte {at} changed by {mask:#04x}"),
            Damage::Cut { path, len } => write!(f, "{path}: cut to {len} bytes"),
        }
    }
}

/// What a damage came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The store does not open.
    Refused,
    /// It opens, and says what is damaged when it is read.
    Told,
    /// Unsynced writes are lost.
    SetBack,
    /// Everything is answered rightly.
    Right,
}

struct Writer {
    db: Db,
    content: Content,
    states: Vec<Content>,
}

impl Writer {
    fn put(&mut self, keyspace: &str, number: u32, len: usize, durability: Durability) {
        let key = format!("key/{:04}", number * 37 % 101).into_bytes();
        let mut value = format!("{number}:").into_bytes();
        while value.len() < len {
            value.push((number as usize * 31 + value.len() * value.len()) as u8);
        }
        let mut batch = WriteBatch::new();
        let handle = self.db.keyspace(keyspace).unwrap();
        handle.put_to(&mut batch, &key, &value);
        // A batch must not come back in part.
        handle.put_to(&mut batch, "newest", &key);
        self.db.write(batch, durability).unwrap();
        let map = self.content.get_mut(keyspace).unwrap();
        map.insert(b"newest".to_vec(), key.clone());
        map.insert(key, value);
        self.states.push(self.content.clone());
    }

    fn delete_range(&mut self, keyspace: &str, from: &str, to: &str) {
        self.db.keyspace(keyspace).unwrap().delete_range(from..to).unwrap();
        let gone = |key: &Vec<u8>| from.as_bytes() <= key.as_slice() && key.as_slice() < to.as_bytes();
        self.content.get_mut(keyspace).unwrap().retain(|key, _| !gone(key));
        self.states.push(self.content.clone());
    }
}

fn builder(env: &SimEnv) -> Builder {
    let options = KeyspaceOptions::new()
        .block_bytes(200)
        .compression(ByLevel::levels([Compression::None, Compression::Lz4, Compression::Zstd(1)]))
        .compaction(CompactionStrategy::Leveled { l0_trigger: 4, ratio: 2, table_bytes: 4096 });
    Db::builder()
        .env(Arc::new(env.clone()))
        .memory_budget(MIN_MEMORY_BUDGET)
        .segment_bytes(4096)
        .keyspace_defaults(options)
}

impl Store {
    fn new() -> Store {
        let env = SimEnv::new();
        let mut writer =
            Writer { db: builder(&env).open(STORE).unwrap(), content: Content::new(), states: Vec::new() };
        for name in ["default", "second", "third"] {
            if name != "default" {
                writer.db.create_keyspace(name, writer.db.options().clone()).unwrap();
            }
            writer.content.insert(name.to_owned(), BTreeMap::new());
        }
        for round in 0..3 {
            for i in 0..12 {
                writer.put("default", round * 12 + i, 40, Durability::Buffered);
                writer.put("second", round * 7 + i, 20, Durability::Buffered);
            }
            writer.delete_range("second", "key/0030", "key/0050");
            writer.db.flush().unwrap();
            if round == 0 {
                writer.db.compact(..).unwrap();
            }
        }
        // From here on the log is needed. Its first segment is full before the second begins.
        writer.states = vec![writer.content.clone()];
        for i in 0..14 {
            writer.put(["default", "second", "third"][i as usize % 3], 200 + i, 360, Durability::Buffered);
        }
        writer.put("third", 300, 30, Durability::Synced);
        writer.delete_range("second", "key/0000", "key/0010");
        writer.put("default", 301, 30, Durability::Synced);
        let synced = writer.states.len() - 1;
        for i in 0..3 {
            writer.put("default", 310 + i, 30, Durability::Buffered);
        }
        let disk = env.kill();
        let wals = disk.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".wal"));
        let newest_wal = wals.max().unwrap();
        let store = Store { env: disk, states: writer.states, synced, newest_wal };
        store.check();
        store
    }

    /// What is to be damaged is what this is about.
    fn check(&self) {
        let count = |suffix: &str| self.env.files().iter().filter(|(path, _)| path.ends_with(suffix)).count();
        assert!(count(".sst") >= 4 && count(".wal") >= 2, "{:?}", self.env.files());
        let db = builder(&self.env.kill()).open(STORE).unwrap();
        let stats = db.stats();
        let levels = stats.keyspaces.iter().flat_map(|k| k.levels.iter().filter(|l| l.tables > 0));
        let levels: Vec<usize> = levels.map(|l| l.level).collect();
        assert!(levels.contains(&0) && levels.iter().any(|&level| level > 0), "{levels:?}");
    }

    fn damages(&self) -> Vec<Damage> {
        let full = std::env::var_os("ESKER_CORRUPTION_FULL").is_some();
        let mut all = Vec::new();
        for (path, len) in self.env.files().into_iter().filter(|(path, _)| !path.ends_with("LOCK")) {
            let len = len as usize;
            let stride = if full || len <= SMALL { 1 } else { len / SMALL * 2 + 1 };
            for at in (0..len).step_by(stride) {
                let mask = if at % 3 == 0 { 0xff } else { 1 << (at * 5 % 8) };
                all.push(Damage::Flip { path: path.clone(), at, mask });
                all.push(Damage::Cut { path: path.clone(), len: at });
            }
        }
        all
    }

    fn damaged(&self, damage: &Damage) -> SimEnv {
        let env = self.env.kill();
        match damage {
            Damage::Flip { path, at, mask } => env.flip(path, *at as u64, *mask).unwrap(),
            Damage::Cut { path, len } => {
                let bytes = env.read_file(path).unwrap();
                env.write_file(path, &bytes[..*len]).unwrap();
            }
        }
        env
    }
}

fn typed(error: &Error) -> Result<(), String> {
    match error {
        Error::Corruption { path, .. }
        | Error::MissingFile { path, .. }
        | Error::Unsupported { path, .. }
            if path.starts_with(STORE) =>
        {
            Ok(())
        }
        other => Err(format!("not told as damage: {other} ({other:?})")),
    }
}

/// Reads everything. `Ok(None)` if damage was told.
fn read(db: &Db) -> Result<Option<Content>, String> {
    let (mut content, mut told) = (Content::new(), false);
    for name in db.keyspaces() {
        let keyspace = db.keyspace(&name).map_err(|error| error.to_string())?;
        let mut map = BTreeMap::new();
        for entry in keyspace.range(..) {
            match entry {
                Ok((key, value)) => drop(map.insert(key.to_vec(), value.to_vec())),
                Err(error) => {
                    typed(&error)?;
                    told = true;
                }
            }
        }
        for (key, value) in &map {
            match keyspace.get(key) {
                Ok(got) if got.as_deref() == Some(value) => {}
                Ok(got) => return Err(format!("get and scan differ at {}: {got:?}", key.escape_ascii())),
                Err(error) => {
                    typed(&error)?;
                    told = true;
                }
            }
        }
        content.insert(name, map);
    }
    Ok((!told).then_some(content))
}

fn tables(env: &SimEnv) -> Vec<(String, Vec<u8>)> {
    let paths = env.files().into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".sst"));
    paths.map(|path| (path.clone(), env.read_file(path).unwrap())).collect()
}

/// Opens a damaged store, asks it everything, and judges.
fn judge(store: &Store, damage: &Damage, recovery: Recovery) -> Result<Outcome, String> {
    let env = store.damaged(damage);
    let before = tables(&env);
    let db = match builder(&env).recovery(recovery).open(STORE) {
        Ok(db) => db,
        Err(error) => {
            typed(&error)?;
            if tables(&env) != before {
                return Err(format!("opening failed ({error}) and changed the tables"));
            }
            return Ok(Outcome::Refused);
        }
    };
    let report = db.verify().map_err(|error| format!("verify: {error}"))?;
    report.problems.iter().try_for_each(typed)?;
    let Some(content) = read(&db)? else {
        return match report.is_intact() {
            true => Err("reading finds damage, and verify none".to_owned()),
            false => Ok(Outcome::Told),
        };
    };
    // Nobody closed the log, so nothing can prove that it once went on: its newest segment may have been cut anywhere
    // behind its header.
    let cut = match damage {
        Damage::Cut { path, len } if *path == store.newest_wal && *len < 64 => {
            return Err("a segment that the MANIFEST knows is lost without a word".to_owned());
        }
        Damage::Cut { path, .. } => *path == store.newest_wal,
        Damage::Flip { .. } => false,
    };
    let allowed = if cut { 0 } else { store.synced };
    let Some(found) = (0..store.states.len()).rev().find(|&at| store.states[at] == content) else {
        return Err("a wrong answer".to_owned());
    };
    if found < allowed {
        return Err(format!("synced writes are lost: state {found}, and {} was synced", store.synced));
    }
    if found + 1 == store.states.len() {
        return Ok(Outcome::Right);
    }
    if !cut && recovery == Recovery::Absolute {
        return Err(format!("absolute recovery takes a damaged log: state {found}"));
    }
    if !cut && db.recovery().torn.is_empty() {
        return Err(format!("writes are lost without a word: state {found} of {}", store.states.len()));
    }
    Ok(Outcome::SetBack)
}

#[test]
fn a_store_with_an_unsynced_end() {
    let store = Store::new();
    let damages = store.damages();
    let (mut outcomes, mut findings) = (BTreeMap::<_, u64>::new(), Vec::new());
    for damage in &damages {
        for recovery in [Recovery::TolerateTornTail, Recovery::Absolute] {
            match catch_unwind(AssertUnwindSafe(|| judge(&store, damage, recovery))) {
                Ok(Ok(outcome)) => *outcomes.entry(outcome).or_default() += 1,
                Ok(Err(what)) => findings.push(format!("{damage} ({recovery:?}): {what}")),
                Err(_) => findings.push(format!("{damage} ({recovery:?}): a panic")),
            }
        }
    }
    println!("{} damages tried: {outcomes:?}", damages.len() * 2);
    let shown = &findings[..findings.len().min(30)];
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), shown.join("\n"));
    assert_eq!(outcomes.len(), 4, "every outcome is met");
}
