//! [`open`]: the store of a data directory, with what tells this directory and this boot of the machine from others.
//!
//! The directory is known by its inode, which a copy or a restored backup does not have. The number of the device is left out: it
//! changes when disks are found in another order, and on network and overlay file systems with every mount, and a whole
//! cluster that is started after that would hold all its directories for copies. What this does not tell, a copy of the whole
//! file system for example, the others remember.

use esker_cluster::store::{Continuity, OpenError, Store, StoreConfig};
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::xxh3_64;

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Arc<Store>,
    /// Bytes that nobody can foresee, for whoever needs a seed.
    pub entropy: u64,
}

/// Opens the store in this directory; creates both if they are not there.
///
/// # Errors
/// If the directory cannot be made or the store cannot be opened.
pub fn open(directory: &Path, config: StoreConfig) -> Result<Opened, OpenError> {
    let failed = |action| {
        move |source: io::Error| {
            let (path, source) = (directory.to_owned(), Arc::new(source));
            OpenError::Engine(esker::Error::Io { path, action, source })
        }
    };
    fs::create_dir_all(directory).map_err(failed("create"))?;
    let fingerprint = fingerprint(directory).map_err(failed("look at"))?;
    let continuity = Continuity { fingerprint, boot: boot() };
    let store = Store::open(directory, config, continuity, entropy(), wall_millis())?;
    Ok(Opened { store: Arc::new(store), entropy: entropy() })
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn wall_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A number that nobody can foresee: the standard library keys its hashers from the system's source of randomness.
fn entropy() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    RandomState::new().hash_one((now, std::process::id()))
}

fn boot() -> u64 {
    fs::read("/proc/sys/kernel/random/boot_id").map_or_else(|_| entropy(), |id| xxh3_64(&id))
}

#[cfg(unix)]
fn fingerprint(directory: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(xxh3_64(&fs::metadata(directory)?.ino().to_le_bytes()))
}

/// A copy within the machine lies elsewhere.
#[cfg(not(unix))]
fn fingerprint(directory: &Path) -> io::Result<u64> {
    Ok(xxh3_64(directory.canonicalize()?.to_string_lossy().as_bytes()))
}
