//! LMDB, by `heed`: a mapped tree that is written in place. No compression and, where writes are not synced, none of a crash's
//! safety: the ceiling for reads from memory, not a rival of equal durability.
//!
//! The one `unsafe` block opens the environment: two of one directory in a process, or files that somebody else changes, would be
//! undefined behaviour, and so would a crash under `NO_SYNC` be a damaged store. The directory is the child process's own.

#![expect(unsafe_code, reason = "heed's open is unsafe")]

use super::{Order, Peer, Result, Setup, Visit};
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};
use std::ops::Bound;
use std::path::Path;

/// More than any workload fills; the file is sparse.
const MAP_BYTES: usize = 64 << 30;

pub(super) struct Lmdb {
    env: Env,
    pairs: Database<'static, Bytes, Bytes>,
}

impl Lmdb {
    pub(super) fn open(dir: &Path, setup: Setup) -> Result<Lmdb> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_readers(64);
        let mut flags = EnvFlags::WRITE_MAP;
        flags.set(EnvFlags::NO_SYNC, !setup.synced);
        // What is read ahead around a page would push out others that are wanted sooner.
        flags.set(EnvFlags::NO_READ_AHEAD, setup.limited);
        // SAFETY: one environment a process, in a directory that nobody else touches; a crash ends the measurement, and its files
        // are thrown away.
        let env = unsafe { options.flags(flags).open(dir)? };
        let created = env.create_databases_and_commit(env.write_txn()?, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        let pairs = created.commit().ok_or("the database could not be created")?;
        Ok(Lmdb { env, pairs })
    }
}

impl Peer for Lmdb {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.pairs.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in pairs {
            self.pairs.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn delete(&self, key: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.pairs.delete(&mut transaction, key)?;
        Ok(transaction.commit()?)
    }

    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let transaction = self.env.read_txn()?;
        let value = self.pairs.get(&transaction, key)?;
        Ok(value.map(found).is_some())
    }

    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        match order {
            Order::Forwards => {
                for pair in self.pairs.range(&transaction, &(Bound::Included(from), Bound::Unbounded))? {
                    let (key, value) = pair?;
                    if !visit(key, value) {
                        break;
                    }
                }
            }
            Order::Backwards => {
                for pair in self.pairs.rev_range(&transaction, &(Bound::Unbounded, Bound::Included(from)))? {
                    let (key, value) = pair?;
                    if !visit(key, value) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }
}
