//! [`PublishQueue`]: makes writes visible in the order of their sequence numbers.
//!
//! Writers take their tickets under the commit lock, in the order of their sequence numbers, then insert into the
//! memtables at the same time and finish in any order. A write becomes visible when it and all before it are
//! inserted: whoever finishes last publishes for everybody whose turn has come with it.
//!
//! ```text
//!   ticket       4    5    6    7    8         ticket 5 finishes: 5, 6 and 7 are published by that writer,
//!   inserted     ✓    ·    ✓    ✓    ·         `visible` jumps to the last sequence number of 7,
//!   published    ✓                             and the writers of 6 and 7, if they wait already, are woken
//! ```
//!
//! Invariants:
//! - `visible` only grows, and only under the lock.
//! - When `visible` says `s`, every entry up to `s` is in its memtable, and whoever reads `s` there sees those entries
//!   (release and acquire).
//! - A ticket that is given out must be published, or all behind it wait for ever.
//!
//! The ring holds a flag for each ticket in flight; a writer whose ticket lies a whole ring ahead of the oldest one
//! waits before it may mark its own.

use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering, lock, wait};
use esker_table::SeqNo;

/// How many tickets may be inserted ahead of the oldest that is not.
#[cfg(not(loom))]
const RING: usize = 64;
#[cfg(loom)]
const RING: usize = 2;

/// How often a writer looks again before it falls asleep.
#[cfg(not(loom))]
const SPINS: usize = 64;
#[cfg(loom)]
const SPINS: usize = 0;

/// The turn of one write. See [`PublishQueue`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a ticket that is never published stops all writes behind it"]
pub(crate) struct Ticket {
    turn: u64,
    last_seqno: SeqNo,
}

/// See the head of this file.
pub(crate) struct PublishQueue {
    visible: AtomicU64,
    /// The turn of the next ticket. Written under the commit lock only.
    next: AtomicU64,
    state: Mutex<State>,
    published: Condvar,
}

struct State {
    /// The oldest turn that is not published.
    turn: u64,
    /// The last sequence number of each turn that is inserted and not published; at `turn % RING`, zero if there
    /// is none.
    inserted: [SeqNo; RING],
    /// Writers asleep.
    waiting: usize,
}

impl PublishQueue {
    /// A queue behind whose tickets all sequence numbers up to `visible` are inserted.
    pub(crate) fn new(visible: SeqNo) -> PublishQueue {
        PublishQueue {
            visible: AtomicU64::new(visible),
            next: AtomicU64::new(0),
            state: Mutex::new(State { turn: 0, inserted: [0; RING], waiting: 0 }),
            published: Condvar::new(),
        }
    }

    /// The sequence number up to which everything is visible.
    #[inline]
    pub(crate) fn visible(&self) -> SeqNo {
        self.visible.load(Ordering::Acquire)
    }

    /// The turn of a write whose last sequence number is `last_seqno`. To be called under the commit lock, right after
    /// the sequence numbers were given out: `last_seqno` grows from ticket to ticket.
    pub(crate) fn ticket(&self, last_seqno: SeqNo) -> Ticket {
        let turn = self.next.load(Ordering::Relaxed);
        self.next.store(turn + 1, Ordering::Relaxed);
        Ticket { turn, last_seqno }
    }

