//! [`Clients`]: who asks what of the cluster. Each client does one thing after the other.
//!
//! Values are told apart by their bytes: each begins with the number of the operation that wrote it, as far as it is long
//! enough, and the shortest are given to the first operations.

use crate::dice::Dice;
use crate::history::{KeyIndex, OpId};
use crate::plan::Plan;
use esker::{Durability, Slice};
use esker_cluster::causality::Context;
use esker_cluster::formation::DEFAULT_KEYSPACE;
use esker_cluster::request::{Level, Operation, Request};
use esker_cluster::store::{Change, KeyspaceId};
use std::collections::BTreeMap;
use std::time::Duration;

/// The keyspace of the workload: the one that every cluster begins with.
pub(crate) const KEYSPACE: KeyspaceId = DEFAULT_KEYSPACE;

/// What a client remembers.
struct Client {
    dice: Dice,
    /// For each key what it was told last, and what it was told some time before.
    contexts: BTreeMap<KeyIndex, (Context, Context)>,
}

/// Those who ask.
pub(crate) struct Clients {
    plan: Plan,
    clients: Vec<Client>,
    keys: Vec<Slice>,
    last_op: OpId,
}

/// What a client wants to do next.
pub(crate) struct Wanted {
    pub(crate) op: OpId,
    pub(crate) key: KeyIndex,
    pub(crate) request: Request,
}

impl Clients {
    pub(crate) fn new(plan: &Plan, dice: &mut Dice) -> Clients {
        let clients =
            (0..plan.clients).map(|_| Client { dice: dice.fork(), contexts: BTreeMap::new() }).collect();
        let keys =
            (0..plan.hot_keys + plan.cold_keys).map(|key| Slice::from(format!("key/{key}").into_bytes()));
        Clients { plan: plan.clone(), clients, keys: keys.collect(), last_op: 0 }
    }

    /// The number of clients.
    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    /// The user keys.
    pub(crate) fn keys(&self) -> &[Slice] {
        &self.keys
    }

    /// How long a client thinks before its next operation.
    pub(crate) fn thinks(&mut self, client: usize) -> Duration {
        let longest = self.plan.thinking;
        self.clients[client].dice.time(Duration::from_micros(100), longest)
    }

    /// Which machine a client would speak to, of so many.
    pub(crate) fn prefers(&mut self, client: usize, machines: usize) -> usize {
        self.clients[client].dice.index(machines)
    }

    /// A client was told this context of a key.
    pub(crate) fn was_told(&mut self, client: usize, key: KeyIndex, context: &Context) {
        // It keeps bytes.
        let bound_to = KEYSPACE.context_key(&self.keys[key]);
        let context = Context::from_bytes(&context.to_bytes(bound_to), bound_to).unwrap();
        let client = &mut self.clients[client];
        let stale = client.dice.chance(500);
        let entry = client.contexts.entry(key).or_default();
        if stale {
            entry.1 = entry.0.clone();
        }
        entry.0 = context;
    }

    /// What a client does next. `wall_millis` is about what time it is.
    pub(crate) fn next(&mut self, client: usize, wall_millis: u64) -> Wanted {
        self.last_op += 1;
        let op = self.last_op;
        let plan = &self.plan;
        let Client { dice, contexts } = &mut self.clients[client];
        let hot = plan.cold_keys == 0 || dice.chance(700);
        let key = if hot { dice.index(plan.hot_keys) } else { plan.hot_keys + dice.index(plan.cold_keys) };
        let chains = client < plan.chainers;
        let reads = dice.chance(plan.reads) && !chains;
        let known = contexts
            .get(&key)
            .map(|(fresh, stale)| if chains || dice.chance(800) { fresh } else { stale }.clone());
        let operation = if reads {
            // Read-your-writes, for those who ask for it.
            let context = known.filter(|_| dice.chance(100));
            Operation::Get { key: self.keys[key].clone(), context }
        } else {
            let context =
                if dice.chance(plan.blind) && !chains { None } else { Some(known.unwrap_or_default()) };
            let change = match dice.chance(150) {
                true => Change::Delete,
                false => {
                    let expires_at = dice.chance(60).then(|| wall_millis + 200 + dice.below(8_000));
                    Change::Put { value: value(op, dice), expires_at }
                }
            };
            Operation::Write { key: self.keys[key].clone(), change, context }
        };
        let level = if dice.chance(plan.quorum) { Level::Quorum } else { other_level(dice) };
        let synced = reads || dice.chance(850);
        let request = Request {
            keyspace: KEYSPACE,
            operation,
            level,
            sloppy: dice.chance(100),
            durability: if synced { Durability::Synced } else { Durability::Buffered },
            timeout: Duration::from_millis(200 + dice.below(1800)),
        };
        Wanted { op, key, request }
    }

    /// A number for an operation that no client asked for.
    pub(crate) fn extra_op(&mut self) -> OpId {
        self.last_op += 1;
        self.last_op
    }
}

fn other_level(dice: &mut Dice) -> Level {
    const OTHERS: &[Level] = &[
        Level::One,
        Level::Any,
        Level::Two,
        Level::Three,
        Level::All,
        Level::LocalOne,
        Level::LocalQuorum,
        Level::EachQuorum,
        Level::Count(1),
        Level::Count(2),
    ];
    OTHERS[dice.index(OTHERS.len())]
}

/// A value that no other operation writes.
fn value(op: OpId, dice: &mut Dice) -> Slice {
    let longest = [1, 8, 100, 600, 4_000, 10_000][dice.weighted(&[5, 25, 40, 10, 10, 10])];
    let number = op.to_le_bytes();
    let least = number.iter().rposition(|byte| *byte != 0).map_or(1, |place| place + 1);
    let len = least + dice.below(longest) as usize;
    let mut bytes = number[..least].to_vec();
    // The number's length goes in front of what follows it, so that no value is the beginning of another's number.
    if len > least {
        bytes.insert(0, least as u8);
        bytes.insert(0, 0);
    }
    bytes.resize(len.max(bytes.len()).min(10_000), 0xa5);
    Slice::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_operations_write_the_same_value() {
        let mut dice = Dice::new(3);
        let mut seen = BTreeSet::new();
        let mut shortest = usize::MAX;
        for op in 1..3_000 {
            let value = value(op, &mut dice);
            shortest = shortest.min(value.len());
            assert!(value.len() <= 10_000);
            assert!(seen.insert(value.to_vec()), "operation {op}");
        }
        assert_eq!(shortest, 1);
    }
}
