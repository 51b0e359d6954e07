//! redb. What is not synced is in no file at all: a killed process keeps none of it.

use super::{Order, Peer, Result, Setup, Visit};
use redb::{Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};
use std::path::Path;

const PAIRS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pairs");

pub(super) struct Redb {
    db: Database,
    synced: bool,
}

impl Redb {
    pub(super) fn open(dir: &Path, setup: Setup) -> Result<Redb> {
        std::fs::create_dir_all(dir)?;
        let db =
            Database::builder().set_cache_size(setup.cache + setup.write_buffer).create(dir.join("redb"))?;
        let peer = Redb { db, synced: setup.synced };
        peer.write(|transaction| {
            transaction.open_table(PAIRS)?;
            Ok(())
        })?;
        Ok(peer)
    }

    fn write(&self, change: impl FnOnce(&WriteTransaction) -> Result<()>) -> Result<()> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(if self.synced { Durability::Immediate } else { Durability::None })?;
        change(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl Peer for Redb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(|transaction| {
            transaction.open_table(PAIRS)?.insert(key, value)?;
            Ok(())
        })
    }

    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        self.write(|transaction| {
            let mut table = transaction.open_table(PAIRS)?;
            for (key, value) in pairs {
                table.insert(key.as_slice(), value.as_slice())?;
            }
            Ok(())
        })
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        self.write(|transaction| {
            transaction.open_table(PAIRS)?.remove(key)?;
            Ok(())
        })
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.db.begin_read()?.open_table(PAIRS)?.get(key)?;
        Ok(value.map(|value| found(value.value())).is_some())
    }

    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()> {
        let table = self.db.begin_read()?.open_table(PAIRS)?;
        match order {
            Order::Forwards => {
                for pair in table.range(from..)? {
                    let (key, value) = pair?;
                    if !visit(key.value(), value.value()) {
                        break;
                    }
                }
            }
            Order::Backwards => {
                for pair in table.range(..=from)?.rev() {
                    let (key, value) = pair?;
                    if !visit(key.value(), value.value()) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction.commit()?)
    }
}
