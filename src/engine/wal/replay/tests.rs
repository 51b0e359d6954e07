//! Segments that are lost, cut or damaged, replayed.

use super::*;
use crate::fs::LocalEnv;
use crate::fs::simulated::{CrashMode, Fault, SimEnv};
use crate::options::TableIo;
use crate::record::{HEADER_LEN, Link, append_link, append_record};
use crate::wal::{Segment, list};
use std::fs;
use std::sync::Arc;

struct Log {
    dir: tempfile::TempDir,
}

impl Log {
    fn new() -> Log {
        Log { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, number: u64) -> PathBuf {
        FileName::Wal(number).path(self.dir.path())
    }

    /// Writes a segment of these payloads, synced after each if `synced`, and with no room behind them.
    fn write(&self, number: u64, previous: u64, payloads: &[&str], synced: bool) -> Segment {
        let segment = Segment::create(&LocalEnv, self.dir.path(), number, previous).unwrap();
        segment.end_here().unwrap();
        fill(&segment, payloads, synced);
        segment
    }

    fn replay(&self, mode: Recovery) -> Result<(Vec<(u64, String)>, Replay)> {
        self.replay_knowing(mode, &Known::NOTHING)
    }

    fn replay_knowing(&self, mode: Recovery, known: &Known) -> Result<(Vec<(u64, String)>, Replay)> {
        let mut seen = Vec::new();
        let numbers = list(&LocalEnv, self.dir.path())?;
        let report =
            replay(&LocalEnv, self.dir.path(), &numbers, mode, known, &mut |segment, _, payload| {
                seen.push((segment, String::from_utf8(payload.to_vec()).unwrap()));
                Ok(())
            })?;
        Ok((seen, report))
    }

    fn payloads(&self) -> Vec<String> {
        self.replay(Recovery::TolerateTornTail).unwrap().0.into_iter().map(|(_, p)| p).collect()
    }

    fn edit(&self, number: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.path(number)).unwrap();
        change(&mut bytes);
        fs::write(self.path(number), bytes).unwrap();
    }

    fn corrupt_at(&self) -> (PathBuf, u64) {
        match self.replay(Recovery::TolerateTornTail) {
            Err(Error::Corruption { path, offset, .. }) => (path, offset),
            other => panic!("corruption expected, not {other:?}"),
        }
    }
}

fn fill(segment: &Segment, payloads: &[&str], synced: bool) {
    for payload in payloads {
        let mut record = Vec::new();
        append_record(&mut record, segment.number(), segment.len(), segment.synced(), &[payload.as_bytes()]);
        segment.append(&record).unwrap();
        if synced {
            segment.sync().unwrap();
            assert_eq!(segment.synced(), segment.len());
        }
    }
}

/// What the first segment holds.
fn read_first(env: &dyn Env, dir: &Path) -> (Vec<String>, Replay) {
    let mut seen = Vec::new();
    let mut each = |_, _, payload: &[u8]| {
        seen.push(String::from_utf8(payload.to_vec()).unwrap());
        Ok(())
    };
    let report = replay(env, dir, &[1], Recovery::Absolute, &Known::NOTHING, &mut each).unwrap();
    (seen, report)
}

fn record_len(payload: &str) -> u64 {
    let mut record = Vec::new();
    append_record(&mut record, 1, 64, 64, &[payload.as_bytes()]);
    record.len() as u64
}

#[test]
fn segments_are_replayed_in_order_without_empty_records() {
    let log = Log::new();
    log.write(10, 0, &["a", "", "b"], true);
    log.write(12, 10, &[], true);
    let last = log.write(15, 12, &["c", ""], true);
    for mode in [Recovery::TolerateTornTail, Recovery::Absolute] {
        let (seen, report) = log.replay(mode).unwrap();
        assert_eq!(seen, [(10, "a".into()), (10, "b".into()), (15, "c".into())]);
        assert_eq!((report.records, report.bytes, &report.torn[..]), (3, 3, &[][..]));
        // The closing record itself proves nothing durable, and is not counted upon.
        assert_eq!(report.last, Some((15, last.len() - record_len(""))));
        assert_eq!((report.segments, &report.unsettled[..]), (3, &[][..]));
    }
}

