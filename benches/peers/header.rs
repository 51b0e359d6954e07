//! [`Header`]: when and on what a campaign measured, and with which settings and versions.

use crate::machine::Machine;
use crate::named::Named as _;
use crate::peer::PeerName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The first line of what a campaign writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) machine: Machine,
    /// The version of each peer, by its name.
    pub(crate) versions: BTreeMap<String, String>,
    /// When the campaign began, in UTC.
    pub(crate) date: String,
    pub(crate) settings: Settings,
}

/// How a campaign was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Records with values of the first size.
    pub(crate) keys: u64,
    pub(crate) value_bytes: Vec<usize>,
    pub(crate) seconds: u64,
    pub(crate) cache_mib: usize,
    pub(crate) write_buffer_mib: usize,
    pub(crate) memory_limit_mib: Option<u64>,
    pub(crate) rounds: u32,
}

impl Header {
    /// Of a campaign that begins now, with stores below `dir`.
    pub(crate) fn now(dir: &Path, peers: &[PeerName], settings: Settings) -> Header {
        let version = |peer: &PeerName| peer.version().map(|version| (peer.name(), version));
        Header {
            machine: Machine::here(dir),
            versions: peers.iter().filter_map(version).collect(),
            date: crate::date::now(),
            settings,
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { keys, value_bytes, seconds, cache_mib, write_buffer_mib, memory_limit_mib, rounds } =
            &self.settings;
        let versions: Vec<String> =
            self.versions.iter().map(|(peer, version)| format!("{peer} {version}")).collect();
        let sizes: Vec<String> = value_bytes.iter().map(usize::to_string).collect();
        write!(f, "Measured {} on {}: {}. ", self.date, self.machine, versions.join("; "))?;
        write!(f, "{keys} records with values of {} bytes", sizes.join(", "))?;
        if sizes.len() > 1 {
            write!(f, ", of those after the first so many that they take as much")?;
        }
        write!(f, "; at most {seconds} s a workload, {cache_mib} MiB for blocks that were read, ")?;
        write!(f, "{write_buffer_mib} MiB for what is in no table yet, rounds: {rounds}")?;
        match memory_limit_mib {
            Some(limit) => write!(f, "; at most {limit} MiB of memory a process, page cache included."),
            None => write!(f, "."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn a_header_says_what_was_measured_and_with_which_versions() {
        let settings = Settings {
            keys: 1000,
            value_bytes: vec![100, 1024],
            seconds: 3,
            cache_mib: 8,
            write_buffer_mib: 4,
            memory_limit_mib: Some(64),
            rounds: 2,
        };
        let header = Header::now(Path::new("."), PeerName::value_variants(), settings);
        let names: Vec<&str> = header.versions.keys().map(String::as_str).collect();
        assert_eq!(names, ["esker", "esker-plain", "fjall", "lmdb", "redb", "rocksdb"]);
        assert!(header.versions.values().all(|version| version.contains(|c: char| c.is_ascii_digit())));
        let text = header.to_string();
        assert!(text.contains("1000 records with values of 100, 1024 bytes"), "{text}");
        assert!(
            text.ends_with("rounds: 2; at most 64 MiB of memory a process, page cache included."),
            "{text}"
        );
        let again: Header = serde_json::from_str(&serde_json::to_string(&header).unwrap()).unwrap();
        assert_eq!(again, header);
    }
}
