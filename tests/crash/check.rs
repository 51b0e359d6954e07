//! What must hold after a crash, a failure and a recovery.

use crate::script::{Content, Life, Progress, STORE, UNLOGGED, open};
use esker::testing::{CrashMode, SimEnv};
use esker::{Db, Durability, Error, TableIo};
use std::collections::{BTreeMap, BTreeSet};

/// A finding: what does not hold.
pub(crate) type Finding = String;

fn say(what: &str) -> impl Fn(Error) -> Finding + '_ {
    move |error| format!("{what}: {error}")
}

/// Everything the store holds.
pub(crate) fn read_all(db: &Db) -> Result<BTreeMap<String, Content>, Error> {
    let mut all = BTreeMap::new();
    for name in db.keyspaces() {
        let mut content = Content::new();
        for entry in db.keyspace(&name)?.range(..) {
            let (key, value) = entry?;
            content.insert(key.to_vec(), value.to_vec());
        }
        all.insert(name, content);
    }
    Ok(all)
}

/// How many writes the store holds: they must be the first ones, at least `lower` of them, each whole.
fn prefix_of(
    all: &BTreeMap<String, Content>,
    progress: &Progress,
    lower: usize,
) -> Result<(usize, BTreeMap<String, Life>), Finding> {
    let names: BTreeSet<&String> = all.keys().collect();
    let lives = [Some(&progress.names), progress.names_or.as_ref()];
    let Some(lives) =
        lives.into_iter().flatten().find(|lives| lives.keys().collect::<BTreeSet<_>>() == names)
    else {
        return Err(format!("the keyspaces are {names:?}, but should be {:?}", progress.names.keys()));
    };
    // A drop comes after every write before it, as another write would.
    let dropped = lives.len() < progress.names.len();
    let lower = if dropped { progress.commits.len() } else { lower };
    let mut all = all.clone();
    if let Some(unlogged) = all.remove(UNLOGGED) {
        let (lower, total) = (progress.unlogged_flushed, progress.unlogged.len());
        if !(lower..=total).any(|writes| progress.unlogged_content(writes) == unlogged) {
            return Err(format!("the keyspace without a log is at none of its states {lower}..={total}"));
        }
    }
    let expected = |commits: usize| {
        let mut content = progress.content(commits);
        let logged = lives.iter().filter(|(name, _)| *name != UNLOGGED);
        logged.map(|(n, l)| (n.clone(), content.remove(l).unwrap_or_default())).collect()
    };
    let total = progress.commits.len();
    for commits in (lower..=total).rev() {
        let expected: BTreeMap<String, Content> = expected(commits);
        if all == expected {
            return Ok((commits, lives.clone()));
        }
    }
    if let Some(commits) = (0..lower).rev().find(|&commits| all == expected(commits)) {
        return Err(format!("{lower} writes were promised, of {total}, but only {commits} are there"));
    }
    let difference = differ(&all, &expected(lower));
    Err(format!("the store is at none of the states {lower}..={total}; against {lower}: {difference}"))
}

fn differ(found: &BTreeMap<String, Content>, expected: &BTreeMap<String, Content>) -> String {
    let mut lines = Vec::new();
    for (name, expected) in expected {
        let none = Content::new();
        let found = found.get(name).unwrap_or(&none);
        let keys: BTreeSet<&Vec<u8>> = found.keys().chain(expected.keys()).collect();
        for key in keys.into_iter().filter(|key| found.get(*key) != expected.get(*key)) {
            let show = |content: &Content| match content.get(key) {
                Some(value) => format!("{}", value[..value.len().min(8)].escape_ascii()),
                None => "nothing".to_owned(),
            };
            lines.push(format!("{name}/{}: {} not {}", key.escape_ascii(), show(found), show(expected)));
        }
    }
    lines.join(", ")
}

/// Holds an open store against what it promised; `lower` writes at least must be there. Returns how many are.
pub(crate) fn check_content(db: &Db, progress: &Progress, lower: usize) -> Result<usize, Finding> {
    let all = read_all(db).map_err(say("reading"))?;
    prefix_of(&all, progress, lower).map(|(commits, _)| commits)
}

/// No file too many and none too few, once background work is done.
fn check_files(env: &SimEnv, db: &Db) -> Result<(), Finding> {
    let mut steps = 0;
    while db.step_background().map_err(say("background work"))? {
        steps += 1;
        if steps > 1000 {
            return Err("background work does not come to an end".to_owned());
        }
    }
    let mut live = BTreeSet::new();
    for name in db.keyspaces() {
        let view = db.keyspace(&name).and_then(|k| k.view()).map_err(say("viewing"))?;
        live.extend(view.tables().iter().map(|table| format!("{:06}.sst", table.number)));
    }
    let prefix = format!("/{STORE}/");
    let (mut tables, mut manifests, mut segments) = (BTreeSet::new(), 0, 0);
    for (path, _) in env.files() {
        let Some(name) = path.strip_prefix(&prefix) else { continue };
        match name {
            "LOCK" | "CURRENT" => {}
            _ if name.starts_with("MANIFEST-") => manifests += 1,
            _ if name.ends_with(".wal") => segments += 1,
            _ if name.ends_with(".sst") => {
                tables.insert(name.to_owned());
            }
            _ => return Err(format!("{name} was left behind")),
        }
    }
    // Segments that nothing needs are gone as soon as the MANIFEST says so, the one that is written apart.
    let counted = db.stats().wal_segments;
    if segments != counted {
        return Err(format!("{segments} segments of the log are on disk, and the store has {counted}"));
    }
    if manifests != 1 {
        return Err(format!("there are {manifests} MANIFESTs"));
    }
    match tables == live {
        true => Ok(()),
        false => Err(format!("the tables on disk are {tables:?}, those in use {live:?}")),
    }
}

