//! [`Table`]: an open table. Its index is in memory, its chunks are in the file or in the block cache.

use crate::chunk::Chunk;
use crate::cursor::Cursor;
use crate::{COMPRESSED, ID, KNOWN, NAME, VERSION, frame};
use esker_table::codec::varint::Reader;
use esker_table::footer::{FOOTER_LEN, Footer};
use esker_table::key;
use esker_table::{
    BlockSource, Found, Fragments, LookupKey, Properties, ReadOptions, Result, TableCursor, TableError,
    TableReader, Trailer, Verify,
};
use std::ops::Range;
use std::sync::Arc;

/// An open table.
pub(crate) struct Table {
    source: BlockSource,
    properties: Properties,
    chunks: Vec<Handle>,
    /// Where chunks end and the index begins.
    data_end: u64,
    /// Whether chunks are offered to the cache: not if they can be had from a map just as well.
    cached: bool,
}

/// What the index says of a chunk.
struct Handle {
    place: Range<u64>,
    first: Vec<u8>,
    trailer: Trailer,
}

impl Table {
    pub(crate) fn open(source: BlockSource) -> Result<Table> {
        let footer_at = source.len().saturating_sub(FOOTER_LEN as u64);
        let tail_len = (source.len() - footer_at) as usize;
        source.populate(footer_at, tail_len)?;
        let footer = Footer::decode(&source.read(footer_at, tail_len)?, source.len())?;
        if footer.format != ID || footer.version == 0 || footer.version > VERSION {
            return Err(TableError::unsupported(format!(
                "format {} in version {}; this is `{NAME}` ({ID}) up to version {VERSION}",
                footer.format, footer.version
            )));
        }
        let read_only = footer.features.check(&KNOWN)?;
        let mut body = Reader::new(&footer.body);
        let (Some(data_end), Some(index_end)) = (body.u64(), body.u64()) else {
            return Err(TableError::corruption(footer_at, "the footer's body is too short"));
        };
        let index = frame::read(&source, &(data_end..index_end))?;
        let chunks = handles(&index, data_end)
            .ok_or_else(|| TableError::corruption(data_end, "the index does not describe the chunks"))?;
        let mut properties = Properties::decode(&frame::read(&source, &(index_end..footer_at))?, index_end)?;
        properties.read_only = read_only;
        let cached = !source.is_mapped() || footer.features.incompatible & COMPRESSED != 0;
        Ok(Table { source, properties, chunks, data_end, cached })
    }

    /// The number of chunks.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Chunk `i`, out of the cache or the file.
    pub(crate) fn chunk(&self, i: usize, options: &ReadOptions) -> Result<Chunk> {
        let handle = &self.chunks[i];
        let at = handle.place.start;
        let known = if options.verify == Verify::Always { None } else { self.source.cached(at) };
        let body = match known {
            Some(body) => body,
            None => {
                let body = frame::read(&self.source, &handle.place)?;
                if self.cached && options.fill_cache {
                    self.source.keep(at, &body);
                }
                body
            }
        };
        let chunk = Chunk::parse(body, at)?;
        // A checksum says that the chunk is whole; only this says that it is the right one.
        if chunk.key(0) != handle.first || chunk.trailer(0) != handle.trailer {
            return Err(TableError::corruption(
                at,
                "a chunk does not begin with the entry that the index says",
            ));
        }
        Ok(chunk)
    }

    /// The first entry at or after `(user_key, trailer)`: the number of its chunk, the chunk, and its number in there.
    pub(crate) fn find(
        &self,
        user_key: &[u8],
        trailer: Trailer,
        options: &ReadOptions,
    ) -> Result<Option<(usize, Chunk, usize)>> {
        let next = self.chunks_before(user_key, trailer);
        // It lies in the last chunk that begins before it, or else is the first entry of the chunk after that.
        for i in next.saturating_sub(1)..self.len().min(next + 1) {
            let chunk = self.chunk(i, options)?;
            let at = chunk.lower_bound(user_key, trailer);
            if at < chunk.len() {
                return Ok(Some((i, chunk, at)));
            }
        }
        Ok(None)
    }

    /// The number of chunks that begin before `(user_key, trailer)`.
    fn chunks_before(&self, user_key: &[u8], trailer: Trailer) -> usize {
        self.chunks.partition_point(|c| key::compare(&c.first, c.trailer, user_key, trailer).is_lt())
    }
}

