//! [`Outputs`]: the tables that a job writes.
//!
//! Each table is written under its temporary name, in pieces of a fixed size whatever its length, and synced; a table is
//! not renamed here: that follows the MANIFEST's word. A job that fails or stops removes what it wrote.
//!
//! The outputs share the key space without gaps, so that every range tombstone lies in exactly the tables whose share it
//! meets, cut at the borders:
//!
//! ```text
//!   tombstones        [──────────────────)        [───)
//!   shares      ◄───────────┊───────────────┊────────────►
//!   entries        a b c d  ┊ e f g h i j   ┊ (none)
//!   tables      1           ┊ 2             ┊ 3: tombstones only
//! ```

use super::JobContext;
use super::collapse::Sink;
use super::split::Splitter;
use crate::error::{Error, Result};
use crate::fs::filename::FileName;
use crate::fs::{WritableFile, at_full_weight};
use crate::hooks::Collector;
use crate::manifest::{AddedFile, FileMeta, Stamp};
use crate::sync::std_lock;
use esker_table::range_tombstone::Fragment;
use esker_table::{
    FormatId, Fragments, Kind, RawBlock, SeqNo, TableFormat, TableWriter, Trailer, WriteOptions,
};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Bytes that are gathered before they are handed to the operating system.
const PIECE: usize = 512 << 10;

/// Bytes after which a table's writer is asked again how large the table has become.
const ASK_SIZE_EVERY: usize = 16 << 10;

/// Bytes of range tombstones, in one table, that make it end.
const MOST_TOMBSTONE_BYTES: usize = 4 << 20;

/// The tables that a job writes. See the head of this file.
pub(crate) struct Outputs<'a> {
    context: &'a JobContext<'a>,
    level: usize,
    /// The run that the tables belong to; without one, they become a run of the first table's number.
    run: Option<u64>,
    format: Arc<dyn TableFormat>,
    options: WriteOptions,
    splitter: Splitter,
    tombstones: Fragments,
    /// The first fragment that does not begin before the current key.
    fragment: usize,
    /// Bytes of tombstones that the current share has met.
    tombstone_bytes: usize,
    current: Option<Open<'a>>,
    /// The size of the current table when it was last asked for, and the bytes it has been given since.
    size: u64,
    unsized_bytes: usize,
    /// Where the current share begins; `None` for the first.
    start: Option<Vec<u8>>,
    /// The last key of the current table.
    last_key: Vec<u8>,
    /// For tables whose entries are ingested: everything up to this sequence number is older.
    ingested_after: Option<SeqNo>,
    done: Vec<AddedFile>,
    bytes: u64,
    /// Numbers of files that exist under their temporary names.
    written: Vec<u64>,
}

/// A table that is being written.
struct Open<'a> {
    number: u64,
    path: PathBuf,
    file: Arc<Pieces>,
    writer: Box<dyn TableWriter + 'a>,
    collector: Option<Box<dyn Collector>>,
}

