//! [`Cuts`]: choosing keys that cut a table evenly.

use crate::Result;

/// Chooses split points among candidates that come in ascending order.
#[derive(Debug)]
pub struct Cuts {
    parts: usize,
    total: u64,
    keys: Vec<Vec<u8>>,
}

impl Cuts {
    /// For so many parts of `total` bytes together.
    pub fn new(parts: usize, total: u64) -> Cuts {
        Cuts { parts, total, keys: Vec::new() }
    }

    /// Takes the key of what begins at `offset` if the part before it is large enough.
    ///
    /// # Errors
    /// Those of `key`.
    pub fn offer(&mut self, offset: u64, key: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
        let cut = self.keys.len() + 1;
        if cut >= self.parts
            || u128::from(offset) * (self.parts as u128) < u128::from(self.total) * cut as u128
        {
            return Ok(());
        }
        let key = key()?;
        if self.keys.last().is_none_or(|last| *last < key) {
            self.keys.push(key);
        }
        Ok(())
    }

    /// Whether no more keys will be taken.
    pub fn is_full(&self) -> bool {
        self.keys.len() + 1 >= self.parts
    }

    /// The keys that were taken which are above `first`, the table's first user key: what is cut where versions of that key lie
    /// on both sides separates nothing.
    pub fn above(mut self, first: &[u8]) -> Vec<Vec<u8>> {
        self.keys.retain(|key| key.as_slice() > first);
        self.keys
    }
}
