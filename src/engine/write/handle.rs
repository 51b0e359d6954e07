//! [`Commit`]: a write that is visible, and a way to learn when it is durable.

use super::commit::Committer;
use super::log::Lsn;
use crate::error::{Error, Result};
use crate::fs::Background;
use crate::options::Durability;
use crate::sync::{Condvar, Mutex, Ordering, lock, wait};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// A write that was submitted: readers see it; it is durable once [`wait`](Commit::wait) returns, [`poll`](Commit::poll)
/// says so, or the callback is called. Dropping the handle changes nothing: the write becomes durable all the same, unless it was
/// [`deferred`](crate::WriteOptions::deferred) and nobody has asked.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{Durability, WriteBatch, WriteOptions};
/// use std::sync::mpsc::channel;
/// let mut batch = WriteBatch::new();
/// batch.put("k", "v");
/// let commit = db.submit(&batch, WriteOptions::new(Durability::Synced))?;
/// let (done, told) = channel();
/// commit.on_done(move |result| drop(done.send(result.is_ok())));
/// assert!(told.recv()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Commit {
    committer: Arc<Committer>,
    awaited: Awaited,
    seqno: u64,
}

/// Where the log has to have come to, and in which sense.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    lsn: Lsn,
    durability: Durability,
}

impl Commit {
    pub(crate) fn new(committer: Arc<Committer>, lsn: Lsn, durability: Durability, seqno: u64) -> Commit {
        Commit { committer, awaited: Awaited { lsn, durability }, seqno }
    }

    /// Stands for everything that was written so far, and asks for its durability.
    pub(crate) fn barrier(committer: &Arc<Committer>, durability: Durability) -> Commit {
        // The sequence number first: the log that ends here holds what it counts.
        let seqno = committer.visible();
        let awaited = Awaited { lsn: committer.log_end().0, durability };
        if !committer.has_come_to(awaited) {
            committer.want(awaited.lsn, durability);
        }
        Commit { committer: committer.clone(), awaited, seqno }
    }

    /// The sequence number of the write's last operation. Later writes have higher ones.
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// Has everything up to this write brought to the durability that it asked for, without waiting. It is under way already
    /// unless the write was [`deferred`](crate::WriteOptions::deferred).
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let db = esker::Db::open(dir.path())?;
    /// use esker::{Durability, WriteBatch, WriteOptions};
    /// let (mut batch, mut last) = (WriteBatch::new(), None);
    /// for n in 0..100u8 {
    ///     batch.clear();
    ///     batch.put([n], "v");
    ///     last = Some(db.submit(&batch, WriteOptions::new(Durability::Synced).deferred(true))?);
    /// }
    /// let last = last.expect("a hundred were submitted");
    /// last.begin();
    /// last.wait()?; // and so are the others
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin(&self) {
        let Awaited { lsn, durability } = self.awaited;
        // The write is visible: an error here would say that it is not. If the log cannot take it, the store is read-only from
        // now on, and the handle says so.
        let is_done = self.committer.has_come_to(self.awaited)
            || durability == Durability::Buffered
                && self.committer.write_without_waiting(lsn).unwrap_or(false);
        if !is_done {
            self.committer.want(lsn, durability);
        }
    }

    /// Returns once the write is as durable as it asked to be.
    ///
    /// # Errors
    /// `Io` or `ReadOnly` if the log could not be written; the write may then be lost.
    pub fn wait(&self) -> Result<()> {
        match self.awaited.durability {
            Durability::Buffered => self.committer.write_through(self.awaited.lsn),
            Durability::Synced => self.committer.sync_through(self.awaited.lsn),
        }
    }

    /// Whether the write is as durable as it asked to be, or failed. Never blocks, and does not [begin](Commit::begin) what was
    /// deferred.
    pub fn poll(&self) -> Option<Result<()>> {
        if self.committer.has_come_to(self.awaited) {
            return Some(Ok(()));
        }
        self.committer.health.check_writable().err().map(Err)
    }

    /// [Begins](Commit::begin) it, and calls `done` once the write is as durable as it asked to be, or failed: at once if it is
    /// already, otherwise on the thread that syncs the log, or another that does. It must not block.
    pub fn on_done(self, done: impl FnOnce(Result<()>) + Send + 'static) {
        self.begin();
        if let Some(result) = self.poll() {
            return done(result);
        }
        self.committer.queue.push(self.awaited, Box::new(done));
        // It may have happened since the poll.
        if self.poll().is_some() {
            self.committer.notify_done();
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("seqno", &self.seqno).field("done", &self.poll().is_some()).finish()
    }
}

/// Who waits for the log without blocking, and up to where it is wanted.
#[derive(Default)]
pub(crate) struct SyncQueue {
    state: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    /// Up to here the log is to be handed over, and up to here synced.
    written: Lsn,
    synced: Lsn,
    callbacks: Vec<(Awaited, Callback)>,
    stopped: bool,
}

impl SyncQueue {
    fn push(&self, awaited: Awaited, done: Callback) {
        lock(&self.state).callbacks.push((awaited, done));
    }

