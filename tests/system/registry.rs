//! The distribution's own registry, and what `hubbub registry check` says of others.

use std::fs;

use serde_json::Value;

use crate::programs::{hubbub, stderr_of, stdout_of, text};
use crate::sources::root;

/// A day on which the shipped registry is in force.
const IN_FORCE: &str = "2026-11-23";

#[test]
fn the_starting_set_passes_its_own_check() {
    let metrics = root().join("metrics");
    let output = hubbub(&["registry", "check", text(&metrics), "--date", IN_FORCE], b"");
    let said = stdout_of(&output);
    let count: usize = said.split(" metrics, no defects").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(count >= 12, "{said}");
    let output = hubbub(&["registry", "check", "--json", "--registry", text(&metrics), "--date", IN_FORCE], b"");
    assert_eq!(stdout_of(&output), "[]\n");
}

#[test]
fn approvals_end_a_year_later() {
    let metrics = root().join("metrics");
    let output = hubbub(&["registry", "check", text(&metrics), "--date", "2028-01-01"], b"");
    assert!(stderr_of(&output, 1).contains("[expired]"));
}

#[test]
fn a_bad_registry_fails_with_file_line_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let bad = root().join("privacy/tests/registry/bad/decimal-string.toml");
    fs::copy(bad, directory.path().join("app.toml")).unwrap();
    let output = hubbub(&["registry", "check", text(directory.path())], b"");
    let said = stderr_of(&output, 1);
    assert!(
        said.contains("app.toml:28: [decimal-string] org.example.App.panel_opened: epsilon is a TOML float"),
        "{said}"
    );
    let output = hubbub(&["registry", "check", "--json", text(directory.path())], b"");
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((findings[0]["code"].as_str(), findings[0]["line"].as_u64()), (Some("decimal-string"), Some(28)));
    // A filter refuses it as bad input.
    let out = directory.path().join("out");
    let output = hubbub(&["fold", "--registry", text(directory.path()), "--out", text(&out)], b"");
    assert!(stderr_of(&output, 2).contains("app.toml:28"));
}

#[test]
fn a_metric_without_a_mechanism_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let draft = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n[metric.m]\nid = 1\nversion = 1\nstatus = \"draft\"\n\
                 [metric.m.data]\nkind = \"boolean\"\n[metric.m.privacy]\nepsilon = \"1.0\"\nmechanism = \"laplace\"\n";
    fs::write(directory.path().join("test.toml"), draft).unwrap();
    let said = stderr_of(&hubbub(&["registry", "check", text(directory.path())], b""), 1);
    assert!(said.contains("1 defect:") && said.contains("test.toml:3: [mechanism] test.m: "), "{said}");
}

/// A draft that says what it must be good for.
fn useful(directory: &std::path::Path, data: &str, mechanism: &str, target: &str) {
    let draft = format!(
        "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n[metric.m]\nid = 1\nversion = 1\nstatus = \"draft\"\n\
         data = {{ {data} }}\nprivacy = {{ epsilon = \"1.0\", mechanism = \"{mechanism}\" }}\n\
         utility = {{ expected_reports = 20000, target_ci95_pp = \"{target}\", min_reports_to_publish = 1 }}\n"
    );
    fs::write(directory.join("test.toml"), draft).unwrap();
}

#[test]
fn a_target_that_the_expected_reports_miss_is_a_defect() {
    let directory = tempfile::tempdir().unwrap();
    let check = || hubbub(&["registry", "check", text(directory.path())], b"");
    // A half of the devices, 20,000 reports at epsilon 1: 1.96 sqrt(0.25/20000) / tanh(1/2) is 1.4995 percentage points.
    useful(directory.path(), "kind = \"boolean\"", "auto", "1.5");
    stdout_of(&check());
    useful(directory.path(), "kind = \"boolean\"", "auto", "1.499");
    let said = stderr_of(&check(), 1);
    assert!(said.contains("1 defect:") && said.contains("test.toml:3: [precision] test.m: "), "{said}");
    assert!(said.contains("20014 reports would do") && said.contains("half of the devices"), "{said}");
    // Of a mean, percentage points are those of the range.
    useful(directory.path(), "kind = \"count\", max = 200", "auto", "3.0");
    stdout_of(&check());
    useful(directory.path(), "kind = \"count\", max = 200", "auto", "1.0");
    assert!(stderr_of(&check(), 1).contains("[precision]"));
}

#[test]
fn a_choice_that_forgers_profit_from_is_a_defect() {
    let directory = tempfile::tempdir().unwrap();
    let values: Vec<String> = (0..16).map(|index| format!("\"v{index}\"")).collect();
    let data = format!("kind = \"categorical\", values = [{}]", values.join(", "));
    let check = || hubbub(&["registry", "check", "--json", text(directory.path())], b"");
    useful(directory.path(), &data, "randomized_response", "50");
    let output = check();
    stderr_of(&output, 1);
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((findings.as_array().unwrap().len(), &findings[0]["code"]), (1, &"poisoning".into()));
    // (e+14)/(e-1) honest devices.
    let message = findings[0]["message"].as_str().unwrap();
    assert!(message.contains("9.73 honest devices") && message.contains("randomized_response"), "{message}");
    // The cyclotomic family is within the room that a choice by hand has.
    useful(directory.path(), &data, "cyclotomic", "50");
    assert_eq!(stdout_of(&check()), "[]\n");
}

#[test]
fn a_missing_registry_is_an_input_output_error() {
    let output = hubbub(&["registry", "check", "/nonexistent/metrics"], b"");
    assert!(stderr_of(&output, 3).contains("/nonexistent/metrics"));
}
