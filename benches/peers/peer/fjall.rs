//! fjall.

use super::{LOOK, Order, Peer, QUIET_LOOKS, Result, Setup, Visit};
use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

pub(super) struct Fjall {
    db: Database,
    keyspace: Keyspace,
    synced: bool,
}

impl Fjall {
    pub(super) fn open(dir: &Path, setup: Setup) -> Result<Fjall> {
        let db = Database::builder(dir).cache_size(setup.cache as u64).worker_threads(2).open()?;
        let bits = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
        let options = || {
            KeyspaceCreateOptions::default()
                .data_block_size_policy(BlockSizePolicy::all(4 << 10))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .filter_policy(FilterPolicy::all(bits))
                .max_memtable_size(setup.write_buffer as u64)
        };
        let keyspace = db.keyspace("default", options)?;
        Ok(Fjall { db, keyspace, synced: setup.synced })
    }

    fn persist(&self) -> Result<()> {
        if self.synced {
            self.db.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Peer for Fjall {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        self.persist()
    }

    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = self.db.batch();
        for (key, value) in pairs {
            batch.insert(&self.keyspace, key.as_slice(), value.as_slice());
        }
        batch.commit()?;
        self.persist()
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.keyspace.remove(key)?;
        self.persist()
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.keyspace.get(key)?;
        Ok(value.map(|value| found(&value)).is_some())
    }

    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()> {
        let mut visit_all = |pairs: &mut dyn Iterator<Item = fjall::Guard>| -> Result<()> {
            for guard in pairs {
                let (key, value) = guard.into_inner()?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        };
        match order {
            Order::Forwards => visit_all(&mut self.keyspace.range(from..)),
            Order::Backwards => visit_all(&mut self.keyspace.range(..=from).rev()),
        }
    }

    fn settle(&self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            std::thread::sleep(LOOK);
            quiet = if self.db.active_compactions() == 0 { quiet + 1 } else { 0 };
        }
        Ok(())
    }
}
