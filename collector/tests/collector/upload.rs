//! The uploader against a server that says everything the contract knows, and more.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use hubbub_privacy::{MetricId, Payload, Report, ReportId};
use serde_json::Value;
use tempfile::TempDir;

use crate::bench::{assert_fails, run, week};
use crate::server::{Server, answer, slow_down};

const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;

/// An outbox and a clock.
struct Post {
    dir: TempDir,
    now_s: i64,
}

impl Post {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outbox")).unwrap();
        let mut post = Self { dir, now_s: 0 };
        post.go_to(week("2026-W48").start() + DAY_S);
        post
    }

    fn go_to(&mut self, now_s: i64) {
        self.now_s = now_s;
        fs::write(self.dir.path().join("clock"), now_s.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A report of 2026-W47, due after `delay_s`.
    fn put(&self, n: u8, delay_s: i64) -> Vec<u8> {
        let report = Report {
            metric: MetricId(3),
            version: 1,
            period: week("2026-W47"),
            id: ReportId([n; 16]),
            payload: Payload::List(vec![0, 2]),
        };
        let bytes = report.encode_padded(512).into_bytes();
        let name = format!("{:012}-{n:016x}.json", self.now_s + delay_s);
        fs::write(self.path("outbox").join(name), &bytes).unwrap();
        bytes
    }

    fn upload(&self, url: &str) -> Output {
        let text = |name| self.path(name).to_str().unwrap().to_owned();
        run("hubbub-upload", &["--outbox", &text("outbox"), "--endpoint", url, "--test-clock", &text("clock")])
    }

    /// Due times of the reports that wait.
    fn waiting(&self) -> Vec<i64> {
        let names = fs::read_dir(self.path("outbox")).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".json"));
        let mut due: Vec<i64> = names.map(|name| name[..12].parse().unwrap()).collect();
        due.sort_unstable();
        due
    }

    fn results(&self) -> Vec<Value> {
        let entries = fs::read_dir(self.path("outbox/results")).unwrap().map(|entry| entry.unwrap().path());
        let mut results: Vec<(PathBuf, Value)> =
            entries.map(|path| (path.clone(), serde_json::from_slice(&fs::read(path).unwrap()).unwrap())).collect();
        results.sort_by(|a, b| a.0.cmp(&b.0));
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn only_result(&self) -> (String, String) {
        let results = self.results();
        assert_eq!(results.len(), 1, "{results:?}");
        let text = |key: &str| results[0][key].as_str().unwrap().to_owned();
        (text("outcome"), text("code"))
    }
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_answer_is_followed_as_the_contract_says() {
    for (reply, outcome, code, window_s) in [
        (answer(200, "counted", "counted"), "counted", "counted", None),
        (answer(202, "pending", "pending"), "pending", "pending", Some((2 * HOUR_S, 6 * HOUR_S))),
        (answer(400, "rejected", "malformed"), "rejected", "malformed", None),
        (answer(413, "rejected", "too_large"), "rejected", "too_large", None),
        (answer(415, "rejected", "wrong_type"), "rejected", "wrong_type", None),
        (answer(422, "rejected", "period_closed"), "rejected", "period_closed", None),
        (answer(410, "rejected", "expired"), "stop", "expired", None),
        (slow_down(429, "7200"), "later", "http_429", Some((2 * HOUR_S, 4 * HOUR_S))),
        (slow_down(503, "99999999"), "later", "http_503", Some((23 * HOUR_S, DAY_S))),
        (slow_down(503, "soon"), "later", "http_503", Some((0, 2 * HOUR_S))),
        (answer(500, "broken", "Not A Code"), "later", "http_500", Some((600, HOUR_S))),
        (
            "HTTP/1.1 302 X\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n".into(),
            "later",
            "http_302",
            Some((600, HOUR_S)),
        ),
    ] {
        let (post, server) = (Post::new(), Server::start(vec![reply]));
        let bytes = post.put(1, -5);
        done(&post.upload(&server.url));
        let received = server.received();
        assert_eq!(received.len(), 1, "{code}");
        assert_eq!(received[0].body, bytes, "{code}");
        assert_eq!(post.only_result(), (outcome.to_owned(), code.to_owned()));
        match (window_s, post.waiting().as_slice()) {
            (None, []) => {}
            (Some((least_s, most_s)), [due_s]) => {
                let wait_s = due_s - post.now_s;
                assert!((least_s..=most_s).contains(&wait_s), "{code}: waits {wait_s} s");
            }
            (_, waiting) => panic!("{code}: {waiting:?} wait"),
        }
    }
}

#[test]
fn a_request_says_nothing_but_the_report_and_comes_on_a_connection_of_its_own() {
    let (post, server) = (Post::new(), Server::start(vec![answer(200, "counted", "counted")]));
    post.put(1, -5);
    post.put(2, -4);
    post.put(3, 100);
    done(&post.upload(&server.url));
    let received = server.received();
    assert_eq!(received.len(), 2, "what is not due stays");
    assert_eq!(post.waiting(), [post.now_s + 100]);
    for request in &received {
        let mut lines = request.head.trim_end().split("\r\n");
        assert_eq!(lines.next(), Some("POST /v1/reports HTTP/1.1"));
        let mut headers: Vec<String> = lines.map(str::to_lowercase).collect();
        headers.sort();
        let host = server.url.trim_start_matches("http://");
        assert_eq!(headers, ["content-length: 512", "content-type: application/json", &format!("host: {host}")]);
    }
    assert_ne!(received[0].peer, received[1].peer, "two reports on one connection");
}

#[test]
fn a_repetition_offers_the_identical_bytes() {
    let replies = vec![
        String::new(),
        answer(503, "later", "slow_down"),
        answer(202, "pending", "pending"),
        answer(200, "counted", "counted"),
    ];
    let (mut post, server) = (Post::new(), Server::start(replies));
    let bytes = post.put(1, -5);
    // The first server closes the connection: no answer at all.
    assert_fails(&post.upload(&server.url), 4, &["could not be reached", "kept"]);
    for _ in 0..3 {
        post.go_to(post.now_s + DAY_S);
        done(&post.upload(&server.url));
    }
    let received = server.received();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|request| request.body == bytes));
    assert!(post.waiting().is_empty());
    let codes: Vec<String> = post.results().iter().map(|result| result["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes, ["no_answer", "slow_down", "pending", "counted"]);
    assert!(post.results().iter().all(|result| result["key"] == "0000000000000001"));
}

#[test]
fn a_server_that_is_not_there_loses_nothing() {
    let post = Post::new();
    for n in 1..=5 {
        post.put(n, -5);
    }
    // A port that was just free.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_fails(&post.upload(&format!("http://{free}")), 4, &[&free.to_string(), "kept"]);
    assert_eq!(post.waiting().len(), 5);
    assert_eq!(post.results().len(), 3, "after three failures the rest waits for the next run");
    assert!(post.results().iter().all(|result| result["code"] == "unreachable"));
}

#[test]
fn a_report_that_no_server_takes_any_more_is_dropped_unsent() {
    let (mut post, server) = (Post::new(), Server::start(vec![answer(202, "pending", "pending")]));
    let last_chance_s = week("2026-W47").end() + 14 * DAY_S;
    post.put(1, -5);
    post.go_to(last_chance_s - HOUR_S);
    done(&post.upload(&server.url));
    assert_eq!(post.waiting(), [last_chance_s], "it is not due again after its last chance");
    post.go_to(last_chance_s);
    done(&post.upload(&server.url));
    assert!(post.waiting().is_empty());
    assert_eq!(server.received().len(), 1);
    assert_eq!(post.results().last().unwrap()["outcome"], "expired");
}

#[test]
fn what_is_no_report_is_set_aside_and_never_sent() {
    let (post, server) = (Post::new(), Server::start(vec![answer(200, "counted", "counted")]));
    let bytes = post.put(1, -5);
    let due = format!("{:012}", post.now_s - 1);
    let outbox = post.path("outbox");
    fs::write(outbox.join("notes.txt"), "a stranger").unwrap();
    fs::write(outbox.join(format!("{due}-00000000000000aa.json")), &bytes[..40]).unwrap();
    fs::write(outbox.join(format!("{due}-00000000000000bb.json")), [&bytes[..], &[b' '; 5000]].concat()).unwrap();
    fs::write(post.path("secret"), &bytes).unwrap();
    std::os::unix::fs::symlink(post.path("secret"), outbox.join(format!("{due}-00000000000000cc.json"))).unwrap();
    fs::write(outbox.join(".unfinished.tmp"), "half").unwrap();
    let output = post.upload(&server.url);
    done(&output);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(server.received().len(), 1);
    let mut refused: Vec<String> = fs::read_dir(outbox.join("refused"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    refused.sort();
    assert_eq!(refused.len(), 4, "{refused:?}");
    for name in refused {
        assert!(said.contains(&name), "{name} is not named in: {said}");
    }
    assert!(outbox.join(".unfinished.tmp").exists());
    let malformed = post.results().into_iter().filter(|result| result["code"] == "malformed_file").count();
    assert_eq!(malformed, 3, "the owner's log learns of those with a report's name");
}

#[test]
fn wrong_settings_are_refused() {
    let post = Post::new();
    let text = |name: &str| post.path(name).to_str().unwrap().to_owned();
    let (outbox, clock) = (text("outbox"), text("clock"));
    let upload = |arguments: &[&str]| run("hubbub-upload", &[&["--outbox", &outbox], arguments].concat());
    assert_fails(&upload(&[]), 2, &["--endpoint", "--config"]);
    assert_fails(&upload(&["--endpoint", "http://metrics.example.org"]), 2, &["metrics.example.org", "https"]);
    let remote = ["--endpoint", "https://metrics.example.org", "--test-clock", &clock];
    assert_fails(&upload(&remote), 2, &["--test-clock", "metrics.example.org"]);
    let nowhere = ["--outbox", &text("nowhere"), "--endpoint", "http://127.0.0.1:9"];
    assert_fails(&run("hubbub-upload", &nowhere), 3, &["nowhere", "--outbox"]);
    assert_fails(&upload(&["--config", &text("no.toml")]), 3, &["no.toml"]);
    for (file, content, words) in [
        ("unknown.toml", "endpont = \"x\"", vec!["unknown.toml", "endpont", "endpoint"]),
        ("syntax.toml", "endpoint = ", vec!["syntax.toml"]),
        ("bad.toml", "endpoint = \"ftp://x\"", vec!["ftp://x"]),
    ] {
        fs::write(post.path(file), content).unwrap();
        assert_fails(&upload(&["--config", &text(file)]), 2, &words);
    }
    fs::write(post.path("ca.pem"), "no certificate").unwrap();
    let config = format!("endpoint = \"https://localhost\"\nca_file = \"{}\"", text("ca.pem"));
    fs::write(post.path("ca.toml"), config).unwrap();
    assert_fails(&upload(&["--config", &text("ca.toml")]), 2, &["ca.pem"]);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let (post, server) = (Post::new(), Server::start(vec![answer(200, "counted", "counted")]));
    post.put(1, -5);
    fs::write(post.path("upload.toml"), "endpoint = \"https://metrics.example.org\"").unwrap();
    let text = |name: &str| post.path(name).to_str().unwrap().to_owned();
    let (outbox, config, clock) = (text("outbox"), text("upload.toml"), text("clock"));
    let arguments = ["--outbox", &outbox, "--config", &config, "--endpoint", &server.url, "--test-clock", &clock];
    done(&run("hubbub-upload", &arguments));
    assert_eq!(server.received().len(), 1);
}

#[test]
fn the_sample_configuration_is_one() {
    let text = include_str!("../../../packaging/upload.toml");
    let config = hubbub_collector::upload::Config::read(&{
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging/upload.toml");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        path
    });
    let config = config.unwrap();
    assert!(hubbub_collector::upload::Endpoint::parse(config.endpoint.as_deref().unwrap()).is_ok());
}
