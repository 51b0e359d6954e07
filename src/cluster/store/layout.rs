//! Where things lie in the engine: the names of its keyspaces, and their keys.

use super::fold::PrevFold;
use super::keyspace::KeyspaceId;
use crate::causality::{Actor, Dot};
use crate::id::NodeId;
use crate::ring::Token;
use esker::{KeyspaceOptions, MAX_KEY_LEN, Slice};
use std::sync::Arc;

/// The kind of the engine's keyspaces that hold a replicated keyspace.
pub const REPLICATED_KIND: &str = "replicated";
/// The kind of the engine's keyspaces that a store keeps for itself.
pub const INTERNAL_KIND: &str = "internal";

pub(super) const NODE: &str = "esker.node";
pub(super) const HINTS: &str = "esker.hints";
const HEADS: &str = ".heads";
const BODIES: &str = ".bodies";

/// The longest user key: with a token before it and a dot after it, it is still a key of the engine.
pub const MAX_USER_KEY_LEN: usize = MAX_KEY_LEN - TOKEN_LEN - DOT_LEN;
const TOKEN_LEN: usize = 8;
const DOT_LEN: usize = 16;
const HINT_PREFIX_LEN: usize = 12;

/// Whether a keyspace of the engine is the store's own, or part of a replicated one: nobody else may make, read or write one
/// of such a name.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("esker.") || name.ends_with(HEADS) || name.ends_with(BODIES)
}

pub(super) fn heads_of(name: &str) -> String {
    format!("{name}{HEADS}")
}

pub(super) fn bodies_of(name: &str) -> String {
    format!("{name}{BODIES}")
}

/// The options of the engine's keyspaces that are the store's own. Whoever opens a node's directory for writing without being
/// a node gives them to the engine.
pub fn options_for(name: &str) -> Option<KeyspaceOptions> {
    match name {
        NODE | HINTS => Some(KeyspaceOptions::new().kind(INTERNAL_KIND)),
        _ if name.ends_with(HEADS) => {
            Some(KeyspaceOptions::new().kind(REPLICATED_KIND).fold(Arc::new(PrevFold)))
        }
        _ if name.ends_with(BODIES) => Some(KeyspaceOptions::new().kind(REPLICATED_KIND)),
        _ => None,
    }
}

/// Writes the stored key of a user key with this token in the place of what is in `out`.
pub(super) fn stored_key(out: &mut Vec<u8>, token: Token, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&token.to_be_bytes());
    out.extend_from_slice(key);
}

/// The user key of a stored key. `None` if it is none.
pub(super) fn user_key(stored: &Slice) -> Option<Slice> {
    (stored.len() >= TOKEN_LEN).then(|| stored.slice(TOKEN_LEN..))
}

pub(super) fn body_key(stored: &[u8], dot: Dot) -> Vec<u8> {
    let mut key = Vec::with_capacity(stored.len() + DOT_LEN);
    key.extend_from_slice(stored);
    key.extend_from_slice(&dot.actor.0.to_be_bytes());
    key.extend_from_slice(&dot.counter.to_be_bytes());
    key
}

/// The dot in the key of a body of this stored key. `None` if it is the key of another.
pub(super) fn dot_of_body(key: &[u8], stored: &[u8]) -> Option<Dot> {
    let (actor, counter) = key.strip_prefix(stored)?.split_at_checked(DOT_LEN / 2)?;
    let actor = Actor(actor.try_into().map(u64::from_be_bytes).ok()?);
    Some(Dot { actor, counter: counter.try_into().map(u64::from_be_bytes).ok()? })
}

pub(super) fn hint_key(target: NodeId, keyspace: KeyspaceId, stored: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(HINT_PREFIX_LEN + stored.len());
    key.extend_from_slice(&target.0.to_be_bytes());
    key.extend_from_slice(&keyspace.0.to_be_bytes());
    key.extend_from_slice(stored);
    key
}

/// The parts of a hint's key: for whom, of which keyspace, and the user key. `None` if it is none.
pub(super) fn parse_hint_key(key: &Slice) -> Option<(NodeId, KeyspaceId, Slice)> {
    let target = key.get(..8)?.try_into().map(u64::from_be_bytes).ok()?;
    let keyspace = key.get(8..HINT_PREFIX_LEN)?.try_into().map(u32::from_be_bytes).ok()?;
    let user_key =
        (key.len() >= HINT_PREFIX_LEN + TOKEN_LEN).then(|| key.slice(HINT_PREFIX_LEN + TOKEN_LEN..))?;
    Some((NodeId(target), KeyspaceId(keyspace), user_key))
}
