//! [`VisibleCursor`]: user keys with the value that a snapshot sees; deletes and range deletes hidden.
//!
//! Going forwards, the merge stands on the current entry, and the first visible version of a key is its newest.
//! Going backwards, versions come oldest first: the last visible one counts, so the merge stands before the current
//! key, whose key and value have been put aside.
//!
//! ```text
//!     forwards    … a9 a4 [c7] c2 d5 …            backwards    … [a9] a4 c7 c2 d5 …      current: c, c7's value
//!                          ▲ merge, current                        ▲ merge
//! ```
//!
//! Two sorts of entries may be met out of order, and only after turning round: those that another thread inserts into
//! the live memtable meanwhile, which are newer than the snapshot; and those of a source that has been moved past a
//! range tombstone while others were still inside, which are covered. Both are passed over before anything else is decided,
//! so that they cannot break a group of versions in two.

use super::bounds::Bounds;
use super::merging::MergeCursor;
use super::tombstones::Tombstones;
use crate::error::{Error, Result};
use esker_table::{Kind, SeqNo, Slice, Trailer};
use std::path::Path;

/// Steps over versions of one key after which seeking is cheaper than stepping on.
const PATIENCE: usize = 8;

/// Values up to this length are copied when they are put aside; longer ones keep their block. None is copied where the
/// reader wants slices.
const COPIED_VALUE: usize = 4096;

/// Where the cursor stands.
#[derive(Debug)]
enum State {
    /// Nowhere yet.
    Unplaced,
    /// On the merge's entry.
    Forward,
    /// On the key and value put aside.
    Backward,
    BeforeFirst,
    AfterLast,
    Failed(Error),
}

/// User keys in order, both ways, within bounds, at a snapshot. See [`super::Cursor`] for how it moves.
pub(crate) struct VisibleCursor {
    merge: MergeCursor,
    tombstones: Tombstones,
    snapshot: SeqNo,
    bounds: Bounds,
    state: State,
    /// Going backwards the current key; going forwards the key whose older versions are being passed over.
    key: Vec<u8>,
    value: Vec<u8>,
    /// The value put aside, if it was not copied.
    shared_value: Option<Slice>,
    longest_copy: Option<usize>,
    scratch: Vec<u8>,
}

/// What stands at the merge's entry.
enum Seen {
    Value,
    Deleted,
    /// Under a range tombstone: the source has been moved past it, or to its next entry.
    Covered,
}

impl VisibleCursor {
    /// What `snapshot` sees of the entries of `merge` within `bounds`.
    pub(crate) fn new(
        merge: MergeCursor,
        tombstones: Tombstones,
        snapshot: SeqNo,
        bounds: Bounds,
    ) -> VisibleCursor {
        // Inverted bounds hold no key; as an empty range that ends at the lower bound they need no further thought.
        let bounds = if bounds.is_empty() {
            Bounds { lower: Some(bounds.lower.unwrap_or_default()), upper: Some(Slice::new()) }
        } else {
            bounds
        };
        VisibleCursor {
            merge,
            tombstones,
            snapshot,
            bounds,
            state: State::Unplaced,
            key: Vec::new(),
            value: Vec::new(),
            shared_value: None,
            longest_copy: Some(COPIED_VALUE),
            scratch: Vec::new(),
        }
    }

    /// Says that values will be asked for by [`value_slice`](VisibleCursor::value_slice).
    pub(crate) fn share_values(&mut self) {
        self.longest_copy = None;
    }

    #[inline]
    pub(crate) fn valid(&self) -> bool {
        matches!(self.state, State::Forward | State::Backward)
    }

