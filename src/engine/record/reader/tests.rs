//! Logs that are cut, flipped, torn or full of holes, read back.

use super::*;
use crate::record::{append_record, encode_header};
use std::io;
use std::sync::Mutex;

const NUMBER: u64 = 7;

fn header(number: u64) -> Vec<u8> {
    encode_header(&LogHeader { kind: LogKind::Wal, number, previous: 3, previous_end: 99 }).to_vec()
}

/// A log of these payloads, each claiming that the log was synced up to `synced(offset)`.
fn log(payloads: &[&[u8]], synced: impl Fn(u64) -> u64) -> (Vec<u8>, Vec<u64>) {
    let mut out = header(NUMBER);
    let mut offsets = Vec::new();
    for payload in payloads {
        let offset = out.len() as u64;
        offsets.push(offset);
        append_record(&mut out, NUMBER, offset, synced(offset), &[payload]);
    }
    (out, offsets)
}

/// A file in memory that notes the largest read.
struct Watched {
    bytes: Vec<u8>,
    largest: Mutex<usize>,
}

impl ByteSource for Watched {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read(&self, offset: u64, len: usize) -> io::Result<Slice> {
        let mut largest = self.largest.lock().unwrap();
        *largest = len.max(*largest);
        let start = offset as usize;
        self.bytes.get(start..start + len).map(Slice::from).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
    fn is_mapped(&self) -> bool {
        false
    }
}

struct Outcome {
    payloads: Vec<Vec<u8>>,
    end: End,
    largest_read: usize,
}

fn read_with(bytes: &[u8], recovery: Recovery, synced: u64) -> Result<Outcome> {
    let source = Arc::new(Watched { bytes: bytes.to_vec(), largest: Mutex::new(0) });
    let expect = Expect { kind: LogKind::Wal, number: NUMBER, recovery, synced };
    let mut reader = LogReader::open(source.clone(), Path::new("000007.wal"), expect)?;
    let mut payloads = Vec::new();
    while let Some(record) = reader.next()? {
        payloads.push(record.payload.to_vec());
    }
    let largest_read = *source.largest.lock().unwrap();
    Ok(Outcome { payloads, end: reader.outcome(), largest_read })
}

fn read(bytes: &[u8]) -> Result<Outcome> {
    read_with(bytes, Recovery::TolerateTornTail, 0)
}

fn corrupt_at(result: Result<Outcome>) -> u64 {
    match result {
        Err(Error::Corruption { offset, .. }) => offset,
        Err(other) => panic!("corruption expected, not {other}"),
        Ok(outcome) => {
            panic!("corruption expected, not {} records and {:?}", outcome.payloads.len(), outcome.end)
        }
    }
}

#[test]
fn records_round_trip() {
    let big = vec![0xa5; 3 * WINDOW + 17];
    let payloads: Vec<&[u8]> = vec![b"one", b"", &big, b"four", &[0; 100]];
    let (bytes, _) = log(&payloads, |o| o);
    let outcome = read(&bytes).unwrap();
    assert_eq!(outcome.payloads, payloads);
    assert_eq!(outcome.end, End::Clean);
    assert_eq!(read_with(&bytes, Recovery::Absolute, u64::MAX).unwrap().payloads.len(), 5);
}

#[test]
fn records_that_meet_the_window_anywhere() {
    for gap in 0..40 {
        let first = vec![1; WINDOW - HEADER_LEN - MIN_RECORD_HEADER_LEN - gap];
        let (bytes, _) = log(&[&first, b"second", b"third"], |o| o);
        let outcome = read(&bytes).unwrap();
        assert_eq!(outcome.payloads[1..], [b"second".to_vec(), b"third".to_vec()], "gap {gap}");
    }
}

#[test]
fn parts_are_one_payload() {
    let (whole, _) = log(&[b"abcdef"], |_| 64);
    let mut parts = header(NUMBER);
    append_record(&mut parts, NUMBER, 64, 64, &[b"ab", b"", b"cdef"]);
    assert_eq!(whole, parts);
}

#[test]
fn every_flipped_bit_of_synced_records_is_corruption_there() {
    let (bytes, offsets) = log(&[b"first", b"second", b"third", b""], |o| o);
    let last = *offsets.last().unwrap() as usize;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            let result = read(&bad);
            if at >= last {
                // Nothing proves that the last record was synced.
                let outcome = result.unwrap();
                assert_eq!(outcome.payloads.len(), 3);
                assert!(matches!(outcome.end, End::Torn { records: 0, .. }));
                assert_eq!(
                    corrupt_at(read_with(&bad, Recovery::Absolute, 0)),
                    last as u64,
                    "byte {at} bit {bit}"
                );
            } else {
                let begins = offsets.iter().rev().find(|&&o| o <= at as u64).copied().unwrap_or(0);
                assert_eq!(corrupt_at(result), begins, "byte {at} bit {bit}");
            }
            assert!(read_with(&bad, Recovery::TolerateTornTail, u64::MAX).is_err());
        }
    }
}

