//! [`repair`]: puts a store together again whose MANIFEST is lost, or whose tables or log are damaged.
//!
//! What is trusted, in this order:
//!
//! 1. If the MANIFEST can be read without a gap and knows every table that is there, it says where each table belongs.
//!    Damaged tables are written anew, in their old place, with what is intact of them and what the log still has.
//! 2. Otherwise tables say themselves which keyspace they belong to (see the manifest's stamp), and sequence numbers
//!    order everything. Tables that hold older and newer entries of the same keys in layers are put in layers again. Where
//!    they interleave, no order of whole tables is right: then all tables of the keyspace are merged into one run.
//!
//! Nothing is removed: what is replaced gets a second name in the directory `lost` before the new MANIFEST takes over. A
//! repair that is interrupted leaves the store as it was, or repaired.

mod candidate;
mod entries;
mod knowledge;
mod log;
mod rebuild;
mod report;
mod writer;

pub use report::{DamagedLog, DamagedTable, RepairReport};

use super::open;
use crate::fs::filename::{FileName, LOST};
use crate::fs::{Env, LockMode, refuses_links};
use crate::manifest::{self, KeyspaceId, StoreState, VersionEdit, VersionSet};
use crate::tables::FormatRegistry;
use crate::{Error, LocalEnv, Recovery, Result, wal};
use candidate::Candidate;
use esker_table::TableFormat;
use knowledge::Knowledge;
use log::OldLog;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use writer::Output;

/// Ids of keyspaces above this one are damage or forgery: stores give them out one after the other. So a repair can always
/// give out a further one.
const HIGHEST_ID: KeyspaceId = KeyspaceId::MAX - 2;

/// How a repair works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RepairOptions {
    /// The environment that the store lives in. Default: the operating system's files.
    pub env: Arc<dyn Env>,
    /// Table formats besides the built-in ones.
    pub formats: Vec<Arc<dyn TableFormat>>,
}

impl Default for RepairOptions {
    fn default() -> RepairOptions {
        RepairOptions::new()
    }
}

impl RepairOptions {
    /// Of the operating system's files, with the built-in table formats.
    pub fn new() -> RepairOptions {
        RepairOptions { env: Arc::new(LocalEnv), formats: Vec::new() }
    }

    /// Sets the environment.
    #[must_use]
    pub fn env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = env;
        self
    }

    /// Adds a table format.
    #[must_use]
    pub fn table_format(mut self, format: Arc<dyn TableFormat>) -> Self {
        self.formats.push(format);
        self
    }
}

/// Repairs the store in a directory: keeps every intact entry, says what was lost, and deletes nothing. An intact store
/// is left as it is. Deletes may be lost with the damage, and then what they deleted is back.
///
/// # Errors
/// `NoStore` if there is nothing of a store; `Locked` if it is open; `Unsupported` if it is from a newer version or uses a
/// table format that was not given; `Io`. The store is then as it was.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// assert!(matches!(
///     esker::repair(path, esker::RepairOptions::new()),
///     Err(esker::Error::NoStore { .. })
/// ));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn repair(path: impl AsRef<Path>, options: RepairOptions) -> Result<RepairReport> {
    let (env, dir) = (&*options.env, path.as_ref());
    let names = list(env, dir)?;
    if names.iter().all(|name| *name == FileName::Lock) {
        return Err(Error::NoStore { path: dir.to_owned() });
    }
    let lock_path = FileName::Lock.path(dir);
    let _lock = env.lock(&lock_path, LockMode::Exclusive).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: dir.to_owned() },
        _ => Error::io(&lock_path, "lock", e),
    })?;
    let mut formats = FormatRegistry::builtin();
    options.formats.iter().try_for_each(|format| formats.register(Arc::clone(format)))?;
    let mut repair = Repair::survey(&options.env, dir, list(env, dir)?, &formats)?;
    if repair.needed() {
        repair.run()?;
    }
    Ok(repair.report)
}

fn list(env: &dyn Env, dir: &Path) -> Result<BTreeSet<FileName>> {
    let names = env.read_dir(dir).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::NoStore { path: dir.to_owned() },
        _ => Error::io(dir, "list", e),
    })?;
    Ok(names.iter().filter_map(|name| FileName::parse(name)).collect())
}

/// A store under repair: what was found, and what is to come of it.
struct Repair<'a> {
    env: Arc<dyn Env>,
    output: Output<'a>,
    names: BTreeSet<FileName>,
    known: Knowledge,
    /// The state, if the MANIFEST says truly where each table belongs.
    trusted: Option<StoreState>,
    candidates: BTreeMap<u64, Candidate>,
    log: OldLog,
    /// Files that the repaired store does not have.
    replaced: BTreeSet<FileName>,
    report: RepairReport,
}

