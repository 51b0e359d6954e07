//! [`ScanTask`]: a piece of a scan.
//!
//! Every node that can be read gives a page of its records, from the same stored key on. The pages are joined by key up to
//! the least of their ends: beyond it a page may be missing records. Enough nodes have answered when for each partition
//! enough of its replicas have; the others are not waited for. A node that could not read some of its records does not count
//! in the piece, and those are healed.

use super::Heard;
use super::read::{said_by, versions};
use super::task::{Desk, Origin, Progress};
use crate::causality::{ConflictMode, SiblingSet};
use crate::directory::Directory;
use crate::id::NodeId;
use crate::message::Message;
use crate::request::{Level, Operation, Rejection, Request, Response};
use crate::ring::{Partition, Token};
use crate::store::{KeyspaceId, Page, Record};
use esker::Slice;
use std::collections::BTreeMap;
use std::time::Duration;

/// A piece of a scan on its way.
#[derive(Debug)]
pub(super) struct ScanTask {
    origin: Origin,
    keyspace: KeyspaceId,
    level: Level,
    mode: ConflictMode,
    from: Vec<u8>,
    values: bool,
    waiting: Vec<NodeId>,
    answered: Vec<NodeId>,
    /// The replicas of each partition; rows repeat, and each is here once.
    rows: Vec<Vec<NodeId>>,
    /// Joined records, by stored key.
    joined: BTreeMap<Vec<u8>, (Slice, SiblingSet)>,
    /// The least of the keys at which pages end.
    end: Option<Vec<u8>>,
    said: String,
    deadline: Duration,
}

/// The stored key of a user key: its token, then itself.
fn stored_key(key: &[u8]) -> Vec<u8> {
    let mut stored = Token::of_key(key).to_be_bytes().to_vec();
    stored.extend_from_slice(key);
    stored
}

/// The replicas of each partition, each row once. None if there is no ring, or no such keyspace.
fn rows(keyspace: KeyspaceId, directory: &Directory) -> Vec<Vec<NodeId>> {
    let (Some(ring), Some(keyspace)) = (&directory.ring, directory.keyspace(keyspace)) else {
        return Vec::new();
    };
    let replicas = usize::from(keyspace.replicas);
    let mut rows: Vec<Vec<NodeId>> = (0..ring.partitions())
        .map(|partition| ring.preference_list(Partition(partition)).take(replicas).collect())
        .collect();
    rows.sort();
    rows.dedup();
    rows
}

impl ScanTask {
    pub(super) fn begin(origin: Origin, request: Request, desk: &mut Desk<'_, '_>) -> Option<ScanTask> {
        let Operation::Scan { from, limit, values } = request.operation else { return None };
        let readable: Vec<NodeId> =
            desk.directory.entries.keys().copied().filter(|&node| desk.directory.is_readable(node)).collect();
        let mode = desk.directory.keyspace(request.keyspace).map_or(ConflictMode::Causal, |k| k.mode);
        let mut task = ScanTask {
            origin,
            keyspace: request.keyspace,
            level: request.level,
            mode,
            from,
            values,
            waiting: readable,
            answered: Vec::new(),
            rows: rows(request.keyspace, desk.directory),
            joined: BTreeMap::new(),
            end: None,
            said: "the others are down, unreachable, or being rebuilt".to_owned(),
            deadline: desk.now() + request.timeout,
        };
        if !task.is_enough(&task.waiting, desk) {
            task.reject(desk);
            return None;
        }
        let records = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
        for node in task.waiting.clone() {
            let (keyspace, from) = (task.keyspace, task.from.clone());
            let sent = desk.ask(node, |question| Message::Page {
                question,
                keyspace,
                from,
                records,
                bodies: values,
                replica: None,
            });
            if !sent {
                task.waiting.retain(|id| *id != node);
            }
        }
        Some(task)
    }

    pub(super) fn wake(&self) -> Duration {
        self.deadline
    }

    /// Whether these nodes are, for every partition, as many of its replicas as the level needs.
    fn is_enough(&self, nodes: &[NodeId], desk: &Desk<'_, '_>) -> bool {
        let directory = desk.directory;
        if self.rows.is_empty() {
            return false;
        }
        if directory.entries.keys().all(|node| nodes.contains(node)) {
            return true;
        }
        let is_met =
            |row: &Vec<NodeId>| directory.quota(self.level, row).is_ok_and(|quota| quota.is_met(nodes));
        self.rows.iter().all(is_met)
    }

    pub(super) fn hear(&mut self, node: NodeId, heard: Heard, desk: &mut Desk<'_, '_>) -> Progress {
        self.waiting.retain(|id| *id != node);
        match heard {
            Heard::Page(Ok(page)) => {
                if page.is_whole() {
                    self.answered.push(node);
                } else {
                    self.said = "a replica has records that it cannot read".to_owned();
                }
                for key in &page.unreadable {
                    desk.heal(self.keyspace, key, node);
                }
                let Page { records, next, .. } = page;
                for Record { key, set } in records {
                    match self.joined.get_mut(stored_key(&key).as_slice()) {
                        Some((_, known)) => {
                            known.join(&set, self.mode);
                        }
                        None => {
                            self.joined.insert(stored_key(&key), (key, set));
                        }
                    }
                }
                self.end = match (self.end.take(), next) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
            Heard::Page(Err(refusal)) => self.said = said_by(&refusal),
            _ => {}
        }
        if !self.waiting.is_empty() && !self.is_enough(&self.answered, desk) {
            return Progress::Going;
        }
        self.finish(desk);
        Progress::Done
    }

    fn finish(&mut self, desk: &mut Desk<'_, '_>) {
        if !self.is_enough(&self.answered, desk) {
            self.reject(desk);
            return;
        }
        let wall = desk.out.now.wall_millis;
        let end = self.end.take();
        let is_inside = |stored: &Vec<u8>| end.as_ref().is_none_or(|end| stored < end);
        let pairs = std::mem::take(&mut self.joined)
            .into_iter()
            .filter(|(stored, _)| is_inside(stored))
            .map(|(_, (key, set))| (key, versions(&set, wall)))
            .filter(|(_, versions)| !versions.is_empty())
            .map(|(key, versions)| (key, if self.values { versions } else { Vec::new() }))
            .collect();
        desk.respond(&self.origin, Response::Scanned { pairs, next: end });
    }

    fn reject(&self, desk: &mut Desk<'_, '_>) {
        let have = self.answered.len() as u32;
        let need = desk.directory.entries.len() as u32;
        let rejection = Rejection::Unavailable { have, need, why: self.said.clone() };
        desk.respond(&self.origin, Response::Rejected(rejection));
    }

    /// Whoever has not answered by the deadline is left out.
    pub(super) fn time(&mut self, desk: &mut Desk<'_, '_>) -> Progress {
        if desk.now() < self.deadline {
            return Progress::Going;
        }
        self.waiting.clear();
        self.finish(desk);
        Progress::Done
    }
}
