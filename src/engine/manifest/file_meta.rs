//! [`FileMeta`]: what the MANIFEST knows of a table, and [`Reclaim`]: where tables go when nobody needs them.

use esker_table::{FormatId, Properties, RangeTombstone, SeqNo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A table as the MANIFEST records it.
#[derive(Clone, Debug)]
pub(crate) struct FileMeta {
    /// The number in the file's name.
    pub(crate) number: u64,
    /// The format it is laid in.
    pub(crate) format: FormatId,
    /// The length of the file in bytes.
    pub(crate) size: u64,
    /// The smallest user key, or start of a range tombstone.
    pub(crate) smallest: Vec<u8>,
    /// The largest user key, or end of a range tombstone.
    pub(crate) largest: Vec<u8>,
    /// Whether `largest` itself is outside.
    pub(crate) largest_exclusive: bool,
    /// Whether the file may hold entries outside these bounds, which are then to be passed over.
    pub(crate) clipped: bool,
    /// The smallest sequence number in the table (the override, if there is one).
    pub(crate) min_seqno: SeqNo,
    /// The largest sequence number in the table (the override, if there is one).
    pub(crate) max_seqno: SeqNo,
    /// The sequence number that every entry counts as, whatever the file says: for ingested and attached files.
    pub(crate) seqno_override: Option<SeqNo>,
    /// Entries, deletes among them.
    pub(crate) entries: u64,
    /// Entries of kind delete.
    pub(crate) deletes: u64,
    /// Range tombstones, in the file or beside it.
    pub(crate) range_tombstones: u64,
    /// When the table was written, in milliseconds since 1970; a move keeps it.
    pub(crate) created_millis: u64,
    /// Whether the file was written by the engine itself, and so may be mapped.
    pub(crate) own: bool,
    /// Range tombstones that the format could not hold.
    pub(crate) kept_tombstones: Vec<RangeTombstone>,
    /// Collected bytes that the format could not hold.
    pub(crate) kept_collected: Vec<(String, Vec<u8>)>,
    /// Removes the file once it is obsolete and unreferenced. A file that moves between levels keeps its guard.
    pub(crate) guard: Arc<FileGuard>,
}

impl FileMeta {
    /// The record of a table that the engine wrote: with the bounds and counts of its properties, all of it in force.
    pub(crate) fn written(
        number: u64,
        format: FormatId,
        size: u64,
        properties: Properties,
        created_millis: u64,
        guard: Arc<FileGuard>,
    ) -> FileMeta {
        FileMeta {
            number,
            format,
            size,
            smallest: properties.smallest,
            largest: properties.largest,
            largest_exclusive: properties.largest_exclusive,
            clipped: false,
            min_seqno: properties.min_seqno,
            max_seqno: properties.max_seqno,
            seqno_override: None,
            entries: properties.entries,
            deletes: properties.deletes,
            range_tombstones: properties.range_tombstones,
            created_millis,
            own: true,
            kept_tombstones: Vec::new(),
            kept_collected: Vec::new(),
            guard,
        }
    }

    /// Whether the file's bounds include `user_key`.
    pub(crate) fn contains(&self, user_key: &[u8]) -> bool {
        self.smallest.as_slice() <= user_key && !self.ends_before(user_key)
    }

    /// Whether all of the file lies before `user_key`.
    #[inline]
    pub(crate) fn ends_before(&self, user_key: &[u8]) -> bool {
        if self.largest_exclusive {
            self.largest.as_slice() <= user_key
        } else {
            self.largest.as_slice() < user_key
        }
    }

    /// Whether the file's bounds meet the range from `start` (inclusive) to `end` (exclusive); `None` is unbounded.
    pub(crate) fn overlaps(&self, start: Option<&[u8]>, end: Option<&[u8]>) -> bool {
        start.is_none_or(|s| !self.ends_before(s)) && end.is_none_or(|e| self.smallest.as_slice() < e)
    }
}

/// Numbers of files that can be removed from disk.
#[derive(Debug, Default)]
pub(crate) struct Reclaim {
    numbers: Mutex<Vec<u64>>,
}

impl Reclaim {
    /// Takes all the numbers.
    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *crate::sync::std_lock(&self.numbers))
    }
}

/// Shared by every record of one file; when the last one goes and the file is obsolete, its number is reclaimed.
///
/// A reader that pins a version holds its records and so keeps the file's name. Nobody does I/O in the drop: the
/// background worker takes the numbers and removes the files.
#[derive(Debug)]
pub(crate) struct FileGuard {
    number: u64,
    obsolete: AtomicBool,
    reclaim: Arc<Reclaim>,
}

impl FileGuard {
    pub(crate) fn new(number: u64, reclaim: Arc<Reclaim>) -> Arc<FileGuard> {
        Arc::new(FileGuard { number, obsolete: AtomicBool::new(false), reclaim })
    }

    /// Says that no version from now on names the file.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            crate::sync::std_lock(&self.reclaim.numbers).push(self.number);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table of ten puts between two keys, whose sequence numbers begin at a hundred times its number.
    pub(in crate::manifest) fn table(number: u64, smallest: &str, largest: &str) -> FileMeta {
        guarded(number, smallest, largest, &Arc::default())
    }

    pub(in crate::manifest) fn guarded(
        number: u64,
        smallest: &str,
        largest: &str,
        reclaim: &Arc<Reclaim>,
    ) -> FileMeta {
        FileMeta {
            number,
            format: FormatId::BLOCK,
            size: 1000 + number,
            smallest: smallest.into(),
            largest: largest.into(),
            largest_exclusive: false,
            clipped: false,
            min_seqno: number * 100,
            max_seqno: number * 100 + 9,
            seqno_override: None,
            entries: 10,
            deletes: 0,
            range_tombstones: 0,
            created_millis: 1_700_000_000_000,
            own: true,
            kept_tombstones: Vec::new(),
            kept_collected: Vec::new(),
            guard: FileGuard::new(number, Arc::clone(reclaim)),
        }
    }

    #[test]
    fn a_file_is_reclaimed_when_it_is_obsolete_and_its_last_record_goes() {
        let reclaim = Arc::default();
        let kept = guarded(1, "a", "b", &reclaim);
        let gone = Arc::new(guarded(2, "a", "b", &reclaim));
        let reader = Arc::clone(&gone);
        drop(kept);
        gone.guard.mark_obsolete();
        drop(gone);
        assert_eq!(reclaim.take(), []);
        drop(reader);
        assert_eq!(reclaim.take(), [2]);
        assert_eq!(reclaim.take(), []);
    }
}
