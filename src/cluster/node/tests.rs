//! A node on a real store, and others that say what the test wants.

use super::*;
use crate::causality::ConflictMode;
use crate::formation::keep;
use crate::id::NodeId;
use crate::membership::{Entry, Gossip, MemberInfo, Status};
use crate::message::Envelope;
use crate::request::{Level, Operation};
use crate::ring::{Ring, RingMember};
use crate::state::MemberRecord;
use crate::store::{Change, Continuity, KeyspaceDefinition, KeyspaceId, Store, StoreConfig, StoreOperation};
use crate::{RequestId, Ticket};
use esker::testing::SimEnv;
use esker::{Durability, Slice};
use std::sync::Arc;

const CLUSTER: u128 = 5;
const HERE: Continuity = Continuity { fingerprint: 1, boot: 1 };
const WALL: u64 = 1_700_000_000_000;

/// One node of three; the others are what the test makes of them.
struct Bench {
    store: Store,
    node: Node,
    now: Duration,
    answers: Vec<Response>,
    sent: Vec<(Address, Message)>,
    notices: Vec<crate::Notice>,
}

fn address(member: u64) -> String {
    format!("10.0.0.{member}:7000")
}

fn record(member: u64) -> MemberRecord {
    let (zone, dc) = ("z1".to_owned(), "dc1".to_owned());
    MemberRecord { id: NodeId(member), peer_address: address(member), weight: 1, zone, dc }
}

/// The state that members 1, 2 and 3 keep.
fn state(founder: u64, epoch: u64) -> ClusterState {
    let members: Vec<MemberRecord> = (1..=3).map(record).collect();
    let placed =
        |m: &MemberRecord| RingMember { id: m.id, weight: m.weight, zone: m.zone.clone(), dc: m.dc.clone() };
    let ring = Ring::place(16, 3, &members.iter().map(placed).collect::<Vec<_>>(), None).unwrap();
    let (name, mode) = ("default".to_owned(), ConflictMode::Causal);
    let keyspaces = vec![KeyspaceDefinition { id: KeyspaceId(0), name, mode, replicas: 3 }];
    let founder = NodeId(founder);
    ClusterState {
        cluster: CLUSTER,
        founder,
        epoch,
        replicas: 3,
        partitions: 16,
        members,
        keyspaces,
        ring: Some(ring),
    }
}

impl Bench {
    /// Member 1, started on this directory.
    fn start(env: &SimEnv, state: &ClusterState, entropy: u64) -> Bench {
        let config = StoreConfig { env: Arc::new(env.clone()), ..StoreConfig::default() };
        let store = Store::open("store", config, HERE, entropy, WALL).unwrap();
        if store.cluster_state_bytes().is_none() {
            let identity = Identity { node: NodeId(1), cluster: CLUSTER, alone: false, ..store.identity() };
            store.execute(StoreOperation::Adopt(identity));
            let (bytes, keyspaces) = (keep(state, true), state.keyspaces.clone());
            store.execute(StoreOperation::KeepClusterState { bytes, keyspaces });
        }
        let kept = crate::formation::kept(&store.cluster_state_bytes().unwrap()).unwrap();
        let now = Moment { monotonic: Duration::ZERO, wall_millis: WALL };
        let (hints, marks) = (store.hints_waiting(), store.marks());
        let config = NodeConfig::new(address(1));
        let node = Node::new(config, store.identity(), Some(kept), hints, marks, 3, now);
        let (answers, sent, notices) = (Vec::new(), Vec::new(), Vec::new());
        let mut bench = Bench { store, node, now: Duration::ZERO, answers, sent, notices };
        bench.step(Event::Tick);
        bench
    }

    fn step(&mut self, event: Event) {
        let now = Moment { monotonic: self.now, wall_millis: WALL + self.now.as_millis() as u64 };
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            self.node.step(now, event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Store { ticket, operation } => events.extend(self.execute(ticket, operation)),
                    Effect::Send { to, envelope } => self.sent.push((to, envelope.message)),
                    Effect::Respond { response, .. } => self.answers.push(response),
                    Effect::Notice(notice) => self.notices.push(notice),
                }
            }
        }
    }

    fn execute(&self, ticket: Ticket, operation: StoreOperation) -> Vec<Event> {
        let (outcome, commit) = self.store.execute(operation);
        let mut events = vec![Event::Stored { ticket, outcome }];
        if let Some(commit) = commit {
            commit.begin();
            while self.store.step_background().unwrap() {}
            assert!(matches!(commit.poll(), Some(Ok(()))));
            events.push(Event::Durable { ticket, result: Ok(()) });
        }
        events
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(100);
            self.step(Event::Tick);
        }
    }

    /// Another member gossips.
    fn hear(&mut self, from: u64, status: Status, marks: &[(u64, u64)], others: Vec<Entry>) {
        let gossip = Gossip {
            cluster: CLUSTER,
            answer: false,
            from: entry(from, 1, 10 + self.now.as_millis() as u64, status),
            members: others,
            suspicions: Vec::new(),
            marks: marks.iter().map(|(id, number)| (NodeId(*id), *number)).collect(),
        };
        self.receive(from, Message::Gossip(gossip));
    }

    /// This node, as it is known to somebody who has heard of its store.
    fn itself(&self) -> Vec<Entry> {
        let identity = &self.node.identity;
        let mut known = entry(identity.node.0, identity.generation, 1, Status::default());
        Arc::make_mut(&mut known.info).incarnation = identity.actor.0;
        vec![known]
    }

    fn receive(&mut self, from: u64, message: Message) {
        let reply_to = Address::from(address(from).as_str());
        self.step(Event::Received(Envelope { cluster: CLUSTER, from: NodeId(from), reply_to, message }));
    }

    /// What becomes of a write at QUORUM that has much time.
    fn write(&mut self) -> Option<Response> {
        self.answers.clear();
        self.step(Event::Request { id: RequestId(1), request: request() });
        self.answers.pop()
    }
}

