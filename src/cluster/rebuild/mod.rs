//! Rebuilding a store that lost data: its ranges are pulled in full from the other replicas.
//!
//! A store with a new incarnation neither answers reads nor counts for them, nor gives dots, until this is done. It takes
//! writes meanwhile. A partition is done when so many of its other replicas were read to the end that every write which a
//! quorum acknowledged must be among what they have: N − Q + 1 of them, Q being more than half of N, and all that can be
//! reached. Each of them is read once, from the first stored key to the last, keyspace by keyspace. Nodes that are all being rebuilt
//! read each other: when all other replicas were read, there is nothing more to be had, and the partition is done too.
//!
//! A record of the store's own that is damaged is passed over: whoever asks for it gets no answer, here as anywhere, until it is
//! healed.

use crate::directory::Directory;
use crate::event::Ticket;
use crate::id::{Address, NodeId};
use crate::message::{Message, QuestionId, Refusal};
use crate::number::Room;
use crate::outbox::Outbox;
use crate::request::majority;
use crate::ring::Partition;
use crate::store::{Copy, KeyspaceId, Page, Record, StoreFailure, StoreOperation, StoreOutcome};
use esker::Durability;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records asked for at once.
const RECORDS: u32 = 500;
/// How long a source is left alone after it did not answer.
const BACK_OFF: Duration = Duration::from_millis(500);
/// How long a page is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far one source has been read.
#[derive(Debug, Default)]
struct Source {
    /// The index of the keyspace under way.
    keyspace: usize,
    /// The stored key that the next page begins with.
    from: Vec<u8>,
    asked: Option<QuestionId>,
    /// Where the page after the one that is being stored begins; `None` inside if that was the last of its keyspace.
    storing: Option<Option<Vec<u8>>>,
    /// Records of the page that are not stored yet.
    open: usize,
    not_before: Duration,
    done: bool,
    /// Some of its pages were given while it did not have all its data itself, or without records that it cannot read.
    incomplete: bool,
}

/// Pulls a store's ranges from the other replicas.
#[derive(Debug)]
pub(crate) struct Rebuild {
    keyspaces: Vec<KeyspaceId>,
    sources: BTreeMap<NodeId, Source>,
    tickets: BTreeMap<Ticket, NodeId>,
    records: u64,
}

impl Rebuild {
    /// Begins.
    pub(crate) fn begin(directory: &Directory) -> Rebuild {
        let others = directory.entries.keys().filter(|node| **node != directory.me);
        Rebuild {
            keyspaces: directory.keyspaces.iter().map(|keyspace| keyspace.id).collect(),
            sources: others.map(|node| (*node, Source::default())).collect(),
            tickets: BTreeMap::new(),
            records: 0,
        }
    }

    /// Records stored so far.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Asks every source that is not busy for its next page.
    pub(crate) fn tick(&mut self, directory: &Directory, out: &mut Outbox<'_>) {
        let now = out.now.monotonic;
        if self.keyspaces.len() < directory.keyspaces.len() {
            // Keyspaces are added and never taken away: the sources are asked for the new ones too.
            self.keyspaces = directory.keyspaces.iter().map(|keyspace| keyspace.id).collect();
            self.sources.values_mut().for_each(|source| source.done = false);
        }
        for (&node, source) in &mut self.sources {
            if source.asked.is_some() && now >= source.not_before {
                source.asked = None;
            }
            let busy = source.done || source.asked.is_some() || source.storing.is_some();
            if busy || now < source.not_before || !directory.is_reachable(node) {
                continue;
            }
            let (Some(&keyspace), Some(address)) =
                (self.keyspaces.get(source.keyspace), directory.address(node))
            else {
                source.done = true;
                continue;
            };
            let question = out.question(Room::Rebuild);
            source.asked = Some(question);
            source.not_before = now + PATIENCE;
            let message = Message::Page {
                question,
                keyspace,
                from: source.from.clone(),
                records: RECORDS,
                bodies: true,
                replica: Some(directory.me),
            };
            out.send(address, message);
        }
    }

    pub(crate) fn next_timer(&self, directory: &Directory) -> Option<Duration> {
        // A source that cannot be reached is asked when something says that it can.
        self.sources
            .iter()
            .filter(|(node, source)| {
                !source.done && source.storing.is_none() && directory.is_reachable(**node)
            })
            .map(|(_, source)| source.not_before)
            .min()
    }

