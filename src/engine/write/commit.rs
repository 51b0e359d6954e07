//! The commit pipeline: how a write becomes visible and durable.
//!
//! 1. Under the commit lock, and nothing slow there: room is reserved in the memtables, sequence numbers are given, the
//!    record is encoded into the log's buffer, a ticket is drawn.
//! 2. Outside of it: the entries are inserted into the memtables, beside other writers.
//! 3. Published: the visible sequence number advances in the order of the tickets, so that nobody sees a write before
//!    those that were ordered before it, nor half of a batch.
//! 4. Durable, as far as the write asked: see [`super::log`].
//!
//! A memtable is exchanged for a new one (sealed) under the commit lock, so that every entry up to the sequence number
//! given last is in the old one and every later entry in the new one.

use super::batch::{Op, Ops};
use super::handle::SyncQueue;
use super::health::Health;
use super::log::{LogIo, Lsn, SyncTurn, Tail};
use super::publish::{PublishQueue, Ticket};
use super::stall::Stall;
use super::tree::{Sealed, Tree};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::fs::{Background, Env};
use crate::manifest::{KeyspaceId, VersionSet};
use crate::memtable::{Memtable, entry_bound};
use crate::metrics::Metrics;
use crate::options::{Durability, TableIo};
use crate::sync::{AtomicU64, Condvar, Mutex, lock, std_lock, wait, yield_now};
use crate::wal::Segment;
use esker_table::{Kind, SeqNo};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a write waits.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{Durability, Error, WriteOptions};
/// let options = WriteOptions::new(Durability::Synced).no_stall(true);
/// match db.put_with("k", "v", options) {
///     Err(Error::Busy { .. }) => println!("later"),
///     other => other?,
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// What the write must have survived when it counts as done.
    pub durability: Durability,
    /// Whether a store that would have to stall answers [`Error::Busy`] instead.
    pub no_stall: bool,
    /// Whether a write that is [submitted](crate::Db::submit) waits to be brought to its durability until somebody asks.
    pub deferred: bool,
}

impl WriteOptions {
    /// Waits for this durability, and through stalls.
    pub fn new(durability: Durability) -> WriteOptions {
        WriteOptions { durability, no_stall: false, deferred: false }
    }

    /// Sets whether a store that would have to stall answers [`Error::Busy`] instead.
    #[must_use]
    pub fn no_stall(mut self, yes: bool) -> Self {
        self.no_stall = yes;
        self
    }

    /// Sets whether a write that is [submitted](crate::Db::submit) is only brought to its durability once
    /// [`Commit::begin`](crate::Commit::begin), [`wait`](crate::Commit::wait) or [`on_done`](crate::Commit::on_done) of it or of
    /// a later write asks for that, or the store is synced or closed. Whoever submits many writes asks once, for the last: one
    /// sync, and one thread woken, does for them all. Writes that are waited for are not changed by it.
    #[must_use]
    pub fn deferred(mut self, yes: bool) -> Self {
        self.deferred = yes;
        self
    }
}

/// The sizes that the pipeline keeps to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteLimits {
    /// Memtables together are sealed, the largest first, when they hold this much.
    pub(crate) memtable_bytes: usize,
    /// Writers wait when sealed memtables hold this much.
    pub(crate) sealed_bytes: usize,
    /// A larger batch is refused, unless it is a single operation: those have limits of their own.
    pub(crate) batch_bytes: usize,
    /// A segment of the log is closed at this length.
    pub(crate) segment_bytes: u64,
    /// Memtables that keep more than this much log alive are sealed.
    pub(crate) log_bytes: u64,
}

impl WriteLimits {
    /// The length from which on background work takes care that a segment is left before it is full.
    pub(crate) fn tended_bytes(&self) -> u64 {
        self.segment_bytes / 4 * 3
    }

    /// Address space for a memtable: it is only used as it fills, so there is room for what is under way when it is sealed.
    pub(crate) fn memtable_capacity(&self, room: usize) -> usize {
        (self.memtable_bytes * 2).max(room + room / 4) + (1 << 20)
    }
}

