//! [`Conflict`]: two nodes that both say they are one, and how they are told from one node that restarted.
//!
//! A directory that was copied, or restored from an older copy, makes two nodes with one id, or a node that repeats an
//! earlier life of itself. Three signs tell: my own id in a life that I did not live; one generation with two incarnations
//! or two addresses; and an older generation that goes on sending after a newer one is known. The room reports and keeps
//! both sides; what is to be done is decided above.
//!
//! Two nodes with one id do not write to each other, so those whom both write to tell each of the other, as long as they
//! hear both.

use super::gossip::Entry;
use super::info::MemberInfo;
use crate::NodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Two descriptions of one id that cannot come from one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The one that this node holds: of another member, or of itself.
    pub known: Arc<MemberInfo>,
    /// The one that was presented.
    pub other: Arc<MemberInfo>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, other) = (&self.known, &self.other);
        write!(
            f,
            "two nodes have the id {}: one at {} (generation {}, incarnation {:016x}) and one at {} (generation {}, \
             incarnation {:016x}). A directory was copied, or restored from an older copy: stop one of the two, and start \
             it with an empty directory",
            known.id,
            known.peer,
            known.generation,
            known.incarnation,
            other.peer,
            other.generation,
            other.incarnation
        )
    }
}

/// The conflicts that were found, one an id.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts {
    found: BTreeMap<NodeId, Conflict>,
    elders: BTreeMap<NodeId, Elder>,
    twins: BTreeMap<NodeId, (Entry, Duration)>,
}

/// A life that sent something although a later life of its id was known.
#[derive(Clone, Debug)]
struct Elder {
    version: (u64, u64),
    since: Duration,
}

impl Conflicts {
    /// Notes a conflict. Returns it if it is not the one that is known of this id.
    pub(super) fn add(&mut self, known: &Arc<MemberInfo>, other: &Arc<MemberInfo>) -> Option<Conflict> {
        if let Some(found) = self.found.get(&known.id)
            && found.known.same_life(known)
            && found.other.same_life(other)
        {
            return None;
        }
        let conflict = Conflict { known: known.clone(), other: other.clone() };
        self.found.insert(known.id, conflict.clone());
        Some(conflict)
    }

    /// Whether the sender of an older generation is alive beside the newer one, and not a late message of a life that has
    /// ended: it sent again, with a later heartbeat, `patience` after the first time.
    pub(super) fn elder_lives(
        &mut self,
        now: Duration,
        id: NodeId,
        version: (u64, u64),
        patience: Duration,
    ) -> bool {
        match self.elders.get(&id) {
            Some(elder) if elder.version.0 == version.0 => {
                elder.version.1 < version.1 && now.saturating_sub(elder.since) >= patience
            }
            _ => {
                self.elders.insert(id, Elder { version, since: now });
                false
            }
        }
    }

    /// Notes that a twin of a member, in the same generation, has written to this node.
    pub(super) fn hear_twin(&mut self, now: Duration, twin: &Entry) {
        self.twins.insert(twin.info.id, (twin.clone(), now));
    }

    /// The twins that wrote to this node within `patience`.
    pub(super) fn twins(&self, now: Duration, patience: Duration) -> impl Iterator<Item = Entry> {
        let lately = move |(_, heard): &&(Entry, Duration)| now.saturating_sub(*heard) < patience;
        self.twins.values().filter(lately).map(|(twin, _)| twin.clone())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Conflict> {
        self.found.values()
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Conflict> {
        self.found.get(&id)
    }

    pub(super) fn clear(&mut self, id: NodeId) {
        self.found.remove(&id);
        self.elders.remove(&id);
        self.twins.remove(&id);
    }
}
