//! What goes wrong, and how it is set right again.

use crate::history::{Loss, Lost, MachineId};
use crate::machine::Machine;
use crate::plan::FaultKind;
use crate::world::{Happening, World};
use esker::testing::Fault;
use esker_cluster::Event;
use std::time::Duration;

/// How many calls one after the other fail where a disk fails for a moment.
pub(crate) const DISK_ERRORS: u64 = 4;

/// Something to be set right.
#[derive(Clone, Debug)]
pub(crate) enum Undo {
    /// These ways are opened.
    Mend(Vec<(MachineId, MachineId)>),
    /// The network loses no more than usual.
    Lossy,
    /// The disk is as fast as it was.
    Slow(MachineId),
    /// The disk works again, and the process is started again, for it may take no writes since.
    Disk(MachineId, u64),
    /// The damaged directory is given up for an empty one.
    Replace(MachineId),
    /// A second copy of a directory is switched off.
    Twin(MachineId),
}

impl World {
    fn short_while(&mut self) -> Duration {
        match self.dice.below(4) {
            0 => self.dice.time(Duration::from_millis(100), Duration::from_millis(900)),
            1 | 2 => self.dice.time(Duration::from_millis(900), Duration::from_millis(4_000)),
            _ => self.dice.time(Duration::from_millis(3_000), Duration::from_millis(8_000)),
        }
    }

    /// Draws what goes wrong next.
    pub(crate) fn fault(&mut self) {
        if !self.busy {
            return;
        }
        let every = self.plan.fault_every;
        let next = self.dice.time(every / 4, every * 2);
        self.after(next, Happening::Fault);
        let weights: Vec<u32> = self.plan.faults.iter().map(|(_, weight)| *weight).collect();
        let kind = self.plan.faults[self.dice.weighted(&weights)].0;
        let target = self.dice.index(self.plan.machines.len());
        self.watch_budget();
        self.faults += 1;
        self.trace.note(self.now, || format!("FAULT {kind:?} at machine {target}"));
        let runs = self.machines[target].process.is_some();
        match kind {
            FaultKind::CutOneWay | FaultKind::Isolate | FaultKind::LossyNetwork => {
                self.network_fault(kind, target)
            }
            FaultKind::Kill if runs => {
                self.crash(target, Loss::Process);
                self.start_later(target);
            }
            FaultKind::PowerLoss => {
                self.crash(target, Loss::Power);
                self.start_later(target);
            }
            FaultKind::PowerLossOfAll => {
                for machine in 0..self.machines.len() {
                    self.crash(machine, Loss::Power);
                    self.start_later(machine);
                }
            }
            FaultKind::Stop if runs => {
                self.stop(target);
                self.start_later(target);
            }
            FaultKind::Pause if runs => {
                // A pause that is under way is not cut short: what was put off comes at its end.
                let until = (self.now + self.short_while()).max(self.machines[target].paused_until);
                self.machines[target].paused_until = until;
                self.machines[target].resumed_at = until;
            }
            FaultKind::SlowDisk => {
                self.machines[target].slowness = 5 + self.dice.below(200) as u32;
                let while_ = self.short_while();
                self.after(while_, Happening::Undo(Undo::Slow(target)));
            }
            FaultKind::DiskFull | FaultKind::DiskError | FaultKind::FailedSync if runs => {
                self.disk_fault(kind, target)
            }
            FaultKind::DamagedRecord if runs && self.budget.may_destroy(target) => self.damage(target),
            FaultKind::BitFlip | FaultKind::Wipe | FaultKind::PutBack if self.budget.may_destroy(target) => {
                self.destroy(kind, target);
            }
            FaultKind::Twin
                if runs
                    && self.budget.destroyed().is_none()
                    && self.machines.len() == self.plan.machines.len() =>
            {
                self.twin(target);
            }
            FaultKind::ClockJump => {
                let jump = match self.dice.below(3) {
                    0 => self.dice.below(4_000) as i64 - 2_000,
                    _ => self.dice.below(3_600_000) as i64 - 1_800_000,
                };
                let skew = &mut self.machines[target].plan.skew_millis;
                *skew = (*skew + jump).clamp(-3_600_000, 3_600_000);
            }
            _ => {}
        }
    }

