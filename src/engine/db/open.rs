//! Opening, creating and destroying a store.
//!
//! Opening goes in this order, and nothing is removed or cut before all of it has succeeded:
//!
//! 1. lock the directory
//! 2. read CURRENT and the MANIFEST it names; hold every table and segment they need against what is there
//! 3. replay the log into memtables, passing over what tables already have
//! 4. (unless read-only) cut the torn tail, put a new MANIFEST in force, begin a new segment, remove debris

use super::builder::Builder;
use super::core::Core;
use super::workers::Workers;
use super::{DEFAULT_KEYSPACE_NAME, Db, Handle};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::fs::filename::{self, FileName};
use crate::fs::{Env, LockMode};
use crate::manifest::{
    self, KeyspaceEdit, KeyspaceId, KeyspaceRecord, LoadReport, StoreState, VersionEdit, VersionSet,
};
use crate::memtable::{Memtable, entry_bound};
use crate::metrics::Metrics;
use crate::options::KeyspaceOptions;
use crate::read::SnapshotList;
use crate::record::{End, MAX_PAYLOAD_LEN};
use crate::tables::{CachedBlocks, FormatRegistry, TableCache};
use crate::wal;
use crate::write::batch::{DEFAULT_KEYSPACE, decode_payload};
use crate::write::commit::{Committer, CommitterParts, WriteLimits};
use crate::write::health::Health;
use crate::write::tree::{Sealed, Tree};
use esker_table::{Kind, SeqNo, Trailer};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

/// The end of a log that a crash left torn: bytes that were never synced and could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornLog {
    /// The file.
    pub path: PathBuf,
    /// Where the part that could not be used begins.
    pub offset: u64,
    /// How long it was.
    pub bytes: u64,
    /// Intact records in it, which were dropped because something before them was lost.
    pub records: u64,
}

/// What was found and done when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether the store was created.
    pub created: bool,
    /// Ends of logs that were dropped, of the write-ahead log and of the MANIFEST.
    pub torn: Vec<TornLog>,
    /// Records of the write-ahead log that were replayed.
    pub replayed_records: u64,
    /// Their size in bytes.
    pub replayed_bytes: u64,
    /// Tables whose renaming a crash had interrupted.
    pub renamed_tables: usize,
    /// Files that a crash had left behind and that nothing needed.
    pub removed_files: usize,
}

/// See [`Builder::open`].
pub(super) fn open(builder: Builder, dir: &Path) -> Result<Db> {
    let env = builder.env.clone();
    let exists = prepare_dir(&builder, dir)?;
    let mode = if builder.read_only { LockMode::Shared } else { LockMode::Exclusive };
    let lock_path = FileName::Lock.path(dir);
    let lock = env.lock(&lock_path, mode).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: dir.to_owned() },
        _ => Error::io(&lock_path, "lock", error),
    })?;
    // Somebody may have created the store between the look and the lock.
    let exists = exists || manifest::exists(env.as_ref(), dir)?;
    if exists && builder.error_if_exists {
        let what = "there already is a store; open it, or choose another directory".to_owned();
        return Err(Error::NotEmpty { path: dir.to_owned(), what });
    }
    let registry = Arc::new(registry(&builder)?);
    let (set, report) = if exists {
        let (set, report) = VersionSet::load(env.clone(), dir, builder.recovery, builder.read_only)?;
        if set.with_state(|state| state.keyspaces.values().all(|k| k.record.name != DEFAULT_KEYSPACE_NAME)) {
            let what = format!("it knows no keyspace `{DEFAULT_KEYSPACE_NAME}`, which every store has");
            return Err(Error::corruption(&report.manifest, 0, what));
        }
        (set, Some(report))
    } else {
        (create(&builder, &registry, dir)?, None)
    };
    let core = assemble(builder, dir, Arc::new(set), report, registry, lock)?;
    let default = core.tree(DEFAULT_KEYSPACE_NAME)?;
    core.start_threads()?;
    if !core.read_only {
        core.committer.stall.wake_background();
    }
    Ok(Db::new(Arc::new(Handle { core }), default))
}