/// A write at QUORUM that has much time.
fn request() -> Request {
    let change = Change::Put { value: Slice::from("v"), expires_at: None };
    Request {
        keyspace: KeyspaceId(0),
        operation: Operation::Write { key: Slice::from("k"), change, context: None },
        level: Level::Quorum,
        sloppy: false,
        durability: Durability::Synced,
        timeout: Duration::from_secs(60),
    }
}

fn entry(id: u64, generation: u64, heartbeat: u64, status: Status) -> Entry {
    let text = String::new;
    let info = MemberInfo {
        id: NodeId(id),
        generation,
        incarnation: 1_000 * id,
        peer: address(id),
        resp: text(),
        http: text(),
        zone: "z1".to_owned(),
        dc: "dc1".to_owned(),
        weight: 1,
        status,
        wall_ms: WALL,
    };
    Entry { info: Arc::new(info), heartbeat, silent: Duration::ZERO }
}

#[test]
fn a_quorum_of_members_that_nobody_ever_heard_is_rejected_and_not_waited_for() {
    let mut bench = Bench::start(&SimEnv::new(), &state(2, 4), 1);
    bench.run_for(Duration::from_millis(2_500));
    assert!(bench.write().is_none(), "it waits for those who may be about to say something");
    bench.run_for(Duration::from_secs(3));
    assert!(matches!(bench.write(), Some(Response::Rejected(_))), "nobody is there");
    // One of them is, after all.
    bench.hear(2, Status::default(), &[], Vec::new());
    assert!(bench.write().is_none());
    let asked = bench.sent.iter().filter(|(_, message)| matches!(message, Message::Write { .. }));
    assert!(asked.count() > 0, "it is asked again");
}

#[test]
fn reads_count_for_nothing_before_others_had_their_say() {
    let mut bench = Bench::start(&SimEnv::new(), &state(2, 4), 1);
    let read = |bench: &mut Bench, number: u64| {
        bench.sent.clear();
        let (question, key) = (QuestionId(number), Slice::from("k"));
        bench.receive(2, Message::Read { question, keyspace: KeyspaceId(0), key, bodies: true });
        bench.sent.iter().find_map(|(_, message)| match message {
            Message::ReadAnswer { result, .. } => Some(result.is_ok()),
            _ => None,
        })
    };
    assert_eq!(read(&mut bench, 8), Some(false));
    // Nobody says anything: it goes on for itself, and still has no part in what others read.
    bench.run_for(Duration::from_secs(3));
    assert_eq!(read(&mut bench, 16), None);
    bench.hear(2, Status::default(), &[], Vec::new());
    assert_eq!(read(&mut bench, 24), Some(true));
}

#[test]
fn what_is_learned_while_an_identity_is_being_stored_is_learned_too() {
    let mut bench = Bench::start(&SimEnv::new(), &state(2, 4), 1);
    let before = bench.store.identity();
    // In one message: a later life of this node, and a store that had come further.
    let past = entry(1, before.generation + 50, 3, Status::default());
    bench.hear(2, Status::default(), &[(1, 1 << 40)], vec![past]);
    let after = bench.store.identity();
    assert!(!after.ready && after.claim == 1 << 40, "{after:?}");
    assert!(after.generation > before.generation + 50 && after.actor != before.actor, "{after:?}");
    let told = bench.node.membership.as_ref().map(|membership| membership.me().generation);
    assert_eq!(told, Some(after.generation), "and said to others");
}

#[test]
fn a_state_that_differs_from_the_founders_ends_the_node_and_says_so() {
    let mut bench = Bench::start(&SimEnv::new(), &state(2, 4), 1);
    let status = Status { ring_epoch: 4, ring_digest: bench.node.formation.digest(), ..Status::default() };
    bench.hear(2, status, &[], Vec::new());
    bench.hear(3, Status { ring_digest: 7, ..status }, &[], Vec::new());
    let divided = |bench: &Bench, node: u64| {
        bench.notices.contains(&crate::Notice::Divided { epoch: 4, other: NodeId(node) })
    };
    assert!(!divided(&bench, 2) && divided(&bench, 3) && bench.node.over.is_none());
    bench.hear(2, Status { ring_digest: 8, ..status }, &[], Vec::new());
    assert!(divided(&bench, 2) && bench.node.over.is_some());
    assert!(matches!(bench.write(), Some(Response::Rejected(_))));
}

