//! [`Ring`]: who keeps which part of the token space. Made once, never changed.
//!
//! ```text
//!   tokens      0 ──────────┬───────────┬──  ...  ──┬─────────── 2^64 - 1
//!   partitions        0     │     1     │           │  4095
//!   row           b  a  d      a  c  d                c  b  a
//!                 │  └──┴── the other replicas
//!                 └──────── the first place, which reads prefer
//! ```
//!
//! Invariants:
//! - The number of partitions is a power of two, so all of them are of one size and a token's top bits say where it is.
//! - Members are sorted by id. A row names them by their index and names none twice.
//! - Every row has as many places as there are replicas: as many as were asked for, or all members if they are fewer.

use super::{Partition, RingError, Token, encoding, placement, scatter};
use crate::NodeId;

/// A node as the ring sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingMember {
    /// Its name.
    pub id: NodeId,
    /// How much it should own, relative to the others. At least 1.
    pub weight: u32,
    /// What fails together: a rack, a room, an availability zone. Zones of one name in two data centres are two zones.
    pub zone: String,
    /// The data centre.
    pub dc: String,
}

/// Who keeps which part of the token space: a table of rows, one for each partition. See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    pub(super) partitions: u32,
    pub(super) asked: usize,
    pub(super) members: Vec<RingMember>,
    /// All rows one after the other, each of [`Ring::replicas`] indexes into `members`.
    pub(super) places: Vec<u16>,
}

impl Ring {
    /// The number of partitions that suits clusters of up to about a hundred nodes.
    pub const DEFAULT_PARTITIONS: u32 = 4096;

    /// Places `replicas` replicas of every partition on the members; fewer if there are fewer members. A pure function: the
    /// same arguments give the same ring, on any machine, in whatever order the members come. With a `previous` ring it
    /// moves as little as it can. The [module's documentation](super) says what is promised.
    ///
    /// # Errors
    /// If the numbers or the members are not acceptable; see [`RingError`].
    pub fn place(
        partitions: u32,
        replicas: usize,
        members: &[RingMember],
        previous: Option<&Ring>,
    ) -> Result<Ring, RingError> {
        placement::place(partitions, replicas, members, previous)
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// How many replicas every partition has.
    pub fn replicas(&self) -> usize {
        self.asked.min(self.members.len())
    }

    /// How many replicas were asked for: more than there are as long as members are too few.
    pub fn replicas_asked(&self) -> usize {
        self.asked
    }

    /// The members, sorted by id.
    pub fn members(&self) -> &[RingMember] {
        &self.members
    }

    /// The member of this name.
    pub fn member(&self, id: NodeId) -> Option<&RingMember> {
        self.index_of(id).map(|at| &self.members[at])
    }

    /// The partition that a token lies in.
    pub fn partition_of(&self, token: Token) -> Partition {
        let bits = self.partitions.trailing_zeros();
        Partition(token.0.checked_shr(u64::BITS - bits).unwrap_or(0) as u32)
    }

    /// The first token of a partition.
    pub fn first_token(&self, p: Partition) -> Token {
        let bits = self.partitions.trailing_zeros();
        Token(u64::from(p.0).checked_shl(u64::BITS - bits).unwrap_or(0))
    }

    /// The last token of a partition; it belongs to it.
    pub fn last_token(&self, p: Partition) -> Token {
        Token(self.first_token(p).0 | self.width_less_one())
    }

    /// How many tokens a partition has, less one: with a single partition there are 2^64.
    fn width_less_one(&self) -> u64 {
        u64::MAX >> self.partitions.trailing_zeros()
    }

    /// The replicas of a partition, distinct nodes in the order of preference. There is none for a partition that the ring
    /// does not have.
    pub fn preference_list(&self, p: Partition) -> impl Iterator<Item = NodeId> + '_ {
        self.row(p).iter().map(|at| self.members[usize::from(*at)].id)
    }

    /// The members that are no replica of a partition, in the order in which they stand in for absent ones. It differs from
    /// partition to partition, and heavier members tend to come earlier, so that the load of an absent node spreads.
    pub fn fallbacks(&self, p: Partition) -> impl Iterator<Item = NodeId> + '_ {
        let row = self.row(p);
        let mut others: Vec<(u64, &RingMember)> = (self.members.iter().enumerate())
            .filter(|(at, _)| !row.contains(&(*at as u16)))
            .map(|(_, member)| (scatter(member.id.0, u64::from(p.0)), member))
            .collect();
        // Each member draws a number, and the weight divides it.
        others.sort_by(|(a, x), (b, y)| {
            let left = u128::from(*a) * u128::from(y.weight);
            let right = u128::from(*b) * u128::from(x.weight);
            left.cmp(&right).then(x.id.cmp(&y.id))
        });
        others.into_iter().map(|(_, member)| member.id)
    }

    /// Whether a node is a replica of a partition.
    pub fn is_replica(&self, p: Partition, node: NodeId) -> bool {
        self.preference_list(p).any(|id| id == node)
    }

    /// For each member, in the order of ids: how many places it has, and how many first places.
    pub fn shares(&self) -> Vec<(NodeId, u32, u32)> {
        let mut shares: Vec<_> = self.members.iter().map(|member| (member.id, 0, 0)).collect();
        for row in self.places.chunks_exact(self.replicas()) {
            shares[usize::from(row[0])].2 += 1;
            for at in row {
                shares[usize::from(*at)].1 += 1;
            }
        }
        shares
    }

    /// The replicas that have to be filled with data when this ring comes after `previous`: every partition with every node
    /// that keeps it here and kept none or only a part of it there.
    pub fn gained<'a>(&'a self, previous: &'a Ring) -> impl Iterator<Item = (Partition, NodeId)> + 'a {
        (0..self.partitions).map(Partition).flat_map(move |p| {
            let first = previous.partition_of(self.first_token(p));
            let last = previous.partition_of(self.last_token(p));
            let had = move |id| (first.0..=last.0).all(|old| previous.is_replica(Partition(old), id));
            self.preference_list(p).filter(move |id| !had(*id)).map(move |id| (p, id))
        })
    }

    /// Appends the ring's bytes. Their layout is drawn above the code that writes them, in `encoding.rs`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encoding::encode(self, out);
    }

    /// Reads what [`Ring::encode`] wrote, and nothing else: there are no bytes behind a ring.
    ///
    /// # Errors
    /// If the bytes are damaged, or newer than this code.
    pub fn decode(bytes: &[u8]) -> Result<Ring, RingError> {
        encoding::decode(bytes)
    }

    pub(super) fn row(&self, p: Partition) -> &[u16] {
        let n = self.replicas();
        let at = (p.0 as usize).saturating_mul(n);
        self.places.get(at..at.saturating_add(n)).unwrap_or_default()
    }

    pub(super) fn index_of(&self, id: NodeId) -> Option<usize> {
        self.members.binary_search_by_key(&id, |member| member.id).ok()
    }
}