/// Looks at the directory, and creates it if a store is to be created. Returns whether there is a store.
fn prepare_dir(builder: &Builder, dir: &Path) -> Result<bool> {
    let env = builder.env.as_ref();
    let names = match env.read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if builder.read_only || !builder.create_if_missing {
                return Err(Error::NoStore { path: dir.to_owned() });
            }
            create_dir(env, dir)?;
            return Ok(false);
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let what = "it is a file; give the directory of a store".to_owned();
            return Err(Error::NotEmpty { path: dir.to_owned(), what });
        }
        Err(error) => return Err(Error::io(dir, "list", error)),
    };
    if manifest::exists(env, dir)? {
        return Ok(true);
    }
    if builder.read_only || !builder.create_if_missing {
        return Err(Error::NoStore { path: dir.to_owned() });
    }
    // What a crash while creating a store leaves behind does not stand in the way of creating it.
    let stranger = names.iter().find(|name| FileName::parse(name).is_none());
    if let Some(name) = stranger {
        let what =
            format!("it is no Esker store and not empty (it holds `{name}`); choose an empty directory");
        return Err(Error::NotEmpty { path: dir.to_owned(), what });
    }
    Ok(false)
}

/// Creates a directory and makes its name durable.
pub(super) fn create_dir(env: &dyn Env, dir: &Path) -> Result<()> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && env.read_dir(d).is_err()).collect();
    env.create_dir_all(dir).map_err(|error| Error::io(dir, "create", error))?;
    for created in missing {
        let parent = created.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        env.sync_dir(parent).map_err(|error| Error::io(parent, "sync", error))?;
    }
    Ok(())
}

fn create(builder: &Builder, registry: &FormatRegistry, dir: &Path) -> Result<VersionSet> {
    let options = options_of(builder, registry, DEFAULT_KEYSPACE_NAME)?;
    let record = record_of(DEFAULT_KEYSPACE_NAME, &options);
    let default = KeyspaceEdit { id: DEFAULT_KEYSPACE, record: Some(record), ..KeyspaceEdit::default() };
    let first = VersionEdit {
        next_keyspace: Some(DEFAULT_KEYSPACE + 1),
        keyspaces: vec![default],
        ..VersionEdit::default()
    };
    VersionSet::create(builder.env.clone(), dir, first)
}

fn registry(builder: &Builder) -> Result<FormatRegistry> {
    let mut registry = FormatRegistry::builtin();
    for format in &builder.formats {
        registry.register(format.clone())?;
    }
    for options in builder.keyspace_options.values().chain([&builder.keyspace_defaults]) {
        check_formats(&registry, options)?;
    }
    Ok(registry)
}

/// Refuses formats that are unknown or cannot be written.
pub(super) fn check_formats(registry: &FormatRegistry, options: &KeyspaceOptions) -> Result<()> {
    for name in options.format.iter() {
        let capabilities = registry.by_name(name)?.capabilities();
        if !(capabilities.write && capabilities.deletes && capabilities.versions) {
            let what = format!(
                "the table format `{name}` cannot hold everything that a store writes; choose another"
            );
            return Err(Error::invalid("format", what));
        }
    }
    Ok(())
}

/// The options that a keyspace is opened with: its own, else what the function says, else the defaults.
fn options_of(builder: &Builder, registry: &FormatRegistry, name: &str) -> Result<KeyspaceOptions> {
    if let Some(own) = builder.keyspace_options.get(name) {
        return Ok(own.clone());
    }
    match builder.keyspace_options_by.as_ref().and_then(|by| by(name)) {
        // The others were checked with the builder.
        Some(chosen) => chosen.check().and_then(|()| check_formats(registry, &chosen)).map(|()| chosen),
        None => Ok(builder.keyspace_defaults.clone()),
    }
}

/// What is recorded of a keyspace with these options.
pub(super) fn record_of(name: &str, options: &KeyspaceOptions) -> KeyspaceRecord {
    KeyspaceRecord {
        name: name.to_owned(),
        log: options.log,
        filter: options.filter.as_ref().map(|h| h.name().to_owned()),
        fold: options.fold.as_ref().map(|h| h.name().to_owned()),
        collector: options.collector.as_ref().map(|h| h.name().to_owned()),
        kind: options.kind.clone(),
    }
}

