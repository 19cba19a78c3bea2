//! Every byte that the shipped server hands to the system: what is left of it after a power cut, and what it reveals.

use hubbub_faults::rounds::Bounds;
use hubbub_faults::{Figures, power_loss, reveal};

fn bounds() -> Bounds {
    Bounds::new(env!("CARGO_BIN_EXE_hubbub-aggregator"), 1)
}

fn held(figures: &Figures) {
    println!("{figures}");
    assert!(figures.held(), "{figures}");
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged_and_doubles_nothing() {
    let figures = power_loss::check(&bounds()).expect("no state is kept");
    held(&figures);
    assert!(!figures.skipped.is_empty() || figures.times("images") > 100);
}

#[test]
fn writes_reveal_sums_of_whole_groups_and_nothing_of_a_request() {
    let figures = reveal::check(&bounds()).expect("no state is kept");
    held(&figures);
    assert!(!figures.skipped.is_empty() || figures.times("reports") > 1_000);
}
