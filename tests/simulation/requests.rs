//! [`Requests`]: what clients wait for, and what they were told in the end.
//!
//! Each request must be answered by its deadline and a little more, unless its coordinator ended or was paused meanwhile.

use crate::history::{Acknowledged, Found, KeyIndex, MachineId, OpId, Outcome, Read, Write, value_hash};
use crate::trace::short;
use crate::world::{Happening, World};
use esker::Durability;
use esker_cluster::request::{Operation, Request, Response};
use esker_cluster::store::Change;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long after its deadline an answer may come.
const SLACK: Duration = Duration::from_millis(250);

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// Whose turn it is afterwards. `None` if nobody waits.
    client: Option<usize>,
    key: KeyIndex,
    machine: MachineId,
    life: u64,
    call: Duration,
    /// Where the read lies in the history; `None` for a write.
    read: Option<usize>,
}

/// What clients wait for.
#[derive(Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<OpId, Waiting>,
}

impl Requests {
    /// Whether this operation was answered, or given up.
    pub(crate) fn is_over(&self, op: OpId) -> bool {
        !self.waiting.contains_key(&op)
    }
}

impl World {
    /// A client does its next thing.
    pub(crate) fn client(&mut self, client: usize) {
        if !self.busy {
            return;
        }
        let running: Vec<MachineId> = self
            .machines
            .iter()
            .filter(|machine| machine.process.is_some() && !machine.astray)
            .map(|machine| machine.id)
            .collect();
        if running.is_empty() {
            let thinks = self.clients.thinks(client) + Duration::from_millis(50);
            self.after(thinks, Happening::Client(client));
            return;
        }
        let machine = running[self.clients.prefers(client, running.len())];
        let wall_millis = self.machines[machine].moment(self.now).wall_millis;
        let wanted = self.clients.next(client, wall_millis);
        self.ask(Some(client), wanted.op, wanted.key, machine, wanted.request);
    }

    /// Asks a node for something.
    pub(crate) fn ask(
        &mut self,
        client: Option<usize>,
        op: OpId,
        key: KeyIndex,
        machine: MachineId,
        request: Request,
    ) {
        let now = self.now;
        self.trace
            .note(now, || format!("client {client:?} asks machine {machine}: {op} {}", short(&request)));
        let who = client.unwrap_or(usize::MAX);
        let read = match &request.operation {
            Operation::Write { change, context, .. } => {
                let value = match change {
                    Change::Put { value, .. } => Some((value_hash(value), value.len())),
                    Change::Delete => None,
                };
                let write = Write {
                    id: op,
                    client: who,
                    key,
                    value,
                    context: context.clone(),
                    level: request.level,
                    synced: request.durability == Durability::Synced,
                    call: now,
                    ret: None,
                    outcome: Outcome::Unknown("no answer yet".to_owned()),
                };
                self.history.writes.insert(op, write);
                None
            }
            _ => {
                let (level, call) = (request.level, now);
                let outcome = Outcome::Unknown("no answer yet".to_owned());
                self.history.reads.push(Read { id: op, client: who, key, level, call, ret: None, outcome });
                Some(self.history.reads.len() - 1)
            }
        };
        let life = self.machines[machine].life;
        self.requests.waiting.insert(op, Waiting { client, key, machine, life, call: now, read });
        self.after(request.timeout + SLACK, Happening::GiveUp(op));
        let delay = self.dice.time(Duration::from_micros(20), Duration::from_micros(400));
        self.after(delay, Happening::Ask { machine, life, op, request: Box::new(request) });
    }

    /// A node answered.
    pub(crate) fn answered(&mut self, machine: MachineId, op: OpId, response: Response) {
        self.trace.note(self.now, || format!("machine {machine} answers {op}: {}", short(&response)));
        let Some(waiting) = self.requests.waiting.remove(&op) else {
            let known =
                self.history.writes.contains_key(&op) || self.history.reads.iter().any(|read| read.id == op);
            if !known {
                self.violated(
                    "every request is answered once",
                    format!("machine {machine} answered {op}, which nobody asked"),
                );
            }
            return;
        };
        let now = self.now;
        if let Response::Found { context, .. } | Response::Written { context, .. } = &response
            && let Some(client) = waiting.client
        {
            self.clients.was_told(client, waiting.key, context);
        }
        match waiting.read {
            Some(place) => {
                let outcome = match response {
                    Response::Found { versions, context, .. } => {
                        let versions = versions.iter().map(|v| (v.dot, value_hash(&v.value))).collect();
                        Outcome::Done(Found { versions, context: context.clock().clone() })
                    }
                    Response::Rejected(why) => Outcome::Refused(why.to_string()),
                    other => {
                        self.violated(
                            "every request is answered once",
                            format!("read {op} was answered by {other:?}"),
                        );
                        Outcome::Refused(String::new())
                    }
                };
                let read = &mut self.history.reads[place];
                (read.ret, read.outcome) = (Some(now), outcome);
            }
            None => {
                let outcome = match response {
                    Response::Written { context, acks, fallbacks } => Outcome::Done(Acknowledged {
                        context,
                        acks: acks as usize,
                        fallbacks: fallbacks as usize,
                    }),
                    Response::Rejected(why) => Outcome::Refused(why.to_string()),
                    Response::Unknown { why, .. } => Outcome::Unknown(why),
                    other => {
                        self.violated(
                            "every request is answered once",
                            format!("write {op} was answered by {other:?}"),
                        );
                        Outcome::Unknown(String::new())
                    }
                };
                if let Some(write) = self.history.writes.get_mut(&op) {
                    (write.ret, write.outcome) = (Some(now), outcome);
                }
            }
        }
        self.next_turn(waiting.client);
    }

    /// A client does not wait any longer.
    pub(crate) fn give_up(&mut self, op: OpId) {
        let Some(waiting) = self.requests.waiting.remove(&op) else { return };
        let machine = &self.machines[waiting.machine];
        let ran = machine.life == waiting.life
            && machine.process.is_some()
            && machine.paused_until <= self.now
            && machine.resumed_at < waiting.call;
        self.trace.note(self.now, || format!("nobody answers {op}"));
        if ran {
            let what = format!(
                "machine {} ran all the time and did not answer {op} by its deadline",
                waiting.machine
            );
            self.violated("every request is answered once", what);
        }
        self.next_turn(waiting.client);
    }

    /// Nobody answers what a process that ended was asked.
    pub(crate) fn connections_broke(&mut self, machine: MachineId) {
        let asked: Vec<OpId> = self
            .requests
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.machine == machine)
            .map(|(op, _)| *op)
            .collect();
        for op in asked {
            if let Some(waiting) = self.requests.waiting.remove(&op) {
                self.trace.note(self.now, || format!("the connection of {op} breaks"));
                self.next_turn(waiting.client);
            }
        }
    }

    fn next_turn(&mut self, client: Option<usize>) {
        if let Some(client) = client {
            let thinks = self.clients.thinks(client);
            self.after(thinks, Happening::Client(client));
        }
    }
}
