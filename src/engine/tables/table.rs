//! [`Table`]: an open table as the MANIFEST sees it, and [`TableRuns`]: its entries, run by run.
//!
//! Between a format and the rest of the engine three things are added, and only for the tables that need them: the
//! sequence number that the MANIFEST gives to every entry of an ingested file, bounds that are narrower than the file,
//! and range tombstones that the format could not hold. Every error carries the file's path.

use crate::error::{Error, Result};
use crate::manifest::FileMeta;
use esker_table::key::MAX_SEQNO;
use esker_table::{
    Found, Fragments, LookupKey, Properties, RangeTombstone, RawBlock, ReadOptions, Run, TableCursor,
    TableError, TableReader, Trailer,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An open table.
pub(crate) struct Table {
    meta: Arc<FileMeta>,
    path: PathBuf,
    reader: Arc<dyn TableReader>,
    fragments: OnceLock<Arc<Fragments>>,
    /// The first key after the bounds, if the file may reach beyond them.
    clip_end: Option<Vec<u8>>,
}

impl Table {
    /// Joins a format's reader with what the MANIFEST says of the file.
    pub(crate) fn new(meta: Arc<FileMeta>, path: PathBuf, reader: Arc<dyn TableReader>) -> Table {
        let clip_end = meta.clipped.then(|| {
            let mut end = meta.largest.clone();
            if !meta.largest_exclusive {
                end.push(0);
            }
            end
        });
        Table { meta, path, reader, fragments: OnceLock::new(), clip_end }
    }

    /// What the MANIFEST says.
    pub(crate) fn meta(&self) -> &Arc<FileMeta> {
        &self.meta
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says of itself. Sequence numbers and bounds are those before the MANIFEST's word.
    pub(crate) fn properties(&self) -> &Properties {
        self.reader.properties()
    }

    /// What a collector left about this table, in the file or beside it.
    pub(crate) fn collected(&self, name: &str) -> Option<&[u8]> {
        let beside =
            self.meta.kept_collected.iter().find(|(n, _)| n == name).map(|(_, bytes)| bytes.as_slice());
        beside.or_else(|| self.properties().collected(name))
    }

    /// Whether entries may be handed on as they lie in the file.
    pub(crate) fn is_plain(&self) -> bool {
        self.meta.seqno_override.is_none() && self.clip_end.is_none()
    }

    fn fail(&self, error: TableError) -> Error {
        Error::table(&self.path, error)
    }

    /// The newest entry of the key that the lookup's snapshot sees, a delete among them; range tombstones are not
    /// applied. The filter is not asked, see [`may_contain`](Table::may_contain).
    ///
    /// # Errors
    /// `Corruption` or `Io`, here and below.
    pub(crate) fn get(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        if self.clip_end.is_some() && !self.meta.contains(key.user_key) {
            return Ok(None);
        }
        let Some(seqno) = self.meta.seqno_override else {
            return self.reader.get_unfiltered(key, options).map_err(|e| self.fail(e));
        };
        if seqno > key.snapshot {
            return Ok(None);
        }
        let any = LookupKey { snapshot: MAX_SEQNO, ..*key };
        let found = self.reader.get_unfiltered(&any, options).map_err(|e| self.fail(e))?;
        Ok(found.map(|f| Found { trailer: f.trailer.with_seqno(seqno), value: f.value }))
    }

    /// Whether the filter lets this hash through.
    pub(crate) fn may_contain(&self, hash: u64) -> Result<bool> {
        self.reader.may_contain(hash).map_err(|e| self.fail(e))
    }

    /// The range tombstones that count, within the bounds; `None` if there are none.
    pub(crate) fn fragments(&self) -> Result<Option<&Arc<Fragments>>> {
        if self.meta.range_tombstones == 0 {
            return Ok(None);
        }
        if let Some(known) = self.fragments.get() {
            return Ok(Some(known));
        }
        let mut fragments = self.reader.range_tombstones().map_err(|e| self.fail(e))?;
        let meta = &self.meta;
        if meta.seqno_override.is_some() || !meta.kept_tombstones.is_empty() {
            let all = fragments.iter().chain(meta.kept_tombstones.iter().cloned());
            let counted = all.map(|t| RangeTombstone { seqno: meta.seqno_override.unwrap_or(t.seqno), ..t });
            fragments = Arc::new(Fragments::new(counted));
        }
        if let Some(end) = &self.clip_end {
            fragments = Arc::new(fragments.clip(Some(&meta.smallest), Some(end)));
        }
        Ok(Some(self.fragments.get_or_init(|| fragments)))
    }

    /// All the entries, run by run. Not positioned.
    pub(crate) fn runs(self: &Arc<Self>, options: &ReadOptions) -> TableRuns {
        TableRuns {
            inner: self.reader.clone().cursor(options),
            plain: self.is_plain(),
            table: self.clone(),
            scratch: Vec::new(),
        }
    }

    /// About how many bytes of the file lie before `user_key`.
    pub(crate) fn estimated_offset(&self, user_key: &[u8]) -> u64 {
        self.reader.estimated_offset(user_key)
    }

    /// See [`TableReader::raw_block_at`]. `None` also for a table whose entries are not as they lie in the file.
    pub(crate) fn raw_block_at(&self, user_key: &[u8], trailer: Trailer) -> Result<Option<RawBlock>> {
        if !self.is_plain() {
            return Ok(None);
        }
        self.reader.raw_block_at(user_key, trailer).map_err(|e| self.fail(e))
    }

    /// See [`TableReader::verify`].
    pub(crate) fn verify(&self) -> Result<()> {
        self.reader.verify().map_err(|e| self.fail(e))
    }

    /// Heap memory that the open table holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.reader.heap_bytes()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A table's entries, run by run, as the MANIFEST wants them seen. The methods are those of [`TableCursor`].
///
/// In a table with bounds or with a sequence number of its own, positions are first brought into the bounds, and what
/// a run holds beyond them is cut off it. The format's cursor keeps its place around the uncut run, so that going
/// back from a cut end finds the last entry inside.
pub(crate) struct TableRuns {
    inner: Box<dyn TableCursor>,
    plain: bool,
    table: Arc<Table>,
    scratch: Vec<u8>,
}

impl TableRuns {
    /// The table.
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The first entries at or after `(user_key, trailer)`.
    pub(crate) fn seek(
        &mut self,
        user_key: &[u8],
        trailer: Trailer,
        run: &mut Run,
        want: usize,
    ) -> Result<()> {
        if self.plain {
            return self.inner.seek(user_key, trailer, run, want).map_err(|e| self.table.fail(e));
        }
        let (key, trailer) = self.place(user_key, trailer);
        let table = self.table.clone();
        self.inner
            .seek(key.of(user_key, &table, &self.scratch), trailer, run, want)
            .map_err(|e| table.fail(e))?;
        self.adjust(run);
        Ok(())
    }

    /// The last entries strictly before `(user_key, trailer)`.
    pub(crate) fn seek_before(
        &mut self,
        user_key: &[u8],
        trailer: Trailer,
        run: &mut Run,
        want: usize,
    ) -> Result<()> {
        if self.plain {
            return self.inner.seek_before(user_key, trailer, run, want).map_err(|e| self.table.fail(e));
        }
        let (key, trailer) = self.place(user_key, trailer);
        let table = self.table.clone();
        let at = key.of(user_key, &table, &self.scratch);
        self.inner.seek_before(at, trailer, run, want).map_err(|e| table.fail(e))?;
        self.adjust(run);
        Ok(())
    }

    /// The first entries.
    pub(crate) fn first(&mut self, run: &mut Run, want: usize) -> Result<()> {
        if self.table.clip_end.is_some() {
            return self.seek(&[], Trailer::FIRST, run, want);
        }
        self.inner.first(run, want).map_err(|e| self.table.fail(e))?;
        self.adjust(run);
        Ok(())
    }

    /// The last entries.
    pub(crate) fn last(&mut self, run: &mut Run, want: usize) -> Result<()> {
        if let Some(end) = &self.table.clip_end {
            self.inner.seek_before(end, Trailer::FIRST, run, want).map_err(|e| self.table.fail(e))?;
        } else {
            self.inner.last(run, want).map_err(|e| self.table.fail(e))?;
        }
        self.adjust(run);
        Ok(())
    }

    /// The entries after the last run.
    pub(crate) fn next(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.inner.next(run, want).map_err(|e| self.table.fail(e))?;
        self.adjust(run);
        Ok(())
    }

    /// The entries before the last run.
    pub(crate) fn prev(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.inner.prev(run, want).map_err(|e| self.table.fail(e))?;
        self.adjust(run);
        Ok(())
    }

    /// Where the format's cursor has to go for this position.
    fn place(&mut self, user_key: &[u8], trailer: Trailer) -> (Place, Trailer) {
        let meta = &self.table.meta;
        if let Some(end) = &self.table.clip_end {
            if user_key < meta.smallest.as_slice() {
                return (Place::Smallest, Trailer::FIRST);
            }
            if user_key >= end.as_slice() {
                return (Place::End, Trailer::FIRST);
            }
        }
        match meta.seqno_override {
            None => (Place::Same, trailer),
            // Such a table holds one entry for each user key, so a position lies before it or after it.
            Some(seqno) if trailer.seqno() >= seqno => (Place::Same, Trailer::FIRST),
            Some(_) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(user_key);
                self.scratch.push(0);
                (Place::Scratch, Trailer::FIRST)
            }
        }
    }

    fn adjust(&self, run: &mut Run) {
        if self.plain || run.is_empty() {
            return;
        }
        if let Some(end) = &self.table.clip_end {
            let from = run.lower_bound(&self.table.meta.smallest, Trailer::FIRST);
            let to = run.lower_bound(end, Trailer::FIRST);
            if from > 0 || to < run.len() {
                run.keep(from, to.max(from));
            }
        }
        if let Some(seqno) = self.table.meta.seqno_override {
            run.override_seqno(seqno);
        }
    }
}

/// See [`TableRuns::place`].
#[derive(Clone, Copy)]
enum Place {
    Same,
    Smallest,
    End,
    Scratch,
}

impl Place {
    fn of<'a>(self, user_key: &'a [u8], table: &'a Table, scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Place::Same => user_key,
            Place::Smallest => &table.meta.smallest,
            Place::End => table.clip_end.as_deref().unwrap_or(user_key),
            Place::Scratch => scratch,
        }
    }
}
