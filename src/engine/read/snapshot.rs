//! [`SnapshotList`]: the sequence numbers that readers hold on to, so that compaction keeps what they see.
//!
//! A snapshot's number must be read and entered in one step, under the list's lock: compaction takes the list under the
//! same lock, and what it has not seen then is a snapshot that sees everything it is about to merge.
//!
//! A single read takes no snapshot. It pins its [`super::ReadState`] first and reads the visible sequence number after:
//! whatever compaction dropped from that state was hidden by an entry that is visible at that number.

use crate::sync::std_lock;
use esker_table::SeqNo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The live snapshots of one store.
#[derive(Debug, Default)]
pub(crate) struct SnapshotList {
    /// How many hold each number.
    live: Mutex<BTreeMap<SeqNo, usize>>,
}

impl SnapshotList {
    /// Without any.
    pub(crate) fn new() -> Arc<SnapshotList> {
        Arc::default()
    }

    /// Enters a snapshot at the number that `visible` says; it is called under the list's lock and must be quick.
    pub(crate) fn acquire(self: &Arc<Self>, visible: impl FnOnce() -> SeqNo) -> Arc<SnapshotGuard> {
        let mut live = std_lock(&self.live);
        let seqno = visible();
        *live.entry(seqno).or_insert(0) += 1;
        Arc::new(SnapshotGuard { seqno, list: self.clone() })
    }

    /// All the numbers held, ascending, each once.
    pub(crate) fn all(&self) -> Vec<SeqNo> {
        std_lock(&self.live).keys().copied().collect()
    }

    /// How many snapshots are held.
    pub(crate) fn count(&self) -> usize {
        std_lock(&self.live).values().sum()
    }
}

/// One held snapshot; dropping it lets go.
#[derive(Debug)]
pub(crate) struct SnapshotGuard {
    seqno: SeqNo,
    list: Arc<SnapshotList>,
}

impl SnapshotGuard {
    /// Whether it is held in this list.
    pub(crate) fn is_of(&self, list: &Arc<SnapshotList>) -> bool {
        Arc::ptr_eq(&self.list, list)
    }

    /// The newest sequence number that the snapshot sees.
    #[inline]
    pub(crate) fn seqno(&self) -> SeqNo {
        self.seqno
    }
}

impl Drop for SnapshotGuard {
    fn drop(&mut self) {
        let mut live = std_lock(&self.list.live);
        if let Some(count) = live.get_mut(&self.seqno) {
            *count -= 1;
            if *count == 0 {
                live.remove(&self.seqno);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_as_long_as_anyone_holds_them() {
        let list = SnapshotList::new();
        let a = list.acquire(|| 7);
        let b = list.acquire(|| 9);
        let c = list.acquire(|| 7);
        assert_eq!((list.all(), list.count()), (vec![7, 9], 3));
        drop(a);
        assert_eq!(list.all().first(), Some(&7));
        let d = c.clone();
        drop(c);
        assert_eq!(list.all().first(), Some(&7));
        drop(d);
        assert_eq!(list.all(), [9]);
        drop(b);
        assert_eq!((list.all().len(), list.count()), (0, 0));
    }
}
