//! The ordered index: a search tree over the heads of groups of entries, without pointers.
//!
//! Entries next to each other form a *group*; the index knows the first of each, by its head (the eight key bytes behind the
//! prefix that all keys of the table share) and its location. Equal heads are told apart by the entries themselves.
//!
//! ```text
//!   a leaf      0  heads        5 × u64   of groups 5n, 5n + 1, ...; beyond the last group: 2^64 − 1
//!              40  locations    5 × u32   beyond the last group: 2^32 − 1
//!              60  zero         u32
//!   an inner    0  heads        8 × u64   the first of children 9n + 1, 9n + 2, ...; beyond the last child: 2^64 − 1
//!
//!   levels lie one behind the other, from the root down to the leaves; each has a ninth of the lines of the next, rounded up
//! ```
//!
//! A step down costs one cache line, of which all is used; of half a million small entries six lines are read.

use esker_table::key;
use esker_table::layout::lines::LINE;

/// Groups in a leaf.
pub(crate) const LEAF_GROUPS: usize = 5;
/// Children of an inner line.
const CHILDREN: usize = 9;

const LOCATIONS: usize = 8 * LEAF_GROUPS;

/// A group is closed when it has so many entries,
pub(crate) const GROUP_ENTRIES: usize = 4;
/// or so many units of data.
const GROUP_UNITS: u32 = 1024 / crate::entry::UNIT as u32;

/// How the lines of an index over so many groups are divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// The first line of each level, from the root; the last is that of the leaves.
    starts: Vec<u32>,
    /// Lines of each level.
    counts: Vec<u32>,
}

impl Levels {
    /// The levels of an index over `groups`, of which there is at least one.
    pub(crate) fn of(groups: u32) -> Levels {
        let mut counts = vec![groups.div_ceil(LEAF_GROUPS as u32)];
        while let Some(&below) = counts.last()
            && below > 1
        {
            counts.push(below.div_ceil(CHILDREN as u32));
        }
        counts.reverse();
        let starts = counts
            .iter()
            .scan(0, |next, count| {
                let start = *next;
                *next += count;
                Some(start)
            })
            .collect();
        Levels { starts, counts }
    }

    /// All lines.
    pub(crate) fn lines(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// The first line of the leaves.
    #[inline]
    pub(crate) fn leaves(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Memory on the heap, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        (self.starts.len() + self.counts.len()) * size_of::<u32>()
    }

    /// The lines of the inner levels, from the root: their first line and how many lines the level below has.
    #[inline]
    pub(crate) fn inner(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.starts.iter().copied().zip(self.counts.iter().skip(1).copied())
    }
}

/// The child that the first group whose head is at least `head` lies in, or follows directly.
#[inline]
pub(crate) fn child_of(inner: &[u8; LINE], node: u32, head: u64, below: u32) -> u32 {
    let (heads, _) = inner.as_chunks::<8>();
    let before: u32 = heads.iter().map(|bytes| u32::from(u64::from_le_bytes(*bytes) < head)).sum();
    (node * CHILDREN as u32 + before).min(below - 1)
}

/// How many groups of a leaf have a head below `head`.
#[inline]
pub(crate) fn below_in(leaf: &[u8; LINE], head: u64) -> u32 {
    let (heads, _) = leaf[..LOCATIONS].as_chunks::<8>();
    heads.iter().map(|bytes| u32::from(u64::from_le_bytes(*bytes) < head)).sum()
}

/// The head and the location of the group in this place of a leaf.
#[inline]
pub(crate) fn group_in(leaf: &[u8; LINE], place: usize) -> (u64, u32) {
    let (heads, _) = leaf[..LOCATIONS].as_chunks::<8>();
    let (locations, _) = leaf[LOCATIONS..LOCATIONS + 4 * LEAF_GROUPS].as_chunks::<4>();
    (u64::from_le_bytes(heads[place]), u32::from_le_bytes(locations[place]))
}

/// A group as the builder keeps it: so much of its first key that the head can be told once the common prefix is known.
#[derive(Clone, Copy, Debug)]
struct Group {
    location: u32,
    /// How long the common prefix still was.
    shared: u16,
    /// The head behind that.
    head: u64,
}

/// Collects entries, makes groups of them, and builds the index at the end.
///
/// The prefix that all keys share only shrinks as keys come. So of a group's first key eight bytes are kept: what lies
/// before them is the first key's, and what the prefix loses later goes in front of them.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    groups: Vec<Group>,
    first_key: Option<Vec<u8>>,
    shared: usize,
    entries: usize,
}

impl IndexBuilder {
    /// Adds the entry at `location`. Entries come in order.
    pub(crate) fn add(&mut self, user_key: &[u8], location: u32) {
        match &self.first_key {
            None => {
                self.first_key = Some(user_key.to_vec());
                self.shared = user_key.len();
            }
            Some(first) => {
                let alike = first[..self.shared].iter().zip(user_key).take_while(|(a, b)| a == b);
                self.shared = alike.count();
            }
        }
        let is_full = self
            .groups
            .last()
            .is_none_or(|group| self.entries >= GROUP_ENTRIES || location - group.location >= GROUP_UNITS);
        if is_full {
            let head = key::head(&user_key[self.shared..]);
            self.groups.push(Group { location, shared: self.shared as u16, head });
            self.entries = 0;
        }
        self.entries += 1;
    }

