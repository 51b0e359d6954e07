//! [`Data`]: the entries' bytes, verified by the page.
//!
//! ```text
//!   data        entry │ entry │ entry       │ ...      entries lie where they lie; pages are a grid of 4096 bytes over them
//!               ├─ page 0 ─────────┼─ page 1 ─...      the last page is as long as is left
//!
//!   checksums   16 × crc32c u32 a line, one for each page
//! ```
//!
//! The data is the beginning of the file, so its pages are the pages of a map: what is verified at once is what a device brings in
//! at once.

use crate::entry::{Entry, MAX_HEADER};
use esker_table::codec::checksum::crc32c;
use esker_table::layout::lines::{LINE, Lines};
use esker_table::layout::verified::Verified;
use esker_table::{BlockSource, ReadOptions, Result, Slice, TableError, Verify};
use std::ops::Range;

/// What is verified at once.
pub(crate) const PAGE: usize = 4096;

/// Checksums in a line.
pub(crate) const LINE_SUMS: usize = LINE / 4;

/// More pages than these are read past the cache: they are of one long value.
const CACHED_PAGES: u64 = 16;

/// The data of an open table. Its pages are the first that the table verifies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data {
    len: u64,
    sums: Lines,
}

/// The number of pages of so much data.
pub(crate) fn pages_of(len: u64) -> u64 {
    len.div_ceil(PAGE as u64)
}

/// The checksums of pages as lines.
pub(crate) fn sum_lines(sums: &[u32]) -> Vec<u8> {
    let mut out: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
    out.resize(out.len().next_multiple_of(LINE), 0);
    out
}

impl Data {
    /// Data of `len` bytes, at least one, whose checksums lie in `sums`.
    pub(crate) fn new(len: u64, sums: Lines) -> Data {
        Data { len, sums }
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn sums(&self) -> Lines {
        self.sums
    }

    fn page_range(&self, page: u64) -> Range<u64> {
        let start = page * PAGE as u64;
        start..self.len.min(start + PAGE as u64)
    }

    /// For a mapped source: sees to it that what lies in `range` is verified.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    #[inline]
    pub(crate) fn ensure(&self, range: Range<u64>, reads: &Reads<'_>) -> Result<()> {
        let pages = range.start / PAGE as u64..pages_of(range.end.min(self.len));
        if !reads.always && pages.clone().all(|page| reads.verified.get(page as u32)) {
            return Ok(());
        }
        self.verify_mapped(pages, reads)
    }

    #[cold]
    fn verify_mapped(&self, pages: Range<u64>, reads: &Reads<'_>) -> Result<()> {
        let start = pages.start * PAGE as u64;
        reads.source.populate(start, (self.len.min(pages.end * PAGE as u64) - start) as usize)?;
        for page in pages {
            if reads.always || !reads.verified.get(page as u32) {
                let range = self.page_range(page);
                let bytes = reads.source.read(range.start, (range.end - range.start) as usize)?;
                self.check(page, &bytes, reads)?;
                reads.verified.set(page as u32);
            }
        }
        Ok(())
    }

    fn check(&self, page: u64, bytes: &[u8], reads: &Reads<'_>) -> Result<()> {
        let (line, place) = ((page / LINE_SUMS as u64) as u32, page as usize % LINE_SUMS);
        let expected = self.sums.with(line, reads.source, reads.verified, |line| {
            let (sums, _) = line.as_chunks::<4>();
            u32::from_le_bytes(sums[place])
        })?;
        let found = crc32c(bytes);
        if found == expected {
            return Ok(());
        }
        let what =
            format!("a page of {} bytes has checksum {found:#010x} instead of {expected:#010x}", bytes.len());
        Err(TableError::corruption(page * PAGE as u64, what))
    }

    /// What lies in `range`, verified: a part of the map, or out of the cache, or read. More may come, before and after; where what
    /// comes begins is said too.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(crate) fn load(&self, range: Range<u64>, reads: &Reads<'_>) -> Result<(u64, Slice)> {
        let range = range.start..range.end.min(self.len).max(range.start);
        let pages = range.start / PAGE as u64..pages_of(range.end);
        let start = pages.start * PAGE as u64;
        let whole = start..self.len.min(pages.end * PAGE as u64);
        if reads.source.is_mapped() {
            self.ensure(range, reads)?;
            return Ok((start, reads.source.read(whole.start, (whole.end - whole.start) as usize)?));
        }
        let is_several = pages.end - pages.start > 1;
        if pages.end - pages.start > CACHED_PAGES || reads.always || is_several && !reads.fill_cache {
            let bytes = reads.source.read(whole.start, (whole.end - whole.start) as usize)?;
            for page in pages {
                let at = self.page_range(page);
                self.check(page, &bytes[(at.start - start) as usize..(at.end - start) as usize], reads)?;
            }
            return Ok((start, bytes));
        }
        if pages.end - pages.start == 1 {
            return Ok((start, self.cached_page(pages.start, reads)?));
        }
        let mut bytes = Vec::with_capacity((whole.end - whole.start) as usize);
        for page in pages {
            bytes.extend_from_slice(&self.cached_page(page, reads)?);
        }
        Ok((start, Slice::from(bytes)))
    }

