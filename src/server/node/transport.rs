//! [`Transport`]: the connections to peers, one task for each address.
//!
//! The node never waits for a peer. What it sends is appended to the queue of the address; the address's task puts
//! what waits into its stream, as much at once as there is. A queue is bounded by bytes: what does not fit is dropped and
//! counted, as if the network had lost it.
//!
//! ```text
//!   idle ──something to send──► connecting ──► connected: PeerFound
//!    ▲                             │ refused       │ broke
//!    └────── back-off ◄────────────┴───────────────┘
//!            PeerLost; what waited is dropped
//! ```

use super::handle::Shared;
use super::traffic::count;
use crate::rpc::proto::Frames;
use crate::rpc::proto::peer_client::PeerClient;
use bytes::Bytes;
use esker_cluster::message::Envelope;
use esker_cluster::message::encoding::encode;
use esker_cluster::{Address, Event};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::{Channel, Endpoint};

/// The most bytes that wait for one peer.
const QUEUE_BYTES: usize = 64 << 20;
/// About how many bytes are put into a stream at once.
const COALESCE_BYTES: usize = 256 << 10;
/// The longest message that a peer takes: a key's siblings, each as long as a value may be in practice.
pub(crate) const FRAME_MAX: usize = 96 << 20;

const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_LAST: Duration = Duration::from_secs(2);
/// How often a lost peer is tried though there is nothing to send to it.
const RETRY: Duration = Duration::from_secs(1);
/// A task that was not connected, and had nothing to send for so long, ends.
const FORGET: Duration = Duration::from_secs(60);
/// A connection that broke earlier counts as a refused one.
const LASTING: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(1);
/// How often a peer that says nothing is asked whether it is there, and how long it has for its answer: a busy machine may be
/// slow, and a lost connection costs more than a late one.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a stopping node waits for what it sent last to be on its way.
const LAST_WORDS: Duration = Duration::from_millis(300);
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The connections to peers. Owned by the driver.
pub(super) struct Transport {
    peers: HashMap<Address, Outgoing>,
    runtime: tokio::runtime::Handle,
    shared: Arc<Shared>,
}

/// What is on its way to one address.
struct Outgoing {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
    /// Frames of the current batch, one behind the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Transport {
    pub(super) fn new(runtime: tokio::runtime::Handle, shared: Arc<Shared>) -> Transport {
        Transport { peers: HashMap::new(), runtime, shared }
    }

    /// Takes a message into the batch of its address.
    pub(super) fn send(&mut self, to: &Address, envelope: &Envelope) {
        let (runtime, shared) = (&self.runtime, &self.shared);
        if !self.peers.contains_key(to) {
            self.peers.insert(to.clone(), Outgoing::new(to, runtime, shared));
        }
        let Some(peer) = self.peers.get_mut(to) else { return };
        if peer.task.is_finished() {
            *peer = Outgoing::new(to, runtime, shared);
        }
        let start = peer.bytes.len();
        encode(envelope, &mut peer.bytes);
        if peer.bytes.len() - start > FRAME_MAX {
            tracing::warn!("a message of {} bytes to {to} is too long to be sent", peer.bytes.len() - start);
            peer.bytes.truncate(start);
            count(&shared.traffic.frames_dropped, 1);
        } else {
            peer.ends.push(peer.bytes.len());
        }
    }

    /// Gives every batch to its task.
    pub(super) fn flush(&mut self) {
        for peer in self.peers.values_mut().filter(|peer| !peer.ends.is_empty()) {
            let batch = Bytes::from(std::mem::take(&mut peer.bytes));
            let dropped = peer.queue.push(&batch, &peer.ends);
            count(&self.shared.traffic.frames_dropped, dropped);
            peer.ends.clear();
        }
    }

