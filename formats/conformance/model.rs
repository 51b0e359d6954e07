//! The right answers: a sorted list of entries, and questions that are put to a reader and held against it.

use crate::subject::{Content, Entry};
use esker_table::key;
use esker_table::{
    Found, Fragments, LookupKey, ReadOptions, Result, Run, TableCursor, TableError, TableReader, Trailer,
};
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

/// Asks a lookup, with the filter and without it.
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
    let expected = get(entries, user_key, snapshot).map(|entry| (entry.trailer, entry.value.as_slice()));
    // Each answer is held against the model before the other is asked for, which may fail.
    let hold = |found: Option<&Found>, what: &str| {
        let found = found.map(|found| (found.trailer, found.value.as_bytes()));
        assert!(
            found == expected,
            "{what}({}, {snapshot}) found {:?}, expected {:?}",
            user_key[..user_key.len().min(40)].escape_ascii(),
            found.map(|(trailer, value)| (trailer, value.len())),
            expected.map(|(trailer, value)| (trailer, value.len()))
        );
    };
    let filtered = reader.get(&key, options).map(|found| hold(found.as_ref(), "get"));
    hold(reader.get_unfiltered(&key, options)?.as_ref(), "get_unfiltered");
    filtered
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

/// Reads the table from back to front.
fn ask_scan_back(
    reader: &Arc<dyn TableReader>,
    entries: &[Entry],
    options: &ReadOptions,
    want: usize,
) -> Result<()> {
    let mut cursor = reader.clone().cursor(options);
    let (mut run, mut at) = (Run::new(), entries.len());
    cursor.last(&mut run, want)?;
    while !run.is_empty() {
        let found = entries_of(&run);
        assert!(found.len() <= at, "more entries backwards than there are");
        assert_eq!(found, entries[at - found.len()..at], "backwards from the end, before entry {at}");
        at -= found.len();
        cursor.prev(&mut run, want)?;
    }
    assert_eq!(at, 0, "entries left when reading backwards ended");
    Ok(())
}

/// Moves a cursor to entry `at` and behind.
///
/// # Errors
/// What the cursor says; a wrong answer panics.
pub(crate) fn ask_seek(cursor: &mut dyn TableCursor, entries: &[Entry], at: usize) -> Result<()> {
    let (mut run, entry) = (Run::new(), &entries[at]);
    cursor.seek(&entry.key, entry.trailer, &mut run, 3)?;
    assert!(!run.is_empty(), "seek to entry {at} found nothing");
    let end = entries.len().min(at + run.len());
    assert_eq!(entries_of(&run), entries[at..end], "seek to entry {at}");
    cursor.next(&mut run, 3)?;
    assert_eq!(run.is_empty(), end == entries.len(), "next, behind entry {at}: whether there is an entry");
    assert_eq!(entries_of(&run), entries[end..entries.len().min(end + run.len())], "next, behind entry {at}");
    Ok(())
}

/// Moves a cursor before entry `at`.
fn ask_seek_before(cursor: &mut dyn TableCursor, entries: &[Entry], at: usize) -> Result<()> {
    let (mut run, entry) = (Run::new(), &entries[at]);
    cursor.seek_before(&entry.key, entry.trailer, &mut run, 3)?;
    assert_eq!(run.is_empty(), at == 0, "seek before entry {at}: whether there is an entry");
    assert_eq!(entries_of(&run), entries[at - run.len().min(at)..at], "seek before entry {at}");
    Ok(())
}

/// Asks for everything that the content says: lookups, tombstones, entries both ways, and what is not there.
///
/// # Errors
/// What the reader says first; a wrong answer panics.
pub(crate) fn ask_everything(
    reader: &Arc<dyn TableReader>,
    content: &Content,
    options: &ReadOptions,
    collected: bool,
) -> Result<()> {
    ask_each(reader, content, options, collected, &mut |answer| answer)
}

/// Asks what [`ask_everything`] asks, each question for itself: `told` is given what became of it, and goes on with the
/// next unless it returns an error. Lookups come first, so that nothing that a scan has found out can help them.
///
/// # Errors
/// What `told` returns; a wrong answer panics.
pub(crate) fn ask_each(
    reader: &Arc<dyn TableReader>,
    content: &Content,
    options: &ReadOptions,
    collected: bool,
    told: &mut dyn FnMut(Result<()>) -> Result<()>,
) -> Result<()> {
    let entries = &content.entries;
    for entry in entries {
        told(ask_get(reader, entries, &entry.key, entry.trailer.seqno(), options))?;
        told(ask_get(reader, entries, &entry.key, entry.trailer.seqno().saturating_sub(1), options))?;
    }
    told(ask_get(reader, entries, b"not there", key::MAX_SEQNO, options))?;
    told(reader.range_tombstones().map(|fragments| {
        assert_eq!(*fragments, Fragments::new(content.tombstones.clone()), "range tombstones");
    }))?;
    let mut cursor = reader.clone().cursor(options);
    for at in (0..entries.len()).step_by(1 + entries.len() / 50) {
        told(ask_seek(&mut *cursor, entries, at))?;
        told(ask_seek_before(&mut *cursor, entries, at))?;
    }
    if collected {
        assert_eq!(reader.properties().collected, content.collected, "collected bytes");
        assert_eq!(reader.properties().entries, entries.len() as u64, "entries in the properties");
    }
    told(ask_scan(reader, entries, options, 7))?;
    told(ask_scan_back(reader, entries, options, 7))
}

/// Damage must be told as damage: panics unless `error` is a sort that a damaged file may cause.
pub(crate) fn assert_typed(error: &TableError) {
    assert!(
        matches!(error, TableError::Corruption { .. } | TableError::Unsupported { .. }),
        "damage was reported as `{error}`"
    );
}
