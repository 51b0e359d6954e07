//! How the server is configured: [`Config`], from defaults, a file, the environment and flags, the later over the earlier.
//!
//! Every option stands once, in the table of [`options`]: its name, what it is, its default by way of [`Config::default`]. The flag, the
//! environment variable, the key in the file, `CONFIG GET` and `docs/configuration.md` follow from the table.

mod layers;
mod memory;
mod options;
#[cfg(test)]
mod reference;
mod value;

pub(crate) use layers::load;
pub(crate) use options::OPTIONS;
pub(crate) use value::Siblings;

use esker::Durability;
use esker_cluster::causality::ConflictMode;
use esker_cluster::request::Level;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What the server is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) listen_resp: String,
    pub(crate) listen_peer: String,
    pub(crate) listen_http: String,
    pub(crate) advertise_resp: Option<String>,
    pub(crate) advertise_peer: Option<String>,
    pub(crate) advertise_http: Option<String>,
    pub(crate) join: Vec<String>,
    pub(crate) zone: String,
    pub(crate) dc: String,
    pub(crate) weight: u32,
    pub(crate) replicas: u32,
    pub(crate) level: Level,
    pub(crate) conflicts: ConflictMode,
    pub(crate) siblings: Siblings,
    pub(crate) databases: Vec<String>,
    pub(crate) durability: Durability,
    pub(crate) memory_budget: u64,
    pub(crate) max_pair_bytes: u64,
    pub(crate) max_request_bytes: u64,
    pub(crate) max_clients: usize,
    pub(crate) client_output_limit: u64,
    pub(crate) client_write_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) threads: usize,
    pub(crate) log: tracing::Level,
    pub(crate) password: Option<String>,
    pub(crate) users: Vec<UserConfig>,
}

/// Somebody who may connect; a table `[[users]]` of the file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UserConfig {
    pub(crate) name: String,
    pub(crate) password: String,
    /// The keyspaces that are open to the user; all if there is no list.
    pub(crate) keyspaces: Option<Vec<String>>,
    pub(crate) read_only: bool,
}

impl fmt::Debug for UserConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} (keyspaces {:?}, read-only {})", self.name, self.keyspaces, self.read_only)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: PathBuf::new(),
            listen_resp: "127.0.0.1:6379".to_owned(),
            listen_peer: "127.0.0.1:7379".to_owned(),
            listen_http: "127.0.0.1:8379".to_owned(),
            advertise_resp: None,
            advertise_peer: None,
            advertise_http: None,
            join: Vec::new(),
            zone: "z1".to_owned(),
            dc: "dc1".to_owned(),
            weight: 1,
            replicas: 3,
            level: Level::Quorum,
            conflicts: ConflictMode::Causal,
            siblings: Siblings::Error,
            databases: vec![esker::DEFAULT_KEYSPACE_NAME.to_owned()],
            durability: Durability::Synced,
            memory_budget: memory::default_budget(),
            max_pair_bytes: 10 << 10,
            max_request_bytes: 16 << 20,
            max_clients: 20_000,
            client_output_limit: 64 << 20,
            client_write_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
            threads: default_threads(),
            log: tracing::Level::INFO,
            password: None,
            users: Vec::new(),
        }
    }
}

/// Flush, compaction and syncs have threads of their own, which want a processor too. And a request costs less if the thread that
/// was told of it answers it than if another one is woken.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1))
}

/// Why the server cannot start like this: a sentence that says which option, from where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Config {
    /// What no option can see for itself.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |sentence: String| Err(ConfigError(sentence));
        if self.data.as_os_str().is_empty() {
            return refuse(
                "the server needs a directory for its data; give one with `--data DIR`, or `data` in the file".to_owned(),
            );
        }
        let listen = [
            ("listen-resp", &self.listen_resp),
            ("listen-peer", &self.listen_peer),
            ("listen-http", &self.listen_http),
        ];
        for (i, (name, address)) in listen.iter().enumerate() {
            for (other, same) in listen.iter().skip(i + 1) {
                if address == same && !address.ends_with(":0") {
                    return refuse(format!(
                        "`{name}` and `{other}` are both {address}; give each listener an address of its own"
                    ));
                }
            }
        }
        let host = self.listen_peer.rsplit_once(':').map_or("", |(host, _)| host);
        if self.advertise_peer.is_none() && matches!(host, "0.0.0.0" | "[::]" | "::" | "*") {
            return refuse(format!(
                "`listen-peer` is {}, which other nodes cannot connect to; say with `advertise-peer` where they reach this one",
                self.listen_peer
            ));
        }
        for (i, name) in self.databases.iter().enumerate() {
            if self.databases.iter().skip(i + 1).any(|other| other == name) {
                return refuse(format!("`databases` names the keyspace `{name}` twice; name each once"));
            }
        }
        if self.max_request_bytes < self.max_pair_bytes + 1024 {
            return refuse(format!(
                "`max-request-bytes` is {} and has no room for a pair of {} bytes, which `max-pair-bytes` allows; raise \
                 the one or lower the other",
                self.max_request_bytes, self.max_pair_bytes
            ));
        }
        self.check_users()
    }

    fn check_users(&self) -> Result<(), ConfigError> {
        for (i, user) in self.users.iter().enumerate() {
            if self.users.iter().skip(i + 1).any(|other| other.name == user.name) {
                return Err(ConfigError(format!(
                    "the user `{}` is there twice in `users`; keep one",
                    user.name
                )));
            }
            for keyspace in user.keyspaces.iter().flatten() {
                if !self.databases.contains(keyspace) {
                    return Err(ConfigError(format!(
                        "the user `{}` may use the keyspace `{keyspace}`, which `databases` does not name; add it there, \
                         or take it off the user's list",
                        user.name
                    )));
                }
            }
        }
        if self.password.is_some() && self.users.iter().any(|user| user.name == "default") {
            return Err(ConfigError(
                "`password` is that of the user `default`, who is in `users` too; give it in one place"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
