//! [`Manifest`]: the log of edits, and CURRENT, which names the one in force. Bytes are specified in `FORMAT.md`.
//!
//! What makes it safe, step by step:
//!
//! - A new MANIFEST is complete before CURRENT names it: file synced, its name synced, then `CURRENT.tmp` written and
//!   synced, renamed over CURRENT, the rename synced. A crash in between leaves the old one in force.
//! - An edit is synced before anybody acts on it. After a failure nothing more is written: what the file ends with is not
//!   known, and only reading it again can tell.
//! - A MANIFEST that was loaded is never appended to.

use super::edit::VersionEdit;
use super::encoding::DecodeError;
use super::file_meta::Reclaim;
use super::state::StoreState;
use crate::fs::filename::FileName;
use crate::fs::{Env, WritableFile};
use crate::record::{
    End, Expect, HEADER_LEN, LogHeader, LogKind, LogReader, MAX_PAYLOAD_LEN, append_record, encode_header,
};
use crate::{Error, Recovery, Result};
use esker_table::ByteSource;
use esker_table::codec::checksum::crc32c;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of a store's first MANIFEST.
pub(crate) const FIRST_MANIFEST: u64 = 1;

/// No CURRENT is longer than this.
const MAX_CURRENT_LEN: u64 = 256;

/// What CURRENT contains when this MANIFEST is in force.
pub(crate) fn encode_current(number: u64) -> String {
    let name = FileName::Manifest(number).to_string();
    format!("{name} {:08x}\n", crc32c(name.as_bytes()))
}

/// The number of the MANIFEST that a CURRENT names; `None` if it is damaged.
pub(crate) fn decode_current(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (name, _) = text.split_once(' ')?;
    match FileName::parse(name) {
        Some(FileName::Manifest(number)) => (encode_current(number) == text).then_some(number),
        _ => None,
    }
}

/// The number of the MANIFEST in force; `None` if there is no CURRENT.
///
/// # Errors
/// `Corruption` if CURRENT is damaged; `Io`.
pub(crate) fn read_current(env: &dyn Env, dir: &Path) -> Result<Option<u64>> {
    let path = FileName::Current.path(dir);
    let failed = |e| Error::io(&path, "read", e);
    let source = match env.open(&path) {
        Ok(source) => source,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let bytes = source.read(0, source.len().min(MAX_CURRENT_LEN) as usize).map_err(failed)?;
    match decode_current(&bytes) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::corruption(
            &path,
            0,
            "it does not name a MANIFEST; run `esker repair` to rebuild it from the tables",
        )),
    }
}

/// Makes a MANIFEST the one in force. Its file and its name must be durable.
fn switch_current(env: &dyn Env, dir: &Path, number: u64) -> Result<()> {
    let tmp = FileName::CurrentTmp.path(dir);
    let file = env.create(&tmp).map_err(|e| Error::io(&tmp, "create", e))?;
    file.append(encode_current(number).as_bytes()).map_err(|e| Error::io(&tmp, "write", e))?;
    file.sync().map_err(|e| Error::io(&tmp, "sync", e))?;
    drop(file);
    let current = FileName::Current.path(dir);
    env.rename(&tmp, &current).map_err(|e| Error::io(&current, "replace", e))?;
    env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))
}

/// A MANIFEST that takes edits.
#[derive(Debug)]
pub(crate) struct Manifest {
    number: u64,
    path: PathBuf,
    file: Box<dyn WritableFile>,
    /// Bytes written.
    len: u64,
    /// Bytes synced: all but the last seal.
    synced: u64,
    /// Where the snapshot ends.
    snapshot_end: u64,
}

impl Manifest {
    /// Creates MANIFEST `number`, which begins with `snapshot` and replaces `previous` (0: none), and puts it in
    /// force.
    ///
    /// # Errors
    /// `Io`; the MANIFEST that was in force then still is, or this one is: both are whole.
    pub(crate) fn create(
        env: &dyn Env,
        dir: &Path,
        number: u64,
        previous: u64,
        snapshot: &VersionEdit,
    ) -> Result<Manifest> {
        let path = FileName::Manifest(number).path(dir);
        let file = env.create(&path).map_err(|e| Error::io(&path, "create", e))?;
        let header = LogHeader { kind: LogKind::Manifest, number, previous, previous_end: 0 };
        file.append(&encode_header(&header)).map_err(|e| Error::io(&path, "write", e))?;
        let len = HEADER_LEN as u64;
        let mut manifest = Manifest { number, path, file, len, synced: 0, snapshot_end: 0 };
        manifest.append(snapshot)?;
        manifest.snapshot_end = manifest.len;
        env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))?;
        switch_current(env, dir, number)?;
        Ok(manifest)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The length of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes of edits were written after the snapshot, and how long the snapshot is.
    pub(crate) fn growth(&self) -> (u64, u64) {
        (self.len - self.snapshot_end, self.snapshot_end)
    }

    /// Writes an edit, makes it durable, and seals it.
    ///
    /// # Errors
    /// `Io`. The edit may or may not be durable, and nothing may be appended any more.
    pub(crate) fn append(&mut self, edit: &VersionEdit) -> Result<()> {
        let mut payload = Vec::new();
        edit.encode(&mut payload);
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(Error::invalid("version edit", format!("{} bytes are too many", payload.len())));
        }
        self.write(&payload)?;
        self.file.sync().map_err(|e| Error::io(&self.path, "sync", e))?;
        self.synced = self.len;
        self.write(&[])
    }

    /// Appends a record. An edit does not say that the seal before it is synced: the two may be torn together.
    fn write(&mut self, payload: &[u8]) -> Result<()> {
        let mut record = Vec::new();
        append_record(&mut record, self.number, self.len, self.synced, &[payload]);
        self.file.append(&record).map_err(|e| Error::io(&self.path, "write", e))?;
        self.len += record.len() as u64;
        Ok(())
    }
}

