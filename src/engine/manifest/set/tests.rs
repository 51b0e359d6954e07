//! The set over a real directory: what is renamed, what is refused, what is debris.

use super::super::edit::{AddedFile, KeyspaceEdit, KeyspaceRecord};
use super::super::file_meta::tests::guarded;
use super::*;
use crate::fs::LocalEnv;
use crate::record::{HEADER_LEN, LogHeader, append_record, encode_header};
use std::fs;
use tempfile::TempDir;

fn default_keyspace() -> VersionEdit {
    let record = KeyspaceRecord { name: "default".into(), log: true, ..KeyspaceRecord::default() };
    VersionEdit {
        next_keyspace: Some(1),
        keyspaces: vec![KeyspaceEdit { record: Some(record), ..KeyspaceEdit::default() }],
        ..VersionEdit::default()
    }
}

fn create() -> (TempDir, VersionSet) {
    let dir = tempfile::tempdir().unwrap();
    let set = VersionSet::create(Arc::new(LocalEnv), dir.path(), default_keyspace()).unwrap();
    (dir, set)
}

fn load(dir: &Path, read_only: bool) -> Result<(VersionSet, LoadReport)> {
    VersionSet::load(Arc::new(LocalEnv), dir, Recovery::TolerateTornTail, read_only)
}

fn keyspace(removed: &[(usize, u64)], added: Vec<AddedFile>) -> VersionEdit {
    let edit = KeyspaceEdit { removed: removed.to_vec(), added, ..KeyspaceEdit::default() };
    VersionEdit { keyspaces: vec![edit], ..VersionEdit::default() }
}

/// Writes a file that could be a table under a temporary name, and says how to add it.
fn write_table(dir: &Path, set: &VersionSet) -> AddedFile {
    let number = set.new_file_number();
    let meta = guarded(number, "a", "z", &set.reclaim);
    fs::write(FileName::TableTmp(number).path(dir), vec![7; meta.size as usize]).unwrap();
    AddedFile { level: 0, run: number, meta: Arc::new(meta) }
}

fn add_table(dir: &Path, set: &VersionSet) -> u64 {
    let added = write_table(dir, set);
    let number = added.meta.number;
    apply(set, keyspace(&[], vec![added])).unwrap();
    number
}

fn apply(set: &VersionSet, edit: VersionEdit) -> Result<Vec<(KeyspaceId, Arc<Version>)>> {
    let mut installed = Vec::new();
    set.log_and_apply(edit, |versions| installed.extend_from_slice(versions))?;
    Ok(installed)
}

fn files(dir: &Path) -> BTreeSet<FileName> {
    let names = LocalEnv.read_dir(dir).unwrap();
    names.iter().filter_map(|name| FileName::parse(name)).collect()
}

fn tables(set: &VersionSet) -> Vec<u64> {
    set.with_state(|state| state.tables().map(|t| t.number).collect())
}

#[test]
fn tables_are_named_when_the_edit_is_durable_and_found_again() {
    let (dir, set) = create();
    let number = add_table(dir.path(), &set);
    assert!(files(dir.path()).contains(&FileName::Table(number)));
    assert!(!files(dir.path()).contains(&FileName::TableTmp(number)));
    let next = set.new_file_number();
    drop(set);
    let (set, report) = load(dir.path(), false).unwrap();
    assert_eq!((tables(&set), report.end, report.debris.len()), (vec![number], End::Clean, 0));
    assert!(matches!(apply(&set, VersionEdit::default()), Err(Error::ReadOnly { .. })));
    set.start_writing().unwrap();
    assert!(!files(dir.path()).contains(&FileName::Manifest(1)), "the loaded MANIFEST was replaced");
    let second = add_table(dir.path(), &set);
    assert!(second >= next);
    drop(set);
    let (set, _) = load(dir.path(), false).unwrap();
    assert_eq!(tables(&set), [second, number]);
}

#[test]
fn an_edit_that_is_refused_changes_nothing() {
    let (dir, set) = create();
    let added = write_table(dir.path(), &set);
    let manifest = set.manifest_len();
    let mut again = added.clone();
    again.level = 3;
    again.run = 0;
    assert!(matches!(apply(&set, keyspace(&[], vec![added.clone(), again])), Err(Error::Invalid { .. })));
    let tmp = FileName::TableTmp(added.meta.number).path(dir.path());
    let bytes = fs::read(&tmp).unwrap();
    fs::write(&tmp, &bytes[1..]).unwrap();
    assert!(matches!(apply(&set, keyspace(&[], vec![added.clone()])), Err(Error::Corruption { .. })));
    fs::remove_file(&tmp).unwrap();
    assert!(matches!(apply(&set, keyspace(&[], vec![added.clone()])), Err(Error::MissingFile { .. })));
    assert_eq!((set.manifest_len(), tables(&set).len()), (manifest, 0));
    fs::write(&tmp, &bytes).unwrap();
    apply(&set, keyspace(&[], vec![added])).unwrap();
}

