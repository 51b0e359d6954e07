//! [`CatchUp`]: tells this node's store of the writes that a context stands beside, so that the store can take a write with it.
//!
//! A context excepts writes that its client has not seen. Under the new write's clock a store that knows nothing of one would say
//! that it had been replaced. So the other replicas are asked for the key until what they have knows of all exceptions, and that
//! is joined here before the dot is given.

use super::Heard;
use super::task::Desk;
use crate::causality::{ConflictMode, Context, SiblingSet};
use crate::id::NodeId;
use crate::message::Message;
use crate::store::KeyspaceId;
use esker::{Durability, Slice};

/// What a store is told before it takes a write.
#[derive(Debug)]
pub(super) struct CatchUp {
    keyspace: KeyspaceId,
    key: Slice,
    seen: Context,
    mode: ConflictMode,
    /// Replicas that were asked and have not answered.
    asked: Vec<NodeId>,
    /// What the others have.
    merged: SiblingSet,
    /// Whether this store was told.
    told: bool,
    /// How durable what it is told has to become: as the write, in whose record it will stand.
    durability: Durability,
    /// For whom this store keeps the copy that is meant, if it is not its own.
    stands_in_for: Option<NodeId>,
}

/// How far a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caught {
    /// More has to be heard.
    Waiting,
    /// It knows of all exceptions.
    Up,
    /// Nobody who can be asked knows of them, or the store does not take it.
    Never,
}

impl CatchUp {
    /// Asks the other replicas. `None` if none can be.
    pub(super) fn begin(
        keyspace: KeyspaceId,
        key: &Slice,
        seen: &Context,
        replicas: &[NodeId],
        durability: Durability,
        stands_in_for: Option<NodeId>,
        desk: &mut Desk<'_, '_>,
    ) -> Option<CatchUp> {
        let (me, mut asked) = (desk.me(), Vec::new());
        for &node in replicas.iter().filter(|node| **node != me) {
            let key = key.clone();
            let read = |question| Message::Read { question, keyspace, key, bodies: true };
            if desk.directory.is_readable(node) && desk.ask(node, read) {
                asked.push(node);
            }
        }
        let mode = desk.directory.keyspace(keyspace).map_or(ConflictMode::Causal, |k| k.mode);
        let (key, seen, merged) = (key.clone(), seen.clone(), SiblingSet::new());
        let told = false;
        (!asked.is_empty()).then_some(CatchUp {
            keyspace,
            key,
            seen,
            mode,
            asked,
            merged,
            told,
            durability,
            stands_in_for,
        })
    }

    pub(super) fn hear(&mut self, node: NodeId, heard: Heard, desk: &mut Desk<'_, '_>) -> Caught {
        let me = desk.me();
        match heard {
            Heard::Stored(result) if node == me => {
                return if result.is_ok() { Caught::Up } else { Caught::Never };
            }
            Heard::Set(Ok(set)) => {
                self.merged.join(&set, self.mode);
            }
            _ => {}
        }
        self.asked.retain(|id| *id != node);
        if self.told {
            return Caught::Waiting;
        }
        if self.merged.unknown_to(&self.seen).is_some() {
            return if self.asked.is_empty() { Caught::Never } else { Caught::Waiting };
        }
        self.told = true;
        let (place, set) = ((self.keyspace, &self.key), self.merged.clone());
        let sent = desk.tell(me, place, set, self.durability, self.stands_in_for);
        if sent { Caught::Waiting } else { Caught::Never }
    }
}
