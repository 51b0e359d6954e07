//! The log's way to disk: group commit without timers.
//!
//! Three steps, each for one thread at a time and beside the others, so that a slow one never holds up a fast one:
//!
//! 1. *Append*, under the commit lock: the record is encoded into a buffer in memory ([`Tail`]).
//! 2. *Write*, under the I/O lock: whoever needs its record handed to the operating system takes the whole buffer, its
//!    own record and everybody else's, and writes it with one call. Those who waited find their record written.
//! 3. *Sync*, in turns ([`SyncTurn`]): whoever needs its record on the device syncs once for all that was
//!    written before. Those who arrive meanwhile form the next group. The disk's own speed sets the size of the groups.
//!
//! Positions in the log ([`Lsn`]) count record bytes over all segments and only grow.
//!
//! A segment is left as it is, synced or not, and the first record of its successor says where it ends and how far the log was synced. A
//! sync is of all segments that were left and may hold something that is in no table, oldest first, and then of the one that
//! is written. Where nobody asks for a sync, most of the log is never brought to the device: a segment that is not needed any
//! more is removed before the operating system gets round to it.
//!
//! So that no writer waits for the next segment, background work [tends](Committer::tend_log) one that is nearly full: it
//! prepares the next one and rotates. A segment that is full before that is closed by the appender, which goes on in the
//! buffer of the next; the next writer does the rest.
//!
//! Lock order: whoever has the turn to sync takes I/O, then the prepared segment, then commit. The MANIFEST's lock may be taken under
//! the first two, never under commit.

use super::batch::{OpHeaders, Ops, PayloadHeader};
use super::commit::{CommitState, Committer};
use crate::error::Result;
use crate::manifest::VersionEdit;
use crate::record::{self, HEADER_LEN, Link, MAX_RECORD_HEADER_LEN};
use crate::sync::{Condvar, Mutex, Ordering, lock, std_lock, try_lock, wait};
use crate::wal::Segment;
use esker_table::SeqNo;
use std::collections::VecDeque;
use std::sync::Arc;

/// A position in the log: bytes of records appended before it, over all segments since the store was opened.
pub(crate) type Lsn = u64;

/// What a buffer has room for at first: a record of one put, which grows by a byte now and then as its sequence number does.
const FIRST_BUFFER: usize = 4 << 10;

/// A buffer that grew beyond this is given back after use.
const KEEP_BUFFER: usize = 1 << 20;

/// The room of so many segments that were left may wait for background work. Beyond that a writer takes back the oldest one's.
const MOST_ENDED: usize = 64;

/// What was appended to the log and not yet written. Part of the commit state.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The segment that records are appended to. Its file may not exist yet.
    pub(crate) segment: u64,
    /// Where in it the next record will lie.
    pub(crate) offset: u64,
    /// Where in it the first record behind its link lies.
    begin: u64,
    /// Everything before this offset of this segment is synced, with all needed segments before it. That may not be the segment
    /// that records are appended to.
    pub(crate) synced: (u64, u64),
    /// Records of the segment that were not taken for writing yet.
    buffer: Vec<u8>,
    /// Everything ever appended.
    pub(crate) appended: Lsn,
    /// Segments that were closed and not yet written to their end.
    closed: VecDeque<(u64, Vec<u8>)>,
    /// The segment after this one, if it is prepared or being prepared: no other may follow.
    next: Option<u64>,
}

