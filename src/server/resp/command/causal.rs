//! `EK.GET`, `EK.SET`, `EK.DEL` and `EK.LEVEL`: replicated keyspaces with their contexts, siblings and levels.

use super::arguments::is;
use crate::database::{ReplicatedKeyspace, Target};
use crate::resp::causal::found;
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use esker::Slice;
use esker_cluster::causality;
use esker_cluster::request::{Level, Operation, Version};
use esker_cluster::store::Change;
use std::sync::Arc;

/// What stands behind the key and the value.
#[derive(Default)]
struct Options {
    level: Option<Level>,
    context: Option<causality::Context>,
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::SYNTAX)
}

fn level(word: &[u8]) -> Result<Level, Refusal> {
    text(word)?.parse().map_err(|e| Refusal::new(format!("ERR {e}")))
}

fn options(args: Args<'_>, takes_context: bool) -> Result<Options, Refusal> {
    let mut options = Options::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(Refusal::SYNTAX)?;
        if is(word, "LEVEL") {
            options.level = Some(level(value)?);
        } else if is(word, "CTX") && takes_context {
            let context = text(value)?.parse().map_err(|e| Refusal::new(format!("ERR {e}")))?;
            options.context = Some(context);
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    Ok(options)
}

fn replicated(context: &Context<'_>) -> Result<Arc<ReplicatedKeyspace>, Refusal> {
    match context.target()? {
        Target::Replicated(keyspace) => Ok(keyspace.clone()),
        Target::Plain(_) => Err(Refusal::fixed(
            "ERR this keyspace is plain: its values have no contexts, siblings or levels; `esker cluster adopt` makes it \
             replicated",
        )),
    }
}

/// A context, then the values.
fn show(found: (Vec<Version>, causality::Context), reply: &mut Reply<'_>) {
    let (versions, context) = found;
    reply.array(1 + versions.len());
    reply.bulk(context.to_string().as_bytes());
    versions.iter().for_each(|version| reply.bulk(&version.value));
}

pub(super) fn get(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.settle_order();
    let keyspace = replicated(context)?;
    let options = options(args.from(2), true)?;
    let id = Context::replicated_id(&keyspace)?;
    let (key, level) = (Slice::copy_from(args.get(1)), options.level.unwrap_or(context.session.levels.read));
    let request = keyspace.request(id, Operation::Get { key, context: options.context }, level);
    context.ask(&keyspace, request, |response, reply| {
        show(found(response)?, reply);
        Ok(())
    })
}

fn write(context: &mut Context<'_>, key: &[u8], change: Change, options: Args<'_>) -> Ran {
    context.settle_order();
    let keyspace = replicated(context)?;
    let Options { level, context: seen } = self::options(options, true)?;
    if let Change::Put { value, .. } = &change {
        context.check_pair(key, value.len())?;
    }
    let id = Context::replicated_id(&keyspace)?;
    let (key, level) = (Slice::copy_from(key), level.unwrap_or(context.session.levels.write));
    let operation = Operation::Write { key, change, context: seen };
    context.ask_write(&keyspace, id, operation, level, |context, reply| {
        reply.bulk(context.to_string().as_bytes());
    })
}

pub(super) fn set(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let change = Change::Put { value: Slice::copy_from(args.get(2)), expires_at: None };
    write(context, args.get(1), change, args.from(3))
}

pub(super) fn del(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    write(context, args.get(1), Change::Delete, args.from(2))
}

/// Shows the levels of the connection, or sets them: `EK.LEVEL level`, `EK.LEVEL READ level WRITE level`.
pub(super) fn set_levels(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let mut levels = context.session.levels;
    match args.len() {
        1 => {
            context.reply.map(2);
            context.reply.bulk(b"read");
            context.reply.bulk(levels.read.to_string().as_bytes());
            context.reply.bulk(b"write");
            context.reply.bulk(levels.write.to_string().as_bytes());
            return Ok(Flow::Done);
        }
        2 => (levels.read, levels.write) = (level(args.get(1))?, level(args.get(1))?),
        _ => {
            let mut words = args.from(1).iter();
            while let Some(word) = words.next() {
                let value = level(words.next().ok_or(Refusal::SYNTAX)?)?;
                match word {
                    w if is(w, "READ") => levels.read = value,
                    w if is(w, "WRITE") => levels.write = value,
                    _ => return Err(Refusal::SYNTAX),
                }
            }
        }
    }
    context.session.levels = levels;
    context.reply.ok();
    Ok(Flow::Done)
}
