//! RocksDB.

use super::{Order, Peer, Result, Setup, Visit};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, WaitForCompactOptions, WriteBatch, WriteOptions,
};
use std::path::Path;

pub(super) struct Rocks {
    db: DB,
    synced: bool,
}

impl Rocks {
    pub(super) fn open(dir: &Path, setup: Setup) -> Result<Rocks> {
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&Cache::new_lru_cache(setup.cache));
        tables.set_block_size(4 << 10);
        tables.set_bloom_filter(10.0, false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&tables);
        options.set_write_buffer_size(setup.write_buffer);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_max_background_jobs(2);
        Ok(Rocks { db: DB::open(&options, dir)?, synced: setup.synced })
    }

    fn write(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.set_sync(self.synced);
        options
    }
}

impl Peer for Rocks {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.write())?)
    }

    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in pairs {
            batch.put(key, value);
        }
        Ok(self.db.write_opt(batch, &self.write())?)
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        Ok(self.db.delete_opt(key, &self.write())?)
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.db.get_pinned(key)?;
        Ok(value.map(|value| found(&value)).is_some())
    }

    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()> {
        let mut iterator = self.db.raw_iterator();
        match order {
            Order::Forwards => iterator.seek(from),
            Order::Backwards => iterator.seek_for_prev(from),
        }
        while let Some((key, value)) = iterator.item() {
            if !visit(key, value) {
                break;
            }
            match order {
                Order::Forwards => iterator.next(),
                Order::Backwards => iterator.prev(),
            }
        }
        Ok(iterator.status()?)
    }

    fn settle(&self) -> Result<()> {
        self.db.flush()?;
        Ok(self.db.wait_for_compact(&WaitForCompactOptions::default())?)
    }
}
