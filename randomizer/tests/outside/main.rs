//! The randomizers against the world outside this crate: an independent reference, planted mutants, real questions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod decoders;
mod mutants;
mod optimum;
mod questions;
mod vectors;
