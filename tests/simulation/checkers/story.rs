//! [`Story`]: a history of one key on three replicas, made by hand, for the tests of the checkers.

#![cfg(test)]

use crate::history::{
    Acknowledged, FinalCopy, Found, History, KeyFacts, Known, Loss, Lost, Mint, OpId, Outcome, Read, Write,
};
use esker_cluster::causality::{Actor, ConflictMode, Context, Dot, VectorClock};
use esker_cluster::request::Level;
use std::time::Duration;

/// A dot.
pub(super) fn dot(actor: u64, counter: u64) -> Dot {
    Dot { actor: Actor(actor), counter }
}

/// A clock.
pub(super) fn clock(entries: &[(u64, u64)]) -> VectorClock {
    entries.iter().map(|(actor, counter)| dot(*actor, *counter)).collect()
}

/// A history in the making. Times are seconds; an operation takes one; a write's value has its number as hash.
pub(super) struct Story {
    pub(super) history: History,
}

impl Story {
    pub(super) fn new() -> Story {
        let key = KeyFacts { name: "key".into(), mode: ConflictMode::Causal, replicas: vec![0, 1, 2] };
        Story { history: History { keys: vec![key], ..History::default() } }
    }

    /// A put at QUORUM that was acknowledged by two. `had` is what the store had that took it.
    pub(super) fn put(
        &mut self,
        id: OpId,
        at: u64,
        dot: Dot,
        context: Option<&[(u64, u64)]>,
        had: &[(u64, u64)],
    ) {
        let mut told = context.map_or_else(|| clock(had), clock);
        told.insert(dot);
        let told = Context::from(told);
        let write = Write {
            id,
            client: 0,
            key: 0,
            value: Some((id, 8)),
            context: context.map(|seen| Context::from(clock(seen))),
            level: Level::Quorum,
            synced: true,
            call: Duration::from_secs(at),
            ret: Some(Duration::from_secs(at + 1)),
            outcome: Outcome::Done(Acknowledged { context: told, acks: 2, fallbacks: 0 }),
        };
        self.history.writes.insert(id, write);
        self.mint(id, at, dot, had);
    }

    /// A store takes write `id`, having `had`.
    pub(super) fn mint(&mut self, id: OpId, at: u64, new: Dot, had: &[(u64, u64)]) {
        let before =
            Known { clock: clock(had), siblings: had.iter().map(|(a, c)| (dot(*a, *c), Some(*c))).collect() };
        let seen = self.history.writes[&id].context.clone();
        let seen = seen.unwrap_or_else(|| Context::from(before.clock.clone()));
        let mut after = before.clone();
        after.siblings.retain(|(old, _)| !seen.covers(*old));
        after.siblings.push((new, Some(id)));
        after.clock.insert(new);
        let mint = Mint {
            at: Duration::from_secs(at),
            machine: 0,
            key: 0,
            writes: vec![id],
            dot: new,
            expires: false,
            before,
            after,
        };
        self.history.mints.push(mint);
    }

    /// The write was told this context.
    pub(super) fn tell(&mut self, id: OpId, entries: &[(u64, u64)], exceptions: &[Dot]) {
        if let Some(Write { outcome: Outcome::Done(told), .. }) = self.history.writes.get_mut(&id) {
            told.context = Context::new(clock(entries), exceptions.to_vec());
        }
    }

    /// So many acknowledged the write.
    pub(super) fn acks(&mut self, id: OpId, count: usize) {
        if let Some(Write { outcome: Outcome::Done(told), .. }) = self.history.writes.get_mut(&id) {
            told.acks = count;
        }
    }

    /// A read at QUORUM.
    pub(super) fn read(&mut self, id: OpId, at: u64, context: &[(u64, u64)], versions: &[(Dot, u64)]) {
        self.history.reads.push(Read {
            id,
            client: 1,
            key: 0,
            level: Level::Quorum,
            call: Duration::from_secs(at),
            ret: Some(Duration::from_secs(at + 1)),
            outcome: Outcome::Done(Found { versions: versions.to_vec(), context: clock(context) }),
        });
    }

    /// What a replica has at the end.
    pub(super) fn copy(&mut self, machine: usize, entries: &[(u64, u64)], siblings: &[(Dot, u64)]) {
        let siblings = siblings.iter().map(|(dot, hash)| (*dot, Some(*hash))).collect();
        let known = Ok(Known { clock: clock(entries), siblings });
        self.history.copies.push(FinalCopy { machine, key: 0, known });
    }

    /// A machine loses something.
    pub(super) fn lose(&mut self, machine: usize, at: u64, loss: Loss) {
        self.history.lost.push(Lost { at: Duration::from_secs(at), machine, loss });
    }
}
