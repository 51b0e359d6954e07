//! [`Cursor`]: both ways through a table. A run never reaches over the end of a chunk, for its values lie in one body.

use crate::chunk::Chunk;
use crate::reader::Table;
use esker_table::{ReadOptions, Result, Run, TableCursor, Trailer};
use std::ops::Range;
use std::sync::Arc;

/// A place between entries: before entry `.1` of chunk `.0`. The end of a chunk and the beginning of the next are the
/// same place under two names, and the end of the table is the beginning of a chunk that there is not.
type Place = (usize, usize);

/// Stands around the run that it filled last. If that was empty both places are the beginning or the end of the table.
pub(crate) struct Cursor {
    table: Arc<Table>,
    options: ReadOptions,
    /// The chunk read last, with its number.
    chunk: Option<(usize, Chunk)>,
    from: Place,
    to: Place,
}

impl Cursor {
    pub(crate) fn new(table: Arc<Table>, options: ReadOptions) -> Cursor {
        Cursor { table, options, chunk: None, from: (0, 0), to: (0, 0) }
    }

    fn chunk_len(&mut self, number: usize) -> Result<usize> {
        if let Some((known, chunk)) = &self.chunk
            && *known == number
        {
            return Ok(chunk.len());
        }
        let chunk = self.table.chunk(number, &self.options)?;
        let len = chunk.len();
        self.chunk = Some((number, chunk));
        Ok(len)
    }

    /// The first place at or after `(user_key, trailer)`.
    fn find(&mut self, user_key: &[u8], trailer: Trailer) -> Result<Place> {
        Ok(match self.table.find(user_key, trailer, &self.options)? {
            Some((number, chunk, i)) => {
                self.chunk = Some((number, chunk));
                (number, i)
            }
            None => (self.table.len(), 0),
        })
    }

    fn forwards(&mut self, (mut number, mut i): Place, run: &mut Run, want: usize) -> Result<()> {
        run.clear();
        if number < self.table.len() && i == self.chunk_len(number)? {
            (number, i) = (number + 1, 0);
        }
        if number == self.table.len() {
            (self.from, self.to) = ((number, 0), (number, 0));
            return Ok(());
        }
        let end = self.chunk_len(number)?.min(i.saturating_add(want.max(1)));
        self.fill(number, i..end, run);
        Ok(())
    }

    fn backwards(&mut self, (mut number, mut i): Place, run: &mut Run, want: usize) -> Result<()> {
        run.clear();
        if i == 0 {
            if number == 0 {
                (self.from, self.to) = ((0, 0), (0, 0));
                return Ok(());
            }
            number -= 1;
            i = self.chunk_len(number)?;
        }
        self.chunk_len(number)?;
        self.fill(number, i.saturating_sub(want.max(1))..i, run);
        Ok(())
    }

    /// Fills the run with entries of the chunk read last.
    fn fill(&mut self, number: usize, entries: Range<usize>, run: &mut Run) {
        (self.from, self.to) = ((number, entries.start), (number, entries.end));
        let Some((_, chunk)) = &self.chunk else { return };
        run.begin(chunk.body().clone());
        for i in entries {
            let value = chunk.value(i);
            run.push([chunk.key(i)], chunk.trailer(i), value.start, value.len());
        }
    }
}

impl TableCursor for Cursor {
    fn seek(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        let place = self.find(user_key, trailer)?;
        self.forwards(place, run, want)
    }

    fn seek_before(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        let place = self.find(user_key, trailer)?;
        self.backwards(place, run, want)
    }

    fn first(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.forwards((0, 0), run, want)
    }

    fn last(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.backwards((self.table.len(), 0), run, want)
    }

    fn next(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.forwards(self.to, run, want)
    }

    fn prev(&mut self, run: &mut Run, want: usize) -> Result<()> {
        self.backwards(self.from, run, want)
    }
}
