//! The shipped server as a child process, spoken to over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod closing;
mod contract;
mod counting;
mod crashes;
mod exports;
mod frames;
mod full_disk;
mod limits;
mod log_lines;
mod maintenance;
mod nginx;
mod openapi;
mod secrets;
mod service_manager;
mod slow_peers;
mod startup;
mod tls;
mod units;

use hubbub_faults::place::Place;
use hubbub_faults::{client, counters, place, server};

/// A fresh place for the shipped server.
fn new_place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_hubbub-aggregator"))
}
