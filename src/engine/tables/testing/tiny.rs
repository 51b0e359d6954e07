//! [`TinyFormat`]: a table format of the simplest sort.

use esker_table::key::compare;
use esker_table::{
    BlockSource, Capabilities, FormatId, Found, Fragments, LookupKey, Properties, RangeTombstone,
    ReadOptions, Result, Run, Slice, TableCursor, TableError, TableFormat, TableReader, TableSummary,
    TableWriter, Trailer, WriteOptions,
};
use std::io::Write;
use std::sync::Arc;

/// Blocks of a few entries one after another, each read in one piece; then tombstones and where the blocks are.
///
/// ```text
///   block*   entry* = key len u32, key, trailer u64, value len u32, value
///   tail     tombstone count u32, (start, end, seqno)*, block count u32, (offset u64, len u32, last key, trailer)*
///   end      offset of the tail u64
/// ```
#[derive(Debug)]
pub(crate) struct TinyFormat;

pub(crate) const TINY: FormatId = FormatId(900);
const PER_BLOCK: usize = 5;

struct TinyWriter<'a> {
    out: Box<dyn Write + Send + 'a>,
    block: Vec<u8>,
    in_block: usize,
    at: u64,
    blocks: Vec<(u64, u32, Vec<u8>, Trailer)>,
    last: Option<(Vec<u8>, Trailer)>,
    tombstones: Vec<RangeTombstone>,
    properties: Properties,
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

impl TinyWriter<'_> {
    fn cut(&mut self) -> Result<()> {
        if let Some((key, trailer)) = self.last.clone().filter(|_| self.in_block > 0) {
            self.out.write_all(&self.block)?;
            self.blocks.push((self.at, self.block.len() as u32, key, trailer));
            self.at += self.block.len() as u64;
            self.block.clear();
            self.in_block = 0;
        }
        Ok(())
    }
}

impl TableWriter for TinyWriter<'_> {
    fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        if let Some((key, last)) = &self.last {
            assert!(compare(key, *last, user_key, trailer).is_lt());
        }
        put_bytes(&mut self.block, user_key);
        self.block.extend(trailer.0.to_le_bytes());
        put_bytes(&mut self.block, value);
        self.in_block += 1;
        self.properties.widen(user_key, user_key, false);
        self.properties.count(user_key, trailer, value, true);
        self.last = Some((user_key.to_vec(), trailer));
        if self.in_block == PER_BLOCK { self.cut() } else { Ok(()) }
    }

    fn add_range_tombstone(&mut self, tombstone: &RangeTombstone) -> Result<()> {
        self.properties.count_range_tombstone(tombstone);
        self.tombstones.push(tombstone.clone());
        Ok(())
    }

    fn estimated_size(&self) -> u64 {
        self.at
    }

    fn entries(&self) -> u64 {
        self.properties.entries
    }

    fn finish(mut self: Box<Self>, _: Vec<(String, Vec<u8>)>) -> Result<TableSummary> {
        self.cut()?;
        let mut tail = Vec::new();
        tail.extend((self.tombstones.len() as u32).to_le_bytes());
        for t in &self.tombstones {
            put_bytes(&mut tail, &t.start);
            put_bytes(&mut tail, &t.end);
            tail.extend(t.seqno.to_le_bytes());
        }
        tail.extend((self.blocks.len() as u32).to_le_bytes());
        for (offset, len, key, trailer) in &self.blocks {
            tail.extend(offset.to_le_bytes());
            tail.extend(len.to_le_bytes());
            put_bytes(&mut tail, key);
            tail.extend(trailer.0.to_le_bytes());
        }
        tail.extend(self.at.to_le_bytes());
        self.out.write_all(&tail)?;
        Ok(TableSummary { file_size: self.at + tail.len() as u64, properties: self.properties })
    }
}

/// Reads little-endian parts from the front; the files are the test's own, so nothing is checked.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }
    fn u32(&mut self) -> usize {
        u32::from_le_bytes(self.take(4).try_into().unwrap()) as usize
    }
    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }
    fn bytes(&mut self) -> &'a [u8] {
        let n = self.u32();
        self.take(n)
    }
}

struct TinyReader {
    source: BlockSource,
    blocks: Vec<(u64, usize, Vec<u8>, Trailer)>,
    tombstones: Arc<Fragments>,
    properties: Properties,
}

impl TinyReader {
    /// The first block that may hold an entry at or after this one.
    fn block_for(&self, key: &[u8], trailer: Trailer) -> usize {
        self.blocks.partition_point(|(_, _, k, t)| compare(k, *t, key, trailer).is_lt())
    }

    fn load(&self, i: usize, run: &mut Run) -> Result<()> {
        let (offset, len, ..) = self.blocks[i];
        let block = self.source.read(offset, len)?;
        run.begin(block.clone());
        let mut parts = Parts(&block);
        while !parts.0.is_empty() {
            let key = parts.bytes();
            let trailer = Trailer(parts.u64());
            let n = parts.u32();
            run.push([key], trailer, len - parts.0.len(), n);
            parts.take(n);
        }
        Ok(())
    }
}

