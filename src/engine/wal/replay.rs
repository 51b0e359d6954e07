//! Reading the log back.

use crate::fs::Env;
use crate::fs::filename::FileName;
use crate::record::{End, Expect, HEADER_LEN, LogKind, LogReader};
use crate::{Error, Recovery, Result};
use esker_table::{ByteSource, Slice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a power loss left of writes that were never synced: bytes after the last record that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TornTail {
    pub(crate) path: PathBuf,
    /// Where it begins: the file is to be cut here before the log is continued.
    pub(crate) offset: u64,
    /// How many bytes it has.
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
    /// A segment and a length of it that is durable; behind that length it has no records.
    pub(crate) end: Option<(u64, u64)>,
}

impl Known {
    /// There is no MANIFEST to be believed.
    pub(crate) const NOTHING: Known = Known { oldest: u64::MAX, newest: 0, end: None };
}

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) torn: Option<TornTail>,
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

/// How much is copied at a time.
const COPY_AT_ONCE: u64 = 1 << 20;

/// What is known of a segment before its records are read.
struct Link {
    number: u64,
    path: PathBuf,
    /// It was synced up to here at least; `u64::MAX` if a successor took records, so that it was synced whole.
    synced: u64,
    /// Where its successor or the MANIFEST says that its records end.
    end: Option<u64>,
}

impl Link {
    fn new(dir: &Path, number: u64, known: &Known) -> Link {
        let created = if number <= known.newest { HEADER_LEN as u64 } else { 0 };
        let end = known.end.filter(|&(segment, _)| segment == number).map(|(_, end)| end);
        let synced = created.max(end.unwrap_or(0));
        Link { number, path: FileName::Wal(number).path(dir), synced, end }
    }

    /// Takes down what the header of its successor says.
    fn ends_at(&mut self, end: u64) {
        if end > 0 {
            self.synced = self.synced.max(end);
            self.end = Some(end.max(self.end.unwrap_or(0)));
        }
    }

    fn is_settled(&self) -> bool {
        self.end.is_some() || self.synced == u64::MAX
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
    let links = follow(env, dir, segments, mode, known, &mut report)?;
    for link in links {
        let mut reader = open(env, &link, mode)?;
        let mut seal = None;
        // What lies behind the end is no part of the log: a closing record whose sync failed, for example.
        while link.end.is_none_or(|end| reader.offset() < end) {
            let Some(record) = reader.next()? else { break };
            let is_seal = record.payload.is_empty()
                && record.synced >= record.offset
                && record.end_of_previous().is_none();
            seal = is_seal.then_some(record.offset);
            if record.payload.is_empty() {
                continue;
            }
            each(link.number, record.offset, &record.payload)?;
            report.records += 1;
            report.bytes += record.payload.len() as u64;
        }
        report.segments += 1;
        let mut end = reader.offset();
        if !link.is_settled() {
            match seal {
                // A closing record proves that all before it was synced. It may itself be in the page cache only, because
                // its own sync failed: so nothing relies on it from here on.
                Some(seal) if reader.outcome() == End::Clean => end = seal,
                _ => report.unsettled.push(Unsettled { number: link.number, end }),
            }
        }
        report.last = Some((link.number, end));
        if let End::Torn { offset, bytes, records } = reader.outcome() {
            report.torn = Some(TornTail { path: link.path, offset, bytes, records });
        }
    }
    Ok(report)
}

/// Cuts the torn tail off, removes segments that never held a record, and makes what was replayed durable. To be done
/// before a further segment takes a record: were that one synced and this one not, a power loss would leave later writes without earlier ones.
///
/// After a killed process, records may have been read out of the page cache; after a failed sync, the page cache may hold
/// what no further sync of the file will write. So a segment that was not closed cleanly is copied.
///
/// # Errors
/// `Io`.
pub(crate) fn settle(env: &dyn Env, dir: &Path, replay: &Replay) -> Result<()> {
    for unsettled in &replay.unsettled {
        rewrite(env, dir, unsettled.number, unsettled.end)?;
    }
    for &number in &replay.unborn {
        let path = FileName::Wal(number).path(dir);
        env.remove_file(&path).map_err(|e| Error::io(&path, "remove", e))?;
    }
    if replay.unborn.is_empty() { Ok(()) } else { env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e)) }
}

