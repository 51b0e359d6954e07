//! Requests of clients, and how they ended: what one node hands to another that is a replica of the key.

use super::body::{keyspace, put_keyspace};
use super::causal::{DOT_LEN, context, put_context};
use super::limits::{RECORDS_MAX, SIBLINGS_MAX};
use super::reader::{Read, Reader};
use super::refusal::{durability, put_durability};
use super::writer::Writer;
use crate::request::{Level, Operation, Rejection, Request, Response, Version};
use crate::store::Change;
use std::time::Duration;

const GET: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const SCAN: u8 = 3;

const ANY: u8 = 0;
const ONE: u8 = 1;
const TWO: u8 = 2;
const THREE: u8 = 3;
const QUORUM: u8 = 4;
const ALL: u8 = 5;
const LOCAL_ONE: u8 = 6;
const LOCAL_QUORUM: u8 = 7;
const EACH_QUORUM: u8 = 8;
/// The count follows.
const COUNT: u8 = 9;

const FOUND: u8 = 0;
const WRITTEN: u8 = 1;
const SCANNED: u8 = 2;
const REJECTED: u8 = 3;
const UNKNOWN: u8 = 4;

const UNAVAILABLE: u8 = 1;
const TIMEOUT: u8 = 2;
const OVERLOADED: u8 = 3;
const PAIR_TOO_LARGE: u8 = 4;
const TOO_MANY_SIBLINGS: u8 = 5;
const INVALID: u8 = 6;
const NOT_READY: u8 = 7;

/// The fewest bytes of a version: a dot, no end, an empty value.
const VERSION_LEAST: usize = DOT_LEN + 2;
/// The fewest bytes of a pair: an empty key, no versions.
const PAIR_LEAST: usize = 2;

pub(super) fn put_request(w: &mut Writer<'_>, request: &Request) {
    put_keyspace(w, request.keyspace);
    put_level(w, request.level);
    w.flag(request.sloppy);
    put_durability(w, request.durability);
    w.varint(request.timeout.as_secs());
    w.varint(u64::from(request.timeout.subsec_nanos()));
    match &request.operation {
        Operation::Get { key, context } => {
            w.u8(GET);
            w.bytes(key);
            w.option(context.as_ref(), put_context);
        }
        Operation::Write { key, change, context } => {
            match change {
                Change::Put { value, expires_at } => {
                    w.u8(PUT);
                    w.bytes(key);
                    w.bytes(value);
                    w.option(*expires_at, Writer::varint);
                }
                Change::Delete => {
                    w.u8(DELETE);
                    w.bytes(key);
                }
            }
            w.option(context.as_ref(), put_context);
        }
        Operation::Scan { from, limit, values } => {
            w.u8(SCAN);
            w.bytes(from);
            w.len(*limit);
            w.flag(*values);
        }
    }
}

pub(super) fn request(r: &mut Reader<'_>) -> Read<Request> {
    Ok(Request {
        keyspace: keyspace(r)?,
        level: level(r)?,
        sloppy: r.flag()?,
        durability: durability(r)?,
        timeout: timeout(r)?,
        operation: operation(r)?,
    })
}

fn timeout(r: &mut Reader<'_>) -> Read<Duration> {
    let (seconds, nanos) = (r.varint()?, r.number::<u32>()?);
    if nanos >= 1_000_000_000 {
        return r.wrong("the nanoseconds of a time make up a second");
    }
    Ok(Duration::new(seconds, nanos))
}

fn operation(r: &mut Reader<'_>) -> Read<Operation> {
    let kind = r.u8()?;
    Ok(match kind {
        GET => Operation::Get { key: r.key()?, context: r.option(context)? },
        PUT | DELETE => {
            let key = r.key()?;
            let change = if kind == PUT {
                Change::Put { value: r.value()?, expires_at: r.option(Reader::varint)? }
            } else {
                Change::Delete
            };
            Operation::Write { key, change, context: r.option(context)? }
        }
        SCAN => Operation::Scan { from: r.position()?, limit: r.number()?, values: r.flag()? },
        _ => return r.wrong("a request is of no known kind"),
    })
}

fn put_level(w: &mut Writer<'_>, level: Level) {
    w.u8(match level {
        Level::Any => ANY,
        Level::One => ONE,
        Level::Two => TWO,
        Level::Three => THREE,
        Level::Quorum => QUORUM,
        Level::All => ALL,
        Level::LocalOne => LOCAL_ONE,
        Level::LocalQuorum => LOCAL_QUORUM,
        Level::EachQuorum => EACH_QUORUM,
        Level::Count(_) => COUNT,
    });
    if let Level::Count(n) = level {
        w.u8(n);
    }
}

