//! Requests step by step: what a coordinator asks, and of whom, when things do not go well.

use super::*;
use crate::causality::{Actor, ConflictMode, Dot, Sibling, VectorClock};
use crate::directory::Entry;
use crate::event::{Effect, Moment};
use crate::message::Message;
use crate::outbox::Sender;
use crate::request::Level;
use crate::ring::{Ring, RingMember};
use crate::store::{Change, Copy, KeyspaceDefinition, StoreOperation, StoreOutcome};
use esker::Durability;
use std::collections::VecDeque;

const KEYSPACE: KeyspaceId = KeyspaceId(1);
const ME: NodeId = NodeId(1);

/// A coordinator with all that is around it. What it wants done lies here.
struct Bench {
    coordinator: Coordinator,
    config: NodeConfig,
    directory: Directory,
    replica: Replica,
    handoff: Handoff,
    sender: Sender,
    effects: Vec<Effect>,
    local: VecDeque<Message>,
    last_number: u64,
    now: Duration,
}

impl Bench {
    /// Node 1 of so many, with three replicas of each key.
    fn new(nodes: u64) -> Bench {
        let address = |node: u64| Address::from(format!("host-{node}:7000").as_str());
        let entry = |node: u64| Entry {
            address: address(node),
            dc: "dc1".to_owned(),
            life: Some(5),
            alive: true,
            ready: true,
            writable: true,
        };
        let member = |node: u64| RingMember {
            id: NodeId(node),
            weight: 1,
            zone: "z1".to_owned(),
            dc: "dc1".to_owned(),
        };
        let members: Vec<RingMember> = (1..=nodes).map(member).collect();
        let keyspace = KeyspaceDefinition {
            id: KEYSPACE,
            name: "k".to_owned(),
            mode: ConflictMode::Causal,
            replicas: 3,
        };
        let directory = Directory {
            me: ME,
            entries: (1..=nodes).map(|node| (NodeId(node), entry(node))).collect(),
            ring: Some(Ring::place(16, 3, &members, None).unwrap()),
            keyspaces: vec![keyspace],
            ..Directory::default()
        };
        let mut replica = Replica::new(true);
        replica.settled = true;
        Bench {
            coordinator: Coordinator::default(),
            config: NodeConfig::new("host-1:7000"),
            directory,
            replica,
            handoff: Handoff::default(),
            sender: Sender { cluster: 1, me: ME, reply_to: address(1) },
            effects: Vec::new(),
            local: VecDeque::new(),
            last_number: 0,
            now: Duration::from_secs(100),
        }
    }

    /// A key that is, or is not, kept on this node.
    fn key(&self, is_here: bool) -> Slice {
        let mut keys = (0..).map(|n| Slice::from(format!("key {n}").into_bytes()));
        keys.find(|key| self.directory.replicas(KEYSPACE, key).contains(&ME) == is_here).unwrap()
    }

    /// Lets the coordinator do something. Gives what it wants done then.
    fn run(
        &mut self,
        step: impl FnOnce(&mut Coordinator, &mut Surroundings<'_>, &mut Outbox<'_>),
    ) -> Vec<Effect> {
        let mut around = Surroundings {
            config: &self.config,
            directory: &self.directory,
            replica: &mut self.replica,
            handoff: &mut self.handoff,
            may_mint: true,
        };
        let mut out = Outbox {
            now: Moment { monotonic: self.now, wall_millis: 1_700_000_000_000 },
            sender: &self.sender,
            effects: &mut self.effects,
            local: &mut self.local,
            last_number: &mut self.last_number,
        };
        step(&mut self.coordinator, &mut around, &mut out);
        std::mem::take(&mut self.effects)
    }

    fn request(&mut self, level: Level, operation: Operation) -> Vec<Effect> {
        let request = Request {
            keyspace: KEYSPACE,
            operation,
            level,
            sloppy: false,
            durability: Durability::Synced,
            timeout: Duration::from_secs(1),
        };
        self.run(|coordinator, around, out| {
            coordinator.request(Origin::client(RequestId(1)), request, around, out);
        })
    }

    fn put(&mut self, level: Level, key: &Slice, context: Option<Context>) -> Vec<Effect> {
        let change = Change::Put { value: "v".into(), expires_at: None };
        self.request(level, Operation::Write { key: key.clone(), change, context })
    }

    /// The store has done what it was asked last.
    fn stored(&mut self, effects: &[Effect], outcome: StoreOutcome) -> Vec<Effect> {
        let asked = effects.iter().rev().find_map(|effect| match effect {
            Effect::Store { ticket, .. } => Some(*ticket),
            _ => None,
        });
        let mut told = None;
        let directory = std::mem::take(&mut self.directory);
        let replica = &mut told;
        self.run(|_, around, out| *replica = around.replica.stored(asked.unwrap(), outcome, &directory, out));
        self.directory = directory;
        match told {
            Some(told) => self.run(|coordinator, around, out| coordinator.told(told, around, out)),
            None => Vec::new(),
        }
    }
}

