//! [`open`]: the store of a data directory, with what tells this directory and this boot of the machine from others.
//!
//! The directory is known by its device and inode, which a copy or a restored backup does not have. What the system does not
//! say is drawn at random: the store then takes a new name, which costs a little and is never wrong.

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
    let metadata = fs::metadata(directory)?;
    let mut bytes = metadata.dev().to_le_bytes().to_vec();
    bytes.extend_from_slice(&metadata.ino().to_le_bytes());
    Ok(xxh3_64(&bytes))
}

/// A file with random bytes, and where it lies: a copy within the machine lies elsewhere.
#[cfg(not(unix))]
fn fingerprint(directory: &Path) -> io::Result<u64> {
    let path = directory.join("directory.id");
    let mut bytes = match fs::read(&path) {
        Ok(bytes) if bytes.len() == 8 => bytes,
        Ok(_) => return Ok(entropy()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let bytes = entropy().to_le_bytes().to_vec();
            fs::write(&path, &bytes)?;
            bytes
        }
        Err(e) => return Err(e),
    };
    bytes.extend_from_slice(directory.canonicalize()?.to_string_lossy().as_bytes());
    Ok(xxh3_64(&bytes))
}
