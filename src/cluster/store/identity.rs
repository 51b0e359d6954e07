//! [`Identity`]: who a store is, and whether it may go on under the name that it had.
//!
//! A dot names a write for ever, so a store must never give one twice, nor write under an actor whose earlier writes it has
//! lost: to everybody else its next write would say that it knows them, and they would be dropped as replaced. What was
//! written last is lost where a process or a machine ended without closing the store, and everything since then where a
//! copy or a backup takes its place. In all these cases the store goes on under a new actor.
//!
//! A copy that was put back in the same place looks like the directory itself. It is told by its *mark*: a number that grows with
//! every write, which the node tells the others once everything up to it is durable, and which they remember. A store that had not
//! come as far when it was opened, its *claim*, as others remember is an older copy.
//!
//! ```text
//! ┌─────────┬────────┬────────────┬─────────┬──────────────┬─────────┬───────────────┬────────┬─────────┬─────────┬────────┐
//! │ version │ node 8 │ cluster 16 │ actor 8 │ generation 8 │ flags 1 │ fingerprint 8 │ boot 8 │ lease 8 │ claim 8 │ base 8 │
//! └─────────┴────────┴────────────┴─────────┴──────────────┴─────────┴───────────────┴────────┴─────────┴─────────┴────────┘
//! flags: 1 ready, 2 clean, 4 alone, 8 vouched; numbers are little-endian
//! ```

use super::reader::Reader;
use crate::causality::Actor;
use crate::id::NodeId;

/// What tells the directory and the machine of a store from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuity {
    /// Of this directory: what it has and a copy of it does not.
    pub fingerprint: u64,
    /// Names the boot of the machine.
    pub boot: u64,
}

/// Who a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// The cluster that it belongs to; 0 for none.
    pub cluster: u128,
    /// Under which name it writes.
    pub actor: Actor,
    /// Counts the openings, and the changes of the identity.
    pub generation: u64,
    /// Whether it may answer. If not, it is a copy or was restored, and has to learn first what it missed.
    pub ready: bool,
    /// Whether it is the only member of its cluster: nobody else can have what it does not have.
    pub alone: bool,
    /// How far the store had come when it was opened: a mark. Others remember no higher one of a directory that is whole.
    /// Given a higher one in [`StoreOperation::Adopt`](super::StoreOperation::Adopt), the store counts on from there.
    pub claim: u64,
    /// Whether those who remember marks had their say since the store was opened. A store that is opened again before that
    /// claims no more than it did before.
    pub vouched: bool,
    /// Of which directory. [`StoreOperation::Adopt`](super::StoreOperation::Adopt) leaves this and the following as they are.
    pub fingerprint: u64,
    /// In which boot of the machine it was opened.
    pub boot: u64,
    /// Whether it was closed since. Of an open store always false.
    pub clean: bool,
    /// What is added to the sequence numbers of the engine to make marks; the store sees to it.
    pub base: u64,
}

const VERSION: u8 = 1;
const READY: u8 = 1;
const CLEAN: u8 = 2;
const ALONE: u8 = 4;
const VOUCHED: u8 = 8;

impl Identity {
    /// With the lease of its clock, as bytes.
    pub(super) fn encode(&self, lease: u64) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.actor.0.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        let flags = [(self.ready, READY), (self.clean, CLEAN), (self.alone, ALONE), (self.vouched, VOUCHED)];
        out.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
        for number in [self.fingerprint, self.boot, lease, self.claim, self.base] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// The identity and the lease; `None` if the bytes are none.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Identity, u64)> {
        let mut reader = Reader::new(bytes);
        reader.u8().filter(|&version| version == VERSION)?;
        let (node, cluster) = (NodeId(reader.u64()?), reader.u128()?);
        let (actor, generation) = (Actor(reader.u64()?), reader.u64()?);
        let flags = reader.u8().filter(|flags| flags & !(READY | CLEAN | ALONE | VOUCHED) == 0)?;
        let (fingerprint, boot, lease) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (claim, base) = (reader.u64()?, reader.u64()?);
        let identity = Identity {
            node,
            cluster,
            actor,
            generation,
            ready: flags & READY != 0,
            alone: flags & ALONE != 0,
            fingerprint,
            boot,
            clean: flags & CLEAN != 0,
            claim,
            vouched: flags & VOUCHED != 0,
            base,
        };
        (reader.left() == 0).then_some((identity, lease))
    }

    /// Of a store that is opened for the first time.
    pub(super) fn fresh(continuity: Continuity, names: &mut Names) -> Identity {
        Identity {
            node: NodeId(names.next()),
            cluster: 0,
            actor: Actor(names.next()),
            generation: 1,
            ready: true,
            alone: true,
            fingerprint: continuity.fingerprint,
            boot: continuity.boot,
            clean: false,
            claim: 0,
            vouched: false,
            base: 0,
        }
    }

    /// Of a store that was `self` and is opened again, with everything up to this sequence number.
    pub(super) fn reopened(mut self, continuity: Continuity, seqno: u64, names: &mut Names) -> Identity {
        let same_directory = self.fingerprint == continuity.fingerprint;
        // The boot alone proves nothing: a write is shown to others before the operating system has it, so that the process
        // that ended in between may have lost what others know under its name.
        if !(same_directory && self.clean) {
            self.actor = Actor(names.next());
        }
        // What was acknowledged as synced is there after a crash, but not in a copy or a backup.
        self.ready &= same_directory || self.alone;
        if self.vouched {
            self.claim = self.base.saturating_add(seqno);
        }
        self.generation += 1;
        (self.clean, self.vouched) = (false, false);
        (self.fingerprint, self.boot) = (continuity.fingerprint, continuity.boot);
        self
    }
}

/// Draws names that nobody else has, as far as the seed is nobody else's (SplitMix64).
#[derive(Debug)]
pub(super) struct Names(u64);

impl Names {
    pub(super) fn new(entropy: u64) -> Names {
        Names(entropy)
    }

    /// Never 0.
    pub(super) fn next(&mut self) -> u64 {
        loop {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            if z != 0 {
                return z;
            }
        }
    }
}
