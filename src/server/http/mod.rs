//! What is asked for over HTTP: whether the server lives and is ready, its metrics, and its status.

use crate::metrics;
use crate::server::Server;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves HTTP until the future is dropped.
pub(crate) async fn serve(server: Arc<Server>, listener: TcpListener) {
    if let Err(error) = axum::serve(listener, router(server)).await {
        tracing::error!("the HTTP listener ended: {error}");
    }
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
        .route("/status", get(status))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics and /status\n") })
        .with_state(server)
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    match server.readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn exposition(State(server): State<Arc<Server>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics::render(&server)).into_response()
}

async fn status(State(server): State<Arc<Server>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, format!("{}\n", status_of(&server))).into_response()
}

fn status_of(server: &Server) -> Value {
    let stats = server.db.stats();
    let readiness = server.readiness();
    let databases: Vec<Value> = server
        .databases
        .iter()
        .enumerate()
        .map(|(number, database)| {
            json!({ "number": number, "keyspace": database.name, "kind": database.target().kind() })
        })
        .collect();
    let addresses = server.addresses.get().map(|at| json!({ "resp": at.resp, "http": at.http }));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "run_id": server.run_id,
        "uptime_seconds": server.started.elapsed().as_secs(),
        "ready": readiness.is_ok(),
        "reason": readiness.err(),
        "listen": addresses,
        "databases": databases,
        "clients": {
            "connected": server.clients.count(),
            "accepted": server.metrics.connections_opened.get(),
            "refused": server.metrics.connections_refused.get(),
        },
        "commands": server.metrics.total_commands(),
        "store": {
            "path": server.db.path(),
            "durability": if server.config.durability == esker::Durability::Synced { "synced" } else { "buffered" },
            "writes": stats.writes,
            "gets": stats.gets,
            "fsyncs": stats.fsyncs,
            "stalls": stats.stalls,
            "memtable_bytes": stats.memtable_bytes,
            "wal_segments": stats.wal_segments,
            "read_only": stats.read_only,
        },
    })
}