/// What reading a MANIFEST gave.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) state: StoreState,
    /// How the MANIFEST ends; a torn tail is what an interrupted edit left.
    pub(crate) end: End,
    /// Whether it uses a feature that this version may read but not write.
    pub(crate) read_only: bool,
}

/// Reads the MANIFEST in force.
///
/// # Errors
/// `NoStore` if there is no CURRENT and nothing that would need one; `MissingFile` if CURRENT, or the MANIFEST that it
/// names, is lost; `Corruption`; `Unsupported`; `Io`.
pub(crate) fn load(env: &dyn Env, dir: &Path, recovery: Recovery, reclaim: &Arc<Reclaim>) -> Result<Loaded> {
    let Some(number) = read_current(env, dir)? else {
        return Err(match exists(env, dir)? {
            true => Error::MissingFile {
                path: FileName::Current.path(dir),
                what: "the directory holds other files of a store".to_owned(),
            },
            false => Error::NoStore { path: dir.to_owned() },
        });
    };
    let path = FileName::Manifest(number).path(dir);
    let source = env.open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Error::MissingFile { path: path.clone(), what: "CURRENT names it".to_owned() }
        }
        _ => Error::io(&path, "open", e),
    })?;
    let mut state = StoreState::default();
    let mut edits = 0u64;
    let replayed = replay(source, &path, number, recovery, reclaim, &mut |offset, edit| {
        let checked = state.check(&edit).map_err(|what| Error::corruption(&path, offset, what))?;
        state.take(&edit, checked);
        edits += 1;
        Ok(())
    })?;
    if edits == 0 {
        // CURRENT names a MANIFEST only once its snapshot is durable.
        return Err(Error::corruption(&path, HEADER_LEN as u64, "the snapshot that it begins with is lost"));
    }
    Ok(Loaded { number, path, state, end: replayed.end, read_only: replayed.read_only })
}

/// How a MANIFEST ends, and whether this version may write beside it.
pub(crate) struct Replayed {
    pub(crate) end: End,
    pub(crate) read_only: bool,
}

/// Hands each edit of a MANIFEST to `each`, with its offset.
///
/// # Errors
/// `Corruption`, `Unsupported`, `Io`, and whatever `each` returns.
pub(crate) fn replay(
    source: Arc<dyn ByteSource>,
    path: &Path,
    number: u64,
    recovery: Recovery,
    reclaim: &Arc<Reclaim>,
    each: &mut dyn FnMut(u64, VersionEdit) -> Result<()>,
) -> Result<Replayed> {
    // The header of a MANIFEST that CURRENT names is durable.
    let expect = Expect { kind: LogKind::Manifest, number, recovery, synced: HEADER_LEN as u64 };
    let mut reader = LogReader::open(source, path, expect)?;
    while let Some(record) = reader.next()? {
        if record.payload.is_empty() {
            continue;
        }
        let edit = VersionEdit::decode(&record.payload, reclaim).map_err(|e| match e {
            DecodeError::Damaged(what) => Error::corruption(path, record.offset, what),
            DecodeError::Unsupported(what) => Error::Unsupported { path: path.to_owned(), what },
        })?;
        each(record.offset, edit)?;
    }
    Ok(Replayed { end: reader.outcome(), read_only: reader.is_read_only() })
}

/// Whether a directory holds a store, or what is left of one. The remains of a creation that was interrupted do not
/// count: no CURRENT, the first MANIFEST at most, and neither a table nor a segment of the log.
///
/// # Errors
/// `Io` if the directory cannot be read.
pub(crate) fn exists(env: &dyn Env, dir: &Path) -> Result<bool> {
    let names = match env.read_dir(dir) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io(dir, "list", e)),
    };
    Ok(names.iter().filter_map(|name| FileName::parse(name)).any(|name| {
        !matches!(name, FileName::Lock | FileName::CurrentTmp | FileName::Manifest(FIRST_MANIFEST))
    }))
}

#[cfg(test)]
mod tests;
