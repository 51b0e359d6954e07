//! Healing a record that cannot be read, by what other replicas have.

use super::keyspace::KeyspaceId;
use super::operation::StoreFailure;
use super::own::{Before, fill_body, no_stall, stored_before};
use super::replicated::Replicated;
use super::store::{Store, locked};
use super::{failure, layout, record};
use crate::causality::{Actor, Dot, SiblingSet};
use esker::{Commit, Durability};

impl Store {
    /// Learns what enough other replicas have of a key. What cannot be read here gives way to it: a value whose bytes are
    /// damaged to the same value, a record that is damaged, or has a damaged value that the others do not know of, to all
    /// that they have. Gives whether anything was changed.
    ///
    /// A record that a newer version wrote is left as it is.
    ///
    /// A store that gives up a record has forgotten writes that it took itself. Under the same name its next write would say
    /// that it knows them, and they would be dropped where they have come to be in the meantime: so it takes another first.
    pub(super) fn heal(
        &self,
        id: KeyspaceId,
        key: &[u8],
        other: &SiblingSet,
        wall_millis: u64,
    ) -> Result<(bool, Commit), StoreFailure> {
        Store::check_key(key)?;
        let tables = self.replicated(id)?;
        self.check_foreign(other, wall_millis)?;
        let mut stripe = self.lock_key(key);
        let kept = match stored_before(&tables, &stripe.stored) {
            Ok((before, set)) => mended(&tables, &stripe.stored, before, set, other),
            Err(StoreFailure::Unreadable(_)) if !is_newer(&tables, &stripe.stored) => None,
            Err(other) => return Err(other),
        };
        let (before, set, changed) = match kept {
            Some((before, mut set, mended)) => {
                let learned = set.join(other, tables.definition.mode);
                (before, set, learned || mended)
            }
            None => {
                self.rename()?;
                (Before::without_record(bodies_without(&tables, &stripe.stored, other)), other.clone(), true)
            }
        };
        if !changed {
            drop(stripe);
            return Ok((false, self.db.barrier(Durability::Synced).map_err(failure::of_write)?));
        }
        Ok((true, self.write_head(&tables, &mut stripe, &set, &before, no_stall(Durability::Synced))?))
    }

    /// Takes another actor, unless it took no write under the one that it has. Durable when this returns.
    fn rename(&self) -> Result<(), StoreFailure> {
        let mut life = locked(&self.life);
        let last = life.clock.last();
        if life.named_at == Some(last) {
            return Ok(());
        }
        let mut renamed = life.identity.clone();
        renamed.actor = Actor(life.names.next());
        self.keep_identity(&renamed, life.lease)?;
        let before = std::mem::replace(&mut life.identity, renamed).actor;
        life.retired.insert(before);
        life.named_at = Some(last);
        Ok(())
    }
}

fn is_newer(tables: &Replicated, stored: &[u8]) -> bool {
    matches!(tables.heads.get(stored), Ok(Some(bytes)) if record::is_newer(&bytes))
}

/// What is known of a key, so that damaged values are written again when `other` is joined into it, and whether there are any.
/// `None` if one stays damaged.
fn mended(
    tables: &Replicated,
    stored: &[u8],
    mut before: Before,
    set: SiblingSet,
    other: &SiblingSet,
) -> Option<(Before, SiblingSet, bool)> {
    let is_damaged = |dot: Dot| {
        let content = set.siblings().iter().find(|sibling| sibling.dot == dot).map(|s| s.content.clone());
        content.is_some_and(|mut content| fill_body(tables, stored, dot, &mut content, None).is_err())
    };
    let damaged: Vec<Dot> = before.apart().filter(|dot| is_damaged(*dot)).collect();
    let has = |dot: &Dot| other.siblings().iter().any(|sibling| sibling.dot == *dot);
    if !damaged.iter().all(|dot| has(dot) || other.clock().covers(*dot)) {
        return None;
    }
    before.write_again(&damaged);
    Some((before, set, !damaged.is_empty()))
}

/// The values of a key that lie apart from its record and are not in `set`.
fn bodies_without(tables: &Replicated, stored: &[u8], set: &SiblingSet) -> Vec<Dot> {
    let entries = tables.bodies.prefix(stored).map_while(Result::ok);
    let dots = entries.filter_map(|(key, _)| layout::dot_of_body(&key, stored));
    dots.filter(|dot| !set.siblings().iter().any(|sibling| sibling.dot == *dot)).collect()
}
