//! `check`, `backup` and `purge`, with a running server and without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hubbub_privacy::{Payload, Report};

use crate::client::{count, offer, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, export, refused};

fn command(place: &Place, name: &str, rest: &[&str]) -> Output {
    let mut command = Command::new(place.program());
    command.arg(name).arg("--config").arg(place.path("aggregator.toml")).args(rest).output().unwrap()
}

/// Exit code, standard output and standard error.
fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn colours(range: std::ops::Range<u32>) -> Vec<Report> {
    range.map(|n| report(COLOUR, "2026-W47", n, Payload::List(vec![n % 4]))).collect()
}

#[test]
fn a_whole_store_is_called_whole_running_and_stopped() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert_eq!(count(&offer_all(server.address, &colours(100..132)), 200), 32);
    let whole = "whole: 2 series with 64 reports, 64 ids of open periods\n".to_owned();
    assert_eq!(outcome(&command(&place, "check", &[])), (0, whole.clone(), String::new()));
    assert!(server.terminate().success());
    assert_eq!(outcome(&command(&place, "check", &[])), (0, whole, String::new()));
}

#[test]
fn a_damaged_store_is_called_damaged_and_never_served() {
    let place = crate::new_place();
    let server = Server::start(&place);
    for group in markers().chunks(32) {
        assert_eq!(count(&offer_all(server.address, group), 200), 32);
    }
    assert!(server.terminate().success());
    let good = fs::read(place.path("store.redb")).unwrap();
    // 24 ones in a row are counters of the marker metric: one of them becomes 3.
    let ones: Vec<u8> = [1u64; 24].iter().flat_map(|one| one.to_le_bytes()).collect();
    let at = good.windows(ones.len()).position(|window| window == ones).expect("the counters lie in the file");
    let mut bad = good.clone();
    bad[at] = 3;
    for (name, bytes) in [("a counter", bad), ("its end", good[..good.len() / 2].to_vec()), ("all", vec![7; 9000])] {
        fs::write(place.path("store.redb"), bytes).unwrap();
        let (code, stdout, stderr) = outcome(&command(&place, "check", &[]));
        assert!((code, stdout.as_str()) == (1, "") && stderr.contains("damaged: "), "{name}: {code} {stdout}{stderr}");
        let (code, message) = refused(&place);
        assert_eq!(code, Some(3), "{name}");
        assert!(message.contains("corrupted"), "{name}: {message}");
    }
    fs::write(place.path("store.redb"), good).unwrap();
    assert_eq!(outcome(&command(&place, "check", &[])).0, 0);
}

#[test]
fn checking_nothing_says_what_is_missing() {
    let place = crate::new_place();
    let (code, _, stderr) = outcome(&command(&place, "check", &[]));
    assert_eq!(code, 3);
    assert!(stderr.contains("does not exist"), "{stderr}");
}

#[test]
fn a_backup_of_a_busy_server_restores_to_a_moment_of_it() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    let target = place.path("backup.redb");
    let (code, stdout, stderr) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            for group in markers().chunks(32) {
                assert_eq!(count(&offer_all(server.address, group), 200), 32);
            }
        });
        let backup = outcome(&command(&place, "backup", &[target.to_str().unwrap()]));
        load.join().unwrap();
        backup
    });
    assert_eq!((code, stdout), (0, format!("{}\n", target.display())), "{stderr}");
    let backup = fs::read(&target).unwrap();
    let (code, _, stderr) = outcome(&command(&place, "backup", &[target.to_str().unwrap()]));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("it exists"), "{stderr}");
    assert_eq!(fs::read(&target).unwrap(), backup, "nothing is overwritten");
    let file = ["--file", target.to_str().unwrap()];
    let (code, stdout, stderr) = outcome(&command(&place, "check", &file));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("whole: "), "{stdout}");

    server.kill();
    fs::copy(&target, place.path("store.redb")).unwrap();
    let server = Server::start(&place);
    // What the backup knows is counted already; what it does not know is new again.
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    for group in markers().chunks(32) {
        assert_eq!(count(&offer_all(server.address, group), 200), 32);
    }
    assert!(export(&place).status.success());
    assert_eq!(read_counters(&place.counters("flag", "2026-W47")).0.reports, 32);
    assert_eq!(read_counters(&place.counters("marker", "2026-W47")).1, vec![1; 256]);
    assert!(server.terminate().success());
    let second: PathBuf = place.path("stopped.redb");
    assert_eq!(outcome(&command(&place, "backup", &[second.to_str().unwrap()])).0, 0);
    assert_eq!(mode(&second), 0o600);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_backup_that_cannot_be_written_leaves_nothing() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let target = place.path("missing/backup.redb");
    let (code, _, stderr) = outcome(&command(&place, "backup", &[target.to_str().unwrap()]));
    assert_eq!(code, 3);
    assert!(stderr.contains("backing up to") && stderr.contains("missing/backup.redb"), "{stderr}");
    assert_eq!(server.get("/readyz").status, 200);
}

