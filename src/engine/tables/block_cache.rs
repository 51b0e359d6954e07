//! [`CachedBlocks`]: the cache of blocks, shared by all tables of a store and weighed in bytes.

use super::offers::Offers;
use crate::fs::at_full_weight;
use crate::metrics::Metrics;
use esker_table::{BlockCache, Slice};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A table's number and the offset of a block in it.
type BlockId = (u64, u64);

/// What an entry costs besides the block's bytes: the cache's own bookkeeping and the block's reference count.
const OVERHEAD: u64 = 128;

/// The weight below which a part of the cache would hardly hold a few large blocks.
const SHARD_BYTES: u64 = 4 << 20;

#[derive(Clone)]
struct ByBytes;

impl Weighter<BlockId, Slice> for ByBytes {
    fn weight(&self, _: &BlockId, block: &Slice) -> u64 {
        block.len() as u64 + OVERHEAD
    }
}

/// Mixes the two numbers of a [`BlockId`]. Keys come from the store itself, so nobody can choose them to collide, and
/// the same run of a program caches the same blocks.
#[derive(Clone, Copy, Default)]
struct Mix(u64);

impl BuildHasher for Mix {
    type Hasher = Mix;
    fn build_hasher(&self) -> Mix {
        Mix(0x9e37_79b9_7f4a_7c15)
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.write_u64(u64::from(b));
        }
    }

    #[inline]
    fn write_u64(&mut self, n: u64) {
        let wide = u128::from(self.0 ^ n) * 0xff51_afd7_ed55_8ccd_u128;
        self.0 = (wide as u64) ^ ((wide >> 64) as u64).rotate_left(29) ^ n;
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mut h = self.0;
        h = (h ^ (h >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        h ^ (h >> 32)
    }
}

/// Of the blocks that are offered to a full cache one in so many is kept. What is asked for again and again comes in soon; what is
/// asked for once mostly pushes nothing out, and is decoded no further than it is read.
const KEPT_OF: u64 = 4;

/// Offers between two looks whether the cache is full.
const LOOK: u64 = 64;

/// Blocks, decoded or as they are stored, up to a number of bytes.
pub(crate) struct CachedBlocks {
    cache: Cache<BlockId, Slice, ByBytes, Mix>,
    offers: AtomicU64,
    is_full: AtomicBool,
    /// Blocks that were offered though the system's cache holds them as well.
    seen: Offers,
    metrics: Arc<Metrics>,
}

impl CachedBlocks {
    /// A cache of about `bytes` bytes; blocks are expected to have about `block_bytes`.
    pub(crate) fn new(bytes: u64, block_bytes: usize, metrics: Arc<Metrics>) -> CachedBlocks {
        let items = (bytes / (block_bytes.max(256) as u64 + OVERHEAD)).clamp(16, 1 << 24);
        let shards = (bytes / SHARD_BYTES).clamp(1, 16).next_power_of_two() as usize;
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items as usize).weight_capacity(bytes).shards(shards);
        let cache = match options.build() {
            Ok(options) => Cache::with_options(options, ByBytes, Mix::default(), DefaultLifecycle::default()),
            // Every field that has no default is set above.
            Err(_) => {
                Cache::with(items as usize, bytes, ByBytes, Mix::default(), DefaultLifecycle::default())
            }
        };
        CachedBlocks {
            cache,
            offers: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            seen: Offers::new(bytes),
            metrics,
        }
    }

    /// Gives the blocks so many bytes from now on; what is too much goes at once.
    pub(crate) fn resize(&self, bytes: u64) {
        self.cache.set_capacity(bytes);
    }

    /// The bytes that the cached blocks take.
    pub(crate) fn bytes_used(&self) -> u64 {
        self.cache.weight()
    }

    /// The bytes that they may take.
    pub(crate) fn capacity(&self) -> u64 {
        self.cache.capacity()
    }
}

impl BlockCache for CachedBlocks {
    fn get(&self, table: u64, offset: u64) -> Option<Slice> {
        // Readers wait for a part of the cache that somebody looks into.
        let found = at_full_weight(|| self.cache.get(&(table, offset)));
        let read = &self.metrics.read;
        if found.is_some() { &read.cache_hits } else { &read.cache_misses }.add(1);
        found
    }

