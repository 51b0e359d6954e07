//! [`BlockCursor`]: ordered iteration, a run at a time.

use crate::block::Block;
use crate::handle::Handle;
use crate::index::IndexWalk;
use crate::reader::{BlockTable, Bring};
use esker_table::layout::readahead::{Foresight, Readahead};
use esker_table::{ReadOptions, Result, Run, Slice, TableCursor, Trailer, Verify};
use std::sync::Arc;

/// A run ends early when its keys are this long together: a block may hold many long keys that its common prefix makes
/// short.
const MAX_RUN_KEYS: usize = 256 << 10;

/// Where a cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Not positioned, or an error lost the position.
    Nowhere,
    /// Before the first entry.
    Begin,
    /// Around entries `from..to` of the block.
    Run,
    /// After the last entry.
    End,
}

/// Ordered iteration over a table's entries.
pub(crate) struct BlockCursor {
    table: Arc<BlockTable>,
    options: ReadOptions,
    ahead: Option<Readahead>,
    foresight: Foresight,
    walk: IndexWalk,
    body: Slice,
    at: u64,
    place: Place,
    from: usize,
    to: usize,
}

/// Which way a cursor enters a block: a sequential one reads ahead only forwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forwards,
    Backwards,
}

impl BlockCursor {
    pub(crate) fn new(table: Arc<BlockTable>, options: &ReadOptions) -> BlockCursor {
        let ahead = options.sequential.then(|| Readahead::new(table.data_end()));
        BlockCursor {
            table,
            options: *options,
            ahead,
            foresight: Foresight::default(),
            walk: IndexWalk::new(),
            body: Slice::new(),
            at: 0,
            place: Place::Nowhere,
            from: 0,
            to: 0,
        }
    }

    fn load(&mut self, handle: Handle, way: Way) -> Result<()> {
        self.foresight.loads(&handle.range());
        let keep = self.options.fill_cache && self.foresight.shall_keep();
        let options = self.options.with_fill_cache(keep);
        let bring = match self.ahead.as_mut().filter(|_| way == Way::Forwards) {
            Some(ahead) => Bring::Ahead(ahead),
            None => Bring::Foreseen(&mut self.foresight),
        };
        self.body = self.table.block(handle, &options, bring)?;
        self.at = handle.offset;
        Ok(())
    }

    /// Fills with entries from `from` on. The block has such an entry.
    fn fill_forwards(&mut self, from: usize, run: &mut Run, want: usize) -> Result<()> {
        let block = Block::parse(&self.body, self.at)?;
        let limit = block.len().min(from.saturating_add(want.max(1)));
        self.from = from;
        run.begin(self.body.clone());
        self.to = block.ok(block.fill(from, limit, run, MAX_RUN_KEYS))?;
        self.place = Place::Run;
        Ok(())
    }

    /// Fills with entries up to `to`, which is above 0.
    fn fill_backwards(&mut self, to: usize, run: &mut Run, want: usize) -> Result<()> {
        let block = Block::parse(&self.body, self.at)?;
        let limit = to.saturating_sub(want.max(1));
        // Mostly they are short, however long each may be.
        self.from = match block.most_key_bytes(to - limit) {
            ..=MAX_RUN_KEYS => limit,
            _ => block.ok(block.fitting_backwards(to, limit, MAX_RUN_KEYS))?,
        };
        let from = self.from;
        run.begin(self.body.clone());
        self.to = block.ok(block.fill(from, to, run, MAX_RUN_KEYS))?;
        self.place = Place::Run;
        Ok(())
    }

    fn len(&self) -> Result<usize> {
        Ok(Block::parse(&self.body, self.at)?.len())
    }

    fn enter_front(&mut self, handle: Option<Handle>, run: &mut Run, want: usize) -> Result<()> {
        match handle {
            Some(handle) => {
                self.load(handle, Way::Forwards)?;
                self.fill_forwards(0, run, want)
            }
            None => {
                self.place = Place::End;
                Ok(())
            }
        }
    }

