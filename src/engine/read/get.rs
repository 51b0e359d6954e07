//! Point lookups: from the newest memtable down to the oldest run, until the answer is known.
//!
//! Whatever lies deeper is older. So the first entry found is the answer, and so is a range tombstone that covers the
//! key, once the memtable or table that it lies in has been asked for something newer.

use super::state::ReadState;
use super::visible::unknown_kind;
use crate::error::Result;
use crate::memtable::Memtable;
use crate::tables::{LevelView, TableSlot};
use esker_table::{Found, Kind, LookupKey, ReadOptions, SeqNo, Slice};
use std::path::Path;
use std::sync::Arc;

/// What one memtable or table says of a key.
enum Said {
    Nothing,
    Deleted,
    Value(Slice),
}

/// Counted on the stack, and added to the shared counters once.
#[derive(Default)]
struct Counts {
    probes: u64,
    misses: u64,
    filter_negatives: u64,
}

impl ReadState {
    /// The value of the key that the lookup's snapshot sees. Allocates nothing where the value lies in memory.
    ///
    /// # Errors
    /// `Corruption` or `Io` if a table cannot be read.
    pub(crate) fn get(&self, key: &LookupKey<'_>, options: &ReadOptions) -> Result<Option<Slice>> {
        let mut counts = Counts::default();
        let found = self.find(key, options, &mut counts);
        let read = &self.metrics().read;
        read.gets.add(1);
        read.hits.add(u64::from(matches!(found, Ok(Some(_)))));
        read.table_probes.add(counts.probes);
        read.table_misses.add(counts.misses);
        read.filter_negatives.add(counts.filter_negatives);
        found
    }

    /// The value of each key that `snapshot` sees, in the order of `keys`. They are looked up in ascending order, so that
    /// neighbours meet in the same blocks.
    pub(crate) fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        snapshot: SeqNo,
        options: &ReadOptions,
    ) -> Vec<Result<Option<Slice>>> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by(|&a, &b| keys[a].as_ref().cmp(keys[b].as_ref()));
        let mut values: Vec<Result<Option<Slice>>> = (0..keys.len()).map(|_| Ok(None)).collect();
        for i in order {
            values[i] = self.get(&LookupKey::new(keys[i].as_ref(), snapshot), options);
        }
        values
    }

    fn find(&self, key: &LookupKey<'_>, options: &ReadOptions, counts: &mut Counts) -> Result<Option<Slice>> {
        for memtable in self.memtables() {
            match ask_memtable(memtable, key)? {
                Said::Nothing => {}
                Said::Deleted => return Ok(None),
                Said::Value(value) => return Ok(Some(value)),
            }
        }
        for view in self.runs() {
            let Some(slot) = table_for(view, key) else { continue };
            match ask_table(slot, key, options, counts)? {
                Said::Nothing => {}
                Said::Deleted => return Ok(None),
                Said::Value(value) => return Ok(Some(value)),
            }
        }
        Ok(None)
    }
}

#[inline]
fn table_for<'a>(view: &'a LevelView, key: &LookupKey<'_>) -> Option<&'a TableSlot> {
    let slot = view.find(key.user_key)?;
    (slot.meta().min_seqno <= key.snapshot).then_some(slot)
}

#[inline]
fn ask_memtable(memtable: &Arc<Memtable>, key: &LookupKey<'_>) -> Result<Said> {
    let cover = memtable.covering_tombstone(key.user_key, key.snapshot);
    judge(memtable.get(key), cover, None)
}

fn ask_table(
    slot: &TableSlot,
    key: &LookupKey<'_>,
    options: &ReadOptions,
    counts: &mut Counts,
) -> Result<Said> {
    let table = slot.table()?;
    let cover = match table.fragments()? {
        None => None,
        Some(fragments) => fragments.covering(key.user_key, key.snapshot),
    };
    counts.probes += 1;
    let mut found = None;
    if table.may_contain(key.hash)? {
        found = table.get(key, options)?;
    } else {
        counts.filter_negatives += 1;
    }
    counts.misses += u64::from(found.is_none());
    judge(found, cover, Some(table.path()))
}

/// The newest entry of a key in one place, against the newest tombstone there that covers the key.
#[inline]
fn judge(found: Option<Found>, cover: Option<SeqNo>, path: Option<&Path>) -> Result<Said> {
    let Some(found) = found else {
        return Ok(if cover.is_some() { Said::Deleted } else { Said::Nothing });
    };
    if cover.is_some_and(|seqno| seqno > found.trailer.seqno()) {
        return Ok(Said::Deleted);
    }
    match found.trailer.kind() {
        Some(Kind::Put) => Ok(Said::Value(found.value)),
        Some(Kind::Delete) => Ok(Said::Deleted),
        _ => Err(unknown_kind(path, found.trailer)),
    }
}