#[test]
fn a_founder_that_lost_its_directory_gives_no_number_before_enough_others_told_theirs() {
    let mut bench = Bench::start(&SimEnv::new(), &state(1, 4), 1);
    // Its store was further once: it is an older copy, and may have made more epochs than it knows.
    bench.hear(2, Status { ring_epoch: 4, ..Status::default() }, &[(1, 1 << 40)], Vec::new());
    bench.node.define_keyspace("new", ConflictMode::Causal, 3).unwrap();
    bench.run_for(Duration::from_secs(1));
    let epoch = |bench: &Bench| bench.node.cluster_state().map(|state| state.epoch);
    assert_eq!(epoch(&bench), Some(4), "the third member may know of more");
    bench.hear(3, Status { ring_epoch: 5, ..Status::default() }, &[], bench.itself());
    bench.run_for(Duration::from_secs(1));
    assert_eq!(epoch(&bench), Some(4), "it knows of more");
    bench.receive(3, Message::State(state(1, 5)));
    let mut before = bench.itself();
    Arc::make_mut(&mut before[0].info).incarnation += 1;
    for known in [Vec::new(), before] {
        bench.hear(2, Status { ring_epoch: 5, ..Status::default() }, &[], known);
        bench.run_for(Duration::from_secs(1));
        assert_eq!(
            epoch(&bench),
            Some(5),
            "what was said before its loss may be outdated by what it did then"
        );
    }
    for member in [2, 3] {
        bench.hear(member, Status { ring_epoch: 5, ..Status::default() }, &[], bench.itself());
    }
    bench.run_for(Duration::from_secs(1));
    assert_eq!(epoch(&bench), Some(7), "it passes over the number that may be given");
    for member in [2, 3] {
        bench.hear(member, Status { ring_epoch: 7, ..Status::default() }, &[], Vec::new());
    }
    bench.run_for(Duration::from_secs(1));
    let state = bench.node.cluster_state().unwrap();
    assert_eq!((state.epoch, state.keyspaces[1].id), (8, KeyspaceId(8)), "{:?}", state.keyspaces);
}

#[test]
fn a_founder_that_lost_its_directory_before_the_seal_gets_its_place_back() {
    let unsealed = ClusterState { ring: None, ..state(2, 3) };
    let mut bench = Bench::start(&SimEnv::new(), &unsealed, 1);
    let emptied =
        |at: u64| MemberInfo { id: NodeId(99), ..(*entry(at, 1, 1, Status::default()).info).clone() };
    let answer = |bench: &Bench| {
        let joined = |(to, message): &(Address, Message)| match message {
            Message::Joined(Ok(answer)) if **to == *address(2) => Some(answer.you),
            _ => None,
        };
        bench.sent.iter().find_map(joined)
    };
    bench.receive(3, Message::Join(emptied(3)));
    assert_eq!(answer(&bench), None, "the founder is asked, as before");
    bench.receive(2, Message::Join(emptied(2)));
    assert_eq!(answer(&bench), Some(NodeId(2)));
}

#[test]
fn a_write_that_is_handed_over_and_comes_twice_is_taken_once_over_all_lives_of_a_node() {
    let env = SimEnv::new();
    let mut bench = Bench::start(&env, &state(2, 4), 1);
    let life = bench.node.identity.generation;
    let handed = Message::Forward { question: QuestionId(8), life, request: request() };
    let unknown = |(_, message): &(Address, Message)| {
        matches!(message, Message::ForwardAnswer { response: Response::Unknown { .. }, .. })
    };
    let taken = |bench: &mut Bench| {
        bench.sent.clear();
        bench.receive(3, handed.clone());
        bench.sent.iter().filter(|(_, message)| matches!(message, Message::Write { .. })).count()
    };
    for member in [2, 3] {
        bench.hear(member, Status::default(), &[], Vec::new());
    }
    assert_eq!(taken(&mut bench), 2, "the other two replicas are told");
    assert_eq!(taken(&mut bench), 0);
    // It learns of a later life of its directory while it runs, and does not forget what it took.
    let later = entry(1, life + 50, 3, Status { ready: true, ..Status::default() });
    bench.hear(2, Status::default(), &[], vec![later]);
    assert!(bench.node.identity.generation > life + 50);
    assert_eq!(taken(&mut bench), 0);
    // What that later life took is not known here.
    bench.sent.clear();
    let other = Message::Forward { question: QuestionId(16), life: life + 50, request: request() };
    bench.receive(3, other);
    assert!(bench.sent.iter().any(unknown), "{:?}", bench.sent);
    drop(bench);
    let mut bench = Bench::start(&env, &state(2, 4), 2);
    for member in [2, 3] {
        bench.hear(member, Status::default(), &[], Vec::new());
    }
    assert_eq!(taken(&mut bench), 0);
    assert!(bench.sent.iter().any(unknown), "{:?}", bench.sent);
}
