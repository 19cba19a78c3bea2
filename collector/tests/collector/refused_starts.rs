//! Starts that must fail: exit code, thing and remedy.

use std::fs;
use std::process::{Command, Stdio};

use crate::bench::{Bench, assert_fails, run};
use crate::registry::{self, STANDARD};

fn refused(bench: &Bench, change: &[(&str, &str)], code: i32, words: &[&str]) {
    let mut arguments = vec![
        ("--registry", bench.text_path("registry")),
        ("--state", bench.text_path("state")),
        ("--outbox", bench.text_path("outbox")),
        ("--bus", bench.bus.address.clone()),
        ("--test-clock", bench.text_path("clock")),
    ];
    for (name, value) in change {
        arguments.retain(|(known, _)| known != name);
        arguments.push((name, (*value).to_owned()));
    }
    let arguments: Vec<&str> = arguments.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    assert_fails(&run("hubbubd", &arguments), code, words);
}

#[test]
fn a_test_clock_is_refused_where_real_users_are() {
    let bench = Bench::new(&STANDARD);
    for system in ["system", "unix:path=/run/dbus/system_bus_socket"] {
        refused(&bench, &[("--bus", system)], 2, &["--test-clock", "system bus", "--bus"]);
    }
    refused(&bench, &[("--test-clock", &bench.text_path("nothing"))], 3, &["nothing", "create the file"]);
    fs::write(bench.path("noon"), "noon").unwrap();
    refused(&bench, &[("--test-clock", &bench.text_path("noon"))], 2, &["noon", "Unix seconds"]);
}

#[test]
fn a_registry_with_errors_or_without_approval_is_refused() {
    let bench = Bench::new(&STANDARD);
    refused(&bench, &[("--registry", &bench.text_path("nowhere"))], 3, &["nowhere"]);
    fs::create_dir(bench.path("empty")).unwrap();
    refused(&bench, &[("--registry", &bench.text_path("empty"))], 2, &["empty", "*.toml"]);
    let good = registry::text(&STANDARD);
    for (what, text, words) in [
        ("float", good.replace("epsilon = \"0.25\"", "epsilon = 0.25"), vec!["test.toml:", "epsilon"]),
        ("changed", good.replace("The panel of a test", "Another text"), vec!["[covers]", "review this text"]),
        ("alone", good.replace("\"privacy-reviewer\", \"data-steward\"", "\"owner@example.org\""), vec!["[reviewers]"]),
        ("cut", good[..good.len() / 2].to_owned(), vec!["test.toml"]),
    ] {
        fs::create_dir(bench.path(what)).unwrap();
        fs::write(bench.path(what).join("test.toml"), text).unwrap();
        refused(&bench, &[("--registry", &bench.text_path(what))], 2, &words);
    }
    assert!(!bench.path("state").exists(), "a refused registry leaves no state");
}

#[test]
fn a_bus_that_is_not_there_or_taken_is_named() {
    let mut bench = Bench::new(&STANDARD);
    let address = format!("unix:path={}", bench.text_path("no-bus"));
    refused(&bench, &[("--bus", &address)], 4, &["no-bus", "--bus"]);
    refused(&bench, &[("--bus", "nonsense")], 4, &["nonsense"]);
    bench.start();
    let (state, outbox) = (bench.text_path("state2"), bench.text_path("outbox2"));
    refused(&bench, &[("--state", &state), ("--outbox", &outbox)], 4, &["already has an owner", "stop the other"]);
    refused(&bench, &[], 4, &["state", "in use by another hubbubd"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let bench = Bench::new(&STANDARD);
    fs::write(bench.path("file"), "").unwrap();
    let below = bench.text_path("file/below");
    refused(&bench, &[("--state", &below)], 3, &["file/below", "--state"]);
    refused(&bench, &[("--outbox", &below)], 3, &["file/below", "--outbox"]);

    fs::create_dir_all(bench.path("state")).unwrap();
    fs::write(bench.path("state/state.db"), "not a database at all".repeat(100)).unwrap();
    refused(&bench, &[], 3, &["state.db"]);
}

#[test]
fn a_read_only_disk_is_named() {
    let bench = Bench::new(&STANDARD);
    let place = bench.text_path("read-only");
    fs::create_dir(&place).unwrap();
    let script = format!(
        "mount -t tmpfs -o ro none {place} && exec \"$@\" --registry {} --state {place}/state --outbox {} --bus {}",
        bench.text_path("registry"),
        bench.text_path("outbox"),
        bench.bus.address
    );
    let unshare = |command: &str| {
        let arguments = ["--map-root-user", "--mount", "sh", "-c", command, "sh", crate::bench::binary("hubbubd")];
        Command::new("unshare").args(arguments).stdin(Stdio::null()).output()
    };
    let trial = unshare(&format!("mount -t tmpfs -o ro none {place}"));
    if !trial.is_ok_and(|trial| trial.status.success()) {
        hubbub_faults::skipped::note("a read-only disk", "mounting a file system is not permitted");
        return;
    }
    assert_fails(&unshare(&script).unwrap(), 3, &["read-only/state", "--state"]);
}

#[test]
fn wrong_usage_is_explained() {
    for program in ["hubbubd", "hubbub-upload", "hubbubctl"] {
        assert_fails(&run(program, &["--no-such-option"]), 2, &["--no-such-option"]);
        let help = run(program, &["--help"]);
        assert!(help.status.success());
        assert!(String::from_utf8_lossy(&help.stdout).contains("Exit codes: 0 done"), "{program}");
        let version = run(program, &["--version"]);
        assert_eq!(String::from_utf8_lossy(&version.stdout), format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
    }
    assert_fails(&run("hubbubd", &[]), 2, &["--registry"]);
    assert_fails(&run("hubbubctl", &[]), 2, &["status"]);
}
