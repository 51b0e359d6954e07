//! How a case's store and keyspaces are set up: choices that are decoded from bytes and printed with a finding.

use crate::bare::{self, Bare};
use crate::bytes::Bytes;
use crate::collected::Everything;
use crate::held::Liberties;
use crate::hooks::{Carry, Verdict};
use esker::testing::SimEnv;
use esker::{ByLevel, CompactionStrategy, Durability, KeyspaceOptions, MIN_MEMORY_BUDGET, Recovery, TableIo};
use esker_table::codec::Compression;
use std::sync::Arc;
use std::time::Duration;

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreChoice {
    /// The memory budget in bytes.
    pub memory: usize,
    /// The length of a segment of the log.
    pub segment: u64,
    /// Whether tables are read by positioned reads.
    pub pread: bool,
    /// Whether writes are synced by default.
    pub synced: bool,
    /// Whether any damage is an error when the store is opened. Only meant for logs that were closed.
    pub absolute: bool,
    /// Whether tables are larger than the memory that there is for them.
    pub small: bool,
}

impl StoreChoice {
    pub(crate) fn decode(bytes: &mut Bytes<'_>) -> StoreChoice {
        let byte = bytes.u8();
        StoreChoice {
            memory: MIN_MEMORY_BUDGET << (byte & 1),
            segment: [4096, 4096, 20_000, 1 << 20][usize::from(byte >> 1 & 3)],
            pread: byte & 8 != 0,
            synced: byte & 0x30 == 0x30,
            absolute: byte & 0x40 != 0,
            small: byte & 0x80 != 0,
        }
    }

    /// A builder of stores like this on the disk of `env`.
    pub fn builder(&self, env: &SimEnv, keyspace: &KeyspaceChoice) -> esker::Builder {
        esker::Db::builder()
            .env(Arc::new(env.clone().with_memory_limit(self.small.then_some(0))))
            .memory_budget(self.memory)
            .segment_bytes(self.segment)
            .table_io(if self.pread { TableIo::Pread } else { TableIo::Mmap })
            .durability(if self.synced { Durability::Synced } else { Durability::Buffered })
            .table_format(Arc::new(Bare))
            .keyspace_defaults(keyspace.options())
    }

    /// What the log of a store that was closed is opened with.
    pub fn recovery(&self) -> Recovery {
        if self.absolute { Recovery::Absolute } else { Recovery::TolerateTornTail }
    }
}

/// The table formats that there are.
const FORMATS: [&str; 4] = ["block", "plain", "block", bare::NAME];

/// What hangs in a keyspace's compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Nothing.
    None,
    /// The filter [`Verdict`].
    Filter,
    /// The fold [`Carry`].
    Fold,
}

/// How a keyspace is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyspaceChoice {
    /// The size of data blocks.
    pub block: usize,
    /// The compression of level 0 and 1, and of the levels below.
    pub compression: (Compression, Compression),
    /// Filter bits for each key.
    pub filter: u32,
    /// Which tables are merged when.
    pub compaction: CompactionStrategy,
    /// The time to live in seconds; not with a fold.
    pub ttl: Option<u64>,
    /// The table format of levels 0 and 1, and of the levels below.
    pub format: (&'static str, &'static str),
    /// Whether writes go to the log.
    pub log: bool,
    /// Whether a collector notes everything that is written into tables.
    pub collector: bool,
    /// What compaction calls.
    pub hook: Hook,
}

impl KeyspaceChoice {
    pub(crate) fn decode(bytes: &mut Bytes<'_>) -> KeyspaceChoice {
        let compressions = [Compression::None, Compression::None, Compression::Lz4, Compression::Zstd(1)];
        let compaction = match bytes.below(8) {
            0..=4 => CompactionStrategy::Leveled {
                l0_trigger: 1 + bytes.below(4),
                ratio: 2 + bytes.below(3) as u64,
                table_bytes: bytes.pick(&[4096, 4096, 16_384, 32 << 20]),
            },
            5 | 6 => CompactionStrategy::Tiered {
                runs: 2 + bytes.below(3),
                max_space_amp_percent: bytes.pick(&[25, 200]),
            },
            _ => CompactionStrategy::Fifo { max_bytes: bytes.pick(&[u64::MAX, 30_000, 3000]) },
        };
        KeyspaceChoice {
            block: bytes.pick(&[64, 100, 512, 4096]),
            compression: (bytes.pick(&compressions), bytes.pick(&compressions)),
            filter: bytes.pick(&[0, 1, 10, 10]),
            compaction,
            format: (bytes.pick(&FORMATS), bytes.pick(&FORMATS)),
            ttl: bytes.pick(&[None, None, None, None, None, Some(20_000), Some(100_000)]),
            log: !bytes.one_in(8),
            collector: bytes.one_in(3),
            hook: bytes.pick(&[Hook::None, Hook::None, Hook::Filter, Hook::Fold]),
        }
    }

    /// The options.
    pub fn options(&self) -> KeyspaceOptions {
        let (top, below) = self.compression;
        let formats = [self.format.0, self.format.0, self.format.1].map(str::to_owned);
        let options = KeyspaceOptions::new()
            .format(ByLevel::levels(formats))
            .block_bytes(self.block)
            .compression(ByLevel::levels([top, top, below]))
            .filter_bits(ByLevel::all(self.filter))
            .compaction(self.compaction)
            .log(self.log);
        let options = match self.live_seconds() {
            Some(seconds) => options.ttl(Duration::from_secs(seconds)),
            None => options,
        };
        let options = if self.collector { options.collector(Arc::new(Everything)) } else { options };
        match self.hook {
            Hook::None => options,
            Hook::Filter => options.filter(Arc::new(Verdict)),
            Hook::Fold => options.fold(Arc::new(Carry)),
        }
    }

    /// These choices for a keyspace that exists: what is recorded in the store stays as it was.
    pub fn for_existing(&self, before: &KeyspaceChoice) -> KeyspaceChoice {
        KeyspaceChoice { log: before.log, collector: before.collector, hook: before.hook, ..*self }
    }

    /// What the store may do with the entries.
    pub fn liberties(&self) -> Liberties {
        Liberties {
            filter: self.hook == Hook::Filter,
            fold: self.hook == Hook::Fold,
            drops: self.most_bytes().is_some(),
            ttl: self.live_seconds(),
        }
    }

    fn live_seconds(&self) -> Option<u64> {
        self.ttl.filter(|_| self.hook != Hook::Fold)
    }

    /// The size to which the keyspace's tables are cut back.
    pub fn most_bytes(&self) -> Option<u64> {
        match self.compaction {
            CompactionStrategy::Fifo { max_bytes, .. } if max_bytes < u64::MAX => Some(max_bytes),
            _ => None,
        }
    }

    /// Whether a full compaction leaves nothing that was deleted or overwritten.
    pub fn merges(&self) -> bool {
        !matches!(self.compaction, CompactionStrategy::Fifo { .. })
    }
}
