//! The server as a whole: `INFO`, `CONFIG`, `TIME` and `WAIT`.

use super::arguments::{integer, is};
use super::check_unrestricted;
use super::connection::unknown_subcommand;
use crate::config::OPTIONS;
use crate::database::{Glob, Target, now_ms};
use crate::resp::context::{Context, Flow, Ran};
use crate::resp::parse::Args;
use crate::resp::refusal::Refusal;
use crate::server::Server;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

/// The version of Redis whose commands are answered as there, as clients want to hear it.
pub(super) const REDIS_VERSION: &str = "7.2.0";

pub(super) fn time(context: &mut Context<'_>, _args: Args<'_>) -> Ran {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    context.reply.array(2);
    context.reply.bulk(now.as_secs().to_string().as_bytes());
    context.reply.bulk(now.subsec_micros().to_string().as_bytes());
    Ok(Flow::Done)
}

/// The longest that `WAIT` waits.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How many replicas beside the one that took it have the last write of this connection. A write is answered when as many have
/// it as its level says, so there is nothing to wait for but what the level did not ask.
pub(super) fn wait(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    let replicas = integer(args.get(1))?;
    let millis =
        integer(args.get(2)).map_err(|_| Refusal::fixed("ERR timeout is not an integer or out of range"))?;
    let millis = u64::try_from(millis).map_err(|_| Refusal::fixed("ERR timeout is negative"))?;
    if context.must_wait() {
        return Ok(Flow::Again);
    }
    context.settle_order();
    let others = i64::from(context.session.acks.load(Ordering::Relaxed)).saturating_sub(1).max(0);
    if replicas <= others {
        context.reply.integer(others);
        return Ok(Flow::Done);
    }
    // No time is given as no limit; a client that went away is not noticed meanwhile, so there is one.
    let limit = if millis == 0 { LONGEST_WAIT } else { Duration::from_millis(millis).min(LONGEST_WAIT) };
    let server = context.server.clone();
    Ok(Flow::Later(Box::pin(async move {
        let until = tokio::time::Instant::now() + limit;
        while tokio::time::Instant::now() < until && !server.clients.is_stopping() {
            let left = until - tokio::time::Instant::now();
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
        }
        Ok(format!(":{others}\r\n").into_bytes())
    })))
}

pub(super) fn config(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    match args.get(1) {
        w if is(w, "GET") && args.len() >= 3 => config_get(context, args.from(2)),
        w if is(w, "RESETSTAT") && args.len() == 2 => {
            check_unrestricted(context.session, "config|resetstat")?;
            context.server.metrics.reset();
            context.reply.ok();
        }
        w if is(w, "SET") => {
            return Err(Refusal::fixed(
                "ERR the configuration is fixed while the server runs; change the file, a flag or the environment and start \
                 it again",
            ));
        }
        w if is(w, "REWRITE") => {
            return Err(Refusal::fixed("ERR the server never writes its configuration file"));
        }
        _ => return Err(unknown_subcommand(args, "CONFIG")),
    }
    Ok(Flow::Done)
}