/// Refuses to write a keyspace without the hooks that its data depends on.
fn check_hooks(record: &KeyspaceRecord, options: &KeyspaceOptions) -> Result<()> {
    let given = record_of(&record.name, options);
    let pairs = [("fold", &record.fold, &given.fold), ("collector", &record.collector, &given.collector)];
    for (hook, recorded, given) in pairs {
        if recorded.is_some() && recorded != given {
            let what = format!(
                "keyspace `{}` was written with the {hook} `{}` and cannot be written without it; give it to \
                 `Builder::keyspace_options` or `keyspace_options_by`, or open the store read-only",
                record.name,
                recorded.as_deref().unwrap_or_default()
            );
            return Err(Error::invalid("keyspace_options", what));
        }
    }
    Ok(())
}

/// What the memtables that are written hold together when the largest of them is sealed.
fn memtable_bytes(budget: usize) -> usize {
    budget / 7
}

/// The sizes that writing keeps to, of the budget.
pub(super) fn limits(builder: &Builder) -> WriteLimits {
    let budget = builder.memory_budget;
    let segment = (budget as u64 / 4).clamp(1 << 20, 64 << 20);
    WriteLimits {
        memtable_bytes: memtable_bytes(budget),
        sealed_bytes: budget / 3,
        // A batch is one record of the log.
        batch_bytes: (budget / 2).min(MAX_PAYLOAD_LEN),
        segment_bytes: builder.segment_bytes.unwrap_or(segment),
        log_bytes: budget as u64,
    }
}

/// What cached blocks may take while sealed memtables take `sealed` bytes: three quarters of the budget are theirs and the
/// memtables' together, of which a seventh of the budget is always the active ones' and a quarter always the blocks'. What is
/// sealed counts to the nearest such part, which is what a memtable is sealed at, so that there are few sizes.
pub(super) fn cache_bytes(budget: usize, sealed: usize) -> u64 {
    let step = memtable_bytes(budget);
    let memtables = step.saturating_add((sealed.saturating_add(step / 2) / step.max(1)).saturating_mul(step));
    (budget / 4 * 3).saturating_sub(memtables).max(budget / 4) as u64
}

static NEXT_STORE_ID: AtomicU64 = AtomicU64::new(1);

/// When more segments than this were replayed, what they hold is flushed: a store that is opened often and written little
/// would otherwise keep a segment of each time.
const REPLAYED_SEGMENTS: usize = 8;

/// Puts an open store together: replays the log and, unless it is opened read-only, makes it writable.
fn assemble(
    builder: Builder,
    dir: &Path,
    set: Arc<VersionSet>,
    loaded: Option<LoadReport>,
    registry: Arc<FormatRegistry>,
    lock: Box<dyn crate::fs::DirLock>,
) -> Result<Arc<Core>> {
    let env = builder.env.clone();
    let metrics = Arc::new(Metrics::default());
    let health =
        if builder.read_only { Health::read_only("it was opened read-only") } else { Health::writable() };
    let health = Arc::new(health);
    let failing = health.clone();
    let events = Arc::new(Events::new(builder.listeners.clone(), move |error| failing.fail(error)));
    let limits = limits(&builder);
    let (tables, blocks) = caches(&builder, dir, &registry, &metrics);
    let mut recovered = Recovered::new(&builder, &registry, &set, &tables, limits.memtable_bytes)?;
    let replay = recovered.replay(env.as_ref(), dir, &builder, &set)?;
    let mut report = recovery_report(loaded.as_ref(), &replay);
    let needed = recovered.first_segment();
    let segment = match builder.read_only {
        true => None,
        false => Some(make_writable(&builder, dir, &set, loaded.as_ref(), &replay, needed, &mut report)?),
    };
    let committer = Arc::new(Committer::new(CommitterParts {
        env: env.clone(),
        dir: dir.to_owned(),
        table_io: builder.table_io,
        set: set.clone(),
        metrics: metrics.clone(),
        events: events.clone(),
        health: health.clone(),
        limits,
        last_seqno: recovered.last_seqno,
        older_segments: older_segments(env.as_ref(), dir, segment.as_ref())?,
        segment,
    }));
    let trees = recovered.into_trees(&committer);
    let core = Arc::new(Core {
        id: NEXT_STORE_ID.fetch_add(1, Ordering::Relaxed),
        env,
        dir: dir.to_owned(),
        read_only: builder.read_only,
        durability: builder.durability,
        registry,
        tables,
        blocks,
        cache_share: Mutex::new(cache_bytes(builder.memory_budget, 0)),
        memory_budget: builder.memory_budget,
        set,
        committer,
        trees: RwLock::new(trees),
        snapshots: SnapshotList::new(),
        metrics,
        events,
        health,
        recovery: report,
        ddl: Mutex::new(()),
        log_readers: Mutex::new(0),
        copying: Mutex::new(()),
        closing: Mutex::new(()),
        workers: Workers::of(&builder),
        stop: AtomicBool::new(false),
        threads: Mutex::new(Vec::new()),
        lock: Mutex::new(Some(lock)),
    });
    core.choose_way();
    if !core.read_only {
        core.record_ages()?;
        shorten_log(&core, replay.segments);
    }
    Ok(core)
}

