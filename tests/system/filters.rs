//! `hubbub randomize | fold | estimate` on a hand-written draft registry, as anyone can run them from any language.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{hubbub, program, run, stderr_of, stdout_of, text};

const DRAFTS: &str = r#"schema = "hubbub-registry/1"
namespace = "test"

[metric.colour]
id = 1
version = 3
status = "draft"
[metric.colour.data]
kind = "categorical"
values = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15"]
absent = "c0"
other = "c15"
[metric.colour.privacy]
epsilon = "1.0"

[metric.dark]
id = 2
version = 1
status = "draft"
[metric.dark.data]
kind = "boolean"
[metric.dark.privacy]
epsilon = "0.5"

[metric.crashes]
id = 3
version = 1
status = "draft"
[metric.crashes.data]
kind = "count"
max = 20
[metric.crashes.privacy]
epsilon = "2.0"
"#;

struct Bench {
    directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("registry")).unwrap();
        fs::write(directory.path().join("registry/test.toml"), DRAFTS).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn registry(&self) -> String {
        text(&self.path("registry")).to_owned()
    }

    fn randomize(&self, metric: &str, seed: &str, lines: &str) -> Vec<u8> {
        let registry = self.registry();
        let arguments =
            ["randomize", "--registry", &registry, "--metric", metric, "--seed", seed, "--period", "2026-W46"];
        let output = hubbub(&arguments, lines.as_bytes());
        stdout_of(&output).into_bytes()
    }

    fn fold(&self, out: &str, reports: &[u8]) {
        let (registry, out) = (self.registry(), self.path(out));
        stdout_of(&hubbub(&["fold", "--registry", &registry, "--out", text(&out)], reports));
    }

    fn estimate(&self, counters: &str, out: &str, more: &[&str]) -> Vec<Value> {
        let (registry, counters, out) = (self.registry(), self.path(counters), self.path(out));
        let mut arguments =
            vec!["estimate", "--registry", &registry, "--counters", text(&counters), "--out", text(&out), "--json"];
        arguments.extend(more);
        serde_json::from_str::<Value>(&stdout_of(&hubbub(&arguments, b""))).unwrap().as_array().unwrap().clone()
    }
}

/// Every file below a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn sixteen_values_come_back_with_the_errors_that_are_promised() {
    let bench = Bench::new();
    // A skewed truth over 300,000 devices: value i has weight 1/(i+1).
    let weights: Vec<f64> = (0..16).map(|i| 1.0 / f64::from(i + 1)).collect();
    let total: f64 = weights.iter().sum();
    let counts: Vec<usize> = weights.iter().map(|w| (300_000.0 * w / total).round() as usize).collect();
    let n: usize = counts.iter().sum();
    let lines: String = counts.iter().enumerate().map(|(i, &count)| format!("c{i}\n").repeat(count)).collect();
    let reports = bench.randomize("test.colour", "42", &lines);
    assert_eq!(reports.iter().filter(|&&byte| byte == b'\n').count(), n);
    bench.fold("counters", &reports);
    let rows = bench.estimate("counters", "estimates", &[]);
    assert_eq!(rows.len(), 16);
    let mut squares = 0.0;
    for (row, &count) in rows.iter().zip(&counts) {
        let (estimate, error) = (row["estimate"].as_f64().unwrap(), row["noise_std_error"].as_f64().unwrap());
        let z = (estimate - count as f64 / n as f64) / error;
        assert!(z.abs() < 4.5, "{row}");
        squares += z * z;
        assert_eq!(row["reports"].as_u64(), Some(n as u64));
    }
    // The sum of 15 independent squares lies in here but for one run in a million; too small would be as wrong as too big.
    assert!((1.5..55.0).contains(&squares), "the errors are not those of noise_std_error: {squares}");
    let consistent: Vec<f64> = rows.iter().map(|row| row["consistent"].as_f64().unwrap()).collect();
    assert!((consistent.iter().sum::<f64>() - 1.0).abs() < 1e-12 && consistent.iter().all(|&share| share >= 0.0));
}

#[test]
fn counts_and_booleans_come_back_too() {
    let bench = Bench::new();
    let crashes: String = (0..60_000).map(|i| format!("{}\n", if i % 3 == 0 { 6 } else { 0 })).collect();
    let dark: String = (0..60_000).map(|i| if i % 4 == 0 { "true\n" } else { "\n" }).collect();
    let mut reports = bench.randomize("test.crashes", "1", &crashes);
    reports.extend(bench.randomize("test.dark", "2", &dark));
    bench.fold("counters", &reports);
    let rows = bench.estimate("counters", "estimates", &[]);
    let row = |metric: &str, statistic: &str, value: Option<&str>| {
        let same =
            |row: &&Value| row["metric"] == metric && row["statistic"] == statistic && row["value"].as_str() == value;
        rows.iter().find(same).unwrap()
    };
    for (row, truth) in [
        (row("test.crashes", "mean", None), 2.0),
        (row("test.crashes", "total", None), 120_000.0),
        (row("test.dark", "share", Some("true")), 0.25),
        (row("test.dark", "share", Some("false")), 0.75),
    ] {
        let z = (row["estimate"].as_f64().unwrap() - truth) / row["noise_std_error"].as_f64().unwrap();
        assert!(z.abs() < 4.5, "{row}");
    }
}

