//! [`Writer`]: entries in order become chunks, then the index, the properties and the footer.

use crate::{COMPRESSED, ID, VERSION, chunk, frame};
use esker_table::codec::{Compression, varint};
use esker_table::footer::{BODY_LEN, FOOTER_LEN, Features, Footer};
use esker_table::key::{self, Kind, MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::{
    Properties, RangeTombstone, Result, TableError, TableSummary, TableWriter, Trailer, WriteOptions,
};
use std::io::Write;

/// Writes one table.
pub(crate) struct Writer<'a> {
    out: Box<dyn Write + Send + 'a>,
    /// The bytes that `out` has taken.
    written: u64,
    compression: Compression,
    chunk_size: usize,
    /// The chunk that is being filled, and its first entry.
    chunk: Vec<u8>,
    first: (Vec<u8>, Trailer),
    last: Option<(Vec<u8>, Trailer)>,
    index: Vec<u8>,
    properties: Properties,
    features: Features,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: Box<dyn Write + Send + 'a>, options: &WriteOptions) -> Writer<'a> {
        Writer {
            out,
            written: 0,
            compression: options.compression,
            chunk_size: options.block_size,
            chunk: Vec::new(),
            first: Default::default(),
            last: None,
            index: Vec::new(),
            properties: Properties::default(),
            features: Features::default(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn put_frame(&mut self, body: &[u8], compression: Compression) -> Result<()> {
        let (frame, compressed) = frame::seal(body, compression);
        if compressed {
            self.features.incompatible |= COMPRESSED;
        }
        self.put(&frame)
    }

    fn end_chunk(&mut self) -> Result<()> {
        let start = self.written;
        let body = std::mem::take(&mut self.chunk);
        self.put_frame(&body, self.compression)?;
        varint::put(&mut self.index, self.written - start);
        self.index.extend_from_slice(&self.first.1.0.to_le_bytes());
        varint::put_bytes(&mut self.index, &self.first.0);
        self.properties.data_blocks += 1;
        self.properties.data_bytes += self.written - start;
        Ok(())
    }
}

impl TableWriter for Writer<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        // Everything is checked before anything is changed: a refused entry leaves the writer usable.
        if !matches!(trailer.kind(), Some(Kind::Put | Kind::Delete)) {
            return Err(TableError::invalid(format!("`{}` holds no entry {trailer:?}", crate::NAME)));
        }
        if user_key.len() > MAX_KEY_LEN || value.len() > MAX_VALUE_LEN {
            return Err(TableError::invalid("a key or a value is too long"));
        }
        let mut new_key = true;
        if let Some((last, before)) = &self.last {
            if key::compare(last, *before, user_key, trailer).is_ge() {
                return Err(TableError::invalid("entries must come in ascending order"));
            }
            new_key = last != user_key;
        } else {
            self.properties.widen(user_key, user_key, false);
        }
        if self.chunk.is_empty() {
            self.first = (user_key.to_vec(), trailer);
        }
        chunk::append(&mut self.chunk, user_key, trailer, value);
        self.properties.count(user_key, trailer, value, new_key);
        let (last, before) = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(user_key);
        *before = trailer;
        if self.chunk.len() >= self.chunk_size {
            self.end_chunk()?;
        }
        Ok(())
    }

    fn add_range_tombstone(&mut self, _: &RangeTombstone) -> Result<()> {
        Err(TableError::unsupported("range tombstones, which the format does not declare"))
    }

    fn estimated_size(&self) -> u64 {
        self.written + (self.chunk.len() + self.index.len() + FOOTER_LEN) as u64
    }

    fn entries(&self) -> u64 {
        self.properties.entries
    }

    fn finish(mut self: Box<Self>, collected: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        if !self.chunk.is_empty() {
            self.end_chunk()?;
        }
        if let Some((last, _)) = &self.last {
            self.properties.widen(last, last, false);
        }
        self.properties.collected = collected;

        let mut body = [0; BODY_LEN];
        body[..8].copy_from_slice(&self.written.to_le_bytes());
        let index = std::mem::take(&mut self.index);
        self.put_frame(&index, Compression::None)?;
        body[8..16].copy_from_slice(&self.written.to_le_bytes());
        let mut properties = Vec::new();
        self.properties.encode(&mut properties);
        self.put_frame(&properties, Compression::None)?;
        let footer = Footer { format: ID, version: VERSION, features: self.features, body };
        self.put(&footer.encode())?;
        Ok(TableSummary { file_size: self.written, properties: self.properties })
    }
}
