//! A table with a feature that this version does not know and may read past: it is read, and never rewritten.

use esker::{Db, Error};
use esker_table::footer::{FOOTER_LEN, Footer};
use std::path::{Path, PathBuf};

fn tables(dir: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|ext| ext == "sst")).collect()
}

#[test]
fn a_table_with_an_unknown_feature_is_read_and_not_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    db.put("a", "1").unwrap();
    db.put("c", "3").unwrap();
    db.flush().unwrap();
    db.close().unwrap();

    let marked = tables(dir.path()).pop().unwrap();
    let mut bytes = std::fs::read(&marked).unwrap();
    let mut footer = Footer::decode(&bytes, bytes.len() as u64).unwrap();
    footer.features.read_only_compatible |= 1 << 30;
    let end = bytes.len() - FOOTER_LEN;
    bytes[end..].copy_from_slice(&footer.encode());
    std::fs::write(&marked, bytes).unwrap();

    let db = Db::open(dir.path()).unwrap();
    db.put("b", "2").unwrap();
    db.flush().unwrap();
    match db.compact(..) {
        Err(Error::Unsupported { path, what }) => {
            assert_eq!(path.file_name(), marked.file_name());
            assert!(what.ends_with("open it with a newer Esker"), "{what}");
        }
        other => panic!("the table was compacted: {other:?}"),
    }
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3")] {
        assert_eq!(db.get(key).unwrap().unwrap(), value.as_bytes());
    }
    drop(db);
    let left = tables(dir.path());
    assert!(left.contains(&marked), "the table is gone: {left:?}");
    let db = Db::builder().read_only(true).open(dir.path()).unwrap();
    assert_eq!(db.range(..).count(), 3);
}
