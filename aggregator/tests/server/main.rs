//! The shipped server as a child process, spoken to over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod closing;
mod contract;
mod counting;
mod crashes;
mod exports;
mod full_disk;
mod place;
mod secrets;
mod server;
mod slow_peers;
mod startup;
mod tls;
