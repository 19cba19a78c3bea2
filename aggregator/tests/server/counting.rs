//! Groups of 32, and each report once.

use hubbub_privacy::{Payload, Report};

use crate::client::{count, offer, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, export};

/// The exported count of reports of a metric, or none when nothing of it is committed.
fn committed(place: &Place, metric: &str) -> Option<u64> {
    assert_eq!(export(place).status.code(), Some(0));
    let path = place.counters(metric, "2026-W47");
    path.exists().then(|| read_counters(&path).0.reports)
}

#[test]
fn thirty_two_are_counted_at_once_and_thirty_one_are_not() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let replies = offer_all(server.address, &flags(0..31));
    assert_eq!(count(&replies, 202), 31);
    assert_eq!(replies[0].as_ref().unwrap().verdict().1, "pending");
    assert_eq!(committed(&place, "flag"), None);
    let store = std::fs::read(place.path("store.redb")).unwrap();
    assert!(!store.windows(12).any(|bytes| bytes == [0xA5; 12]), "an id of a pending report is on the disk");

    let last = offer(server.address, &flags(31..32)[0]);
    assert_eq!(last.verdict(), (200, "counted".to_owned(), "counted".to_owned()));
    assert_eq!(last.body.len(), replies[0].as_ref().unwrap().body.len());
    assert_eq!(committed(&place, "flag"), Some(32));
    let (_, counts) = read_counters(&place.counters("flag", "2026-W47"));
    assert_eq!(counts, [0, 32]);
}

#[test]
fn a_group_is_of_one_metric_version_and_period() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let mut mixed = flags(0..31);
    mixed.extend((100..131).map(|n| report(FLAG, "2026-W46", n, Payload::List(vec![0]))));
    mixed.extend((200..231).map(|n| report(COLOUR, "2026-W47", n, Payload::List(vec![0]))));
    assert_eq!(count(&offer_all(server.address, &mixed), 202), 93);
    assert_eq!(export(&place).stdout, b"");
}

#[test]
fn a_counted_report_offered_again_is_counted_once() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    for _ in 0..2 {
        assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    }
    // The id decides: the same id with another answer, or for another metric, is the report that was counted.
    let forged = Report { payload: Payload::List(vec![0]), ..flags(0..1)[0].clone() };
    assert_eq!(offer(server.address, &forged).status, 200);
    let moved = Report { metric: COLOUR, ..forged };
    assert_eq!(offer(server.address, &moved).status, 200);
    assert_eq!(committed(&place, "flag"), Some(32));
    assert_eq!(read_counters(&place.counters("flag", "2026-W47")).1, [0, 32]);
    assert_eq!(committed(&place, "colour"), None);
}

#[test]
fn a_pending_report_offered_again_counts_once_towards_its_group() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let mut crowd: Vec<Report> = flags(0..20);
    crowd.extend(flags(0..20));
    assert_eq!(count(&offer_all(server.address, &crowd), 202), 40);
    assert_eq!(committed(&place, "flag"), None, "20 different reports, 40 requests");
    let mut rest = flags(20..32);
    rest.push(flags(0..1)[0].clone());
    assert_eq!(count(&offer_all(server.address, &rest), 200), 13, "whoever waits for a committed report is told");
    assert_eq!(committed(&place, "flag"), Some(32));
}

#[test]
fn the_same_pending_report_from_many_peers_holds_few_of_them() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let one: Vec<Report> = (0..64).map(|_| flags(0..1)[0].clone()).collect();
    assert_eq!(count(&offer_all(server.address, &one), 202), 64);
    assert_eq!(count(&offer_all(server.address, &flags(1..32)), 200), 31);
    assert_eq!(committed(&place, "flag"), Some(32));
}