/// Counters of the testing metric, and all files that hold the row of the store which only it has.
fn purged_after(place: &Place, running: bool) {
    let mut server = Some(Server::start(place));
    let address = server.as_ref().unwrap().address;
    assert_eq!(count(&offer_all(address, &flags(0..32)), 200), 32);
    assert_eq!(count(&offer_all(address, &colours(100..132)), 200), 32);
    assert!(export(place).status.success());
    assert!(place.counters("colour", "2026-W47").exists());
    if !running {
        assert!(server.take().unwrap().terminate().success());
    }
    let line = "test.colour version 1 2026-W47: 32 reports\n".to_owned();
    assert_eq!(outcome(&command(place, "purge", &["--dry-run"])), (0, line.clone(), String::new()));
    assert!(place.counters("colour", "2026-W47").exists(), "a dry run changes nothing");
    assert_eq!(outcome(&command(place, "purge", &[])), (0, line, String::new()));
    assert!(!place.counters("colour", "2026-W47").exists());
    assert!(place.counters("flag", "2026-W47").exists());
    let bytes = fs::read(place.path("store.redb")).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"test.colour"), "the series has left every page");
    assert_eq!(outcome(&command(place, "check", &[])).1, "whole: 1 series with 32 reports, 64 ids of open periods\n");
    assert_eq!(outcome(&command(place, "purge", &[])), (0, String::new(), String::new()), "nothing is left");
    let server = server.unwrap_or_else(|| Server::start(place));
    // Their ids stay: what was counted and purged is not counted again. New ones are.
    assert_eq!(offer(server.address, &colours(100..101)[0]).status, 200);
    assert_eq!(count(&offer_all(server.address, &colours(200..232)), 200), 32);
    assert!(export(place).status.success());
    assert_eq!(read_counters(&place.counters("colour", "2026-W47")).0.reports, 32);
    assert_eq!(read_counters(&place.counters("flag", "2026-W47")).0.reports, 32);
    server.kill();
    let server = Server::start(place);
    assert_eq!(outcome(&command(place, "check", &[])).1, "whole: 2 series with 64 reports, 96 ids of open periods\n");
    place.set_clock(week("2026-W47").end() + 14 * 86_400);
    crate::server::until("the end of the ids", || {
        (outcome(&command(place, "check", &[])).1 == "whole: 2 series with 64 reports, 0 ids of open periods\n")
            .then_some(())
    });
    assert!(server.terminate().success());
}

#[test]
fn testing_data_is_purged_from_a_running_server() {
    purged_after(&crate::new_place(), true);
}

#[test]
fn testing_data_is_purged_from_a_stopped_store() {
    purged_after(&crate::new_place(), false);
}

#[test]
fn data_counted_in_testing_stays_marked_when_the_metric_becomes_active() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &colours(0..32)), 200), 32);
    assert!(server.terminate().success());
    let mut metrics = standard_metrics();
    metrics.iter_mut().filter(|metric| metric.key == "colour").for_each(|metric| metric.status = "active");
    place.write_registry(&registry_text(&metrics));
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &colours(100..132)), 200), 32);
    let (code, stdout, _) = outcome(&command(&place, "purge", &["--dry-run"]));
    assert_eq!((code, stdout.as_str()), (0, "test.colour version 1 2026-W47: 64 reports\n"));
    assert!(server.terminate().success());
}
