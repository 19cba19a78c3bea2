//! Peers that lie, flood or ask for too much: refused, bounded, and no burden to others.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::client::{Connection, offer, post, post_with, request};
use crate::frames::*;
use crate::place::*;
use crate::server::{DEADLINE, Server, run_command};

/// What a flood may add to the server's memory: a few connections' buffers and the allocator's slack, far less than is sent.
const MAX_GROWTH_KIB: u64 = 8 << 10;

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs an attack; the server must not have grown much, and must serve others afterwards.
fn survives<T>(server: &Server, what: &str, attack: impl FnOnce() -> T) -> T {
    let before = resident_kib(server);
    let outcome = attack();
    let after = resident_kib(server);
    assert!(after < before + MAX_GROWTH_KIB, "{what}: from {before} to {after} KiB");
    assert_eq!(server.get("/healthz").status, 200, "{what}: others are not served");
    outcome
}

/// Status of the first answer to these bytes, or none when the connection is closed without one. Then no more is sent.
fn first_status(address: SocketAddr, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    // The server may answer and close before everything is sent.
    let sent = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset || sent.is_err() => {}
        Err(error) => panic!("neither an answer nor the end came: {error}"),
    }
    let line = String::from_utf8_lossy(&answer);
    line.strip_prefix("HTTP/1.1 ").map(|rest| rest[..3].parse().unwrap())
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let body = flags(0..1)[0].encode_padded(512);
    let json = "Content-Type: application/json\r\n";
    let many = |fields: usize| (0..fields).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    // With Host, Content-Type and Content-Length: as many as are taken, and one more.
    assert_eq!(first_status(server.address, &post_with(&(many(61) + json), body.as_bytes())), Some(202));
    assert_eq!(first_status(server.address, &post_with(&(many(62) + json), body.as_bytes())), Some(431));
    let long = format!("X-Long: {}\r\n", "x".repeat(17 << 10));
    assert_eq!(first_status(server.address, &post_with(&(long + json), body.as_bytes())), Some(431));
    let uri = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(17 << 10));
    assert!(matches!(first_status(server.address, uri.as_bytes()), Some(414 | 431)));
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(1 << 20));
    survives(&server, "a head without an end", || {
        assert_eq!(first_status(server.address, endless.as_bytes()).unwrap_or(431), 431);
    });
}

