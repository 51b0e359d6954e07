//! `esker get`, `put`, `delete` and `delete-range`: one key or one range at a time.

use super::failure::{Ended, Failure, Outcome};
use super::output::{Output, print_line, say};
use super::source::{Source, keyspaces_of_users};
use super::store::{DurabilityChoice, KeyspaceName, Layout, Location, Text};
use crate::pairs::escape::{escape_into, escaped};
use crate::pairs::jsonl;
use clap::Args;
use esker::{Keyspace, WriteBatch};

/// Print the value of a key.
///
/// Of a key with siblings each value is a line, the newest the last. Exit status 1 if the key is not there.
#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    keyspace: KeyspaceName,
    /// Take KEY and print the value as they are: no escapes, and no newline at the end.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// Print an object as `scan --format jsonl` does.
    #[arg(long)]
    json: bool,
    /// The key, with the escapes `\t \n \r \\ \xNN`.
    #[arg(value_parser = Text::parser(), allow_negative_numbers = true)]
    key: Text,
}

impl Get {
    pub(crate) fn run(&self) -> Ended {
        let key = if self.raw { self.key.raw().to_vec() } else { self.key.bytes()? };
        let values = Source::open(&self.location, &self.keyspace)?.get(&key)?;
        if values.is_empty() {
            say(format_args!(
                "esker: there is no key `{}` in keyspace `{}`",
                escaped(&key),
                self.keyspace.keyspace
            ));
            return Ok(Outcome::Negative);
        }
        if self.raw && values.len() > 1 {
            return Err(Failure::new(format!(
                "the key `{}` has {} siblings; leave --raw away to see them, each in a line",
                escaped(&key),
                values.len()
            )));
        }
        let mut line = Vec::new();
        for value in &values {
            if self.raw {
                line.extend_from_slice(value);
            } else if self.json {
                jsonl::write(&key, value, &mut line);
            } else {
                escape_into(value, &mut line);
                line.push(b'\n');
            }
        }
        let mut out = Output::new();
        out.bytes(&line)?;
        out.finish()?;
        Ok(Outcome::Done)
    }
}

/// Where a command writes, and how.
#[derive(Args, Debug)]
struct Target {
    #[command(flatten)]
    location: Location,
    #[command(flatten)]
    keyspace: KeyspaceName,
    #[command(flatten)]
    layout: Layout,
    /// What the write has survived when the command returns.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityChoice,
}

impl Target {
    /// Writes what `fill` puts into a batch for the keyspace. `create` says whether a missing store is created.
    fn write(&self, create: bool, fill: impl FnOnce(&Keyspace, &mut WriteBatch)) -> Ended {
        let (db, keyspace) = self.layout.open_keyspace(&self.location, &self.keyspace, create)?;
        let mut batch = WriteBatch::new();
        fill(&keyspace, &mut batch);
        db.write(batch, self.durability.into())?;
        db.close()?;
        Ok(Outcome::Done)
    }
}

/// Store a value under a key. Creates the store and the keyspace where needed.
#[derive(Args, Debug)]
pub(crate) struct Put {
    #[command(flatten)]
    target: Target,
    /// Take KEY and VALUE as they are: no escapes.
    #[arg(long)]
    raw: bool,
    /// The key, with the escapes `\t \n \r \\ \xNN`.
    #[arg(value_parser = Text::parser(), allow_negative_numbers = true)]
    key: Text,
    /// The value, with the same escapes.
    #[arg(value_parser = Text::parser(), allow_negative_numbers = true)]
    value: Text,
}

impl Put {
    pub(crate) fn run(&self) -> Ended {
        let (key, value) = if self.raw {
            (self.key.raw().to_vec(), self.value.raw().to_vec())
        } else {
            (self.key.bytes()?, self.value.bytes()?)
        };
        self.target.write(true, |keyspace, batch| {
            keyspace.put_to(batch, &key, &value);
        })
    }
}

/// Delete a key. It does not matter whether it is there.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    target: Target,
    /// Take KEY as it is: no escapes.
    #[arg(long)]
    raw: bool,
    /// The key, with the escapes `\t \n \r \\ \xNN`.
    #[arg(value_parser = Text::parser(), allow_negative_numbers = true)]
    key: Text,
}

impl Delete {
    pub(crate) fn run(&self) -> Ended {
        let key = if self.raw { self.key.raw().to_vec() } else { self.key.bytes()? };
        self.target.write(false, |keyspace, batch| {
            keyspace.delete_to(batch, &key);
        })
    }
}

/// Delete every key from FROM (inclusive) to TO (exclusive), at the cost of one write.
#[derive(Args, Debug)]
pub(crate) struct DeleteRange {
    #[command(flatten)]
    target: Target,
    /// The first key, with the escapes `\t \n \r \\ \xNN`.
    #[arg(value_parser = Text::parser(), allow_negative_numbers = true)]
    from: Text,
    /// The key to stop before.
    #[arg(value_parser = Text::parser(), allow_negative_numbers = true)]
    to: Text,
}

impl DeleteRange {
    pub(crate) fn run(&self) -> Ended {
        let (from, to) = (self.from.bytes()?, self.to.bytes()?);
        if from > to {
            return Err(Failure::new(format!(
                "FROM `{}` comes after TO `{}`; exchange them",
                escaped(&from),
                escaped(&to)
            )));
        }
        self.target.write(false, |keyspace, batch| {
            keyspace.delete_range_to(batch, from..to);
        })
    }
}

/// List the keyspaces of a store.
#[derive(Args, Debug)]
pub(crate) struct Keyspaces {
    #[command(flatten)]
    location: Location,
    /// Also those that a node or a server keeps for itself.
    #[arg(long)]
    all: bool,
    /// Print an array of names.
    #[arg(long)]
    json: bool,
}

impl Keyspaces {
    pub(crate) fn run(&self) -> Ended {
        let db = super::store::open_for_reading(&self.location)?;
        let names = if self.all { db.keyspaces() } else { keyspaces_of_users(&db)? };
        if self.json {
            print_line(serde_json::Value::from(names).to_string())?;
        } else {
            let mut out = Output::new();
            for name in names {
                out.line(escaped(name.as_bytes()))?;
            }
            out.finish()?;
        }
        Ok(Outcome::Done)
    }
}
