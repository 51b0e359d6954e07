//! What a message may hold at most. A reader refuses more before it allocates anything for it.

/// The most bytes of a user key.
pub const KEY_MAX: usize = esker::MAX_KEY_LEN;
/// The most bytes of a value.
pub const VALUE_MAX: usize = esker::MAX_VALUE_LEN;
/// The most bytes that say where a page or a scan goes on: a stored key, and a little beside it.
pub const POSITION_MAX: usize = KEY_MAX + 64;
/// The most siblings of a key.
pub const SIBLINGS_MAX: usize = 1024;
/// The most actors in a clock.
pub const CLOCK_MAX: usize = 1024;
/// The most members of a cluster.
pub const MEMBERS_MAX: usize = 1024;
/// The most keyspaces of a cluster.
pub const KEYSPACES_MAX: usize = 1024;
/// The most records of a page, and the most keys of a piece of a scan.
pub const RECORDS_MAX: usize = 65_536;
/// The most bytes of a name, an address or a sentence.
pub const TEXT_MAX: usize = 1024;
