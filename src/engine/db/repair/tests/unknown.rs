//! What nobody knows of any more: tables that are gone with the MANIFEST that named them, a MANIFEST that was never finished,
//! keyspaces that cannot be.

use super::*;
use crate::record::{LogHeader, LogKind, encode_header};

fn layers() -> (Store, Vec<u64>) {
    let mut store = Store::new(&["default"]);
    let mut tables = Vec::new();
    for round in 0..4 {
        store.puts(0, round * 10..round * 10 + 15, &format!("round{round}"));
        store.write(&[(Kind::RangeDelete, 0, "key00005", "key00007")]);
        tables.push(store.flush(0));
    }
    store.puts(0, 900..905, "log");
    (store, tables)
}

#[test]
fn a_table_that_is_lost_with_the_manifest_comes_out_of_the_log() {
    for lost in 0..4 {
        let (store, tables) = layers();
        store.remove_manifest();
        store.remove(FileName::Table(tables[lost]));
        let report = run(&store.env).unwrap();
        assert!(read(&store.env) == store.model, "without table {lost}: {report}");
        assert!(run(&store.env).unwrap().is_intact());
    }
}

#[test]
fn a_manifest_that_was_only_begun_does_not_hide_the_one_before() {
    let header = LogHeader { kind: LogKind::Manifest, number: 800_000, previous: 0, previous_end: 0 };
    let whole = encode_header(&header);
    for begun in [0, 20, whole.len()] {
        let store = busy();
        store.remove(FileName::Current);
        store.env.write_file(file(FileName::Manifest(800_000)), &whole[..begun]).unwrap();
        let report = run(&store.env).unwrap();
        assert_eq!((report.tables_kept, report.tables_rewritten), (5, 0), "{begun} bytes: {report}");
        assert!(read(&store.env) == store.model, "{begun} bytes: {report}");
        assert!(run(&store.env).unwrap().is_intact());
    }
}

#[test]
fn ids_that_no_store_gives_out_are_no_keyspaces() {
    for id in [u32::MAX, u32::MAX - 1] {
        let (store, _) = layers();
        let output = store.output();
        let entry = |key: &str| Entry {
            key: key.into(),
            trailer: Trailer::new(7, Kind::Put),
            value: Slice::copy_from(b"forged"),
        };
        let mut entries = vec![entry("a"), entry("b")].into_iter();
        let metas = output
            .write_tables((id, &record("x")), &mut || entries.next(), &Fragments::default(), u64::MAX)
            .unwrap();
        let number = metas[0].number;
        let (tmp, name) = (FileName::TableTmp(number), FileName::Table(number));
        store.env.rename(&tmp.path(Path::new(DIR)), &name.path(Path::new(DIR))).unwrap();
        store.remove_manifest();
        let report = run(&store.env).unwrap();
        assert_eq!(report.keyspaces, ["default", "recovered"], "{report}");
        let shown = read(&store.env);
        assert!(shown["default"] == store.model["default"], "{report}");
        assert_eq!(shown["recovered"].len(), 2, "{report}");
    }
}
