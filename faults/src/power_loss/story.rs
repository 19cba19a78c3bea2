//! A server's life under `strace`: creation, commits, a period's end with its rewrite, a clean stop, a kill.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hubbub_privacy::Period;
use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use crate::crowd::{Crowd, GROUP, Offered};
use crate::figures::{Breach, Finding};
use crate::place::{Place, week};
use crate::server::{Server, export, run_command, until};
use crate::trace::{Capture, Event, Operation, Target};
use crate::volley::Wire;

/// Metrics of the population: each has a series in each of three weeks.
const METRICS: usize = 2;
/// Reports on their way at once: two groups.
const AT_ONCE: usize = 64;
/// Seven groups: what fills no group is held for seconds.
const FULL: usize = 7 * GROUP;
/// Of an answer that should not be, so much is shown.
const MAX_SHOWN: usize = 400;
/// What is given up when the week ends.
const REMAINDER: usize = 4;
/// An answer that is not there by then waits for others to fill its group.
const SOON: Duration = Duration::from_millis(60);
/// What has arrived is read at once.
const AT_HAND: Duration = Duration::from_millis(1);
/// The longest time that a volley gets before the kill, in milliseconds.
const LONGEST_BEFORE_KILL_MS: u64 = 60;
/// The store's name in its place.
pub const STORE: &str = "store.redb";
/// The week that ends in the story.
const ENDING: &str = "2026-W45";

/// One thing that a disk or a device sees.
#[derive(Debug)]
pub enum Step {
    /// The server did this.
    Done(Event),
    /// The server answered 200 to this report of the crowd; what it did before had to be durable.
    Acknowledged(usize),
    /// The process ended, and left this store; another one went on.
    NextProcess {
        /// The store's bytes.
        store: Vec<u8>,
        /// A kill ended it.
        killed: bool,
    },
}

/// Everything that happened, in order.
#[derive(Debug)]
pub struct Story {
    /// Where the server lived.
    pub root: PathBuf,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Who sent, and what was sent in all.
    pub crowd: Crowd,
    /// What was wrong already without a power cut.
    pub findings: Vec<Finding>,
}

/// The week that is closed in the story.
pub fn ending() -> Period {
    week(ENDING)
}

/// A connection that stays open, and its name in the trace.
struct Line {
    wire: Wire,
    name: String,
}

/// Sends reports and remembers which connection carried which.
struct Sender {
    crowd: Crowd,
    /// By the connection's name: its reports in order. No name is used twice, although the system gives ports again.
    carried: BTreeMap<String, Vec<usize>>,
    idle: Vec<Line>,
    /// Requests that wait for others to fill their group.
    held: Vec<(Offered, Line)>,
    findings: Vec<Finding>,
}

impl Sender {
    fn line(&mut self, server: &Server) -> Line {
        if let Some(line) = self.idle.pop() {
            return line;
        }
        let mut used = Vec::new();
        loop {
            let wire = Wire::open(server.address).expect("the server accepts connections");
            let name = wire.seen_by_server().expect("an open connection has two ends");
            if !self.carried.contains_key(&name) {
                return Line { wire, name };
            }
            used.push(wire);
        }
    }

    /// Sends reports at once, each on a connection of its own.
    fn send(&mut self, server: &Server, numbers: &[usize]) {
        for offer in self.crowd.offer(numbers) {
            let mut line = self.line(server);
            self.carried.entry(line.name.clone()).or_default().push(offer.number);
            line.wire.send(&offer.request);
            self.held.push((offer, line));
        }
    }

    /// Offers reports, some at a time, and takes the answers that come soon.
    fn offer(&mut self, server: &Server, numbers: &[usize]) {
        for chunk in numbers.chunks(AT_ONCE) {
            self.send(server, chunk);
            self.hear(SOON);
        }
    }

    /// Takes answers until one does not come in time.
    fn hear(&mut self, within: Duration) {
        let mut within = within;
        for (offer, mut line) in std::mem::take(&mut self.held) {
            match line.wire.reply(within) {
                Some(reply) => {
                    self.findings.extend(self.crowd.hear(&offer, Some(&reply)));
                    self.idle.push(line);
                }
                None => {
                    within = AT_HAND;
                    self.held.push((offer, line));
                }
            }
        }
    }