/// Where a keyspace's entries go now.
struct Active {
    tree: Arc<Tree>,
    mem: Arc<Memtable>,
    /// The segment of the log that holds the memtable's first record; `None` while it is empty or not logged.
    first_segment: Option<u64>,
    /// What its entries are reckoned with so far.
    bytes: usize,
}

/// What an entry is reckoned with besides its key and value. In a memtable it takes 42 bytes where entries come in no order and 34 where they
/// ascend; and while the memtable is flushed and still there, the table's filter collects a hash of 8 for each. (What a recovery brings
/// back is sealed by the memtable's own bytes.)
const ENTRY_BYTES: usize = 48;

/// What a range delete takes besides, on average, of what orders the range deletes of a memtable.
const RANGE_DELETE_BYTES: usize = 128;

/// A range delete that covers more entries of the active memtable than this goes to a memtable of its own.
const COVERED_ENTRIES: u64 = 16 << 10;

/// A segment that is shorter than this is left for the sake of its room only when it is full.
const WORTH_REMOVING: u64 = 1 << 20;

/// What an operation is reckoned with.
fn memory_of(op: &Op<'_>) -> usize {
    let order = if op.kind == Kind::RangeDelete { RANGE_DELETE_BYTES } else { 0 };
    op.key.len() + op.value.len() + ENTRY_BYTES + order
}

/// What the commit lock guards.
pub(crate) struct CommitState {
    next_seqno: SeqNo,
    pub(crate) tail: Tail,
    active: BTreeMap<KeyspaceId, Active>,
    active_bytes: usize,
    /// Writers wait while this is not zero; see [`Committer::pause`].
    pauses: u32,
}

impl Active {
    /// Counts what is about to be written, with its record in `segment` of the log, if in one.
    fn count(&mut self, bytes: usize, segment: Option<u64>) {
        if let Some(segment) = segment {
            self.first_segment.get_or_insert(segment);
        }
        self.bytes += bytes;
    }
}

impl CommitState {
    /// Reserves room in a keyspace's memtable.
    fn reserve_in(
        &mut self,
        keyspace: KeyspaceId,
        bound: usize,
    ) -> Result<(&mut Active, Arc<Memtable>), NotReady> {
        let Some(active) = self.active.get_mut(&keyspace) else {
            let name = format!("number {keyspace}, which was dropped");
            return Err(NotReady::Refused(Error::NoSuchKeyspace { name }));
        };
        if !active.mem.try_reserve(bound) {
            return Err(NotReady::Seal(keyspace, bound));
        }
        let mem = active.mem.clone();
        Ok((active, mem))
    }

    fn folds(&self, keyspace: KeyspaceId) -> bool {
        self.active.get(&keyspace).is_some_and(|active| active.tree.options.fold.is_some())
    }

    /// Whether a range delete covers much of the active memtable. A scan jumps over what a newer memtable's range delete
    /// covers, and has to step over what one of the same memtable does as soon as that holds newer entries too. Such a
    /// memtable is sealed first, which costs a flush of what somebody took the trouble to write. Each range delete is judged
    /// alone: of many that grow into each other it cannot be told how much they cover together.
    fn covers_much(&self, op: &Op<'_>) -> bool {
        self.active.get(&op.keyspace).is_some_and(|active| {
            active.mem.entries() > COVERED_ENTRIES
                && active.mem.entries_between(op.key, op.value) > COVERED_ENTRIES
        })
    }
}

/// Orders writes and makes them durable. One for each open store.
pub(crate) struct Committer {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) dir: PathBuf,
    pub(crate) table_io: TableIo,
    pub(crate) set: Arc<VersionSet>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Arc<Events>,
    pub(crate) health: Arc<Health>,
    pub(crate) limits: WriteLimits,
    pub(crate) stall: Stall,
    pub(crate) publish: PublishQueue,
    pub(crate) state: Mutex<CommitState>,
    resumed: Condvar,
    /// `None` in a store that was opened read-only.
    pub(crate) log: Option<Mutex<LogIo>>,
    /// The next segment of the log, if it was prepared; see [`Committer::tend_log`].
    pub(crate) prepared: Mutex<Option<Segment>>,
    /// The log may want to be tended: a segment became nearly full, and has not been found left since.
    pub(crate) wants_care: AtomicBool,
    pub(crate) sync_turn: SyncTurn,
    pub(crate) written: AtomicU64,
    pub(crate) synced: AtomicU64,
    /// Closed segments that are still on disk, and their lengths. Nothing else is locked under it.
    pub(crate) segments: std::sync::Mutex<BTreeMap<u64, u64>>,
    /// Segments that were left, whose room is not taken back yet. Nothing else is locked under it.
    pub(super) ended: std::sync::Mutex<Vec<Arc<Segment>>>,
    pub(crate) queue: SyncQueue,
}

