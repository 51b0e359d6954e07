//! Keys, whatever their value: `DEL`, `EXISTS`, `TYPE`, `FLUSHDB` and their relatives.

use super::arguments::is;
use crate::database::{Target, hash};
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::writes::durable;
use std::time::SystemTime;

pub(super) fn del(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.delete(args.from(1))
}

pub(super) fn exists(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.read_many(args.from(1), |entries, reply| {
        reply.size(entries.iter().flatten().count());
        Ok(())
    })
}

pub(super) fn type_of(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.read(args.get(1), |entry, reply| {
        reply.simple(if entry.is_some() { "string" } else { "none" });
        Ok(())
    })
}

pub(super) fn dbsize(context: &mut Context<'_>, _args: Args<'_>) -> Ran {
    context.settle_order();
    if let Target::Replicated(keyspace) = context.target()? {
        let walk = context.walk(keyspace)?;
        return context.later(async move { walk.count().await }, |count, reply| {
            reply.size(count as usize);
            Ok(())
        });
    }
    context.aside(|keyspace| Ok(keyspace.count()?.0), |count, reply| reply.size(count as usize))
}

pub(super) fn randomkey(context: &mut Context<'_>, _args: Args<'_>) -> Ran {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    let random = hash(&time.to_le_bytes());
    context.settle_order();
    if let Target::Replicated(keyspace) = context.target()? {
        let walk = context.walk(keyspace)?;
        return context.later(async move { walk.random_key(random).await }, |key, reply| {
            reply.optional(key.as_deref());
            Ok(())
        });
    }
    context
        .aside(move |keyspace| Ok(keyspace.random_key(random)?), |key, reply| reply.optional(key.as_deref()))
}

/// The words that say how a flush is to be done; here it is always the same.
fn check_flush(args: Args<'_>) -> Result<(), Refusal> {
    match args.len() {
        1 => Ok(()),
        2 if is(args.get(1), "ASYNC") || is(args.get(1), "SYNC") => Ok(()),
        _ => Err(Refusal::SYNTAX),
    }
}

pub(super) fn flushdb(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    check_flush(args)?;
    if context.must_wait() {
        return Ok(Flow::Again);
    }
    context.settle_order();
    match context.target()? {
        Target::Plain(keyspace) => {
            context.answer_commit(Some(keyspace.clear()?), |reply| reply.ok());
            Ok(Flow::Done)
        }
        Target::Replicated(keyspace) => {
            let walk = context.walk(keyspace)?;
            context.later(async move { walk.clear().await }, |(), reply| {
                reply.ok();
                Ok(())
            })
        }
    }
}

pub(super) fn flushall(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    check_flush(args)?;
    if context.must_wait() {
        return Ok(Flow::Again);
    }
    context.settle_order();
    let server = context.server;
    let user = context.session.user.clone();
    if let Some(database) = server
        .databases
        .iter()
        .find(|database| user.as_ref().is_some_and(|user| !user.may_use(&database.name)))
    {
        return Err(Refusal::new(format!(
            "NOPERM the keyspace '{}' is not open to this user; FLUSHDB clears one",
            database.name
        )));
    }
    let (mut last, mut walks) = (None, Vec::new());
    for database in server.databases.iter() {
        match database.target() {
            Target::Plain(keyspace) => last = Some(keyspace.clear()?),
            // One that the cluster does not have yet is empty.
            Target::Replicated(keyspace) if keyspace.id().is_none() => {}
            Target::Replicated(keyspace) => walks.push(context.walk(keyspace)?),
        }
    }
    if walks.is_empty() {
        context.answer_commit(last, |reply| reply.ok());
        return Ok(Flow::Done);
    }
    let work = async move {
        for walk in walks {
            walk.clear().await?;
        }
        match last {
            Some(commit) => Ok(durable(commit).await?),
            None => Ok(()),
        }
    };
    context.later(work, |(), reply| {
        reply.ok();
        Ok(())
    })
}

/// Bytes of the pair, and of what the memtable keeps with it.
pub(super) fn memory(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    if !is(args.get(1), "USAGE") || args.len() < 3 {
        return Err(Refusal::new("ERR unknown subcommand; MEMORY knows USAGE key"));
    }
    let key_len = args.get(2).len();
    context.read(args.get(2), move |entry, reply| {
        match entry {
            Some(entry) => reply.size(key_len + entry.value.len() + 16),
            None => reply.null(),
        }
        Ok(())
    })
}