    /// A page came in: its records are stored.
    pub(crate) fn answer(
        &mut self,
        question: QuestionId,
        ready: bool,
        result: Result<Page, Refusal>,
        out: &mut Outbox<'_>,
    ) {
        let found = self.sources.iter_mut().find(|(_, source)| source.asked == Some(question));
        let Some((&node, source)) = found else { return };
        source.asked = None;
        let Ok(page) = result else {
            source.not_before = out.now.monotonic + BACK_OFF;
            return;
        };
        source.not_before = out.now.monotonic;
        // What a source cannot read is had from the others of the row.
        source.incomplete |= !ready || !page.is_whole();
        let Page { records, next, .. } = page;
        let Some(&keyspace) = self.keyspaces.get(source.keyspace) else { return };
        source.storing = Some(next);
        source.open = records.len();
        for Record { key, set } in records {
            let operation = StoreOperation::Join {
                keyspace,
                key,
                set,
                copy: Copy::Own,
                durability: Durability::Synced,
                wall_millis: out.now.wall_millis,
            };
            let ticket = out.store(Room::Rebuild, operation);
            self.tickets.insert(ticket, node);
        }
        advance(source);
    }

    /// A record could not be stored: the page is asked for again, unless what is in the way is a damaged record.
    pub(crate) fn stored(&mut self, ticket: Ticket, outcome: &StoreOutcome, now: Duration) {
        match outcome {
            StoreOutcome::Failed(StoreFailure::Unreadable(_)) => self.taken(ticket),
            StoreOutcome::Failed(_) => self.failed(ticket, now),
            _ => {}
        }
    }

    /// A record is durable, or never will be.
    pub(crate) fn durable(&mut self, ticket: Ticket, is_durable: bool, now: Duration) {
        if !is_durable {
            self.failed(ticket, now);
            return;
        }
        self.records += u64::from(self.tickets.contains_key(&ticket));
        self.taken(ticket);
    }

    /// Nothing more is to be done for a record.
    fn taken(&mut self, ticket: Ticket) {
        let Some(node) = self.tickets.remove(&ticket) else { return };
        if let Some(source) = self.sources.get_mut(&node) {
            source.open = source.open.saturating_sub(1);
            advance(source);
        }
    }

    fn failed(&mut self, ticket: Ticket, now: Duration) {
        let Some(node) = self.tickets.remove(&ticket) else { return };
        self.tickets.retain(|_, other| *other != node);
        if let Some(source) = self.sources.get_mut(&node) {
            source.storing = None;
            source.open = 0;
            source.not_before = now + BACK_OFF;
        }
    }

    /// Nothing more will come from this address for now.
    pub(crate) fn lost(&mut self, address: &Address, directory: &Directory, now: Duration) {
        for (node, source) in &mut self.sources {
            if directory.address(*node) == Some(address) && source.asked.take().is_some() {
                source.not_before = now + BACK_OFF;
            }
        }
    }

    /// Whether every partition of this node is done, in every keyspace.
    pub(crate) fn is_done(&self, directory: &Directory) -> bool {
        let Some(ring) = &directory.ring else { return true };
        let is_read = |node: &NodeId| self.sources.get(node).is_some_and(|source| source.done);
        if self.keyspaces.len() < directory.keyspaces.len()
            || self.sources.keys().any(|node| directory.is_readable(*node) && !is_read(node))
        {
            return false;
        }
        let mut rows: BTreeSet<Vec<NodeId>> = BTreeSet::new();
        for keyspace in &directory.keyspaces {
            for partition in (0..ring.partitions()).map(Partition) {
                rows.insert(ring.preference_list(partition).take(usize::from(keyspace.replicas)).collect());
            }
        }
        rows.iter().filter(|row| row.contains(&directory.me)).all(|row| self.is_row_done(row, directory))
    }

    /// Whether enough of the replicas of one row were read: so many that have all their data that every write which a quorum
    /// acknowledged is among theirs, of all replicas and of those in this node's data centre; or all others, whatever they have,
    /// since more than that there is nowhere.
    fn is_row_done(&self, row: &[NodeId], directory: &Directory) -> bool {
        let others: Vec<NodeId> = row.iter().copied().filter(|node| *node != directory.me).collect();
        let source = |node: &NodeId| self.sources.get(node).filter(|source| source.done);
        if others.iter().all(|node| source(node).is_some()) {
            return true;
        }
        let is_whole = |node: &NodeId| source(node).is_some_and(|source| !source.incomplete);
        let enough = |of: &[NodeId]| {
            // With this node.
            let replicas = of.len() + 1;
            of.iter().filter(|node| is_whole(node)).count() > replicas - majority(replicas)
        };
        let dc_of = |node: &NodeId| directory.entries.get(node).map(|entry| entry.dc.as_str());
        let near: Vec<NodeId> =
            others.iter().copied().filter(|node| dc_of(node) == Some(directory.my_dc())).collect();
        let near_is_read = near.iter().all(|node| source(node).is_some());
        enough(&others) && (near_is_read || enough(&near))
    }
}

/// Goes to the next page once everything of the last one is stored.
fn advance(source: &mut Source) {
    if source.open > 0 {
        return;
    }
    match source.storing.take() {
        Some(Some(next)) => source.from = next,
        Some(None) => {
            source.keyspace += 1;
            source.from.clear();
        }
        None => {}
    }
}