#[test]
fn an_error_of_the_receiver_ends_the_replay() {
    let log = Log::new();
    log.write(1, 0, &["a", "b"], true);
    let mut calls = 0;
    let result =
        replay(&LocalEnv, log.dir.path(), &[1], Recovery::Absolute, &Known::NOTHING, &mut |_, _, _| {
            calls += 1;
            Err(Error::Closed)
        });
    assert!(matches!(result, Err(Error::Closed)));
    assert_eq!(calls, 1);
}

#[test]
fn a_torn_tail_is_reported_cut_and_then_gone() {
    let log = Log::new();
    log.write(1, 0, &["kept", "dropped", "intact but after the hole"], false);
    let offset = HEADER_LEN as u64 + record_len("kept");
    log.edit(1, |bytes| bytes[offset as usize + 3] ^= 1);
    assert!(log.replay(Recovery::Absolute).unwrap_err().is_corruption());
    let (seen, report) = log.replay(Recovery::TolerateTornTail).unwrap();
    assert_eq!(seen, [(1, "kept".into())]);
    let bytes = record_len("dropped") + record_len("intact but after the hole");
    assert_eq!(report.torn, [TornTail { path: log.path(1), offset, bytes, records: 1 }]);
    settle(&LocalEnv, log.dir.path(), &report).unwrap();
    let (_, report) = log.replay(Recovery::Absolute).unwrap();
    assert_eq!(report.torn, []);
    // The log goes on, and knows from now on where segment 1 ends.
    let (previous, end) = report.last.unwrap();
    let next = Segment::create_after(&LocalEnv, log.dir.path(), 2, previous, end, TableIo::Mmap).unwrap();
    fill(&next, &["next"], true);
    assert_eq!(log.payloads(), ["kept", "next"]);
    log.edit(1, |bytes| bytes.truncate(HEADER_LEN));
    assert_eq!(log.corrupt_at(), (log.path(1), HEADER_LEN as u64));
}

/// Appends a link to the segment before, which ends at `end`; up to which place of which segment it was synced.
fn link(segment: &Segment, end: u64, synced: (u64, u64)) {
    let mut record = Vec::new();
    append_link(&mut record, segment.number(), Link { end, synced });
    segment.append(&record).unwrap();
}

#[test]
fn a_link_says_where_the_segment_before_ends() {
    let log = Log::new();
    let first = log.write(1, 0, &["a", "b", "c"], true);
    let next = log.write(2, 1, &[], true);
    link(&next, first.len(), (1, first.len()));
    fill(&next, &["d"], true);
    assert_eq!(log.payloads(), ["a", "b", "c", "d"]);
    // A cut between two records leaves no other trace.
    let cut = first.len() - record_len("c");
    log.edit(1, |bytes| bytes.truncate(cut as usize));
    assert_eq!(log.corrupt_at(), (log.path(1), cut));
    // What lies behind the end is not looked at.
    let log = Log::new();
    log.write(1, 0, &["a", "b", "c"], true);
    let next = log.write(2, 1, &[], true);
    link(&next, cut, (1, cut));
    log.edit(1, |bytes| bytes.extend_from_slice(b"what was never appended"));
    assert_eq!(log.payloads(), ["a", "b"]);
    // A link alone is no closing record: it proves nothing of its own segment.
    let (_, report) = log.replay(Recovery::TolerateTornTail).unwrap();
    assert_eq!(report.last, Some((2, next.len())));
    assert_eq!(report.unsettled, [Unsettled { number: 2, end: next.len() }]);
}

/// Three segments: of the first all up to "b" was synced when the second was begun, of the others nothing.
fn left_unsynced(log: &Log) -> [Segment; 3] {
    let first = log.write(1, 0, &["a", "b"], true);
    let synced = first.len();
    fill(&first, &["c", "d"], false);
    let second = log.write(2, 1, &[], true);
    link(&second, first.len(), (1, synced));
    fill(&second, &["e", "f"], false);
    let third = log.write(3, 2, &[], true);
    link(&third, second.len(), (1, synced));
    fill(&third, &["g"], false);
    [first, second, third]
}

