//! The connection itself: who it is, how it is spoken to, which database it uses.

use super::arguments::{is, parse_integer};
use super::check_unrestricted;
use crate::resp::access::DEFAULT_USER;
use crate::resp::clients::Client;
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::session::Replies;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

pub(super) fn ping(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    match args.len() {
        1 => context.reply.simple("PONG"),
        2 => context.reply.bulk(args.get(1)),
        _ => return Err(Refusal::arity("ping")),
    }
    Ok(Flow::Done)
}

pub(super) fn quit(context: &mut Context<'_>, _args: Args<'_>) -> Ran {
    context.reply.ok();
    Ok(Flow::Close)
}

pub(super) fn reset(context: &mut Context<'_>, _args: Args<'_>) -> Ran {
    context.settle_order();
    context.session.reset(context.server);
    context.reply.speak_resp3(false);
    context.reply.simple("RESET");
    Ok(Flow::Done)
}

pub(super) fn select(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let number = parse_integer(args.get(1)).ok_or(Refusal::fixed("ERR invalid DB index"))?;
    let database = usize::try_from(number).ok().and_then(|n| Some((n, context.server.databases.get(n)?)));
    let (number, database) = database.ok_or(Refusal::fixed("ERR DB index is out of range"))?;
    if let Some(user) = context.session.user.as_ref().filter(|user| !user.may_use(&database.name)) {
        return Err(Refusal::new(format!(
            "NOPERM User {} has no permissions to access the keyspace '{}'",
            user.name, database.name
        )));
    }
    context.settle_order();
    context.session.select(number);
    context.reply.ok();
    Ok(Flow::Done)
}

fn become_user(context: &mut Context<'_>, name: &[u8], password: &[u8]) -> Result<(), Refusal> {
    let server = context.server;
    let Some(user) = server.access.authenticate(name, password) else {
        server.metrics.auth_failures.add(1);
        return Err(Refusal::fixed("WRONGPASS invalid username-password pair or user is disabled."));
    };
    context.session.become_user(Some(user.clone()));
    Ok(())
}

pub(super) fn auth(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    match args.len() {
        2 if !context.server.access.has_default_password() => {
            return Err(Refusal::fixed(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ));
        }
        2 => become_user(context, DEFAULT_USER.as_bytes(), args.get(1))?,
        3 => become_user(context, args.get(1), args.get(2))?,
        _ => return Err(Refusal::SYNTAX),
    }
    context.reply.ok();
    Ok(Flow::Done)
}

/// What a name may be: shown in lists whose fields are separated by spaces and lines.
fn printable(text: &[u8]) -> Result<String, Refusal> {
    let fits = text.len() <= 256 && text.iter().all(u8::is_ascii_graphic);
    fits.then(|| String::from_utf8_lossy(text).into_owned())
        .ok_or(Refusal::fixed("ERR Client names cannot contain spaces, newlines or special characters."))
}

