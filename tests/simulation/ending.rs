//! A schedule from its beginning to its end: the cluster forms, is used while things go wrong, is healed, comes to rest and is
//! looked at.

use crate::history::{FinalCopy, History, Known, Loss, Outcome, Violation};
use crate::plan::Plan;
use crate::trace::{Keep, Trace};
use crate::workload::KEYSPACE;
use crate::world::{Happening, World};
use crate::{checkers, history::OpId};
use esker::Durability;
use esker_cluster::request::{Level, Operation, Request};
use esker_cluster::store::KeyspaceDefinition;
use esker_cluster::store::{StoreOperation, StoreOutcome};
use esker_cluster::{ClusterState, NodeId};
use std::time::Duration;

/// What became of a schedule.
pub(crate) struct Ended {
    pub(crate) history: History,
    pub(crate) violations: Vec<Violation>,
    pub(crate) trace: Trace,
    pub(crate) events: u64,
    pub(crate) faults: u64,
}

/// How long the cluster has for each thing that it has to come to by itself, on its own clock.
const PATIENCE: Duration = Duration::from_secs(90);

const COMES_BACK: &str = "a healed cluster comes back";

/// Runs the schedule of a plan.
pub(crate) fn run(plan: Plan, keep: Keep) -> Ended {
    let mut world = World::new(plan, keep);
    if world.form() {
        world.work();
        world.heal();
        if world.come_to_rest() {
            world.look();
        }
    }
    let World { history, trace, events, faults, .. } = world;
    let violations = checkers::check(&history);
    Ended { history, violations, trace, events, faults }
}

impl World {
    /// The cluster forms. Messages may be lost already.
    fn form(&mut self) -> bool {
        self.start(0);
        let count = self.plan.machines.len();
        for machine in 1..count {
            let delay = self.dice.time(Duration::from_millis(5), Duration::from_millis(300));
            self.after(delay, Happening::Start(machine));
        }
        let formed = |world: &World| {
            let joined = world.state.as_ref().is_some_and(|state| state.members.len() == count);
            joined && world.machines.iter().all(|machine| machine.is_ready())
        };
        let mut is_formed = self.run_until(PATIENCE, formed);
        if is_formed && self.dice.chance(150) {
            // Nothing is written yet, and nobody but the founder can seal the ring.
            self.wipe(0);
            // The others remember that it had more, and it cannot know that this was nothing.
            self.machines[0].put_back = true;
            is_formed = self.run_until(self.now + PATIENCE, formed);
        }
        if !is_formed {
            let members = self.state.as_ref().map_or(0, |state| state.members.len());
            self.violated("a cluster forms", format!("{members} of {count} machines became members"));
        }
        is_formed
    }

    /// Clients work, and things go wrong.
    fn work(&mut self) {
        self.busy = true;
        for client in 0..self.clients.len() {
            let delay = self.clients.thinks(client);
            self.after(delay, Happening::Client(client));
        }
        // The first write seals the ring before anything goes wrong: until then every member is needed.
        let patience = self.now + Duration::from_secs(10);
        self.run_until(patience, |world| world.state.as_ref().is_some_and(|state| state.ring.is_some()));
        self.after(Duration::from_millis(500), Happening::Fault);
        for _ in 0..self.dice.below(5) {
            let delay = self.dice.time(Duration::ZERO, self.plan.run_for);
            self.after(delay, Happening::Define);
        }
        let end = self.now + self.plan.run_for;
        self.run_until(end, |_| false);
        self.busy = false;
    }

    /// Everything is set right.
    fn heal(&mut self) {
        self.trace.note(self.now, || "HEAL".to_owned());
        // Answers that are still due come first, or the clients give up.
        let end = self.now + Duration::from_millis(2_500);
        self.run_until(end, |_| false);
        self.network.heal();
        self.healed = true;
        for id in 0..self.machines.len() {
            self.machines[id].env.clear_faults();
            self.machines[id].slowness = 1;
            if self.machines[id].twin {
                if self.machines[id].process.is_some() {
                    self.crash(id, Loss::Process);
                }
                continue;
            }
            let replace = self.machines[id].spoiled || self.machines[id].astray;
            self.machines[id].forgets = false;
            if replace {
                self.machines[id].wipe(&mut self.dice);
                self.lost(id, Loss::Directory);
                self.synced.retain(|(machine, _), _| *machine != id);
            }
            // A store that met a failing disk takes no writes until it is opened again.
            let stuck = self.machines[id].process.as_ref().is_some_and(|p| p.store.is_writable().is_err());
            if stuck {
                self.crash(id, Loss::Process);
            }
            self.start(id);
        }
        for id in 0..self.machines.len() {
            let life = self.machines[id].life;
            let lost: Vec<_> = self.machines[id].lost.iter().cloned().collect();
            for address in lost {
                let there =
                    self.machine_at(&address).is_some_and(|other| self.machines[other].process.is_some());
                if there {
                    self.after(
                        Duration::from_millis(20),
                        Happening::Peer { machine: id, life, address, found: true },
                    );
                }
            }
        }
    }

