//! Sizes are estimated: while writing, about the size of the file so far; while reading, an offset that never falls as the
//! key rises and lies in the file.

use crate::subject::{Shared, Subject};

pub(crate) fn check(subject: &Subject<'_>) {
    offsets(subject);
    writing(subject);
}

fn offsets(subject: &Subject<'_>) {
    for content in subject.contents() {
        let written = subject.write(&content);
        let reader = subject.open_memory(&written.bytes);
        let mut last = reader.estimated_offset(b"");
        for entry in &content.entries {
            let offset = reader.estimated_offset(&entry.key);
            assert!(offset >= last, "{}: the estimate falls from {last} to {offset}", content.name);
            assert!(
                offset <= written.summary.file_size,
                "{}: the estimate is outside the file",
                content.name
            );
            last = offset;
        }
        assert!(reader.estimated_offset(&[0xff; 1000]) >= last, "{}", content.name);
    }
    let content = subject.large();
    let written = subject.write(&content);
    let reader = subject.open_memory(&written.bytes);
    let quarter = &content.entries[content.entries.len() / 4].key;
    let share = reader.estimated_offset(quarter) as f64 / reader.estimated_offset(&[0xff; 20]) as f64;
    assert!((0.15..0.35).contains(&share), "a quarter of the entries is estimated at {share} of the file");
}

fn writing(subject: &Subject<'_>) {
    let content = subject.large();
    let out = Shared::default();
    let mut writer = subject.writer(&out);
    let mut last = writer.estimated_size();
    for entry in &content.entries {
        writer.add(&entry.key, entry.trailer, &entry.value).expect("an entry in order");
        let now = writer.estimated_size();
        // A block that turns out to compress may take the estimate back by its own size.
        assert!(
            now + 3 * subject.options.block_size as u64 + 4096 >= last,
            "the estimate falls from {last} to {now}"
        );
        last = now;
    }
    let size = writer.finish(Vec::new()).expect("the table is complete").file_size;
    assert!(
        last >= size / 2 && last <= size * 2 + 8192,
        "a file of {size} bytes was estimated at {last} before it was finished"
    );
}
