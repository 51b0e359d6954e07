//! Finding data blocks in a file that cannot be opened.
//!
//! A stored block does not say how long it is: the index does, and that may be lost. But its checksum ends it, so a block
//! is found by computing the checksum byte by byte until the bytes that follow agree. Blocks lie one after the other, or with a
//! gap of zeros between them; where one is damaged, the next is searched for at every byte.

use crate::block::Block;
use crate::handle::HANDLE_LEN;
use esker_table::codec::compression::{TAG_LZ4, TAG_NONE, TAG_ZSTD};
use esker_table::layout::gap;
use esker_table::layout::stored::{self, FRAME};
use esker_table::{BlockSource, EachEntry, Kind, Result, Slice, Trailer};

/// How far a block is followed where one is expected: none is longer.
const EXPECTED_LIMIT: usize = 80 << 20;

/// How far a block is followed where one may begin.
const SEARCH_LIMIT: usize = 64 << 10;

/// How many bytes may be checksummed for each byte of the file, and besides, before the search is given up.
const BUDGET: (u64, u64) = (64, 1 << 30);

/// CRC32C, one byte at a time (the polynomial with its bits reversed).
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// Hands every entry of every intact data block to `each`.
pub(crate) fn salvage(source: &BlockSource, each: &mut EachEntry<'_>) -> Result<()> {
    let len = source.len();
    let file = source.read(0, usize::try_from(len).unwrap_or(usize::MAX))?;
    let mut budget = len.saturating_mul(BUDGET.0).saturating_add(BUDGET.1);
    let (mut at, mut limit) = (0, EXPECTED_LIMIT);
    while at + FRAME < file.len() && budget > 0 {
        match stored_len(&file[at..], limit, &mut budget) {
            Some(len) if entries(file.slice(at..at + len), at as u64, each) => {
                at += len + gap_len(&file[at + len..], at + len);
                limit = EXPECTED_LIMIT;
            }
            _ => {
                at += 1;
                limit = SEARCH_LIMIT;
            }
        }
    }
    Ok(())
}

/// The length of the gap that `bytes` begin with, which lie at `at`. No block begins with as many zeros as a gap has.
fn gap_len(bytes: &[u8], at: usize) -> usize {
    let len = gap::after(at as u64);
    let zeros = bytes.iter().take(len).take_while(|&&byte| byte == 0).count();
    if zeros == len { len } else { 0 }
}