#[test]
fn segments_that_were_left_unsynced_are_replayed_and_settled() {
    let log = Log::new();
    let segments = left_unsynced(&log);
    let (seen, report) = log.replay(Recovery::Absolute).unwrap();
    assert_eq!(seen.iter().map(|(_, payload)| &payload[..]).collect::<String>(), "abcdefg");
    let ends = segments.iter().map(|segment| Unsettled { number: segment.number(), end: segment.len() });
    assert!(ends.eq(report.unsettled));
    // A record that was written after a sync proves that all segments before are durable.
    segments[2].sync().unwrap();
    fill(&segments[2], &["h"], false);
    let (_, report) = log.replay(Recovery::Absolute).unwrap();
    assert_eq!(report.unsettled, [Unsettled { number: 3, end: segments[2].len() }]);
}

/// What a power loss may do to a segment whose records end at `end`, of what lies behind `from`.
fn losses(bytes: &[u8], from: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for at in from..bytes.len() {
        let zeros = |to: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at..to].fill(0);
            bytes
        };
        all.extend([bytes[..at].to_vec(), zeros(bytes.len()), zeros(bytes.len().min(at + 9))]);
    }
    all
}

#[test]
fn what_was_lost_of_segments_left_unsynced_takes_the_later_ones_along() {
    let log = Log::new();
    left_unsynced(&log);
    let whole: Vec<Vec<u8>> = (1..=3).map(|number| fs::read(log.path(number)).unwrap()).collect();
    let restore =
        || (1..=3).for_each(|number| fs::write(log.path(number), &whole[number as usize - 1]).unwrap());
    let synced = HEADER_LEN + 2 * record_len("a") as usize;
    for (number, from) in [(1, synced), (2, HEADER_LEN), (3, HEADER_LEN)] {
        for lost in losses(&whole[number as usize - 1], from) {
            restore();
            fs::write(log.path(number), &lost).unwrap();
            let (seen, report) = log.replay(Recovery::TolerateTornTail).unwrap();
            let seen: String = seen.iter().map(|(_, payload)| &payload[..]).collect();
            assert!("abcdefg".starts_with(&seen) && seen.len() < 7 && seen.len() >= 2, "{number}: {seen}");
            let is_torn = !report.torn.is_empty();
            assert_eq!(log.replay(Recovery::Absolute).is_err(), is_torn, "{number}: {report:?}");
            assert!(is_torn || number == 3, "{report:?}");
            let torn =
                report.torn.first().and_then(|torn| (1..=3).find(|&number| torn.path == log.path(number)));
            let dropped = report.dropped.iter().map(|dropped| dropped.number);
            assert!(dropped.eq(torn.unwrap_or(3) + 1..=3), "{number}: {report:?}");
            // The log goes on behind what is left.
            settle(&LocalEnv, log.dir.path(), &report).unwrap();
            let (again, settled) = log.replay(Recovery::Absolute).unwrap();
            assert!(again.iter().map(|(_, payload)| &payload[..]).collect::<String>() == seen);
            assert_eq!(settled.last, report.last);
            let (previous, end) = report.last.unwrap();
            let next =
                Segment::create_after(&LocalEnv, log.dir.path(), 4, previous, end, TableIo::Mmap).unwrap();
            fill(&next, &["x"], true);
            assert_eq!(log.payloads().concat(), format!("{seen}x"));
            // From then on the ends of all segments are known.
            let kept = report.torn.first().map_or(HEADER_LEN as u64, |torn| torn.offset);
            if kept > HEADER_LEN as u64 {
                let torn = report.torn[0].path.clone();
                let mut bytes = fs::read(&torn).unwrap();
                bytes.truncate(kept as usize - 1);
                fs::write(&torn, &bytes).unwrap();
                assert_eq!(log.corrupt_at().0, torn);
            }
            fs::remove_file(log.path(4)).unwrap();
        }
    }
}

#[test]
fn a_settling_that_is_interrupted_anywhere_is_done_again() {
    let dir = Path::new("store");
    let mut calls = 0;
    loop {
        let log = Log::new();
        left_unsynced(&log);
        let env = SimEnv::new();
        env.create_dir_all(dir).unwrap();
        for number in 1..=3 {
            let mut bytes = fs::read(log.path(number)).unwrap();
            if number == 1 {
                *bytes.last_mut().unwrap() ^= 1;
            }
            env.write_file(FileName::Wal(number).path(dir), &bytes).unwrap();
        }
        let read = |env: &SimEnv, mode| {
            let mut seen = String::new();
            let report = replay(env, dir, &list(env, dir)?, mode, &Known::NOTHING, &mut |_, _, payload| {
                seen.push_str(std::str::from_utf8(payload).unwrap());
                Ok(())
            })?;
            Ok::<_, Error>((seen, report))
        };
        let (seen, report) = read(&env, Recovery::TolerateTornTail).unwrap();
        assert_eq!((&seen[..], report.dropped.len()), ("abc", 2));
        env.fail_at(env.calls() + calls, Fault::Stop);
        let done = settle(&env, dir, &report).is_ok();
        for mode in [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(calls)] {
            let env = env.power_loss(mode);
            let (seen, report) = read(&env, Recovery::TolerateTornTail).unwrap();
            assert_eq!(seen, "abc", "stopped at call {calls}, {mode:?}");
            settle(&env, dir, &report).unwrap();
            assert_eq!(read(&env, Recovery::Absolute).unwrap().0, "abc");
        }
        if done {
            break;
        }
        calls += 1;
    }
    assert!(calls > 8, "settling took {calls} calls");
}

