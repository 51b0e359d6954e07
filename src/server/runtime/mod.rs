//! The life of the server: opens the store, listens, serves, and stops when it is told to.
//!
//! - *Start*: the store first, then every listener. What keeps it from serving is one sentence, and nothing is left running.
//! - *Stop*, at SIGTERM or SIGINT: nobody is accepted any more; each connection answers what it received and is closed; the store is
//!   closed, which makes everything durable. A second signal ends the process at once; what was acknowledged is kept then too.

mod descriptors;
mod log;

use crate::config::Config;
use crate::database::OpenError;
use crate::http;
use crate::node::{self, NodeHandle};
use crate::resp;
use crate::rpc;
use crate::server::{Addresses, Server};
use esker_cluster::NodeConfig;
use esker_cluster::store::{StoreConfig, StoreFailure};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// What a process that was told twice to stop leaves as its status: that of one which SIGINT ended.
const STATUS_FORCED: u8 = 130;

/// Why the server does not serve, as a sentence.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// The store does not open.
    Store(esker_cluster::store::OpenError),
    /// The store does not close cleanly.
    Stop(StoreFailure),
    /// The node cannot take part.
    Node(String),
    /// The keyspaces do not.
    Databases(OpenError),
    /// An address is not free, or not one of this machine.
    Listen { option: &'static str, address: String, source: io::Error },
    /// The system does not give threads or signals.
    System(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Store(error) => error.fmt(f),
            ServeError::Stop(failure) => failure.fmt(f),
            ServeError::Node(why) => f.write_str(why),
            ServeError::Databases(error) => error.fmt(f),
            ServeError::Listen { option, address, source } => {
                let advice = match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another process listens there: stop it, or give another address"
                    }
                    io::ErrorKind::PermissionDenied => "give a port above 1023, or the right to use this one",
                    _ => "give an address of this machine",
                };
                write!(f, "cannot listen on {address}: {source}; {advice} with `--{option}`")
            }
            ServeError::System(source) => write!(f, "the system does not let the server run: {source}"),
        }
    }
}

/// Serves until it is told to stop. `announce` is given a line for each listener, once all of them are there.
pub(crate) fn run(mut config: Config, announce: impl FnOnce(&[String])) -> Result<ExitCode, ServeError> {
    log::start(config.log);
    let wanted_clients = config.max_clients;
    config.max_clients = descriptors::room_for(wanted_clients);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.threads)
        .thread_name("esker-serve")
        .enable_all()
        .build()
        .map_err(ServeError::System)?;
    let ended = runtime.block_on(serve(config, wanted_clients, announce));
    // What is left are tasks of connections that did not take their answers in time.
    runtime.shutdown_background();
    ended
}

