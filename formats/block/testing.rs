//! Doors for tests: the decoders of a table's parts, on arbitrary bytes.
//!
//! Not a part of the format. Every function asks everything that there is to ask and panics if answers contradict each
//! other; damage that is told as damage is right.

use crate::block::Block;
use esker_table::layout::sections::Sections;
use esker_table::layout::{stored, tombstones};
use esker_table::{Result, Run, Slice, Trailer};

/// Decodes a block's body and asks it for every entry, and for `probe`. Returns the number of entries.
///
/// # Errors
/// `Corruption`.
pub fn block(body: &[u8], probe: &[u8]) -> Result<usize> {
    let block = Block::parse(body, 0)?;
    let sound = block.check();
    let mut keys = Vec::new();
    for i in 0..block.len() {
        let key = block.key_vec(i);
        let value = block.value(i);
        assert!(sound.is_err() || (key.is_ok() && value.is_some()), "a sound block has entry {i}");
        if let (Some(value), Some(range)) = (value, block.value_range(i)) {
            assert_eq!(value, &body[range]);
        }
        if let Ok(key) = key {
            assert_eq!(block.key_len(i), Some(key.len()));
            assert!(sound.is_err() || block.is_key(i, &key) == Some(true), "entry {i} has its own key");
            keys.push((key, block.trailer(i)));
        }
    }
    for probe in keys.iter().map(|(key, trailer)| (key.as_slice(), *trailer)).chain([(probe, Trailer::FIRST)])
    {
        assert!(block.lower_bound(probe.0, probe.1).is_none_or(|at| at <= block.len()));
        assert!(block.floor(probe.0, probe.1).is_none_or(|at| at < block.len()));
        let _ = block.bucket(esker_table::key::filter_hash(probe.0));
    }
    let mut run = Run::new();
    run.begin(Slice::copy_from(body));
    let filled = block.fill(0, block.len(), &mut run, usize::MAX);
    sound?;
    assert_eq!(filled, Some(block.len()), "a sound block fills a run");
    for (i, (key, trailer)) in keys.iter().enumerate() {
        assert_eq!((run.key(i), run.trailer(i), Some(run.value(i))), (&key[..], *trailer, block.value(i)));
    }
    let order = |a: &(Vec<u8>, Trailer), b: &(Vec<u8>, Trailer)| (&a.0, b.1) < (&b.0, a.1);
    if keys.windows(2).all(|pair| order(&pair[0], &pair[1])) {
        for (i, (key, trailer)) in keys.iter().enumerate() {
            assert_eq!(
                block.lower_bound(key, *trailer),
                Some(i),
                "entry {i} of a sound and sorted block is found"
            );
        }
    }
    Ok(block.len())
}

/// Decodes a block as it is stored: with compression and checksum. Returns the length of its body.
///
/// # Errors
/// `Corruption` or `Unsupported`.
pub fn stored_block(bytes: &[u8]) -> Result<usize> {
    stored::check(bytes, 0)?;
    Ok(stored::body(Slice::copy_from(bytes), 0)?.len())
}

/// Decodes the body of the block that holds range tombstones. Returns how many there are.
///
/// # Errors
/// `Corruption`.
pub fn range_tombstones(body: &[u8]) -> Result<usize> {
    let decoded = tombstones::decode(body, 0)?;
    let all: Vec<_> = decoded.iter().collect();
    let mut again = Vec::new();
    tombstones::encode(&all, &mut again);
    assert_eq!(tombstones::decode(&again, 0)?.iter().collect::<Vec<_>>(), all);
    Ok(all.len())
}

/// Decodes the body of the block that lists a table's sections.
///
/// # Errors
/// `Corruption`.
pub fn sections(body: &[u8]) -> Result<()> {
    Sections::decode(body, 0).map(drop)
}