/// What a committer is made of.
pub(crate) struct CommitterParts {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) dir: PathBuf,
    pub(crate) table_io: TableIo,
    pub(crate) set: Arc<VersionSet>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Arc<Events>,
    pub(crate) health: Arc<Health>,
    pub(crate) limits: WriteLimits,
    pub(crate) last_seqno: SeqNo,
    /// The segment to write to, new and empty; `None` to open read-only.
    pub(crate) segment: Option<Segment>,
    /// Older segments on disk, and their lengths.
    pub(crate) older_segments: BTreeMap<u64, u64>,
}

/// The memtables that a commit goes to, with what was reserved in each.
enum Targets {
    One(Arc<Memtable>, usize),
    Many(Vec<(KeyspaceId, Arc<Memtable>, usize)>),
}

impl Targets {
    fn insert(&self, ops: &Ops<'_>, first_seqno: SeqNo) {
        for (op, seqno) in ops.iter().zip(first_seqno..) {
            let trailer = esker_table::Trailer::new(seqno, op.kind);
            match self {
                Targets::One(mem, _) => mem.insert(op.key, trailer, op.value),
                Targets::Many(list) => {
                    if let Some((_, mem, _)) = list.iter().find(|(id, ..)| *id == op.keyspace) {
                        mem.insert(op.key, trailer, op.value);
                    }
                }
            }
        }
    }

    fn release(&self) {
        match self {
            Targets::One(mem, bound) => mem.release(*bound),
            Targets::Many(list) => list.iter().for_each(|(_, mem, bound)| mem.release(*bound)),
        }
    }
}

/// Why a commit could not be prepared yet.
enum NotReady {
    /// This keyspace's memtable has no room for so many bytes.
    Seal(KeyspaceId, usize),
    Refused(Error),
}

/// A commit that is visible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) lsn: Lsn,
    pub(crate) last_seqno: SeqNo,
}

impl Committer {
    pub(crate) fn new(parts: CommitterParts) -> Committer {
        let tail = Tail::new(parts.segment.as_ref().map_or(0, Segment::number));
        let stepped = parts.env.background() == Background::Stepped;
        Committer {
            publish: PublishQueue::new(parts.last_seqno),
            state: Mutex::new(CommitState {
                next_seqno: parts.last_seqno + 1,
                tail,
                active: BTreeMap::new(),
                active_bytes: 0,
                pauses: 0,
            }),
            resumed: Condvar::new(),
            log: parts.segment.map(|segment| Mutex::new(LogIo::new(segment))),
            prepared: Mutex::new(None),
            sync_turn: SyncTurn::new(),
            wants_care: AtomicBool::new(true),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            segments: std::sync::Mutex::new(parts.older_segments),
            ended: std::sync::Mutex::default(),
            queue: SyncQueue::default(),
            stall: Stall::new(stepped),
            env: parts.env,
            dir: parts.dir,
            table_io: parts.table_io,
            set: parts.set,
            metrics: parts.metrics,
            events: parts.events,
            health: parts.health,
            limits: parts.limits,
        }
    }

    /// Makes a keyspace known to writers, with the memtable that its tree reads from.
    pub(crate) fn add_tree(&self, tree: Arc<Tree>, first_segment: Option<u64>) {
        let mem = tree.memtable();
        let bytes = mem.bytes_used();
        let mut state = lock(&self.state);
        state.active_bytes += bytes;
        state.active.insert(tree.id, Active { tree, mem, first_segment, bytes });
    }

