//! Streams of entries: out of a table, past its damaged blocks; and several of them merged.

use esker_table::key::compare;
use esker_table::{
    Kind, ReadOptions, Run, SeqNo, Slice, TableCursor, TableError, TableReader, Trailer, Verify,
};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

/// How many entries of a table are asked for at a time.
const RUN_ENTRIES: usize = 256;

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    pub(super) trailer: Trailer,
    pub(super) value: Slice,
}

impl Entry {
    pub(super) fn order(&self, other: &Entry) -> Ordering {
        compare(&self.key, self.trailer, &other.key, other.trailer)
    }
}

/// The part of a table that counts: keys from `smallest` to `largest`.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) smallest: Vec<u8>,
    pub(super) largest: Vec<u8>,
    pub(super) exclusive: bool,
}

impl Bounds {
    pub(super) fn contain(&self, key: &[u8]) -> bool {
        let before_end = if self.exclusive { key < &self.largest[..] } else { key <= &self.largest[..] };
        &self.smallest[..] <= key && before_end
    }
}

/// The intact entries of a table, ascending. The table is read in parts of about a block; what cannot be read from the
/// front of a part is read from its end, so that only damaged blocks are lost.
pub(super) struct TableEntries {
    cursor: Box<dyn TableCursor>,
    run: Run,
    /// Keys that cut the table into parts.
    points: Vec<Vec<u8>>,
    part: usize,
    queue: VecDeque<Entry>,
    /// The last entry read, so that the order is checked across parts.
    last: Option<(Vec<u8>, Trailer)>,
    seqno_override: Option<SeqNo>,
    bounds: Option<Bounds>,
    /// What was passed over.
    pub(super) problems: Vec<String>,
}

impl TableEntries {
    pub(super) fn new(
        reader: &Arc<dyn TableReader>,
        seqno_override: Option<SeqNo>,
        bounds: Option<Bounds>,
    ) -> TableEntries {
        let options =
            ReadOptions::default().with_verify(Verify::Always).with_fill_cache(false).with_sequential(true);
        let parts = usize::try_from(reader.properties().data_blocks).unwrap_or(usize::MAX);
        let mut problems = Vec::new();
        let points = reader.split_points(parts.clamp(1, 1 << 20)).unwrap_or_else(|error| {
            problems.push(error.to_string());
            Vec::new()
        });
        TableEntries {
            cursor: Arc::clone(reader).cursor(&options),
            run: Run::new(),
            points,
            part: 0,
            queue: VecDeque::new(),
            last: None,
            seqno_override,
            bounds,
            problems,
        }
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        loop {
            while let Some(mut entry) = self.queue.pop_front() {
                if self.bounds.as_ref().is_some_and(|bounds| !bounds.contain(&entry.key)) {
                    continue;
                }
                if let Some(seqno) = self.seqno_override {
                    entry.trailer = entry.trailer.with_seqno(seqno);
                }
                return Some(entry);
            }
            if self.part > self.points.len() {
                return None;
            }
            self.read_part();
            self.part += 1;
        }
    }

    fn read_part(&mut self) {
        let from = self.part.checked_sub(1).map(|i| self.points[i].clone());
        let to = self.points.get(self.part).cloned();
        let mut found = Vec::new();
        if let Err(error) = self.forward(from.as_deref(), to.as_deref(), &mut found) {
            self.note(&error);
            let mut rest = Vec::new();
            if let Err(error) = self.backward(from.as_deref(), to.as_deref(), found.last(), &mut rest) {
                self.note(&error);
            }
            found.extend(rest.into_iter().rev());
        }
        if let Some(last) = found.last() {
            self.last = Some((last.key.clone(), last.trailer));
        }
        self.queue.extend(found);
    }

    fn note(&mut self, error: &TableError) {
        let what = error.to_string();
        if !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }

    /// Reads from the front of a part until its end or an error.
    fn forward(
        &mut self,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
        found: &mut Vec<Entry>,
    ) -> Result<(), TableError> {
        match from {
            Some(key) => self.cursor.seek(key, Trailer::FIRST, &mut self.run, RUN_ENTRIES)?,
            None => self.cursor.first(&mut self.run, RUN_ENTRIES)?,
        }
        while !self.run.is_empty() {
            for i in 0..self.run.len() {
                if to.is_some_and(|to| self.run.key(i) >= to) {
                    return Ok(());
                }
                let entry = entry_at(&self.run, i);
                let before = found.last().map(|e| (&e.key, e.trailer));
                let before = before.or(self.last.as_ref().map(|(key, trailer)| (key, *trailer)));
                if before.is_some_and(|(key, t)| compare(key, t, &entry.key, entry.trailer).is_ge()) {
                    return Err(TableError::corruption(0, "its entries are out of order"));
                }
                if !matches!(entry.trailer.kind(), Some(Kind::Put | Kind::Delete)) {
                    return Err(TableError::corruption(0, format!("an entry of kind {:?}", entry.trailer)));
                }
                found.push(entry);
            }
            self.cursor.next(&mut self.run, RUN_ENTRIES)?;
        }
        Ok(())
    }

    /// Reads from the end of a part until an error, or until what was `reached` from its front.
    fn backward(
        &mut self,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
        reached: Option<&Entry>,
        rest: &mut Vec<Entry>,
    ) -> Result<(), TableError> {
        let reached = reached.map(|e| (&e.key, e.trailer));
        let reached = reached.or(self.last.as_ref().map(|(key, trailer)| (key, *trailer)));
        match to {
            Some(key) => self.cursor.seek_before(key, Trailer::FIRST, &mut self.run, RUN_ENTRIES)?,
            None => self.cursor.last(&mut self.run, RUN_ENTRIES)?,
        }
        while !self.run.is_empty() {
            for i in (0..self.run.len()).rev() {
                let entry = entry_at(&self.run, i);
                let again =
                    reached.is_some_and(|(key, t)| compare(&entry.key, entry.trailer, key, t).is_le());
                let outside = from.is_some_and(|from| &entry.key[..] < from);
                let inverted = rest.last().is_some_and(|next: &Entry| entry.order(next).is_ge());
                if again || outside || inverted {
                    return Ok(());
                }
                rest.push(entry);
            }
            self.cursor.prev(&mut self.run, RUN_ENTRIES)?;
        }
        Ok(())
    }
}

fn entry_at(run: &Run, i: usize) -> Entry {
    Entry { key: run.key(i).to_vec(), trailer: run.trailer(i), value: run.value_slice(i) }
}

/// Where entries come from.
pub(super) enum Stream {
    Table(Box<TableEntries>),
    /// Sorted already.
    Sorted(std::vec::IntoIter<Entry>),
}

impl Stream {
    fn next(&mut self) -> Option<Entry> {
        match self {
            Stream::Table(entries) => entries.next(),
            Stream::Sorted(entries) => entries.next(),
        }
    }
}

/// Several streams as one, ascending. Of entries with the same key, sequence number and kind one comes out.
pub(super) struct Merge {
    pub(super) streams: Vec<Stream>,
    heads: BinaryHeap<Head>,
    last: Option<(Vec<u8>, Trailer)>,
}

struct Head {
    entry: Entry,
    stream: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        // The heap gives its greatest first.
        other.entry.order(&self.entry).then(other.stream.cmp(&self.stream))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl Merge {
    pub(super) fn new(mut streams: Vec<Stream>) -> Merge {
        let mut heads = BinaryHeap::with_capacity(streams.len());
        for (stream, entries) in streams.iter_mut().enumerate() {
            if let Some(entry) = entries.next() {
                heads.push(Head { entry, stream });
            }
        }
        Merge { streams, heads, last: None }
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        loop {
            let Head { entry, stream } = self.heads.pop()?;
            if let Some(entry) = self.streams[stream].next() {
                self.heads.push(Head { entry, stream });
            }
            let again = self.last.as_ref().is_some_and(|(key, t)| *key == entry.key && *t == entry.trailer);
            if !again {
                self.last = Some((entry.key.clone(), entry.trailer));
                return Some(entry);
            }
        }
    }
}