    /// Ends every task, once what waits is sent or a moment has passed.
    pub(super) async fn finish(&mut self) {
        self.flush();
        let tasks: Vec<JoinHandle<()>> = self
            .peers
            .drain()
            .map(|(_, peer)| {
                peer.queue.close();
                peer.task
            })
            .collect();
        let until = Instant::now() + LAST_WORDS;
        while Instant::now() < until && tasks.iter().any(|task| !task.is_finished()) {
            sleep(Duration::from_millis(2)).await;
        }
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Outgoing {
    fn new(to: &Address, runtime: &tokio::runtime::Handle, shared: &Arc<Shared>) -> Outgoing {
        let queue = Arc::new(Queue::default());
        let peer = Peer { address: to.clone(), queue: queue.clone(), shared: shared.clone() };
        Outgoing { queue, task: runtime.spawn(peer.run()), bytes: Vec::new(), ends: Vec::new() }
    }
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
    waker: Option<Waker>,
}

/// What waits for one peer.
#[derive(Default)]
struct Queue(Mutex<Waiting>);

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends frames, which end in `batch` where `ends` says. Returns how many there was no room for.
    fn push(&self, batch: &Bytes, ends: &[usize]) -> usize {
        let mut waiting = self.waiting();
        let (mut start, mut dropped) = (0, 0);
        for &end in ends {
            let frame = batch.slice(start..end);
            start = end;
            if waiting.bytes > 0 && waiting.bytes + frame.len() > QUEUE_BYTES {
                dropped += 1;
            } else {
                waiting.bytes += frame.len();
                waiting.frames.push_back(frame);
            }
        }
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        dropped
    }

    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    /// Whether nothing will ever be sent any more.
    fn is_over(&self) -> bool {
        let waiting = self.waiting();
        waiting.closed && waiting.frames.is_empty()
    }

    fn clear(&self) -> usize {
        let mut waiting = self.waiting();
        waiting.bytes = 0;
        std::mem::take(&mut waiting.frames).len()
    }

    /// Comes back when there is something to send, or nothing will be any more.
    async fn ready(&self) {
        poll_fn(|context| {
            let mut waiting = self.waiting();
            if waiting.closed || !waiting.frames.is_empty() {
                return Poll::Ready(());
            }
            waiting.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The frames of a queue, as the stream that a peer reads.
struct Outpour {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

impl Stream for Outpour {
    type Item = Frames;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frames>> {
        let mut waiting = self.queue.waiting();
        if waiting.frames.is_empty() {
            if waiting.closed {
                return Poll::Ready(None);
            }
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while let Some(frame) = waiting.frames.pop_front() {
            bytes += frame.len();
            frames.push(frame);
            if bytes + waiting.frames.front().map_or(0, Bytes::len) > COALESCE_BYTES {
                break;
            }
        }
        waiting.bytes -= bytes;
        drop(waiting);
        count(&self.shared.traffic.frames_out, frames.len());
        count(&self.shared.traffic.bytes_out, bytes);
        Poll::Ready(Some(Frames { frames }))
    }
}

/// The task of one address.
struct Peer {
    address: Address,
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

impl Peer {
    async fn run(self) {
        let (mut failures, mut used) = (0u32, Instant::now());
        loop {
            let wait = if failures == 0 { FORGET } else { RETRY };
            if timeout(wait, self.queue.ready()).await.is_ok() {
                used = Instant::now();
            } else if used.elapsed() >= FORGET {
                return;
            }
            if self.queue.is_over() {
                return;
            }
            let lasted = self.connection().await;
            if self.queue.is_over() {
                return;
            }
            if lasted >= LASTING {
                used = Instant::now();
                failures = 0;
            }
            failures = failures.saturating_add(1);
            count(&self.shared.traffic.disconnects, 1);
            count(&self.shared.traffic.frames_dropped, self.queue.clear());
            self.shared.inbox.tell(Event::PeerLost(self.address.clone()));
            let doubled = BACK_OFF_FIRST * (1 << (failures - 1).min(10));
            sleep(doubled.min(BACK_OFF_LAST)).await;
        }
    }

    /// One connection, from its making to its end. Returns how long it lasted.
    async fn connection(&self) -> Duration {
        let address = &self.address;
        let channel = match connect(address).await {
            Ok(channel) => channel,
            Err(e) => {
                tracing::debug!("peer {address} cannot be reached: {}", cause(&e));
                return Duration::ZERO;
            }
        };
        let since = Instant::now();
        count(&self.shared.traffic.connects, 1);
        self.shared.inbox.tell(Event::PeerFound(address.clone()));
        let outpour = Outpour { queue: self.queue.clone(), shared: self.shared.clone() };
        match PeerClient::new(channel).exchange(outpour).await {
            Ok(_) => tracing::debug!("the stream to peer {address} came to its end"),
            Err(status) if status.code() == tonic::Code::InvalidArgument => {
                tracing::warn!("peer {address} does not take what this node sends: {}", status.message());
            }
            Err(status) => tracing::debug!("the connection to peer {address} broke: {status}"),
        }
        since.elapsed()
    }
}

async fn connect(address: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_PATIENCE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect()
        .await
}

/// The innermost error, which says what happened.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
