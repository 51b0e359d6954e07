//! [`History`]: what clients did and were told, as JSON lines, and the check that nothing acknowledged is missing.
//!
//! ```text
//! {"client":3,"op":"add","key":"set-7","value":"3.41","result":"ok","call":120433,"return":981200}
//! ```
//! Times are nanoseconds since the history began. A result is `ok`, `fail` (nothing was done) or `unknown`. An `add` reads the
//! elements of a key with their context, puts its own among them, and writes them back with the context; so whoever is
//! acknowledged is in the key from then on, whatever others write at the same time. A `set` overwrites without a look; a key
//! has one client that sets it, with numbers that grow. A `get` gives what was read.

use super::cluster::Cluster;
use super::connection::Answer;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Fail,
    Unknown,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Unknown => "unknown",
        }
    }
}

/// An operation.
pub(crate) struct Operation<'a> {
    pub(crate) client: usize,
    pub(crate) op: &'static str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
}

#[derive(Default)]
struct Known {
    /// What was acknowledged as added, by key; and what may be there besides.
    added: BTreeMap<String, BTreeSet<String>>,
    tried: BTreeMap<String, BTreeSet<String>>,
    /// The last number that was acknowledged, by key.
    set: BTreeMap<String, u64>,
    counts: BTreeMap<(&'static str, &'static str), u64>,
    errors: BTreeMap<String, u64>,
}

/// What clients did.
pub(crate) struct History {
    begun: Instant,
    file: Mutex<BufWriter<File>>,
    known: Mutex<Known>,
}

/// The elements of a value.
pub(crate) fn elements(value: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(value).split(',').filter(|e| !e.is_empty()).map(str::to_owned).collect()
}

impl History {
    /// Begins one, in a file of this name.
    pub(crate) fn begin(scratch: &Path, name: &str) -> History {
        let kept = std::env::var_os("ESKER_CLUSTER_HISTORY").map(std::path::PathBuf::from);
        let path = kept.as_deref().unwrap_or(scratch).join(format!("{name}.jsonl"));
        let file = Mutex::new(BufWriter::new(File::create(path).unwrap()));
        History { begun: Instant::now(), file, known: Mutex::new(Known::default()) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Records an operation that was called at `call` and has returned.
    pub(crate) fn record(&self, what: &Operation<'_>, outcome: Outcome, call: Duration) {
        let back = self.now();
        let line = serde_json::json!({
            "client": what.client, "op": what.op, "key": what.key, "value": what.value, "result": outcome.word(),
            "call": call.as_nanos() as u64, "return": back.as_nanos() as u64,
        });
        writeln!(self.file.lock().unwrap_or_else(PoisonError::into_inner), "{line}").unwrap();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known.counts.entry((what.op, outcome.word())).or_default() += 1;
        match what.op {
            "add" if outcome != Outcome::Fail => {
                known.tried.entry(what.key.to_owned()).or_default().insert(what.value.to_owned());
                if outcome == Outcome::Ok {
                    known.added.entry(what.key.to_owned()).or_default().insert(what.value.to_owned());
                }
            }
            "set" if outcome == Outcome::Ok => {
                known.set.insert(what.key.to_owned(), what.value.parse().unwrap());
            }
            _ => {}
        }
    }

    /// Remembers what a client was told.
    pub(crate) fn told(&self, error: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let class: String = error.chars().take(60).filter(|c| !c.is_ascii_digit()).collect();
        *known.errors.entry(class).or_default() += 1;
    }

    /// Operations that ended so.
    pub(crate) fn count(&self, op: &'static str, outcome: Outcome) -> u64 {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.counts.get(&(op, outcome.word())).copied().unwrap_or(0)
    }

    /// Reads every key at QUORUM, through one node after the other, and compares. The cluster is healed and nobody writes.
    #[track_caller]
    pub(crate) fn check(&self, cluster: &Cluster) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush().unwrap();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nodes: Vec<_> = cluster.running().map(|node| node.connect().unwrap()).collect();
        let mut turn = 0;
        let mut read = |key: &str| -> Vec<Vec<u8>> {
            turn += 1;
            let at = turn % nodes.len();
            let answer = nodes[at].ask(&[b"EK.GET", key.as_bytes(), b"LEVEL", b"QUORUM"]).unwrap();
            let Answer::List(list) = answer else {
                panic!("{key} cannot be read at {}: {answer}", nodes[at].address)
            };
            list.into_iter().skip(1).map(|value| value.text().into_bytes()).collect()
        };
        let mut wrong = Vec::new();
        for (key, tried) in &known.tried {
            let found: BTreeSet<String> = read(key).iter().flat_map(|value| elements(value)).collect();
            let none = BTreeSet::new();
            let lost: Vec<_> = known.added.get(key).unwrap_or(&none).difference(&found).collect();
            let invented: Vec<_> = found.difference(tried).collect();
            if !lost.is_empty() || !invented.is_empty() {
                wrong.push(format!("{key}: acknowledged and lost {lost:?}, never added {invented:?}"));
            }
        }
        for (key, last) in &known.set {
            let found = read(key);
            let newest = found.iter().filter_map(|v| String::from_utf8_lossy(v).parse::<u64>().ok()).max();
            if newest.is_none_or(|newest| newest < *last) {
                wrong.push(format!("{key}: {last} was acknowledged, and {newest:?} is there"));
            }
        }
        let (added, sets) = (known.added.values().map(BTreeSet::len).sum::<usize>(), known.set.len());
        println!(
            "  {added} adds and {sets} overwritten keys are there; {:?}; told {:?}",
            known.counts, known.errors
        );
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(added > 0 && sets > 0, "nothing was acknowledged: told {:?}", known.errors);
    }
}
