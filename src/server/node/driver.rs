//! The driver: one task that owns the [`Node`], brings it events, and carries out what it says is to be done.
//!
//! It is a task among those of the connections, and no thread of its own: between threads every request would be handed over
//! twice at each of its replicas, which costs more than what is done for it there.
//!
//! Store operations are run within the task, and their outcomes go back into the node at once. What takes a device's
//! time comes back through the inbox: the engine calls when writes are durable, once for all writes of a batch. Messages are
//! batched by address; they are given to the connections, and answers to those who wait for them, after each batch of events.
//!
//! What waits for a device, or for a store that stalls, is done aside: the other tasks of the thread go on elsewhere.

use super::answers::{AnswerTo, STOPPED, Waiter, cut_short, is_write};
use super::handle::{NodeHandle, Shared};
use super::identity::{Opened, wall_millis};
use super::inbox::{Entry, Inbox};
use super::notices::Notices;
use super::traffic::Traffic;
use super::transport::Transport;
use super::undurable::Undurable;
use super::view::View;
use esker::Durability;
use esker_cluster::causality::Sibling;
use esker_cluster::formation;
use esker_cluster::request::{Rejection, Request, Response};
use esker_cluster::store::{Change, StoreFailure, StoreOperation};
use esker_cluster::{Effect, Event, Moment, Node, NodeConfig, NodeId, Notice, RequestId, Ticket};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// The most entries of a batch, so that a long one delays nobody.
const BATCH: usize = 64;

/// After so many writes it is looked again whether the store stalls. Before it stops writers it slows each by a few
/// milliseconds at most, so that what is looked at too late costs little.
const STALL_LOOK: u64 = 16;

/// About what a record takes beside its value.
const RECORD_BYTES: usize = 64;

/// How long a stopping node waits for requests that are under way.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node that runs.
#[derive(Debug)]
pub struct Started {
    /// The node.
    pub handle: NodeHandle,
    /// Says why, if the node comes to an end by itself; it has stopped then, and the process is to be ended. An error if it was
    /// stopped.
    pub fatal: oneshot::Receiver<String>,
}

