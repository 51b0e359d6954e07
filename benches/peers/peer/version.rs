//! Which version of each store was built in, as `build.rs` found them in the lock file.

use super::PeerName;

impl PeerName {
    /// The version of the store, with the crate that gives access to it where that is another. An array has none.
    pub(crate) fn version(self) -> Option<String> {
        Some(match self {
            PeerName::Esker | PeerName::EskerPlain => env!("VERSION_ESKER").to_owned(),
            PeerName::Array => return None,
            PeerName::Rocksdb => {
                // The version of the crate with the library has the library's behind it.
                let library = env!("VERSION_LIBROCKSDB_SYS");
                let library = library.split_once('+').map_or(library, |(_, library)| library);
                format!("{library} by the crate rocksdb {}", env!("VERSION_ROCKSDB"))
            }
            PeerName::Fjall => env!("VERSION_FJALL").to_owned(),
            PeerName::Lmdb => {
                format!(
                    "of lmdb-master-sys {} by heed {}",
                    env!("VERSION_LMDB_MASTER_SYS"),
                    env!("VERSION_HEED")
                )
            }
            PeerName::Redb => env!("VERSION_REDB").to_owned(),
        })
    }
}
