//! Values: `GET`, `SET` and their relatives.

use super::arguments::{Unit, integer, is};
use crate::database::{Change, Entry, Expiry};
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use std::borrow::Cow;

fn value(entry: Option<&Entry>) -> Option<&[u8]> {
    entry.map(|entry| entry.value.as_bytes())
}

pub(super) fn get(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.read(args.get(1), |entry, reply| {
        reply.optional(value(entry));
        Ok(())
    })
}

/// What stands behind the value of `SET`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetOptions {
    expiry: Expiry,
    /// Only if the key is there, or only if it is not.
    only_if_there: Option<bool>,
    answer_old: bool,
}

fn set_options(args: Args<'_>, command: &str) -> Result<SetOptions, Refusal> {
    let mut options = SetOptions { expiry: Expiry::Never, only_if_there: None, answer_old: false };
    let mut at = 3;
    while at < args.len() {
        let word = args.get(at);
        if (is(word, "NX") || is(word, "XX")) && options.only_if_there.is_none() {
            options.only_if_there = Some(is(word, "XX"));
        } else if is(word, "GET") {
            options.answer_old = true;
        } else if is(word, "KEEPTTL") && options.expiry == Expiry::Never {
            options.expiry = Expiry::Keep;
        } else if let Some(unit) = Unit::of_option(word)
            && options.expiry == Expiry::Never
            && at + 1 < args.len()
        {
            at += 1;
            options.expiry = Expiry::At(unit.expiry(args.get(at), command)?);
        } else {
            return Err(Refusal::SYNTAX);
        }
        at += 1;
    }
    Ok(options)
}

pub(super) fn set(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let (key, value) = (args.get(1), args.get(2));
    let options = if args.len() == 3 {
        SetOptions { expiry: Expiry::Never, only_if_there: None, answer_old: false }
    } else {
        set_options(args, "set")?
    };
    let blind = options.only_if_there.is_none() && !options.answer_old && options.expiry != Expiry::Keep;
    if blind {
        return context.put(std::iter::once((key, value)), options.expiry);
    }
    context.keeps_ttl = options.only_if_there.is_none() && !options.answer_old;
    context.modify(
        key,
        |entry| {
            let wanted = options.only_if_there.is_none_or(|there| there == entry.is_some());
            let change =
                if wanted { Change::Put(Cow::Borrowed(value), options.expiry) } else { Change::None };
            Ok((change, (wanted, entry.cloned())))
        },
        |(written, old), reply| {
            if options.answer_old {
                reply.optional(old.as_ref().map(|entry| entry.value.as_bytes()));
            } else if written {
                reply.ok();
            } else {
                reply.null();
            }
        },
    )
}

pub(super) fn setnx(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.modify(
        args.get(1),
        |entry| {
            let change = match entry {
                Some(_) => Change::None,
                None => Change::Put(Cow::Borrowed(args.get(2)), Expiry::Never),
            };
            Ok((change, entry.is_none()))
        },
        |written, reply| reply.flag(written),
    )
}

fn set_with_expiry(context: &mut Context<'_>, args: Args<'_>, unit: Unit) -> Ran {
    let at = unit.expiry(args.get(2), context.command.name)?;
    context.put(std::iter::once((args.get(1), args.get(3))), Expiry::At(at))
}

pub(super) fn setex(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    set_with_expiry(context, args, Unit::Seconds)
}

pub(super) fn psetex(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    set_with_expiry(context, args, Unit::Millis)
}

fn answer_old(old: Option<Entry>, reply: &mut Reply<'_>) {
    reply.optional(value(old.as_ref()));
}

pub(super) fn getset(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.modify(
        args.get(1),
        |entry| Ok((Change::Put(Cow::Borrowed(args.get(2)), Expiry::Never), entry.cloned())),
        answer_old,
    )
}

pub(super) fn getdel(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.modify(
        args.get(1),
        |entry| Ok((if entry.is_some() { Change::Delete } else { Change::None }, entry.cloned())),
        answer_old,
    )
}

pub(super) fn getex(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let expiry = match (args.len(), args.get(2)) {
        (2, _) => return get(context, args),
        (3, word) if is(word, "PERSIST") => Expiry::Never,
        (4, word) => {
            let unit = Unit::of_option(word).ok_or(Refusal::SYNTAX)?;
            Expiry::At(unit.expiry(args.get(3), "getex")?)
        }
        _ => return Err(Refusal::SYNTAX),
    };
    context.modify(
        args.get(1),
        |entry| Ok((if entry.is_some() { Change::Expire(expiry) } else { Change::None }, entry.cloned())),
        answer_old,
    )
}

