//! [`WriteTask`]: a write at the replica that gives it its dot, from the store to the answer and to the last replica.
//!
//! ```text
//!   Minting ── this store gave the dot ──► Spreading ── enough acknowledged ──► answered
//!     ▲   │                                    │                                   │
//!     │   └── behind the context: catch up     └── at the deadline: unknown        └── the others get their time,
//!     └───────────────────────┘                                                        and then a hint
//! ```
//! Every replica is sent the whole set of the key, to be joined: what is sent twice, late or in another order does no harm.

use super::catch_up::{CatchUp, Caught};
use super::forward::ForwardTask;
use super::read::{said_by, store_said};
use super::task::{Desk, Origin, Place, Progress};
use super::{Heard, Task};
use crate::causality::{Context, SiblingSet};
use crate::config::protected;
use crate::id::NodeId;
use crate::replica::Mint;
use crate::request::{Level, Operation, Quota, Rejection, Request, Response};
use crate::store::{Copy, KeyspaceId, StoreFailure};
use esker::{Durability, Slice};
use std::borrow::Cow;
use std::time::Duration;

/// A write that this node's store gives its dot.
#[derive(Debug)]
pub(super) struct WriteTask {
    origin: Origin,
    /// What was asked, for handing it on if this store cannot take it.
    request: Request,
    keyspace: KeyspaceId,
    key: Slice,
    durability: Durability,
    quota: Quota,
    /// All replicas of the key.
    replicas: Vec<NodeId>,
    /// Whether this node is none of them, and keeps the write for them as a fallback.
    as_fallback: bool,
    /// Before the dot: what this store is told so that it can give one.
    catch_up: Option<Box<CatchUp>>,
    /// The key's set with the new write in it, once it has its dot.
    set: Option<SiblingSet>,
    /// What the client has seen then.
    context: Context,
    acked: Vec<NodeId>,
    /// Nodes that keep the write for an absent replica.
    fallback_acks: Vec<NodeId>,
    /// Replicas that were sent the write and have not answered.
    waiting: Vec<NodeId>,
    /// Nodes that were sent the write for an absent replica, with whom that is.
    standing_in: Vec<(NodeId, NodeId)>,
    said: Cow<'static, str>,
    answered: bool,
    deadline: Duration,
}

/// Begins a write: here if this node's store can give it its dot, otherwise where one can. `None` if it was answered.
pub(super) fn begin(origin: Origin, request: Request, desk: &mut Desk<'_, '_>) -> Option<Task> {
    let Operation::Write { key, .. } = &request.operation else { return None };
    let place = desk.place(&origin, request.keyspace, key, request.level)?;
    let Place { replicas, quota } = &place;
    let me = desk.me();
    let mut able: Vec<NodeId> =
        replicas.iter().copied().filter(|&node| node != me && desk.directory.is_writable(node)).collect();
    let mints_here = replicas.contains(&me) && desk.may_mint;
    // A replica that does not count, in another data centre, would make the level its own.
    able.retain(|node| quota.counts(*node));
    if mints_here {
        able.push(me);
    }
    let fallbacks_count = counts_fallbacks(&request);
    if !quota.is_met(&able) && !fallbacks_count {
        let (have, need) = (quota.have(&able) as u32, quota.need() as u32);
        let why = "the others are down, unreachable, or take no writes".to_owned();
        desk.respond(&origin, Response::Rejected(Rejection::Unavailable { have, need, why }));
        return None;
    }
    let deadline = desk.now() + request.timeout;
    if !mints_here && !able.is_empty() && origin.is_client() {
        return ForwardTask::begin(origin, request, able, deadline, desk).map(Task::Forward);
    }
    let as_fallback = !mints_here && fallbacks_count && desk.may_mint && !replicas.contains(&me);
    if mints_here || as_fallback {
        return WriteTask::begin(origin, request, place, as_fallback, deadline, desk).map(Task::Write);
    }
    let why =
        "this node cannot take the write: its store is being rebuilt, takes no writes, or is not a replica";
    desk.respond(&origin, Response::Rejected(Rejection::NotReady(why.to_owned())));
    None
}

/// Whether nodes that stand in for absent replicas count.
fn counts_fallbacks(request: &Request) -> bool {
    request.level == Level::Any || (request.sloppy && request.level == Level::One)
}

impl WriteTask {
    fn begin(
        origin: Origin,
        request: Request,
        place: Place,
        as_fallback: bool,
        deadline: Duration,
        desk: &mut Desk<'_, '_>,
    ) -> Option<WriteTask> {
        let Operation::Write { key, .. } = &request.operation else { return None };
        let task = WriteTask {
            origin,
            keyspace: request.keyspace,
            key: key.clone(),
            durability: request.durability,
            quota: place.quota,
            replicas: place.replicas,
            as_fallback,
            catch_up: None,
            set: None,
            context: Context::default(),
            acked: Vec::new(),
            fallback_acks: Vec::new(),
            waiting: Vec::new(),
            standing_in: Vec::new(),
            said: Cow::Borrowed("the others did not acknowledge it in time"),
            answered: false,
            deadline,
            request,
        };
        task.mint(desk);
        Some(task)
    }

