//! [`Machine`]: a disk, a clock, and the process of a node that runs on them or does not.

use crate::dice::Dice;
use crate::history::{KeyIndex, MachineId};
use crate::plan::{MachinePlan, Plan};
use crate::workload::KEYSPACE;
use esker::testing::SimEnv;
use esker::{Commit, Slice};
use esker_cluster::causality::VectorClock;
use esker_cluster::formation::kept;
use esker_cluster::ring::Token;
use esker_cluster::store::{Continuity, Store, StoreConfig, StoreOperation, StoreOutcome};
use esker_cluster::{Address, Moment, Ticket};
use esker_cluster::{Node, NodeConfig, Protection};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Where the store lies on each disk.
const STORE: &str = "store";

/// After this long others know how far a store had come.
const TELLING: Duration = Duration::from_secs(3);

/// The wall clock at the beginning of every schedule, in milliseconds since 1970.
const BEGINNING: i64 = 1_700_000_000_000;

/// The process of a node.
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) store: Store,
    /// Writes that are visible and not durable yet.
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) background_at: Option<Duration>,
    pub(crate) wake_at: Option<Duration>,
    /// When it was woken last, and how often before at that same time.
    pub(crate) woken_at: Duration,
    pub(crate) idle_wakes: u32,
}

/// A write that is visible and not durable yet.
pub(crate) struct Pending {
    pub(crate) ticket: Ticket,
    pub(crate) commit: Commit,
    /// When the node hears that it was stored; that it is durable it hears later.
    pub(crate) stored_at: Duration,
    /// The key and what is known of it then, if that is to be noted when it is durable.
    pub(crate) note: Option<(KeyIndex, VectorClock)>,
    pub(crate) synced: bool,
}

/// A disk, a clock, and maybe a process.
pub(crate) struct Machine {
    pub(crate) id: MachineId,
    pub(crate) address: Address,
    pub(crate) plan: MachinePlan,
    pub(crate) env: SimEnv,
    pub(crate) continuity: Continuity,
    /// Counts the processes: what was meant for an earlier one does not reach a later one.
    pub(crate) life: u64,
    pub(crate) process: Option<Process>,
    /// Since when it runs.
    pub(crate) started_at: Duration,
    /// When it is run again.
    pub(crate) paused_until: Duration,
    /// When it was run again for the last time.
    pub(crate) resumed_at: Duration,
    /// Calls to the disk take so many times longer.
    pub(crate) slowness: u32,
    /// An older copy of the directory, and when it was made.
    pub(crate) copy: Option<(Duration, SimEnv)>,
    /// The directory was replaced by less than others remember, at some time.
    pub(crate) put_back: bool,
    /// Bits of the directory were flipped.
    pub(crate) spoiled: bool,
    /// Keys of which the record was damaged.
    pub(crate) damaged: Vec<Slice>,
    /// Its node answers whatever its directory went through.
    pub(crate) trusts_itself: bool,
    /// Whoever starts it next forgets that it is to join others.
    pub(crate) forgets: bool,
    /// It began a cluster of its own, where it should be a member of another.
    pub(crate) astray: bool,
    /// It is a copy of another machine's directory, started beside it.
    pub(crate) twin: bool,
    /// Where it knows that connections broke.
    pub(crate) lost: BTreeSet<Address>,
    /// Why the last start failed.
    pub(crate) broken: Option<String>,
}

/// The address of a machine.
pub(crate) fn address(id: MachineId) -> Address {
    Arc::from(format!("10.0.0.{}:7000", id + 1))
}

impl Machine {
    pub(crate) fn new(id: MachineId, plan: MachinePlan, dice: &mut Dice) -> Machine {
        Machine {
            id,
            address: address(id),
            slowness: plan.slowness,
            plan,
            env: SimEnv::new(),
            continuity: Continuity { fingerprint: dice.next(), boot: dice.next() },
            life: 0,
            process: None,
            started_at: Duration::ZERO,
            paused_until: Duration::ZERO,
            resumed_at: Duration::ZERO,
            copy: None,
            put_back: false,
            spoiled: false,
            damaged: Vec::new(),
            trusts_itself: false,
            forgets: false,
            astray: false,
            twin: false,
            lost: BTreeSet::new(),
            broken: None,
        }
    }

    /// What its clocks say.
    pub(crate) fn moment(&self, now: Duration) -> Moment {
        // Machines were not switched on at the same time.
        let monotonic = now + self.switched_on_before();
        let wall = BEGINNING + now.as_millis() as i64 + self.plan.skew_millis;
        Moment { monotonic, wall_millis: wall.max(0) as u64 }
    }

    /// How much its monotonic clock is ahead of the schedule's time.
    pub(crate) fn switched_on_before(&self) -> Duration {
        Duration::from_secs(1_000 * (self.id as u64 + 1))
    }

