//! Esker, with one budget of memory as large as the others' cache and write buffer together.

use super::{LOOK, Order, Peer, QUIET_LOOKS, Result, Setup, Visit};
use esker::{ByLevel, Db, Durability, Event, Keyspace, KeyspaceOptions, WriteBatch};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub(super) struct Esker {
    db: Db,
    keyspace: Keyspace,
    durability: Durability,
    /// Compactions that run.
    compactions: Arc<AtomicI64>,
}

impl Esker {
    /// Opens the store with all its tables in this format.
    pub(super) fn open(dir: &Path, setup: Setup, format: &str) -> Result<Esker> {
        let durability = if setup.synced { Durability::Synced } else { Durability::Buffered };
        let compactions = Arc::new(AtomicI64::new(0));
        let running = compactions.clone();
        let count = move |event: &Event| match event {
            Event::CompactionBegin { .. } => drop(running.fetch_add(1, Ordering::AcqRel)),
            Event::CompactionEnd { .. } => drop(running.fetch_sub(1, Ordering::AcqRel)),
            _ => {}
        };
        let db = Db::builder()
            .memory_budget(setup.cache + 2 * setup.write_buffer)
            .background_threads(2)
            .durability(durability)
            .keyspace_defaults(KeyspaceOptions::new().format(ByLevel::all(format.to_owned())))
            .listener(Arc::new(count))
            .open(dir)?;
        let keyspace = db.keyspace("default")?;
        Ok(Esker { db, keyspace, durability, compactions })
    }
}

impl Peer for Esker {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.keyspace.put(key, value)?)
    }

    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in pairs {
            self.keyspace.put_to(&mut batch, key, value);
        }
        Ok(self.db.write(batch, self.durability)?)
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(self.keyspace.delete(key)?)
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.keyspace.get(key)?;
        Ok(value.map(|value| found(&value)).is_some())
    }

    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()> {
        let mut cursor = self.keyspace.cursor()?;
        let mut valid = match order {
            Order::Forwards => cursor.seek(from)?,
            Order::Backwards => cursor.seek_for_prev(from)?,
        };
        while valid && visit(cursor.key(), cursor.value()) {
            valid = match order {
                Order::Forwards => cursor.next()?,
                Order::Backwards => cursor.prev()?,
            };
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        // A compaction that follows from another begins at once; one that waited for the end of the filling, up to three seconds later.
        let mut quiet = 0;
        while quiet < 4 * QUIET_LOOKS {
            std::thread::sleep(LOOK);
            quiet = if self.compactions.load(Ordering::Acquire) == 0 { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    fn syncs(&self) -> Option<u64> {
        Some(self.db.stats().fsyncs)
    }

    fn stalled(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.db.stats().stalled_micros))
    }
}
