//! Nodes of a cluster in one process, on real sockets and files: what they promise to each other and to clients.

mod client;
mod measure;
mod members;
mod quorum;
mod trouble;
