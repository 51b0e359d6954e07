//! [`Server`]: everything that connections share.

use crate::config::Config;
use crate::database::{Databases, OpenError};
use crate::metrics::Metrics;
use crate::node::NodeHandle;
use crate::resp::{ASKING, Access, Clients, Limits, TABLE, TurnPool};
use esker::Db;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};
use tokio::sync::Semaphore;

/// What connections share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) node: NodeHandle,
    /// The engine below the node's store.
    pub(crate) db: Db,
    pub(crate) databases: Databases,
    pub(crate) access: Access,
    pub(crate) clients: Clients,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) turns: TurnPool,
    /// Places for what pipelines ask of the node.
    pub(crate) asking: Semaphore,
    pub(crate) started: Instant,
    /// Tells one run of the server from another.
    pub(crate) run_id: String,
    pub(crate) addresses: OnceLock<Addresses>,
    ready: AtomicBool,
}

/// Where the server listens, with the ports that the system chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) resp: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Server {
    /// Serves the keyspaces of a node.
    pub(crate) fn new(config: Config, node: NodeHandle) -> Result<Server, OpenError> {
        let db = node.store().db().clone();
        let databases =
            Databases::open(&db, &node, &config.databases, config.durability, config.request_timeout)?;
        let request = usize::try_from(config.max_request_bytes).unwrap_or(usize::MAX);
        let limits = Limits { arguments: 1 << 20, bulk: request, request };
        Ok(Server {
            access: Access::new(&config),
            clients: Clients::default(),
            limits,
            metrics: Metrics::new(TABLE.iter().map(|command| command.name)),
            turns: TurnPool::default(),
            asking: Semaphore::new(ASKING),
            started: Instant::now(),
            run_id: run_id(),
            addresses: OnceLock::new(),
            ready: AtomicBool::new(false),
            config,
            node,
            db,
            databases,
        })
    }

    /// Says whether requests are answered.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether requests are answered and writes are taken; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if !self.ready.load(Ordering::Acquire) {
            return Err("the server is starting or stopping".to_owned());
        }
        match self.db.stats().read_only {
            Some(reason) => Err(format!("the store takes no writes: {reason}")),
            None => Ok(()),
        }
    }
}

/// 40 hexadecimal digits that no other run has, for all that matters: made of the time, the process and an address.
fn run_id() -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    let seed = format!("{time} {} {:p}", std::process::id(), &time);
    let hash = xxhash_rust::xxh3::xxh3_128(seed.as_bytes());
    format!("{hash:032x}{:08x}", time as u32)
}
