//! Reading the log back.
//!
//! A segment is left without being synced, so a power loss may take something from any of the last ones, and leave later records
//! intact. What is before the first gap is a prefix of what was written, and that is what counts. Whether the gap is innocent is
//! told by what later records say of syncs, which went from the oldest segment to the newest: a link says up to which place
//! of which segment the log was synced, and a record that claims a sync of its own segment proves all before to be whole.

use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::record::{self, End, Expect, HEADER_LEN, LogHeader, LogKind, LogReader, Salvage};
use crate::{Error, Recovery, Result};
use esker_table::{ByteSource, Slice};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a power loss left of writes that were never synced: bytes of a segment after the last record that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) path: PathBuf,
    /// Where it begins: the file is to be cut here before the log is continued.
    pub(crate) offset: u64,
    /// How many bytes it has, or had.
    pub(crate) bytes: u64,
    /// Intact records in it, lost with what is before them.
    pub(crate) records: u64,
}

/// What the MANIFEST says of the log, which the log itself cannot prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Segments from this one on are needed: none of them may be lost.
    pub(crate) oldest: u64,
    /// Segments up to this one were created whole: their headers are durable.
    pub(crate) newest: u64,
    /// A segment and a length of it that is durable, with all segments before it; records behind that length do not count.
    pub(crate) end: Option<(u64, u64)>,
}

impl Known {
    /// There is no MANIFEST to be believed.
    pub(crate) const NOTHING: Known = Known { oldest: u64::MAX, newest: 0, end: None };
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    /// The end of a segment, and what there is in those after it.
    pub(crate) torn: Vec<TornTail>,
    /// Segments that were read.
    pub(crate) segments: usize,
    /// Records handed on.
    pub(crate) records: u64,
    /// The bytes of their payloads.
    pub(crate) bytes: u64,
    /// The last segment that was ever usable, and where its records end: what the next segment follows. All before that
    /// end is durable once the log is [settled](settle).
    pub(crate) last: Option<(u64, u64)>,
    /// Segments that nothing proves durable up to where their records end.
    pub(crate) unsettled: Vec<Unsettled>,
    /// Segments behind one that is torn: nothing in them counts.
    pub(crate) dropped: Vec<Dropped>,
    /// Segments whose creation was interrupted. They never held a record; settling the log removes them.
    pub(crate) unborn: Vec<u64>,
    /// A segment with a feature that this version may read but not write beside.
    pub(crate) read_only: Option<u64>,
}

/// A segment that may not be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsettled {
    pub(crate) number: u64,
    /// Where its records end.
    pub(crate) end: u64,
}

/// A segment of which nothing counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) number: u64,
    /// The segment before it, and where the records of that end which count.
    pub(crate) previous: (u64, u64),
}

/// How much is copied at a time.
const COPY_AT_ONCE: u64 = 1 << 20;

/// What is known of a segment of the chain before its records are read.
struct ChainSegment {
    number: u64,
    path: PathBuf,
    /// It was synced up to here at least.
    synced: u64,
    /// Whether it was synced up to its end, wherever that is.
    is_whole: bool,
    /// Where its successor or the MANIFEST says that its records end.
    end: Option<u64>,
}

impl ChainSegment {
    fn new(dir: &Path, number: u64, known: &Known) -> ChainSegment {
        let created = if number <= known.newest { HEADER_LEN as u64 } else { 0 };
        let end = known.end.filter(|&(segment, _)| segment == number).map(|(_, end)| end);
        let is_whole = known.end.is_some_and(|(segment, _)| number < segment);
        let synced = created.max(end.unwrap_or(0));
        ChainSegment { number, path: FileName::Wal(number).path(dir), synced, is_whole, end }
    }

    /// Takes down where its successor says that it ends.
    fn ends_at(&mut self, end: u64) {
        self.end = Some(end.max(self.end.unwrap_or(0)));
    }

    /// Takes down up to which place of which segment the log was synced at least.
    fn is_synced_to(&mut self, (number, offset): (u64, u64)) {
        self.is_whole |= self.number < number;
        if self.number == number {
            self.synced = self.synced.max(offset);
        }
    }

