//! Reading what is intact of a file that cannot be opened.
//!
//! Entries do not carry checksums, their pages do: an entry is intact if all of its pages are. Where one is not, the chain from
//! entry to entry breaks, and the ordered index, as far as it is intact, says where the next group begins. If the end of the file is
//! lost, so that nothing says where the checksums lie, they are searched for: they begin with that of the first page, at a multiple
//! of a line, and where they begin the data has ended.

use crate::data::{LINE_SUMS, PAGE};
use crate::entry::{Entry, UNIT};
use crate::index::{self, LEAF_GROUPS, Levels};
use crate::{expected, sections};
use esker_table::codec::checksum::crc32c;
use esker_table::key::{MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::layout::lines::{LINE, PAGE_LINES};
use esker_table::layout::tail::Tail;
use esker_table::{BlockSource, EachEntry, Kind, Result, TableError};

/// Hands every entry of every intact page to `each`.
pub(crate) fn salvage(source: &BlockSource, each: &mut EachEntry<'_>) -> Result<()> {
    let len = source.len();
    source.populate(0, usize::try_from(len).unwrap_or(usize::MAX))?;
    let file = source.read(0, usize::try_from(len).unwrap_or(usize::MAX))?;
    let Some(layout) = Layout::of(source, &file)? else { return Ok(()) };
    let data = &file[..layout.data_len];
    let mut groups = layout.groups.iter().copied().peekable();
    let mut next = Some(0);
    while let Some(mut at) = next {
        while let Some(entry) = whole_entry(data, at, &layout.intact) {
            each(entry.key(data), entry.trailer, entry.value_bytes(data));
            at = entry.end;
        }
        next = loop {
            match groups.next() {
                Some(group) if group > at => break Some(group),
                Some(_) => {}
                None => break None,
            }
        };
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
    let fits = entry.end <= data.len() && entry.key_len <= MAX_KEY_LEN && entry.value_len <= MAX_VALUE_LEN;
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
        let section = |kind| tail.sections.get(kind);
        let (Some(data), Some(sums)) = (section(sections::DATA), section(sections::CHECKSUMS)) else {
            return Ok(None);
        };
        let Some(data_len) =
            usize::try_from(data.len).ok().filter(|&len| data.offset == 0 && len <= file.len())
        else {
            return Ok(None);
        };
        let sums = intact_lines(file, sums.offset);
        let mut groups = Vec::new();
        if let Some(section) = section(sections::INDEX) {
            let (count, lines) = (section.extra as u32, intact_lines(file, section.offset));
            let leaves = if count == 0 { 0 } else { Levels::of(count).leaves() as usize };
            let leaves = lines.iter().skip(leaves).take(count.div_ceil(LEAF_GROUPS as u32) as usize);
            let located = leaves
                .flatten()
                .flat_map(|leaf| (0..LEAF_GROUPS).map(|place| index::group_in(leaf, place).1));
            groups.extend(located.filter(|&location| location != u32::MAX).map(|at| at as usize * UNIT));
            groups.sort_unstable();
        }
        Ok(Some(Layout { data_len, intact: intact_pages(&file[..data_len], &sums), groups }))
    }

    /// Without the end of the file.
    fn searched(file: &[u8]) -> Option<Layout> {
        let first = crc32c(file.get(..PAGE)?).to_le_bytes();
        let at = (PAGE..file.len()).step_by(LINE).find(|&at| file[at..].starts_with(&first))?;
        let sums = intact_lines(file, at as u64);
        // Between the data and the checksums there may be padding, so the last page is as long as its checksum says.
        let shortest = at.saturating_sub(PAGE).max(PAGE);
        let sum_of = |page: usize| sum_in(&sums, page);
        let data_len = (shortest..=at)
            .rev()
            .find(|&len| {
                let page = (len - 1) / PAGE;
                sum_of(page) == Some(crc32c(&file[page * PAGE..len]))
                    && sum_of(page + 1).is_none_or(|sum| sum == 0)
            })
            .unwrap_or(at / PAGE * PAGE);
        Some(Layout { data_len, intact: intact_pages(&file[..data_len], &sums), groups: Vec::new() })
    }
}

/// The lines from `offset` on, `None` for those of pages that are damaged. They may be followed by lines of something else.
fn intact_lines(file: &[u8], offset: u64) -> Vec<Option<[u8; LINE]>> {
    let bytes = usize::try_from(offset).ok().and_then(|offset| file.get(offset..)).unwrap_or(&[]);
    let (lines, _) = bytes.as_chunks::<LINE>();
    let mut out = Vec::with_capacity(lines.len());
    let mut rest = lines;
    while !rest.is_empty() {
        let is_end = |count: usize| {
            rest.get(count).is_some_and(|last| {
                last[4..].iter().all(|&byte| byte == 0)
                    && last[..4] == crc32c(rest[..count].as_flattened()).to_le_bytes()
            })
        };
        // A full page, or the last one, which may be shorter.
        let Some(count) = std::iter::once(PAGE_LINES).chain(1..PAGE_LINES).find(|&count| is_end(count))
        else {
            let damaged = rest.len().min(PAGE_LINES);
            out.extend(std::iter::repeat_n(None, damaged));
            rest = rest.get(damaged + 1..).unwrap_or(&[]);
            continue;
        };
        out.extend(rest[..count].iter().copied().map(Some));
        if count < PAGE_LINES {
            break;
        }
        rest = &rest[count + 1..];
    }
    out
}

fn sum_in(sums: &[Option<[u8; LINE]>], page: usize) -> Option<u32> {
    let line = sums.get(page / LINE_SUMS)?.as_ref()?;
    let (words, _) = line.as_chunks::<4>();
    Some(u32::from_le_bytes(words[page % LINE_SUMS]))
}

fn intact_pages(data: &[u8], sums: &[Option<[u8; LINE]>]) -> Vec<bool> {
    data.chunks(PAGE).enumerate().map(|(page, bytes)| sum_in(sums, page) == Some(crc32c(bytes))).collect()
}
