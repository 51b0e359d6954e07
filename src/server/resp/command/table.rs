//! The table of commands, in the order of their names.
//!
//! `SET` is a blind write or a read-modify-write, as its options say; its row says the stronger.

use super::{
    Command, Keys, Kind, causal, cluster, connection, counters, expiry, introspection, keys, scan, server,
    strings,
};

/// No keys among the arguments.
const NONE: Keys = Keys { first: 0, last: 0, step: 0 };
/// The first argument is the key.
const FIRST: Keys = Keys { first: 1, last: 1, step: 1 };
/// The second argument is the key.
const SECOND: Keys = Keys { first: 2, last: 2, step: 1 };
/// All arguments are keys.
const ALL: Keys = Keys { first: 1, last: -1, step: 1 };
/// Keys and values take turns.
const PAIRS: Keys = Keys { first: 1, last: -1, step: 2 };

macro_rules! row {
    ($name:literal $arity:literal $kind:ident $keys:ident, $group:literal, $summary:literal, $run:path) => {
        row!($name $arity $kind $keys, $group, $summary, $run, false)
    };
    ($name:literal $arity:literal $kind:ident $keys:ident, $group:literal, $summary:literal, $run:path, $strangers:literal) => {
        Command {
            name: $name,
            arity: $arity,
            kind: Kind::$kind,
            keys: $keys,
            for_strangers: $strangers,
            group: $group,
            summary: $summary,
            run: $run,
        }
    };
}