/// Why a node does not start.
#[derive(Debug)]
pub enum StartError {
    /// What the store keeps of the cluster cannot be read.
    Damaged(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Damaged(what) => {
                write!(
                    f,
                    "{what}; restore the data directory from a backup, or empty it and start the node again"
                )
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Starts a node on an open store. It runs on the runtime that this is called from, as its connections do.
///
/// # Errors
/// If the store keeps a damaged state of the cluster.
pub fn start(config: NodeConfig, opened: Opened) -> Result<Started, StartError> {
    let Opened { store, entropy } = opened;
    let kept = store.cluster_state_bytes();
    let kept = kept.map(|bytes| formation::kept(&bytes)).transpose().map_err(StartError::Damaged)?;
    let base = Instant::now();
    let now = Moment { monotonic: Duration::ZERO, wall_millis: wall_millis() };
    let node = Node::new(config, store.identity(), kept, store.hints_waiting(), store.marks(), entropy, now);
    let shared = Arc::new(Shared { inbox: Inbox::new(), store, traffic: Traffic::default() });
    let (views, view) = watch::channel(Arc::new(View { id: node.id(), state: None }));
    let (told, fatal) = oneshot::channel();
    let transport = Transport::new(Handle::current(), shared.clone());
    let mut driver = Driver {
        node,
        base,
        now,
        shared: shared.clone(),
        transport,
        views,
        published: None,
        notices: Notices::default(),
        waiting: HashMap::new(),
        last_request: 0,
        effects: Vec::new(),
        to_do: VecDeque::new(),
        undurable: Undurable::default(),
        writes: 0,
        stalled: false,
        answers: Vec::new(),
        wake: Duration::ZERO,
        events: 0,
        fatal: None,
        stopping: None,
    };
    driver.publish();
    tokio::spawn(watch_over(tokio::spawn(driver.run()), shared.clone(), told));
    Ok(Started { handle: NodeHandle { shared, view }, fatal })
}

/// Says why the driver came to its end, if it was not told to. What it leaves in its inbox is answered.
async fn watch_over(driver: JoinHandle<Option<String>>, shared: Arc<Shared>, told: oneshot::Sender<String>) {
    let why = match driver.await {
        Ok(why) => why,
        Err(ended) => ended.try_into_panic().ok().map(|panic| {
            let said = panic.downcast_ref::<&str>().copied();
            let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            format!(
                "the node failed within itself: {}; this is a mistake in Esker, please report it",
                said.unwrap_or("a panic without words")
            )
        }),
    };
    shared.inbox.close().into_iter().for_each(turn_away);
    if let Some(why) = why {
        let _ = told.send(why);
    }
}

/// The node is to stop.
struct Stopping {
    until: Instant,
    /// Who waits for it.
    told: Vec<oneshot::Sender<Result<(), StoreFailure>>>,
}

struct Driver {
    node: Node,
    base: Instant,
    /// When the current batch began.
    now: Moment,
    shared: Arc<Shared>,
    transport: Transport,
    views: watch::Sender<Arc<View>>,
    /// Which view was shown last: what the members agree on has a number.
    published: Option<(NodeId, Option<(u128, u64)>)>,
    notices: Notices,
    waiting: HashMap<u64, Waiter>,
    last_request: u64,
    /// Memory for what a step says; empty in between.
    effects: Vec<Effect>,
    /// What is still to be done; empty between events.
    to_do: VecDeque<Effect>,
    undurable: Undurable,
    /// Writes that were brought to the store.
    writes: u64,
    /// Whether the store stalled when that was looked at last.
    stalled: bool,
    /// Answers of the current batch.
    answers: Vec<(AnswerTo, Response)>,
    /// When the node's timers are due.
    wake: Duration,
    /// Events of the current batch, of those that come many at once.
    events: usize,
    fatal: Option<String>,
    stopping: Option<Stopping>,
}

impl Driver {
    /// Drives the node until it is stopped, or cannot go on: then this returns why.
    async fn run(mut self) -> Option<String> {
        let shared = self.shared.clone();
        let mut entries = Vec::new();
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        while !self.is_over() {
            let now = self.look_at_the_clock();
            let wake = self.node.next_wake(now);
            if entries.is_empty() {
                let wait = self.capped(wake.saturating_sub(now.monotonic));
                arrival(&shared.inbox, wait, timer.as_mut()).await;
            }
            // The tasks that are ready to run bring what they have first: what is done together costs less.
            tokio::task::yield_now().await;
            shared.inbox.take(&mut entries);
            self.look_at_the_clock();
            self.wake = wake;
            for entry in entries.drain(..entries.len().min(BATCH)) {
                self.enter(entry);
            }
            self.end_batch();
        }
        entries.into_iter().for_each(turn_away);
        self.finish().await
    }

    /// Ends a batch that has become long, so that nobody waits for the rest of it.
    fn breathe(&mut self) {
        self.events += 1;
        if self.events >= BATCH {
            self.end_batch();
        }
    }

    /// Sends what is to be sent, and answers who is to be answered. All answers of a connection are there when it is woken.
    fn end_batch(&mut self) {
        self.events = 0;
        let now = self.look_at_the_clock();
        // However much there is to do: members, hints and deadlines have their time.
        if now.monotonic >= self.wake {
            self.event(Event::Tick);
            self.wake = self.node.next_wake(now);
        }
        self.undurable.call(&self.shared);
        self.transport.flush();
        for (to, response) in self.answers.drain(..) {
            to.answer(response);
        }
    }

    /// Once for each batch: what is done in one is done at one moment.
    fn look_at_the_clock(&mut self) -> Moment {
        self.now = Moment { monotonic: self.base.elapsed(), wall_millis: wall_millis() };
        self.now
    }

    /// A stopping node looks up from its sleep when its patience ends.
    fn capped(&self, wait: Duration) -> Duration {
        match &self.stopping {
            Some(stopping) => wait.min(stopping.until.saturating_duration_since(Instant::now())),
            None => wait,
        }
    }

    fn is_over(&self) -> bool {
        let stops = |s: &Stopping| self.waiting.is_empty() || Instant::now() >= s.until;
        self.fatal.is_some() || self.stopping.as_ref().is_some_and(stops)
    }

    fn enter(&mut self, entry: Entry) {
        match entry {
            Entry::Event(event) => self.event(event),
            Entry::Messages(messages, _room) => {
                for envelope in messages {
                    self.event(Event::Received(envelope));
                    self.breathe();
                }
            }
            Entry::Durable(durability, upto, result) => self.durable(durability, upto, result),
            Entry::Request(request, answer) => self.request(request, AnswerTo::One(answer)),
            Entry::Requests(requests) => {
                for (request, one) in requests {
                    self.request(request, AnswerTo::Among(one));
                    self.breathe();
                }
            }
            Entry::Status(answer) => drop(answer.send(self.node.status())),
            Entry::Define { name, mode, replicas, done } => {
                let _ = done.send(self.node.define_keyspace(&name, mode, replicas));
                self.event(Event::Tick);
            }
            Entry::Stop(done) => {
                let begun = || Stopping { until: Instant::now() + PATIENCE, told: Vec::new() };
                self.stopping.get_or_insert_with(begun).told.push(done);
            }
        }
    }

    fn request(&mut self, request: Request, to: AnswerTo) {
        if self.stopping.is_some() {
            return to.answer(Response::Rejected(Rejection::NotReady(STOPPED.to_owned())));
        }
        self.last_request += 1;
        let id = self.last_request;
        self.waiting.insert(id, Waiter { to, is_write: is_write(&request) });
        self.event(Event::Request { id: RequestId(id), request });
    }

    /// Brings an event to the node, and does everything that follows from it.
    fn event(&mut self, event: Event) {
        self.step(event);
        while let Some(effect) = self.to_do.pop_front() {
            self.carry_out(effect);
        }
    }

    fn step(&mut self, event: Event) {
        self.node.step(self.now, event, &mut self.effects);
        // Before anybody is answered: who knows the answer finds what it is about.
        self.publish();
        self.to_do.extend(self.effects.drain(..));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, envelope } => self.transport.send(&to, &envelope),
            Effect::Store { ticket, operation } => self.store(ticket, operation),
            Effect::Respond { id, response } => {
                if let Some(waiter) = self.waiting.remove(&id.0) {
                    self.answers.push((waiter.to, response));
                }
            }
            Effect::Notice(notice) => self.notice(notice),
        }
    }

    fn notice(&mut self, notice: Notice) {
        if let Some(why) = self.notices.log(notice) {
            self.fatal.get_or_insert(why);
        }
    }

    fn store(&mut self, ticket: Ticket, operation: StoreOperation) {
        let durability = match &operation {
            StoreOperation::Mint { durability, .. } | StoreOperation::Join { durability, .. } => *durability,
            _ => Durability::Synced,
        };
        self.keep_step(&operation);
        let (outcome, commit) = if waits(&operation) {
            let outcome = aside(|| self.shared.store.execute(operation));
            self.look_at_the_clock();
            outcome
        } else {
            self.shared.store.execute(operation)
        };
        self.step(Event::Stored { ticket, outcome });
        let Some(commit) = commit else { return };
        match commit.poll() {
            Some(result) => self.step(durable(ticket, result)),
            None => self.undurable.add(durability, ticket, commit),
        }
    }

    /// Slows writes down if the engine's background is behind, each by a few milliseconds at most.
    fn keep_step(&mut self, operation: &StoreOperation) {
        let bytes = match operation {
            StoreOperation::Mint { change: Change::Put { value, .. }, .. } => value.len(),
            StoreOperation::Mint { .. } => 0,
            StoreOperation::Join { set, .. } => {
                set.siblings().iter().filter_map(Sibling::bytes).map(|bytes| bytes.len()).sum()
            }
            _ => return,
        };
        if self.writes.is_multiple_of(STALL_LOOK) {
            self.stalled = self.shared.store.is_stalled();
        }
        self.writes += 1;
        if self.stalled {
            aside(|| self.shared.store.keep_step(bytes + RECORD_BYTES));
            self.look_at_the_clock();
        }
    }

    /// The writes up to this one are durable, or never will be.
    fn durable(&mut self, durability: Durability, upto: Ticket, result: esker::Result<()>) {
        while let Some((ticket, commit)) = self.undurable.next(durability, upto) {
            // The log came past it on its way, unless it failed there.
            let own = commit.poll().unwrap_or_else(|| result.clone());
            self.event(durable(ticket, own));
        }
        self.event(durable(upto, result));
    }

    /// Shows what the node knows, if it is something new.
    fn publish(&mut self) {
        let (id, state) = (self.node.id(), self.node.cluster_state());
        let edition = (id, state.map(|state| (state.cluster, state.epoch)));
        if self.published != Some(edition) {
            self.published = Some(edition);
            let view = View { id, state: state.cloned().map(Arc::new) };
            self.views.send_replace(Arc::new(view));
        }
    }

    /// Answers everybody who still waits, sends what is to be sent, closes the store.
    async fn finish(mut self) -> Option<String> {
        self.end_batch();
        for (_, waiter) in self.waiting.drain() {
            waiter.to.answer(cut_short(waiter.is_write));
        }
        for entry in self.shared.inbox.close() {
            turn_away(entry);
        }
        self.transport.finish().await;
        let closed = aside(|| self.shared.store.close());
        if let Err(failure) = &closed {
            tracing::error!("the store was not closed cleanly: {failure}");
        }
        for done in self.stopping.into_iter().flat_map(|stopping| stopping.told) {
            let _ = done.send(closed.clone());
        }
        self.fatal
    }
}

/// Answers whoever asked a node that is stopped.
pub(super) fn turn_away(entry: Entry) {
    let stopped = || Response::Rejected(Rejection::NotReady(STOPPED.to_owned()));
    match entry {
        Entry::Request(_, answer) => answer(stopped()),
        Entry::Requests(requests) => requests.into_iter().for_each(|(_, one)| one.answer(stopped())),
        // Whoever waits for anything else notices that its answer is dropped.
        _ => {}
    }
}

/// Comes back when there is something in the inbox, or the time is over.
async fn arrival(inbox: &Inbox, wait: Duration, mut timer: Pin<&mut Sleep>) {
    let until = tokio::time::Instant::now() + wait;
    // A timer that rings too early costs one more look, and less than to set it again for every batch.
    if timer.is_elapsed() || timer.deadline() > until {
        timer.as_mut().reset(until);
    }
    poll_fn(|context| match inbox.poll_arrival(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timer.as_mut().poll(context),
    })
    .await;
}

/// Whether an operation will wait for a device, or reads much that may be nowhere in memory.
fn waits(operation: &StoreOperation) -> bool {
    matches!(
        operation,
        StoreOperation::Adopt(_)
            | StoreOperation::KeepClusterState { .. }
            | StoreOperation::Page { .. }
            | StoreOperation::Hints { .. }
            | StoreOperation::Heal { .. }
    )
}

/// What became of a write.
fn durable(ticket: Ticket, result: esker::Result<()>) -> Event {
    let result = result.map_err(|error| match error {
        esker::Error::ReadOnly { reason } => StoreFailure::ReadOnly(reason),
        other => StoreFailure::ReadOnly(other.to_string()),
    });
    Event::Durable { ticket, result }
}

/// Does something that waits for a device. Other tasks of this thread go on elsewhere meanwhile, where there are other threads.
fn aside<T>(waits: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(waits),
        _ => waits(),
    }
}
