//! [`History`]: what clients asked and were told, what the stores took, and what was left at the end. Checkers judge nothing
//! else, so a history can be made by hand to show that a checker bites.

use esker_cluster::causality::{ConflictMode, Context, Dot, SiblingSet, VectorClock};
use esker_cluster::request::Level;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// The number of a client's operation.
pub(crate) type OpId = u64;

/// The number of a machine, counted from 0.
pub(crate) type MachineId = usize;

/// A key of the workload, by its place in [`History::keys`].
pub(crate) type KeyIndex = usize;

/// What all need to know of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyFacts {
    /// Its name, for people.
    pub(crate) name: String,
    /// What becomes of concurrent writes.
    pub(crate) mode: ConflictMode,
    /// The machines that keep it. Known once the ring is sealed.
    pub(crate) replicas: Vec<MachineId>,
}

/// What a replica knows of a key: the writes it has seen, and those of them that nothing replaced, each with the hash of its
/// value (`None` for a delete).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) clock: VectorClock,
    pub(crate) siblings: Vec<(Dot, Option<u64>)>,
}

impl Known {
    pub(crate) fn of(set: &SiblingSet) -> Known {
        use esker_cluster::causality::Content;
        let siblings = set.siblings().iter().map(|sibling| {
            let hash = match &sibling.content {
                Content::Value { hash, .. } => Some(*hash),
                Content::Tombstone => None,
            };
            (sibling.dot, hash)
        });
        Known { clock: set.clock().clone(), siblings: siblings.collect() }
    }

    pub(crate) fn holds(&self, dot: Dot) -> bool {
        self.siblings.iter().any(|(held, _)| *held == dot)
    }
}

/// How an operation ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    /// Well, with this answer.
    Done(T),
    /// It was refused; a write has no effect.
    Refused(String),
    /// Nobody knows: no answer came, or one that says so.
    Unknown(String),
}

/// What an acknowledged write was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) context: Context,
    pub(crate) acks: usize,
    pub(crate) fallbacks: usize,
}

/// A client's write.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) id: OpId,
    pub(crate) client: usize,
    pub(crate) key: KeyIndex,
    /// The hash and length of the value; `None` for a delete.
    pub(crate) value: Option<(u64, usize)>,
    /// What the writer says it has seen.
    pub(crate) context: Option<Context>,
    pub(crate) level: Level,
    pub(crate) synced: bool,
    pub(crate) call: Duration,
    /// When the answer came. `None` if none came.
    pub(crate) ret: Option<Duration>,
    pub(crate) outcome: Outcome<Acknowledged>,
}

impl Write {
    pub(crate) fn acknowledged(&self) -> Option<&Acknowledged> {
        match &self.outcome {
            Outcome::Done(acknowledged) => Some(acknowledged),
            _ => None,
        }
    }

    /// Whether it was over before `other` began: then it cannot have had an effect after that one's. A write of which nobody
    /// knows how it ended is never over.
    pub(crate) fn is_over_before(&self, other: &Write) -> bool {
        self.acknowledged().is_some() && self.ret.is_some_and(|ret| ret < other.call)
    }
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The visible values with the hashes of their bytes.
    pub(crate) versions: Vec<(Dot, u64)>,
    pub(crate) context: VectorClock,
}

/// A client's read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) id: OpId,
    pub(crate) client: usize,
    pub(crate) key: KeyIndex,
    pub(crate) level: Level,
    pub(crate) call: Duration,
    pub(crate) ret: Option<Duration>,
    pub(crate) outcome: Outcome<Found>,
}

impl Read {
    pub(crate) fn found(&self) -> Option<&Found> {
        match &self.outcome {
            Outcome::Done(found) => Some(found),
            _ => None,
        }
    }
}

/// A store gave a write its dot.
#[derive(Clone, Debug)]
pub(crate) struct Mint {
    pub(crate) at: Duration,
    pub(crate) machine: MachineId,
    pub(crate) key: KeyIndex,
    /// The write; several if it is a delete that may be one of them.
    pub(crate) writes: Vec<OpId>,
    pub(crate) dot: Dot,
    /// Whether the value ends to be visible some time.
    pub(crate) expires: bool,
    /// What the store knew of the key before, and after.
    pub(crate) before: Known,
    pub(crate) after: Known,
}

/// What a store said to be durable.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) at: Duration,
    pub(crate) machine: MachineId,
    pub(crate) key: KeyIndex,
    pub(crate) clock: VectorClock,
    /// Whether it survives a power loss too.
    pub(crate) synced: bool,
}

/// How a machine can lose something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The process was killed: what it had not handed to the operating system is gone.
    Process,
    /// The power went: what was not synced is gone.
    Power,
    /// The whole directory, or what was written since it was copied, is gone.
    Directory,
    /// Bits of files were flipped.
    Bits,
}

/// A machine lost something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub(crate) at: Duration,
    pub(crate) machine: MachineId,
    pub(crate) loss: Loss,
}

