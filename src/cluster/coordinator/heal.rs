//! [`HealTask`]: gives a replica that cannot read its record of a key what the others have.
//!
//! What the record held may be what others acknowledged together with this replica. So many others are read that they must have
//! it: N − Q + 1 of the N replicas of the keyspace, Q being more than half, and as many of those in the replica's data centre,
//! whose levels count for themselves. Others that can be reached are read too. Their sets, joined, take the place of the record.

use super::Heard;
use super::task::{Desk, Progress};
use crate::causality::{ConflictMode, SiblingSet};
use crate::directory::Directory;
use crate::id::NodeId;
use crate::message::Message;
use crate::request::majority;
use crate::store::KeyspaceId;
use esker::Slice;
use std::time::Duration;

/// How long the others, and then the replica, are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A record that cannot be read: the keyspace and key, and the replica that has it.
pub(super) type Damaged = (KeyspaceId, Slice, NodeId);

/// A replica's record on its way to be replaced.
#[derive(Debug)]
pub(super) struct HealTask {
    damaged: Damaged,
    mode: ConflictMode,
    /// All other replicas of the key.
    others: Vec<NodeId>,
    /// Those that were asked and have not answered.
    waiting: Vec<NodeId>,
    /// Those that answered.
    confirmed: Vec<NodeId>,
    merged: SiblingSet,
    /// Whether the replica was sent what the others have.
    sent: bool,
    deadline: Duration,
}

impl HealTask {
    /// Asks the other replicas. `None` if too few of them can be.
    pub(super) fn begin(damaged: Damaged, desk: &mut Desk<'_, '_>) -> Option<HealTask> {
        let (keyspace, key, node) = damaged.clone();
        let mut others = desk.directory.replicas(keyspace, &key);
        if !others.contains(&node) || !desk.directory.is_writable(node) {
            return None;
        }
        others.retain(|other| *other != node);
        let readable: Vec<NodeId> =
            others.iter().copied().filter(|&other| desk.directory.is_readable(other)).collect();
        if !are_enough(&readable, &others, node, desk.directory) {
            return None;
        }
        for &other in &readable {
            let key = key.clone();
            desk.ask(other, |question| Message::Read { question, keyspace, key, bodies: true });
        }
        Some(HealTask {
            damaged,
            mode: desk.directory.keyspace(keyspace).map_or(ConflictMode::Causal, |k| k.mode),
            others,
            waiting: readable,
            confirmed: Vec::new(),
            merged: SiblingSet::new(),
            sent: false,
            deadline: desk.now() + PATIENCE,
        })
    }

    pub(super) fn damaged(&self) -> &Damaged {
        &self.damaged
    }

    pub(super) fn wake(&self) -> Duration {
        self.deadline
    }

    pub(super) fn hear(&mut self, node: NodeId, heard: Heard, desk: &mut Desk<'_, '_>) -> Progress {
        match heard {
            Heard::Set(Ok(set)) => {
                self.merged.join(&set, self.mode);
                self.confirmed.push(node);
            }
            Heard::Stored(result) => {
                desk.counters.healed += u64::from(result.is_ok());
                return Progress::Done;
            }
            _ if self.sent => return Progress::Done,
            _ => {}
        }
        self.waiting.retain(|id| *id != node);
        if self.sent || !self.waiting.is_empty() {
            return Progress::Going;
        }
        self.send(desk)
    }

    /// Sends the replica what the others have, if they are enough.
    fn send(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        let (keyspace, key, node) = self.damaged.clone();
        if !are_enough(&self.confirmed, &self.others, node, desk.directory) {
            return Progress::Done;
        }
        (self.sent, self.deadline) = (true, desk.now() + PATIENCE);
        let set = self.merged.clone();
        let sent = desk.ask(node, |question| Message::known(question, keyspace, key, set, true));
        if sent { Progress::Going } else { Progress::Done }
    }

    /// Who was slow is left out; a replica that does not answer is healed another time.
    pub(super) fn time(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        if desk.now() < self.deadline {
            return Progress::Going;
        }
        self.waiting.clear();
        if self.sent { Progress::Done } else { self.send(desk) }
    }
}

/// Whether every write that a quorum acknowledged together with `node` is among what these of the `others` have.
fn are_enough(these: &[NodeId], others: &[NodeId], node: NodeId, directory: &Directory) -> bool {
    let dc_of = |node: &NodeId| directory.entries.get(node).map(|entry| entry.dc.as_str());
    let enough_of = |others: &[NodeId]| {
        let replicas = others.len() + 1;
        others.iter().filter(|other| these.contains(other)).count() > replicas - majority(replicas)
    };
    let near: Vec<NodeId> = others.iter().copied().filter(|other| dc_of(other) == dc_of(&node)).collect();
    // A data centre with this replica alone had nobody to acknowledge with.
    let near_is_read = near.iter().all(|other| these.contains(other));
    enough_of(others) && (near_is_read || enough_of(&near))
}
