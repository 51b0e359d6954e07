//! Reading what is intact of a file that cannot be opened.
//!
//! Entries do not carry checksums, their pages do: an entry is intact if all of its pages are. Where one is not, the chain from
//! entry to entry breaks, and the ordered index, as far as it is intact, says where the next group begins. If the end of the file is
//! lost, so that nothing says where the checksums lie, they are searched for: they begin at a multiple of a line, with those of the
//! first pages, and where they begin the data has ended. Behind them, leaves of the ordered index can be told from other lines.

use crate::data::{LINE_SUMS, PAGE};
use crate::entry::{Entry, UNIT};
use crate::index::{self, LEAF_GROUPS};
use crate::{expected, sections};
use esker_table::codec::checksum::crc32c;
use esker_table::layout::lines::{LINE, PAGE as LINES_PAGE, PAGE_LINES, paged_len};
use esker_table::layout::tail::Tail;
use esker_table::{BlockSource, EachEntry, Kind, Result, TableError};
use std::ops::Range;

/// Hands every entry of every intact page to `each`, but for those between a damaged page and the next group.
pub(crate) fn salvage(source: &BlockSource, each: &mut EachEntry<'_>) -> Result<()> {
    let len = source.len();
    source.populate(0, usize::try_from(len).unwrap_or(usize::MAX))?;
    let file = source.read(0, usize::try_from(len).unwrap_or(usize::MAX))?;
    let Some(layout) = Layout::of(source, &file)? else { return Ok(()) };
    let data = &file[..layout.data_len];
    let mut groups = layout.groups.iter().copied();
    let mut next = Some(0);
    while let Some(mut at) = next {
        while let Some(entry) = whole_entry(data, at, &layout.intact) {
            each(entry.key(data), entry.trailer, entry.value_bytes(data));
            at = entry.end;
        }
        next = groups.find(|&group| group > at);
    }
    Ok(())
}

/// The entry at `at`, if every page that it lies in is intact and it can be one.
fn whole_entry(data: &[u8], at: usize, intact: &[bool]) -> Option<Entry> {
    let is_intact =
        |from: usize, to: usize| (from / PAGE..to.div_ceil(PAGE)).all(|page| intact.get(page) == Some(&true));
    // The first page is known to be intact before its bytes are believed; a header may reach into the next.
    if !is_intact(at, at + 1) {
        return None;
    }
    let entry = Entry::decode(data, at)?;
    let fits = entry.end <= data.len();
    let is_kind = !matches!(entry.trailer.kind(), None | Some(Kind::RangeDelete));
    (fits && is_kind && is_intact(at, entry.value_end())).then_some(entry)
}

/// What is known of a damaged file.
struct Layout {
    data_len: usize,
    /// For each page of the data, whether its checksum is there and right.
    intact: Vec<bool>,
    /// Where groups begin, ascending, as far as the index is intact.
    groups: Vec<usize>,
}

impl Layout {
    fn of(source: &BlockSource, file: &[u8]) -> Result<Option<Layout>> {
        let tail = match Tail::read(source, &expected()) {
            Ok(tail) => tail,
            Err(TableError::Io(error)) => return Err(TableError::Io(error)),
            Err(_) => return Ok(Layout::searched(file)),
        };
        let section = |kind| {
            let section = tail.sections.get(kind)?;
            Some(usize::try_from(section.offset).ok()?..usize::try_from(section.end()).ok()?)
        };
        let (Some(data), Some(sums)) = (section(sections::DATA), section(sections::CHECKSUMS)) else {
            return Ok(None);
        };
        if data.start != 0 || data.end > file.len() {
            return Ok(None);
        }
        let index = section(sections::INDEX).unwrap_or_default();
        Ok(Some(Layout::new(file, data.end, sums.start, index)))
    }

    /// Without the end of the file.
    fn searched(file: &[u8]) -> Option<Layout> {
        let first: Vec<u32> = file.chunks_exact(PAGE).take(LINE_SUMS).map(crc32c).collect();
        let sums = (LINE..file.len()).step_by(LINE).find(|&at| {
            // One equal number may be chance where there are many to compare, and one page may be damaged.
            let whole = first.len().min(at / PAGE);
            let right = (0..whole).filter(|&page| sum_in(file, at, page) == Some(first[page])).count();
            // Of little data the last page counts too, which may be the only one.
            let is_short = at <= LINE_SUMS * PAGE;
            (right > 0 && 2 * right >= whole) || (is_short && end_of_data(file, at, LINE).is_some())
        })?;
        // If the last page is damaged, nothing says how long it is, and it matters no more.
        let data_len = end_of_data(file, sums, LINES_PAGE).unwrap_or(sums / PAGE * PAGE);
        let lines = sums.div_ceil(PAGE).div_ceil(LINE_SUMS);
        let behind = sums.saturating_add(paged_len(lines as u64) as usize);
        Some(Layout::new(file, data_len, sums, behind.min(file.len())..file.len()))
    }