    fn network_fault(&mut self, kind: FaultKind, target: MachineId) {
        let count = self.machines.len();
        let other = (target + 1 + self.dice.index(count - 1)) % count;
        let while_ = self.short_while();
        let ways: Vec<(MachineId, MachineId)> = match kind {
            FaultKind::CutOneWay => vec![(target, other)],
            FaultKind::Isolate => {
                let outward = self.dice.chance(700);
                let inward = !outward || self.dice.chance(700);
                let others = (0..count).filter(|id| *id != target);
                others
                    .flat_map(|id| [((target, id), outward), ((id, target), inward)])
                    .filter_map(|(way, cut)| cut.then_some(way))
                    .collect()
            }
            _ => {
                self.network.lossy = 100 + self.dice.below(500) as u32;
                self.after(while_, Happening::Undo(Undo::Lossy));
                return;
            }
        };
        ways.iter().for_each(|(from, to)| self.network.cut(*from, *to));
        self.after(while_, Happening::Undo(Undo::Mend(ways)));
    }

    /// The process ends without a word.
    pub(crate) fn crash(&mut self, target: MachineId, loss: Loss) {
        let machine = &mut self.machines[target];
        match loss {
            Loss::Power => machine.power_loss(&mut self.dice),
            _ => machine.kill(),
        }
        self.lost(target, loss);
        self.gone(target);
    }

    /// Something is lost.
    pub(crate) fn lost(&mut self, machine: MachineId, loss: Loss) {
        self.history.lost.push(Lost { at: self.now, machine, loss });
    }

    fn stop(&mut self, target: MachineId) {
        if let Err(why) = self.machines[target].stop() {
            self.trace.note(self.now, || format!("machine {target} could not close its store: {why}"));
        }
        self.lost(target, Loss::Process);
        self.gone(target);
    }

    /// A process ended: its clients and peers learn that the connections broke.
    fn gone(&mut self, target: MachineId) {
        self.trace.note(self.now, || format!("machine {target} is down"));
        self.connections_broke(target);
        let address = self.machines[target].address.clone();
        for other in 0..self.machines.len() {
            if other == target || self.machines[other].process.is_none() || self.network.is_cut(target, other)
            {
                continue;
            }
            if self.machines[other].lost.insert(address.clone()) {
                let delay = self.dice.time(Duration::from_micros(100), Duration::from_millis(5));
                let (machine, life, address) = (other, self.machines[other].life, address.clone());
                self.after(delay, Happening::Peer { machine, life, address, found: false });
            }
        }
    }

    /// A node said that it cannot go on.
    pub(crate) fn died(&mut self, id: MachineId, life: u64, why: &str) {
        if self.machines[id].life != life {
            return;
        }
        self.trace.note(self.now, || format!("machine {id} ends itself: {why}"));
        if self.machines[id].astray {
            // Its operator reads why, empties the directory again, and names the others.
            self.machines[id].wipe(&mut self.dice);
            self.gone(id);
            self.start_later(id);
            return;
        }
        let twin_runs = self.machines.iter().any(|machine| machine.twin && machine.process.is_some());
        let disk_works = self.machines[id].process.as_ref().is_some_and(|p| p.store.is_writable().is_ok());
        if !self.machines[id].twin && !twin_runs && disk_works {
            self.violated("no node gives up", format!("machine {id} ended itself: {why}"));
        }
        self.machines[id].kill();
        self.lost(id, Loss::Process);
        self.gone(id);
        if !self.machines[id].twin {
            self.start_later(id);
        }
    }

