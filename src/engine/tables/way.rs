//! [`Way`]: how the data of mapped tables is read. [`Mapped`]: a table that is read in the way of the moment.
//!
//! While all tables fit into memory, what is read through a map costs no call and no copy. Where they do not, a map waits for one
//! page after the other, the system does not know which of a table's pages are used again and again, and it
//! takes it longer to give one back. Then blocks are read by position, and only indexes and filters through the map.

use crate::fs::Env;
use esker_table::{Advice, ByteSource, Slice};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Whether the tables of a store are larger than the memory that there is for them.
#[derive(Debug, Default)]
pub(crate) struct Way {
    by_position: AtomicBool,
    /// Files that are open to be read by position.
    open: AtomicUsize,
    /// How many may be.
    most_open: AtomicUsize,
    /// Whether blocks that are read by position are waited for without sleep.
    polls: AtomicBool,
}

/// Of the files that the process may have open, so many parts are others': a store that cannot open its next file takes no more
/// writes, and tables that are not opened once more are read through their maps.
const OTHERS: u64 = 4;
/// More than this are never opened for it.
const MOST_OPEN: u64 = 1024;

impl Way {
    /// Chooses for tables of so many bytes, beside `others` that the store takes, where there may be `limit` in all. At the
    /// border it stays as it is.
    pub(crate) fn choose(&self, tables: u64, others: u64, limit: Option<u64>) {
        let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(others));
        if tables > room {
            self.by_position.store(true, Ordering::Relaxed);
        } else if tables < room / 8 * 7 {
            self.by_position.store(false, Ordering::Relaxed);
        }
    }

    /// Takes note of how many files the process may have open.
    pub(crate) fn may_open(&self, limit: u64) {
        let most = (limit / OTHERS).min(MOST_OPEN);
        self.most_open.store(usize::try_from(most).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Takes note of whether the processor's time may be spent to have blocks sooner.
    pub(crate) fn may_poll(&self, yes: bool) {
        self.polls.store(yes, Ordering::Relaxed);
    }

    /// Opens a table to be read by position.
    pub(super) fn open(&self, env: &dyn Env, path: &Path) -> io::Result<Arc<dyn ByteSource>> {
        if self.polls.load(Ordering::Relaxed) { env.open_hurried(path) } else { env.open(path) }
    }

    /// Whether the tables are larger than memory, so that most of what is looked up comes from the device.
    #[inline]
    pub(crate) fn is_by_position(&self) -> bool {
        self.by_position.load(Ordering::Relaxed)
    }

    /// Counts another file, if there may be another.
    fn count(&self) -> bool {
        let most = self.most_open.load(Ordering::Relaxed);
        let is_counted = self.open.fetch_add(1, Ordering::Relaxed) < most;
        if !is_counted {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        is_counted
    }
}

/// A mapped table.
pub(super) struct Mapped {
    pub(super) map: Arc<dyn ByteSource>,
    pub(super) way: Arc<Way>,
    pub(super) env: Arc<dyn Env>,
    pub(super) path: PathBuf,
    /// The file, opened when it is first read by position. `None` inside if it cannot be: it was removed, or too many are open.
    pub(super) file: OnceLock<Option<Arc<dyn ByteSource>>>,
}

impl Mapped {
    fn open(&self) -> Option<Arc<dyn ByteSource>> {
        let file = self.way.open(&*self.env, &self.path).ok().filter(|file| file.len() == self.map.len())?;
        file.advise(Advice::Random, 0, file.len());
        Some(file)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if matches!(self.file.get(), Some(Some(_))) {
            self.way.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl ByteSource for Mapped {
    fn len(&self) -> u64 {
        self.map.len()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        self.map.read(offset, len)
    }

    fn is_mapped(&self) -> bool {
        self.map.is_mapped()
    }

    fn whole(&self) -> Option<Slice> {
        self.map.whole()
    }

    #[inline]
    fn by_position(&self) -> Option<&dyn ByteSource> {
        if !self.way.is_by_position() {
            return None;
        }
        let open = || {
            if !self.way.count() {
                return None;
            }
            let file = self.open();
            if file.is_none() {
                self.way.open.fetch_sub(1, Ordering::Relaxed);
            }
            file
        };
        self.file.get_or_init(open).as_deref()
    }

    fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
        self.map.populate(offset, len)
    }

    fn advise(&self, advice: Advice, offset: u64, len: u64) {
        self.map.advise(advice, offset, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::LocalEnv;

    #[test]
    fn tables_that_outgrow_memory_are_read_by_position() {
        let way = Way::default();
        let chosen = |tables, limit| {
            way.choose(tables, 100, limit);
            way.is_by_position()
        };
        assert!(!chosen(1 << 40, None));
        assert!(!chosen(900, Some(1000)));
        assert!(chosen(901, Some(1000)));
        assert!(chosen(850, Some(1000)), "not back and forth at the border");
        assert!(!chosen(700, Some(1000)));
        assert!(chosen(1, Some(50)));
    }

    #[test]
    fn a_file_that_is_gone_is_read_through_its_map() {
        let dir = tempfile::tempdir().unwrap();
        let way = Arc::new(Way::default());
        let table = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, b"a table").unwrap();
            let map = LocalEnv.map(&path, 7).unwrap();
            Mapped { map, way: way.clone(), env: Arc::new(LocalEnv), path, file: OnceLock::new() }
        };
        let (there, gone) = (table("there"), table("gone"));
        std::fs::remove_file(dir.path().join("gone")).unwrap();
        assert!(there.by_position().is_none());
        way.choose(7, 0, Some(1));
        way.may_open(8);
        assert_eq!(there.by_position().unwrap().read(2, 5).unwrap(), b"table");
        assert!(gone.by_position().is_none());
        assert_eq!(gone.read(2, 5).unwrap(), b"table");
        // What is gone is not counted, and what is not read any more makes room.
        let (second, third) = (table("second"), table("third"));
        assert!(second.by_position().is_some());
        assert!(third.by_position().is_none(), "more files are open than may be");
        drop((there, second));
        assert!(table("fourth").by_position().is_some());
    }
}