    fn come_to_rest(&mut self) -> bool {
        let end = self.now + PATIENCE;
        let count = self.plan.machines.len();
        let ready =
            self.run_until(end, |world| world.machines[..count].iter().all(|machine| machine.is_ready()));
        if !ready {
            let not: Vec<usize> = (0..count).filter(|id| !self.machines[*id].is_ready()).collect();
            self.violated(COMES_BACK, format!("machines {not:?} do not get their data back"));
            return false;
        }
        let quiet = self.now + Duration::from_secs(5);
        self.run_until(quiet, |_| false);
        // Twice: what the first reading brought up, the second finds.
        for _ in 0..2 {
            if !self.read_everything() {
                return false;
            }
        }
        true
    }

    /// Reads every key from all its replicas.
    fn read_everything(&mut self) -> bool {
        let count = self.plan.machines.len();
        for key in 0..self.clients.keys().len() {
            let mut said = String::new();
            let mut found = false;
            for attempt in 0..10 {
                let op = self.clients.extra_op();
                let request = Request {
                    keyspace: KEYSPACE,
                    operation: Operation::Get { key: self.clients.keys()[key].clone(), context: None },
                    level: Level::All,
                    sloppy: false,
                    durability: Durability::Synced,
                    timeout: Duration::from_secs(5),
                };
                let machine = (key + attempt) % count;
                self.ask(None, op, key, machine, request);
                let patience = self.now + Duration::from_secs(6);
                self.run_until(patience, |world| world.requests.is_over(op));
                match self.outcome(op) {
                    Some(Outcome::Done(_)) => found = true,
                    Some(Outcome::Refused(why) | Outcome::Unknown(why)) => said = why,
                    None => {}
                }
                if found {
                    break;
                }
                let while_ = self.now + Duration::from_secs(1);
                self.run_until(while_, |_| false);
            }
            if !found {
                let name = self.history.keys[key].name.clone();
                self.violated(COMES_BACK, format!("{name} cannot be read from all its replicas: {said}"));
                return false;
            }
        }
        true
    }

    fn outcome(&self, op: OpId) -> Option<Outcome<()>> {
        let read = self.history.reads.iter().rev().find(|read| read.id == op)?;
        Some(match &read.outcome {
            Outcome::Done(_) => Outcome::Done(()),
            Outcome::Refused(why) => Outcome::Refused(why.clone()),
            Outcome::Unknown(why) => Outcome::Unknown(why.clone()),
        })
    }

    /// All members keep one state, in which no number names two keyspaces.
    fn compare_states(&mut self) {
        let count = self.plan.machines.len();
        let states: Vec<Option<ClusterState>> = self.machines[..count]
            .iter()
            .map(|machine| machine.process.as_ref().and_then(|process| process.node.cluster_state().cloned()))
            .collect();
        let epochs: Vec<Option<u64>> = states.iter().map(|state| state.as_ref().map(|s| s.epoch)).collect();
        if states.windows(2).any(|pair| pair[0] != pair[1]) {
            self.violated("all members keep one state", format!("they are at {epochs:?}"));
        }
        for ((_, epoch), state) in self.epochs.clone() {
            for keyspace in &state.keyspaces {
                let named = |other: &&ClusterState| {
                    let clash = |k: &KeyspaceDefinition| k.id == keyspace.id && k.name != keyspace.name;
                    other.cluster == state.cluster && other.keyspaces.iter().any(clash)
                };
                if let Some(other) = self.epochs.values().find(named) {
                    let what =
                        format!("{keyspace:?} of epoch {epoch} has another name in epoch {}", other.epoch);
                    self.violated("one number names one keyspace", what);
                    return;
                }
            }
        }
    }

    /// Looks into every store.
    fn look(&mut self) {
        self.compare_states();
        let members: Vec<(NodeId, usize)> = match &self.state {
            Some(state) => state
                .members
                .iter()
                .filter_map(|member| Some((member.id, self.machine_at(&member.peer_address)?)))
                .collect(),
            None => Vec::new(),
        };
        let waits = |world: &World| {
            let stores = world.machines.iter().filter(|m| !m.twin).filter_map(|m| m.process.as_ref());
            stores.map(|process| process.store.hints_waiting().values().sum::<u64>()).sum::<u64>()
        };
        let patience = self.now + PATIENCE;
        if !self.run_until(patience, |world| waits(world) == 0) {
            let count = self.plan.machines.len();
            for machine in 0..count {
                let Some(process) = &self.machines[machine].process else { continue };
                for (node, left) in process.store.hints_waiting() {
                    let target = members.iter().find(|(id, _)| *id == node).map_or(usize::MAX, |(_, at)| *at);
                    self.history.hints_left.push((machine, target, left as usize));
                }
            }
        }
        for key in 0..self.clients.keys().len() {
            for machine in self.history.keys[key].replicas.clone() {
                let user = self.clients.keys()[key].clone();
                let Some(process) = &self.machines[machine].process else { continue };
                let read = StoreOperation::Read { keyspace: KEYSPACE, key: user, bodies: true };
                let known = match process.store.execute(read).0 {
                    StoreOutcome::Set { set } => Ok(Known::of(&set)),
                    other => Err(format!("{other:?}")),
                };
                self.history.copies.push(FinalCopy { machine, key, known });
            }
        }
    }
}
