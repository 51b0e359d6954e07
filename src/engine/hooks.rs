//! What layers above the engine may hang into flush and compaction: filters, folds and collectors.
//!
//! They are mostly called by threads of the engine, which may have no more than what others leave of the processors. A lock that
//! others wait for is not to be held in one.

use std::fmt;

/// What a [`CompactionFilter`] decides about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterDecision {
    /// The entry stays as it is.
    Keep,
    /// The entry is removed: to readers it is as if it had been deleted.
    Remove,
    /// The entry stays under another value.
    Replace(Vec<u8>),
}

/// Looks at each value that compaction writes and may drop or change it: expiry, redaction, counters that went stale.
///
/// Called for the newest version of a key that no snapshot needs in an older one, at most once for each compaction that
/// the entry passes through. A filter must be a pure function of its arguments and of time.
///
/// What a snapshot sees is not filtered, if the snapshot was taken before the compaction began. One that is taken while
/// a compaction runs sees the newest state, which the filter changes when the compaction ends: an entry that the snapshot
/// saw may then be gone, or have the other value. Open cursors and ranges keep what they began with.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{CompactionFilter, FilterDecision, KeyspaceOptions};
/// use std::sync::Arc;
///
/// /// Drops what is marked as withdrawn.
/// struct Withdrawn;
///
/// impl CompactionFilter for Withdrawn {
///     fn name(&self) -> &str {
///         "withdrawn"
///     }
///
///     fn filter(&self, _key: &[u8], value: &[u8]) -> FilterDecision {
///         if value == b"withdrawn" { FilterDecision::Remove } else { FilterDecision::Keep }
///     }
/// }
///
/// let options = KeyspaceOptions::new().filter(Arc::new(Withdrawn));
/// let keyspace = db.create_keyspace("k", options)?;
/// keyspace.put("a", "withdrawn")?;
/// keyspace.compact(..)?;
/// assert_eq!(keyspace.get("a")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait CompactionFilter: Send + Sync {
    /// A name that changes when the meaning does; recorded with the keyspace.
    fn name(&self) -> &str;

    /// What shall become of this entry.
    fn filter(&self, user_key: &[u8], value: &[u8]) -> FilterDecision;
}

/// A newer and an older value of one key, and where they meet.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shadow<'a> {
    /// The key.
    pub user_key: &'a [u8],
    /// The newer value; `None` if the newer entry is a delete.
    pub newer: Option<&'a [u8]>,
    /// The older value, which the newer one hides and no snapshot needs; `None` if it is a delete.
    pub older: Option<&'a [u8]>,
}

/// What a [`Fold`] makes of two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Folded {
    /// The newer entry stays as it is; the older one goes.
    Newer,
    /// The newer entry stays under this value; the older one goes.
    Value(Vec<u8>),
}

/// Called at flush and compaction when a newer version of a key shadows an older one that no snapshot needs: what the
/// older one carried can be folded into the newer. Counters, digests and provenance are built on it.
///
/// Versions are folded pairwise from the newest to the oldest. A fold must be deterministic and associative: which
/// versions meet in one compaction depends on when it runs.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{Fold, Folded, KeyspaceOptions, Shadow};
/// use std::sync::Arc;
///
/// /// Values are numbers to be added up, so that counting up is a put and never a read.
/// struct Sum;
///
/// fn number(value: Option<&[u8]>) -> u64 {
///     value.and_then(|v| v.try_into().ok()).map_or(0, u64::from_be_bytes)
/// }
///
/// impl Fold for Sum {
///     fn name(&self) -> &str {
///         "sum"
///     }
///
///     fn fold(&self, shadow: &Shadow<'_>) -> Folded {
///         Folded::Value((number(shadow.newer) + number(shadow.older)).to_be_bytes().to_vec())
///     }
/// }
///
/// let counters = db.create_keyspace("counters", KeyspaceOptions::new().fold(Arc::new(Sum)))?;
/// for _ in 0..3 {
///     counters.put("visits", 1u64.to_be_bytes())?;
/// }
/// counters.compact(..)?;
/// assert_eq!(number(counters.get("visits")?.as_deref()), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Fold: Send + Sync {
    /// A name that changes when the meaning does; recorded with the keyspace, which then cannot be opened for
    /// writing without a fold of this name.
    fn name(&self) -> &str;

    /// What becomes of the newer version. A delete (`newer: None`) can be given a value only by turning it into a put.
    fn fold(&self, shadow: &Shadow<'_>) -> Folded;

    /// Asked when an entry reaches the bottom, where nothing older can exist: whether it may be dropped. Deletes are
    /// asked too; the default drops them and keeps everything else.
    ///
    /// As for a [`CompactionFilter`], a snapshot that is taken while a compaction runs may see a put until the compaction
    /// ends and not afterwards.
    fn drop_at_bottom(&self, user_key: &[u8], value: Option<&[u8]>) -> bool {
        let _ = user_key;
        value.is_none()
    }
}

/// Sees every entry that is written into one table, and leaves bytes in the table's properties.
pub trait Collector: Send {
    /// An entry, in the table's order. `value` is `None` for a delete.
    fn add(&mut self, user_key: &[u8], seqno: u64, value: Option<&[u8]>);

    /// The bytes to leave.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// Makes a [`Collector`] for each table of a keyspace.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let db = esker::Db::open(dir.path())?;
/// use esker::{Collector, CollectorFactory, KeyspaceOptions};
/// use std::sync::Arc;
///
/// /// Adds up the lengths of a table's values.
/// struct Lengths(u64);
///
/// impl Collector for Lengths {
///     fn add(&mut self, _key: &[u8], _seqno: u64, value: Option<&[u8]>) {
///         self.0 += value.map_or(0, |v| v.len() as u64);
///     }
///
///     fn finish(self: Box<Self>) -> Vec<u8> {
///         self.0.to_be_bytes().to_vec()
///     }
/// }
///
/// struct Lengthy;
///
/// impl CollectorFactory for Lengthy {
///     fn name(&self) -> &str {
///         "lengths"
///     }
///
///     fn collector(&self) -> Box<dyn Collector> {
///         Box::new(Lengths(0))
///     }
/// }
///
/// let keyspace = db.create_keyspace("k", KeyspaceOptions::new().collector(Arc::new(Lengthy)))?;
/// keyspace.put("a", "four")?;
/// keyspace.flush()?;
/// assert_eq!(keyspace.view()?.tables()[0].collected.as_deref(), Some(&4u64.to_be_bytes()[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait CollectorFactory: Send + Sync {
    /// A name that changes when the meaning does; recorded with the keyspace, which then cannot be opened for
    /// writing without a collector of this name.
    fn name(&self) -> &str;

    /// A collector for one table.
    fn collector(&self) -> Box<dyn Collector>;
}

macro_rules! debug_by_name {
    ($($hook:ident)*) => {$(
        impl fmt::Debug for dyn $hook {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($hook), "({})"), self.name())
            }
        }
    )*};
}

debug_by_name!(CompactionFilter Fold CollectorFactory);
