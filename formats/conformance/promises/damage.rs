//! A file that was cut anywhere, or in which any byte was changed, is told as typed damage or answered rightly: never a
//! panic, never a wrong value. Arbitrary bytes are no table, nor is one that was never finished.

use crate::model::{ask_each, assert_typed};
use crate::random::Random;
use crate::sources::{self, NEVER};
use crate::subject::{Content, Shared, Subject};
use esker_table::footer::{BODY_LEN, Features, Footer};
use esker_table::{BlockSource, FormatId, ReadOptions, Result, Verify};

/// Says what was done to the file if a check panics.
struct Context(String);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

pub(crate) fn cuts(subject: &Subject<'_>) {
    let content = subject.small();
    let written = subject.write(&content);
    for len in 0..written.bytes.len() {
        let _context = Context(format!("the file was cut to {len} of {} bytes", written.bytes.len()));
        interrogate(subject, &written.bytes[..len], &content);
    }
}

pub(crate) fn flips(subject: &Subject<'_>) {
    let content = subject.small();
    let written = subject.write(&content);
    let mut random = Random::new(3);
    for at in 0..written.bytes.len() {
        for pattern in [0xff, 1 << random.below(8)] {
            let _context = Context(format!("byte {at} was changed by {pattern:#04x}"));
            let mut bytes = written.bytes.clone();
            bytes[at] ^= pattern;
            interrogate(subject, &bytes, &content);
        }
    }
}

pub(crate) fn arbitrary(subject: &Subject<'_>) {
    let written = subject.write(&subject.small());
    let tail = &written.bytes[written.bytes.len().saturating_sub(64)..];
    for seed in 0..500 {
        let _context = Context(format!("arbitrary bytes of seed {seed}"));
        let mut random = Random::new(seed);
        let mut bytes = random.bytes(3000, 256);
        if seed % 2 == 0 {
            bytes.extend_from_slice(tail);
        }
        if let Err(error) = subject.format.open(BlockSource::from_memory(bytes)) {
            assert_typed(&error);
        }
    }
}

/// A writer that is dropped before it has finished leaves nothing that opens.
pub(crate) fn unfinished(subject: &Subject<'_>) {
    let content = subject.large();
    for added in [0, 1, content.entries.len() / 2, content.entries.len()] {
        let out = Shared::default();
        let mut writer = subject.writer(&out);
        for entry in &content.entries[..added] {
            writer.add(&entry.key, entry.trailer, &entry.value).expect("an entry in order");
        }
        drop(writer);
        match subject.format.open(BlockSource::from_memory(out.take())) {
            Ok(_) => panic!("a table opens that was never finished, after {added} entries"),
            Err(error) => assert_typed(&error),
        }
    }
}

/// A format takes no other format's tables for its own, nor bytes that are no table.
pub(crate) fn foreign(subject: &Subject<'_>) {
    let own = subject.format.id();
    let tails = [0, 1, own.0 ^ 1, u32::MAX].into_iter().filter(|id| *id != own.0).map(|id| {
        let (format, features) = (FormatId(id), Features::default());
        Footer { format, version: 1, features, body: [0; BODY_LEN] }.encode().to_vec()
    });
    let mut random = Random::new(5);
    let arbitrary: Vec<Vec<u8>> =
        (0..70).map(|len| (0..len).map(|_| random.next() as u8).collect()).collect();
    for tail in tails.chain(arbitrary) {
        assert!(!subject.format.recognizes(&tail), "the format takes {tail:x?} for one of its tables");
    }
}

/// Asks a damaged table everything, each question for itself; errors must be typed, answers right.
fn interrogate(subject: &Subject<'_>, bytes: &[u8], content: &Content) {
    let collected = subject.capabilities().properties;
    let plain = ReadOptions::default();
    let always = plain.with_verify(Verify::Always);
    let ways = [
        (BlockSource::from_memory(bytes), plain),
        (BlockSource::from_memory(bytes), always.with_sequential(true)),
        (sources::positioned(bytes, NEVER), plain.with_sequential(true)),
        (sources::positioned(bytes, NEVER), always),
    ];
    for (source, options) in ways {
        let all = || -> Result<()> {
            let reader = subject.format.open(source)?;
            ask_each(&reader, content, &options, collected, &mut |answer| answer.or_else(damage))?;
            reader.verify().or_else(damage)?;
            reader.estimated_offset(b"f");
            reader.split_points(3).map(drop).or_else(damage)?;
            if let Some(entry) = content.entries.first() {
                reader.raw_block_at(&entry.key, entry.trailer).map(drop).or_else(damage)?;
            }
            reader.describe(&mut |_| {})
        };
        all().or_else(damage).unwrap_or_default();
    }
}

fn damage(error: esker_table::TableError) -> Result<()> {
    assert_typed(&error);
    Ok(())
}
