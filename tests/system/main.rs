//! What no crate can check alone: the layering, the route of a report, tidiness, and the whole pipeline through the
//! shipped programs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod black_box;
mod demo;
mod documents;
mod explain;
mod filters;
mod layering;
mod operations;
mod plan;
mod programs;
mod registry;
mod route;
mod sources;
mod tidy;
