//! [`Caller`]: a connection to a member, and how a key is written and read on it.

use crate::Failure;
use bytes::Bytes;
use tonic::transport::{Channel, Endpoint};

#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
mod esker {
    tonic::include_proto!("esker.v1");
}

#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
mod etcd {
    tonic::include_proto!("etcdserverpb");
}

use esker::esker_client::EskerClient;
use esker::{get_answer, write_answer};
use etcd::kv_client::KvClient;

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum System {
    /// Esker, by gRPC.
    Esker,
    /// Esker, by the protocol of Redis.
    EskerResp,
    /// etcd, by gRPC.
    Etcd,
}

/// A connection to a member. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Of Esker.
    Esker(EskerClient<Channel>),
    /// Of etcd.
    Etcd(KvClient<Channel>),
}

impl Caller {
    /// A connection by gRPC.
    pub(crate) async fn connect(system: System, address: &str) -> Result<Caller, Failure> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        Ok(match system {
            System::Esker => Caller::Esker(EskerClient::new(channel)),
            System::EskerResp => return Err("this protocol is spoken by a pipeline".into()),
            System::Etcd => Caller::Etcd(KvClient::new(channel)),
        })
    }

    pub(crate) async fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), String> {
        let (key, value) = (Bytes::from(key), Bytes::from(value));
        match self {
            Caller::Esker(client) => {
                let request = esker::PutRequest { key, value, ..Default::default() };
                let answer = client.put(request).await.map_err(|status| status.to_string())?;
                match answer.into_inner().outcome {
                    Some(write_answer::Outcome::Acknowledged(_)) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            Caller::Etcd(client) => {
                let request = etcd::PutRequest { key, value };
                client.put(request).await.map(drop).map_err(|status| status.to_string())
            }
        }
    }

    /// Reads a key; that it has no value is an answer too.
    pub(crate) async fn get(&mut self, key: Vec<u8>) -> Result<(), String> {
        let key = Bytes::from(key);
        match self {
            Caller::Esker(client) => {
                let request = esker::GetRequest { key, ..Default::default() };
                let answer = client.get(request).await.map_err(|status| status.to_string())?;
                match answer.into_inner().outcome {
                    Some(get_answer::Outcome::Found(_)) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            Caller::Etcd(client) => {
                let request = etcd::RangeRequest { key };
                client.range(request).await.map(drop).map_err(|status| status.to_string())
            }
        }
    }
}