/// The messages among effects, with the nodes that they are for.
fn sent(effects: &[Effect]) -> Vec<(u64, &Message)> {
    let node = |to: &Address| to.trim_start_matches("host-").trim_end_matches(":7000").parse().unwrap();
    let mut sent = Vec::new();
    for effect in effects {
        if let Effect::Send { to, envelope } = effect {
            sent.push((node(to), &envelope.message));
        }
    }
    sent
}

fn response(effects: &[Effect]) -> Option<&Response> {
    effects.iter().find_map(|effect| match effect {
        Effect::Respond { response, .. } => Some(response),
        _ => None,
    })
}

fn question(message: &Message) -> QuestionId {
    match message {
        Message::Page { question, .. } | Message::Read { question, .. } | Message::Write { question, .. } => {
            *question
        }
        other => panic!("{other:?} is no question"),
    }
}

fn dot(actor: u64, counter: u64) -> Dot {
    Dot { actor: Actor(actor), counter }
}

fn set(dots: &[Dot]) -> SiblingSet {
    let siblings = dots.iter().map(|&dot| Sibling::value(dot, "v".into(), None)).collect();
    SiblingSet::from_parts(VectorClock::new(), siblings)
}

#[test]
fn a_scan_does_not_wait_for_more_than_its_level_needs() {
    let mut bench = Bench::new(3);
    let scan = Operation::Scan { from: Vec::new(), limit: 10, values: true };
    let asked = bench.request(Level::Quorum, scan);
    let (own, other) = (question(&bench.local.pop_front().unwrap()), question(sent(&asked)[0].1));
    let first = bench.run(|c, around, out| c.page_answer(own, Ok(Page::default()), around, out));
    assert!(response(&first).is_none(), "one of three is no quorum");
    let second = bench.run(|c, around, out| c.page_answer(other, Ok(Page::default()), around, out));
    assert!(matches!(response(&second), Some(Response::Scanned { .. })), "two are");
}

#[test]
fn a_node_whose_page_has_holes_does_not_count_and_is_healed() {
    let mut bench = Bench::new(3);
    let key = bench.key(true);
    let scan = Operation::Scan { from: Vec::new(), limit: 10, values: true };
    let asked = bench.request(Level::Quorum, scan);
    let own = question(&bench.local.pop_front().unwrap());
    let others: Vec<(u64, QuestionId)> =
        sent(&asked).iter().map(|(node, message)| (*node, question(message))).collect();
    bench.run(|c, around, out| c.page_answer(own, Ok(Page::default()), around, out));
    let page = Page { unreadable: vec![key.clone()], ..Page::default() };
    let healing = bench.run(|c, around, out| c.page_answer(others[0].1, Ok(page), around, out));
    assert!(response(&healing).is_none());
    // The two others of the key are read, and what they have is sent in the place of the record.
    let reads: Vec<QuestionId> = bench
        .local
        .drain(..)
        .map(|m| question(&m))
        .chain(sent(&healing).iter().map(|(_, m)| question(m)))
        .collect();
    assert_eq!(reads.len(), 2);
    assert!(sent(&healing).iter().all(|(node, _)| *node == others[1].0));
    bench.run(|c, around, out| c.read_answer(reads[0], Ok(set(&[dot(7, 1)])), around, out));
    let both = bench.run(|c, around, out| c.read_answer(reads[1], Ok(set(&[dot(8, 2)])), around, out));
    let (to, write) = sent(&both)[0];
    let Message::Write { heals: true, set: known, key: of, .. } = write else { panic!("{write:?}") };
    assert_eq!((to, of, known), (others[0].0, &key, &set(&[dot(7, 1), dot(8, 2)])));
    let done = bench.run(|c, around, out| c.write_answer(question(write), Ok(()), around, out));
    assert!(done.is_empty());
    assert_eq!(bench.coordinator.counters().healed, 1);
}

#[test]
fn one_other_replica_of_three_is_not_enough_to_heal() {
    let mut bench = Bench::new(3);
    let key = bench.key(true);
    bench.directory.entries.get_mut(&NodeId(3)).unwrap().ready = false;
    let damaged = (KEYSPACE, key, NodeId(2));
    let effects = bench.run(|c, around, out| c.heal(damaged, around, out));
    assert!(effects.is_empty() && bench.local.is_empty());
}

#[test]
fn a_failed_mint_that_is_handed_on_keeps_its_clients_deadline() {
    let mut bench = Bench::new(3);
    let key = bench.key(true);
    let minting = bench.put(Level::Quorum, &key, None);
    bench.now += Duration::from_millis(600);
    let failure = StoreFailure::ReadOnly("the disk is full".to_owned());
    let forwarded = bench.stored(&minting, StoreOutcome::Failed(failure));
    let (_, message) = sent(&forwarded)[0];
    let Message::Forward { life: 5, request, .. } = message else { panic!("{message:?}") };
    assert!(request.timeout < Duration::from_millis(400), "{:?}", request.timeout);
    bench.now += Duration::from_millis(400);
    let over = bench.run(|coordinator, around, out| coordinator.tick(around, out));
    assert!(matches!(response(&over), Some(Response::Unknown { .. })));
}

