//! [`NodeHandle`]: a running node, for everybody else in the process.

use super::answers::{Answer, Answers, OneOfMany, STOPPED, cut_short, is_write};
use super::driver::turn_away;
use super::inbox::{Entry, Inbox};
use super::traffic::{Traffic, count};
use super::view::View;
use bytes::Bytes;
use esker::Slice;
use esker_cluster::ClusterState;
use esker_cluster::causality::ConflictMode;
use esker_cluster::message::encoding::{MalformedMessage, decode_shared};
use esker_cluster::request::{Request, Response};
use esker_cluster::store::{KeyspaceDefinition, KeyspaceId, Store, StoreFailure};
use esker_cluster::{Event, NodeStatus};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// What the driver and all handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Inbox,
    pub(super) store: Arc<Store>,
    pub(super) traffic: Traffic,
}

/// A running node. Clones are the same node.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) view: watch::Receiver<Arc<View>>,
}

/// Why frames of a peer were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// One of them is no message. Those before it were taken.
    Malformed(MalformedMessage),
    /// The node is stopped.
    Stopped,
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameFault::Malformed(malformed) => malformed.fmt(f),
            FrameFault::Stopped => f.write_str(STOPPED),
        }
    }
}

impl std::error::Error for FrameFault {}

impl NodeHandle {
    /// Serves a request. Dropping the future does not take it back.
    pub async fn request(&self, request: Request) -> Response {
        let was_write = is_write(&request);
        let (answer, answered) = oneshot::channel();
        self.request_with(request, move |response| drop(answer.send(response)));
        answered.await.unwrap_or_else(|_| cut_short(was_write))
    }

    /// Serves a request and gives the answer to `answer`, within the driver: it must not block. It is called once, and at
    /// once if the node is stopped.
    pub fn request_with(&self, request: Request, answer: impl FnOnce(Response) + Send + 'static) {
        let answer: Answer = Box::new(answer);
        self.push(Entry::Request(request, answer));
    }

    /// Serves several requests that were made together, in any order.
    pub(crate) fn request_all(&self, requests: Vec<Request>, answers: Arc<dyn Answers>) {
        let one = |(number, request)| {
            let one = OneOfMany::new(&request, answers.clone(), number);
            (request, one)
        };
        self.push(Entry::Requests(requests.into_iter().enumerate().map(one).collect()));
    }

    fn push(&self, entry: Entry) {
        if let Some(entry) = self.shared.inbox.push(entry) {
            turn_away(entry);
        }
    }

    /// What the node knows of its cluster. `None` once it is stopped.
    pub async fn status(&self) -> Option<NodeStatus> {
        let (answer, answered) = oneshot::channel();
        self.shared.inbox.push(Entry::Status(answer));
        answered.await.ok()
    }

    /// Has the ring sealed, as the first write would, and returns once that is known here.
    ///
    /// # Errors
    /// A sentence, if the node is stopped.
    pub async fn seal(&self) -> Result<(), String> {
        let mut views = self.views();
        self.shared.inbox.tell(Event::Seal);
        let sealed = views.wait_for(|view| view.state.as_ref().is_some_and(|state| state.ring.is_some()));
        sealed.await.map(drop).map_err(|_| STOPPED.to_owned())
    }

    /// Defines a replicated keyspace. It is there once [`keyspace`](NodeHandle::keyspace) knows it.
    ///
    /// # Errors
    /// A sentence, if the node is not the founder of its cluster, or is stopped.
    pub async fn define_keyspace(&self, name: &str, mode: ConflictMode, replicas: u8) -> Result<(), String> {
        let (done, answered) = oneshot::channel();
        let entry = Entry::Define { name: name.to_owned(), mode, replicas, done };
        self.shared.inbox.push(entry);
        answered.await.unwrap_or_else(|_| Err(STOPPED.to_owned()))
    }

    /// The node's store.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// What went between this node and its peers.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// What the node knows of its cluster, without asking the driver.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Is told of each new view, and of the node's end: its sender is dropped then.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// The replicated keyspace of this name.
    pub fn keyspace(&self, name: &str) -> Option<KeyspaceDefinition> {
        self.view.borrow().keyspace(name).cloned()
    }

    /// What the members of the cluster agree on, once the node is one.
    pub fn cluster_state(&self) -> Option<Arc<ClusterState>> {
        self.view.borrow().state.clone()
    }

    /// The number of the replicated keyspace of this name, and whether this node's store has the only copy of it that there is or
    /// will be, so that changes may be made to it directly, under its locks.
    pub fn standing(&self, name: &str) -> Option<(KeyspaceId, bool)> {
        let view = self.view.borrow();
        let id = view.keyspace(name)?.id;
        Some((id, view.is_alone()))
    }

    /// Takes frames that came from a peer. Waits while the node is behind with what peers sent.
    ///
    /// # Errors
    /// If one of them is no message, or the node is stopped.
    pub async fn receive(&self, frames: Vec<Bytes>) -> Result<(), FrameFault> {
        let traffic = &self.shared.traffic;
        let (mut messages, mut bytes, mut fault) = (Vec::with_capacity(frames.len()), 0, None);
        for frame in frames {
            let len = frame.len();
            match decode_shared(Slice::from_owner(Arc::new(frame))) {
                Ok(envelope) => {
                    bytes += len;
                    messages.push(envelope);
                }
                Err(malformed) => {
                    self.count_malformed();
                    fault = Some(FrameFault::Malformed(malformed));
                    break;
                }
            }
        }
        count(&traffic.frames_in, messages.len());
        count(&traffic.bytes_in, bytes);
        if !messages.is_empty() {
            let room = self.shared.inbox.room_for(bytes).await.ok_or(FrameFault::Stopped)?;
            if self.shared.inbox.push(Entry::Messages(messages, room)).is_some() {
                return Err(FrameFault::Stopped);
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Counts bytes of a peer that are no message.
    pub(crate) fn count_malformed(&self) {
        count(&self.shared.traffic.malformed, 1);
    }

    /// Stops the node: requests that are under way get a moment to come to their end, what waits to be sent is sent, and the
    /// store is closed. Other handles remain, of a node that takes nothing more.
    ///
    /// # Errors
    /// If the store could not be closed cleanly. It is closed all the same.
    pub async fn stop(self) -> Result<(), StoreFailure> {
        let (done, stopped) = oneshot::channel();
        self.shared.inbox.push(Entry::Stop(done));
        // Nobody answers if it is stopped.
        stopped.await.unwrap_or(Ok(()))
    }
}
