//! [`Standing`]: whether a background thread stands back for those that read and write.
//!
//! While nobody waits for its work, a thread that computes for long (a flush, a merge) is content with what others leave of the
//! processors. It *stands back* only where it holds nothing that others may want: not while it writes to a file or has pages of a map
//! brought in, in the middle of which the file system or the map may be closed to everybody, and not while it installs what it has made.
//! Whoever begins to wait for the work brings it *forward*, from any thread.

use super::SpareTime;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

thread_local!(static MINE: Cell<Option<Arc<Standing>>> = const { Cell::new(None) });

/// How one background thread stands. See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Unset before the thread has started, and if it cannot stand back.
    thread: OnceLock<Box<dyn SpareTime>>,
    is_back: AtomicBool,
    /// Somebody wants the work that the thread does now.
    is_wanted: AtomicBool,
    /// So many wait for whatever it does.
    waiting: AtomicUsize,
}

impl Standing {
    /// Makes it that of the calling thread. Called once.
    pub(crate) fn is_mine(self: &Arc<Standing>, thread: Box<dyn SpareTime>) {
        let _ = self.thread.set(thread);
        MINE.set(Some(self.clone()));
    }

    /// Runs work that nobody waits for yet: the thread stands back until it is done, or somebody wants it. Called by the thread itself.
    pub(crate) fn stand_back<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_wanted.store(false, Ordering::SeqCst);
        self.back();
        let forward = Forward(self);
        let done = work();
        drop(forward);
        done
    }

    /// Says that somebody wants the work that is being done.
    pub(crate) fn want(&self) {
        if !self.is_wanted.swap(true, Ordering::SeqCst) {
            self.forward();
        }
    }

    /// Says that somebody waits for whatever the thread does, as long as what is returned lives.
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.forward();
        Wanted(self)
    }

    /// Whether the thread stands back at the moment.
    #[inline]
    pub(crate) fn is_back(&self) -> bool {
        self.is_back.load(Ordering::Relaxed)
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst) || self.waiting.load(Ordering::SeqCst) > 0
    }

    fn back(&self) {
        let Some(thread) = self.thread.get() else { return };
        if self.is_wanted() {
            return;
        }
        self.is_back.store(true, Ordering::SeqCst);
        let stands_back = thread.only_spare(true).is_ok();
        // Who wanted the work meanwhile may have brought the thread forward before it went back.
        if self.is_wanted() || !stands_back {
            self.is_back.store(false, Ordering::SeqCst);
            let _ = thread.only_spare(false);
        }
    }

    /// Returns whether the thread stood back until now.
    fn forward(&self) -> bool {
        let was_back = self.is_back.swap(false, Ordering::SeqCst);
        if was_back && let Some(thread) = self.thread.get() {
            let _ = thread.only_spare(false);
        }
        was_back
    }
}

/// Somebody waits for what a thread does.
pub(crate) struct Wanted<'a>(&'a Standing);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs a part of whatever this thread does in which others might have to wait for it.
pub(crate) fn at_full_weight<T>(part: impl FnOnce() -> T) -> T {
    // Taken for as long, so that a part within this one finds nothing to do.
    let mine = MINE.take();
    let was_back = mine.as_ref().is_some_and(|standing| standing.forward());
    let done = part();
    if let Some(standing) = mine {
        if was_back {
            standing.back();
        }
        MINE.set(Some(standing));
    }
    done
}

/// Brings a thread forward however its work ends.
struct Forward<'a>(&'a Standing);

impl Drop for Forward<'_> {
    fn drop(&mut self) {
        self.0.is_wanted.store(true, Ordering::SeqCst);
        self.0.forward();
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    /// Notes what it is told.
    #[derive(Clone, Debug, Default)]
    struct Told(Arc<Mutex<Vec<bool>>>);

    impl SpareTime for Told {
        fn only_spare(&self, only: bool) -> io::Result<()> {
            self.0.lock().unwrap().push(only);
            Ok(())
        }
    }

    /// The standing of this thread, and what its thread was told since that was last asked.
    pub(crate) fn standing() -> (Arc<Standing>, impl Fn() -> Vec<bool>) {
        let (standing, told) = (Arc::<Standing>::default(), Told::default());
        standing.is_mine(Box::new(told.clone()));
        (standing, move || std::mem::take(&mut *told.0.lock().unwrap()))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::standing;
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_thread_stands_back_while_it_works_and_not_in_the_parts_that_others_may_wait_for() {
        let (standing, told) = standing();
        let done = standing.stand_back(|| {
            assert_eq!(told(), [true]);
            let part = at_full_weight(&told);
            (part, told())
        });
        assert_eq!((done, told()), ((vec![false], vec![true]), vec![false]));
        assert_eq!(at_full_weight(|| 7), 7);
        assert!(told().is_empty());
    }

    #[test]
    fn whose_work_is_wanted_comes_forward_and_stays_there() {
        let (standing, told) = standing();
        standing.stand_back(|| {
            standing.want();
            standing.want();
            assert_eq!(told(), [true, false]);
            at_full_weight(|| ());
        });
        assert!(told().is_empty());
        // The next work is another.
        standing.stand_back(|| assert_eq!(told(), [true]));
        standing.want();
        assert_eq!(told(), [false]);
    }

    #[test]
    fn a_thread_does_not_stand_back_while_somebody_waits_for_it() {
        let (standing, told) = standing();
        let wanted = standing.wanted();
        standing.stand_back(|| at_full_weight(|| ()));
        assert!(told().is_empty());
        drop(wanted);
        standing.stand_back(|| {
            drop(standing.wanted());
            assert_eq!(told(), [true, false]);
            assert!(!standing.is_back());
        });
    }

    #[test]
    fn a_panic_brings_the_thread_forward() {
        let (standing, told) = standing();
        let work = || standing.stand_back(|| panic!("as a hook does"));
        assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        assert_eq!(told(), [true, false]);
    }

    #[test]
    fn without_a_thread_it_only_works() {
        let standing = Standing::default();
        standing.want();
        assert_eq!(standing.stand_back(|| at_full_weight(|| 7)), 7);
        assert!(!standing.is_back());
    }
}
