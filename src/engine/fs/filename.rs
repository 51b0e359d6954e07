//! The names of a store's files.
//!
//! ```text
//!   LOCK              held by whoever has the store open
//!   CURRENT           the name of the MANIFEST in force, and its checksum
//!   CURRENT.tmp       the next CURRENT, about to be renamed
//!   MANIFEST-000005   which tables and keyspaces exist
//!   000012.wal        a segment of the write-ahead log
//!   000012.wal.tmp    a copy of a segment, about to be renamed over it
//!   000017.sst        a table that a synced MANIFEST names, or named
//!   000018.sst.tmp    a table that no MANIFEST names yet, or whose renaming was interrupted
//! ```
//!
//! One counter numbers them all. Six digits at least, more when needed.

use std::path::{Path, PathBuf};

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const CURRENT: &str = "CURRENT";
/// Where repair puts what it replaced.
pub(crate) const LOST: &str = "lost";
pub(crate) const CURRENT_TMP: &str = "CURRENT.tmp";

/// What a name in a store's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileName {
    Lock,
    Current,
    CurrentTmp,
    Manifest(u64),
    Wal(u64),
    WalTmp(u64),
    Table(u64),
    TableTmp(u64),
}

impl FileName {
    /// Parses a name; `None` for names that no store gives.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        let number = |digits: &str| -> Option<u64> {
            let plain = digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit());
            (plain && (digits.len() == 6 || !digits.starts_with('0'))).then(|| digits.parse().ok())?
        };
        Some(match name {
            LOCK => FileName::Lock,
            CURRENT => FileName::Current,
            CURRENT_TMP => FileName::CurrentTmp,
            _ => {
                if let Some(digits) = name.strip_prefix("MANIFEST-") {
                    FileName::Manifest(number(digits)?)
                } else if let Some(digits) = name.strip_suffix(".wal") {
                    FileName::Wal(number(digits)?)
                } else if let Some(digits) = name.strip_suffix(".wal.tmp") {
                    FileName::WalTmp(number(digits)?)
                } else if let Some(digits) = name.strip_suffix(".sst") {
                    FileName::Table(number(digits)?)
                } else {
                    FileName::TableTmp(number(name.strip_suffix(".sst.tmp")?)?)
                }
            }
        })
    }

    /// The number in the name.
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            FileName::Lock | FileName::Current | FileName::CurrentTmp => None,
            FileName::Manifest(n)
            | FileName::Wal(n)
            | FileName::WalTmp(n)
            | FileName::Table(n)
            | FileName::TableTmp(n) => Some(n),
        }
    }

    /// The path of this file in the store's directory.
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        dir.join(self.to_string())
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileName::Lock => f.write_str(LOCK),
            FileName::Current => f.write_str(CURRENT),
            FileName::CurrentTmp => f.write_str(CURRENT_TMP),
            FileName::Manifest(n) => write!(f, "MANIFEST-{n:06}"),
            FileName::Wal(n) => write!(f, "{n:06}.wal"),
            FileName::WalTmp(n) => write!(f, "{n:06}.wal.tmp"),
            FileName::Table(n) => write!(f, "{n:06}.sst"),
            FileName::TableTmp(n) => write!(f, "{n:06}.sst.tmp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_none() {
        for n in [0, 7, 999_999, 1_000_000, u64::MAX] {
            for name in [
                FileName::Manifest(n),
                FileName::Wal(n),
                FileName::WalTmp(n),
                FileName::Table(n),
                FileName::TableTmp(n),
            ] {
                assert_eq!(FileName::parse(&name.to_string()), Some(name));
            }
        }
        for stranger in
            ["1.sst", "0000001.sst", "MANIFEST", "MANIFEST-", "00000x.wal", "notes.txt", "-00001.sst"]
        {
            assert_eq!(FileName::parse(stranger), None, "{stranger}");
        }
    }
}
