//! The section table: where each part of a table lies. The footer's body points to it. Kinds are a format's own.
//!
//! ```text
//!   footer body     0  offset of the section table's stored block   u64
//!                   8  its length, frame included                   u32
//!                  12  zero                                         20 B
//!
//!   section table   one record for each section, kinds ascending; a reader skips kinds it does not know
//!                   0  kind     u32
//!                   4  zero     u32
//!                   8  offset   u64
//!                  16  length   u64   frames included
//!                  24  extra    u64   by kind
//!                  32
//! ```

use super::stored;
use crate::footer::BODY_LEN;
use crate::{Result, TableError};

/// Length of a record.
pub const RECORD: usize = 32;

/// One record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// What lies there: a number that the format gives a meaning to.
    pub kind: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is in bytes, frames included.
    pub len: u64,
    /// A number that means something to its kind.
    pub extra: u64,
}

impl Section {
    /// The first byte after the section.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// All records of a table.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    /// Where the stored section table begins; every section lies before.
    pub at: u64,
    /// Ascending by kind.
    pub records: Vec<Section>,
}

impl Sections {
    /// The section of this kind, if there is one.
    pub fn get(&self, kind: u32) -> Option<Section> {
        self.records.iter().find(|section| section.kind == kind).copied()
    }

    /// The body of the section table's block.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.records.len() * RECORD);
        for section in &self.records {
            out.extend_from_slice(&section.kind.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&section.offset.to_le_bytes());
            out.extend_from_slice(&section.len.to_le_bytes());
            out.extend_from_slice(&section.extra.to_le_bytes());
        }
        out
    }

    /// Decodes the body of the section table's block, which lies at `at`.
    ///
    /// # Errors
    /// `Corruption` if it is no list of records, or a section does not lie before the table.
    pub fn decode(body: &[u8], at: u64) -> Result<Sections> {
        let bad = |what: &str| TableError::corruption(at, format!("section table: {what}"));
        let (records, rest) = body.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(bad("a record is cut off"));
        }
        let mut sections = Sections { at, records: Vec::with_capacity(records.len()) };
        for record in records {
            let mut reader = crate::codec::varint::Reader::new(record);
            let fields = (reader.u32(), reader.u32(), reader.u64(), reader.u64(), reader.u64());
            let (Some(kind), Some(_), Some(offset), Some(len), Some(extra)) = fields else {
                return Err(bad("a record is cut off"));
            };
            let section = Section { kind, offset, len, extra };
            if offset.checked_add(len).is_none_or(|end| end > at) {
                return Err(bad("a section lies outside the file"));
            }
            if sections.records.last().is_some_and(|last| last.kind >= kind) {
                return Err(bad("kinds are out of order"));
            }
            sections.records.push(section);
        }
        Ok(sections)
    }
}

/// The footer's body for a section table stored at `offset` in `len` bytes.
pub fn footer_body(offset: u64, len: u32) -> [u8; BODY_LEN] {
    let mut body = [0; BODY_LEN];
    body[..8].copy_from_slice(&offset.to_le_bytes());
    body[8..12].copy_from_slice(&len.to_le_bytes());
    body
}

/// Where the footer's body says that the section table is stored. `limit` is where the footer begins.
///
/// # Errors
/// `Corruption` if that is not before the footer.
pub fn from_footer(body: &[u8; BODY_LEN], limit: u64) -> Result<(u64, usize)> {
    let mut reader = crate::codec::varint::Reader::new(body);
    match (reader.u64(), reader.u32()) {
        (Some(offset), Some(len))
            if len as usize >= stored::FRAME && offset.checked_add(u64::from(len)) == Some(limit) =>
        {
            Ok((offset, len as usize))
        }
        _ => Err(TableError::corruption(limit, "the footer points outside the file")),
    }
}