#[test]
fn a_seed_fixes_every_byte_and_no_seed_none() {
    let bench = Bench::new();
    let lines = "c1\nc2\n\nunlisted\n".repeat(5);
    let once = bench.randomize("test.colour", "7", &lines);
    assert_eq!(once, bench.randomize("test.colour", "7", &lines));
    assert_ne!(once, bench.randomize("test.colour", "8", &lines));
    // Another metric or period with the same seed shares no id.
    let ids = |reports: &[u8]| -> BTreeSet<String> {
        let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        std::str::from_utf8(reports).unwrap().lines().map(parse).collect()
    };
    let other = bench.randomize("test.dark", "7", &"true\n".repeat(20));
    assert!(ids(&once).len() == 20 && ids(&once).is_disjoint(&ids(&other)));
    let registry = bench.registry();
    let unseeded =
        || hubbub(&["randomize", "--registry", &registry, "--metric", "test.colour"], lines.as_bytes()).stdout;
    assert_ne!(unseeded(), unseeded());
    let first: Value = serde_json::from_slice(once.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((first["v"].as_u64(), first["metric"].as_u64(), first["version"].as_u64()), (Some(1), Some(1), Some(3)));
    assert_eq!(first["period"], "2026-W46");
    let payload: Vec<u64> = first["report"].as_array().unwrap().iter().map(|index| index.as_u64().unwrap()).collect();
    assert!(payload.len() == 4 && payload.is_sorted_by(|a, b| a < b) && payload[3] < 16, "{payload:?}");
}

#[test]
fn runs_over_the_same_input_give_identical_bytes() {
    let bench = Bench::new();
    let reports = bench.randomize("test.colour", "3", &"c1\nc5\n".repeat(500));
    bench.fold("a", &reports);
    bench.fold("b", &reports);
    let strip = |out: &str| -> Vec<Vec<u8>> { files(&bench.path(out)).into_values().collect() };
    assert_eq!(strip("a"), strip("b"));
    bench.estimate("a", "ea", &[]);
    bench.estimate("b", "eb", &[]);
    assert_eq!(strip("ea"), strip("eb"));
}

#[test]
fn the_same_report_is_counted_once() {
    let bench = Bench::new();
    let reports = bench.randomize("test.dark", "4", &"true\n".repeat(100));
    bench.fold("once", &reports);
    let (registry, out) = (bench.registry(), bench.path("twice"));
    let twice = [reports.clone(), reports].concat();
    let output = hubbub(&["fold", "--registry", &registry, "--out", text(&out)], &twice);
    assert!(stderr_of(&output, 0).contains("100 reports had an id that was counted before"));
    assert_eq!(bench.estimate("once", "a", &[]), bench.estimate("twice", "b", &[]));
}

#[test]
fn bad_lines_stop_with_their_number_and_write_nothing() {
    let bench = Bench::new();
    let registry = bench.registry();
    for (metric, lines, said) in [
        ("test.crashes", "1\n2\nmany\n3\n", "line 3: `many` is not an integer"),
        ("test.dark", "true\nyes\n", "line 2: `yes` is not `true` or `false`"),
        ("test.nothing", "", "metric `test.nothing` is not in the registry"),
    ] {
        let output = hubbub(&["randomize", "--registry", &registry, "--metric", metric], lines.as_bytes());
        let stderr = stderr_of(&output, 2);
        assert!(stderr.contains(said), "{stderr}");
    }
    let output = hubbub(&["randomize", "--registry", &registry, "--metric", "test.dark"], b"\xef\xbb\xbftrue\r\n");
    assert!(output.status.success(), "a byte order mark and CRLF are no part of a value");
    let output = hubbub(&["randomize", "--registry", &registry, "--metric", "test.dark"], b"true\n\xff\n");
    assert!(stderr_of(&output, 2).contains("line 2: not UTF-8"));

    let good = String::from_utf8(bench.randomize("test.dark", "5", "true\n")).unwrap();
    for (bad, said) in [
        ("not json\n".to_owned(), "line 2: not a report"),
        (
            "[1,2,1,\"2026-W46\",\"AAAAAAAAAAAAAAAAAAAAAA\",[0]]\n".to_owned(),
            "line 2: not a report: a report is a JSON object",
        ),
        (good.replace("\"report\":", "\"report\":\"1\",\"x\":"), "must be a whole number or an array of whole numbers"),
        (good.replace("\"metric\":2", "\"metric\":9"), "line 2: metric `9` is not in the registry"),
        (good.replace("\"version\":1", "\"version\":2"), "line 2: metric test.dark has version 1"),
        (good.replace("\"v\":1", "\"v\":2"), "line 2: report format 2"),
        (good.replace("\"v\":1", "\"v\":1,\"who\":\"me\""), "line 2: not a report: unknown field `who`"),
        (
            good.replace("\"report\":[0]", "\"report\":[2]").replace("\"report\":[1]", "\"report\":[2]"),
            "line 2: metric test.dark: index 2 is not below 2",
        ),
        (good.replace("W46", "W99"), "line 2: `period`"),
        (good[..50].to_owned(), "line 2: not a report"),
    ] {
        let out = bench.path("nothing");
        let output = hubbub(&["fold", "--registry", &registry, "--out", text(&out)], format!("{good}{bad}").as_bytes());
        let stderr = stderr_of(&output, 2);
        assert!(stderr.contains(said), "{stderr}");
        assert!(!out.exists(), "something was written");
    }
}

#[test]
fn places_that_cannot_be_read_or_written_are_named() {
    let bench = Bench::new();
    let registry = bench.registry();
    let reports = bench.randomize("test.dark", "6", "true\n");
    // Below a regular file no directory can be made, not even by root.
    let blocked = bench.path("registry/test.toml").join("out");
    let output = hubbub(&["fold", "--registry", &registry, "--out", text(&blocked)], &reports);
    assert!(stderr_of(&output, 3).contains("test.toml/out"));
    let missing = bench.path("missing");
    let out = bench.path("out");
    let output = hubbub(&["estimate", "--registry", &registry, "--counters", text(&missing), "--out", text(&out)], b"");
    assert!(stderr_of(&output, 3).contains("missing"));
    bench.fold("counters", &reports);
    let counters = bench.path("counters");
    let output =
        hubbub(&["estimate", "--registry", &registry, "--counters", text(&counters), "--out", text(&blocked)], b"");
    assert!(stderr_of(&output, 3).contains("test.toml/out"));
    let full = Command::new("sh")
        .args(["-c", "exec \"$0\" randomize --registry \"$1\" --metric test.dark > /dev/full"])
        .args([program("hubbub"), bench.path("registry")])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(0), "nothing to write is no error");
    let full = run(
        Command::new("sh")
            .args(["-c", "exec \"$0\" randomize --registry \"$1\" --metric test.dark > /dev/full"])
            .args([program("hubbub"), bench.path("registry")]),
        b"true\n",
    );
    assert!(stderr_of(&full, 3).contains("writing standard output"));
}