#[test]
fn an_interrupted_renaming_is_rolled_forward() {
    let (dir, set) = create();
    let number = add_table(dir.path(), &set);
    drop(set);
    let (tmp, own) = (FileName::TableTmp(number), FileName::Table(number));
    fs::rename(own.path(dir.path()), tmp.path(dir.path())).unwrap();
    let before = files(dir.path());
    let (set, report) = load(dir.path(), true).unwrap();
    assert_eq!(report.rolled_forward, [number]);
    assert_eq!(set.table_path(number), tmp.path(dir.path()));
    assert_eq!(files(dir.path()), before, "read-only changes nothing");
    let (set, report) = load(dir.path(), false).unwrap();
    assert_eq!(report.rolled_forward, [number]);
    assert_eq!(report.debris, []);
    assert_eq!(set.table_path(number), own.path(dir.path()));
    assert!(files(dir.path()).contains(&own) && !files(dir.path()).contains(&tmp));
}

#[test]
fn debris_is_what_nothing_names() {
    let (dir, set) = create();
    let kept = add_table(dir.path(), &set);
    let removed = add_table(dir.path(), &set);
    apply(&set, keyspace(&[(0, removed)], vec![])).unwrap();
    assert_eq!(set.reclaim(), [removed], "no reader was left");
    let wal = set.new_file_number();
    let strays = [FileName::CurrentTmp, FileName::Manifest(90), FileName::TableTmp(91), FileName::Wal(2)];
    for name in strays.iter().chain(&[FileName::Wal(wal), FileName::TableTmp(kept)]) {
        fs::write(name.path(dir.path()), "").unwrap();
    }
    apply(&set, VersionEdit { oldest_wal: Some(wal), newest_wal: Some(wal), ..VersionEdit::default() })
        .unwrap();
    drop(set);
    let (set, report) = load(dir.path(), false).unwrap();
    let mut expected: BTreeSet<FileName> = strays.into_iter().collect();
    expected.extend([FileName::Table(removed), FileName::TableTmp(kept)]);
    assert_eq!(report.debris.iter().copied().collect::<BTreeSet<_>>(), expected);
    set.start_writing().unwrap();
    drop(set);
    // The new MANIFEST still knows the removed table, because its file is still there.
    let (set, report) = load(dir.path(), false).unwrap();
    assert!(report.debris.contains(&FileName::Table(removed)));
    set.start_writing().unwrap();
    set.remove_debris(&report.debris).unwrap();
    assert!(set.new_file_number() > 91);
    assert_eq!(set.with_state(|s| s.obsolete.clone()), BTreeSet::new());
    let left: Vec<FileName> = files(dir.path()).into_iter().collect();
    assert_eq!(
        left.iter().filter(|n| !matches!(n, FileName::Manifest(_))).collect::<Vec<_>>(),
        [&FileName::Current, &FileName::Wal(wal), &FileName::Table(kept)]
    );
}

#[test]
fn a_pinned_version_keeps_its_files() {
    let (dir, set) = create();
    let number = add_table(dir.path(), &set);
    let pinned = set.version(0).unwrap();
    apply(&set, keyspace(&[(0, number)], vec![])).unwrap();
    assert_eq!(set.reclaim(), []);
    drop(pinned);
    assert_eq!(set.reclaim(), [number]);
    fs::remove_file(FileName::Table(number).path(dir.path())).unwrap();
    set.removed(number);
    assert!(set.with_state(|s| s.obsolete.is_empty()));
}