    /// The number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The prefix that all keys share, and the lines; nothing if there are no entries.
    pub(crate) fn build(self) -> (Vec<u8>, Vec<u8>) {
        let Some(first_key) = self.first_key else { return (Vec::new(), Vec::new()) };
        let prefix = first_key[..self.shared].to_vec();
        let groups: Vec<(u64, u32)> = self
            .groups
            .iter()
            .map(|group| {
                let lost = &first_key[prefix.len()..usize::from(group.shared)];
                let kept = group.head.to_be_bytes();
                (key::head(&[lost, &kept].concat()), group.location)
            })
            .collect();
        let levels = Levels::of(groups.len() as u32);
        let mut out = Vec::with_capacity(levels.lines() as usize * LINE);
        // The heads of the first groups under each line of a level, from the leaves up.
        let mut firsts: Vec<Vec<u64>> =
            vec![groups.iter().step_by(LEAF_GROUPS).map(|group| group.0).collect()];
        while firsts.len() < levels.counts.len() {
            let below = &firsts[firsts.len() - 1];
            firsts.push(below.iter().copied().step_by(CHILDREN).collect());
        }
        for children in firsts[..firsts.len() - 1].iter().rev() {
            for line in children.chunks(CHILDREN) {
                let heads = line[1..].iter().copied().chain(std::iter::repeat(u64::MAX)).take(CHILDREN - 1);
                heads.for_each(|head| out.extend_from_slice(&head.to_le_bytes()));
            }
        }
        for leaf in groups.chunks(LEAF_GROUPS) {
            let padded =
                || leaf.iter().copied().chain(std::iter::repeat((u64::MAX, u32::MAX))).take(LEAF_GROUPS);
            padded().for_each(|(head, _)| out.extend_from_slice(&head.to_le_bytes()));
            padded().for_each(|(_, location)| out.extend_from_slice(&location.to_le_bytes()));
            out.extend_from_slice(&[0; 4]);
        }
        debug_assert_eq!(out.len(), levels.lines() as usize * LINE);
        (prefix, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of groups whose head is below `head`, found as a reader does.
    fn search(lines: &[[u8; LINE]], levels: &Levels, head: u64) -> u32 {
        let mut node = 0;
        for (start, below) in levels.inner() {
            node = child_of(&lines[(start + node) as usize], node, head, below);
        }
        node * LEAF_GROUPS as u32 + below_in(&lines[(levels.leaves() + node) as usize], head)
    }

    #[test]
    fn the_search_finds_what_a_linear_one_does() {
        for entries in [1usize, 8, 9, 40, 41, 360, 361, 5000] {
            let mut builder = IndexBuilder::default();
            let key = |i: usize| format!("common/{:07}", i * 3).into_bytes();
            (0..entries).for_each(|i| builder.add(&key(i), (i * 8) as u32));
            let groups = builder.groups();
            assert_eq!(groups, entries.div_ceil(GROUP_ENTRIES));
            let (prefix, lines) = builder.build();
            let (lines, _) = lines.as_chunks::<LINE>();
            let levels = Levels::of(groups as u32);
            assert_eq!(lines.len(), levels.lines() as usize);
            let heads: Vec<u64> =
                (0..groups).map(|group| key::head(&key(group * GROUP_ENTRIES)[prefix.len()..])).collect();
            for i in 0..entries * 3 + 9 {
                let target = format!("common/{i:07}").into_bytes();
                let head = key::head(&target[prefix.len().min(target.len())..]);
                let expected = heads.iter().filter(|&&h| h < head).count() as u32;
                if target.starts_with(&prefix) {
                    assert_eq!(search(lines, &levels, head), expected, "{i} among {entries}");
                }
            }
            let leaf = &lines[levels.leaves() as usize];
            assert_eq!(group_in(leaf, 0), (heads[0], 0));
        }
    }

    #[test]
    fn heads_are_those_behind_the_prefix_that_is_left_in_the_end() {
        let mut builder = IndexBuilder::default();
        let keys: [&[u8]; 4] = [b"ab", b"abc", b"abcdefghijkl", b"ax"];
        for (i, key) in keys.iter().enumerate() {
            builder.add(key, (i as u32) * GROUP_UNITS);
        }
        let (prefix, lines) = builder.build();
        assert_eq!(prefix, b"a");
        let leaf = lines.first_chunk().unwrap();
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(group_in(leaf, i), (key::head(&key[1..]), i as u32 * GROUP_UNITS));
        }
        assert_eq!(group_in(leaf, 4), (u64::MAX, u32::MAX));
    }
}
