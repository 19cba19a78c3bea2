//! The end of a period's grace: the remainder is given up, the ids leave the disk, the counters leave as files.

use std::fs;

use hubbub_privacy::{Payload, ReportId};

use crate::client::{count, offer, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, until};

fn holds_id(place: &Place, id: ReportId) -> bool {
    fs::read(place.path("store.redb")).unwrap().windows(16).any(|bytes| bytes == id.0)
}

#[test]
fn a_closed_period_keeps_its_sums_and_loses_its_ids_and_remainder() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let period = week("2026-W47");
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert_eq!(count(&offer_all(server.address, &flags(40..45)), 202), 5);
    let lone = report(COLOUR, "2026-W47", 90, Payload::List(vec![2]));
    assert_eq!(offer(server.address, &lone).status, 202);
    let next_week: Vec<_> = (200..232).map(|n| report(FLAG, "2026-W48", n, Payload::List(vec![0]))).collect();
    place.set_clock(week("2026-W48").start());
    assert_eq!(count(&offer_all(server.address, &next_week), 200), 32);
    assert!(holds_id(&place, flags(0..1)[0].id));

    place.set_clock(period.end() + 14 * 86_400);
    // The last of its files: metrics are exported by ascending id.
    let colour = place.counters("colour", "2026-W47");
    until("the export of the closed period", || colour.exists().then_some(()));
    let (header, counts) = read_counters(&place.counters("flag", "2026-W47"));
    assert_eq!((header.reports, header.dropped_remainder, counts), (32, 5, vec![0, 32]));
    let (header, counts) = read_counters(&colour);
    assert_eq!((header.reports, header.dropped_remainder, counts), (0, 1, vec![0; 4]));
    assert!(!place.counters("flag", "2026-W48").exists(), "that period is still open");
    for report in flags(0..32) {
        assert!(!holds_id(&place, report.id), "an id of a closed period is in the store");
    }
    assert!(holds_id(&place, next_week[0].id), "ids of the open period stay");
    assert_eq!(count(&offer_all(server.address, &next_week), 200), 32);

    // A clock that goes back does not open the period again: its ids are gone, so it would count twice.
    place.set_clock(now());
    assert_eq!(offer(server.address, &flags(0..1)[0]).verdict().2, "period_closed");
    assert!(server.terminate().success());
    let server = Server::start(&place);
    assert_eq!(offer(server.address, &flags(0..1)[0]).verdict().2, "period_closed");
}

#[test]
fn a_period_that_ended_while_the_server_was_down_is_closed_at_the_start() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    server.kill();
    place.set_clock(week("2026-W47").end() + 14 * 86_400 + 5);
    let _server = Server::start(&place);
    let path = place.counters("flag", "2026-W47");
    until("the export at the start", || path.exists().then_some(()));
    assert!(flags(0..32).iter().all(|report| !holds_id(&place, report.id)));
    assert_eq!(read_counters(&path).0.reports, 32);
}

#[test]
fn an_export_directory_that_fails_is_used_again_after_a_restart() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    fs::remove_dir(place.path("counters")).unwrap();
    fs::write(place.path("counters"), "in the way").unwrap();
    place.set_clock(week("2026-W47").end() + 14 * 86_400);
    until("the ids' end", || (!holds_id(&place, flags(0..1)[0].id)).then_some(()));
    until("a warning", || fs::read_to_string(place.path("log")).unwrap().contains("tried again").then_some(()));
    assert_eq!(server.get("/readyz").status, 200, "counting goes on");
    assert!(server.terminate().success());
    fs::remove_file(place.path("counters")).unwrap();
    let _server = Server::start(&place);
    until("the export", || place.counters("flag", "2026-W47").exists().then_some(()));
}