/// Removes segments that are not needed, and flushes what was recovered from too many.
fn shorten_log(core: &Core, replayed: usize) {
    core.remove_old_segments();
    if replayed > REPLAYED_SEGMENTS {
        // The store is open even if this fails: it can then be read, and says why it cannot be written.
        let _ = core.all_trees().iter().try_for_each(|tree| core.flush_tree(tree));
    }
}

/// What tables are read through.
fn caches(
    builder: &Builder,
    dir: &Path,
    registry: &Arc<FormatRegistry>,
    metrics: &Arc<Metrics>,
) -> (TableCache, Arc<CachedBlocks>) {
    let bytes = cache_bytes(builder.memory_budget, 0);
    let block_bytes = builder.keyspace_defaults.block_bytes;
    let blocks = Arc::new(CachedBlocks::new(bytes, block_bytes, metrics.clone()));
    let (env, registry) = (builder.env.clone(), registry.clone());
    let tables = TableCache::new(env, dir, builder.table_io, registry, blocks.clone(), metrics.clone());
    tables.way().may_poll(builder.poll_reads);
    (tables, blocks)
}

fn recovery_report(loaded: Option<&LoadReport>, replay: &wal::Replay) -> RecoveryReport {
    let torn = replay.torn.iter().map(|torn| TornLog {
        path: torn.path.clone(),
        offset: torn.offset,
        bytes: torn.bytes,
        records: torn.records,
    });
    let mut report = RecoveryReport {
        created: loaded.is_none(),
        torn: torn.collect(),
        replayed_records: replay.records,
        replayed_bytes: replay.bytes,
        renamed_tables: loaded.map_or(0, |loaded| loaded.rolled_forward.len()),
        ..RecoveryReport::default()
    };
    if let Some(loaded) = loaded
        && let End::Torn { offset, bytes, records } = loaded.end
    {
        report.torn.push(TornLog { path: loaded.manifest.clone(), offset, bytes, records });
    }
    report
}

/// The segments that are not written any more, with their lengths.
fn older_segments(env: &dyn Env, dir: &Path, current: Option<&wal::Segment>) -> Result<BTreeMap<u64, u64>> {
    let mut older = BTreeMap::new();
    for number in wal::list(env, dir)? {
        if current.is_none_or(|segment| segment.number() != number) {
            let path = FileName::Wal(number).path(dir);
            let len = env.file_len(&path).map_err(|error| Error::io(&path, "look at", error))?;
            older.insert(number, len);
        }
    }
    Ok(older)
}

/// What the MANIFEST says of the log.
pub(super) fn known_log(state: &StoreState) -> wal::Known {
    wal::Known { oldest: state.oldest_wal, newest: state.newest_wal, end: state.closed_wal }
}

