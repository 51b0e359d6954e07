//! The set under a file system that stops or fails at every call in turn.

use super::super::edit::{AddedFile, KeyspaceEdit, KeyspaceRecord};
use super::super::file_meta::tests::guarded;
use super::*;
use crate::fs::simulated::{CrashMode, Fault, SimEnv};
use std::collections::BTreeMap;

const DIR: &str = "store";

/// Calls that put the empty directory there.
const PREPARATION: u64 = 2;

/// What the store holds, as far as it can be seen: the tables of each keyspace, by level.
type Picture = BTreeMap<String, Vec<(usize, u64)>>;

fn picture(set: &VersionSet) -> Picture {
    set.with_state(|state| {
        let tables = |version: &Version| {
            let levels = version.levels.iter().enumerate();
            levels.flat_map(|(level, l)| l.tables().map(move |t| (level, t.number))).collect()
        };
        state.keyspaces.values().map(|k| (k.record.name.clone(), tables(&k.version))).collect()
    })
}

fn record(name: &str) -> Option<KeyspaceRecord> {
    Some(KeyspaceRecord { name: name.into(), log: true, ..KeyspaceRecord::default() })
}

fn first() -> VersionEdit {
    let default = KeyspaceEdit { record: record("default"), ..KeyspaceEdit::default() };
    VersionEdit { next_keyspace: Some(1), keyspaces: vec![default], ..VersionEdit::default() }
}

fn edit(keyspace: KeyspaceEdit) -> VersionEdit {
    VersionEdit { keyspaces: vec![keyspace], ..VersionEdit::default() }
}

/// A workload, and the pictures of every state that it went through: a crash leaves the last one that was acknowledged,
/// or the one after.
struct Script {
    env: SimEnv,
    acknowledged: Vec<Picture>,
}

impl Script {
    fn write_table(&self, set: &VersionSet, id: KeyspaceId) -> Result<(KeyspaceId, AddedFile)> {
        let number = set.new_file_number();
        let meta = guarded(number, "a", "z", &set.reclaim);
        let path = FileName::TableTmp(number).path(Path::new(DIR));
        let io = |e| Error::io(&path, "write", e);
        let file = self.env.create(&path).map_err(io)?;
        file.append(&vec![number as u8; meta.size as usize]).map_err(io)?;
        file.sync().map_err(io)?;
        self.env.sync_dir(Path::new(DIR)).map_err(io)?;
        Ok((id, AddedFile { level: 0, run: number, meta: Arc::new(meta) }))
    }

    fn apply(&mut self, set: &VersionSet, edit: VersionEdit) -> Result<()> {
        set.log_and_apply(edit, |_| ())?;
        self.acknowledged.push(picture(set));
        for number in set.reclaim() {
            if self.env.remove_file(&FileName::Table(number).path(Path::new(DIR))).is_ok() {
                set.removed(number);
            }
        }
        Ok(())
    }

    fn flush(&mut self, set: &VersionSet, id: KeyspaceId) -> Result<u64> {
        let (id, added) = self.write_table(set, id)?;
        let number = added.meta.number;
        self.apply(set, edit(KeyspaceEdit { id, added: vec![added], ..KeyspaceEdit::default() }))?;
        Ok(number)
    }

    fn compact(&mut self, set: &VersionSet, inputs: &[u64]) -> Result<()> {
        let (id, mut added) = self.write_table(set, 0)?;
        added.level = 1;
        let removed = inputs.iter().map(|&n| (0, n)).collect();
        self.apply(set, edit(KeyspaceEdit { id, removed, added: vec![added], ..KeyspaceEdit::default() }))
    }

    fn work(&mut self, mut set: VersionSet) -> Result<()> {
        // Every edit rewrites the MANIFEST once its snapshot is outgrown.
        set.rotate_after = 0;
        let (a, b) = (self.flush(&set, 0)?, self.flush(&set, 0)?);
        let id = set.new_keyspace_id();
        self.apply(&set, edit(KeyspaceEdit { id, record: record("more"), ..KeyspaceEdit::default() }))?;
        self.compact(&set, &[a, b])?;
        self.flush(&set, id)?;
        self.flush(&set, 0)?;
        self.apply(&set, edit(KeyspaceEdit { id, dropped: true, ..KeyspaceEdit::default() }))
    }

    fn run(&mut self) -> Result<()> {
        let set = VersionSet::create(Arc::new(self.env.clone()), Path::new(DIR), first())?;
        self.acknowledged.push(picture(&set));
        self.work(set)?;
        let set = recover(&self.env)?;
        self.flush(&set, 0).map(drop)
    }
}

fn recover(env: &SimEnv) -> Result<VersionSet> {
    let (set, report) =
        VersionSet::load(Arc::new(env.clone()), Path::new(DIR), Recovery::TolerateTornTail, false)?;
    set.start_writing()?;
    set.remove_debris(&report.debris)?;
    Ok(set)
}

fn script() -> Script {
    let env = SimEnv::new();
    env.create_dir_all(Path::new(DIR)).unwrap();
    env.sync_dir(Path::new("")).unwrap();
    Script { env, acknowledged: Vec::new() }
}

