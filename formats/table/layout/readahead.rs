//! [`Readahead`]: what a cursor that goes from front to back does with the device. [`Foresight`]: what any other cursor
//! does once it turns out to scan.
//!
//! Over a map a [`Readahead`] asks for the next window in time, brings each window in with one call instead of one a block, and
//! gives back what lies behind. Without a map it reads a window at a time and cuts the blocks out of it, and the device brings in the
//! next one meanwhile.
//!
//! Maps are read without reading around, which is right for single places and would make a scan wait for each block. So a
//! cursor that has gone through a few neighbouring blocks, either way, asks for more and more of what comes next. These
//! are hints: nothing waits for them, and what lies in memory already costs a system call for a window. One that has come far
//! and reads by position takes many blocks with one call.

use super::gap;
use crate::{Advice, BlockSource, Result, Slice};
use std::ops::Range;

/// How much is read at once.
const WINDOW: u64 = 256 << 10;

/// How much is given back at once.
const BEHIND: u64 = 1 << 20;

/// The state of one cursor.
#[derive(Debug)]
pub struct Readahead {
    /// The end of the data blocks; nothing is read ahead beyond it.
    limit: u64,
    /// The window that was brought in last.
    window: Range<u64>,
    /// Its bytes, if the source is not mapped.
    bytes: Slice,
    /// Everything before this has been given back.
    released: Option<u64>,
}

impl Readahead {
    /// Reads ahead up to `limit`.
    pub fn new(limit: u64) -> Readahead {
        Readahead { limit, window: 0..0, bytes: Slice::new(), released: None }
    }

    fn covers(&self, block: &Range<u64>) -> bool {
        self.window.start <= block.start && block.end <= self.window.end
    }

    /// The window that begins with `block`.
    fn advance(&mut self, block: &Range<u64>) {
        self.window = block.start..block.end.max(self.limit.min(block.start.saturating_add(WINDOW)));
    }

    /// For a mapped source: brings in the window that `block` lies in.
    ///
    /// # Errors
    /// `Io` if the device failed.
    pub fn populate(&mut self, source: &BlockSource, block: &Range<u64>) -> Result<()> {
        // A window that was read by position was not brought into the map.
        if self.covers(block) && self.bytes.is_empty() {
            return Ok(());
        }
        self.bytes = Slice::new();
        let released = *self.released.get_or_insert(block.start);
        if block.start.saturating_sub(released) >= BEHIND {
            source.advise(Advice::DontNeed, released, block.start - released);
            self.released = Some(block.start);
        }
        self.advance(block);
        let len = self.window.end.min(source.len()).saturating_sub(self.window.start);
        if let Err(error) = source.populate(self.window.start, len as usize) {
            // What was not brought in must not be touched: the next attempt asks again.
            self.window = 0..0;
            return Err(error);
        }
        self.ask_ahead(source);
        Ok(())
    }

    /// Asks for the window after this one.
    fn ask_ahead(&self, source: &BlockSource) {
        let ahead = WINDOW.min(self.limit.saturating_sub(self.window.end));
        if ahead > 0 {
            source.advise(Advice::WillNeed, self.window.end, ahead);
        }
    }

    /// For a source that is not mapped, or is better read by position: the stored block.
    ///
    /// # Errors
    /// `Corruption` if the block lies outside, `Io` if the device failed.
    pub fn read(&mut self, source: &BlockSource, block: &Range<u64>) -> Result<Slice> {
        if !self.covers(block) || self.bytes.is_empty() {
            self.advance(block);
            self.bytes = Slice::new();
            let read = source.read_at(self.window.start, (self.window.end - self.window.start) as usize);
            match read {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => {
                    self.window = 0..0;
                    return Err(error);
                }
            }
            self.ask_ahead(source);
        }
        let start = (block.start - self.window.start) as usize;
        Ok(self.bytes.slice(start..start + (block.end - block.start) as usize))
    }
}

/// Neighbouring blocks after which a cursor is taken to scan.
const STREAK: u32 = 3;

/// Neighbouring blocks after which a scan leaves the cache to others.
const FAR: u32 = 32;

/// How much a scan asks for at first; then twice as much each time, up to [`MOST`].
const FIRST: u64 = 16 << 10;

/// So much has the device at work while a scan decodes what came before.
const MOST: u64 = 1 << 20;

