//! A format that salvages hands on every entry of an intact file, and of a damaged one only entries that were written.

use crate::random::Random;
use crate::sources::{self, NEVER};
use crate::subject::{Content, Entry, Subject};
use esker_table::{BlockSource, Result, key};

pub(crate) fn check(subject: &Subject<'_>) {
    for content in [subject.small(), subject.large()] {
        let written = subject.write(&content);
        match salvage(subject, BlockSource::from_memory(&written.bytes[..])) {
            Ok(None) => return,
            Ok(Some(found)) => assert!(found == content.entries, "{}: not what was written", content.name),
            Err(error) => panic!("{}: an intact file gives `{error}`", content.name),
        }
    }
    damaged(subject, &subject.small());
}

fn damaged(subject: &Subject<'_>, content: &Content) {
    let written = subject.write(content);
    let mut random = Random::new(6);
    for at in (0..written.bytes.len()).step_by(7) {
        let mut bytes = written.bytes.clone();
        bytes[at] ^= 1 << random.below(8);
        bytes.truncate(if at % 3 == 0 { at } else { bytes.len() });
        match salvage(subject, sources::positioned(&bytes, NEVER)) {
            Ok(found) => {
                let mut found = found.unwrap_or_default();
                found.retain(|entry| !content.entries.contains(entry));
                assert!(found.is_empty(), "damage at {at}: {found:?} was never written");
            }
            Err(error) => panic!("damage at {at}: `{error}`, and it was not the device"),
        }
    }
}

/// What is handed on, in internal order; `None` if the format does not salvage.
fn salvage(subject: &Subject<'_>, source: BlockSource) -> Result<Option<Vec<Entry>>> {
    let mut found = Vec::new();
    let able = subject.format.salvage(source, &mut |user_key, trailer, value| {
        found.push(Entry { key: user_key.to_vec(), trailer, value: value.to_vec() });
    })?;
    found.sort_by(|a, b| key::compare(&a.key, a.trailer, &b.key, b.trailer));
    assert!(able || found.is_empty(), "a format that does not salvage hands on entries");
    Ok(able.then_some(found))
}
