//! What survives the end of the process, however it comes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use hubbub_privacy::Report;
use rustix::process::Signal;

use crate::client::{Connection, count, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, export};

#[test]
fn counted_reports_survive_sigkill_and_are_not_counted_again() {
    let place = crate::new_place();
    let server = Server::start(&place);
    for group in markers()[..64].chunks(32) {
        assert_eq!(count(&offer_all(server.address, group), 200), 32);
    }
    server.kill();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &markers()[..64]), 200), 64, "offered again");
    server.kill();
    assert_eq!(export(&place).status.code(), Some(0));
    let (header, counts) = read_counters(&place.counters("marker", "2026-W47"));
    assert_eq!(header.reports, 64);
    assert_eq!(counts, [vec![1; 64], vec![0; 192]].concat());
}

#[test]
fn kills_under_load_lose_no_counted_report_and_double_none() {
    let place = crate::new_place();
    let reports = markers();
    let mut acknowledged: BTreeSet<usize> = BTreeSet::new();
    for round in 0..6 {
        let server = Server::start(&place);
        let (next, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut server = Some(server);
        let address = server.as_ref().unwrap().address;
        let offered = std::thread::scope(|scope| {
            let peers: Vec<_> = (0..64)
                .map(|_| {
                    scope.spawn(|| {
                        let mut counted = Vec::new();
                        while let Some((number, report)) = take(&reports, &next) {
                            let Some(reply) = try_offer(address, report) else { break };
                            if reply == 200 {
                                counted.push(number);
                                told.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        counted
                    })
                })
                .collect();
            // The kill comes after a few acknowledgements, later in each round, wherever the server is then.
            let victim = server.take().unwrap();
            crate::server::until("acknowledgements", || {
                (told.load(Ordering::Relaxed) > round * 20 || next.load(Ordering::Relaxed) > 256).then_some(())
            });
            victim.kill();
            peers.into_iter().flat_map(|peer| peer.join().unwrap()).collect::<Vec<_>>()
        });
        acknowledged.extend(offered);
        assert_eq!(export(&place).status.code(), Some(0), "the store of a killed server opens");
        let (_, counts) = read_counters(&place.counters("marker", "2026-W47"));
        assert!(counts.iter().all(|&count| count <= 1), "round {round}: doubled in {counts:?}");
        for &number in &acknowledged {
            assert_eq!(counts[number], 1, "round {round}: report {number} was acknowledged and is lost");
        }
    }
    let server = Server::start(&place);
    let replies = offer_all(server.address, &reports);
    assert_eq!(count(&replies, 200) + count(&replies, 202), 256);
    export(&place);
    let (header, counts) = read_counters(&place.counters("marker", "2026-W47"));
    assert!(header.reports > 256 - 32, "{}", header.reports);
    assert!(counts.iter().all(|&count| count <= 1));
}

fn take<'a>(reports: &'a [Report], next: &AtomicUsize) -> Option<(usize, &'a Report)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    reports.get(number).map(|report| (number, report))
}

fn try_offer(address: std::net::SocketAddr, report: &Report) -> Option<u16> {
    offer_all(address, std::slice::from_ref(report)).pop().flatten().map(|reply| reply.status)
}

#[test]
fn sigterm_answers_what_is_in_flight_and_keeps_what_was_counted() {
    let place = crate::new_place();
    let mut server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    let mut held: Vec<Connection> = (100..110).map(|_| Connection::open(server.address)).collect();
    for (connection, report) in held.iter_mut().zip(flags(100..110)) {
        connection.send(&crate::client::post(report.encode_padded(512).as_bytes()));
    }
    // An eleventh answer proves that the ten before it have arrived: it is given last.
    assert_eq!(crate::client::offer(server.address, &flags(110..111)[0]).status, 202);
    let mut again: Vec<Connection> = (0..3).map(|_| Connection::open(server.address)).collect();
    for (connection, report) in again.iter_mut().zip(flags(120..123)) {
        connection.send(&crate::client::post(report.encode_padded(512).as_bytes()));
    }
    server.signal(Signal::TERM);
    for connection in &mut held {
        assert_eq!(connection.reply().expect("an answer").status, 202);
    }
    assert!(server.wait().success());
    assert!(!place.path("store.redb.sock").exists());
    export(&place);
    assert_eq!(read_counters(&place.counters("flag", "2026-W47")).0.reports, 32);
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
}

#[test]
fn a_held_request_is_answered_when_the_server_is_told_to_stop() {
    let place = crate::new_place();
    let mut server = Server::start(&place);
    let mut connection = Connection::open(server.address);
    connection.send(&crate::client::post(flags(0..1)[0].encode_padded(512).as_bytes()));
    // The answer to a later request on another connection says that the first has been read.
    assert_eq!(server.get("/healthz").status, 200);
    server.signal(Signal::INT);
    if let Some(reply) = connection.reply() {
        assert_eq!(reply.status, 202);
    }
    assert!(server.wait().success());
}
