//! What this program does with a file that a later one wrote: what it does not know it refuses, may only read, or ignores,
//! as the file says.

#![allow(clippy::unwrap_used, reason = "what cannot go on has failed")]

use esker_table::footer::{FOOTER_LEN, Features, Footer};
use esker_table::{BlockSource, Kind, Result, TableError, TableFormat, TableReader, Trailer, WriteOptions};
use std::io::Write;
use std::sync::{Arc, Mutex};
use third_party_format::Chunked;

/// Takes a table's bytes while the test keeps a hand on them.
#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Opens a table of one entry whose footer was changed.
fn open_with(change: impl FnOnce(&mut Footer)) -> Result<Arc<dyn TableReader>> {
    let bytes = Bytes::default();
    let mut writer = Chunked.writer(Box::new(bytes.clone()), &WriteOptions::default()).unwrap();
    writer.add(b"key", Trailer::new(1, Kind::Put), b"value").unwrap();
    writer.finish(Vec::new()).unwrap();
    let mut bytes = std::mem::take(&mut *bytes.0.lock().unwrap());
    let at = bytes.len() - FOOTER_LEN;
    let mut footer = Footer::decode(&bytes[at..], bytes.len() as u64).unwrap();
    change(&mut footer);
    bytes[at..].copy_from_slice(&footer.encode());
    Chunked.open(BlockSource::from_memory(bytes))
}

fn refused(change: impl FnOnce(&mut Footer)) -> bool {
    matches!(open_with(change), Err(TableError::Unsupported { .. }))
}

#[test]
fn what_is_not_known_is_treated_as_the_file_says() {
    assert!(!open_with(|_| {}).unwrap().properties().read_only);
    assert!(refused(|footer| footer.version += 1));
    assert!(refused(|footer| footer.format.0 += 1));
    assert!(refused(|footer| footer.features.incompatible |= 1 << 31));
    let readable = open_with(|footer| footer.features.read_only_compatible |= 1 << 31).unwrap();
    assert!(readable.properties().read_only);
    readable.verify().unwrap();
    let ignored = open_with(|footer| footer.features = Features { compatible: 1 << 31, ..footer.features });
    assert!(!ignored.unwrap().properties().read_only);
}
