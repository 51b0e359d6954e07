//! [`Held`]: what a key holds in the model, and what a store's hooks may have made of it.

use crate::hooks::{self, Carried};
use crate::op::Value;
use esker::FilterDecision;
use esker_table::codec::checksum::crc32c;
use std::fmt;
use std::rc::Rc;

/// What a store may do with entries in its own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liberties {
    /// The filter [`hooks::Verdict`] is at work.
    pub filter: bool,
    /// The fold [`hooks::Carry`] is at work.
    pub fold: bool,
    /// Any entry may have been dropped.
    pub drops: bool,
    /// Entries of this age in seconds may have been dropped.
    pub ttl: Option<u64>,
}

impl Liberties {
    /// Those of both.
    pub fn or(self, other: Liberties) -> Liberties {
        Liberties {
            filter: self.filter || other.filter,
            fold: self.fold || other.fold,
            drops: self.drops || other.drops,
            ttl: self.ttl.into_iter().chain(other.ttl).min(),
        }
    }

    /// Those that a store has with what a snapshot sees: no filter touches it.
    pub fn at_snapshot(self) -> Liberties {
        Liberties { filter: false, ..self }
    }

    /// Whether every answer is the model's to the byte.
    pub fn none(self) -> bool {
        self == Liberties::default()
    }
}

/// A value that was put, and those that were put before it since the key was last deleted.
struct Put {
    digest: u32,
    older: Option<Rc<Put>>,
}

/// How the value reads now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Written,
    /// The filter has replaced it.
    Kept,
    /// It carries so many older ones; and whether it carries that there was a delete below.
    Folded(usize, bool),
}

/// What a key holds.
#[derive(Clone)]
pub struct Held {
    /// The value as it was written last.
    pub value: Value,
    /// When it was written, by the model's clock.
    written: u64,
    form: Form,
    /// Only in keyspaces with a fold.
    older: Option<Rc<Put>>,
}

impl Held {
    /// A value that is written now.
    pub fn new(value: Value, now: u64) -> Held {
        Held { value, written: now, form: Form::Written, older: None }
    }

    /// The same upon another, in a keyspace with a fold.
    pub fn upon(self, before: &Held) -> Held {
        let put = Put { digest: crc32c(&before.value.bytes()), older: before.older.clone() };
        Held { older: Some(Rc::new(put)), ..self }
    }

    /// The digests of what was put before, from the newest, since the key was last deleted.
    pub fn older(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.older.as_deref(), |put| put.older.as_deref()).map(|put| put.digest)
    }

    /// The bytes that a reader gets.
    pub fn bytes(&self) -> Vec<u8> {
        let written = self.value.bytes();
        match self.form {
            Form::Written => written,
            Form::Kept => hooks::kept(&written),
            Form::Folded(count, deleted) => {
                Carried { written: &written, older: self.older().take(count).collect(), deleted }.encode()
            }
        }
    }

    /// Whether it reads as it was written.
    pub fn is_untouched(&self) -> bool {
        self.form == Form::Written
    }

    /// Whether the entry may be gone by now.
    pub fn may_go(&self, key: &[u8], liberties: Liberties, now: u64) -> bool {
        let expired = liberties.ttl.is_some_and(|ttl| self.written + ttl <= now);
        liberties.drops
            || expired
            || (liberties.filter && matches!(self.verdict(key), FilterDecision::Remove))
    }

    /// Whether everything that hooks have to do with the entry is done.
    pub fn is_settled(&self, key: &[u8], liberties: Liberties) -> bool {
        let filtered = !liberties.filter || matches!(self.verdict(key), FilterDecision::Keep);
        let count = self.older().count();
        let folded = match self.form {
            Form::Folded(folded, _) => folded == count,
            _ => count == 0,
        };
        filtered && (!liberties.fold || folded)
    }

    fn verdict(&self, key: &[u8]) -> FilterDecision {
        match self.form {
            Form::Written => hooks::verdict(key, &self.value.bytes()),
            _ => FilterDecision::Keep,
        }
    }

    /// What this has become if it reads as these bytes; `None` if it cannot have become that. What was done to an entry is
    /// not taken back.
    pub fn reads_as(&self, key: &[u8], bytes: &[u8], liberties: Liberties) -> Option<Held> {
        let written = self.value.bytes();
        if self.form == Form::Written && written == bytes {
            return Some(self.clone());
        }
        if self.form == Form::Kept && hooks::kept(&written) == bytes {
            return Some(self.clone());
        }
        if liberties.filter
            && let FilterDecision::Replace(kept) = self.verdict(key)
            && kept == bytes
        {
            return Some(Held { form: Form::Kept, ..self.clone() });
        }
        let carried = Carried::decode(bytes);
        let (least, was_deleted) = match self.form {
            Form::Folded(count, deleted) => (count, deleted),
            _ => (0, false),
        };
        let count = carried.older.len();
        let right = liberties.fold
            && carried.encode() == bytes
            && carried.written == written
            && count >= least
            && (carried.deleted || !was_deleted)
            && self.older().take(count).eq(carried.older.iter().copied())
            // A delete lies below everything that counts.
            && (!carried.deleted || count == self.older().count());
        right.then(|| Held { form: Form::Folded(count, carried.deleted), ..self.clone() })
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.value)?;
        match self.form {
            Form::Written => {}
            form => write!(f, " {form:?}")?,
        }
        match self.older().count() {
            0 => Ok(()),
            count => write!(f, " upon {count}"),
        }
    }
}