    /// The server has ended: takes what it had said, and forgets the rest.
    fn hear_the_end(&mut self) {
        self.hear(SOON);
        self.held.clear();
        self.idle.clear();
    }
}

/// Lets a server live its life in a place of its own below `parent`.
pub fn live(program: &Path, parent: &Path, rng: &mut ChaCha12Rng) -> Story {
    let mut crowd = Crowd::new(METRICS, rng);
    crowd.closes(ending());
    let place = crowd.furnish(Place::below(parent, program));
    let series: Vec<Vec<usize>> = (0..crowd.series()).map(|series| crowd.of_series(series)).collect();
    let mut sender =
        Sender { crowd, carried: BTreeMap::new(), idle: Vec::new(), held: Vec::new(), findings: Vec::new() };
    let mut lives = Vec::new();
    let store = || fs::read(place.path(STORE)).unwrap();

    let start = |number: usize| {
        let (capture, command) = Capture::of(&place, &format!("trace-{number}"), &run_command(&place), None);
        (capture, Server::spawn(&place, command))
    };
    let (capture, server) = start(0);
    sender.offer(&server, &series[1][..FULL]);
    export(&place);
    // Both metrics' weeks end, one with a remainder.
    sender.offer(&server, &series[0][..FULL]);
    sender.offer(&server, &series[3][..FULL + REMAINDER]);
    place.set_clock(ending().acceptance_end() + 1);
    until("the end of the week", || is_exported(&place).then_some(()));
    sender.offer(&server, &series[2][..160]);
    let pid = server.pid();
    if !server.terminate().success() {
        sender.findings.push(Finding::new(Breach::WrongEnd, "SIGTERM does not end it with success"));
    }
    sender.hear_the_end();
    lives.push((capture.events(pid), store(), false));

    let (capture, server) = start(1);
    sender.offer(&server, &series[4][..128]);
    sender.send(&server, &series[4][128..]);
    std::thread::sleep(Duration::from_millis(rng.random_range(0..LONGEST_BEFORE_KILL_MS)));
    let pid = server.pid();
    server.kill();
    sender.hear_the_end();
    lives.push((capture.events(pid), store(), true));

    let (capture, server) = start(2);
    let again = sender.crowd.unanswered(4);
    sender.offer(&server, &again[..again.len() / GROUP * GROUP]);
    sender.offer(&server, &series[5][..FULL]);
    let pid = server.pid();
    server.terminate();
    sender.hear_the_end();
    lives.push((capture.events(pid), store(), false));

    let steps = steps(lives, &sender.carried);
    Story { root: place.path(""), steps, crowd: sender.crowd, findings: sender.findings }
}

fn is_exported(place: &Place) -> bool {
    place.counters("marker_a", ENDING).exists() && place.counters("marker_b", ENDING).exists()
}

/// The operations, with an acknowledgement where the first bytes of an answer 200 to a report left.
fn steps(lives: Vec<(Vec<Event>, Vec<u8>, bool)>, carried: &BTreeMap<String, Vec<usize>>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for (life, store, killed) in lives {
        for event in life {
            let mut acknowledged = None;
            if let Operation::Write { target: Target::Connection(name), bytes, .. } = &event.operation
                && bytes.starts_with(b"HTTP/1.1 ")
                && let Some(reports) = carried.get(name)
            {
                let number = answered.entry(name.clone()).or_default();
                let Some(&report) = reports.get(*number) else {
                    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_SHOWN)]);
                    panic!("{name} has had {number} answers to {reports:?}, and gets another: {head}");
                };
                acknowledged = bytes.starts_with(b"HTTP/1.1 200 ").then_some(report);
                *number += 1;
            }
            steps.push(Step::Done(event));
            steps.extend(acknowledged.map(Step::Acknowledged));
        }
        steps.push(Step::NextProcess { store, killed });
    }
    steps
}
