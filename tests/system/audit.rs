//! `hubbub audit` on the starting set, on drafts of every family, and on what cannot be certified.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::programs::{hubbub, stderr_of, stdout_of, text};
use crate::sources::root;

/// A draft registry of one metric a line: key, data and privacy as inline tables.
fn registry(directory: &Path, metrics: &[(&str, &str, &str)]) {
    let mut document = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n".to_owned();
    for (id, (key, data, privacy)) in (1..).zip(metrics) {
        document += &format!(
            "[metric.{key}]\nid = {id}\nversion = 1\nstatus = \"draft\"\ndata = {{ {data} }}\nprivacy = {{ {privacy} }}\n"
        );
    }
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("test.toml"), document).unwrap();
}

fn audit(registry: &Path, out: &Path, more: &[&str]) -> std::process::Output {
    hubbub(&[&["audit", "--registry", text(registry), "--out", text(out)], more].concat(), b"")
}

fn rows(output: &std::process::Output) -> BTreeMap<String, Value> {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    rows.into_iter().map(|row| (row["metric"].as_str().unwrap().to_owned(), row)).collect()
}

/// The names in a directory with their bytes; no directories are expected in it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn fraction(text: &Value) -> (u128, u128) {
    let (above, below) = text.as_str().unwrap().split_once('/').unwrap();
    (above.parse().unwrap(), below.parse().unwrap())
}

#[test]
fn the_starting_set_is_certified_twice_with_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (metrics, out) = (root().join("metrics"), directory.path().join("deep/certificates"));
    let table = stdout_of(&audit(&metrics, &out, &[]));
    let first = files(&out);
    let rows = rows(&audit(&metrics, &out, &["--json"]));
    assert_eq!(files(&out), first);
    assert!(rows.len() >= 12 && table.lines().count() == rows.len() + 4, "{table}");
    for (name, row) in &rows {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line.ends_with(" certified") && row["verdict"] == "certified", "{line}");
        let (realized, declared) = (row["epsilon_realized"].as_str().unwrap(), row["epsilon"].as_str().unwrap());
        assert!(line.contains(realized) && line.contains(&format!(" {declared} ")), "{line}");
        let (realized, declared): (f64, f64) = (realized.parse().unwrap(), declared.parse().unwrap());
        assert!((declared - 1e-11..=declared + 1e-14).contains(&realized), "{line}");
        // The second figure: less than the first, and less for the mechanism than for any of its epsilon.
        let central = |which: &str| row["shuffle"][which].as_f64().unwrap();
        assert!(0.0 < central("specific") && central("specific") <= central("generic"), "{row}");
        assert!(central("generic") < 0.2 * declared && row["shuffle"]["delta"] == 1e-6, "{row}");
        let certificate: Value = serde_json::from_slice(&first[&format!("{name}.json")]).unwrap();
        assert_eq!(
            (certificate["metric"].as_str(), &certificate["parameters"]),
            (Some(name.as_str()), &row["parameters"])
        );
        let opendp = &row["second_opinion"]["opendp"];
        assert!(opendp.is_null() || (opendp.as_f64().unwrap() - realized).abs() < 1e-12, "{line}");
        if certificate["values"] == 2 && certificate["family"] == "subset" {
            // Of two values, the ratio is T / (2^64 - T).
            let threshold: u64 = certificate["parameters"]["threshold"].as_str().unwrap().parse().unwrap();
            let (above, below) = fraction(&certificate["ratio"]);
            assert_eq!(above * ((1 << 64) - u128::from(threshold)), below * u128::from(threshold));
            assert!(above as f64 / below as f64 <= declared.exp() && !opendp.is_null(), "{line}");
        }
    }
    assert_eq!(first.len(), rows.len());
}

