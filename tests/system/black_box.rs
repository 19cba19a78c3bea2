//! `hubbub audit --black-box` on the shipped sampler, on an honest foreign one, and on faulty ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{hubbub, program, stderr_of, stdout_of, text};
use crate::sources::root;

/// A registry of one draft of every family, and its certificates.
struct Bench {
    directory: TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let values = |n: u32| {
            let labels: Vec<String> = (0..n).map(|i| format!("v{i}")).collect();
            format!("values = {labels:?}")
        };
        let categorical = |n| format!("kind = \"categorical\", absent = \"v0\", other = \"v1\", {}", values(n));
        let edges: Vec<u32> = (0..21).collect();
        let metrics = [
            ("boolean", "kind = \"boolean\"".to_owned(), "auto"),
            ("five", categorical(5), "randomized_response"),
            ("sixteen", categorical(16), "subset"),
            ("set", format!("kind = \"set\", max_items = 2, {}", values(6)), "auto"),
            ("large", categorical(300), "cyclotomic"),
            ("ordered", format!("kind = \"ordered\", edges = {edges:?}, absent = 3, goal = \"mean\""), "auto"),
            ("count", "kind = \"count\", max = 20".to_owned(), "folded_geometric"),
            ("tally", "kind = \"count\", max = 50".to_owned(), "window"),
        ];
        let mut document = "schema = \"hubbub-registry/1\"\nnamespace = \"test\"\n".to_owned();
        for (id, (key, data, mechanism)) in (1..).zip(metrics) {
            document += &format!(
                "[metric.{key}]\nid = {id}\nversion = 3\nstatus = \"draft\"\ndata = {{ {data} }}\n\
                 privacy = {{ epsilon = \"1.0\", mechanism = \"{mechanism}\" }}\n"
            );
        }
        fs::create_dir(directory.path().join("registry")).unwrap();
        fs::write(directory.path().join("registry/test.toml"), document).unwrap();
        let bench = Self { directory };
        let out = bench.path("certificates");
        stdout_of(&hubbub(&["audit", "--registry", text(&bench.path("registry")), "--out", text(&out)], b""));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn audit(&self, metric: &str, more: &[&str]) -> Output {
        let (registry, metric) = (self.path("registry"), format!("test.{metric}"));
        hubbub(&[&["audit", "--registry", text(&registry), "--black-box", &metric], more].concat(), b"")
    }

    /// The command that runs a foreign sampler.
    fn foreign(&self, sampler: &str, metric: &str) -> String {
        let script = root().join("tests/system/faulty/samplers.py");
        let certificate = self.path("certificates").join(format!("test.{metric}.json"));
        format!("exec python3 -B '{}' {sampler} '{}'", text(&script), text(&certificate))
    }

    /// The names of the checks that a foreign sampler fails.
    fn exposed(&self, sampler: &str, metric: &str, draws: &str) -> Vec<String> {
        let command = self.foreign(sampler, metric);
        let output = self.audit(metric, &["--draws", draws, "--seed", "5", "--command", &command, "--json"]);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{sampler}: {error}: {}", String::from_utf8_lossy(&output.stderr));
        });
        let checks = result["checks"].as_array().unwrap();
        let failed: Vec<String> = checks
            .iter()
            .filter(|check| check["verdict"] == "failed")
            .map(|check| check["check"].as_str().unwrap().to_owned())
            .collect();
        let said = stderr_of(&output, i32::from(!failed.is_empty()));
        assert_eq!(result["verdict"], if failed.is_empty() { "passed" } else { "failed" });
        assert!(failed.iter().all(|check| said.contains(check)), "{said}");
        failed
    }
}