    /// Says that the ticket's entries are inserted. Returns when they are visible.
    pub(crate) fn publish(&self, ticket: Ticket) {
        let mut state = lock(&self.state);
        if ticket.turn != state.turn {
            self.publish_later(state, ticket);
            return;
        }
        let mut visible = ticket.last_seqno;
        state.turn += 1;
        loop {
            let index = state.turn as usize % RING;
            let next = std::mem::take(&mut state.inserted[index]);
            if next == 0 {
                break;
            }
            visible = next;
            state.turn += 1;
        }
        self.visible.store(visible, Ordering::Release);
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.published.notify_all();
        }
    }

    /// Leaves the ticket to the writers before it and waits for them.
    #[cold]
    fn publish_later(&self, mut state: MutexGuard<'_, State>, ticket: Ticket) {
        state.waiting += 1;
        while ticket.turn - state.turn >= RING as u64 {
            state = wait(&self.published, state);
        }
        state.waiting -= 1;
        if ticket.turn == state.turn {
            drop(state);
            self.publish(ticket);
            return;
        }
        state.inserted[ticket.turn as usize % RING] = ticket.last_seqno;
        drop(state);
        // An insert takes less time than falling asleep, so the turn may come at once.
        for _ in 0..SPINS {
            if self.visible() >= ticket.last_seqno {
                return;
            }
            std::hint::spin_loop();
        }
        let mut state = lock(&self.state);
        state.waiting += 1;
        while state.turn <= ticket.turn {
            state = wait(&self.published, state);
        }
        state.waiting -= 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64};
    use std::thread;

    #[test]
    fn a_single_writer_is_visible_at_once() {
        let queue = PublishQueue::new(7);
        assert_eq!(queue.visible(), 7);
        for seqno in [8, 20, 21] {
            queue.publish(queue.ticket(seqno));
            assert_eq!(queue.visible(), seqno);
        }
    }

    #[test]
    fn what_is_visible_is_inserted() {
        const WRITERS: usize = 4;
        const EACH: usize = 5_000;
        let queue = PublishQueue::new(0);
        let commit = Mutex::new(0u64);
        let inserted: Vec<AtomicBool> = (0..=WRITERS * EACH).map(|i| AtomicBool::new(i == 0)).collect();
        let last = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let (ticket, seqno) = {
                            let mut next = lock(&commit);
                            *next += 1;
                            (queue.ticket(*next), *next)
                        };
                        inserted[seqno as usize].store(true, Ordering::Relaxed);
                        queue.publish(ticket);
                        let visible = queue.visible();
                        assert!(visible >= seqno);
                        assert!(last.fetch_max(visible, Ordering::AcqRel) <= queue.visible());
                    }
                });
            }
            scope.spawn(|| {
                let mut checked = 0;
                while checked < WRITERS * EACH {
                    let visible = queue.visible() as usize;
                    assert!(visible >= checked);
                    for flag in &inserted[checked..=visible] {
                        assert!(flag.load(Ordering::Relaxed));
                    }
                    checked = visible;
                    thread::yield_now();
                }
            });
        });
        assert_eq!(queue.visible(), (WRITERS * EACH) as u64);
    }

    #[test]
    fn more_writers_than_the_ring_holds_all_get_through() {
        let queue = PublishQueue::new(0);
        let tickets: Vec<Ticket> = (1..=3 * RING as u64).map(|seqno| queue.ticket(seqno)).collect();
        thread::scope(|scope| {
            let queue = &queue;
            for &ticket in tickets.iter().rev() {
                scope.spawn(move || queue.publish(ticket));
            }
        });
        assert_eq!(queue.visible(), 3 * RING as u64);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::{Arc, atomic::AtomicBool};
    use loom::thread;

    struct Shared {
        queue: PublishQueue,
        commit: Mutex<u64>,
        inserted: [AtomicBool; 4],
    }

    impl Shared {
        fn new() -> Arc<Shared> {
            let inserted = std::array::from_fn(|i| AtomicBool::new(i == 0));
            Arc::new(Shared { queue: PublishQueue::new(0), commit: Mutex::new(0), inserted })
        }

        /// One write from beginning to end.
        fn write(&self) {
            let (ticket, seqno) = {
                let mut next = lock(&self.commit);
                *next += 1;
                (self.queue.ticket(*next), *next)
            };
            self.inserted[seqno as usize].store(true, Ordering::Relaxed);
            self.queue.publish(ticket);
            assert!(self.queue.visible() >= seqno);
        }

        /// Two looks at what is visible.
        fn read(&self) {
            let mut last = 0;
            for _ in 0..2 {
                let visible = self.queue.visible();
                assert!(visible >= last);
                for flag in &self.inserted[..=visible as usize] {
                    assert!(flag.load(Ordering::Relaxed));
                }
                last = visible;
            }
        }
    }

    fn model(preemptions: usize, writers: usize, reader: bool) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions);
        model.check(move || {
            let shared = Shared::new();
            let others: Vec<_> = (1..writers)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || shared.write())
                })
                .chain(reader.then(|| {
                    let shared = shared.clone();
                    thread::spawn(move || shared.read())
                }))
                .collect();
            shared.write();
            for thread in others {
                thread.join().unwrap();
            }
            assert_eq!(shared.queue.visible(), writers as u64);
        });
    }

    #[test]
    fn loom_two_writers_and_a_reader() {
        model(5, 2, true);
    }

    /// With a ring of two, the third writer may have to wait before it can leave its mark.
    #[test]
    fn loom_three_writers() {
        model(4, 3, false);
    }
}
