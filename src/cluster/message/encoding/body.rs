//! Messages by their kinds: what stands in a frame between the address and the checksum. `WIRE.md` draws each.
//!
//! A kind's number is given once. A message that changes gets a new number, or the protocol a new version.

use super::causal::{DOT_LEN, SET_LEAST, put_set, set};
use super::cluster::{join_answer, member_info, put_join_answer, put_member_info, put_state, state};
use super::limits::RECORDS_MAX;
use super::reader::{Read, Reader};
use super::refusal::{durability, outcome, put_durability, put_outcome};
use super::request::{put_request, put_response, request, response};
use super::writer::Writer;
use crate::causality::SiblingSet;
use crate::membership::encoding as gossip;
use crate::message::{Message, QuestionId};
use crate::request::{Operation, Response};
use crate::store::{Change, KeyspaceId, Page, Record};

const GOSSIP: u8 = 1;
const JOIN: u8 = 2;
const JOINED: u8 = 3;
const SEAL_WANTED: u8 = 4;
const STATE: u8 = 5;
const STATE_KEPT: u8 = 6;
const STATE_WANTED: u8 = 7;
const SEAL_PROBE: u8 = 8;
const NOT_SEALED: u8 = 9;
const READ: u8 = 16;
const READ_ANSWER: u8 = 17;
const WRITE: u8 = 18;
const WRITE_ANSWER: u8 = 19;
const FORWARD: u8 = 20;
const FORWARD_ANSWER: u8 = 21;
const PAGE: u8 = 22;
const PAGE_ANSWER: u8 = 23;

/// The fewest bytes of a record: an empty key, an empty set.
const RECORD_LEAST: usize = 1 + SET_LEAST;

/// The most bytes of a sibling without those of its value: dot, what, end, hash, length.
const SIBLING_MOST: usize = DOT_LEN + 1 + 10 + 8 + 4;
/// The most bytes of a version without those of its value: dot, end, length.
const VERSION_MOST: usize = DOT_LEN + 11 + 4;

/// The number of a message's kind.
pub(super) fn kind(message: &Message) -> u8 {
    match message {
        Message::Gossip(_) => GOSSIP,
        Message::Join(_) => JOIN,
        Message::Joined(_) => JOINED,
        Message::SealWanted => SEAL_WANTED,
        Message::State(_) => STATE,
        Message::StateKept { .. } => STATE_KEPT,
        Message::StateWanted => STATE_WANTED,
        Message::SealProbe { .. } => SEAL_PROBE,
        Message::NotSealed { .. } => NOT_SEALED,
        Message::Read { .. } => READ,
        Message::ReadAnswer { .. } => READ_ANSWER,
        Message::Write { .. } => WRITE,
        Message::WriteAnswer { .. } => WRITE_ANSWER,
        Message::Forward { .. } => FORWARD,
        Message::ForwardAnswer { .. } => FORWARD_ANSWER,
        Message::Page { .. } => PAGE,
        Message::PageAnswer { .. } => PAGE_ANSWER,
    }
}

/// About how many bytes the keys and values of a message take.
pub(super) fn size_hint(message: &Message) -> usize {
    match message {
        Message::Write { key, set, .. } => key.len() + set_size(set),
        Message::ReadAnswer { result: Ok(set), .. } => set_size(set),
        Message::PageAnswer { result: Ok(page), .. } => {
            page.records.iter().map(|record| record.key.len() + set_size(&record.set)).sum()
        }
        Message::Forward { request, .. } => match &request.operation {
            Operation::Write { key, change: Change::Put { value, .. }, .. } => key.len() + value.len(),
            _ => 0,
        },
        Message::ForwardAnswer { response: Response::Found { versions, .. }, .. } => {
            versions.iter().map(|version| VERSION_MOST + version.value.len()).sum()
        }
        _ => 0,
    }
}

fn set_size(set: &SiblingSet) -> usize {
    let siblings =
        set.siblings().iter().map(|sibling| SIBLING_MOST + sibling.bytes().map_or(0, |bytes| bytes.len()));
    DOT_LEN * set.clock().len() + siblings.sum::<usize>()
}

