//! [`Membership`]: what a node holds of its cluster's members, and what can be asked of it.

use super::config::{GossipConfig, SetupError, check_info};
use super::conflict::{Conflict, Conflicts};
use super::forgotten::Forgotten;
use super::gossip::Entry;
use super::info::{MemberInfo, Status};
use super::member::{Liveness, Member};
use crate::{NodeId, Random};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What has become of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A member was heard of for the first time.
    Joined(NodeId),
    /// A member began a new life: it has a higher generation. It is alive unless a [`Change::Down`] says otherwise.
    Restarted(NodeId),
    /// A member says something else of itself than before.
    Updated(NodeId),
    /// A member that was suspected or down is alive.
    Alive(NodeId),
    /// A member has been silent here for too long.
    Suspect(NodeId),
    /// A member is down.
    Down(NodeId),
    /// A member that is not of the ring was silent for so long that it was forgotten.
    Forgotten(NodeId),
    /// Two nodes have one id, maybe this node's.
    Conflict(Conflict),
}

/// A node's list of members, and the gossip that keeps it.
#[derive(Clone, Debug)]
pub struct Membership {
    pub(super) cluster: u128,
    pub(super) config: GossipConfig,
    pub(super) me: Member,
    /// The others.
    pub(super) members: BTreeMap<NodeId, Member>,
    pub(super) permanent: BTreeSet<NodeId>,
    /// Members of the ring of whom nobody has told yet.
    pub(super) unheard: BTreeMap<NodeId, Unheard>,
    pub(super) forgotten: Forgotten,
    pub(super) conflicts: Conflicts,
    pub(super) remembered: Option<Entry>,
    /// How far the stores of members had come, at least.
    pub(super) marks: BTreeMap<NodeId, u64>,
    pub(super) random: Random,
    pub(super) last_tick: Duration,
    pub(super) next_round: Duration,
}

/// A member of the ring of whom nobody has told yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unheard {
    pub(super) since: Duration,
    pub(super) is_down: bool,
}

impl Membership {
    /// A membership of one: the node `me` of the cluster `cluster`. `now` and all later times count from one fixed instant
    /// of this process.
    ///
    /// # Errors
    /// Settings that do not go together, or a description that is too long for others to take.
    pub fn new(
        cluster: u128,
        me: MemberInfo,
        config: GossipConfig,
        seed: u64,
        now: Duration,
    ) -> Result<Membership, SetupError> {
        config.check()?;
        check_info(&me)?;
        let entry = Entry { info: Arc::new(me), heartbeat: 1, silent: Duration::ZERO };
        Ok(Membership {
            cluster,
            config,
            me: Member::new(now, &entry),
            members: BTreeMap::new(),
            permanent: BTreeSet::new(),
            unheard: BTreeMap::new(),
            forgotten: Forgotten::default(),
            conflicts: Conflicts::default(),
            remembered: None,
            marks: BTreeMap::new(),
            random: Random::new(seed),
            last_tick: now,
            next_round: now,
        })
    }

    /// The cluster that this node belongs to.
    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    /// What this node says of itself.
    pub fn me(&self) -> &MemberInfo {
        &self.me.info
    }