async fn listen(option: &'static str, address: &str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { option, address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve(
    config: Config,
    wanted_clients: usize,
    announce: impl FnOnce(&[String]),
) -> Result<ExitCode, ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::System)?;
    let (resp_listener, resp) = listen("listen-resp", &config.listen_resp).await?;
    let (http_listener, http) = listen("listen-http", &config.listen_http).await?;
    let (peer_listener, peer) = listen("listen-peer", &config.listen_peer).await?;
    let addresses = Addresses { resp, peer, http };
    // Dropped after everything else: an error on the way closes the store too.
    let (node, mut fatal) = tokio::task::block_in_place(|| start_node(&config, addresses))?;
    let server = Arc::new(Server::new(config, node.clone()).map_err(ServeError::Databases)?);
    let _ = server.addresses.set(addresses);
    descriptors::warn_of(server.config.max_clients, wanted_clients);
    let accepting = tokio::spawn(resp::accept(server.clone(), resp_listener));
    let sweeping = tokio::spawn(resp::sweep(server.clone()));
    let answering = tokio::spawn(http::serve(server.clone(), http_listener));
    let (end_peers, peers_end) = oneshot::channel::<()>();
    let peering = tokio::spawn(serve_peers(server.clone(), peer_listener, peers_end));
    let defining = tokio::spawn(define_databases(server.clone()));
    if server.config.join.is_empty() {
        formed(&server).await;
    }
    // Whoever reads the announcement finds the server ready.
    server.set_ready(true);
    announce(&[
        format!("resp  {resp}  redis-cli{} -p {}", host_flag(resp), resp.port()),
        format!("peer  {peer}  esker serve --data DIR --join {peer}"),
        format!("http  {http}  curl http://{http}/status"),
    ]);
    let why = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        Ok(why) = &mut fatal => Some(why),
    };
    let forced = tokio::select! {
        () = stop(&server, accepting, sweeping) => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    answering.abort();
    defining.abort();
    if forced {
        tracing::warn!("told twice to stop; what was not answered is left");
        return Ok(ExitCode::from(STATUS_FORCED));
    }
    node.stop().await.map_err(ServeError::Stop)?;
    drop(end_peers);
    let _ = peering.await;
    if let Some(why) = why {
        return Err(ServeError::Node(why));
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Opens the store and starts the node on it.
fn start_node(
    config: &Config,
    bound: Addresses,
) -> Result<(NodeHandle, oneshot::Receiver<String>), ServeError> {
    let memory_budget = usize::try_from(config.memory_budget).unwrap_or(usize::MAX);
    // The other tasks of a thread that has to wait are given to another one first.
    let wait: fn(&mut dyn FnMut()) = |work| tokio::task::block_in_place(work);
    let store = StoreConfig { memory_budget, wait, ..StoreConfig::default() };
    let opened = node::open(&config.data, store).map_err(ServeError::Store)?;
    for torn in &opened.store.db().recovery().torn {
        tracing::warn!(
            "the end of {} was torn by a crash before it was synced; {} bytes of it are not used",
            torn.path.display(),
            torn.bytes
        );
    }
    let said = |advertised: &Option<String>, bound: SocketAddr| {
        advertised.clone().unwrap_or_else(|| bound.to_string())
    };
    let mut node = NodeConfig::new(said(&config.advertise_peer, bound.peer));
    node.resp_address = said(&config.advertise_resp, bound.resp);
    node.http_address = said(&config.advertise_http, bound.http);
    node.join.clone_from(&config.join);
    node.zone.clone_from(&config.zone);
    node.dc.clone_from(&config.dc);
    node.weight = config.weight;
    node.replicas = u8::try_from(config.replicas).unwrap_or(u8::MAX);
    node.mode = config.conflicts;
    node.max_pair_bytes = usize::try_from(config.max_pair_bytes).unwrap_or(usize::MAX);
    let started = node::start(node, opened).map_err(|e| ServeError::Node(e.to_string()))?;
    Ok((started.handle, started.fatal))
}

/// Serves other nodes, and clients by gRPC.
async fn serve_peers(server: Arc<Server>, listener: TcpListener, end: oneshot::Receiver<()>) {
    let check: Option<rpc::Check> = server.access.stranger().is_none().then(|| {
        let server = server.clone();
        let check: rpc::Check = Arc::new(move |metadata| resp::check_metadata(&server.access, metadata));
        check
    });
    let defaults = rpc::ClientDefaults {
        durability: server.config.durability,
        timeout: server.config.request_timeout,
        check,
    };
    let ended = rpc::serve(listener, server.node.clone(), defaults, async { drop(end.await) }).await;
    if let Err(error) = ended {
        tracing::error!("the listener for peers ended: {error}");
    }
}

/// Waits until a node that needs nobody else can take requests, but not for long: one that does need others says itself what is
/// missing.
async fn formed(server: &Server) {
    let mut views = server.node.views();
    let has_all = |view: &Arc<node::View>| {
        server.databases.iter().all(|database| view.keyspace(&database.name).is_some())
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), views.wait_for(has_all)).await;
}

/// Lets the cluster have the databases that are served, if this node is the one that may define them.
async fn define_databases(server: Arc<Server>) {
    let mut views = server.node.views();
    loop {
        let view = views.borrow_and_update().clone();
        if let Some(state) = view.state.as_ref().filter(|state| state.founder == view.id) {
            for database in server.databases.iter() {
                if view.keyspace(&database.name).is_none() {
                    let (mode, replicas) = (server.config.conflicts, state.replicas);
                    if let Err(why) = server.node.define_keyspace(&database.name, mode, replicas).await {
                        tracing::warn!("the keyspace `{}` is not defined: {why}", database.name);
                    }
                }
            }
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Lets every connection answer what it received.
async fn stop(
    server: &Arc<Server>,
    accepting: tokio::task::JoinHandle<()>,
    sweeping: tokio::task::JoinHandle<()>,
) {
    server.set_ready(false);
    tracing::info!("stopping; {} connections answer what they received", server.clients.count());
    accepting.abort();
    sweeping.abort();
    // Whoever is being accepted at this moment is on the list, or will not be.
    let _ = accepting.await;
    let _ = sweeping.await;
    server.clients.stop();
    let patience = server.config.shutdown_timeout;
    if tokio::time::timeout(patience, server.clients.all_gone()).await.is_err() {
        tracing::warn!(
            "{} connections did not take their answers in {} s and are cut off",
            server.clients.count(),
            patience.as_secs()
        );
    }
}

fn host_flag(address: SocketAddr) -> String {
    if address.ip().is_loopback() && address.is_ipv4() || address.ip().is_unspecified() {
        String::new()
    } else {
        format!(" -h {}", address.ip())
    }
}
