//! The form of messages: one line each, whatever stands in them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::Signal;

use crate::server::{Server, run_command, until};

/// `key=value` pairs of a line; quoted values are written as in Rust.
fn pairs(line: &str) -> Vec<(String, String)> {
    let (mut pairs, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').unwrap_or_else(|| panic!("no pair: {rest:?} in {line:?}"));
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{key:?} in {line:?}");
        let end = match after.strip_prefix('"') {
            None => after.find(' ').unwrap_or(after.len()),
            Some(quoted) => {
                let mut escaped = false;
                let closing = quoted.find(|c| {
                    let closes = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    closes
                });
                closing.unwrap_or_else(|| panic!("no closing quote in {line:?}")) + 2
            }
        };
        pairs.push((key.to_owned(), after[..end].to_owned()));
        rest = after[end..].strip_prefix(' ').unwrap_or(&after[end..]);
    }
    pairs
}

#[test]
fn every_line_is_pairs_and_nothing_breaks_a_line() {
    let (place, _) = crate::tls::with_certificate();
    let strange = place.path("a \"strange\"\nname = 1.pem");
    fs::rename(place.path("certificate.pem"), &strange).unwrap();
    let config = fs::read_to_string(place.path("aggregator.toml")).unwrap();
    place.write_config(&config.replace(&format!("{:?}", place.path("certificate.pem")), &format!("{strange:?}")));
    let server = Server::start(&place);
    fs::remove_file(strange).unwrap();
    server.signal(Signal::HUP);
    let log = until("a refused certificate", || {
        let log = fs::read_to_string(place.path("log")).unwrap();
        log.contains("stays").then_some(log)
    });
    let lines: Vec<_> = log.lines().map(pairs).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, level) in lines.iter().zip(["info", "error"]) {
        let keys: Vec<&str> = line.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys[..3], ["time", "level", "message"], "{log}");
        assert_eq!(line[1].1, level);
    }
    assert!(lines[1][2].1.contains("\\\"strange\\\"\\nname = 1.pem"), "{log}");
    let figures: Vec<&str> = lines[0][3..].iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(figures, ["registry", "collected", "ids_held"]);
}

#[test]
fn the_journal_gets_priorities_instead_of_times() {
    let place = crate::new_place();
    fs::write(place.path("log"), "").unwrap();
    let file = fs::metadata(place.path("log")).unwrap();
    let mut command = run_command(&place);
    command.env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino()));
    assert!(Server::spawn(&place, command).terminate().success());
    let log = fs::read_to_string(place.path("log")).unwrap();
    let line = log.lines().next().unwrap();
    assert_eq!(pairs(line.strip_prefix("<6>").unwrap())[0], ("level".to_owned(), "info".to_owned()), "{log}");
    // A variable that was inherited and names another stream means nothing.
    let mut command = run_command(&place);
    command.env("JOURNAL_STREAM", format!("{}:{}", file.dev(), file.ino() + 1));
    assert!(Server::spawn(&place, command).terminate().success());
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(log.lines().last().unwrap().starts_with("time="), "{log}");
}