pub(super) fn put_message(w: &mut Writer<'_>, message: &Message) {
    match message {
        Message::Gossip(told) => w.blob(|out| gossip::encode(told, out)),
        Message::Join(info) => put_member_info(w, info),
        Message::Joined(answer) => match answer {
            Ok(answer) => {
                w.flag(true);
                put_join_answer(w, answer);
            }
            Err(why) => {
                w.flag(false);
                w.sentence(why);
            }
        },
        Message::SealWanted | Message::StateWanted => {}
        Message::State(state) => put_state(w, state),
        Message::StateKept { epoch } => w.varint(*epoch),
        Message::SealProbe { probe } | Message::NotSealed { probe } => w.varint(*probe),
        Message::Read { question, keyspace, key, bodies } => {
            put_question(w, *question);
            put_keyspace(w, *keyspace);
            w.bytes(key);
            w.flag(*bodies);
        }
        Message::ReadAnswer { question, result } => {
            put_question(w, *question);
            put_outcome(w, result, put_set);
        }
        Message::Write { question, keyspace, key, set, durability, stands_in_for, heals } => {
            put_question(w, *question);
            put_keyspace(w, *keyspace);
            w.bytes(key);
            put_durability(w, *durability);
            w.option(*stands_in_for, Writer::node);
            w.flag(*heals);
            put_set(w, set);
        }
        Message::WriteAnswer { question, result } => {
            put_question(w, *question);
            put_outcome(w, result, |_, ()| {});
        }
        Message::Forward { question, life, request } => {
            put_question(w, *question);
            w.varint(*life);
            put_request(w, request);
        }
        Message::ForwardAnswer { question, response } => {
            put_question(w, *question);
            put_response(w, response);
        }
        Message::Page { question, keyspace, from, records, bodies, replica } => {
            put_question(w, *question);
            put_keyspace(w, *keyspace);
            w.bytes(from);
            w.varint(u64::from(*records));
            w.flag(*bodies);
            w.option(*replica, Writer::node);
        }
        Message::PageAnswer { question, ready, result } => {
            put_question(w, *question);
            w.flag(*ready);
            put_outcome(w, result, |w, page| {
                w.list(&page.records, |w, record| {
                    w.bytes(&record.key);
                    put_set(w, &record.set);
                });
                w.list(&page.unreadable, |w, key| w.bytes(key));
                w.flag(page.gap);
                w.option(page.next.as_deref(), Writer::bytes);
            });
        }
    }
}

pub(super) fn message(r: &mut Reader<'_>, kind: u8) -> Read<Message> {
    Ok(match kind {
        GOSSIP => match gossip::decode(r.blob()?) {
            Ok(told) => Message::Gossip(told),
            Err(_) => return r.wrong("its gossip is malformed"),
        },
        JOIN => Message::Join(member_info(r)?),
        JOINED => Message::Joined(if r.flag()? { Ok(join_answer(r)?) } else { Err(r.string()?) }),
        SEAL_WANTED => Message::SealWanted,
        STATE => Message::State(state(r)?),
        STATE_KEPT => Message::StateKept { epoch: r.varint()? },
        STATE_WANTED => Message::StateWanted,
        SEAL_PROBE => Message::SealProbe { probe: r.varint()? },
        NOT_SEALED => Message::NotSealed { probe: r.varint()? },
        READ => {
            Message::Read { question: question(r)?, keyspace: keyspace(r)?, key: r.key()?, bodies: r.flag()? }
        }
        READ_ANSWER => Message::ReadAnswer { question: question(r)?, result: outcome(r, set)? },
        WRITE => Message::Write {
            question: question(r)?,
            keyspace: keyspace(r)?,
            key: r.key()?,
            durability: durability(r)?,
            stands_in_for: r.option(Reader::node)?,
            heals: r.flag()?,
            set: set(r)?,
        },
        WRITE_ANSWER => Message::WriteAnswer { question: question(r)?, result: outcome(r, |_| Ok(()))? },
        FORWARD => Message::Forward { question: question(r)?, life: r.varint()?, request: request(r)? },
        FORWARD_ANSWER => Message::ForwardAnswer { question: question(r)?, response: response(r)? },
        PAGE => Message::Page {
            question: question(r)?,
            keyspace: keyspace(r)?,
            from: r.position()?,
            records: r.number()?,
            bodies: r.flag()?,
            replica: r.option(Reader::node)?,
        },
        PAGE_ANSWER => {
            Message::PageAnswer { question: question(r)?, ready: r.flag()?, result: outcome(r, page)? }
        }
        _ => return r.wrong("its kind is not known"),
    })
}

fn page(r: &mut Reader<'_>) -> Read<Page> {
    Ok(Page {
        records: r.list(RECORDS_MAX, RECORD_LEAST, |r| Ok(Record { key: r.key()?, set: set(r)? }))?,
        unreadable: r.list(RECORDS_MAX, 1, Reader::key)?,
        gap: r.flag()?,
        next: r.option(Reader::position)?,
    })
}

fn put_question(w: &mut Writer<'_>, question: QuestionId) {
    w.varint(question.0);
}

fn question(r: &mut Reader<'_>) -> Read<QuestionId> {
    r.varint().map(QuestionId)
}

pub(super) fn put_keyspace(w: &mut Writer<'_>, id: KeyspaceId) {
    w.varint(u64::from(id.0));
}

pub(super) fn keyspace(r: &mut Reader<'_>) -> Read<KeyspaceId> {
    r.number().map(KeyspaceId)
}