    /// Of a file whose first `data_len` bytes are the data, whose checksums begin at `sums`, and whose ordered index lies somewhere
    /// in `index`.
    fn new(file: &[u8], data_len: usize, sums: usize, index: Range<usize>) -> Layout {
        let pages = file[..data_len].chunks(PAGE).enumerate();
        let intact = pages.map(|(page, bytes)| sum_in(file, sums, page) == Some(crc32c(bytes))).collect();
        Layout { data_len, intact, groups: groups_in(file.get(index).unwrap_or(&[])) }
    }
}

/// The checksum of a page, as the lines from `sums` on have it. Their own checksum need not be right: a number that is that of the
/// page is proof enough, and if one is not, others may be.
fn sum_in(file: &[u8], sums: usize, page: usize) -> Option<u32> {
    let line = page / LINE_SUMS;
    let at = sums + line / PAGE_LINES * LINES_PAGE + line % PAGE_LINES * LINE + page % LINE_SUMS * 4;
    file.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Where the data ends whose checksums begin at `sums`, if its last page is intact. Before the checksums are fewer than `padding`
/// zeros; the last page is as long as its checksum says.
fn end_of_data(file: &[u8], sums: usize, padding: usize) -> Option<usize> {
    let ends = sums.saturating_sub(padding) / UNIT + 1..=sums / UNIT;
    ends.rev().map(|units| units * UNIT).find(|&end| {
        let page = (end - 1) / PAGE;
        sum_in(file, sums, page) == Some(crc32c(&file[page * PAGE..end]))
    })
}

/// Where groups begin, ascending, as the leaves say that lie in intact pages of lines. `bytes` begin where a line does.
fn groups_in(bytes: &[u8]) -> Vec<usize> {
    let (mut lines, _) = bytes.as_chunks::<LINE>();
    let mut groups = Vec::new();
    while !lines.is_empty() {
        let page = page_of_lines(lines).unwrap_or(&[]);
        groups.extend(page.iter().filter_map(locations_in).flatten().map(|at| at as usize * UNIT));
        lines = &lines[page.len() + 1..];
    }
    groups.sort_unstable();
    groups
}

/// The lines of the page that these begin with, if it is intact. It ends with the first line that holds nothing but a checksum.
fn page_of_lines(lines: &[[u8; LINE]]) -> Option<&[[u8; LINE]]> {
    let is_last = |line: &[u8; LINE]| line[..4] != [0; 4] && line[4..].iter().all(|&byte| byte == 0);
    let count = lines.iter().take(PAGE_LINES + 1).position(is_last)?;
    let (page, last) = (&lines[..count], &lines[count]);
    (last[..4] == crc32c(page.as_flattened()).to_le_bytes()).then_some(page)
}

/// The locations in a line if it is a leaf. Those of a leaf ascend and four zeros follow. If an inner line ends with four zeros, all
/// of its heads are small, and every other of the numbers that would be locations is zero; a line of the hash index that does is
/// empty.
fn locations_in(line: &[u8; LINE]) -> Option<impl Iterator<Item = u32> + use<>> {
    let locations: [u32; LEAF_GROUPS] = std::array::from_fn(|place| index::group_in(line, place).1);
    let count = locations.iter().position(|&location| location == u32::MAX).unwrap_or(LEAF_GROUPS);
    let (groups, beyond) = locations.split_at(count);
    let is_leaf = line[LINE - 4..] == [0; 4]
        && groups.is_sorted_by(|a, b| a < b)
        && beyond.iter().all(|&location| location == u32::MAX);
    is_leaf.then(|| locations.into_iter().take(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlainFormat;
    use esker_table::footer::FOOTER_LEN;
    use esker_table::{RangeTombstone, TableFormat, Trailer, WriteOptions};

    type Key = (Vec<u8>, u64, Vec<u8>);

    /// What was written, and where.
    struct Written {
        file: Vec<u8>,
        entries: Vec<Key>,
        /// The bytes of the file that each entry takes.
        places: Vec<Range<usize>>,
        /// For each entry the number of its group.
        groups: Vec<usize>,
        sums: usize,
        /// Where the sections end that salvage needs.
        index_end: usize,
    }

    /// Versions of keys of which many have equal heads, and here and there a value of more than a page.
    fn entries(count: u64) -> Vec<Key> {
        let entry = |i: u64| {
            let key = format!("key/{:03}/many have this head/{:05}", i / 100, i / 3).into_bytes();
            let kind = if i.is_multiple_of(9) { Kind::Delete } else { Kind::Put };
            let len = match i % 50 {
                0..9 => 0,
                20 if i.is_multiple_of(20) => 9000,
                more => more as usize * 3,
            };
            let value = if kind == Kind::Put { vec![i as u8; len] } else { Vec::new() };
            (key, Trailer::new(100_000 - i, kind).0, value)
        };
        (0..count).map(entry).collect()
    }

    fn write(entries: Vec<Key>, filter_bits: u32) -> Written {
        let mut file = Vec::new();
        let options = WriteOptions::default().with_filter_bits(filter_bits);
        let mut writer = PlainFormat::new().writer(Box::new(&mut file), &options).unwrap();
        let (mut data, mut index) = (Vec::new(), index::IndexBuilder::default());
        let (mut places, mut groups) = (Vec::new(), Vec::new());
        for (key, trailer, value) in &entries {
            writer.add(key, Trailer(*trailer), value).unwrap();
            let start = data.len();
            index.add(key, (start / UNIT) as u32);
            Entry::encode(key, Trailer(*trailer), value, &mut data);
            places.push(start..data.len());
            groups.push(index.groups() - 1);
        }
        let tombstone = RangeTombstone { start: b"a".to_vec(), end: b"b".to_vec(), seqno: 4 };
        writer.add_range_tombstone(&tombstone).unwrap();
        writer.finish(vec![("zeros".into(), vec![0; 500])]).unwrap();
        assert!(file.starts_with(&data));
        let tail = Tail::read(&BlockSource::from_memory(file.clone()), &expected()).unwrap();
        let section = |kind| tail.sections.get(kind).unwrap();
        let (sums, index_end) = (section(sections::CHECKSUMS).offset, section(sections::INDEX).end());
        Written { file, entries, places, groups, sums: sums as usize, index_end: index_end as usize }
    }

    impl Written {
        fn data_len(&self) -> usize {
            self.places.last().unwrap().end
        }

        /// Where the last of the pages' checksums ends.
        fn sums_end(&self) -> usize {
            self.sums + 4 * self.data_len().div_ceil(PAGE)
        }

        /// The entries that lie in none of these bytes, up to the first of each group that does.
        fn left_without(&self, damaged: &Range<usize>) -> Vec<Key> {
            let mut broken = None;
            let mut left = Vec::new();
            for ((entry, place), group) in self.entries.iter().zip(&self.places).zip(&self.groups) {
                if place.start < damaged.end && damaged.start < place.end {
                    broken = Some(group);
                }
                if broken != Some(group) {
                    left.push(entry.clone());
                }
            }
            left
        }
    }

    /// Tables of many sizes, among them less than a page, a few pages, and more than there are checksums in a line.
    fn tables() -> impl Iterator<Item = Written> {
        [1, 3, 40, 100, 217, 1700]
            .into_iter()
            .flat_map(|count| [10, 0].map(|filter_bits| write(entries(count), filter_bits)))
    }

    fn salvaged(file: &[u8]) -> Vec<Key> {
        let mut found = Vec::new();
        let source = BlockSource::from_memory(file.to_vec());
        let known = PlainFormat::new()
            .salvage(source, &mut |key, trailer, value| found.push((key.to_vec(), trailer.0, value.to_vec())))
            .unwrap();
        assert!(known);
        found
    }

    /// The file with its last bytes cut off, and with them overwritten in several ways.
    fn without_end(file: &[u8], len: usize) -> Vec<Vec<u8>> {
        let kept = &file[..file.len() - len];
        let overwritten = |by: &dyn Fn(usize) -> u8| [kept, &(0..len).map(by).collect::<Vec<u8>>()].concat();
        vec![
            kept.to_vec(),
            overwritten(&|_| 0),
            overwritten(&|_| 0xff),
            overwritten(&|i| (i * i / 7) as u8),
            // The footer is there, what it points to is not.
            [&overwritten(&|_| 0x55)[..file.len() - FOOTER_LEN], &file[file.len() - FOOTER_LEN..]].concat(),
        ]
    }

    #[test]
    fn a_damaged_page_costs_what_lies_in_it_and_the_rest_of_its_group() {
        for table in tables() {
            assert!(salvaged(&table.file) == table.entries);
            for start in (0..table.data_len()).step_by(PAGE) {
                let page = start..table.data_len().min(start + PAGE);
                let left = table.left_without(&page);
                for at in [page.start, (page.start + page.end) / 2, page.end - 1] {
                    let mut bad = table.file.clone();
                    bad[at] ^= 0x10;
                    assert!(salvaged(&bad) == left, "damage at {at} of {}", bad.len());
                }
                let mut bad = table.file.clone();
                bad[page.clone()].fill(0);
                assert!(salvaged(&bad) == left, "page at {start} of {}", bad.len());
            }
        }
    }

    #[test]
    fn entries_on_both_sides_of_a_damaged_page_come_back() {
        let table = write(entries(1700), 10);
        let page = 10 * PAGE..11 * PAGE;
        let mut bad = table.file.clone();
        bad[page.start + 100] ^= 1;
        let found = salvaged(&bad);
        let before = table.places.iter().filter(|place| place.end <= page.start).count();
        assert!(found[..before] == table.entries[..before]);
        let behind = table.places.iter().position(|place| place.start >= page.end).unwrap();
        let group = (behind..).find(|&i| table.groups[i] != table.groups[i - 1]).unwrap();
        assert!(group < behind + 8);
        assert!(found.ends_with(&table.entries[group..]));
    }

    #[test]
    fn nothing_is_lost_with_the_end_of_the_file() {
        for table in tables() {
            let most = table.file.len() - table.index_end;
            for len in [1, 8, FOOTER_LEN, 200, most] {
                for bad in without_end(&table.file, len) {
                    assert!(salvaged(&bad) == table.entries, "{len} of {} are lost", table.file.len());
                }
            }
            // The chain of entries needs no index, and their checksums need no checksum of their own.
            assert!(salvaged(&table.file[..table.sums_end()]) == table.entries);
        }
    }

    #[test]
    fn a_damaged_page_costs_no_more_if_the_end_of_the_file_is_lost_too() {
        for table in tables() {
            for start in (0..table.data_len()).step_by(PAGE) {
                let page = start..table.data_len().min(start + PAGE);
                let mut bad = table.file.clone();
                bad[(page.start + page.end) / 2] ^= 1;
                let left = table.left_without(&page);
                for bad in without_end(&bad, 200) {
                    assert!(salvaged(&bad) == left, "page at {start} of {}", table.file.len());
                }
            }
        }
    }

    #[test]
    fn an_index_is_found_behind_a_large_hash_index() {
        let table = write(entries(24_000), 10);
        // So much of a hash index begins on a page of memory, with zeros before.
        assert!(table.entries.len() / 3 / 6 * LINE > 16 * LINES_PAGE);
        let page = 40 * PAGE..41 * PAGE;
        let mut bad = table.file.clone();
        bad[page.start] ^= 1;
        bad.truncate(bad.len() - 200);
        assert!(salvaged(&bad) == table.left_without(&page));
    }

    #[test]
    fn damaged_checksums_cost_the_pages_that_they_are_of() {
        for table in tables() {
            for page in 0..table.data_len().div_ceil(PAGE) {
                let mut bad = table.file.clone();
                bad[table.sums + 4 * page + page % 4] ^= 1;
                let start = page * PAGE;
                let left = table.left_without(&(start..table.data_len().min(start + PAGE)));
                assert!(salvaged(&bad) == left, "checksum {page} of {}", table.file.len());
            }
        }
    }

    #[test]
    fn a_damaged_index_costs_nothing_without_other_damage() {
        for table in tables() {
            for at in (table.sums_end()..table.file.len()).step_by(37) {
                let mut bad = table.file.clone();
                bad[at] ^= 1;
                assert!(salvaged(&bad) == table.entries, "damage at {at} of {}", bad.len());
            }
        }
    }

    #[test]
    fn what_is_no_table_gives_nothing() {
        assert_eq!(salvaged(&[]), []);
        for len in [1, 63, 64, 65, 4095, 4096, 4160, 100_000] {
            for byte in [0, 1, 0xff] {
                assert_eq!(salvaged(&vec![byte; len]), []);
            }
        }
    }
}
