//! The coordinator: takes a client's request from its fan-out to its answer. Any node coordinates any request.
//!
//! Each request is a task, a small state machine of its own. A task asks replicas (this node's own among them, by the same
//! messages) and hears answers, refusals, lost connections and its timer.
//!
//! - A read asks as many replicas as its level needs, one of them for the values and the others for what their records say;
//!   what differs is joined, and replicas that are behind are brought up before the answer (`read`).
//! - A write gets its dot at a replica of the key, this node or one it is handed to (`forward`), and is sent to all the
//!   others at once; who does not acknowledge it gets a hint (`write`).
//! - A scan asks all nodes for a piece of their records and joins those (`scan`).

mod catch_up;
mod forward;
mod heal;
mod latency;
mod read;
mod scan;
mod task;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use task::Origin;

use crate::causality::{Context, SiblingSet};
use crate::config::{NodeConfig, protected};
use crate::directory::Directory;
use crate::event::RequestId;
use crate::handoff::Handoff;
use crate::id::{Address, NodeId};
use crate::message::{QuestionId, Refusal};
use crate::outbox::Outbox;
use crate::replica::{Replica, Told};
use crate::request::{Operation, Rejection, Request, Response};
use crate::store::{KeyspaceId, Page, StoreFailure};
use esker::Slice;
use forward::ForwardTask;
use heal::{Damaged, HealTask};
use latency::Latencies;
use read::ReadTask;
use scan::ScanTask;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use task::{Asked, Desk, Progress, TaskId};
use write::WriteTask;

/// What a coordinator has done, since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests taken.
    pub requests: u64,
    /// Requests refused because too many were under way.
    pub shed: u64,
    /// Requests handed to a replica of their key.
    pub forwarded: u64,
    /// Replicas brought up by reads.
    pub read_repairs: u64,
    /// Records that a replica could not read, and was given by the others.
    pub healed: u64,
    /// Replicas asked because others were slow.
    pub hedges: u64,
    /// Requests that ended as unknown.
    pub unknown: u64,
    /// Clock entries lost to truncation.
    pub clock_truncated: u64,
}

#[derive(Debug)]
enum Task {
    Read(ReadTask),
    Write(WriteTask),
    Forward(ForwardTask),
    Scan(ScanTask),
    Heal(HealTask),
}

impl Task {
    /// When its timer is due.
    fn wake(&self) -> Duration {
        match self {
            Task::Read(task) => task.wake(),
            Task::Write(task) => task.wake(),
            Task::Forward(task) => task.wake(),
            Task::Scan(task) => task.wake(),
            Task::Heal(task) => task.wake(),
        }
    }
}

/// What a task hears.
#[derive(Debug)]
enum Heard {
    /// What a replica knows of a key.
    Set(Result<SiblingSet, Refusal>),
    /// Whether a replica stored a write.
    Stored(Result<(), Refusal>),
    /// What a node that a request was handed to made of it.
    Forwarded(Response),
    /// Records.
    Page(Result<Page, Refusal>),
    /// The connection broke.
    Lost,
    /// This node's store gave the write its dot.
    Minted(SiblingSet, Context),
    /// It did not.
    MintFailed(StoreFailure),
}

/// What else of the node a task works with.
pub(crate) struct Surroundings<'a> {
    pub(crate) config: &'a NodeConfig,
    pub(crate) directory: &'a Directory,
    pub(crate) replica: &'a mut Replica,
    pub(crate) handoff: &'a mut Handoff,
    /// Whether this node's store may give dots.
    pub(crate) may_mint: bool,
}

/// Takes requests from their fan-out to their answers.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    /// Boxed, for a map moves its entries about, and a task is long.
    tasks: BTreeMap<TaskId, (Box<Task>, Duration)>,
    asked: BTreeMap<QuestionId, Asked>,
    timers: BTreeSet<(Duration, TaskId)>,
    latencies: Latencies,
    last_task: u64,
    /// Tasks whose client still waits.
    open: usize,
    counters: Counters,
    /// Records that cannot be read and are not being healed yet.
    damaged: Vec<Damaged>,
    /// Those that are.
    healing: BTreeSet<Damaged>,
}

