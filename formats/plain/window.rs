//! [`Window`]: the part of the data that a walk from entry to entry sees.
//!
//! Over a map that lends itself whole the window is all of the data, of which ever more is verified as the walk goes on. Otherwise it
//! is a piece that was read, and is replaced when the walk leaves it. What is brought in at once grows with the walk.

use crate::data::{Data, PAGE, Reads};
use crate::entry::{Entry, MAX_HEADER};
use esker_table::layout::readahead::{Foresight, Readahead};
use esker_table::{Result, Slice};
use std::ops::Range;

/// The most that is brought in at once by a walk that may end anywhere, and by one from front to back.
const MOST: (u64, u64) = (64 << 10, 256 << 10);

/// What a walk sees.
#[derive(Debug)]
pub(crate) struct Window {
    /// Where `bytes` begin in the file.
    start: u64,
    bytes: Slice,
    /// Whether `bytes` are all of the data, lent by a map.
    is_whole: bool,
    /// What of the file is in `bytes` and verified.
    ready: Range<u64>,
    /// How much is brought in next.
    step: u64,
    ahead: Option<Readahead>,
    foresight: Foresight,
}

impl Window {
    /// Sees nothing yet. `sequential`: will be read from front to back.
    pub(crate) fn new(data: Option<&Data>, sequential: bool) -> Window {
        let ahead = data.filter(|_| sequential).map(|data| Readahead::new(data.len()));
        let step = if sequential { MOST.1 } else { PAGE as u64 };
        let foresight = Foresight::default();
        Window { start: 0, bytes: Slice::new(), is_whole: false, ready: 0..0, step, ahead, foresight }
    }

    /// Forgets what was verified: the walk begins anew.
    pub(crate) fn rewind(&mut self, reads: &Reads<'_>) {
        if reads.always() {
            self.ready = 0..0;
        }
        if self.ahead.is_none() {
            self.step = PAGE as u64;
        }
    }

    /// Everything that the window has from this place of the file on.
    pub(crate) fn bytes_from(&self, at: u64) -> Slice {
        self.bytes.slice((at - self.start) as usize..)
    }

    /// Where the entry's next one begins in the file.
    #[inline]
    pub(crate) fn end_of(&self, entry: &Entry) -> u64 {
        self.start + entry.end as u64
    }

    /// Where the entry's key begins in the file.
    #[inline]
    pub(crate) fn key_at(&self, entry: &Entry) -> u64 {
        self.start + entry.key_start as u64
    }

    #[inline]
    pub(crate) fn key(&self, entry: &Entry) -> &[u8] {
        entry.key(&self.bytes)
    }

    pub(crate) fn value(&self, entry: &Entry) -> Slice {
        entry.value(&self.bytes)
    }

    /// The entry at `at`.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    #[inline]
    pub(crate) fn entry(&mut self, data: &Data, at: u64, reads: &Reads<'_>) -> Result<Entry> {
        let header_end = data.len().min(at.saturating_add(MAX_HEADER as u64));
        if at < self.ready.start || header_end > self.ready.end {
            self.bring_in(data, at..header_end, reads)?;
        }
        let entry = data.decode(&self.bytes, at, self.start)?;
        let end = self.start + entry.value_end() as u64;
        if end <= self.ready.end {
            return Ok(entry);
        }
        self.bring_in(data, at..end, reads)?;
        data.decode(&self.bytes, at, self.start)
    }

    /// The entry at `at`, unless another piece of the file would have to be read for it.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    // A scan spends its time in the loops that call this, one for each way.
    #[inline(always)]
    pub(crate) fn entry_in_place(
        &mut self,
        data: &Data,
        at: u64,
        reads: &Reads<'_>,
    ) -> Result<Option<Entry>> {
        if self.is_whole {
            return self.entry(data, at, reads).map(Some);
        }
        let header_end = data.len().min(at.saturating_add(MAX_HEADER as u64));
        if header_end > self.ready.end {
            return Ok(None);
        }
        let entry = data.decode(&self.bytes, at, self.start)?;
        Ok((self.start + entry.value_end() as u64 <= self.ready.end).then_some(entry))
    }

    /// Brings in `wanted` and, going forwards, some of what follows.
    ///
    /// # Errors
    /// `Corruption` or `Io`.
    pub(crate) fn bring_in(&mut self, data: &Data, wanted: Range<u64>, reads: &Reads<'_>) -> Result<()> {
        if self.ready.start <= wanted.start && wanted.end <= self.ready.end {
            return Ok(());
        }
        let page = PAGE as u64;
        // What is ready on the side that the walk comes from need not be asked for again.
        let (follows, precedes) = (
            self.ready.contains(&wanted.start) || self.ready.end == wanted.start,
            self.ready.contains(&wanted.end) || self.ready.start == wanted.end,
        );
        let is_new = self.ready.is_empty();
        let start =
            if self.is_whole && follows && !is_new { self.ready.end } else { wanted.start / page * page };
        let mut end = wanted.end;
        if !precedes || is_new {
            end = end.max(start.saturating_add(self.step)).next_multiple_of(page);
        } else if self.is_whole {
            end = self.ready.start.max(start);
        }
        let range = start..end.min(data.len()).max(start);
        match &mut self.ahead {
            Some(ahead) if reads.source.is_mapped() => ahead.populate(reads.source, &range)?,
            Some(_) => {}
            None => {
                self.foresight.loads(&range);
                self.foresight.bring_in(reads.source, data.len());
                self.step = (self.step * 2).min(MOST.0);
            }
        }
        if reads.source.is_mapped()
            && let Some(bytes) = reads.source.lent(0, data.len() as usize)
        {
            data.ensure(range.clone(), reads)?;
            let joined = !is_new && self.is_whole && (follows || precedes);
            self.ready =
                if joined { self.ready.start.min(range.start)..self.ready.end.max(range.end) } else { range };
            if !self.is_whole {
                (self.start, self.bytes, self.is_whole) = (0, bytes, true);
            }
            return Ok(());
        }
        (self.ready, self.bytes) = (0..0, Slice::new());
        (self.start, self.bytes) = data.load(range, &reads.keeping(self.foresight.shall_keep()))?;
        self.ready = self.start..self.start + self.bytes.len() as u64;
        Ok(())
    }
}