    /// Asks this node's store for the dot.
    fn mint(&self, desk: &mut Desk<'_, '_>) {
        let Operation::Write { change, context, .. } = &self.request.operation else { return };
        let blind = (!protected!(desk.config, LocalContext)).then(Context::default);
        let me = desk.me();
        let mint = Mint {
            question: desk.question(me),
            keyspace: self.keyspace,
            key: self.key.clone(),
            change: change.clone(),
            seen: context.clone().or(blind),
            copy: self.stands_in_for().map_or(Copy::Own, Copy::For),
            durability: self.durability,
        };
        desk.replica.mint(mint, desk.out);
    }

    /// The absent replica whose copy gets the dot, if this node is none of the key's.
    fn stands_in_for(&self) -> Option<NodeId> {
        self.replicas.first().copied().filter(|_| self.as_fallback)
    }

    pub(super) fn wake(&self) -> Duration {
        self.deadline
    }

    pub(super) fn hear(&mut self, node: NodeId, heard: Heard, desk: &mut Desk<'_, '_>) -> Progress {
        if let Some(catch_up) = &mut self.catch_up {
            return match catch_up.hear(node, heard, desk) {
                Caught::Waiting => Progress::Going,
                Caught::Up => {
                    self.catch_up = None;
                    self.mint(desk);
                    Progress::Going
                }
                Caught::Never => self.stays_behind(desk),
            };
        }
        match heard {
            Heard::Minted(set, context) => {
                self.context = match protected!(desk.config, SeenContexts) {
                    true => context,
                    false => Context::from(set.clock().clone()),
                };
                self.spread(set, desk);
                self.advance(desk)
            }
            Heard::MintFailed(failure) => self.mint_failed(failure, desk),
            Heard::Stored(Ok(())) => {
                self.acknowledged(node);
                self.advance(desk)
            }
            Heard::Stored(Err(refusal)) => {
                self.said = said_by(&refusal).into();
                self.missed(node, desk)
            }
            _ => self.missed(node, desk),
        }
    }

    fn acknowledged(&mut self, node: NodeId) {
        if let Some(at) = self.standing_in.iter().position(|(stand_in, _)| *stand_in == node) {
            self.standing_in.swap_remove(at);
            // A node counts once, for however many absent replicas it keeps the write.
            if !self.fallback_acks.contains(&node) {
                self.fallback_acks.push(node);
            }
            return;
        }
        self.waiting.retain(|id| *id != node);
        if !self.acked.contains(&node) {
            self.acked.push(node);
        }
    }

    /// The write has its dot: everybody else is told.
    fn spread(&mut self, set: SiblingSet, desk: &mut Desk<'_, '_>) {
        let me = desk.me();
        self.set = Some(set);
        if self.as_fallback {
            self.standing_in.push((me, self.replicas[0]));
            desk.handoff.kept(self.replicas[0]);
            for target in self.replicas.clone().into_iter().skip(1) {
                self.standing_in.push((me, target));
                self.send(me, Some(target), desk);
            }
            return;
        }
        self.waiting.push(me);
        let mut stand_ins: Vec<NodeId> = match self.request.sloppy {
            true => desk.directory.fallbacks(self.keyspace, &self.key),
            false => Vec::new(),
        };
        stand_ins.retain(|&node| node != me && desk.directory.is_writable(node));
        stand_ins.reverse();
        for target in self.replicas.clone() {
            if target == me {
                continue;
            }
            if desk.directory.is_reachable(target) {
                self.waiting.push(target);
                self.send(target, None, desk);
            } else if let Some(stand_in) = stand_ins.pop() {
                self.standing_in.push((stand_in, target));
                self.send(stand_in, Some(target), desk);
            } else {
                self.hint(target, desk);
            }
        }
    }

    fn send(&mut self, to: NodeId, stands_in_for: Option<NodeId>, desk: &mut Desk<'_, '_>) {
        let Some(set) = self.set.clone() else { return };
        desk.tell(to, (self.keyspace, &self.key), set, self.durability, stands_in_for);
    }

    fn hint(&mut self, target: NodeId, desk: &mut Desk<'_, '_>) {
        if let Some(set) = &self.set {
            desk.handoff.keep(target, self.keyspace, &self.key, set, desk.config, desk.out);
        }
    }

