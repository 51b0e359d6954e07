//! Walks over keys: `SCAN` and `KEYS`. Keys come in their order.

use super::arguments::{integer, is};
use crate::database::{Glob, Ground, Page, Target, Wanted};
use crate::resp::context::{Context, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::resp::reply::Reply;
use crate::resp::walk::too_many;

/// Keys looked at for one answer, if the client does not say.
const DEFAULT_COUNT: usize = 10;

/// Keys looked at for one answer at most: what a client asks for must not become one answer without end.
const MAX_COUNT: usize = 100_000;

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn scan(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let cursor = number(args.get(1)).ok_or(Refusal::fixed("ERR invalid cursor"))?;
    let mut wanted = Wanted { pattern: None, count: DEFAULT_COUNT };
    let mut strings = true;
    let mut rest = args.from(2).iter();
    while let Some(word) = rest.next() {
        let value = rest.next().ok_or(Refusal::SYNTAX)?;
        if is(word, "MATCH") {
            wanted.pattern = Some(Glob::new(value));
        } else if is(word, "COUNT") {
            let count = usize::try_from(integer(value)?).ok().filter(|count| *count > 0);
            wanted.count = count.ok_or(Refusal::SYNTAX)?.min(MAX_COUNT);
        } else if is(word, "TYPE") {
            strings = is(value, "string");
        } else {
            return Err(Refusal::SYNTAX);
        }
    }
    let server = context.server.clone();
    let is_plain = matches!(context.target()?, Target::Plain(_));
    let ground = Ground { database: context.session.database, is_plain };
    let from = match cursor {
        0 => Vec::new(),
        cursor => server.databases.cursors.place(ground, cursor).ok_or(Refusal::fixed(
            "ERR invalid cursor: it was not given out here, or too long ago; begin again with 0",
        ))?,
    };
    let answer = move |page: Page, reply: &mut Reply<'_>| {
        let next = page.next.map_or(0, |from| server.databases.cursors.remember(ground, from));
        reply.array(2);
        reply.bulk(next.to_string().as_bytes());
        keys_answer(if strings { &page.keys } else { &[] }, reply);
    };
    context.settle_order();
    if let Target::Replicated(keyspace) = context.target()? {
        let walk = context.walk(keyspace)?;
        return context.later(async move { walk.page(from, wanted).await }, move |page, reply| {
            answer(page, reply);
            Ok(())
        });
    }
    context.aside(move |keyspace| Ok(keyspace.page(&from, &wanted)?), answer)
}

fn keys_answer(keys: &[Vec<u8>], reply: &mut Reply<'_>) {
    reply.array(keys.len());
    keys.iter().for_each(|key| reply.bulk(key));
}

/// The keys of an answer, encoded one after the other as they are met: they are never held twice.
pub(super) fn keys(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let pattern = Glob::new(args.get(1));
    let limit = context.server.config.client_output_limit as usize;
    context.settle_order();
    if let Target::Replicated(keyspace) = context.target()? {
        let walk = context.walk(keyspace)?;
        return context.later(async move { walk.keys(pattern, limit).await }, |(count, bytes), reply| {
            reply.array(count);
            reply.encoded(&bytes);
            Ok(())
        });
    }
    context.aside(
        move |keyspace| {
            let (mut count, mut bytes) = (0, Vec::new());
            let mut encoded = Reply::new(&mut bytes, false);
            keyspace.visit_matching(&pattern, |key| {
                count += 1;
                encoded.bulk(key);
                encoded.len() <= limit
            })?;
            if encoded.len() > limit {
                return Err(too_many(limit));
            }
            Ok((count, bytes))
        },
        |(count, bytes), reply| {
            reply.array(count);
            reply.encoded(&bytes);
        },
    )
}