    fn enter_back(&mut self, handle: Option<Handle>, run: &mut Run, want: usize) -> Result<()> {
        match handle {
            Some(handle) => {
                self.load(handle, Way::Backwards)?;
                let len = self.len()?;
                self.fill_backwards(len, run, want)
            }
            None => {
                self.place = Place::Begin;
                Ok(())
            }
        }
    }

    /// Finds the block that `(user_key, trailer)` belongs to and the number of its entries before that.
    fn find(&mut self, user_key: &[u8], trailer: Trailer, way: Way) -> Result<Option<usize>> {
        let table = self.table.clone();
        let Some(handle) = self.walk.seek(&table, user_key, trailer, &self.options)? else { return Ok(None) };
        // A sequential cursor that is positioned in the block it stands in has nothing to load.
        if handle.offset != self.at || self.body.is_empty() || self.options.verify == Verify::Always {
            self.load(handle, way)?;
        }
        let block = Block::parse(&self.body, self.at)?;
        block.ok(block.lower_bound(user_key, trailer)).map(Some)
    }
}

/// Runs a movement that starts without a run and without a place, so that an error leaves neither.
macro_rules! moving {
    ($cursor:ident, $run:ident, $body:block) => {{
        $run.clear();
        $cursor.place = Place::Nowhere;
        let result = (|| $body)();
        if result.is_err() {
            $run.clear();
            $cursor.place = Place::Nowhere;
            $cursor.body = Slice::new();
        }
        result
    }};
}

impl TableCursor for BlockCursor {
    fn seek(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        moving!(self, run, {
            match self.find(user_key, trailer, Way::Forwards)? {
                Some(i) if i < self.len()? => self.fill_forwards(i, run, want),
                Some(_) => {
                    let next = self.walk.next(&self.table, &self.options)?;
                    self.enter_front(next, run, want)
                }
                None => self.enter_front(None, run, want),
            }
        })
    }

    fn seek_before(&mut self, user_key: &[u8], trailer: Trailer, run: &mut Run, want: usize) -> Result<()> {
        moving!(self, run, {
            match self.find(user_key, trailer, Way::Backwards)? {
                Some(0) => {
                    let prev = self.walk.prev(&self.table, &self.options)?;
                    self.enter_back(prev, run, want)
                }
                Some(i) => self.fill_backwards(i, run, want),
                None => self.enter_back(None, run, want),
            }
        })
    }

    fn first(&mut self, run: &mut Run, want: usize) -> Result<()> {
        moving!(self, run, {
            let first = self.walk.first(&self.table, &self.options)?;
            self.enter_front(first, run, want)
        })
    }

    fn last(&mut self, run: &mut Run, want: usize) -> Result<()> {
        moving!(self, run, {
            let last = self.walk.last(&self.table, &self.options)?;
            self.enter_back(last, run, want)
        })
    }

    fn next(&mut self, run: &mut Run, want: usize) -> Result<()> {
        let (place, to) = (self.place, self.to);
        match place {
            Place::Begin => return self.first(run, want),
            Place::End | Place::Nowhere => {
                run.clear();
                return Ok(());
            }
            Place::Run => {}
        }
        moving!(self, run, {
            if to < self.len()? {
                return self.fill_forwards(to, run, want);
            }
            let next = self.walk.next(&self.table, &self.options)?;
            self.enter_front(next, run, want)
        })
    }

    fn prev(&mut self, run: &mut Run, want: usize) -> Result<()> {
        let (place, from) = (self.place, self.from);
        match place {
            Place::End => return self.last(run, want),
            Place::Begin | Place::Nowhere => {
                run.clear();
                return Ok(());
            }
            Place::Run => {}
        }
        moving!(self, run, {
            if from > 0 {
                return self.fill_backwards(from, run, want);
            }
            let prev = self.walk.prev(&self.table, &self.options)?;
            self.enter_back(prev, run, want)
        })
    }
}