/// What a replica has of a key at the end.
#[derive(Clone, Debug)]
pub(crate) struct FinalCopy {
    pub(crate) machine: MachineId,
    pub(crate) key: KeyIndex,
    /// What it has, or why that cannot be read.
    pub(crate) known: Result<Known, String>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which checker found it.
    pub(crate) checker: &'static str,
    /// What is wrong.
    pub(crate) what: String,
}

/// All that happened in a schedule, as far as checkers want to know it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) keys: Vec<KeyFacts>,
    pub(crate) writes: BTreeMap<OpId, Write>,
    pub(crate) reads: Vec<Read>,
    pub(crate) mints: Vec<Mint>,
    pub(crate) durable: Vec<Durable>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) copies: Vec<FinalCopy>,
    /// Hints that still wait at the end, by holder and target.
    pub(crate) hints_left: Vec<(MachineId, MachineId, usize)>,
    /// What was seen to be wrong while it happened.
    pub(crate) seen: Vec<Violation>,
}

/// The hash by which values are told apart: the one in the records.
pub(crate) fn value_hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

impl History {
    /// The mints of one key, in the order in which they happened.
    pub(crate) fn mints_of(&self, key: KeyIndex) -> impl Iterator<Item = &Mint> {
        self.mints.iter().filter(move |mint| mint.key == key)
    }

    /// The dots that a write was given: one, unless its request was carried out twice.
    pub(crate) fn dots_of(&self, write: &Write) -> Vec<Dot> {
        let of = self.mints_of(write.key).filter(|mint| mint.writes.contains(&write.id));
        of.map(|mint| mint.dot).collect()
    }

    /// What the mint's write has said that it has seen: its context, or what the store had that took it.
    pub(crate) fn replaces(&self, mint: &Mint, dot: Dot) -> bool {
        mint.dot != dot
            && mint.writes.iter().filter_map(|id| self.writes.get(id)).any(|write| match &write.context {
                Some(context) => context.covers(dot),
                None => mint.before.holds(dot),
            })
    }

    /// Whether the write that this mint is of may still have had an effect when `later` was called.
    pub(crate) fn may_follow(&self, mint: &Mint, later: &Write) -> bool {
        mint.writes.iter().filter_map(|id| self.writes.get(id)).any(|write| {
            write.id != later.id
                && !matches!(write.outcome, Outcome::Refused(_))
                && !write.is_over_before(later)
        })
    }

    /// A machine that keeps this key lost something between two moments.
    pub(crate) fn lost_between(
        &self,
        key: KeyIndex,
        from: Duration,
        to: Duration,
        counts: impl Fn(Loss) -> bool,
    ) -> usize {
        let replicas = &self.keys[key].replicas;
        let mut machines: Vec<MachineId> = self
            .lost
            .iter()
            .filter(|lost| lost.at >= from && lost.at <= to && counts(lost.loss))
            .map(|lost| lost.machine)
            .filter(|machine| replicas.contains(machine))
            .collect();
        machines.sort_unstable();
        machines.dedup();
        machines.len()
    }

    /// The history as JSON, one operation a line, for checkers outside of this project.
    pub(crate) fn json_lines(&self) -> String {
        let mut lines: Vec<(Duration, String)> = Vec::new();
        for write in self.writes.values() {
            let op = if write.value.is_some() { "put" } else { "delete" };
            let value = write.value.map_or("null".to_owned(), |(hash, _)| format!("\"{hash:016x}\""));
            let (result, why) = match &write.outcome {
                Outcome::Done(_) => ("acknowledged", ""),
                Outcome::Refused(why) => ("rejected", why.as_str()),
                Outcome::Unknown(why) => ("unknown", why.as_str()),
            };
            let mut line = self.json_head(write.client, op, write.key, write.level, write.call, write.ret);
            let _ = write!(line, ",\"value\":{value},\"result\":\"{result}\",\"why\":{}}}", quoted(why));
            lines.push((write.call, line));
        }
        for read in &self.reads {
            let mut line = self.json_head(read.client, "get", read.key, read.level, read.call, read.ret);
            match &read.outcome {
                Outcome::Done(found) => {
                    let values: Vec<String> =
                        found.versions.iter().map(|(_, hash)| format!("\"{hash:016x}\"")).collect();
                    let _ = write!(line, ",\"value\":[{}],\"result\":\"acknowledged\"}}", values.join(","));
                }
                Outcome::Refused(why) | Outcome::Unknown(why) => {
                    let _ = write!(line, ",\"value\":null,\"result\":\"rejected\",\"why\":{}}}", quoted(why));
                }
            }
            lines.push((read.call, line));
        }
        lines.sort();
        lines.into_iter().fold(String::new(), |out, (_, line)| out + &line + "\n")
    }

    fn json_head(
        &self,
        client: usize,
        op: &str,
        key: KeyIndex,
        level: Level,
        call: Duration,
        ret: Option<Duration>,
    ) -> String {
        let key = quoted(&self.keys[key].name);
        let ret = ret.map_or("null".to_owned(), |ret| ret.as_micros().to_string());
        let call = call.as_micros();
        format!(
            "{{\"client\":{client},\"op\":\"{op}\",\"key\":{key},\"level\":\"{level}\",\"call\":{call},\"return\":{ret}"
        )
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
