//! Stores that were really lived in, then lost a file or had one damaged, then were repaired: what is found again.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker::testing::SimEnv;
use esker::{
    CompactionStrategy, Db, Durability, Error, KeyspaceOptions, RepairOptions, RepairReport, WriteBatch,
    WriteOptions,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const STORE: &str = "disk/store";

const KEYSPACES: [&str; 2] = ["default", "users"];

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Numbers that depend on the seed alone (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// A store after a long random life, and what it should show.
struct Life {
    env: SimEnv,
    content: BTreeMap<&'static str, Content>,
    /// Every value that each key ever had.
    history: BTreeMap<&'static str, BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>>,
}

fn open(env: &SimEnv) -> Db {
    let small = CompactionStrategy::Leveled { l0_trigger: 3, ratio: 4, table_bytes: 8 << 10 };
    Db::builder()
        .env(Arc::new(env.clone()))
        .memory_budget(1 << 20)
        .segment_bytes(1 << 14)
        .keyspace_defaults(KeyspaceOptions::new().compaction(small))
        .open(STORE)
        .unwrap()
}

impl Life {
    fn new(seed: u64) -> Life {
        let env = SimEnv::new();
        let mut life = Life {
            env,
            content: KEYSPACES.iter().map(|name| (*name, Content::new())).collect(),
            history: KEYSPACES.iter().map(|name| (*name, BTreeMap::new())).collect(),
        };
        let mut dice = Dice::new(seed);
        for part in 0..3 {
            let db = open(&life.env);
            if part == 0 {
                db.create_keyspace(KEYSPACES[1], KeyspaceOptions::new()).unwrap();
            }
            for _ in 0..600 {
                life.step(&db, &mut dice);
            }
            db.close().unwrap();
        }
        life
    }

    fn step(&mut self, db: &Db, dice: &mut Dice) {
        let name = KEYSPACES[dice.below(2) as usize];
        let keyspace = db.keyspace(name).unwrap();
        let key = |dice: &mut Dice| format!("key{:04}", dice.below(1500)).into_bytes();
        match dice.below(100) {
            0..80 => {
                let mut batch = WriteBatch::new();
                for _ in 0..1 + dice.below(4) {
                    let (key, value) = (key(dice), vec![dice.below(256) as u8; dice.below(200) as usize]);
                    keyspace.put_to(&mut batch, &key, &value);
                    self.history.get_mut(name).unwrap().entry(key.clone()).or_default().insert(value.clone());
                    self.content.get_mut(name).unwrap().insert(key, value);
                }
                db.write_with(&batch, WriteOptions::new(Durability::Synced)).unwrap();
            }
            80..90 => {
                let key = key(dice);
                keyspace.delete(&key).unwrap();
                self.content.get_mut(name).unwrap().remove(&key);
            }
            90..92 => {
                let start = key(dice);
                let end = [&start[..], b"~"].concat();
                keyspace.delete_range(&start[..]..&end[..]).unwrap();
                self.content.get_mut(name).unwrap().retain(|k, _| k < &start || k >= &end);
            }
            92..95 => keyspace.flush().unwrap(),
            95..97 => {
                let first = dice.below(1500);
                let value = vec![dice.below(256) as u8; dice.below(200) as usize];
                let keys: Vec<Vec<u8>> =
                    (first..first + dice.below(80)).map(|i| format!("key{i:04}").into_bytes()).collect();
                keyspace.ingest(|writer| keys.iter().try_for_each(|key| writer.put(key, &value))).unwrap();
                for key in keys {
                    self.history.get_mut(name).unwrap().entry(key.clone()).or_default().insert(value.clone());
                    self.content.get_mut(name).unwrap().insert(key, value.clone());
                }
            }
            97 => keyspace.compact(..).unwrap(),
            _ => while db.step_background().unwrap() {},
        }
    }

    /// The disk as it is, apart from this one.
    fn copy(&self) -> SimEnv {
        let env = SimEnv::new();
        esker::Env::create_dir_all(&env, Path::new(STORE)).unwrap();
        for (path, _) in self.env.files() {
            env.write_file(&path, &self.env.read_file(&path).unwrap()).unwrap();
        }
        env
    }

    /// Checks that nothing is shown that was never written, and that the store is sound. Returns how many pairs differ
    /// from what the undamaged store showed.
    fn check(&self, env: &SimEnv, what: &str) -> usize {
        let db = open(env);
        let problems = db.verify().unwrap().problems;
        assert!(problems.is_empty(), "{what}: {problems:?}");
        let mut different = 0;
        for name in KEYSPACES {
            let Ok(keyspace) = db.keyspace(name) else {
                different += self.content[name].len();
                continue;
            };
            let mut found = Content::new();
            for pair in keyspace.range(..) {
                let (key, value) = pair.unwrap_or_else(|e| panic!("{what}: {e}"));
                let (key, value) = (key.to_vec(), value.to_vec());
                let known = self.history[name].get(&key).is_some_and(|values| values.contains(&value));
                assert!(known, "{what}: {name} shows {} as it never was", key.escape_ascii());
                let got = keyspace.get(&key).unwrap();
                assert_eq!(got.as_deref(), Some(&value[..]), "{what}: a lookup differs from the scan");
                found.insert(key, value);
            }
            let expected = &self.content[name];
            different += expected.iter().filter(|(key, value)| found.get(*key) != Some(value)).count();
            different += found.keys().filter(|key| !expected.contains_key(*key)).count();
        }
        db.put("after", "repair").unwrap();
        assert_eq!(db.get("after").unwrap().as_deref(), Some(&b"repair"[..]));
        db.close().unwrap();
        different
    }
}

fn repair(env: &SimEnv) -> Result<RepairReport, Error> {
    esker::repair(STORE, RepairOptions::new().env(Arc::new(env.clone())))
}

fn files(env: &SimEnv, wanted: impl Fn(&str) -> bool) -> Vec<(String, u64)> {
    env.files().into_iter().filter(|(path, _)| wanted(path)).collect()
}

fn remove(env: &SimEnv, path: &str) {
    esker::Env::remove_file(env, Path::new(path)).unwrap();
}

#[test]
fn a_store_without_its_manifest_is_found_again_whole() {
    for seed in 1..6 {
        let life = Life::new(seed);
        let env = life.copy();
        for (path, _) in files(&env, |path| path.contains("MANIFEST") || path.ends_with("CURRENT")) {
            remove(&env, &path);
        }
        assert!(matches!(
            Db::builder().env(Arc::new(env.clone())).open(STORE),
            Err(Error::MissingFile { .. })
        ));
        let report = repair(&env).unwrap();
        let tables = files(&env, |path| path.ends_with(".sst") && !path.contains("/lost/"));
        assert!(!tables.is_empty(), "seed {seed}: {report}");
        assert_eq!(report.keyspaces, KEYSPACES, "seed {seed}: {report}");
        assert_eq!(life.check(&env, &format!("seed {seed}: {report}")), 0, "seed {seed}: {report}");
        assert!(repair(&env).unwrap().is_intact());
    }
}

#[test]
fn whatever_one_file_suffers_the_rest_is_kept() {
    let (mut tried, mut lossless, mut reported) = (0, 0, 0);
    for seed in 11..14 {
        let life = Life::new(seed);
        let mut dice = Dice::new(seed);
        assert_eq!(life.check(&life.copy(), "undamaged"), 0);
        for round in 0..40 {
            let env = life.copy();
            let victims = files(&env, |path| !path.ends_with("LOCK"));
            let (path, len) = &victims[dice.below(victims.len() as u64) as usize];
            let what = match dice.below(6) {
                0 => {
                    remove(&env, path);
                    format!("seed {seed}.{round}: {path} removed")
                }
                1 if *len > 0 => {
                    let cut = dice.below(*len);
                    let whole = env.read_file(path).unwrap();
                    env.write_file(path, &whole[..cut as usize]).unwrap();
                    format!("seed {seed}.{round}: {path} cut at {cut} of {len}")
                }
                _ if *len > 0 => {
                    let at = dice.below(*len);
                    env.flip(path, at, 1 << dice.below(8)).unwrap();
                    format!("seed {seed}.{round}: {path} flipped at {at} of {len}")
                }
                _ => continue,
            };
            let report = repair(&env).unwrap_or_else(|e| panic!("{what}: {e}"));
            let what = format!("{what}\n{report}\n");
            let different = life.check(&env, &what);
            // The store was closed, so not even the end of the log can be taken for something that was never synced.
            assert!(
                different == 0 || !report.is_intact(),
                "{what}: {different} pairs differ, and nobody says so"
            );
            if path.contains("MANIFEST") || path.ends_with("CURRENT") {
                assert_eq!(different, 0, "{what}: the tables and the log were intact");
            }
            tried += 1;
            lossless += usize::from(different == 0);
            reported += usize::from(!report.is_intact());
        }
    }
    println!("{tried} damages, {reported} reported, {lossless} without any loss");
    assert!(lossless > 0 && lossless < tried);
}

#[test]
fn a_store_in_use_is_refused() {
    let env = SimEnv::new();
    let db = open(&env);
    db.put("k", "v").unwrap();
    assert!(matches!(repair(&env), Err(Error::Locked { .. })));
    db.close().unwrap();
    assert!(repair(&env).unwrap().is_intact());
}

fn without_manifest(env: &SimEnv) -> RepairReport {
    for (path, _) in files(env, |path| path.contains("MANIFEST") || path.ends_with("CURRENT")) {
        remove(env, &path);
    }
    repair(env).unwrap()
}

/// What is ingested hides what was in memory before it, and not what is written after it: also when only the tables are left
/// to say so.
#[test]
fn ingested_tables_keep_their_place_without_a_manifest() {
    let env = SimEnv::new();
    let never = KeyspaceOptions::new().compaction(CompactionStrategy::Leveled {
        l0_trigger: 1000,
        ratio: 4,
        table_bytes: 4 << 10,
    });
    let db = Db::builder().env(Arc::new(env.clone())).keyspace_defaults(never).open(STORE).unwrap();
    let key = |i: u32| format!("key{i:04}");
    let ingest = |range: std::ops::Range<u32>, value: &str| {
        db.ingest(|writer| range.into_iter().try_for_each(|i| writer.put(key(i), value.repeat(40)))).unwrap();
    };
    db.put("flushed", "1").unwrap();
    db.flush().unwrap();
    (0..300).for_each(|i| db.put(key(i), "in memory").unwrap());
    // Several tables each, the second over a part of the first.
    ingest(0..250, "first");
    ingest(100..280, "second");
    // Written right after them, to the last of their tables.
    db.put(key(279), "after").unwrap();
    db.put(key(90), "after").unwrap();
    db.flush().unwrap();
    ingest(50..60, "third");
    let show = |db: &Db| -> Content {
        db.range(..).map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec())).unwrap()).collect()
    };
    let shown = show(&db);
    assert!(db.view().unwrap().tables().len() > 6);
    db.close().unwrap();
    let report = without_manifest(&env);
    let db = Db::builder().env(Arc::new(env.clone())).open(STORE).unwrap();
    let found = show(&db);
    for (key, value) in &shown {
        let text = |value: Option<&Vec<u8>>| value.map(|v| v[..v.len().min(12)].escape_ascii().to_string());
        assert_eq!(text(found.get(key)), text(Some(value)), "{}: {report}", key.escape_ascii());
    }
    assert!(found == shown, "{report}");
    assert_eq!(report.tables_rewritten, 0, "{report}");
}
