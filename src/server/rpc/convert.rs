//! Between messages of the protocol and those of the node.
//!
//! Keys and values stay parts of what was received; those of an answer stay parts of what the store gave.

use super::client::ClientDefaults;
use super::proto;
use crate::node::wall_millis;
use bytes::Bytes;
use esker::{Durability, Slice};
use esker_cluster::causality::{Context, ContextKey};
use esker_cluster::membership::Liveness;
use esker_cluster::request::{Level, Operation, Rejection, Request, Response, Version};
use esker_cluster::store::KeyspaceId;
use esker_cluster::{MemberStatus, NodeStatus};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn slice(bytes: Bytes) -> Slice {
    Slice::from_owner(Arc::new(bytes))
}

fn bytes(slice: Slice) -> Bytes {
    Bytes::from_owner(slice)
}

pub(super) fn context(bytes: Option<Bytes>, key: ContextKey) -> Result<Option<Context>, Rejection> {
    let read = bytes.map(|bytes| Context::from_bytes(&bytes, key)).transpose();
    read.map_err(|malformed| Rejection::Invalid(malformed.to_string()))
}

/// When something ends that is to be visible for so long.
pub(super) fn expiry(ttl_ms: Option<u64>) -> Result<Option<u64>, Rejection> {
    match ttl_ms {
        Some(0) => {
            Err(Rejection::Invalid("a time to live of 0 ms makes no sense: delete the key".to_owned()))
        }
        ttl => Ok(ttl.map(|ttl| wall_millis().saturating_add(ttl))),
    }
}

pub(super) fn request(
    keyspace: KeyspaceId,
    options: proto::Options,
    operation: Operation,
    defaults: &ClientDefaults,
) -> Result<Request, Rejection> {
    let durability = match options.durability() {
        proto::Durability::Unspecified => defaults.durability,
        proto::Durability::Buffered => Durability::Buffered,
        proto::Durability::Synced => Durability::Synced,
    };
    let timeout = match options.timeout_ms {
        0 => defaults.timeout,
        ms => Duration::from_millis(ms.into()),
    };
    let (level, sloppy) = (level(&options)?, options.sloppy);
    Ok(Request { keyspace, operation, level, sloppy, durability, timeout })
}

fn level(options: &proto::Options) -> Result<Level, Rejection> {
    let known = proto::Level::try_from(options.level)
        .map_err(|_| Rejection::Invalid(format!("this node does not know level {}", options.level)))?;
    let level = match known {
        proto::Level::Unspecified | proto::Level::Quorum => Level::Quorum,
        proto::Level::Any => Level::Any,
        proto::Level::One => Level::One,
        proto::Level::Two => Level::Two,
        proto::Level::Three => Level::Three,
        proto::Level::All => Level::All,
        proto::Level::LocalOne => Level::LocalOne,
        proto::Level::LocalQuorum => Level::LocalQuorum,
        proto::Level::EachQuorum => Level::EachQuorum,
        proto::Level::Count => match u8::try_from(options.replicas) {
            Ok(replicas) if replicas > 0 => Level::Count(replicas),
            _ => {
                let what = format!("{} is no number of replicas: give 1 to 255", options.replicas);
                return Err(Rejection::Invalid(what));
            }
        },
    };
    if options.replicas != 0 && !matches!(level, Level::Count(_)) {
        let what = "a number of replicas is given with a level that has its own: give LEVEL_COUNT";
        return Err(Rejection::Invalid(what.to_owned()));
    }
    Ok(level)
}

fn version(version: Version) -> proto::Version {
    proto::Version {
        value: bytes(version.value),
        actor: version.dot.actor.0,
        counter: version.dot.counter,
        expires_at_ms: version.expires_at,
    }
}

pub(super) fn get_answer(response: Response, key: ContextKey) -> proto::GetAnswer {
    use proto::get_answer::Outcome;
    let outcome = match response {
        Response::Found { versions, context, replied } => Outcome::Found(proto::Found {
            versions: versions.into_iter().map(version).collect(),
            context: context.to_bytes(key).into(),
            replied,
        }),
        other => Outcome::Rejected(rejected(refusal(other))),
    };
    proto::GetAnswer { outcome: Some(outcome) }
}

