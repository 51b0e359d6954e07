//! [`Builder`]: how a store is opened.

use super::{Db, open};
use crate::error::{Error, Result};
use crate::event::EventListener;
use crate::fs::{Env, LocalEnv};
#[cfg(not(loom))]
use crate::memtable::Memtable;
use crate::options::{Durability, KeyspaceOptions, Recovery, TableIo};
use esker_table::TableFormat;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The smallest memory budget, in bytes.
pub const MIN_MEMORY_BUDGET: usize = 1 << 20;

/// How a store is opened. Every option has a default that suits most stores.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let db = esker::Db::builder().memory_budget(64 << 20).open(dir.path())?;
/// db.put("user/1", "ada")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `open`"]
pub struct Builder {
    pub(crate) env: Arc<dyn Env>,
    pub(crate) create_if_missing: bool,
    pub(crate) error_if_exists: bool,
    pub(crate) read_only: bool,
    pub(crate) memory_budget: usize,
    pub(crate) durability: Durability,
    pub(crate) table_io: TableIo,
    pub(crate) poll_reads: bool,
    pub(crate) recovery: Recovery,
    pub(crate) formats: Vec<Arc<dyn TableFormat>>,
    pub(crate) listeners: Vec<Arc<dyn EventListener>>,
    pub(crate) segment_bytes: Option<u64>,
    pub(crate) background_threads: usize,
    pub(crate) keyspace_defaults: KeyspaceOptions,
    pub(crate) keyspace_options: BTreeMap<String, KeyspaceOptions>,
    pub(crate) keyspace_options_by: Option<OptionsBy>,
}

/// Chooses the options of a keyspace by its name.
type OptionsBy = Arc<dyn Fn(&str) -> Option<KeyspaceOptions> + Send + Sync>;

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            env: Arc::new(LocalEnv),
            create_if_missing: true,
            error_if_exists: false,
            read_only: false,
            memory_budget: 256 << 20,
            durability: Durability::Buffered,
            table_io: TableIo::Mmap,
            poll_reads: true,
            recovery: Recovery::TolerateTornTail,
            formats: Vec::new(),
            listeners: Vec::new(),
            segment_bytes: None,
            background_threads: 2,
            keyspace_defaults: KeyspaceOptions::default(),
            keyspace_options: BTreeMap::new(),
            keyspace_options_by: None,
        }
    }
}

impl Builder {
    /// The defaults; the same as [`Db::builder`].
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Whether a store is created where there is none. Default true.
    pub fn create_if_missing(mut self, yes: bool) -> Self {
        self.create_if_missing = yes;
        self
    }

    /// Whether a store that exists is an error. Default false.
    pub fn error_if_exists(mut self, yes: bool) -> Self {
        self.error_if_exists = yes;
        self
    }

    /// Opens for reading only: the log is replayed in memory, and nothing on disk changes. Several may have a store open
    /// for reading at once, but not beside a writer. Default false.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # esker::Db::open(dir.path())?.put("k", "v")?;
    /// let db = esker::Db::builder().read_only(true).open(dir.path())?;
    /// assert_eq!(db.get("k")?.unwrap(), "v");
    /// assert!(db.put("k", "w").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// Memory for memtables (a half at most), cached blocks (a quarter, and what memtables do not take of that half), and
    /// compaction and open tables (the rest), in bytes.
    /// Mapped files are the operating system's and do not count. A batch may take up to a quarter of it. Default 256 MiB, at
    /// least [`MIN_MEMORY_BUDGET`].
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// The durability of [`put`](crate::Keyspace::put) and the other writes that do not name one. Default [`Durability::Buffered`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How tables are read and the log is written. Default [`TableIo::Mmap`].
    pub fn table_io(mut self, table_io: TableIo) -> Self {
        self.table_io = table_io;
        self
    }

    /// Whether a thread that waits for a block from the device may do so without sleep, where the system can: it asks again and again, and
    /// lets others have the processor that want it. Lookups in a store larger than memory are up to a third faster, on virtual
    /// machines above all, and take as much more of the processor's time; never of more than half of the processors, and not for long of a
    /// device that takes longer than 0.2 ms. Default true.
    pub fn poll_reads(mut self, yes: bool) -> Self {
        self.poll_reads = yes;
        self
    }

    /// What opening does about a log that does not end as it was written. Default
    /// [`Recovery::TolerateTornTail`].
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// Makes a table format known, besides those that come with the engine: for reading the files that are laid in it,
    /// and for choosing it by name in [`KeyspaceOptions::format`]. A store that has a table of a format which was not made
    /// known does not open.
    pub fn table_format(mut self, format: Arc<dyn TableFormat>) -> Self {
        self.formats.push(format);
        self
    }

