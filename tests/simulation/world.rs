//! [`World`]: machines, network and clients of one schedule, and the queue of what happens next.
//!
//! Time is virtual: it goes from one event to the next, in the order of their times and, at the same time, of their making.
//! Nothing else decides what happens than the seed.

use crate::budget::Budget;
use crate::dice::Dice;
use crate::faults::Undo;
use crate::history::{History, KeyFacts, KeyIndex, MachineId, OpId, Violation};
use crate::machine::{Machine, address};
use crate::network::Network;
use crate::plan::Plan;
use crate::requests::Requests;
use crate::trace::{Keep, Trace};
use crate::workload::Clients;
use esker_cluster::ClusterState;
use esker_cluster::causality::VectorClock;
use esker_cluster::request::Request;
use esker_cluster::store::{StoreOperation, StoreOutcome};
use esker_cluster::{Address, Event, RequestId, Ticket};
use std::collections::BTreeMap;
use std::time::Duration;

/// Something that is going to happen.
pub(crate) enum Happening {
    /// Bytes come in.
    Deliver { from: MachineId, to: MachineId, bytes: Vec<u8>, damaged: bool },
    /// A node wanted to be woken.
    Wake { machine: MachineId, life: u64, at: Duration },
    /// A client's request comes in.
    Ask { machine: MachineId, life: u64, op: OpId, request: Box<Request> },
    /// A store operation is run.
    Run { machine: MachineId, life: u64, ticket: Ticket, operation: Box<StoreOperation> },
    /// A node hears what became of a store operation.
    Stored { machine: MachineId, life: u64, ticket: Ticket, outcome: Box<StoreOutcome> },
    /// A store's background work is done.
    Background { machine: MachineId, life: u64 },
    /// A node hears that a connection broke, or can be made again.
    Peer { machine: MachineId, life: u64, address: Address, found: bool },
    /// A client has thought.
    Client(usize),
    /// A client has waited long enough.
    GiveUp(OpId),
    /// Somebody defines a keyspace.
    Define,
    /// Something goes wrong.
    Fault,
    /// Something is set right again.
    Undo(Undo),
    /// A process is started.
    Start(MachineId),
}

impl Happening {
    /// The machine whose process this is for.
    fn is_for(&self) -> Option<MachineId> {
        match self {
            Happening::Deliver { to, .. } => Some(*to),
            Happening::Wake { machine, .. }
            | Happening::Ask { machine, .. }
            | Happening::Run { machine, .. }
            | Happening::Stored { machine, .. }
            | Happening::Background { machine, .. }
            | Happening::Peer { machine, .. } => Some(*machine),
            _ => None,
        }
    }
}

/// A schedule with more events than this is one that does not end.
const MOST_EVENTS: u64 = 300_000;

