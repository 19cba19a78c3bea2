//! The device without a bus: clocks that jump, crashes at every step, caps.

use std::collections::BTreeSet;
use std::fs;

use hubbub_privacy::{Period, Private, Registry};
use rand::rngs::SysRng;

use super::*;
use crate::event::Offer;
use crate::outbox::Outcome;
use crate::store::week::State;

#[path = "../../tests/support/registry.rs"]
mod registry;

use registry::{STANDARD, Spec};

const ROOT: Caller = Caller { uid: 0 };
const ANNA: Caller = Caller { uid: 1000 };
const BERT: Caller = Caller { uid: 1001 };
const DAY_S: i64 = 24 * 3600;
const WEEK_S: i64 = 7 * DAY_S;

struct Bench {
    dir: tempfile::TempDir,
    registry: Vec<Spec>,
    device: Option<Device<SysRng>>,
}

fn week(text: &str) -> Period {
    text.parse().unwrap()
}

impl Bench {
    fn new(registry: &[Spec]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/proc/sys/kernel/random")).unwrap();
        let bench = Self { dir, registry: registry.to_vec(), device: None };
        bench.write_root("proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\n\n");
        bench.set_oom_kills(5);
        bench.write_root("proc/sys/kernel/random/boot_id", "boot-1\n");
        let mut bench = bench.at(week("2026-W47").start() + DAY_S);
        bench.restart();
        bench
    }

    fn consenting(registry: &[Spec]) -> Self {
        let mut bench = Self::new(registry);
        bench.consent();
        bench
    }

    fn consent(&mut self) {
        let all = ["hardware", "settings", "usage", "performance", "problems"].map(str::to_owned);
        self.device().give_consent(ROOT, &all).unwrap();
    }

    fn at(self, now_s: i64) -> Self {
        self.set_clock(now_s);
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write_root(&self, name: &str, text: &str) {
        fs::write(self.path("root").join(name), text).unwrap();
    }

    fn set_oom_kills(&self, count: u64) {
        self.write_root("proc/vmstat", &format!("nr_free_pages 1\noom_kill {count}\n"));
    }

    fn set_clock(&self, now_s: i64) {
        fs::write(self.path("clock"), now_s.to_string()).unwrap();
    }

    fn go_to(&mut self, now_s: i64) {
        self.set_clock(now_s);
        self.device().tick().unwrap();
    }

    /// Drops the device, as a crash does, and starts it again on the same files.
    fn restart(&mut self) {
        self.device = None;
        let text = registry::text(&self.registry);
        let files = hubbub_privacy::registry::Files {
            definitions: [("test.toml".to_owned(), text.into_bytes())].into(),
            ..Default::default()
        };
        let parts = Parts {
            catalogue: Catalogue::new(Registry::parse(&files).unwrap()),
            directory: StateDirectory::claim(&self.path("state")).unwrap(),
            outbox: Outbox::create(&self.path("outbox")).unwrap(),
            root: self.path("root"),
            clock: Clock::from_file(&self.path("clock")).unwrap(),
            rng: SysRng,
            own_uid: 999,
        };
        self.device = Some(Device::open(parts).unwrap());
    }

    fn device(&mut self) -> &mut Device<SysRng> {
        self.device.as_mut().unwrap()
    }

    fn db(&self) -> &rusqlite::Connection {
        self.device.as_ref().unwrap().store.as_ref().unwrap().db()
    }

    fn say(&mut self, caller: Caller, metric: &str, offer: Offer) -> Result<(), Refusal> {
        let said = Said::Event(Private::new(offer));
        self.device().record(&[Recording { caller, metric: metric.to_owned(), said }]).remove(0)
    }

    fn states(&self, period: &str) -> Vec<State> {
        store::week::questions(self.db(), week(period)).unwrap().iter().map(|question| question.state).collect()
    }

    fn sent(&self) -> Vec<store::sent::Sent> {
        store::sent::after(self.db(), 0).unwrap()
    }

    fn ledger_rows(&self) -> usize {
        store::ledger::rows(self.db()).unwrap().len()
    }

    fn value_of(&self, metric: &str) -> String {
        let sent = self.sent().into_iter().rev().find(|sent| sent.name == metric).unwrap();
        sent.value.unwrap().expose().clone()
    }

    fn outbox_files(&self) -> Vec<(String, String)> {
        let directory = self.path("outbox");
        let names = Outbox::open(&directory).unwrap().list().unwrap().reports;
        let read = |name: String| (name.clone(), fs::read_to_string(directory.join(&name)).unwrap());
        names.iter().map(|name| read(name.to_string())).collect()
    }
}

#[test]
fn before_an_answer_nothing_is_kept() {
    let mut bench = Bench::new(&STANDARD);
    assert_eq!(bench.say(ANNA, "test.panel", Offer::Label("network".into())), Err(Refusal::Off));
    bench.go_to(week("2026-W49").start());
    assert_eq!(fs::read_dir(bench.path("state")).unwrap().count(), 0);
    assert!(bench.outbox_files().is_empty());
    // The dialogue may show what a yes would mean, to whoever can say it; nothing of it stays.
    assert_eq!(bench.device().preview(ROOT, "test.cpu_vendor").unwrap().value, "amd");
    assert_eq!(bench.device().preview(ANNA, "test.cpu_vendor").unwrap_err(), Refusal::Off);
    assert_eq!(fs::read_dir(bench.path("state")).unwrap().count(), 0);
}

#[test]
fn every_drawn_question_gives_one_report_and_nothing_else_does() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.say(ANNA, "test.panel", Offer::Label("network".into())).unwrap();
    bench.go_to(week("2026-W48").start());
    assert_eq!(bench.states("2026-W47"), [State::Answered; 6]);
    let sent = bench.sent();
    assert_eq!((sent.len(), bench.ledger_rows()), (6, 6));
    let logged: BTreeSet<String> = sent.iter().map(|sent| sent.bytes.clone().unwrap()).collect();
    let placed: BTreeSet<String> = bench.outbox_files().into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(logged, placed);
    assert_eq!(placed.len(), 6);
    assert_eq!(bench.value_of("test.panel"), "network");
    assert_eq!(bench.value_of("test.cpu_vendor"), "amd");
    assert_eq!(bench.value_of("test.dark"), "false", "absent is a value");
    let close_s = week("2026-W48").start();
    for report in &sent {
        let due_s = report.file.due_s;
        assert!((close_s..close_s + super::week::RELEASE_WINDOW_S).contains(&due_s), "{due_s}");
        assert_eq!(report.bytes.as_ref().unwrap().len(), 512);
    }
    assert!(sent.iter().map(|sent| sent.file.due_s).collect::<BTreeSet<_>>().len() > 1, "one time for all");
}