/// Step 4: from here on the directory changes. The log is needed from the segment `needed` on, if any of it is.
fn make_writable(
    builder: &Builder,
    dir: &Path,
    set: &VersionSet,
    loaded: Option<&LoadReport>,
    replay: &wal::Replay,
    needed: Option<u64>,
    report: &mut RecoveryReport,
) -> Result<wal::Segment> {
    let env = builder.env.as_ref();
    if let Some(number) = replay.read_only {
        let what = "it uses a feature that this version cannot write beside; open the store read-only, or with a newer Esker";
        return Err(Error::Unsupported { path: FileName::Wal(number).path(dir), what: what.to_owned() });
    }
    wal::settle(env, dir, replay)?;
    set.start_writing()?;
    let number = set.new_file_number();
    let (previous, previous_end) = replay.last.unwrap_or((0, 0));
    let segment = wal::Segment::create_after(env, dir, number, previous, previous_end, builder.table_io)?;
    // From the first segment on that is needed none may be lost: without this, nobody would miss the first of a store that
    // was never flushed. Those before, which hold nothing that is not in tables, may go.
    let oldest = needed.unwrap_or(number);
    let edit = VersionEdit { oldest_wal: Some(oldest), newest_wal: Some(number), ..VersionEdit::default() };
    set.log_and_apply(edit, |_| ())?;
    if let Some(loaded) = loaded {
        set.remove_debris(&loaded.debris)?;
        report.removed_files = loaded.debris.len();
    }
    Ok(segment)
}

/// Keyspaces while the log is replayed.
struct Recovered {
    keyspaces: BTreeMap<KeyspaceId, RecoveredKeyspace>,
    /// Ids below this were given out: those that are not in `keyspaces` were dropped.
    next_keyspace: KeyspaceId,
    last_seqno: SeqNo,
    memtable_bytes: usize,
    capacity: usize,
}

struct RecoveredKeyspace {
    tree: Arc<Tree>,
    flushed_seqno: SeqNo,
    first_segment: Option<u64>,
}

impl Recovered {
    fn new(
        builder: &Builder,
        registry: &FormatRegistry,
        set: &VersionSet,
        tables: &TableCache,
        memtable_bytes: usize,
    ) -> Result<Recovered> {
        let state = set.state();
        let capacity = memtable_bytes * 2 + (1 << 20);
        let mut keyspaces = BTreeMap::new();
        for (&id, keyspace) in &state.keyspaces {
            keyspace.version.tables().try_for_each(|meta| tables.check_format(meta))?;
            let mut options = options_of(builder, registry, &keyspace.record.name)?;
            options.log = keyspace.record.log;
            options.kind.clone_from(&keyspace.record.kind);
            if !builder.read_only {
                check_hooks(&keyspace.record, &options)?;
            }
            let mem = Arc::new(Memtable::new(capacity));
            let tree = Tree::new(
                id,
                keyspace.record.clone(),
                options,
                tables.clone(),
                mem,
                keyspace.version.clone(),
                keyspace.ages.clone(),
            );
            let flushed_seqno = keyspace.flushed_seqno;
            keyspaces
                .insert(id, RecoveredKeyspace { tree: Arc::new(tree), flushed_seqno, first_segment: None });
        }
        Ok(Recovered {
            keyspaces,
            next_keyspace: state.next_keyspace,
            last_seqno: state.last_seqno,
            memtable_bytes,
            capacity,
        })
    }

    fn replay(
        &mut self,
        env: &dyn Env,
        dir: &Path,
        builder: &Builder,
        set: &VersionSet,
    ) -> Result<wal::Replay> {
        // Also those beyond the newest that the MANIFEST knows: one that was only just created is a link of the chain, and
        // one that has records shows that the MANIFEST lost its last edits.
        let known = set.with_state(known_log);
        let segments: Vec<u64> =
            wal::list(env, dir)?.into_iter().filter(|&number| number >= known.oldest).collect();
        wal::replay(env, dir, &segments, builder.recovery, &known, &mut |segment, offset, payload| {
            self.apply(segment, payload)
                .map_err(|what| Error::corruption(&FileName::Wal(segment).path(dir), offset, what))
        })
    }

    /// The oldest segment with something that is in no table.
    fn first_segment(&self) -> Option<u64> {
        let sealed = |k: &RecoveredKeyspace| k.tree.oldest_sealed_segment(0);
        self.keyspaces.values().flat_map(|k| sealed(k).into_iter().chain(k.first_segment)).min()
    }

