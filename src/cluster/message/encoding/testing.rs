//! Messages made from a seed, and the body of the fuzz target `peer_message`. The tests of this room, the fuzzer's seeds
//! and whoever wants messages for tests of a transport share them.

use super::frame::append_checksum;
use super::{MalformedMessage, decode, decode_shared, encode};
use crate::Random;
use crate::causality::{Actor, Body, ConflictMode, Content, Context, Dot, Sibling, SiblingSet, VectorClock};
use crate::id::NodeId;
use crate::membership::{Entry, Gossip, MemberInfo, Status, Suspicion};
use crate::message::{Envelope, JoinAnswer, Message, QuestionId, Refusal};
use crate::request::{Level, Operation, Rejection, Request, Response, Version};
use crate::ring::{Ring, RingMember};
use crate::state::{ClusterState, MemberRecord};
use crate::store::{Change, KeyspaceDefinition, KeyspaceId, Page, Record, StoreFailure};
use esker::{Durability, Slice};
use std::sync::Arc;
use std::time::Duration;

/// How many kinds of messages there are.
pub const KINDS: u64 = 17;

/// The body of the fuzz target: what can be read is written as the same bytes, whoever made them. The bytes are tried as
/// they are and with their last four made the checksum, which a fuzzer would not find.
///
/// # Panics
/// If that is not so.
pub fn fuzz_message(bytes: &[u8]) {
    let _ = hold(bytes);
    if let Some((covered, _)) = bytes.split_last_chunk::<4>() {
        let mut sealed = covered.to_vec();
        append_checksum(&mut sealed, 0);
        let _ = hold(&sealed);
    }
}

/// Reads bytes in both ways, and holds what is read against what it is written as. Returns what is read. Each message has
/// one encoding; only for gossip, whose bytes another room reads, that is not asked.
///
/// # Errors
/// If they are no message.
///
/// # Panics
/// If the two ways differ, or what is read is written as other bytes.
pub fn hold(bytes: &[u8]) -> Result<Envelope, MalformedMessage> {
    let read = decode(bytes);
    assert_eq!(read, decode_shared(Slice::copy_from(bytes)), "shared bytes are read otherwise");
    if let Ok(envelope) = &read {
        let mut written = Vec::new();
        encode(envelope, &mut written);
        assert_eq!(decode(&written).as_ref(), Ok(envelope), "it is not read as it was written");
        let foreign = matches!(envelope.message, Message::Gossip(_));
        assert!(foreign || written == bytes, "it has two encodings");
    }
    read
}

/// The message of this kind (below [`KINDS`]) that belongs to a seed.
pub fn envelope(kind: u64, seed: u64) -> Envelope {
    let mut maker = Maker(Random::new(seed.wrapping_mul(KINDS).wrapping_add(kind)));
    Envelope {
        cluster: maker.wide(),
        from: maker.node(),
        reply_to: maker.text().into(),
        message: maker.message(kind),
    }
}

