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
//! That takes about half an entry for each page, and an eighth of a page at most. Entries that are longer may leave more than a gap can be; then
//! a block that is as small as entries allow lies across the boundary.

use esker_table::layout::gap::{self, MIN_GAP, PAGE};
use esker_table::layout::stored::FRAME;

/// What a stored block has besides its compressed body: its length and the frame.
const AROUND: u64 = FRAME as u64 + 4;

/// So much before a boundary the last block is planned to end, at least: how long it will be is only about known.
const MARGIN: u64 = 8;

/// A ratio of one.
const ONE: u64 = 1 << 16;

/// Plans where the data blocks of one table end.
pub(crate) struct Packing {
    block_size: u64,
    fit_pages: bool,
    /// What the bodies of the blocks before shrank to, the newest counting most, in parts of [`ONE`].
    ratio: Option<u64>,
    /// How far that was from the truth, likewise, in parts of [`ONE`] of a byte.
    spread: u64,
    /// How long the body of the block that is being filled shall become.
    goal: u64,
    end: End,
}

/// How a block is closed.
enum End {
    /// Before it would become longer than its goal.
    Below,
    /// As near to its goal as entries allow.
    Near,
    /// As soon as it has reached its goal; or before it would become longer than this, unless that makes a tiny block.
    Beyond(u64),
}

impl Packing {
    /// For blocks of about this size before compression.
    pub(crate) fn new(block_size: usize, fit_pages: bool) -> Packing {
        let goal = block_size as u64;
        Packing { block_size: goal, fit_pages, ratio: None, spread: 0, goal, end: End::Below }
    }

    /// How many zeros lie before a block that is written at `offset`, where another one ends.
    pub(crate) fn gap(&self, offset: u64) -> usize {
        if self.fit_pages { gap::after(offset) } else { 0 }
    }

    fn ratio(&self) -> u64 {
        self.ratio.unwrap_or(ONE).max(1)
    }

    /// How long a block is when it is stored whose body has so many bytes.
    fn stored(&self, body: u64) -> u64 {
        body * self.ratio() / ONE + AROUND
    }

    /// How long the body is of a block that takes so many bytes.
    fn body(&self, stored: u64) -> u64 {
        stored.saturating_sub(AROUND) * ONE / self.ratio()
    }

    /// Plans the block that begins after what ends at `offset`.
    pub(crate) fn plan(&mut self, offset: u64) {
        if !self.fit_pages {
            return;
        }
        let mut left = PAGE - (offset + self.gap(offset) as u64) % PAGE;
        if left < MIN_GAP as u64 {
            left += PAGE;
        }
        let margin = MARGIN + self.spread * 3 / 2 / ONE;
        let wanted = self.stored(self.block_size);
        let smallest = (wanted / 4 * 3).max(wanted.saturating_sub(PAGE / 2)) + margin;
        if smallest > PAGE {
            left += smallest.saturating_sub(left).next_multiple_of(PAGE);
        }
        if left < smallest {
            (self.goal, self.end) = (self.body(left), End::Beyond(self.body(left.saturating_sub(margin))));
            return;
        }
        let bodies = self.body(left - margin);
        let blocks = ((bodies + self.block_size / 2) / self.block_size).max(1);
        self.goal = bodies / blocks;
        self.end = if blocks == 1 { End::Below } else { End::Near };
    }

    /// Whether a block whose body has about `now` bytes is closed, since the next entry would make it `then`.
    pub(crate) fn is_full(&self, now: usize, then: usize) -> bool {
        let (now, then) = (now as u64, then as u64);
        match self.end {
            End::Below => then > self.goal,
            End::Near => then > self.goal && then - self.goal > self.goal.saturating_sub(now),
            End::Beyond(within) => {
                let is_enough = now >= self.block_size / 4;
                now >= self.goal || (then > within && is_enough) || then > self.block_size * 3 / 2
            }
        }
    }

    /// Takes note of a block whose body was estimated at `body` bytes and took `stored` bytes.
    pub(crate) fn learn(&mut self, body: usize, stored: u32) {
        let (body, stored) = (body as u64, u64::from(stored));
        // What is much shorter or longer, a large value or the rest before one, says little of the others.
        if !(self.block_size / 2..=self.block_size * 2).contains(&body) {
            return;
        }
        let seen = stored.saturating_sub(AROUND) * ONE / body.max(1);
        if self.ratio.is_some() {
            self.spread = (self.spread * 7 + self.stored(body).abs_diff(stored) * ONE) / 8;
        }
        self.ratio = Some(self.ratio.map_or(seen, |ratio| (ratio * 7 + seen) / 8));
    }

