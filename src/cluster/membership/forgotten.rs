//! [`Forgotten`]: members that are gone for good, remembered long enough that gossip does not bring them back.
//!
//! Nodes forget a member at slightly different times. Without this list, whoever still knows it would tell those who do
//! not, and a ghost would go round for ever. A dead member's heartbeat stands still, so what is not newer than what was
//! forgotten is refused, and a member that is alive after all comes back by its next heartbeat.

use super::config::MEMBERS_MAX;
use crate::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The members that were forgotten a while ago: the version each had, and until when that is remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Forgotten {
    gone: BTreeMap<NodeId, ((u64, u64), Duration)>,
}

impl Forgotten {
    /// Remembers until `until` that `id` was forgotten at `version`. Of too many the one that ends first makes room.
    pub(super) fn add(&mut self, id: NodeId, version: (u64, u64), until: Duration) {
        if self.gone.len() >= MEMBERS_MAX {
            let first = self.gone.iter().min_by_key(|(_, (_, until))| *until).map(|(id, _)| *id);
            if let Some(first) = first {
                self.gone.remove(&first);
            }
        }
        self.gone.insert(id, (version, until));
    }

    /// Whether `version` of `id` is no newer than what was forgotten.
    pub(super) fn covers(&self, id: NodeId, version: (u64, u64)) -> bool {
        self.gone.get(&id).is_some_and(|(gone, _)| version <= *gone)
    }

    /// `id` is a member again.
    pub(super) fn remove(&mut self, id: NodeId) {
        self.gone.remove(&id);
    }

    /// Drops what need not be remembered any longer.
    pub(super) fn expire(&mut self, now: Duration) {
        self.gone.retain(|_, (_, until)| *until > now);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.gone.len()
    }
}