#[test]
fn a_damaged_record_that_nothing_proves_synced_is_a_torn_tail() {
    let (bytes, offsets) = log(&[b"first", b"second", b"third", b"fourth"], |_| 64);
    for at in offsets[1] as usize..offsets[2] as usize {
        let mut bad = bytes.clone();
        bad[at] ^= 0x55;
        let outcome = read(&bad).unwrap();
        assert_eq!(outcome.payloads, [b"first".to_vec()]);
        let expected = End::Torn { offset: offsets[1], bytes: bytes.len() as u64 - offsets[1], records: 2 };
        assert_eq!(outcome.end, expected, "byte {at}");
        assert_eq!(corrupt_at(read_with(&bad, Recovery::TolerateTornTail, u64::MAX)), offsets[1]);
    }
}

#[test]
fn a_hole_is_judged_by_what_later_records_prove() {
    let (unproven, offsets) = log(&[b"first", b"second", b"third"], |_| 64);
    let (proven, _) = log(&[b"first", b"second", b"third"], |o| if o > 80 { 65 } else { 64 });
    let hole = offsets[0] as usize..offsets[1] as usize;
    for (mut bytes, synced) in [(unproven, false), (proven, true)] {
        bytes[hole.clone()].fill(0);
        if synced {
            assert_eq!(corrupt_at(read(&bytes)), 64);
        } else {
            assert_eq!(
                read(&bytes).unwrap().end,
                End::Torn { offset: 64, bytes: bytes.len() as u64 - 64, records: 2 }
            );
        }
    }
}

#[test]
fn every_cut_gives_a_prefix() {
    let (bytes, offsets) = log(&[b"first", b"second", b"third"], |_| 64);
    for cut in 0..bytes.len() {
        let outcome = read(&bytes[..cut]).unwrap();
        let ends = offsets[1..].iter().copied().chain([bytes.len() as u64]);
        let whole = ends.filter(|&e| e <= cut as u64).count();
        assert_eq!(outcome.payloads.len(), whole, "cut at {cut}");
        let boundary = cut == 0 || cut == 64 || offsets.contains(&(cut as u64));
        assert_eq!(outcome.end == End::Clean, boundary, "cut at {cut}");
        // Whoever knows where it ended is not deceived by a cut between two records.
        assert!(read_with(&bytes[..cut], Recovery::TolerateTornTail, bytes.len() as u64).is_err());
    }
}

