//! [`inspect`]: what a file of a store says, as text. Reads by position, changes nothing, needs no open store.

use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::manifest::{self, StoreState, VersionEdit};
use crate::record::{HEADER_LEN, LogKind, RECORD_HEADER_LEN, Salvage};
use crate::tables::FormatRegistry;
use crate::write::batch::decode_payload;
use crate::{Error, LocalEnv, Result};
use esker_table::{BlockSource, ByteSource, Kind, ReadOptions, Run, TableFormat, Verify};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// How many bytes at the end of a file a table format is recognised by.
const TAIL_LEN: u64 = 64;

/// How many entries of a table are read at a time.
const RUN_ENTRIES: usize = 256;

/// What [`inspect`] shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectOptions {
    /// Whether every entry is shown, and not only what the file consists of. Default false.
    pub entries: bool,
    /// Table formats besides the built-in ones.
    pub formats: Vec<Arc<dyn TableFormat>>,
}

impl Default for InspectOptions {
    fn default() -> InspectOptions {
        InspectOptions::new()
    }
}

impl InspectOptions {
    /// An overview, with the built-in table formats.
    pub fn new() -> InspectOptions {
        InspectOptions { entries: false, formats: Vec::new() }
    }

    /// Sets whether every entry is shown.
    #[must_use]
    pub fn entries(mut self, yes: bool) -> Self {
        self.entries = yes;
        self
    }

    /// Adds a table format.
    #[must_use]
    pub fn table_format(mut self, format: Arc<dyn TableFormat>) -> Self {
        self.formats.push(format);
        self
    }
}

/// Says what a table, a segment of the log, a MANIFEST or a CURRENT contains, line by line. Keys and values are
/// escaped like Rust byte strings. Damage is passed over where that is possible and shown where it lies.
///
/// # Errors
/// The first damage found, once everything that can be read has been shown; `Unsupported` if the file is none of
/// these; `Io`.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("CURRENT");
/// # std::fs::write(&path, "MANIFEST-000005 00000000\n")?;
/// let mut text = String::new();
/// let result = esker::inspect(&path, esker::InspectOptions::new(), &mut |line| text += &line);
/// assert!(result.is_err(), "its checksum is wrong");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect(path: impl AsRef<Path>, options: InspectOptions, out: &mut dyn FnMut(String)) -> Result<()> {
    inspect_in(&LocalEnv, path.as_ref(), &options, out)
}

pub(crate) fn inspect_in(
    env: &dyn Env,
    path: &Path,
    options: &InspectOptions,
    out: &mut dyn FnMut(String),
) -> Result<()> {
    let source = env.open(path).map_err(|e| Error::io(path, "open", e))?;
    let name = path.file_name().and_then(|name| name.to_str()).and_then(FileName::parse);
    let read = |offset, len: u64| {
        source.read(offset, len as usize).map_err(|e: io::Error| Error::io(path, "read", e))
    };
    let head = read(0, source.len().min(HEADER_LEN as u64))?;
    if name == Some(FileName::Current) {
        return inspect_current(path, &read(0, source.len().min(4096))?, out);
    }
    let log = LogName::of(&head).or(match name {
        Some(FileName::Wal(number)) => Some(LogName { kind: LogKind::Wal, number }),
        Some(FileName::Manifest(number)) => Some(LogName { kind: LogKind::Manifest, number }),
        _ => None,
    });
    if let Some(log) = log {
        let salvage = Salvage::open(Arc::clone(&source), path, log.kind, log.number)?;
        return match log.kind {
            LogKind::Wal => inspect_segment(path, salvage, log.number, options, out),
            LogKind::Manifest => inspect_manifest(path, salvage, log.number, options, out),
        };
    }
    let tail_len = source.len().min(TAIL_LEN);
    let tail = read(source.len() - tail_len, tail_len)?;
    let mut formats = FormatRegistry::builtin();
    options.formats.iter().try_for_each(|format| formats.register(Arc::clone(format)))?;
    let format = formats.recognize(&tail);
    match format {
        Some(format) => inspect_table(path, source, &**format, options, out),
        None => Err(Error::Unsupported {
            path: path.to_owned(),
            what: "this is neither a table of a known format, nor a log, nor a CURRENT; check the path"
                .to_owned(),
        }),
    }
}

