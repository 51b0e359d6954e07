//! [`Lz4`]: LZ4 blocks, decoded as far as somebody needs them.
//!
//! A lookup needs the front of a block and one value, so what lies behind that value need not be decoded. And tables are full of
//! short runs (padding, counters, repeated words), whose matches overlap what they write: these are copied sixteen bytes at a
//! time too. Blocks are written by lz4_flex.
//!
//! ```text
//!   a block is a list of sequences             ┌───────┬──────────────┬──────────┬───────────┬──────────────┐
//!   the last ends behind its literals          │ token │ more of n  * │ n bytes  │ offset u16│ more of m  * │
//!   * n, m = 15 in the token: bytes are added  │ n, m  │              │ literals │           │              │
//!     to it up to and with one that is not 255 └───────┴──────────────┴──────────┴───────────┴──────────────┘
//!   a match copies m + 4 bytes from `offset` bytes before where it writes
//! ```
//!
//! The format is that of <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>.
//!
//! This file holds `unsafe`. The argument: every copy writes at `len` of a [`Growing`], after the length of what is to be
//! written was held against the capacity; copies in whole steps go at most [`SLACK`] bytes beyond, which the memory has. A
//! match reads what was written before, its offset being held against `len`. Literals are read in whole steps only if so many
//! bytes of input are left. Damaged input leads to an error or to other bytes, and to no access outside.

#![allow(unsafe_code)]

use crate::slice::{Growing, SLACK};
use std::ptr::copy_nonoverlapping;

/// What is copied at once.
const STEP: usize = 16;
const _: () = assert!(SLACK >= 2 * STEP);

/// The shortest match.
const SHORTEST: usize = 4;

/// For each offset below [`STEP`] its smallest multiple that is 8 or more, and 16 or more: a run repeats at that distance too.
const FARTHER: [[u8; STEP]; 2] = {
    let mut table = [[0; STEP]; 2];
    let mut offset = 1;
    while offset < STEP {
        table[0][offset] = (8usize.div_ceil(offset) * offset) as u8;
        table[1][offset] = (STEP.div_ceil(offset) * offset) as u8;
        offset += 1;
    }
    table
};

/// A block that is being decoded.
#[derive(Debug)]
pub(super) struct Lz4<'a> {
    input: &'a [u8],
    at: usize,
}

/// Why a block cannot be decoded.
type Damage = &'static str;

const CUT: Damage = "lz4: it ends within a sequence";

impl<'a> Lz4<'a> {
    pub(super) fn new(input: &'a [u8]) -> Lz4<'a> {
        Lz4 { input, at: 0 }
    }

    /// Whether all of the input was decoded. What may follow a match at the very end is a sequence without literals.
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self.input.get(self.at..), Some([] | [0]))
    }

    /// The rest of a length that begins with 15.
    #[inline]
    fn more(input: &[u8], at: &mut usize) -> Result<usize, Damage> {
        let mut sum = 0usize;
        loop {
            let byte = *input.get(*at).ok_or(CUT)?;
            *at += 1;
            sum = sum.saturating_add(usize::from(byte));
            if byte != 255 {
                return Ok(sum);
            }
        }
    }

    /// Decodes whole sequences until `out` has at least `target` bytes, of which there are at most as many as its capacity.
    ///
    /// # Errors
    /// The block is damaged, or has fewer bytes.
    pub(super) fn reach(&mut self, out: &mut Growing, target: usize) -> Result<(), Damage> {
        let (capacity, mut len, base) = (out.capacity(), out.len(), out.as_mut_ptr());
        let (input, mut at) = (self.input, self.at);
        while len < target {
            let token = *input.get(at).ok_or("lz4: it has fewer bytes than it says")?;
            at += 1;
            let mut literals = usize::from(token >> 4);
            if literals == 15 {
                literals = Self::more(input, &mut at)?.saturating_add(literals);
            }
            if literals > input.len() - at {
                return Err(CUT);
            }
            if literals > capacity - len {
                return Err("lz4: it has more bytes than it says");
            }
            // SAFETY: `literals` bytes of input are left, and so many may be written, see the head of this file.
            unsafe { copy_literals(&input[at..], base.add(len), literals) };
            (at, len) = (at + literals, len + literals);
            if at == input.len() {
                break;
            }
            let offset = *input.get(at..).and_then(|rest| rest.first_chunk::<2>()).ok_or(CUT)?;
            let offset = usize::from(u16::from_le_bytes(offset));
            at += 2;
            let mut matched = usize::from(token & 15) + SHORTEST;
            if matched == 15 + SHORTEST {
                matched = Self::more(input, &mut at)?.saturating_add(matched);
            }
            if offset == 0 || offset > len {
                return Err("lz4: a match lies before the block");
            }
            if matched > capacity - len {
                return Err("lz4: it has more bytes than it says");
            }
            // SAFETY: so many bytes may be written, and the match begins within what was, see the head of this file.
            unsafe { copy_match(base.add(len), offset, matched) };
            len += matched;
        }
        // SAFETY: everything before `len`, which is at most the capacity, was written.
        unsafe { out.set_len(len) };
        self.at = at;
        if len < target { Err("lz4: it has fewer bytes than it says") } else { Ok(()) }
    }
}

