//! [`EventListener`]: being told what the engine does in the background.

use crate::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Memtables of a keyspace begin to be written to a table.
    FlushBegin {
        /// The keyspace.
        keyspace: String,
    },
    /// Memtables of a keyspace have become tables.
    FlushEnd {
        /// The keyspace.
        keyspace: String,
        /// Tables written.
        tables: usize,
        /// Their size together, in bytes.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
    /// A compaction begins.
    CompactionBegin {
        /// The keyspace.
        keyspace: String,
        /// The level that its output goes to.
        output_level: usize,
        /// Tables that go in.
        tables: usize,
        /// Their size together, in bytes.
        bytes: u64,
        /// Why it is done.
        reason: &'static str,
    },
    /// A compaction ended. A move or drop of whole tables writes nothing.
    CompactionEnd {
        /// The keyspace.
        keyspace: String,
        /// The level that its output went to.
        output_level: usize,
        /// Tables written.
        tables: usize,
        /// Their size together, in bytes.
        bytes: u64,
        /// Blocks that were copied as they were.
        blocks_copied: u64,
        /// Entries that went in.
        entries_read: u64,
        /// How long it took.
        took: Duration,
    },
    /// A segment of the log was created.
    LogSegmentCreated {
        /// The number in its name.
        number: u64,
    },
    /// A segment of the log that nothing needs any more was removed.
    LogSegmentRemoved {
        /// The number in its name.
        number: u64,
    },
    /// A table that nobody reads any more was removed.
    TableRemoved {
        /// The number in its name.
        number: u64,
    },
    /// A write had to wait.
    Stalled {
        /// What for.
        reason: &'static str,
        /// How long.
        waited: Duration,
    },
    /// Something failed in the background in a way that leaves the store writable: work that will be tried again, or the
    /// callback of a write, which panicked.
    BackgroundError {
        /// What failed.
        what: String,
    },
    /// The store takes no more writes.
    ReadOnly {
        /// Why.
        reason: String,
    },
}

/// Is told what the engine does.
///
/// Called on the thread that does it, which may be one that writes or compacts: return soon, and do not call the store. If it
/// panics, nothing is lost and nobody else meets the panic, but the store takes no more writes until it is opened again.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// use esker::{Db, Event, EventListener};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Events(AtomicU64);
///
/// impl EventListener for Events {
///     fn on_event(&self, _event: &Event) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let events = Arc::new(Events::default());
/// let db = Db::builder().listener(events.clone()).open(dir.path())?;
/// db.put("k", "v")?;
/// db.flush()?;
/// assert!(events.0.load(Ordering::Relaxed) > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait EventListener: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> EventListener for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// Is told that a listener panicked. Returns whether the store takes no more writes because of it.
type OnPanic = Box<dyn Fn(&Error) -> bool + Send + Sync>;

/// Everybody who listens.
pub(crate) struct Events {
    listeners: Vec<Arc<dyn EventListener>>,
    on_panic: OnPanic,
}

impl Events {
    pub(crate) fn new(
        listeners: Vec<Arc<dyn EventListener>>,
        on_panic: impl Fn(&Error) -> bool + Send + Sync + 'static,
    ) -> Events {
        Events { listeners, on_panic: Box::new(on_panic) }
    }

    pub(crate) fn emit(&self, event: &Event) {
        #[cfg(feature = "tracing")]
        match event {
            Event::BackgroundError { .. } | Event::ReadOnly { .. } => tracing::error!(?event),
            Event::Stalled { .. } => tracing::warn!(?event),
            _ => tracing::info!(?event),
        }
        for listener in &self.listeners {
            // Events are told in the middle of things: records taken out of the log's buffer and not yet written, a version
            // not yet installed. A panic must not leave those half done.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| listener.on_event(event))) {
                let error = Error::panicked("a listener", &*panic);
                if (self.on_panic)(&error) {
                    self.emit(&Event::ReadOnly { reason: error.to_string() });
                }
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({})", self.listeners.len())
    }
}