    /// Damage below this is no torn tail.
    fn must_reach(&self) -> u64 {
        if self.is_whole { self.end.unwrap_or(u64::MAX) } else { self.synced }
    }

    fn is_settled(&self) -> bool {
        self.is_whole || self.end.is_some_and(|end| self.synced >= end)
    }
}

/// Takes a record: the number of its segment, its offset there and its payload.
type EachRecord<'a> = dyn FnMut(u64, u64, &[u8]) -> Result<()> + 'a;

/// Hands every record of `segments` (ascending) that is not empty to `each`, in order, with the number of its segment and
/// its offset.
///
/// # Errors
/// `Corruption` for damage in what was synced, for any damage if `mode` says so; `MissingFile` for a gap in the chain of
/// segments; `Unsupported`; `Io`; whatever `each` returns. Nothing is changed on disk.
pub(crate) fn replay(
    env: &dyn Env,
    dir: &Path,
    segments: &[u64],
    mode: Recovery,
    known: &Known,
    each: &mut EachRecord<'_>,
) -> Result<Replay> {
    let mut report = Replay::default();
    let chain = follow(env, dir, segments, mode, known, &mut report)?;
    for (at, segment) in chain.iter().enumerate() {
        let torn = read_segment(env, segment, mode, &mut report, each)?;
        if let Some(torn) = torn {
            drop_behind(env, &chain[at..], torn, mode, &mut report)?;
            break;
        }
    }
    Ok(report)
}

/// Hands the records of one segment on. Returns what it has behind them, if it is torn.
fn read_segment(
    env: &dyn Env,
    segment: &ChainSegment,
    mode: Recovery,
    report: &mut Replay,
    each: &mut EachRecord<'_>,
) -> Result<Option<TornTail>> {
    let mut reader = open(env, segment, mode)?;
    let mut seal = None;
    // What lies behind the end is no part of the log: a closing record whose sync failed, for example.
    while segment.end.is_none_or(|end| reader.offset() < end) {
        let Some(record) = reader.next()? else { break };
        let is_link = record.link().is_some();
        if !is_link && record.synced > HEADER_LEN as u64 {
            // All segments before were synced by then.
            report.unsettled.clear();
        }
        let is_seal = !is_link && record.payload.is_empty() && record.synced >= record.offset;
        seal = is_seal.then_some(record.offset);
        if record.is_commit() {
            each(segment.number, record.offset, &record.payload)?;
            report.records += 1;
            report.bytes += record.payload.len() as u64;
        }
    }
    report.segments += 1;
    let mut end = reader.offset();
    let torn = match (reader.outcome(), segment.end) {
        (End::Torn { offset, bytes, records }, _) => Some((offset, bytes, records)),
        // Cut off between two records.
        (End::Clean, Some(expected)) if end < expected => Some((end, expected - end, 0)),
        (End::Clean, _) => None,
    };
    match seal {
        _ if segment.is_settled() => {}
        // A closing record proves that all before it was synced. It may itself be in the page cache only, because
        // its own sync failed: so nothing relies on it from here on.
        Some(seal) if torn.is_none() && segment.end.is_none() => end = seal,
        _ => report.unsettled.push(Unsettled { number: segment.number, end }),
    }
    report.last = Some((segment.number, end));
    Ok(torn.map(|(offset, bytes, records)| TornTail { path: segment.path.clone(), offset, bytes, records }))
}

