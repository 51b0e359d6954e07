//! Values of options: how each is read from text, and shown as text again.

use crate::pairs::size::parse_size;
use esker::Durability;
use esker_cluster::causality::ConflictMode;
use esker_cluster::request::Level;
use std::time::Duration;

/// What a plain `GET` answers when a key has several siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Siblings {
    /// An error that says how many.
    Error,
    /// The newest of them.
    Newest,
}

/// Why a text is no value. It says what would be one.
pub(super) type Bad = String;

fn choose<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, Bad> {
    let chosen = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is not one of {}", names.join(", "))
    })
}

fn name_of<T: PartialEq>(value: &T, choices: &[(&'static str, T)]) -> String {
    choices.iter().find(|(_, v)| v == value).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
}

pub(super) fn level(text: &str) -> Result<Level, Bad> {
    text.trim().parse()
}

const CONFLICTS: [(&str, ConflictMode); 2] =
    [("causal", ConflictMode::Causal), ("last_write_wins", ConflictMode::LastWriteWins)];

pub(super) fn conflicts(text: &str) -> Result<ConflictMode, Bad> {
    choose(text, &CONFLICTS)
}

pub(super) fn show_conflicts(mode: ConflictMode) -> String {
    name_of(&mode, &CONFLICTS)
}

const SIBLINGS: [(&str, Siblings); 2] = [("error", Siblings::Error), ("newest", Siblings::Newest)];

pub(super) fn siblings(text: &str) -> Result<Siblings, Bad> {
    choose(text, &SIBLINGS)
}

pub(super) fn show_siblings(siblings: Siblings) -> String {
    name_of(&siblings, &SIBLINGS)
}

const DURABILITY: [(&str, Durability); 2] =
    [("synced", Durability::Synced), ("buffered", Durability::Buffered)];

pub(super) fn durability(text: &str) -> Result<Durability, Bad> {
    choose(text, &DURABILITY)
}

pub(super) fn show_durability(durability: Durability) -> String {
    name_of(&durability, &DURABILITY)
}

const LOG: [(&str, tracing::Level); 5] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

pub(super) fn log_level(text: &str) -> Result<tracing::Level, Bad> {
    choose(text, &LOG)
}

pub(super) fn show_log_level(level: tracing::Level) -> String {
    name_of(&level, &LOG)
}

/// A host or an address, and a port. What the name stands for is asked when it is used.
pub(super) fn address(text: &str) -> Result<String, Bad> {
    let bad = || format!("`{text}` is not an address; write HOST:PORT, such as 127.0.0.1:6379");
    let text = text.trim();
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let wrong_colon = bare.contains(':') && bare.len() == host.len();
    if bare.is_empty() || wrong_colon || bare.contains(char::is_whitespace) || port.parse::<u16>().is_err() {
        return Err(bad());
    }
    Ok(text.to_owned())
}

/// A number between two bounds.
pub(super) fn number(text: &str, least: u64, most: u64) -> Result<u64, Bad> {
    let number = text.trim().parse::<u64>().ok().filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| format!("`{text}` is not a number from {least} to {most}"))
}

/// A number of bytes between two bounds.
pub(super) fn size(text: &str, least: u64, most: u64) -> Result<u64, Bad> {
    let bytes = parse_size(text).map_err(|e| e.to_string())?;
    if (least..=most).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("`{text}` is not between {least} and {most} bytes"))
    }
}

/// A time: a number and `ms`, `s`, `m` or `h`; without a unit, seconds.
pub(super) fn duration(text: &str) -> Result<Duration, Bad> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let millis = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let total = number.parse::<u64>().ok().and_then(|n| n.checked_mul(millis));
    // A year is longer than anybody means.
    let total = total.filter(|total| (1..=31_536_000_000).contains(total));
    total
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not a time; write one like 500ms, 5s or 2m"))
}

/// A time of at most so many seconds, and of a millisecond at least.
pub(super) fn duration_up_to(text: &str, seconds: u64) -> Result<Duration, Bad> {
    let time = duration(text)?;
    match time {
        Duration::ZERO => Err(format!("`{text}` is no time to wait; give 1ms or more")),
        time if time > Duration::from_secs(seconds) => {
            Err(format!("`{text}` is longer than the {seconds} s that are possible; give less"))
        }
        time => Ok(time),
    }
}

pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// A number of bytes, in the largest unit that shows it whole.
pub(super) fn show_size(bytes: u64) -> String {
    for (unit, name) in [(1u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["127.0.0.1:0", "localhost:6379", "[::1]:80", " node-1.example:7379 "] {
            assert_eq!(address(good).as_deref(), Ok(good.trim()));
        }
        for bad in ["", "localhost", ":80", "::1:80", "host:70000", "host:", "a b:1", "[]:1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_is_read() {
        for bytes in [0, 1, 1000, 10 << 10, 64 << 20, 3 << 30, (1 << 20) + 1] {
            assert_eq!(size(&show_size(bytes), 0, u64::MAX), Ok(bytes));
        }
        for millis in [1, 500, 1000, 90_000] {
            let time = Duration::from_millis(millis);
            assert_eq!(duration(&show_duration(time)), Ok(time));
        }
        for bad in ["", "0", "5 parsecs", "-1s", "99999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for name in ["ANY", "ONE", "QUORUM", "LOCAL_QUORUM", "3"] {
            assert_eq!(level(&name.to_lowercase()).map(|level| level.to_string()), Ok(name.to_owned()));
        }
    }
}
