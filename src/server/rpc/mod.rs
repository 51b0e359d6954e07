//! gRPC: what peers and clients say to this node, on one listener. `proto/esker.proto` is the specification.
//!
//! | file | holds |
//! |---|---|
//! | `peer` | frames of other nodes |
//! | `client` | requests of clients |
//! | `convert` | between messages of the protocol and those of the node |

mod client;
mod convert;
mod peer;

pub use client::{Check, ClientDefaults};

/// The types of `proto/esker.proto`.
#[allow(missing_docs, clippy::all, reason = "generated; documented in the specification")]
pub mod proto {
    tonic::include_proto!("esker.v1");
}

use crate::bounded::{Bounded, Held, Silence};
use crate::node::NodeHandle;
use proto::esker_server::EskerServer;
use proto::peer_server::PeerServer;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::Server;

/// How much of a stream may be on its way to this node that it has not read yet.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// How often a connection that says nothing is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The longest message of a client: a pair, and a little beside it.
const CLIENT_MESSAGE_MAX: usize = (64 << 20) + (1 << 20);

/// The most connections at once, of peers and of clients.
pub(crate) const CONNECTIONS: usize = 1024;

/// How long a connection may take for its greeting. Later on it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(10);

/// Every client of HTTP/2 begins with 24 bytes that are always the same and a frame of settings, of 9 bytes at least
/// ([RFC 9113, section 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)).
const GREETING: usize = 24 + 9;

/// The next connection, and the listener that it came from.
type Next = Pin<Box<dyn Future<Output = (Held, Bounded)> + Send>>;

/// Connections as they come. The listener ends with it.
struct Incoming(Next);

impl Incoming {
    fn of(listener: TcpListener) -> Incoming {
        Incoming(next(Bounded::new(listener, CONNECTIONS, Silence::Greeting(SILENCE, GREETING))))
    }
}

fn next(listener: Bounded) -> Next {
    Box::pin(async move { (listener.next().await.0, listener) })
}

impl Stream for Incoming {
    type Item = Result<Held, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll(context).map(|(held, listener)| {
            self.0 = next(listener);
            Some(Ok(held))
        })
    }
}

/// Serves peers and clients until `stop` comes back or the node is stopped.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    node: NodeHandle,
    defaults: ClientDefaults,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let peers = PeerServer::new(peer::Peers::new(node.clone()))
        .max_decoding_message_size(crate::node::FRAME_MAX + (1 << 20));
    let mut views = node.views();
    let clients = EskerServer::new(client::Clients::new(node, defaults))
        .max_decoding_message_size(CLIENT_MESSAGE_MAX)
        .max_encoding_message_size(usize::MAX);
    let incoming = Incoming::of(listener);
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .add_service(peers)
        .add_service(clients)
        .serve_with_incoming(incoming);
    let stopped = async { while views.changed().await.is_ok() {} };
    tokio::select! {
        ended = serving => ended,
        () = stop => Ok(()),
        () = stopped => Ok(()),
    }
}
