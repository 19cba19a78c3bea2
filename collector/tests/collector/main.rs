//! The shipped programs as child processes: a real bus, real files, real sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/registry.rs"]
mod registry;

mod bench;
mod bus;
mod consent;
mod ctl;
mod durability;
mod refused_starts;
mod respondent;
mod server;
mod upload;
mod upload_tls;
mod week;
