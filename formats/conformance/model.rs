//! The right answers: a sorted list of entries, and questions that are put to a reader and held against it.

use crate::subject::{Content, Entry};
use esker_table::key;
use esker_table::{Fragments, LookupKey, ReadOptions, Result, Run, TableError, TableReader, Trailer};
use std::sync::Arc;

/// The number of entries before `(user_key, trailer)`.
pub(crate) fn lower_bound(entries: &[Entry], user_key: &[u8], trailer: Trailer) -> usize {
    entries.partition_point(|entry| key::compare(&entry.key, entry.trailer, user_key, trailer).is_lt())
}

/// What a lookup must find.
pub(crate) fn get<'e>(entries: &'e [Entry], user_key: &[u8], snapshot: u64) -> Option<&'e Entry> {
    let i = lower_bound(entries, user_key, Trailer::lookup(snapshot));
    entries.get(i).filter(|entry| entry.key == user_key)
}

/// The entries of a run.
pub(crate) fn entries_of(run: &Run) -> Vec<Entry> {
    (0..run.len())
        .map(|i| {
            assert_eq!(run.value_slice(i), run.value(i));
            Entry { key: run.key(i).to_vec(), trailer: run.trailer(i), value: run.value(i).to_vec() }
        })
        .collect()
}

/// Asks a lookup.
///
/// # Errors
/// What the reader says; a wrong answer panics.
pub(crate) fn ask_get(
    reader: &Arc<dyn TableReader>,
    entries: &[Entry],
    user_key: &[u8],
    snapshot: u64,
    options: &ReadOptions,
) -> Result<()> {
    let key = LookupKey::new(user_key, snapshot);
    let found = reader.get(&key, options)?;
    let unfiltered = reader.get_unfiltered(&key, options)?;
    assert_eq!(
        found.as_ref().map(|f| (f.trailer, &f.value)),
        unfiltered.as_ref().map(|f| (f.trailer, &f.value)),
        "get({}, {snapshot}) without the filter",
        user_key[..user_key.len().min(40)].escape_ascii()
    );
    let expected = get(entries, user_key, snapshot).map(|entry| (entry.trailer, entry.value.as_slice()));
    let found = found.as_ref().map(|found| (found.trailer, found.value.as_bytes()));
    assert!(
        found == expected,
        "get({}, {snapshot}) found {:?}, expected {:?}",
        user_key[..user_key.len().min(40)].escape_ascii(),
        found.map(|(trailer, value)| (trailer, value.len())),
        expected.map(|(trailer, value)| (trailer, value.len()))
    );
    Ok(())
}

/// Reads the table from front to back and holds every entry against the model.
///
/// # Errors
/// What the reader says; a wrong answer panics.
pub(crate) fn ask_scan(
    reader: &Arc<dyn TableReader>,
    entries: &[Entry],
    options: &ReadOptions,
    want: usize,
) -> Result<()> {
    let mut cursor = reader.clone().cursor(options);
    let (mut run, mut at) = (Run::new(), 0);
    cursor.first(&mut run, want)?;
    while !run.is_empty() {
        assert!(run.len() <= want, "a run of {} entries where {want} were wanted", run.len());
        let found = entries_of(&run);
        assert_eq!(found, entries[at..entries.len().min(at + found.len())], "forwards at entry {at}");
        at += found.len();
        cursor.next(&mut run, want)?;
    }
    assert_eq!(at, entries.len(), "entries read forwards");
    cursor.next(&mut run, want)?;
    assert!(run.is_empty(), "the end stays the end");
    cursor.prev(&mut run, want)?;
    while !run.is_empty() {
        assert!(run.len() <= want, "a run of {} entries where {want} were wanted", run.len());
        let found = entries_of(&run);
        assert!(found.len() <= at, "more entries backwards than forwards");
        assert_eq!(found, entries[at - found.len()..at], "backwards before entry {at}");
        at -= found.len();
        cursor.prev(&mut run, want)?;
    }
    assert_eq!(at, 0, "entries left when reading backwards ended");
    Ok(())
}

/// Asks for everything that the content says: entries both ways, lookups, tombstones, and what is not there.
///
/// # Errors
/// What the reader says first; a wrong answer panics.
pub(crate) fn ask_everything(
    reader: &Arc<dyn TableReader>,
    content: &Content,
    options: &ReadOptions,
    collected: bool,
) -> Result<()> {
    let entries = &content.entries;
    if collected {
        assert_eq!(reader.properties().collected, content.collected, "collected bytes");
        assert_eq!(reader.properties().entries, entries.len() as u64, "entries in the properties");
    }
    ask_scan(reader, entries, options, 7)?;
    for entry in entries {
        ask_get(reader, entries, &entry.key, entry.trailer.seqno(), options)?;
        ask_get(reader, entries, &entry.key, entry.trailer.seqno().saturating_sub(1), options)?;
    }
    ask_get(reader, entries, b"not there", key::MAX_SEQNO, options)?;
    let fragments = reader.range_tombstones()?;
    assert_eq!(*fragments, Fragments::new(content.tombstones.clone()), "range tombstones");
    Ok(())
}

/// Damage must be told as damage: panics unless `error` is a sort that a damaged file may cause.
pub(crate) fn assert_typed(error: &TableError) {
    assert!(
        matches!(error, TableError::Corruption { .. } | TableError::Unsupported { .. }),
        "damage was reported as `{error}`"
    );
}