    /// Forgets a keyspace that was dropped.
    pub(crate) fn remove_tree(&self, id: KeyspaceId) {
        let mut state = lock(&self.state);
        if let Some(active) = state.active.remove(&id) {
            state.active_bytes = state.active_bytes.saturating_sub(active.bytes);
        }
    }

    /// The newest sequence number that readers may see.
    #[inline]
    pub(crate) fn visible(&self) -> SeqNo {
        self.publish.visible()
    }

    /// Records a failure that must end all writing.
    pub(crate) fn fail(&self, error: &Error) {
        if self.health.fail(error) {
            self.events.emit(&crate::Event::ReadOnly { reason: error.to_string() });
        }
        self.stall.progress();
        // Locks may be held here; the thread that syncs, or the next step, tells those who wait.
        self.queue.wake();
    }

    /// Makes the operations visible, in one step. Waiting for the durability is up to the caller.
    pub(crate) fn commit(&self, ops: &Ops<'_>, options: WriteOptions) -> Result<Committed> {
        self.health.check_writable()?;
        let byte_len = ops.byte_len();
        if byte_len > self.limits.batch_bytes && ops.count() > 1 {
            return Err(Error::BatchTooLarge { len: byte_len, max: self.limits.batch_bytes });
        }
        let mut state = lock(&self.state);
        let (targets, logged) = loop {
            while state.pauses > 0 {
                if options.no_stall {
                    return Err(Error::Busy {
                        what: "an ingest, a checkpoint or the like to take its place",
                    });
                }
                state = wait(&self.resumed, state);
            }
            self.health.check_writable()?;
            match Self::reserve(&mut state, ops, options.durability) {
                Ok(ready) => break ready,
                Err(NotReady::Refused(error)) => return Err(error),
                Err(NotReady::Seal(id, bound)) => self.seal_locked(&mut state, id, bound),
            }
        };
        let first_seqno = state.next_seqno;
        let last_seqno = first_seqno + u64::from(ops.count()).saturating_sub(1);
        state.next_seqno = last_seqno + 1;
        let (lsn, wants_care) = if logged {
            if state.tail.is_full(byte_len, self.limits.segment_bytes) {
                state.tail.rotate(|| self.set.new_file_number());
            }
            let before = state.tail.offset;
            let lsn = state.tail.append(first_seqno, ops);
            let tended = self.limits.tended_bytes();
            (lsn, before < tended && state.tail.offset >= tended)
        } else {
            (0, false)
        };
        let ticket = self.publish.ticket(last_seqno);
        if state.active_bytes >= self.limits.memtable_bytes {
            self.seal_largest(&mut state);
        }
        self.stall.set_active(state.active_bytes);
        drop(state);
        if wants_care {
            self.wants_care.store(true, Ordering::Relaxed);
            self.stall.wake_background();
        }

        targets.insert(ops, first_seqno);
        targets.release();
        self.publish.publish(ticket);
        self.metrics.write.writes.add(u64::from(ops.count()));
        self.metrics.write.user_bytes.add(byte_len as u64);
        Ok(Committed { lsn, last_seqno })
    }

