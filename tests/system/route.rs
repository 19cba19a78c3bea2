//! The route of a report: the few places where a value is opened, budget becomes a grant, and a report comes to be.

use std::collections::BTreeMap;

use crate::sources::production;

/// How often each file contains `pattern` in production code.
fn sites(pattern: &str) -> BTreeMap<String, usize> {
    let count = |text: &str| text.matches(pattern).count();
    production()
        .iter()
        .map(|source| (source.path.clone(), source.code().map(count).sum()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn assert_sites(pattern: &str, allowed: &[&str]) {
    let found = sites(pattern);
    let allowed: Vec<String> = allowed.iter().map(|path| (*path).to_owned()).collect();
    let paths: Vec<String> = found.keys().cloned().collect();
    assert_eq!(paths, allowed, "`{pattern}` stands in other files than the route allows");
}

#[test]
fn private_values_are_opened_only_by_the_randomizer_the_tally_and_the_owners_view() {
    assert_sites(
        "expose(",
        &[
            "collector/src/device/preview.rs",
            "collector/src/device/view.rs",
            "collector/src/store/sent.rs",
            "collector/src/store/tally.rs",
            "privacy/src/private.rs",
            "randomizer/src/release.rs",
        ],
    );
}

#[test]
fn reports_come_only_from_release_and_from_the_wire() {
    assert_sites("Report {", &["privacy/src/report.rs", "randomizer/src/mechanism.rs", "randomizer/src/release.rs"]);
    assert_sites("ReportId(", &["privacy/src/report.rs", "randomizer/src/mechanism.rs", "randomizer/src/release.rs"]);
}

#[test]
fn budget_is_granted_only_after_it_was_written_down() {
    assert_sites("Grant {", &["privacy/src/ledger.rs"]);
    assert_sites(
        " release(",
        &[
            "collector/src/device/preview.rs",
            "collector/src/device/week.rs",
            "hubbub/src/demo/crowd.rs",
            "hubbub/src/filters/randomize.rs",
        ],
    );
}

#[test]
fn the_server_cannot_name_a_peer() {
    for source in production().iter().filter(|source| source.path.starts_with("aggregator/")) {
        for name in ["peer_addr", "remote_addr", "X-Forwarded", "x-forwarded", "user_agent", "USER_AGENT"] {
            assert!(!source.code().any(|line| line.contains(name)), "{} mentions {name}", source.path);
        }
    }
}