/// How much of a recovered store is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What it holds.
    Content,
    /// Also its files, and what becomes of it in a further crash. The log that was recovered stays unflushed behind the new
    /// one.
    Further,
    /// Also what a compaction makes of it, before the further crash.
    Compacted,
}

impl Depth {
    /// Deeper than the content if `thorough`, in one of two ways that `number` chooses.
    pub(crate) fn of(thorough: bool, number: u64) -> Depth {
        match (thorough, number % 2) {
            (false, _) => Depth::Content,
            (true, 0) => Depth::Further,
            (true, _) => Depth::Compacted,
        }
    }
}

/// What a recovery came to.
pub(crate) struct Recovered {
    /// How many file-system calls opening took.
    pub(crate) calls: u64,
}

/// Opens the store on the disk that a crash left, and holds everything against what was promised. Beyond
/// its content the store is also verified, written to, and crashed and opened once more.
pub(crate) fn check_recovery(
    env: &SimEnv,
    table_io: TableIo,
    progress: &Progress,
    lower: usize,
    depth: Depth,
) -> Result<Recovered, Finding> {
    let db = open(env, STORE, table_io).map_err(say("opening"))?;
    let calls = env.calls();
    let all = read_all(&db).map_err(say("reading"))?;
    let (_, lives) = prefix_of(&all, progress, lower)?;
    check_copies(env, table_io, progress)?;
    if depth == Depth::Content {
        return Ok(Recovered { calls });
    }
    check_files(env, &db)?;
    let same = |db: &Db, when: &str| match read_all(db) {
        Ok(now) if now == all => Ok(()),
        Ok(now) => Err(format!("{when} the content is another: {}", differ(&now, &all))),
        Err(error) => Err(format!("{when} reading fails: {error}")),
    };
    if depth == Depth::Compacted {
        for name in lives.keys() {
            let keyspace = db.keyspace(name).map_err(say("a keyspace"))?;
            keyspace.compact(..).map_err(say("compacting"))?;
        }
        same(&db, "after compacting")?;
        check_files(env, &db)?;
        let segments = db.stats().wal_segments;
        if segments != 1 {
            return Err(format!("everything is in tables, and there are {segments} segments of the log"));
        }
    }
    let report = db.verify().map_err(say("verifying"))?;
    if let Some(problem) = report.problems.first() {
        return Err(format!("verify finds {problem}"));
    }
    let mut after = all.clone();
    for (name, content) in &mut after {
        let keyspace = db.keyspace(name).map_err(say("a keyspace"))?;
        let mut batch = esker::WriteBatch::new();
        keyspace.put_to(&mut batch, "after", name);
        if name == UNLOGGED {
            db.write(batch, Durability::Buffered).map_err(say("writing after recovery"))?;
            keyspace.flush().map_err(say("flushing after recovery"))?;
        } else {
            db.write(batch, Durability::Synced).map_err(say("writing after recovery"))?;
        }
        content.insert(b"after".to_vec(), name.clone().into_bytes());
    }
    let env = env.power_loss(CrashMode::LoseAll);
    drop(db);
    let db = open(&env, STORE, table_io).map_err(say("opening after a further crash"))?;
    match read_all(&db) {
        Ok(now) if now == after => Ok(Recovered { calls }),
        Ok(now) => Err(format!("after a further crash the content is another: {}", differ(&now, &after))),
        Err(error) => Err(format!("after a further crash reading fails: {error}")),
    }
}

/// A copy that was finished is there and whole; one that was not is whole or not there.
fn check_copies(env: &SimEnv, table_io: TableIo, progress: &Progress) -> Result<(), Finding> {
    use esker::Env;
    for copy in &progress.copies {
        if !copy.done && env.read_dir(copy.path.as_ref()).is_err() {
            continue;
        }
        // Not to be written to: it shares its tables with the store, and other copies may be checked on the same disk.
        let env = env.kill();
        let db = open(&env, copy.path, table_io).map_err(say("opening a checkpoint"))?;
        let all = read_all(&db).map_err(say("reading a checkpoint"))?;
        let mut state = Progress::new();
        state.commits = progress.commits[..copy.commits].to_vec();
        state.unlogged = progress.unlogged[..copy.unlogged].to_vec();
        state.unlogged_flushed = copy.unlogged;
        state.names = copy.names.clone();
        prefix_of(&all, &state, copy.commits).map_err(|finding| format!("{}: {finding}", copy.path))?;
    }
    Ok(())
}
