//! Entries out of order, beyond the limits or of a kind that tables do not hold are refused, and a refused entry leaves
//! the writer as it was.

use crate::model::ask_scan;
use crate::subject::{Content, Entry, Shared, Subject};
use esker_table::key::{Kind, MAX_KEY_LEN, MAX_VALUE_LEN};
use esker_table::{RangeTombstone, ReadOptions, TableError, TableWriter, Trailer};

pub(crate) fn check(subject: &Subject<'_>) {
    let out = Shared::default();
    let mut writer = subject.writer(&out);
    let put = |seqno| Trailer::new(seqno, Kind::Put);
    let mut entries = Vec::new();
    let mut add = |writer: &mut Box<dyn TableWriter>, key: &[u8], trailer| {
        writer.add(key, trailer, b"v").expect("an entry in order");
        entries.push(Entry { key: key.to_vec(), trailer, value: b"v".to_vec() });
    };
    refused(&mut writer, &vec![1; MAX_KEY_LEN + 1], put(9), b"");
    add(&mut writer, b"b", put(9));
    refused(&mut writer, b"b", put(9), b"the same entry");
    refused(&mut writer, b"b", put(10), b"a newer version behind an older one");
    refused(&mut writer, b"a", put(1), b"a smaller key");
    refused(&mut writer, b"", put(1), b"a smaller key");
    refused(&mut writer, b"c", Trailer::new(9, Kind::RangeDelete), b"d");
    refused(&mut writer, b"c", put(9), &vec![0; MAX_VALUE_LEN + 1]);
    if subject.capabilities().versions {
        add(&mut writer, b"b", put(8));
        refused(&mut writer, b"b", put(9), b"a newer version");
    } else {
        refused(&mut writer, b"b", put(8), b"a second version, which the format cannot hold");
    }
    if !subject.capabilities().deletes {
        refused(&mut writer, b"c", Trailer::new(9, Kind::Delete), b"");
    }
    add(&mut writer, b"b\0", put(11));
    refused(&mut writer, b"b", put(1), b"a prefix");
    add(&mut writer, &[0xff; 20], put(11));
    refused(&mut writer, &[0xff; 19], put(1), b"a prefix");
    if subject.capabilities().range_tombstones {
        refused_tombstones(&mut writer);
    }
    assert_eq!(writer.entries(), entries.len() as u64);
    writer.finish(Vec::new()).expect("the table is complete");
    let content = Content { entries, ..Content::default() };
    let reader = subject.open_memory(&out.take());
    ask_scan(&reader, &content.entries, &ReadOptions::default(), 10).expect("an intact table");
}

fn refused(writer: &mut Box<dyn TableWriter>, key: &[u8], trailer: Trailer, value: &[u8]) {
    let error = writer.add(key, trailer, value).expect_err("an entry against the rules was taken");
    assert!(matches!(error, TableError::Invalid { .. }), "a broken rule was reported as `{error}`");
}

fn refused_tombstones(writer: &mut Box<dyn TableWriter>) {
    let t = |start: &str, end: &str, seqno| RangeTombstone { start: start.into(), end: end.into(), seqno };
    let mut refused = |tombstone: RangeTombstone| {
        let error =
            writer.add_range_tombstone(&tombstone).expect_err("a tombstone against the rules was taken");
        assert!(matches!(error, TableError::Invalid { .. }), "a broken rule was reported as `{error}`");
    };
    refused(t("d", "d", 4));
    refused(t("d", "c", 4));
    writer.add_range_tombstone(&t("d", "f", 4)).expect("a tombstone in order");
    let mut refused = |tombstone: RangeTombstone| {
        let error =
            writer.add_range_tombstone(&tombstone).expect_err("a tombstone against the rules was taken");
        assert!(matches!(error, TableError::Invalid { .. }), "a broken rule was reported as `{error}`");
    };
    refused(t("d", "f", 4));
    refused(t("d", "f", 5));
    refused(t("d", "g", 3));
    refused(t("e", "g", 3));
    refused(t("a", "b", 3));
    writer.add_range_tombstone(&t("d", "f", 3)).expect("an older tombstone of the same range");
    writer.add_range_tombstone(&t("f", "g", 9)).expect("a tombstone that begins where the last ended");
}