#[test]
fn the_shipped_sampler_of_every_family_passes() {
    let bench = Bench::new();
    for metric in ["boolean", "five", "sixteen", "set", "large", "ordered", "count", "tally"] {
        let table = stdout_of(&bench.audit(metric, &["--draws", "60000", "--seed", "1"]));
        assert!(table.starts_with(&format!("test.{metric} (")) && !table.contains("FAILED"), "{table}");
        for check in ["one report per value", "fresh ids", "epsilon", "calibration", "serial independence"] {
            let line = table.lines().find(|line| line.starts_with(&format!("{check} "))).unwrap();
            assert!(line.ends_with(" passed"), "{line}");
        }
        assert_eq!(stdout_of(&bench.audit(metric, &["--draws", "60000", "--seed", "1"])), table);
    }
}

#[test]
fn an_honest_foreign_sampler_passes() {
    let bench = Bench::new();
    for metric in ["five", "boolean", "set", "large"] {
        assert_eq!(bench.exposed("honest", metric, "30000"), Vec::<String>::new(), "{metric}");
    }
}

#[test]
fn every_faulty_sampler_is_exposed_by_the_check_for_its_fault() {
    let bench = Bench::new();
    for (sampler, metric, check) in [
        ("too_truthful", "five", "epsilon"),
        ("too_noisy", "boolean", "calibration"),
        ("first_never_randomized", "sixteen", "epsilon"),
        ("stuck", "five", "serial independence"),
        ("ids_repeated", "five", "fresh ids"),
        ("id_tells", "five", "meaningless ids"),
        ("word_reused", "five", "serial independence"),
        ("remembered", "five", "serial independence"),
        ("swapped", "five", "calibration"),
        ("silent_at_default", "five", "one report per value"),
        ("talkative", "five", "one report per value"),
        ("stops_early", "five", "one report per value"),
        ("unlisted", "five", "possible payloads"),
        ("garbled", "five", "well-formed reports"),
        ("other_metric", "five", "metric and version"),
        ("two_weeks", "five", "one period"),
        ("spaced", "five", "one form"),
        ("no_dummies", "set", "calibration"),
        ("one_coordinate", "large", "calibration"),
        ("fails_at_the_end", "five", "clean end"),
    ] {
        let found = bench.exposed(sampler, metric, "20000");
        assert!(found.iter().any(|name| name == check), "{sampler} is found by {found:?}, not by {check}");
        // What only breaks the contract, or only one report's link to the next, is blamed for nothing else.
        if matches!(sampler, "word_reused" | "two_weeks" | "fails_at_the_end" | "silent_at_default") {
            assert_eq!(found.len(), 1, "{sampler}: {found:?}");
        }
    }
}

