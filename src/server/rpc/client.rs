//! [`Clients`]: the service that clients ask.
//!
//! How a request ended is said in its answer. A status other than OK comes only from before the request was looked at.

use super::convert;
use super::proto;
use super::proto::esker_server::Esker;
use crate::node::NodeHandle;
use bytes::Bytes;
use esker::Durability;
use esker_cluster::causality::ContextKey;
use esker_cluster::request::{Operation, Rejection, Request, Response};
use esker_cluster::store::{Change, KeyspaceId};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::Stream;
use tonic::metadata::MetadataMap;
use tonic::{Request as Call, Response as Answer, Status};

/// Decides by what a call brings beside its request whether its sender may ask.
pub type Check = Arc<dyn Fn(&MetadataMap) -> Result<(), Status> + Send + Sync>;

/// What holds for a client that does not say otherwise.
#[derive(Clone)]
pub struct ClientDefaults {
    /// How durable a write has to be.
    pub durability: Durability,
    /// How long a request is tried.
    pub timeout: Duration,
    /// Who may ask; everybody if there is none.
    pub check: Option<Check>,
}

impl Default for ClientDefaults {
    fn default() -> ClientDefaults {
        ClientDefaults { durability: Durability::Synced, timeout: Duration::from_secs(5), check: None }
    }
}

impl fmt::Debug for ClientDefaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientDefaults")
            .field("durability", &self.durability)
            .field("timeout", &self.timeout)
            .field("check", &self.check.is_some())
            .finish()
    }
}

/// How many keys are asked for at once in a scan.
const PIECE: usize = 500;

/// How many pieces of a scan may wait for a client that reads slowly.
const PIECES_AHEAD: usize = 2;

/// Takes requests of clients.
pub(super) struct Clients {
    node: NodeHandle,
    defaults: ClientDefaults,
}

impl Clients {
    pub(super) fn new(node: NodeHandle, defaults: ClientDefaults) -> Clients {
        Clients { node, defaults }
    }

    fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        self.defaults.check.as_ref().map_or(Ok(()), |check| check(metadata))
    }

    /// The request that an operation on a keyspace and its options make.
    fn request(
        &self,
        keyspace: &str,
        options: Option<&proto::Options>,
        operation: impl FnOnce(KeyspaceId) -> Result<Operation, Rejection>,
    ) -> Result<Request, Rejection> {
        let name = if keyspace.is_empty() { "default" } else { keyspace };
        let view = self.node.view();
        let known = view.keyspace(name).map(|definition| definition.id);
        let keyspace = known.ok_or_else(|| match view.state {
            Some(_) => Rejection::Invalid(format!("there is no replicated keyspace `{name}`")),
            None => Rejection::NotReady("this node is not part of a cluster yet: ask again".to_owned()),
        })?;
        convert::request(keyspace, options.copied().unwrap_or_default(), operation(keyspace)?, &self.defaults)
    }

    /// The answer to a request, if it is one, and the key that contexts of the answer are bound to.
    async fn respond(&self, request: Result<Request, Rejection>) -> (Response, ContextKey) {
        match request {
            Ok(request) => {
                let key = request.context_key();
                (self.node.request(request).await, key)
            }
            // There is no context in it.
            Err(rejection) => (Response::Rejected(rejection), ContextKey::new(0, &[])),
        }
    }

    async fn write(&self, request: Result<Request, Rejection>) -> Answer<proto::WriteAnswer> {
        let (response, key) = self.respond(request).await;
        Answer::new(convert::write_answer(response, key))
    }
}

#[tonic::async_trait]
impl Esker for Clients {
    async fn get(&self, call: Call<proto::GetRequest>) -> Result<Answer<proto::GetAnswer>, Status> {
        self.check(call.metadata())?;
        let proto::GetRequest { keyspace, key, context, options } = call.into_inner();
        let request = self.request(&keyspace, options.as_ref(), |id| {
            let context = convert::context(context, id.context_key(&key))?;
            Ok(Operation::Get { key: convert::slice(key), context })
        });
        let (response, key) = self.respond(request).await;
        Ok(Answer::new(convert::get_answer(response, key)))
    }

    async fn put(&self, call: Call<proto::PutRequest>) -> Result<Answer<proto::WriteAnswer>, Status> {
        self.check(call.metadata())?;
        let proto::PutRequest { keyspace, key, value, context, ttl_ms, options } = call.into_inner();
        let request = self.request(&keyspace, options.as_ref(), |id| {
            let context = convert::context(context, id.context_key(&key))?;
            let change = Change::Put { value: convert::slice(value), expires_at: convert::expiry(ttl_ms)? };
            Ok(Operation::Write { key: convert::slice(key), change, context })
        });
        Ok(self.write(request).await)
    }

    async fn delete(&self, call: Call<proto::DeleteRequest>) -> Result<Answer<proto::WriteAnswer>, Status> {
        self.check(call.metadata())?;
        let proto::DeleteRequest { keyspace, key, context, options } = call.into_inner();
        let request = self.request(&keyspace, options.as_ref(), |id| {
            let context = convert::context(context, id.context_key(&key))?;
            Ok(Operation::Write { key: convert::slice(key), change: Change::Delete, context })
        });
        Ok(self.write(request).await)
    }

    type ScanStream = Pieces;

    async fn scan(&self, call: Call<proto::ScanRequest>) -> Result<Answer<Pieces>, Status> {
        self.check(call.metadata())?;
        let proto::ScanRequest { keyspace, from, limit, values, options } = call.into_inner();
        let first = Operation::Scan { from: from.to_vec(), limit: PIECE, values };
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        match self.request(&keyspace, options.as_ref(), |_| Ok(first)) {
            Ok(request) => drop(tokio::spawn(scan(self.node.clone(), request, limit, sender))),
            Err(rejection) => drop(sender.send(convert::scan_rejected(rejection)).await),
        }
        Ok(Answer::new(Pieces(pieces)))
    }

    async fn status(&self, call: Call<proto::StatusRequest>) -> Result<Answer<proto::StatusAnswer>, Status> {
        self.check(call.metadata())?;
        let status = self.node.status().await;
        let status = status.ok_or_else(|| Status::unavailable("the node is stopped: ask another one"))?;
        Ok(Answer::new(convert::status(status)))
    }
}

/// Asks for one piece after the other, until the client has as many keys as it wants or is gone.
async fn scan(node: NodeHandle, template: Request, limit: u64, sender: mpsc::Sender<proto::ScanAnswer>) {
    let Operation::Scan { mut from, values, .. } = template.operation.clone() else { return };
    let mut left = if limit == 0 { u64::MAX } else { limit };
    loop {
        let limit = left.min(PIECE as u64) as usize;
        let operation = Operation::Scan { from, limit, values };
        let response = node.request(Request { operation, ..template.clone() }).await;
        let (pairs, next) = match response {
            Response::Scanned { pairs, next } => (pairs, next),
            other => {
                let _ = sender.send(convert::scan_rejected(convert::refusal(other))).await;
                return;
            }
        };
        left = left.saturating_sub(pairs.len() as u64);
        let on = next.clone().unwrap_or_default();
        let sent = sender.send(convert::scan_piece(pairs, Bytes::from(on))).await;
        match next {
            Some(next) if left > 0 && sent.is_ok() => from = next,
            _ => return,
        }
    }
}

/// The pieces of a scan.
pub(super) struct Pieces(mpsc::Receiver<proto::ScanAnswer>);

impl Stream for Pieces {
    type Item = Result<proto::ScanAnswer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}
