//! [`Health`]: whether the store accepts writes, and if not, why.

use crate::error::{Error, Result};
use crate::sync::{AtomicU8, Mutex, Ordering, lock};

const WRITABLE: u8 = 0;
const READ_ONLY: u8 = 1;
const CLOSED: u8 = 2;

/// Writable, read-only for a reason, or closed. It only ever gets worse.
#[derive(Debug)]
pub(crate) struct Health {
    state: AtomicU8,
    reason: Mutex<String>,
}

impl Health {
    pub(crate) fn writable() -> Health {
        Health { state: AtomicU8::new(WRITABLE), reason: Mutex::new(String::new()) }
    }

    pub(crate) fn read_only(reason: &str) -> Health {
        Health { state: AtomicU8::new(READ_ONLY), reason: Mutex::new(reason.to_owned()) }
    }

    /// # Errors
    /// `ReadOnly` or `Closed`.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) == WRITABLE { Ok(()) } else { Err(self.error()) }
    }

    /// # Errors
    /// `Closed`.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.state.load(Ordering::Acquire) == CLOSED { Err(Error::Closed) } else { Ok(()) }
    }

    #[cold]
    fn error(&self) -> Error {
        match self.state.load(Ordering::Acquire) {
            CLOSED => Error::Closed,
            _ => Error::ReadOnly { reason: lock(&self.reason).clone() },
        }
    }

    /// Makes the store read-only after a failure. The first reason stays. Returns whether this was it.
    pub(crate) fn fail(&self, error: &Error) -> bool {
        let mut reason = lock(&self.reason);
        let first =
            self.state.compare_exchange(WRITABLE, READ_ONLY, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            *reason = format!("{error}; what was acknowledged is safe: open the store again to recover it");
        }
        first
    }

    /// Closes the store. Returns whether it was writable until now.
    pub(crate) fn close(&self) -> bool {
        self.state.swap(CLOSED, Ordering::AcqRel) == WRITABLE
    }

    /// Why the store is read-only, if it is.
    pub(crate) fn reason(&self) -> Option<String> {
        (self.state.load(Ordering::Acquire) == READ_ONLY).then(|| lock(&self.reason).clone())
    }
}
