//! The owner's command line.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::bench::{Bench, Process, assert_fails, binary, run};
use crate::registry::STANDARD;

#[test]
fn every_command_is_there() {
    let help = String::from_utf8(run("hubbubctl", &["--help"]).stdout).unwrap();
    for command in ["status", "consent", "on", "off", "show", "preview", "log", "ledger"] {
        let is_listed = help.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert!(is_listed, "{command} is missing in: {help}");
        assert!(run("hubbubctl", &[command, "--help"]).status.success(), "{command}");
    }
}

#[test]
fn without_a_daemon_or_a_bus_the_remedy_is_named() {
    let bench = Bench::new(&STANDARD);
    assert_fails(&bench.try_ctl(&["status"]), 4, &["org.hubbub.Metrics1", "start hubbubd"]);
    assert_fails(&run("hubbubctl", &["--bus", "unix:path=/nowhere/bus", "log"]), 4, &["/nowhere/bus", "--bus"]);
}

#[test]
fn wrong_names_are_refused() {
    let bench = Bench::consenting(&STANDARD);
    assert_fails(&bench.try_ctl(&["show", "test.nothing"]), 2, &["test.nothing", "not in the registry"]);
    assert_fails(&bench.try_ctl(&["preview", "test.nothing"]), 2, &["test.nothing"]);
    assert_fails(&bench.try_ctl(&["on", "colour"]), 2, &["colour", "hardware"]);
    assert_fails(&bench.try_ctl(&["preview", "--bytes"]), 2, &["METRIC"]);
    assert_fails(&bench.try_ctl(&["consent"]), 2, &["--answer"]);
    assert_fails(&bench.try_ctl(&["consent", "--answer", "maybe"]), 2, &["maybe", "yes"]);
    bench.ctl(&["off", "hardware"]);
    bench.ctl(&["preview", "test.cpu_vendor"]);
    bench.ctl(&["off"]);
    assert_fails(&bench.try_ctl(&["--json", "show", "nothing"]), 2, &["nothing"]);
}

#[test]
fn the_tables_say_what_the_json_says() {
    let bench = Bench::started(&STANDARD);
    assert!(bench.ctl(&["status"]).contains("nobody has answered yet"));
    let asked = bench.ctl(&["consent", "--answer", "yes"]);
    for part in ["hardware (now off)", "Does the panel arrive?", "epsilon 0.25", "at most 12 reports", "\"metric\":1"] {
        assert!(asked.contains(part), "`{part}` is missing in: {asked}");
    }
    assert!(asked.contains("true value  amd") && asked.contains("Metrics are on"), "{asked}");
    let status = bench.ctl(&["status"]);
    for part in ["Metrics are on: hardware, settings", "asked 6", "installation", "400.0", "sha256:"] {
        assert!(status.contains(part), "`{part}` is missing in: {status}");
    }
    bench.ctl(&["off", "usage"]);
    assert_eq!(bench.json(&["status"])["categories"]["usage"], false);
    bench.ctl(&["on", "usage"]);
    assert_eq!(bench.json(&["status"])["categories"]["usage"], true);
    assert_eq!(bench.json(&["preview"]).as_array().unwrap().len(), 6);
    assert!(bench.ctl(&["show", "test.cpu_vendor"]).contains("unknown, other, intel, amd, arm"));

    bench.close_week("2026-W48", 6);
    let (log, entries) = (bench.ctl(&["log"]), bench.log());
    for entry in &entries {
        let report = entry["bytes"].as_str().unwrap().trim_end();
        assert!(log.contains(report) && log.contains(entry["odds"].as_str().unwrap()), "{entry} is not in {log}");
    }
    assert_eq!(bench.json(&["log", "--since", "4"]).as_array().unwrap().len(), 2);
    assert!(bench.ctl(&["ledger"]).contains("2026-W47"));
    let bytes = bench.ctl(&["preview", "test.dark", "--bytes"]);
    assert_eq!(bytes.len(), 512);
    assert!(entries.iter().any(|entry| entry["bytes"] == bytes.as_str()));
}

/// Runs `hubbubctl consent` on a terminal of its own and types `lines`.
fn typed(bench: &Bench, lines: &str) -> (Option<i32>, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let slave = std::fs::File::options().read(true).write(true).open(name).unwrap();
    let child = Command::new(binary("hubbubctl"))
        .args(["--bus", &bench.bus.address, "consent"])
        .stdin(Stdio::from(slave))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Process(child);
    std::fs::File::from(terminal.as_fd().try_clone_to_owned().unwrap()).write_all(lines.as_bytes()).unwrap();
    let mut shown = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    (child.wait().code(), shown)
}

#[test]
fn consent_takes_a_full_word_and_has_no_default() {
    let bench = Bench::started(&STANDARD);
    // An empty line, a letter and a capital are no answers; the terminal's end changes nothing.
    let (code, shown) = typed(&bench, "\ny\nYES\n\u{4}");
    assert_eq!(code, Some(2), "{shown}");
    assert_eq!(shown.matches("Type yes or no").count(), 4, "{shown}");
    assert_eq!(bench.json(&["status"])["consent"], "unset");
    let (code, shown) = typed(&bench, "perhaps\nyes\n");
    assert_eq!((code, shown.contains("Metrics are on")), (Some(0), true), "{shown}");
    assert_eq!(bench.json(&["status"])["consent"], "yes");
    let (code, _) = typed(&bench, "no\n");
    assert_eq!((code, bench.json(&["status"])["consent"].as_str()), (Some(0), Some("no")));
}
