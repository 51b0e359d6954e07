//! [`Standing`]: whether a background thread stands back for those that read and write.
//!
//! While nobody waits for its work, a thread that computes for long (a flush, a merge) is content with what others leave of the
//! processors. It *stands back* only where it holds nothing that others may want: not while it writes to a file or has pages of a map
//! brought in, in the middle of which the file system or the map may be closed to everybody, and not while it installs what it has made.
//! Whoever begins to wait for the work brings it *forward*, from any thread.

use super::SpareTime;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

thread_local! {
    static MINE: Cell<Option<Arc<Standing>>> = const { Cell::new(None) };
    /// Whether this thread does background work. Nothing is to be cleaned up here, so that any thread may look at any time.
    static IS_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// How one background thread stands. See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Unset before the thread has started, and if it cannot stand back.
    thread: OnceLock<Box<dyn SpareTime>>,
    place: AtomicU8,
    /// Somebody wants the work that the thread does now.
    is_wanted: AtomicBool,
    /// So many wait for whatever it does.
    waiting: AtomicUsize,
}

/// At full weight.
const FORWARD: u8 = 0;
/// About to stand back. Only the thread itself goes from here; who wants it meanwhile brings it forward until it has seen that.
const GOING: u8 = 1;
/// Content with what others leave. Whoever leaves this place tells the system.
const BACK: u8 = 2;

impl Standing {
    /// Makes it that of the calling thread, which does background work. Called once, with the thread if it can stand back.
    pub(crate) fn is_mine(self: &Arc<Standing>, thread: Option<Box<dyn SpareTime>>) {
        IS_BACKGROUND.set(true);
        if let Some(thread) = thread {
            let _ = self.thread.set(thread);
            MINE.set(Some(self.clone()));
        }
    }

    /// Begins another piece of work. Who wants it from here on is heard, so that whether anybody does is to be looked at after that.
    pub(crate) fn begin(&self) {
        self.is_wanted.store(false, Ordering::SeqCst);
    }

    /// Runs work that nobody waits for yet: the thread stands back until it is done, or somebody wants it. Called by the thread itself.
    pub(crate) fn stand_back<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.thread.get().is_some_and(|thread| thread.may_return()) {
            self.back();
        }
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
        self.place.load(Ordering::Relaxed) != FORWARD
    }

    fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::SeqCst) || self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Called by the thread itself, which is at full weight.
    fn back(&self) {
        let Some(thread) = self.thread.get() else { return };
        if self.is_wanted() {
            return;
        }
        self.place.store(GOING, Ordering::SeqCst);
        let stands_back = thread.only_spare(true).is_ok();
        self.place.store(BACK, Ordering::SeqCst);
        // Who said so before the thread was back may have left that to it.
        if self.is_wanted() || !stands_back {
            self.forward();
        }
    }

    /// Returns whether it was this call that brought the thread forward.
    fn forward(&self) -> bool {
        let Some(thread) = self.thread.get() else { return false };
        loop {
            match self.place.compare_exchange(BACK, FORWARD, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    let _ = thread.only_spare(false);
                    return true;
                }
                Err(GOING) => {
                    // It may be back already, and get on no more to say so.
                    let _ = thread.only_spare(false);
                    thread::yield_now();
                }
                Err(_) => return false,
            }
        }
    }
}

/// Whether this thread does background work, so that nobody waits for each of its steps.
#[inline]
pub(crate) fn is_background() -> bool {
    IS_BACKGROUND.get()
}

/// Runs a part of whatever this thread does in which others might have to wait for it.
#[inline]
pub(crate) fn at_full_weight<T>(part: impl FnOnce() -> T) -> T {
    if !is_background() {
        return part();
    }
    // Taken for as long, so that a part within this one finds nothing to do.
    let mine = MINE.try_with(Cell::take).ok().flatten();
    let Some(standing) = mine else { return part() };
    let was_back = standing.forward();
    let returning = Returning(Some(standing), was_back);
    let done = part();
    drop(returning);
    done
}

/// Takes a thread back to where it was, however the part ends for which it was at full weight.
struct Returning(Option<Arc<Standing>>, bool);

impl Drop for Returning {
    fn drop(&mut self) {
        let Some(standing) = self.0.take() else { return };
        if self.1 {
            standing.back();
        }
        let _ = MINE.try_with(|mine| mine.set(Some(standing)));
    }
}

/// Somebody waits for what a thread does.
pub(crate) struct Wanted<'a>(&'a Standing);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Brings a thread forward however its work ends.
struct Forward<'a>(&'a Standing);

impl Drop for Forward<'_> {
    fn drop(&mut self) {
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
    struct Told(Arc<Mutex<Vec<bool>>>, bool);

    impl SpareTime for Told {
        fn may_return(&self) -> bool {
            !self.1
        }

        fn only_spare(&self, only: bool) -> io::Result<()> {
            self.0.lock().unwrap().push(only);
            Ok(())
        }
    }

    /// The standing of this thread, and what its thread was told since that was last asked.
    pub(crate) fn standing() -> (Arc<Standing>, impl Fn() -> Vec<bool>) {
        standing_of(false)
    }

    /// The same of one that would not come back, if it is `stuck`.
    pub(super) fn standing_of(stuck: bool) -> (Arc<Standing>, impl Fn() -> Vec<bool>) {
        let (standing, told) = (Arc::<Standing>::default(), Told(Arc::default(), stuck));
        standing.is_mine(Some(Box::new(told.clone())));
        (standing, move || std::mem::take(&mut *told.0.lock().unwrap()))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{standing, standing_of};
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
        // The next work is another, from where it begins.
        standing.stand_back(|| assert!(told().is_empty()));
        standing.begin();
        standing.stand_back(|| assert_eq!(told(), [true]));
        assert_eq!(told(), [false]);
        standing.begin();
        standing.want();
        standing.stand_back(|| assert!(told().is_empty()));
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
    fn who_would_not_come_back_does_not_go() {
        let (standing, told) = standing_of(true);
        assert!(!standing.stand_back(|| standing.is_back()));
        assert!(told().is_empty());
    }

    #[test]
    fn without_a_thread_it_only_works() {
        let standing = Standing::default();
        standing.want();
        assert_eq!(standing.stand_back(|| at_full_weight(|| 7)), 7);
        assert!(!standing.is_back());
    }
}
