//! [`Inbox`]: what waits for the driver.
//!
//! Whoever has something for the node appends it and wakes the driver if it sleeps; the driver takes everything at once. What
//! peers send is bounded: a stream is read on only while there is room for what it brings.

use super::answers::{Answer, OneOfMany};
use esker::Durability;
use esker_cluster::causality::ConflictMode;
use esker_cluster::message::Envelope;
use esker_cluster::request::Request;
use esker_cluster::store::StoreFailure;
use esker_cluster::{Event, NodeStatus, Ticket};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Something for the driver.
pub(super) enum Entry {
    /// An event of the machine.
    Event(Event),
    /// Messages that came together, and the room that they take.
    Messages(Vec<Envelope>, OwnedSemaphorePermit),
    /// Writes of this durability, up to the one with this ticket, are as durable as that says, or never will be.
    Durable(Durability, Ticket, esker::Result<()>),
    /// A client's request.
    Request(Request, Answer),
    /// Several of one client.
    Requests(Vec<(Request, OneOfMany)>),
    /// Somebody wants to know how the node is.
    Status(oneshot::Sender<NodeStatus>),
    /// A keyspace is to be defined.
    Define { name: String, mode: ConflictMode, replicas: u8, done: oneshot::Sender<Result<(), String>> },
    /// The node is to stop.
    Stop(oneshot::Sender<Result<(), StoreFailure>>),
}

/// How much peers may have sent that the node has not looked at yet, in units of [`UNIT`].
const ROOM: usize = 64 * 1024;
const UNIT: usize = 1024;

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// The driver, if it sleeps.
    sleeper: Option<Waker>,
    closed: bool,
}

/// What waits for the driver.
pub(super) struct Inbox {
    state: Mutex<State>,
    room: Arc<Semaphore>,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        Inbox { state: Mutex::default(), room: Arc::new(Semaphore::new(ROOM)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an entry. Gives it back if the inbox is closed.
    pub(super) fn push(&self, entry: Entry) -> Option<Entry> {
        let mut state = self.state();
        if state.closed {
            return Some(entry);
        }
        state.entries.push(entry);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        None
    }

    /// Appends an event. Once the inbox is closed nobody wants to know it.
    pub(super) fn tell(&self, event: Event) {
        self.push(Entry::Event(event));
    }

    /// Waits until there is room for messages of so many bytes. `None` once the inbox is closed.
    pub(super) async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = (bytes / UNIT + 1).min(ROOM) as u32;
        self.room.clone().acquire_many_owned(units).await.ok()
    }

    /// Ready if there is something; otherwise whoever asks is woken when there is.
    pub(super) fn poll_arrival(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.entries.is_empty() {
            return Poll::Ready(());
        }
        match &mut state.sleeper {
            Some(sleeper) => sleeper.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes everything that is there, behind what was taken before.
    pub(super) fn take(&self, into: &mut Vec<Entry>) {
        let mut state = self.state();
        if into.is_empty() {
            std::mem::swap(&mut state.entries, into);
        } else {
            into.append(&mut state.entries);
        }
    }

    /// Takes nothing more. What is left is returned.
    pub(super) fn close(&self) -> Vec<Entry> {
        self.room.close();
        let mut state = self.state();
        state.closed = true;
        std::mem::take(&mut state.entries)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("entries", &self.state().entries.len()).finish_non_exhaustive()
    }
}
