//! `hubbub demo` with few devices: the whole pipeline through the shipped programs, and what it leaves behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::programs::{hubbub, program, stderr_of, stdout_of, text};
use crate::sources::root;

fn contains(bytes: &[u8], pattern: &str) -> bool {
    bytes.windows(pattern.len()).any(|window| window == pattern.as_bytes())
}

/// The report ids in a file that holds reports as text.
fn report_ids(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let starts = text.match_indices("\"id\":\"").map(|(start, key)| start + key.len());
    starts.filter_map(|start| text.get(start..start + 22).map(str::to_owned)).collect()
}

/// Processes whose command line names `directory`.
fn processes_of(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    commands
        .filter(|command| contains(command, text(directory)))
        .map(|c| String::from_utf8_lossy(&c).into_owned())
        .collect()
}

#[test]
fn the_demo_runs_and_leaves_sums_only() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("demo");
    let metrics = root().join("metrics");
    let arguments = ["demo", "--devices", "1500", "--seed", "3", "--out", text(&out), "--registry", text(&metrics)];
    let said = stdout_of(&hubbub(&arguments, b""));
    assert!(said.contains("rehearsal") && said.contains("counted"), "{said}");
    assert_eq!(processes_of(&out), Vec::<String>::new(), "the demo left processes behind");

    let (covering, intervals) = said.split(" intervals cover").next().unwrap().rsplit_once(" of ").unwrap();
    let covering: f64 = covering.rsplit('\n').next().unwrap().parse().unwrap();
    let intervals: f64 = intervals.parse().unwrap();
    // The rows of a metric are correlated, so the bound is generous; 95 % of several hundred is expected.
    assert!(intervals > 100.0 && covering / intervals > 0.88, "{covering} of {intervals}");

    let state = fs::read(out.join("device/state/state.db")).unwrap();
    let ids = report_ids(&state);
    assert!(!ids.is_empty(), "the device's own log keeps its reports");
    for id in &ids {
        assert!(said.contains(id.as_str()), "the log that the demo shows has every report's bytes");
    }
    let store = fs::read(out.join("server/store.redb")).unwrap();
    let log = fs::read(out.join("server/log")).unwrap();
    for kept in [&store, &log] {
        assert!(!contains(kept, "\"report\"") && !contains(kept, "\"id\""), "a report is on the server's disk");
        assert!(ids.iter().all(|id| !contains(kept, id)), "a report's id is readable on the server's disk");
    }
    assert!(!contains(&store, "127.0.0.1"), "an address is in the store");
    assert!(out.join("truth.parquet").exists());
}

#[test]
fn an_interrupted_demo_ends_what_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("demo");
    let metrics = root().join("metrics");
    let mut demo = Command::new(program("hubbub"))
        .args(["demo", "--devices", "1000000", "--out", text(&out), "--registry", text(&metrics)])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let started = lines.map(Result::unwrap).find(|line| line.starts_with("4. "));
    assert!(started.is_some(), "the demo ended before its devices answered");
    assert!(!processes_of(&out).is_empty());
    kill_process(Pid::from_child(&demo), Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert_eq!(processes_of(&out), Vec::<String>::new(), "the demo left processes behind");
}

#[test]
fn somebody_elses_directory_is_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "do not lose").unwrap();
    let metrics = root().join("metrics");
    let output = hubbub(&["demo", "--out", text(directory.path()), "--registry", text(&metrics)], b"");
    assert!(stderr_of(&output, 2).contains("is not an earlier demo"));
    assert!(directory.path().join("thesis.txt").exists());
}

#[test]
fn a_missing_registry_stops_the_demo_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("demo");
    let output = hubbub(&["demo", "--out", text(&out), "--registry", "/nonexistent"], b"");
    assert!(stderr_of(&output, 3).contains("/nonexistent"));
    assert!(!out.exists());
}
