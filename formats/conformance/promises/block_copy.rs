//! A table whose blocks are copied equals the table they come from, for a reader; and copies mix with entries.

use crate::model::{ask_everything, lower_bound};
use crate::random::Random;
use crate::sources;
use crate::subject::{Content, Shared, Subject};
use esker_table::key::MAX_SEQNO;
use esker_table::{ReadOptions, TableError, TableReader, Trailer};
use std::sync::Arc;

pub(crate) fn check(subject: &Subject<'_>) {
    if !subject.capabilities().block_copy {
        return;
    }
    for content in subject.contents() {
        let written = subject.write(&content);
        for (name, source) in sources::all(&written.bytes) {
            let reader = subject.open(source);
            for copied_of_ten in [10, 5] {
                let copied = copy(subject, &reader, &content, copied_of_ten);
                assert!(
                    copied > 0 || content.entries.is_empty() || copied_of_ten < 10,
                    "{} from {name}",
                    content.name
                );
            }
            if let Some(last) = content.entries.last() {
                let beyond = reader.raw_block_at(&[&last.key[..], &[0]].concat(), Trailer::FIRST);
                assert!(beyond.expect("an intact table").is_none(), "a block behind the last entry");
            }
        }
    }
    refused(subject);
}

/// Copies `copied_of_ten` of ten blocks and adds the rest entry by entry. Returns the number of blocks copied.
fn copy(
    subject: &Subject<'_>,
    reader: &Arc<dyn TableReader>,
    content: &Content,
    copied_of_ten: usize,
) -> usize {
    let mut random = Random::new(4);
    let out = Shared::default();
    let mut writer = subject.writer(&out);
    let (mut i, mut copied) = (0, 0);
    while let Some(entry) = content.entries.get(i) {
        let raw = reader.raw_block_at(&entry.key, entry.trailer).expect("an intact table");
        let raw = raw.filter(|_| random.below(10) < copied_of_ten);
        if let Some(raw) = raw {
            let end = lower_bound(&content.entries, &raw.last_key, raw.last_trailer) + 1;
            assert_eq!(raw.first_key, entry.key);
            assert_eq!(raw.counts.entries, (end - i) as u64);
            if writer.add_raw_block(&raw).expect("a block in order") {
                (i, copied) = (end, copied + 1);
                continue;
            }
        }
        writer.add(&entry.key, entry.trailer, &entry.value).expect("an entry in order");
        i += 1;
    }
    let original = reader.properties();
    let summary = writer.finish(content.collected.clone()).expect("the table is complete");
    let reader = subject.open_memory(&out.take());
    reader.verify().unwrap_or_else(|error| panic!("{}: a copy does not verify: {error}", content.name));
    let content = Content { tombstones: Vec::new(), ..content.clone() };
    ask_everything(&reader, &content, &ReadOptions::default(), subject.capabilities().properties)
        .unwrap_or_else(|error| panic!("{}: {error}", content.name));
    if original.range_tombstones == 0 {
        assert_eq!(summary.properties.user_keys, original.user_keys, "{}", content.name);
        assert_eq!(
            (summary.properties.min_seqno, summary.properties.max_seqno),
            (original.min_seqno, original.max_seqno)
        );
    }
    copied
}

/// A block that is not above what was added is refused.
fn refused(subject: &Subject<'_>) {
    let content = subject.large();
    let written = subject.write(&content);
    let reader = subject.open_memory(&written.bytes);
    let first = &content.entries[0];
    let raw =
        reader.raw_block_at(&first.key, first.trailer).expect("an intact table").expect("the first block");
    let mut writer = subject.writer(&Shared::default());
    writer.add(&[0xff; 9], Trailer(MAX_SEQNO << 8 | 1), b"").expect("the first entry");
    match writer.add_raw_block(&raw) {
        Ok(false) | Err(TableError::Invalid { .. }) => {}
        other => panic!("a block out of order: {other:?}"),
    }
    assert_eq!(writer.entries(), 1);
}