/// How much a scan that has come far reads by position with one call. A value that is kept may keep so much memory.
const FAR_READ: u64 = 64 << 10;

/// Watches which blocks a cursor loads.
#[derive(Debug, Default)]
pub struct Foresight {
    /// Where the block that was loaded last lies.
    last: Range<u64>,
    forwards: bool,
    streak: u32,
    /// How far the device has been asked, in the direction of the scan.
    asked: u64,
    step: u64,
    /// What was brought into memory last, of a mapped source.
    populated: Range<u64>,
    /// What was read by position last, and its bytes.
    window: Range<u64>,
    bytes: Slice,
}

impl Foresight {
    /// A block is about to be loaded, from wherever it is.
    #[inline]
    pub fn loads(&mut self, block: &Range<u64>) {
        let last = std::mem::replace(&mut self.last, block.clone());
        let forwards = gap::is_next(last.end, block.start);
        if !(forwards || gap::is_next(block.end, last.start)) {
            (self.streak, self.populated) = (0, 0..0);
            return;
        }
        if self.streak == 0 || forwards != self.forwards {
            (self.streak, self.forwards, self.step) = (0, forwards, FIRST);
            self.asked = if forwards { block.end } else { block.start };
        }
        self.streak += 1;
    }

    /// Whether the cache shall keep what is loaded. A cursor that has come far in one way leaves the cache to others: what it loads
    /// would push out what is asked for again and again, and to decode a block into memory that was just used takes less time
    /// than to bring in fresh memory for it.
    pub fn shall_keep(&self) -> bool {
        self.streak < FAR
    }

    /// The block that is loaded is none that the cache has. In a scan, asks for what comes next, of what lies between 0 and `limit`.
    /// Returns whether the block has been brought into memory, so that the caller need not: of a map, a scan forwards brings in what
    /// it will come to with one call for many blocks. A device that fails is told by the read that needs the block.
    pub fn bring_in(&mut self, source: &BlockSource, limit: u64) -> bool {
        if self.streak < STREAK {
            return false;
        }
        self.ask(source, limit);
        if !self.forwards || !source.is_mapped() || source.prefers_positions() {
            return false;
        }
        let block = &self.last;
        if self.populated.start <= block.start && block.end <= self.populated.end {
            return true;
        }
        let end = block.end.max(limit.min(block.start.saturating_add(self.step.min(WINDOW))));
        let window = block.start..end;
        let is_there = source.populate(window.start, (window.end - window.start) as usize).is_ok();
        self.populated = if is_there { window } else { 0..0 };
        is_there
    }

    /// The stored block that is loaded, by position. In a scan, asks for what comes next, of what lies between 0 and `limit`; one that has
    /// come far forwards reads many blocks with one call.
    ///
    /// # Errors
    /// As [`BlockSource::read`].
    pub fn read(&mut self, source: &BlockSource, limit: u64) -> Result<Slice> {
        self.bring_in(source, limit);
        let block = self.last.clone();
        let len = (block.end - block.start) as usize;
        if !self.forwards || self.streak < FAR {
            return source.read_at(block.start, len);
        }
        if block.start < self.window.start || self.window.end < block.end {
            (self.window, self.bytes) = (0..0, Slice::new());
            let end = block.end.max(limit.min(block.start.saturating_add(FAR_READ)));
            let Ok(bytes) = source.read_at(block.start, (end - block.start) as usize) else {
                // A block that cannot be read is the matter of who comes to it.
                return source.read_at(block.start, len);
            };
            (self.window, self.bytes) = (block.start..end, bytes);
        }
        let start = (block.start - self.window.start) as usize;
        Ok(self.bytes.slice(start..start + len))
    }

