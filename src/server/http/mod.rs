//! What is asked for over HTTP: whether the server lives and is ready, its metrics, its status; and that it has a keyspace adopted.

mod adopt;
mod ask;
mod status;

pub(crate) use ask::{Asked, ask};

use crate::bounded::{Bounded, Silence};
use crate::metrics;
use crate::server::Server;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use esker_cluster::NodeStatus;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The most connections at once.
pub(crate) const CONNECTIONS: usize = 128;

/// How long a connection may say nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// Serves HTTP until the future is dropped.
pub(crate) async fn serve(server: Arc<Server>, listener: TcpListener) {
    let listener = Bounded::new(listener, CONNECTIONS, Silence::Any(SILENCE));
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
        .route("/adopt", get(adopt::adopt).post(adopt::adopt))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "there are /healthz, /readyz, /metrics, /status and POST /adopt?keyspace=NAME\n",
            )
        })
        .with_state(server)
}

async fn ready(State(server): State<Arc<Server>>) -> Response {
    match readiness(&server, server.node.status().await.as_ref()) {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn exposition(State(server): State<Arc<Server>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let node = server.node.status().await;
    (kind, metrics::render(&server, node.as_ref())).into_response()
}

async fn status(State(server): State<Arc<Server>>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let node = server.node.status().await;
    let readiness = readiness(&server, node.as_ref());
    (kind, format!("{}\n", status::document(&server, node.as_ref(), &readiness))).into_response()
}

/// Whether this node is a place to send requests to; if not, why. A node that stands alone is, and a member of a cluster is from
/// when it knows that requests are taken there. One that pulls what it lost is too: it asks others for what it has not got.
fn readiness(server: &Server, node: Option<&NodeStatus>) -> Result<(), String> {
    server.readiness()?;
    let Some(node) = node else { return Err("the node is stopped; start it again".to_owned()) };
    if node.members.is_empty() {
        return Err("the node asks to join and is of no cluster yet".to_owned());
    }
    if node.sealed && !node.open {
        return Err("a majority of the members has not said yet that it knows the sealed ring".to_owned());
    }
    Ok(())
}
