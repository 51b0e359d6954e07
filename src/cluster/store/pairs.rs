//! [`Pair`]: blind writes of several keys at once, into a keyspace that is kept on one node only.

use super::keyspace::KeyspaceId;
use super::layout;
use super::operation::StoreFailure;
use super::own::{deferred, stored_before};
use super::store::{Store, Stripe, locked};
use crate::causality::{Context, Sibling};
use crate::ring::Token;
use esker::{Commit, Durability, Slice, WriteBatch};
use std::sync::MutexGuard;

/// A pair to be written whatever is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Slice,
    /// The value.
    pub value: Slice,
    /// When it ends to be visible, in milliseconds since 1970.
    pub expires_at: Option<u64>,
}

impl Store {
    /// Writes pairs whatever is there, all of them at one moment; of several for one key the last one counts. Each replaces all
    /// siblings of its key. The [`Commit`] brings them to their durability once it is [begun](Commit::begin), and tells when they
    /// are there; there is none if there are no pairs.
    ///
    /// # Errors
    /// Those of [`update`](Store::update); nothing was written then.
    pub fn put_all(
        &self,
        keyspace: KeyspaceId,
        pairs: &[Pair],
        wall_millis: u64,
        durability: Durability,
    ) -> Result<Option<Commit>, StoreFailure> {
        let tables = self.replicated(keyspace)?;
        let mut order: Vec<(usize, Token, usize)> = Vec::with_capacity(pairs.len());
        for (at, pair) in pairs.iter().enumerate() {
            Store::check_key(&pair.key)?;
            let token = Token::of_key(&pair.key);
            order.push((Store::stripe_of(token), token, at));
        }
        // Stripes are taken in ascending order, so that two of these never wait for each other; of one key the last pair
        // comes last.
        order
            .sort_unstable_by(|a, b| (a.0, a.1, &pairs[a.2].key, a.2).cmp(&(b.0, b.1, &pairs[b.2].key, b.2)));
        let mut held: Vec<MutexGuard<'_, Stripe>> = Vec::new();
        let (mut last, mut batch) = (None, WriteBatch::new());
        let (mut stored, mut head) = (Vec::new(), Vec::new());
        for (place, &(stripe, token, at)) in order.iter().enumerate() {
            if last.replace(stripe) != Some(stripe) {
                held.push(locked(&self.stripes[stripe]));
            }
            let pair = &pairs[at];
            if order.get(place + 1).is_some_and(|&(.., next)| pairs[next].key == pair.key) {
                continue;
            }
            layout::stored_key(&mut stored, token, &pair.key);
            let (before, mut set) = stored_before(&tables, &stored)?;
            let mode = tables.definition.mode;
            let seen = Context::from(set.clock().clone());
            let dot = self.dot_after(&set, seen.clock(), mode, wall_millis)?;
            set.put(&seen, Sibling::value(dot, pair.value.clone(), pair.expires_at), mode);
            set.truncate_clock(self.config.max_clock_entries);
            self.head_to(&tables, &mut batch, &stored, &mut head, &set, &before);
        }
        if batch.is_empty() {
            return Ok(None);
        }
        self.submit_patiently(&batch, deferred(durability)).map(Some)
    }
}
