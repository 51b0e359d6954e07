//! [`Entries`]: what a writer holds entries against, and counts of them.

use crate::key::{self, Kind, MAX_KEY_LEN, MAX_VALUE_LEN};
use crate::{Properties, RangeTombstone, Result, TableError, Trailer};
use std::cmp::Ordering;

/// The entries that a writer was given so far.
#[derive(Debug)]
pub struct Entries {
    first_key: Option<Vec<u8>>,
    /// Of the newest entry.
    last_key: Vec<u8>,
    last_trailer: Trailer,
    /// What the entries count; bounds and tombstones come in at the end.
    pub counts: Properties,
}

impl Default for Entries {
    fn default() -> Entries {
        Entries {
            first_key: None,
            last_key: Vec::new(),
            last_trailer: Trailer::FIRST,
            counts: Properties::default(),
        }
    }
}

impl Entries {
    /// The user key of the first entry, if there is one.
    pub fn first_key(&self) -> Option<&[u8]> {
        self.first_key.as_deref()
    }

    /// The user key of the newest entry; empty if there is none.
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Refuses an entry that is not above the one before, that is beyond the limits, or of a kind that tables do not hold.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&self, user_key: &[u8], trailer: Trailer, value: &[u8]) -> Result<()> {
        let order = || key::compare(&self.last_key, self.last_trailer, user_key, trailer);
        if self.first_key.is_some() && order() != Ordering::Less {
            return Err(TableError::invalid("an entry is not above the one before"));
        }
        if user_key.len() > MAX_KEY_LEN || value.len() > MAX_VALUE_LEN {
            return Err(TableError::invalid(format!(
                "a key of {} or a value of {} bytes is too long",
                user_key.len(),
                value.len()
            )));
        }
        match trailer.kind() {
            Some(Kind::Delete) if !value.is_empty() => Err(TableError::invalid("a delete has no value")),
            None | Some(Kind::RangeDelete) => {
                Err(TableError::invalid(format!("an entry of kind {} cannot be held", trailer.kind_number())))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether an entry that passed [`check`](Entries::check) is the first of its user key.
    pub fn is_new_key(&self, user_key: &[u8]) -> bool {
        self.first_key.is_none() || self.last_key != user_key
    }

    /// Counts an entry that passed [`check`](Entries::check).
    pub fn add(&mut self, user_key: &[u8], trailer: Trailer, value: &[u8], new_key: bool) {
        self.counts.count(user_key, trailer, value, new_key);
        self.go_to(user_key, user_key, trailer, new_key);
    }

    /// Counts entries that were copied together, the first and the last of which are these.
    pub fn add_part(&mut self, first_key: &[u8], last_key: &[u8], last_trailer: Trailer, part: &Properties) {
        self.counts.count_part(part);
        self.go_to(first_key, last_key, last_trailer, true);
    }

    fn go_to(&mut self, first_key: &[u8], last_key: &[u8], last_trailer: Trailer, new_key: bool) {
        if self.first_key.is_none() {
            self.first_key = Some(first_key.to_vec());
        }
        if new_key {
            self.last_key.clear();
            self.last_key.extend_from_slice(last_key);
        }
        self.last_trailer = last_trailer;
    }

    /// The table's properties, complete but for the collected bytes.
    pub fn properties(&self, tombstones: &[RangeTombstone]) -> Properties {
        let mut whole = Properties::default();
        if let Some(first_key) = &self.first_key {
            whole.widen(first_key, &self.last_key, false);
        }
        whole.count_part(&self.counts);
        tombstones.iter().for_each(|tombstone| whole.count_range_tombstone(tombstone));
        (whole.data_bytes, whole.data_blocks) = (self.counts.data_bytes, self.counts.data_blocks);
        whole
    }
}
