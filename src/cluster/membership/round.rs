//! What a node does by itself: watch, judge, forget, and tell others once a round.

use super::detector;
use super::gossip::{Entry, Gossip, OBSERVERS_MAX, Suspicion, Target};
use super::member::{Liveness, Member};
use super::state::{Change, Membership};
use crate::NodeId;
use std::sync::Arc;
use std::time::Duration;

impl Membership {
    /// Does what is due at `now`, and puts what is to be sent into `out`. May be called at any time; not later than
    /// [`Membership::next_wake`] says.
    pub fn tick(&mut self, now: Duration, wall_ms: u64, out: &mut Vec<(Target, Gossip)>) -> Vec<Change> {
        let mut changes = Vec::new();
        let patience = self.config.suspect_after;
        if now.saturating_sub(self.last_tick) > patience / 2 {
            // This node was stopped, or starved. What it did not look at was not silent for all it knows.
            detector::watch_anew(&mut self.members, now);
            self.unheard.values_mut().for_each(|unheard| unheard.since = now);
        }
        self.last_tick = now;
        detector::observe(&mut self.members, self.me.info.id, now, patience, &mut changes);
        detector::judge(&mut self.members, self.me.info.id, &mut changes);
        self.miss(now, &mut changes);
        self.forget(now, &mut changes);
        if now >= self.next_round {
            self.round(now, wall_ms, out);
        }
        changes
    }

    /// Of whom nobody has told for as long as a suspicion and its confirmation take, he is down: whoever heard him would have said so.
    fn miss(&mut self, now: Duration, changes: &mut Vec<Change>) {
        let patience = self.config.suspect_after * 2;
        for (id, unheard) in &mut self.unheard {
            if !unheard.is_down && now.saturating_sub(unheard.since) >= patience {
                unheard.is_down = true;
                changes.push(Change::Down(*id));
            }
        }
    }

    /// Forgets who is not of the ring and has been silent for too long.
    fn forget(&mut self, now: Duration, changes: &mut Vec<Change>) {
        let limit = self.config.forget_after;
        self.forgotten.expire(now);
        let is_ghost = |id: &NodeId, member: &Member| {
            member.liveness != Liveness::Alive && member.silent(now) >= limit && !self.permanent.contains(id)
        };
        let ghosts: Vec<(NodeId, (u64, u64))> = self
            .members
            .iter()
            .filter(|(id, member)| is_ghost(id, member))
            .map(|(id, member)| (*id, member.version()))
            .collect();
        for (id, version) in ghosts {
            self.members.remove(&id);
            self.conflicts.clear(id);
            self.forgotten.add(id, version, now.saturating_add(limit));
            changes.push(Change::Forgotten(id));
        }
    }

    fn round(&mut self, now: Duration, wall_ms: u64, out: &mut Vec<(Target, Gossip)>) {
        let interval = self.config.interval;
        let tenth = interval / 10;
        let jitter = Duration::from_micros(self.random.below(2 * tenth.as_micros() as u64 + 1));
        self.next_round = now + (interval - tenth) + jitter;
        self.me.heartbeat += 1;
        self.me.advanced_at = now;
        let from = self.introduce(wall_ms);
        let twins = self.conflicts.twins(now, self.config.suspect_after);
        let gossip = Gossip {
            cluster: self.cluster,
            answer: false,
            from,
            members: self.members.values().map(|member| member.entry(now)).chain(twins).collect(),
            suspicions: self.suspicions(),
            marks: self.all_marks(),
        };
        for target in self.choose_targets() {
            out.push((target, gossip.clone()));
        }
    }

    /// This node, as it is now.
    pub(super) fn introduce(&mut self, wall_ms: u64) -> Entry {
        if self.me.info.wall_ms != wall_ms {
            Arc::make_mut(&mut self.me.info).wall_ms = wall_ms;
        }
        Entry { info: self.me.info.clone(), heartbeat: self.me.heartbeat, silent: Duration::ZERO }
    }

    /// Random members that are not down, and now and then somebody who is, or a seed. A node that hears nobody tries those
    /// only.
    fn choose_targets(&mut self) -> Vec<Target> {
        let mut near: Vec<NodeId> = Vec::new();
        let mut far: Vec<Target> = Vec::new();
        for (id, member) in &self.members {
            if member.liveness == Liveness::Down {
                far.push(Target::Node(*id));
            } else {
                near.push(*id);
            }
        }
        for seed in &self.config.seeds {
            let known = *seed == self.me.info.peer || self.members.values().any(|m| m.info.peer == *seed);
            if !known {
                far.push(Target::Address(seed.clone()));
            }
        }
        self.random.shuffle(&mut near);
        self.random.shuffle(&mut far);
        near.truncate(self.config.fanout);
        let probe = self.random.chance(self.config.probe_per_mille);
        far.truncate(if near.is_empty() { self.config.fanout } else { usize::from(probe) });
        near.truncate(self.config.fanout.saturating_sub(far.len()).max(1));
        near.into_iter().map(Target::Node).chain(far).collect()
    }

    /// All suspicions of present heartbeats. Of many observers this node and those it holds to be alive are named.
    pub(super) fn suspicions(&self) -> Vec<Suspicion> {
        let me = self.me.info.id;
        let suspected = self.members.iter().filter(|(_, member)| !member.observers.is_empty());
        let name = |(id, member): (&NodeId, &Member)| {
            let mine = member.observers.contains(&me).then_some(me);
            let others =
                member.observers.iter().copied().filter(|observer| self.members.contains_key(observer));
            let (alive, silent): (Vec<_>, Vec<_>) = others.partition(|observer| self.alive(*observer));
            let observers = mine.into_iter().chain(alive).chain(silent).take(OBSERVERS_MAX).collect();
            Suspicion { suspect: *id, version: member.version(), observers }
        };
        suspected.map(name).collect()
    }
}