#[test]
fn opendp_judges_what_it_can_express_and_the_rest_says_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let values = |n: u32| format!("values = {:?}", (0..n).map(|i| format!("v{i}")).collect::<Vec<_>>());
    let (few, many) = (values(6), values(300));
    let ordered = "kind = \"ordered\", edges = [0, 1, 2, 4, 8], absent = 0, goal = \"quantiles\"";
    let epsilon = |epsilon: &str, mechanism: &str| format!("epsilon = \"{epsilon}\", mechanism = \"{mechanism}\"");
    let drafts = [
        ("boolean", "kind = \"boolean\"".to_owned(), epsilon("4.0", "auto"), true),
        ("response", format!("kind = \"categorical\", {many}"), epsilon("1.5", "randomized_response"), true),
        ("subset", format!("kind = \"categorical\", {few}"), epsilon("0.000001", "auto"), false),
        ("cyclotomic", format!("kind = \"categorical\", {many}"), epsilon("1.0", "cyclotomic"), false),
        ("window", ordered.to_owned(), epsilon("0.5", "auto"), false),
        ("narrow", ordered.to_owned(), epsilon("4.0", "auto"), true),
        ("count", "kind = \"count\", max = 255".to_owned(), epsilon("0.000001", "folded_geometric"), true),
        ("set", format!("kind = \"set\", max_items = 3, {few}"), epsilon("1.0", "auto"), false),
        ("single", format!("kind = \"set\", max_items = 1, {few}"), epsilon("3.0", "auto"), true),
    ];
    registry(
        directory.path(),
        &drafts.each_ref().map(|(key, data, privacy, _)| (*key, data.as_str(), privacy.as_str())),
    );
    let out = directory.path().join("out");
    let output = audit(directory.path(), &out, &["--json"]);
    assert_eq!(stderr_of(&output, 0), format!("wrote {} certificates to {}\n", drafts.len(), out.display()));
    let rows = rows(&output);
    for (key, _, _, expressible) in &drafts {
        let row = &rows[&format!("test.{key}")];
        let (opinion, declared) = (&row["second_opinion"], row["epsilon"].as_str().unwrap().parse::<f64>().unwrap());
        if *expressible {
            let certified = opinion["opendp"].as_f64().unwrap();
            assert!((declared - 1e-11..=declared + 1e-12).contains(&certified), "{row}");
        } else {
            assert!(opinion["not_expressible"].is_string() && opinion["opendp"].is_null(), "{row}");
        }
    }
}

#[test]
fn a_metric_without_a_mechanism_fails_and_the_others_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let (definitions, out) = (directory.path().join("registry"), directory.path().join("out"));
    let (good, bad) = ("epsilon = \"1.0\"", "epsilon = \"1.0\", mechanism = \"laplace\"");
    let count = "kind = \"count\", max = 9";
    registry(&definitions, &[("before", count, good), ("failing", count, good), ("behind", count, good)]);
    fs::create_dir(&out).unwrap();
    fs::write(out.join("notes.json"), "mine").unwrap();
    stdout_of(&audit(&definitions, &out, &[]));
    assert!(files(&out).contains_key("test.failing.json"));
    registry(&definitions, &[("before", count, good), ("failing", count, bad), ("behind", count, good)]);
    let output = audit(&definitions, &out, &[]);
    let said = stderr_of(&output, 1);
    assert!(said.contains("1 of 3 metrics fail the audit") && said.contains("metric test.failing: "), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().any(|line| line.starts_with("test.failing ") && line.ends_with(" failed")), "{table}");
    // The failing metric's earlier certificate is gone, and what is not ours is untouched.
    let left = files(&out);
    let names: Vec<&str> = left.keys().map(String::as_str).collect();
    assert_eq!(names, ["notes.json", "test.before.json", "test.behind.json"]);
    assert_eq!(left["notes.json"], b"mine");
    let rows = rows(&audit(&definitions, &out, &["--json"]));
    let row = &rows["test.failing"];
    assert!(row["verdict"] == "failed" && row["family"].is_null(), "{row}");
    assert!(row["defects"][0].as_str().unwrap().contains("laplace"), "{row}");
}

#[test]
fn a_bad_registry_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (definitions, out) = (directory.path().join("registry"), directory.path().join("out"));
    registry(&definitions, &[("m", "kind = \"boolean\"", "epsilon = \"NaN\"")]);
    let said = stderr_of(&audit(&definitions, &out, &[]), 2);
    assert!(said.contains("test.toml") && said.contains("NaN"), "{said}");
    stderr_of(&audit(&directory.path().join("missing"), &out, &[]), 3);
    stderr_of(&hubbub(&["audit", "--registry", text(&definitions)], b""), 2);
    assert!(!out.exists());
}

#[test]
fn an_unwritable_directory_is_an_input_output_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for out in [file.clone(), file.join("below")] {
        let said = stderr_of(&audit(&root().join("metrics"), &out, &[]), 3);
        assert!(said.contains("writing certificates") && said.contains(text(&out)) && said.contains("--out"), "{said}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"");
}