#[test]
fn a_link_proves_what_was_synced_of_any_segment_before() {
    for (synced, is_proof) in [((1, HEADER_LEN as u64), false), ((1, u64::MAX), true), ((2, 64), true)] {
        let log = Log::new();
        let first = log.write(1, 0, &["a", "b"], false);
        let second = log.write(2, 1, &[], true);
        link(&second, first.len(), (1, HEADER_LEN as u64));
        fill(&second, &["c"], false);
        let third = log.write(3, 2, &[], true);
        link(&third, second.len(), synced);
        log.edit(1, |bytes| *bytes.last_mut().unwrap() ^= 1);
        let torn_at = first.len() - record_len("b");
        if is_proof {
            assert_eq!(log.corrupt_at(), (log.path(1), torn_at), "{synced:?}");
        } else {
            let (seen, report) = log.replay(Recovery::TolerateTornTail).unwrap();
            assert_eq!((seen.len(), report.torn[0].offset, report.dropped.len()), (1, torn_at, 2));
        }
    }
}

#[test]
fn a_later_segment_that_proves_a_sync_makes_a_torn_tail_corruption() {
    for damage_header in [false, true] {
        let log = Log::new();
        log.write(1, 0, &["a", "b"], false);
        log.write(2, 1, &["c"], false);
        let next = log.write(3, 2, &[], true);
        fill(&next, &["d"], false);
        let at = if damage_header { 0 } else { HEADER_LEN as u64 + record_len("a") };
        log.edit(1, |bytes| bytes[at as usize + 5] ^= 1);
        if !damage_header {
            let (seen, report) = log.replay(Recovery::TolerateTornTail).unwrap();
            assert_eq!(seen.len(), 1);
            assert_eq!(report.torn.iter().map(|torn| torn.records).collect::<Vec<_>>(), [0, 1, 1]);
            assert_eq!(report.torn[0].offset, at);
            assert_eq!(report.last, Some((3, HEADER_LEN as u64)));
            assert_eq!((report.unsettled.len(), report.dropped.len()), (1, 2));
        }
        next.sync().unwrap();
        fill(&next, &["e", "f"], false);
        assert_eq!(log.corrupt_at(), (log.path(1), at), "header {damage_header}");
        // However little is left of what came after that sync.
        log.edit(3, |bytes| bytes[HEADER_LEN + 5] ^= 1);
        log.edit(3, |bytes| *bytes.last_mut().unwrap() ^= 1);
        assert_eq!(log.corrupt_at(), (log.path(1), at), "header {damage_header}");
    }
}

#[test]
fn a_missing_segment_is_noticed() {
    let log = Log::new();
    log.write(1, 0, &["a"], true);
    log.write(2, 1, &["b"], true);
    log.write(3, 2, &[], true);
    fs::remove_file(log.path(2)).unwrap();
    let error = log.replay(Recovery::TolerateTornTail).unwrap_err();
    assert!(matches!(&error, Error::MissingFile { path, .. } if *path == log.path(2)), "{error}");
    // The oldest may have gone: that is how the log is shortened.
    fs::remove_file(log.path(1)).unwrap();
    assert!(log.payloads().is_empty());
    // Named, but gone.
    let error = replay(
        &LocalEnv,
        log.dir.path(),
        &[2, 3],
        Recovery::Absolute,
        &Known::NOTHING,
        &mut |_, _, _| Ok(()),
    )
    .unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }));
}

