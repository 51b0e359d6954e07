//! A lookup finds the newest entry that its snapshot can see, a delete among them, and nothing where nothing is.

use crate::model::ask_get;
use crate::sources;
use crate::subject::Subject;
use esker_table::ReadOptions;
use esker_table::key::MAX_SEQNO;

pub(crate) fn check(subject: &Subject<'_>) {
    for content in subject.contents() {
        let written = subject.write(&content);
        for (name, source) in sources::all(&written.bytes) {
            let reader = subject.open(source);
            let ask = |key: &[u8], snapshot| {
                ask_get(&reader, &content.entries, key, snapshot, &ReadOptions::default())
                    .unwrap_or_else(|error| panic!("{} from {name}: {error}", content.name));
            };
            for entry in &content.entries {
                let seqno = entry.trailer.seqno();
                for snapshot in [0, seqno - 1, seqno, seqno + 1, MAX_SEQNO] {
                    ask(&entry.key, snapshot);
                }
                for neighbour in neighbours(&entry.key) {
                    ask(&neighbour, MAX_SEQNO);
                }
            }
            for key in [&b""[..], b"\0", b"m", &[0xff; 400]] {
                ask(key, MAX_SEQNO);
            }
        }
    }
}

/// Keys that lie close to `key` and are mostly not there.
fn neighbours(key: &[u8]) -> Vec<Vec<u8>> {
    let mut neighbours = vec![[key, b"\0"].concat()];
    if let Some((&last, front)) = key.split_last() {
        neighbours.push(front.to_vec());
        neighbours.push([front, &[last.wrapping_add(1)]].concat());
        neighbours.push([front, &[last.wrapping_sub(1), 0xff]].concat());
    }
    neighbours
}
