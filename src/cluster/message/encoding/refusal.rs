//! Whether a replica did what it was asked, and how durable that had to be.
//!
//! ```text
//!   outcome  ┌───┬────────┐      ┌──────┬─────────────┐      ┌─────────┐
//!            │ 0 │ answer │  or  │   4  │   failure   │  or  │ refusal │
//!            └───┴────────┘      └──────┴─────────────┘      └─────────┘
//!                                refusal of the store         1, 2 or 3
//!   failure  ┌──────┬──────────────────────────┐
//!            │ kind │ number, or text with why │
//!            └──────┴──────────────────────────┘
//! ```

use super::body::{keyspace, put_keyspace};
use super::reader::{Read, Reader};
use super::writer::Writer;
use crate::message::Refusal;
use crate::store::StoreFailure;
use esker::Durability;

const DONE: u8 = 0;
const NOT_READY: u8 = 1;
const NOT_REPLICA: u8 = 2;
const OVERLOADED: u8 = 3;
const STORE: u8 = 4;

const UNREADABLE: u8 = 1;
const READ_ONLY: u8 = 2;
const TOO_MANY_SIBLINGS: u8 = 3;
const CLOCK_TOO_FAR_AHEAD: u8 = 4;
const NO_SUCH_KEYSPACE: u8 = 5;
const TOO_LONG: u8 = 6;
const ENGINE: u8 = 7;
const BEHIND_CONTEXT: u8 = 8;
const BUSY: u8 = 9;

pub(super) fn put_outcome<T>(
    w: &mut Writer<'_>,
    result: &Result<T, Refusal>,
    put: impl FnOnce(&mut Writer<'_>, &T),
) {
    match result {
        Ok(answer) => {
            w.u8(DONE);
            put(w, answer);
        }
        Err(Refusal::NotReady) => w.u8(NOT_READY),
        Err(Refusal::NotReplica) => w.u8(NOT_REPLICA),
        Err(Refusal::Overloaded) => w.u8(OVERLOADED),
        Err(Refusal::Store(failure)) => {
            w.u8(STORE);
            put_failure(w, failure);
        }
    }
}

pub(super) fn outcome<T>(
    r: &mut Reader<'_>,
    answer: impl FnOnce(&mut Reader<'_>) -> Read<T>,
) -> Read<Result<T, Refusal>> {
    Ok(Err(match r.u8()? {
        DONE => return answer(r).map(Ok),
        NOT_READY => Refusal::NotReady,
        NOT_REPLICA => Refusal::NotReplica,
        OVERLOADED => Refusal::Overloaded,
        STORE => Refusal::Store(failure(r)?),
        _ => return r.wrong("a refusal is of no known kind"),
    }))
}

fn put_failure(w: &mut Writer<'_>, failure: &StoreFailure) {
    let (kind, why) = match failure {
        StoreFailure::Unreadable(what) => (UNREADABLE, what),
        StoreFailure::ReadOnly(why) => (READ_ONLY, why),
        StoreFailure::TooLong(what) => (TOO_LONG, what),
        StoreFailure::Engine(what) => (ENGINE, what),
        StoreFailure::Busy(what) => (BUSY, what),
        StoreFailure::TooManySiblings { siblings } => {
            w.u8(TOO_MANY_SIBLINGS);
            return w.len(*siblings);
        }
        StoreFailure::ClockTooFarAhead { lead_millis } => {
            w.u8(CLOCK_TOO_FAR_AHEAD);
            return w.varint(*lead_millis);
        }
        StoreFailure::BehindContext { missing } => {
            w.u8(BEHIND_CONTEXT);
            return w.dot(*missing);
        }
        StoreFailure::NoSuchKeyspace(id) => {
            w.u8(NO_SUCH_KEYSPACE);
            return put_keyspace(w, *id);
        }
    };
    w.u8(kind);
    w.sentence(why);
}

fn failure(r: &mut Reader<'_>) -> Read<StoreFailure> {
    Ok(match r.u8()? {
        UNREADABLE => StoreFailure::Unreadable(r.string()?),
        READ_ONLY => StoreFailure::ReadOnly(r.string()?),
        TOO_MANY_SIBLINGS => StoreFailure::TooManySiblings { siblings: r.number()? },
        CLOCK_TOO_FAR_AHEAD => StoreFailure::ClockTooFarAhead { lead_millis: r.varint()? },
        NO_SUCH_KEYSPACE => StoreFailure::NoSuchKeyspace(keyspace(r)?),
        TOO_LONG => StoreFailure::TooLong(r.string()?),
        ENGINE => StoreFailure::Engine(r.string()?),
        BUSY => StoreFailure::Busy(r.string()?),
        BEHIND_CONTEXT => StoreFailure::BehindContext { missing: r.dot()? },
        _ => return r.wrong("a store's failure is of no known kind"),
    })
}

pub(super) fn put_durability(w: &mut Writer<'_>, durability: Durability) {
    // A durability that this version has no number for is at least as durable as the strictest that it has.
    w.flag(!matches!(durability, Durability::Buffered));
}

pub(super) fn durability(r: &mut Reader<'_>) -> Read<Durability> {
    Ok(if r.flag()? { Durability::Synced } else { Durability::Buffered })
}
