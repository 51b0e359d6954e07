//! Driving the nodes: what happens goes in as events, and what they want done is done.
//!
//! Every message goes through its bytes. A store operation is run a while after it was asked for, its outcome is heard a while
//! after that, and what it wrote becomes durable when the store's background work is done, later still.

use crate::faults::DISK_ERRORS;
use crate::history::{Durable, KeyIndex, Known, MachineId, Mint, OpId, Outcome, value_hash};
use crate::machine::{Machine, Pending};
use crate::trace::short;
use crate::world::{Happening, World};
use esker::Durability;
use esker_cluster::causality::{Context, VectorClock};
use esker_cluster::formation::kept;
use esker_cluster::message::Envelope;
use esker_cluster::message::encoding::{decode, encode};
use esker_cluster::store::{Change, Copy, Store, StoreFailure, StoreOperation, StoreOutcome};
use esker_cluster::{Address, Effect, Event, Notice, Ticket};
use std::time::Duration;

const FORGETS: &str = "an unreadable record is never not found";

impl World {
    /// Lets a node take a step, and does what it wants done.
    pub(crate) fn step(&mut self, machine: MachineId, life: u64, event: Event) {
        if self.machines[machine].life != life {
            return;
        }
        let moment = self.machines[machine].moment(self.now);
        let Some(process) = &mut self.machines[machine].process else { return };
        let mut effects = Vec::new();
        process.node.step(moment, event, &mut effects);
        for effect in effects {
            self.carry_out(machine, life, effect);
        }
        self.set_alarm(machine);
    }

    /// Sees to it that the node is woken when it wants to be.
    pub(crate) fn set_alarm(&mut self, id: MachineId) {
        let now = self.now;
        let machine = &mut self.machines[id];
        let (life, before, moment) = (machine.life, machine.switched_on_before(), machine.moment(now));
        let Some(process) = &mut machine.process else { return };
        let wake = process.node.next_wake(moment).saturating_sub(before).max(now);
        if process.wake_at.is_none_or(|at| wake < at) {
            process.wake_at = Some(wake);
            self.at(wake, Happening::Wake { machine: id, life, at: wake });
        }
    }

