//! [`Plan`]: what a seed decides before a schedule begins.
//!
//! A [`Fear`] bends a plan towards one kind of trouble, so that what protects from it is needed early and often. Most seeds
//! take one of the fears by turns; the faults that a fear does not name stay possible in all of them.

use crate::dice::Dice;
use esker_cluster::Protection;
use esker_cluster::causality::ConflictMode;
use std::time::Duration;

/// What a schedule is most about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fear {
    /// Everything, some of it.
    Everything,
    /// Writes that reach a minority, and reads around them.
    PartialWrites,
    /// Directories that are wiped, copied, put back from a copy.
    LostDirectories,
    /// Directories that are put back from a copy that nothing tells from them.
    OlderCopies,
    /// Writers who do not look, on one key.
    BlindWriters,
    /// Machines that are away while others write, and come back.
    Absence,
    /// Processes that are killed and machines that lose power, all at once too.
    Crashes,
    /// Disks that fill up, fail, lie or are slow.
    Disks,
    /// Clocks.
    Clocks,
}

/// All fears, by turns.
pub(crate) const FEARS: &[Fear] = &[
    Fear::Everything,
    Fear::PartialWrites,
    Fear::LostDirectories,
    Fear::OlderCopies,
    Fear::BlindWriters,
    Fear::Absence,
    Fear::Crashes,
    Fear::Disks,
    Fear::Clocks,
];

/// A kind of fault, see `faults`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// Nothing gets from one machine to another, the other way is open.
    CutOneWay,
    /// A machine is cut off from all others.
    Isolate,
    /// The process is killed.
    Kill,
    /// The power goes.
    PowerLoss,
    /// The power goes everywhere.
    PowerLossOfAll,
    /// The process is stopped in order.
    Stop,
    /// The process is not run for a while, and does not know.
    Pause,
    /// Every call takes long.
    SlowDisk,
    /// The disk is full for a while.
    DiskFull,
    /// A call fails.
    DiskError,
    /// Making something durable fails.
    FailedSync,
    /// A bit of a file is flipped.
    BitFlip,
    /// The record of a key is damaged where it lies, and stays there.
    DamagedRecord,
    /// The directory is gone.
    Wipe,
    /// The directory is replaced by an older copy of it.
    PutBack,
    /// A copy of the directory is started beside the original.
    Twin,
    /// The wall clock jumps.
    ClockJump,
    /// Many messages are lost for a while.
    LossyNetwork,
}

/// All kinds with how often they are drawn when nothing is feared in particular.
const EVERYTHING: &[(FaultKind, u32)] = &[
    (FaultKind::CutOneWay, 4),
    (FaultKind::Isolate, 3),
    (FaultKind::Kill, 4),
    (FaultKind::PowerLoss, 3),
    (FaultKind::PowerLossOfAll, 1),
    (FaultKind::Stop, 2),
    (FaultKind::Pause, 3),
    (FaultKind::SlowDisk, 2),
    (FaultKind::DiskFull, 1),
    (FaultKind::DiskError, 1),
    (FaultKind::FailedSync, 1),
    (FaultKind::BitFlip, 1),
    (FaultKind::DamagedRecord, 2),
    (FaultKind::Wipe, 2),
    (FaultKind::PutBack, 1),
    (FaultKind::Twin, 1),
    (FaultKind::ClockJump, 2),
    (FaultKind::LossyNetwork, 3),
];

impl Fear {
    /// Kinds that are drawn more often, by this much.
    fn weights(self) -> &'static [(FaultKind, u32)] {
        use FaultKind as K;
        match self {
            Fear::Everything => &[],
            Fear::PartialWrites => &[(K::LossyNetwork, 40), (K::CutOneWay, 30), (K::Isolate, 15)],
            Fear::LostDirectories => &[(K::Wipe, 60), (K::PutBack, 40), (K::Twin, 20)],
            Fear::OlderCopies => &[(K::PutBack, 200), (K::Isolate, 10)],
            Fear::BlindWriters => &[(K::LossyNetwork, 10), (K::Isolate, 10)],
            Fear::Absence => &[(K::Stop, 30), (K::Kill, 30), (K::Isolate, 30), (K::Pause, 20)],
            Fear::Crashes => &[(K::PowerLoss, 60), (K::Kill, 40), (K::PowerLossOfAll, 20)],
            Fear::Disks => &[
                (K::DiskFull, 15),
                (K::DiskError, 20),
                (K::FailedSync, 20),
                (K::BitFlip, 30),
                (K::DamagedRecord, 30),
                (K::SlowDisk, 15),
            ],
            Fear::Clocks => &[(K::ClockJump, 60), (K::Pause, 10)],
        }
    }
}

/// How the network is when nothing in particular is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct NetworkPlan {
    pub(crate) fastest: Duration,
    pub(crate) slowest: Duration,
    /// Of a thousand messages so many take much longer, and are overtaken.
    pub(crate) late: u32,
    pub(crate) lost: u32,
    pub(crate) twice: u32,
    pub(crate) damaged: u32,
}

