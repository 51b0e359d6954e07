//! [`Member`]: what this node knows of a member, and how news of it is taken.
//!
//! Invariants: `observers` belong to the present version and are empty after each advance; a member that is down stays so
//! until fresh news of it comes.

use super::gossip::Entry;
use super::info::MemberInfo;
use super::skew::Skew;
use crate::NodeId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Whether a member is alive, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liveness {
    /// Its heartbeat advances.
    Alive,
    /// Its heartbeat has stood still here for too long; others have not said so.
    Suspect,
    /// Enough members say that its heartbeat stands still.
    Down,
}

/// What this node knows of a member.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) info: Arc<MemberInfo>,
    pub(super) heartbeat: u64,
    /// When this heartbeat came here.
    pub(super) advanced_at: Duration,
    /// How long it had been known elsewhere by then.
    pub(super) age_then: Duration,
    /// Since when this node has watched for the next heartbeat.
    pub(super) watched_since: Duration,
    /// Who found the member silent since this heartbeat. This node is among them if it did.
    pub(super) observers: BTreeSet<NodeId>,
    pub(super) liveness: Liveness,
    pub(super) skew: Skew,
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It held nothing new.
    Nothing,
    /// It comes from another node that uses the same id in the same generation.
    Twin,
    /// It was newer.
    News { restarted: bool, updated: bool, revived: bool },
}

impl Member {
    pub(super) fn new(now: Duration, entry: &Entry) -> Member {
        Member {
            info: entry.info.clone(),
            heartbeat: entry.heartbeat,
            advanced_at: now,
            age_then: entry.silent,
            watched_since: now,
            observers: BTreeSet::new(),
            liveness: Liveness::Alive,
            skew: Skew::default(),
        }
    }

    /// What the member says of itself.
    pub fn info(&self) -> &MemberInfo {
        &self.info
    }

    /// The newest heartbeat that is known of it.
    pub fn heartbeat(&self) -> u64 {
        self.heartbeat
    }

    /// When, by this node's monotonic clock, that heartbeat came here.
    pub fn advanced_at(&self) -> Duration {
        self.advanced_at
    }

    /// Whether it is alive.
    pub fn liveness(&self) -> Liveness {
        self.liveness
    }

    /// Its wall clock minus this node's, in milliseconds, from its own messages.
    pub fn skew_ms(&self) -> Option<i64> {
        self.skew.ms()
    }

    pub(super) fn version(&self) -> (u64, u64) {
        (self.info.generation, self.heartbeat)
    }

    /// For how long the heartbeat has stood still, as far as anybody who told this node knows.
    pub(super) fn silent(&self, now: Duration) -> Duration {
        now.saturating_sub(self.advanced_at).saturating_add(self.age_then)
    }

    pub(super) fn entry(&self, now: Duration) -> Entry {
        Entry { info: self.info.clone(), heartbeat: self.heartbeat, silent: self.silent(now) }
    }

    /// Takes an entry of this member if it is newer. What has been silent for `patience` elsewhere is news, but no sign of
    /// life: it does not revive a member that is down.
    pub(super) fn take(&mut self, now: Duration, entry: &Entry, patience: Duration) -> Taken {
        let same_generation = entry.info.generation == self.info.generation;
        if same_generation && !entry.info.same_life(&self.info) {
            // The one that was known first is kept while it lives, so that two twins do not take turns.
            if self.liveness != Liveness::Alive && entry.heartbeat > self.heartbeat {
                self.advance(now, entry, patience);
            }
            return Taken::Twin;
        }
        if entry.version() < self.version() {
            return Taken::Nothing;
        }
        if entry.version() == self.version() {
            // Whoever has known a heartbeat for longer is right about its age: a clock may have stood still while its
            // machine slept. So all forget a ghost at one time.
            self.age_then = self.age_then.saturating_add(entry.silent.saturating_sub(self.silent(now)));
            return Taken::Nothing;
        }
        let restarted = !same_generation;
        let updated = !restarted && !entry.info.says_the_same(&self.info);
        let revived = self.advance(now, entry, patience);
        Taken::News { restarted, updated, revived }
    }

    /// Moves on to a newer entry. Returns whether the member was thought silent and is alive again.
    fn advance(&mut self, now: Duration, entry: &Entry, patience: Duration) -> bool {
        if entry.info.generation != self.info.generation {
            self.skew = Skew::default();
        }
        self.info = entry.info.clone();
        self.heartbeat = entry.heartbeat;
        self.advanced_at = now;
        self.age_then = entry.silent;
        self.watched_since = now;
        self.observers.clear();
        let old_news = self.liveness == Liveness::Down && entry.silent >= patience;
        if self.liveness == Liveness::Alive || old_news {
            return false;
        }
        self.liveness = Liveness::Alive;
        true
    }
}
