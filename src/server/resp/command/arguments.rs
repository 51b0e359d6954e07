//! What arguments say: numbers, words, times.

use crate::database::now_ms;
use crate::resp::refusal::Refusal;

/// A decimal integer, written as Redis writes it: no plus, no leading zeros, no spaces.
pub(super) fn integer(text: &[u8]) -> Result<i64, Refusal> {
    parse_integer(text).ok_or(Refusal::NOT_AN_INTEGER)
}

/// The same; nothing if it is none.
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if !canonical || digits.len() > 19 {
        return None;
    }
    let mut number = 0i64;
    for digit in digits {
        let digit = i64::from(digit.checked_sub(b'0').filter(|d| *d <= 9)?);
        // Downwards, since the least number has no positive counterpart.
        number = number.checked_mul(10)?.checked_sub(digit)?;
    }
    if text.len() > digits.len() { Some(number) } else { number.checked_neg() }
}

/// A decimal fraction.
pub(super) fn float(text: &[u8]) -> Result<f64, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::NOT_A_FLOAT)?;
    let number: f64 = text.parse().map_err(|_| Refusal::NOT_A_FLOAT)?;
    if number.is_nan() { Err(Refusal::NOT_A_FLOAT) } else { Ok(number) }
}

/// Whether an argument is this word, which is given in capitals.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds or milliseconds from here on.
    Seconds,
    Millis,
    /// Seconds or milliseconds since 1970.
    AtSeconds,
    AtMillis,
}

impl Unit {
    /// The unit that an option's word means.
    pub(super) fn of_option(word: &[u8]) -> Option<Unit> {
        [("EX", Unit::Seconds), ("PX", Unit::Millis), ("EXAT", Unit::AtSeconds), ("PXAT", Unit::AtMillis)]
            .into_iter()
            .find(|(name, _)| is(word, name))
            .map(|(_, unit)| unit)
    }

    /// The time that a number means, in milliseconds since 1970; nothing if there is no such time.
    pub(super) fn moment(self, number: i64) -> Option<i64> {
        let millis = match self {
            Unit::Seconds | Unit::AtSeconds => number.checked_mul(1000)?,
            Unit::Millis | Unit::AtMillis => number,
        };
        match self {
            Unit::Seconds | Unit::Millis => millis.checked_add(i64::try_from(now_ms()).ok()?),
            Unit::AtSeconds | Unit::AtMillis => Some(millis),
        }
    }

    /// The expiry of a key that gets a value with it: the time must lie ahead of 1970.
    pub(super) fn expiry(self, number: &[u8], command: &str) -> Result<u64, Refusal> {
        let number = integer(number)?;
        let moment = if number > 0 { self.moment(number) } else { None };
        moment.and_then(|at| u64::try_from(at).ok()).ok_or_else(|| Refusal::expire_time(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for number in [0, 1, -1, 10, -10, i64::MAX, i64::MIN] {
            assert_eq!(parse_integer(number.to_string().as_bytes()), Some(number));
        }
        for text in
            ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809", "x"]
        {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn moments_that_do_not_exist() {
        for unit in [Unit::Seconds, Unit::AtSeconds] {
            assert_eq!(unit.moment(i64::MAX), None);
        }
        assert_eq!(Unit::Millis.moment(i64::MAX), None);
        assert!(Unit::Seconds.expiry(b"0", "set").is_err());
        assert!(Unit::Seconds.expiry(b"-5", "set").is_err());
        assert_eq!(Unit::AtSeconds.expiry(b"5", "set"), Ok(5000));
    }
}
