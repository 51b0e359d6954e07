//! [`Stall`]: slowing or stopping writers when flush or compaction cannot keep up.
//!
//! A stall is paced by [`crate::compaction::limiter`], which says what each byte has to wait. It is bounded: a write that is
//! only slowed waits at most [`MAX_DELAY`], and one that is stopped goes on as soon as background work has made room, or
//! fails when background work has. Waiting is on a condition that progress signals; nobody sleeps.

use crate::sync::std_lock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// The longest that one write is slowed.
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(10);

/// Delays shorter than this are saved up: waiting for less is not worth the switch to another thread.
const WORTH_WAITING: Duration = Duration::from_micros(500);

/// Where stalled writers wait, and what is known about stalls.
#[derive(Debug)]
pub(crate) struct Stall {
    /// Whether a stalled writer has to do the background's work itself.
    pub(crate) stepped: bool,
    sealed_bytes: AtomicUsize,
    active_bytes: AtomicUsize,
    /// Nanoseconds that writers were told to wait and have not waited yet.
    owed: AtomicU64,
    /// Counts steps of progress, so that none is missed between looking and waiting.
    epoch: Mutex<u64>,
    progress: Condvar,
    /// What background threads have not looked at since they were told.
    work: Mutex<Work>,
    work_changed: Condvar,
    pub(crate) stalls: AtomicU64,
    pub(crate) stalled_micros: AtomicU64,
    pub(crate) slowed: AtomicU64,
}

#[derive(Debug, Default)]
struct Work {
    flush: bool,
    compaction: bool,
    stopped: bool,
}

/// What a background thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Everything, flushes first.
    All,
    Flush,
    Compaction,
}

impl Duty {
    fn flushes(self) -> bool {
        self != Duty::Compaction
    }

    fn compacts(self) -> bool {
        self != Duty::Flush
    }
}

impl Work {
    /// Takes from what is pending what a thread of this duty looks for. Returns whether there is any.
    fn take(&mut self, duty: Duty) -> bool {
        let pending = (self.flush && duty.flushes()) || (self.compaction && duty.compacts());
        self.flush &= !duty.flushes();
        self.compaction &= !duty.compacts();
        pending
    }
}

impl Stall {
    pub(crate) fn new(stepped: bool) -> Stall {
        Stall {
            stepped,
            sealed_bytes: AtomicUsize::new(0),
            active_bytes: AtomicUsize::new(0),
            owed: AtomicU64::new(0),
            epoch: Mutex::new(0),
            progress: Condvar::new(),
            work: Mutex::new(Work::default()),
            work_changed: Condvar::new(),
            stalls: AtomicU64::new(0),
            stalled_micros: AtomicU64::new(0),
            slowed: AtomicU64::new(0),
        }
    }

    /// Adds a delay to what is owed. Returns how long to wait now, if it is worth it.
    pub(crate) fn owe(&self, delay: Duration) -> Option<Duration> {
        let delay = delay.min(MAX_DELAY).as_nanos() as u64;
        let owed = self.owed.fetch_add(delay, Ordering::Relaxed) + delay;
        if owed < WORTH_WAITING.as_nanos() as u64 {
            return None;
        }
        self.owed.store(0, Ordering::Relaxed);
        Some(Duration::from_nanos(owed).min(MAX_DELAY))
    }

    pub(crate) fn sealed_bytes(&self) -> usize {
        self.sealed_bytes.load(Ordering::Relaxed)
    }

    /// What the memtables that are written hold, as it was said last.
    pub(crate) fn active_bytes(&self) -> usize {
        self.active_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_active(&self, bytes: usize) {
        self.active_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_sealed(&self, bytes: usize) {
        self.sealed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove_sealed(&self, bytes: usize) {
        self.sealed_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Says that background work got done, or failed.
    pub(crate) fn progress(&self) {
        *std_lock(&self.epoch) += 1;
        self.progress.notify_all();
    }

    pub(crate) fn epoch(&self) -> u64 {
        *std_lock(&self.epoch)
    }

    /// Waits for progress since `epoch`, for at most `limit`.
    pub(crate) fn wait_progress(&self, epoch: u64, limit: Option<Duration>) {
        let mut guard = std_lock(&self.epoch);
        while *guard == epoch {
            guard = match limit {
                Some(limit) => match self.progress.wait_timeout(guard, limit) {
                    Ok((_, timeout)) if timeout.timed_out() => return,
                    Ok((guard, _)) => guard,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => match self.progress.wait(guard) {
                    Ok(guard) => guard,
                    Err(poisoned) => poisoned.into_inner(),
                },
            };
        }
    }

    /// Tells background threads that there may be something to do.
    pub(crate) fn wake_background(&self) {
        self.wake(Duty::All);
    }

    /// Tells background threads that there may be something of this kind to do.
    pub(crate) fn wake(&self, duty: Duty) {
        let mut work = std_lock(&self.work);
        work.flush |= duty.flushes();
        work.compaction |= duty.compacts();
        self.work_changed.notify_all();
    }

    /// Waits until there may be something to do for a thread of this duty, for at most `limit`. Returns false once it shall end.
    pub(crate) fn wait_work(&self, duty: Duty, limit: Duration) -> bool {
        let mut work = std_lock(&self.work);
        if !work.take(duty) && !work.stopped {
            work = match self.work_changed.wait_timeout(work, limit) {
                Ok((work, _)) => work,
                Err(poisoned) => poisoned.into_inner().0,
            };
            work.take(duty);
        }
        !work.stopped
    }

    /// Ends the background threads.
    pub(crate) fn stop_background(&self) {
        std_lock(&self.work).stopped = true;
        self.work_changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_delays_are_saved_up_and_long_ones_are_bounded() {
        let stall = Stall::new(false);
        assert_eq!(stall.owe(Duration::from_micros(300)), None);
        assert_eq!(stall.owe(Duration::from_micros(300)), Some(Duration::from_micros(600)));
        assert_eq!(stall.owe(Duration::from_micros(300)), None);
        assert_eq!(stall.owe(Duration::from_secs(9)), Some(MAX_DELAY));
    }

    #[test]
    fn each_duty_is_told_of_its_own() {
        let stall = Stall::new(false);
        let took = |duty| std_lock(&stall.work).take(duty);
        stall.wake_background();
        assert!(took(Duty::Flush) && took(Duty::Compaction));
        assert!(!took(Duty::All));
        stall.wake(Duty::Compaction);
        assert!(!took(Duty::Flush) && took(Duty::All) && !took(Duty::Compaction));
        // What is pending is not waited for.
        stall.wake(Duty::Flush);
        assert!(stall.wait_work(Duty::Flush, Duration::MAX));
        stall.stop_background();
        assert!(!stall.wait_work(Duty::Flush, Duration::MAX));
    }

    #[test]
    fn progress_between_looking_and_waiting_is_not_missed() {
        let stall = Stall::new(false);
        let epoch = stall.epoch();
        stall.progress();
        stall.wait_progress(epoch, None);
    }
}
