//! What users choose: for the store, and for each keyspace.

use crate::error::{Error, Result};
use crate::hooks::{CollectorFactory, CompactionFilter, Fold};
use esker_table::codec::Compression;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a write has survived when it is acknowledged.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use esker::{Db, Durability};
/// // Every put returns once it is on the device.
/// let db = Db::builder().durability(Durability::Synced).open(dir.path())?;
/// db.put("k", "v")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Handed to the operating system: survives a killed process, not a power loss. A power loss takes the end of what was written, at
    /// most what is in no table and was not [synced](crate::Db::sync).
    #[default]
    Buffered,
    /// On the device: survives a power loss.
    Synced,
}

/// How tables are read and the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TableIo {
    /// Memory-mapped: uncompressed blocks are served without a copy, and a record of the log is laid into memory that is the operating
    /// system's already.
    #[default]
    Mmap,
    /// By positioned reads into the block cache, and by calls that write: for network file systems, and for those who want no maps.
    Pread,
}

/// What opening does about a log that does not end as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Recovery {
    /// A torn tail, which a crash leaves in what was never synced, is cut off and reported. Damage before it is an
    /// error. A process that is killed in the middle of a write, which nobody was told of, leaves one too.
    #[default]
    TolerateTornTail,
    /// Any damage is an error, and so is a write that was cut off.
    Absolute,
}

/// Which tables are merged when.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{CompactionStrategy, KeyspaceOptions};
/// let events = KeyspaceOptions::new().compaction(CompactionStrategy::Fifo { max_bytes: 1 << 30 });
/// db.create_keyspace("events", events)?;
/// let writes = KeyspaceOptions::new().compaction(CompactionStrategy::tiered());
/// db.create_keyspace("written-more-than-read", writes)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CompactionStrategy {
    /// Each level is one sorted run, ten times the size of the one above: few places to look, little space wasted. The
    /// default.
    Leveled {
        /// Runs of L0 that start a compaction. While memtables fill up within seconds of each other, four times as many do. Default 4.
        l0_trigger: usize,
        /// How many times larger each level is. Default 10.
        ratio: u64,
        /// The target size of a table, in bytes. Default 32 MiB.
        table_bytes: u64,
    },
    /// Runs of similar size are merged together: fewer bytes written, more places to look.
    Tiered {
        /// Runs of similar size that start a compaction. Default 4.
        runs: usize,
        /// Space beyond the live data, in percent, at which everything is merged. Default 200.
        max_space_amp_percent: u64,
    },
    /// Tables are never merged; the oldest are dropped when there are too many bytes, or when all of a table is older
    /// than the keyspace's [time to live](KeyspaceOptions::ttl). For caches and time series.
    Fifo {
        /// The total size above which the oldest tables are dropped, in bytes.
        max_bytes: u64,
    },
}

impl Default for CompactionStrategy {
    fn default() -> CompactionStrategy {
        CompactionStrategy::Leveled { l0_trigger: 4, ratio: 10, table_bytes: 32 << 20 }
    }
}

impl CompactionStrategy {
    /// Tiered with its defaults.
    pub fn tiered() -> CompactionStrategy {
        CompactionStrategy::Tiered { runs: 4, max_space_amp_percent: 200 }
    }
}

/// A choice for each level: the last one counts for all below.
///
/// ```
/// use esker::{ByLevel, Compression};
/// let choice = ByLevel::levels([Compression::None, Compression::Lz4]);
/// assert_eq!((choice.at(0), choice.at(6)), (&Compression::None, &Compression::Lz4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByLevel<T>(Vec<T>);

impl<T> ByLevel<T> {
    /// The same at every level.
    pub fn all(choice: T) -> ByLevel<T> {
        ByLevel(vec![choice])
    }

    /// One choice for each level from 0; the last counts for all below.
    ///
    /// # Panics
    /// If there is none.
    pub fn levels(choices: impl IntoIterator<Item = T>) -> ByLevel<T> {
        let choices: Vec<T> = choices.into_iter().collect();
        assert!(!choices.is_empty(), "a choice by level needs at least one level");
        ByLevel(choices)
    }

    /// The choice for this level.
    pub fn at(&self, level: usize) -> &T {
        &self.0[level.min(self.0.len() - 1)]
    }

