//! The end that the server is told of. Ends that come without a word are in `tests/faults`.

use rustix::process::Signal;

use crate::client::{Connection, count, offer_all};
use crate::counters::read_counters;
use crate::place::*;
use crate::server::{Server, export};

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