/// Takes down that the first of `chain` is torn, and that nothing in the others counts.
///
/// # Errors
/// `Corruption` if one of them proves that the first had been synced beyond that, or `mode` allows no torn tail; `Io`.
fn drop_behind(
    env: &dyn Env,
    chain: &[ChainSegment],
    torn: TornTail,
    mode: Recovery,
    report: &mut Replay,
) -> Result<()> {
    let Some((first, behind)) = chain.split_first() else { return Ok(()) };
    let mut previous = (first.number, torn.offset);
    let mut tails = Vec::new();
    for segment in behind {
        let source = open_file(env, &segment.path)?;
        let end = source.len();
        let mut salvage = Salvage::open(source, &segment.path, LogKind::Wal, segment.number)?;
        let (mut records, mut last) = (0, HEADER_LEN as u64);
        while let Some(record) = salvage.next()? {
            let is_proof = match record.link() {
                Some(of) => of.synced > (first.number, torn.offset),
                None => record.synced > HEADER_LEN as u64,
            };
            if is_proof {
                let what = format!(
                    "the records end here, but a record at {} of segment {} proves that more was synced",
                    record.offset, segment.number
                );
                return Err(Error::corruption(&torn.path, torn.offset, what));
            }
            records += u64::from(record.is_commit());
            last = record.end;
        }
        if salvage.gave_up() {
            let what = "what is damaged here looks like records without end, among which there may be a proof that the segments before were synced";
            return Err(Error::corruption(&segment.path, last, what));
        }
        let damaged = salvage.damage().iter().map(|damage| damage.offset + damage.bytes).max().unwrap_or(0);
        let (offset, bytes) = (HEADER_LEN as u64, last.max(damaged).min(end) - HEADER_LEN as u64);
        if records > 0 || damaged > 0 {
            tails.push(TornTail { path: segment.path.clone(), offset, bytes, records });
        }
        report.dropped.push(Dropped { number: segment.number, previous });
        previous = (segment.number, HEADER_LEN as u64);
    }
    if mode == Recovery::Absolute {
        let what = "the records end here, and later ones were written; these were never synced, so opening without absolute recovery keeps what is before";
        return Err(Error::corruption(&torn.path, torn.offset, what));
    }
    report.last = Some(previous);
    report.torn.push(torn);
    report.torn.append(&mut tails);
    Ok(())
}

/// Cuts the torn tail off, removes segments that never held a record, and makes what was replayed durable. To be done
/// before a further segment takes a record: a sync there would prove what was replayed to be synced.
///
/// After a killed process, records may have been read out of the page cache; after a failed sync, the page cache may hold
/// what no further sync of the file will write. So segments that nothing proves durable are copied.
///
/// Segments behind a torn one become empty, oldest first. A crash in between leaves one that ends before its link says, which is torn
/// like the first.
///
/// # Errors
/// `Io`.
pub(crate) fn settle(env: &dyn Env, dir: &Path, replay: &Replay) -> Result<()> {
    for unsettled in &replay.unsettled {
        rewrite(env, dir, unsettled.number, unsettled.end)?;
    }
    for dropped in &replay.dropped {
        let (previous, previous_end) = dropped.previous;
        let header = LogHeader { kind: LogKind::Wal, number: dropped.number, previous, previous_end };
        replace(env, dir, dropped.number, |append| append(&record::encode_header(&header)))?;
    }
    for &number in &replay.unborn {
        let path = FileName::Wal(number).path(dir);
        env.remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
    }
    if replay.unborn.is_empty() { Ok(()) } else { env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e)) }
}

/// Replaces a segment by a durable copy of its first `end` bytes.
fn rewrite(env: &dyn Env, dir: &Path, number: u64, end: u64) -> Result<()> {
    let path = FileName::Wal(number).path(dir);
    let source = open_file(env, &path)?;
    // The source is closed before the copy takes its place: not every system replaces an open file.
    replace(env, dir, number, move |append| {
        let mut done = 0;
        while done < end {
            let len = (end - done).min(COPY_AT_ONCE);
            append(&source.read(done, len as usize).map_err(|e| Error::io(&path, "read", e))?)?;
            done += len;
        }
        Ok(())
    })
}

/// Replaces a segment by what `fill` appends, durably and in one step.
fn replace(
    env: &dyn Env,
    dir: &Path,
    number: u64,
    fill: impl FnOnce(&dyn Fn(&[u8]) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let (path, tmp) = (FileName::Wal(number).path(dir), FileName::WalTmp(number).path(dir));
    let copy = env.create(&tmp).map_err(|e| Error::io(&tmp, "create", e))?;
    fill(&|bytes| copy.append(bytes).map_err(|e| Error::io(&tmp, "write", e)))?;
    copy.sync().map_err(|e| Error::io(&tmp, "sync", e))?;
    drop(copy);
    env.rename(&tmp, &path).map_err(|e| Error::io(&path, "replace", e))?;
    env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))
}

