//! Peers that send nothing, or too slowly, or never read, lose their connection and cost nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::client::{Connection, offer, post};
use crate::frames::*;
use crate::place::*;
use crate::server::{DEADLINE, Server};

/// Sends the beginning at once, then one byte of the rest at a time, until the server closes; gives what it answered.
fn trickle(address: SocketAddr, beginning: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.write_all(beginning).unwrap();
    let (started, mut answer, mut rest) = (Instant::now(), Vec::new(), rest.iter().cycle());
    while started.elapsed() < DEADLINE {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => return answer,
            Ok(length) => answer.extend_from_slice(&bytes[..length]),
            Err(error) if waits(&error) => {
                // When the server has closed, the next read says so.
                rest.next().map(|byte| stream.write_all(&[*byte]).ok());
            }
            Err(_) => return answer,
        }
    }
    panic!("a peer that sent {} bytes and then trickled was not closed", beginning.len());
}

/// Whether a socket only had nothing to give or no room to take.
fn waits(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

#[test]
fn connections_that_do_not_go_on_are_closed() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let address = server.address;
    let request = post(flags(0..1)[0].encode_padded(512).as_bytes());
    let beginnings =
        [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &request[..40], &request[..request.len() - 1]];
    let chunks =
        b"POST /v1/reports HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    std::thread::scope(|scope| {
        for beginning in beginnings {
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                connection.send(beginning);
                let mut rest = Vec::new();
                // Reading ends with the server's close, or fails at the test's own deadline; an HTTP/2 peer gets settings.
                let read = connection.0.read_to_end(&mut rest);
                read.unwrap_or_else(|error| panic!("{} bytes sent: {error}", beginning.len()));
                assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
            });
        }
        // Each byte is progress, and none of it counts.
        for (beginning, rest) in [
            (&b"POST /v1/reports HTTP/1.1\r\nX: "[..], &b"x"[..]),
            (b"", b"GET / HTTP/1.1 and so on"),
            (&request[..request.len() - 400], b" "),
            (chunks, b"1\r\n \r\n"),
        ] {
            scope.spawn(move || {
                let answer = trickle(address, beginning, rest);
                assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
            });
        }
        scope.spawn(move || {
            let mut idle = Connection::open(address);
            idle.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(idle.reply().expect("an answer").status, 200);
            assert_eq!(idle.reply(), None, "idle after a request");
        });
        scope.spawn(move || {
            // Pings are answered, and that alone keeps no connection.
            let mut idle = Peer::new(address, &[]);
            idle.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", "/healthz")));
            let frames = idle.until_closed();
            assert!(frames.iter().any(|frame| frame.kind == HEADERS && frame.payload[0] == 0x88), "{frames:?}");
            assert!(frames.iter().any(|frame| frame.kind == GOAWAY), "{frames:?}");
        });
        scope.spawn(move || {
            // No window is ever opened, so no answer's body can be sent.
            let mut closed = Peer::new(address, &setting(INITIAL_WINDOW, 0));
            for n in 0..16 {
                closed.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head("GET", "/openapi.json")));
            }
            closed.until_closed();
        });
        scope.spawn(move || {
            // A stream that waits for its body while the connection pings.
            let mut waits = Peer::new(address, &[]);
            waits.send(&frame(HEADERS, END_HEADERS, 1, &head("POST", "/v1/reports")));
            waits.until_closed();
        });
        scope.spawn(move || {
            let mut deaf = deaf_stream(address);
            deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            let many = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
            let started = Instant::now();
            // A full socket takes nothing for a while; a closed one refuses at once.
            while deaf.write(&many).map_or_else(|error| waits(&error), |_| true) {
                assert!(started.elapsed() < DEADLINE, "a peer that never reads was not closed");
            }
        });
        scope.spawn(move || assert_eq!(offer(address, &flags(0..1)[0]).status, 202, "others are served meanwhile"));
    });
}

#[test]
fn a_handshake_that_does_not_go_on_is_closed() {
    let place = crate::new_place();
    crate::tls::certify(&place);
    let server = Server::start(&place);
    // The head of a handshake message of 512 bytes that never ends.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let address = server.address;
    std::thread::scope(|scope| {
        for beginning in [&b""[..], &hello[..]] {
            scope.spawn(move || trickle(address, beginning, b"\0"));
            scope.spawn(move || {
                let mut silent = Connection::open(address);
                silent.send(beginning);
                silent.0.read_to_end(&mut Vec::new()).unwrap();
            });
        }
    });
}

/// How long the next test is willing to ask.
const LONGER_THAN_A_LIFETIME: Duration = Duration::from_secs(330);

#[test]
fn a_busy_connection_ends_all_the_same() {
    if std::env::var_os("HUBBUB_LONG").is_none() {
        println!("SKIPPED: the end of a connection that is always busy: it takes five minutes; make test-full");
        return;
    }
    let place = crate::new_place();
    let server = Server::start(&place);
    let mut connection = Connection::open(server.address);
    let (started, mut answered) = (Instant::now(), 0);
    loop {
        if connection.0.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").is_err() {
            break;
        }
        let Some(reply) = connection.reply() else { break };
        assert_eq!(reply.status, 200);
        answered += 1;
        assert!(started.elapsed() < LONGER_THAN_A_LIFETIME, "still answered after {answered} requests");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(answered > 10, "{answered}");
}
