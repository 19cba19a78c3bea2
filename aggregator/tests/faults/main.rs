//! The shipped server against faults, a bounded set of each: `hubbub-faults` has the same checks for any program and any
//! length.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bytes;

use hubbub_faults::all::{CHECKS, Extent};
use hubbub_faults::rounds::Bounds;

fn holds(name: &str, done: &str) {
    let check = CHECKS.into_iter().find(|check| check.name == name).unwrap();
    let bounds = Bounds::new(env!("CARGO_BIN_EXE_hubbub-aggregator"), check.rounds(Extent::Quick));
    let figures = (check.run)(&bounds).unwrap();
    println!("{figures}");
    assert!(figures.held(), "{figures}");
    assert!(figures.times(done) > 0 || !figures.skipped.is_empty(), "the check did nothing: {figures}");
}

#[test]
fn kills_at_random_moments() {
    holds("kill", "kills under load");
}

#[test]
fn kills_and_errors_at_system_calls() {
    holds("inject", "faults injected");
}

#[test]
fn short_writes_and_interrupted_calls() {
    holds("short-writes", "short writes to files");
}

#[test]
fn lost_replies_duplicates_and_reordering() {
    holds("chaos", "replies lost");
}

#[test]
fn jumping_clocks() {
    holds("clock", "jumps");
}

#[test]
fn damaged_stores() {
    holds("flip", "refused");
}

#[test]
fn full_disks() {
    holds("full", "fillings refused");
}

#[test]
fn power_cuts() {
    holds("power-loss", "images");
}

#[test]
fn what_writes_reveal() {
    holds("reveal", "commits with ids");
}