    /// All members that are known, this node among them, by ascending id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let me = self.me.info.id;
        let before = self.members.range(..me).map(|(_, member)| member);
        let after = self.members.range(me..).map(|(_, member)| member);
        before.chain(std::iter::once(&self.me)).chain(after)
    }

    /// What is known of a member.
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        if id == self.me.info.id { Some(&self.me) } else { self.members.get(&id) }
    }

    /// What a member says of itself.
    pub fn info(&self, id: NodeId) -> Option<&MemberInfo> {
        self.member(id).map(Member::info)
    }

    /// Whether a member lives; `None` for whom this node has not heard of yet, or has forgotten. A member of the ring of whom
    /// nobody tells anything is down after a while.
    pub fn liveness(&self, id: NodeId) -> Option<Liveness> {
        let is_missing = || self.unheard.get(&id).is_some_and(|unheard| unheard.is_down);
        self.member(id).map(Member::liveness).or_else(|| is_missing().then_some(Liveness::Down))
    }

    /// Whether a member is known and alive. This node is, for itself.
    pub fn alive(&self, id: NodeId) -> bool {
        self.liveness(id) == Some(Liveness::Alive)
    }

    /// How many members are so; this node is among the living.
    pub fn count(&self, liveness: Liveness) -> usize {
        self.members().filter(|member| member.liveness == liveness).count()
    }

    /// A member's wall clock minus this node's, in milliseconds, once the member has written to this node.
    pub fn skew_ms(&self, id: NodeId) -> Option<i64> {
        self.member(id).and_then(Member::skew_ms)
    }

    /// The addresses that were given to begin with.
    pub fn seeds(&self) -> &[String] {
        &self.config.seeds
    }

    /// Adds an address to try, as if it had been given at the start.
    pub fn add_seed(&mut self, address: String) {
        if !self.config.seeds.contains(&address) {
            self.config.seeds.push(address);
        }
    }

    /// Says who is of the ring: these members are never forgotten, however long they are silent, and expected to be heard of
    /// from `now` on.
    pub fn set_permanent(&mut self, ring: &[NodeId], now: Duration) {
        self.permanent = ring.iter().copied().collect();
        self.unheard.retain(|id, _| self.permanent.contains(id));
        for id in ring.iter().filter(|id| **id != self.me.info.id && !self.members.contains_key(id)) {
            self.unheard.entry(*id).or_insert(Unheard { since: now, is_down: false });
        }
    }

    /// Changes what this node says of itself. Others learn of it in the coming rounds.
    pub fn update_me(&mut self, change: impl FnOnce(&mut Status)) {
        let mut status = self.me.info.status;
        change(&mut status);
        if status != self.me.info.status {
            Arc::make_mut(&mut self.me.info).status = status;
            self.me.heartbeat += 1;
        }
    }

    /// Begins a new life without a restart: what a node does whose directory turns out to be an old copy. Returns false, and
    /// changes nothing, if `generation` is not higher than this life's and than what others remember.
    pub fn renew(&mut self, generation: u64, incarnation: u64) -> bool {
        let remembered = self.remembered().map_or(0, |info| info.generation);
        if generation <= self.me.info.generation.max(remembered) {
            return false;
        }
        let info = Arc::make_mut(&mut self.me.info);
        info.generation = generation;
        info.incarnation = incarnation;
        self.me.heartbeat += 1;
        self.conflicts.clear(self.me.info.id);
        true
    }

    /// The newest earlier life of this node that others remember: what they told of this node's id that this life did not
    /// say. If its generation is not below this one's, this node's directory is an older copy, or another node has it too.
    pub fn remembered(&self) -> Option<&MemberInfo> {
        self.remembered.as_ref().map(|entry| &*entry.info)
    }

    /// How far the store of a member had come, as anybody remembers who told this node; 0 if nobody does.
    pub fn mark(&self, id: NodeId) -> u64 {
        self.marks.get(&id).copied().unwrap_or(0)
    }

    /// Notes how far the store of a member has come. A mark never goes back.
    pub fn note_mark(&mut self, id: NodeId, number: u64) {
        let mark = self.marks.entry(id).or_default();
        *mark = number.max(*mark);
    }

    /// All marks, by id, as they are told to others and kept.
    pub fn all_marks(&self) -> Vec<(NodeId, u64)> {
        self.marks.iter().map(|(id, number)| (*id, *number)).collect()
    }

    /// The conflicts that were found and not cleared, by ascending id.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.all()
    }

    /// The conflict of one id.
    pub fn conflict(&self, id: NodeId) -> Option<&Conflict> {
        self.conflicts.get(id)
    }

    /// Drops what was found of an id, once somebody has dealt with it. If it is still so, it will be found again.
    pub fn clear_conflict(&mut self, id: NodeId) {
        self.conflicts.clear(id);
    }

    /// How long the driver may wait from `now` on until it calls [`Membership::tick`] again.
    pub fn next_wake(&self, now: Duration) -> Duration {
        let round = self.next_round.saturating_sub(now);
        let patience = self.config.suspect_after;
        let silence = self
            .members
            .values()
            .filter(|member| member.liveness == Liveness::Alive)
            .map(|member| (member.watched_since + patience).saturating_sub(now))
            .min();
        // A tick that is late by half the patience counts as a pause of this node.
        round.min(silence.unwrap_or(round)).min(patience / 4)
    }
}