    /// Finds the memtables of the operations and reserves room in them. Returns also whether the commit goes to the log.
    fn reserve(
        state: &mut CommitState,
        ops: &Ops<'_>,
        durability: Durability,
    ) -> Result<(Targets, bool), NotReady> {
        for op in ops.iter().filter(|op| op.kind == Kind::RangeDelete) {
            if state.folds(op.keyspace) {
                let what = "a keyspace that the batch names has a fold, which a range delete would pass by";
                return Err(NotReady::Refused(Error::invalid("delete_range", what)));
            }
            if state.covers_much(&op) {
                return Err(NotReady::Seal(op.keyspace, entry_bound(op.key.len(), op.value.len())));
            }
        }
        let segment = state.tail.segment;
        let unlogged = || {
            let what = "the keyspace has no log: write with `Buffered`, and `flush` to make it durable";
            NotReady::Refused(Error::invalid("durability", what))
        };
        if let Ops::Single(op) = ops {
            let bound = entry_bound(op.key.len(), op.value.len());
            let bytes = memory_of(op);
            let (active, mem) = state.reserve_in(op.keyspace, bound)?;
            let logged = active.tree.options.log;
            if !logged && durability == Durability::Synced {
                mem.release(bound);
                return Err(unlogged());
            }
            active.count(bytes, logged.then_some(segment));
            state.active_bytes += bytes;
            return Ok((Targets::One(mem, bound), logged));
        }
        let mut bounds: Vec<(KeyspaceId, usize, usize)> = Vec::new();
        for op in ops.iter() {
            let (bound, len) = (entry_bound(op.key.len(), op.value.len()), memory_of(&op));
            match bounds.iter_mut().find(|(id, ..)| *id == op.keyspace) {
                Some((_, bounds, bytes)) => (*bounds, *bytes) = (*bounds + bound, *bytes + len),
                None => bounds.push((op.keyspace, bound, len)),
            }
        }
        let mut list: Vec<(KeyspaceId, Arc<Memtable>, usize)> = Vec::with_capacity(bounds.len());
        let mut any_logged = false;
        let mut refused = None;
        for &(id, bound, _) in &bounds {
            match state.reserve_in(id, bound) {
                Ok((active, mem)) => {
                    any_logged |= active.tree.options.log;
                    list.push((id, mem, bound));
                }
                Err(not_ready) => {
                    refused = Some(not_ready);
                    break;
                }
            }
        }
        if refused.is_none() && !any_logged && durability == Durability::Synced {
            refused = Some(unlogged());
        }
        if let Some(not_ready) = refused {
            list.iter().for_each(|(_, mem, bound)| mem.release(*bound));
            return Err(not_ready);
        }
        // Nothing can be in the way any more, and what is counted is written. A batch that touches a logged keyspace is logged
        // whole, so that it stays whole after a crash: the memtables of the others then need the log too.
        for (id, _, bytes) in bounds {
            if let Some(active) = state.active.get_mut(&id) {
                active.count(bytes, any_logged.then_some(segment));
                state.active_bytes += bytes;
            }
        }
        Ok((Targets::Many(list), any_logged))
    }

    /// Seals the memtable that holds most.
    fn seal_largest(&self, state: &mut CommitState) {
        let largest = state.active.iter().max_by_key(|(_, active)| active.bytes).map(|(id, _)| *id);
        if let Some(id) = largest {
            if let Some(active) = state.active.get(&id) {
                active.tree.note_filled(self.env.monotonic());
            }
            self.seal_locked(state, id, 0);
        }
    }

    /// Puts a new memtable, with room for at least `room` bytes, in the place of a keyspace's active one.
    fn seal_locked(&self, state: &mut CommitState, id: KeyspaceId, room: usize) {
        let (seqno, lsn) = (state.next_seqno - 1, state.tail.appended);
        let Some(active) = state.active.get_mut(&id) else { return };
        let fresh = Arc::new(Memtable::new(self.limits.memtable_capacity(room)));
        let mem = std::mem::replace(&mut active.mem, fresh.clone());
        let sealed =
            Sealed { mem, seqno, lsn, first_segment: active.first_segment.take(), bytes: active.bytes };
        state.active_bytes = state.active_bytes.saturating_sub(active.bytes);
        active.bytes = 0;
        self.stall.add_sealed(sealed.bytes);
        active.tree.seal(sealed, fresh);
        self.stall.wake_background();
    }

    /// Seals the memtable of a keyspace, if it holds anything.
    pub(crate) fn seal(&self, id: KeyspaceId) {
        let mut state = lock(&self.state);
        if state.active.get(&id).is_some_and(|active| active.bytes > 0) {
            self.seal_locked(&mut state, id, 0);
        }
    }