    /// Whether a block that takes `len` bytes may be written as it is after what ends at `offset` and after a body of `before` bytes
    /// that is still to be stored.
    pub(crate) fn suits(&self, offset: u64, before: Option<usize>, len: usize) -> bool {
        if !self.fit_pages || len as u64 > PAGE {
            return true;
        }
        let behind_gap = |end: u64| end + self.gap(end) as u64;
        let end = before.map_or(offset, |body| behind_gap(offset) + self.stored(body as u64));
        let start = behind_gap(end);
        // What is still to be stored would be closed where it stands. A small block is only worth it where pages and copies meet again.
        let is_small = before.is_some_and(|body| (body as u64) < self.block_size / 2);
        start % PAGE + len as u64 <= PAGE && (!is_small || start.is_multiple_of(PAGE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs entries of about `entry` bytes that shrink to about so many parts of a hundred. Returns where the blocks lie, and how
    /// long their bodies are together.
    fn pack(fit_pages: bool, entry: usize, percent: u64, vary: u64) -> Vec<(u64, u64)> {
        pack_blocks(&mut Packing::new(4096, fit_pages), entry, percent, vary, 4000).0
    }

    fn pack_blocks(
        packing: &mut Packing,
        entry: usize,
        percent: u64,
        vary: u64,
        blocks: usize,
    ) -> (Vec<(u64, u64)>, usize) {
        let (mut offset, mut found, mut bodies, mut random) = (0, Vec::new(), 0, 1u64);
        for _ in 0..blocks {
            packing.plan(offset);
            let mut body = 32 + entry;
            while !packing.is_full(body, body + entry) {
                body += entry;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let thousandths = 1000 + (random >> 33) % (2 * vary + 1) - vary;
            let stored = body as u64 * percent * thousandths / 100_000 + AROUND;
            packing.learn(body, stored as u32);
            bodies += body;
            let start = offset + packing.gap(offset) as u64;
            offset = start + stored;
            found.push((start, offset));
        }
        (found, bodies)
    }

    /// Of a thousand bytes in blocks, how many lie in blocks that lie across a boundary, and how many bytes are in gaps.
    fn across(blocks: &[(u64, u64)]) -> (u64, u64) {
        let len = |(start, end): &(u64, u64)| end - start;
        let stored: u64 = blocks.iter().map(len).sum();
        let across: u64 =
            blocks.iter().filter(|(start, end)| start / PAGE != (end - 1) / PAGE).map(len).sum();
        (across * 1000 / stored, (blocks.last().unwrap().1 - stored) * 1000 / stored)
    }

    #[test]
    fn blocks_lie_within_pages() {
        for (entry, percent) in [(130, 55), (1040, 52), (60, 70), (300, 40), (1000, 20), (130, 100)] {
            let blocks = pack(true, entry, percent, 0);
            let (across, gaps) = across(&blocks[8..]);
            assert!(across < 20, "{entry} at {percent}: {across} across");
            assert!(gaps < 75, "{entry} at {percent}: {gaps} in gaps");
            for pair in blocks.windows(2) {
                assert!(gap::is_next(pair[0].1, pair[1].0) && pair[1].0 - pair[0].1 <= gap::MAX_GAP as u64);
            }
        }
    }

    #[test]
    fn most_blocks_lie_within_pages_where_they_compress_differently() {
        for (vary, most) in [(10, 100), (50, 200)] {
            let blocks = pack(true, 130, 55, vary);
            let (across, gaps) = across(&blocks[8..]);
            assert!(across < most && gaps < 60, "{vary}: {across} across, {gaps} in gaps");
        }
    }

    #[test]
    fn entries_that_leave_more_than_a_gap_lie_across_alone() {
        for entry in [700, 890, 1010, 1040, 1100, 1400, 1900, 2500] {
            let blocks = |fit_pages| pack(fit_pages, entry, 100, 0);
            let ((with, gaps), (without, _)) = (across(&blocks(true)[8..]), across(&blocks(false)[8..]));
            assert!(with <= without, "{entry}: {with} instead of {without}");
            assert!(gaps < 143, "{entry}: {gaps} in gaps");
        }
    }

    #[test]
    fn blocks_have_about_the_size_that_was_asked_for() {
        for block_size in [64, 1000, 4096, 10_000, 64 << 10, 1 << 20, 16 << 20] {
            for percent in [1, 10, 50, 100] {
                let mut packing = Packing::new(block_size, true);
                // It learns how they compress first.
                pack_blocks(&mut packing, 16, percent, 0, 8);
                let body = pack_blocks(&mut packing, 16, percent, 0, 50).1 / 50;
                assert!(body * 10 >= block_size * 8 - 200, "{block_size} at {percent}: {body}");
                assert!(body * 10 <= block_size * 13 + 200, "{block_size} at {percent}: {body}");
            }
        }
    }

    #[test]
    fn a_block_is_copied_where_it_lies_within_a_page() {
        let packing = Packing::new(4096, true);
        assert!(packing.suits(0, None, 4096));
        assert!(packing.suits(1000, None, 3096));
        assert!(!packing.suits(1000, None, 3097));
        assert!(packing.suits(3700, None, 4096), "behind the gap");
        assert!(packing.suits(1000, None, 5000), "none lies within a page");
        // Behind a body of 2100 bytes.
        assert!(packing.suits(0, Some(2100), 1900));
        assert!(!packing.suits(0, Some(2100), 2000));
        assert!(!packing.suits(0, Some(1000), 2000), "the block before would be small");
        assert!(packing.suits(2700, Some(1000), 4000), "but a page begins behind it");
        assert!(Packing::new(4096, false).suits(4000, None, 3000));
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
