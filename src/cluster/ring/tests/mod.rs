//! What the ring promises, held against the rings of random clusters that change.

mod bytes;
mod chains;
mod cluster;
mod least;
mod lookups;
mod reference;
mod rows;
