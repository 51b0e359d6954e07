//! [`ReadTask`]: a read, from its fan-out to its answer.
//!
//! ```text
//!   Gathering ── enough replicas answered ──► joined ── bodies missing ──► Fetching
//!       ▲                                       │                            │
//!       └── slow or refused: ask another        ├── somebody is behind ──► bring it up, wait
//!                                               └── as many as the level needs have it ──► answer
//! ```
//! The answer is given when as many replicas as the level needs are known to have all that it shows, so that a later read
//! of that level sees no less (Attiya, Bar-Noy and Dolev, 1995).

use super::Heard;
use super::task::{Desk, Origin, Place, Progress};
use crate::causality::ConflictMode;
use crate::causality::{Body, Content, Context, SiblingSet, VectorClock};
use crate::config::protected;
use crate::id::NodeId;
use crate::message::Message;
use crate::message::Refusal;
use crate::request::{Operation, Quota, Rejection, Request, Response, Version};
use crate::store::{KeyspaceId, StoreFailure};
use esker::Slice;
use std::borrow::Cow;
use std::time::Duration;

/// A read on its way.
#[derive(Debug)]
pub(super) struct ReadTask {
    origin: Origin,
    keyspace: KeyspaceId,
    key: Slice,
    /// What the answer has to have seen.
    floor: Option<VectorClock>,
    quota: Quota,
    /// How many replicas the key has.
    replicas: usize,
    mode: ConflictMode,
    /// Replicas that can be asked, the best first.
    candidates: Vec<NodeId>,
    asked: Vec<NodeId>,
    /// What those that answered have, brought-up replicas included.
    answers: Vec<(NodeId, SiblingSet)>,
    /// Replicas that do not answer this read any more.
    refused: Vec<NodeId>,
    merged: SiblingSet,
    /// Whom the missing bodies were asked of.
    fetching: Vec<NodeId>,
    /// Who is being brought up, and to what.
    repairing: Vec<(NodeId, SiblingSet)>,
    /// What the last refusal said.
    said: Cow<'static, str>,
    deadline: Duration,
    hedge_at: Duration,
}

impl ReadTask {
    /// Begins a read: asks as many replicas as are needed. `None` if it was answered at once.
    pub(super) fn begin(origin: Origin, request: Request, desk: &mut Desk<'_, '_>) -> Option<ReadTask> {
        let Operation::Get { key, context } = request.operation else { return None };
        let Place { replicas, quota } = desk.place(&origin, request.keyspace, &key, request.level)?;
        let count = replicas.len();
        let readable = replicas.into_iter().filter(|&node| desk.directory.is_readable(node));
        let candidates = desk.by_preference(readable);
        let mode = desk.directory.keyspace(request.keyspace).map_or(ConflictMode::Causal, |k| k.mode);
        let now = desk.now();
        let mut task = ReadTask {
            origin,
            keyspace: request.keyspace,
            key,
            floor: context.map(|context| context.clock().clone()),
            quota,
            replicas: count,
            mode,
            candidates,
            asked: Vec::new(),
            answers: Vec::new(),
            refused: Vec::new(),
            merged: SiblingSet::new(),
            fetching: Vec::new(),
            repairing: Vec::new(),
            said: Cow::Borrowed("the others are down, unreachable, or being rebuilt"),
            deadline: now + request.timeout,
            hedge_at: now + request.timeout,
        };
        let first = task.quota.choose(&task.candidates);
        if !task.quota.is_met(&first) {
            task.reject_unavailable(first.len(), desk);
            return None;
        }
        for (place, node) in first.into_iter().enumerate() {
            task.ask(node, place == 0, desk);
        }
        task.hedge_at = now + task.patience(desk);
        Some(task)
    }

    pub(super) fn wake(&self) -> Duration {
        self.deadline.min(self.hedge_at)
    }

    fn ask(&mut self, node: NodeId, bodies: bool, desk: &mut Desk<'_, '_>) {
        self.asked.push(node);
        let (keyspace, key) = (self.keyspace, self.key.clone());
        desk.ask(node, |question| Message::Read { question, keyspace, key, bodies });
    }

