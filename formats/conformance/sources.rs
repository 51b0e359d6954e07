//! The sources that tables are read from: memory, positioned reads with and without a cache, a map, and one that is now this and
//! now that.

use esker_table::{BlockCache, BlockSource, ByteSource, Slice};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A cache that keeps everything.
#[derive(Default)]
pub(crate) struct KeepAll {
    blocks: Mutex<HashMap<(u64, u64), Slice>>,
}

impl BlockCache for KeepAll {
    fn get(&self, table: u64, offset: u64) -> Option<Slice> {
        self.blocks.lock().expect("no holder panics").get(&(table, offset)).cloned()
    }

    fn insert(&self, table: u64, offset: u64, block: Slice) {
        self.blocks.lock().expect("no holder panics").insert((table, offset), block);
    }
}

impl KeepAll {
    pub(crate) fn len(&self) -> usize {
        self.blocks.lock().expect("no holder panics").len()
    }
}

/// A file that is read by position: every read is a copy. Fails the call number `fail_at` and no other.
pub(crate) struct Positioned {
    bytes: Arc<[u8]>,
    calls: AtomicUsize,
    fail_at: usize,
}

impl ByteSource for Positioned {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.fail_at {
            return Err(io::Error::other("the device failed"));
        }
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.len());
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Slice::copy_from(&self.bytes[offset as usize..][..len]))
    }

    fn is_mapped(&self) -> bool {
        false
    }
}

/// A file that is mapped. Fails the call of `populate` with number `fail_at`, as a device would. Where a process that
/// touches memory which was never brought in would be killed if the device failed, it panics.
pub(crate) struct Mapped {
    bytes: Slice,
    calls: AtomicUsize,
    fail_at: usize,
    pub(crate) populated: AtomicU64,
    /// What `populate` has not brought in yet.
    missing: Mutex<Vec<Range<u64>>>,
}

impl ByteSource for Mapped {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.len());
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = offset + len as u64;
        let missing = self.missing.lock().expect("no holder panics").clone();
        assert!(
            len == 0 || missing.iter().all(|part| part.end <= offset || end <= part.start),
            "bytes {offset}..{end} of a map are read, but `populate` has not brought them in: {missing:?} are missing"
        );
        Ok(self.bytes.slice(offset as usize..end as usize))
    }

    fn is_mapped(&self) -> bool {
        true
    }

    fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.fail_at {
            return Err(io::Error::other("the device failed"));
        }
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.len());
        assert!(
            end.is_some(),
            "populate({offset}, {len}) reaches beyond the {} bytes of the file",
            self.len()
        );
        self.populated.fetch_add(len as u64, Ordering::Relaxed);
        let end = offset + len as u64;
        let mut missing = self.missing.lock().expect("no holder panics");
        let rest = |part: &Range<u64>| [part.start..part.end.min(offset), part.start.max(end)..part.end];
        *missing = missing.iter().flat_map(rest).filter(|part| !part.is_empty()).collect();
        Ok(())
    }
}

/// A file that is mapped, and read by position at every other time that somebody asks.
struct Undecided {
    map: Arc<Mapped>,
    file: Positioned,
    asked: AtomicUsize,
}

impl ByteSource for Undecided {
    fn len(&self) -> u64 {
        self.map.len()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        self.map.read(offset, len)
    }

    fn is_mapped(&self) -> bool {
        true
    }

    fn by_position(&self) -> Option<&dyn ByteSource> {
        let is_even = self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        is_even.then_some(&self.file as &dyn ByteSource)
    }

    fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
        self.map.populate(offset, len)
    }
}

/// The call number that no source reaches.
pub(crate) const NEVER: usize = usize::MAX;

pub(crate) fn positioned(bytes: &[u8], fail_at: usize) -> BlockSource {
    BlockSource::new(Arc::new(Positioned { bytes: bytes.into(), calls: AtomicUsize::new(0), fail_at }))
}

pub(crate) fn positioned_cached(bytes: &[u8], cache: Arc<KeepAll>) -> BlockSource {
    let file = Positioned { bytes: bytes.into(), calls: AtomicUsize::new(0), fail_at: NEVER };
    BlockSource::with_cache(Arc::new(file), cache, 7)
}

pub(crate) fn mapped(bytes: &[u8], fail_at: usize) -> BlockSource {
    BlockSource::with_cache(map(bytes, fail_at), Arc::new(KeepAll::default()), 7)
}

pub(crate) fn map(bytes: &[u8], fail_at: usize) -> Arc<Mapped> {
    let (calls, populated) = (AtomicUsize::new(0), AtomicU64::new(0));
    let whole = 0..bytes.len() as u64;
    let missing = Mutex::new(vec![whole]);
    Arc::new(Mapped { bytes: Slice::copy_from(bytes), calls, fail_at, populated, missing })
}

fn undecided(bytes: &[u8]) -> BlockSource {
    let file = Positioned { bytes: bytes.into(), calls: AtomicUsize::new(0), fail_at: NEVER };
    let source = Undecided { map: map(bytes, NEVER), file, asked: AtomicUsize::new(0) };
    BlockSource::with_cache(Arc::new(source), Arc::new(KeepAll::default()), 7)
}

/// One source of each sort over the same bytes, by name.
pub(crate) fn all(bytes: &[u8]) -> Vec<(&'static str, BlockSource)> {
    vec![
        ("memory", BlockSource::from_memory(bytes)),
        ("map", mapped(bytes, NEVER)),
        ("map, or positioned reads", undecided(bytes)),
        ("positioned reads", positioned(bytes, NEVER)),
        ("positioned reads with a cache", positioned_cached(bytes, Arc::default())),
    ]
}
