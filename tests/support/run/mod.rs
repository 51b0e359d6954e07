//! Runs a [`Case`] on the simulated environment and holds every answer against the model.

mod check;
mod commits;
mod liberties;
mod life;
mod reads;
mod writes;

use crate::held::{Held, Liberties};
use crate::model::{Gone, Place, State, Tree, short};
use crate::op::{Case, KEYSPACES, Op};
use crate::settings::{Hook, KeyspaceChoice, StoreChoice};
use commits::Submitted;
use esker::testing::SimEnv;
use esker::{Cursor, Db, Keyspace, Range, Snapshot};
use liberties::Watch;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Where the store lies.
pub const DIR: &str = "store";

/// The names of the keyspaces by number.
pub const NAMES: [&str; KEYSPACES] = ["default", "a", "b", "größe 3"];

/// Cursors, ranges and snapshots that a case may hold at a time.
const MAX_HELD: usize = 6;

/// An answer that the model did not expect.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The operation's number, or that of the last if it showed at the end.
    pub at: usize,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {}", self.at, self.what)
    }
}

/// The result of one operation.
type Check<T = ()> = Result<T, String>;

/// What a case did to its store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Operations.
    pub ops: u64,
    /// Flushes.
    pub flushes: u64,
    /// Compactions.
    pub compactions: u64,
    /// Times that the store was opened again.
    pub opened: u64,
    /// Power losses after which the store was found in an earlier state than its last.
    pub set_back: u64,
    /// Values that hooks removed or changed, or that were dropped for their size or age.
    pub changed: u64,
    /// Writes that would have had to wait and were refused.
    pub busy: u64,
    /// The deepest level that held a table.
    pub deepest: usize,
}

impl Tally {
    /// Adds another case's.
    pub fn add(&mut self, other: &Tally) {
        self.ops += other.ops;
        self.flushes += other.flushes;
        self.compactions += other.compactions;
        self.opened += other.opened;
        self.set_back += other.set_back;
        self.changed += other.changed;
        self.busy += other.busy;
        self.deepest = self.deepest.max(other.deepest);
    }
}

/// A keyspace that exists.
struct Open {
    /// `None` while the store is not open.
    handle: Option<Keyspace>,
    choice: KeyspaceChoice,
    /// What the store may have done with the entries since the last time that it was known what is there.
    liberties: Liberties,
    /// Whether tables were ever dropped for their size, and with them what a fold would have carried.
    dropped: bool,
}

impl Open {
    fn new(handle: Option<Keyspace>, choice: KeyspaceChoice) -> Open {
        let liberties = choice.liberties();
        Open { handle, choice, liberties, dropped: liberties.drops }
    }
}

/// A cursor that stays across operations.
struct HeldCursor {
    cursor: Cursor,
    map: Rc<crate::model::Map>,
    place: Place,
}

/// A range that stays across operations.
struct HeldRange {
    range: Range,
    left: VecDeque<(Rc<[u8]>, Held)>,
}

/// The store and what is known of it.
struct World {
    env: SimEnv,
    db: Option<Db>,
    store: StoreChoice,
    /// Options of keyspaces that are opened without their own.
    keyspace: KeyspaceChoice,
    open: [Option<Open>; KEYSPACES],
    state: State,
    next_id: u32,
    snapshots: Vec<(Snapshot, State)>,
    cursors: Vec<HeldCursor>,
    ranges: Vec<HeldRange>,
    /// Oldest first.
    commits: Vec<Submitted>,
    /// The states that a power loss may bring back: the newest last, the oldest one durable.
    history: Vec<State>,
    /// How many states were taken from the front of `history`, for being older than a durable one.
    durable_states: usize,
    /// The first state in `history` that a killed process cannot fall behind.
    written: usize,
    /// For each keyspace, the state in `history` that its last write made.
    last_write: [usize; KEYSPACES],
    copies: usize,
    watch: Arc<Watch>,
    /// The flushes and compactions that the model knows the outcome of.
    seen: u64,
    gone: Gone,
    tally: Tally,
}

