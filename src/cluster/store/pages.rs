//! Pages of records, in the order of their stored keys.

use super::keyspace::KeyspaceId;
use super::layout;
use super::operation::{Page, Record, StoreFailure};
use super::own::{decode_head, fill_bodies};
use super::replicated::Replicated;
use super::store::Store;
use crate::causality::Sibling;
use crate::ring::Token;
use esker::{Slice, Snapshot};

impl Store {
    /// Records in the order of their stored keys, from `from` on: up to `records` of them, ending after `bytes` bytes of keys
    /// and values, but at least one, if there is one. All of a page is from one moment. What cannot be read is passed over, and
    /// the page says so.
    ///
    /// # Errors
    /// `NoSuchKeyspace`.
    pub fn page(
        &self,
        keyspace: KeyspaceId,
        from: &[u8],
        records: usize,
        bytes: usize,
        bodies: bool,
    ) -> Result<Page, StoreFailure> {
        let tables = self.replicated(keyspace)?;
        let snapshot = self.db.snapshot();
        let (mut page, mut used) = (Page::default(), 0);
        let mut at = from.to_vec();
        loop {
            let mut failed = false;
            for entry in snapshot.range_in(&tables.heads, at.clone()..) {
                let Ok((stored, head)) = entry else {
                    failed = true;
                    break;
                };
                if page.len() > 0 && (page.len() >= records || used >= bytes) {
                    page.next = Some(stored.to_vec());
                    return Ok(page);
                }
                at.clear();
                at.extend_from_slice(&stored);
                // The least key behind this one.
                at.push(0);
                match record_of(&tables, &snapshot, &stored, &head, bodies) {
                    Ok(record) => {
                        let values = record.set.siblings().iter().filter_map(Sibling::bytes);
                        used += record.key.len() + values.map(|bytes| bytes.len()).sum::<usize>();
                        page.records.push(record);
                    }
                    Err(_) => match user_key_of(&stored) {
                        Some(key) => page.unreadable.push(key),
                        None => page.gap = true,
                    },
                }
            }
            if !failed {
                return Ok(page);
            }
            page.gap = true;
            match readable_after(&tables, &snapshot, &at) {
                Some(next) => at = next,
                None => return Ok(page),
            }
        }
    }
}

/// The record that an entry of the heads is.
pub(super) fn record_of(
    tables: &Replicated,
    snapshot: &Snapshot,
    stored: &Slice,
    head: &Slice,
    bodies: bool,
) -> Result<Record, StoreFailure> {
    let mut set = decode_head(head, stored)?.set;
    if bodies {
        fill_bodies(tables, stored, &mut set, Some(snapshot))?;
    }
    let Some(key) = user_key_of(stored) else {
        let what = format!("the key `{}` is no stored key", stored.escape_ascii());
        return Err(StoreFailure::Unreadable(what));
    };
    Ok(Record { key, set })
}

fn user_key_of(stored: &Slice) -> Option<Slice> {
    layout::user_key(stored).filter(|key| stored.starts_with(&Token::of_key(key).to_be_bytes()))
}

/// Where records can be read again behind `at`, at which they cannot. A damaged block does not say where it ends: the end is
/// looked for by tokens, first in steps that double, then between the last two. `None` if nothing can be read behind it.
fn readable_after(tables: &Replicated, snapshot: &Snapshot, at: &[u8]) -> Option<Vec<u8>> {
    let first_from = |token: u64| snapshot.range_in(&tables.heads, token.to_be_bytes().to_vec()..).next();
    let mut bytes = [0; 8];
    let known = at.len().min(8);
    bytes[..known].copy_from_slice(&at[..known]);
    let start = u64::from_be_bytes(bytes);
    let (mut damaged, mut readable) = (start, None);
    for step in 0..u64::BITS {
        let Some(token) = start.checked_add(1 << step) else { break };
        match first_from(token) {
            Some(Err(_)) => damaged = token,
            found => {
                readable = Some((token, found));
                break;
            }
        }
    }
    let (mut token, mut found) = readable?;
    while token - damaged > 1 {
        let middle = damaged + (token - damaged) / 2;
        match first_from(middle) {
            Some(Err(_)) => damaged = middle,
            nearer => (token, found) = (middle, nearer),
        }
    }
    found.and_then(Result::ok).map(|(stored, _)| stored.to_vec())
}
