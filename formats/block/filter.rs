//! The filter: the lines of a Bloom filter in [pages](esker_table::layout::lines) that are verified and read one at a time.

use esker_table::filter::bloom::{LINE, line_may_contain, line_of};
use esker_table::layout::lines::{Lines, paginate};
use esker_table::layout::sections::Section;
use esker_table::layout::verified::Verified;
use esker_table::{BlockSource, Result, TableError};

/// Lays the lines of a filter that [`esker_table::filter::BloomBuilder::build`] returned into pages. Returns the pages and
/// the section's extra number (lines and probes).
pub(crate) fn pages_of(built: &[u8]) -> (Vec<u8>, u64) {
    let Some((&probes, lines)) = built.split_last() else { return (Vec::new(), 0) };
    (paginate(lines), (lines.len() / LINE) as u64 | u64::from(probes) << 32)
}

/// An open filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    lines: Lines,
    probes: u32,
}

impl Filter {
    /// The filter that a section describes, its pages numbered from `ordinal`.
    ///
    /// # Errors
    /// `Corruption` if the section contradicts itself.
    pub(crate) fn open(section: &Section, ordinal: u32) -> Result<Filter> {
        let (count, probes) = (section.extra as u32, section.extra >> 32);
        if probes > 255 {
            return Err(TableError::corruption(section.offset, format!("a filter claims {probes} probes")));
        }
        let lines = Lines::open(section.offset, section.len, count, ordinal)?;
        Ok(Filter { lines, probes: probes as u32 })
    }

    /// The number of pages.
    pub(crate) fn pages(&self) -> u32 {
        self.lines.pages()
    }

    /// Whether a key with this hash may be in the table.
    ///
    /// # Errors
    /// `Corruption` or `Io` if the page cannot be read.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64, source: &BlockSource, verified: &Verified) -> Result<bool> {
        let line = line_of(hash, self.lines.count());
        self.lines.with(line, source, verified, |line| line_may_contain(line, self.probes, hash))
    }

    /// Reads and checks every page, past the cache.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(crate) fn load(&self, source: &BlockSource) -> Result<LoadedFilter> {
        Ok(LoadedFilter { lines: self.lines.load(source)?, probes: self.probes })
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
