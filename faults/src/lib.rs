//! The shipped server as a child process: where it lives, how it is spoken to, what its files say.
//!
//! It knows the server by its command line, its socket and its files, never by its code, so that any program with the same
//! contract can be held against the same checks.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a check that cannot go on ends by panicking")]

pub mod all;
pub mod chaos;
pub mod client;
pub mod clock;
pub mod counters;
pub mod crowd;
pub mod disk;
pub mod figures;
pub mod flip;
pub mod full;
pub mod inject;
pub mod injection;
pub mod kill;
pub mod life;
pub mod place;
pub mod power_loss;
pub mod replay;
pub mod reveal;
pub mod rounds;
pub mod server;
pub mod short_writes;
pub mod skipped;
pub mod small_disk;
pub mod trace;
pub mod volley;

pub use figures::Figures;