/// Makes things of all sizes from random numbers.
struct Maker(Random);

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }

    fn yes(&mut self) -> bool {
        self.0.chance(500)
    }

    fn option<T>(&mut self, make: impl FnOnce(&mut Maker) -> T) -> Option<T> {
        self.yes().then(|| make(self))
    }

    fn list<T>(&mut self, below: usize, mut make: impl FnMut(&mut Maker) -> T) -> Vec<T> {
        (0..self.below(below)).map(|_| make(self)).collect()
    }

    /// A number of any length in bits.
    fn number(&mut self) -> u64 {
        let bits = self.0.below(65) as u32;
        self.0.next_u64().checked_shr(64 - bits).unwrap_or(0)
    }

    fn small(&mut self) -> u32 {
        (self.number() >> 32) as u32
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.number()) << 64 | u128::from(self.number())
    }

    fn node(&mut self) -> NodeId {
        NodeId(self.number())
    }

    fn bytes(&mut self, below: usize) -> Vec<u8> {
        self.list(below, |maker| maker.0.next_u64() as u8)
    }

    fn key(&mut self) -> Slice {
        self.bytes(24).into()
    }

    fn value(&mut self) -> Slice {
        let below = if self.0.chance(100) { 300 } else { 20 };
        self.bytes(below).into()
    }

    fn text(&mut self) -> String {
        let letters = ['a', 'z', '0', ':', '.', '\u{e4}', '\u{4e2d}', '\u{1f980}'];
        self.list(12, |maker| letters[maker.below(letters.len())]).into_iter().collect()
    }

    fn durability(&mut self) -> Durability {
        if self.yes() { Durability::Synced } else { Durability::Buffered }
    }

    fn keyspace(&mut self) -> KeyspaceId {
        KeyspaceId(self.small())
    }

    /// One of few actors, so that dots meet.
    fn dot(&mut self) -> Dot {
        Dot {
            actor: Actor(self.0.below(6).wrapping_mul(0x0123_4567_89ab_cdef)),
            counter: self.number().max(1),
        }
    }

    fn clock(&mut self) -> VectorClock {
        self.list(6, Maker::dot).into_iter().collect()
    }

    fn context(&mut self) -> Context {
        let clock = self.clock();
        let below = clock.entries().iter().map(|dot| Dot { counter: dot.counter.div_ceil(2), ..*dot });
        let exceptions = below.filter(|_| self.below(2) == 0).collect();
        Context::new(clock, exceptions)
    }

    fn sibling(&mut self) -> Sibling {
        let dot = self.dot();
        match self.below(3) {
            0 => Sibling::tombstone(dot),
            1 => {
                let content =
                    Content::Value { hash: self.number(), len: self.small() >> 7, body: Body::Elsewhere };
                Sibling { dot, content, expires_at: self.option(Maker::number) }
            }
            _ => Sibling::value(dot, self.value(), self.option(Maker::number)),
        }
    }

    fn set(&mut self) -> SiblingSet {
        SiblingSet::from_parts(self.clock(), self.list(5, Maker::sibling))
    }

    fn version(&mut self) -> Version {
        Version { value: self.value(), dot: self.dot(), expires_at: self.option(Maker::number) }
    }

    fn outcome<T>(&mut self, make: impl FnOnce(&mut Maker) -> T) -> Result<T, Refusal> {
        if self.0.chance(600) {
            return Ok(make(self));
        }
        Err(match self.below(6) {
            0 => Refusal::NotReady,
            1 => Refusal::NotReplica,
            2 => Refusal::Overloaded,
            _ => Refusal::Store(self.failure()),
        })
    }

    fn failure(&mut self) -> StoreFailure {
        match self.below(9) {
            0 => StoreFailure::Unreadable(self.text()),
            1 => StoreFailure::ReadOnly(self.text()),
            2 => StoreFailure::TooManySiblings { siblings: self.small() as usize },
            3 => StoreFailure::ClockTooFarAhead { lead_millis: self.number() },
            4 => StoreFailure::NoSuchKeyspace(self.keyspace()),
            5 => StoreFailure::TooLong(self.text()),
            6 => StoreFailure::BehindContext { missing: self.dot() },
            7 => StoreFailure::Busy(self.text()),
            _ => StoreFailure::Engine(self.text()),
        }
    }

    fn message(&mut self, kind: u64) -> Message {
        let question = QuestionId(self.number());
        match kind {
            0 => Message::Gossip(self.gossip()),
            1 => Message::Join(self.info()),
            2 => Message::Joined(if self.yes() { Ok(self.join_answer()) } else { Err(self.text()) }),
            3 => Message::SealWanted,
            4 => Message::State(self.state()),
            5 => Message::StateKept { epoch: self.number() },
            6 => Message::StateWanted,
            7 => Message::Read { question, keyspace: self.keyspace(), key: self.key(), bodies: self.yes() },
            8 => Message::ReadAnswer { question, result: self.outcome(Maker::set) },
            9 => Message::Write {
                question,
                keyspace: self.keyspace(),
                key: self.key(),
                set: self.set(),
                durability: self.durability(),
                stands_in_for: self.option(Maker::node),
                heals: self.yes(),
            },
            10 => Message::WriteAnswer { question, result: self.outcome(|_| ()) },
            11 => Message::Forward { question, life: self.number(), request: self.request() },
            12 => Message::ForwardAnswer { question, response: self.response() },
            13 => Message::Page {
                question,
                keyspace: self.keyspace(),
                from: self.bytes(30),
                records: self.small(),
                bodies: self.yes(),
                replica: self.option(Maker::node),
            },
            14 => Message::SealProbe { probe: self.number() },
            15 => Message::NotSealed { probe: self.number() },
            _ => Message::PageAnswer { question, ready: self.yes(), result: self.outcome(Maker::page) },
        }
    }

    fn page(&mut self) -> Page {
        Page {
            records: self.list(4, |maker| Record { key: maker.key(), set: maker.set() }),
            unreadable: self.list(3, Maker::key),
            gap: self.yes(),
            next: self.option(|maker| maker.bytes(30)),
        }
    }

    fn level(&mut self) -> Level {
        let named = [
            Level::Any,
            Level::One,
            Level::Two,
            Level::Three,
            Level::Quorum,
            Level::All,
            Level::LocalOne,
            Level::LocalQuorum,
            Level::EachQuorum,
        ];
        let at = self.below(named.len() + 1);
        named.get(at).copied().unwrap_or_else(|| Level::Count(self.small() as u8))
    }

    fn request(&mut self) -> Request {
        let operation = match self.below(4) {
            0 => Operation::Get { key: self.key(), context: self.option(Maker::context) },
            1 => Operation::Scan { from: self.bytes(30), limit: self.small() as usize, values: self.yes() },
            put_or_delete => {
                let put = |maker: &mut Maker| Change::Put {
                    value: maker.value(),
                    expires_at: maker.option(Maker::number),
                };
                let change = if put_or_delete == 2 { put(self) } else { Change::Delete };
                Operation::Write { key: self.key(), change, context: self.option(Maker::context) }
            }
        };
        Request {
            keyspace: self.keyspace(),
            operation,
            level: self.level(),
            sloppy: self.yes(),
            durability: self.durability(),
            timeout: Duration::new(self.number(), self.small() % 1_000_000_000),
        }
    }

    fn response(&mut self) -> Response {
        match self.below(5) {
            0 => Response::Found {
                versions: self.list(4, Maker::version),
                context: self.context(),
                replied: self.small(),
            },
            1 => Response::Written { context: self.context(), acks: self.small(), fallbacks: self.small() },
            2 => Response::Scanned {
                pairs: self.list(4, |maker| (maker.key(), maker.list(3, Maker::version))),
                next: self.option(|maker| maker.bytes(30)),
            },
            3 => Response::Rejected(self.rejection()),
            _ => Response::Unknown { acks: self.small(), why: self.text() },
        }
    }

    fn rejection(&mut self) -> Rejection {
        let (have, need) = (self.small(), self.small());
        match self.below(7) {
            0 => Rejection::Unavailable { have, need, why: self.text() },
            1 => Rejection::Timeout { have, need },
            2 => Rejection::Overloaded,
            3 => Rejection::PairTooLarge { bytes: have as usize, limit: need as usize },
            4 => Rejection::TooManySiblings { siblings: have },
            5 => Rejection::Invalid(self.text()),
            _ => Rejection::NotReady(self.text()),
        }
    }

    fn info(&mut self) -> MemberInfo {
        MemberInfo {
            id: self.node(),
            generation: self.number(),
            incarnation: self.number(),
            peer: self.text(),
            resp: self.text(),
            http: self.text(),
            zone: self.text(),
            dc: self.text(),
            weight: self.small(),
            status: Status {
                ready: self.yes(),
                writable: self.yes(),
                sealed: self.yes(),
                ring_epoch: self.number(),
                ring_digest: self.number(),
                hints_waiting: self.number(),
            },
            wall_ms: self.number(),
        }
    }

    fn gossip(&mut self) -> Gossip {
        Gossip {
            cluster: self.wide(),
            answer: self.yes(),
            from: self.entry(),
            members: self.list(4, Maker::entry),
            suspicions: self.list(4, |maker| Suspicion {
                suspect: maker.node(),
                version: (maker.number(), maker.number()),
                observers: maker.list(4, Maker::node),
            }),
            marks: self.list(4, |maker| (maker.node(), maker.number())),
        }
    }

    fn entry(&mut self) -> Entry {
        let silent = Duration::from_millis(self.number());
        Entry { info: Arc::new(self.info()), heartbeat: self.number(), silent }
    }

    fn join_answer(&mut self) -> JoinAnswer {
        JoinAnswer { you: self.node(), generation: self.number(), state: self.state() }
    }

    fn state(&mut self) -> ClusterState {
        let mut members = self.list(5, |maker| MemberRecord {
            id: maker.node(),
            peer_address: maker.text(),
            weight: maker.small(),
            zone: maker.text(),
            dc: maker.text(),
        });
        members.sort_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        let mut keyspaces = self.list(4, |maker| KeyspaceDefinition {
            id: maker.keyspace(),
            name: maker.text(),
            mode: if maker.yes() { ConflictMode::Causal } else { ConflictMode::LastWriteWins },
            replicas: maker.small() as u8,
        });
        keyspaces.sort_by_key(|definition| definition.id);
        keyspaces.dedup_by_key(|definition| definition.id);
        ClusterState {
            cluster: self.wide(),
            founder: self.node(),
            epoch: self.number(),
            replicas: self.small() as u8,
            partitions: self.small(),
            ring: if self.yes() { placed(&members) } else { None },
            members,
            keyspaces,
        }
    }
}

/// A small ring of these members; `None` if there are none.
fn placed(members: &[MemberRecord]) -> Option<Ring> {
    let members: Vec<RingMember> = members
        .iter()
        .map(|member| RingMember {
            id: member.id,
            weight: member.weight.max(1),
            zone: member.zone.clone(),
            dc: member.dc.clone(),
        })
        .collect();
    Ring::place(8, 3, &members, None).ok()
}