/// What a seed decides before a schedule begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) fear: Fear,
    pub(crate) unprotected: Option<Protection>,
    /// For each machine its data centre, zone, weight and how far its wall clock is off, in milliseconds.
    pub(crate) machines: Vec<MachinePlan>,
    pub(crate) replicas: u8,
    pub(crate) mode: ConflictMode,
    pub(crate) network: NetworkPlan,
    pub(crate) clients: usize,
    pub(crate) hot_keys: usize,
    pub(crate) cold_keys: usize,
    /// How long clients think at most between two operations.
    pub(crate) thinking: Duration,
    /// Of a thousand writes so many bring no context.
    pub(crate) blind: u32,
    /// Of a thousand operations so many are reads.
    pub(crate) reads: u32,
    /// Of a thousand operations so many are at QUORUM.
    pub(crate) quorum: u32,
    /// How long clients work.
    pub(crate) run_for: Duration,
    /// The mean time between two faults.
    pub(crate) fault_every: Duration,
    pub(crate) faults: Vec<(FaultKind, u32)>,
    /// So many of the clients never read, and write each key with the context of their last write of it.
    pub(crate) chainers: usize,
}

/// What a seed decides of a machine.
#[derive(Clone, Debug)]
pub(crate) struct MachinePlan {
    pub(crate) dc: String,
    pub(crate) zone: String,
    pub(crate) weight: u32,
    pub(crate) skew_millis: i64,
    /// Calls to the disk take so many times longer than on others.
    pub(crate) slowness: u32,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Plan {
        Plan::with(seed, FEARS[(seed % FEARS.len() as u64) as usize], None)
    }

    /// The plan of a seed that fears this, with a protection switched off.
    pub(crate) fn with(seed: u64, fear: Fear, unprotected: Option<Protection>) -> Plan {
        let mut dice = Dice::new(seed);
        let count = if dice.chance(600) { 3 } else { 5 };
        let two_dcs = count == 5 && dice.chance(250);
        let zones = if dice.chance(400) { 3 } else { 1 };
        let skewed = fear == Fear::Clocks || dice.chance(150);
        let mut machine = |index: usize| {
            let dc = if two_dcs && index >= 3 { "dc2" } else { "dc1" };
            let skew_millis = match (skewed, dice.chance(400)) {
                (true, true) => dice.below(7_200_000) as i64 - 3_600_000,
                (true, false) => dice.below(2_000) as i64 - 1_000,
                _ => dice.below(40) as i64 - 20,
            };
            MachinePlan {
                dc: dc.to_owned(),
                zone: format!("z{}", index % zones),
                weight: if dice.chance(150) { 2 } else { 1 },
                skew_millis,
                slowness: if dice.chance(100) { 20 } else { 1 },
            }
        };
        let machines = (0..count).map(&mut machine).collect();
        let replicas = match count {
            5 if dice.chance(300) => 5,
            _ => 3,
        };
        let slowest = if dice.chance(200) { 60 } else { 6 };
        let network = NetworkPlan {
            fastest: Duration::from_micros(100 + dice.below(400)),
            slowest: Duration::from_millis(1 + dice.below(slowest)),
            late: dice.below(40) as u32,
            lost: if fear == Fear::PartialWrites {
                20 + dice.below(120) as u32
            } else {
                dice.below(20) as u32
            },
            twice: dice.below(40) as u32,
            damaged: if dice.chance(300) { dice.below(8) as u32 } else { 0 },
        };
        let mut faults = EVERYTHING.to_vec();
        for (kind, more) in fear.weights() {
            faults.iter_mut().filter(|(known, _)| known == kind).for_each(|(_, weight)| *weight += more);
        }
        let few_keys = fear == Fear::BlindWriters || fear == Fear::PartialWrites;
        Plan {
            seed,
            fear,
            unprotected,
            machines,
            replicas,
            mode: if dice.chance(200) && fear != Fear::BlindWriters {
                ConflictMode::LastWriteWins
            } else {
                ConflictMode::Causal
            },
            network,
            clients: 3 + dice.index(4),
            hot_keys: if few_keys { 1 + dice.index(2) } else { 1 + dice.index(4) },
            cold_keys: if few_keys { dice.index(3) } else { 2 + dice.index(12) },
            thinking: Duration::from_millis(20 + dice.below(200)),
            blind: if fear == Fear::BlindWriters { 900 } else { 500 },
            reads: if fear == Fear::PartialWrites { 600 } else { 400 },
            quorum: match dice.chance(300) {
                true => 1000,
                // One replica shows what it has lost where all had to have it.
                false if fear == Fear::OlderCopies => 300,
                false => 800,
            },
            run_for: Duration::from_secs(8 + dice.below(10)),
            fault_every: Duration::from_millis(400 + dice.below(1800)),
            faults,
            chainers: dice.index(3),
        }
    }
}
