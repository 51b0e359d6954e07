//! What the ring promises, held against rings of random clusters. One promise a file.

mod cluster;
mod least;
mod reference;

mod explore;