    /// Starts the process, to join those if it belongs to nobody yet.
    pub(crate) fn start(
        &mut self,
        now: Duration,
        plan: &Plan,
        join: Vec<String>,
        dice: &mut Dice,
    ) -> Result<(), String> {
        let moment = self.moment(now);
        let config = StoreConfig {
            memory_budget: 1 << 20,
            inline_bytes: 64,
            env: Arc::new(self.env.clone()),
            ..StoreConfig::default()
        };
        self.life += 1;
        self.started_at = now;
        self.lost.clear();
        let opened = Store::open(STORE, config, self.continuity, dice.next(), moment.wall_millis);
        let store = opened.map_err(|error| {
            self.broken = Some(error.to_string());
            error.to_string()
        })?;
        self.broken = None;
        let state = store.cluster_state_bytes().map(|bytes| kept(&bytes)).transpose()?;
        let (hints, marks) = (store.hints_waiting(), store.marks());
        let mut config = NodeConfig::new(self.address.to_string());
        config.join = join;
        config.zone.clone_from(&self.plan.zone);
        config.dc.clone_from(&self.plan.dc);
        config.weight = self.plan.weight;
        config.replicas = plan.replicas;
        config.partitions = 16;
        config.mode = plan.mode;
        config.unprotected = plan.unprotected;
        self.trusts_itself = plan.unprotected == Some(Protection::Incarnations);
        let node = Node::new(config, store.identity(), state, hints, marks, dice.next(), moment);
        self.process = Some(Process {
            node,
            store,
            pending: VecDeque::new(),
            background_at: None,
            wake_at: None,
            woken_at: Duration::ZERO,
            idle_wakes: 0,
        });
        Ok(())
    }

    /// Whether its process runs and has everything that the cluster wants it to have.
    pub(crate) fn is_ready(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let identity = process.store.identity();
            !self.astray && identity.cluster != 0 && (identity.ready || self.trusts_itself)
        })
    }

    /// The process is gone, and what it had not handed to the operating system.
    pub(crate) fn kill(&mut self) {
        self.env = self.env.kill();
        self.end();
    }

    fn end(&mut self) {
        self.process = None;
        self.life += 1;
        self.paused_until = Duration::ZERO;
    }

    /// The process closes its store and ends.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        let closed = match &self.process {
            Some(process) => process.store.close().map_err(|failure| failure.to_string()),
            None => Ok(()),
        };
        self.env = self.env.kill();
        self.end();
        closed
    }

    /// The power is gone, and what was not synced.
    pub(crate) fn power_loss(&mut self, dice: &mut Dice) {
        use esker::testing::CrashMode;
        let mode = match dice.below(6) {
            0 | 1 => CrashMode::LoseAll,
            2 => CrashMode::KeepAll,
            3 | 4 => CrashMode::Subset(dice.next()),
            _ => CrashMode::TornLast(dice.next()),
        };
        self.env = self.env.power_loss(mode);
        self.continuity.boot = dice.next();
        self.end();
    }

    /// The directory is gone.
    pub(crate) fn wipe(&mut self, dice: &mut Dice) {
        self.end();
        self.env = SimEnv::new();
        self.continuity.fingerprint = dice.next();
        (self.copy, self.spoiled, self.forgets, self.astray) = (None, false, false, false);
        self.damaged.clear();
    }

    /// The directory is the older copy; in the same place, if nothing of it shall tell.
    pub(crate) fn put_back(&mut self, in_place: bool, dice: &mut Dice) {
        let Some((_, copy)) = &self.copy else { return };
        let env = copy.kill();
        self.end();
        (self.env, self.put_back) = (env, true);
        if !in_place {
            self.continuity.fingerprint = dice.next();
        }
    }

    /// Whether there is no copy of the life that goes on.
    pub(crate) fn copy_is_old(&self) -> bool {
        self.copy.as_ref().is_none_or(|(at, _)| *at < self.started_at)
    }

    /// Whether others can have learned how far its store has come since the copy was made: it has run for longer than a node
    /// takes to tell, and the copy is older than that.
    pub(crate) fn has_told(&self, now: Duration) -> bool {
        let long_ago = |at: Duration| now.saturating_sub(at) >= TELLING;
        self.process.is_some()
            && long_ago(self.started_at)
            && self.copy.as_ref().is_some_and(|c| long_ago(c.0))
    }

    /// Damages the record of a key so that it cannot be read. Returns whether there was one.
    pub(crate) fn damage(&mut self, key: &Slice) -> bool {
        let Some(process) = &self.process else { return false };
        let stored = [&Token::of_key(key).to_be_bytes()[..], key].concat();
        let Ok(heads) = process.store.db().keyspace("default.heads") else { return false };
        let Ok(Some(record)) = heads.get(&stored) else { return false };
        // Its end is cut off.
        if heads.put(stored, &record[..record.len() - 1]).is_err() {
            return false;
        }
        self.damaged.push(key.clone());
        true
    }

    /// Looks which records are still damaged.
    pub(crate) fn look_at_damage(&mut self) {
        let Some(process) = &self.process else { return };
        let read = |key: &Slice| StoreOperation::Read { keyspace: KEYSPACE, key: key.clone(), bodies: true };
        self.damaged.retain(|key| matches!(process.store.execute(read(key)).0, StoreOutcome::Failed(_)));
    }

    /// Flips a bit of a file. Returns which.
    pub(crate) fn flip(&mut self, dice: &mut Dice) -> Option<String> {
        let files: Vec<(String, u64)> =
            self.env.files().into_iter().filter(|(path, len)| *len > 0 && !path.ends_with("LOCK")).collect();
        if files.is_empty() {
            return None;
        }
        let (path, len) = &files[dice.index(files.len())];
        let offset = dice.below(*len);
        self.env.flip(path, offset, 1 << dice.below(8)).ok()?;
        self.spoiled = true;
        Some(format!("{path} at {offset}"))
    }
}
