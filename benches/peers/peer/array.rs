//! No store at all: records in an array in memory, found by their number and written to a file when it settles.
//!
//! What is measured with it is what workload, checks and memory take by themselves. Keys that are not those of records are not there;
//! nothing of it survives anything.

use super::{Order, Peer, Result, Visit};
use esker_server::bench::record::{KEY_LEN, key, number_of};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

/// Bytes of a record beside its value: how long that is.
const LEN: usize = 4;

/// Where the records go.
const FILE: &str = "records";

pub(super) struct Array {
    file: PathBuf,
    records: RwLock<Records>,
}

/// Records of one size, one behind the other.
#[derive(Default)]
struct Records {
    size: usize,
    bytes: Vec<u8>,
}

impl Records {
    fn value(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number).ok()?.checked_mul(self.size)?;
        let record = self.bytes.get(at..at.checked_add(self.size)?)?;
        let (len, value) = record.split_first_chunk::<LEN>()?;
        value.get(..(u32::from_le_bytes(*len) as usize).checked_sub(1)?)
    }

    fn set(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let number = number_of(key).ok_or("a key that is none of a record's")?;
        if self.size == 0 {
            self.size = LEN + value.map_or(0, <[u8]>::len);
        }
        let at = usize::try_from(number)? * self.size;
        if self.bytes.len() < at + self.size {
            self.bytes.resize(at + self.size, 0);
        }
        let record = &mut self.bytes[at..at + self.size];
        let len = value.map_or(0, |value| value.len() + 1);
        record[..LEN].copy_from_slice(&u32::try_from(len)?.to_le_bytes());
        if let Some(value) = value {
            record[LEN..].copy_from_slice(value);
        }
        Ok(())
    }
}

impl Array {
    pub(super) fn open(dir: &Path) -> Result<Array> {
        let file = dir.join(FILE);
        let mut records = Records::default();
        if file.exists() {
            records.bytes = fs::read(&file)?;
            let size = records.bytes.split_off(records.bytes.len().saturating_sub(8));
            records.size = usize::try_from(u64::from_le_bytes(size[..].try_into()?))?;
        }
        Ok(Array { file, records: RwLock::new(records) })
    }

    fn write<'a>(&self, mut pairs: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Result<()> {
        let mut records = self.records.write().map_err(|_| "a writer panicked")?;
        pairs.try_for_each(|(key, value)| records.set(key, value))
    }
}

impl Peer for Array {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(std::iter::once((key, Some(value))))
    }

    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        self.write(pairs.iter().map(|(key, value)| (&key[..], Some(&value[..]))))
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.write(std::iter::once((key, None)))
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let records = self.records.read().map_err(|_| "a writer panicked")?;
        Ok(number_of(key).and_then(|number| records.value(number)).map(found).is_some())
    }

    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()> {
        let records = self.records.read().map_err(|_| "a writer panicked")?;
        let Some(mut number) = number_of(from.get(..KEY_LEN).unwrap_or(from)) else { return Ok(()) };
        let count = records.bytes.len().checked_div(records.size).unwrap_or(0) as u64;
        while number < count {
            if let Some(value) = records.value(number)
                && !visit(&key(number), value)
            {
                break;
            }
            match order {
                Order::Forwards => number += 1,
                Order::Backwards if number > 0 => number -= 1,
                Order::Backwards => break,
            }
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let records = self.records.read().map_err(|_| "a writer panicked")?;
        let mut bytes = records.bytes.clone();
        bytes.extend_from_slice(&(records.size as u64).to_le_bytes());
        Ok(fs::write(&self.file, bytes)?)
    }
}
