//! [`inspect`]: what a file of a store says, as text. Reads by position, changes nothing, needs no open store.

use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::manifest::{self, StoreState, VersionEdit};
use crate::record::{HEADER_LEN, Link, LogKind, Salvage};
use crate::tables::FormatRegistry;
use crate::write::batch::decode_payload;
use crate::{Error, LocalEnv, Result};
use esker_table::{BlockSource, ByteSource, Kind, ReadOptions, Run, TableFormat, Trailer, Verify};
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

/// Says a line.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        $out(Inspected::Line(format!($($text)*)))
    };
}

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

/// One thing that a file says. Its text is one line, in which keys and values are escaped like Rust byte strings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inspected<'a> {
    /// Something about the file, or a part of it.
    Line(String),
    /// An entry of a table, or an operation in a log.
    Entry {
        /// The number of the keyspace, in a log; a table holds one keyspace.
        keyspace: Option<u32>,
        /// The sequence number.
        seqno: u64,
        /// `put`, `delete`, or `delete-range`.
        kind: &'static str,
        /// The user key; of a range, where it begins.
        key: &'a [u8],
        /// The value; of a range, where it ends; empty for a delete.
        value: &'a [u8],
    },
}

impl Inspected<'_> {
    fn entry<'a>(keyspace: Option<u32>, key: &'a [u8], trailer: Trailer, value: &'a [u8]) -> Inspected<'a> {
        let kind = match trailer.kind() {
            Some(Kind::Put) => "put",
            Some(Kind::Delete) => "delete",
            Some(Kind::RangeDelete) => "delete-range",
            _ => "unknown",
        };
        Inspected::Entry { keyspace, seqno: trailer.seqno(), kind, key, value }
    }
}

impl fmt::Display for Inspected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keyspace, seqno, kind, key, value) = match self {
            Inspected::Line(line) => return f.write_str(line),
            Inspected::Entry { keyspace, seqno, kind, key, value } => {
                (keyspace, seqno, *kind, key.escape_ascii(), value.escape_ascii())
            }
        };
        write!(f, "{seqno} ")?;
        if let Some(keyspace) = keyspace {
            write!(f, "keyspace {keyspace}: ")?;
        }
        match kind {
            "delete" => write!(f, "delete \"{key}\""),
            "delete-range" => write!(f, "delete \"{key}\"..\"{value}\""),
            _ => write!(f, "{kind} \"{key}\" = \"{value}\""),
        }
    }
}

/// Says what a table, a segment of the log, a MANIFEST or a CURRENT contains, one thing after the other. Damage is passed over where that is possible and shown where it lies.
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
/// let result = esker::inspect(&path, esker::InspectOptions::new(), &mut |said| text += &said.to_string());
/// assert!(result.is_err(), "its checksum is wrong");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect(
    path: impl AsRef<Path>,
    options: InspectOptions,
    out: &mut dyn FnMut(Inspected<'_>),
) -> Result<()> {
    inspect_in(&LocalEnv, path.as_ref(), &options, out)
}

pub(crate) fn inspect_in(
    env: &dyn Env,
    path: &Path,
    options: &InspectOptions,
    out: &mut dyn FnMut(Inspected<'_>),
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
            what: "this is neither a table of a known format, nor a segment of the log, nor a MANIFEST, nor a CURRENT; check the path"
                .to_owned(),
        }),
    }
}

