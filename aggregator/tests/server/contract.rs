//! Every answer of the contract: status, code, length.

use std::net::Shutdown;

use hubbub_aggregator::ANSWER_BYTES;
use hubbub_privacy::{MetricId, Payload, Report};

use crate::client::{Connection, count, header, offer, offer_all, post, post_with, request};
use crate::place::*;
use crate::server::{Server, export};

const W: &str = "2026-W47";

fn flag(number: u32) -> Report {
    report(FLAG, W, number, Payload::List(vec![0]))
}

#[test]
fn every_rejection_has_its_status_and_code_and_the_same_length() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let good = flag(1).encode();
    let pending = offer(server.address, &flag(2));
    assert_eq!(pending.status, 202);
    let length = pending.head.len() + pending.body.len();
    let expect = |why: &str, bytes: Vec<u8>, status: u16, code: &str| {
        let reply = request(server.address, &bytes);
        assert_eq!(reply.verdict(), (status, "rejected".to_owned(), code.to_owned()), "{why}");
        assert_eq!(reply.body.len(), ANSWER_BYTES, "{why}");
        // From the first byte to the last: with a 202, which is asked for below, it is one length.
        assert_eq!(reply.head.len() + reply.body.len(), length, "{why}: {}", reply.head);
        assert_eq!(header(&reply.head, "content-type"), Some("application/json"), "{why}");
    };
    let json = "Content-Type: application/json\r\n";
    expect("a path", b"POST /v2/reports HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}".to_vec(), 404, "path");
    let with_query = String::from_utf8(post(good.as_bytes())).unwrap().replace("/v1/reports", "/v1/reports?who=me");
    expect("something in the URL", with_query.into_bytes(), 404, "path");
    expect("a text", post_with("Content-Type: text/plain\r\n", good.as_bytes()), 415, "content_type");
    expect("no type", post_with("", good.as_bytes()), 415, "content_type");
    let encoded = |encoding: &str| post_with(&format!("{json}Content-Encoding: {encoding}\r\n"), good.as_bytes());
    expect("gzip", encoded("gzip"), 415, "content_encoding");
    expect("two encodings", encoded("identity\r\nContent-Encoding: br"), 415, "content_encoding");
    expect("a long body", post(&[b' '; 4097]), 413, "body_too_large");
    let mut long = format!("POST /v1/reports HTTP/1.1\r\nHost: a\r\n{json}Transfer-Encoding: chunked\r\n\r\n");
    (0..5).for_each(|_| long.push_str(&format!("400\r\n{}\r\n", " ".repeat(1024))));
    expect("a long chunked body", (long + "0\r\n\r\n").into_bytes(), 413, "body_too_large");
    expect("nothing", post(b""), 400, "malformed");
    expect("half a report", post(&good.as_bytes()[..good.len() / 2]), 400, "malformed");
    expect("two reports", post(format!("{good}{good}").as_bytes()), 400, "malformed");
    expect("an unknown field", post(good.replace("\"v\":1", "\"v\":1,\"x\":1").as_bytes()), 400, "malformed");
    expect("an array", post(format!("[{good}]").as_bytes()), 400, "malformed");
    let fields = format!("[1,{FLAG},1,\"{W}\",\"AAAAAAAAAAAAAAAAAAAAAA\",[0]]");
    expect("the fields as an array", post(fields.as_bytes()), 400, "malformed");
    expect("another format", post(good.replace("\"v\":1", "\"v\":2").as_bytes()), 400, "unsupported_format");

    let of = |metric: MetricId| post(report(metric, W, 1, Payload::List(vec![0])).encode().as_bytes());
    expect("an unknown metric", of(MetricId(99)), 422, "unknown_metric");
    expect("a draft", of(DRAFT), 422, "unknown_metric");
    expect("a paused metric", of(PAUSED), 422, "metric_paused");
    expect("an expired metric", of(EXPIRED), 410, "metric_expired");
    expect("a withdrawn metric", of(WITHDRAWN), 410, "metric_expired");
    expect("another version", post(Report { version: 2, ..flag(1) }.encode().as_bytes()), 422, "unknown_version");
    for (metric, payload) in [
        (FLAG, Payload::List(vec![2])),
        (FLAG, Payload::List(vec![0, 1])),
        (FLAG, Payload::List(vec![])),
        (FLAG, Payload::Number(1)),
        (MARKER, Payload::Number(256)),
        (MARKER, Payload::List(vec![1])),
    ] {
        let impossible = report(metric, W, 1, payload);
        expect(&impossible.encode(), post(impossible.encode().as_bytes()), 422, "payload");
    }
    let of_week = |week| post(report(FLAG, week, 1, Payload::List(vec![0])).encode().as_bytes());
    expect("next week", of_week("2026-W48"), 422, "period_future");
    expect("three weeks ago", of_week("2026-W44"), 422, "period_closed");
}

