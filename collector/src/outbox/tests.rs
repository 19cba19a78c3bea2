//! The outbox: names, order, links, crashes.

use super::*;

fn name(due_s: i64, bits: u64) -> FileName {
    FileName { due_s, key: Key::new(bits) }
}

fn outbox() -> (tempfile::TempDir, Outbox) {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::create(&dir.path().join("outbox")).unwrap();
    (dir, outbox)
}

#[test]
fn names_are_twelve_digits_and_sixteen_hex_digits() {
    let report = name(1_795_000_000, 0xfe);
    assert_eq!(report.to_string(), "001795000000-00000000000000fe.json");
    assert_eq!(FileName::parse(&report.to_string()), Some(report));
    for bad in [
        "1795000000-00000000000000fe.json",
        "001795000000-00000000000000FE.json",
        "001795000000-fe.json",
        "001795000000-00000000000000fe.txt",
        "+01795000000-00000000000000fe.json",
        "001795000000-00000000000000fe.1.json",
        "",
    ] {
        assert_eq!(FileName::parse(bad), None, "{bad}");
    }
}

#[test]
fn reports_are_listed_by_due_time_and_strangers_apart() {
    let (dir, outbox) = outbox();
    outbox.place(&name(30, 1), "b").unwrap();
    outbox.place(&name(20, 2), "a").unwrap();
    fs::write(dir.path().join("outbox/notes.txt"), "x").unwrap();
    fs::write(dir.path().join("outbox/.unfinished.tmp"), "x").unwrap();
    let listing = outbox.list().unwrap();
    assert_eq!(listing.reports, [name(20, 2), name(30, 1)]);
    assert_eq!(listing.strangers, ["notes.txt"]);
    assert_eq!(outbox.read(&name(20, 2)).unwrap().unwrap(), b"a");
    let place = outbox.set_aside("notes.txt").unwrap();
    assert_eq!(place, dir.path().join("outbox/refused/notes.txt"));
    assert!(outbox.list().unwrap().strangers.is_empty());
}

#[test]
fn a_link_is_never_followed_and_a_long_file_is_seen_to_be_long() {
    let (dir, outbox) = outbox();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("outbox").join(name(1, 1).to_string()))
        .unwrap();
    assert_eq!(outbox.read(&name(1, 1)).unwrap(), Some(Vec::new()));
    outbox.place(&name(2, 2), &"x".repeat(10_000)).unwrap();
    assert!(outbox.read(&name(2, 2)).unwrap().unwrap().len() as u64 > MAX_REPORT_BYTES);
    assert_eq!(outbox.read(&name(3, 3)).unwrap(), None);
}

#[test]
fn a_withdrawn_report_stays_gone_when_the_uploader_postpones_it() {
    let (_dir, outbox) = outbox();
    outbox.place(&name(1, 1), "a").unwrap();
    outbox.place(&name(1, 2), "b").unwrap();
    outbox.postpone(&name(1, 1), 50).unwrap();
    outbox.withdraw(&BTreeSet::from([Key::new(1)])).unwrap();
    outbox.postpone(&name(50, 1), 60).unwrap();
    assert_eq!(outbox.list().unwrap().reports, [name(1, 2)]);
}

#[test]
fn results_come_back_in_order_and_junk_is_told_apart() {
    let (dir, outbox) = outbox();
    let attempt = |outcome, at_s| Attempt {
        key: Key::new(1).to_string(),
        outcome,
        code: "pending".to_owned(),
        at_s,
        due_s: Some(90),
    };
    outbox.add_result(&name(1, 1), &attempt(Outcome::Pending, 10)).unwrap();
    outbox.add_result(&name(1, 1), &attempt(Outcome::Counted, 20)).unwrap();
    fs::write(dir.path().join("outbox/results/junk.json"), "{").unwrap();
    let results = outbox.results().unwrap();
    let outcomes: Vec<Option<Outcome>> = results.iter().map(|(_, a)| a.as_ref().map(|a| a.outcome)).collect();
    assert_eq!(outcomes, [None, Some(Outcome::Pending), Some(Outcome::Counted)]);
    for (path, _) in results {
        outbox.forget_result(&path).unwrap();
    }
    assert!(outbox.results().unwrap().is_empty());
}