    /// Asks for the next step when less than half a step is left of what was asked for.
    fn ask(&mut self, source: &BlockSource, limit: u64) {
        let near = self.step / 2;
        if self.forwards {
            let from = self.asked.max(self.last.end);
            if from - self.last.end >= near || from >= limit {
                return;
            }
            let len = self.step.min(limit - from);
            source.advise(Advice::WillNeed, from, len);
            self.asked = from + len;
        } else {
            let to = self.asked.min(self.last.start);
            if self.last.start - to >= near || to == 0 {
                return;
            }
            let len = self.step.min(to);
            source.advise(Advice::WillNeed, to - len, len);
            self.asked = to - len;
        }
        self.step = (self.step * 2).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ByteSource;
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Recorded {
        mapped: bool,
        /// The device fails while this is set.
        failing: AtomicBool,
        calls: Mutex<Vec<String>>,
    }

    impl Recorded {
        fn new(mapped: bool) -> std::sync::Arc<Recorded> {
            std::sync::Arc::new(Recorded { mapped, failing: AtomicBool::new(false), calls: Mutex::default() })
        }

        fn device(&self) -> io::Result<()> {
            if self.failing.load(Ordering::Relaxed) {
                Err(io::Error::other("the device failed"))
            } else {
                Ok(())
            }
        }
    }

    impl ByteSource for Recorded {
        fn len(&self) -> u64 {
            8 << 20
        }
        fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
            self.device()?;
            self.calls.lock().unwrap().push(format!("read {offset} {len}"));
            Ok(Slice::from(vec![(offset >> 12) as u8; len]))
        }
        fn is_mapped(&self) -> bool {
            self.mapped
        }
        fn populate(&self, offset: u64, len: usize) -> io::Result<()> {
            self.device()?;
            self.calls.lock().unwrap().push(format!("populate {offset} {len}"));
            Ok(())
        }
        fn advise(&self, advice: Advice, offset: u64, len: u64) {
            self.calls.lock().unwrap().push(format!("{advice:?} {offset} {len}"));
        }
    }

