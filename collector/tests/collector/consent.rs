//! Before a yes, and after a no.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use zbus::Variant;

use crate::bench::{Bench, assert_fails, binary, error_name, eventually, week};
use crate::registry::STANDARD;

/// Sockets of a process that are neither of the Unix family nor anything but files.
fn internet_sockets(pid: u32) -> Vec<String> {
    let mut inodes = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default().to_string_lossy().into_owned();
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            inodes.insert(inode.to_owned());
        }
    }
    assert!(!inodes.is_empty(), "the daemon has at least its connection to the bus");
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        for line in text.lines().skip(1) {
            let inode = line.split_whitespace().nth(9).unwrap_or_default();
            if inodes.contains(inode) {
                found.push(format!("{table}: {line}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn without_an_answer_nothing_is_read_stored_or_sent() {
    let mut bench = Bench::new(&STANDARD);
    // Opening one of these for reading would block the daemon for good.
    bench.root = bench.path("root");
    fs::create_dir_all(bench.root.join("proc")).unwrap();
    for name in ["proc/cpuinfo", "proc/vmstat", "proc/meminfo"] {
        assert!(Command::new("mkfifo").arg(bench.root.join(name)).status().unwrap().success());
    }
    bench.start();

    let application = bench.application().await;
    let refused = application.call_method("RecordEvent", &("test.panel", Variant::from("network"))).await;
    assert_eq!(error_name(refused), "org.hubbub.Metrics1.Error.Disabled");
    bench.set_clock(week("2026-W49").start());
    for _ in 0..5 {
        assert_eq!(bench.json(&["status"])["consent"], "unset");
        assert_eq!(internet_sockets(bench.pid()), Vec::<String>::new());
    }
    assert_eq!(bench.log().len(), 0);
    assert!(bench.outbox().is_empty());
    assert_eq!(fs::read_dir(bench.path("state")).unwrap().count(), 0, "not even a database");
}

#[tokio::test]
async fn a_no_deletes_what_was_collected_and_what_waits() {
    let mut bench = Bench::consenting(&STANDARD);
    let application = bench.application().await;
    let () = application.call("RecordEvent", &("test.session", Variant::from("bluetooth"))).await.unwrap();
    assert!(bench.state_contains("bluetooth"));
    bench.close_week("2026-W48", 6);
    let () = application.call("RecordEvent", &("test.session", Variant::from("display"))).await.unwrap();
    assert!(bench.state_contains("bluetooth") && bench.state_contains("display"));

    bench.ctl(&["off"]);
    assert!(bench.outbox().is_empty());
    for value in ["bluetooth", "display"] {
        assert!(!bench.state_contains(value), "{value} is still there");
    }
    assert_eq!(bench.json(&["ledger"])["rows"].as_array().unwrap().len(), 6, "spending is not forgotten");
    for entry in bench.log() {
        assert_eq!(entry["state"], "deleted");
        assert!(entry.get("value").is_none() && entry.get("bytes").is_none(), "{entry}");
    }
    let refused = application.call_method("RecordEvent", &("test.panel", Variant::from("network"))).await;
    assert_eq!(error_name(refused), "org.hubbub.Metrics1.Error.Disabled");
    bench.set_clock(week("2026-W50").start());
    assert_eq!(bench.stop(), Some(0));
    bench.start();
    assert_eq!(bench.json(&["status"])["consent"], "no");
    assert_eq!(bench.log().len(), 6);
    assert!(bench.outbox().is_empty());
    assert_eq!(internet_sockets(bench.pid()), Vec::<String>::new());
}

#[tokio::test]
async fn properties_say_when_they_change() {
    let bench = Bench::started(&STANDARD);
    let application = bench.application().await;
    let properties = zbus::fdo::PropertiesProxy::builder(application.connection())
        .destination("org.hubbub.Metrics1")
        .path("/org/hubbub/Metrics1")
        .build()
        .await
        .unwrap();
    let mut changes = properties.receive_properties_changed().await.unwrap();
    bench.ctl(&["on"]);
    let mut seen = BTreeSet::new();
    while !(seen.contains("Consent") && seen.contains("Categories")) {
        let next = std::future::poll_fn(|context| {
            let changes = std::pin::Pin::new(&mut changes);
            futures_next(changes, context)
        });
        let change = tokio::time::timeout(crate::bench::PATIENCE, next).await.unwrap().unwrap();
        seen.extend(change.args().unwrap().changed_properties().keys().map(ToString::to_string));
    }
    bench.close_week("2026-W48", 6);
    eventually("the budget", || (bench.json(&["status"])["budget_spent"]["year"] == "1.5").then_some(()));
}

fn futures_next(
    stream: std::pin::Pin<&mut zbus::fdo::PropertiesChangedStream>,
    context: &mut std::task::Context<'_>,
) -> std::task::Poll<Option<zbus::fdo::PropertiesChanged>> {
    zbus::export::futures_core::Stream::poll_next(stream, context)
}

/// Runs hubbubctl as another user; nothing when that is not possible here.
fn as_nobody(bench: &Bench, arguments: &[&str]) -> Option<std::process::Output> {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::getuid().is_root() {
        hubbub_faults::skipped::note("another user's view", "only root can become another user");
        return None;
    }
    // The build directory may be closed to other users; the socket's directory is opened for them.
    let copy = bench.path("hubbubctl");
    // Copied by another process: a descriptor of ours that is open for writing would pass into the children that other
    // tests start at this moment, and the copy could not be run ("text file busy").
    assert!(Command::new("cp").arg(binary("hubbubctl")).arg(&copy).status().unwrap().success());
    fs::set_permissions(bench.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(copy);
    std::os::unix::process::CommandExt::uid(&mut command, 65534);
    std::os::unix::process::CommandExt::gid(&mut command, 65534);
    Some(command.args(["--json", "--bus", &bench.bus.address]).args(arguments).output().unwrap())
}

#[tokio::test]
async fn others_may_say_no_but_not_yes_and_see_their_own_values_only() {
    let bench = Bench::started(&STANDARD);
    let Some(refused) = as_nobody(&bench, &["on"]) else { return };
    assert_fails(&refused, 1, &["only the administrator"]);
    assert_fails(&as_nobody(&bench, &["preview", "test.cpu_vendor"]).unwrap(), 1, &["off"]);
    assert_eq!(bench.json(&["status"])["consent"], "unset");

    bench.ctl(&["on"]);
    let application = bench.application().await;
    let () = application.call("RecordEvent", &("test.panel", Variant::from("network"))).await.unwrap();
    let show = as_nobody(&bench, &["show", "test.panel"]).unwrap();
    assert!(show.status.success());
    let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(shown["stored"], serde_json::json!([]), "{shown}");
    assert_eq!(bench.json(&["show", "test.panel"])["stored"][0]["value"], "network");
    let cpu = as_nobody(&bench, &["show", "test.cpu_vendor"]).unwrap();
    assert!(String::from_utf8_lossy(&cpu.stdout).contains("\"value\": \"amd\""), "machine-wide values are for all");

    bench.close_week("2026-W48", 6);
    let log = as_nobody(&bench, &["log"]).unwrap();
    let log: serde_json::Value = serde_json::from_slice(&log.stdout).unwrap();
    for entry in log.as_array().unwrap() {
        assert_eq!(entry.get("value").is_none(), entry["metric"] == "test.panel", "{entry}");
    }
    assert!(as_nobody(&bench, &["off"]).unwrap().status.success(), "turning off is for everyone");
    assert_eq!(bench.json(&["status"])["consent"], "no");
}
