//! The scripted workload: what it does, and what it has been promised so far.

use esker::Compression;
use esker::testing::SimEnv;
use esker::{
    ByLevel, CompactionStrategy, Db, Durability, Error, KeyspaceOptions, TableIo, WriteBatch, WriteOptions,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the store lies.
pub(crate) const STORE: &str = "disk/store";

/// The keyspace without a log: what was not flushed is lost with the process.
pub(crate) const UNLOGGED: &str = "unlogged";

/// A keyspace in its life from creation to drop: a name can be used again, a life cannot.
pub(crate) type Life = u32;

pub(crate) type Content = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl Op {
    fn apply(&self, content: &mut Content) {
        match self {
            Op::Put(key, value) => {
                content.insert(key.clone(), value.clone());
            }
            Op::Delete(key) => {
                content.remove(key);
            }
            Op::DeleteRange(start, end) => content.retain(|key, _| key < start || key >= end),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write {
        ops: Vec<(&'static str, Op)>,
        synced: bool,
    },
    /// Submits a synced write, and waits for it after a buffered one that came later.
    Submit {
        ops: Vec<(&'static str, Op)>,
    },
    /// Writes to the keyspace that has no log.
    Unlogged(Op),
    /// Adds tables with keys from this number on.
    Ingest(&'static str, usize),
    Sync,
    Flush(&'static str),
    FlushAll,
    Compact(&'static str),
    /// Background work until there is none.
    Background,
    Checkpoint(&'static str),
    Create(&'static str),
    Drop(&'static str),
    Reopen,
}

/// Numbers that depend on the seed alone (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

fn key(dice: &mut Dice) -> Vec<u8> {
    format!("key{:02}", dice.below(40)).into_bytes()
}

fn op(dice: &mut Dice, stamp: usize) -> Op {
    match dice.below(10) {
        0 => Op::Delete(key(dice)),
        1 => {
            let (a, b) = (key(dice), key(dice));
            Op::DeleteRange(a.clone().min(b.clone()), a.max(b))
        }
        _ => {
            let len = [5, 40, 300, 1300][dice.below(4) as usize];
            let mut value = format!("{stamp}:").into_bytes();
            value.resize(value.len() + len, b'a' + (stamp % 26) as u8);
            Op::Put(key(dice), value)
        }
    }
}

/// The script of this seed: every kind of operation, in an order in which each meets what the others leave.
pub(crate) fn script(seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let mut steps = vec![Step::Create("a"), Step::Create("b"), Step::Create(UNLOGGED)];
    let mut names = vec!["default", "a", "b"];
    let mut stamp = 0;
    let mut ops = |dice: &mut Dice, names: &[&'static str]| -> Vec<(&'static str, Op)> {
        let count = [1, 1, 2, 6][dice.below(4) as usize];
        (0..count)
            .map(|_| {
                stamp += 1;
                (names[dice.below(names.len() as u64) as usize], op(dice, stamp))
            })
            .collect()
    };
    for round in 0..12 {
        for _ in 0..4 {
            let synced = dice.below(3) == 0;
            steps.push(Step::Write { ops: ops(&mut dice, &names), synced });
        }
        steps.push(Step::Unlogged(op(&mut dice, 1000 + round)));
        match round {
            0 => steps.extend([Step::Flush("a"), Step::Ingest("a", 20)]),
            1 => steps.extend([Step::FlushAll, Step::Background]),
            2 => steps.push(Step::Reopen),
            3 => steps.extend([Step::Submit { ops: ops(&mut dice, &names) }, Step::Flush("b")]),
            4 => steps.extend([Step::Checkpoint("disk/copy1"), Step::FlushAll, Step::Background]),
            5 => {
                names.retain(|&n| n != "b");
                steps.extend([Step::Drop("b"), Step::Background, Step::Create("c")]);
                names.push("c");
            }
            6 => steps.extend([Step::FlushAll, Step::Compact("default"), Step::Background]),
            7 => steps.extend([Step::Flush("c"), Step::Flush(UNLOGGED), Step::Sync, Step::Create("b")]),
            8 => {
                names.push("b");
                steps.extend([Step::Reopen, Step::Compact("a")]);
            }
            9 => {
                steps.extend([Step::Flush("default"), Step::Ingest("b", 10), Step::Checkpoint("disk/copy2")])
            }
            10 => steps.extend([Step::FlushAll, Step::Background, Step::Compact("c")]),
            _ => steps.extend([Step::Sync, Step::Background]),
        }
    }
    steps
}

/// A copy that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) path: &'static str,
    pub(crate) commits: usize,
    pub(crate) unlogged: usize,
    pub(crate) names: BTreeMap<String, Life>,
    pub(crate) done: bool,
}

/// What the script has done, and what it has been promised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Every write begun, in commit order.
    pub(crate) commits: Vec<Vec<(Life, Op)>>,
    /// So many of them survive a killed process.
    pub(crate) acked: usize,
    /// So many of them survive a power loss.
    pub(crate) durable: usize,
    /// The keyspaces there are.
    pub(crate) names: BTreeMap<String, Life>,
    /// The keyspaces there are if the call under way that creates or drops one has taken effect.
    pub(crate) names_or: Option<BTreeMap<String, Life>>,
    pub(crate) copies: Vec<Copy>,
    /// Every write begun to the keyspace without a log, and how many of them were flushed.
    pub(crate) unlogged: Vec<Op>,
    pub(crate) unlogged_flushed: usize,
    next_life: Life,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        let names = BTreeMap::from([("default".to_owned(), 0)]);
        Progress { names, next_life: 1, ..Progress::default() }
    }

    /// The content of every life after the first `commits` writes.
    pub(crate) fn content(&self, commits: usize) -> BTreeMap<Life, Content> {
        let mut all: BTreeMap<Life, Content> = BTreeMap::new();
        for (life, op) in self.commits[..commits].iter().flatten() {
            op.apply(all.entry(*life).or_default());
        }
        all
    }

    /// The content of the keyspace without a log after its first `writes` writes.
    pub(crate) fn unlogged_content(&self, writes: usize) -> Content {
        let mut content = Content::new();
        self.unlogged[..writes].iter().for_each(|op| op.apply(&mut content));
        content
    }

    fn begin(&mut self, ops: &[(&'static str, Op)]) {
        let commit = ops.iter().map(|(name, op)| (self.names[*name], op.clone())).collect();
        self.commits.push(commit);
    }

    fn all_acked(&mut self) {
        self.acked = self.commits.len();
    }

    fn all_durable(&mut self) {
        self.acked = self.commits.len();
        self.durable = self.commits.len();
    }

    /// What is written up to the last write to keyspace `name` is durable.
    fn flushed(&mut self, name: &str) {
        if name == UNLOGGED {
            self.unlogged_flushed = self.unlogged.len();
            return;
        }
        let life = self.names[name];
        let last = self.commits.iter().rposition(|ops| ops.iter().any(|(l, _)| *l == life));
        self.durable = self.durable.max(last.map_or(0, |i| i + 1));
        self.acked = self.acked.max(self.durable);
    }
}

/// Different choices for different keyspaces, small enough that everything happens often.
fn keyspace_options(name: &str) -> KeyspaceOptions {
    let options = KeyspaceOptions::new().block_bytes(512).filter_bits(ByLevel::all(10));
    let leveled = CompactionStrategy::Leveled { l0_trigger: 2, ratio: 2, table_bytes: 4096 };
    let tiered = CompactionStrategy::Tiered { runs: 2, max_space_amp_percent: 100 };
    match name {
        "a" => options.compaction(tiered),
        "b" => options.compaction(leveled).compression(ByLevel::all(Compression::Lz4)),
        UNLOGGED => options.compaction(leveled).log(false),
        _ => options.compaction(leveled),
    }
}

pub(crate) fn open(env: &SimEnv, path: &str, table_io: TableIo) -> Result<Db, Error> {
    let builder = Db::builder()
        .env(Arc::new(env.clone()))
        .memory_budget(1 << 20)
        .segment_bytes(4096)
        .table_io(table_io)
        .keyspace_defaults(keyspace_options("default"));
    ["a", "b", UNLOGGED]
        .into_iter()
        .fold(builder, |builder, name| builder.keyspace_options(name, keyspace_options(name)))
        .open(path)
}

fn batch(db: &Db, ops: &[(&'static str, Op)]) -> Result<WriteBatch, Error> {
    let mut batch = WriteBatch::new();
    for (name, op) in ops {
        let keyspace = db.keyspace(name)?;
        match op {
            Op::Put(key, value) => keyspace.put_to(&mut batch, key, value),
            Op::Delete(key) => keyspace.delete_to(&mut batch, key),
            Op::DeleteRange(start, end) => {
                keyspace.delete_range_to(&mut batch, start.as_slice()..end.as_slice())
            }
        };
    }
    Ok(batch)
}

/// A store under the script.
pub(crate) struct Session<'a> {
    env: &'a SimEnv,
    table_io: TableIo,
    /// `None` before the store was first opened, and where reopening failed.
    pub(crate) db: Option<Db>,
    pub(crate) progress: Progress,
}

impl<'a> Session<'a> {
    pub(crate) fn new(env: &'a SimEnv, table_io: TableIo) -> Session<'a> {
        Session { env, table_io, db: None, progress: Progress::new() }
    }

    /// Opens the store and runs the script, to its end or the first error.
    pub(crate) fn run(&mut self, steps: &[Step]) -> Result<(), Error> {
        self.db = Some(open(self.env, STORE, self.table_io)?);
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), Error> {
        let Some(db) = self.db.clone() else { return Err(Error::Closed) };
        let progress = &mut self.progress;
        match step {
            Step::Write { ops, synced } => {
                let batch = batch(&db, ops)?;
                progress.begin(ops);
                db.write(batch, if *synced { Durability::Synced } else { Durability::Buffered })?;
                if *synced { progress.all_durable() } else { progress.all_acked() }
            }
            Step::Submit { ops } => {
                let batch = batch(&db, ops)?;
                progress.begin(ops);
                let commit = db.submit(&batch, WriteOptions::new(Durability::Synced))?;
                let submitted = progress.commits.len();
                let later = [("default", Op::Put(b"later".to_vec(), submitted.to_string().into_bytes()))];
                progress.begin(&later);
                db.write(self::batch(&db, &later)?, Durability::Buffered)?;
                progress.all_acked();
                commit.wait()?;
                progress.durable = progress.durable.max(submitted);
            }
            Step::Unlogged(op) => {
                progress.unlogged.push(op.clone());
                db.write(batch(&db, &[(UNLOGGED, op.clone())])?, Durability::Buffered)?;
            }
            Step::Ingest(name, from) => {
                let value = |i: usize| format!("ingested{}:{i}", progress.commits.len()).into_bytes();
                let pairs: Vec<(Vec<u8>, Vec<u8>)> = (*from..from + 15)
                    .map(|i| (format!("key{i:02}").into_bytes(), value(i).repeat(20)))
                    .collect();
                let ops: Vec<_> =
                    pairs.iter().map(|(key, value)| (*name, Op::Put(key.clone(), value.clone()))).collect();
                progress.begin(&ops);
                db.keyspace(name)?.ingest(|writer| pairs.iter().try_for_each(|(k, v)| writer.put(k, v)))?;
                progress.all_durable();
            }
            Step::Sync => {
                db.sync()?;
                progress.all_durable();
            }
            Step::Flush(name) => {
                db.keyspace(name)?.flush()?;
                progress.flushed(name);
            }
            Step::FlushAll => {
                db.flush()?;
                progress.all_durable();
                progress.flushed(UNLOGGED);
            }
            Step::Compact(name) => db.keyspace(name)?.compact(..)?,
            Step::Background => while db.step_background()? {},
            Step::Checkpoint(path) => {
                let (commits, names) = (progress.commits.len(), progress.names.clone());
                let unlogged = progress.unlogged.len();
                progress.copies.push(Copy { path, commits, unlogged, names, done: false });
                db.checkpoint(path)?;
                if let Some(copy) = progress.copies.last_mut() {
                    copy.done = true;
                }
            }
            Step::Create(name) => {
                let mut after = progress.names.clone();
                after.insert((*name).to_owned(), progress.next_life);
                progress.next_life += 1;
                progress.names_or = Some(after.clone());
                db.create_keyspace(name, keyspace_options(name))?;
                (progress.names, progress.names_or) = (after, None);
            }
            Step::Drop(name) => {
                let mut after = progress.names.clone();
                after.remove(*name);
                progress.names_or = Some(after.clone());
                db.drop_keyspace(name)?;
                (progress.names, progress.names_or) = (after, None);
                progress.all_durable();
            }
            Step::Reopen => {
                self.db = None;
                db.close()?;
                progress.all_durable();
                progress.flushed(UNLOGGED);
                self.db = Some(open(self.env, STORE, self.table_io)?);
            }
        }
        Ok(())
    }
}
