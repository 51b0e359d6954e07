//! Accepts connections, and removes what has expired.

use super::connection::serve;
use crate::database::Target;
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// How long to wait when the system has no descriptor or no memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the future is dropped.
pub(crate) async fn accept(server: Arc<Server>, listener: TcpListener) {
    loop {
        let (mut stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if server.clients.count() >= server.config.max_clients {
            server.metrics.connections_refused.add(1);
            tokio::spawn(async move {
                let _ = stream.write_all(b"-ERR max number of clients reached\r\n").await;
            });
            continue;
        }
        // Answers are whole when they are sent; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        server.metrics.connections_opened.add(1);
        let local = stream.local_addr().unwrap_or(address);
        let client = server.clients.add(address, local);
        tokio::spawn(serve(server.clone(), stream, client));
    }
}

/// How often expired keys are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(200);

/// Keys with an expiry that are looked at each time, in each database.
const SWEEP_KEYS: usize = 2000;

/// Removes expired keys that nobody asks for, until the future is dropped.
pub(crate) async fn sweep(server: Arc<Server>) {
    let mut places: Vec<Vec<u8>> = vec![Vec::new(); server.databases.iter().len()];
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        for (number, place) in places.iter_mut().enumerate() {
            let Some(database) = server.databases.get(number) else { continue };
            let Target::Plain(keyspace) = database.target() else { continue };
            let keyspace = keyspace.clone();
            if keyspace.expiries.hint.is_empty() {
                continue;
            }
            let from = std::mem::take(place);
            let swept = tokio::task::spawn_blocking(move || keyspace.sweep(&from, SWEEP_KEYS)).await;
            // If it failed the store says why at the next write, to somebody who can do something about it.
            if let Ok(Ok((next, removed))) = swept {
                server.metrics.expired.add(removed as u64);
                *place = next.unwrap_or_default();
            }
        }
    }
}
