//! The ring: who keeps which part of the token space. Pure functions, nothing else: no network, no clock, no chance.
//!
//! A key's [`Token`] says which of the equal partitions it lies in, and the partition's row in the [`Ring`] says which nodes
//! keep it. [`Ring::place`] makes a ring from a list of members. What it promises, hardest first:
//!
//! 1. **Distinct nodes.** The replicas of a partition are on as many different nodes: as many as were asked for, or all
//!    members if they are fewer.
//! 2. **Data centres, then zones.** A row's replicas are spread over data centres as evenly as these have nodes: no data
//!    centre has two more than another that still has a node to spare. What falls to a data centre is spread over its zones
//!    by the same rule. So with D data centres a row uses all of them, or as many as it has replicas; and it has all its
//!    replicas in different zones whenever each data centre has as many zones as replicas fall to it. This is never traded
//!    for balance: a small node that is alone in its zone can be in every row.
//! 3. **Balance.** Every member has the best share of all places that 1 and 2 allow, within a twentieth, or within one place
//!    where a twentieth is less. Best is the least sum of `places² / weight`: in proportion to the weights, and where 1 and
//!    2 cap one member, zone or data centre, the others share in proportion what that leaves. First places, which reads
//!    prefer, follow the weights within a tenth.
//! 4. **Little movement.** Placed after a previous ring, with members that join, leave or change their weight, a ring puts
//!    few replicas in new places: at most 1.05 times what the shares of those who gain grow by, which no ring undercuts; or,
//!    where the previous rows and 1 to 3 force more, at most 1.05 times the least that any ring can do with. If nothing has
//!    changed nothing moves, and cutting partitions in two moves nothing either.
//!
//! More is forced where a zone or a node gets close to a place in every row: it must then grow in the few rows that it is
//! not in, and if the member that left was not in them either, somebody else has to make room there. This needs few zones of
//! unlike weight; with zones of like weight and three nodes or more in each it does not happen. Where members get another
//! zone or data centre, 2 comes first, and moves what it must.
//!
//! Shares count in whole places, so promises 3 and 4 are worth something only if a member has some twenty places or more,
//! as it has with [`Ring::DEFAULT_PARTITIONS`].
//!
//! | file | holds |
//! |---|---|
//! | `token` | keys to tokens, by slots of Redis Cluster |
//! | `table` | the ring and its look-ups |
//! | `encoding` | its bytes |
//! | `spread` | promises 1 and 2 as bounds, and filling rows within them |
//! | `shares` | promise 3: how many places each member should have |
//! | `placement` | from members to a ring, in four steps |
//! | `exchange` | promise 4: trading places along cheapest paths |
//! | `order` | the order of the replicas in a row |

mod encoding;
mod error;
mod exchange;
mod order;
mod placement;
mod shares;
mod spread;
mod table;
#[cfg(test)]
mod tests;
mod token;

pub use error::RingError;
pub use table::{Ring, RingMember};
pub use token::{Partition, Token, slot_of_key};

/// The most partitions a ring has.
pub const MAX_PARTITIONS: u32 = 1 << 16;

/// The most replicas of a partition.
pub const MAX_REPLICAS: usize = 16;

/// The most members of a ring.
pub const MAX_MEMBERS: usize = 1024;

/// The most bytes in the name of a zone or of a data centre.
pub const MAX_NAME_LEN: usize = 255;

/// A number that looks as if drawn at random, and is the same for the same arguments on every machine, for ever. (The mixer
/// of SplitMix64, once for each argument.)
fn scatter(a: u64, b: u64) -> u64 {
    fn mix(seed: u64) -> u64 {
        let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        seed ^ (seed >> 31)
    }
    mix(mix(a) ^ b)
}