#[test]
fn only_what_happens_after_consent_counts() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.set_oom_kills(8);
    bench.go_to(week("2026-W47").start() + 2 * DAY_S);
    bench.write_root("proc/sys/kernel/random/boot_id", "boot-2\n");
    bench.set_oom_kills(2);
    bench.go_to(week("2026-W47").end() - 60);
    bench.go_to(week("2026-W48").start());
    assert_eq!(bench.value_of("test.oom_kills"), "5", "3 before the restart of the machine and 2 after");
}

#[test]
fn probes_are_read_again_in_the_last_minutes_of_a_week() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.go_to(week("2026-W47").end() - 1000);
    bench.write_root("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n\n");
    bench.go_to(week("2026-W47").end() - 100);
    bench.go_to(week("2026-W48").start());
    assert_eq!(bench.value_of("test.cpu_vendor"), "intel");
}

#[test]
fn a_clock_that_jumps_answers_the_tallied_week_only() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.go_to(week("2026-W49").start() + DAY_S);
    assert_eq!(bench.ledger_rows(), 6);
    assert!(bench.states("2026-W48").is_empty());
    assert_eq!(bench.states("2026-W49"), [State::Drawn; 6]);
    // A month later no server would take the report: nothing is spent on it.
    bench.go_to(week("2026-W49").end() + 14 * DAY_S);
    assert_eq!(bench.states("2026-W49"), [State::TooLate; 6]);
    assert_eq!(bench.ledger_rows(), 6);
}

#[test]
fn a_report_is_never_due_after_the_servers_grace() {
    let mut bench = Bench::consenting(&STANDARD);
    let last_chance_s = week("2026-W47").end() + 14 * DAY_S;
    bench.go_to(last_chance_s - 5);
    assert_eq!(bench.sent().len(), 6);
    assert!(bench.sent().iter().all(|sent| sent.file.due_s < last_chance_s));
}

