//! Files as memory: the one place where a file becomes a reference.
//!
//! This file holds `unsafe`. The argument: a map is sound as `&[u8]` as long as nobody changes or shortens the file under
//! it. Only tables that the engine wrote itself are mapped. A table is written under a temporary name, synced and
//! named by the MANIFEST before anyone maps it; from then on it is never written and never truncated, only
//! unlinked, which leaves the mapped pages as they are. The directory is locked for the life of the store, so no other
//! Esker does otherwise, and the length that is mapped is held against the file's before. Files that came from elsewhere
//! are read by position until a compaction has rewritten them.
//!
//! Two risks remain and are stated in the manual. Another program that writes into the store's directory can change
//! mapped bytes; no lock can forbid that. A device that fails while a page is read raises a signal instead of an
//! error; [`populate`](ByteSource::populate) turns that into an error for every page that was not in memory when it was first asked
//! for, but a page that was evicted and fails to come back later cannot be caught. `TableIo::Pread` has neither.

#![allow(unsafe_code)]

#[cfg(unix)]
use super::at_full_weight;
#[cfg(unix)]
use esker_table::Advice;
use esker_table::{ByteSource, Slice};
use std::fs::File;
#[cfg(target_os = "linux")]
use std::fs::Metadata;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is read ahead, at most, for one piece of advice: a reader from front to back advises as it goes.
#[cfg(unix)]
const READ_AHEAD: usize = 1 << 20;

/// Maps the first `len` bytes of a table that the engine wrote itself. The file may be closed afterwards.
///
/// # Errors
/// `UnexpectedEof` if the file is shorter; what the operating system says.
pub(super) fn map(file: &File, len: u64) -> io::Result<Arc<dyn ByteSource>> {
    Ok(Arc::new(Mapped::new(file, len)?))
}

/// A mapped file. Slices of it share the map.
struct Mapped {
    /// `None` for an empty file only.
    owner: Option<Arc<memmap2::Mmap>>,
    data: NonNull<u8>,
    len: usize,
    #[cfg(target_os = "linux")]
    pages: Pages,
}

/// Which pages of a map have been seen in memory.
///
/// What is there was written or read a while ago, and need not be brought in; should it be evicted before it is touched, then that it comes
/// back is the second risk above. Mostly all pages are there, and to bring in one that is takes a system call, which for the small
/// pieces that lookups and short scans touch is as much as all else. So they ask about whole stretches, of which those that
/// were there are remembered for as long as the table is open.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
struct Pages {
    /// How long a page is; 0 if the system does not say which are in memory.
    size: usize,
    /// A bit for each stretch of which all pages have been seen.
    seen: Box<[AtomicU64]>,
}

/// Pages in a stretch.
#[cfg(target_os = "linux")]
const STRETCH: usize = 16;

#[cfg(target_os = "linux")]
impl Pages {
    /// Linux says of a file to its owner which pages are in memory. To others it says that all are, without looking. What a process that
    /// becomes another user's loses by that is the error in place of a signal.
    fn of(file: &Metadata, len: usize) -> Pages {
        use std::os::unix::fs::MetadataExt;
        if file.uid() != rustix::process::geteuid().as_raw() {
            return Pages::default();
        }
        let size = rustix::param::page_size();
        let words = len.div_ceil(size * STRETCH).div_ceil(64);
        Pages { size, seen: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }
}

// SAFETY: `data` points into the map that `owner` holds, which is Send and Sync and never changes.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(file: &File, len: u64) -> io::Result<Mapped> {
        let metadata = file.metadata()?;
        if metadata.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len)
            .map_err(|_| io::Error::other("the file is larger than the address space; use TableIo::Pread"))?;
        // Nothing can be mapped of an empty file; reading nothing needs no map.
        let (mut owner, mut data) = (None, NonNull::dangling());
        if len > 0 {
            // SAFETY: nobody changes or shortens the file, see the head of this file.
            let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
            data = NonNull::from(&map[..]).cast();
            owner = Some(Arc::new(map));
        }
        Ok(Mapped {
            owner,
            data,
            len,
            #[cfg(target_os = "linux")]
            pages: Pages::of(&metadata, len),
        })
    }

    /// The range, if it lies within the map.
    fn range(&self, offset: u64, len: usize) -> Option<(usize, usize)> {
        let start = usize::try_from(offset).ok()?;
        (start.checked_add(len)? <= self.len).then_some((start, len))
    }

    /// Whether nothing of a range of the map has to be brought in.
    #[cfg(target_os = "linux")]
    fn is_in_memory(&self, start: usize, len: usize) -> bool {
        if self.pages.size == 0 || len == 0 {
            return false;
        }
        // What is read at once in such an amount can bear a system call.
        if len > READ_AHEAD_FROM {
            return self.lies_in_memory(start, len);
        }
        let stretch = self.pages.size * STRETCH;
        (start / stretch..=(start + len - 1) / stretch).all(|number| {
            let (word, bit) = (&self.pages.seen[number / 64], 1 << (number % 64));
            if word.load(Ordering::Relaxed) & bit != 0 {
                return true;
            }
            let from = number * stretch;
            let is_there = self.lies_in_memory(from, stretch.min(self.len - from));
            if is_there {
                word.fetch_or(bit, Ordering::Relaxed);
            }
            is_there
        })
    }

    /// Whether the system says that all pages of a range of the map lie in memory. `false` for more than it is asked about at once.
    #[cfg(target_os = "linux")]
    fn lies_in_memory(&self, start: usize, len: usize) -> bool {
        const MOST: usize = 128;
        let first = start / self.pages.size * self.pages.size;
        let pages = (start + len - first).div_ceil(self.pages.size);
        let mut states = [0; MOST];
        if pages > MOST {
            return false;
        }
        // SAFETY: the map begins with a page, the range lies within it, and `states` has a byte for each page that it lies on.
        let told = at_full_weight(|| unsafe {
            libc::mincore(self.data.as_ptr().add(first).cast(), start + len - first, states.as_mut_ptr())
        });
        told == 0 && states[..pages].iter().all(|state| state & 1 == 1)
    }
}