/// Every command.
#[rustfmt::skip]
pub(crate) static TABLE: &[Command] = &[
    row!("append" 3 Modify FIRST, "string", "Appends to a value; an absent key counts as empty.", strings::append),
    row!("auth" -2 Free NONE, "connection", "Says who the client is.", connection::auth, true),
    row!("client" -2 Free NONE, "connection", "About this connection and others.", connection::client),
    row!("cluster" -2 Free NONE, "cluster", "About the cluster.", cluster::cluster),
    row!("command" -1 Free NONE, "server", "About the commands.", introspection::command),
    row!("config" -2 Free NONE, "server", "About the configuration.", server::config),
    row!("dbsize" 1 Read NONE, "server", "Counts the keys of the database.", keys::dbsize),
    row!("decr" 2 Modify FIRST, "string", "Subtracts one from a number.", counters::decr),
    row!("decrby" 3 Modify FIRST, "string", "Subtracts from a number.", counters::decrby),
    row!("del" -2 Write ALL, "generic", "Deletes keys.", keys::del),
    row!("echo" 2 Free NONE, "connection", "Answers its argument.", strings::echo),
    row!("ek.del" -2 Write FIRST, "replicated", "Deletes a key; answers the context.", causal::del),
    row!("ek.get" -2 Read FIRST, "replicated", "The context and all siblings of a key.", causal::get),
    row!("ek.level" -1 Free NONE, "replicated", "Which replicas have to answer on this connection.", causal::set_levels),
    row!("ek.set" -3 Write FIRST, "replicated", "Writes a value over what its context covers; answers the context.", causal::set),
    row!("exists" -2 Read ALL, "generic", "Counts the keys that are there.", keys::exists),
    row!("expire" -3 Modify FIRST, "generic", "Sets when a key expires, in seconds from now.", expiry::expire),
    row!("expireat" -3 Modify FIRST, "generic", "Sets when a key expires, in seconds since 1970.", expiry::expireat),
    row!("expiretime" 2 Read FIRST, "generic", "When a key expires, in seconds since 1970.", expiry::expiretime),
    row!("flushall" -1 Write NONE, "server", "Deletes all keys of all databases.", keys::flushall),
    row!("flushdb" -1 Write NONE, "server", "Deletes all keys of the database.", keys::flushdb),
    row!("get" 2 Read FIRST, "string", "The value of a key.", strings::get),
    row!("getdel" 2 Modify FIRST, "string", "The value of a key, which is deleted.", strings::getdel),
    row!("getex" -2 Modify FIRST, "string", "The value of a key, whose expiry is set.", strings::getex),
    row!("getrange" 4 Read FIRST, "string", "A part of a value.", strings::getrange),
    row!("getset" 3 Modify FIRST, "string", "The value of a key, which is replaced.", strings::getset),
    row!("hello" -1 Free NONE, "connection", "Chooses the version of the protocol.", connection::hello, true),
    row!("incr" 2 Modify FIRST, "string", "Adds one to a number.", counters::incr),
    row!("incrby" 3 Modify FIRST, "string", "Adds to a number.", counters::incrby),
    row!("incrbyfloat" 3 Modify FIRST, "string", "Adds to a decimal fraction.", counters::incrbyfloat),
    row!("info" -1 Free NONE, "server", "What the server says of itself.", server::info),
    row!("keys" 2 Read NONE, "generic", "The keys that match a pattern.", scan::keys),
    row!("latency" -2 Free NONE, "server", "About latency.", server::latency),
    row!("memory" -2 Read SECOND, "server", "The bytes that a key takes.", keys::memory),
    row!("mget" -2 Read ALL, "string", "The values of keys, at one moment.", strings::mget),
    row!("mset" -3 Write PAIRS, "string", "Sets keys, all at one moment.", strings::mset),
    row!("msetnx" -3 Modify PAIRS, "string", "Sets keys if none of them is there.", strings::msetnx),
    row!("persist" 2 Modify FIRST, "generic", "Keeps a key from expiring.", expiry::persist),
    row!("pexpire" -3 Modify FIRST, "generic", "Sets when a key expires, in milliseconds from now.", expiry::pexpire),
    row!("pexpireat" -3 Modify FIRST, "generic", "Sets when a key expires, in milliseconds since 1970.", expiry::pexpireat),
    row!("pexpiretime" 2 Read FIRST, "generic", "When a key expires, in milliseconds since 1970.", expiry::pexpiretime),
    row!("ping" -1 Free NONE, "connection", "Answers PONG.", connection::ping),
    row!("psetex" 4 Write FIRST, "string", "Sets a key that expires, in milliseconds.", strings::psetex),
    row!("pttl" 2 Read FIRST, "generic", "The milliseconds until a key expires.", expiry::pttl),
    row!("quit" -1 Free NONE, "connection", "Ends the connection.", connection::quit, true),
    row!("randomkey" 1 Read NONE, "generic", "Some key.", keys::randomkey),
    row!("reset" 1 Free NONE, "connection", "Makes the connection as it was at its beginning.", connection::reset, true),
    row!("scan" -2 Read NONE, "generic", "Walks over the keys.", scan::scan),
    row!("select" 2 Free NONE, "connection", "Chooses the database.", connection::select),
    row!("set" -3 Modify FIRST, "string", "Sets a key.", strings::set),
    row!("setex" 4 Write FIRST, "string", "Sets a key that expires, in seconds.", strings::setex),
    row!("setnx" 3 Modify FIRST, "string", "Sets a key if it is not there.", strings::setnx),
    row!("setrange" 4 Modify FIRST, "string", "Writes over a part of a value.", strings::setrange),
    row!("strlen" 2 Read FIRST, "string", "The bytes of a value.", strings::strlen),
    row!("substr" 4 Read FIRST, "string", "A part of a value.", strings::getrange),
    row!("time" 1 Free NONE, "server", "The server's clock.", server::time),
    row!("touch" -2 Read ALL, "generic", "Counts the keys that are there.", keys::exists),
    row!("ttl" 2 Read FIRST, "generic", "The seconds until a key expires.", expiry::ttl),
    row!("type" 2 Read FIRST, "generic", "The kind of a key's value.", keys::type_of),
    row!("unlink" -2 Write ALL, "generic", "Deletes keys.", keys::del),
    row!("wait" 3 Free NONE, "generic", "Waits for replicas.", server::wait),
];