    /// Adds somebody who is told what the engine does.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{Db, Event};
    /// use std::sync::Arc;
    /// let listener = |event: &Event| {
    ///     if let Event::ReadOnly { reason } = event {
    ///         eprintln!("no more writes: {reason}");
    ///     }
    /// };
    /// let db = Db::builder().listener(Arc::new(listener)).open(dir.path())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener(mut self, listener: Arc<dyn EventListener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// The length at which a segment of the log is closed, in bytes. Default a quarter of the memory budget, between 1 and
    /// 64 MiB.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = Some(bytes);
        self
    }

    /// Threads for flush and compaction. If there are several, one of them does nothing but flushes, and the others merge. They
    /// have lower priorities than the program's own threads where the system has such a thing, merges the lowest. Default 2, which suits two cores.
    pub fn background_threads(mut self, threads: usize) -> Self {
        self.background_threads = threads;
        self
    }

    /// The options of keyspaces that are opened without options of their own, the default keyspace among them.
    pub fn keyspace_defaults(mut self, options: KeyspaceOptions) -> Self {
        self.keyspace_defaults = options;
        self
    }

    /// The options that an existing keyspace is opened with: its hooks, for one, which only the program has.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{ByLevel, Compression, Db, KeyspaceOptions};
    /// let options = || KeyspaceOptions::new().compression(ByLevel::all(Compression::None));
    /// let db = Db::open(dir.path())?;
    /// db.create_keyspace("plain", options())?;
    /// db.close()?;
    /// let db = Db::builder().keyspace_options("plain", options()).open(dir.path())?;
    /// db.keyspace("plain")?.put("k", "v")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keyspace_options(mut self, name: impl Into<String>, options: KeyspaceOptions) -> Self {
        self.keyspace_options.insert(name.into(), options);
        self
    }

    /// Chooses the options of existing keyspaces by their names, where [`keyspace_options`](Builder::keyspace_options) has
    /// none; `None` leaves a keyspace to the [defaults](Builder::keyspace_defaults). For a layer that makes keyspaces by a
    /// rule, and does not know which there are before the store is open.
    ///
    /// Called while the store is opened, once for each keyspace; it must not use the store.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{Db, Fold, Folded, KeyspaceOptions, Shadow};
    /// use std::sync::Arc;
    ///
    /// /// Keeps the value that a key had first.
    /// struct First;
    ///
    /// impl Fold for First {
    ///     fn name(&self) -> &str {
    ///         "first"
    ///     }
    ///
    ///     fn fold(&self, shadow: &Shadow<'_>) -> Folded {
    ///         shadow.older.map_or(Folded::Newer, |older| Folded::Value(older.to_vec()))
    ///     }
    /// }
    ///
    /// let options = |name: &str| {
    ///     name.ends_with(".first").then(|| KeyspaceOptions::new().fold(Arc::new(First)).kind("first"))
    /// };
    /// let db = Db::open(dir.path())?;
    /// db.create_keyspace("seen.first", options("seen.first").unwrap())?;
    /// db.close()?;
    /// let db = Db::builder().keyspace_options_by(options).open(dir.path())?;
    /// db.keyspace("seen.first")?.put("k", "v")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keyspace_options_by(
        mut self,
        choose: impl Fn(&str) -> Option<KeyspaceOptions> + Send + Sync + 'static,
    ) -> Self {
        self.keyspace_options_by = Some(Arc::new(choose));
        self
    }

    /// The environment: files, clock and background work. Default [`LocalEnv`].
    pub fn env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = env;
        self
    }

    /// Opens the store in this directory.
    ///
    /// # Errors
    /// `Locked` if another process has it open, `NoStore` if there is none and none shall be created, `NotEmpty` if the
    /// directory holds something else, `Corruption` or `MissingFile` if the store is damaged, `Unsupported` if it was
    /// written by a newer version, `Invalid` if an option is not acceptable, `Io` if the operating system fails.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// use esker::{Db, Error};
    /// let missing = dir.path().join("missing");
    /// let refused = Db::builder().create_if_missing(false).open(&missing);
    /// assert!(matches!(refused, Err(Error::NoStore { .. })));
    /// let db = Db::builder().memory_budget(64 << 20).open(&missing)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(self, path: impl AsRef<Path>) -> Result<Db> {
        self.check()?;
        open::open(self, path.as_ref())
    }

    fn check(&self) -> Result<()> {
        if self.memory_budget < MIN_MEMORY_BUDGET {
            let what = format!("{} bytes are too few; give at least {MIN_MEMORY_BUDGET}", self.memory_budget);
            return Err(Error::invalid("memory_budget", what));
        }
        #[cfg(not(loom))]
        if let Err(e) = Memtable::try_capacity(open::limits(self).memtable_capacity(0)) {
            let what = format!("the system does not give {} bytes ({e}); give less", self.memory_budget);
            return Err(Error::invalid("memory_budget", what));
        }
        if self.segment_bytes.is_some_and(|bytes| !(4096..=1 << 30).contains(&bytes)) {
            return Err(Error::invalid("segment_bytes", "give a length between 4 KiB and 1 GiB"));
        }
        if !(1..=64).contains(&self.background_threads) {
            return Err(Error::invalid("background_threads", "give between 1 and 64"));
        }
        self.keyspace_options.values().chain([&self.keyspace_defaults]).try_for_each(KeyspaceOptions::check)
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("env", &self.env)
            .field("read_only", &self.read_only)
            .field("memory_budget", &self.memory_budget)
            .field("durability", &self.durability)
            .field("table_io", &self.table_io)
            .field("poll_reads", &self.poll_reads)
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}
