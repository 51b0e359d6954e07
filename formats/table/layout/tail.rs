//! [`Tail`]: the end of a file, which opening reads first.

use super::lines::PAGE;
use super::sections::{self, Section, Sections};
use super::stored;
use crate::codec::compression::MAX_PLAIN_LEN;
use crate::footer::{FOOTER_LEN, Features, Footer};
use crate::{BlockSource, FormatId, Properties, Result, Slice, TableError};

/// How much of the end of a file that is not mapped is read at once.
const TAIL: u64 = 16 << 10;

/// The end of a table of a certain format: its footer and its section table, and the bytes that were read for them.
#[derive(Debug)]
pub struct Tail {
    start: u64,
    bytes: Slice,
    /// The footer.
    pub footer: Footer,
    /// The section table.
    pub sections: Sections,
    /// Whether features that are not known forbid to write the table anew.
    pub read_only: bool,
}

/// What a table must be to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Its format, and how that is called.
    pub format: FormatId,
    /// The name of the format.
    pub name: &'static str,
    /// The newest version that can be read; 0 never was one.
    pub version: u32,
    /// The features that are known.
    pub features: Features,
}

impl Tail {
    /// Reads the end of a table.
    ///
    /// # Errors
    /// `Corruption` if it is none, `Unsupported` if it is of another format, of a newer version or has features that are not
    /// known, `Io` if the device failed.
    pub fn read(source: &BlockSource, expected: &Expected) -> Result<Tail> {
        let want = if source.is_mapped() { FOOTER_LEN as u64 } else { TAIL };
        let len = source.len().min(want);
        let start = source.len() - len;
        source.populate(start, len as usize)?;
        let bytes = source.read(start, len as usize)?;
        let footer = Footer::decode(&bytes, source.len())?;
        if footer.format != expected.format {
            return Err(TableError::unsupported(format!(
                "the table's format is number {}, not `{}`",
                footer.format, expected.name
            )));
        }
        if footer.version == 0 || footer.version > expected.version {
            return Err(TableError::unsupported(format!(
                "version {} of format `{}`; this Esker reads up to {}; open it with a newer Esker",
                footer.version, expected.name, expected.version
            )));
        }
        let read_only = footer.features.check(&expected.features)?;
        let end = source.len().saturating_sub(FOOTER_LEN as u64);
        let (at, len) = sections::from_footer(&footer.body, end)?;
        let mut tail = Tail { start, bytes, footer, sections: Sections::default(), read_only };
        tail.sections = Sections::decode(&tail.block(source, at, len as u64)?, at)?;
        Ok(tail)
    }

    /// The body of a block, out of the tail if it lies there.
    ///
    /// # Errors
    /// `Corruption` if it is damaged, `Io` if the device failed.
    pub fn block(&self, source: &BlockSource, offset: u64, len: u64) -> Result<Slice> {
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let part = from
            .zip(usize::try_from(len).ok())
            .and_then(|(from, len)| self.bytes.get(from..from.checked_add(len)?));
        match part {
            // A copy, so that what is kept does not keep the whole tail.
            Some(stored) => {
                stored::check(stored, offset)?;
                stored::body(Slice::copy_from(stored), offset)
            }
            None => read_section(source, &Section { kind: 0, offset, len, extra: 0 }),
        }
    }

    /// The table's properties, which lie in the section of this kind.
    ///
    /// # Errors
    /// As [`block`](Tail::block).
    pub fn properties(&self, source: &BlockSource, kind: u32) -> Result<Properties> {
        let Some(section) = self.sections.get(kind) else {
            return Err(TableError::corruption(self.sections.at, "the table has no properties"));
        };
        let body = self.block(source, section.offset, section.len)?;
        let mut properties = Properties::decode(&body, section.offset)?;
        properties.read_only = self.read_only;
        Ok(properties)
    }
}

/// Reads, checks and unpacks a block that is a section of its own, past every cache.
///
/// # Errors
/// `Corruption` if it is damaged, `Io` if the device failed.
pub fn read_section(source: &BlockSource, section: &Section) -> Result<Slice> {
    let &Section { offset, len, .. } = section;
    let size = usize::try_from(len).ok().filter(|&len| len <= MAX_PLAIN_LEN + stored::FRAME);
    let Some(size) = size else {
        return Err(TableError::corruption(offset, format!("a section claims {len} bytes")));
    };
    source.populate(offset, size)?;
    let stored = source.read(offset, size)?;
    stored::check(&stored, offset)?;
    stored::body(stored, offset)
}

/// One line for each part of a table of the format `name`, for tools: where it lies, how long it is, and what `what` says of it.
pub fn describe(
    source: &BlockSource,
    sections: &Sections,
    (name, footer): (&str, &Footer),
    what: impl Fn(&Section) -> Option<String>,
    line: &mut dyn FnMut(String),
) {
    let mut records = sections.records.clone();
    records.sort_by_key(|section| section.offset);
    for section in records {
        let unknown = || format!("a section of kind {}, which this version does not know", section.kind);
        line(format!(
            "{:>12} {:>12}  {}",
            section.offset,
            section.len,
            what(&section).unwrap_or_else(unknown)
        ));
    }
    let footer_at = source.len().saturating_sub(FOOTER_LEN as u64);
    line(format!("{:>12} {:>12}  section table", sections.at, footer_at.saturating_sub(sections.at)));
    line(format!("{footer_at:>12} {FOOTER_LEN:>12}  footer: format {name}, version {}", footer.version));
}

/// Checks that the sections lie one behind the other, with nothing but zeros between them, and those only before sections whose
/// kind is aligned.
///
/// # Errors
/// `Corruption` if they do not, `Io` if the device failed.
pub fn check_tiling(
    source: &BlockSource,
    sections: &Sections,
    is_aligned: impl Fn(u32) -> bool,
) -> Result<()> {
    let mut records = sections.records.clone();
    records.sort_by_key(|section| section.offset);
    let mut end = 0;
    for section in records {
        let gap = section.offset.checked_sub(end);
        let allowed = if is_aligned(section.kind) { PAGE as u64 } else { 1 };
        let Some(gap) = gap.filter(|&gap| gap < allowed) else {
            return Err(TableError::corruption(section.offset, "two sections overlap or leave a hole"));
        };
        if gap > 0 {
            source.populate(end, gap as usize)?;
        }
        if source.read(end, gap as usize)?.iter().any(|&byte| byte != 0) {
            return Err(TableError::corruption(end, "padding is not zero"));
        }
        end = section.end();
    }
    if end != sections.at {
        return Err(TableError::corruption(end, "bytes lie before the section table that no section owns"));
    }
    Ok(())
}