    fn start_later(&mut self, target: MachineId) {
        let while_ = self.short_while();
        self.after(while_, Happening::Start(target));
    }

    /// Starts a machine's process.
    pub(crate) fn start(&mut self, target: MachineId) {
        if self.machines[target].process.is_some() {
            return;
        }
        if self.machines[target].spoiled {
            // What was flipped may show in what recovery takes for a torn end.
            self.lost(target, Loss::Bits);
            self.forget_synced(target);
        }
        let begins = target == 0 && self.state.is_none();
        let forgets = std::mem::take(&mut self.machines[target].forgets);
        self.machines[target].astray |= forgets;
        let join = if begins || forgets { Vec::new() } else { self.others(target) };
        let (now, plan) = (self.now, self.plan.clone());
        let started = self.machines[target].start(now, &plan, join, &mut self.dice);
        if let Err(why) = started {
            self.trace.note(now, || format!("machine {target} cannot be started: {why}"));
            if !self.machines[target].spoiled {
                self.violated(
                    "every store opens again",
                    format!("machine {target} cannot be started: {why}"),
                );
            }
            return;
        }
        self.trace.note(now, || format!("machine {target} is started"));
        self.set_alarm(target);
        let address = self.machines[target].address.clone();
        for other in 0..self.machines.len() {
            if self.machines[other].lost.contains(&address) {
                let delay = self.dice.time(Duration::from_millis(1), Duration::from_millis(600));
                let (machine, life, address) = (other, self.machines[other].life, address.clone());
                self.after(delay, Happening::Peer { machine, life, address, found: true });
            }
        }
    }

    fn disk_fault(&mut self, kind: FaultKind, target: MachineId) {
        let env = &self.machines[target].env;
        let soon = env.calls() + self.dice.below(12);
        match kind {
            FaultKind::DiskFull => env.fail_from(soon, Fault::NoSpace),
            FaultKind::FailedSync => env.fail_at(soon, Fault::FailedSync),
            // A call that cannot fail like this lets it pass: several numbers make it likely that one is met.
            _ if self.dice.chance(500) => {
                (0..DISK_ERRORS).for_each(|later| env.fail_at(soon + later, Fault::Io))
            }
            _ => env.fail_from(soon, Fault::Io),
        }
        let while_ = self.short_while();
        let life = self.machines[target].life;
        self.after(while_, Happening::Undo(Undo::Disk(target, life)));
    }

    /// Learns whether what was destroyed is there again.
    pub(crate) fn watch_budget(&mut self) {
        if let Some(destroyed) = self.budget.destroyed() {
            self.machines[destroyed].look_at_damage();
            let machine = &self.machines[destroyed];
            if machine.damaged.is_empty() && machine.is_ready() && !machine.spoiled {
                self.budget.rebuilt();
                self.trace.note(self.now, || format!("machine {destroyed} has everything again"));
            }
        }
    }

    fn destroy(&mut self, kind: FaultKind, target: MachineId) {
        match kind {
            FaultKind::BitFlip => {
                let flipped = self.machines[target].flip(&mut self.dice);
                self.trace.note(self.now, || format!("flipped {flipped:?}"));
                self.budget.destroy(target);
                self.lost(target, Loss::Bits);
                let while_ = self.short_while();
                self.after(while_, Happening::Undo(Undo::Replace(target)));
            }
            FaultKind::PutBack if self.machines[target].copy_is_old() && self.dice.chance(700) => {
                self.machines[target].copy = Some((self.now, self.machines[target].env.kill()));
            }
            FaultKind::PutBack if self.machines[target].copy.is_some() => {
                self.budget.destroy(target);
                let in_place = self.dice.chance(800) && self.machines[target].has_told(self.now);
                self.trace.note(self.now, || format!("put back, in place: {in_place}"));
                self.machines[target].put_back(in_place, &mut self.dice);
                self.lost(target, Loss::Directory);
                self.forget_synced(target);
                self.gone(target);
                self.start_later(target);
            }
            FaultKind::PutBack => {}
            _ => self.wipe(target),
        }
    }