#[test]
fn a_stand_in_that_minted_waits_for_every_copy_that_it_keeps() {
    let mut bench = Bench::new(4);
    let key = bench.key(false);
    bench.directory.entries.iter_mut().filter(|(node, _)| **node != ME).for_each(|(_, e)| e.alive = false);
    let minting = bench.put(Level::Any, &key, None);
    let Some(Effect::Store { operation: StoreOperation::Mint { copy: Copy::For(_), .. }, ticket }) =
        minting.first()
    else {
        panic!("{minting:?}")
    };
    let minted = StoreOutcome::Minted { set: set(&[dot(9, 1)]), context: Context::default(), truncated: 0 };
    bench.stored(&minting, minted);
    let copies: Vec<QuestionId> = bench.local.drain(..).map(|message| question(&message)).collect();
    assert_eq!(copies.len(), 2, "of three replicas");
    let answered = bench.run(|c, around, out| c.write_answer(copies[0], Ok(()), around, out));
    let Some(Response::Written { acks: 0, fallbacks: 1, .. }) = response(&answered) else {
        panic!("{answered:?}")
    };
    let ticket = *ticket;
    bench.run(|_, around, out| around.replica.durable(ticket, Ok(()), out));
    let Some(Message::WriteAnswer { question: own, .. }) = bench.local.pop_front() else {
        panic!("no answer")
    };
    bench.run(|c, around, out| c.write_answer(own, Ok(()), around, out));
    assert_eq!(bench.coordinator.tasks.len(), 1, "one copy is not durable yet");
    bench.run(|c, around, out| c.write_answer(copies[1], Ok(()), around, out));
    assert!(bench.coordinator.tasks.is_empty());
}

/// What stands beside a write and is not known here is learned before the dot is given.
#[test]
fn a_store_that_is_behind_a_context_is_brought_up_before_it_mints() {
    let mut bench = Bench::new(3);
    let key = bench.key(true);
    let beside = dot(7, 3);
    let seen = Context::new([dot(7, 5)].into_iter().collect(), vec![beside]);
    let minting = bench.put(Level::Quorum, &key, Some(seen));
    let behind = StoreOutcome::Failed(StoreFailure::BehindContext { missing: beside });
    let asking = bench.stored(&minting, behind.clone());
    let reads: Vec<QuestionId> = sent(&asking).iter().map(|(_, message)| question(message)).collect();
    assert_eq!(reads.len(), 2);
    bench.run(|c, around, out| c.read_answer(reads[0], Ok(SiblingSet::new()), around, out));
    assert!(bench.local.is_empty(), "that one knows of nothing");
    let known = set(&[beside, dot(7, 5)]);
    bench.run(|c, around, out| c.read_answer(reads[1], Ok(known.clone()), around, out));
    let Some(Message::Write { question: told, set: learned, .. }) = bench.local.pop_front() else {
        panic!("this store is told")
    };
    assert_eq!(learned, known);
    let again = bench.run(|c, around, out| c.write_answer(told, Ok(()), around, out));
    assert!(
        matches!(&again[..], [Effect::Store { operation: StoreOperation::Mint { .. }, .. }]),
        "{again:?}"
    );
}

#[test]
fn a_context_beside_what_nobody_knows_is_rejected_and_nothing_is_written() {
    let mut bench = Bench::new(3);
    let key = bench.key(true);
    let seen = Context::new([dot(7, 5)].into_iter().collect(), vec![dot(7, 3)]);
    for answers in [0, 1, 2] {
        let minting = bench.put(Level::Quorum, &key, Some(seen.clone()));
        let behind = StoreOutcome::Failed(StoreFailure::BehindContext { missing: dot(7, 3) });
        let asking = bench.stored(&minting, behind);
        let reads: Vec<QuestionId> = sent(&asking).iter().map(|(_, message)| question(message)).collect();
        let mut last = Vec::new();
        for &read in reads.iter().take(answers) {
            assert!(response(&last).is_none());
            last = bench.run(|c, around, out| c.read_answer(read, Ok(SiblingSet::new()), around, out));
        }
        if answers < 2 {
            bench.now += Duration::from_secs(1);
            last = bench.run(|coordinator, around, out| coordinator.tick(around, out));
        }
        let Some(Response::Rejected(Rejection::NotReady(why))) = response(&last) else { panic!("{last:?}") };
        assert!(why.contains("context of that read"), "{why}");
        assert!(bench.coordinator.tasks.is_empty() && bench.local.is_empty());
    }
}