pub(super) fn hello(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let mut resp3 = context.session.resp3;
    if args.len() > 1 {
        resp3 = match parse_integer(args.get(1)) {
            Some(2) => false,
            Some(3) => true,
            Some(_) => return Err(Refusal::fixed("NOPROTO unsupported protocol version")),
            None => {
                return Err(Refusal::fixed("ERR Protocol version is not an integer or out of range"));
            }
        };
    }
    let (mut user, mut name) = (None, None);
    let mut at = 2;
    while at < args.len() {
        let word = args.get(at);
        if is(word, "AUTH") && at + 2 < args.len() {
            user = Some((args.get(at + 1), args.get(at + 2)));
            at += 3;
        } else if is(word, "SETNAME") && at + 1 < args.len() {
            name = Some(printable(args.get(at + 1))?);
            at += 2;
        } else {
            let word = String::from_utf8_lossy(word);
            return Err(Refusal::new(format!("ERR Syntax error in HELLO option '{word}'")));
        }
    }
    if let Some((user, password)) = user {
        become_user(context, user, password)?;
    }
    if context.session.user.is_none() {
        return Err(Refusal::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        context.session.client.words().name = name;
    }
    context.session.speak_resp3(resp3);
    let reply = &mut context.reply;
    reply.speak_resp3(resp3);
    reply.map(7);
    for (field, text) in [("server", "esker"), ("version", super::server::REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(context.session.client.id as i64);
    for (field, text) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(text.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(Flow::Done)
}

pub(super) fn client(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let word = args.get(1).to_ascii_uppercase();
    match (word.as_slice(), args.len()) {
        (b"ID", 2) => context.reply.integer(context.session.client.id as i64),
        (b"GETNAME", 2) => {
            let name = context.session.client.words().name.clone();
            context.reply.optional(Some(name.as_bytes()).filter(|name| !name.is_empty()));
        }
        (b"SETNAME", 3) => {
            context.session.client.words().name = printable(args.get(2))?;
            context.reply.ok();
        }
        (b"SETINFO", 4) => {
            let text = printable(args.get(3))?;
            let mut words = context.session.client.words();
            match args.get(2) {
                w if is(w, "LIB-NAME") => words.library = text,
                w if is(w, "LIB-VER") => words.library_version = text,
                w => {
                    let word = String::from_utf8_lossy(w);
                    return Err(Refusal::new(format!("ERR Unrecognized option '{word}'")));
                }
            }
            drop(words);
            context.reply.ok();
        }
        (b"INFO", 2) => {
            let line = line(&context.session.client);
            context.reply.verbatim(&line);
        }
        (b"LIST", _) => {
            check_unrestricted(context.session, "client|list")?;
            let lines: String = context.server.clients.all().iter().map(|client| line(client)).collect();
            context.reply.verbatim(&lines);
        }
        (b"NO-EVICT" | b"NO-TOUCH", 3) if is(args.get(2), "ON") || is(args.get(2), "OFF") => {
            context.reply.ok();
        }
        (b"REPLY", 3) => {
            context.session.replies = match args.get(2) {
                w if is(w, "ON") => Replies::On,
                w if is(w, "OFF") => Replies::Off,
                w if is(w, "SKIP") && context.session.replies == Replies::Off => Replies::Off,
                w if is(w, "SKIP") => Replies::SkipNext,
                _ => return Err(Refusal::SYNTAX),
            };
            context.reply.ok();
        }
        (b"KILL", 3..) => {
            check_unrestricted(context.session, "client|kill")?;
            kill(context, args.from(2))?;
        }
        (b"GETREDIR", 2) => context.reply.integer(-1),
        (b"UNPAUSE", 2) => context.reply.ok(),
        _ => return Err(unknown_subcommand(args, "CLIENT")),
    }
    Ok(Flow::Done)
}

/// What is said of a subcommand that is not there, or has other arguments.
pub(super) fn unknown_subcommand(args: Args<'_>, command: &str) -> Refusal {
    let word = String::from_utf8_lossy(args.get(1)).into_owned();
    Refusal::new(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {command} HELP."
    ))
}

/// `CLIENT KILL address`, or with filters that all have to fit.
fn kill(context: &mut Context<'_>, filters: Args<'_>) -> Result<(), Refusal> {
    let own = context.session.client.id;
    let all = context.server.clients.all();
    if filters.len() == 1 {
        let wanted = filters.get(0);
        let found = all.iter().find(|client| client.address.to_string().as_bytes() == wanted);
        found.ok_or(Refusal::fixed("ERR No such client"))?.kill();
        context.reply.ok();
        return Ok(());
    }
    if filters.len() % 2 == 1 {
        return Err(Refusal::SYNTAX);
    }
    let mut killed = 0;
    let pairs = filters.iter().step_by(2).zip(filters.from(1).iter().step_by(2));
    let mut skip_own = true;
    for (word, value) in pairs.clone() {
        match word {
            w if is(w, "ID") && parse_integer(value).is_some_and(|id| id > 0) => {}
            w if is(w, "ID") => return Err(Refusal::fixed("ERR client-id should be greater than 0")),
            w if is(w, "ADDR") || is(w, "LADDR") || is(w, "USER") => {}
            w if is(w, "SKIPME") && is(value, "YES") => {}
            w if is(w, "SKIPME") && is(value, "NO") => skip_own = false,
            w if is(w, "TYPE") && is(value, "NORMAL") => {}
            _ => return Err(Refusal::SYNTAX),
        }
    }
    for client in &all {
        let fits = pairs.clone().all(|(word, value)| match word {
            w if is(w, "ID") => parse_integer(value) == Some(client.id as i64),
            w if is(w, "ADDR") => client.address.to_string().as_bytes() == value,
            w if is(w, "LADDR") => client.local.to_string().as_bytes() == value,
            w if is(w, "USER") => client.words().user.as_bytes() == value,
            _ => true,
        });
        if fits && !(skip_own && client.id == own) {
            client.kill();
            killed += 1;
        }
    }
    context.reply.integer(killed);
    Ok(())
}

/// A connection as `CLIENT LIST` shows it.
fn line(client: &Client) -> String {
    let words = client.words().clone();
    let place = client.last_command.load(Ordering::Relaxed);
    let command = super::TABLE.get(place).map_or("NULL", |command| command.name);
    let age = client.since.elapsed();
    let idle = (age.as_millis() as u64).saturating_sub(client.last_active.load(Ordering::Relaxed)) / 1000;
    let mut line = String::new();
    let _ = writeln!(
        line,
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={idle} flags=N db={} sub=0 psub=0 ssub=0 multi=-1 watch=0 \
         tot-cmds={} events=r cmd={command} user={} redir=-1 resp={} lib-name={} lib-ver={}",
        client.id,
        client.address,
        client.local,
        words.name,
        age.as_secs(),
        client.database.load(Ordering::Relaxed),
        client.commands.load(Ordering::Relaxed),
        words.user,
        client.protocol.load(Ordering::Relaxed),
        words.library,
        words.library_version,
    );
    line
}
