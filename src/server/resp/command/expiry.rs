//! When keys expire: `EXPIRE`, `TTL` and their relatives.

use super::arguments::{Unit, integer, is};
use crate::database::{Change, Expiry, now_ms};
use crate::resp::context::{Context, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;

/// On which condition an expiry is set.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Conditions {
    fn of(args: Args<'_>) -> Result<Conditions, Refusal> {
        let mut conditions = Conditions::default();
        for word in args.iter() {
            let condition = match word {
                w if is(w, "NX") => &mut conditions.if_none,
                w if is(w, "XX") => &mut conditions.if_some,
                w if is(w, "GT") => &mut conditions.if_later,
                w if is(w, "LT") => &mut conditions.if_earlier,
                w => {
                    let word = String::from_utf8_lossy(w);
                    return Err(Refusal::new(format!("ERR Unsupported option {word}")));
                }
            };
            *condition = true;
        }
        let Conditions { if_none, if_some, if_later, if_earlier } = conditions;
        if if_none && (if_some || if_later || if_earlier) {
            return Err(Refusal::fixed(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if if_later && if_earlier {
            return Err(Refusal::fixed("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// Whether they allow the new time. A key that does not expire counts as one that expires later than any.
    fn allow(&self, before: Option<u64>, at: i64) -> bool {
        let later = before.is_some_and(|before| at > before as i64);
        let earlier = before.is_none_or(|before| at < before as i64);
        !(self.if_none && before.is_some()
            || self.if_some && before.is_none()
            || self.if_later && !later
            || self.if_earlier && !earlier)
    }
}

fn expire_by(context: &mut Context<'_>, args: Args<'_>, unit: Unit) -> Ran {
    let number = integer(args.get(2))?;
    let at = unit.moment(number).ok_or_else(|| Refusal::expire_time(context.command.name))?;
    let conditions = Conditions::of(args.from(3))?;
    context.modify(
        args.get(1),
        |entry| {
            if !entry.is_some_and(|entry| conditions.allow(entry.expires_at, at)) {
                return Ok((Change::None, false));
            }
            let ahead = u64::try_from(at).ok().filter(|at| *at > now_ms());
            // What expires in the past is deleted at once.
            Ok((ahead.map_or(Change::Delete, |at| Change::Expire(Expiry::At(at))), true))
        },
        |done, reply| reply.flag(done),
    )
}

pub(super) fn expire(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    expire_by(context, args, Unit::Seconds)
}

pub(super) fn pexpire(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    expire_by(context, args, Unit::Millis)
}

pub(super) fn expireat(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    expire_by(context, args, Unit::AtSeconds)
}

pub(super) fn pexpireat(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    expire_by(context, args, Unit::AtMillis)
}

/// Answers -2 for no key, -1 for one that does not expire, else what is made of the time.
fn time_left(context: &mut Context<'_>, key: &[u8], show: fn(u64, u64) -> u64) -> Ran {
    context.read(key, move |entry, reply| {
        reply.integer(match entry.map(|entry| entry.expires_at) {
            None => -2,
            Some(None) => -1,
            Some(Some(at)) => i64::try_from(show(at, now_ms())).unwrap_or(i64::MAX),
        });
        Ok(())
    })
}

pub(super) fn ttl(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    time_left(context, args.get(1), |at, now| (at.saturating_sub(now) + 500) / 1000)
}

pub(super) fn pttl(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    time_left(context, args.get(1), |at, now| at.saturating_sub(now))
}

pub(super) fn expiretime(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    time_left(context, args.get(1), |at, _| (at + 500) / 1000)
}

pub(super) fn pexpiretime(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    time_left(context, args.get(1), |at, _| at)
}

pub(super) fn persist(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.modify(
        args.get(1),
        |entry| {
            let expires = entry.is_some_and(|entry| entry.expires_at.is_some());
            Ok((if expires { Change::Expire(Expiry::Never) } else { Change::None }, expires))
        },
        |done, reply| reply.flag(done),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let none = Conditions::default();
        assert!(none.allow(None, 5) && none.allow(Some(9), 5));
        let only = |c: Conditions, none, at5, at9| {
            assert_eq!(
                (c.allow(None, 7), c.allow(Some(5), 7), c.allow(Some(9), 7)),
                (none, at5, at9),
                "{c:?}"
            );
        };
        only(Conditions { if_none: true, ..none }, true, false, false);
        only(Conditions { if_some: true, ..none }, false, true, true);
        only(Conditions { if_later: true, ..none }, false, true, false);
        only(Conditions { if_earlier: true, ..none }, true, false, true);
    }
}