/// The pictures of an undisturbed run.
fn all_pictures() -> (Vec<Picture>, u64) {
    let mut script = script();
    script.run().unwrap();
    (script.acknowledged, script.env.calls())
}

/// Recovers, and checks that the state is the last one acknowledged or the next, with every file that it needs.
fn check(env: &SimEnv, acknowledged: usize, pictures: &[Picture], what: &str) {
    let set = match recover(env) {
        Ok(set) => set,
        Err(Error::NoStore { .. }) if acknowledged == 0 => {
            VersionSet::create(Arc::new(env.clone()), Path::new(DIR), first())
                .unwrap_or_else(|e| panic!("{what}: {e}"))
        }
        Err(error) => panic!("{what}: {error}"),
    };
    let found = picture(&set);
    let allowed = &pictures[acknowledged.saturating_sub(1)..(acknowledged + 1).min(pictures.len())];
    assert!(allowed.contains(&found), "{what}: {found:?} is none of {allowed:?}");
    for meta in set.state().tables() {
        let content = env.read_file(set.table_path(meta.number)).unwrap();
        assert_eq!(content, vec![meta.number as u8; meta.size as usize], "{what}");
    }
    let stray = |name: &FileName| match *name {
        FileName::Table(number) => !set.with_state(|s| s.is_live(number)),
        FileName::TableTmp(_) | FileName::CurrentTmp => true,
        _ => false,
    };
    let names = env.read_dir(Path::new(DIR)).unwrap();
    let left: Vec<FileName> = names.iter().filter_map(|n| FileName::parse(n)).filter(stray).collect();
    assert_eq!(left, [], "{what}");
}

fn modes(seed: u64) -> [CrashMode; 5] {
    let subset = CrashMode::Subset;
    [CrashMode::LoseAll, CrashMode::KeepAll, subset(seed), subset(seed + 1000), CrashMode::TornLast(seed)]
}

#[test]
fn a_power_loss_at_any_call_leaves_the_last_state_or_the_next() {
    let (pictures, calls) = all_pictures();
    let mut tried = 0;
    for at in PREPARATION..calls {
        let mut script = script();
        script.env.fail_at(at, Fault::Stop);
        // Only a removal that nobody waits for may be what stops.
        assert!(script.run().is_err() || at + 1 == calls, "call {at}");
        let acknowledged = script.acknowledged.len();
        for mode in modes(at) {
            let what = format!("power loss at call {at}, {mode:?}");
            check(&script.env.power_loss(mode), acknowledged, &pictures, &what);
            // A second one, while the first is recovered from.
            for second in (at % 3..30).step_by(3) {
                let env = script.env.power_loss(mode);
                env.fail_at(second, Fault::Stop);
                if recover(&env).is_ok() {
                    break;
                }
                let what = format!("{what}, again at call {second} of recovery");
                check(&env.power_loss(CrashMode::Subset(second)), acknowledged, &pictures, &what);
                tried += 1;
            }
            tried += 1;
        }
        check(&script.env.kill(), acknowledged, &pictures, &format!("kill at call {at}"));
        tried += 1;
    }
    println!("{tried} crashes at {calls} calls");
}

#[test]
fn a_failure_at_any_call_is_an_error_and_opening_again_recovers() {
    let (pictures, calls) = all_pictures();
    let mut fired = 0;
    for fault in [Fault::Io, Fault::NoSpace, Fault::FailedSync] {
        for at in PREPARATION..calls {
            let mut script = script();
            script.env.fail_at(at, fault);
            let result = script.run();
            fired += script.env.faults_fired();
            if let Err(error) = &result {
                assert!(matches!(error, Error::Io { .. }), "{fault:?} at call {at}: {error}");
            }
            script.env.clear_faults();
            let acknowledged = script.acknowledged.len();
            let what = format!("{fault:?} at call {at}");
            for env in [script.env.kill(), script.env.power_loss(CrashMode::LoseAll)] {
                check(&env, acknowledged, &pictures, &what);
            }
        }
    }
    println!("{fired} failures");
    assert!(fired > calls);
}

#[test]
fn after_a_failure_everything_is_refused_with_the_reason() {
    let mut script = script();
    let set = VersionSet::create(Arc::new(script.env.clone()), Path::new(DIR), first()).unwrap();
    script.flush(&set, 0).unwrap();
    let before = picture(&set);
    let (id, added) = script.write_table(&set, 0).unwrap();
    script.env.fail_from(script.env.calls(), Fault::FailedSync);
    let failed = set
        .log_and_apply(edit(KeyspaceEdit { id, added: vec![added], ..KeyspaceEdit::default() }), |_| {
            panic!("nothing may be installed")
        });
    assert!(matches!(failed, Err(Error::Io { .. })));
    script.env.clear_faults();
    match set.log_and_apply(VersionEdit::default(), |_| ()) {
        Err(Error::ReadOnly { reason }) => assert!(reason.contains("sync"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(picture(&set), before);
}
