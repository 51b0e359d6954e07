//! [`Replica`]: answers what coordinators ask of this node's store.
//!
//! Invariants:
//! - A write is acknowledged once it is as durable as it was to be.
//! - A read is answered once every write that it shows is: what a reader has seen does not vanish with the power.
//! - A key that shows a write which will never be durable is not read from any more.
//! - What cannot be read is refused, never answered with less.

use crate::causality::{Context, SiblingSet};
use crate::directory::Directory;
use crate::event::{Notice, Ticket};
use crate::id::{Address, NodeId};
use crate::message::{Message, QuestionId, Refusal};
use crate::number::Room;
use crate::outbox::Outbox;
use crate::store::{Change, Copy, KeyspaceId, Page, Record, StoreFailure, StoreOperation, StoreOutcome};
use esker::{Durability, Slice};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Key = (KeyspaceId, Slice);

/// An operation under way.
#[derive(Debug)]
struct Pending {
    asker: Address,
    question: QuestionId,
    kind: Kind,
    /// For whom a copy is kept, if this node stands in for somebody.
    stands_in_for: Option<NodeId>,
}

#[derive(Debug)]
enum Kind {
    Read(Key),
    Write(Key),
    Mint(Key),
    Page(KeyspaceId, Option<NodeId>),
}

/// A write that this node's store was asked to take, for the coordinator of this same node.
#[derive(Debug)]
pub(crate) struct Mint {
    pub(crate) question: QuestionId,
    pub(crate) keyspace: KeyspaceId,
    pub(crate) key: Slice,
    pub(crate) change: Change,
    pub(crate) seen: Option<Context>,
    pub(crate) copy: Copy,
    pub(crate) durability: Durability,
}

/// What the coordinator of this same node is told at once.
#[derive(Debug)]
pub(crate) enum Told {
    /// A mint was stored; not durable yet.
    Minted { question: QuestionId, set: SiblingSet, context: Context, truncated: usize },
    /// A mint failed; nothing was changed.
    MintFailed { question: QuestionId, failure: StoreFailure },
}

/// Tickets of writes, ascending.
#[derive(Debug, Default)]
struct Writes {
    first: Option<Ticket>,
    later: VecDeque<Ticket>,
}

impl Writes {
    /// Adds a ticket, above all those that were added before.
    fn insert(&mut self, ticket: Ticket) {
        match self.first {
            None => self.first = Some(ticket),
            Some(_) => self.later.push_back(ticket),
        }
    }

    fn remove(&mut self, ticket: Ticket) {
        if self.first == Some(ticket) {
            self.first = self.later.pop_front();
        } else {
            self.later.retain(|other| *other != ticket);
        }
    }
}

/// Writes of one key that are not durable yet, and the answers that wait for them.
#[derive(Debug, Default)]
struct Unsettled {
    /// The oldest first. One almost always, for which there is no memory of its own.
    writes: Writes,
    /// Answers to reads that came after all writes up to this ticket.
    waiting: Vec<(Ticket, Address, Message)>,
}

/// Answers what coordinators ask of this node's store.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pending: BTreeMap<Ticket, Pending>,
    unsettled: BTreeMap<Key, Unsettled>,
    /// Keys that show a write which could not be made durable: what a reader would see of them is gone after a restart.
    doubtful: BTreeSet<Key>,
    /// Pages that show writes which are not durable yet, by the tickets that they were read under.
    pages: Vec<(Ticket, Address, Message)>,
    /// Whether this node has all its data.
    pub(crate) ready: bool,
    /// Whether it knows what others remember of it.
    pub(crate) settled: bool,
    /// Why the store takes no writes, if it does not.
    pub(crate) read_only: Option<String>,
}

impl Replica {
    pub(crate) fn new(ready: bool) -> Replica {
        Replica { ready, ..Replica::default() }
    }

    /// Whether it answers reads.
    pub(crate) fn answers(&self) -> bool {
        self.ready && self.settled
    }

