//! When the keys of a plain keyspace expire: a companion keyspace, and in memory a hint which keys are in it at all.
//!
//! A plain keyspace holds values as they are, with no room for an expiry. So expiries lie beside it, in a keyspace named
//! `<name>.expiry`:
//!
//! ```text
//!   key    the key of the plain keyspace
//!   value  ┌──────────────────────────────────┐
//!          │ milliseconds since 1970, u64, LE │
//!          └──────────────────────────────────┘
//! ```
//!
//! Both keyspaces are written in one batch. Invariant: what has an expiry has a value. The companion is created with the first
//! expiry, so that a store which never used one looks like any other.
//!
//! Most keys have no expiry, and must not pay for those that have: [`Hint`] is a bitmap over the keys' hashes that says "certainly
//! none" without a look at the companion. Bits are set before an expiry is written, and cleared only when the companion was
//! seen to be empty while nobody could write.

use esker::{Db, Keyspace, KeyspaceOptions};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What the names of companions, and of what is noted beside a keyspace, end in. Keyspaces of such names are not served.
pub(crate) const RESERVED_SUFFIXES: &[&str] = &[".expiry", ".adopting"];

/// Bits of the hint: 128 KiB.
const HINT_BITS: usize = 1 << 20;

/// Which keys may have an expiry.
#[derive(Debug)]
pub(crate) struct Hint {
    /// How many bits are set, so that a keyspace without expiries is known by one look.
    set: AtomicU64,
    bits: OnceLock<Box<[AtomicU64]>>,
}

impl Hint {
    fn new() -> Hint {
        Hint { set: AtomicU64::new(0), bits: OnceLock::new() }
    }

    /// Whether no key at all has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.load(Ordering::Acquire) == 0
    }

    fn bits(&self) -> &[AtomicU64] {
        self.bits.get_or_init(|| (0..HINT_BITS / 64).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(hash: u64) -> (usize, u64) {
        // The highest bits choose the stripe of the lock; these are others.
        let bit = hash as usize % HINT_BITS;
        (bit / 64, 1 << (bit % 64))
    }

    /// Whether the key of this hash may have an expiry.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = Hint::place(hash);
        !self.is_empty() && self.bits().get(word).is_some_and(|w| w.load(Ordering::Acquire) & bit != 0)
    }

    /// Says that the key of this hash is about to have one.
    pub(crate) fn add(&self, hash: u64) {
        let (word, bit) = Hint::place(hash);
        let Some(word) = self.bits().get(word) else { return };
        if word.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.set.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets everything. Only when there is no expiry and nobody can write one.
    pub(crate) fn clear(&self) {
        for word in self.bits() {
            word.store(0, Ordering::Release);
        }
        self.set.store(0, Ordering::Release);
    }
}

/// The companion of a plain keyspace, and the hint.
#[derive(Debug)]
pub(crate) struct Expiries {
    name: String,
    db: Db,
    keyspace: OnceLock<Keyspace>,
    creating: Mutex<()>,
    pub(crate) hint: Hint,
}

impl Expiries {
    /// Opens the companion of `keyspace`, if there is one, and learns what is in it.
    pub(crate) fn open(db: &Db, keyspace: &str) -> esker::Result<Expiries> {
        let name = format!("{keyspace}{}", RESERVED_SUFFIXES[0]);
        let expiries = Expiries {
            db: db.clone(),
            keyspace: OnceLock::new(),
            creating: Mutex::new(()),
            hint: Hint::new(),
            name,
        };
        match db.keyspace(&expiries.name) {
            Err(esker::Error::NoSuchKeyspace { .. }) => {}
            other => {
                let companion = other?;
                let mut cursor = companion.cursor()?;
                let mut more = cursor.seek_first()?;
                while more {
                    expiries.hint.add(super::plain::hash(cursor.key()));
                    more = cursor.next()?;
                }
                let _ = expiries.keyspace.set(companion);
            }
        }
        Ok(expiries)
    }

    /// The companion, if there ever was an expiry.
    pub(crate) fn existing(&self) -> Option<&Keyspace> {
        self.keyspace.get()
    }

    /// The companion.
    pub(crate) fn keyspace(&self) -> esker::Result<&Keyspace> {
        if let Some(keyspace) = self.keyspace.get() {
            return Ok(keyspace);
        }
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if self.keyspace.get().is_none() {
            let created = self.db.create_keyspace(&self.name, KeyspaceOptions::new())?;
            return Ok(self.keyspace.get_or_init(|| created));
        }
        self.keyspace()
    }
}

/// When the keys of a plain keyspace expire, for those who read it without serving it.
#[derive(Debug)]
pub(crate) struct Companion(Option<Keyspace>);

impl Companion {
    /// The companion of this keyspace, if there is one.
    pub(crate) fn of(db: &Db, keyspace: &str) -> esker::Result<Companion> {
        match db.keyspace(&format!("{keyspace}{}", RESERVED_SUFFIXES[0])) {
            Err(esker::Error::NoSuchKeyspace { .. }) => Ok(Companion(None)),
            companion => Ok(Companion(Some(companion?))),
        }
    }

    /// Whether the value of this key is not to be seen any more.
    pub(crate) fn is_expired(&self, key: &[u8], now: u64) -> esker::Result<bool> {
        let Some(companion) = &self.0 else { return Ok(false) };
        Ok(companion.get(key)?.and_then(|bytes| decode(&bytes)).is_some_and(|at| at <= now))
    }

    /// Whether this is the name of what a server keeps beside a keyspace, of which `exists` knows.
    pub(crate) fn is_name(name: &str, exists: impl Fn(&str) -> bool) -> bool {
        RESERVED_SUFFIXES.iter().any(|suffix| name.strip_suffix(suffix).is_some_and(&exists))
    }
}

/// An expiry as it is stored.
pub(crate) fn encode(at: u64) -> [u8; 8] {
    at.to_le_bytes()
}

/// An expiry from what is stored. Bytes that are none are taken for "never": the value is then kept.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}