impl<'a> Outputs<'a> {
    /// Tables of `level`. `tombstones` are written into the tables whose share they meet.
    pub(crate) fn new(
        context: &'a JobContext<'a>,
        level: usize,
        run: Option<u64>,
        splitter: Splitter,
        tombstones: Fragments,
    ) -> Result<Outputs<'a>> {
        let format = context.registry.by_name(context.options.format.at(level))?.clone();
        let options = WriteOptions::default()
            .with_compression(*context.options.compression.at(level))
            .with_filter_bits(*context.options.filter_bits.at(level))
            .with_block_size(context.options.block_bytes);
        Ok(Outputs {
            context,
            level,
            run,
            format,
            options,
            splitter,
            tombstones,
            fragment: 0,
            tombstone_bytes: 0,
            current: None,
            size: 0,
            unsized_bytes: 0,
            start: None,
            last_key: Vec::new(),
            ingested_after: None,
            done: Vec::new(),
            bytes: 0,
            written: Vec::new(),
        })
    }

    /// Makes the tables say that their entries were ingested, after everything that is visible by now.
    pub(crate) fn mark_ingested(&mut self) {
        self.ingested_after = Some(self.context.visible);
    }

    /// Whether blocks of this format can be copied into the tables.
    pub(crate) fn takes_blocks_of(&self, format: FormatId) -> bool {
        self.format.id() == format
            && self.format.capabilities().block_copy
            && self.context.options.collector.is_none()
    }

    /// Copies a block. Returns whether it was taken; if not, its entries must come one by one.
    pub(crate) fn block(&mut self, block: &RawBlock) -> Result<bool> {
        self.before(&block.first_key)?;
        let open = self.open()?;
        let taken = open.writer.add_raw_block(block).map_err(|e| Error::table(&open.path, e))?;
        if taken {
            self.last_key.clone_from(&block.last_key);
            self.unsized_bytes += block.stored.len();
        }
        Ok(taken)
    }

    /// Ends the last table, makes the names durable, and hands over what was written.
    pub(crate) fn finish(mut self) -> Result<(Vec<AddedFile>, u64)> {
        self.cut(None)?;
        if !self.done.is_empty() {
            let dir = self.context.dir;
            at_full_weight(|| self.context.env.sync_dir(dir)).map_err(|e| Error::io(dir, "sync", e))?;
        }
        self.written.clear();
        Ok((std::mem::take(&mut self.done), self.bytes))
    }

    /// Cuts before a new user key if that is due.
    fn before(&mut self, user_key: &[u8]) -> Result<()> {
        let fragments = self.tombstones.as_slice();
        while let Some(f) = fragments.get(self.fragment).filter(|f| f.start.as_slice() < user_key) {
            self.tombstone_bytes += weight(f);
            self.fragment += 1;
        }
        let size = self.current_size();
        let due = self.splitter.cut_before(user_key, size + self.tombstone_bytes as u64);
        if (due && self.current.is_some()) || self.tombstone_bytes > MOST_TOMBSTONE_BYTES {
            self.cut(Some(user_key))?;
            self.tombstone_bytes = 0;
        }
        Ok(())
    }

    /// About how large the current table is. Its writer is asked once in a while: it has to add up many parts.
    fn current_size(&mut self) -> u64 {
        let Some(open) = &self.current else { return 0 };
        if self.size == 0 || self.unsized_bytes >= ASK_SIZE_EVERY {
            self.size = open.writer.estimated_size();
            self.unsized_bytes = 0;
        }
        self.size + self.unsized_bytes as u64
    }

    /// Ends the current share before `end`; `None` for the last one. What lies between the last entry and there, if it
    /// is many tombstones, is cut further.
    fn cut(&mut self, end: Option<&[u8]>) -> Result<()> {
        let mut borders: Vec<Vec<u8>> = Vec::new();
        let mut bytes = 0;
        let all = self.tombstones.as_slice();
        let last_key = self.current.as_ref().map(|_| &self.last_key);
        let from = self.start.as_ref().max(last_key);
        let from = from.map_or(0, |from| all.partition_point(|f| f.start <= *from));
        let to = end.map_or(all.len(), |end| all.partition_point(|f| f.start.as_slice() < end));
        for fragment in all.get(from..to).unwrap_or_default() {
            if bytes > MOST_TOMBSTONE_BYTES {
                borders.push(fragment.start.clone());
                bytes = 0;
            }
            bytes += weight(fragment);
        }
        for border in borders {
            self.close(Some(&border))?;
        }
        self.close(end)
    }

    /// Ends the current table at `end`, with the tombstones of its share.
    fn close(&mut self, end: Option<&[u8]>) -> Result<()> {
        let share = self.tombstones.clip(self.start.as_deref(), end);
        if let Some(end) = end {
            self.start = Some(end.to_vec());
        }
        if self.current.is_none() && share.is_empty() {
            return Ok(());
        }
        self.open()?;
        let Some(mut open) = self.current.take() else { return Ok(()) };
        (self.size, self.unsized_bytes) = (0, 0);
        let capabilities = self.format.capabilities();
        let mut kept_tombstones = Vec::new();
        for tombstone in share.iter() {
            if capabilities.range_tombstones {
                open.writer.add_range_tombstone(&tombstone).map_err(|e| Error::table(&open.path, e))?;
            } else {
                kept_tombstones.push(tombstone);
            }
        }
        let mut collected = vec![Stamp::encode(self.context.keyspace, self.context.record)];
        collected.extend(self.ingested_after.map(Stamp::encode_ingested));
        if let (Some(collector), Some(factory)) = (open.collector.take(), &self.context.options.collector) {
            collected.push((factory.name().to_owned(), collector.finish()));
        }
        let mut kept_collected = Vec::new();
        if !capabilities.properties {
            kept_collected = std::mem::take(&mut collected);
        }
        let summary = open.writer.finish(collected).map_err(|e| Error::table(&open.path, e))?;
        let written = open.file.finish().map_err(|e| Error::io(&open.path, "write", e))?;
        if written != summary.file_size {
            let what = format!("the format `{}` lost count of the table's bytes", self.format.name());
            return Err(Error::corruption(&open.path, written, what));
        }
        let mut bounds = summary.properties;
        kept_tombstones.iter().for_each(|t| bounds.count_range_tombstone(t));
        let (format, guard) = (self.format.id(), self.context.set.guard(open.number));
        let meta = FileMeta::written(open.number, format, written, bounds, self.context.now_millis, guard);
        let meta = FileMeta { kept_tombstones, kept_collected, ..meta };
        self.bytes += written;
        let run = *self.run.get_or_insert(open.number);
        self.done.push(AddedFile { level: self.level, run, meta: Arc::new(meta) });
        Ok(())
    }

    /// The current table, begun if there is none.
    fn open(&mut self) -> Result<&mut Open<'a>> {
        let context = self.context;
        if self.current.is_none() {
            let number = context.set.new_file_number();
            let path = FileName::TableTmp(number).path(context.dir);
            let file = at_full_weight(|| context.env.create(&path));
            let file = file.map_err(|e| Error::io(&path, "create", e))?;
            self.written.push(number);
            let file = Arc::new(Pieces { file, gathered: Mutex::default() });
            let out: Box<dyn Write + Send> = Box::new(Hand(file.clone()));
            // What a lookup will mostly fetch from the device shall be one page of it.
            self.options.fit_pages = context.tables.way().is_by_position();
            let writer = self.format.writer(out, &self.options).map_err(|e| Error::table(&path, e))?;
            let collector = context.options.collector.as_ref().map(|factory| factory.collector());
            self.current = Some(Open { number, path, file, writer, collector });
        }
        self.current.as_mut().ok_or(Error::Closed)
    }
}

