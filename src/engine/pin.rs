//! [`Pinned`]: a value that many read without a lock and few replace.
//!
//! A reader takes a reference to the current value without waiting for anybody, even while it is being replaced. The
//! danger is the moment between reading the pointer and counting the reference: the value could be replaced and freed
//! in between. Therefore a reader first *announces* the pointer in a slot that writers look at:
//!
//! ```text
//!   reader                                   writer
//!   p = current                              old = swap(current, new)
//!   slot = p            (announce)           for each slot: wait while slot == old
//!   current == p still? (else announce anew) drop the reference that `current` held
//!   count a reference to p
//!   slot = null
//! ```
//!
//! The announcement and the writer's swap are in one total order with the two reads that follow them (all four are
//! sequentially consistent). Either the reader's second look comes after the swap and sees that the value was
//! replaced, or the swap comes after the second look, hence after the announcement, and the writer sees it and waits:
//! for the few instructions until the reader has counted its reference, not for as long as it uses the value.
//!
//! This file is one of the few that hold `unsafe`. The argument: `current` always owns one reference to what it points
//! to. A reader touches the count of `p` only after it has seen `current == p` with `p` announced, so the writer that
//! takes `p` out gives up that reference only after the announcement is gone. (If `p` was taken out, freed, and another
//! value with the same address was put in before the second look, then `p` is that value.)

#![allow(unsafe_code)]

use crate::sync::{AtomicPtr, Ordering, yield_now};
use std::sync::Arc;

/// How many readers may be in the announced moment at once before one has to yield to others.
#[cfg(not(loom))]
const SLOTS: usize = 32;
#[cfg(loom)]
const SLOTS: usize = 2;

/// One slot to a cache line, so that readers on different cores do not disturb each other.
#[repr(align(64))]
struct Slot<T>(AtomicPtr<T>);

/// See the head of this file.
pub(crate) struct Pinned<T> {
    current: AtomicPtr<T>,
    slots: Box<[Slot<T>]>,
    owns: std::marker::PhantomData<Arc<T>>,
}

// SAFETY: a `Pinned` hands out and drops `Arc<T>`s in any thread, and does nothing else with the value.
unsafe impl<T: Send + Sync> Send for Pinned<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Pinned<T> {}

impl<T> Pinned<T> {
    /// Holds `value`.
    pub(crate) fn new(value: Arc<T>) -> Pinned<T> {
        let slots = (0..SLOTS).map(|_| Slot(AtomicPtr::new(std::ptr::null_mut()))).collect();
        let current = AtomicPtr::new(Arc::into_raw(value).cast_mut());
        Pinned { current, slots, owns: std::marker::PhantomData }
    }

    /// The current value.
    #[inline]
    pub(crate) fn load(&self) -> Arc<T> {
        let mut seen = self.current.load(Ordering::SeqCst);
        let mut index = first_slot();
        // Claiming a slot and announcing are one step.
        let slot = loop {
            let slot = &self.slots[index % SLOTS].0;
            let claimed =
                slot.compare_exchange(std::ptr::null_mut(), seen, Ordering::SeqCst, Ordering::Relaxed);
            if claimed.is_ok() {
                break slot;
            }
            index += 1;
            if index.is_multiple_of(SLOTS) {
                yield_now();
            }
        };
        loop {
            order();
            let now = self.current.load(Ordering::SeqCst);
            if now == seen {
                break;
            }
            seen = now;
            slot.store(seen, Ordering::SeqCst);
        }
        // SAFETY: see the head of this file; the pointer came from `Arc::into_raw`.
        let value = unsafe {
            Arc::increment_strong_count(seen);
            Arc::from_raw(seen)
        };
        slot.store(std::ptr::null_mut(), Ordering::Release);
        value
    }

    /// Replaces the value. Returns when no reader can reach the old one through here any more.
    pub(crate) fn store(&self, value: Arc<T>) {
        let old = self.current.swap(Arc::into_raw(value).cast_mut(), Ordering::SeqCst);
        order();
        for slot in &self.slots {
            let mut tries = 0u32;
            while slot.0.load(Ordering::SeqCst) == old {
                tries += 1;
                if tries < 16 && cfg!(not(loom)) { std::hint::spin_loop() } else { yield_now() }
            }
        }
        // SAFETY: `old` came from `Arc::into_raw` and `current` owned this reference.
        drop(unsafe { Arc::from_raw(old) });
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: as in `store`; nobody else has access any more.
        drop(unsafe { Arc::from_raw(current) });
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Pinned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pinned").field(&self.load()).finish()
    }
}

