//! [`Traffic`]: clients that write and read without a pause, and remember what was acknowledged.

use super::client::{Client, Reply};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the clients did since it was last asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Second {
    pub(super) writes: usize,
    pub(super) reads: usize,
    /// What was refused or not answered, in the node's words.
    pub(super) failures: Vec<String>,
    /// How long each took that was answered, in microseconds.
    took: Vec<u64>,
}

impl Second {
    /// The time in which this part of all was answered.
    pub(super) fn quantile(&mut self, part: f64) -> Duration {
        self.took.sort_unstable();
        let at = (self.took.len().saturating_sub(1) as f64 * part) as usize;
        Duration::from_micros(self.took.get(at).copied().unwrap_or(0))
    }

    pub(super) fn add(&mut self, other: Second) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.failures.extend(other.failures);
        self.took.extend(other.took);
    }
}

#[derive(Debug, Default)]
struct Seen {
    second: Second,
    acknowledged: Vec<(String, String)>,
}

/// The clients.
#[derive(Debug)]
pub(super) struct Traffic {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How long a client waits before it connects again.
const PAUSE: Duration = Duration::from_millis(20);

impl Traffic {
    /// One client at each of these ports. They write keys of their own, and read keys that are there.
    pub(super) fn start(ports: &[u16], keys: &Arc<Vec<String>>) -> Traffic {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let thread = |(number, &port): (usize, &u16)| {
            let (seen, stop, keys) = (seen.clone(), stop.clone(), keys.clone());
            std::thread::spawn(move || work(number, port, &keys, &seen, &stop))
        };
        let threads = ports.iter().enumerate().map(thread).collect();
        Traffic { seen, stop, threads }
    }

    /// What was done since the last call.
    pub(super) fn take(&self) -> Second {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).second)
    }

    /// Ends the clients. Gives every key whose write was acknowledged, with its value.
    pub(super) fn stop(mut self) -> Vec<(String, String)> {
        self.halt();
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner).acknowledged)
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.halt();
    }
}

fn work(number: usize, port: u16, keys: &[String], seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut connection = None;
    let mut i = 0usize;
    while !stop.load(Ordering::Relaxed) {
        i += 1;
        let (key, value) =
            (format!("outage/{number}/{i:06}"), format!("written as number {i} of client {number}"));
        let read = keys.get(i.wrapping_mul(7919) % keys.len().max(1)).map_or("", String::as_str);
        let written = timed(&mut connection, port, &["SET", &key, &value], |reply| {
            *reply == Reply::Word("OK".to_owned())
        });
        let found =
            timed(&mut connection, port, &["GET", read], |reply| matches!(reply, Reply::Bytes(Some(_))));
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_ok() {
            seen.second.writes += 1;
            seen.acknowledged.push((key, value));
        }
        seen.second.reads += usize::from(found.is_ok());
        for outcome in [written, found] {
            match outcome {
                Ok(took) => seen.second.took.push(took.as_micros() as u64),
                Err(why) => seen.second.failures.push(why),
            }
        }
    }
}

/// Asks, and says how long the answer took. After an error the next question comes by a new connection.
fn timed(
    connection: &mut Option<Client>,
    port: u16,
    words: &[&str],
    good: impl Fn(&Reply) -> bool,
) -> Result<Duration, String> {
    let began = Instant::now();
    let answer = match connection.take().map_or_else(|| Client::connect(port), Ok) {
        Ok(mut client) => {
            let answer = client.ask(words);
            *connection = answer.is_ok().then_some(client);
            answer
        }
        Err(error) => Err(error),
    };
    match answer {
        Ok(reply) if good(&reply) => Ok(began.elapsed()),
        Ok(reply) => Err(format!("{} answered {}", words.first().unwrap_or(&""), reply.text())),
        Err(error) => {
            std::thread::sleep(PAUSE);
            Err(error.to_string())
        }
    }
}
