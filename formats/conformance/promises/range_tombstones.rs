//! Range tombstones come back as they were given, from every source, and are not applied to lookups or scans.

use crate::model::{ask_get, ask_scan};
use crate::sources;
use crate::subject::{Shared, Subject};
use esker_table::key::MAX_SEQNO;
use esker_table::{Fragments, RangeTombstone, ReadOptions, TableError};

pub(crate) fn check(subject: &Subject<'_>) {
    if !subject.capabilities().range_tombstones {
        let mut writer = subject.writer(&Shared::default());
        let tombstone = RangeTombstone { start: b"a".to_vec(), end: b"b".to_vec(), seqno: 1 };
        let refused = writer.add_range_tombstone(&tombstone);
        assert!(
            matches!(refused, Err(TableError::Unsupported { .. })),
            "a tombstone was not refused: {refused:?}"
        );
        return;
    }
    for content in subject.contents() {
        let written = subject.write(&content);
        for (name, source) in sources::all(&written.bytes) {
            let reader = subject.open(source);
            for _ in 0..2 {
                let fragments = reader.range_tombstones().expect("an intact table");
                let expected = Fragments::new(content.tombstones.clone());
                assert_eq!(*fragments, expected, "{} from {name}", content.name);
            }
            let options = ReadOptions::default();
            ask_scan(&reader, &content.entries, &options, 100).expect("an intact table");
            for entry in content.entries.iter().step_by(17) {
                ask_get(&reader, &content.entries, &entry.key, MAX_SEQNO, &options).expect("an intact table");
            }
        }
    }
}
