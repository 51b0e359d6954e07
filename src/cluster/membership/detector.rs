//! The failure detector: when silence becomes suspicion, and suspicion the verdict that a member is down.
//!
//! One observer is not enough for a verdict: his own way to the member, or he himself, may be what has failed. Two observers
//! who stopped hearing a member at the same heartbeat, and a judge who has heard no later one either, are three nodes that
//! no news of it reaches by any way. Where fewer than two can report, all who can are enough.

use super::member::{Liveness, Member};
use super::state::Change;
use crate::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Suspects those whose heartbeat has stood still for `patience` while this node was watching.
pub(super) fn observe(
    members: &mut BTreeMap<NodeId, Member>,
    me: NodeId,
    now: Duration,
    patience: Duration,
    changes: &mut Vec<Change>,
) {
    for (id, member) in members {
        if now.saturating_sub(member.watched_since) < patience {
            continue;
        }
        member.observers.insert(me);
        if member.liveness == Liveness::Alive {
            member.liveness = Liveness::Suspect;
            changes.push(Change::Suspect(*id));
        }
    }
}

/// Begins to watch anew, after a time in which this node did not look.
pub(super) fn watch_anew(members: &mut BTreeMap<NodeId, Member>, now: Duration) {
    for member in members.values_mut().filter(|member| member.liveness == Liveness::Alive) {
        member.watched_since = now;
    }
}

/// Declares down whom two live members, or all who can, report as silent. A verdict takes a voice from others, so it is
/// repeated until nothing changes.
pub(super) fn judge(members: &mut BTreeMap<NodeId, Member>, me: NodeId, changes: &mut Vec<Change>) {
    loop {
        if members.values().all(|member| member.liveness == Liveness::Down || member.observers.is_empty()) {
            return;
        }
        let alive = alive(members);
        let fallen: Vec<NodeId> = members
            .iter()
            .filter(|(id, member)| member.liveness != Liveness::Down && is_down(**id, member, &alive, me))
            .map(|(id, _)| *id)
            .collect();
        if fallen.is_empty() {
            return;
        }
        for id in fallen {
            if let Some(member) = members.get_mut(&id) {
                member.liveness = Liveness::Down;
            }
            changes.push(Change::Down(id));
        }
    }
}

fn alive(members: &BTreeMap<NodeId, Member>) -> BTreeSet<NodeId> {
    members.iter().filter(|(_, member)| member.liveness == Liveness::Alive).map(|(id, _)| *id).collect()
}

fn is_down(id: NodeId, member: &Member, alive: &BTreeSet<NodeId>, me: NodeId) -> bool {
    let others_who_can = alive.len() - usize::from(alive.contains(&id));
    let needed = if others_who_can == 0 { 1 } else { 2 };
    let counts = |observer: &&NodeId| **observer != id && (**observer == me || alive.contains(observer));
    member.observers.iter().filter(counts).count() >= needed
}
