//! [`Readahead`]: what a cursor that goes from front to back does with the device.
//!
//! Over a map it asks for the next window in time, brings each window in with one call instead of one a block, and
//! gives back what lies behind. Without a map it reads a window at a time and cuts the blocks out of it.

use crate::handle::Handle;
use esker_table::{Advice, BlockSource, Result, Slice};

/// How much is read at once.
const WINDOW: u64 = 256 << 10;

/// How much is given back at once.
const BEHIND: u64 = 1 << 20;

/// The state of one cursor.
pub(crate) struct Readahead {
    /// The end of the data blocks; nothing is read ahead beyond it.
    limit: u64,
    /// The window that was brought in last.
    window: std::ops::Range<u64>,
    /// Its bytes, if the source is not mapped.
    bytes: Slice,
    /// Everything before this has been given back.
    released: Option<u64>,
}

impl Readahead {
    /// Reads ahead up to `limit`.
    pub(crate) fn new(limit: u64) -> Readahead {
        Readahead { limit, window: 0..0, bytes: Slice::new(), released: None }
    }

    fn covers(&self, handle: Handle) -> bool {
        self.window.start <= handle.offset && handle.end() <= self.window.end
    }

    /// The window that begins with `handle`'s block.
    fn advance(&mut self, handle: Handle) {
        self.window = handle.offset..handle.end().max(self.limit.min(handle.offset.saturating_add(WINDOW)));
    }

    /// For a mapped source: brings in the window that `handle`'s block lies in.
    ///
    /// # Errors
    /// `Io` if the device failed.
    pub(crate) fn populate(&mut self, source: &BlockSource, handle: Handle) -> Result<()> {
        if self.covers(handle) {
            return Ok(());
        }
        let released = *self.released.get_or_insert(handle.offset);
        if handle.offset.saturating_sub(released) >= BEHIND {
            source.advise(Advice::DontNeed, released, handle.offset - released);
            self.released = Some(handle.offset);
        }
        self.advance(handle);
        let len = self.window.end.min(source.len()).saturating_sub(self.window.start);
        source.populate(self.window.start, len as usize)?;
        let ahead = WINDOW.min(self.limit.saturating_sub(self.window.end));
        if ahead > 0 {
            source.advise(Advice::WillNeed, self.window.end, ahead);
        }
        Ok(())
    }

    /// For a source that is not mapped: the stored block.
    ///
    /// # Errors
    /// `Corruption` if the handle points outside, `Io` if the device failed.
    pub(crate) fn read(&mut self, source: &BlockSource, handle: Handle) -> Result<Slice> {
        if !self.covers(handle) {
            self.advance(handle);
            self.bytes = Slice::new();
            let read = source.read(self.window.start, (self.window.end - self.window.start) as usize);
            match read {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => {
                    self.window = 0..0;
                    return Err(error);
                }
            }
        }
        let start = (handle.offset - self.window.start) as usize;
        Ok(self.bytes.slice(start..start + handle.len as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_table::ByteSource;
    use std::io;
    use std::sync::Mutex;

    struct Recorded {
        mapped: bool,
        calls: Mutex<Vec<String>>,
    }

    impl ByteSource for Recorded {
        fn len(&self) -> u64 {
            8 << 20
        }
        fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
            self.calls.lock().unwrap().push(format!("read {offset} {len}"));
            Ok(Slice::from(vec![(offset >> 12) as u8; len]))
        }
        fn is_mapped(&self) -> bool {
            self.mapped
        }
        fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
            self.calls.lock().unwrap().push(format!("populate {offset} {len}"));
            Ok(())
        }
        fn advise(&self, advice: Advice, offset: u64, len: u64) {
            self.calls.lock().unwrap().push(format!("{advice:?} {offset} {len}"));
        }
    }

    fn walk(mapped: bool) -> Vec<String> {
        let bytes = std::sync::Arc::new(Recorded { mapped, calls: Mutex::default() });
        let source = BlockSource::new(bytes.clone());
        let mut ahead = Readahead::new(3 << 20);
        for block in 0..768u64 {
            let handle = Handle { offset: block * 4096, len: 4096, ordinal: 0 };
            if mapped {
                ahead.populate(&source, handle).unwrap();
            } else {
                assert_eq!(ahead.read(&source, handle).unwrap().len(), 4096);
            }
        }
        let calls = bytes.calls.lock().unwrap();
        calls.clone()
    }

    #[test]
    fn windows_are_brought_in_once_and_given_back() {
        let calls = walk(true);
        let populated = calls.iter().filter(|call| call.starts_with("populate")).count();
        assert_eq!(populated, 12);
        assert!(calls.contains(&"DontNeed 0 1048576".to_owned()), "{calls:?}");
        assert!(calls.contains(&"WillNeed 262144 262144".to_owned()), "{calls:?}");
    }

    #[test]
    fn without_a_map_a_window_is_one_read() {
        assert_eq!(walk(false).len(), 12);
    }
}
