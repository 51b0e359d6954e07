//! The promises of the contract, one a file. Each is a function that panics where the format breaks it.

pub(crate) mod block_copy;
pub(crate) mod cursor;
pub(crate) mod damage;
pub(crate) mod device_failures;
pub(crate) mod equal_bytes;
pub(crate) mod estimates;
pub(crate) mod filter;
pub(crate) mod lookups;
pub(crate) mod order;
pub(crate) mod properties;
pub(crate) mod range_tombstones;
pub(crate) mod round_trip;
pub(crate) mod salvage;
pub(crate) mod sources_agree;
pub(crate) mod split_points;
