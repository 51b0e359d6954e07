//! [`Peers`]: the service that other nodes send their messages to.

use super::proto::peer_server::Peer;
use super::proto::{Done, Frames};
use crate::node::{FrameFault, NodeHandle};
use tonic::{Code, Request, Response, Status, Streaming};

/// Takes messages of peers.
pub(super) struct Peers {
    node: NodeHandle,
}

impl Peers {
    pub(super) fn new(node: NodeHandle) -> Peers {
        Peers { node }
    }

    async fn take(&self, mut stream: Streaming<Frames>) -> Result<(), Status> {
        loop {
            let message = stream.message().await.inspect_err(|status| {
                // Bytes that are not even a message of gRPC, or one that is too long.
                if matches!(status.code(), Code::Internal | Code::OutOfRange | Code::InvalidArgument) {
                    self.node.count_malformed();
                }
            })?;
            let Some(Frames { frames }) = message else { return Ok(()) };
            self.node.receive(frames).await.map_err(|fault| match fault {
                FrameFault::Malformed(_) => Status::invalid_argument(fault.to_string()),
                FrameFault::Stopped => Status::unavailable(fault.to_string()),
            })?;
        }
    }
}

#[tonic::async_trait]
impl Peer for Peers {
    async fn exchange(&self, request: Request<Streaming<Frames>>) -> Result<Response<Done>, Status> {
        let mut views = self.node.views();
        let stopped = async { while views.changed().await.is_ok() {} };
        let from = request.remote_addr();
        let ended = tokio::select! {
            ended = self.take(request.into_inner()) => ended,
            () = stopped => Err(Status::unavailable(FrameFault::Stopped.to_string())),
        };
        match ended {
            Ok(()) => Ok(Response::new(Done {})),
            Err(status) => {
                let from = from.map_or_else(|| "an unknown address".to_owned(), |from| from.to_string());
                if status.code() == Code::InvalidArgument {
                    tracing::warn!("a stream from {from} was ended: {}", status.message());
                } else {
                    tracing::debug!("a stream from {from} ended: {status}");
                }
                Err(status)
            }
        }
    }
}
