//! The state of the cluster, how a node joins, and what a node says of itself.
//!
//! A state is kept by the store too, with a version before it and a checksum behind it:
//!
//! ```text
//!   ┌─────────┬───────────────────────────┬──────────┐
//!   │ version │ state, as within messages │ crc32c 4 │
//!   │    1    │                           │          │
//!   └─────────┴───────────────────────────┴──────────┘
//! ```

use super::body::{keyspace, put_keyspace};
use super::frame::{append_checksum, checked};
use super::limits::{KEYSPACES_MAX, MEMBERS_MAX};
use super::malformed::MalformedMessage;
use super::reader::{Read, Reader};
use super::writer::Writer;
use crate::causality::ConflictMode;
use crate::membership::{MemberInfo, Status, TEXT_MAX as INFO_TEXT_MAX};
use crate::message::JoinAnswer;
use crate::ring::Ring;
use crate::state::{ClusterState, MemberRecord};
use crate::store::KeyspaceDefinition;

/// The version of the bytes of a kept state.
const STATE_VERSION: u8 = 1;

/// The fewest bytes of a member: its id, three empty texts, a weight.
const MEMBER_LEAST: usize = 8 + 4;
/// The fewest bytes of a keyspace: number, empty name, mode, replicas.
const KEYSPACE_LEAST: usize = 4;

const CAUSAL: u8 = 0;
const LAST_WRITE_WINS: u8 = 1;

/// Appends the bytes of a state, as a store keeps them.
pub fn encode_state(state: &ClusterState, out: &mut Vec<u8>) {
    let start = out.len();
    let mut w = Writer::new(out);
    w.u8(STATE_VERSION);
    put_state(&mut w, state);
    append_checksum(out, start);
}

/// Reads the bytes of a state.
///
/// # Errors
/// If they are not what [`encode_state`] makes.
pub fn decode_state(bytes: &[u8]) -> Result<ClusterState, MalformedMessage> {
    let mut r = checked(bytes)?;
    if r.u8()? != STATE_VERSION {
        return r.wrong("the state of the cluster is written in a version that this node does not read");
    }
    let state = state(&mut r)?;
    r.end()?;
    Ok(state)
}

pub(super) fn put_state(w: &mut Writer<'_>, state: &ClusterState) {
    w.u128(state.cluster);
    w.node(state.founder);
    w.varint(state.epoch);
    w.u8(state.replicas);
    w.varint(u64::from(state.partitions));
    w.list(&state.members, |w, member| {
        w.node(member.id);
        w.text(&member.peer_address);
        w.varint(u64::from(member.weight));
        w.text(&member.zone);
        w.text(&member.dc);
    });
    w.list(&state.keyspaces, |w, definition| {
        put_keyspace(w, definition.id);
        w.text(&definition.name);
        w.u8(match definition.mode {
            ConflictMode::Causal => CAUSAL,
            ConflictMode::LastWriteWins => LAST_WRITE_WINS,
        });
        w.u8(definition.replicas);
    });
    w.option(state.ring.as_ref(), |w, ring| w.blob(|out| ring.encode(out)));
}

pub(super) fn state(r: &mut Reader<'_>) -> Read<ClusterState> {
    let state = ClusterState {
        cluster: r.u128()?,
        founder: r.node()?,
        epoch: r.varint()?,
        replicas: r.u8()?,
        partitions: r.number()?,
        members: r.list(MEMBERS_MAX, MEMBER_LEAST, member)?,
        keyspaces: r.list(KEYSPACES_MAX, KEYSPACE_LEAST, definition)?,
        ring: r.option(ring)?,
    };
    if !state.members.is_sorted_by(|a, b| a.id < b.id) {
        return r.wrong("the members of a cluster are not in order");
    }
    if !state.keyspaces.is_sorted_by(|a, b| a.id < b.id) {
        return r.wrong("the keyspaces of a cluster are not in order");
    }
    Ok(state)
}

fn member(r: &mut Reader<'_>) -> Read<MemberRecord> {
    Ok(MemberRecord {
        id: r.node()?,
        peer_address: r.string()?,
        weight: r.number()?,
        zone: r.string()?,
        dc: r.string()?,
    })
}

fn definition(r: &mut Reader<'_>) -> Read<KeyspaceDefinition> {
    let (id, name) = (keyspace(r)?, r.string()?);
    let mode = match r.u8()? {
        CAUSAL => ConflictMode::Causal,
        LAST_WRITE_WINS => ConflictMode::LastWriteWins,
        _ => return r.wrong("the conflict mode of a keyspace is not known"),
    };
    Ok(KeyspaceDefinition { id, name, mode, replicas: r.u8()? })
}

fn ring(r: &mut Reader<'_>) -> Read<Ring> {
    match Ring::decode(r.blob()?) {
        Ok(ring) => Ok(ring),
        Err(_) => r.wrong("the ring of a cluster cannot be read"),
    }
}

pub(super) fn put_join_answer(w: &mut Writer<'_>, answer: &JoinAnswer) {
    w.node(answer.you);
    w.varint(answer.generation);
    put_state(w, &answer.state);
}

pub(super) fn join_answer(r: &mut Reader<'_>) -> Read<JoinAnswer> {
    Ok(JoinAnswer { you: r.node()?, generation: r.varint()?, state: state(r)? })
}

pub(super) fn put_member_info(w: &mut Writer<'_>, info: &MemberInfo) {
    let status = &info.status;
    w.node(info.id);
    w.varint(info.generation);
    w.u64(info.incarnation);
    for text in [&info.peer, &info.resp, &info.http, &info.zone, &info.dc] {
        w.text(text);
    }
    w.varint(u64::from(info.weight));
    w.flag(status.ready);
    w.flag(status.writable);
    w.flag(status.sealed);
    w.varint(status.ring_epoch);
    w.u64(status.ring_digest);
    w.varint(status.hints_waiting);
    w.varint(info.wall_ms);
}

/// What a node says of itself. Its texts are as short as gossip has them, which would cut longer ones.
pub(super) fn member_info(r: &mut Reader<'_>) -> Read<MemberInfo> {
    let text = |r: &mut Reader<'_>| r.text(INFO_TEXT_MAX).map(str::to_owned);
    Ok(MemberInfo {
        id: r.node()?,
        generation: r.varint()?,
        incarnation: r.u64()?,
        peer: text(r)?,
        resp: text(r)?,
        http: text(r)?,
        zone: text(r)?,
        dc: text(r)?,
        weight: r.number()?,
        status: Status {
            ready: r.flag()?,
            writable: r.flag()?,
            sealed: r.flag()?,
            ring_epoch: r.varint()?,
            ring_digest: r.u64()?,
            hints_waiting: r.varint()?,
        },
        wall_ms: r.varint()?,
    })
}