fn level(r: &mut Reader<'_>) -> Read<Level> {
    Ok(match r.u8()? {
        ANY => Level::Any,
        ONE => Level::One,
        TWO => Level::Two,
        THREE => Level::Three,
        QUORUM => Level::Quorum,
        ALL => Level::All,
        LOCAL_ONE => Level::LocalOne,
        LOCAL_QUORUM => Level::LocalQuorum,
        EACH_QUORUM => Level::EachQuorum,
        COUNT => Level::Count(r.u8()?),
        _ => return r.wrong("a level is not known"),
    })
}

pub(super) fn put_response(w: &mut Writer<'_>, response: &Response) {
    match response {
        Response::Found { versions, context, replied } => {
            w.u8(FOUND);
            w.list(versions, put_version);
            put_context(w, context);
            w.varint(u64::from(*replied));
        }
        Response::Written { context, acks, fallbacks } => {
            w.u8(WRITTEN);
            put_context(w, context);
            w.varint(u64::from(*acks));
            w.varint(u64::from(*fallbacks));
        }
        Response::Scanned { pairs, next } => {
            w.u8(SCANNED);
            w.list(pairs, |w, (key, versions)| {
                w.bytes(key);
                w.list(versions, put_version);
            });
            w.option(next.as_deref(), Writer::bytes);
        }
        Response::Rejected(rejection) => {
            w.u8(REJECTED);
            put_rejection(w, rejection);
        }
        Response::Unknown { acks, why } => {
            w.u8(UNKNOWN);
            w.varint(u64::from(*acks));
            w.sentence(why);
        }
    }
}

pub(super) fn response(r: &mut Reader<'_>) -> Read<Response> {
    Ok(match r.u8()? {
        FOUND => Response::Found { versions: versions(r)?, context: context(r)?, replied: r.number()? },
        WRITTEN => Response::Written { context: context(r)?, acks: r.number()?, fallbacks: r.number()? },
        SCANNED => Response::Scanned {
            pairs: r.list(RECORDS_MAX, PAIR_LEAST, |r| Ok((r.key()?, versions(r)?)))?,
            next: r.option(Reader::position)?,
        },
        REJECTED => Response::Rejected(rejection(r)?),
        UNKNOWN => Response::Unknown { acks: r.number()?, why: r.string()? },
        _ => return r.wrong("a response is of no known kind"),
    })
}

fn put_version(w: &mut Writer<'_>, version: &Version) {
    w.dot(version.dot);
    w.option(version.expires_at, Writer::varint);
    w.bytes(&version.value);
}

fn versions(r: &mut Reader<'_>) -> Read<Vec<Version>> {
    r.list(SIBLINGS_MAX, VERSION_LEAST, |r| {
        Ok(Version { dot: r.dot()?, expires_at: r.option(Reader::varint)?, value: r.value()? })
    })
}

fn put_rejection(w: &mut Writer<'_>, rejection: &Rejection) {
    match rejection {
        Rejection::Unavailable { have, need, why } => {
            w.u8(UNAVAILABLE);
            w.varint(u64::from(*have));
            w.varint(u64::from(*need));
            w.sentence(why);
        }
        Rejection::Timeout { have, need } => {
            w.u8(TIMEOUT);
            w.varint(u64::from(*have));
            w.varint(u64::from(*need));
        }
        Rejection::Overloaded => w.u8(OVERLOADED),
        Rejection::PairTooLarge { bytes, limit } => {
            w.u8(PAIR_TOO_LARGE);
            w.len(*bytes);
            w.len(*limit);
        }
        Rejection::TooManySiblings { siblings } => {
            w.u8(TOO_MANY_SIBLINGS);
            w.varint(u64::from(*siblings));
        }
        Rejection::Invalid(what) => {
            w.u8(INVALID);
            w.sentence(what);
        }
        Rejection::NotReady(what) => {
            w.u8(NOT_READY);
            w.sentence(what);
        }
    }
}

fn rejection(r: &mut Reader<'_>) -> Read<Rejection> {
    Ok(match r.u8()? {
        UNAVAILABLE => Rejection::Unavailable { have: r.number()?, need: r.number()?, why: r.string()? },
        TIMEOUT => Rejection::Timeout { have: r.number()?, need: r.number()? },
        OVERLOADED => Rejection::Overloaded,
        PAIR_TOO_LARGE => Rejection::PairTooLarge { bytes: r.number()?, limit: r.number()? },
        TOO_MANY_SIBLINGS => Rejection::TooManySiblings { siblings: r.number()? },
        INVALID => Rejection::Invalid(r.string()?),
        NOT_READY => Rejection::NotReady(r.string()?),
        _ => return r.wrong("a rejection is of no known kind"),
    })
}
