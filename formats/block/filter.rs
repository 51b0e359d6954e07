//! The filter: the lines of a Bloom filter in pages that are verified and read one at a time.
//!
//! ```text
//!   page    0 ┌──────────────┐        page p begins 4096 × p bytes behind the filter's start,
//!             │ line   64 B  │        which is a multiple of 64
//!             │ ...          │        line l is line l mod 63 of page l div 63
//!             │ line         │        the last page has as many lines as are left, at least one
//!             │ crc32c  u32  │        of the page's lines
//!             │ zero   60 B  │
//!             └──────────────┘
//! ```
//!
//! A lookup thus touches one cache line, one page of memory, and without a map reads 4 KiB; the filter need not be held
//! in memory whole, and its first use does not read all of it.

use crate::sections::Section;
use crate::verified::Verified;
use esker_table::codec::checksum::crc32c;
use esker_table::filter::bloom::{LINE, line_may_contain, line_of};
use esker_table::{BlockSource, Result, Slice, TableError};

/// Lines in a full page.
pub(crate) const PAGE_LINES: usize = 63;
/// The distance from page to page.
pub(crate) const PAGE: usize = (PAGE_LINES + 1) * LINE;

/// Lays the lines of a filter that [`esker_table::filter::BloomBuilder::build`] returned into pages. Returns the pages and
/// the section's extra number (lines and probes).
pub(crate) fn paginate(built: &[u8]) -> (Vec<u8>, u64) {
    let Some((&probes, lines)) = built.split_last() else { return (Vec::new(), 0) };
    let mut out = Vec::with_capacity(lines.len() + lines.len() / PAGE_LINES + LINE);
    for page in lines.chunks(PAGE_LINES * LINE) {
        out.extend_from_slice(page);
        out.extend_from_slice(&crc32c(page).to_le_bytes());
        out.resize(out.len() + LINE - 4, 0);
    }
    ((out), (lines.len() / LINE) as u64 | u64::from(probes) << 32)
}

/// An open filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    offset: u64,
    lines: u32,
    probes: u32,
    /// The ordinal of the first page among the table's blocks.
    ordinal: u32,
}

impl Filter {
    /// The filter that a section describes, its pages numbered from `ordinal`.
    ///
    /// # Errors
    /// `Corruption` if the section contradicts itself.
    pub(crate) fn open(section: &Section, ordinal: u32) -> Result<Filter> {
        let (lines, probes) = (section.extra as u32, section.extra >> 32);
        let filter = Filter { offset: section.offset, lines, probes: probes as u32, ordinal };
        if lines == 0 || probes > 255 || filter.len() != section.len {
            return Err(TableError::corruption(section.offset, "the filter's length is wrong"));
        }
        Ok(filter)
    }

    /// The number of pages.
    pub(crate) fn pages(&self) -> u32 {
        self.lines.div_ceil(PAGE_LINES as u32)
    }

    /// The length of the whole filter.
    pub(crate) fn len(&self) -> u64 {
        (u64::from(self.lines) + u64::from(self.pages())) * LINE as u64
    }

    fn lines_in(&self, page: u32) -> usize {
        PAGE_LINES.min((self.lines - page * PAGE_LINES as u32) as usize)
    }

    /// Whether a key with this hash may be in the table.
    ///
    /// # Errors
    /// `Corruption` or `Io` if the page cannot be read.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64, source: &BlockSource, verified: &Verified) -> Result<bool> {
        let line = line_of(hash, self.lines);
        let page = line / PAGE_LINES as u32;
        let bytes = self.page(page, source, verified)?;
        let (lines, _) = bytes.as_chunks::<LINE>();
        Ok(match lines.get(line as usize % PAGE_LINES) {
            Some(line) => line_may_contain(line, self.probes, hash),
            None => true,
        })
    }

    fn page(&self, page: u32, source: &BlockSource, verified: &Verified) -> Result<Slice> {
        let at = self.offset + u64::from(page) * PAGE as u64;
        let ordinal = self.ordinal + page;
        let lines_len = self.lines_in(page) * LINE;
        if source.is_mapped() {
            if !verified.get(ordinal) {
                source.populate(at, lines_len + LINE)?;
                check_page(&source.read(at, lines_len + LINE)?, at)?;
                verified.set(ordinal);
            }
            return source.read(at, lines_len);
        }
        if let Some(page) = source.cached(at) {
            return Ok(page);
        }
        let bytes = source.read(at, lines_len + LINE)?;
        check_page(&bytes, at)?;
        source.keep(at, &bytes);
        Ok(bytes)
    }

    /// Reads and checks every page, past the cache; gives each to `f` with the number of its first line.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(crate) fn load(&self, source: &BlockSource) -> Result<LoadedFilter> {
        let mut lines = Vec::new();
        for page in 0..self.pages() {
            let at = self.offset + u64::from(page) * PAGE as u64;
            let len = (self.lines_in(page) + 1) * LINE;
            source.populate(at, len)?;
            let bytes = source.read(at, len)?;
            check_page(&bytes, at)?;
            lines.extend_from_slice(&bytes.as_chunks::<LINE>().0[..self.lines_in(page)]);
        }
        Ok(LoadedFilter { lines, probes: self.probes })
    }
}

/// A whole filter in memory, for verification.
pub(crate) struct LoadedFilter {
    lines: Vec<[u8; LINE]>,
    probes: u32,
}

impl LoadedFilter {
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let line = self.lines.get(line_of(hash, self.lines.len() as u32) as usize);
        line.is_none_or(|line| line_may_contain(line, self.probes, hash))
    }
}

/// Checks a page: its lines' checksum, and that the rest of its last line is zero.
fn check_page(page: &[u8], at: u64) -> Result<()> {
    let Some((lines, last)) = page.split_last_chunk::<LINE>() else {
        return Err(TableError::corruption(at, "a page of the filter is cut off"));
    };
    let crc = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
    if crc != crc32c(lines) || last[4..].iter().any(|&byte| byte != 0) {
        return Err(TableError::corruption(at, "a page of the filter has a wrong checksum"));
    }
    Ok(())
}
