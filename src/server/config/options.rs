//! The table of options.

use super::Config;
use super::value::{self, Bad};
use std::fmt;

/// What an option was set to, in one of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A text; where a list is wanted, its parts are separated by commas.
    Text(String),
    /// A list of the file.
    List(Vec<String>),
}

impl Choice {
    fn text(&self) -> Result<&str, Bad> {
        match self {
            Choice::Text(text) => Ok(text),
            Choice::List(_) => Err("a list is given and one value is wanted".to_owned()),
        }
    }

    fn list(&self) -> Vec<String> {
        match self {
            Choice::Text(text) => {
                text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
            }
            Choice::List(list) => list.clone(),
        }
    }
}

/// An option.
pub(crate) struct OptionInfo {
    /// Its name in the file and, behind `--`, as a flag.
    pub(crate) name: &'static str,
    /// What kind of value it takes.
    pub(crate) kind: &'static str,
    /// What it is for.
    pub(crate) what: &'static str,
    pub(crate) set: fn(&mut Config, &Choice) -> Result<(), Bad>,
    pub(crate) show: fn(&Config) -> String,
}

impl OptionInfo {
    /// The name of its environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("ESKER_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Whether its value is to be kept from those who ask.
    pub(crate) fn is_secret(&self) -> bool {
        self.name == "password"
    }
}

impl fmt::Debug for OptionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "option {}", self.name)
    }
}

macro_rules! option {
    ($name:literal, $kind:literal, $what:expr, $set:expr, $show:expr) => {
        OptionInfo { name: $name, kind: $kind, what: $what, set: $set, show: $show }
    };
}

