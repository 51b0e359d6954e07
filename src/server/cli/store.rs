//! Which store, which keyspace, and how it is opened: what the subcommands share.

use super::failure::Failure;
use super::output::say;
use super::source::refuse_replicated;
use crate::pairs::size::parse_size;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use esker::{ByLevel, Compression, Db, Durability, Keyspace, KeyspaceOptions, TornLog};
use esker_cluster::store::options_for;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use esker::DEFAULT_KEYSPACE_NAME as DEFAULT_KEYSPACE;

/// The store.
#[derive(Args, Debug)]
pub(crate) struct Location {
    /// The directory of the store.
    #[arg(long, value_name = "DIR")]
    pub(crate) db: PathBuf,
}

/// The keyspace.
#[derive(Args, Debug)]
pub(crate) struct KeyspaceName {
    /// The keyspace.
    #[arg(long, value_name = "K", default_value = DEFAULT_KEYSPACE)]
    pub(crate) keyspace: String,
}

/// `--compression`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionChoice {
    /// No compression.
    None,
    /// LZ4 at every level.
    Lz4,
    /// Zstandard from level 2 down, LZ4 above, where tables do not live long.
    Zstd,
}

/// Sizes and layouts of what is written.
#[derive(Args, Debug)]
pub(crate) struct Layout {
    /// Memory for memtables, caches and compaction, such as 64MiB. [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory_budget: Option<u64>,
    /// The format that tables are written in. [default: block]
    #[arg(long, value_name = "NAME")]
    table_format: Option<String>,
    /// How blocks are compressed. [default: lz4]
    #[arg(long, value_enum)]
    compression: Option<CompressionChoice>,
}

/// The level that Zstandard works at: its own default.
const ZSTD_LEVEL: i32 = 3;

impl Layout {
    /// The options of the keyspaces, if any were given.
    fn keyspace_options(&self) -> Option<KeyspaceOptions> {
        if self.table_format.is_none() && self.compression.is_none() {
            return None;
        }
        let mut options = KeyspaceOptions::new();
        if let Some(format) = &self.table_format {
            options = options.format(ByLevel::all(format.clone()));
        }
        if let Some(choice) = self.compression {
            options = options.compression(match choice {
                CompressionChoice::None => ByLevel::all(Compression::None),
                CompressionChoice::Lz4 => ByLevel::all(Compression::Lz4),
                CompressionChoice::Zstd => {
                    ByLevel::levels([Compression::Lz4, Compression::Lz4, Compression::Zstd(ZSTD_LEVEL)])
                }
            });
        }
        Some(options)
    }

    /// Opens a store for writing. `create` says whether a missing one is created.
    pub(crate) fn open(&self, location: &Location, keyspace: &str, create: bool) -> Result<Db, Failure> {
        // A directory that a node wrote can be compacted, and take plain pairs, without losing what the node knows.
        let mut builder = Db::builder().create_if_missing(create).keyspace_options_by(options_for);
        if let Some(bytes) = self.memory_budget {
            builder = builder.memory_budget(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(options) = self.keyspace_options() {
            builder = builder.keyspace_defaults(options.clone());
            if keyspace != DEFAULT_KEYSPACE {
                builder = builder.keyspace_options(keyspace, options);
            }
        }
        let db = builder.open(&location.db)?;
        say_what_was_dropped(&db);
        Ok(db)
    }

    /// Opens a store for writing, and the keyspace, which is created like the store.
    pub(crate) fn open_keyspace(
        &self,
        location: &Location,
        keyspace: &KeyspaceName,
        create: bool,
    ) -> Result<(Db, Keyspace), Failure> {
        let name = keyspace.keyspace.as_str();
        let db = self.open(location, name, create)?;
        refuse_replicated(&db, name)?;
        let keyspace = match db.keyspace(name) {
            Err(esker::Error::NoSuchKeyspace { .. }) if create => {
                db.create_keyspace(name, self.keyspace_options().unwrap_or_default())?
            }
            other => other?,
        };
        Ok((db, keyspace))
    }
}

/// Opens a store for reading: nothing in its directory changes.
pub(crate) fn open_for_reading(location: &Location) -> Result<Db, esker::Error> {
    let db = Db::builder().read_only(true).create_if_missing(false).open(&location.db)?;
    say_what_was_dropped(&db);
    Ok(db)
}

/// A crash may have torn the end of a log; whoever opens the store is told.
fn say_what_was_dropped(db: &Db) {
    for torn in &db.recovery().torn {
        say(format_args!("esker: note: {}", torn_sentence(torn)));
    }
}

/// What was dropped of a log.
pub(crate) fn torn_sentence(torn: &TornLog) -> String {
    format!(
        "the end of {} was torn by a crash before it was synced: {} bytes from offset {} on, {} intact records among \
         them, are not used",
        torn.path.display(),
        torn.bytes,
        torn.offset,
        torn.records
    )
}

/// `--durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum DurabilityChoice {
    /// Handed to the operating system: survives a killed process.
    #[default]
    Buffered,
    /// On the device: survives a power loss.
    Synced,
}

impl From<DurabilityChoice> for Durability {
    fn from(choice: DurabilityChoice) -> Durability {
        match choice {
            DurabilityChoice::Buffered => Durability::Buffered,
            DurabilityChoice::Synced => Durability::Synced,
        }
    }
}

/// A key or value given as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(OsString);

impl Text {
    /// What `clap` parses such an argument with: it takes everything.
    pub(crate) fn parser() -> impl clap::builder::TypedValueParser<Value = Text> {
        OsStringValueParser::new().map(Text)
    }

    /// The bytes it stands for, with the escapes of `load` and `scan`.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let text = self.raw();
        match crate::pairs::escape::unescape(text) {
            Ok(bytes) => Ok(bytes.into_owned()),
            Err(e) => Err(Failure::new(format!("in the argument `{}`: {e}", self.0.to_string_lossy()))),
        }
    }

    /// The bytes as they were given.
    pub(crate) fn raw(&self) -> &[u8] {
        self.0.as_encoded_bytes()
    }
}
