//! A device that fails is told as such, wherever it fails, and once it answers again so does the table.

use crate::model::{ask_everything, ask_seek};
use crate::sources;
use crate::subject::{Content, Shared, Subject};
use esker_table::{BlockSource, ReadOptions, Result, TableError, Verify};
use std::io::{self, Write};

pub(crate) fn reading(subject: &Subject<'_>) {
    let content = subject.small();
    let written = subject.write(&content);
    let sorts: [fn(&[u8], usize) -> BlockSource; 2] = [sources::positioned, sources::mapped];
    for source in sorts {
        for call in 0.. {
            assert!(call < 100_000, "reading a small table takes no end of calls");
            if !fails_once(subject, source(&written.bytes, call), &content) {
                break;
            }
        }
        let plain = ReadOptions::default();
        let always = plain.with_verify(Verify::Always);
        for options in [plain, always].into_iter().flat_map(|o| [o, o.with_sequential(true)]) {
            for call in 0.. {
                assert!(call < 100_000, "seeking in a small table takes no end of calls");
                if !cursor_fails_once(subject, source(&written.bytes, call), &content, &options) {
                    break;
                }
            }
        }
    }
}

/// Whether the failure came. If it met the cursor, that cursor is moved to the same place again, with success.
fn cursor_fails_once(
    subject: &Subject<'_>,
    source: BlockSource,
    content: &Content,
    options: &ReadOptions,
) -> bool {
    let Ok(reader) = subject.format.open(source) else { return true };
    let mut cursor = reader.cursor(options);
    let mut failed = false;
    for at in (0..content.entries.len()).step_by(3) {
        let mut seek = || ask_seek(&mut *cursor, &content.entries, at);
        let sought = match seek() {
            Err(TableError::Io(_)) if !failed => {
                failed = true;
                seek()
            }
            other => other,
        };
        if let Err(error) = sought {
            panic!("entry {at} with {options:?}, after a failure {failed}: {error}");
        }
    }
    failed
}

/// Whether the failure came. If so everything is asked a second time, with success.
fn fails_once(subject: &Subject<'_>, source: BlockSource, content: &Content) -> bool {
    let collected = subject.capabilities().properties;
    let mut opened = None;
    let mut ask = || -> Result<()> {
        if opened.is_none() {
            opened = Some(subject.format.open(source.clone())?);
        }
        let Some(reader) = &opened else { return Ok(()) };
        ask_everything(reader, content, &ReadOptions::default(), collected)
    };
    match ask() {
        Ok(()) => return false,
        Err(TableError::Io(_)) => {}
        Err(error) => panic!("a failing device was reported as `{error}`"),
    }
    if let Err(error) = ask() {
        panic!("the table fails after the device has recovered: {error}");
    }
    true
}

/// Takes some bytes and then fails for ever.
struct Full {
    room: usize,
    out: Shared,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= bytes.len();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn writing(subject: &Subject<'_>) {
    let content = subject.small();
    let len = subject.write(&content).bytes.len();
    for room in 0..len {
        let out = Box::new(Full { room, out: Shared::default() });
        let written = (|| -> Result<()> {
            let mut writer = subject.format.writer(out, subject.options)?;
            for entry in &content.entries {
                writer.add(&entry.key, entry.trailer, &entry.value)?;
            }
            for tombstone in &content.tombstones {
                writer.add_range_tombstone(tombstone)?;
            }
            writer.finish(content.collected.clone()).map(drop)
        })();
        match written {
            Err(TableError::Io(_)) => {}
            Err(error) => panic!("a full disk was reported as `{error}`"),
            Ok(()) => panic!("a table of {len} bytes was written into {room}"),
        }
    }
}