impl Sink for Outputs<'_> {
    fn entry(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        if self.current.is_none() || self.last_key != user_key {
            self.before(user_key)?;
            self.last_key.clear();
            self.last_key.extend_from_slice(user_key);
        }
        self.unsized_bytes += user_key.len() + value.len();
        let open = self.open()?;
        open.writer.add(user_key, trailer, value).map_err(|e| Error::table(&open.path, e))?;
        if let Some(collector) = &mut open.collector {
            let value = (trailer.kind() != Some(Kind::Delete)).then_some(value);
            collector.add(user_key, trailer.seqno(), value);
        }
        Ok(())
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        self.current = None;
        for &number in &self.written {
            // What cannot be removed now is removed when the store is next opened.
            let path = FileName::TableTmp(number).path(self.context.dir);
            let _ = at_full_weight(|| self.context.env.remove_file(&path));
        }
    }
}

/// About how many bytes a fragment's tombstones take: formats write its keys once.
fn weight(fragment: &Fragment) -> usize {
    fragment.start.len() + fragment.end.len() + 16 * (1 + fragment.seqnos.len())
}

/// A file that is written in pieces.
struct Pieces {
    file: Box<dyn WritableFile>,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Bytes that the file has been given.
    handed: u64,
}

impl Pieces {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut gathered = std_lock(&self.gathered);
        if gathered.bytes.len() + bytes.len() > PIECE {
            self.hand_over(&mut gathered)?;
        }
        if bytes.len() >= PIECE {
            at_full_weight(|| self.file.append(bytes))?;
            gathered.handed += bytes.len() as u64;
            return Ok(());
        }
        gathered.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn hand_over(&self, gathered: &mut Gathered) -> io::Result<()> {
        if !gathered.bytes.is_empty() {
            at_full_weight(|| self.file.append(&gathered.bytes))?;
            gathered.handed += gathered.bytes.len() as u64;
            gathered.bytes.clear();
        }
        Ok(())
    }

    /// Hands over the rest and makes the content durable. Returns the length of the file.
    fn finish(&self) -> io::Result<u64> {
        let mut gathered = std_lock(&self.gathered);
        self.hand_over(&mut gathered)?;
        at_full_weight(|| self.file.sync())?;
        Ok(gathered.handed)
    }
}

/// What a table's writer writes to.
struct Hand(Arc<Pieces>);

impl Write for Hand {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