pub(super) fn write_answer(response: Response, key: ContextKey) -> proto::WriteAnswer {
    use proto::write_answer::Outcome;
    let outcome = match response {
        Response::Written { context, acks, fallbacks } => {
            let context = context.to_bytes(key).into();
            Outcome::Acknowledged(proto::Acknowledged { context, acks, fallbacks })
        }
        Response::Rejected(rejection) => Outcome::Rejected(rejected(rejection)),
        Response::Unknown { acks, why } => Outcome::Unknown(proto::Unknown { acks, why }),
        // Never said of a write; if it were, nothing would be known of the write.
        Response::Found { .. } | Response::Scanned { .. } => {
            Outcome::Unknown(proto::Unknown { acks: 0, why: "the node answered something else".to_owned() })
        }
    };
    proto::WriteAnswer { outcome: Some(outcome) }
}

pub(super) fn scan_piece(pairs: Vec<(Slice, Vec<Version>)>, next: Bytes) -> proto::ScanAnswer {
    let pair = |(key, versions): (Slice, Vec<Version>)| proto::Pair {
        key: bytes(key),
        versions: versions.into_iter().map(version).collect(),
    };
    let piece = proto::Piece { pairs: pairs.into_iter().map(pair).collect(), next };
    proto::ScanAnswer { outcome: Some(proto::scan_answer::Outcome::Piece(piece)) }
}

pub(super) fn scan_rejected(rejection: Rejection) -> proto::ScanAnswer {
    proto::ScanAnswer { outcome: Some(proto::scan_answer::Outcome::Rejected(rejected(rejection))) }
}

/// Why a read did not find anything to say.
pub(super) fn refusal(response: Response) -> Rejection {
    match response {
        Response::Rejected(rejection) => rejection,
        Response::Unknown { why, .. } => Rejection::NotReady(why),
        _ => Rejection::NotReady("the node answered something else".to_owned()),
    }
}

fn rejected(rejection: Rejection) -> proto::Rejected {
    use proto::rejected::Reason;
    let why = rejection.to_string();
    let (reason, have, need) = match rejection {
        Rejection::Unavailable { have, need, .. } => (Reason::Unavailable, have, need),
        Rejection::Timeout { have, need } => (Reason::Timeout, have, need),
        Rejection::Overloaded => (Reason::Overloaded, 0, 0),
        Rejection::PairTooLarge { .. } => (Reason::PairTooLarge, 0, 0),
        Rejection::TooManySiblings { .. } => (Reason::TooManySiblings, 0, 0),
        Rejection::Invalid(_) => (Reason::Invalid, 0, 0),
        Rejection::NotReady(_) => (Reason::NotReady, 0, 0),
        _ => (Reason::Unspecified, 0, 0),
    };
    proto::Rejected { reason: reason.into(), why, have, need }
}

pub(super) fn status(status: NodeStatus) -> proto::StatusAnswer {
    proto::StatusAnswer {
        id: status.id.0,
        cluster: format!("{:032x}", status.cluster),
        epoch: status.epoch,
        sealed: status.sealed,
        open: status.open,
        replicas: status.replicas.into(),
        ready: status.ready,
        read_only: status.read_only,
        members: status.members.into_iter().map(member).collect(),
    }
}

fn member(member: MemberStatus) -> proto::Member {
    proto::Member {
        id: member.id.0,
        peer_address: member.peer_address,
        resp_address: member.resp_address,
        http_address: member.http_address,
        zone: member.zone,
        dc: member.dc,
        weight: member.weight,
        alive: member.liveness == Liveness::Alive,
        ready: member.ready,
        writable: member.writable,
        share_per_mille: member.share_per_mille,
        hints_for_it: member.hints_for_it,
        hints_kept: member.hints_kept,
    }
}