    /// Inserts one commit into the memtables.
    fn apply(&mut self, segment: u64, payload: &[u8]) -> Result<(), String> {
        let (first, ops) =
            decode_payload(payload).ok_or("a record's checksum is right, but it is no batch")?;
        let last = first + u64::from(ops.count()).saturating_sub(1);
        for (op, seqno) in ops.iter().zip(first..) {
            if op.keyspace >= self.next_keyspace {
                return Err(format!("a record names keyspace {}, which never existed", op.keyspace));
            }
            let Some(keyspace) = self.keyspaces.get_mut(&op.keyspace) else { continue };
            if seqno <= keyspace.flushed_seqno {
                continue;
            }
            keyspace.insert(segment, op.kind, op.key, seqno, op.value, self.memtable_bytes, self.capacity);
        }
        self.last_seqno = self.last_seqno.max(last);
        Ok(())
    }

    fn into_trees(self, committer: &Committer) -> BTreeMap<String, Arc<Tree>> {
        let mut trees = BTreeMap::new();
        for keyspace in self.keyspaces.into_values() {
            for sealed in keyspace.tree.sealed() {
                committer.stall.add_sealed(sealed.bytes);
            }
            committer.add_tree(keyspace.tree.clone(), keyspace.first_segment);
            trees.insert(keyspace.tree.name().to_owned(), keyspace.tree);
        }
        trees
    }
}

impl RecoveredKeyspace {
    #[allow(clippy::too_many_arguments)]
    fn insert(
        &mut self,
        segment: u64,
        kind: Kind,
        key: &[u8],
        seqno: SeqNo,
        value: &[u8],
        memtable_bytes: usize,
        capacity: usize,
    ) {
        let bound = entry_bound(key.len(), value.len());
        let mut mem = self.tree.memtable();
        if mem.bytes_used() >= memtable_bytes || !mem.try_reserve(bound) {
            let fresh = Arc::new(Memtable::new(capacity.max(bound * 2)));
            let sealed = Sealed {
                bytes: mem.bytes_used(),
                seqno: mem.max_seqno(),
                mem,
                lsn: 0,
                first_segment: self.first_segment.take(),
            };
            self.tree.seal(sealed, fresh.clone());
            // A fresh memtable of this capacity has the room.
            let _ = fresh.try_reserve(bound);
            mem = fresh;
        }
        self.first_segment.get_or_insert(segment);
        mem.insert(key, Trailer::new(seqno, kind), value);
        mem.release(bound);
    }
}

/// See [`Db::destroy`].
pub(super) fn destroy(env: &dyn Env, dir: &Path) -> Result<()> {
    let names = match env.read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoStore { path: dir.to_owned() });
        }
        Err(error) => return Err(Error::io(dir, "list", error)),
    };
    let ours = |name: &String| FileName::parse(name).is_some() || name == filename::LOST;
    if !names.iter().any(|name| FileName::parse(name).is_some()) {
        return Err(Error::NoStore { path: dir.to_owned() });
    }
    if let Some(stranger) = names.iter().find(|name| !ours(name)) {
        let what = format!("it also holds `{stranger}`, which is not the store's; move that away first");
        return Err(Error::NotEmpty { path: dir.to_owned(), what });
    }
    let lock_path = FileName::Lock.path(dir);
    let _lock = env.lock(&lock_path, LockMode::Exclusive).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: dir.to_owned() },
        _ => Error::io(&lock_path, "lock", error),
    })?;
    // CURRENT goes first: what a crash leaves after that is never opened as a smaller store. It can be destroyed again.
    let current = FileName::Current.path(dir);
    match env.remove_file(&current) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io(&current, "remove", error));
        }
        _ => {}
    }
    env.sync_dir(dir).map_err(|error| Error::io(dir, "sync", error))?;
    env.remove_dir_all(dir).map_err(|error| Error::io(dir, "remove", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_batch_is_a_record() {
        let limits = |budget| limits(&Builder::default().memory_budget(budget));
        assert_eq!(limits(1 << 20).batch_bytes, 1 << 19);
        assert_eq!(limits(usize::MAX).batch_bytes, MAX_PAYLOAD_LEN);
    }
}