#[test]
fn zeros_after_the_end_are_a_clean_end() {
    let (mut bytes, _) = log(&[b"first"], |o| o);
    let end = bytes.len() as u64;
    bytes.resize(bytes.len() + 3 * WINDOW, 0);
    for recovery in [Recovery::TolerateTornTail, Recovery::Absolute] {
        let outcome = read_with(&bytes, recovery, end).unwrap();
        assert_eq!((outcome.payloads.len(), outcome.end), (1, End::Clean));
    }
    assert_eq!(corrupt_at(read_with(&bytes, Recovery::TolerateTornTail, end + 1)), end);
    let last = bytes.len() - 1;
    bytes[last] = 1;
    assert!(matches!(read(&bytes).unwrap().end, End::Torn { offset, .. } if offset == end));
    // An interrupted creation.
    assert_eq!(read(&[0; 64]).unwrap().end, End::Clean);
    assert_eq!(corrupt_at(read_with(&[0; 64], Recovery::TolerateTornTail, u64::MAX)), 0);
}

#[test]
fn records_of_another_log_or_another_place_are_none() {
    let (bytes, offsets) = log(&[b"first"], |o| o);
    // Stale: another log's record where the next one would lie.
    let mut stale = bytes.clone();
    append_record(&mut stale, NUMBER + 1, bytes.len() as u64, bytes.len() as u64, &[b"stale"]);
    let outcome = read(&stale).unwrap();
    assert_eq!(outcome.payloads, [b"first".to_vec()]);
    assert!(matches!(outcome.end, End::Torn { records: 0, .. }));
    // Copied: this log's record at a place where it was not written.
    let mut copied = bytes.clone();
    copied.extend_from_slice(&bytes[offsets[0] as usize..]);
    assert_eq!(read(&copied).unwrap().payloads.len(), 1);
    // The whole file under another name.
    let mut other = header(NUMBER + 1);
    append_record(&mut other, NUMBER + 1, 64, 64, &[b"x"]);
    assert_eq!(corrupt_at(read(&other)), 32);
}

#[test]
fn a_damaged_length_costs_no_memory() {
    let (mut bytes, _) = log(&[b"first"], |o| o);
    let at = bytes.len();
    append_record(&mut bytes, NUMBER, at as u64, 64, &[&vec![1; 4 * WINDOW]]);
    bytes.resize(bytes.len() + 12 * WINDOW, 3);
    // All of them have as many bytes as the right one.
    for len in [(1 << 28) - 1, 1 << 27, 12 * WINDOW, 4 * WINDOW - 1] {
        let mut encoded = Vec::new();
        esker_table::codec::varint::put(&mut encoded, len as u64);
        bytes[at + 8..at + 12].copy_from_slice(&encoded);
        let outcome = read(&bytes).unwrap();
        assert_eq!(outcome.payloads.len(), 1);
        assert!(matches!(outcome.end, End::Torn { .. }));
        assert!(outcome.largest_read <= WINDOW, "{} bytes read at once", outcome.largest_read);
    }
}

#[test]
fn bytes_that_look_like_records_without_end_are_refused_in_bounded_time() {
    let (mut bytes, _) = log(&[b"first"], |o| o);
    let mut bait = Vec::new();
    bait.extend_from_slice(&[9; 4]);
    bait.extend_from_slice(&crate::record::tag(NUMBER).to_le_bytes());
    esker_table::codec::varint::put(&mut bait, WINDOW as u64);
    bait.push(0);
    let at = bytes.len() as u64;
    while bytes.len() < 3 * WINDOW {
        bytes.extend_from_slice(&bait);
    }
    assert_eq!(corrupt_at(read(&bytes)), at);
}

#[test]
fn versions_kinds_and_features_are_checked() {
    let change = |at: usize, value: u32| {
        let (mut bytes, _) = log(&[b"first"], |o| o);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let crc = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        read(&bytes)
    };
    assert!(matches!(change(8, 2), Err(Error::Unsupported { .. })));
    assert!(matches!(change(16, 1), Err(Error::Unsupported { .. })));
    assert_eq!(change(24, 1).unwrap().payloads.len(), 1);
    assert_eq!(corrupt_at(change(12, 2)), 12);
    assert_eq!(corrupt_at(change(12, 9)), 12);
}