pub(super) fn mget(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let limit = usize::try_from(context.server.config.client_output_limit).unwrap_or(usize::MAX);
    context.read_many(args.from(1), move |entries, reply| {
        // Values of one key named many times are shared until they are written here.
        let bytes: usize = entries.iter().flatten().map(|entry| entry.value.len()).sum();
        if bytes > limit {
            return Err(Refusal::new(format!(
                "ERR the values have {bytes} bytes, more than the {limit} that client-output-limit allows; ask for fewer keys"
            )));
        }
        reply.array(entries.len());
        entries.iter().for_each(|entry| reply.optional(value(entry.as_ref())));
        Ok(())
    })
}

/// The pairs behind the name.
fn pairs<'a>(
    args: Args<'a>,
    command: &str,
) -> Result<impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a>, Refusal> {
    if args.len().is_multiple_of(2) {
        return Err(Refusal::arity(command));
    }
    let (keys, values) = (args.from(1).iter().step_by(2), args.from(2).iter().step_by(2));
    Ok(keys.zip(values))
}

pub(super) fn mset(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.put(pairs(args, "mset")?, Expiry::Never)
}

pub(super) fn msetnx(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let pairs = pairs(args, "msetnx")?;
    for (key, value) in pairs.clone() {
        context.check_pair(key, value.len())?;
    }
    let keys = pairs.clone().map(|(key, _)| key);
    context.modify_many(
        keys,
        |entries| {
            let free = entries.iter().all(Option::is_none);
            let put =
                |value| if free { Change::Put(Cow::Borrowed(value), Expiry::Never) } else { Change::None };
            (pairs.clone().map(|(_, value)| put(value)).collect(), free)
        },
        |written, reply| reply.flag(written),
    )
}

pub(super) fn strlen(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.read(args.get(1), |entry, reply| {
        reply.size(value(entry).unwrap_or_default().len());
        Ok(())
    })
}

pub(super) fn append(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.modify(
        args.get(1),
        |entry| {
            let mut longer = value(entry).unwrap_or_default().to_vec();
            longer.extend_from_slice(args.get(2));
            let len = longer.len();
            Ok((Change::Put(Cow::Owned(longer), Expiry::Keep), len))
        },
        |len, reply| reply.size(len),
    )
}

/// The part of a value between two places, both included; negative ones count from the end.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    let len = value.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let place = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (place(start), place(end).min(len - 1));
    if start > end || len == 0 {
        return &[];
    }
    value.get(start as usize..=end as usize).unwrap_or_default()
}

pub(super) fn getrange(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
    context.read(args.get(1), move |entry, reply| {
        reply.bulk(part(value(entry).unwrap_or_default(), start, end));
        Ok(())
    })
}

pub(super) fn setrange(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let patch = args.get(3);
    let offset = integer(args.get(2))?;
    let offset = usize::try_from(offset).map_err(|_| Refusal::fixed("ERR offset is out of range"))?;
    if patch.is_empty() {
        return strlen(context, args);
    }
    let len = offset.saturating_add(patch.len());
    context.check_pair(args.get(1), len)?;
    context.modify(
        args.get(1),
        |entry| {
            let mut patched = value(entry).unwrap_or_default().to_vec();
            patched.resize(patched.len().max(len), 0);
            if let Some(place) = patched.get_mut(offset..len) {
                place.copy_from_slice(patch);
            }
            let len = patched.len();
            Ok((Change::Put(Cow::Owned(patched), Expiry::Keep), len))
        },
        |len, reply| reply.size(len),
    )
}

/// Nothing to do with values, but as short: a word back.
pub(super) fn echo(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.reply.bulk(args.get(1));
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (start, end, expected) in [
            (0, 3, "This"),
            (-3, -1, "ing"),
            (0, -1, "This is a string"),
            (10, 100, "string"),
            (5, 3, ""),
            (-1, -3, ""),
            (-100, 3, "This"),
            (100, 200, ""),
            (0, -100, "T"),
            (i64::MIN + 17, i64::MAX, "This is a string"),
        ] {
            assert_eq!(part(b"This is a string", start, end), expected.as_bytes(), "{start} {end}");
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
