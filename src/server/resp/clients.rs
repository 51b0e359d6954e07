//! [`Clients`]: who is connected, as `CLIENT LIST` shows it, and how to reach each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// What others may know of a connection, and the means to end it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) since: Instant,
    /// What the client says of itself.
    pub(crate) words: Mutex<Words>,
    pub(crate) database: AtomicUsize,
    /// The place of its last command in the table.
    pub(crate) last_command: AtomicUsize,
    /// When that was, in milliseconds since `since`.
    pub(crate) last_active: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) protocol: AtomicU8,
    killed: AtomicBool,
    wake: Notify,
}

/// What a client says of itself.
#[derive(Debug, Default, Clone)]
pub(crate) struct Words {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) library: String,
    pub(crate) library_version: String,
}

impl Client {
    /// Ends the connection when what it is doing is done.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether it is to end.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Returns when somebody has something to say to the connection: that it is killed, or that the server stops.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Passes the message on to whoever waits next.
    pub(crate) fn wake_again(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is connected.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    last_id: AtomicU64,
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    count: AtomicUsize,
    stopping: AtomicBool,
    gone: Notify,
}

impl Clients {
    fn connected(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub(crate) fn add(&self, address: SocketAddr, local: SocketAddr) -> Arc<Client> {
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            address,
            local,
            since: Instant::now(),
            words: Mutex::default(),
            database: AtomicUsize::new(0),
            last_command: AtomicUsize::new(usize::MAX),
            last_active: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            protocol: AtomicU8::new(2),
            killed: AtomicBool::new(false),
            wake: Notify::new(),
        });
        self.connected().insert(client.id, client.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        client
    }

    /// Takes a connection off the list.
    pub(crate) fn remove(&self, id: u64) {
        if self.connected().remove(&id).is_some() && self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.gone.notify_one();
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.connected().values().cloned().collect()
    }

    /// Whether the server stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells every connection to end when it has answered what it received.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.all().iter().for_each(|client| client.wake.notify_one());
    }

    /// Returns when nobody is connected any more.
    pub(crate) async fn all_gone(&self) {
        while self.count.load(Ordering::Acquire) > 0 {
            self.gone.notified().await;
        }
    }
}
