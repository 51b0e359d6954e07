//! `esker load`: pairs from a file or a stream into a store.
//!
//! One thread reads and parses; what has arrived is submitted as a batch, so that nothing waits for input that is not
//! there yet. Another thread waits for the submitted batches in order and acknowledges them. Between the two lie a bounded
//! number of batches of bounded size: memory does not grow with the input.

use super::failure::{Ended, Failure, Outcome};
use super::output::{print_line, say};
use super::progress;
use super::store::{DurabilityChoice, KeyspaceName, Layout, Location};
use crate::pairs::PairFormat;
use crate::pairs::lines::{Line, Lines};
use clap::Args;
use esker::{Commit, Db, Keyspace, MAX_KEY_LEN, MAX_VALUE_LEN, WriteBatch, WriteOptions};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

/// Load pairs from a file or from standard input. Creates the store and the keyspace where needed.
///
/// tsv: a pair a line, key and value separated by the first tab; the value may be empty; `\t \n \r \\ \xNN` escape.
/// jsonl: an object a line with `key` and `value`, or `key_b64` and `value_b64` where they are not UTF-8.
#[derive(Args, Debug)]
pub(crate) struct Load {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    keyspace: KeyspaceName,
    #[command(flatten)]
    layout: Layout,
    /// The form of the input.
    #[arg(long, value_enum, default_value_t)]
    format: PairFormat,
    /// What a pair has survived when it counts as acknowledged.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityChoice,
    /// Print the number of pairs acknowledged so far, in input order, whenever it grows.
    #[arg(long, conflicts_with = "json")]
    ack: bool,
    /// Pass over lines that are no pair, count them, and go on.
    #[arg(long)]
    skip_bad: bool,
    /// Print an object with `pairs`, `bytes`, `skipped` and `seconds` at the end.
    #[arg(long)]
    json: bool,
    /// The file, or - for standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

/// Pairs of a batch at most: a batch is one record of the log and becomes visible as a whole.
const BATCH_PAIRS: usize = 4096;
/// Bytes of a batch at most, but for a pair that is larger by itself.
const BATCH_BYTES: usize = 256 << 10;
/// What a pair takes in a batch besides its key and value, at most.
const PAIR_OVERHEAD: usize = 32;
/// Batches that were submitted and not yet acknowledged, at most.
const BATCHES_IN_FLIGHT: usize = 64;
/// The longest line: every byte of the largest pair escaped, in the longest way.
const MAX_LINE: usize = 6 * (MAX_KEY_LEN + MAX_VALUE_LEN) + 256;

/// What was loaded.
#[derive(Clone, Copy, Debug, Default)]
struct Loaded {
    pairs: u64,
    bytes: u64,
    skipped: u64,
}

/// A batch on its way, and how many pairs have been submitted up to its end.
type Submitted = (Commit, u64);

impl Load {
    pub(crate) fn run(&self) -> Ended {
        let (input, len): (Box<dyn Read>, Option<u64>) = if self.file == Path::new("-") {
            (Box::new(io::stdin().lock()), None)
        } else {
            // The input is opened before the store, so that a wrong name does not leave an empty one behind.
            let file = File::open(&self.file).map_err(|e| Failure::file("open", &self.file, &e))?;
            let metadata = file.metadata().map_err(|e| Failure::file("look at", &self.file, &e))?;
            if metadata.is_dir() {
                return Err(Failure::new(format!("{} is a directory; give a file of pairs", self.name())));
            }
            let len = metadata.is_file().then_some(metadata.len());
            (Box::new(file), len)
        };
        let (db, keyspace) = self.layout.open_keyspace(&self.location, &self.keyspace, true)?;
        let began = Instant::now();
        let (queue, batches) = sync_channel(BATCHES_IN_FLIGHT);
        let ack = self.ack;
        let acknowledger = thread::spawn(move || acknowledge(&batches, ack));
        let mut loader = Loader {
            load: self,
            db: db.clone(),
            keyspace,
            queue,
            batch: WriteBatch::new(),
            batch_bytes: BATCH_BYTES.min(db.max_batch_bytes() / 2),
            loaded: Loaded::default(),
            first_skipped: None,
        };
        let read = loader.load_all(Lines::new(input, MAX_LINE), &progress::bytes("loading", len));
        let (loaded, first_skipped) = (loader.loaded, loader.first_skipped.take());
        // The end of the queue ends the acknowledger, after it has waited for everything.
        drop(loader);
        let acknowledged = acknowledger
            .join()
            .unwrap_or_else(|_| Err(Failure::new("a thread ended unexpectedly; run the load again")));
        // A failed write is the reason why reading ended, so it is what to say.
        acknowledged?;
        read?;
        db.close()?;
        self.report(loaded, first_skipped, began.elapsed().as_secs_f64())
    }

