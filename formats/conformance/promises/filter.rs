//! A filter never denies a key that is there.

use crate::sources;
use crate::subject::Subject;
use esker_table::key::filter_hash;

pub(crate) fn check(subject: &Subject<'_>) {
    for content in subject.contents() {
        let written = subject.write(&content);
        for (name, source) in sources::all(&written.bytes) {
            let reader = subject.open(source);
            for entry in &content.entries {
                let there = reader.may_contain(filter_hash(&entry.key)).expect("an intact table");
                assert!(there, "{} from {name}: the filter denies {entry:?}", content.name);
            }
        }
    }
}