/// Decodes the index. `None` if it is malformed or its chunks do not fill the file up to `data_end`.
fn handles(index: &[u8], data_end: u64) -> Option<Vec<Handle>> {
    let mut reader = Reader::new(index);
    let (mut handles, mut at) = (Vec::new(), 0u64);
    while !reader.is_empty() {
        let end = at.checked_add(reader.varint()?)?;
        let trailer = Trailer(reader.u64()?);
        handles.push(Handle { place: at..end, first: reader.bytes()?.to_vec(), trailer });
        at = end;
    }
    (at == data_end).then_some(handles)
}

impl TableReader for Table {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Found>> {
        let found = self.find(key.user_key, key.trailer(), options)?;
        Ok(found.filter(|(_, chunk, i)| chunk.key(*i) == key.user_key).map(|(_, chunk, i)| Found {
            trailer: chunk.trailer(i),
            value: chunk.body().slice(chunk.value(i)),
        }))
    }

    fn may_contain(&self, _: u64) -> Result<bool> {
        Ok(true)
    }

    fn cursor(self: Arc<Self>, options: &ReadOptions) -> Box<dyn TableCursor> {
        Box::new(Cursor::new(self, *options))
    }

    fn range_tombstones(&self) -> Result<Arc<Fragments>> {
        Ok(Arc::default())
    }

    fn estimated_offset(&self, user_key: &[u8]) -> u64 {
        if user_key > self.properties.largest.as_slice() {
            return self.data_end;
        }
        let before = self.chunks_before(user_key, Trailer::FIRST);
        before.checked_sub(1).map_or(0, |i| self.chunks[i].place.start)
    }

    fn split_points(&self, parts: usize) -> Result<Vec<Vec<u8>>> {
        let chunk = |part: usize| &self.chunks[part * self.len() / parts];
        let cuts = (1..parts).filter(|_| !self.chunks.is_empty()).map(|part| chunk(part).first.clone());
        // Many versions of one key may fill several chunks, which then begin with the same key.
        let mut points: Vec<Vec<u8>> = cuts.filter(|point| *point > self.properties.smallest).collect();
        points.dedup();
        Ok(points)
    }

    fn verify(&self) -> Result<()> {
        let options = ReadOptions::default().with_verify(Verify::Always).with_fill_cache(false);
        let mut counted = Properties::default();
        let mut last: Option<(Vec<u8>, Trailer)> = None;
        for (number, handle) in self.chunks.iter().enumerate() {
            let chunk = self.chunk(number, &options)?;
            for i in 0..chunk.len() {
                let (user_key, trailer) = (chunk.key(i), chunk.trailer(i));
                if last.as_ref().is_some_and(|(k, t)| key::compare(k, *t, user_key, trailer).is_ge()) {
                    return Err(TableError::corruption(handle.place.start, "entries are out of order"));
                }
                let new_key = last.as_ref().is_none_or(|(k, _)| k != user_key);
                counted.widen(user_key, user_key, false);
                counted.count(user_key, trailer, &chunk.body()[chunk.value(i)], new_key);
                last = Some((user_key.to_vec(), trailer));
            }
        }
        counted.data_blocks = self.len() as u64;
        counted.data_bytes = self.data_end;
        counted.collected.clone_from(&self.properties.collected);
        counted.read_only = self.properties.read_only;
        if counted != self.properties {
            return Err(TableError::corruption(self.data_end, "the properties are not those of the entries"));
        }
        Ok(())
    }

    fn heap_bytes(&self) -> usize {
        let keys: usize = self.chunks.iter().map(|c| c.first.capacity()).sum();
        size_of::<Table>() + self.chunks.capacity() * size_of::<Handle>() + keys
    }

    fn describe(&self, line: &mut dyn FnMut(String)) -> Result<()> {
        for handle in &self.chunks {
            let (place, first) = (&handle.place, handle.first.escape_ascii());
            line(format!("{}: chunk of {} bytes from {first}", place.start, place.end - place.start));
        }
        line(format!("{}: index, then properties", self.data_end));
        line(format!("{}: footer", self.source.len() - FOOTER_LEN as u64));
        Ok(())
    }
}
