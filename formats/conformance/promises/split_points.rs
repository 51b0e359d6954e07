//! Split points ascend strictly, lie above the first user key and at or below the last, and cut a large table into parts
//! that are about equal.

use crate::sources;
use crate::subject::Subject;

pub(crate) fn check(subject: &Subject<'_>) {
    for content in subject.contents() {
        let written = subject.write(&content);
        for (name, source) in sources::all(&written.bytes) {
            let reader = subject.open(source);
            for parts in [0, 1, 2, 3, 10, 1000] {
                let points = reader.split_points(parts).expect("an intact table");
                let bad =
                    |what: &str| format!("{} from {name}, {parts} parts: {what}: {points:?}", content.name);
                assert!(points.len() <= parts.saturating_sub(1), "{}", bad("too many"));
                assert!(points.is_sorted_by(|a, b| a < b), "{}", bad("not ascending"));
                if let (Some(first), Some(last)) = (content.entries.first(), content.entries.last()) {
                    assert!(points.iter().all(|p| *p > first.key && *p <= last.key), "{}", bad("outside"));
                } else {
                    assert!(points.is_empty(), "{}", bad("of nothing"));
                }
            }
        }
    }
    let content = subject.large();
    let written = subject.write(&content);
    let points = subject.open_memory(&written.bytes).split_points(4).expect("an intact table");
    assert_eq!(points.len(), 3, "a large table can be cut into four");
    for (point, share) in points.iter().zip([0.25, 0.5, 0.75]) {
        let below = content.entries.partition_point(|entry| entry.key < *point) as f64;
        let found = below / content.entries.len() as f64;
        assert!((found - share).abs() < 0.1, "a cut at {share} lies at {found}");
    }
}
