//! [`Peer`]: a store as the workloads see it, and the stores there are.
//!
//! All are set up alike, as far as they can be: the same memory for cache and write buffer, blocks of 4 KiB, 10 filter bits a key,
//! two background threads, and a log that is handed to the operating system with every write. RocksDB and fjall compress every
//! level with LZ4, as Esker does by default; `esker-plain`, LMDB and redb compress nothing.

mod array;
mod esker;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod version;

use crate::named::Named as _;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A store has settled if nothing was seen to run in the background at so many looks, so long apart.
const QUIET_LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(50);

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Forwards,
    Backwards,
}

/// Takes the pairs of a scan, one after the other, and says whether it wants another.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// A store.
pub(crate) trait Peer: Sync {
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Writes pairs together.
    fn put_all(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<()>;

    fn delete(&self, key: &[u8]) -> Result<()>;

    /// Shows the value of a key. Returns whether it is there.
    fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Visits the pairs from this key on: forwards those at or after it, backwards those at or before it.
    fn scan(&self, from: &[u8], order: Order, visit: Visit<'_>) -> Result<()>;

    /// Returns when everything is in its files, and nothing more is done in the background.
    fn settle(&self) -> Result<()>;

    /// How many times it has synced a file since it was opened. `None` if it does not say.
    fn syncs(&self) -> Option<u64> {
        None
    }

    /// How long it has made writers wait for work in the background since it was opened. `None` if it does not say.
    fn stalled(&self) -> Option<Duration> {
        None
    }
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Bytes for blocks that were read.
    pub(crate) cache: usize,
    /// Bytes for what was written and is in no table yet.
    pub(crate) write_buffer: usize,
    /// Whether writes are on the device when they return.
    pub(crate) synced: bool,
    /// Whether memory is limited, so that files may not fit in what is left of it.
    #[cfg_attr(not(feature = "lmdb"), expect(dead_code, reason = "LMDB alone is set up otherwise then"))]
    pub(crate) limited: bool,
}

/// The stores there are. All have a name, so that what was measured elsewhere can be shown; not all need be built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PeerName {
    Esker,
    /// Esker with every table in the format `plain`.
    EskerPlain,
    /// No store: an array in memory that a record's number leads into. What workload and checks take by themselves.
    Array,
    Rocksdb,
    Fjall,
    Lmdb,
    Redb,
}

impl PeerName {
    /// Those that were built in.
    pub(crate) fn built() -> Vec<PeerName> {
        PeerName::value_variants().iter().copied().filter(|peer| peer.is_built()).collect()
    }

    /// Whether it was built in.
    pub(crate) fn is_built(self) -> bool {
        match self {
            PeerName::Esker | PeerName::EskerPlain | PeerName::Array => true,
            PeerName::Rocksdb => cfg!(feature = "rocksdb"),
            PeerName::Fjall => cfg!(feature = "fjall"),
            PeerName::Lmdb => cfg!(feature = "lmdb"),
            PeerName::Redb => cfg!(feature = "redb"),
        }
    }

    /// Whether it is Esker, set up one way or another.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, PeerName::Esker | PeerName::EskerPlain)
    }

    /// Whether it is a log-structured merge tree, as Esker is.
    pub(crate) fn is_lsm(self) -> bool {
        !matches!(self, PeerName::Lmdb | PeerName::Redb | PeerName::Array)
    }

    /// What is wrong if it was chosen and is not built in.
    pub(crate) fn not_built(self) -> Box<dyn Error + Send + Sync> {
        let name = self.name();
        format!("{name} was not built in; build with `--features {name}`").into()
    }

    /// Opens the store in this directory, or creates it there.
    pub(crate) fn open(self, dir: &Path, setup: Setup) -> Result<Box<dyn Peer>> {
        Ok(match self {
            PeerName::Esker => Box::new(esker::Esker::open(dir, setup, "block")?),
            PeerName::EskerPlain => Box::new(esker::Esker::open(dir, setup, "plain")?),
            PeerName::Array => Box::new(array::Array::open(dir)?),
            #[cfg(feature = "rocksdb")]
            PeerName::Rocksdb => Box::new(rocksdb::Rocks::open(dir, setup)?),
            #[cfg(feature = "fjall")]
            PeerName::Fjall => Box::new(fjall::Fjall::open(dir, setup)?),
            #[cfg(feature = "lmdb")]
            PeerName::Lmdb => Box::new(lmdb::Lmdb::open(dir, setup)?),
            #[cfg(feature = "redb")]
            PeerName::Redb => Box::new(redb::Redb::open(dir, setup)?),
            #[cfg(not(all(feature = "rocksdb", feature = "fjall", feature = "lmdb", feature = "redb")))]
            _ => return Err(self.not_built()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: Setup = Setup { cache: 8 << 20, write_buffer: 4 << 20, synced: false, limited: false };

    fn keys(peer: &dyn Peer, from: &str, order: Order) -> Vec<String> {
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            assert_eq!(value, [key, b"!"].concat());
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            keys.len() < 3
        };
        peer.scan(from.as_bytes(), order, &mut visit).unwrap();
        keys
    }

    fn value(peer: &dyn Peer, key: &str) -> Option<Vec<u8>> {
        let mut value = None;
        let found = peer.get(key.as_bytes(), &mut |bytes| value = Some(bytes.to_vec())).unwrap();
        assert_eq!(found, value.is_some());
        value
    }

    #[test]
    fn every_peer_keeps_pairs_in_order() {
        // The array knows the keys of records only.
        for name in PeerName::built().into_iter().filter(|name| *name != PeerName::Array) {
            let dir = tempfile::tempdir().unwrap();
            let pair = |key: &str| (key.as_bytes().to_vec(), format!("{key}!").into_bytes());
            let peer = name.open(dir.path(), SETUP).unwrap();
            peer.put(b"b", b"first").unwrap();
            peer.put(b"b", b"b!").unwrap();
            peer.put_all(&["d", "a", "e", "c"].map(pair)).unwrap();
            peer.delete(b"d").unwrap();
            for settled in [false, true] {
                assert_eq!(value(&*peer, "b"), Some(b"b!".to_vec()), "{name:?}");
                assert_eq!(value(&*peer, "d"), None, "{name:?}");
                assert_eq!(keys(&*peer, "b", Order::Forwards), ["b", "c", "e"], "{name:?}");
                assert_eq!(keys(&*peer, "d", Order::Forwards), ["e"], "{name:?}");
                assert_eq!(keys(&*peer, "d", Order::Backwards), ["c", "b", "a"], "{name:?}");
                if !settled {
                    peer.settle().unwrap();
                }
            }
            drop(peer);
            let peer = name.open(dir.path(), Setup { synced: true, ..SETUP }).unwrap();
            peer.put(b"f", b"f!").unwrap();
            assert_eq!(keys(&*peer, "c", Order::Forwards), ["c", "e", "f"], "{name:?}");
        }
    }
}
