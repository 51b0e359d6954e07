//! Hinted handoff: what an absent replica missed is kept for it, and given to it when it is back.
//!
//! A node that has the key itself keeps a marker: whom, and which key. What it sends later is what it has then, so that a
//! replica that comes back learns the present and not the past. A node that stands in for an absent replica keeps the
//! set. Hints are kept in the engine and bounded; they never count towards a level other than ANY and ONE. They are sent a few
//! at a time, the next when those are acknowledged: as fast as the target takes them.

use crate::causality::SiblingSet;
use crate::config::{NodeConfig, protected};
use crate::directory::Directory;
use crate::event::{Notice, Ticket};
use crate::id::{Address, NodeId};
use crate::message::{Message, QuestionId, Refusal};
use crate::number::Room;
use crate::outbox::Outbox;
use crate::store::{Copy, Hint, HintKey, KeyspaceId, StoreFailure, StoreOperation, StoreOutcome};
use esker::{Durability, Slice};
use std::collections::BTreeMap;
use std::time::Duration;

/// Hints that are under way to one target at once.
const BATCH: usize = 32;
/// How long a target is left alone after it did not take a hint.
const BACK_OFF: Duration = Duration::from_secs(1);
/// How long an acknowledgement is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is kept for one target, and how far its replay has come.
#[derive(Debug, Default)]
struct Replay {
    /// About how many there are; not 0 before a list of all of them was empty.
    waiting: u64,
    /// Whether a hint may have been kept since the store was asked for the list.
    kept_since: bool,
    /// The last hint listed, where the next batch begins.
    after: Option<HintKey>,
    listing: Option<Ticket>,
    under_way: BTreeMap<QuestionId, (HintKey, u64)>,
    asked_at: Duration,
    not_before: Duration,
}

/// Keeps hints and gives them back.
#[derive(Debug, Default)]
pub(crate) struct Handoff {
    targets: BTreeMap<NodeId, Replay>,
    tickets: BTreeMap<Ticket, NodeId>,
    overflowed: u64,
    replayed: u64,
}

impl Handoff {
    /// With the hints that the store has from before.
    pub(crate) fn resumed(waiting: BTreeMap<NodeId, u64>) -> Handoff {
        let replay = |(node, waiting)| (node, Replay { waiting, ..Replay::default() });
        Handoff { targets: waiting.into_iter().map(replay).collect(), ..Handoff::default() }
    }

