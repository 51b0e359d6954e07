//! What three nodes and their stores take for a quorum write and a quorum read, without a network:
//! `node_rate [directory] [rounds] [put|get]`.
//!
//! Messages are encoded and decoded as between machines. Values have 100 bytes, writes are handed to the operating system, keys come
//! from 100,000. Under `valgrind --tool=callgrind` it counts instructions, which a busy machine does not change.

use esker::{Durability, LocalEnv, Slice};
use esker_cluster::coordinator::{Level, Operation, Request, Response};
use esker_cluster::message::encoding::{decode_shared, encode};
use esker_cluster::store::{Change, Continuity, KeyspaceId, Store, StoreConfig};
use esker_cluster::{Effect, Event, Moment, Node, NodeConfig, RequestId};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: u64 = 1_704_067_200_000;
/// Requests under way at once.
const OUTSTANDING: u64 = 64;

struct World {
    nodes: Vec<(Node, Store)>,
    now: Duration,
    queue: VecDeque<(usize, Vec<u8>)>,
    effects: Vec<Effect>,
    answered: u64,
    failed: u64,
}

impl World {
    fn new(dir: &Path) -> Result<World, Box<dyn Error>> {
        let mut nodes = Vec::new();
        for i in 0..3u64 {
            let config = StoreConfig { env: Arc::new(LocalEnv), ..StoreConfig::default() };
            let continuity = Continuity { fingerprint: 1 + i, boot: 1 };
            let store = Store::open(dir.join(i.to_string()), config, continuity, 7 + i, NOW)?;
            let mut config = NodeConfig::new(format!("127.0.0.1:1800{i}"));
            if i > 0 {
                config.join = vec!["127.0.0.1:18000".to_owned()];
            }
            let moment = Moment { monotonic: Duration::ZERO, wall_millis: NOW };
            let node = Node::new(config, store.identity(), None, BTreeMap::new(), 70 + i, moment);
            nodes.push((node, store));
        }
        Ok(World {
            nodes,
            now: Duration::ZERO,
            queue: VecDeque::new(),
            effects: Vec::new(),
            answered: 0,
            failed: 0,
        })
    }

    fn event(&mut self, at: usize, event: Event) {
        let wall_millis = NOW + self.now.as_millis() as u64;
        let moment = Moment { monotonic: self.now, wall_millis };
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (node, store) = &mut self.nodes[at];
            node.step(moment, event, &mut self.effects);
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Send { to, envelope } => {
                        let to = usize::from(to.as_bytes()[to.len() - 1] - b'0');
                        let mut bytes = Vec::new();
                        encode(&envelope, &mut bytes);
                        self.queue.push_back((to, bytes));
                    }
                    Effect::Store { ticket, operation } => {
                        let (outcome, commit) = store.execute(operation);
                        events.push_back(Event::Stored { ticket, outcome });
                        if let Some(commit) = commit {
                            let _ = commit.wait();
                            events.push_back(Event::Durable { ticket, result: Ok(()) });
                        }
                    }
                    Effect::Respond { response, .. } => {
                        self.answered += 1;
                        if !matches!(response, Response::Written { .. } | Response::Found { .. }) {
                            if self.failed == 0 {
                                println!("{response:?}");
                            }
                            self.failed += 1;
                        }
                    }
                    Effect::Notice(_) => {}
                }
            }
        }
    }

    fn deliver(&mut self) {
        while let Some((to, bytes)) = self.queue.pop_front() {
            if let Ok(envelope) = decode_shared(Slice::from(bytes)) {
                self.event(to, Event::Received(envelope));
            }
        }
    }

    fn tick(&mut self) {
        for at in 0..3 {
            self.event(at, Event::Tick);
        }
        self.deliver();
    }

    fn rounds(&mut self, rounds: u64, operation: &dyn Fn(u64) -> Operation) {
        let mut i = 0;
        while i < rounds {
            for _ in 0..OUTSTANDING {
                let request = Request {
                    keyspace: KeyspaceId(0),
                    operation: operation(i),
                    level: Level::Quorum,
                    sloppy: false,
                    durability: Durability::Buffered,
                    timeout: Duration::from_secs(5),
                };
                self.event((i % 3) as usize, Event::Request { id: RequestId(i), request });
                i += 1;
            }
            self.deliver();
            self.now += Duration::from_micros(200);
        }
    }
}

fn key(i: u64) -> Slice {
    Slice::from(format!("key{:016}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 100_000).into_bytes())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().unwrap_or_else(|| "node-rate".to_owned());
    let rounds: u64 = arguments.next().map_or(Ok(200_000), |rounds| rounds.parse())?;
    let mut world = World::new(Path::new(&dir))?;
    for i in 0..40 {
        if i == 20 {
            world.event(0, Event::Seal);
        }
        world.now += Duration::from_millis(250);
        world.tick();
    }
    let put = |i| Operation::Write {
        key: key(i),
        change: Change::Put { value: Slice::from(vec![i as u8; 100]), expires_at: None },
        context: None,
    };
    let get = |i| Operation::Get { key: key(i), context: None };
    let operations: [(&str, &dyn Fn(u64) -> Operation); 2] = [("put", &put), ("get", &get)];
    let only = arguments.next();
    for (what, operation) in operations {
        if only.as_ref().is_some_and(|only| only != what) {
            continue;
        }
        world.answered = 0;
        let begun = Instant::now();
        world.rounds(rounds, operation);
        let nanos = begun.elapsed().as_nanos() as u64 / rounds;
        println!("{what}: {nanos} ns, answered {} of {rounds}, failed {}", world.answered, world.failed);
    }
    Ok(())
}