    /// The current key, empty if there is none.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        match self.state {
            State::Forward => self.merge.key(),
            State::Backward => &self.key,
            _ => &[],
        }
    }

    /// The current value, empty if there is none.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        match self.state {
            State::Forward => self.merge.value(),
            State::Backward => self.shared_value.as_deref().unwrap_or(&self.value),
            _ => &[],
        }
    }

    /// The current value, sharing what holds it where that is possible.
    pub(crate) fn value_slice(&self) -> Slice {
        match self.state {
            State::Forward => self.merge.value_slice(),
            State::Backward => self.shared_value.clone().unwrap_or_else(|| Slice::copy_from(&self.value)),
            _ => Slice::new(),
        }
    }

    pub(crate) fn seek_first(&mut self) -> Result<bool> {
        if self.bounds.is_empty() {
            return self.end(State::AfterLast);
        }
        let placed = match self.bounds.lower() {
            Some(lower) => self.merge.seek(lower, Trailer::FIRST),
            None => self.merge.first(),
        };
        placed.map_err(|e| self.fail(e))?;
        self.find_forward(false)
    }

    pub(crate) fn seek_last(&mut self) -> Result<bool> {
        if self.bounds.is_empty() {
            return self.end(State::BeforeFirst);
        }
        let placed = match self.bounds.upper() {
            Some(upper) => self.merge.seek_before(upper, Trailer::FIRST),
            None => self.merge.last(),
        };
        placed.map_err(|e| self.fail(e))?;
        self.find_backward(false)
    }

    /// To the first key at or after `key`.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<bool> {
        if self.bounds.is_below(key) {
            return self.seek_first();
        }
        if self.bounds.is_above(key) {
            return self.end(State::AfterLast);
        }
        self.merge.seek(key, Trailer::lookup(self.snapshot)).map_err(|e| self.fail(e))?;
        self.find_forward(false)
    }

    /// To the last key at or before `key`.
    pub(crate) fn seek_for_prev(&mut self, key: &[u8]) -> Result<bool> {
        if self.bounds.is_below(key) {
            return self.end(State::BeforeFirst);
        }
        if self.bounds.is_above(key) {
            return self.seek_last();
        }
        self.merge.seek_before(key, Trailer::LAST).map_err(|e| self.fail(e))?;
        self.find_backward(false)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Result<bool> {
        match &self.state {
            State::Forward => return self.next_forward(),
            State::Backward => {}
            State::Unplaced | State::BeforeFirst => return self.seek_first(),
            State::AfterLast => return Ok(false),
            State::Failed(error) => return Err(error.clone()),
        }
        self.step(true)?;
        self.find_forward(true)
    }

    /// From the merge's entry to the next key. Mostly the source still has the entry that is left, so that its key need not be
    /// copied to tell older versions of it.
    #[inline]
    fn next_forward(&mut self) -> Result<bool> {
        let rank = self.merge.rank();
        let is_at_hand = self.merge.will_have_key();
        if !is_at_hand {
            put(&mut self.key, self.merge.key());
        }
        self.step(true)?;
        if !is_at_hand || !self.merge.valid() {
            return self.find_forward(true);
        }
        let key = self.merge.key();
        if self.merge.key_before(rank).is_some_and(|before| !is_same(before, key)) {
            return self.find_forward(false);
        }
        put(&mut self.key, key);
        self.find_forward(true)
    }

    #[inline]
    pub(crate) fn prev(&mut self) -> Result<bool> {
        match &self.state {
            State::Forward => {
                put(&mut self.key, self.merge.key());
                self.step(false)?;
            }
            State::Backward => {}
            State::Unplaced | State::AfterLast => return self.seek_last(),
            State::BeforeFirst => return Ok(false),
            State::Failed(error) => return Err(error.clone()),
        }
        self.find_backward(true)
    }

    #[cold]
    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Failed(error.clone());
        error
    }

    fn end(&mut self, state: State) -> Result<bool> {
        self.shared_value = None;
        self.state = state;
        Ok(false)
    }

    /// Whether the merge's entry lies at or after the upper bound.
    #[inline]
    fn is_above(&self) -> bool {
        self.bounds.upper().is_some_and(|upper| self.merge.key() >= upper)
    }

    /// Whether the merge's entry lies before the lower bound.
    #[inline]
    fn is_below(&self) -> bool {
        self.bounds.lower().is_some_and(|lower| self.merge.key() < lower)
    }

    #[inline]
    fn step(&mut self, forward: bool) -> Result<()> {
        let stepped = if forward { self.merge.next() } else { self.merge.prev() };
        stepped.map_err(|e| self.fail(e))
    }

    /// From the merge's place to the first key that the snapshot sees. With `skip`, versions of `self.key` are passed
    /// over.
    fn find_forward(&mut self, mut skip: bool) -> Result<bool> {
        let (mut hidden, mut older) = (0, 0);
        while self.merge.valid() && !self.is_above() {
            if self.merge.trailer().seqno() > self.snapshot {
                hidden += 1;
                if hidden < PATIENCE {
                    self.step(true)?;
                } else {
                    hidden = 0;
                    self.skip_versions(Trailer::lookup(self.snapshot))?;
                }
                continue;
            }
            if skip && is_same(self.merge.key(), &self.key) {
                older += 1;
                if older < PATIENCE {
                    self.step(true)?;
                } else {
                    older = 0;
                    self.skip_versions(Trailer::LAST)?;
                }
                continue;
            }
            match self.look(true)? {
                Seen::Value => {
                    self.state = State::Forward;
                    return Ok(true);
                }
                Seen::Deleted => {
                    put(&mut self.key, self.merge.key());
                    (skip, older) = (true, 0);
                    self.step(true)?;
                }
                Seen::Covered => {}
            }
        }
        self.end(State::AfterLast)
    }

    /// From the merge's place backwards to the first key that the snapshot sees, which is put aside. With `skip`,
    /// versions of `self.key` are passed over.
    fn find_backward(&mut self, mut skip: bool) -> Result<bool> {
        // The number of versions of `self.key` looked at; 0: no key is being gathered.
        let mut versions = 0;
        // Whether the last of them is a value, which then is put aside.
        let mut live = false;
        let mut hidden = 0;
        while self.merge.valid() && !self.is_below() {
            if self.merge.trailer().seqno() > self.snapshot {
                hidden += 1;
                if hidden < PATIENCE {
                    self.step(false)?;
                } else {
                    // Whatever this source holds of the key from here backwards is newer still.
                    hidden = 0;
                    put(&mut self.scratch, self.merge.key());
                    self.merge.skip_before(&self.scratch, Trailer::FIRST).map_err(|e| self.fail(e))?;
                }
                continue;
            }
            // Covered entries say nothing about a key: what is older than they is covered as well.
            let seen = self.look(false)?;
            if matches!(seen, Seen::Covered) {
                continue;
            }
            let same = (versions > 0 || skip) && is_same(self.merge.key(), &self.key);
            if same && skip {
                self.step(false)?;
                continue;
            }
            if !same {
                if live {
                    break;
                }
                put(&mut self.key, self.merge.key());
                (skip, versions) = (false, 0);
            }
            versions += 1;
            if versions == PATIENCE {
                live = self.newest_of_key()?;
                continue;
            }
            live = matches!(seen, Seen::Value);
            if live {
                self.put_value_aside();
            }
            self.step(false)?;
        }
        if !live {
            return self.end(State::BeforeFirst);
        }
        self.state = State::Backward;
        Ok(true)
    }

    /// For a key with many versions: seeks to its newest visible one, puts its value aside if it has one, and leaves the
    /// merge before the key.
    fn newest_of_key(&mut self) -> Result<bool> {
        let at = Trailer::lookup(self.snapshot);
        self.merge.seek(&self.key, at).map_err(|e| self.fail(e))?;
        while self.merge.valid() && self.merge.trailer().seqno() > self.snapshot {
            self.step(true)?;
        }
        let mut live = false;
        if self.merge.valid() && self.merge.key() == self.key && matches!(self.look(true)?, Seen::Value) {
            self.put_value_aside();
            live = true;
        }
        self.merge.seek_before(&self.key, Trailer::FIRST).map_err(|e| self.fail(e))?;
        Ok(live)
    }

    fn put_value_aside(&mut self) {
        let value = self.merge.value();
        if self.longest_copy.is_some_and(|longest| value.len() <= longest) {
            put(&mut self.value, value);
            self.shared_value = None;
        } else {
            self.shared_value = Some(self.merge.value_slice());
        }
    }

    /// What the merge's entry, which the snapshot sees, is. If it is covered, the merge has moved on, in the given
    /// direction.
    #[inline]
    fn look(&mut self, forward: bool) -> Result<Seen> {
        let trailer = self.merge.trailer();
        let cover = if self.tombstones.is_empty() {
            None
        } else {
            match self.tombstones.covering(self.merge.key()) {
                Ok(cover) => cover,
                Err(error) => return Err(self.fail(error)),
            }
        };
        if let Some(cover) = cover.filter(|c| c.seqno > trailer.seqno()) {
            // A tombstone of a newer source covers everything that an older one holds there. One of the same source
            // does only if nothing in that memtable or table is newer than itself.
            if cover.rank < self.merge.rank() || cover.seqno >= self.merge.max_seqno() {
                let key = self.merge.key();
                let reach =
                    if forward { self.tombstones.reach_end(key) } else { self.tombstones.reach_start(key) };
                let to = match reach {
                    Ok(to) => to,
                    Err(error) => return Err(self.fail(error)),
                };
                let moved = if forward {
                    let to = self.bounds.upper().map_or(to, |upper| to.min(upper));
                    self.merge.skip_to(to, Trailer::FIRST)
                } else {
                    let to = self.bounds.lower().map_or(to, |lower| to.max(lower));
                    self.merge.skip_before(to, Trailer::FIRST)
                };
                moved.map_err(|e| self.fail(e))?;
            } else {
                self.step(forward)?;
            }
            return Ok(Seen::Covered);
        }
        match trailer.kind() {
            Some(Kind::Put) => Ok(Seen::Value),
            Some(Kind::Delete) => Ok(Seen::Deleted),
            _ => {
                let error = unknown_kind(self.merge.path(), trailer);
                Err(self.fail(error))
            }
        }
    }

    /// Going forwards: moves the current entry's source within or past the versions of its key.
    fn skip_versions(&mut self, to: Trailer) -> Result<()> {
        put(&mut self.scratch, self.merge.key());
        self.merge.skip_to(&self.scratch, to).map_err(|e| self.fail(e))
    }
}

/// Whether two keys are the same. Neighbours mostly differ in their last bytes, and in those first.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    match (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        (Some(x), Some(y)) => {
            a.len() == b.len() && u64::from_le_bytes(*x) == u64::from_le_bytes(*y) && a == b
        }
        _ => a == b,
    }
}

/// Replaces the content, keeps the memory.
#[inline]
fn put(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(bytes);
}

/// An entry of a kind that this version does not read.
#[cold]
pub(crate) fn unknown_kind(path: Option<&Path>, trailer: Trailer) -> Error {
    Error::Unsupported {
        path: path.unwrap_or(Path::new("")).to_owned(),
        what: format!("an entry of kind {} needs a newer version of Esker", trailer.kind_number()),
    }
}
