//! A load that gives a server every occasion to write too much: one report at a time, crowds around the size of a group,
//! kills, a full disk, a week's end, and every command.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hubbub_privacy::{MetricId, Payload, REPORT_BODY_BYTES, Report, ReportId};
use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use super::honey;
use super::states::{Anchors, COUNTERS};
use crate::client::post_with;
use crate::crowd::GROUP;
use crate::place::{MetricText, Place, registry_text, week};
use crate::server::{DEADLINE, Server, run_command, until};
use crate::trace::{Capture, Event};
use crate::volley::Wire;

/// The metric whose counters are looked for.
pub const WATCHED: MetricId = MetricId(1);
const OTHER: MetricId = MetricId(2);
const TRIAL: MetricId = MetricId(3);
/// Reports come one at a time.
pub const QUIET: &str = "2026-W47";
/// Reports come in crowds.
pub const BUSY: &str = "2026-W46";
/// It ends.
pub const ENDING: &str = "2026-W45";
/// What recognises [`QUIET`].
pub const QUIET_ANCHORS: Anchors = Anchors { first: 704, last: 736 };
/// What recognises [`BUSY`].
pub const BUSY_ANCHORS: Anchors = Anchors { first: 320, last: 352 };
/// Reports of [`QUIET`], one at a time.
const SINGLES: usize = 800;
/// Reports on their way at once while anchors are laid.
const AT_ONCE: usize = 64;
/// Whoever answers single reports does it within this time.
const PROMPT: Duration = Duration::from_millis(250);
/// Whoever answers a bad request does it within this time, or closes the connection.
const SILENCE: Duration = Duration::from_millis(100);
/// Between two single reports to a server that does not answer them at once.
const APART: Duration = Duration::from_millis(2);
/// The first storage call of the committer that finds the disk full: after a commit or two, anywhere in the next.
const FULL_FROM: std::ops::Range<usize> = 8..24;
/// And every so many further calls: a commit makes about ten, so that each time another one is the first to fail.
const FULL_EVERY: usize = 23;
/// So often is it enough.
const FULL_TIMES: usize = 2;
/// By so many crowds the disk was full so often.
const MAX_CROWDS: usize = 24;

/// Everything that was done, and by whom.
pub struct Recorded {
    /// Where the server lived; its files are still there.
    pub place: Place,
    /// What every process did, one after the other.
    pub lives: Vec<Vec<Event>>,
    /// Every report that was sent.
    pub reports: Vec<Report>,
    /// Answers 503 while the disk was full.
    pub refused: u64,
}

struct Driver<'a> {
    place: Place,
    rng: &'a mut ChaCha12Rng,
    reports: Vec<Report>,
    /// Requests whose answer has not come.
    held: Vec<(usize, Wire)>,
    /// Reports that were not acknowledged when their server was gone.
    orphans: BTreeSet<usize>,
    lives: Vec<Vec<Event>>,
    refused: u64,
}

/// Lets a server go through all of it.
pub fn drive(program: &Path, rng: &mut ChaCha12Rng) -> Recorded {
    let place = Place::new(program);
    let metric = |key, id: MetricId, status| MetricText {
        key,
        id: id.0,
        version: 1,
        status,
        data: "kind = \"count\"\nmax = 255",
        epsilon: "1.0",
        mechanism: "folded_geometric",
        expires: "2027-10-01",
    };
    let metrics =
        [metric("watched", WATCHED, "active"), metric("other", OTHER, "active"), metric("trial", TRIAL, "testing")];
    place.write_registry(&registry_text(&metrics));
    let (held, orphans) = (Vec::new(), BTreeSet::new());
    let mut driver = Driver { place, rng, reports: Vec::new(), held, orphans, lives: Vec::new(), refused: 0 };
    driver.first_life();
    driver.after_a_kill();
    driver.on_a_full_disk();
    driver.at_the_end_of_a_week();
    driver.without_a_server();
    Recorded { place: driver.place, lives: driver.lives, reports: driver.reports, refused: driver.refused }
}