#[test]
fn a_stranger_in_the_chain_is_corruption() {
    let log = Log::new();
    log.write(1, 0, &["a"], true);
    log.write(2, 0, &["b"], true);
    assert_eq!(log.corrupt_at().0, log.path(2));
}

#[test]
fn an_interrupted_creation_is_passed_over() {
    for content in [&b""[..], b"ESKER", &[0; 64], &[0x5a; 64]] {
        let log = Log::new();
        log.write(1, 0, &["a"], false);
        fs::write(log.path(2), content).unwrap();
        let (seen, report) = log.replay(Recovery::TolerateTornTail).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((report.last.unwrap().0, &report.unborn[..]), (1, &[2][..]));
        // Left where it is, it is no obstacle later.
        settle(&LocalEnv, log.dir.path(), &report).unwrap();
        log.write(3, 1, &["b"], true);
        assert_eq!(log.payloads(), ["a", "b"]);
        // But it was no interrupted creation if another segment follows it.
        log.write(4, 2, &["c"], true);
        log.edit(3, |bytes| bytes.clear());
        assert!(log.replay(Recovery::TolerateTornTail).unwrap_err().is_corruption());
    }
}

#[test]
fn every_flipped_byte_is_found() {
    let log = Log::new();
    log.write(1, 0, &["first", "second", ""], true);
    log.write(2, 1, &["third", ""], true);
    let want = log.payloads();
    for number in [1, 2] {
        let whole = fs::read(log.path(number)).unwrap();
        for at in 0..whole.len() {
            log.edit(number, |bytes| bytes[at] ^= 0x10);
            match log.replay(Recovery::TolerateTornTail) {
                Err(error) => assert!(error.is_corruption(), "{error}"),
                Ok((seen, report)) => {
                    // Only in the last record, which nothing proves synced and which says nothing.
                    assert!(number == 2 && !report.torn.is_empty(), "byte {at} of segment {number}");
                    assert!(seen.iter().map(|(_, p)| p).eq(&want));
                }
            }
            fs::write(log.path(number), &whole).unwrap();
        }
    }
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_settled_for_good() {
    let (env, dir) = (SimEnv::new(), Path::new("store"));
    env.create_dir_all(dir).unwrap();
    let segment = Segment::create(&env, dir, 1, 0).unwrap();
    fill(&segment, &["first"], false);
    segment.sync().unwrap();
    fill(&segment, &["second"], false);
    env.fail_at(env.calls(), Fault::FailedSync);
    assert!(segment.sync().is_err());
    // The process ends; the next one reads the second record, and goes on after it.
    let env = env.kill();
    let payloads = |env: &SimEnv| {
        let mut seen = Vec::new();
        let numbers = list(env, dir).unwrap();
        let report =
            replay(env, dir, &numbers, Recovery::TolerateTornTail, &Known::NOTHING, &mut |_, _, payload| {
                seen.push(String::from_utf8(payload.to_vec()).unwrap());
                Ok(())
            })
            .unwrap();
        (seen, report)
    };
    let (seen, report) = payloads(&env);
    assert_eq!(seen, ["first", "second"]);
    settle(&env, dir, &report).unwrap();
    let (previous, end) = report.last.unwrap();
    let next = Segment::create_after(&env, dir, 2, previous, end, TableIo::Mmap).unwrap();
    fill(&next, &["third"], false);
    next.sync().unwrap();
    for mode in [CrashMode::LoseAll, CrashMode::KeepAll] {
        assert_eq!(payloads(&env.power_loss(mode)).0, ["first", "second", "third"]);
    }
}

#[test]
fn what_the_manifest_knows_is_held_against_the_log() {
    let log = Log::new();
    log.write(3, 1, &["a"], true);
    let last = log.write(5, 3, &["b", "c"], true);
    let mode = Recovery::TolerateTornTail;
    let known = |oldest, newest, end| Known { oldest, newest, end };
    let whole = Some((5, last.len()));
    assert_eq!(log.replay_knowing(mode, &known(2, 5, whole)).unwrap().0.len(), 3);
    // The first of the segments that are needed.
    let error = log.replay_knowing(mode, &known(1, 5, whole)).unwrap_err();
    assert!(matches!(&error, Error::MissingFile { path, .. } if *path == log.path(1)), "{error}");
    let bytes = fs::read(log.path(5)).unwrap();
    for cut in 0..bytes.len() {
        for zeros in [false, true] {
            log.edit(5, |content| {
                content.clear();
                content.extend(&bytes[..cut]);
                content.resize(if zeros { bytes.len() } else { cut }, 0);
            });
            match log.replay_knowing(mode, &known(2, 5, whole)) {
                Err(Error::Corruption { path, offset, .. }) => {
                    assert!(path == log.path(5) && offset <= cut as u64, "cut at {cut}: {offset}");
                }
                other => panic!("cut at {cut}, zeros {zeros}: {other:?}"),
            }
            // That the segment was begun is known also when nobody closed it.
            let begun = log.replay_knowing(mode, &known(2, 5, None));
            assert_eq!(begun.is_err_and(|e| e.is_corruption()), cut < HEADER_LEN, "cut at {cut}");
        }
    }
}

#[test]
fn a_closing_record_that_was_never_synced_is_not_counted_upon() {
    let (env, dir) = (SimEnv::new(), Path::new("store"));
    env.create_dir_all(dir).unwrap();
    let segment = Segment::create(&env, dir, 1, 0).unwrap();
    fill(&segment, &["first"], true);
    fill(&segment, &[""], false);
    env.fail_at(env.calls(), Fault::FailedSync);
    assert!(segment.sync().is_err());
    let env = env.kill();
    let read = |env: &SimEnv| {
        let mut seen = Vec::new();
        let numbers = list(env, dir).unwrap();
        let report = replay(env, dir, &numbers, Recovery::Absolute, &Known::NOTHING, &mut |_, _, payload| {
            seen.push(String::from_utf8(payload.to_vec()).unwrap());
            Ok(())
        });
        (seen, report.unwrap())
    };
    let (_, report) = read(&env);
    settle(&env, dir, &report).unwrap();
    let (previous, end) = report.last.unwrap();
    let next = Segment::create_after(&env, dir, 2, previous, end, TableIo::Mmap).unwrap();
    fill(&next, &["second"], true);
    for mode in [CrashMode::LoseAll, CrashMode::KeepAll] {
        assert_eq!(read(&env.power_loss(mode)).0, ["first", "second"]);
    }
}

#[test]
fn room_behind_the_records_is_no_part_of_the_log() {
    for env in [Arc::new(LocalEnv) as Arc<dyn Env>, Arc::new(SimEnv::new())] {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("store");
        env.create_dir_all(&dir).unwrap();
        let segment = Segment::create(env.as_ref(), &dir, 1, 0).unwrap();
        segment.make_room();
        fill(&segment, &["first", "second"], true);
        let (path, written) = (FileName::Wal(1).path(&dir), segment.len());
        let has_room = cfg!(unix) || env.background() == crate::fs::Background::Stepped;
        assert_eq!(env.file_len(&path).unwrap() > written, has_room);
        let (seen, report) = read_first(env.as_ref(), &dir);
        assert_eq!(
            (seen, report.last, report.torn.clone()),
            (vec!["first".into(), "second".into()], Some((1, written)), vec![])
        );
        // What goes on after a crash is a copy without the room.
        settle(env.as_ref(), &dir, &report).unwrap();
        assert_eq!(env.file_len(&path).unwrap(), written);
        // What was closed has none either.
        let segment = Segment::create_after(env.as_ref(), &dir, 2, 1, written, TableIo::Mmap).unwrap();
        fill(&segment, &["third"], true);
        segment.make_room();
        segment.end_here().unwrap();
        segment.make_room();
        fill(&segment, &["last"], true);
        assert_eq!(env.file_len(&FileName::Wal(2).path(&dir)).unwrap(), segment.len());
    }
}

#[test]
fn room_that_is_made_again_and_again_overwrites_nothing() {
    for env in [Arc::new(LocalEnv) as Arc<dyn Env>, Arc::new(SimEnv::new())] {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("store");
        env.create_dir_all(&dir).unwrap();
        let segment = Segment::create(env.as_ref(), &dir, 1, 0).unwrap();
        let payloads: Vec<String> = (0..60).map(|i| format!("{i:05}").repeat(1 + i * 37 % 9_000)).collect();
        for (i, payload) in payloads.iter().enumerate() {
            segment.make_room();
            // Some are appended behind the end of the room, and some are not synced.
            fill(&segment, &[payload], i % 3 != 0);
        }
        let (seen, _) = read_first(env.as_ref(), &dir);
        assert!(seen == payloads);
    }
}