    /// Takes the callbacks whose wait is `done`. The lock is taken even if there are none: it orders this after the
    /// look at what is done (or failed) by whoever pushed a callback before, and before that look by whoever pushes one
    /// later. So nobody's callback is left over.
    fn take(&self, done: impl Fn(Awaited) -> bool) -> Vec<Callback> {
        let mut state = lock(&self.state);
        state.callbacks.extract_if(.., |(awaited, _)| done(*awaited)).map(|(_, callback)| callback).collect()
    }

    /// Wakes the thread that syncs. With the lock, since that thread looks at the store's health under it before it waits.
    pub(crate) fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Ends the thread that syncs.
    pub(crate) fn stop(&self) {
        lock(&self.state).stopped = true;
        self.changed.notify_all();
    }
}

impl fmt::Debug for SyncQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncQueue").field("callbacks", &lock(&self.state).callbacks.len()).finish()
    }
}

impl Committer {
    fn has_come_to(&self, awaited: Awaited) -> bool {
        let reached = match awaited.durability {
            Durability::Buffered => &self.written,
            Durability::Synced => &self.synced,
        };
        reached.load(Ordering::Acquire) >= awaited.lsn
    }

    /// Asks the syncing thread, or the next step, to bring everything up to `lsn` where it is wanted.
    pub(crate) fn want(&self, lsn: Lsn, durability: Durability) {
        let mut state = lock(&self.queue.state);
        let wanted = match durability {
            Durability::Buffered => &mut state.written,
            Durability::Synced => &mut state.synced,
        };
        if lsn > *wanted {
            *wanted = lsn;
            drop(state);
            self.queue.changed.notify_one();
        }
    }

    /// What was asked for and is not done: up to where the log is to be brought, and in which sense.
    fn wanted(&self, state: &Wanted) -> Option<Awaited> {
        let synced = Awaited { lsn: state.synced, durability: Durability::Synced };
        let written = Awaited { lsn: state.written, durability: Durability::Buffered };
        [synced, written].into_iter().find(|&awaited| !self.has_come_to(awaited))
    }

    /// Whether somebody is to be called back. Others bring the log on too, and not all of them call back.
    fn owes_calls(&self, state: &Wanted) -> bool {
        state.callbacks.iter().any(|(awaited, _)| self.has_come_to(*awaited))
    }

    fn bring_to(&self, awaited: Awaited) -> Result<()> {
        if awaited.durability == Durability::Synced {
            return self.sync_through(awaited.lsn);
        }
        let result = self.write_through(awaited.lsn);
        self.notify_done();
        result
    }

    /// Does what was asked for, if anything. Returns whether there was something. For stepped stores.
    pub(crate) fn do_wanted(&self) -> Result<bool> {
        let (wanted, owes_calls) = {
            let state = lock(&self.queue.state);
            (self.wanted(&state), self.owes_calls(&state))
        };
        if owes_calls || self.health.check_writable().is_err() {
            self.notify_done();
        }
        wanted.map_or(Ok(owes_calls), |awaited| self.bring_to(awaited).map(|()| true))
    }

    /// The body of the thread that syncs for writes that were submitted.
    pub(crate) fn run_sync_thread(&self) {
        debug_assert_eq!(self.env.background(), Background::Threads);
        loop {
            let wanted = {
                let mut state = lock(&self.queue.state);
                loop {
                    if state.stopped {
                        return;
                    }
                    let wanted = self.wanted(&state);
                    if wanted.is_some() || self.owes_calls(&state) || self.health.check_writable().is_err() {
                        break wanted;
                    }
                    state = wait(&self.queue.changed, state);
                }
            };
            match wanted {
                // What comes of it is told to everybody who waits.
                Some(wanted) => drop(self.bring_to(wanted)),
                None => self.notify_done(),
            }
            // A failure makes the store read-only, whoever met it. Nothing is left to be done after that.
            if self.health.check_writable().is_err() {
                return self.notify_done();
            }
        }
    }

    /// Calls back those whose writes are as durable as they asked, or all of them if the log failed. No lock may be held.
    pub(crate) fn notify_done(&self) {
        let failed = self.health.check_writable().err();
        for callback in self.queue.take(|awaited| self.has_come_to(awaited)) {
            self.call(callback, Ok(()));
        }
        if let Some(error) = failed {
            for callback in self.queue.take(|_| true) {
                self.call(callback, Err(error.clone()));
            }
        }
    }

    /// Calls back. A panic is the business of whoever gave the callback: it must neither end the thread that syncs, nor reach
    /// somebody else's write, nor keep the other callbacks from being called.
    fn call(&self, callback: Callback, result: Result<()>) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback(result))) {
            let what = Error::panicked("the callback of a write", &*panic).to_string();
            self.events.emit(&crate::Event::BackgroundError { what });
        }
    }
}
