//! What must appear nowhere: addresses, programs' names, bodies, ids in text.

use std::fs;

use crate::client::{count, offer_all, post_with, request};
use crate::place::*;
use crate::server::{Server, export};

#[test]
fn honey_of_a_request_is_in_no_file_and_no_message() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let honey = ["HoneyAgent/77.1", "203.0.113.77", "honey-cookie", "honey-path", "honey-body", "honey-query"];
    let headers = "Content-Type: application/json\r\nUser-Agent: HoneyAgent/77.1\r\nX-Forwarded-For: 203.0.113.77\r\n\
                   Forwarded: for=203.0.113.77\r\nCookie: id=honey-cookie\r\n";
    let reports = flags(0..40);
    std::thread::scope(|scope| {
        for report in &reports {
            let address = server.address;
            scope.spawn(move || request(address, &post_with(headers, report.encode_padded(512).as_bytes())));
        }
    });
    request(server.address, &post_with(headers, b"{\"honey-body\": 1}"));
    let odd = format!("GET /honey-path?honey-query HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    assert_eq!(request(server.address, odd.as_bytes()).status, 404);
    let figures = server.get("/metrics").body;
    assert!(export(&place).status.success());
    let address = server.address.to_string();
    assert!(server.terminate().success());

    let mut places = place.all_files();
    places.push(("/metrics".into(), figures.into_bytes()));
    assert!(places.iter().any(|(path, _)| path.ends_with("store.redb")));
    assert!(places.iter().any(|(path, _)| path.ends_with("log")));
    for (path, bytes) in places {
        if path.ends_with("aggregator.toml") {
            continue;
        }
        for secret in honey.into_iter().chain(["127.0.0.1"]) {
            assert!(!contains(&bytes, secret.as_bytes()), "{secret} is in {}", path.display());
        }
        for report in &reports {
            assert!(!contains(&bytes, report.id.to_string().as_bytes()), "an id's text is in {}", path.display());
            assert!(!contains(&bytes, report.encode().as_bytes()), "a body is in {}", path.display());
        }
    }
    assert!(address.starts_with("127.0.0.1:"));
}

#[test]
fn libraries_log_nothing_whatever_the_environment_says() {
    let place = crate::new_place();
    let mut command = crate::server::run_command(&place);
    command.env("RUST_LOG", "trace");
    let server = Server::spawn(&place, command);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    request(server.address, &post_with("User-Agent: HoneyAgent/77.1\r\n", b"{}"));
    assert!(server.terminate().success());
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(log.contains("ready to count"), "{log}");
    assert!(!log.contains("Honey") && !log.contains("127.0.0.1"), "{log}");
}

#[test]
fn the_store_and_its_socket_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = crate::new_place();
    let _server = Server::start(&place);
    for name in ["store.redb", "store.redb.lock", "store.redb.sock"] {
        let mode = fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
