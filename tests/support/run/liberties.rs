//! What the store did on its own: flushes, compactions, stalls, and what became of the entries by them.

use super::{Check, World, ok};
use crate::held::Liberties;
use crate::model::{Gone, Map, became};
use crate::op::KEYSPACES;
use esker::{Event, EventListener, Range};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what the store does on its own.
#[derive(Debug, Default)]
pub(super) struct Watch {
    jobs: AtomicU64,
    stalls: AtomicU64,
}

impl EventListener for Watch {
    fn on_event(&self, event: &Event) {
        let count = match event {
            Event::FlushEnd { .. } | Event::CompactionEnd { .. } => &self.jobs,
            Event::Stalled { .. } => &self.stalls,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Watch {
    /// Flushes and compactions so far, and stalls.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.jobs.load(Ordering::Relaxed), self.stalls.load(Ordering::Relaxed))
    }
}

/// What a scan gave.
pub(super) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) fn entries(range: Range) -> Check<Entries> {
    ok("scan", range.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect())
}

impl World {
    /// Sees what became of the entries of keyspaces with which the store takes liberties, if it has done anything since
    /// the last look.
    pub(super) fn look(&mut self) -> Check {
        let (jobs, _) = self.watch.counts();
        if jobs == self.seen || self.db.is_none() {
            return Ok(());
        }
        self.seen = jobs;
        for number in 0..KEYSPACES {
            self.look_at(number)?;
        }
        Ok(())
    }

    fn look_at(&mut self, number: usize) -> Check {
        let now = self.state.now;
        let (Some(open), Some(tree)) = (&self.open[number], &mut self.state.trees[number]) else {
            return Ok(());
        };
        let (liberties, Some(handle)) = (open.choice.liberties(), &open.handle) else { return Ok(()) };
        if liberties.none() {
            return Ok(());
        }
        let found = entries(handle.range(..))?;
        let map = became(&tree.map, &found, liberties, &self.gone, now)
            .map_err(|what| format!("keyspace {number} after background work: {what}"))?;
        self.tally.changed += note(&mut self.gone, &tree.map, &map);
        tree.map = Rc::new(map);
        if liberties.at_snapshot().none() {
            return Ok(());
        }
        let id = tree.id;
        for (snapshot, state) in &mut self.snapshots {
            let Some(tree) = state.trees[number].as_mut().filter(|tree| tree.id == id) else { continue };
            let found = entries(snapshot.range_in(handle, ..))?;
            let map = became(&tree.map, &found, liberties.at_snapshot(), &self.gone, now)
                .map_err(|what| format!("keyspace {number} at a snapshot after background work: {what}"))?;
            note(&mut self.gone, &tree.map, &map);
            tree.map = Rc::new(map);
        }
        Ok(())
    }

    /// What the store may have done with a keyspace's entries since it was opened last.
    pub(super) fn liberties(&self, keyspace: usize) -> Liberties {
        self.open[keyspace].as_ref().map(|open| open.liberties).unwrap_or_default()
    }
}

/// Notes which values are gone, or changed, for good. Returns how many.
fn note(gone: &mut Gone, before: &Map, now: &Map) -> u64 {
    let went = |held: Option<&crate::held::Held>| held.is_none_or(|held| !held.is_untouched());
    let were = before.iter().filter(|(_, held)| held.is_untouched());
    let numbers = were.filter(|(key, _)| went(now.get(*key))).map(|(_, held)| held.value.number);
    numbers.filter(|number| gone.insert(*number)).count() as u64
}