    /// Hints kept for each target.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (NodeId, u64)> + '_ {
        self.targets
            .iter()
            .filter(|(_, replay)| replay.waiting > 0)
            .map(|(node, replay)| (*node, replay.waiting))
    }

    /// Hints that there was no room for, and hints that were given back.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.overflowed, self.replayed)
    }

    /// Keeps a hint: `target` missed this write, which this node's store has.
    pub(crate) fn keep(
        &mut self,
        target: NodeId,
        keyspace: KeyspaceId,
        key: &Slice,
        set: &SiblingSet,
        config: &NodeConfig,
        out: &mut Outbox<'_>,
    ) {
        let (key, wall_millis) = (key.clone(), out.now.wall_millis);
        let operation = if protected!(config, MergedHints) {
            StoreOperation::KeepMarker { target, keyspace, key, wall_millis }
        } else {
            let (set, copy, durability) = (set.clone(), Copy::For(target), Durability::Buffered);
            StoreOperation::Join { keyspace, key, set, copy, durability, wall_millis }
        };
        let ticket = out.store(Room::Handoff, operation);
        self.tickets.insert(ticket, target);
        self.kept(target);
    }

    /// A set was kept for `target` by another way: as a fallback.
    pub(crate) fn kept(&mut self, target: NodeId) {
        let replay = self.targets.entry(target).or_default();
        replay.waiting += 1;
        replay.kept_since = true;
    }

    /// What became of an operation of this room. Gives hints that cannot be sent because this store cannot read what they are of.
    pub(crate) fn stored(
        &mut self,
        ticket: Ticket,
        outcome: StoreOutcome,
        directory: &Directory,
        config: &NodeConfig,
        out: &mut Outbox<'_>,
    ) -> Vec<HintKey> {
        let Some(node) = self.tickets.remove(&ticket) else { return Vec::new() };
        // A hint may come to be kept after a list was empty.
        let replay = self.targets.entry(node).or_default();
        match outcome {
            StoreOutcome::Hinted { waiting, overflowed } => {
                // Operations are run in any order, and their outcomes heard in another.
                replay.waiting = waiting.max(1);
                replay.kept_since = true;
                self.overflowed += u64::from(overflowed);
            }
            StoreOutcome::Hints { hints, unreadable } if replay.listing == Some(ticket) => {
                replay.listing = None;
                replay.kept_since |= !unreadable.is_empty();
                if hints.is_empty() {
                    // All were listed; those that are left came later, or their keys could not be read now.
                    let all = replay.after.take().is_none();
                    replay.not_before = out.now.monotonic + BACK_OFF;
                    if all && !replay.kept_since {
                        replay.waiting = 0;
                    }
                    return unreadable;
                }
                replay.after = hints.last().map(|hint| hint.key.clone());
                self.send(node, hints, directory, config, out);
                return unreadable;
            }
            StoreOutcome::Failed(_) if replay.listing != Some(ticket) => {
                // What could not be noted is missed until it is repaired otherwise.
                replay.waiting = replay.waiting.saturating_sub(1);
                self.overflowed += 1;
            }
            StoreOutcome::Failed(_) => {
                replay.listing = None;
                replay.not_before = out.now.monotonic + BACK_OFF;
            }
            _ => {}
        }
        Vec::new()
    }

    fn send(
        &mut self,
        node: NodeId,
        hints: Vec<Hint>,
        directory: &Directory,
        config: &NodeConfig,
        out: &mut Outbox<'_>,
    ) {
        let (Some(address), Some(replay)) = (directory.address(node), self.targets.get_mut(&node)) else {
            return;
        };
        replay.asked_at = out.now.monotonic;
        for Hint { key, stamp, set } in hints {
            let question = out.question(Room::Handoff);
            let message = message_of(question, &key, set, directory, config);
            replay.under_way.insert(question, (key, stamp));
            out.send(address, message);
        }
    }

    /// The target has what a hint told it, or does not take it. Gives the hint if the target cannot read what it is of.
    pub(crate) fn answer(
        &mut self,
        question: QuestionId,
        result: Result<(), Refusal>,
        out: &mut Outbox<'_>,
    ) -> Option<HintKey> {
        let found = self.targets.iter_mut().find(|(_, replay)| replay.under_way.contains_key(&question));
        let (&node, replay) = found?;
        let (hint, stamp) = replay.under_way.remove(&question)?;
        match result {
            Ok(()) => {
                self.replayed += 1;
                let ticket = out.store(Room::Handoff, StoreOperation::DropHint { hint, stamp });
                self.tickets.insert(ticket, node);
            }
            Err(refusal) => {
                replay.not_before = out.now.monotonic + BACK_OFF;
                let is_unreadable = matches!(refusal, Refusal::Store(StoreFailure::Unreadable(_)));
                return is_unreadable.then_some(hint);
            }
        }
        None
    }

    /// What was under way to this address is to be sent again.
    pub(crate) fn lost(&mut self, address: &Address, directory: &Directory, now: Duration) {
        for (node, replay) in &mut self.targets {
            if directory.address(*node) == Some(address) {
                replay.under_way.clear();
                replay.after = None;
                // A list that is under way began further on, and is not one of all.
                replay.kept_since = true;
                replay.not_before = now + BACK_OFF;
            }
        }
    }

    /// Goes on where a target can take more.
    pub(crate) fn tick(&mut self, directory: &Directory, out: &mut Outbox<'_>) {
        let now = out.now.monotonic;
        for (&node, replay) in &mut self.targets {
            if !replay.under_way.is_empty() && now >= replay.asked_at + PATIENCE {
                replay.under_way.clear();
                replay.after = None;
                replay.not_before = now + BACK_OFF;
            }
            let idle = replay.under_way.is_empty() && replay.listing.is_none() && now >= replay.not_before;
            if replay.waiting == 0 || !idle || !directory.is_writable(node) || node == directory.me {
                continue;
            }
            let operation = StoreOperation::Hints { target: node, after: replay.after.clone(), limit: BATCH };
            let ticket = out.store(Room::Handoff, operation);
            replay.listing = Some(ticket);
            replay.kept_since = false;
            self.tickets.insert(ticket, node);
        }
    }

    /// Whether a batch could begin as soon as the node is woken.
    pub(crate) fn next_timer(&self, directory: &Directory) -> Option<Duration> {
        let open =
            self.targets.iter().filter(|(node, replay)| replay.waiting > 0 && directory.is_writable(**node));
        // A list that the store was asked for needs no timer: it comes as an event.
        let timer = |replay: &Replay| match replay.under_way.is_empty() {
            true if replay.listing.is_some() => None,
            true => Some(replay.not_before),
            false => Some(replay.asked_at + PATIENCE),
        };
        open.filter_map(|(_, replay)| timer(replay)).min()
    }

    /// Says that a target has everything, once.
    pub(crate) fn drained(&mut self, out: &mut Outbox<'_>) {
        self.targets.retain(|node, replay| {
            let done = replay.waiting == 0 && replay.under_way.is_empty() && replay.listing.is_none();
            if done {
                out.notice(Notice::Info(format!("node {node} has everything that was kept for it")));
            }
            !done
        });
    }
}

/// What a hint's target is told: a set to be joined.
fn message_of(
    question: QuestionId,
    hint: &HintKey,
    set: SiblingSet,
    directory: &Directory,
    config: &NodeConfig,
) -> Message {
    let (keyspace, key) = (hint.keyspace, hint.key.clone());
    if protected!(config, MergedHints) {
        return Message::known(question, keyspace, key, set, false);
    }
    let life = directory.life(hint.target).unwrap_or_default();
    as_new_write(question, life, keyspace, key, &set)
}

/// What a store that knows no causality would do: write the value again.
fn as_new_write(
    question: QuestionId,
    life: u64,
    keyspace: KeyspaceId,
    key: Slice,
    set: &SiblingSet,
) -> Message {
    use crate::request::{Level, Operation, Request};
    use crate::store::Change;
    let last = set.siblings().iter().max_by_key(|sibling| sibling.dot.age());
    let change = match last.and_then(|sibling| sibling.bytes()) {
        Some(value) => Change::Put { value: value.clone(), expires_at: None },
        None => Change::Delete,
    };
    let request = Request {
        keyspace,
        operation: Operation::Write { key, change, context: None },
        level: Level::One,
        sloppy: false,
        durability: Durability::Synced,
        timeout: PATIENCE,
    };
    Message::Forward { question, life, request }
}
