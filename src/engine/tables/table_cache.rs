//! [`TableCache`]: every table that some version names, opened at its first use and shared by all versions.
//!
//! The cache holds its slots weakly: a table is closed when the last version, read or cursor that names it goes.

use super::block_cache::CachedBlocks;
use super::registry::FormatRegistry;
use super::table::Table;
use super::way::{Mapped, Way};
use crate::error::{Error, Result};
use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::manifest::FileMeta;
use crate::metrics::Metrics;
use crate::options::TableIo;
use crate::sync::std_lock;
use esker_table::{BlockSource, TableFormat};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// The tables of one store.
#[derive(Clone, Debug)]
pub(crate) struct TableCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    env: Arc<dyn Env>,
    dir: PathBuf,
    io: TableIo,
    formats: Arc<FormatRegistry>,
    blocks: Arc<CachedBlocks>,
    metrics: Arc<Metrics>,
    way: Arc<Way>,
    slots: Mutex<HashMap<u64, Weak<TableSlot>>>,
}

impl TableCache {
    /// The tables in `dir`.
    pub(crate) fn new(
        env: Arc<dyn Env>,
        dir: &Path,
        io: TableIo,
        formats: Arc<FormatRegistry>,
        blocks: Arc<CachedBlocks>,
        metrics: Arc<Metrics>,
    ) -> TableCache {
        let (way, slots) = Default::default();
        let shared = Shared { env, dir: dir.to_owned(), io, formats, blocks, metrics, way, slots };
        TableCache { shared: Arc::new(shared) }
    }

    /// The slot of this table. Opens nothing.
    pub(crate) fn slot(&self, meta: &Arc<FileMeta>) -> Arc<TableSlot> {
        // A slot that goes takes the lock; so one that turns out not to serve must outlive the guard.
        let _stale;
        let mut slots = std_lock(&self.shared.slots);
        match slots.get(&meta.number).and_then(Weak::upgrade) {
            Some(slot) if slot.serves(meta) => return slot,
            other => _stale = other,
        }
        let slot = Arc::new(TableSlot {
            meta: meta.clone(),
            opened: OnceLock::new(),
            opening: Mutex::default(),
            shared: self.shared.clone(),
        });
        slots.insert(meta.number, Arc::downgrade(&slot));
        slot
    }

    /// Refuses a table that is in a format which the store was not given. Opens nothing.
    ///
    /// # Errors
    /// `Unsupported`.
    pub(crate) fn check_format(&self, meta: &FileMeta) -> Result<()> {
        let path = FileName::Table(meta.number).path(&self.shared.dir);
        self.shared.format(&path, meta).map(drop)
    }

    /// The formats that tables may be in.
    #[cfg(test)]
    pub(crate) fn formats(&self) -> &Arc<FormatRegistry> {
        &self.shared.formats
    }

    /// How mapped tables are read.
    pub(crate) fn way(&self) -> &Way {
        &self.shared.way
    }

    /// The counters that reads go to.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Open tables, and the heap memory that they hold in bytes.
    pub(crate) fn open_tables(&self) -> (usize, usize) {
        let slots: Vec<_> = std_lock(&self.shared.slots).values().filter_map(Weak::upgrade).collect();
        let open = slots.iter().filter_map(|s| s.opened.get());
        open.fold((0, 0), |(count, bytes), table| (count + 1, bytes + table.heap_bytes()))
    }
}

impl Shared {
    fn format(&self, path: &Path, meta: &FileMeta) -> Result<&Arc<dyn TableFormat>> {
        self.formats.by_id(meta.format).ok_or_else(|| {
            let what = format!(
                "the table is in format {}, which is not registered; open the store with that format",
                meta.format
            );
            Error::Unsupported { path: path.to_owned(), what }
        })
    }

    fn open(&self, path: PathBuf, meta: &Arc<FileMeta>) -> Result<Table> {
        let format = self.format(&path, meta)?;
        let bytes = self.bytes(&path, meta)?;
        let source = BlockSource::with_cache(bytes, self.blocks.clone(), meta.number);
        let reader = format.open(source).map_err(|e| Error::table(&path, e))?;
        self.metrics.read.tables_opened.add(1);
        Ok(Table::new(meta.clone(), path, reader))
    }