impl Driver<'_> {
    fn start(&self, inject: Option<&str>) -> (Capture, Server) {
        let mut command = run_command(&self.place);
        command.env("RUST_LOG", "trace");
        let (capture, command) = Capture::of(&self.place, &self.next_trace(), &command, inject);
        (capture, Server::spawn(&self.place, command))
    }

    fn next_trace(&self) -> String {
        format!("trace-{}", self.lives.len())
    }

    fn stop(&mut self, capture: &Capture, server: Server) {
        let pid = server.pid();
        server.terminate();
        self.gone(capture, pid);
    }

    /// What was not answered stays with its device.
    fn gone(&mut self, capture: &Capture, pid: u32) {
        self.reap(DEADLINE);
        self.orphans.extend(self.held.drain(..).map(|(number, _)| number));
        self.lives.push(capture.events(pid));
    }

    fn first_life(&mut self) {
        let (capture, server) = self.start(None);
        for (period, anchors) in [(BUSY, BUSY_ANCHORS), (QUIET, QUIET_ANCHORS)] {
            let outputs = [vec![0; anchors.first as usize], vec![COUNTERS as u32 - 1; anchors.last as usize]].concat();
            for chunk in outputs.chunks(AT_ONCE) {
                self.send_all(&server, WATCHED, period, chunk);
                self.reap(Duration::from_millis(20));
            }
        }
        for request in honey::bad_requests() {
            self.bother(&server, &request);
        }
        self.one_at_a_time(&server, SINGLES / 2);
        self.in_crowds(&server, &[31, 32]);
        self.command(&["export"]);
        self.in_crowds(&server, &[33]);
        self.crowd(&server, WATCHED, BUSY, 20);
        std::thread::sleep(PROMPT);
        let pid = server.pid();
        server.kill();
        self.gone(&capture, pid);
    }

    fn after_a_kill(&mut self) {
        let (capture, server) = self.start(None);
        self.offer_orphans(&server);
        self.one_at_a_time(&server, SINGLES / 2);
        self.in_crowds(&server, &[1, 63]);
        for command in [&["check"][..], &["backup", "backup.redb"], &["purge", "--dry-run"], &["purge"], &["export"]] {
            self.command(command);
            self.crowd(&server, WATCHED, BUSY, 20);
        }
        self.stop(&capture, server);
    }

    fn on_a_full_disk(&mut self) {
        let from = self.rng.random_range(FULL_FROM);
        let (capture, server) = self.start(Some(&format!("pwrite64:error=ENOSPC:when={from}+{FULL_EVERY}")));
        self.offer_orphans(&server);
        let mut times = 0;
        for _ in 0..MAX_CROWDS {
            self.crowd(&server, WATCHED, BUSY, GROUP + 8);
            self.reap(PROMPT);
            if server.get("/readyz").status == 503 {
                // A few more come while the group that could not be written waits.
                self.crowd(&server, WATCHED, BUSY, 5);
                until("room on the disk", || (server.get("/readyz").status == 200).then_some(()));
                self.offer_orphans(&server);
                times += 1;
            }
            if times == FULL_TIMES {
                break;
            }
        }
        self.stop(&capture, server);
    }

    fn at_the_end_of_a_week(&mut self) {
        let (capture, server) = self.start(None);
        self.crowd(&server, WATCHED, ENDING, 100);
        self.crowd(&server, OTHER, ENDING, 40);
        self.reap(PROMPT);
        self.place.set_clock(week(ENDING).acceptance_end() + 1);
        until("the end of the week", || self.place.counters("watched", ENDING).exists().then_some(()));
        self.in_crowds(&server, &[65]);
        self.stop(&capture, server);
    }

    /// The commands that open the store themselves.
    fn without_a_server(&mut self) {
        for arguments in [&["export"][..], &["check"], &["backup", "backup-2.redb"]] {
            let Some(command) = self.known_command(arguments) else { continue };
            let (capture, mut command) = Capture::of(&self.place, &self.next_trace(), &command, None);
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            child.wait().unwrap();
            self.lives.push(capture.events(child.id()));
        }
    }

    /// A command of the program, where it has it.
    fn known_command(&self, arguments: &[&str]) -> Option<Command> {
        let help = Command::new(self.place.program()).args([arguments[0], "--help"]).output().unwrap();
        let mut command = Command::new(self.place.program());
        command.arg(arguments[0]).arg("--config").arg(self.place.path("aggregator.toml"));
        for argument in &arguments[1..] {
            match argument.strip_prefix("--") {
                Some(_) => command.arg(argument),
                None => command.arg(self.place.path(argument)),
            };
        }
        help.status.success().then_some(command)
    }

    fn command(&self, arguments: &[&str]) {
        if let Some(mut command) = self.known_command(arguments) {
            command.output().unwrap();
        }
    }

    fn one_at_a_time(&mut self, server: &Server, reports: usize) {
        let mut answered_at_once = true;
        for number in 0..reports {
            let output = self.rng.random_range(1..COUNTERS as u32 - 1);
            let (report, mut wire) = self.send(server, WATCHED, QUIET, output);
            let patience = match (number, answered_at_once) {
                (..3, _) => Some(PROMPT),
                (_, true) => Some(DEADLINE),
                (_, false) => None,
            };
            let answer = patience.map(|patience| wire.reply(patience).is_some());
            match answer {
                Some(true) => continue,
                Some(false) => answered_at_once = false,
                None => std::thread::sleep(APART),
            }
            self.held.push((report, wire));
            if number % 16 == 0 {
                self.reap(Duration::from_micros(1));
            }
        }
        server.get("/metrics");
    }

    fn in_crowds(&mut self, server: &Server, crowds: &[usize]) {
        for &reports in crowds {
            self.crowd(server, WATCHED, BUSY, reports);
            // Another metric in the same commit: ids of both stand in one blob.
            self.crowd(server, OTHER, BUSY, reports / 2);
            self.crowd(server, TRIAL, QUIET, reports / 8);
            self.reap(Duration::from_millis(20));
            server.get("/metrics");
        }
    }

    fn crowd(&mut self, server: &Server, metric: MetricId, period: &str, reports: usize) {
        let outputs: Vec<u32> = (0..reports).map(|_| self.rng.random_range(1..COUNTERS as u32 - 1)).collect();
        self.send_all(server, metric, period, &outputs);
    }

    fn send_all(&mut self, server: &Server, metric: MetricId, period: &str, outputs: &[u32]) {
        for &output in outputs {
            let sent = self.send(server, metric, period, output);
            self.held.push(sent);
        }
    }

    fn send(&mut self, server: &Server, metric: MetricId, period: &str, output: u32) -> (usize, Wire) {
        let id = ReportId(self.rng.random());
        let payload = Payload::Number(output);
        self.reports.push(Report { metric, version: 1, period: week(period), id, payload });
        let number = self.reports.len() - 1;
        (number, self.offer(server, number))
    }

    fn offer(&self, server: &Server, number: usize) -> Wire {
        let mut wire = self.open(server);
        let headers = format!("Content-Type: application/json\r\n{}", honey::HEADERS);
        wire.send(&post_with(&headers, self.reports[number].encode_padded(REPORT_BODY_BYTES).as_bytes()));
        wire
    }

    fn offer_orphans(&mut self, server: &Server) {
        for number in std::mem::take(&mut self.orphans) {
            let wire = self.offer(server, number);
            self.held.push((number, wire));
            if self.held.len() > AT_ONCE {
                self.reap(Duration::from_millis(20));
            }
        }
    }

    fn open(&self, server: &Server) -> Wire {
        let source = honey::ADDRESSES[self.reports.len() % honey::ADDRESSES.len()];
        Wire::open_from(SocketAddr::new(IpAddr::V4(source), 0), server.address).expect("the server accepts connections")
    }

    fn bother(&self, server: &Server, request: &[u8]) {
        let mut wire = self.open(server);
        wire.send(request);
        wire.read_away(SILENCE);
    }

    /// Takes the answers that are there; one that is not in time stands for all that follow.
    fn reap(&mut self, within: Duration) {
        let mut within = within;
        for (number, mut wire) in std::mem::take(&mut self.held) {
            match wire.reply(within) {
                // Full or busy: the device keeps it.
                Some(reply) if reply.status >= 429 => {
                    self.refused += u64::from(reply.status == 503);
                    self.orphans.insert(number);
                }
                Some(_) => {}
                None if wire.has_ended() => {
                    self.orphans.insert(number);
                }
                None => {
                    within = Duration::from_micros(1);
                    self.held.push((number, wire));
                }
            }
        }
    }
}
