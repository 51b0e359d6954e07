//! Equal input gives equal bytes.

use crate::subject::Subject;

pub(crate) fn check(subject: &Subject<'_>) {
    let mut contents = subject.contents();
    contents.push(subject.small());
    for content in contents {
        let (one, other) = (subject.write(&content), subject.write(&content));
        assert!(one.bytes == other.bytes, "{}: the same entries gave other bytes", content.name);
        assert_eq!(one.summary.properties, other.summary.properties, "{}", content.name);
    }
}