    fn wants(&self) -> bool {
        let offer = self.offers.fetch_add(1, Ordering::Relaxed);
        if offer.is_multiple_of(LOOK) {
            let is_full = self.cache.weight() >= self.cache.capacity() / 16 * 15;
            self.is_full.store(is_full, Ordering::Relaxed);
        }
        // Mixed, so that no pattern of lookups offers one sort of blocks at every fourth place.
        let is_chosen = Mix::default().hash_one(offer).is_multiple_of(KEPT_OF);
        is_chosen || !self.is_full.load(Ordering::Relaxed)
    }

    fn wants_too(&self, table: u64, offset: u64) -> bool {
        self.seen.again(Mix::default().hash_one((table, offset)))
    }

    fn insert(&self, table: u64, offset: u64, block: Slice) {
        at_full_weight(|| self.cache.insert((table, offset), block));
    }
}

impl std::fmt::Debug for CachedBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedBlocks")
            .field("bytes_used", &self.bytes_used())
            .field("capacity", &self.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(cache: &CachedBlocks, offset: u64, block: Slice) {
        if cache.wants() {
            cache.insert(1, offset, block);
        }
    }

    #[test]
    fn blocks_are_kept_within_the_budget() {
        let metrics = Arc::new(Metrics::default());
        let cache = CachedBlocks::new(1 << 20, 4096, metrics.clone());
        for offset in 0..1000u64 {
            offer(&cache, offset * 4096, Slice::from(vec![offset as u8; 4096]));
            assert!(cache.bytes_used() <= 1 << 20);
        }
        let kept = (0..1000u64).filter(|o| cache.get(1, o * 4096).is_some()).count();
        assert!(kept > 100, "{kept} of about 248 blocks were kept");
        assert!(cache.get(2, 0).is_none());
        assert_eq!(metrics.read.cache_hits.get(), kept as u64);
        assert_eq!(metrics.read.cache_misses.get(), 1001 - kept as u64);
        for offset in 0..1000u64 {
            if let Some(block) = cache.get(1, offset * 4096) {
                assert!(block.iter().all(|&b| b == offset as u8));
            }
        }
    }

    #[test]
    fn a_full_cache_keeps_what_is_asked_for_again() {
        let cache = CachedBlocks::new(1 << 20, 4096, Arc::new(Metrics::default()));
        let insert = |offset: u64| offer(&cache, offset, Slice::from(vec![0; 4096]));
        (0..1000).for_each(insert);
        let kept = |from: u64| (from..from + 100).filter(|offset| cache.get(1, *offset).is_some()).count();
        (5000..5100).for_each(insert);
        assert!(kept(5000) < 50, "{} of 100 blocks that were offered once are kept", kept(5000));
        for _ in 0..2 * KEPT_OF {
            (6000..6100).filter(|offset| cache.get(1, *offset).is_none()).for_each(insert);
        }
        assert!(kept(6000) > 60, "{} of 100 blocks that were offered again and again are kept", kept(6000));
    }

    #[test]
    fn what_the_system_holds_too_is_kept_when_it_is_offered_again() {
        let cache = CachedBlocks::new(1 << 20, 4096, Arc::new(Metrics::default()));
        let wanted = |table: u64| (0..100u64).filter(|block| cache.wants_too(table, block * 4096)).count();
        assert_eq!((wanted(1), wanted(2)), (0, 0));
        assert!(wanted(1) > 50 && wanted(2) > 50);
    }

    #[test]
    fn ids_that_differ_little_hash_far_apart() {
        let mut seen = std::collections::HashSet::new();
        let mut low = std::collections::HashSet::new();
        for table in 0..64u64 {
            for block in 0..64u64 {
                let h = Mix::default().hash_one((table, block * 4096));
                seen.insert(h);
                low.insert(h % 4096);
            }
        }
        assert_eq!(seen.len(), 4096);
        assert!(low.len() > 2000, "{} of about 2589 low parts", low.len());
    }
}
