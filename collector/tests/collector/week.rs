//! A week's questions become reports, once.

use std::collections::BTreeSet;

use hubbub_privacy::Report;

use crate::bench::{Bench, eventually, run, week};
use crate::registry::{STANDARD, Spec};
use crate::server::{Server, answer};

const DAY_S: i64 = 24 * 3600;

#[test]
fn the_drawn_questions_and_no_others_are_answered_with_the_bytes_of_the_log() {
    let half: Vec<Spec> = STANDARD.iter().map(|spec| Spec { ask_probability: "0.5", ..*spec }).collect();
    let bench = Bench::consenting(&half);
    let mut reports = 0;
    for next in ["2026-W48", "2026-W49", "2026-W50"] {
        let asked: BTreeSet<String> = names(&bench.json(&["status"])["asked_this_week"]);
        let seen = bench.log().len();
        reports += asked.len();
        bench.close_week(next, reports);
        let log = bench.log();
        let answered: BTreeSet<String> =
            log[seen..].iter().map(|entry| entry["metric"].as_str().unwrap().to_owned()).collect();
        assert_eq!(answered, asked, "{next}");
    }
    let (log, ledger) = (bench.log(), bench.json(&["ledger"]));
    let question = |row: &serde_json::Value| (row["metric"].to_string(), row["period"].to_string());
    let paid: BTreeSet<_> = ledger["rows"].as_array().unwrap().iter().map(question).collect();
    assert_eq!(paid, log.iter().map(question).collect());
    assert_eq!(paid.len(), reports);
    let logged: BTreeSet<Vec<u8>> =
        log.iter().map(|entry| entry["bytes"].as_str().unwrap().as_bytes().to_vec()).collect();
    let placed: BTreeSet<Vec<u8>> = bench.outbox().into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(logged, placed);
    let ids: BTreeSet<String> = placed.iter().map(|bytes| Report::decode(bytes).unwrap().id.to_string()).collect();
    assert_eq!(ids.len(), reports, "an id was used twice");
}

fn names(list: &serde_json::Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_server_receives_the_very_bytes_of_the_log() {
    let bench = Bench::consenting(&STANDARD);
    bench.close_week("2026-W48", 6);
    let preview = bench.ctl(&["preview", "test.cpu_vendor", "--bytes"]);
    let server = Server::start(vec![answer(202, "pending", "pending"), answer(200, "counted", "counted")]);
    // Nothing is due yet, or only what was drawn early; four days later everything is.
    bench.set_clock(week("2026-W48").start() + 4 * DAY_S);
    let upload = || {
        let (outbox, clock) = (bench.text_path("outbox"), bench.text_path("clock"));
        let arguments = ["--outbox", &outbox, "--endpoint", &server.url, "--test-clock", &clock];
        let output = run("hubbub-upload", &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    upload();
    let received: BTreeSet<Vec<u8>> = server.received().into_iter().map(|request| request.body).collect();
    let log = eventually("the results", || {
        let log = bench.log();
        log.iter().all(|entry| entry["attempts"] == 1).then_some(log)
    });
    let logged: BTreeSet<Vec<u8>> =
        log.iter().map(|entry| entry["bytes"].as_str().unwrap().as_bytes().to_vec()).collect();
    assert_eq!(received, logged);
    assert!(received.contains(preview.as_bytes()), "the preview showed other bytes");
    let states: Vec<&str> = log.iter().map(|entry| entry["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "pending").count(), 1, "{states:?}");
    assert_eq!(states.iter().filter(|state| **state == "counted").count(), 5, "{states:?}");

    bench.set_clock(week("2026-W48").start() + 5 * DAY_S);
    upload();
    let again: Vec<Vec<u8>> = server.received().into_iter().map(|request| request.body).collect();
    assert_eq!(again.len(), 1);
    assert!(logged.contains(&again[0]), "a repetition must be identical");
    let pending = log.iter().find(|entry| entry["state"] == "pending").unwrap();
    eventually("the second result", || {
        let entry = bench.json(&["log", "--since", &(pending["n"].as_u64().unwrap() - 1).to_string()])[0].clone();
        (entry["state"] == "counted" && entry["attempts"] == 2).then_some(())
    });
    assert!(bench.outbox().is_empty());
}

#[test]
fn switching_off_and_on_draws_no_second_answer() {
    let half: Vec<Spec> = STANDARD.iter().map(|spec| Spec { ask_probability: "0.5", ..*spec }).collect();
    let mut bench = Bench::consenting(&half);
    let asked = bench.json(&["status"])["asked_this_week"].clone();
    for _ in 0..6 {
        bench.ctl(&["off"]);
        bench.ctl(&["on"]);
        assert_eq!(bench.json(&["status"])["asked_this_week"], asked);
    }
    bench.kill();
    bench.start();
    assert_eq!(bench.json(&["status"])["asked_this_week"], asked);
    let reports = names(&asked).len();
    bench.close_week("2026-W48", reports);
    // The clock goes back: the same week again gives nothing more.
    bench.set_clock(week("2026-W47").start() + DAY_S);
    eventually("the week before", || (bench.json(&["status"])["asked_this_week"] == asked).then_some(()));
    bench.ctl(&["off"]);
    bench.ctl(&["on"]);
    bench.set_clock(week("2026-W48").start());
    eventually("the new week", || {
        let shown = bench.json(&["show", "test.cpu_vendor"]);
        (shown["stored"][0]["period"] == "2026-W48").then_some(())
    });
    assert_eq!(bench.log().len(), reports);
    assert_eq!(bench.json(&["ledger"])["rows"].as_array().unwrap().len(), reports);
}
