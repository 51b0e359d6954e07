//! Sizes as people write them: `4096`, `64MiB`, `1G`.

use super::Malformed;

/// Parses a number of bytes. Without a unit it counts bytes; `K`, `M`, `G`, `T` (also with `iB`) are powers of 1024, and
/// with `B` (`kB`, `MB`) powers of 1000. Capitals do not matter.
pub(crate) fn parse_size(text: &str) -> Result<u64, Malformed> {
    let bad = || {
        Malformed::new(format!("`{text}` is not a size; write a number of bytes, or one like 64MiB or 1G"))
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (letter, rest) = unit.split_at(unit.chars().next().map_or(0, char::len_utf8));
    let power = match letter {
        "" | "b" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(bad()),
    };
    let base: u64 = match (power, rest) {
        (0, "") | (1.., "" | "i" | "ib") => 1024,
        (1.., "b") => 1000,
        _ => return Err(bad()),
    };
    let unit = base.pow(power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit).ok_or_else(bad);
    }
    match number.parse::<f64>() {
        Ok(fraction) if power > 0 && fraction.is_finite() && fraction * (unit as f64) < 9e18 => {
            Ok((fraction * unit as f64) as u64)
        }
        _ => Err(bad()),
    }
}

/// A number of bytes for people: three figures and a unit.
pub(crate) fn human_size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1023.5 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("1k", 1024),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1G", 1 << 30),
            ("1Gi", 1 << 30),
            ("2T", 2 << 40),
            ("10MB", 10_000_000),
            ("1.5K", 1536),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "x", "MiB", "-1", "1.5", "1X", "1KK", "1iB", "99999999999T", "1..5K", "NaN", "1 0", "\u{fc}"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_people() {
        assert_eq!(human_size(0), "0 B");
        assert_eq!(human_size(1023), "1023 B");
        assert_eq!(human_size(1024), "1.0 KiB");
        assert_eq!(human_size(64 << 20), "64.0 MiB");
        assert_eq!(human_size(1 << 50), "1024.0 TiB");
    }
}
