//! `esker cluster`: looks at a cluster, and has it take a keyspace, by way of any of its nodes.

mod adopt;
mod status;
mod table;

use super::failure::{Ended, Failure};
use crate::http::{Asked, ask};
use clap::{Args, Subcommand};

/// Look at a cluster, or make a keyspace a replicated one.
#[derive(Args, Debug)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Status(status::Status),
    Adopt(adopt::Adopt),
}

impl Cluster {
    pub(crate) fn run(&self) -> Ended {
        match &self.command {
            Command::Status(c) => c.run(),
            Command::Adopt(c) => c.run(),
        }
    }
}

/// Which node is asked.
#[derive(Args, Debug)]
struct At {
    /// The HTTP address of a node: what it prints at its start behind `http`.
    #[arg(long, value_name = "HOST:PORT")]
    at: String,
}

impl At {
    /// Asks the node.
    fn ask(&self, method: &str, path: &str, authorization: Option<&str>) -> Result<Asked, Failure> {
        ask(&self.at, method, path, authorization).map_err(|error| {
            Failure::new(format!(
                "cannot ask the node at {}: {error}; give the address that a node prints behind `http` with --at",
                self.at
            ))
        })
    }

    /// The document with which the node answers, if it has one.
    fn document(&self, asked: &Asked) -> Result<serde_json::Value, Failure> {
        serde_json::from_str(&asked.body).map_err(|_| {
            Failure::new(format!(
                "what answers at {} is no node of Esker, or one of another version; give the address that a node prints behind \
                 `http` with --at",
                self.at
            ))
        })
    }
}
