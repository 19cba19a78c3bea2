//! `hubbub registry explain`: what a metric says in plain words, and the figures behind them.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::programs::{hubbub, stderr_of, stdout_of, text};
use crate::sources::root;

/// A draft registry of one metric, `test.m`.
fn draft(directory: &Path, data: &str, privacy: &str) {
    let document = format!(
        "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n[metric.m]\nid = 1\nversion = 1\nstatus = \"draft\"\n\
         data = {{ {data} }}\nprivacy = {{ {privacy} }}\n"
    );
    fs::write(directory.join("test.toml"), document).unwrap();
}

fn explain(registry: &Path, metric: &str, more: &[&str]) -> String {
    stdout_of(&hubbub(&[&["registry", "explain", metric, "--registry", text(registry)], more].concat(), b""))
}

fn json(registry: &Path, metric: &str, more: &[&str]) -> Value {
    serde_json::from_str(&explain(registry, metric, &[more, &["--json"]].concat())).unwrap()
}

/// Broken lines put together again.
fn unbroken(said: &str) -> String {
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_metric_of_the_starting_set_is_explained_in_its_own_words() {
    let metrics = root().join("metrics");
    let rows: Vec<Value> =
        serde_json::from_str(&stdout_of(&hubbub(&["plan", "--registry", text(&metrics), "--json"], b""))).unwrap();
    for row in &rows {
        let name = row["metric"].as_str().unwrap();
        let (said, figures) = (unbroken(&explain(&metrics, name, &[])), json(&metrics, name, &[]));
        for key in ["title", "question", "why_needed", "never_collects"] {
            let words = unbroken(figures[key].as_str().unwrap());
            assert!(!words.is_empty() && said.contains(&words), "{name}: {key}");
        }
        assert_eq!(figures["target_met"], true, "{name}");
        assert!(
            said.contains("met by the worst of these") && said.contains("A second figure, never instead"),
            "{said}"
        );
        assert!(said.contains(&format!("epsilon {}", figures["lifetime_epsilon"].as_str().unwrap())), "{said}");
        assert_eq!(figures["choice"]["parameters"], row["parameters"], "{name}");
        assert!(!figures["alternatives"].as_array().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn the_averaging_attack_is_told_to_the_reader() {
    let directory = tempfile::tempdir().unwrap();
    draft(directory.path(), "kind = \"boolean\"", "epsilon = \"1.0\", max_reports = 11");
    let said = unbroken(&explain(directory.path(), "test.m", &[]));
    assert!(
        said.contains("from one report 73 %, and from all 11 reports, if the answer never changed, 95 %."),
        "{said}"
    );
    let attacker = &json(directory.path(), "test.m", &[])["attacker"];
    let (one, all) = (attacker["after_one_report"].as_f64().unwrap(), attacker["after_all_reports"].as_f64().unwrap());
    assert_eq!(attacker["exact"], true);
    // The majority of 11 answers that are right with probability e/(1+e).
    assert!((one - 0.731_058_578_630_005).abs() < 1e-12 && (all - 0.951_905_658_740_451).abs() < 1e-12, "{attacker}");
    let bound = attacker["bound_by_lifetime_epsilon"].as_f64().unwrap();
    assert!((bound - 1.0 / (1.0 + (-11f64).exp())).abs() < 1e-12);
    draft(directory.path(), "kind = \"set\", values = [\"a\", \"b\", \"c\"], max_items = 2", "epsilon = \"1.0\"");
    let said = unbroken(&explain(directory.path(), "test.m", &[]));
    assert!(said.contains("any two answers") && said.contains("from one report at most 73 %."), "{said}");
    assert_eq!(json(directory.path(), "test.m", &[])["attacker"]["exact"], false);
}

#[test]
fn drafts_are_explained_for_a_number_of_devices() {
    let directory = tempfile::tempdir().unwrap();
    draft(directory.path(), "kind = \"count\", max = 12", "epsilon = \"1.0\", ask_probability = \"0.5\"");
    let reports = |more: &[&str]| json(directory.path(), "test.m", more)["reports"].as_u64();
    assert_eq!((reports(&[]), reports(&["--devices", "300"])), (Some(10_000), Some(150)));
    let half = |devices: &str| {
        let figures = json(directory.path(), "test.m", &["--devices", devices]);
        figures["choice"]["half_width_95"].as_f64().unwrap()
    };
    assert!((half("1000") / half("4000") - 2.0).abs() < 1e-9);
    assert!(json(directory.path(), "test.m", &["--devices", "1"])["choice"]["half_width_95"].is_null());
    assert!(unbroken(&explain(directory.path(), "test.m", &["--devices", "1"])).contains("no reports, so no crowd"));
    let tight = json(directory.path(), "test.m", &["--delta", "1e-9"])["choice"]["shuffle"]["specific"].as_f64();
    assert!(tight > json(directory.path(), "test.m", &[])["choice"]["shuffle"]["specific"].as_f64());
}

#[test]
fn a_choice_by_hand_says_what_auto_would_take() {
    let directory = tempfile::tempdir().unwrap();
    let values: Vec<String> = (0..16).map(|index| format!("\"v{index}\"")).collect();
    let data = format!("kind = \"categorical\", values = [{}]", values.join(", "));
    draft(directory.path(), &data, "epsilon = \"1.0\", mechanism = \"randomized_response\"");
    let said = unbroken(&explain(directory.path(), "test.m", &[]));
    assert!(said.contains("chosen by hand; auto would take subset k=4; this one needs "), "{said}");
    let figures = json(directory.path(), "test.m", &[]);
    let other = figures["alternatives"].as_array().unwrap().iter().find(|other| other["name"] == "subset").unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let saved = number(&other["variance"]) / number(&figures["choice"]["variance"]);
    assert!((number(&other["relative_cost"]) - saved).abs() < 1e-12 && saved < 0.6, "{other}");
}

#[test]
fn what_is_not_there_is_refused() {
    let metrics = root().join("metrics");
    let said = stderr_of(&hubbub(&["registry", "explain", "settings.nothing", "--registry", text(&metrics)], b""), 2);
    assert!(said.contains("metric `settings.nothing` is not in the registry"), "{said}");
    let command = ["registry", "explain", "settings.language", "--registry"];
    stderr_of(&hubbub(&[&command[..], &["/nonexistent/metrics"]].concat(), b""), 3);
    for more in [["--devices", "0"], ["--devices", "10000000001"], ["--delta", "2"], ["--delta", "NaN"]] {
        stderr_of(&hubbub(&[&command[..], &[text(&metrics)], &more[..]].concat(), b""), 2);
    }
    stderr_of(&hubbub(&["registry", "explain"], b""), 2);
}
