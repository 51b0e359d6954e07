//! The hash index: from a user key to its newest entry, and at the same time the table's filter.
//!
//! ```text
//!   a line     0  tags           10 × u16   the low 16 bits of the hash
//!             20  locations      10 × u32   where the key's newest entry begins, in units of four bytes
//!             60  used           u8         how many of them, from the front
//!             61  overflowed     u8         1: a key that belongs here lies in a line behind
//!             62  zero           u16
//!             64
//!   a key belongs to line (high half of the hash × lines) >> 32; if that is full, to the next that is not, the first after the
//!   last
//! ```
//!
//! With ten places a line and six keys a line on average, nearly every lookup ends in one cache line; a key that is not there
//! meets an equal tag in one of some ten thousand.

use esker_table::filter::bloom::line_of;
use esker_table::layout::lines::LINE;

/// Places in a line.
const PLACES: usize = 10;
/// Keys for each line, on average.
const KEYS_A_LINE: usize = 6;

const LOCATIONS: usize = 2 * PLACES;
const USED: usize = LOCATIONS + 4 * PLACES;
const OVERFLOWED: usize = USED + 1;

/// The line that a search begins with.
#[inline]
pub(crate) fn first_line(hash: u64, lines: u32) -> u32 {
    line_of(hash, lines)
}

/// What a line says of a hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// A bit for each place whose tag is that of the hash.
    matching: u16,
    locations: [u32; PLACES],
    /// Whether the search goes on in the next line.
    pub(crate) goes_on: bool,
}

impl Places {
    /// Asks a line.
    #[inline]
    pub(crate) fn of(line: &[u8; LINE], hash: u64) -> Places {
        let (tags, _) = line[..LOCATIONS].as_chunks::<2>();
        let (numbers, _) = line[LOCATIONS..USED].as_chunks::<4>();
        let mut matching = 0;
        for (i, tag) in tags.iter().enumerate() {
            matching |= u16::from(u16::from_le_bytes(*tag) == hash as u16) << i;
        }
        let used = usize::from(line[USED]).min(PLACES);
        let mut locations = [0; PLACES];
        for (location, number) in locations.iter_mut().zip(numbers) {
            *location = u32::from_le_bytes(*number);
        }
        Places { matching: matching & ((1 << used) - 1), locations, goes_on: line[OVERFLOWED] != 0 }
    }

    /// Whether any tag is that of the hash.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.matching != 0
    }
}

impl Iterator for Places {
    type Item = u32;

    /// The location in the next place whose tag is that of the hash.
    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.matching == 0 {
            return None;
        }
        let place = self.matching.trailing_zeros() as usize;
        self.matching &= self.matching - 1;
        self.locations.get(place).copied()
    }
}

/// Collects keys and builds the index at the end, when their number is known.
#[derive(Debug, Default)]
pub(crate) struct HashBuilder {
    keys: Vec<(u64, u32)>,
}

impl HashBuilder {
    /// Adds a key by its hash, with the location of its newest entry.
    pub(crate) fn add(&mut self, hash: u64, location: u32) {
        self.keys.push((hash, location));
    }

    /// How many lines there will be.
    pub(crate) fn lines(&self) -> usize {
        self.keys.len().div_ceil(KEYS_A_LINE)
    }

    /// The lines. None if there are no keys.
    pub(crate) fn build(self) -> Vec<u8> {
        let count = self.lines();
        let mut out = vec![0; count * LINE];
        let (lines, _) = out.as_chunks_mut::<LINE>();
        for (hash, location) in self.keys {
            let mut at = first_line(hash, count as u32) as usize;
            while usize::from(lines[at][USED]) == PLACES {
                lines[at][OVERFLOWED] = 1;
                at = if at + 1 == count { 0 } else { at + 1 };
            }
            let line = &mut lines[at];
            let place = usize::from(line[USED]);
            line[2 * place..][..2].copy_from_slice(&(hash as u16).to_le_bytes());
            line[LOCATIONS + 4 * place..][..4].copy_from_slice(&location.to_le_bytes());
            line[USED] += 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use esker_table::key::filter_hash;

    /// The locations that a search meets, and how many lines it read.
    fn search(lines: &[[u8; LINE]], hash: u64) -> (Vec<u32>, usize) {
        let (mut found, mut read) = (Vec::new(), 0);
        let mut at = first_line(hash, lines.len() as u32) as usize;
        while read < lines.len() {
            let places = Places::of(&lines[at], hash);
            read += 1;
            found.extend(places);
            if !places.goes_on {
                break;
            }
            at = (at + 1) % lines.len();
        }
        (found, read)
    }

    #[test]
    fn every_key_is_found_and_hardly_any_other() {
        for keys in [1, 6, 7, 8, 70, 10_000] {
            let mut builder = HashBuilder::default();
            (0..keys).for_each(|i: u32| builder.add(filter_hash(&i.to_be_bytes()), i));
            let built = builder.build();
            let (lines, rest) = built.as_chunks::<LINE>();
            assert!(rest.is_empty());
            for i in 0..keys {
                assert!(search(lines, filter_hash(&i.to_be_bytes())).0.contains(&i));
            }
            let others = (keys..3 * keys).map(|i| search(lines, filter_hash(&i.to_be_bytes())));
            let (met, read) = others.fold((0, 0), |(met, read), (found, lines)| {
                (met + usize::from(!found.is_empty()), read + lines)
            });
            if keys == 10_000 {
                assert!(read < 22_500, "{read} lines were read for 20,000 keys that are not there");
                assert!(met <= 20, "{met} of 20,000 keys that are not there met a tag");
            }
        }
    }

    #[test]
    fn keys_with_one_hash_fill_line_after_line_and_come_round() {
        let mut builder = HashBuilder::default();
        (0..25).for_each(|i| builder.add(u64::MAX, i));
        let built = builder.build();
        let (lines, _) = built.as_chunks::<LINE>();
        assert_eq!(lines.len(), 5);
        let (found, read) = search(lines, u64::MAX);
        assert_eq!((found, read), ((0..25).collect(), 3));
    }
}