impl<'a> Repair<'a> {
    /// Looks at everything and changes nothing.
    fn survey(
        shared: &'a Arc<dyn Env>,
        dir: &'a Path,
        names: BTreeSet<FileName>,
        formats: &FormatRegistry,
    ) -> Result<Repair<'a>> {
        let env = &**shared;
        let mut known = Knowledge::read(env, dir, &names)?;
        let mut report = RepairReport { manifest: known.problems.clone(), ..RepairReport::default() };
        let stranger = |state: &StoreState| {
            names.iter().copied().find(|name| match *name {
                FileName::Table(n) => !state.is_live(n) && !state.obsolete.contains(&n),
                _ => false,
            })
        };
        let trusted = match known.state.take() {
            Some(state) => match stranger(&state) {
                Some(name) => {
                    let what = format!("the MANIFEST has lost an edit: it does not know the table {name}");
                    report.manifest.push(what);
                    None
                }
                None => Some(state),
            },
            None => None,
        };
        let mut candidates = BTreeMap::new();
        for &name in &names {
            let (FileName::Table(number) | FileName::TableTmp(number)) = name else { continue };
            let wanted = match &trusted {
                Some(state) => state.is_live(number),
                None => !known.removed.contains(&number),
            };
            // Under both names it is the finished one, which comes first.
            if wanted && !candidates.contains_key(&number) {
                let meta = known.tables.get(&number).map(|(_, meta)| Arc::clone(meta));
                candidates.insert(number, Candidate::examine(env, dir, name, number, formats, meta)?);
            }
        }
        let oldest = trusted.as_ref().map_or(0, |state| state.oldest_wal);
        let segments: Vec<u64> = names
            .iter()
            .filter_map(|name| match name {
                FileName::Wal(number) if *number >= oldest => Some(*number),
                _ => None,
            })
            .collect();
        let believed = trusted.as_ref().map_or(wal::Known::NOTHING, open::known_log);
        let log = OldLog::read(env, dir, segments, &believed)?;
        let highest = names.iter().filter_map(|name| name.number()).max().unwrap_or(0);
        let next_file = trusted.as_ref().map_or(0, |state| state.next_file).max(highest + 1);
        let output = Output { env, dir, next_file: AtomicU64::new(next_file) };
        let replaced = BTreeSet::new();
        let env = Arc::clone(shared);
        let mut repair = Repair { env, output, names, known, trusted, candidates, log, replaced, report };
        repair.report_log();
        Ok(repair)
    }

    fn report_log(&mut self) {
        self.report.damaged_log = self.log.damage.clone();
        self.report.missing_log.extend(self.log.missing.clone());
        let Some(state) = &self.trusted else { return };
        if self.log.last_used > state.newest_wal {
            let name = FileName::Wal(self.log.last_used);
            self.report.manifest.push(format!(
                "the MANIFEST has lost an edit: it does not know the segment {name} of the log, which is in use"
            ));
        }
        for number in BTreeSet::from([state.oldest_wal, state.newest_wal]) {
            let path = FileName::Wal(number).path(self.output.dir);
            let said = self.report.missing_log.contains(&path);
            if number != 0 && !self.log.segments.contains(&number) && !said {
                self.report.missing_log.push(path);
            }
        }
    }

    /// Whether anything is wrong.
    fn needed(&mut self) -> bool {
        self.report.tables_kept = self.candidates.len();
        let Some(state) = &self.trusted else { return true };
        let missing = state.tables().any(|meta| !self.candidates.contains_key(&meta.number));
        let damaged = self.candidates.values().any(|candidate| !candidate.is_intact());
        let intact = self.report.is_intact() && self.log.is_sound && !missing && !damaged;
        if intact {
            self.report.keyspaces = state.keyspaces.values().map(|k| k.record.name.clone()).collect();
        }
        !intact
    }

    fn run(&mut self) -> Result<()> {
        self.report.tables_kept = 0;
        let mut edit = match self.trusted.take() {
            Some(state) => self.in_place(&state)?,
            None => self.rebuild()?,
        };
        self.finish_log(&mut edit)?;
        self.report.keyspaces =
            edit.keyspaces.iter().filter_map(|k| k.record.as_ref()).map(|r| r.name.clone()).collect();
        for keyspace in &edit.keyspaces {
            if let Some((name, collector)) =
                keyspace.record.as_ref().and_then(|r| r.collector.as_ref().map(|c| (&r.name, c)))
                && self.report.tables_rewritten > 0
            {
                self.report.notes.push(format!(
                    "tables of `{name}` that were written anew lack what the collector `{collector}` leaves; compact the keyspace"
                ));
            }
        }
        self.commit(edit)
    }

    /// Says which segments the repaired store has; copies what is intact if recovery could not read them.
    fn finish_log(&mut self, edit: &mut VersionEdit) -> Result<()> {
        let mut segments = self.log.segments.clone();
        if !self.log.is_sound {
            segments = self.log.copy(&self.output)?;
            self.replaced.extend(self.log.segments.iter().map(|&number| FileName::Wal(number)));
            edit.closed_wal = None;
        }
        // The MANIFEST vouches for the header of the newest segment that it names.
        segments.retain(|number| !self.log.unborn.contains(number));
        edit.oldest_wal = segments.first().copied();
        edit.newest_wal = segments.last().copied();
        Ok(())
    }

    /// Makes the repaired state the store's: everything it names durable, then what it replaces under a second name, then
    /// the MANIFEST, then the names.
    fn commit(&mut self, mut edit: VersionEdit) -> Result<()> {
        let (env, dir) = (self.output.env, self.output.dir);
        self.replaced.extend(self.names.iter().filter(|name| match **name {
            // The new MANIFEST takes the place of all others.
            FileName::Manifest(_) => !self.report.manifest.is_empty(),
            _ => false,
        }));
        let tables: Vec<_> =
            edit.keyspaces.iter().flat_map(|k| &k.added).map(|a| Arc::clone(&a.meta)).collect();
        for meta in &tables {
            let tmp = FileName::TableTmp(meta.number);
            if self.names.contains(&tmp) && !self.names.contains(&FileName::Table(meta.number)) {
                // It may never have been synced.
                let path = tmp.path(dir);
                env.truncate(&path, meta.size).map_err(|e| Error::io(&path, "sync", e))?;
            }
        }
        let set_aside = self.set_aside()?;
        env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))?;
        let in_the_way = self.replaced.iter().filter_map(|name| match name {
            FileName::Table(number) => Some(*number),
            _ => None,
        });
        edit.obsolete.extend(in_the_way);
        edit.obsolete.sort_unstable();
        edit.obsolete.dedup();
        edit.next_file = Some(self.output.number());
        let mut state = StoreState::default();
        let checked = state.check(&edit).map_err(|what| Error::invalid("repair", what))?;
        state.take(&edit, checked);
        manifest::write_store(env, dir, &state)?;
        for (name, kept) in set_aside {
            let path = name.path(dir);
            let outcome = match kept {
                Some(lost) => env.rename(&path, &lost),
                None => env.remove_file(&path),
            };
            outcome.map_err(|e| Error::io(&path, "set aside", e))?;
        }
        env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))?;
        // Gives new tables their names, and proves that the store can be opened.
        VersionSet::load(Arc::clone(&self.env), dir, Recovery::Absolute, false)?;
        Ok(())
    }

    /// Gives everything that is replaced a second name in the directory `lost`. Returns what is still to be done to each once
    /// the new MANIFEST is in force: to be renamed where a second name could not be had, otherwise to be removed.
    fn set_aside(&mut self) -> Result<Vec<(FileName, Option<PathBuf>)>> {
        let (env, dir) = (self.output.env, self.output.dir);
        let mut done = Vec::new();
        if self.replaced.is_empty() {
            return Ok(done);
        }
        let lost = dir.join(LOST);
        env.create_dir_all(&lost).map_err(|e| Error::io(&lost, "create", e))?;
        let taken = env.read_dir(&lost).map_err(|e| Error::io(&lost, "list", e))?;
        for &name in &self.replaced {
            let free = (0u32..).map(|i| match i {
                0 => name.to_string(),
                _ => format!("{name}.{i}"),
            });
            let Some(free) = free.into_iter().find(|name| !taken.contains(name)) else { continue };
            let (from, to) = (name.path(dir), lost.join(free));
            let kept = match env.hard_link(&from, &to) {
                Ok(()) => None,
                Err(e) if refuses_links(e.kind()) => Some(to.clone()),
                Err(e) => return Err(Error::io(&from, "set aside", e)),
            };
            self.report.set_aside.push(to);
            done.push((name, kept));
        }
        env.sync_dir(&lost).map_err(|e| Error::io(&lost, "sync", e))?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
