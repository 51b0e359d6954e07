//! Copying an open store by hard links.
//!
//! 1. Writers pause for as long as it takes to hand the log's buffer to the operating system and to note the store's state
//!    and the log's end. The state pins its tables; segments of the log stay until the copy is done.
//! 2. Writing goes on. Tables are linked, the log is copied up to that end, a MANIFEST that says the state is written.
//! 3. All of it happens in a directory of a temporary name, which is synced and renamed at the end: a crash leaves the whole
//!    copy or none.

use super::core::Core;
use super::open::create_dir;
use crate::error::{Error, Result};
use crate::fs::filename::FileName;
use crate::fs::{Env, refuses_links};
use crate::manifest::{self, StoreState};
use crate::record::{LogKind, Salvage};
use crate::sync::std_lock;
use std::path::{Path, PathBuf};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Keeps segments of the log on disk.
pub(super) struct KeepLog<'a>(&'a Core);

impl<'a> KeepLog<'a> {
    /// None is removed from here on.
    pub(super) fn new(core: &'a Core) -> KeepLog<'a> {
        *std_lock(&core.log_readers) += 1;
        KeepLog(core)
    }
}

impl Drop for KeepLog<'_> {
    fn drop(&mut self) {
        *std_lock(&self.0.log_readers) -= 1;
        // Does nothing while somebody else keeps them.
        self.0.remove_old_segments();
    }
}

/// See [`super::Db::checkpoint`].
pub(super) fn checkpoint(core: &Core, to: &Path) -> Result<()> {
    core.health.check_writable()?;
    // One at a time: another one to the same place would take this one's files for what a crash left.
    let _one = std_lock(&core.copying);
    let env = core.env.as_ref();
    if env.read_dir(to).is_ok() || env.file_len(to).is_ok() {
        let what = "it exists already; give a new directory for the checkpoint".to_owned();
        return Err(Error::NotEmpty { path: to.to_owned(), what });
    }
    let tmp = temporary(to);
    if let Ok(names) = env.read_dir(&tmp) {
        if let Some(stranger) = names.iter().find(|name| FileName::parse(name).is_none()) {
            let what = format!(
                "the checkpoint is made under this name first, but `{stranger}` is in it; move it away"
            );
            return Err(Error::NotEmpty { path: tmp, what });
        }
        env.remove_dir_all(&tmp).map_err(|error| Error::io(&tmp, "remove", error))?;
    }
    create_dir(env, &tmp)?;
    let filled = fill(core, &tmp).and_then(|()| publish(env, &tmp, to));
    if filled.is_err() {
        // The error says what went wrong; what is left behind is overwritten by the next attempt.
        let _ = env.remove_dir_all(&tmp);
    }
    filled
}

fn temporary(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    to.with_file_name(name)
}

fn publish(env: &dyn Env, tmp: &Path, to: &Path) -> Result<()> {
    env.sync_dir(tmp).map_err(|error| Error::io(tmp, "sync", error))?;
    env.rename(tmp, to).map_err(|error| Error::io(to, "create", error))?;
    let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    env.sync_dir(parent).map_err(|error| Error::io(parent, "sync", error))
}

fn fill(core: &Core, tmp: &Path) -> Result<()> {
    let env = core.env.as_ref();
    // What is not in the log has to be in tables.
    for tree in core.all_trees().iter().filter(|tree| !tree.options.log) {
        core.flush_tree(tree)?;
    }
    let _keep = KeepLog::new(core);
    let (mut state, last_segment, log_end, written, left) = {
        let _pause = core.committer.pause();
        let (lsn, segment, offset) = core.committer.log_end();
        core.committer.write_through(lsn)?;
        let left = std_lock(&core.committer.segments).clone();
        // Nothing was ever written to a segment that was only just begun, and its file may not exist.
        (core.set.state(), segment, offset, core.committer.written_end(), left)
    };
    for meta in state.tables() {
        let from = core.set.table_path(meta.number);
        let to = FileName::Table(meta.number).path(tmp);
        link(env, &from, &to, meta.size)?;
    }
    for number in chain(env, &core.dir, &state, last_segment)? {
        let from = FileName::Wal(number).path(&core.dir);
        let len = match written {
            _ if number == last_segment => log_end,
            // The next segment is begun, and its file is not: this one still has room behind its records.
            Some((segment, len)) if number == segment => len,
            // The file may still have room, which background work takes back meanwhile.
            _ => match left.get(&number) {
                Some(len) => *len,
                None => env.file_len(&from).map_err(|error| Error::io(&from, "look at", error))?,
            },
        };
        copy(env, &from, &FileName::Wal(number).path(tmp), len)?;
    }
    state.newest_wal = last_segment;
    state.closed_wal = Some((last_segment, log_end));
    state.next_file = core.set.new_file_number();
    state.obsolete.clear();
    manifest::write_store(env, tmp, &state)
}

/// The segments of the log that the state needs, up to `last`.
///
/// # Errors
/// `MissingFile` if one of them is not there: what it held would be missing in the copy, without a word.
fn chain(env: &dyn Env, dir: &Path, state: &StoreState, last: u64) -> Result<Vec<u64>> {
    let mut segments = crate::wal::list(env, dir)?;
    segments.retain(|&number| number >= state.oldest_wal && number <= last);
    let missing = |number: u64| {
        let what = "the checkpoint needs this segment of the log".to_owned();
        Err(Error::MissingFile { path: FileName::Wal(number).path(dir), what })
    };
    for number in [state.oldest_wal, last] {
        if number != 0 && !segments.contains(&number) {
            return missing(number);
        }
    }
    let mut before = None;
    for &number in &segments {
        let path = FileName::Wal(number).path(dir);
        let source = env.open(&path).map_err(|error| Error::io(&path, "open", error))?;
        let follows = Salvage::open(source, &path, LogKind::Wal, number)?.previous();
        // The oldest that is needed may follow one that is not needed any more, and the first of all follows none.
        let first_needed = number == state.oldest_wal;
        match follows {
            Some(previous) if before != Some(previous) && !first_needed => return missing(previous),
            None if before.is_some() => return Err(Error::corruption(&path, 0, "its header is damaged")),
            _ => before = Some(number),
        }
    }
    Ok(segments)
}

/// Gives a file a second name, or copies it where the file system cannot do that.
fn link(env: &dyn Env, from: &Path, to: &Path, len: u64) -> Result<()> {
    match env.hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if refuses_links(error.kind()) => copy(env, from, to, len),
        Err(error) => Err(Error::io(to, "link", error)),
    }
}

fn copy(env: &dyn Env, from: &Path, to: &Path, len: u64) -> Result<()> {
    let source = env.open(from).map_err(|error| Error::io(from, "open", error))?;
    let file = env.create(to).map_err(|error| Error::io(to, "create", error))?;
    let mut offset = 0;
    while offset < len {
        let piece = COPY_BYTES.min((len - offset) as usize);
        let bytes = source.read(offset, piece).map_err(|error| Error::io(from, "read", error))?;
        file.append(&bytes).map_err(|error| Error::io(to, "write", error))?;
        offset += piece as u64;
    }
    file.sync().map_err(|error| Error::io(to, "sync", error))
}