fn optional(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

/// Every option, in the order of the reference.
pub(crate) const OPTIONS: &[OptionInfo] = &[
    option!(
        "data",
        "directory",
        "Where the store is. It is created if it is not there. Required.",
        |c, v| {
            c.data = v.text()?.into();
            Ok(())
        },
        |c| c.data.display().to_string()
    ),
    option!(
        "listen-resp",
        "address",
        "Where clients of Redis connect. Port 0 lets the system choose one, which is printed; here and below.",
        |c, v| value::address(v.text()?).map(|a| c.listen_resp = a),
        |c| c.listen_resp.clone()
    ),
    option!(
        "listen-peer",
        "address",
        "Where other nodes of the cluster connect.",
        |c, v| value::address(v.text()?).map(|a| c.listen_peer = a),
        |c| c.listen_peer.clone()
    ),
    option!(
        "listen-http",
        "address",
        "Where `/healthz`, `/readyz`, `/metrics` and `/status` are asked for.",
        |c, v| value::address(v.text()?).map(|a| c.listen_http = a),
        |c| c.listen_http.clone()
    ),
    option!(
        "advertise-resp",
        "address",
        "What clients are told instead of `listen-resp`, where that is not an address they can reach.",
        |c, v| value::address(v.text()?).map(|a| c.advertise_resp = Some(a)),
        |c| optional(&c.advertise_resp)
    ),
    option!(
        "advertise-peer",
        "address",
        "What other nodes are told instead of `listen-peer`.",
        |c, v| value::address(v.text()?).map(|a| c.advertise_peer = Some(a)),
        |c| optional(&c.advertise_peer)
    ),
    option!(
        "advertise-http",
        "address",
        "What other nodes are told instead of `listen-http`.",
        |c, v| value::address(v.text()?).map(|a| c.advertise_http = Some(a)),
        |c| optional(&c.advertise_http)
    ),
    option!(
        "join",
        "list of addresses",
        "Peer addresses of nodes of the cluster to join; none for a node that stands alone or is the first.",
        |c, v| {
            c.join = v.list().iter().map(|a| value::address(a)).collect::<Result<_, _>>()?;
            Ok(())
        },
        |c| c.join.join(",")
    ),
    option!(
        "zone",
        "name",
        "The zone that the node fails with: a rack, a power line. Replicas of a key lie in different ones if they can.",
        |c, v| {
            c.zone = v.text()?.to_owned();
            Ok(())
        },
        |c| c.zone.clone()
    ),
    option!(
        "dc",
        "name",
        "The data centre of the node, for the levels that count by data centre.",
        |c, v| {
            c.dc = v.text()?.to_owned();
            Ok(())
        },
        |c| c.dc.clone()
    ),
    option!(
        "weight",
        "number",
        "How much of the data the node takes, compared with others.",
        |c, v| value::number(v.text()?, 1, 1000).map(|n| c.weight = n as u32),
        |c| c.weight.to_string()
    ),
    option!(
        "replicas",
        "number",
        "Copies of each pair in replicated keyspaces.",
        |c, v| value::number(v.text()?, 1, 16).map(|n| c.replicas = n as u32),
        |c| c.replicas.to_string()
    ),
    option!(
        "level",
        "level",
        "How many replicas must answer where a request does not say: ANY, ONE, TWO, THREE, QUORUM, ALL, LOCAL_ONE, \
         LOCAL_QUORUM or EACH_QUORUM.",
        |c, v| value::level(v.text()?).map(|l| c.level = l),
        |c| c.level.to_string()
    ),
    option!(
        "conflicts",
        "causal or last_write_wins",
        "What becomes of concurrent writes, in the keyspaces of a cluster that this node begins: `causal` keeps them as siblings, \
         `last_write_wins` loses all but one.",
        |c, v| value::conflicts(v.text()?).map(|m| c.conflicts = m),
        |c| value::show_conflicts(c.conflicts)
    ),
    option!(
        "siblings",
        "error or newest",
        "What a plain `GET` answers when a key of a causal keyspace has several siblings.",
        |c, v| value::siblings(v.text()?).map(|s| c.siblings = s),
        |c| value::show_siblings(c.siblings)
    ),
    option!(
        "databases",
        "list of names",
        "The keyspaces that are served, in the order of the numbers that `SELECT` takes. They are created if they are not \
         there.",
        |c, v| {
            c.databases = v.list();
            if c.databases.is_empty() { Err("the list is empty; name a keyspace".to_owned()) } else { Ok(()) }
        },
        |c| c.databases.join(",")
    ),
    option!(
        "durability",
        "synced or buffered",
        "What a write has survived when it is acknowledged: synced, a power loss; buffered, a killed process.",
        |c, v| value::durability(v.text()?).map(|d| c.durability = d),
        |c| value::show_durability(c.durability)
    ),
    option!(
        "memory-budget",
        "size",
        "Memory of the store for memtables, caches and compaction.",
        |c, v| value::size(v.text()?, esker::MIN_MEMORY_BUDGET as u64, 1 << 46).map(|n| c.memory_budget = n),
        |c| value::show_size(c.memory_budget)
    ),
    option!(
        "max-pair-bytes",
        "size",
        "The largest pair that is taken, its key and its value together.",
        |c, v| value::size(v.text()?, 64, esker::MAX_VALUE_LEN as u64).map(|n| c.max_pair_bytes = n),
        |c| value::show_size(c.max_pair_bytes)
    ),
    option!(
        "max-request-bytes",
        "size",
        "The largest request that is taken, with all of its arguments. A client that sends a larger one is disconnected.",
        |c, v| value::size(v.text()?, 64 << 10, 1 << 30).map(|n| c.max_request_bytes = n),
        |c| value::show_size(c.max_request_bytes)
    ),
    option!(
        "max-clients",
        "number",
        "Connections of clients at one time. Further ones are told so and closed.",
        |c, v| value::number(v.text()?, 1, 1_000_000).map(|n| c.max_clients = n as usize),
        |c| c.max_clients.to_string()
    ),
    option!(
        "client-output-limit",
        "size",
        "Answers that may wait for one client. A client whose next answer alone is larger is disconnected.",
        |c, v| value::size(v.text()?, 64 << 10, 1 << 40).map(|n| c.client_output_limit = n),
        |c| value::show_size(c.client_output_limit)
    ),
    option!(
        "client-write-timeout",
        "time",
        "How long a client may take nothing of the answers that wait for it before it is disconnected.",
        |c, v| value::duration(v.text()?).map(|d| c.client_write_timeout = d),
        |c| value::show_duration(c.client_write_timeout)
    ),
    option!(
        "request-timeout",
        "time",
        "How long a request waits for replicas before its outcome counts as unknown; at most 60 s.",
        |c, v| value::duration_up_to(v.text()?, 60).map(|d| c.request_timeout = d),
        |c| value::show_duration(c.request_timeout)
    ),
    option!(
        "shutdown-timeout",
        "time",
        "How long a stop waits for connections to take their answers.",
        |c, v| value::duration(v.text()?).map(|d| c.shutdown_timeout = d),
        |c| value::show_duration(c.shutdown_timeout)
    ),
    option!(
        "threads",
        "number",
        "Threads that serve connections. The default leaves a processor to flush, compaction and syncs.",
        |c, v| value::number(v.text()?, 1, 1024).map(|n| c.threads = n as usize),
        |c| c.threads.to_string()
    ),
    option!(
        "log",
        "error, warn, info, debug or trace",
        "What is logged to standard error.",
        |c, v| value::log_level(v.text()?).map(|l| c.log = l),
        |c| value::show_log_level(c.log)
    ),
    option!(
        "password",
        "text",
        "The password of the user `default`. Without it, and without `users`, everybody who can connect may do everything.",
        |c, v| {
            let text = v.text()?;
            c.password = (!text.is_empty()).then(|| text.to_owned());
            Ok(())
        },
        |c| optional(&c.password)
    ),
];