#[test]
fn a_clock_that_goes_back_answers_nothing_twice() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.go_to(week("2026-W48").start() + DAY_S);
    assert_eq!(bench.ledger_rows(), 6);
    bench.go_to(week("2026-W47").start() + DAY_S);
    bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap();
    bench.go_to(week("2026-W48").start() + DAY_S);
    assert_eq!((bench.ledger_rows(), bench.sent().len()), (6, 6));
    assert_eq!(bench.states("2026-W48"), [State::Drawn; 6]);
    bench.go_to(week("2026-W49").start());
    assert_eq!((bench.ledger_rows(), bench.sent().len()), (12, 12));
}

#[test]
fn off_and_on_draws_nothing_anew_and_deletes() {
    let coin: Vec<Spec> = STANDARD.iter().map(|spec| Spec { ask_probability: "0.5", ..*spec }).collect();
    let mut bench = Bench::consenting(&coin);
    let drawn = store::week::questions(bench.db(), week("2026-W47")).unwrap();
    for _ in 0..10 {
        bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap();
        bench.device().refuse_consent().unwrap();
        assert_eq!(bench.device().local_values(ROOT).unwrap().len(), 0);
        bench.consent();
        // With another draw each time this would pass once in 2^60.
        assert_eq!(store::week::questions(bench.db(), week("2026-W47")).unwrap(), drawn);
    }
    bench.go_to(week("2026-W48").start());
    assert_eq!(bench.sent().len(), drawn.len());
}

#[test]
fn a_no_withdraws_what_waits_and_keeps_the_ledger() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap();
    bench.go_to(week("2026-W48").start());
    let offered = bench.sent().remove(0);
    let attempt = |outcome| crate::outbox::Attempt {
        key: offered.file.key.to_string(),
        outcome,
        code: "pending".to_owned(),
        at_s: 1,
        due_s: Some(2),
    };
    let outbox = Outbox::open(&bench.path("outbox")).unwrap();
    outbox.postpone(&offered.file, offered.file.due_s + 100).unwrap();
    outbox.add_result(&offered.file, &attempt(Outcome::Pending)).unwrap();
    bench.device().tick().unwrap();
    bench.device().refuse_consent().unwrap();
    assert!(bench.outbox_files().is_empty());
    assert_eq!(bench.ledger_rows(), 6);
    for sent in bench.sent() {
        assert_eq!((sent.state, sent.value.is_none()), (store::sent::State::Deleted, true));
        assert_eq!(sent.bytes.is_some(), sent.n == offered.n, "what was offered once is known outside");
    }
    bench.go_to(week("2026-W50").start());
    bench.restart();
    bench.device().tick().unwrap();
    assert!(bench.outbox_files().is_empty());
    // The server had counted it after all: the log says so.
    outbox.add_result(&offered.file, &attempt(Outcome::Counted)).unwrap();
    bench.device().tick().unwrap();
    assert_eq!(bench.sent()[0].state, store::sent::State::Counted);
}

#[test]
fn a_crash_between_a_no_and_the_outbox_is_mended() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.go_to(week("2026-W48").start());
    // What a crash leaves between the commit of a no and the removal of the files.
    let keys = bench.outbox_files();
    bench.device().refuse_consent().unwrap();
    for (name, bytes) in &keys {
        fs::write(bench.path("outbox").join(name), bytes).unwrap();
    }
    bench.restart();
    bench.device().tick().unwrap();
    assert!(bench.outbox_files().is_empty());
}

#[test]
fn a_category_that_is_off_when_the_week_closes_gives_no_report() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap();
    bench.device().set_category(ANNA, "usage", false).unwrap();
    let refused = bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap_err();
    assert!(matches!(refused, Refusal::CategoryOff { .. }), "{refused}");
    bench.go_to(week("2026-W48").start());
    let names: Vec<String> = bench.sent().into_iter().map(|sent| sent.name).collect();
    assert_eq!((names.len(), names.contains(&"test.panel".to_owned())), (5, false));
    // Switched on in the middle of a week, it joins in the next.
    bench.device().set_category(ROOT, "usage", true).unwrap();
    bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap();
    bench.go_to(week("2026-W49").start());
    assert_eq!(bench.sent().len(), 10);
    bench.go_to(week("2026-W50").start());
    assert_eq!(bench.sent().len(), 16);
}