/// Copies `n` bytes, in whole steps if there is so much input.
///
/// # Safety
/// `from` has at least `n` bytes. `n + STEP - 1` bytes may be written at `to`, which lie elsewhere.
#[inline]
unsafe fn copy_literals(from: &[u8], to: *mut u8, n: usize) {
    let whole_steps = n.next_multiple_of(STEP);
    if from.len() < whole_steps {
        // SAFETY: the caller's.
        unsafe { copy_nonoverlapping(from.as_ptr(), to, n) };
        return;
    }
    let mut done = 0;
    while done < n {
        // SAFETY: `done + STEP` is at most `whole_steps`, which are there to be read and may be written.
        unsafe { copy_nonoverlapping(from.as_ptr().add(done), to.add(done), STEP) };
        done += STEP;
    }
}

/// Writes `n` bytes at `to` that repeat what lies `offset` bytes before.
///
/// # Safety
/// The `offset` bytes before `to` were written; `offset` is not 0. `n + 2 * STEP` bytes may be written at `to`.
#[inline]
unsafe fn copy_match(to: *mut u8, offset: usize, n: usize) {
    let (mut done, mut distance) = (0, offset);
    // SAFETY: each copy reads in front of what it writes, at least as far as it is long, what was written before: by the caller for
    // the first, by the copies before for the others, whose distance is a multiple of the offset and below the sum of it
    // and of what they have written. None writes beyond `n + 2 * STEP`.
    unsafe {
        if offset < STEP {
            if offset < 8 {
                for i in 0..8 {
                    *to.add(i) = *to.add(i).sub(offset);
                }
            } else {
                copy_nonoverlapping(to.sub(offset), to, 8);
            }
            let near = usize::from(FARTHER[0][offset]);
            copy_nonoverlapping(to.add(8).sub(near), to.add(8), 8);
            (done, distance) = (STEP, usize::from(FARTHER[1][offset]));
        }
        while done < n {
            copy_nonoverlapping(to.add(done).sub(distance), to.add(done), STEP);
            done += STEP;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like chance, below `below`.
    fn draw(seed: &mut u64, below: usize) -> usize {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize % below
    }

    /// Bytes that repeat what came before at all distances, for lengths that reach over all the cases.
    fn repetitive(seed: &mut u64, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < len {
            let (longest, farthest) = ([8, 30, 300][draw(seed, 3)], [9, 20, 5000][draw(seed, 3)]);
            let n = 1 + draw(seed, longest);
            if bytes.is_empty() || draw(seed, 2) == 0 {
                bytes.extend((0..n).map(|_| draw(seed, 256) as u8));
            } else {
                let distance = 1 + draw(seed, bytes.len().min(farthest));
                (0..n).for_each(|_| bytes.push(bytes[bytes.len() - distance]));
            }
        }
        bytes.truncate(len);
        bytes
    }

    fn decode(input: &[u8], capacity: usize, targets: &[usize]) -> Result<Vec<u8>, Damage> {
        let (mut out, mut lz4) = (Growing::with_capacity(capacity), Lz4::new(input));
        for &target in targets {
            lz4.reach(&mut out, target)?;
            assert!(out.len() >= target && out.len() <= capacity);
        }
        lz4.reach(&mut out, capacity)?;
        if lz4.is_at_end() { Ok(out.freeze().to_vec()) } else { Err("something follows") }
    }

    const ROUNDS: usize = if cfg!(miri) { 10 } else { 3000 };

    #[test]
    fn what_lz4_flex_wrote_is_decoded_in_one_go_and_in_several() {
        let mut seed = 1;
        for _ in 0..ROUNDS {
            let len = 1 + draw(&mut seed, 6000);
            let plain = repetitive(&mut seed, len);
            let stored = lz4_flex::block::compress(&plain);
            assert!(decode(&stored, len, &[]).unwrap() == plain);
            let mut targets: Vec<usize> = (0..4).map(|_| draw(&mut seed, len)).collect();
            targets.sort_unstable();
            assert!(decode(&stored, len, &targets).unwrap() == plain);
            let (mut out, mut lz4) = (Growing::with_capacity(len), Lz4::new(&stored));
            lz4.reach(&mut out, targets[0]).unwrap();
            assert!(plain.starts_with(out.written()));
        }
    }

    #[test]
    fn what_is_damaged_is_told_or_decodes_as_lz4_flex_does() {
        let (mut seed, mut refused) = (2, 0);
        for _ in 0..ROUNDS {
            let len = 1 + draw(&mut seed, 3000);
            let plain = repetitive(&mut seed, len);
            let mut stored = lz4_flex::block::compress(&plain);
            for _ in 0..1 + draw(&mut seed, 3) {
                let at = draw(&mut seed, stored.len());
                stored[at] = [0, 255, 15, 240, draw(&mut seed, 256) as u8][draw(&mut seed, 5)];
            }
            if draw(&mut seed, 3) == 0 {
                stored.truncate(draw(&mut seed, stored.len()));
            }
            let capacity = (len + draw(&mut seed, 3)).saturating_sub(1);
            match decode(&stored, capacity, &[]) {
                Ok(bytes) => assert!(lz4_flex::block::decompress(&stored, capacity).unwrap() == bytes),
                Err(_) => {
                    refused += 1;
                    let theirs = lz4_flex::block::decompress(&stored, capacity);
                    assert!(!theirs.is_ok_and(|bytes| bytes.len() == capacity));
                }
            }
        }
        assert!(refused > ROUNDS / 2, "{refused}");
    }
}