#[test]
fn other_methods_are_told_which_is_allowed() {
    let place = crate::new_place();
    let server = Server::start(&place);
    for (line, allow) in [("GET /v1/reports", "POST"), ("PUT /v1/reports", "POST"), ("POST /healthz", "GET, HEAD")] {
        let reply =
            request(server.address, format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert_eq!(reply.verdict(), (405, "rejected".to_owned(), "method".to_owned()), "{line}");
        assert_eq!(header(&reply.head, "allow"), Some(allow), "{line}");
        assert_eq!(reply.body.len(), ANSWER_BYTES);
    }
}

#[test]
fn a_body_that_ends_early_is_refused_and_counts_nothing() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let bytes = post(flag(1).encode_padded(512).as_bytes());
    let mut connection = Connection::open(server.address);
    connection.send(&bytes[..bytes.len() - 100]);
    connection.0.shutdown(Shutdown::Write).unwrap();
    let reply = connection.reply().expect("an answer");
    assert_eq!(reply.verdict(), (400, "rejected".to_owned(), "body_incomplete".to_owned()));
    assert_eq!(reply.body.len(), ANSWER_BYTES);
}

#[test]
fn a_metric_ends_with_its_last_day_on_the_servers_clock() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let last = report(SHORT_LIVED, W, 1, Payload::List(vec![0]));
    place.set_clock(week(W).start() + 5 * 86_400 - 1);
    assert_eq!(offer(server.address, &last).status, 202, "on 2026-11-20");
    place.set_clock(week(W).start() + 5 * 86_400);
    assert_eq!(offer(server.address, &last).verdict(), (410, "rejected".to_owned(), "metric_expired".to_owned()));
}

#[test]
fn periods_open_with_their_first_second_and_close_a_fortnight_after_their_last() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let period = week(W);
    for (now, code) in [
        (period.start() - 1, "period_future"),
        (period.start(), "pending"),
        (period.end() + 14 * 86_400 - 1, "pending"),
        (period.end() + 14 * 86_400, "period_closed"),
    ] {
        place.set_clock(now);
        assert_eq!(offer(server.address, &flag(1)).verdict().2, code, "at {now}");
    }
}

#[test]
fn harmless_variants_of_a_request_are_taken() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let body = flag(1).encode_padded(1024);
    for headers in [
        "Content-Type: application/json; charset=utf-8\r\n",
        "Content-Type: APPLICATION/JSON\r\nContent-Encoding: identity\r\n",
        "Content-Type: application/json\r\nAuthorization: Basic eA==\r\nCookie: a=b\r\n",
    ] {
        assert_eq!(request(server.address, &post_with(headers, body.as_bytes())).status, 202, "{headers}");
    }
    let chunked =
        "POST /v1/reports HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked";
    let bytes = format!("{chunked}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(request(server.address, bytes.as_bytes()).status, 202);
}

#[test]
fn health_readiness_and_figures_are_served() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
    let figures = server.get("/metrics");
    assert_eq!(figures.status, 200);
    assert!(header(&figures.head, "content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(figures.body.contains("hubbub_reports_counted_total 0\n"), "{}", figures.body);
    assert!(figures.body.ends_with("# EOF\n"));
}

#[test]
fn figures_about_counted_reports_change_at_commits_only() {
    let place = crate::new_place();
    let server = Server::start(&place);
    let figure = |name: &str| {
        let body = server.get("/metrics").body;
        body.lines().find_map(|line| line.strip_prefix(&format!("{name} "))?.parse::<u64>().ok())
    };
    crate::client::offer_all(server.address, &flags(0..20));
    assert_eq!(figure("hubbub_reports_pending"), Some(0), "20 wait, but nothing was committed");
    crate::client::offer_all(server.address, &flags(20..40));
    let (counted, pending) =
        (figure("hubbub_reports_counted_total").unwrap(), figure("hubbub_reports_pending").unwrap());
    assert!((32..=40).contains(&counted), "{counted}");
    assert!(pending <= 40 - counted, "{pending}");
    assert_eq!(figure("hubbub_ids_held"), Some(counted));
    let rejected = "hubbub_reports_rejected_total{code=\"malformed\"}";
    request(server.address, &post(b"{}"));
    assert_eq!(figure(rejected), None, "it waits for a commit or the next minute");
    crate::client::offer_all(server.address, &flags(40..80));
    assert_eq!(figure(rejected), Some(1));
}

#[test]
fn a_retired_server_tells_every_device_to_stop() {
    let place = crate::new_place();
    let server = Server::start(&place);
    assert_eq!(count(&offer_all(server.address, &flags(0..32)), 200), 32);
    assert!(server.terminate().success());
    place.write_config(&(place.config() + "retired = true\n"));
    let server = Server::start(&place);
    for bytes in [post(flags(0..1)[0].encode_padded(512).as_bytes()), post(b"{"), post(&[b' '; 5000])] {
        let reply = request(server.address, &bytes);
        assert_eq!(reply.verdict(), (410, "rejected".to_owned(), "retired".to_owned()));
        assert_eq!(reply.body.len(), hubbub_aggregator::ANSWER_BYTES);
    }
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(export(&place).status.code(), Some(0), "what was counted leaves it all the same");
    assert!(place.counters("flag", "2026-W47").exists());
}
