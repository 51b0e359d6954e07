//! [`Load`]: clients that write until they are told to stop, and record what they were told.

use super::cluster::Cluster;
use super::connection::{Answer, Connection};
use super::history::{History, Operation, Outcome, elements};
use super::is_full;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A client waits for longer than the server tries, so that it hears "unknown" from the server if there is one.
const ANSWER: Duration = Duration::from_secs(7);

/// Sets that are added to.
const SETS: u64 = 24;

/// The longest value that a client writes.
const FULL: usize = 6000;

/// Clients that write.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    /// In the full form, so that there is something to do besides what is recorded.
    crowd: Vec<Child>,
}

/// `redis-benchmark` against each node, as far as it is installed; one ends when its node does.
fn crowd(nodes: &[SocketAddr]) -> Vec<Child> {
    let begin = |node: &SocketAddr| {
        let (host, port) = (node.ip().to_string(), node.port().to_string());
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", &host, "-p", &port, "-t", "set,get", "-c", "4", "-r", "10000", "-d", "100"]);
        command
            .args(["-n", "100000000", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().ok()
    };
    nodes.iter().filter_map(begin).collect()
}

struct Client {
    number: usize,
    nodes: Vec<SocketAddr>,
    at: usize,
    connection: Option<Connection>,
    history: Arc<History>,
    random: u64,
    count: u64,
    pace: Duration,
}

impl Load {
    /// Starts so many clients, each with a node of its own to begin with; whose node fails goes to the next one.
    pub(crate) fn start(cluster: &Cluster, history: &Arc<History>, clients: usize) -> Load {
        let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.settings.addresses.resp).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|number| {
            let mut client = Client {
                number,
                nodes: nodes.clone(),
                at: number,
                connection: None,
                history: history.clone(),
                random: number as u64 + 1,
                count: 0,
                pace: Duration::from_millis(2),
            };
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.turn();
                    std::thread::sleep(client.pace);
                }
            })
        });
        let clients = clients.collect();
        Load { clients, stop, crowd: if is_full() { crowd(&nodes) } else { Vec::new() } }
    }

    /// Ends the clients, once each has its answer.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
    }
}

impl Drop for Load {
    /// A test that failed leaves nobody behind who goes on.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for child in &mut self.crowd {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether an error says that nothing was done.
fn outcome_of(error: &str) -> Outcome {
    if error.starts_with("UNKNOWN") { Outcome::Unknown } else { Outcome::Fail }
}

impl Client {
    fn random(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn turn(&mut self) {
        match self.random(4) {
            0 => self.set(),
            1 => self.get(),
            _ => self.add(),
        }
    }

    /// Asks the node that the client is at. An error is that of the connection: whether the request was served is unknown.
    fn ask(&mut self, args: &[&[u8]]) -> Result<Answer, Outcome> {
        if self.connection.is_none() {
            let address = self.nodes[self.at % self.nodes.len()];
            match Connection::open(address, ANSWER) {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => {
                    self.history.told(&format!("connecting: {error}"));
                    self.at += 1;
                    return Err(Outcome::Fail);
                }
            }
        }
        let Some(connection) = &mut self.connection else { return Err(Outcome::Fail) };
        connection.ask(args).map_err(|error| {
            self.history.told(&format!("waiting: {error}"));
            self.connection = None;
            self.at += 1;
            Outcome::Unknown
        })
    }

    fn done(&mut self, answer: Result<Answer, Outcome>) -> Outcome {
        match answer {
            Ok(Answer::Error(error)) => {
                self.history.told(&error);
                outcome_of(&error)
            }
            Ok(_) => Outcome::Ok,
            Err(outcome) => outcome,
        }
    }

    /// A key that nobody else writes.
    fn own_key(&mut self) -> String {
        let place = self.random(8);
        format!("own-{}-{place}", self.number)
    }

    fn set(&mut self) {
        self.count += 1;
        let (key, value) = (self.own_key(), self.count.to_string());
        let call = self.history.now();
        let answer = self.ask(&[b"SET", key.as_bytes(), value.as_bytes()]);
        let outcome = self.done(answer);
        let what = Operation { client: self.number, op: "set", key: &key, value: &value };
        self.history.record(&what, outcome, call);
    }

    fn get(&mut self) {
        let key = self.own_key();
        let call = self.history.now();
        let answer = self.ask(&[b"GET", key.as_bytes()]);
        let value = answer.as_ref().map(Answer::text).unwrap_or_default();
        let outcome = match self.done(answer) {
            Outcome::Ok => Outcome::Ok,
            _ => Outcome::Fail,
        };
        let what = Operation { client: self.number, op: "get", key: &key, value: &value };
        self.history.record(&what, outcome, call);
    }

    fn add(&mut self) {
        self.count += 1;
        let mine = format!("{}.{}", self.number, self.count);
        let mut key = format!("set-{}", self.random(SETS));
        let call = self.history.now();
        let (context, mut value) = loop {
            let Ok(Answer::List(found)) = self.ask(&[b"EK.GET", key.as_bytes()]) else { return };
            let mut all: Vec<String> =
                found[1..].iter().flat_map(|v| elements(v.text().as_bytes())).collect();
            all.sort();
            all.dedup();
            let value = all.join(",");
            if value.len() < FULL {
                break (found[0].text(), value);
            }
            key.push('+');
        };
        value.push(',');
        value.push_str(&mine);
        let answer = self.ask(&[b"EK.SET", key.as_bytes(), value.as_bytes(), b"CTX", context.as_bytes()]);
        let outcome = self.done(answer);
        let what = Operation { client: self.number, op: "add", key: &key, value: &mine };
        self.history.record(&what, outcome, call);
    }
}