    /// The number of operations under way.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn read(
        &mut self,
        asker: &Address,
        question: QuestionId,
        key: Key,
        bodies: bool,
        out: &mut Outbox<'_>,
    ) {
        if !self.answers() {
            out.send(asker, Message::ReadAnswer { question, result: Err(Refusal::NotReady) });
            return;
        }
        if self.doubtful.contains(&key) {
            let why = self.read_only.clone().unwrap_or_default();
            let refusal = Refusal::Store(StoreFailure::ReadOnly(why));
            out.send(asker, Message::ReadAnswer { question, result: Err(refusal) });
            return;
        }
        let operation = StoreOperation::Read { keyspace: key.0, key: key.1.clone(), bodies };
        let ticket = out.store(Room::Replica, operation);
        self.pending.insert(
            ticket,
            Pending { asker: asker.clone(), question, kind: Kind::Read(key), stands_in_for: None },
        );
    }

    pub(crate) fn write(
        &mut self,
        asker: &Address,
        question: QuestionId,
        key: Key,
        set: SiblingSet,
        durability: Durability,
        copy: Copy,
        out: &mut Outbox<'_>,
    ) {
        let wall_millis = out.now.wall_millis;
        let (keyspace, user_key) = (key.0, key.1.clone());
        let operation = StoreOperation::Join { keyspace, key: user_key, set, copy, durability, wall_millis };
        self.join(asker, question, key, operation, copy, out);
    }

    /// Takes what enough other replicas have in the place of what cannot be read here.
    pub(crate) fn heal(
        &mut self,
        asker: &Address,
        question: QuestionId,
        key: Key,
        set: SiblingSet,
        out: &mut Outbox<'_>,
    ) {
        let wall_millis = out.now.wall_millis;
        let operation = StoreOperation::Heal { keyspace: key.0, key: key.1.clone(), set, wall_millis };
        self.join(asker, question, key, operation, Copy::Own, out);
    }

    fn join(
        &mut self,
        asker: &Address,
        question: QuestionId,
        key: Key,
        operation: StoreOperation,
        copy: Copy,
        out: &mut Outbox<'_>,
    ) {
        let ticket = out.store(Room::Replica, operation);
        let stands_in_for = match copy {
            Copy::For(target) => Some(target),
            Copy::Own => None,
        };
        if copy == Copy::Own {
            self.unsettled.entry(key.clone()).or_default().writes.insert(ticket);
        }
        self.pending.insert(
            ticket,
            Pending { asker: asker.clone(), question, kind: Kind::Write(key), stands_in_for },
        );
    }

    pub(crate) fn mint(&mut self, mint: Mint, out: &mut Outbox<'_>) {
        let Mint { question, keyspace, key, change, seen, copy, durability } = mint;
        let operation = StoreOperation::Mint {
            keyspace,
            key: key.clone(),
            change,
            seen,
            copy,
            durability,
            wall_millis: out.now.wall_millis,
        };
        let ticket = out.store(Room::Replica, operation);
        if copy == Copy::Own {
            self.unsettled.entry((keyspace, key.clone())).or_default().writes.insert(ticket);
        }
        let asker = out.sender.reply_to.clone();
        self.pending.insert(
            ticket,
            Pending { asker, question, kind: Kind::Mint((keyspace, key)), stands_in_for: None },
        );
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(crate) fn page(
        &mut self,
        asker: &Address,
        question: QuestionId,
        keyspace: KeyspaceId,
        from: Vec<u8>,
        records: u32,
        bodies: bool,
        replica: Option<NodeId>,
        out: &mut Outbox<'_>,
    ) {
        // What a node that is being rebuilt has is worth something to one that is being rebuilt too, and to nobody else.
        if !self.answers() && replica.is_none() {
            self.page_answer(asker, question, Err(Refusal::NotReady), out);
            return;
        }
        let operation = StoreOperation::Page {
            keyspace,
            from,
            records: (records as usize).clamp(1, PAGE_RECORDS),
            bytes: PAGE_BYTES,
            bodies,
        };
        let ticket = out.store(Room::Replica, operation);
        self.pending.insert(
            ticket,
            Pending {
                asker: asker.clone(),
                question,
                kind: Kind::Page(keyspace, replica),
                stands_in_for: None,
            },
        );
    }

    /// For whom the operation keeps a copy, if it does.
    pub(crate) fn stands_in_for(&self, ticket: Ticket) -> Option<NodeId> {
        self.pending.get(&ticket).and_then(|pending| pending.stands_in_for)
    }

    /// The outcome of an operation of this room.
    pub(crate) fn stored(
        &mut self,
        ticket: Ticket,
        outcome: StoreOutcome,
        directory: &Directory,
        out: &mut Outbox<'_>,
    ) -> Option<Told> {
        if let StoreOutcome::Failed(failure) = outcome {
            return self.failed(ticket, failure, out);
        }
        let pending = self.pending.get(&ticket)?;
        let (asker, question) = (pending.asker.clone(), pending.question);
        match (&pending.kind, outcome) {
            (Kind::Read(key), StoreOutcome::Set { set }) => {
                let answer = Message::ReadAnswer { question, result: Ok(set) };
                match self.unsettled.get_mut(key).filter(|unsettled| unsettled.writes.first < Some(ticket)) {
                    Some(unsettled) => unsettled.waiting.push((ticket, asker, answer)),
                    None => out.send(&asker, answer),
                }
                self.pending.remove(&ticket);
                None
            }
            (Kind::Mint(_), StoreOutcome::Minted { set, context, truncated }) => {
                Some(Told::Minted { question, set, context, truncated })
            }
            (Kind::Page(keyspace, replica), StoreOutcome::Page(page)) => {
                let records = of_replica(page.records, *keyspace, *replica, directory);
                let is_doubtful = |record: &Record| self.doubtful.contains(&(*keyspace, record.key.clone()));
                let result = match records.iter().any(is_doubtful) {
                    true => Err(Refusal::Store(StoreFailure::ReadOnly(
                        self.read_only.clone().unwrap_or_default(),
                    ))),
                    false => Ok(Page { records, ..page }),
                };
                let answer = Message::PageAnswer { question, ready: self.answers(), result };
                self.pending.remove(&ticket);
                self.pages.push((ticket, asker, answer));
                self.send_pages(out);
                None
            }
            // A join; it is answered when it is durable.
            _ => None,
        }
    }

    /// The store has said that it takes no writes any more. Who looks after the node is told once.
    fn takes_no_writes(&mut self, why: String, out: &mut Outbox<'_>) {
        if self.read_only.is_none() {
            let what = format!(
                "no writes are taken here until the node is started again, other replicas take them: {why}"
            );
            out.notice(Notice::Warning(what));
        }
        self.read_only = Some(why);
    }

    /// Pages go out once every write that was open when they were read is durable, or failed.
    fn send_pages(&mut self, out: &mut Outbox<'_>) {
        if self.pages.is_empty() {
            return;
        }
        let is_write = |pending: &Pending| matches!(pending.kind, Kind::Write(_) | Kind::Mint(_));
        let oldest = self.pending.iter().find(|(_, pending)| is_write(pending)).map(|(ticket, _)| *ticket);
        for (ticket, asker, answer) in std::mem::take(&mut self.pages) {
            if oldest.is_some_and(|oldest| oldest < ticket) {
                self.pages.push((ticket, asker, answer));
            } else {
                out.send(&asker, answer);
            }
        }
    }

    fn page_answer(
        &self,
        asker: &Address,
        question: QuestionId,
        result: Result<Page, Refusal>,
        out: &mut Outbox<'_>,
    ) {
        out.send(asker, Message::PageAnswer { question, ready: self.answers(), result });
    }

    fn failed(&mut self, ticket: Ticket, failure: StoreFailure, out: &mut Outbox<'_>) -> Option<Told> {
        let Pending { asker, question, kind, .. } = self.pending.remove(&ticket)?;
        if let StoreFailure::ReadOnly(why) = &failure {
            self.takes_no_writes(why.clone(), out);
        }
        let refusal = Refusal::Store(failure.clone());
        match kind {
            Kind::Read(_) => out.send(&asker, Message::ReadAnswer { question, result: Err(refusal) }),
            Kind::Page(..) => self.page_answer(&asker, question, Err(refusal), out),
            Kind::Write(key) => {
                self.settle(&key, ticket, Ok(()), out);
                out.send(&asker, Message::WriteAnswer { question, result: Err(refusal) });
            }
            Kind::Mint(key) => {
                self.settle(&key, ticket, Ok(()), out);
                return Some(Told::MintFailed { question, failure });
            }
        }
        None
    }

    /// A write of this room is durable, or never will be.
    pub(crate) fn durable(&mut self, ticket: Ticket, result: Result<(), StoreFailure>, out: &mut Outbox<'_>) {
        let Some(Pending { asker, question, kind, .. }) = self.pending.remove(&ticket) else { return };
        if let Err(failure) = &result {
            self.takes_no_writes(failure.to_string(), out);
        }
        if let Kind::Write(key) | Kind::Mint(key) = kind {
            if result.is_err() {
                self.doubtful.insert(key.clone());
            }
            self.settle(&key, ticket, result.clone(), out);
            let result = result.map_err(Refusal::Store);
            out.send(&asker, Message::WriteAnswer { question, result });
            self.send_pages(out);
        }
    }

    /// A write of the key is out of the way: the answers that waited for it alone go out.
    fn settle(&mut self, key: &Key, ticket: Ticket, result: Result<(), StoreFailure>, out: &mut Outbox<'_>) {
        let Some(unsettled) = self.unsettled.get_mut(key) else { return };
        unsettled.writes.remove(ticket);
        let oldest = unsettled.writes.first;
        let mut kept = Vec::new();
        for (upto, asker, answer) in std::mem::take(&mut unsettled.waiting) {
            match (&result, &answer) {
                // What the read shows may be gone after a restart.
                (Err(failure), Message::ReadAnswer { question, .. }) if upto > ticket => {
                    let refused = Err(Refusal::Store(failure.clone()));
                    out.send(&asker, Message::ReadAnswer { question: *question, result: refused });
                }
                _ if oldest.is_some_and(|oldest| oldest < upto) => kept.push((upto, asker, answer)),
                _ => out.send(&asker, answer),
            }
        }
        unsettled.waiting = kept;
        if oldest.is_none() {
            self.unsettled.remove(key);
        }
    }
}

/// Limits of a page: a frame of this size holds up nobody for long.
const PAGE_RECORDS: usize = 1000;
const PAGE_BYTES: usize = 256 << 10;

/// The records of those that a node is a replica of.
fn of_replica(
    records: Vec<Record>,
    keyspace: KeyspaceId,
    replica: Option<NodeId>,
    directory: &Directory,
) -> Vec<Record> {
    let Some(node) = replica else { return records };
    let is_its = |record: &Record| directory.is_replica(keyspace, &record.key, node);
    records.into_iter().filter(is_its).collect()
}