impl TableReader for TinyReader {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, key: &LookupKey<'_>, _: &ReadOptions) -> Result<Option<Found>> {
        let i = self.block_for(key.user_key, key.trailer());
        if i == self.blocks.len() {
            return Ok(None);
        }
        let mut run = Run::new();
        self.load(i, &mut run)?;
        let at = run.lower_bound(key.user_key, key.trailer());
        Ok((run.key(at) == key.user_key)
            .then(|| Found { trailer: run.trailer(at), value: run.value_slice(at) }))
    }

    fn may_contain(&self, _: u64) -> Result<bool> {
        Ok(true)
    }

    fn cursor(self: Arc<Self>, _: &ReadOptions) -> Box<dyn TableCursor> {
        Box::new(TinyCursor { reader: self, block: Run::new(), i: 0, from: 0, to: 0 })
    }

    fn range_tombstones(&self) -> Result<Arc<Fragments>> {
        Ok(self.tombstones.clone())
    }

    fn estimated_offset(&self, user_key: &[u8]) -> u64 {
        self.blocks.get(self.block_for(user_key, Trailer::FIRST)).map_or(self.source.len(), |b| b.0)
    }

    fn split_points(&self, _: usize) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    fn verify(&self) -> Result<()> {
        Ok(())
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn describe(&self, _: &mut dyn FnMut(String)) -> Result<()> {
        Ok(())
    }
}

/// Stands around the entries `from..to` of block `i`, which is loaded.
struct TinyCursor {
    reader: Arc<TinyReader>,
    block: Run,
    i: usize,
    from: usize,
    to: usize,
}

impl TinyCursor {
    fn give(&mut self, run: &mut Run, i: usize, from: usize, to: usize) {
        (self.i, self.from, self.to) = (i, from, to);
        run.begin(Slice::copy_from(
            &(from..to).flat_map(|n| self.block.value(n).to_vec()).collect::<Vec<_>>(),
        ));
        let mut at = 0;
        for n in from..to {
            let len = self.block.value(n).len();
            run.push([self.block.key(n)], self.block.trailer(n), at, len);
            at += len;
        }
    }

    fn forward(&mut self, run: &mut Run, want: usize, i: usize, skip: impl Fn(&Run) -> usize) -> Result<()> {
        run.clear();
        let (mut i, mut first) = (i, true);
        while i < self.reader.blocks.len() {
            self.reader.clone().load(i, &mut self.block)?;
            let from = if first { skip(&self.block) } else { 0 };
            if from < self.block.len() {
                self.give(run, i, from, (from + want.max(1)).min(self.block.len()));
                return Ok(());
            }
            (i, first) = (i + 1, false);
        }
        self.block.clear();
        (self.i, self.from, self.to) = (i, 0, 0);
        Ok(())
    }

    fn backward(&mut self, run: &mut Run, want: usize, i: usize, keep: impl Fn(&Run) -> usize) -> Result<()> {
        run.clear();
        let mut first = true;
        let mut i = i + 1;
        while i > 0 {
            i -= 1;
            if i < self.reader.blocks.len() {
                self.reader.clone().load(i, &mut self.block)?;
                let to = if first { keep(&self.block) } else { self.block.len() };
                if to > 0 {
                    self.give(run, i, to.saturating_sub(want.max(1)), to);
                    return Ok(());
                }
            }
            first = false;
        }
        self.block.clear();
        (self.i, self.from, self.to) = (0, 0, 0);
        Ok(())
    }
}

impl TableCursor for TinyCursor {
    fn seek(&mut self, key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        let i = self.reader.block_for(key, trailer);
        self.forward(run, want, i, |block| block.lower_bound(key, trailer))
    }

    fn seek_before(&mut self, key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        let i = self.reader.block_for(key, trailer);
        self.backward(run, want, i, |block| block.lower_bound(key, trailer))
    }

    fn first(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.forward(run, want, 0, |_| 0)
    }

    fn last(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.backward(run, want, self.reader.blocks.len(), Run::len)
    }

    fn next(&mut self, run: &mut Run, want: usize) -> Result<()> {
        let to = self.to;
        self.forward(run, want, self.i, |_| to)
    }

    fn prev(&mut self, run: &mut Run, want: usize) -> Result<()> {
        let from = self.from;
        self.backward(run, want, self.i, |_| from)
    }
}

impl TableFormat for TinyFormat {
    fn id(&self) -> FormatId {
        TINY
    }

    fn name(&self) -> &'static str {
        "tiny"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn writer<'a>(
        &self,
        out: Box<dyn Write + Send + 'a>,
        _: &WriteOptions,
    ) -> Result<Box<dyn TableWriter + 'a>> {
        Ok(Box::new(TinyWriter {
            out,
            block: Vec::new(),
            in_block: 0,
            at: 0,
            blocks: Vec::new(),
            last: None,
            tombstones: Vec::new(),
            properties: Properties::default(),
        }))
    }

    fn open(&self, source: BlockSource) -> Result<Arc<dyn TableReader>> {
        let end = source.len().checked_sub(8).ok_or_else(|| TableError::corruption(0, "too short"))?;
        let tail_at = Parts(&source.read(end, 8)?).u64();
        let tail = source.read(tail_at, (end - tail_at) as usize)?;
        let mut parts = Parts(&tail);
        let tombstones: Vec<_> = (0..parts.u32())
            .map(|_| RangeTombstone {
                start: parts.bytes().to_vec(),
                end: parts.bytes().to_vec(),
                seqno: parts.u64(),
            })
            .collect();
        let blocks = (0..parts.u32())
            .map(|_| (parts.u64(), parts.u32(), parts.bytes().to_vec(), Trailer(parts.u64())))
            .collect();
        Ok(Arc::new(TinyReader {
            source,
            blocks,
            tombstones: Arc::new(Fragments::new(tombstones)),
            properties: Properties::default(),
        }))
    }
}