    /// A record that a machine keeps cannot be read any more.
    fn damage(&mut self, target: MachineId) {
        let key = self.dice.index(self.clients.keys().len());
        let user = self.clients.keys()[key].clone();
        if !self.machines[target].damage(&user) {
            return;
        }
        self.trace.note(self.now, || format!("the record of key {key} at machine {target} is damaged"));
        self.budget.destroy(target);
        self.lost(target, Loss::Bits);
        // What takes its place is what others have.
        self.synced.remove(&(target, key));
        let pending = self.machines[target].process.iter_mut().flat_map(|process| &mut process.pending);
        pending.filter(|p| p.note.as_ref().is_some_and(|(of, _)| *of == key)).for_each(|p| p.note = None);
    }

    pub(crate) fn wipe(&mut self, target: MachineId) {
        self.budget.destroy(target);
        self.machines[target].wipe(&mut self.dice);
        // The founder's command line names nobody to join, and the disk that it is started on is empty.
        self.machines[target].forgets = target == 0 && self.dice.chance(300);
        self.lost(target, Loss::Directory);
        self.forget_synced(target);
        self.gone(target);
        self.start_later(target);
    }

    fn forget_synced(&mut self, target: MachineId) {
        self.synced.retain(|(machine, _), _| *machine != target);
    }

    /// A copy of a directory is started beside the original.
    fn twin(&mut self, target: MachineId) {
        let id = self.machines.len();
        let mut twin = Machine::new(id, self.machines[target].plan.clone(), &mut self.dice);
        twin.env = self.machines[target].env.kill();
        twin.continuity.boot = self.machines[target].continuity.boot;
        twin.twin = true;
        self.machines.push(twin);
        self.start(id);
        let while_ = self.short_while();
        self.after(while_, Happening::Undo(Undo::Twin(id)));
    }

    /// Somebody defines a keyspace, at the node that may.
    pub(crate) fn define(&mut self) {
        let Some(founder) = self.state.as_ref().map(|state| state.founder) else { return };
        let (now, mode) = (self.now, self.plan.mode);
        let replicas = 1 + self.dice.below(3) as u8;
        let place = |machine: &&mut Machine| {
            let is_founder = machine.process.as_ref().is_some_and(|p| p.node.id() == founder);
            is_founder && !machine.twin && !machine.astray
        };
        let Some(machine) = self.machines.iter_mut().find(place) else { return };
        let (id, life, name) = (machine.id, machine.life, format!("keyspace-{}", now.as_micros()));
        let Some(process) = &mut machine.process else { return };
        let defined = process.node.define_keyspace(&name, mode, replicas);
        self.trace.note(now, || format!("machine {id} defines {name}: {defined:?}"));
        self.step(id, life, Event::Tick);
    }

    /// Sets something right.
    pub(crate) fn undo(&mut self, undo: Undo) {
        if self.healed {
            return;
        }
        self.trace.note(self.now, || format!("UNDO {undo:?}"));
        match undo {
            Undo::Mend(ways) => ways.iter().for_each(|(from, to)| self.network.mend(*from, *to)),
            Undo::Lossy => self.network.lossy = 0,
            Undo::Slow(machine) => self.machines[machine].slowness = self.machines[machine].plan.slowness,
            Undo::Disk(machine, life) => {
                self.machines[machine].env.clear_faults();
                if self.machines[machine].life == life {
                    self.crash(machine, Loss::Process);
                    self.after(Duration::from_millis(300), Happening::Start(machine));
                }
            }
            Undo::Replace(machine) => {
                if self.machines[machine].spoiled {
                    self.wipe(machine);
                }
            }
            Undo::Twin(machine) => {
                if self.machines[machine].process.is_some() {
                    self.crash(machine, Loss::Process);
                }
            }
        }
    }
}