/// Runs a case.
///
/// # Errors
/// The first answer that the model did not expect.
pub fn run(case: &Case) -> Result<Tally, Finding> {
    let mut at = 0;
    let mut world = World::new(case);
    let result = world.start().and_then(|()| {
        for (number, op) in case.ops.iter().enumerate() {
            at = number;
            world.step(op)?;
            world.look()?;
            world.tally.ops += 1;
        }
        world.finish()
    });
    match result {
        Ok(()) => Ok(world.tally),
        Err(what) => Err(Finding { at, what }),
    }
}

impl World {
    fn new(case: &Case) -> World {
        let mut state = State::default();
        state.trees[0] = Some(Tree { id: 0, fold: case.keyspace.hook == Hook::Fold, map: Rc::default() });
        World {
            env: SimEnv::new(),
            db: None,
            store: case.store,
            keyspace: case.keyspace,
            open: [const { None }; KEYSPACES],
            history: vec![state.clone()],
            state,
            next_id: 1,
            snapshots: Vec::new(),
            cursors: Vec::new(),
            ranges: Vec::new(),
            commits: Vec::new(),
            written: 0,
            last_write: [0; KEYSPACES],
            durable_states: 0,
            copies: 0,
            watch: Arc::default(),
            seen: 0,
            gone: Gone::new(),
            tally: Tally::default(),
        }
    }

    fn db(&self) -> Check<&Db> {
        self.db.as_ref().ok_or_else(|| "the store is not open".to_owned())
    }

    /// The handle of a keyspace, if it exists.
    fn handle(&self, keyspace: usize) -> Option<&Keyspace> {
        self.open[keyspace].as_ref()?.handle.as_ref()
    }

    fn advance(&mut self, seconds: u64) {
        self.env.advance(Duration::from_secs(seconds));
        self.state.now += seconds;
    }

    fn step(&mut self, op: &Op) -> Check {
        match op {
            Op::Write(writes, how) => self.write(writes, *how),
            Op::Oversized(keyspace) => self.oversized(*keyspace),
            Op::Get(at, key) => self.get(*at, key),
            Op::MultiGet(at, keys) => self.multi_get(*at, keys),
            Op::Ends(at, key) => self.ends(*at, key),
            Op::Range(at, span, ends, limit) => self.range(*at, span, *ends, *limit),
            Op::Prefix(at, key, ends) => self.prefix(*at, key, *ends),
            Op::Walk(at, moves) => self.walk(*at, moves),
            Op::HoldCursor(at) => self.hold_cursor(*at),
            Op::MoveHeld(which, moves) => self.move_held(*which, moves),
            Op::HoldRange(at, span) => self.hold_range(*at, span),
            Op::DrawHeld(which, ends, limit) => self.draw_held(*which, *ends, *limit),
            Op::DropHeld => {
                self.cursors.truncate(self.cursors.len().saturating_sub(1));
                self.ranges.truncate(self.ranges.len().saturating_sub(1));
                Ok(())
            }
            Op::Snapshot => self.snapshot(),
            Op::DropSnapshot(which) => {
                if !self.snapshots.is_empty() {
                    self.snapshots.remove(which % self.snapshots.len());
                }
                Ok(())
            }
            Op::Flush(which) => self.flush(*which),
            Op::Compact(keyspace, span) => self.compact(*keyspace, span),
            Op::Sync => self.sync(),
            Op::Step(count) => self.steps(*count),
            Op::Advance(seconds) => {
                self.advance(u64::from(*seconds));
                Ok(())
            }
            Op::Reopen(how, store, keyspace) => self.reopen(*how, *store, *keyspace),
            Op::ReadOnly(how) => self.open_read_only(*how),
            Op::Create(keyspace, choice) => self.create(*keyspace, *choice),
            Op::Drop(keyspace) => self.drop_keyspace(*keyspace),
            Op::Ingest(keyspace, entries) => self.ingest(*keyspace, entries),
            Op::Checkpoint => self.checkpoint(),
            Op::Size(keyspace, span) => self.size(*keyspace, span),
            Op::View(keyspace) => self.view(*keyspace),
            Op::Verify => self.verify(),
            Op::Stats => self.stats(),
            Op::Burst(keyspace, entries, flushed) => self.burst(*keyspace, entries, *flushed),
        }
    }
}

/// An error of the engine where there must be none.
fn ok<T>(what: &str, result: esker::Result<T>) -> Check<T> {
    result.map_err(|error| format!("{what}: {error} ({error:?})"))
}