#[test]
fn the_result_is_complete_as_json_and_as_a_picture() {
    let bench = Bench::new();
    let picture = bench.path("picture.svg");
    let command = bench.foreign("too_truthful", "five");
    let arguments = ["--draws", "20000", "--seed", "3", "--command", &command, "--json", "--plot", text(&picture)];
    let output = bench.audit("five", &arguments);
    let said = stderr_of(&output, 1);
    assert!(said.contains("metric test.five: the program fails") && said.contains("epsilon"), "{said}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["metric"], &result["family"]), (&"test.five".into(), &"subset".into()));
    assert_eq!((&result["draws"], &result["program"]), (&20_000.into(), &command.as_str().into()));
    assert_eq!(result["inputs"].as_array().unwrap().len(), 5);
    let check = |name: &str| {
        let found = result["checks"].as_array().unwrap().iter().find(|check| check["check"] == name);
        found.unwrap().clone()
    };
    let epsilon = check("epsilon");
    let figure = |name: &str| epsilon["figures"][name].as_f64().unwrap();
    assert!((1.0..1.4).contains(&figure("lower_bound")), "{epsilon}");
    assert!(figure("declared") == 1.0 && (0.999_999..=1.0).contains(&figure("realized")), "{epsilon}");
    let largest = &check("calibration")["deviations"][0];
    let value = |of: &Value| of.as_f64().unwrap();
    let (law, low, high) = (value(&largest["law"]), value(&largest["interval"][0]), value(&largest["interval"][1]));
    assert!(!(low..=high).contains(&law) && (low..=high).contains(&value(&largest["observed"])), "{largest}");
    let picture = fs::read_to_string(&picture).unwrap();
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>") && !picture.contains("<script"));
    assert!(picture.contains("class=\"bad\"") && picture.contains("calibration: FAILED"));
}

#[test]
fn usage_and_programs_that_do_not_start_have_their_exit_codes() {
    let bench = Bench::new();
    for (more, word) in [
        (&["--draws", "10"][..], "10"),
        (&["--confidence", "1"], "0.5"),
        (&["--confidence", "NaN"], "0.5"),
        (&["--out", "certificates"], "--out"),
    ] {
        let said = stderr_of(&bench.audit("five", more), 2);
        assert!(said.contains(word), "{said}");
    }
    assert!(stderr_of(&bench.audit("nothing", &[]), 2).contains("test.nothing"));
    let (registry, out) = (bench.path("registry"), bench.path("nowhere"));
    for option in ["--draws", "--confidence", "--command", "--plot", "--seed"] {
        let value = if option == "--confidence" { "0.9" } else { "1000" };
        let arguments = ["audit", "--registry", text(&registry), "--out", text(&out), option, value];
        assert!(stderr_of(&hubbub(&arguments, b""), 2).contains(option), "{option}");
        let alone = ["audit", "--registry", text(&registry), option, value];
        assert!(stderr_of(&hubbub(&alone, b""), 2).contains("--black-box"), "{option}");
    }
    let said = stderr_of(&bench.audit("five", &["--draws", "1000", "--command", "exec ./no-such-sampler"]), 4);
    assert!(said.contains("cannot be started"), "{said}");
    let unwritable = ["--draws", "1000", "--plot", "no-such-directory/picture.svg"];
    assert!(stderr_of(&bench.audit("five", &unwritable), 3).contains("--plot"));
}

#[test]
fn programs_that_flood_or_hang_up_are_judged_at_once() {
    let bench = Bench::new();
    for (command, said) in [
        ("cat /dev/zero", "an endless one"),
        ("yes", "more than 50000 lines"),
        ("head -c 1000", "lines for 50000 values"),
        ("exec true", "0 lines for 50000 values"),
        ("exec cat", "not a report"),
        ("exec <&- >&-; exec sleep 1", "0 lines"),
    ] {
        let output = bench.audit("boolean", &["--draws", "50000", "--command", command]);
        let table = String::from_utf8(output.stdout.clone()).unwrap();
        stderr_of(&output, 1);
        assert!(table.contains(said) && table.contains("not judged"), "{command}: {table}");
    }
}

#[test]
fn an_interrupted_audit_leaves_no_program_behind() {
    let bench = Bench::new();
    let noted = bench.path("pids");
    // A shell and its child: neither reads nor writes.
    let command = format!("sleep 600 & echo $$ $! > '{}'; wait", text(&noted));
    let (registry, draws) = (bench.path("registry"), "100000000");
    let mut audit = Command::new(program("hubbub"))
        .args(["audit", "--registry", text(&registry), "--black-box", "test.five", "--draws", draws])
        .args(["--command", &command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let pids = loop {
        let pids = fs::read_to_string(&noted).unwrap_or_default();
        if pids.ends_with('\n') || Instant::now() > deadline {
            break pids;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    kill_process(Pid::from_child(&audit), Signal::INT).unwrap();
    assert_eq!(audit.wait().unwrap().code(), Some(130));
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.len(), 2);
    // The grandchild may wait for its new parent to notice its end, but it does not run.
    let runs = |pid: &str| {
        let status = fs::read_to_string(Path::new("/proc").join(pid).join("status")).unwrap_or_default();
        status.contains("State:") && !status.contains("State:\tZ")
    };
    while pids.iter().any(|pid| runs(pid)) {
        assert!(Instant::now() < deadline + Duration::from_secs(10), "{pids:?} still run");
        std::thread::sleep(Duration::from_millis(10));
    }
}