impl Coordinator {
    /// What was done so far.
    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    /// The number of requests that wait for their answer.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// When a timer is due.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes a request.
    pub(crate) fn request(
        &mut self,
        origin: Origin,
        request: Request,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.counters.requests += 1;
        if self.open >= around.config.max_requests || self.tasks.len() >= 4 * around.config.max_requests {
            self.counters.shed += 1;
            origin.answer(Response::Rejected(Rejection::Overloaded), out);
            return;
        }
        if let Err(rejection) = check(&request, around) {
            origin.answer(Response::Rejected(rejection), out);
            return;
        }
        self.last_task += 1;
        let id = TaskId(self.last_task);
        self.open += 1;
        let mut desk = self.desk(id, around, out);
        let begun = match request.operation {
            Operation::Get { .. } => ReadTask::begin(origin, request, &mut desk).map(Task::Read),
            Operation::Scan { .. } => ScanTask::begin(origin, request, &mut desk).map(Task::Scan),
            Operation::Write { .. } => write::begin(origin, request, &mut desk),
        };
        let answered = desk.answered;
        if answered {
            self.open -= 1;
        }
        if let Some(task) = begun {
            self.keep(id, Box::new(task));
        }
        self.begin_healing(around, out);
    }

    /// A replica cannot read its record of a key: it is given what the others have.
    pub(crate) fn heal(
        &mut self,
        damaged: (KeyspaceId, Slice, NodeId),
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.damaged.push(damaged);
        self.begin_healing(around, out);
    }

    /// Begins to heal what was found to be damaged, as far as it is not under way. What there is no room for is found again.
    fn begin_healing(&mut self, around: &mut Surroundings<'_>, out: &mut Outbox<'_>) {
        for damaged in std::mem::take(&mut self.damaged) {
            if !protected!(around.config, Healing)
                || self.healing.len() >= HEALING_MOST
                || self.healing.contains(&damaged)
            {
                continue;
            }
            self.last_task += 1;
            let id = TaskId(self.last_task);
            let mut desk = self.desk(id, around, out);
            if let Some(task) = HealTask::begin(damaged.clone(), &mut desk) {
                self.healing.insert(damaged);
                self.keep(id, Box::new(Task::Heal(task)));
            }
        }
    }

    fn desk<'a, 'b>(
        &'a mut self,
        id: TaskId,
        around: &'a mut Surroundings<'_>,
        out: &'a mut Outbox<'b>,
    ) -> Desk<'a, 'b> {
        Desk {
            id,
            out,
            config: around.config,
            directory: around.directory,
            replica: around.replica,
            handoff: around.handoff,
            may_mint: around.may_mint,
            asked: &mut self.asked,
            latencies: &mut self.latencies,
            counters: &mut self.counters,
            damaged: &mut self.damaged,
            answered: false,
        }
    }

    /// Keeps a task until it hears something.
    fn keep(&mut self, id: TaskId, task: Box<Task>) {
        let wake = task.wake();
        self.timers.insert((wake, id));
        self.tasks.insert(id, (task, wake));
    }

    /// Lets a task hear something.
    fn tell(
        &mut self,
        id: TaskId,
        node: NodeId,
        heard: Heard,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.run(id, around, out, |task, desk| match task {
            Task::Read(task) => task.hear(node, heard, desk),
            Task::Write(task) => task.hear(node, heard, desk),
            Task::Forward(task) => task.hear(node, heard, desk),
            Task::Scan(task) => task.hear(node, heard, desk),
            Task::Heal(task) => task.hear(node, heard, desk),
        });
    }

    fn run(
        &mut self,
        id: TaskId,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
        step: impl FnOnce(&mut Task, &mut Desk<'_, '_>) -> Progress,
    ) {
        let Some((task, wake)) = self.tasks.get_mut(&id) else { return };
        let mut desk = Desk {
            id,
            out,
            config: around.config,
            directory: around.directory,
            replica: around.replica,
            handoff: around.handoff,
            may_mint: around.may_mint,
            asked: &mut self.asked,
            latencies: &mut self.latencies,
            damaged: &mut self.damaged,
            counters: &mut self.counters,
            answered: false,
        };
        let progress = step(task, &mut desk);
        if desk.answered {
            self.open -= 1;
        }
        let next = match progress {
            Progress::Going => Some(task.wake()),
            Progress::Becomes(other) => {
                *task = other;
                Some(task.wake())
            }
            Progress::Done => None,
        };
        // Most of what a task hears leaves its timer as it is.
        if next != Some(*wake) {
            self.timers.remove(&(*wake, id));
            match next {
                Some(next) => {
                    *wake = next;
                    self.timers.insert((next, id));
                }
                None => {
                    if let Some((task, _)) = self.tasks.remove(&id)
                        && let Task::Heal(task) = &*task
                    {
                        self.healing.remove(task.damaged());
                    }
                }
            }
        }
        self.begin_healing(around, out);
    }

