//! [`Lines`]: cache lines in pages that are verified and read one at a time.
//!
//! ```text
//!   page    0 ┌──────────────┐        page p begins 4096 × p bytes behind the start of the lines,
//!             │ line   64 B  │        which is a multiple of 64
//!             │ ...          │        line l is line l mod 63 of page l div 63
//!             │ line         │        the last page has as many lines as are left, at least one
//!             │ crc32c  u32  │        of the page's lines
//!             │ zero   60 B  │
//!             └──────────────┘
//! ```
//!
//! A lookup thus touches one cache line, one page of memory, and without a map reads 4 KiB; the lines need not be held
//! in memory whole, and their first use does not read all of them.

use super::verified::Verified;
use crate::codec::checksum::crc32c;
use crate::{BlockSource, Result, Slice, TableError};

/// The length of a line in bytes.
pub const LINE: usize = 64;
/// Lines in a full page.
pub const PAGE_LINES: usize = 63;
/// The distance from page to page in bytes.
pub const PAGE: usize = (PAGE_LINES + 1) * LINE;

/// Lines of at least this length together begin on a page of memory, so that each of their pages is one.
const ALIGN_TO_PAGE_FROM: usize = 16 * PAGE;

/// Lays lines into pages.
pub fn paginate(lines: &[u8]) -> Vec<u8> {
    debug_assert_eq!(lines.len() % LINE, 0);
    let mut out = Vec::with_capacity(lines.len() + lines.len() / PAGE_LINES + LINE);
    for page in lines.chunks(PAGE_LINES * LINE) {
        out.extend_from_slice(page);
        out.extend_from_slice(&crc32c(page).to_le_bytes());
        out.resize(out.len() + LINE - 4, 0);
    }
    out
}

/// What the beginning of so many bytes of pages is to be a multiple of.
pub fn alignment(pages: usize) -> u64 {
    if pages >= ALIGN_TO_PAGE_FROM { PAGE as u64 } else { LINE as u64 }
}

/// The length of so many lines with their checksums.
pub fn paged_len(lines: u64) -> u64 {
    lines.saturating_add(lines.div_ceil(PAGE_LINES as u64)).saturating_mul(LINE as u64)
}

/// Lines of an open table.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    offset: u64,
    count: u32,
    /// The number of the first page among what the table verifies.
    ordinal: u32,
}

impl Lines {
    /// `count` lines that fill `len` bytes from `offset` on. Their pages are numbered from `ordinal`.
    ///
    /// # Errors
    /// `Corruption` if there is no line, or they are as long as something else.
    pub fn open(offset: u64, len: u64, count: u32, ordinal: u32) -> Result<Lines> {
        if count == 0 || paged_len(u64::from(count)) != len {
            return Err(TableError::corruption(offset, format!("{count} lines do not fill {len} bytes")));
        }
        Ok(Lines { offset, count, ordinal })
    }

    /// The number of lines, at least one.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Where they begin.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of pages.
    pub fn pages(&self) -> u32 {
        self.count.div_ceil(PAGE_LINES as u32)
    }

    fn lines_in(&self, page: u32) -> usize {
        PAGE_LINES.min((self.count - page * PAGE_LINES as u32) as usize)
    }

    /// Shows line `number` to `f`.
    ///
    /// # Errors
    /// `Corruption` or `Io` if its page cannot be read, or there is no such line.
    #[inline]
    pub fn with<R>(
        &self,
        number: u32,
        source: &BlockSource,
        verified: &Verified,
        f: impl FnOnce(&[u8; LINE]) -> R,
    ) -> Result<R> {
        let page = number / PAGE_LINES as u32;
        let within = number as usize % PAGE_LINES * LINE;
        if number < self.count && verified.get(self.ordinal + page) {
            let at = self.offset + u64::from(page) * PAGE as u64 + within as u64;
            if let Some(line) = source.view(at, LINE).and_then(<[u8]>::first_chunk) {
                return Ok(f(line));
            }
        }
        let bytes = self.page(page, source, verified)?;
        match bytes.get(within..).and_then(<[u8]>::first_chunk) {
            Some(line) if number < self.count => Ok(f(line)),
            _ => Err(TableError::corruption(self.offset, format!("there is no line {number}"))),
        }
    }

    fn page(&self, page: u32, source: &BlockSource, verified: &Verified) -> Result<Slice> {
        if page >= self.pages() {
            return Err(TableError::corruption(self.offset, format!("there is no page {page} of lines")));
        }
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

    /// Reads and checks every page, past the cache.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub fn load(&self, source: &BlockSource) -> Result<Vec<[u8; LINE]>> {
        let mut lines = Vec::new();
        for page in 0..self.pages() {
            let at = self.offset + u64::from(page) * PAGE as u64;
            let len = (self.lines_in(page) + 1) * LINE;
            source.populate(at, len)?;
            let bytes = source.read(at, len)?;
            check_page(&bytes, at)?;
            lines.extend_from_slice(&bytes.as_chunks::<LINE>().0[..self.lines_in(page)]);
        }
        Ok(lines)
    }
}

/// Checks a page: its lines' checksum, and that the rest of its last line is zero.
fn check_page(page: &[u8], at: u64) -> Result<()> {
    let Some((lines, last)) = page.split_last_chunk::<LINE>() else {
        return Err(TableError::corruption(at, "a page of lines is cut off"));
    };
    let crc = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
    if crc != crc32c(lines) || last[4..].iter().any(|&byte| byte != 0) {
        return Err(TableError::corruption(at, "a page of lines has a wrong checksum"));
    }
    Ok(())
}
