//! [`Packing`]: where data blocks end, and whether they lie within the pages of the system.
//!
//! A block that lies across a boundary between pages takes both of them of the device, and of the system's cache. A block of half
//! a page, which is what compression leaves of one, does so more often than not. A table that is to be read from the
//! device is therefore laid in pages: the writer foresees how long a block will be when it is stored, ends the last one before each
//! boundary there, and leaves a gap where little is left.
//!
//! ```text
//!   page                             page                             page
//!   ┌──────────────┬──────────────┬─┬──────────────┬──────────────┬──┬───
//!   │ block        │ block        │0│ block        │ block        │0 │ ...
//!   └──────────────┴──────────────┴─┴──────────────┴──────────────┴──┴───
//! ```
//!
//! That takes about half an entry for each page, and the blocks are a little smaller.

use esker_table::layout::gap::{self, PAGE};
use esker_table::layout::stored::FRAME;

/// What a stored block has besides its compressed body: its length and the frame.
const AROUND: u64 = FRAME as u64 + 4;

/// So much before a boundary the last block is planned to end: how long it will be is only about known.
const MARGIN: u64 = 16;

/// A ratio of one.
const ONE: u64 = 1 << 16;

/// Plans where the data blocks of one table end.
pub(crate) struct Packing {
    block_size: u64,
    fits_pages: bool,
    /// What the bodies of the blocks before shrank to, the newest counting most, in parts of [`ONE`].
    ratio: Option<u64>,
    /// How long the body of the block that is being filled shall become.
    goal: u64,
    /// Whether it shall not become longer; otherwise it is closed as near to the goal as entries allow.
    is_limit: bool,
}

impl Packing {
    /// For blocks of about this size before compression.
    pub(crate) fn new(block_size: usize, fits_pages: bool) -> Packing {
        let goal = block_size as u64;
        Packing { block_size: goal, fits_pages, ratio: None, goal, is_limit: true }
    }

    /// How many zeros lie before a block that is written at `offset`, where another one ends.
    pub(crate) fn gap(&self, offset: u64) -> usize {
        if self.fits_pages { gap::after(offset) } else { 0 }
    }

    /// Plans the block that begins after what ends at `offset`.
    pub(crate) fn plan(&mut self, offset: u64) {
        if !self.fits_pages {
            return;
        }
        let ratio = self.ratio.unwrap_or(ONE).max(1);
        let smallest = self.block_size * 3 / 4 * ratio / ONE + AROUND + MARGIN;
        let left = PAGE - (offset + self.gap(offset) as u64) % PAGE;
        let room = left + smallest.saturating_sub(left).next_multiple_of(PAGE);
        let bodies = (room - AROUND - MARGIN) * ONE / ratio;
        let blocks = ((bodies + self.block_size / 2) / self.block_size).max(1);
        self.goal = bodies / blocks;
        self.is_limit = blocks == 1;
    }

    /// Whether a block whose body has about `now` bytes is closed, since the next entry would make it `then`.
    pub(crate) fn is_full(&self, now: usize, then: usize) -> bool {
        let (now, then) = (now as u64, then as u64);
        then > self.goal && (self.is_limit || then - self.goal > self.goal.saturating_sub(now))
    }

    /// Takes note of a block whose body was estimated at `body` bytes and took `stored` bytes.
    pub(crate) fn learn(&mut self, body: usize, stored: u32) {
        let seen = u64::from(stored).saturating_sub(AROUND) * ONE / (body as u64).max(1);
        self.ratio = Some(self.ratio.map_or(seen, |ratio| (ratio * 7 + seen) / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs entries of `entry` bytes that shrink to the given parts of a hundred. Returns where the blocks lie.
    fn pack(packing: &mut Packing, entry: usize, percent: usize, blocks: usize) -> Vec<(u64, u64)> {
        let (mut offset, mut found) = (0, Vec::new());
        for _ in 0..blocks {
            packing.plan(offset);
            let mut body = 32 + entry;
            while !packing.is_full(body, body + entry) {
                body += entry;
            }
            let stored = (body * percent / 100) as u64 + AROUND;
            packing.learn(body, stored as u32);
            let start = offset + packing.gap(offset) as u64;
            offset = start + stored;
            found.push((start, offset));
        }
        found
    }

    #[test]
    fn blocks_lie_within_pages() {
        for (entry, percent) in [(130, 55), (1040, 52), (60, 70), (300, 40), (1000, 20)] {
            let blocks = pack(&mut Packing::new(4096, true), entry, percent, 4000);
            let across =
                blocks.iter().skip(8).filter(|(start, end)| start / PAGE != (end - 1) / PAGE).count();
            let stored: u64 = blocks.iter().map(|(start, end)| end - start).sum();
            let end = blocks.last().unwrap().1;
            assert!(across < blocks.len() / 50, "{entry} at {percent}: {across} of {}", blocks.len());
            assert!((end - stored) * 14 <= end, "{entry} at {percent}: {stored} of {end}");
            assert!(
                blocks.windows(2).all(|pair| pair[1].0 == pair[0].1 || pair[1].0 % PAGE == 0),
                "gaps end where pages begin"
            );
        }
    }

    #[test]
    fn blocks_have_about_the_size_that_was_asked_for() {
        for block_size in [64, 1000, 4096, 10_000, 1 << 20, 16 << 20] {
            for percent in [1, 10, 50, 100] {
                let mut packing = Packing::new(block_size, true);
                for (start, end) in pack(&mut packing, 16, percent, 60).into_iter().skip(8) {
                    let body = (end - start - AROUND) as usize * 100 / percent;
                    assert!(body * 10 + 2000 >= block_size * 7, "{block_size} at {percent}: {body}");
                    assert!(body * 10 <= block_size * 16 + 2000, "{block_size} at {percent}: {body}");
                }
            }
        }
    }

    #[test]
    fn without_pages_a_block_ends_at_its_size() {
        let mut packing = Packing::new(4096, false);
        packing.learn(4000, 1000);
        packing.plan(4000);
        assert!(!packing.is_full(4000, 4096));
        assert!(packing.is_full(4000, 4097));
        assert_eq!(packing.gap(4000), 0);
    }
}