    /// All the choices, from level 0.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

/// How a keyspace is stored. What is recorded in the store is said for each option.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{ByLevel, Compression, KeyspaceOptions};
/// use std::time::Duration;
/// let sessions = KeyspaceOptions::new()
///     .compression(ByLevel::all(Compression::Lz4))
///     .filter_bits(ByLevel::levels([12, 12, 8]))
///     .ttl(Duration::from_secs(3600));
/// db.create_keyspace("sessions", sessions)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct KeyspaceOptions {
    /// The name of the table format, by level. Default `block`; `plain` is uncompressed and mapped, for a keyspace, or levels of it,
    /// that are read from memory: lookups of small pairs take a third of the time, for about twice the space.
    /// Not recorded; readers take what each file says.
    pub format: ByLevel<String>,
    /// Compression of data blocks, by level. Default: lz4 at every level.
    pub compression: ByLevel<Compression>,
    /// Filter bits per key, by level; 0 for none. Default 10.
    pub filter_bits: ByLevel<u32>,
    /// The size that data blocks are closed at, in bytes before compression. Default 4096. In a store that is larger than memory it
    /// is three quarters to one and a half of that as a rule, so that blocks lie within pages.
    pub block_bytes: usize,
    /// Which tables are merged when.
    pub compaction: CompactionStrategy,
    /// The age at which entries expire; `None` for never, the default. Not recorded; the ages are. Not together with a
    /// [`Fold`], which would be passed by.
    ///
    /// What is younger never goes. What is older may vanish at any time, for every reader, those with a snapshot from
    /// before included, and no older version takes its place. It is gone at the latest after about twice the time to
    /// live, whatever the strategy and whether or not anything is written; until then reads may see it. The age counts
    /// from when background work first saw the entry, as a rule within a second of its writing. Entries that are not yet in a
    /// table when the store is closed, and all entries after a repair, count from the next opening.
    ///
    /// The clock is the system's. While it goes back, nothing ages; when it jumps forward, everything has aged by as
    /// much, and what that makes too old goes for good.
    pub ttl: Option<Duration>,
    /// Whether writes go to the log. Without it a crash loses what was not flushed, and `Synced` writes are refused; for
    /// bulk loads and caches. A clean close flushes the keyspace, so that nothing is lost by it. Default true. Recorded when
    /// the keyspace is created, and not changed afterwards.
    pub log: bool,
    /// See [`CompactionFilter`]. Recorded by name.
    pub filter: Option<Arc<dyn CompactionFilter>>,
    /// See [`Fold`]. Recorded by name.
    pub fold: Option<Arc<dyn Fold>>,
    /// See [`CollectorFactory`]. Recorded by name.
    pub collector: Option<Arc<dyn CollectorFactory>>,
    /// What a layer above calls keyspaces like this, so that it knows its own again: up to 255 bytes, empty by default. To
    /// the engine it means nothing. Recorded when the keyspace is created, and not changed afterwards; see
    /// [`Keyspace::kind`](crate::Keyspace::kind).
    pub kind: String,
}

impl Default for KeyspaceOptions {
    fn default() -> KeyspaceOptions {
        KeyspaceOptions {
            format: ByLevel::all("block".to_owned()),
            compression: ByLevel::all(Compression::Lz4),
            filter_bits: ByLevel::all(10),
            block_bytes: 4096,
            compaction: CompactionStrategy::default(),
            ttl: None,
            log: true,
            filter: None,
            fold: None,
            collector: None,
            kind: String::new(),
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $kind:ty),* $(,)?) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $kind) -> Self {
            self.$name = $name;
            self
        }
    )*};
}

impl KeyspaceOptions {
    /// The defaults.
    pub fn new() -> KeyspaceOptions {
        KeyspaceOptions::default()
    }

    setters! {
        /// Sets the table format by level.
        format: ByLevel<String>,
        /// Sets the compression by level.
        compression: ByLevel<Compression>,
        /// Sets the filter bits per key by level.
        filter_bits: ByLevel<u32>,
        /// Sets the size that data blocks are closed at.
        block_bytes: usize,
        /// Sets the compaction strategy.
        compaction: CompactionStrategy,
        /// Sets whether writes go to the log.
        log: bool,
    }

    /// Sets the age at which entries expire.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets the compaction filter.
    #[must_use]
    pub fn filter(mut self, filter: Arc<dyn CompactionFilter>) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Sets the fold.
    #[must_use]
    pub fn fold(mut self, fold: Arc<dyn Fold>) -> Self {
        self.fold = Some(fold);
        self
    }

    /// Sets the collector.
    #[must_use]
    pub fn collector(mut self, collector: Arc<dyn CollectorFactory>) -> Self {
        self.collector = Some(collector);
        self
    }

    /// Sets what the layer above calls keyspaces like this.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }
}

impl KeyspaceOptions {
    /// The time to live in milliseconds.
    pub(crate) fn ttl_millis(&self) -> Option<u64> {
        self.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
    }

    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        if !(64..=1 << 20).contains(&self.block_bytes) {
            return Err(Error::invalid("block_bytes", "give a size between 64 bytes and 1 MiB"));
        }
        if let Some(compression) = self.compression.iter().find(|c| !c.is_available()) {
            let what =
                format!("{compression} is not built in; enable the feature `zstd`, or choose lz4 or none");
            return Err(Error::invalid("compression", what));
        }
        if self.filter_bits.iter().any(|&bits| bits > 64) {
            return Err(Error::invalid("filter_bits", "more than 64 bits a key gain nothing"));
        }
        if self.ttl.is_some() && self.fold.is_some() {
            return Err(Error::invalid("ttl", "a time to live would pass the fold by"));
        }
        if self.kind.len() > 255 {
            return Err(Error::invalid("kind", "give 255 bytes at most"));
        }
        if self.ttl_millis() == Some(0) {
            return Err(Error::invalid("ttl", "give a millisecond or more"));
        }
        match self.compaction {
            CompactionStrategy::Leveled { l0_trigger, ratio, table_bytes }
                if l0_trigger == 0 || ratio < 2 || table_bytes < 4096 =>
            {
                let what =
                    "leveled needs a trigger of at least 1, a ratio of at least 2, tables of at least 4 KiB";
                return Err(Error::invalid("compaction", what));
            }
            CompactionStrategy::Tiered { runs, .. } if runs < 2 => {
                return Err(Error::invalid("compaction", "tiered needs at least 2 runs"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for KeyspaceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyspaceOptions")
            .field("format", &self.format)
            .field("compression", &self.compression)
            .field("filter_bits", &self.filter_bits)
            .field("block_bytes", &self.block_bytes)
            .field("compaction", &self.compaction)
            .field("ttl", &self.ttl)
            .field("log", &self.log)
            .field("filter", &self.filter)
            .field("fold", &self.fold)
            .field("collector", &self.collector)
            .field("kind", &self.kind)
            .finish()
    }
}