#[test]
fn a_read_only_disk_is_named() {
    let bench = Bench::new();
    fs::create_dir(bench.path("disk")).unwrap();
    let reports = bench.randomize("test.dark", "6", "true\n");
    let output = run(
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg(
                "mount -t tmpfs -o ro none \"$2\" || exit 77; exec \"$0\" fold --registry \"$1\" --out \"$2/counters\"",
            )
            .args([program("hubbub"), bench.path("registry"), bench.path("disk")]),
        &reports,
    );
    if matches!(output.status.code(), Some(77 | 1)) && !String::from_utf8_lossy(&output.stderr).contains("hubbub:") {
        hubbub_faults::skipped::note("a read-only disk under the filters", "mounting a file system is not permitted");
        return;
    }
    let stderr = stderr_of(&output, 3);
    assert!(stderr.contains("disk/counters") && stderr.contains("Read-only"), "{stderr}");
}

#[test]
fn a_counters_file_cut_short_is_named_and_nothing_is_written() {
    let bench = Bench::new();
    bench.fold("counters", &bench.randomize("test.dark", "6", "true\nfalse\n"));
    let file = files(&bench.path("counters")).into_keys().next().unwrap();
    let bytes = fs::read(&file).unwrap();
    let (registry, counters, out) = (bench.registry(), bench.path("counters"), bench.path("out"));
    for keep in [bytes.len() - 1, bytes.len() / 2, 3, 0] {
        fs::write(&file, &bytes[..keep]).unwrap();
        let output =
            hubbub(&["estimate", "--registry", &registry, "--counters", text(&counters), "--out", text(&out)], b"");
        let stderr = stderr_of(&output, 2);
        assert!(stderr.contains("node=offline.parquet"), "{stderr}");
        assert!(!out.exists(), "something was written");
    }
}

#[test]
fn periods_can_be_pooled() {
    let bench = Bench::new();
    let registry = bench.registry();
    let mut reports = Vec::new();
    for (week, seed) in [("2026-W44", "1"), ("2026-W45", "2"), ("2026-W46", "3")] {
        let arguments =
            ["randomize", "--registry", &registry, "--metric", "test.dark", "--seed", seed, "--period", week];
        reports.extend(hubbub(&arguments, "true\n".repeat(50).as_bytes()).stdout);
    }
    bench.fold("counters", &reports);
    let rows = bench.estimate("counters", "pooled", &["--pool", "2026-W45..2026-W46"]);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["reports"].as_u64(), Some(100));
    assert_eq!(rows[0]["period_start"], "2026-11-02");
    assert!(bench.path("pooled/period=2026-W45..2026-W46/test.dark.parquet").exists());
    let output = hubbub(
        &["estimate", "--registry", &registry, "--counters", "x", "--out", "y", "--pool", "2026-W46..2026-W45"],
        b"",
    );
    assert!(stderr_of(&output, 2).contains("later"));
}
