//! [`Cursors`]: the numbers that `SCAN` gives out, and the place each stands for.
//!
//! Clients hand a number of at most 64 bits back, and a plain keyspace's order is that of its keys, of any length: a place does not
//! fit into the number. So the server remembers the places of the numbers it gave out last. A number that was pushed out is
//! refused; to go on from anywhere else would leave keys out in silence.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Places that are remembered: a few megabytes at most, since keys are short.
const REMEMBERED: usize = 4096;

#[derive(Debug, Default)]
struct Places {
    last: u64,
    by_number: BTreeMap<u64, (usize, Vec<u8>)>,
    order: VecDeque<u64>,
}

/// Places by number.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    places: Mutex<Places>,
}

impl Cursors {
    pub(crate) fn new() -> Cursors {
        Cursors::default()
    }

    /// Remembers that the next key of this database is `from`. The number is never 0, which means the beginning.
    pub(crate) fn remember(&self, database: usize, from: Vec<u8>) -> u64 {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.last += 1;
        let number = places.last;
        if places.order.len() >= REMEMBERED
            && let Some(oldest) = places.order.pop_front()
        {
            places.by_number.remove(&oldest);
        }
        places.order.push_back(number);
        places.by_number.insert(number, (database, from));
        number
    }

    /// The key that a number stands for in this database. A number may be used again.
    pub(crate) fn place(&self, database: usize, number: u64) -> Option<Vec<u8>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.by_number.get(&number).filter(|(of, _)| *of == database).map(|(_, from)| from.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_places_until_too_many_newer_ones_came() {
        let cursors = Cursors::new();
        let first = cursors.remember(0, b"k".to_vec());
        assert_eq!(cursors.place(0, first).as_deref(), Some(b"k".as_slice()));
        assert_eq!(cursors.place(1, first), None);
        assert_eq!(cursors.place(0, 0), None);
        for _ in 0..REMEMBERED {
            cursors.remember(0, b"l".to_vec());
        }
        assert_eq!(cursors.place(0, first), None);
        assert_eq!(cursors.place(0, first + 1).as_deref(), Some(b"l".as_slice()));
    }
}