    /// The file's bytes: mapped if the engine wrote it itself and maps are wanted. A file whose length is not what the
    /// MANIFEST says is damaged, and is not mapped.
    fn bytes(&self, path: &Path, meta: &FileMeta) -> Result<Arc<dyn esker_table::ByteSource>> {
        let fail = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => {
                Error::MissingFile { path: path.to_owned(), what: "the MANIFEST names this table".to_owned() }
            }
            io::ErrorKind::UnexpectedEof => Error::corruption(
                path,
                meta.size,
                format!("the file is shorter than the {} bytes that the MANIFEST says", meta.size),
            ),
            _ => Error::io(path, "open", e),
        };
        let len = self.env.file_len(path).map_err(fail)?;
        if len != meta.size {
            let what = format!("the file has {len} bytes, but the MANIFEST says {}", meta.size);
            return Err(Error::corruption(path, len.min(meta.size), what));
        }
        if meta.own && self.io == TableIo::Mmap {
            let map = self.env.map(path, meta.size).map_err(fail)?;
            let (way, env, path) = (self.way.clone(), self.env.clone(), path.to_owned());
            Ok(Arc::new(Mapped { map, way, env, path, file: OnceLock::new() }))
        } else {
            self.way.open(&*self.env, path).map_err(fail)
        }
    }
}

/// A table that may be open.
pub(crate) struct TableSlot {
    meta: Arc<FileMeta>,
    opened: OnceLock<Arc<Table>>,
    /// Held while opening, so that two readers do not open the table twice. A failure is not kept: the next reader
    /// tries again.
    opening: Mutex<()>,
    shared: Arc<Shared>,
}

impl TableSlot {
    /// What the MANIFEST says of the table.
    #[inline]
    pub(crate) fn meta(&self) -> &Arc<FileMeta> {
        &self.meta
    }

    /// The open table.
    ///
    /// # Errors
    /// `MissingFile`, `Corruption`, `Unsupported` or `Io`.
    #[inline]
    pub(crate) fn table(&self) -> Result<&Arc<Table>> {
        match self.opened.get() {
            Some(table) => Ok(table),
            None => self.open(),
        }
    }

    #[cold]
    fn open(&self) -> Result<&Arc<Table>> {
        let _one_at_a_time = std_lock(&self.opening);
        if let Some(table) = self.opened.get() {
            return Ok(table);
        }
        let path = FileName::Table(self.meta.number).path(&self.shared.dir);
        let table = match self.shared.open(path, &self.meta) {
            // A store that is open for reading only leaves a table under its temporary name if a crash did.
            Err(missing @ Error::MissingFile { .. }) => {
                let path = FileName::TableTmp(self.meta.number).path(&self.shared.dir);
                self.shared.open(path, &self.meta).map_err(|error| match error {
                    Error::MissingFile { .. } => missing,
                    other => other,
                })
            }
            opened => opened,
        };
        let table = Arc::new(table?);
        Ok(self.opened.get_or_init(|| table))
    }

    /// Whether this slot can stand for another record of its file: nothing that readers see may differ.
    fn serves(&self, meta: &Arc<FileMeta>) -> bool {
        let mine = &self.meta;
        Arc::ptr_eq(mine, meta)
            || (mine.smallest == meta.smallest
                && mine.largest == meta.largest
                && mine.largest_exclusive == meta.largest_exclusive
                && mine.clipped == meta.clipped
                && mine.seqno_override == meta.seqno_override
                && mine.size == meta.size
                && mine.range_tombstones == meta.range_tombstones
                && mine.kept_tombstones == meta.kept_tombstones)
    }
}

impl Drop for TableSlot {
    fn drop(&mut self) {
        let mut slots = std_lock(&self.shared.slots);
        // Another slot of this number may have taken the place already.
        if slots.get(&self.meta.number).is_some_and(|weak| weak.strong_count() == 0) {
            slots.remove(&self.meta.number);
        }
    }
}

impl std::fmt::Debug for TableSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableSlot")
            .field("number", &self.meta.number)
            .field("open", &self.opened.get().is_some())
            .finish_non_exhaustive()
    }
}