impl Tail {
    pub(crate) fn new(segment: u64) -> Tail {
        Tail {
            segment,
            offset: HEADER_LEN as u64,
            begin: HEADER_LEN as u64,
            synced: (segment, HEADER_LEN as u64),
            buffer: Vec::with_capacity(FIRST_BUFFER),
            appended: 0,
            closed: VecDeque::new(),
            next: None,
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn unwritten(&self) -> usize {
        self.buffer.len() + self.closed.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
    }

    /// Whether a record with this payload makes the segment longer than `segment_bytes`.
    pub(crate) fn is_full(&self, payload_len: usize, segment_bytes: u64) -> bool {
        let end = self.offset + (MAX_RECORD_HEADER_LEN + payload_len) as u64;
        self.holds_records() && end > segment_bytes
    }

    /// Whether the segment has more than its link. If not, leaving it for want of room gains none.
    fn holds_records(&self) -> bool {
        self.offset > self.begin
    }

    /// Goes on in the next segment, for which `number` gives a number unless it has one. Its first record is the link to the one
    /// before.
    pub(crate) fn rotate(&mut self, number: impl FnOnce() -> u64) {
        let link = Link { end: self.offset, synced: self.synced };
        debug_assert!(link.end <= u64::from(u32::MAX), "a segment is longer than its link can say");
        let buffer = std::mem::replace(&mut self.buffer, Vec::with_capacity(FIRST_BUFFER));
        self.closed.push_back((self.segment, buffer));
        self.segment = self.next.take().unwrap_or_else(number);
        record::append_link(&mut self.buffer, self.segment, link);
        self.begin = (HEADER_LEN + self.buffer.len()) as u64;
        self.appended += self.buffer.len() as u64;
        self.offset = self.begin;
    }

    /// Appends one commit as one record.
    pub(crate) fn append(&mut self, first_seqno: SeqNo, ops: &Ops<'_>) -> Lsn {
        let header = PayloadHeader::new(first_seqno, ops.count());
        let header = header.bytes();
        match ops {
            Ops::Single(op) => {
                let mut headers = OpHeaders::default();
                let [a, b, c, d] = headers.parts(op);
                self.append_payload(&[header, a, b, c, d])
            }
            Ops::Encoded { bytes, .. } => self.append_payload(&[header, bytes]),
        }
    }

    /// How far the segment is synced.
    fn synced_offset(&self) -> u64 {
        if self.synced.0 == self.segment { self.synced.1 } else { HEADER_LEN as u64 }
    }

    /// Appends a record. One without payload carries nothing but the proof of what was synced before it.
    pub(crate) fn append_payload(&mut self, parts: &[&[u8]]) -> Lsn {
        let before = self.buffer.len();
        let synced = self.synced_offset();
        record::append_record(&mut self.buffer, self.segment, self.offset, synced, parts);
        let len = (self.buffer.len() - before) as u64;
        self.offset += len;
        self.appended += len;
        self.appended
    }
}

/// Whose turn it is to sync. Those who wait for theirs are all told at the end of each sync, and most find that it was for
/// them too. A lock in its place would wake one of them, and be taken again before that by the thread that is awake.
#[derive(Debug)]
pub(crate) struct SyncTurn {
    taken: Mutex<bool>,
    ended: Condvar,
}

/// The turn of a thread, until it is dropped.
struct Turn<'a>(&'a SyncTurn);

impl SyncTurn {
    pub(crate) fn new() -> SyncTurn {
        SyncTurn { taken: Mutex::new(false), ended: Condvar::new() }
    }

    /// Waits for the turn. `None` if there is nothing left to do for it.
    fn take(&self, is_done: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut taken = lock(&self.taken);
        loop {
            if is_done() {
                return None;
            }
            if !*taken {
                *taken = true;
                return Some(Turn(self));
            }
            taken = wait(&self.ended, taken);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.taken) = false;
        self.0.ended.notify_all();
    }
}

/// What the I/O lock guards.
#[derive(Debug)]
pub(crate) struct LogIo {
    segment: Arc<Segment>,
    /// Segments that were left and may not be synced to their ends, oldest first. Those that are not needed any more may be among them.
    left: Vec<Arc<Segment>>,
    /// Written last, to be filled again.
    spare: Vec<u8>,
}

impl LogIo {
    pub(crate) fn new(segment: Segment) -> LogIo {
        LogIo { segment: Arc::new(segment), left: Vec::new(), spare: Vec::with_capacity(FIRST_BUFFER) }
    }

    /// The segment that is written, and where what was written ends.
    pub(crate) fn written_end(&self) -> (u64, u64) {
        (self.segment.number(), self.segment.len())
    }
}

impl Committer {
    /// Returns once everything up to `lsn` has been handed to the operating system.
    pub(crate) fn write_through(&self, lsn: Lsn) -> Result<()> {
        if self.written.load(Ordering::Acquire) >= lsn {
            return Ok(());
        }
        let Some(log) = &self.log else { return Ok(()) };
        let mut io = lock(log);
        if self.written.load(Ordering::Acquire) >= lsn {
            return Ok(());
        }
        self.health.check_writable()?;
        self.write_out(&mut io, true).inspect_err(|error| self.fail(error)).map(|_| ())
    }

