//! [`Candidate`]: a table file found in a store under repair, looked at from end to end.

use super::HIGHEST_ID;
use super::entries::{Bounds, Entry, TableEntries};
use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::manifest::{FileMeta, Stamp};
use crate::tables::FormatRegistry;
use crate::{Error, Result};
use esker_table::footer::Footer;
use esker_table::key::MAX_SEQNO;
use esker_table::{
    BlockSource, LookupKey, Properties, RangeTombstone, ReadOptions, SeqNo, Slice, TableError, TableFormat,
    TableReader, Trailer,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many bytes at the end of a file a table format is recognised by.
const TAIL_LEN: u64 = 64;

/// A table file, looked at.
pub(super) struct Candidate {
    pub(super) number: u64,
    pub(super) name: FileName,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    /// What the MANIFEST knew of it.
    pub(super) known: Option<Arc<FileMeta>>,
    /// `None` if it cannot be opened at all.
    pub(super) reader: Option<Arc<dyn TableReader>>,
    pub(super) format: Option<Arc<dyn TableFormat>>,
    source: BlockSource,
    /// What is wrong; `None` if every byte is as it was written.
    pub(super) damage: Option<String>,
    /// What every entry counts as, if not as itself.
    pub(super) seqno_override: Option<SeqNo>,
}

impl Candidate {
    /// Opens a table and verifies all of it.
    ///
    /// # Errors
    /// `Unsupported` if it needs a newer version or a format that was not given; `Io`. Damage is no error here.
    pub(super) fn examine(
        env: &dyn Env,
        dir: &Path,
        name: FileName,
        number: u64,
        formats: &FormatRegistry,
        known: Option<Arc<FileMeta>>,
    ) -> Result<Candidate> {
        let path = name.path(dir);
        let source = env.open(&path).map_err(|e| Error::io(&path, "open", e))?;
        let len = source.len();
        let tail_len = len.min(TAIL_LEN);
        let tail = source.read(len - tail_len, tail_len as usize).map_err(|e| Error::io(&path, "read", e))?;
        let format = match &known {
            Some(meta) => formats.by_id(meta.format),
            None => formats.recognize(&tail),
        };
        if format.is_none() {
            let id = known.as_ref().map(|meta| meta.format).or(Footer::format_of(&tail));
            if let Some(id) = id {
                let what =
                    format!("it has table format {id}, which repair was not given; add it to the options");
                return Err(Error::Unsupported { path, what });
            }
        }
        let seqno_override = known.as_ref().and_then(|meta| meta.seqno_override);
        let mut candidate = Candidate {
            number,
            name,
            path,
            len,
            known,
            reader: None,
            format: format.cloned(),
            source: BlockSource::new(Arc::clone(&source)),
            damage: None,
            seqno_override,
        };
        candidate.verify()?;
        Ok(candidate)
    }

    fn verify(&mut self) -> Result<()> {
        let Some(format) = &self.format else {
            self.damage = Some("it does not end like a table: it was cut, or never finished".to_owned());
            return Ok(());
        };
        let outcome = format.open(self.source.clone()).and_then(|reader| {
            self.reader = Some(Arc::clone(&reader));
            reader.verify()
        });
        match outcome {
            Ok(()) => {}
            Err(error @ TableError::Unsupported { .. }) => return Err(Error::table(&self.path, error)),
            Err(error) => self.damage = Some(error.to_string()),
        }
        if let Some(meta) = self.known.as_ref().filter(|meta| meta.size != self.len) {
            self.damage.get_or_insert(format!("it has {} bytes instead of {}", self.len, meta.size));
        }
        Ok(())
    }

    pub(super) fn is_intact(&self) -> bool {
        self.damage.is_none()
    }

    /// Whether it is known whose entries these are, and something of them may be read.
    pub(super) fn is_usable(&self) -> bool {
        self.reader.is_some() || self.known.is_some()
    }

    /// What is intact of a damaged table, ascending: what the index leads to, and what is found without it.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn remains(&self, bounds: Option<&Bounds>, what: &mut Vec<String>) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        if let Some(reader) = &self.reader {
            let mut entries = TableEntries::new(reader, self.seqno_override, bounds.cloned());
            found.extend(std::iter::from_fn(|| entries.next()));
            what.append(&mut entries.problems);
        }
        if let Some(format) = &self.format {
            let seqnos = self.seqnos();
            let mut each = |key: &[u8], trailer: Trailer, value: &[u8]| {
                let trailer = self.seqno_override.map_or(trailer, |seqno| trailer.with_seqno(seqno));
                let belongs = (seqnos.0..=seqnos.1).contains(&trailer.seqno())
                    && bounds.is_none_or(|bounds| bounds.contain(key));
                if belongs {
                    found.push(Entry { key: key.to_vec(), trailer, value: Slice::copy_from(value) });
                }
            };
            format.salvage(self.source.clone(), &mut each).map_err(|e| Error::table(&self.path, e))?;
        }
        found.sort_by(Entry::order);
        found.dedup_by(|a, b| a.order(b).is_eq());
        Ok(found)
    }

    pub(super) fn properties(&self) -> Option<&Properties> {
        self.reader.as_ref().map(|reader| reader.properties())
    }

    /// What the table says of its keyspace.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        Stamp::of(self.properties()?).filter(|stamp| stamp.id <= HIGHEST_ID)
    }

    /// The sequence number that everything older than this table's entries goes up to, if it was ingested and its place is not
    /// known.
    pub(super) fn ingested_after(&self) -> Option<SeqNo> {
        let properties = self.properties().filter(|_| self.known.is_none())?;
        let bare = properties.max_seqno == 0 && !properties.is_empty();
        bare.then(|| Stamp::ingested_after(properties).unwrap_or(0))
    }

    /// Whether the keys of two tables overlap.
    pub(super) fn overlaps(&self, other: &Candidate) -> bool {
        let before = |a: &Properties, b: &Properties| {
            a.largest < b.smallest || (a.largest_exclusive && a.largest == b.smallest)
        };
        match (self.properties(), other.properties()) {
            (Some(a), Some(b)) => !before(a, b) && !before(b, a),
            _ => true,
        }
    }

    /// Whether an intact table holds this entry of a key, or something newer that hides it.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(super) fn holds(&self, key: &[u8], seqno: SeqNo) -> Result<bool> {
        let Some(reader) = &self.reader else { return Ok(false) };
        let inside = |meta: &Arc<FileMeta>| meta.smallest[..] <= *key && !meta.ends_before(key);
        if !self.known.as_ref().is_none_or(inside) {
            return Ok(false);
        }
        let failed = |e| Error::table(&self.path, e);
        let counts_as = |own: SeqNo| self.seqno_override.unwrap_or(own);
        let newest = LookupKey::new(key, MAX_SEQNO);
        let found = reader.get(&newest, &ReadOptions::default().with_fill_cache(false)).map_err(failed)?;
        if found.is_some_and(|found| counts_as(found.trailer.seqno()) >= seqno) {
            return Ok(true);
        }
        let deleted = reader.range_tombstones().map_err(failed)?.covering(key, MAX_SEQNO);
        Ok(deleted.is_some_and(|own| counts_as(own) >= seqno))
    }

    /// Whether an intact table holds this range delete, or its part at the beginning.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(super) fn holds_range(&self, tombstone: &RangeTombstone) -> Result<bool> {
        let Some(reader) = &self.reader else { return Ok(false) };
        let all = reader.range_tombstones().map_err(|e| Error::table(&self.path, e))?;
        // Flush leaves out what a newer tombstone hides from everybody.
        let newest = all.covering(&tombstone.start, MAX_SEQNO);
        Ok(newest.is_some_and(|own| self.seqno_override.unwrap_or(own) >= tombstone.seqno))
    }

    /// How many entries it should have.
    pub(super) fn entries(&self) -> Option<u64> {
        self.known.as_ref().map(|meta| meta.entries).or(self.properties().map(|p| p.entries))
    }

    /// The smallest and the largest sequence number in it.
    pub(super) fn seqnos(&self) -> (SeqNo, SeqNo) {
        match (self.seqno_override, &self.known, self.properties()) {
            (Some(seqno), _, _) => (seqno, seqno),
            (None, Some(meta), _) => (meta.min_seqno, meta.max_seqno),
            (None, None, Some(properties)) => (properties.min_seqno, properties.max_seqno),
            (None, None, None) => (0, 0),
        }
    }
}

/// The record of an intact table that no MANIFEST knows any more.
pub(super) fn describe(
    candidate: &Candidate,
    now: u64,
    guard: Arc<crate::manifest::FileGuard>,
) -> Option<FileMeta> {
    let properties = candidate.properties()?;
    let (min_seqno, max_seqno) = candidate.seqnos();
    let format = candidate.format.as_ref()?.id();
    let meta = FileMeta::written(candidate.number, format, candidate.len, properties.clone(), now, guard);
    Some(FileMeta {
        min_seqno,
        max_seqno,
        seqno_override: candidate.seqno_override,
        // Only what says that the engine wrote it may be mapped.
        own: candidate.stamp().is_some(),
        ..meta
    })
}