impl ByteSource for Mapped {
    fn len(&self) -> u64 {
        self.len as u64
    }

    #[inline]
    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let Some((start, len)) = self.range(offset, len) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let Some(owner) = &self.owner else {
            return Ok(Slice::new());
        };
        // SAFETY: the range lies within the map, which the owner keeps; the bytes never change, see the head of this file.
        Ok(unsafe { Slice::from_raw(self.data.add(start), len, owner.clone()) })
    }

    fn is_mapped(&self) -> bool {
        true
    }

    fn whole(&self) -> Option<Slice> {
        self.read(0, self.len).ok()
    }

    #[cfg(target_os = "linux")]
    fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
        let (Some((start, len)), Some(map)) = (self.range(offset, len), &self.owner) else {
            return Ok(());
        };
        if self.is_in_memory(start, len) {
            return Ok(());
        }
        // All maps of the process are closed to changes meanwhile.
        let populated = at_full_weight(|| {
            if len > READ_AHEAD_FROM {
                // One request for all of it, where populating alone would fetch page by page.
                let _ = map.advise_range(memmap2::Advice::WillNeed, start, len);
            }
            map.advise_range(memmap2::Advice::PopulateRead, start, len)
        });
        match populated {
            // Linux before 5.14 does not know it: what is lost is the error in place of a signal.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            Err(error) => Err(io::Error::new(error.kind(), format!("the device failed to read ({error})"))),
            Ok(()) => Ok(()),
        }
    }

    #[cfg(unix)]
    fn advise(&self, advice: Advice, offset: u64, len: u64) {
        let Some(map) = &self.owner else { return };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len);
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.len - start);
        if len == 0 {
            return;
        }
        // The map is shared by all readers of the table, and what a format has said is random is left so for them: other advice is
        // turned into a request for, or against, the pages at hand.
        let _ = at_full_weight(|| match advice {
            Advice::Random => map.advise_range(memmap2::Advice::Random, start, len),
            Advice::Sequential | Advice::WillNeed => {
                map.advise_range(memmap2::Advice::WillNeed, start, len.min(READ_AHEAD))
            }
            // SAFETY: the map is shared and backed by its file, so pages that are let go come back with the same bytes.
            Advice::DontNeed => unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len)
            },
            _ => Ok(()),
        });
    }
}

/// Populating less than this needs no read-ahead.
#[cfg(target_os = "linux")]
const READ_AHEAD_FROM: usize = 16 << 10;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::path::Path;

    /// A file that nobody has read or written any of, which has so many pages and bytes.
    fn untouched(dir: &Path, pages: usize, bytes: usize) -> io::Result<Mapped> {
        let path = dir.join(format!("{pages}-{bytes}"));
        let len = (pages * rustix::param::page_size() + bytes) as u64;
        File::create_new(&path)?.set_len(len)?;
        Mapped::new(&File::open(&path)?, len)
    }

    #[test]
    fn stretches_that_were_in_memory_are_remembered() {
        let (dir, size) = (tempfile::tempdir().unwrap(), rustix::param::page_size());
        let mapped = untouched(dir.path(), 40, 7).unwrap();
        let seen = || mapped.pages.seen[0].load(Ordering::Relaxed);
        assert!(!mapped.is_in_memory(0, 1) && seen() == 0);
        mapped.populate(0, (STRETCH + 1) * size).unwrap();
        // Of the second stretch one page is there, asked about alone or not.
        assert!(!mapped.is_in_memory(STRETCH * size, 1) && seen() == 0);
        assert!(!mapped.is_in_memory(STRETCH * size - 1, 2) && seen() == 1);
        assert!(mapped.is_in_memory(0, 1) && mapped.is_in_memory(STRETCH * size - 1, 1));
        assert!(mapped.is_in_memory(0, (STRETCH + 1) * size));
        assert!(!mapped.is_in_memory(0, (STRETCH + 1) * size + 1));
        // The last is shorter than the others.
        mapped.populate(32 * size as u64, 8 * size + 7).unwrap();
        assert!(mapped.is_in_memory(32 * size, 8 * size + 7) && seen() == 1);
        assert!(mapped.is_in_memory(40 * size + 6, 1) && seen() == 0b101);
        assert!(!mapped.is_in_memory(0, 0));
        let even = untouched(dir.path(), 2 * STRETCH, 0).unwrap();
        even.populate(0, even.len).unwrap();
        assert!(even.is_in_memory(even.len - 1, 1) && !even.is_in_memory(0, 0));
    }

    #[test]
    fn what_was_seen_is_not_brought_in_and_what_was_not_is() {
        let (dir, size) = (tempfile::tempdir().unwrap(), rustix::param::page_size());
        let mapped = untouched(dir.path(), 40, 0).unwrap();
        mapped.pages.seen[0].store(0b10, Ordering::Relaxed);
        mapped.populate((STRETCH * size) as u64, 10).unwrap();
        assert!(!mapped.lies_in_memory(STRETCH * size, 10));
        mapped.populate(0, 10).unwrap();
        assert!(mapped.lies_in_memory(0, 10));
        // What reads much at once trusts nothing that is remembered.
        mapped.populate((STRETCH * size) as u64, 5 * size).unwrap();
        assert!(mapped.lies_in_memory(STRETCH * size, 5 * size));
    }
}