#[test]
fn a_crash_after_paying_loses_the_report_and_refunds_nothing() {
    let mut bench = Bench::consenting(&STANDARD);
    // What a crash leaves between the first and the second commit of a close.
    bench.db().execute("UPDATE question SET state = 'charged' WHERE metric = 3", []).unwrap();
    bench.db().execute("INSERT INTO ledger VALUES (NULL, '2026-W47', 3, 1, '0.25', 1)", []).unwrap();
    bench.restart();
    bench.go_to(week("2026-W48").start());
    assert_eq!((bench.sent().len(), bench.ledger_rows()), (5, 6));
    assert_eq!(bench.states("2026-W47")[2], State::Lost);
}

#[test]
fn a_crash_before_the_file_is_placed_places_the_same_bytes() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.go_to(week("2026-W48").start());
    let before = bench.outbox_files();
    fs::remove_file(bench.path("outbox").join(&before[0].0)).unwrap();
    bench.db().execute("UPDATE sent SET placed = 0", []).unwrap();
    bench.restart();
    bench.device().tick().unwrap();
    assert_eq!(bench.outbox_files(), before);
    assert_eq!(bench.ledger_rows(), 6);
}

#[test]
fn an_outbox_that_cannot_be_written_delays_and_loses_nothing() {
    let mut bench = Bench::consenting(&STANDARD);
    let (outbox, moved) = (bench.path("outbox"), bench.path("elsewhere"));
    fs::rename(&outbox, &moved).unwrap();
    fs::write(&outbox, "a file where the directory was").unwrap();
    bench.set_clock(week("2026-W48").start());
    let error = bench.device().tick().unwrap_err();
    assert!(error.to_string().contains("outbox"), "{error}");
    fs::remove_file(&outbox).unwrap();
    fs::rename(&moved, &outbox).unwrap();
    bench.device().tick().unwrap();
    assert_eq!(bench.outbox_files().len(), 6);
}

#[test]
fn the_ledger_survives_and_its_caps_bind() {
    let twice: Vec<Spec> = STANDARD.iter().map(|spec| Spec { max_reports: 2, ..*spec }).collect();
    let mut bench = Bench::consenting(&twice);
    for weeks in 1..=4 {
        bench.restart();
        bench.go_to(week("2026-W47").start() + weeks * WEEK_S);
    }
    assert_eq!((bench.ledger_rows(), bench.sent().len()), (12, 12));
    for sent in bench.sent() {
        let (key, outcome) = (sent.file.key.to_string(), Outcome::Counted);
        let counted = crate::outbox::Attempt { key, outcome, code: "counted".to_owned(), at_s: 1, due_s: None };
        Outbox::open(&bench.path("outbox")).unwrap().add_result(&sent.file, &counted).unwrap();
    }
    bench.device().tick().unwrap();
    let refused = bench.device().preview(ROOT, "test.panel").unwrap_err();
    assert!(matches!(refused, Refusal::BudgetExhausted { .. }), "{refused}");
    let published = bench.device().published();
    assert_eq!(published.spent["metric:test.panel"], "0.5");
    assert_eq!(published.left["metric:test.panel"], "0.0");
    assert_eq!(published.spent["installation"], "3.0");
    assert_eq!(published.left["installation"], "397.0");
}

#[test]
fn a_metric_that_the_server_stops_is_neither_asked_nor_recorded() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.go_to(week("2026-W48").start());
    let panel = bench.sent().into_iter().find(|sent| sent.name == "test.panel").unwrap();
    let attempt = crate::outbox::Attempt {
        key: panel.file.key.to_string(),
        outcome: Outcome::Stop,
        code: "expired".to_owned(),
        at_s: 1,
        due_s: None,
    };
    Outbox::open(&bench.path("outbox")).unwrap().add_result(&panel.file, &attempt).unwrap();
    bench.device().tick().unwrap();
    bench.restart();
    let refused = bench.say(ANNA, "test.panel", Offer::Label("display".into())).unwrap_err();
    assert!(matches!(refused, Refusal::Ended { .. }), "{refused}");
    bench.go_to(week("2026-W49").start());
    assert_eq!(bench.states("2026-W48")[2], State::Ended);
    assert_eq!(bench.states("2026-W49").len(), 5);
}

#[test]
fn a_metric_past_its_last_day_is_not_asked() {
    let mut specs = STANDARD;
    specs[0].expires = "2026-11-22";
    let mut bench = Bench::consenting(&specs);
    bench.go_to(week("2026-W48").start());
    assert_eq!(bench.states("2026-W47")[0], State::Ended);
    assert_eq!(bench.states("2026-W48").len(), 5);
    assert_eq!(bench.sent().len(), 5);
}