    /// Replicas that were asked and have not answered.
    fn silent(&self) -> impl Iterator<Item = NodeId> + '_ {
        let answered = |node: &NodeId| self.answers.iter().any(|(id, _)| id == node);
        self.asked.iter().copied().filter(move |node| !answered(node) && !self.refused.contains(node))
    }

    /// How long to wait for those that have not answered.
    fn patience(&self, desk: &Desk<'_, '_>) -> Duration {
        let waiting =
            self.silent().chain(self.repairing.iter().map(|(id, _)| *id)).filter(|&node| node != desk.me());
        let longest = waiting.map(|node| desk.latencies.patience(node)).max();
        longest.unwrap_or(Duration::from_secs(1))
    }

    /// Asks one more replica. Returns whether there was one.
    fn ask_another(&mut self, desk: &mut Desk<'_, '_>) -> bool {
        let next = self.candidates.iter().copied().find(|node| !self.asked.contains(node));
        if let Some(node) = next {
            self.ask(node, true, desk);
        }
        next.is_some()
    }

    pub(super) fn hear(&mut self, node: NodeId, heard: Heard, desk: &mut Desk<'_, '_>) -> Progress {
        match heard {
            Heard::Set(Ok(set)) => {
                self.merged.join(&set, self.mode);
                self.fetching.retain(|asked| *asked != node);
                match self.answers.iter_mut().find(|(id, _)| *id == node) {
                    Some((_, earlier)) => {
                        earlier.join(&set, self.mode);
                    }
                    None => self.answers.push((node, set)),
                }
                self.advance(desk)
            }
            Heard::Stored(Ok(())) => {
                // It has what it was sent; more may have become known since.
                let sent = self.repairing.extract_if(.., |(id, _)| *id == node).next();
                let answer = self.answers.iter_mut().find(|(id, _)| *id == node);
                if let (Some((_, sent)), Some((_, set))) = (sent, answer) {
                    set.join(&sent, self.mode);
                }
                self.advance(desk)
            }
            Heard::Set(Err(refusal)) | Heard::Stored(Err(refusal)) => {
                self.said = said_by(&refusal).into();
                if matches!(refusal, Refusal::Store(StoreFailure::Unreadable(_))) {
                    desk.heal(self.keyspace, &self.key, node);
                }
                self.without(node, desk)
            }
            _ => self.without(node, desk),
        }
    }

    /// A replica is out of this read.
    fn without(&mut self, node: NodeId, desk: &mut Desk<'_, '_>) -> Progress {
        self.refused.push(node);
        self.answers.retain(|(id, _)| *id != node);
        self.repairing.retain(|(id, _)| *id != node);
        self.fetching.retain(|id| *id != node);
        self.ask_another(desk);
        let possible: Vec<NodeId> = self
            .candidates
            .iter()
            .copied()
            .filter(|id| !self.refused.contains(id) && (self.asked.contains(id)))
            .collect();
        if !self.quota.is_met(&possible) {
            self.reject_unavailable(self.answers.len(), desk);
            return Progress::Done;
        }
        self.advance(desk)
    }

    fn reject_unavailable(&self, have: usize, desk: &mut Desk<'_, '_>) {
        let (have, need) = (have as u32, self.quota.need() as u32);
        let rejection = Rejection::Unavailable { have, need, why: self.said.to_string() };
        desk.respond(&self.origin, Response::Rejected(rejection));
    }

    /// Goes as far as the answers allow.
    fn advance(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        let answered: Vec<NodeId> = self.answers.iter().map(|(id, _)| *id).collect();
        if !self.quota.is_met(&answered) {
            return Progress::Going;
        }
        let is_below = self.floor.as_ref().is_some_and(|floor| !self.merged.clock().covers_all(floor));
        if is_below && answered.len() < self.replicas {
            // Somebody else has seen it: ask until all were asked. What no replica knows of was truncated.
            self.ask_another(desk);
            return Progress::Going;
        }
        let behind: Vec<NodeId> = match protected!(desk.config, ReadRepair) {
            true => self.answers.iter().filter(|(_, set)| !self.has_all(set)).map(|(id, _)| *id).collect(),
            false => Vec::new(),
        };
        if !self.has_bodies(!behind.is_empty(), desk) {
            return self.fetch(desk);
        }
        let fresh: Vec<NodeId> = answered.into_iter().filter(|node| !behind.contains(node)).collect();
        for &node in &behind {
            if !self.repairing.iter().any(|(id, _)| *id == node) {
                self.repair(node, desk);
            }
        }
        if self.quota.is_met(&fresh) {
            self.answer(desk);
            return Progress::Done;
        }
        Progress::Going
    }

    /// Whether a replica with this set has all that is known now.
    fn has_all(&self, set: &SiblingSet) -> bool {
        set.same_dots(&self.merged) && set.clock().covers_all(self.merged.clock())
    }

    /// Whether the values that are needed are here: those that the client sees, or all of them for a repair.
    fn has_bodies(&self, all: bool, desk: &Desk<'_, '_>) -> bool {
        let wall = desk.out.now.wall_millis;
        let mut needed = self.merged.siblings().iter().filter(|sibling| all || sibling.is_visible(wall));
        !needed.any(|sibling| matches!(sibling.content, Content::Value { body: Body::Elsewhere, .. }))
    }

    /// Asks those for the missing values that have them.
    fn fetch(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        if !self.fetching.is_empty() {
            return Progress::Going;
        }
        let missing = self.merged.siblings().iter().filter(|s| !s.is_tombstone() && s.bytes().is_none());
        let holders: Vec<NodeId> = missing
            .filter_map(|sibling| {
                let has = |set: &SiblingSet| set.siblings().iter().any(|s| s.dot == sibling.dot);
                self.answers.iter().find(|(_, set)| has(set)).map(|(node, _)| *node)
            })
            .collect();
        for node in holders {
            if !self.fetching.contains(&node) {
                self.fetching.push(node);
                let (keyspace, key) = (self.keyspace, self.key.clone());
                desk.ask(node, |question| Message::Read { question, keyspace, key, bodies: true });
            }
        }
        if self.fetching.is_empty() {
            // The one that had the value is out of this read, and nobody else has it.
            self.reject_unavailable(self.answers.len(), desk);
            return Progress::Done;
        }
        Progress::Going
    }

    /// Brings a replica up to what is known.
    fn repair(&mut self, node: NodeId, desk: &mut Desk<'_, '_>) {
        self.repairing.push((node, self.merged.clone()));
        desk.counters.read_repairs += 1;
        // What the answer shows may have been written as synced, whatever this reader is content with.
        let (keyspace, key, set) = (self.keyspace, self.key.clone(), self.merged.clone());
        desk.ask(node, |question| Message::known(question, keyspace, key, set, false));
    }

    fn answer(&self, desk: &mut Desk<'_, '_>) {
        let wall = desk.out.now.wall_millis;
        let versions = versions(&self.merged, wall);
        let context = Context::from(self.merged.clock().clone());
        let replied = self.answers.len() as u32;
        desk.respond(&self.origin, Response::Found { versions, context, replied });
    }

    /// The deadline, or somebody is slow.
    pub(super) fn time(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        let now = desk.now();
        if now >= self.deadline {
            let (have, need) = (self.answers.len() as u32, self.quota.need() as u32);
            desk.respond(&self.origin, Response::Rejected(Rejection::Timeout { have, need }));
            return Progress::Done;
        }
        if now >= self.hedge_at {
            let slow: Vec<NodeId> = self.silent().collect();
            for node in slow {
                desk.latencies.overdue(node);
            }
            if self.ask_another(desk) {
                desk.counters.hedges += 1;
                self.hedge_at = now + self.patience(desk);
            } else {
                self.hedge_at = self.deadline;
            }
        }
        Progress::Going
    }
}

/// The values that a client sees.
pub(super) fn versions(set: &SiblingSet, wall_millis: u64) -> Vec<Version> {
    set.visible(wall_millis)
        .map(|sibling| Version {
            value: sibling.bytes().cloned().unwrap_or_default(),
            dot: sibling.dot,
            expires_at: sibling.expires_at,
        })
        .collect()
}

/// Why a replica is out of a request, for the sentence that its client gets.
pub(super) fn said_by(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotReady => "a replica is being rebuilt".to_owned(),
        Refusal::NotReplica => "a replica has another ring".to_owned(),
        Refusal::Overloaded => "a replica has too much to do".to_owned(),
        Refusal::Store(failure) => store_said(failure),
    }
}

pub(super) fn store_said(failure: &StoreFailure) -> String {
    format!("at a replica {failure}")
}
