//! `COMMAND`: the table, told to clients.

use super::connection::unknown_subcommand;
use super::{Command, Kind, TABLE, arguments::is, find};
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;

pub(super) fn command(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let names = args.from(2);
    let reply = &mut context.reply;
    match args.get(1) {
        _ if args.len() == 1 => {
            reply.array(TABLE.len());
            TABLE.iter().for_each(|command| describe(command, reply));
        }
        w if is(w, "COUNT") && names.len() == 0 => reply.size(TABLE.len()),
        w if is(w, "LIST") && names.len() == 0 => {
            reply.array(TABLE.len());
            TABLE.iter().for_each(|command| reply.bulk(command.name.as_bytes()));
        }
        w if is(w, "INFO") && names.len() == 0 => {
            reply.array(TABLE.len());
            TABLE.iter().for_each(|command| describe(command, reply));
        }
        w if is(w, "INFO") => {
            reply.array(names.len());
            for name in names.iter() {
                match find(name).and_then(|place| TABLE.get(place)) {
                    Some(command) => describe(command, reply),
                    None => reply.null(),
                }
            }
        }
        w if is(w, "DOCS") => {
            let asked =
                |c: &&Command| names.len() == 0 || names.iter().any(|name| is(name, &c.name.to_uppercase()));
            reply.map(TABLE.iter().filter(asked).count());
            TABLE.iter().filter(asked).for_each(|command| document(command, reply));
        }
        w if is(w, "GETKEYS") && names.len() > 0 => keys_of(names, reply)?,
        _ => return Err(unknown_subcommand(args, "COMMAND")),
    }
    Ok(Flow::Done)
}

/// Name, arity, flags, where the keys are, categories; then tips, key specifications and subcommands, of which there are none.
fn describe(command: &Command, reply: &mut Reply<'_>) {
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(command.arity);
    let (flag, category) = match command.kind {
        Kind::Free => ("fast", "@connection"),
        Kind::Read => ("readonly", "@read"),
        Kind::Write | Kind::Modify => ("write", "@write"),
    };
    let flags = [Some(flag), command.for_strangers.then_some("no_auth")];
    reply.set(flags.iter().flatten().count());
    flags.iter().flatten().for_each(|flag| reply.simple(flag));
    for number in [command.keys.first, command.keys.last, command.keys.step] {
        reply.integer(number);
    }
    reply.set(2);
    reply.simple(category);
    reply.simple(&format!("@{}", command.group));
    for _ in 0..3 {
        reply.array(0);
    }
}

fn document(command: &Command, reply: &mut Reply<'_>) {
    reply.bulk(command.name.as_bytes());
    reply.map(3);
    for (field, text) in [("summary", command.summary), ("since", "1.0.0"), ("group", command.group)] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
}

/// The keys among the arguments of a command.
fn keys_of(args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
    let command = find(args.get(0)).and_then(|place| TABLE.get(place));
    let command = command.ok_or(Refusal::fixed("ERR Invalid command specified"))?;
    let count = args.len() as i64;
    if count != command.arity && (command.arity > 0 || count < -command.arity) {
        return Err(Refusal::fixed("ERR Invalid number of arguments specified for command"));
    }
    let keys = command.keys;
    if keys.step <= 0 {
        return Err(Refusal::fixed("ERR The command has no key arguments"));
    }
    let last = if keys.last < 0 { count + keys.last } else { keys.last };
    let places: Vec<i64> = (keys.first..=last).step_by(keys.step as usize).collect();
    reply.array(places.len());
    places.iter().for_each(|place| reply.bulk(args.get(*place as usize)));
    Ok(())
}