    /// Hands what was appended to the operating system, unless somebody else is at it or a segment ends: then the next may have to be
    /// created. Returns whether everything up to `lsn` has been handed over.
    pub(crate) fn write_without_waiting(&self, lsn: Lsn) -> Result<bool> {
        let is_written = || self.written.load(Ordering::Acquire) >= lsn;
        let Some(log) = self.log.as_ref().filter(|_| !is_written()) else { return Ok(true) };
        let Some(mut io) = try_lock(log) else { return Ok(false) };
        self.health.check_writable()?;
        Ok(is_written() || self.write_out(&mut io, false).inspect_err(|error| self.fail(error))?)
    }

    /// Hands the log's buffer to the operating system if it has grown large: for writes that nobody waits for.
    pub(crate) fn write_large_tail(&self, lsn: Lsn) -> Result<()> {
        let unwritten = lock(&self.state).tail.unwritten();
        if unwritten > KEEP_BUFFER / 4 { self.write_without_waiting(lsn).map(|_| ()) } else { Ok(()) }
    }

    /// Writes everything that was appended so far. If no file may be created and one were needed, nothing happens and the answer is
    /// `false`.
    fn write_out(&self, io: &mut LogIo, may_create: bool) -> Result<bool> {
        let (closed, number, end) = {
            let mut state = lock(&self.state);
            let tail = &mut state.tail;
            if !may_create && !tail.closed.is_empty() {
                return Ok(false);
            }
            std::mem::swap(&mut tail.buffer, &mut io.spare);
            (std::mem::take(&mut tail.closed), tail.segment, tail.appended)
        };
        if closed.is_empty() {
            io.segment.append(&io.spare)?;
        } else {
            self.write_rotation(io, closed, number)?;
        }
        self.metrics.write.wal_bytes.add(io.spare.len() as u64);
        self.metrics.write.wal_writes.add(1);
        if io.spare.capacity() > KEEP_BUFFER {
            io.spare = Vec::with_capacity(FIRST_BUFFER);
        }
        io.spare.clear();
        self.written.store(end, Ordering::Release);
        Ok(true)
    }

    /// Goes on in another segment, whose file is there when this returns, if `shall` says so under both locks.
    pub(crate) fn rotate_if(&self, shall: impl Fn(&CommitState) -> bool) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let mut io = lock(log);
        self.health.check_writable()?;
        {
            let mut state = lock(&self.state);
            if !shall(&state) {
                return Ok(());
            }
            state.tail.rotate(|| self.set.new_file_number());
        }
        self.write_out(&mut io, true).inspect_err(|error| self.fail(error)).map(|_| ())
    }

    /// Ends the closed segments, begins those after them, and writes the newest buffer, which is in `io.spare`.
    #[cold]
    fn write_rotation(&self, io: &mut LogIo, closed: VecDeque<(u64, Vec<u8>)>, newest: u64) -> Result<()> {
        for (number, bytes) in closed {
            self.enter_segment(io, number)?;
            self.metrics.write.wal_bytes.add(bytes.len() as u64);
            io.segment.append(&bytes)?;
        }
        self.enter_segment(io, newest)?;
        io.segment.append(&io.spare)
    }

    /// Makes segment `number` the one that is written, if it is not.
    fn enter_segment(&self, io: &mut LogIo, number: u64) -> Result<()> {
        let before = io.segment.number();
        if before == number {
            return Ok(());
        }
        let (len, mut prepared) = (io.segment.len(), lock(&self.prepared));
        let next = match prepared.take_if(|next| next.number() == number) {
            Some(next) => next,
            None => {
                let next = self.create_file(number, before)?;
                self.make_known(number)?;
                next
            }
        };
        let left = std::mem::replace(&mut io.segment, Arc::new(next));
        std_lock(&self.segments).insert(before, len);
        let overdue = {
            let mut ended = std_lock(&self.ended);
            ended.push(left.clone());
            (ended.len() > MOST_ENDED).then(|| ended.remove(0))
        };
        if left.synced() < len {
            io.left.push(left);
        }
        if let Some(segment) = overdue {
            self.shorten(&segment);
        }
        self.events.emit(&crate::Event::LogSegmentCreated { number });
        Ok(())
    }

