//! [`Commit`]: a write that is visible, and a way to learn when it is durable.

use super::commit::Committer;
use super::log::Lsn;
use crate::error::{Error, Result};
use crate::fs::Background;
use crate::sync::{Condvar, Mutex, Ordering, lock, wait};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// A write that was submitted: readers see it; it is durable once [`wait`](Commit::wait) returns, [`poll`](Commit::poll)
/// says so, or the callback is called. Dropping the handle changes nothing: the write becomes durable all the same.
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
    lsn: Lsn,
    seqno: u64,
}

impl Commit {
    pub(crate) fn new(committer: Arc<Committer>, lsn: Lsn, seqno: u64) -> Commit {
        Commit { committer, lsn, seqno }
    }

    /// The sequence number of the write's last operation. Later writes have higher ones.
    pub fn seqno(&self) -> u64 {
        self.seqno
    }

    /// Returns once the write is as durable as it asked to be.
    ///
    /// # Errors
    /// `Io` or `ReadOnly` if the log could not be written; the write may then be lost.
    pub fn wait(&self) -> Result<()> {
        self.committer.sync_through(self.lsn)
    }

    /// Whether the write is as durable as it asked to be, or failed. Never blocks.
    pub fn poll(&self) -> Option<Result<()>> {
        if self.committer.synced.load(Ordering::Acquire) >= self.lsn {
            return Some(Ok(()));
        }
        self.committer.health.check_writable().err().map(Err)
    }

    /// Calls `done` once the write is as durable as it asked to be, or failed: at once if it is already, otherwise on the
    /// thread that syncs the log. It must not block.
    pub fn on_done(self, done: impl FnOnce(Result<()>) + Send + 'static) {
        if let Some(result) = self.poll() {
            return done(result);
        }
        self.committer.queue.push(self.lsn, Box::new(done));
        // The sync may have happened since the poll.
        if self.poll().is_some() {
            self.committer.notify_synced();
        }
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit").field("seqno", &self.seqno).field("done", &self.poll().is_some()).finish()
    }
}

/// Who waits for a sync without blocking, and up to where one is wanted.
#[derive(Default)]
pub(crate) struct SyncQueue {
    state: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    lsn: Lsn,
    callbacks: Vec<(Lsn, Callback)>,
    stopped: bool,
}

impl SyncQueue {
    fn push(&self, lsn: Lsn, done: Callback) {
        lock(&self.state).callbacks.push((lsn, done));
    }

    /// Takes the callbacks whose position is `done`. The lock is taken even if there are none: it orders this after the
    /// look at what is synced (or failed) by whoever pushed a callback before, and before that look by whoever pushes one
    /// later. So nobody's callback is left over.
    fn take(&self, done: impl Fn(Lsn) -> bool) -> Vec<Callback> {
        let mut state = lock(&self.state);
        state.callbacks.extract_if(.., |(lsn, _)| done(*lsn)).map(|(_, callback)| callback).collect()
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
    /// Asks the syncing thread, or the next step, to make everything up to `lsn` durable.
    pub(crate) fn want_sync(&self, lsn: Lsn) {
        let mut state = lock(&self.queue.state);
        if lsn > state.lsn {
            state.lsn = lsn;
            drop(state);
            self.queue.changed.notify_one();
        }
    }

    /// Does the sync that was asked for, if any. Returns whether there was one. For stepped stores.
    pub(crate) fn sync_wanted(&self) -> Result<bool> {
        let lsn = lock(&self.queue.state).lsn;
        if self.synced.load(Ordering::Acquire) >= lsn {
            return Ok(false);
        }
        self.sync_through(lsn).map(|()| true)
    }

    /// The body of the thread that syncs for writes that were submitted.
    pub(crate) fn run_sync_thread(&self) {
        debug_assert_eq!(self.env.background(), Background::Threads);
        loop {
            let lsn = {
                let mut state = lock(&self.queue.state);
                loop {
                    if state.stopped || self.health.check_writable().is_err() {
                        return;
                    }
                    if state.lsn > self.synced.load(Ordering::Acquire) {
                        break state.lsn;
                    }
                    state = wait(&self.queue.changed, state);
                }
            };
            // A failure has made the store read-only and was told to everybody who waits.
            if self.sync_through(lsn).is_err() {
                return;
            }
        }
    }

    /// Calls back those whose writes are durable by now, or all of them if the log failed.
    pub(crate) fn notify_synced(&self) {
        let failed = self.health.check_writable().err();
        let synced = self.synced.load(Ordering::Acquire);
        for callback in self.queue.take(|lsn| lsn <= synced) {
            self.call(callback, Ok(()));
        }
        if let Some(error) = failed {
            for callback in self.queue.take(|_| true) {
                self.call(callback, Err(error.clone()));
            }
            self.queue.changed.notify_all();
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