    pub(crate) fn wake(&mut self, id: MachineId, life: u64, at: Duration) {
        let machine = &mut self.machines[id];
        if machine.life != life {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        if process.wake_at != Some(at) {
            return;
        }
        process.wake_at = None;
        process.idle_wakes = if process.woken_at == at { process.idle_wakes + 1 } else { 0 };
        process.woken_at = at;
        if process.idle_wakes > 1_000 {
            process.idle_wakes = 0;
            process.woken_at = Duration::ZERO;
            let what =
                format!("machine {id} was woken a thousand times at one time and wants to be woken again");
            self.violated("a node that is woken comes to rest", what);
            self.machines[id].kill();
            return;
        }
        self.step(id, life, Event::Tick);
    }

    fn carry_out(&mut self, machine: MachineId, life: u64, effect: Effect) {
        match effect {
            Effect::Send { to, envelope } => self.send(machine, life, &to, &envelope),
            Effect::Store { ticket, operation } => {
                let delay = self.disk_time(machine, 20, 200);
                self.after(delay, Happening::Run { machine, life, ticket, operation: Box::new(operation) });
            }
            Effect::Respond { id, response } => self.answered(machine, id.0, response),
            Effect::Notice(notice) => {
                self.trace.note(self.now, || format!("machine {machine}: {notice:?}"));
                match notice {
                    Notice::Fatal(why) => self.died(machine, life, &why),
                    Notice::Divided { epoch, other } => {
                        self.violated(
                            "one epoch has one state",
                            format!("machine {machine} and {other} differ at {epoch}"),
                        );
                    }
                    Notice::Warning(what) if what.contains("older copy of itself") => {
                        let Machine { put_back, spoiled, twin, .. } = self.machines[machine];
                        if !(put_back || spoiled || twin) {
                            self.violated(
                                "a directory that is whole is trusted",
                                format!("{machine}: {what}"),
                            );
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// How long a call to a disk takes, between so many microseconds on a healthy one.
    fn disk_time(&mut self, machine: MachineId, from: u64, to: u64) -> Duration {
        let slowness = self.machines[machine].slowness;
        self.dice.time(Duration::from_micros(from), Duration::from_micros(to)) * slowness
    }

    fn send(&mut self, from: MachineId, life: u64, to: &Address, envelope: &Envelope) {
        let Some(target) = self.machine_at(to) else {
            return;
        };
        self.trace.note(self.now, || format!("{from} -> {target} {}", short(&envelope.message)));
        let mut bytes = Vec::new();
        encode(envelope, &mut bytes);
        let is_dead = self.machines[target].process.is_none();
        if is_dead && !self.network.is_cut(from, target) {
            // The connection is refused.
            if self.machines[from].lost.insert(to.clone()) {
                let delay = self.dice.time(Duration::from_micros(100), Duration::from_millis(5));
                let (machine, address) = (from, to.clone());
                self.after(delay, Happening::Peer { machine, life, address, found: false });
            }
            return;
        }
        for arrival in self.network.send(self.now, from, target, bytes) {
            let (bytes, damaged) = (arrival.bytes, arrival.damaged);
            self.at(arrival.at, Happening::Deliver { from, to: target, bytes, damaged });
        }
    }

    pub(crate) fn deliver(&mut self, from: MachineId, to: MachineId, bytes: &[u8], damaged: bool) {
        let life = self.machines[to].life;
        match decode(bytes) {
            Ok(_) if damaged => {
                self.violated(
                    "damaged messages are refused",
                    format!("{to} took a damaged message of {from}"),
                );
            }
            Ok(envelope) => {
                self.trace.note(self.now, || format!("{to} <- {from} {}", short(&envelope.message)));
                self.step(to, life, Event::Received(envelope));
            }
            Err(_) if damaged => {
                self.trace.note(self.now, || format!("{to} refuses a damaged message of {from}"))
            }
            Err(error) => self
                .violated("damaged messages are refused", format!("{to} refused a whole message: {error}")),
        }
    }

    pub(crate) fn peer(&mut self, machine: MachineId, life: u64, address: Address, found: bool) {
        if self.machines[machine].life != life {
            return;
        }
        self.trace.note(self.now, || format!("{machine} {} {address}", if found { "found" } else { "lost" }));
        if found {
            self.machines[machine].lost.remove(&address);
            self.step(machine, life, Event::PeerFound(address));
        } else {
            self.step(machine, life, Event::PeerLost(address));
        }
    }

    pub(crate) fn run_operation(
        &mut self,
        machine: MachineId,
        life: u64,
        ticket: Ticket,
        operation: StoreOperation,
    ) {
        if self.machines[machine].life != life {
            return;
        }
        let Some(process) = &self.machines[machine].process else { return };
        let subject = Subject::of(self, &operation);
        let before = match &subject {
            Some(subject) if subject.mints => subject.before(&process.store),
            _ => None,
        };
        self.trace.note(self.now, || format!("{machine} runs {ticket:?} {}", short(&operation)));
        let state = match &operation {
            StoreOperation::KeepClusterState { bytes, .. } => kept(bytes).ok().map(|(state, _)| state),
            _ => None,
        };
        let Some(process) = &self.machines[machine].process else { return };
        let (outcome, commit) = process.store.execute(operation);
        self.trace.note(self.now, || format!("{machine} has {ticket:?} {}", short(&outcome)));
        if let (Some(state), StoreOutcome::Done) = (state, &outcome) {
            self.learn_state(state);
        }
        let mut note = None;
        if let Some(subject) = subject {
            note = self.observe(machine, subject, before, &outcome);
        }
        let delay = self.disk_time(machine, 5, 100);
        let stored_at = self.now + delay;
        self.at(stored_at, Happening::Stored { machine, life, ticket, outcome: Box::new(outcome) });
        let sync_time = self.disk_time(machine, 150, 3_000);
        let Some(process) = &mut self.machines[machine].process else { return };
        if let Some(commit) = commit {
            let (key, synced) =
                note.as_ref().map_or((None, false), |(note, synced)| (Some(note.clone()), *synced));
            process.pending.push_back(Pending { ticket, commit, stored_at, note: key, synced });
        }
        if process.background_at.is_none() {
            let at = self.now + sync_time;
            process.background_at = Some(at);
            self.at(at, Happening::Background { machine, life });
        }
    }

    /// Notes what an operation shows of a key. Returns the key with what is known of it, if that will be durable, and
    /// whether synced.
    fn observe(
        &mut self,
        machine: MachineId,
        subject: Subject,
        before: Option<Known>,
        outcome: &StoreOutcome,
    ) -> Option<((KeyIndex, VectorClock), bool)> {
        let key = subject.key;
        match outcome {
            StoreOutcome::Set { set } | StoreOutcome::Minted { set, .. } => {
                let known = Known::of(set);
                if subject.own
                    && let Some(synced) = self.synced.get(&(machine, key))
                {
                    let shown = before.as_ref().map_or(&known.clock, |before| &before.clock);
                    if !shown.covers_all(synced) {
                        let what = format!(
                            "machine {machine} had {synced:?} of key {key} synced, and its store shows {shown:?}"
                        );
                        self.violated(FORGETS, what);
                    }
                }
                if !subject.mints {
                    return None;
                }
                let Some(before) = before else {
                    self.violated(
                        FORGETS,
                        format!("machine {machine} took a write of key {key}, which it could not read"),
                    );
                    return None;
                };
                let dot =
                    known.siblings.iter().map(|(dot, _)| *dot).find(|dot| !before.clock.covers(*dot))?;
                let clock = known.clock.clone();
                let (writes, expires) = (self.writers(&subject), subject.expires);
                if writes.is_empty() {
                    self.violated(
                        "every value was written",
                        format!("machine {machine} took a write that no client sent"),
                    );
                }
                self.history.mints.push(Mint {
                    at: self.now,
                    machine,
                    key,
                    writes,
                    dot,
                    expires,
                    before,
                    after: known,
                });
                subject.own.then_some(((key, clock), subject.synced))
            }
            StoreOutcome::Joined { .. } => {
                let clock = subject.joined?;
                subject.own.then_some(((key, clock), subject.synced))
            }
            _ => None,
        }
    }

    /// The writes that a mint may be of.
    fn writers(&self, subject: &Subject) -> Vec<OpId> {
        let writes =
            self.history.writes.values().filter(|write| {
                write.key == subject.key && write.value.map(|(hash, _)| hash) == subject.value
            });
        let all: Vec<_> = writes.filter(|write| subject.value.is_some() || write.value.is_none()).collect();
        if subject.value.is_some() {
            return all.iter().map(|write| write.id).collect();
        }
        // A delete says less of itself: it may be any with the same context that is not known to be over.
        let same = |context: &Option<Context>| match (&subject.seen, context) {
            (Some(seen), Some(context)) => seen == context,
            (None, None) => true,
            (Some(seen), None) => seen.is_empty(),
            _ => false,
        };
        let minted = |id: OpId| self.history.mints.iter().any(|mint| mint.writes == [id]);
        let fitting: Vec<_> = all.into_iter().filter(|write| same(&write.context)).collect();
        let open: Vec<OpId> = fitting
            .iter()
            .filter(|write| matches!(write.outcome, Outcome::Unknown(_)) && !minted(write.id))
            .map(|write| write.id)
            .collect();
        match open.is_empty() {
            true => fitting.iter().map(|write| write.id).collect(),
            false => open,
        }
    }

    pub(crate) fn stored(&mut self, machine: MachineId, life: u64, ticket: Ticket, outcome: StoreOutcome) {
        self.step(machine, life, Event::Stored { ticket, outcome });
    }

    /// Does a store's background work, and tells its node what has become durable.
    pub(crate) fn background(&mut self, id: MachineId, life: u64) {
        if self.machines[id].life != life {
            return;
        }
        let Some(process) = &mut self.machines[id].process else { return };
        process.background_at = None;
        process.pending.iter().for_each(|pending| pending.commit.begin());
        let mut steps = 0;
        while process.store.step_background() == Ok(true) && steps < 64 {
            steps += 1;
        }
        let mut done = Vec::new();
        for pending in std::mem::take(&mut process.pending) {
            match pending.commit.poll() {
                None => process.pending.push_back(pending),
                Some(result) => {
                    done.push((pending, result.map_err(|error| StoreFailure::ReadOnly(error.to_string()))))
                }
            }
        }
        let waits = !process.pending.is_empty();
        for (pending, result) in done {
            self.durable(id, life, pending, result);
        }
        if waits {
            let at = self.now + self.disk_time(id, 150, 3_000);
            if let Some(process) = &mut self.machines[id].process
                && process.background_at.is_none()
            {
                process.background_at = Some(at);
                self.at(at, Happening::Background { machine: id, life });
            }
        }
    }

    fn durable(&mut self, machine: MachineId, life: u64, pending: Pending, result: Result<(), StoreFailure>) {
        self.trace.note(self.now, || format!("{machine} durable {:?} {result:?}", pending.ticket));
        if self.now <= pending.stored_at {
            // The node hears of the outcome first.
            let Some(process) = &mut self.machines[machine].process else { return };
            process.pending.push_front(pending);
            if process.background_at.is_none() {
                let at = self.now + Duration::from_micros(100);
                process.background_at = Some(at);
                self.at(at, Happening::Background { machine, life });
            }
            return;
        }
        if let (Ok(()), Some((key, clock))) = (&result, pending.note) {
            if pending.synced {
                self.synced.entry((machine, key)).or_default().join(&clock);
            }
            self.history.durable.push(Durable { at: self.now, machine, key, clock, synced: pending.synced });
        }
        self.step(machine, life, Event::Durable { ticket: pending.ticket, result });
    }
}

/// What a store operation is about, if it is about one key of the workload.
struct Subject {
    key: KeyIndex,
    user_key: esker::Slice,
    copy: Copy,
    /// Whether the replica's own copy is meant.
    own: bool,
    mints: bool,
    synced: bool,
    expires: bool,
    /// The hash of the value that is written.
    value: Option<u64>,
    seen: Option<Context>,
    /// What is joined.
    joined: Option<VectorClock>,
    /// The operation that shows what is known of the key.
    look: StoreOperation,
}

impl Subject {
    /// What the store knows of the key: in its own record, or in what it keeps for an absent replica.
    fn before(&self, store: &Store) -> Option<Known> {
        // A device that failed the look may not fail the operation.
        let fails = |outcome: &StoreOutcome| matches!(outcome, StoreOutcome::Failed(StoreFailure::Engine(_)));
        let mut looks = (0..=DISK_ERRORS).map(|_| store.execute(self.look.clone()).0);
        let looked = looks.find(|outcome| !fails(outcome)).unwrap_or(StoreOutcome::Done);
        match (looked, self.copy) {
            (StoreOutcome::Set { set }, _) => Some(Known::of(&set)),
            (StoreOutcome::Hints { hints, .. }, Copy::For(_)) => {
                let hint = hints.iter().find(|hint| hint.key.key == self.user_key);
                Some(hint.map(|hint| Known::of(&hint.set)).unwrap_or_default())
            }
            _ => None,
        }
    }

    fn of(world: &World, operation: &StoreOperation) -> Option<Subject> {
        let index = |user: &esker::Slice| world.clients.keys().iter().position(|key| key == user);
        let blank = |keyspace, user: &esker::Slice| {
            Some(Subject {
                key: index(user)?,
                user_key: user.clone(),
                copy: Copy::Own,
                own: true,
                mints: false,
                synced: false,
                expires: false,
                value: None,
                seen: None,
                joined: None,
                look: StoreOperation::Read { keyspace, key: user.clone(), bodies: false },
            })
        };
        match operation {
            StoreOperation::Read { keyspace, key, .. } => blank(*keyspace, key),
            StoreOperation::Mint { keyspace, key, change, seen, copy, durability, .. } => {
                let (value, expires) = match change {
                    Change::Put { value, expires_at } => (Some(value_hash(value)), expires_at.is_some()),
                    Change::Delete => (None, false),
                };
                let subject = blank(*keyspace, key)?;
                let synced = *durability == Durability::Synced;
                Some(Subject {
                    own: *copy == Copy::Own,
                    look: match copy {
                        Copy::Own => subject.look,
                        Copy::For(target) => {
                            StoreOperation::Hints { target: *target, after: None, limit: 10_000 }
                        }
                    },
                    copy: *copy,
                    mints: true,
                    synced,
                    expires,
                    value,
                    seen: seen.clone(),
                    ..subject
                })
            }
            StoreOperation::Join { keyspace, key, set, copy, durability, .. } => {
                let subject = blank(*keyspace, key)?;
                let synced = *durability == Durability::Synced;
                Some(Subject {
                    own: *copy == Copy::Own,
                    synced,
                    joined: Some(set.clock().clone()),
                    ..subject
                })
            }
            _ => None,
        }
    }
}