/// Names of Redis that tools ask for, with what is true here.
fn redis_settings(server: &Server) -> Vec<(&'static str, String)> {
    let config = &server.config;
    let synced = config.durability == esker::Durability::Synced;
    vec![
        ("appendfsync", if synced { "always" } else { "everysec" }.to_owned()),
        ("appendonly", "yes".to_owned()),
        ("bind", config.listen_resp.rsplit_once(':').map_or("", |(host, _)| host).to_owned()),
        ("maxclients", config.max_clients.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", server.addresses.get().map_or(0, |at| at.resp.port()).to_string()),
        ("proto-max-bulk-len", config.max_request_bytes.to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ]
}

fn config_get(context: &mut Context<'_>, patterns: Args<'_>) {
    let server = context.server;
    let globs: Vec<Glob> = patterns.iter().map(|p| Glob::new(&p.to_ascii_lowercase())).collect();
    let own = OPTIONS.iter().filter(|option| option.name != "databases" && !option.is_secret());
    let mut settings: Vec<(&str, String)> =
        own.map(|option| (option.name, (option.show)(&server.config))).collect();
    settings.extend(redis_settings(server));
    // In Redis this is how many there are; tools count with it.
    settings.push(("databases", server.databases.iter().len().to_string()));
    settings.retain(|(name, _)| globs.iter().any(|glob| glob.matches(name.as_bytes())));
    context.reply.map(settings.len());
    for (name, value) in settings {
        context.reply.bulk(name.as_bytes());
        context.reply.bulk(value.as_bytes());
    }
}

/// Writes a section of `INFO`.
type Section = fn(&Server, &mut String);

/// The sections of `INFO`, and what writes each.
const SECTIONS: &[(&str, Section)] = &[
    ("Server", server_section),
    ("Clients", clients_section),
    ("Memory", memory_section),
    ("Persistence", persistence_section),
    ("Stats", stats_section),
    ("Replication", |_, text| text.push_str("role:master\r\nconnected_slaves:0\r\n")),
    ("Commandstats", commandstats_section),
    ("Cluster", |_, text| text.push_str("cluster_enabled:1\r\n")),
];

pub(super) fn info(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    if context.must_wait() {
        return Ok(Flow::Again);
    }
    let sections = args.from(1);
    let asked = |name: &str| sections.iter().any(|section| is(section, &name.to_uppercase()));
    let everything = asked("all") || asked("everything");
    let default = sections.len() == 0 || asked("default");
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if asked(name) || everything || default && *name != "Commandstats" {
            let _ = write!(text, "{}# {name}\r\n", if text.is_empty() { "" } else { "\r\n" });
            write(context.server, &mut text);
        }
    }
    if !(asked("keyspace") || everything || default) {
        context.reply.verbatim(&text);
        return Ok(Flow::Done);
    }
    // Keys are counted, which takes a while where there are many. Those of the cluster are not: every node would be asked.
    let server = context.server.clone();
    context.settle_order();
    let work = tokio::task::spawn_blocking(move || {
        text.push_str(if text.is_empty() { "# Keyspace\r\n" } else { "\r\n# Keyspace\r\n" });
        for (number, database) in server.databases.iter().enumerate() {
            let Target::Plain(keyspace) = database.target() else { continue };
            let (keys, expires) = keyspace.count()?;
            if keys > 0 {
                let _ = write!(text, "db{number}:keys={keys},expires={expires},avg_ttl=0\r\n");
            }
        }
        Ok(text)
    });
    let work = async move {
        work.await.map_err(|_| Refusal::fixed("ERR the server failed in this command; see its log"))?
    };
    context.later(work, |text: String, reply| {
        reply.verbatim(&text);
        Ok(())
    })
}

fn server_section(server: &Server, text: &mut String) {
    let uptime = server.started.elapsed().as_secs();
    let _ = write!(
        text,
        "redis_version:{REDIS_VERSION}\r\nesker_version:{}\r\nredis_mode:cluster\r\nos:{}\r\narch_bits:{}\r\n\
         process_id:{}\r\nrun_id:{}\r\ntcp_port:{}\r\nserver_time_usec:{}\r\nuptime_in_seconds:{uptime}\r\n\
         uptime_in_days:{}\r\nio_threads_active:{}\r\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        usize::BITS,
        std::process::id(),
        server.run_id,
        server.addresses.get().map_or(0, |at| at.resp.port()),
        now_ms() * 1000,
        uptime / 86_400,
        server.config.threads,
    );
}

fn clients_section(server: &Server, text: &mut String) {
    let _ = write!(
        text,
        "connected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:0\r\n",
        server.clients.count(),
        server.config.max_clients
    );
}

/// Bytes of memory that the process has, as Linux tells it.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn memory_section(server: &Server, text: &mut String) {
    let stats = server.db.stats();
    let used = stats.memtable_bytes + stats.sealed_bytes + stats.cache_bytes + stats.open_table_bytes;
    let _ = write!(
        text,
        "used_memory:{used}\r\nused_memory_rss:{}\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
         memory_budget:{}\r\n",
        resident_bytes(),
        server.config.memory_budget
    );
}

fn persistence_section(server: &Server, text: &mut String) {
    let stats = server.db.stats();
    let status = if stats.read_only.is_some() { "err" } else { "ok" };
    let _ = write!(
        text,
        "loading:0\r\naof_enabled:1\r\naof_last_write_status:{status}\r\nwal_segments:{}\r\nwal_bytes:{}\r\n\
         fsyncs:{}\r\nflushes:{}\r\ncompactions:{}\r\n",
        stats.wal_segments, stats.wal_bytes, stats.fsyncs, stats.flushes, stats.compactions
    );
}

fn stats_section(server: &Server, text: &mut String) {
    let m = &server.metrics;
    let stats = server.db.stats();
    let _ = write!(
        text,
        "total_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}\r\n\
         total_net_output_bytes:{}\r\nrejected_connections:{}\r\nexpired_keys:{}\r\nkeyspace_hits:{}\r\n\
         keyspace_misses:{}\r\nacl_access_denied_auth:{}\r\n",
        m.connections_opened.get(),
        m.total_commands(),
        m.bytes_in.get(),
        m.bytes_out.get(),
        m.connections_refused.get(),
        m.expired.get(),
        stats.hits,
        stats.gets.saturating_sub(stats.hits),
        m.auth_failures.get(),
    );
}

fn commandstats_section(server: &Server, text: &mut String) {
    for command in server.metrics.commands.iter().filter(|command| command.calls.get() > 0) {
        let (calls, errors) = (command.calls.get(), command.errors.get());
        let _ = write!(text, "cmdstat_{}:calls={calls},failed_calls={errors}\r\n", command.name);
    }
}

/// Answers to tools that look after latency: nothing is recorded here, the histogram of `/metrics` has it.
pub(super) fn latency(context: &mut Context<'_>, args: Args<'_>) -> Ran {
    match args.get(1) {
        w if is(w, "LATEST") && args.len() == 2 => context.reply.array(0),
        w if is(w, "HISTORY") && args.len() == 3 => context.reply.array(0),
        w if is(w, "RESET") => context.reply.integer(0),
        _ => return Err(unknown_subcommand(args, "LATENCY")),
    }
    Ok(Flow::Done)
}