#[test]
fn users_see_their_own_values_and_root_sees_all() {
    let mut bench = Bench::consenting(&STANDARD);
    bench.say(ANNA, "test.panel", Offer::Label("network".into())).unwrap();
    bench.say(BERT, "test.panel", Offer::Label("display".into())).unwrap();
    let seen = |bench: &mut Bench, caller| -> String { format!("{:?}", bench.device().local_values(caller).unwrap()) };
    let (anna, root) = (seen(&mut bench, ANNA), seen(&mut bench, ROOT));
    assert!(anna.contains("network") && !anna.contains("display") && anna.contains("amd"), "{anna}");
    assert!(root.contains("network") && root.contains("display"), "{root}");
    assert_eq!(bench.device().preview(BERT, "test.panel").unwrap().value, "display");
    bench.go_to(week("2026-W48").start());
    let log = |bench: &mut Bench, caller| format!("{:?}", bench.device().sent_log(caller, 0).unwrap());
    let report = log(&mut bench, ANNA);
    assert!(!report.contains("display") && !report.contains("Some(\"network\")"), "{report}");
    assert!(bench.device().preview(ANNA, "test.panel").unwrap().rehearsal, "the report that waits is not hers alone");
    assert!(!bench.device().preview(ROOT, "test.panel").unwrap().rehearsal);
    assert!(!bench.device().preview(ANNA, "test.cpu_vendor").unwrap().rehearsal);
}

#[test]
fn counts_add_up_and_wrong_calls_are_told_why() {
    let mut bench = Bench::consenting(&STANDARD);
    let count = |bench: &mut Bench, metric: &str, n| {
        let recording = Recording { caller: ANNA, metric: metric.to_owned(), said: Said::Count(n) };
        bench.device().record(&[recording]).remove(0)
    };
    count(&mut bench, "test.crashes", 3).unwrap();
    count(&mut bench, "test.crashes", 4).unwrap();
    bench.say(ANNA, "test.crashes", Offer::Number(2)).unwrap();
    assert!(matches!(count(&mut bench, "test.panel", 1), Err(Refusal::NotACount { .. })));
    assert!(matches!(count(&mut bench, "test.cpu_vendor", 1), Err(Refusal::NotAnEvent { .. })));
    assert!(matches!(count(&mut bench, "test.nothing", 1), Err(Refusal::UnknownMetric(_))));
    bench.go_to(week("2026-W48").start());
    assert_eq!(bench.value_of("test.crashes"), "9");
}

#[test]
fn who_may_switch_on() {
    let mut bench = Bench::new(&STANDARD);
    let one = ["usage".to_owned()];
    assert!(matches!(bench.device().give_consent(ANNA, &one), Err(Refusal::NotAuthorized { .. })));
    assert!(matches!(bench.device().give_consent(ROOT, &[]), Err(Refusal::NoCategory)));
    assert!(matches!(bench.device().give_consent(ROOT, &["x".to_owned()]), Err(Refusal::UnknownCategory(_))));
    assert_eq!(bench.device().set_category(ROOT, "usage", true), Err(Refusal::Off));
    bench.device().give_consent(Caller { uid: 999 }, &one).unwrap();
    assert!(matches!(bench.device().set_category(ANNA, "hardware", true), Err(Refusal::NotAuthorized { .. })));
    assert!(!bench.device().published().categories["hardware"]);
    bench.device().refuse_consent().unwrap();
    assert_eq!(bench.device().published().consent.name(), "no");
}

#[test]
fn an_unusable_metric_is_left_out() {
    let mut specs = STANDARD.to_vec();
    specs[0].source = "gpu.temperature";
    specs[1].data = "kind = \"ordered\"\nedges = [0, 1, 2, 4]\ngoal = \"mean\"\nabsent = 0";
    specs[1].aggregate = "last";
    specs[2].mechanism = "window";
    specs[3].data = "kind = \"set\"\nvalues = [\"a\", \"b\"]\nmax_items = 1";
    specs[3].aggregate = "union";
    let mut bench = Bench::consenting(&specs);
    assert_eq!(bench.states("2026-W47").len(), 4, "all but those without a probe and a mechanism");
    let refused = bench.say(ANNA, "test.panel", Offer::Labels(vec![])).unwrap_err();
    assert!(matches!(refused, Refusal::Unusable { .. }), "{refused}");
}
