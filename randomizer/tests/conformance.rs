//! The randomizers against the world outside this crate: an independent reference, planted mutants, registries.

mod mutants;
mod questions;
mod vectors;
