//! Values that are numbers: `INCR` and its relatives.

use super::arguments::{float, integer, parse_integer};
use crate::database::{Change, Expiry};
use crate::resp::context::{Context, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use std::borrow::Cow;

fn add(context: &mut Context<'_>, key: &[u8], difference: i64) -> Ran {
    context.modify(
        key,
        |entry| {
            let before = match entry {
                None => 0,
                Some(entry) => parse_integer(&entry.value).ok_or(Refusal::NOT_AN_INTEGER)?,
            };
            let sum = before
                .checked_add(difference)
                .ok_or(Refusal::fixed("ERR increment or decrement would overflow"))?;
            Ok((Change::Put(Cow::Owned(sum.to_string().into_bytes()), Expiry::Keep), sum))
        },
        |sum, reply| reply.integer(sum),
    )
}

pub(super) fn incr(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    add(context, args.get(1), 1)
}

pub(super) fn decr(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    add(context, args.get(1), -1)
}

pub(super) fn incrby(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    add(context, args.get(1), integer(args.get(2))?)
}

pub(super) fn decrby(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let difference = integer(args.get(2))?.checked_neg();
    add(context, args.get(1), difference.ok_or(Refusal::fixed("ERR decrement would overflow"))?)
}

pub(super) fn incrbyfloat(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let difference = float(args.get(2))?;
    context.modify(
        args.get(1),
        |entry| {
            let before = entry.map_or(Ok(0.0), |entry| float(&entry.value))?;
            let sum = before + difference;
            if !sum.is_finite() {
                return Err(Refusal::fixed("ERR increment would produce NaN or Infinity"));
            }
            let text = decimal(sum);
            Ok((Change::Put(Cow::Owned(text.clone().into_bytes()), Expiry::Keep), text))
        },
        |text, reply| reply.bulk(text.as_bytes()),
    )
}

/// A fraction without an exponent and without zeros at its end. Redis counts with more digits than `f64` has, and shows 17 of them;
/// what is shown here is the shortest text that means the same number.
fn decimal(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { format!("{number}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (number, text) in [
            (10.6, "10.6"),
            (5.0e3, "5000"),
            (-0.0, "0"),
            (3.0e-5, "0.00003"),
            (1.0e20, "100000000000000000000"),
        ] {
            assert_eq!(decimal(number), text);
        }
    }
}