    /// Creates the file of segment `number`, which follows `previous`.
    fn create_file(&self, number: u64, previous: u64) -> Result<Segment> {
        Segment::create_after(self.env.as_ref(), &self.dir, number, previous, 0, self.table_io)
    }

    /// Makes a segment known to the MANIFEST, before it takes a record.
    fn make_known(&self, number: u64) -> Result<()> {
        self.set.log_and_apply(VersionEdit { newest_wal: Some(number), ..VersionEdit::default() }, |_| ())
    }

    /// Takes back the room of the segments that were left. What is behind their records is no part of the log: the next segment says where
    /// they end. For background work that nobody waits for: the file system may wait for the device here, since pages that are on their way
    /// there are not cut off.
    pub(crate) fn shorten_ended(&self) {
        let ended = std::mem::take(&mut *std_lock(&self.ended));
        ended.iter().for_each(|segment| self.shorten(segment));
    }

    /// Takes back the room behind the records of a segment that takes no more. If that cannot be, zeros stay that mean nothing.
    fn shorten(&self, segment: &Segment) {
        if let Err(error) = segment.end_here() {
            self.events.emit(&crate::Event::BackgroundError { what: error.to_string() });
        }
    }

    /// Prepares segment `next`, which no other than the one after `current` is. Returns whether it is there.
    fn prepare_segment(&self, next: u64, current: u64) -> Result<bool> {
        let mut prepared = lock(&self.prepared);
        // Unless a writer has closed the segment, or somebody else has prepared the next.
        if lock(&self.state).tail.next != Some(next) || prepared.is_some() {
            return Ok(prepared.is_some());
        }
        let created = match self.create_file(next, current) {
            Ok(created) => created,
            // There is room in this segment yet. Who comes to its end tries again, and fails if that has to be.
            Err(error) => {
                self.events.emit(&crate::Event::BackgroundError { what: error.to_string() });
                return Ok(false);
            }
        };
        self.make_known(next).inspect_err(|error| self.fail(error))?;
        *prepared = Some(created);
        Ok(true)
    }