    fn walk(mapped: bool) -> Vec<String> {
        let bytes = Recorded::new(mapped);
        let source = BlockSource::new(bytes.clone());
        let mut ahead = Readahead::new(3 << 20);
        for block in 0..768u64 {
            let block = block * 4096..(block + 1) * 4096;
            if mapped {
                ahead.populate(&source, &block).unwrap();
            } else {
                assert_eq!(ahead.read(&source, &block).unwrap().len(), 4096);
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
        let calls = walk(false);
        assert_eq!(calls.iter().filter(|call| call.starts_with("read")).count(), 12);
        assert_eq!(calls.iter().filter(|call| call.starts_with("WillNeed")).count(), 11);
    }

    #[test]
    fn a_window_that_could_not_be_brought_in_is_asked_for_again() {
        for mapped in [true, false] {
            let bytes = Recorded::new(mapped);
            let source = BlockSource::new(bytes.clone());
            let mut ahead = Readahead::new(3 << 20);
            let block = 8192..12288;
            let mut bring_in = || match mapped {
                true => ahead.populate(&source, &block),
                false => ahead.read(&source, &block).map(drop),
            };
            bytes.failing.store(true, Ordering::Relaxed);
            bring_in().unwrap_err();
            bring_in().unwrap_err();
            bytes.failing.store(false, Ordering::Relaxed);
            bring_in().unwrap();
            assert!(!bytes.calls.lock().unwrap().is_empty(), "nothing was brought in");
        }
    }

    /// The ranges that a cursor asks for which loads these blocks of 4 KiB.
    fn asked_for(blocks: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
        let bytes = Recorded::new(true);
        let source = BlockSource::new(bytes.clone());
        let mut foresight = Foresight::default();
        for block in blocks {
            foresight.loads(&(block * 4096..(block + 1) * 4096));
            foresight.bring_in(&source, 4 << 20);
        }
        let calls = bytes.calls.lock().unwrap();
        let numbers =
            |call: &String| -> Vec<u64> { call.split(' ').skip(1).map(|n| n.parse().unwrap()).collect() };
        let hints = calls.iter().filter(|call| call.starts_with("WillNeed "));
        hints.map(numbers).map(|n| n[0]..n[0] + n[1]).collect()
    }

    #[test]
    fn a_scan_is_foreseen_both_ways() {
        let upwards = asked_for(0..1024);
        assert!(upwards.len() < 30, "{} hints for 16 windows", upwards.len());
        assert!(upwards.windows(2).all(|w| w[0].end == w[1].start), "{upwards:?}");
        assert_eq!(upwards.first().unwrap().start, 3 * 4096);
        assert_eq!(upwards.last().unwrap().end, 4 << 20);
        let downwards = asked_for((0..1024).rev());
        assert!(downwards.windows(2).all(|w| w[1].end == w[0].start), "{downwards:?}");
        assert_eq!(downwards.last().unwrap().start, 0);
        assert!(downwards.len().abs_diff(upwards.len()) <= 1);
    }

    #[test]
    fn gaps_do_not_end_a_scan() {
        let bytes = Recorded::new(true);
        let source = BlockSource::new(bytes.clone());
        let blocks = |page: u64| [page * 4096..page * 4096 + 2000, page * 4096 + 2000..page * 4096 + 3900];
        let mut foresight = Foresight::default();
        let forwards: Vec<_> = (0..20).flat_map(blocks).collect();
        for block in forwards.iter().chain(forwards.iter().rev().skip(1)) {
            foresight.loads(block);
            foresight.bring_in(&source, 1 << 20);
        }
        assert!(!foresight.forwards);
        assert_eq!(foresight.streak as usize, forwards.len() - 1);
    }

    #[test]
    fn a_scan_forwards_brings_in_many_blocks_at_once() {
        let bytes = Recorded::new(true);
        let source = BlockSource::new(bytes.clone());
        let mut foresight = Foresight::default();
        let mut covers = |block: u64| {
            foresight.loads(&(block * 4096..(block + 1) * 4096));
            foresight.bring_in(&source, 8 << 20)
        };
        let covered = (0..1024).filter(|block| covers(*block)).count();
        assert_eq!(covered, 1024 - (STREAK as usize - 1));
        let calls = bytes.calls.lock().unwrap();
        let populated = calls.iter().filter(|call| call.starts_with("populate")).count();
        assert!(populated < 40, "{populated} calls");
        drop(calls);
        bytes.failing.store(true, Ordering::Relaxed);
        let there = (1024..1100).filter(|block| covers(*block)).count();
        assert!(there < 64, "{there} blocks are there though the device fails");
    }

    #[test]
    fn a_scan_that_has_come_far_reads_many_blocks_at_once() {
        let bytes = Recorded::new(false);
        let source = BlockSource::new(bytes.clone());
        let mut foresight = Foresight::default();
        let mut read = |block: u64| {
            foresight.loads(&(block * 4096..(block + 1) * 4096));
            foresight.read(&source, 1 << 20).map(|stored| stored.len())
        };
        assert!((0..256).all(|block| read(block).unwrap() == 4096));
        let reads = bytes.calls.lock().unwrap().iter().filter(|call| call.starts_with("read")).count();
        let far = (256 - FAR as usize) * 4096 / FAR_READ as usize;
        assert!((far..far + 2 + FAR as usize).contains(&reads), "{reads} reads");
        bytes.failing.store(true, Ordering::Relaxed);
        assert!((256..300).any(|block| read(block).is_err()));
        bytes.failing.store(false, Ordering::Relaxed);
        assert!((300..400).all(|block| read(block).unwrap() == 4096));
    }

    #[test]
    fn what_is_read_at_once_is_each_block_s_own() {
        let bytes: Vec<u8> = (0..400_000u32).map(|i| (i ^ (i >> 8)) as u8).collect();
        let source = BlockSource::from_memory(bytes.clone());
        let ends = (1..=300u64).map(|i| i * 900 + i * i % 700);
        let blocks: Vec<Range<u64>> =
            std::iter::once(0).chain(ends.clone()).zip(ends).map(|(a, b)| a..b).collect();
        let mut foresight = Foresight::default();
        let forwards = blocks.iter();
        let back = blocks[100..].iter().rev();
        let apart = blocks.iter().step_by(7);
        for block in forwards.chain(back).chain(apart).chain(&blocks[50..]) {
            foresight.loads(block);
            let stored = foresight.read(&source, bytes.len() as u64).unwrap();
            assert!(stored == bytes[block.start as usize..block.end as usize], "{block:?}");
        }
    }

    #[test]
    fn single_places_and_short_walks_ask_for_nothing() {
        assert!(asked_for([5, 90, 91, 92, 7, 6, 300, 301, 300, 301, 300].into_iter()).is_empty());
        // Turning round asks anew, in the other direction.
        let turned = asked_for((100..120).chain((80..119).rev()));
        assert!(turned.iter().any(|r| r.end <= 100 * 4096) && turned.iter().any(|r| r.start >= 120 * 4096));
    }
}
