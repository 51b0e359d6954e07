//! [`View`]: one version of a keyspace, as layers above see it that keep digests of what it holds.

use crate::Slice;
use crate::error::Result;
use crate::memtable::MemtableCursor;
use crate::read::ReadState;
use esker_table::{Kind, SeqNo};
use std::fmt;
use std::sync::Arc;

/// One version of a keyspace: every entry is either in exactly one live table or among the unflushed ones.
///
/// Entries that are neither shadowed nor folded away yet count each for themselves: a key that was written twice may be
/// there twice.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// db.put("a", "1")?;
/// db.flush()?;
/// db.put("b", "2")?;
/// let view = db.view()?;
/// let in_tables: u64 = view.tables().iter().map(|table| table.entries).sum();
/// assert_eq!((in_tables, view.unflushed().count()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct View {
    state: Arc<ReadState>,
    seqno: SeqNo,
    tables: Vec<TableInfo>,
}

/// A live table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TableInfo {
    /// The number in its name.
    pub number: u64,
    /// The level that it is at.
    pub level: usize,
    /// Its length in bytes.
    pub bytes: u64,
    /// Entries, deletes among them.
    pub entries: u64,
    /// Its smallest user key.
    pub smallest: Vec<u8>,
    /// Its largest user key, or the exclusive end of a range delete.
    pub largest: Vec<u8>,
    /// The sequence number of all its entries, if it was ingested: its collector has seen 0.
    pub seqno: Option<u64>,
    /// What the keyspace's collector left in it.
    pub collected: Option<Vec<u8>>,
}

impl View {
    pub(crate) fn new(state: Arc<ReadState>, seqno: SeqNo, collector: Option<&str>) -> Result<View> {
        let mut tables = Vec::new();
        for (level, slot) in state.slots() {
            let meta = slot.meta();
            let collected = match collector {
                Some(name) => slot.table()?.collected(name).map(<[u8]>::to_vec),
                None => None,
            };
            tables.push(TableInfo {
                number: meta.number,
                level,
                bytes: meta.size,
                entries: meta.entries,
                smallest: meta.smallest.clone(),
                largest: meta.largest.clone(),
                seqno: meta.seqno_override,
                collected,
            });
        }
        Ok(View { state, seqno, tables })
    }

    /// The sequence number of the newest write that the view sees.
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// The live tables, with what the keyspace's collector left in each.
    pub fn tables(&self) -> &[TableInfo] {
        &self.tables
    }

    /// Every entry that is in no table yet: memtable by memtable, newest first, each in the order of keys and of a key's
    /// entries newest first.
    pub fn unflushed(&self) -> Unflushed {
        let mut cursors: Vec<MemtableCursor> = self.state.memtables().map(|mem| mem.cursor()).collect();
        cursors.reverse();
        Unflushed { cursors, started: false, seqno: self.seqno }
    }
}

/// An entry that is in no table yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnflushedEntry {
    /// The key.
    pub key: Slice,
    /// Its sequence number.
    pub seqno: u64,
    /// The value; `None` for a delete.
    pub value: Option<Slice>,
}

/// The entries of a [`View`] that are in no table yet.
pub struct Unflushed {
    /// To be visited from the last to the first.
    cursors: Vec<MemtableCursor>,
    started: bool,
    seqno: SeqNo,
}

impl Iterator for Unflushed {
    type Item = UnflushedEntry;

    fn next(&mut self) -> Option<UnflushedEntry> {
        loop {
            let cursor = self.cursors.last_mut()?;
            let valid = if self.started { cursor.next() } else { cursor.first() };
            self.started = valid;
            if !valid {
                self.cursors.pop();
                continue;
            }
            let trailer = cursor.trailer();
            if trailer.seqno() <= self.seqno {
                let value = (trailer.kind() != Some(Kind::Delete)).then(|| cursor.value_slice());
                return Some(UnflushedEntry { key: cursor.key_slice(), seqno: trailer.seqno(), value });
            }
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("seqno", &self.seqno)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Unflushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unflushed").field("memtables_left", &self.cursors.len()).finish_non_exhaustive()
    }
}