/// Replaces a segment by a durable copy of its first `end` bytes.
fn rewrite(env: &dyn Env, dir: &Path, number: u64, end: u64) -> Result<()> {
    let (path, tmp) = (FileName::Wal(number).path(dir), FileName::WalTmp(number).path(dir));
    let source = env.open(&path).map_err(|e| Error::io(&path, "open", e))?;
    let copy = env.create(&tmp).map_err(|e| Error::io(&tmp, "create", e))?;
    let mut done = 0;
    while done < end {
        let len = (end - done).min(COPY_AT_ONCE);
        let piece = source.read(done, len as usize).map_err(|e| Error::io(&path, "read", e))?;
        copy.append(&piece).map_err(|e| Error::io(&tmp, "write", e))?;
        done += len;
    }
    copy.sync().map_err(|e| Error::io(&tmp, "sync", e))?;
    drop((copy, source));
    env.rename(&tmp, &path).map_err(|e| Error::io(&path, "replace", e))?;
    env.sync_dir(dir).map_err(|e| Error::io(dir, "sync", e))
}

/// Checks that the segments form one chain, and finds what each is known to hold.
///
/// At most the last segment that took records, and those after it, can be torn: that is what the chain proves.
fn follow(
    env: &dyn Env,
    dir: &Path,
    segments: &[u64],
    mode: Recovery,
    known: &Known,
    report: &mut Replay,
) -> Result<Vec<Link>> {
    let mut links: Vec<Link> = Vec::new();
    for &number in segments {
        let link = Link::new(dir, number, known);
        let mut reader = open(env, &link, mode)?;
        if reader.is_read_only() {
            report.read_only = Some(number);
        }
        let Some(header) = reader.header().copied() else {
            report.unborn.push(number);
            continue;
        };
        if let Some(before) = links.last_mut() {
            if header.previous > before.number {
                return Err(lost(dir, header.previous, number, report));
            }
            if header.previous != before.number {
                return Err(Error::corruption(
                    &link.path,
                    40,
                    format!("it follows segment {}, not segment {}", header.previous, before.number),
                ));
            }
            before.ends_at(header.previous_end);
        } else if report.unborn.contains(&header.previous)
            || (header.previous != 0 && header.previous >= known.oldest)
        {
            return Err(lost(dir, header.previous, number, report));
        }
        // A record here proves that all segments before were synced whole, wherever they end.
        let first = first_record(&mut reader)?;
        if let (Some(before), First::Record(Some(end))) = (links.last_mut(), &first) {
            before.ends_at(*end);
        }
        if first != First::None {
            for before in links.iter_mut().filter(|l| !l.is_settled()) {
                before.synced = u64::MAX;
            }
        }
        links.push(link);
    }
    Ok(links)
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

/// What can be seen of the first record of a segment.
#[derive(PartialEq, Eq)]
enum First {
    /// None was ever written.
    None,
    /// It is intact; where the segment before ends, if it says that.
    Record(Option<u64>),
    /// What is left of one, or of what followed it.
    Damaged,
}

fn first_record(reader: &mut LogReader) -> Result<First> {
    match reader.next() {
        Ok(Some(record)) => Ok(First::Record(record.end_of_previous())),
        Ok(None) if matches!(reader.outcome(), End::Torn { .. }) => Ok(First::Damaged),
        Ok(None) => Ok(First::None),
        // Reported when the segment's turn comes, unless an earlier segment has something worse to say.
        Err(error) if error.is_corruption() => Ok(First::Damaged),
        Err(error) => Err(error),
    }
}

fn open(env: &dyn Env, link: &Link, recovery: Recovery) -> Result<LogReader> {
    let source = env.open(&link.path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::MissingFile { path: link.path.clone(), what: "a segment of the log".to_owned() }
        }
        _ => Error::io(&link.path, "open", e),
    })?;
    // What lies behind the end may be taken away while the rest is read, if the segment is still in use.
    let source = match link.end {
        Some(end) if end < source.len() => Arc::new(Front { source, len: end }),
        _ => source,
    };
    let expect = Expect { kind: LogKind::Wal, number: link.number, recovery, synced: link.synced };
    LogReader::open(source, &link.path, expect)
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