/// The length of the stored block that `bytes` begin with, if they do.
fn stored_len(bytes: &[u8], limit: usize, budget: &mut u64) -> Option<usize> {
    let mut crc = !0u32;
    for (i, &byte) in bytes.iter().enumerate().take(limit) {
        crc = CRC[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
        if matches!(byte, TAG_NONE | TAG_LZ4 | TAG_ZSTD) {
            let Some(end) = bytes.get(i + 1..).and_then(<[u8]>::first_chunk) else {
                *budget = budget.saturating_sub(i as u64 + 1);
                return None;
            };
            if u32::from_le_bytes(*end) == !crc {
                *budget = budget.saturating_sub(i as u64 + 1);
                return Some(i + FRAME);
            }
        }
    }
    *budget = budget.saturating_sub(limit.min(bytes.len()) as u64);
    None
}

/// Hands on the entries of a block, if it is a data block. Returns whether the bytes are a block of any kind.
fn entries(stored: Slice, at: u64, each: &mut EachEntry<'_>) -> bool {
    let Ok(body) = stored::body(stored, at) else { return false };
    let Ok(block) = Block::parse(&body, at) else {
        // Sections behind the data have bodies of their own.
        return true;
    };
    let mut found = Vec::with_capacity(block.len());
    for i in 0..block.len() {
        match (block.key_vec(i), block.value(i)) {
            (Ok(key), Some(value)) => found.push((key, block.trailer(i), value)),
            _ => return true,
        }
    }
    // Index blocks are laid like data blocks, but their separators have a trailer that no entry has, all but those between
    // versions of one key.
    let is_entry = |trailer: Trailer| matches!(trailer.kind(), Some(Kind::Put | Kind::Delete));
    let is_index = found.iter().all(|(_, _, value)| value.len() == HANDLE_LEN)
        && found.iter().any(|(_, trailer, _)| *trailer == Trailer::FIRST);
    if !is_index && found.iter().all(|(_, trailer, _)| is_entry(*trailer)) {
        found.iter().for_each(|(key, trailer, value)| each(key, *trailer, value));
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::BlockFormat;
    use esker_table::codec::Compression;
    use esker_table::{BlockSource, Kind, TableFormat, Trailer, WriteOptions};

    const KINDS: [(Compression, bool); 4] = [
        (Compression::None, false),
        (Compression::Lz4, false),
        (Compression::None, true),
        (Compression::Lz4, true),
    ];

    type Entry = (Vec<u8>, u64, Vec<u8>);

    fn table(compression: Compression, fit_pages: bool) -> (Vec<u8>, Vec<Entry>) {
        let mut bytes = Vec::new();
        let options = WriteOptions::default()
            .with_block_size(512)
            .with_index_block_size(256)
            .with_compression(compression)
            .with_fit_pages(fit_pages);
        let mut writer = BlockFormat::new().writer(Box::new(&mut bytes), &options).unwrap();
        let mut entries = Vec::new();
        for i in 0..500u64 {
            let (key, value) = (format!("key{:05}", i / 3).into_bytes(), vec![i as u8; 20 + i as usize % 7]);
            let trailer = Trailer::new(1000 - i, if i % 9 == 0 { Kind::Delete } else { Kind::Put });
            let value = if i % 9 == 0 { Vec::new() } else { value };
            writer.add(&key, trailer, &value).unwrap();
            entries.push((key, trailer.0, value));
        }
        writer.finish(Vec::new()).unwrap();
        (bytes, entries)
    }

    fn salvage(bytes: &[u8]) -> Vec<Entry> {
        let mut found = Vec::new();
        let source = BlockSource::from_memory(bytes.to_vec());
        let known = BlockFormat::new()
            .salvage(source, &mut |key, trailer, value| found.push((key.to_vec(), trailer.0, value.to_vec())))
            .unwrap();
        assert!(known);
        found
    }

    #[test]
    fn everything_is_found_without_index_and_footer() {
        for (compression, fit_pages) in KINDS {
            let (bytes, entries) = table(compression, fit_pages);
            assert_eq!(salvage(&bytes), entries);
            assert_eq!(salvage(&bytes[..bytes.len() - 70]), entries);
            for cut in (0..bytes.len()).step_by(997) {
                let found = salvage(&bytes[..cut]);
                assert_eq!(found, entries[..found.len()], "cut at {cut}");
            }
        }
    }

    /// Blocks whose first byte is zero, behind blocks that end in the last bytes of a page.
    #[test]
    fn what_begins_with_a_zero_is_no_gap() {
        let options = WriteOptions::default().with_block_size(3000);
        for len in 4000..4090 {
            let mut bytes = Vec::new();
            let mut writer = BlockFormat::new().writer(Box::new(&mut bytes), &options).unwrap();
            writer.add(b"a", Trailer::new(1, Kind::Put), &vec![7; len]).unwrap();
            for i in 0..256 {
                writer.add(b"b", Trailer::new(500 - i, Kind::Delete), b"").unwrap();
            }
            writer.finish(Vec::new()).unwrap();
            assert_eq!(salvage(&bytes).len(), 257, "{len}");
        }
    }

    #[test]
    fn a_damaged_gap_costs_nothing() {
        let (bytes, entries) = table(Compression::None, true);
        let gaps: Vec<usize> = (4096..bytes.len())
            .step_by(4096)
            .filter(|page| bytes[page - 4..*page] == [0; 4])
            .flat_map(|page| page - 4..page)
            .collect();
        let reader = crate::reader::BlockTable::open(BlockSource::from_memory(bytes.clone())).unwrap();
        let data = reader.data_end() as usize;
        let gaps: Vec<usize> = gaps.into_iter().filter(|at| *at < data).collect();
        assert!(gaps.len() >= 8, "{gaps:?}");
        for at in gaps {
            let mut bad = bytes.clone();
            bad[at] = 1;
            assert_eq!(salvage(&bad), entries, "{at}");
        }
    }

    #[test]
    fn a_flip_costs_one_block() {
        for (compression, fit_pages) in KINDS {
            let (bytes, entries) = table(compression, fit_pages);
            for at in (0..bytes.len()).step_by(331) {
                let mut bad = bytes.clone();
                bad[at] ^= 1;
                let found = salvage(&bad);
                assert!(found.iter().all(|entry| entries.contains(entry)), "flip at {at}");
                assert!(found.len() + 60 > entries.len(), "flip at {at}: {} found", found.len());
            }
        }
    }
}
