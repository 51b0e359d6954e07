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
use crate::resp;
use crate::server::{Addresses, Server};
use esker::{Db, Event};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// What a process that was told twice to stop leaves as its status: that of one which SIGINT ended.
const STATUS_FORCED: u8 = 130;

/// Why the server does not serve, as a sentence.
#[derive(Debug)]
pub(crate) enum ServeError {
    /// The store does not open.
    Store(esker::Error),
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

fn open(config: &Config) -> Result<Db, ServeError> {
    let memory = usize::try_from(config.memory_budget).unwrap_or(usize::MAX);
    let listener = |event: &Event| match event {
        Event::ReadOnly { reason } => tracing::error!("the store takes no more writes: {reason}"),
        Event::BackgroundError { what } => tracing::error!("background work failed: {what}"),
        other => tracing::debug!("{other:?}"),
    };
    let db = Db::builder()
        .memory_budget(memory)
        .durability(config.durability)
        .listener(Arc::new(listener))
        .open(&config.data)
        .map_err(ServeError::Store)?;
    for torn in &db.recovery().torn {
        tracing::warn!(
            "the end of {} was torn by a crash before it was synced; {} bytes of it are not used",
            torn.path.display(),
            torn.bytes
        );
    }
    Ok(db)
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
    let db = tokio::task::block_in_place(|| open(&config))?;
    // Dropped after everything else: an error on the way closes the store too.
    let (resp_listener, resp) = listen("listen-resp", &config.listen_resp).await?;
    let (http_listener, http) = listen("listen-http", &config.listen_http).await?;
    let server = Arc::new(Server::new(config, db).map_err(ServeError::Databases)?);
    let _ = server.addresses.set(Addresses { resp, http });
    announce(&[
        format!("resp  {resp}  redis-cli{} -p {}", host_flag(resp), resp.port()),
        format!("http  {http}  curl http://{http}/status"),
    ]);
    descriptors::warn_of(server.config.max_clients, wanted_clients);
    let accepting = tokio::spawn(resp::accept(server.clone(), resp_listener));
    let sweeping = tokio::spawn(resp::sweep(server.clone()));
    let answering = tokio::spawn(http::serve(server.clone(), http_listener));
    server.set_ready(true);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let forced = tokio::select! {
        () = stop(&server, accepting, sweeping) => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    };
    answering.abort();
    if forced {
        tracing::warn!("told twice to stop; what was not answered is left");
        return Ok(ExitCode::from(STATUS_FORCED));
    }
    let db = server.db.clone();
    tokio::task::block_in_place(|| db.close()).map_err(ServeError::Store)?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
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
