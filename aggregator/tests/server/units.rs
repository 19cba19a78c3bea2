//! The systemd units: what systemd itself says of them, and the server under what can be had of their restrictions.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::{count, offer_all};
use crate::place::*;
use crate::server::{Server, until};
use crate::service_manager::{Manager, with_passed};

/// At most, as `systemd-analyze security` counts.
const MAX_EXPOSURE: f64 = 1.2;

fn packaging(name: &str) -> String {
    format!("{}/../packaging/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The values of a key, in order.
fn values(unit: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(packaging(unit)).unwrap();
    let start = format!("{key}=");
    text.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

fn analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").arg("--no-pager").args(arguments).output();
    let output = output.expect("scripts/need systemd-analyze=systemd");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_service_is_hardly_exposed() {
    let unit = packaging("hubbub-aggregator.service");
    let (good, text) = analyze(&["security", "--offline=true", "--threshold=12", &unit]);
    let overall = text.lines().find_map(|line| line.split("Overall exposure level for").nth(1)).unwrap_or("");
    let exposure: f64 = overall.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(good && exposure <= MAX_EXPOSURE, "{text}");
}

#[test]
fn systemd_understands_every_line() {
    let units = TempDir::new().unwrap();
    let program = env!("CARGO_BIN_EXE_hubbub-aggregator");
    let put = |from: &str, to: &str| {
        let text = fs::read_to_string(packaging(from)).unwrap().replace("/usr/bin/hubbub-aggregator", program);
        fs::write(units.path().join(to), text).unwrap();
    };
    let service = units.path().join("hubbub-aggregator.service");
    put("hubbub-aggregator.service", "hubbub-aggregator.service");
    put("hubbub-aggregator.socket", "hubbub-aggregator.socket");
    for with_tls in [false, true] {
        if with_tls {
            fs::create_dir(units.path().join("hubbub-aggregator.service.d")).unwrap();
            put("hubbub-aggregator-tls.conf", "hubbub-aggregator.service.d/tls.conf");
        }
        let output = Command::new("systemd-analyze")
            .env("SYSTEMD_UNIT_PATH", format!("{}:", units.path().display()))
            .args(["verify", "--man=no", service.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("hubbub-aggregator"), "{said}");
    }
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let output = Command::new("systemd-sysusers")
        .arg(format!("--root={}", root.path().display()))
        .arg("-")
        .stdin(fs::File::open(packaging("hubbub-aggregator.sysusers")).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read_to_string(root.path().join("etc/passwd")).unwrap().contains("hubbub-aggregator:x:"));
}

#[test]
fn the_drop_in_hands_over_the_certificate() {
    let (place, _) = crate::tls::with_certificate();
    let user = rustix::process::geteuid().as_raw().to_string();
    let runtime = place.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let commands =
        [values("hubbub-aggregator-tls.conf", "ExecStartPre"), values("hubbub-aggregator-tls.conf", "ExecReload")];
    assert_eq!(commands[0][0], commands[1][1], "a reload copies what a start copies");
    assert_eq!(commands[1][2], "/bin/kill -HUP $MAINPID");
    let command = commands[0][0]
        .replace("=hubbub-aggregator ", &format!("={user} "))
        .replace("/run/hubbub-aggregator", runtime.to_str().unwrap())
        .replace("/etc/hubbub", place.path("").to_str().unwrap());
    // The plus sign is systemd's: with full privileges.
    let words: Vec<&str> = command.strip_prefix('+').unwrap().split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["certificate.pem", "key.pem"] {
        assert_eq!(fs::metadata(runtime.join(name)).unwrap().permissions().mode() & 0o777, 0o400);
    }
    // The comments say which keys go with it.
    let text = fs::read_to_string(packaging("hubbub-aggregator-tls.conf")).unwrap();
    let keys: String =
        text.lines().filter_map(|line| line.strip_prefix("#   ")).map(|line| line.to_owned() + "\n").collect();
    place.write_config(&(place.config() + &keys.replace("/run/hubbub-aggregator", runtime.to_str().unwrap())));
    assert!(Server::start(&place).url.starts_with("https://"));
}

/// The shipped command line, with this place's program and configuration.
fn exec_start(place: &Place) -> Vec<String> {
    let line = values("hubbub-aggregator.service", "ExecStart").remove(0);
    let line = line
        .replace("/usr/bin/hubbub-aggregator", place.program().to_str().unwrap())
        .replace("/etc/hubbub/aggregator.toml", place.path("aggregator.toml").to_str().unwrap());
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_passed_socket_is_all_the_network_it_needs() {
    let place = crate::new_place();
    let mut command = Command::new("unshare");
    // An empty network, as by PrivateNetwork=; privileges gone for good, as by NoNewPrivileges= and the bounding set.
    command.args(["--user", "--map-root-user", "--net", "setpriv", "--no-new-privs", "--bounding-set", "-all"]);
    match Command::new("unshare").args(["--user", "--map-root-user", "--net", "true"]).output() {
        Ok(output) if output.status.success() => {}
        refused => {
            println!("SKIPPED: the server without a network: unshare: {refused:?}");
            return;
        }
    }
    command.args(exec_start(&place)).args(["--test-clock", place.path("clock").to_str().unwrap()]);
    let mut command = with_passed(&command, "tcp", 0);
    let manager = Manager::new(&place, &mut command);
    let server = Server::spawn(&place, command);
    manager.until("READY=1");
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert!(server.terminate().success());
    manager.until("STOPPING=1");
}

/// All calls of a set of the unit's filter.
fn calls_of(set: &str) -> BTreeSet<String> {
    let (good, text) = analyze(&["syscall-filter", set]);
    assert!(good, "{text}");
    let mut calls = BTreeSet::new();
    for entry in text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if entry.starts_with('@') { calls.extend(calls_of(entry)) } else { calls.extend([entry.to_owned()]) }
    }
    calls
}

/// What the unit's filter lets through, as systemd composes it: `@default` is always there, and `~` takes away.
fn allowed_calls() -> BTreeSet<String> {
    let mut allowed = calls_of("@default");
    for line in values("hubbub-aggregator.service", "SystemCallFilter") {
        for set in line.trim_start_matches('~').split_whitespace() {
            let calls = calls_of(set);
            if line.starts_with('~') {
                allowed.retain(|call| !calls.contains(call));
            } else {
                allowed.extend(calls);
            }
        }
    }
    allowed
}

#[test]
fn every_system_call_of_a_busy_life_passes_the_filter() {
    let (place, _) = crate::tls::with_certificate();
    place.write_config(&place.config());
    let calls = place.path("calls");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-c", "-U", "name", "-o", calls.to_str().unwrap()]);
    match Command::new("strace").args(["-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => {}
        refused => {
            println!("SKIPPED: the system calls of a busy life: strace: {refused:?}");
            return;
        }
    }
    command.args(exec_start(&place)).args(["--test-clock", place.path("clock").to_str().unwrap()]);
    let mut command = with_passed(&command, "tcp", 0);
    let manager = Manager::new(&place, &mut command);
    command.env("WATCHDOG_USEC", "10000000");
    let server = Server::spawn(&place, command);
    manager.until("READY=1");
    // A commit takes what has come: the second one may miss its group by as many as the first had beyond its own.
    assert!(count(&offer_all(server.address, &flags(0..64)), 200) >= 32);
    server.signal(Signal::HUP);
    manager.until("RELOADING=1");
    let target = place.path("backup.redb");
    for arguments in [&["export"][..], &["check"], &["backup"], &["purge"]] {
        let mut asker = Command::new(place.program());
        asker.args(arguments).arg("--config").arg(place.path("aggregator.toml"));
        if arguments == ["backup"] {
            asker.arg(&target);
        }
        let output = asker.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // A period's end rewrites the store.
    place.set_clock(week("2026-W47").end() + 14 * 86_400);
    until("the period's end", || {
        fs::read_to_string(place.path("log")).unwrap().contains("period closed").then_some(())
    });
    assert!(server.terminate().success());

    let called = until("strace's summary", || {
        let text = fs::read_to_string(&calls).unwrap_or_default();
        let called: BTreeSet<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        called.contains("accept4").then_some(called)
    });
    let allowed = allowed_calls();
    let refused: Vec<&String> = called
        .iter()
        .filter(|call| call.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'))
        .filter(|call| !call.is_empty() && *call != "syscall" && *call != "total" && !allowed.contains(*call))
        .collect();
    assert!(refused.is_empty(), "the unit's filter refuses {refused:?}");
    assert!(
        !allowed.contains("ptrace") && !allowed.contains("mount") && !allowed.contains("chown"),
        "it refuses something"
    );
}