fn inspect_current(path: &Path, bytes: &[u8], out: &mut dyn FnMut(String)) -> Result<()> {
    match manifest::decode_current(bytes) {
        Some(number) => {
            out(format!("CURRENT: {} is in force", FileName::Manifest(number)));
            Ok(())
        }
        None => {
            out(format!("CURRENT: \"{}\"", bytes.escape_ascii()));
            Err(Error::corruption(path, 0, "the line is not a name of a MANIFEST and its checksum"))
        }
    }
}

/// What a log's own header says, where the file's name does not.
struct LogName {
    kind: LogKind,
    number: u64,
}

impl LogName {
    fn of(head: &[u8]) -> Option<LogName> {
        let (kind, number) = crate::record::peek_header(head)?;
        Some(LogName { kind, number })
    }
}

/// Shows the damage that was passed over since the last call, and remembers the first of all as the error to return.
struct DamageLog<'a> {
    path: &'a Path,
    shown: usize,
    first: Option<Error>,
}

impl<'a> DamageLog<'a> {
    fn new(path: &'a Path) -> DamageLog<'a> {
        DamageLog { path, shown: 0, first: None }
    }

    fn show(&mut self, salvage: &Salvage, out: &mut dyn FnMut(String)) {
        for damage in &salvage.damage()[self.shown..] {
            out(format!("{:>10}  {} bytes that are no record", damage.offset, damage.bytes));
            self.keep(damage.offset, "not an intact record");
        }
        self.shown = salvage.damage().len();
    }

    fn keep(&mut self, offset: u64, what: &str) {
        self.first.get_or_insert_with(|| Error::corruption(self.path, offset, what));
    }

    fn finish(self) -> Result<()> {
        self.first.map_or(Ok(()), Err)
    }
}

fn inspect_segment(
    path: &Path,
    mut salvage: Salvage,
    number: u64,
    options: &InspectOptions,
    out: &mut dyn FnMut(String),
) -> Result<()> {
    let follows = salvage.previous().map_or(String::new(), |n| format!(", follows segment {n}"));
    out(format!("write-ahead log, segment {number}{follows}"));
    let mut damage = DamageLog::new(path);
    let (mut batches, mut operations) = (0u64, 0u64);
    while let Some(record) = salvage.next()? {
        damage.show(&salvage, out);
        let (offset, len) = (record.offset, record.payload.len() + RECORD_HEADER_LEN);
        if record.payload.is_empty() {
            out(format!("{offset:>10}  seal: synced up to {}", record.synced));
            continue;
        }
        let Some((first, ops)) = decode_payload(&record.payload) else {
            out(format!("{offset:>10}  {len} bytes, intact, but no batch"));
            damage.keep(offset, "the record is intact, but it is no batch");
            continue;
        };
        let count = u64::from(ops.count());
        let last = first + count.saturating_sub(1);
        out(format!("{offset:>10}  {len} bytes, batch of {count}, seqnos {first}..={last}"));
        batches += 1;
        operations += count;
        if options.entries {
            for (op, seqno) in ops.iter().zip(first..) {
                let (key, value) = (op.key.escape_ascii(), op.value.escape_ascii());
                let what = match op.kind {
                    Kind::Put => format!("put \"{key}\" = \"{value}\""),
                    Kind::RangeDelete => format!("delete \"{key}\"..\"{value}\""),
                    _ => format!("delete \"{key}\""),
                };
                out(format!("            {seqno} keyspace {}: {what}", op.keyspace));
            }
        }
    }
    damage.show(&salvage, out);
    out(format!("{batches} batches, {operations} operations"));
    damage.finish()
}

fn inspect_manifest(
    path: &Path,
    mut salvage: Salvage,
    number: u64,
    options: &InspectOptions,
    out: &mut dyn FnMut(String),
) -> Result<()> {
    let follows = salvage.previous().map_or(String::new(), |n| format!(", replaced MANIFEST {n}"));
    out(format!("MANIFEST {number}{follows}"));
    let mut damage = DamageLog::new(path);
    let mut state = StoreState::default();
    let mut edits = 0u64;
    let reclaim = Arc::default();
    while let Some(record) = salvage.next()? {
        damage.show(&salvage, out);
        if record.payload.is_empty() {
            continue;
        }
        let edit = match VersionEdit::decode(&record.payload, &reclaim) {
            Ok(edit) => edit,
            Err(error) => {
                out(format!("{:>10}  an edit that cannot be read: {error}", record.offset));
                damage.keep(record.offset, &error.to_string());
                continue;
            }
        };
        if options.entries {
            out(format!("{:>10}  {} bytes", record.offset, record.payload.len() + RECORD_HEADER_LEN));
            edit.describe(&mut |line| out(format!("            {line}")));
        }
        edits += 1;
        match state.check(&edit) {
            Ok(checked) => state.take(&edit, checked),
            Err(what) => {
                out(format!("{:>10}  this edit does not fit what is before it: {what}", record.offset));
                damage.keep(record.offset, &what);
            }
        }
    }
    damage.show(&salvage, out);
    out(format!("{edits} edits, which lead to:"));
    describe_state(&state, out);
    damage.finish()
}

fn describe_state(state: &StoreState, out: &mut dyn FnMut(String)) {
    out(format!(
        "next file {}, last sequence number {}, log segments {}..={}",
        state.next_file, state.last_seqno, state.oldest_wal, state.newest_wal
    ));
    for (id, keyspace) in &state.keyspaces {
        let version = &keyspace.version;
        out(format!(
            "keyspace {id} {:?}: {} tables, {} bytes, flushed up to {}",
            keyspace.record.name,
            version.tables().count(),
            version.bytes(),
            keyspace.flushed_seqno
        ));
        for (level, runs) in version.levels.iter().enumerate() {
            for run in &runs.runs {
                let numbers: Vec<String> = run.tables.iter().map(|t| t.number.to_string()).collect();
                out(format!("  level {level} run {}: tables {}", run.id, numbers.join(" ")));
            }
        }
    }
}

fn inspect_table(
    path: &Path,
    source: Arc<dyn ByteSource>,
    format: &dyn TableFormat,
    options: &InspectOptions,
    out: &mut dyn FnMut(String),
) -> Result<()> {
    let failed = |e| Error::table(path, e);
    out(format!("table of format {} ({}), {} bytes", format.name(), format.id(), source.len()));
    let reader = format.open(BlockSource::new(source)).map_err(failed)?;
    let properties = reader.properties();
    let to = if properties.largest_exclusive { ".." } else { "..=" };
    out(format!(
        "{} entries, {} deletes, {} range tombstones, keys \"{}\"{to}\"{}\", seqnos {}..={}",
        properties.entries,
        properties.deletes,
        properties.range_tombstones,
        properties.smallest.escape_ascii(),
        properties.largest.escape_ascii(),
        properties.min_seqno,
        properties.max_seqno
    ));
    for (name, bytes) in &properties.collected {
        match (name.as_str(), manifest::Stamp::of(properties)) {
            (manifest::STAMP, Some(stamp)) => {
                out(format!("written for keyspace {} {:?}", stamp.id, stamp.record.name));
            }
            _ => out(format!("collected {name:?}: {} bytes", bytes.len())),
        }
    }
    reader.describe(out).map_err(failed)?;
    if !options.entries {
        return reader.verify().map_err(failed);
    }
    for tombstone in reader.range_tombstones().map_err(failed)?.iter() {
        out(format!(
            "{} delete \"{}\"..\"{}\"",
            tombstone.seqno,
            tombstone.start.escape_ascii(),
            tombstone.end.escape_ascii()
        ));
    }
    let read = ReadOptions::default().with_verify(Verify::Always).with_sequential(true);
    let mut cursor = Arc::clone(&reader).cursor(&read);
    let mut run = Run::new();
    cursor.first(&mut run, RUN_ENTRIES).map_err(failed)?;
    while !run.is_empty() {
        for i in 0..run.len() {
            let (seqno, key) = (run.trailer(i).seqno(), run.key(i).escape_ascii());
            out(match run.trailer(i).kind() {
                Some(Kind::Put) => format!("{seqno} put \"{key}\" = \"{}\"", run.value(i).escape_ascii()),
                Some(Kind::Delete) => format!("{seqno} delete \"{key}\""),
                _ => format!("{:?} \"{key}\" \"{}\"", run.trailer(i), run.value(i).escape_ascii()),
            });
        }
        cursor.next(&mut run, RUN_ENTRIES).map_err(failed)?;
    }
    reader.verify().map_err(failed)
}

#[cfg(test)]
mod tests;