    fn report(&self, loaded: Loaded, first_skipped: Option<String>, seconds: f64) -> Ended {
        if let Some(first) = first_skipped {
            say(format_args!("esker: skipped {} malformed lines, the first is {first}", loaded.skipped));
        }
        if self.json {
            let summary = serde_json::json!({
                "pairs": loaded.pairs, "bytes": loaded.bytes, "skipped": loaded.skipped, "seconds": seconds,
            });
            print_line(summary.to_string())?;
        }
        say(format_args!("loaded {} pairs, {} bytes in {seconds:.3} s", loaded.pairs, loaded.bytes));
        Ok(Outcome::Done)
    }

    fn name(&self) -> String {
        if self.file == Path::new("-") {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        }
    }
}

/// Waits for the batches in order, and prints how far they got.
fn acknowledge(batches: &Receiver<Submitted>, print: bool) -> Result<(), Failure> {
    let mut out = print.then(|| io::stdout().lock());
    for (commit, pairs) in batches {
        commit.wait()?;
        if let Some(stdout) = &mut out
            && let Err(e) = writeln!(stdout, "{pairs}").and_then(|()| stdout.flush())
        {
            match Failure::output(&e) {
                // Nobody listens any more; the load itself is still wanted.
                Failure::OutputClosed => out = None,
                failure => return Err(failure),
            }
        }
    }
    Ok(())
}

struct Loader<'a> {
    load: &'a Load,
    db: Db,
    keyspace: Keyspace,
    queue: SyncSender<Submitted>,
    batch: WriteBatch,
    /// The bytes that a batch of several pairs may have.
    batch_bytes: usize,
    loaded: Loaded,
    first_skipped: Option<String>,
}

impl Loader<'_> {
    fn load_all(&mut self, mut lines: Lines<impl Read>, bar: &indicatif::ProgressBar) -> Result<(), Failure> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut number = 0u64;
        loop {
            while let Some(line) = lines.next() {
                number += 1;
                let parsed = match line {
                    Line::Whole(line) => {
                        bar.inc(line.len() as u64 + 1);
                        parse(self.load.format, line, &mut key, &mut value)
                    }
                    Line::TooLong => Err(format!("the line is longer than {MAX_LINE} bytes")),
                };
                match parsed {
                    Ok(()) => self.add(&key, &value)?,
                    Err(what) => self.malformed(number, &what)?,
                }
            }
            // The next read may wait: let go of what is here.
            self.submit()?;
            match lines.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Err(Failure::new(format!("cannot read {}: {e}", self.load.name()))),
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        if self.batch.byte_len() + key.len() + value.len() + PAIR_OVERHEAD > self.batch_bytes {
            self.submit()?;
        }
        self.keyspace.put_to(&mut self.batch, key, value);
        self.loaded.pairs += 1;
        self.loaded.bytes += (key.len() + value.len()) as u64;
        if self.batch.len() >= BATCH_PAIRS {
            self.submit()?;
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let commit = self.db.submit(&self.batch, WriteOptions::new(self.load.durability.into()))?;
        self.batch.clear();
        // If the other end is gone it has failed, and says why when it is joined.
        self.queue
            .send((commit, self.loaded.pairs))
            .map_err(|_| Failure::new("the load ended because a write failed"))
    }

    fn malformed(&mut self, number: u64, what: &str) -> Result<(), Failure> {
        let line = format!("line {number} of {}: {what}", self.load.name());
        if self.load.skip_bad {
            self.loaded.skipped += 1;
            self.first_skipped.get_or_insert(line);
            return Ok(());
        }
        self.submit()?;
        Err(Failure::new(format!(
            "{line}; the {} pairs before it are loaded: correct the line, or pass --skip-bad",
            self.loaded.pairs
        )))
    }
}

/// Parses a line and checks that the store can take the pair.
fn parse(format: PairFormat, line: &[u8], key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<(), String> {
    format.parse(line, key, value).map_err(|e| e.to_string())?;
    if key.len() > MAX_KEY_LEN {
        return Err(format!("a key of {} bytes is too long, the limit is {MAX_KEY_LEN} bytes", key.len()));
    }
    if value.len() > MAX_VALUE_LEN {
        return Err(format!(
            "a value of {} bytes is too long, the limit is {MAX_VALUE_LEN} bytes",
            value.len()
        ));
    }
    Ok(())
}