#[test]
fn what_the_state_needs_and_is_not_there_is_an_error() {
    let (dir, set) = create();
    let number = add_table(dir.path(), &set);
    let wal = set.new_file_number();
    fs::write(FileName::Wal(wal).path(dir.path()), "").unwrap();
    apply(&set, VersionEdit { oldest_wal: Some(wal), newest_wal: Some(wal), ..VersionEdit::default() })
        .unwrap();
    drop(set);
    let before = files(dir.path());
    let hidden = dir.path().join("hidden");
    for name in [FileName::Table(number), FileName::Wal(wal)] {
        fs::rename(name.path(dir.path()), &hidden).unwrap();
        let error = load(dir.path(), false).unwrap_err();
        assert!(
            matches!(&error, Error::MissingFile { path, .. } if *path == name.path(dir.path())),
            "{error}"
        );
        fs::rename(&hidden, name.path(dir.path())).unwrap();
    }
    let stranger = FileName::Table(number + 50).path(dir.path());
    fs::write(&stranger, "x").unwrap();
    let error = load(dir.path(), false).unwrap_err();
    assert!(error.is_corruption() && error.to_string().contains("repair"), "{error}");
    fs::remove_file(&stranger).unwrap();
    let unknown = wal + 60;
    let stranger = FileName::Wal(unknown).path(dir.path());
    let header = LogHeader { kind: LogKind::Wal, number: unknown, previous: wal, previous_end: 0 };
    let mut log = encode_header(&header).to_vec();
    fs::write(&stranger, &log).unwrap();
    load(dir.path(), true).unwrap();
    append_record(&mut log, unknown, HEADER_LEN as u64, 0, &[b"a batch"]);
    fs::write(&stranger, &log).unwrap();
    let error = load(dir.path(), false).unwrap_err();
    assert!(error.is_corruption() && error.to_string().contains("repair"), "{error}");
    fs::remove_file(&stranger).unwrap();
    let table = FileName::Table(number).path(dir.path());
    fs::write(&table, "short").unwrap();
    assert!(matches!(load(dir.path(), false).unwrap_err(), Error::Corruption { offset: 5, .. }));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn the_manifest_is_rewritten_when_it_has_grown() {
    let (dir, mut set) = create();
    set.rotate_after = 1500;
    let mut live = Vec::new();
    let mut manifests = BTreeSet::new();
    for round in 0..60 {
        let number = add_table(dir.path(), &set);
        live.insert(0, number);
        if round % 2 == 1 {
            let gone = live.remove(1);
            apply(&set, keyspace(&[(0, gone)], vec![])).unwrap();
        }
        let now: Vec<FileName> =
            files(dir.path()).into_iter().filter(|n| matches!(n, FileName::Manifest(_))).collect();
        assert_eq!(now.len(), 1, "the one before is removed");
        manifests.insert(now[0]);
    }
    assert!(manifests.len() > 3, "{manifests:?}");
    drop(set);
    let (set, report) = load(dir.path(), false).unwrap();
    assert_eq!(tables(&set), live);
    assert_eq!(report.debris.len(), 30, "removed tables are known across rewrites: {:?}", report.debris);
}

/// Whatever is cut off a MANIFEST, opening finds every table it should or says that something is wrong, and no table
/// that an acknowledged edit added is ever called debris.
#[test]
fn a_cut_manifest_never_gives_up_a_table() {
    let (dir, set) = create();
    let first = add_table(dir.path(), &set);
    let second = add_table(dir.path(), &set);
    let merged = write_table(dir.path(), &set);
    let third = merged.meta.number;
    apply(&set, keyspace(&[(0, first), (0, second)], vec![AddedFile { level: 1, run: 0, ..merged }]))
        .unwrap();
    for number in set.reclaim() {
        fs::remove_file(FileName::Table(number).path(dir.path())).unwrap();
    }
    drop(set);
    let path = FileName::Manifest(1).path(dir.path());
    let whole = fs::read(&path).unwrap();
    let mut opened = 0;
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        match load(dir.path(), false) {
            Ok((set, report)) => {
                opened += 1;
                assert_eq!(tables(&set), [third], "cut at {cut}");
                assert_eq!(report.debris, []);
            }
            Err(error) => assert!(error.is_corruption(), "cut at {cut}: {error}"),
        }
        assert!(files(dir.path()).contains(&FileName::Table(third)));
    }
    // Checksum, tag, length, and a place of two bytes.
    assert_eq!(opened, 11, "only the seal at the end can be missed");
}

#[test]
fn a_dropped_keyspace_gives_up_its_tables() {
    let (dir, set) = create();
    let number = add_table(dir.path(), &set);
    let dropped = KeyspaceEdit { dropped: true, ..KeyspaceEdit::default() };
    let applied = apply(&set, VersionEdit { keyspaces: vec![dropped], ..VersionEdit::default() }).unwrap();
    assert!(applied.is_empty());
    assert_eq!(set.reclaim(), [number]);
    assert_eq!(set.new_keyspace_id(), 1, "an id does not come back");
    drop(set);
    let (set, report) = load(dir.path(), false).unwrap();
    assert!(set.state().keyspaces.is_empty());
    assert_eq!(report.debris, [FileName::Table(number)]);
}

#[test]
fn a_copy_of_the_state_makes_a_store() {
    let (dir, set) = create();
    let number = add_table(dir.path(), &set);
    let copy = tempfile::tempdir().unwrap();
    let mut state = set.state();
    state.obsolete.clear();
    let name = FileName::Table(number);
    LocalEnv.hard_link(&name.path(dir.path()), &name.path(copy.path())).unwrap();
    write_store(&LocalEnv, copy.path(), &state).unwrap();
    let (loaded, report) = load(copy.path(), false).unwrap();
    assert_eq!(tables(&loaded), [number]);
    assert_eq!(report.debris, []);
    loaded.start_writing().unwrap();
    add_table(copy.path(), &loaded);
}
