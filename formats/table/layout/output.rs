//! [`Output`]: a table's file as its writer sees it: written from the front to the back, and useless after a failure.

use super::sections::{self, Section, Sections};
use super::stored;
use crate::codec::Compression;
use crate::codec::compression::MAX_PLAIN_LEN;
use crate::footer::{FOOTER_LEN, Features, Footer};
use crate::{FormatId, Properties, Result, TableError};
use std::io::{self, Write};

/// Where a table is written to.
pub struct Output<'a> {
    out: Box<dyn Write + Send + 'a>,
    offset: u64,
    /// Writing failed: the file has a hole, and nothing more may be written.
    failed: bool,
    framed: Vec<u8>,
}

impl<'a> Output<'a> {
    /// An empty file.
    pub fn new(out: Box<dyn Write + Send + 'a>) -> Output<'a> {
        Output { out, offset: 0, failed: false, framed: Vec::new() }
    }

    /// How much has been written.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Says that the table cannot be completed any more.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Writes bytes as they are. Returns where they lie.
    ///
    /// # Errors
    /// `Io` if writing fails, or has failed before.
    pub fn write(&mut self, bytes: &[u8]) -> Result<u64> {
        if self.failed {
            return Err(TableError::Io(io::Error::other("writing this table has failed before")));
        }
        if let Err(error) = self.out.write_all(bytes) {
            self.failed = true;
            return Err(TableError::Io(error));
        }
        let at = self.offset;
        self.offset += bytes.len() as u64;
        Ok(at)
    }

    /// Frames a body and writes it. Returns where it lies, its stored length and its compression byte.
    ///
    /// # Errors
    /// As [`write`](Output::write).
    pub fn write_block(&mut self, body: &[u8], compression: Compression) -> Result<(u64, u32, u8)> {
        let mut framed = std::mem::take(&mut self.framed);
        let tag = stored::seal(body, compression, &mut framed);
        let written = self.write(&framed);
        let len = framed.len() as u32;
        framed.shrink_to(KEPT);
        self.framed = framed;
        Ok((written?, len, tag))
    }

    /// Writes a block that is a section of its own.
    ///
    /// # Errors
    /// As [`write`](Output::write).
    pub fn write_section(&mut self, kind: u32, body: &[u8], extra: u64) -> Result<Section> {
        let (offset, len, _) = self.write_block(body, Compression::None)?;
        Ok(Section { kind, offset, len: u64::from(len), extra })
    }

    /// Writes the properties as a section, `collected` among them.
    ///
    /// # Errors
    /// `Invalid` if two collectors have one name or left too much; otherwise as [`write`](Output::write).
    pub fn write_properties(
        &mut self,
        kind: u32,
        properties: &mut Properties,
        collected: Vec<(String, Vec<u8>)>,
    ) -> Result<Section> {
        let twice =
            |(i, (name, _)): (usize, &(String, _))| collected[..i].iter().any(|(other, _)| other == name);
        if collected.iter().enumerate().any(twice) {
            return Err(TableError::invalid("two collectors have one name"));
        }
        properties.collected = collected;
        let mut body = Vec::new();
        properties.encode(&mut body);
        if body.len() > MAX_PLAIN_LEN {
            return Err(TableError::invalid("the collected bytes are too long"));
        }
        self.write_section(kind, &body, 0)
    }

    /// Writes zeros up to a multiple of `align`.
    ///
    /// # Errors
    /// As [`write`](Output::write).
    pub fn align(&mut self, align: u64) -> Result<()> {
        let padding = self.offset.next_multiple_of(align) - self.offset;
        self.write(&vec![0; padding as usize]).map(drop)
    }

    /// Writes the section table and the footer, and so completes the table. Returns the length of the file.
    ///
    /// # Errors
    /// As [`write`](Output::write).
    pub fn finish(
        mut self,
        format: FormatId,
        version: u32,
        features: Features,
        mut records: Vec<Section>,
    ) -> Result<u64> {
        records.sort_by_key(|section| section.kind);
        let table = Sections { at: self.offset, records }.encode();
        let (offset, len, _) = self.write_block(&table, Compression::None)?;
        let body = sections::footer_body(offset, len);
        self.write(&Footer { format, version, features, body }.encode())?;
        debug_assert_eq!(self.offset, offset + u64::from(len) + FOOTER_LEN as u64);
        self.out.flush().map_err(TableError::Io)?;
        Ok(self.offset)
    }
}

/// Memory for a frame that is kept from block to block.
const KEPT: usize = 64 << 10;