/// Where this thread begins to look for a free slot: threads that were born one after the other begin apart.
#[cfg(not(loom))]
#[inline]
fn first_slot() -> usize {
    use std::sync::atomic::AtomicUsize;
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static FIRST: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SLOTS;
    }
    FIRST.try_with(|first| *first).unwrap_or(0)
}

#[cfg(loom)]
fn first_slot() -> usize {
    0
}

/// The model checker takes sequentially consistent accesses for acquire and release ones, so it needs a fence where
/// the order of the accesses themselves suffices.
#[inline]
fn order() {
    #[cfg(loom)]
    crate::sync::fence(Ordering::SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    /// Counts its own death.
    struct Counted<'a>(usize, &'a AtomicUsize);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn values_die_once_when_nobody_has_them() {
        let dead = AtomicUsize::new(0);
        let pinned = Pinned::new(Arc::new(Counted(1, &dead)));
        let first = pinned.load();
        pinned.store(Arc::new(Counted(2, &dead)));
        assert_eq!((first.0, pinned.load().0, dead.load(Ordering::Relaxed)), (1, 2, 0));
        drop(first);
        assert_eq!(dead.load(Ordering::Relaxed), 1);
        let same = pinned.load();
        pinned.store(same.clone());
        assert_eq!(Arc::strong_count(&same), 2);
        drop(pinned);
        assert_eq!((Arc::strong_count(&same), dead.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn readers_never_go_back_while_the_value_is_replaced() {
        let dead = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let pinned = Pinned::new(Arc::new(Counted(0, &dead)));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let value = pinned.load();
                        assert!(value.0 >= last);
                        last = value.0;
                    }
                });
            }
            for i in 1..=20_000 {
                pinned.store(Arc::new(Counted(i, &dead)));
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(dead.load(Ordering::Relaxed), 20_000);
    }

    #[test]
    fn more_readers_than_slots_get_through() {
        let pinned = Pinned::new(Arc::new(7));
        thread::scope(|scope| {
            for _ in 0..2 * SLOTS {
                scope.spawn(|| {
                    for _ in 0..100 {
                        assert_eq!(*pinned.load(), 7);
                    }
                });
            }
            for _ in 0..100 {
                pinned.store(Arc::new(7));
            }
        });
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::thread;
    use std::sync::atomic::AtomicBool;

    /// A value that shows when it is used too early (its cell is checked) or too late (its death is noted).
    struct Value {
        number: UnsafeCell<usize>,
        dead: Arc<[AtomicBool; 3]>,
    }

    impl Value {
        fn new(number: usize, dead: &Arc<[AtomicBool; 3]>) -> Arc<Value> {
            let value = Value { number: UnsafeCell::new(0), dead: dead.clone() };
            // SAFETY: nobody else has it yet.
            value.number.with_mut(|n| unsafe { *n = number });
            Arc::new(value)
        }

        fn number(&self) -> usize {
            // SAFETY: not written any more once it is shared, which the cell checks.
            let number = self.number.with(|n| unsafe { *n });
            assert!(!self.dead[number].load(Ordering::Relaxed));
            number
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            // SAFETY: not written any more.
            let number = self.number.with(|n| unsafe { *n });
            assert!(!self.dead[number].swap(true, Ordering::Relaxed), "dropped twice");
        }
    }

    fn model(preemptions: usize, readers: usize, stores: usize) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(move || {
            let dead = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
            let pinned = Arc::new(Pinned::new(Value::new(0, &dead)));
            let read = |pinned: &Pinned<Value>| {
                let first = pinned.load();
                let second = pinned.load();
                assert!(first.number() <= second.number());
            };
            let readers: Vec<_> = (0..readers)
                .map(|_| {
                    let pinned = pinned.clone();
                    thread::spawn(move || read(&pinned))
                })
                .collect();
            for number in 1..=stores {
                pinned.store(Value::new(number, &dead));
            }
            assert_eq!(pinned.load().number(), stores);
            for reader in readers {
                reader.join().unwrap();
            }
            drop(pinned);
            assert!(dead[..=stores].iter().all(|dead| dead.load(Ordering::Relaxed)));
        });
    }

    #[test]
    fn loom_a_value_lives_while_a_reader_has_it() {
        model(4, 1, 2);
    }

    #[test]
    fn loom_two_readers_at_once() {
        model(2, 2, 1);
    }
}