fn inspect_current(path: &Path, bytes: &[u8], out: &mut dyn FnMut(Inspected<'_>)) -> Result<()> {
    match manifest::decode_current(bytes) {
        Some(number) => {
            line!(out, "CURRENT: {} is in force", FileName::Manifest(number));
            Ok(())
        }
        None => {
            line!(out, "CURRENT: \"{}\"", bytes.escape_ascii());
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

    fn show(&mut self, salvage: &Salvage, out: &mut dyn FnMut(Inspected<'_>)) {
        for damage in &salvage.damage()[self.shown..] {
            line!(out, "{:>10}  {} bytes that are no record", damage.offset, damage.bytes);
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
    out: &mut dyn FnMut(Inspected<'_>),
) -> Result<()> {
    let follows = salvage.previous().map_or(String::new(), |n| format!(", follows segment {n}"));
    line!(out, "write-ahead log, segment {number}{follows}");
    let mut damage = DamageLog::new(path);
    let (mut batches, mut operations) = (0u64, 0u64);
    while let Some(record) = salvage.next()? {
        damage.show(&salvage, out);
        let (offset, len) = (record.offset, record.end - record.offset);
        if let Some(Link { end, synced: (of, up_to) }) = record.link() {
            line!(
                out,
                "{offset:>10}  link: the segment before ends at {end}; synced up to {up_to} of segment {of}"
            );
            continue;
        }
        if record.payload.is_empty() {
            line!(out, "{offset:>10}  seal: synced up to {}", record.synced);
            continue;
        }
        let Some((first, ops)) = decode_payload(&record.payload) else {
            line!(out, "{offset:>10}  {len} bytes, intact, but no batch");
            damage.keep(offset, "the record is intact, but it is no batch");
            continue;
        };
        let count = u64::from(ops.count());
        let last = first + count.saturating_sub(1);
        line!(out, "{offset:>10}  {len} bytes, batch of {count}, seqnos {first}..={last}");
        batches += 1;
        operations += count;
        if options.entries {
            for (op, seqno) in ops.iter().zip(first..) {
                out(Inspected::entry(Some(op.keyspace), op.key, Trailer::new(seqno, op.kind), op.value));
            }
        }
    }
    damage.show(&salvage, out);
    line!(out, "{batches} batches, {operations} operations");
    damage.finish()
}

fn inspect_manifest(
    path: &Path,
    mut salvage: Salvage,
    number: u64,
    options: &InspectOptions,
    out: &mut dyn FnMut(Inspected<'_>),
) -> Result<()> {
    let follows = salvage.previous().map_or(String::new(), |n| format!(", replaced MANIFEST {n}"));
    line!(out, "MANIFEST {number}{follows}");
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
                line!(out, "{:>10}  an edit that cannot be read: {error}", record.offset);
                damage.keep(record.offset, &error.to_string());
                continue;
            }
        };
        if options.entries {
            line!(out, "{:>10}  {} bytes", record.offset, record.end - record.offset);
            edit.describe(&mut |said| line!(out, "            {said}"));
        }
        edits += 1;
        match state.check(&edit) {
            Ok(checked) => state.take(&edit, checked),
            Err(what) => {
                line!(out, "{:>10}  this edit does not fit what is before it: {what}", record.offset);
                damage.keep(record.offset, &what);
            }
        }
    }
    damage.show(&salvage, out);
    line!(out, "{edits} edits, which lead to:");
    describe_state(&state, out);
    damage.finish()
}

fn describe_state(state: &StoreState, out: &mut dyn FnMut(Inspected<'_>)) {
    line!(
        out,
        "next file {}, last sequence number {}, log segments {}..={}",
        state.next_file,
        state.last_seqno,
        state.oldest_wal,
        state.newest_wal
    );
    for (id, keyspace) in &state.keyspaces {
        let version = &keyspace.version;
        line!(
            out,
            "keyspace {id} {:?}: {} tables, {} bytes, flushed up to {}",
            keyspace.record.name,
            version.tables().count(),
            version.bytes(),
            keyspace.flushed_seqno
        );
        for (level, runs) in version.levels.iter().enumerate() {
            for run in &runs.runs {
                let numbers: Vec<String> = run.tables.iter().map(|t| t.number.to_string()).collect();
                line!(out, "  level {level} run {}: tables {}", run.id, numbers.join(" "));
            }
        }
    }
}

fn inspect_table(
    path: &Path,
    source: Arc<dyn ByteSource>,
    format: &dyn TableFormat,
    options: &InspectOptions,
    out: &mut dyn FnMut(Inspected<'_>),
) -> Result<()> {
    let failed = |e| Error::table(path, e);
    line!(out, "table of format {} ({}), {} bytes", format.name(), format.id(), source.len());
    let reader = format.open(BlockSource::new(source)).map_err(failed)?;
    let properties = reader.properties();
    let to = if properties.largest_exclusive { ".." } else { "..=" };
    line!(
        out,
        "{} entries, {} deletes, {} range tombstones, keys \"{}\"{to}\"{}\", seqnos {}..={}",
        properties.entries,
        properties.deletes,
        properties.range_tombstones,
        properties.smallest.escape_ascii(),
        properties.largest.escape_ascii(),
        properties.min_seqno,
        properties.max_seqno
    );
    for (name, bytes) in &properties.collected {
        match (name.as_str(), manifest::Stamp::of(properties)) {
            (manifest::STAMP, Some(stamp)) => {
                line!(out, "written for keyspace {} {:?}", stamp.id, stamp.record.name);
            }
            _ => line!(out, "collected {name:?}: {} bytes", bytes.len()),
        }
    }
    reader.describe(&mut |part| out(Inspected::Line(part))).map_err(failed)?;
    if !options.entries {
        return reader.verify().map_err(failed);
    }
    for tombstone in reader.range_tombstones().map_err(failed)?.iter() {
        let trailer = Trailer::new(tombstone.seqno, Kind::RangeDelete);
        out(Inspected::entry(None, &tombstone.start, trailer, &tombstone.end));
    }
    let read = ReadOptions::default().with_verify(Verify::Always).with_sequential(true);
    let mut cursor = Arc::clone(&reader).cursor(&read);
    let mut run = Run::new();
    cursor.first(&mut run, RUN_ENTRIES).map_err(failed)?;
    while !run.is_empty() {
        for i in 0..run.len() {
            out(Inspected::entry(None, run.key(i), run.trailer(i), run.value(i)));
        }
        cursor.next(&mut run, RUN_ENTRIES).map_err(failed)?;
    }
    reader.verify().map_err(failed)
}

#[cfg(test)]
mod tests;
