//! What was written is what is read, forwards and backwards, in runs of any size; and an intact table verifies.

use crate::model::ask_scan;
use crate::subject::Subject;
use esker_table::ReadOptions;

pub(crate) fn check(subject: &Subject<'_>) {
    for content in subject.contents() {
        let written = subject.write(&content);
        let reader = subject.open_memory(&written.bytes);
        for want in [1, 2, 16, 1000, usize::MAX] {
            ask_scan(&reader, &content.entries, &ReadOptions::default(), want)
                .unwrap_or_else(|error| panic!("{}: {error}", content.name));
        }
        reader.verify().unwrap_or_else(|error| panic!("{} does not verify: {error}", content.name));
        let mut lines = 0;
        reader.describe(&mut |_| lines += 1).unwrap_or_else(|error| panic!("{}: {error}", content.name));
        assert!(lines > 0, "describe says nothing");
        assert!(reader.heap_bytes() > 0, "a reader without memory");
        let tail = &written.bytes[written.bytes.len().saturating_sub(64)..];
        assert!(subject.format.recognizes(tail), "the format does not recognize its own table");
    }
}
