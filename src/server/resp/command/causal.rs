//! `EK.GET`, `EK.SET`, `EK.DEL` and `EK.LEVEL`: replicated keyspaces with their contexts, siblings and levels.

use super::arguments::is;
use crate::database::{ReplicatedKeyspace, Target};
use crate::resp::causal::found;
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use esker::Slice;
use esker_cluster::causality::{self, ContextKey};
use esker_cluster::request::{Level, Operation, Version};
use esker_cluster::store::Change;
use std::sync::Arc;

/// What stands behind the key and the value.
#[derive(Default)]
struct Options<'a> {
    level: Option<Level>,
    /// The digits of a context.
    context: Option<&'a [u8]>,
}

impl Options<'_> {
    /// The context, if one was given and is of this key.
    fn context_of(&self, key: ContextKey) -> Result<Option<causality::Context>, Refusal> {
        let Some(digits) = self.context else { return Ok(None) };
        let context = causality::Context::from_text(text(digits)?, key);
        context.map(Some).map_err(|e| Refusal::new(format!("ERR {e}")))
    }
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::SYNTAX)
}

fn level(word: &[u8]) -> Result<Level, Refusal> {
    text(word)?.parse().map_err(|e| Refusal::new(format!("ERR {e}")))
}

fn options(args: Args<'_>) -> Result<Options<'_>, Refusal> {
    let mut options = Options::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or(Refusal::SYNTAX)?;
        if is(word, "LEVEL") {
            options.level = Some(level(value)?);
        } else if is(word, "CTX") {
            options.context = Some(value);
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
fn show(versions: &[Version], context: &causality::Context, key: ContextKey, reply: &mut Reply<'_>) {
    reply.array(1 + versions.len());
    reply.bulk(context.to_text(key).as_bytes());
    versions.iter().for_each(|version| reply.bulk(&version.value));
}

pub(super) fn get(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    context.settle_order();
    let keyspace = replicated(context)?;
    let options = options(args.from(2))?;
    let id = Context::replicated_id(&keyspace)?;
    let (key, level) = (Slice::copy_from(args.get(1)), options.level.unwrap_or(context.session.levels.read));
    let bound_to = id.context_key(&key);
    let seen = options.context_of(bound_to)?;
    let request = keyspace.request(id, Operation::Get { key, context: seen }, level);
    context.ask(&keyspace, request, move |response, reply| {
        let (versions, context) = found(response)?;
        show(&versions, &context, bound_to, reply);
        Ok(())
    })
}

fn write(context: &mut Context<'_>, key: &[u8], change: Change, options: Args<'_>) -> Ran {
    context.settle_order();
    let keyspace = replicated(context)?;
    let options = self::options(options)?;
    if let Change::Put { value, .. } = &change {
        context.check_pair(key, value.len())?;
    }
    let id = Context::replicated_id(&keyspace)?;
    let (key, level) = (Slice::copy_from(key), options.level.unwrap_or(context.session.levels.write));
    let bound_to = id.context_key(&key);
    let seen = options.context_of(bound_to)?;
    let operation = Operation::Write { key, change, context: seen };
    context.ask_write(&keyspace, id, operation, level, move |context, reply| {
        reply.bulk(context.to_text(bound_to).as_bytes());
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
