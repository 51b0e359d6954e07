//! [`Cursors`]: the numbers that `SCAN` gives out, and the place each stands for.
//!
//! Clients hand a number of at most 64 bits back, and a plain keyspace's order is that of its keys, of any length: a place does not
//! fit into the number. So the server remembers the places of the numbers it gave out last. A number that was pushed out is
//! refused; to go on from anywhere else would leave keys out in silence.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Places that are remembered, and the most bytes that they may have.
const REMEMBERED: usize = 4096;
const REMEMBERED_BYTES: usize = 16 << 20;

/// What is walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ground {
    /// The number of the database.
    pub(crate) database: usize,
    /// Whether it is plain. A place in a plain keyspace is none in the replicated one that it becomes.
    pub(crate) is_plain: bool,
}

#[derive(Debug, Default)]
struct Places {
    last: u64,
    by_number: BTreeMap<u64, (Ground, Vec<u8>)>,
    order: VecDeque<u64>,
    bytes: usize,
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

    /// Remembers that the next key there is `from`. The number is never 0, which means the beginning.
    pub(crate) fn remember(&self, ground: Ground, from: Vec<u8>) -> u64 {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.last += 1;
        let number = places.last;
        places.bytes += from.len();
        while (places.order.len() >= REMEMBERED || places.bytes > REMEMBERED_BYTES)
            && let Some(oldest) = places.order.pop_front()
        {
            let forgotten = places.by_number.remove(&oldest);
            places.bytes -= forgotten.map_or(0, |(_, from)| from.len());
        }
        places.order.push_back(number);
        places.by_number.insert(number, (ground, from));
        number
    }

    /// The key that a number stands for there. A number may be used again.
    pub(crate) fn place(&self, ground: Ground, number: u64) -> Option<Vec<u8>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.by_number.get(&number).filter(|(of, _)| *of == ground).map(|(_, from)| from.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_places_until_too_many_newer_ones_came() {
        let cursors = Cursors::new();
        let ground = Ground { database: 0, is_plain: true };
        let first = cursors.remember(ground, b"k".to_vec());
        assert_eq!(cursors.place(ground, first).as_deref(), Some(b"k".as_slice()));
        assert_eq!(cursors.place(Ground { database: 1, ..ground }, first), None);
        assert_eq!(cursors.place(Ground { is_plain: false, ..ground }, first), None);
        assert_eq!(cursors.place(ground, 0), None);
        for _ in 0..REMEMBERED {
            cursors.remember(ground, b"l".to_vec());
        }
        assert_eq!(cursors.place(ground, first), None);
        assert_eq!(cursors.place(ground, first + 1).as_deref(), Some(b"l".as_slice()));
        // Long keys push out more.
        let long = cursors.remember(ground, vec![0; REMEMBERED_BYTES - 1]);
        assert_eq!(cursors.place(ground, first + 100), None);
        assert!(cursors.place(ground, long).is_some() && cursors.place(ground, long - 1).is_some());
    }
}