    /// An answer to a question of this room. Late ones, whose task is gone, are dropped.
    fn answer(
        &mut self,
        question: QuestionId,
        heard: Heard,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        let Some(asked) = self.asked.remove(&question) else { return };
        // Writes wait for devices, and forwarded ones for others: how fast a replica answers is told by reads.
        if matches!(heard, Heard::Set(Ok(_))) {
            self.latencies.heard(asked.node, out.now.monotonic.saturating_sub(asked.at));
        }
        self.tell(asked.task, asked.node, heard, around, out);
    }

    pub(crate) fn read_answer(
        &mut self,
        question: QuestionId,
        result: Result<SiblingSet, Refusal>,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.answer(question, Heard::Set(result), around, out);
    }

    pub(crate) fn write_answer(
        &mut self,
        question: QuestionId,
        result: Result<(), Refusal>,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.answer(question, Heard::Stored(result), around, out);
    }

    pub(crate) fn forward_answer(
        &mut self,
        question: QuestionId,
        response: Response,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.answer(question, Heard::Forwarded(response), around, out);
    }

    pub(crate) fn page_answer(
        &mut self,
        question: QuestionId,
        result: Result<Page, Refusal>,
        around: &mut Surroundings<'_>,
        out: &mut Outbox<'_>,
    ) {
        self.answer(question, Heard::Page(result), around, out);
    }

    /// What this node's own store says of a mint: at once, before it is durable.
    pub(crate) fn told(&mut self, told: Told, around: &mut Surroundings<'_>, out: &mut Outbox<'_>) {
        let (question, heard) = match told {
            Told::Minted { question, set, context, truncated } => {
                self.counters.clock_truncated += truncated as u64;
                (question, Heard::Minted(set, context))
            }
            Told::MintFailed { question, failure } => (question, Heard::MintFailed(failure)),
        };
        // The question stays open: durability is its answer.
        let Some(asked) = self.asked.get(&question) else { return };
        let (task, node) = (asked.task, asked.node);
        if matches!(heard, Heard::MintFailed(_)) {
            self.asked.remove(&question);
        }
        self.tell(task, node, heard, around, out);
    }

    /// Nothing that this node was asked will be answered any more.
    pub(crate) fn lost(&mut self, address: &Address, around: &mut Surroundings<'_>, out: &mut Outbox<'_>) {
        let directory = around.directory;
        let gone: Vec<QuestionId> = self
            .asked
            .iter()
            .filter(|(_, asked)| directory.address(asked.node) == Some(address))
            .map(|(question, _)| *question)
            .collect();
        for question in gone {
            if let Some(asked) = self.asked.remove(&question) {
                self.tell(asked.task, asked.node, Heard::Lost, around, out);
            }
        }
    }

    /// Time went on.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_>, out: &mut Outbox<'_>) {
        while let Some(&(at, id)) = self.timers.first() {
            if at > out.now.monotonic {
                break;
            }
            self.run(id, around, out, |task, desk| match task {
                Task::Read(task) => task.time(desk),
                Task::Write(task) => task.time(desk),
                Task::Forward(task) => task.time(desk),
                Task::Scan(task) => task.time(desk),
                Task::Heal(task) => task.time(desk),
            });
        }
        let horizon = out.now.monotonic.saturating_sub(FORGET_AFTER);
        // Numbers grow with time, so the oldest questions are the first.
        while self.asked.first_key_value().is_some_and(|(_, asked)| asked.at < horizon) {
            self.asked.pop_first();
        }
    }
}

/// After this long an answer is not waited for any more, whatever the task's timeout was.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// The most records that are being healed at once.
const HEALING_MOST: usize = 64;

/// The longest that a client may wait.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Refuses what cannot be done, before anything is.
fn check(request: &Request, around: &Surroundings<'_>) -> Result<(), Rejection> {
    if around.directory.keyspace(request.keyspace).is_none() {
        let what = format!("there is no replicated keyspace {} in this cluster", request.keyspace);
        return Err(Rejection::Invalid(what));
    }
    if request.timeout.is_zero() || request.timeout > MAX_TIMEOUT {
        return Err(Rejection::Invalid("give a timeout of at least 1 ms and at most 60 s".to_owned()));
    }
    let limit = around.config.max_pair_bytes;
    let bytes = match &request.operation {
        Operation::Get { key, .. } => key.len(),
        Operation::Write { key, change: crate::store::Change::Put { value, .. }, .. } => {
            key.len() + value.len()
        }
        Operation::Write { key, .. } => key.len(),
        Operation::Scan { .. } => 0,
    };
    if bytes > limit {
        return Err(Rejection::PairTooLarge { bytes, limit });
    }
    Ok(())
}

/// A client's request, or one that another node handed over.
impl Origin {
    /// Of a client of this node.
    pub(crate) fn client(id: RequestId) -> Origin {
        Origin::Client(id)
    }
}
