//! Properties say what the table holds: as the writer returns them, whatever the format keeps of them, and as they are found
//! again, collected bytes included, if the format holds them.

use crate::subject::{Content, Shared, Subject};
use esker_table::{Properties, TableError};

pub(crate) fn check(subject: &Subject<'_>) {
    let held = subject.capabilities().properties;
    if !held {
        let refused = subject.writer(&Shared::default()).finish(vec![("name".into(), vec![1])]);
        let refused = refused.expect_err("collected bytes that the format cannot hold were taken");
        assert!(matches!(refused, TableError::Unsupported { .. }), "they were refused with `{refused}`");
    }
    let mut contents = subject.contents();
    contents.push(subject.small());
    for mut content in contents {
        if held {
            content.collected.push(("long".into(), vec![0xa5; 20_000]));
        }
        let written = subject.write(&content);
        // The engine takes a table's bounds and counts from here, also for a format that does not store them.
        let mut expected = expected(&content);
        expected.data_bytes = written.summary.properties.data_bytes;
        expected.data_blocks = written.summary.properties.data_blocks;
        assert_eq!(written.summary.properties, expected, "{}: what the writer says", content.name);
        assert!(expected.data_bytes <= written.summary.file_size, "{}", content.name);
        if held {
            let reader = subject.open_memory(&written.bytes);
            assert_eq!(
                *reader.properties(),
                written.summary.properties,
                "{}: written and read",
                content.name
            );
            assert_eq!(expected.data_blocks == 0, content.entries.is_empty(), "{}", content.name);
            assert_eq!(reader.properties().collected("long").map(<[u8]>::len), Some(20_000));
            assert_eq!(reader.properties().collected("unheard of"), None);
        }
    }
}

fn expected(content: &Content) -> Properties {
    let mut expected = Properties::default();
    if let (Some(first), Some(last)) = (content.entries.first(), content.entries.last()) {
        expected.widen(&first.key, &last.key, false);
    }
    for (i, entry) in content.entries.iter().enumerate() {
        let new_key = i == 0 || content.entries[i - 1].key != entry.key;
        expected.count(&entry.key, entry.trailer, &entry.value, new_key);
    }
    content.tombstones.iter().for_each(|tombstone| expected.count_range_tombstone(tombstone));
    expected.collected.clone_from(&content.collected);
    expected
}
