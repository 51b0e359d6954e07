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
//! error; [`populate`](ByteSource::populate) turns that into an error for the first touch of every page, but a page that
//! was evicted and fails to come back later cannot be caught. `TableIo::Pread` has neither.

#![allow(unsafe_code)]

#[cfg(unix)]
use esker_table::Advice;
use esker_table::{ByteSource, Slice};
use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

/// How much is read ahead, at most, for one piece of advice: a reader from front to back advises as it goes.
#[cfg(unix)]
const READ_AHEAD: usize = 1 << 20;

/// Maps the first `len` bytes of a table that the engine wrote itself. The file may be closed afterwards.
///
/// # Errors
/// `UnexpectedEof` if the file is shorter; what the operating system says.
pub(super) fn map(file: &File, len: u64) -> io::Result<Arc<dyn ByteSource>> {
    if file.metadata()?.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let len = usize::try_from(len)
        .map_err(|_| io::Error::other("the file is larger than the address space; use TableIo::Pread"))?;
    if len == 0 {
        // Nothing can be mapped; reading nothing needs no map.
        return Ok(Arc::new(Mapped { owner: None, data: NonNull::dangling(), len: 0 }));
    }
    // SAFETY: nobody changes or shortens the file, see the head of this file.
    let map = unsafe { memmap2::MmapOptions::new().len(len).map(file)? };
    let data = NonNull::from(&map[..]).cast();
    Ok(Arc::new(Mapped { owner: Some(Arc::new(map)), data, len }))
}

/// A mapped file. Slices of it share the map.
struct Mapped {
    /// `None` for an empty file only.
    owner: Option<Arc<memmap2::Mmap>>,
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: `data` points into the map that `owner` holds, which is Send and Sync and never changes.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// The range, if it lies within the map.
    fn range(&self, offset: u64, len: usize) -> Option<(usize, usize)> {
        let start = usize::try_from(offset).ok()?;
        (start.checked_add(len)? <= self.len).then_some((start, len))
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
        if len > READ_AHEAD_FROM {
            // One request for all of it, where populating alone would fetch page by page.
            let _ = map.advise_range(memmap2::Advice::WillNeed, start, len);
        }
        match map.advise_range(memmap2::Advice::PopulateRead, start, len) {
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
        let _ = match advice {
            Advice::Random => map.advise_range(memmap2::Advice::Random, start, len),
            Advice::Sequential | Advice::WillNeed => {
                map.advise_range(memmap2::Advice::WillNeed, start, len.min(READ_AHEAD))
            }
            // SAFETY: the map is shared and backed by its file, so pages that are let go come back with the same bytes.
            Advice::DontNeed => unsafe {
                map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len)
            },
            _ => Ok(()),
        };
    }
}

/// Populating less than this needs no read-ahead.
#[cfg(target_os = "linux")]
const READ_AHEAD_FROM: usize = 16 << 10;