#[test]
fn lengths_that_lie_are_refused_and_count_nothing() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let body = flags(0..1)[0].encode_padded(512);
    let head = "POST /v1/reports HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let whole_chunk = format!("200\r\n{body}\r\n");
    let kib_chunks = |n: usize| format!("400\r\n{}\r\n", " ".repeat(1024)).repeat(n);
    for (why, bytes, expected) in [
        ("two lengths", format!("{head}Content-Length: 512\r\nContent-Length: 511\r\n\r\n{body}"), Some(400)),
        ("a list of lengths", format!("{head}Content-Length: 512, 511\r\n\r\n{body}"), Some(400)),
        ("a negative length", format!("{head}Content-Length: -512\r\n\r\n{body}"), Some(400)),
        ("a signed length", format!("{head}Content-Length: +512\r\n\r\n{body}"), Some(400)),
        ("a length of words", format!("{head}Content-Length: much\r\n\r\n{body}"), Some(400)),
        ("a length beyond numbers", format!("{head}Content-Length: {}\r\n\r\n{body}", "9".repeat(40)), Some(400)),
        ("a length beyond the limit", format!("{head}Content-Length: 4097\r\n\r\n{body}"), Some(413)),
        ("a length beyond memory", format!("{head}Content-Length: 9223372036854775807\r\n\r\n{body}"), Some(413)),
        ("less than declared", format!("{head}Content-Length: 600\r\n\r\n{body}"), Some(400)),
        ("no length at all", format!("{head}\r\n{body}"), Some(400)),
        (
            "an unknown coding",
            format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n{whole_chunk}0\r\n\r\n"),
            Some(202),
        ),
        (
            "chunked not last",
            format!("{head}Transfer-Encoding: chunked, gzip\r\n\r\n{whole_chunk}0\r\n\r\n"),
            Some(400),
        ),
        ("a chunk size of words", format!("{chunked}zz\r\n{body}\r\n0\r\n\r\n"), Some(400)),
        ("a negative chunk", format!("{chunked}-200\r\n{body}\r\n0\r\n\r\n"), Some(400)),
        ("a chunk beyond numbers", format!("{chunked}{}\r\n{body}\r\n0\r\n\r\n", "f".repeat(17)), Some(400)),
        ("a chunk longer than its size", format!("{chunked}1ff\r\n{body}\r\n0\r\n\r\n"), Some(400)),
        ("a chunk shorter than its size", format!("{chunked}fffffff\r\n{body}\r\n0\r\n\r\n"), Some(400)),
        ("no last chunk", format!("{chunked}{whole_chunk}"), Some(400)),
        ("chunks beyond the limit", format!("{chunked}{}0\r\n\r\n", kib_chunks(5)), Some(413)),
        (
            "a chunk's endless extension",
            format!("{chunked}200;{}\r\n{body}\r\n0\r\n\r\n", "x".repeat(64 << 10)),
            Some(400),
        ),
        ("endless trailers", format!("{chunked}{whole_chunk}0\r\n{}\r\n", "X: y\r\n".repeat(20_000)), Some(400)),
    ] {
        assert_eq!(first_status(server.address, bytes.as_bytes()), expected, "{why}");
    }
    // Both ways to say the length: the chunks count, and what follows is not taken for another request.
    let smuggled = format!("{head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{whole_chunk}0\r\n\r\n");
    let mut connection = Connection::open(server.address);
    connection.send((smuggled + "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(connection.reply().expect("an answer").status, 202);
    assert_eq!(connection.reply(), None, "the connection went on after two lengths");
    // A body that goes on after its length is no second request either.
    let mut connection = Connection::open(server.address);
    connection.send(&[post(body.as_bytes()), b"{\"v\":1}\r\n\r\n".to_vec()].concat());
    assert_eq!(connection.reply().expect("an answer").status, 202);
    let mut rest = Vec::new();
    // The end may come as a reset, because bytes were left unread.
    connection.0.read_to_end(&mut rest).ok();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
    assert!(server.get("/metrics").body.contains("hubbub_reports_counted_total 0"));
}

#[test]
fn bytes_that_are_no_http_get_400_or_nothing() {
    let place = crate::new_place();
    let server = Server::start(&place);
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/reports HTTP/1.1\r\nHost a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no settings frame at all, and long enough",
        &[0xff; 20_000],
    ] {
        let status = first_status(server.address, junk);
        assert!(matches!(status, None | Some(400 | 414 | 431 | 505)), "{status:?} to {junk:?}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn answers_that_nobody_reads_take_no_memory() {
    let place = crate::new_place();
    let server = Server::start(&place);
    for path in ["/healthz", "/openapi.json", "/v2/nothing"] {
        let many = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(1000);
        survives(&server, path, || {
            let mut streams: Vec<TcpStream> = (0..8).map(|_| deaf_stream(server.address)).collect();
            for stream in &mut streams {
                stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
                let mut sent = 0;
                while sent < 8 << 20 && stream.write_all(many.as_bytes()).is_ok() {
                    sent += many.len();
                }
                assert!(sent < 8 << 20, "{path}: the server goes on reading though nobody reads it");
            }
            streams
        });
    }
}

#[test]
fn rapid_resets_end_the_connection() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let frames = survives(&server, "rapid resets", || {
        let mut peer = Peer::new(server.address, &[]);
        let flood: Vec<u8> = (0..10_000u32)
            .flat_map(|n| {
                let stream = 2 * n + 1;
                let open = frame(HEADERS, END_HEADERS, stream, &head("POST", "/v1/reports"));
                [open, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
            })
            .collect();
        peer.try_send(&flood);
        peer.until_closed()
    });
    let goodbye = frames.iter().find(|frame| frame.kind == GOAWAY).expect("a goodbye");
    assert_eq!(goodbye.payload[4..8], 11u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
}

#[test]
fn more_streams_than_allowed_are_refused() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let mut peer = Peer::new(server.address, &[]);
    for n in 0..100u32 {
        // Without END_STREAM: each waits for its body.
        peer.send(&frame(HEADERS, END_HEADERS, 2 * n + 1, &head("POST", "/v1/reports")));
    }
    let mut refused = std::collections::BTreeSet::new();
    while refused.len() < 84 {
        let received = peer.next().expect("the connection goes on");
        if received.kind == RST_STREAM {
            assert_eq!(received.payload, 7u32.to_be_bytes(), "REFUSED_STREAM");
            assert!(refused.insert(received.stream));
        }
    }
    assert!(refused.into_iter().eq((16..100).map(|n| 2 * n + 1)), "sixteen are served");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn header_lists_that_are_too_large_are_refused() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let plain = [head("GET", "/healthz"), field("x-long", &"x".repeat(40_000), false)].concat();
    // Two and a half kilobytes once, then by reference: a megabyte when unpacked.
    let bomb = [head("GET", "/healthz"), field("x-bomb", &"x".repeat(2_500), true), vec![0xbe; 400]].concat();
    for (what, block) in [("a long field", plain), ("a field four hundred times", bomb)] {
        survives(&server, what, || {
            let mut peer = Peer::new(server.address, &[]);
            let mut parts = block.chunks(16_000).peekable();
            peer.send(&frame(HEADERS, END_STREAM, 1, parts.next().unwrap())[..]);
            while let Some(part) = parts.next() {
                peer.send(&frame(CONTINUATION, if parts.peek().is_none() { END_HEADERS } else { 0 }, 1, part));
            }
            if block.len() <= 16_000 {
                peer.send(&frame(CONTINUATION, END_HEADERS, 1, &[]));
            }
            let answered = loop {
                match peer.next() {
                    Some(frame) if frame.kind == HEADERS => break Some(frame.payload),
                    Some(frame) if matches!(frame.kind, RST_STREAM | GOAWAY) => break None,
                    Some(_) => {}
                    None => break None,
                }
            };
            // 0x88 is `:status 200` in the static table.
            assert_ne!(answered.and_then(|block| block.first().copied()), Some(0x88), "{what}");
        });
    }
}

#[test]
fn floods_of_small_frames_are_bounded() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let ping = frame(PING, 0, 0, &[7; 8]).repeat(10_000);
    let settings = frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW, 100)).repeat(10_000);
    let windows = frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()).repeat(10_000);
    let continuation = frame(CONTINUATION, 0, 1, &field("x", "y", false)).repeat(10_000);
    for (what, flood) in
        [("pings", ping), ("settings", settings), ("windows", windows), ("continuations", continuation)]
    {
        survives(&server, what, || {
            let mut peer = Peer::over(deaf_stream(server.address), &[]);
            peer.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            if what == "continuations" {
                peer.send(&frame(HEADERS, 0, 1, &head("GET", "/healthz")));
            }
            // Until the server closes, or stops reading because its own answers are not read.
            let sent = (0..50).take_while(|_| peer.try_send(&flood)).count();
            assert!(sent < 50 || what == "windows", "{what}: all {sent} rounds were taken");
            peer
        });
    }
}

#[test]
fn a_full_house_of_idle_peers_lets_others_in_after_the_heads_time() {
    let place = crate::new_place();
    let server_command = run_command(&place);
    // 64 descriptors are the store's and others'; the rest are connections.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 128 && exec \"$@\"", "sh"]);
    command.arg(server_command.get_program()).args(server_command.get_args());
    let server = Server::spawn(&place, command);
    let mut house: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut early = TcpStream::connect(server.address).unwrap();
    early.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    early.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut answer = Vec::new();
    assert!(early.read_to_end(&mut answer).is_err() && answer.is_empty(), "the 65th is served beside 64");
    // Everyone above the cap waits, and is served when the idle ones have had their time.
    assert_eq!(offer(server.address, &flags(0..1)[0]).status, 202);
    early.set_read_timeout(Some(DEADLINE)).unwrap();
    early.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    for stream in &mut house {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0, "an idle peer gets nothing");
    }
    assert_eq!(request(server.address, &post(flags(1..2)[0].encode_padded(512).as_bytes())).status, 202);
}