    /// Without a map: a page out of the cache, or read and verified.
    fn cached_page(&self, page: u64, reads: &Reads<'_>) -> Result<Slice> {
        let range = self.page_range(page);
        if let Some(bytes) = reads.source.cached(range.start) {
            return Ok(bytes);
        }
        let bytes = reads.source.read(range.start, (range.end - range.start) as usize)?;
        self.check(page, &bytes, reads)?;
        if reads.fill_cache {
            reads.source.keep(range.start, &bytes);
        }
        Ok(bytes)
    }

    /// The entry at `at`, verified whole, and bytes that it lies in. Places in the entry count from the beginning of those; where
    /// that is in the file is said too.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(crate) fn entry(&self, at: u64, reads: &Reads<'_>) -> Result<(Entry, u64, Slice)> {
        let (mut start, mut bytes) = self.load(at..at.saturating_add(MAX_HEADER as u64), reads)?;
        let mut entry = self.decode(&bytes, at, start)?;
        let end = start + entry.value_end() as u64;
        if end > start + bytes.len() as u64 {
            (start, bytes) = self.load(at..end, reads)?;
            entry = self.decode(&bytes, at, start)?;
        }
        Ok((entry, start, bytes))
    }

    /// Decodes the entry at `at`, in bytes that begin at `start`.
    ///
    /// # Errors
    /// `Corruption` if there is none, or it does not end within the data.
    #[inline]
    pub(crate) fn decode(&self, bytes: &[u8], at: u64, start: u64) -> Result<Entry> {
        let place = (at - start) as usize;
        match Entry::decode(bytes, place) {
            Some(entry) if start + entry.end as u64 <= self.len => Ok(entry),
            _ => Err(no_entry(at)),
        }
    }
}

/// Something points to a place where no entry lies.
#[cold]
pub(crate) fn no_entry(at: u64) -> TableError {
    TableError::corruption(at, "no entry lies here that ends within the data")
}

/// How the data is read.
#[derive(Clone, Copy)]
pub(crate) struct Reads<'a> {
    pub(crate) source: &'a BlockSource,
    pub(crate) verified: &'a Verified,
    always: bool,
    fill_cache: bool,
}

impl<'a> Reads<'a> {
    #[inline]
    pub(crate) fn new(source: &'a BlockSource, verified: &'a Verified, options: &ReadOptions) -> Reads<'a> {
        Reads { source, verified, always: options.verify == Verify::Always, fill_cache: options.fill_cache }
    }

    /// The same, with the cache left alone unless `keep`.
    pub(crate) fn keeping(self, keep: bool) -> Reads<'a> {
        Reads { fill_cache: self.fill_cache && keep, ..self }
    }

    /// Whether everything is verified at every read.
    #[inline]
    pub(crate) fn always(&self) -> bool {
        self.always
    }
}