/// Checks that the segments form one chain, and finds what the heads of all say of each.
fn follow(
    env: &dyn Env,
    dir: &Path,
    segments: &[u64],
    mode: Recovery,
    known: &Known,
    report: &mut Replay,
) -> Result<Vec<ChainSegment>> {
    let mut chain: Vec<ChainSegment> = Vec::new();
    for &number in segments {
        let segment = ChainSegment::new(dir, number, known);
        let mut reader = open(env, &segment, mode)?;
        if reader.is_read_only() {
            report.read_only = Some(number);
        }
        let Some(header) = reader.header().copied() else {
            report.unborn.push(number);
            continue;
        };
        if let Some(before) = chain.last_mut() {
            if header.previous > before.number {
                return Err(lost(dir, header.previous, number, report));
            }
            if header.previous != before.number {
                return Err(Error::corruption(
                    &segment.path,
                    40,
                    format!("it follows segment {}, not segment {}", header.previous, before.number),
                ));
            }
            if header.previous_end > 0 {
                // Whoever knew that had made everything before durable.
                before.ends_at(header.previous_end);
                chain.iter_mut().for_each(|before| before.is_whole = true);
            }
        } else if report.unborn.contains(&header.previous)
            || (header.previous != 0 && header.previous >= known.oldest)
        {
            return Err(lost(dir, header.previous, number, report));
        }
        if let Some(before) = chain.last_mut()
            && let Some(of) = first_link(&mut reader)?
        {
            before.ends_at(of.end);
            chain.iter_mut().for_each(|before| before.is_synced_to(of.synced));
        }
        chain.push(segment);
    }
    Ok(chain)
}

/// The error for a segment that another names as its predecessor and that cannot be read.
fn lost(dir: &Path, number: u64, follower: u64, report: &Replay) -> Error {
    let path = FileName::Wal(number).path(dir);
    if report.unborn.contains(&number) {
        return Error::corruption(
            &path,
            0,
            format!("its header is damaged, and segment {follower} follows it"),
        );
    }
    Error::MissingFile { path, what: format!("segment {follower} of the log follows it") }
}

/// What a segment says of the one before, if its first record is intact and does.
fn first_link(reader: &mut LogReader) -> Result<Option<record::Link>> {
    match reader.next() {
        Ok(record) => Ok(record.and_then(|record| record.link())),
        // Reported when the segment's turn comes, unless an earlier segment has something worse to say.
        Err(error) if error.is_corruption() => Ok(None),
        Err(error) => Err(error),
    }
}

fn open(env: &dyn Env, segment: &ChainSegment, recovery: Recovery) -> Result<LogReader> {
    let source = open_file(env, &segment.path)?;
    // What lies behind the end may be taken away while the rest is read, if the segment is still in use.
    let source = match segment.end {
        Some(end) if end < source.len() => Arc::new(Front { source, len: end }),
        _ => source,
    };
    let expect =
        Expect { kind: LogKind::Wal, number: segment.number, recovery, synced: segment.must_reach() };
    LogReader::open(source, &segment.path, expect)
}

fn open_file(env: &dyn Env, path: &Path) -> Result<Arc<dyn ByteSource>> {
    env.open(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => {
            Error::MissingFile { path: path.to_owned(), what: "a segment of the log".to_owned() }
        }
        _ => Error::io(path, "open", e),
    })
}

/// The front of a file.
struct Front {
    source: Arc<dyn ByteSource>,
    len: u64,
}

impl ByteSource for Front {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, len: usize) -> std::io::Result<Slice> {
        self.source.read(offset, len)
    }

    fn is_mapped(&self) -> bool {
        self.source.is_mapped()
    }
}

#[cfg(test)]
mod tests;