    /// Seals every memtable that keeps more than the allowed amount of log alive. For keyspaces that are seldom written.
    pub(crate) fn seal_idle(&self) {
        let oldest_allowed = {
            let segments = std_lock(&self.segments);
            let mut kept = 0;
            let allowed = |&(_, len): &(&u64, &u64)| {
                kept += *len;
                kept <= self.limits.log_bytes
            };
            segments.iter().rev().take_while(allowed).last().map(|(number, _)| *number)
        };
        let mut state = lock(&self.state);
        let limit = oldest_allowed.unwrap_or(state.tail.segment);
        let idle: Vec<KeyspaceId> = state
            .active
            .iter()
            .filter(|(_, active)| active.first_segment.is_some_and(|first| first < limit))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.seal_locked(&mut state, id, 0);
        }
    }

    /// The oldest segment that holds records of a memtable, apart from the first `flushed` sealed ones of keyspace `of`.
    pub(crate) fn oldest_needed_segment(&self, of: KeyspaceId, flushed: usize) -> u64 {
        let state = lock(&self.state);
        let unflushed = state.active.values().flat_map(|active| {
            let skip = if active.tree.id == of { flushed } else { 0 };
            active.first_segment.into_iter().chain(active.tree.oldest_sealed_segment(skip))
        });
        unflushed.min().unwrap_or(u64::MAX).min(state.tail.segment)
    }

    /// Whether keyspaces other than this one have something in the log that is in no table yet.
    pub(crate) fn others_unflushed(&self, but: KeyspaceId) -> bool {
        let state = lock(&self.state);
        let others = state.active.values().filter(|active| active.tree.id != but);
        others
            .flat_map(|a| a.first_segment.into_iter().chain(a.tree.oldest_sealed_segment(0)))
            .next()
            .is_some()
    }

    /// Goes on in another segment of the log if no active memtable holds anything of this one, so that this one can go once the
    /// sealed ones are tables: what was written last would otherwise keep its room until a segment is full.
    pub(crate) fn leave_idle_segment(&self) -> Result<()> {
        let least = WORTH_REMOVING.min(self.limits.segment_bytes / 4);
        let is_idle = |state: &CommitState| {
            state.tail.offset > least && state.active.values().all(|active| active.first_segment.is_none())
        };
        // Mostly it is not, and then writers need not be held up.
        let seems_idle = is_idle(&lock(&self.state));
        if seems_idle { self.rotate_if(is_idle) } else { Ok(()) }
    }

    /// Makes new writes wait until the guard is dropped, and returns once those under way are visible.
    pub(crate) fn pause(&self) -> Pause<'_> {
        let last = {
            let mut state = lock(&self.state);
            state.pauses += 1;
            state.next_seqno - 1
        };
        let pause = Pause { committer: self };
        self.wait_visible(last);
        pause
    }

    /// Returns once everything up to `seqno`, which was given out, is visible.
    pub(crate) fn wait_visible(&self, seqno: SeqNo) {
        // Writers between their ticket and their insert never block, so this takes as long as an insert does.
        while self.publish.visible() < seqno {
            yield_now();
        }
    }

    /// Gives out one sequence number to something that is not in a memtable. Only while writers are paused.
    pub(crate) fn allocate_seqno(&self) -> (SeqNo, Ticket) {
        let mut state = lock(&self.state);
        let seqno = state.next_seqno;
        state.next_seqno += 1;
        (seqno, self.publish.ticket(seqno))
    }

    /// Everything appended to the log so far, and the segment it ends in.
    pub(crate) fn log_end(&self) -> (Lsn, u64, u64) {
        let state = lock(&self.state);
        (state.tail.appended, state.tail.segment, state.tail.offset)
    }

    /// Up to which place of which segment the log is synced, with all segments before it that are needed.
    pub(crate) fn synced_end(&self) -> (u64, u64) {
        lock(&self.state).tail.synced
    }

    /// The segment of which the file is written, and where what was written ends.
    pub(crate) fn written_end(&self) -> Option<(u64, u64)> {
        self.log.as_ref().map(|log| lock(log).written_end())
    }

    /// Bytes that the active memtables hold.
    pub(crate) fn active_bytes(&self) -> usize {
        lock(&self.state).active_bytes
    }
}

/// See [`Committer::pause`].
pub(crate) struct Pause<'a> {
    committer: &'a Committer,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        lock(&self.committer.state).pauses -= 1;
        self.committer.resumed.notify_all();
    }
}
