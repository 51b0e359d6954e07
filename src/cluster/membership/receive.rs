//! How a node takes a gossip: newer entries replace older ones, suspicions add up, and the sender is told what it did not
//! know.

use super::config::MEMBERS_MAX;
use super::detector;
use super::gossip::{Entry, Gossip, GossipError, Target};
use super::member::{Member, Taken};
use super::state::{Change, Membership};
use crate::NodeId;
use std::time::Duration;

impl Membership {
    /// Takes a gossip. An answer to it, if it is no answer itself and its sender knew less, is put into `out`.
    ///
    /// # Errors
    /// The gossip comes from another cluster. Nothing of it was taken.
    pub fn receive(
        &mut self,
        now: Duration,
        wall_ms: u64,
        gossip: &Gossip,
        out: &mut Vec<(Target, Gossip)>,
    ) -> Result<Vec<Change>, GossipError> {
        if gossip.cluster != self.cluster {
            return Err(GossipError::OtherCluster { ours: self.cluster, theirs: gossip.cluster });
        }
        let mut changes = Vec::new();
        self.hear_double(now, &gossip.from, &mut changes);
        self.take(now, &gossip.from, &mut changes);
        for entry in &gossip.members {
            self.take(now, entry, &mut changes);
        }
        if let Some(sender) = self.members.get_mut(&gossip.from.info.id)
            && sender.info.same_life(&gossip.from.info)
        {
            sender.skew.note(gossip.from.info.wall_ms, wall_ms);
        }
        self.take_suspicions(gossip);
        for (id, number) in &gossip.marks {
            if self.permanent.contains(id) {
                self.note_mark(*id, *number);
            }
        }
        detector::judge(&mut self.members, self.me.info.id, &mut changes);
        if !gossip.answer {
            self.answer(now, wall_ms, gossip, out);
        }
        Ok(changes)
    }

    fn take(&mut self, now: Duration, entry: &Entry, changes: &mut Vec<Change>) {
        let id = entry.info.id;
        if id == self.me.info.id {
            self.take_mine(entry, changes);
            return;
        }
        let Some(member) = self.members.get_mut(&id) else {
            self.learn(now, entry, changes);
            return;
        };
        let known = member.info.clone();
        match member.take(now, entry, self.config.suspect_after) {
            Taken::Nothing => {}
            Taken::Twin => changes.extend(self.conflicts.add(&known, &entry.info).map(Change::Conflict)),
            Taken::News { restarted, updated, revived } => {
                if restarted {
                    changes.push(Change::Restarted(id));
                }
                if updated {
                    changes.push(Change::Updated(id));
                }
                if revived {
                    changes.push(Change::Alive(id));
                }
            }
        }
    }

    /// Takes in a member that was not known, unless it is a ghost or the list is full.
    fn learn(&mut self, now: Duration, entry: &Entry, changes: &mut Vec<Change>) {
        let id = entry.info.id;
        let ghost = self.forgotten.covers(id, entry.version()) || entry.silent >= self.config.forget_after;
        if (ghost && !self.permanent.contains(&id)) || self.members.len() + 1 >= MEMBERS_MAX {
            return;
        }
        self.forgotten.remove(id);
        self.unheard.remove(&id);
        self.members.insert(id, Member::new(now, entry));
        changes.push(Change::Joined(id));
    }

    /// What others say of this node's own id is an echo of what it said, a memory of an earlier life, or a conflict.
    fn take_mine(&mut self, entry: &Entry, changes: &mut Vec<Change>) {
        let me = &self.me;
        let echo = entry.info.same_life(&me.info) && entry.heartbeat <= me.heartbeat;
        if echo {
            return;
        }
        if self.remembered.as_ref().is_none_or(|known| known.version() < entry.version()) {
            self.remembered = Some(entry.clone());
        }
        if entry.info.generation >= me.info.generation {
            changes.extend(self.conflicts.add(&me.info, &entry.info).map(Change::Conflict));
        }
    }

    /// Looks whether the sender uses the id of another node. A message from a life that has been replaced is late, or its
    /// sender lives on beside its successor; one from another life of the same generation comes from a twin.
    fn hear_double(&mut self, now: Duration, from: &Entry, changes: &mut Vec<Change>) {
        let id = from.info.id;
        let Some(known) = self.member(id).map(|member| member.info.clone()) else { return };
        if from.info.generation == known.generation && !from.info.same_life(&known) {
            self.conflicts.hear_twin(now, from);
        }
        if from.info.generation < known.generation
            && self.conflicts.elder_lives(now, id, from.version(), self.config.suspect_after)
        {
            changes.extend(self.conflicts.add(&known, &from.info).map(Change::Conflict));
        }
    }

    /// Adds the observers of suspicions that speak of the present heartbeat. Only members have a voice; this node is not among
    /// `members`, so what others say in its name, because an earlier life of it said so, does not count.
    fn take_suspicions(&mut self, gossip: &Gossip) {
        for suspicion in &gossip.suspicions {
            let said = suspicion.observers.iter().copied();
            let voices: Vec<NodeId> = said.filter(|observer| self.members.contains_key(observer)).collect();
            if let Some(member) = self.members.get_mut(&suspicion.suspect)
                && member.version() == suspicion.version
            {
                member.observers.extend(voices);
            }
        }
    }

    /// Tells the sender what is newer here than in its gossip, if anything is.
    fn answer(&mut self, now: Duration, wall_ms: u64, gossip: &Gossip, out: &mut Vec<(Target, Gossip)>) {
        let from = &gossip.from;
        let mut theirs: Vec<(NodeId, (u64, u64))> =
            gossip.members.iter().chain([from]).map(|entry| (entry.info.id, entry.version())).collect();
        theirs.sort_unstable();
        let knew = |id: NodeId, version: (u64, u64)| {
            // Of an id that is named twice, the last one is the newest.
            let end = theirs.partition_point(|(other, _)| *other <= id);
            end > 0 && theirs[end - 1].0 == id && theirs[end - 1].1 >= version
        };
        let me_known = knew(self.me.info.id, self.me.version());
        let newer: Vec<Entry> = self
            .members
            .iter()
            .filter(|(id, member)| !knew(**id, member.version()))
            .map(|(_, member)| member.entry(now))
            .collect();
        let suspicions = self.suspicions();
        let untold = suspicions.iter().any(|mine| {
            let told =
                gossip.suspicions.iter().find(|s| s.suspect == mine.suspect && s.version == mine.version);
            told.is_none_or(|told| !mine.observers.iter().all(|observer| told.observers.contains(observer)))
        });
        if me_known && newer.is_empty() && !untold {
            return;
        }
        let target = match self.members.get(&from.info.id) {
            Some(member) if member.info.peer == from.info.peer => Target::Node(from.info.id),
            _ if from.info.same_life(&self.me.info) => return,
            // The sender is not the member whose address is known by this id.
            _ => Target::Address(from.info.peer.clone()),
        };
        let answer = Gossip {
            cluster: self.cluster,
            answer: true,
            from: self.introduce(wall_ms),
            members: newer,
            suspicions,
            marks: self.all_marks(),
        };
        out.push((target, answer));
    }
}