/// One schedule.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    pub(crate) now: Duration,
    sequence: u64,
    queue: BTreeMap<(Duration, u64), Happening>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) clients: Clients,
    pub(crate) requests: Requests,
    pub(crate) budget: Budget,
    /// The newest state of the cluster that any store keeps.
    pub(crate) state: Option<ClusterState>,
    /// The states that stores keep or kept, by cluster and epoch.
    pub(crate) epochs: BTreeMap<(u128, u64), ClusterState>,
    /// What each store has said to be synced, by machine and key.
    pub(crate) synced: BTreeMap<(MachineId, KeyIndex), VectorClock>,
    pub(crate) history: History,
    pub(crate) trace: Trace,
    /// Whether clients and faults go on.
    pub(crate) busy: bool,
    /// Whether everything was set right at the end.
    pub(crate) healed: bool,
    pub(crate) events: u64,
    /// How often something went wrong.
    pub(crate) faults: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, keep: Keep) -> World {
        let mut dice = Dice::new(plan.seed ^ 0x0057_0051_u64);
        let plans = plan.machines.iter().enumerate();
        let machines = plans.map(|(id, machine)| Machine::new(id, machine.clone(), &mut dice)).collect();
        let network = Network::new(plan.network.clone(), dice.fork());
        let clients = Clients::new(&plan, &mut dice);
        let name = |key: &esker::Slice| String::from_utf8_lossy(key).into_owned();
        let facts = |key| KeyFacts { name: name(key), mode: plan.mode, replicas: Vec::new() };
        let keys = clients.keys().iter().map(facts).collect();
        World {
            dice,
            now: Duration::ZERO,
            sequence: 0,
            queue: BTreeMap::new(),
            machines,
            network,
            clients,
            requests: Requests::default(),
            budget: Budget::default(),
            state: None,
            epochs: BTreeMap::new(),
            synced: BTreeMap::new(),
            history: History { keys, ..History::default() },
            trace: Trace::new(keep),
            busy: false,
            healed: false,
            events: 0,
            faults: 0,
            plan,
        }
    }

    /// Something is going to happen after a while.
    pub(crate) fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    /// Something is going to happen at a time.
    pub(crate) fn at(&mut self, at: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), happening);
    }

    /// Lets happen what happens until `end`, or until `done`.
    pub(crate) fn run_until(&mut self, end: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let Some((&(at, _), _)) = self.queue.first_key_value() else { break };
            if at > end {
                break;
            }
            let Some((_, happening)) = self.queue.pop_first() else { break };
            self.now = at;
            if let Some(machine) = happening.is_for() {
                let until = self.machines[machine].paused_until;
                if until > self.now {
                    self.at(until, happening);
                    continue;
                }
            }
            self.events += 1;
            if self.events == MOST_EVENTS {
                self.violated("a cluster comes to rest", format!("{MOST_EVENTS} events, and more to come"));
                self.queue.clear();
                return false;
            }
            self.happen(happening);
        }
        self.now = self.now.max(end);
        done(self)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { from, to, bytes, damaged } => self.deliver(from, to, &bytes, damaged),
            Happening::Wake { machine, life, at } => self.wake(machine, life, at),
            Happening::Ask { machine, life, op, request } => {
                self.step(machine, life, Event::Request { id: RequestId(op), request: *request });
            }
            Happening::Run { machine, life, ticket, operation } => {
                self.run_operation(machine, life, ticket, *operation)
            }
            Happening::Stored { machine, life, ticket, outcome } => {
                self.stored(machine, life, ticket, *outcome)
            }
            Happening::Background { machine, life } => self.background(machine, life),
            Happening::Peer { machine, life, address, found } => self.peer(machine, life, address, found),
            Happening::Client(client) => self.client(client),
            Happening::GiveUp(op) => self.give_up(op),
            Happening::Define => self.define(),
            Happening::Fault => self.fault(),
            Happening::Undo(undo) => self.undo(undo),
            Happening::Start(machine) => self.start(machine),
        }
    }

    /// Something was seen to be wrong.
    pub(crate) fn violated(&mut self, checker: &'static str, what: String) {
        self.trace.note(self.now, || format!("VIOLATION {checker}: {what}"));
        self.history.seen.push(Violation { checker, what });
    }

    /// The machine at an address.
    pub(crate) fn machine_at(&self, at: &str) -> Option<MachineId> {
        self.machines.iter().position(|machine| &*machine.address == at)
    }

    /// Learns of a state of the cluster; the ring says who keeps which key.
    pub(crate) fn learn_state(&mut self, state: ClusterState) {
        let known = self.epochs.entry((state.cluster, state.epoch)).or_insert_with(|| state.clone());
        if *known != state {
            let what = format!("epoch {} is {:?} and {:?}", state.epoch, known.keyspaces, state.keyspaces);
            self.violated("one epoch has one state", what);
        }
        let is_other = |known: &ClusterState| known.cluster != state.cluster || known.epoch >= state.epoch;
        if self.state.as_ref().is_some_and(is_other) {
            return;
        }
        if let Some(ring) = &state.ring {
            let keys: Vec<Vec<u8>> = self.clients.keys().iter().map(|key| key.to_vec()).collect();
            for (index, key) in keys.iter().enumerate() {
                let partition = ring.partition_of(esker_cluster::ring::Token::of_key(key));
                let nodes = ring.preference_list(partition);
                let machines = nodes.filter_map(|node| {
                    let member = state.members.iter().find(|member| member.id == node)?;
                    self.machine_at(&member.peer_address)
                });
                self.history.keys[index].replicas = machines.collect();
            }
            self.trace.note(self.now, || "the ring is sealed".to_owned());
        }
        self.state = Some(state);
    }

    /// Addresses of machines other than this one, for joining.
    pub(crate) fn others(&self, id: MachineId) -> Vec<String> {
        let count = self.plan.machines.len();
        (0..count).filter(|other| *other != id).map(|other| address(other).to_string()).collect()
    }
}