    /// Leaves a segment that is nearly full, once there is another. For background work.
    ///
    /// # Errors
    /// `Io`. What was acknowledged may be lost then, and nothing more must be written.
    pub(crate) fn tend_log(&self) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let (current, next) = {
            // With the lock that is held while segments are changed: the file of the newest one is there, and may be followed.
            let io = lock(log);
            let mut state = lock(&self.state);
            let tail = &mut state.tail;
            let is_nearly_full = tail.holds_records() && tail.offset >= self.limits.tended_bytes();
            if !is_nearly_full || io.segment.number() != tail.segment {
                // With the lock under which a segment becomes nearly full.
                self.wants_care.store(is_nearly_full, Ordering::Relaxed);
                return Ok(());
            }
            let next = *tail.next.get_or_insert_with(|| self.set.new_file_number());
            (tail.segment, next)
        };
        self.health.check_writable()?;
        if !self.prepare_segment(next, current)? {
            return Ok(());
        }
        self.rotate_if(|state| state.tail.segment == current)
    }

    /// Returns once everything up to `lsn` is on the device.
    ///
    /// No lock may be held: writes that were waiting for it are called back.
    pub(crate) fn sync_through(&self, lsn: Lsn) -> Result<()> {
        if self.synced.load(Ordering::Acquire) >= lsn {
            return Ok(());
        }
        let result = self.sync_group(lsn);
        // A callback may drop the last handle of the store, which closes it and takes all the locks.
        self.notify_done();
        result
    }

    /// As [`sync_through`](Committer::sync_through), for those who hold locks or keep writers waiting: writes that were waiting
    /// for it are called back by the thread that syncs, or by the next step.
    pub(crate) fn sync_under_locks(&self, lsn: Lsn) -> Result<()> {
        if self.synced.load(Ordering::Acquire) >= lsn {
            return Ok(());
        }
        let result = self.sync_group(lsn);
        self.queue.wake();
        result
    }

    /// Syncs for everybody whose record is appended, unless somebody else has done so meanwhile.
    fn sync_group(&self, lsn: Lsn) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let Some(_turn) = self.sync_turn.take(|| self.synced.load(Ordering::Acquire) >= lsn) else {
            return Ok(());
        };
        self.health.check_writable()?;
        let appended = lock(&self.state).tail.appended;
        self.write_through(appended)?;
        // What was written by now is in segments that were left, or in this one. `written` is read under the I/O lock, so
        // that it belongs to the segment.
        let (left, segment, target, offset) = {
            let mut io = lock(log);
            io.left.retain(|segment| segment.synced() < segment.len());
            io.segment.make_room();
            (io.left.clone(), io.segment.clone(), self.written.load(Ordering::Acquire), io.segment.len())
        };
        // Oldest first: that something is synced proves all before it to be.
        for segment in left.iter().chain([&segment]) {
            segment.sync().inspect_err(|error| self.fail(error))?;
            self.metrics.write.fsyncs.add(1);
        }
        let proof = {
            let tail = &mut lock(&self.state).tail;
            tail.synced = (segment.number(), offset);
            // Of segments that were left nothing else says so until there is another commit.
            let is_due = !left.is_empty() && tail.segment == segment.number();
            is_due.then(|| tail.append_payload(&[]))
        };
        self.synced.store(target, Ordering::Release);
        if let Some(end) = proof {
            // If it cannot be written, the next write says so: what was asked for here is done.
            let _ = self.write_through(end);
        }
        Ok(())
    }

    /// Lets go of the segments before `oldest`: what is needed no more need not be synced.
    pub(crate) fn forget_segments_before(&self, oldest: u64) {
        if let Some(log) = &self.log {
            let is_old = |segment: &mut Arc<Segment>| segment.number() < oldest;
            let left: Vec<_> = lock(log).left.extract_if(.., is_old).collect();
            let ended: Vec<_> = std_lock(&self.ended).extract_if(.., is_old).collect();
            // Closed and unmapped here, without the locks.
            drop((left, ended));
        }
    }

    /// Ends in the prepared segment if there is one: the MANIFEST knows of it.
    pub(crate) fn enter_prepared(&self) -> Result<()> {
        self.rotate_if(|state| state.tail.next.is_some())
    }

    /// Writes and syncs everything, and leaves a record that proves it: at a clean close, nothing before it can later be
    /// mistaken for a torn tail. Returns the segment that the record is in, and where it ends.
    pub(crate) fn finish_log(&self) -> Result<(u64, u64)> {
        let appended = lock(&self.state).tail.appended;
        self.sync_under_locks(appended)?;
        self.shorten_ended();
        if let Some(log) = &self.log {
            self.shorten(&lock(log).segment);
        }
        let (end, segment, offset) = {
            let tail = &mut lock(&self.state).tail;
            (tail.append_payload(&[]), tail.segment, tail.offset)
        };
        self.sync_under_locks(end)?;
        Ok((segment, offset))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::record::{LogHeader, LogKind, Salvage, encode_header};
    use esker_table::BlockSource;
    use std::path::Path;

    #[test]
    fn a_sync_that_ended_after_its_segment_was_left_is_claimed_by_the_next_link() {
        // The link at the beginning of the segment that records are appended to.
        let link = |tail: &Tail| {
            let header = LogHeader { kind: LogKind::Wal, number: tail.segment, previous: 1, previous_end: 0 };
            let bytes = [&encode_header(&header)[..], &tail.buffer].concat();
            let source = Arc::clone(BlockSource::from_memory(bytes).bytes());
            let mut salvage = Salvage::open(source, Path::new("log"), LogKind::Wal, tail.segment).unwrap();
            salvage.next().unwrap().unwrap().link().unwrap()
        };
        let mut tail = Tail::new(1);
        tail.append_payload(&[b"first"]);
        let first = tail.offset;
        tail.rotate(|| 2);
        assert_eq!(link(&tail), Link { end: first, synced: (1, HEADER_LEN as u64) });
        assert!(!tail.is_full(100, 10), "a segment that has a link alone has room for any record");
        tail.append_payload(&[b"second"]);
        assert!(tail.is_full(100, 10));
        // Ends now, and was of the segment before. Records here claim nothing of their own segment.
        tail.synced = (1, first);
        assert_eq!(tail.synced_offset(), HEADER_LEN as u64);
        let second = tail.offset;
        tail.rotate(|| 3);
        assert_eq!(link(&tail), Link { end: second, synced: (1, first) });
        tail.synced = (3, tail.offset);
        assert_eq!(tail.synced_offset(), tail.offset);
    }
}
