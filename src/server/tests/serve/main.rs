//! `esker serve` as clients meet it: a real process, real sockets, a raw client.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod access;
mod client;
mod commands;
mod crowds;
mod durability;
mod http;
mod life;
mod process;
mod protocol;
