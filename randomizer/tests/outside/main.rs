//! The randomizers against the world outside this crate: an independent reference, planted mutants, real questions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutants;
mod questions;
mod vectors;
