//! Counters files: what is in them, and that they are the same whoever writes them.

use std::fs;

use hubbub_privacy::{Payload, Series};

use crate::client::{count, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, export};

#[test]
fn an_export_is_the_same_running_stopped_and_repeated() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let mut reports = flags(0..40);
    reports.extend((100..150).map(|n| report(COLOUR, "2026-W46", n, Payload::List(vec![n % 4]))));
    // One round per metric, so that each group is full at some moment.
    assert!(count(&offer_all(server.address, &reports[..40]), 200) >= 32);
    assert!(count(&offer_all(server.address, &reports[40..]), 200) >= 32);

    let files = [place.counters("flag", "2026-W47"), place.counters("colour", "2026-W46")];
    let listed: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    let read = || files.clone().map(|file| fs::read(file).unwrap());
    let running = export(&place);
    assert_eq!(String::from_utf8(running.stdout).unwrap(), listed);
    assert_eq!(running.status.code(), Some(0), "{}", String::from_utf8(running.stderr).unwrap());
    let first = read();
    fs::remove_file(&files[0]).unwrap();
    export(&place);
    assert_eq!(read(), first, "running, again");
    assert!(server.terminate().success());
    fs::remove_dir_all(place.path("counters")).unwrap();
    let stopped = export(&place);
    assert_eq!(String::from_utf8(stopped.stdout).unwrap(), listed);
    assert_eq!(read(), first, "stopped");
}

#[test]
fn a_file_holds_all_indices_and_says_what_they_mean() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &markers()[..32]), 200), 32);
    export(&place);
    let path = place.counters("marker", "2026-W47");
    let (header, counts) = read_counters(&path);
    assert_eq!(counts.len(), 256);
    assert_eq!(counts.iter().sum::<i64>(), 32);
    assert!(counts[..32].iter().all(|&count| count == 1), "{counts:?}");
    assert_eq!(header.metric_id, MARKER);
    assert_eq!((header.reports, header.dropped_remainder, header.commit_group), (32, 0, 32));
    assert_eq!((header.family.as_str(), header.epsilon.as_str()), ("folded_geometric", "1.0"));
    assert!(header.registry_digest.starts_with("sha256:"));
    assert!(serde_json::from_str::<serde_json::Value>(&header.parameters).unwrap().is_object());
    let series = Series::from_path(path.strip_prefix(place.path("counters")).unwrap()).unwrap();
    assert_eq!((series.metric.as_str(), series.version, series.node.as_str()), ("test.marker", 1, "a"));
}

#[test]
fn counters_outlive_the_registry_that_asked_for_them() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &markers()[..32]), 200), 32);
    export(&place);
    let before = fs::read(place.counters("marker", "2026-W47")).unwrap();
    assert!(server.terminate().success());
    let others: Vec<MetricText> = standard_metrics().into_iter().filter(|metric| metric.id != MARKER.0).collect();
    place.write_registry(&registry_text(&others));
    fs::remove_dir_all(place.path("counters")).unwrap();
    let _server = Server::start(&place);
    assert_eq!(export(&place).status.code(), Some(0));
    assert_eq!(fs::read(place.counters("marker", "2026-W47")).unwrap(), before);
}

#[test]
fn nothing_to_export_is_no_error_and_no_store_is_one() {
    let place = crate::new_place();
    let output = export(&place);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("does not exist"));
    let _server = Server::start(&place);
    let output = export(&place);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[test]
fn an_export_that_cannot_write_says_where() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    fs::remove_dir(place.path("counters")).unwrap();
    fs::write(place.path("counters"), "a file").unwrap();
    let running = export(&place);
    assert_eq!(running.status.code(), Some(3));
    assert!(String::from_utf8(running.stderr).unwrap().contains("metric=test.flag"));
    assert!(server.terminate().success());
    assert_eq!(export(&place).status.code(), Some(3));
}

#[test]
fn the_counters_of_a_long_path_are_exported_by_the_running_server() {
    // A Unix socket's address has 108 bytes; the store's directory may have more.
    let place = crate::new_place();
    let deep = place.path(&"d".repeat(120));
    fs::create_dir(&deep).unwrap();
    let store = deep.join("store.redb");
    let config = place.config().replace(&format!("{:?}", place.path("store.redb")), &format!("{store:?}"));
    place.write_config(&config);
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    let output = export(&place);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8(output.stderr).unwrap());
    assert!(place.counters("flag", "2026-W47").exists());
}