    /// Somebody did not take the write: it gets a hint.
    fn missed(&mut self, node: NodeId, desk: &mut Desk<'_, '_>) -> Progress {
        let me = desk.me();
        if let Some(at) = self.standing_in.iter().position(|(stand_in, _)| *stand_in == node) {
            let (_, target) = self.standing_in.swap_remove(at);
            if !self.as_fallback {
                self.hint(target, desk);
            }
        } else if self.waiting.contains(&node) {
            self.waiting.retain(|id| *id != node);
            // What this store itself could not make durable it cannot promise to hand on either.
            if node != me {
                self.hint(node, desk);
            }
        }
        self.advance(desk)
    }

    /// This store did not take the write, and nothing of it is there: another may.
    fn mint_failed(&mut self, failure: StoreFailure, desk: &mut Desk<'_, '_>) -> Progress {
        let rejection = match failure {
            StoreFailure::TooManySiblings { siblings } => {
                Rejection::TooManySiblings { siblings: u32::try_from(siblings).unwrap_or(u32::MAX) }
            }
            StoreFailure::ClockTooFarAhead { .. } | StoreFailure::TooLong(_) => {
                Rejection::Invalid(failure.to_string())
            }
            StoreFailure::BehindContext { .. } => return self.catch_up(desk),
            other => {
                let me = desk.me();
                if matches!(other, StoreFailure::Unreadable(_)) && !self.as_fallback {
                    desk.heal(self.keyspace, &self.key, me);
                }
                let able: Vec<NodeId> = self
                    .replicas
                    .iter()
                    .copied()
                    .filter(|&node| node != me && self.quota.counts(node) && desk.directory.is_writable(node))
                    .collect();
                if self.origin.is_client() && !able.is_empty() {
                    let (origin, request) = (self.origin.clone(), self.request.clone());
                    return match ForwardTask::begin(origin, request, able, self.deadline, desk) {
                        Some(task) => Progress::Becomes(Box::new(Task::Forward(task))),
                        None => Progress::Done,
                    };
                }
                match other {
                    StoreFailure::Busy(_) => Rejection::Overloaded,
                    other => Rejection::NotReady(store_said(&other)),
                }
            }
        };
        desk.respond(&self.origin, Response::Rejected(rejection));
        Progress::Done
    }

    /// The context stands beside a write that this store does not know of: it is told of it first.
    fn catch_up(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        let Operation::Write { context: Some(seen), .. } = &self.request.operation else {
            return self.stays_behind(desk);
        };
        let (keyspace, key, durability) = (self.keyspace, &self.key, self.durability);
        let stands_in_for = self.stands_in_for();
        self.catch_up = CatchUp::begin(keyspace, key, seen, &self.replicas, durability, stands_in_for, desk)
            .map(Box::new);
        if self.catch_up.is_some() { Progress::Going } else { self.stays_behind(desk) }
    }

    /// Nobody can tell this store what it would have to know. Nothing was written.
    fn stays_behind(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        let why = "the context stands beside a write that no replica which can be reached knows of: read the key, and write with \
                   the context of that read";
        desk.respond(&self.origin, Response::Rejected(Rejection::NotReady(why.to_owned())));
        Progress::Done
    }

    /// Answers once enough have acknowledged, and ends once nobody is waited for.
    fn advance(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        let enough = self.quota.is_met(&self.acked)
            || (counts_fallbacks(&self.request)
                && self.acked.len() + self.fallback_acks.len() >= self.quota.need());
        if enough && !self.answered {
            let context = std::mem::take(&mut self.context);
            let (acks, fallbacks) = (self.acked.len() as u32, self.fallback_acks.len() as u32);
            self.answer(Response::Written { context, acks, fallbacks }, desk);
            self.deadline = desk.now() + desk.config.hint_after;
        }
        if !self.waiting.is_empty() || !self.standing_in.is_empty() || self.set.is_none() {
            return Progress::Going;
        }
        if !self.answered {
            let (acks, why) = (self.acked.len() as u32, self.said.to_string());
            self.answer(Response::Unknown { acks, why }, desk);
        }
        Progress::Done
    }

    fn answer(&mut self, response: Response, desk: &mut Desk<'_, '_>) {
        self.answered = true;
        desk.respond(&self.origin, response);
    }

    /// The client's deadline, or the end of the time that the others had.
    pub(super) fn time(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        if desk.now() < self.deadline {
            return Progress::Going;
        }
        if self.catch_up.is_some() {
            return self.stays_behind(desk);
        }
        let me = desk.me();
        for node in std::mem::take(&mut self.waiting) {
            if node != me {
                self.hint(node, desk);
            }
        }
        for (_, target) in std::mem::take(&mut self.standing_in) {
            if !self.as_fallback {
                self.hint(target, desk);
            }
        }
        if !self.answered {
            let (acks, why) = (self.acked.len() as u32, self.said.to_string());
            self.answer(Response::Unknown { acks, why }, desk);
        }
        Progress::Done
    }
}
