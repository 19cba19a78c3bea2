//! SIGKILL at random moments, under load, while starting, exporting and stopping.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use rustix::process::Signal;

use crate::crowd::{Crowd, forget_exports};
use crate::figures::{Breach, Figures, Finding};
use crate::place::Place;
use crate::rounds::{self, Bounds, Round};
use crate::server::{Server, export, run_command};
use crate::volley::{Offer, volley};

/// Sides that send at once, each so many reports.
const SIDES: usize = 2;
/// More than a group, so that commits and requests overlap.
const VOLLEY: usize = 40;
/// A short life sees the creation of the store, a long one its growth.
const SHORT_LIFE: (usize, u64) = (1, 12);
/// Metrics and kills of a long life.
const LONG_LIFE: (usize, u64) = (8, 60);
/// The load that a kill ends lasts up to two to the power of this, in milliseconds.
const LONGEST_LOAD_LOG2: f64 = 8.0;
/// A start takes some tens of milliseconds.
const LONGEST_START_MS: u64 = 40;

/// One place from its creation to its last check.
pub struct Life {
    /// Where the server lives.
    pub place: Place,
    /// Who sends to it.
    pub crowd: Crowd,
    kills_left: u64,
}

impl Life {
    /// A new place with a population of its own.
    pub fn new(program: &Path, metrics: usize, kills: u64, rng: &mut ChaCha12Rng) -> Self {
        let crowd = Crowd::new(metrics, rng);
        Self { place: crowd.place(program), crowd, kills_left: kills }
    }

    /// A life that goes on somewhere with a population that has one already.
    pub fn resumed(place: Place, crowd: Crowd) -> Self {
        Self { place, crowd, kills_left: 0 }
    }

    /// Starts the server, which must start.
    ///
    /// # Errors
    /// The finding, when it does not.
    pub fn start(&self) -> Result<Server, Finding> {
        Server::try_spawn(&self.place, run_command(&self.place)).map_err(|none| {
            Finding::new(Breach::Unopenable, format!("the server does not start: {:?}, {}", none.status, none.said))
        })
    }

    /// Exports with the program's own command and compares.
    pub fn compare(&self) -> Vec<Finding> {
        forget_exports(&self.place);
        let output = export(&self.place);
        // Before the first complete creation there is no store, and nothing was acknowledged.
        if output.status.success() || !self.place.path("store.redb").exists() {
            return self.crowd.compare(&self.crowd.read(&self.place));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        vec![Finding::new(Breach::Unopenable, format!("export ends with {:?}: {said}", output.status.code()))]
    }

    /// Offers everything that was sent again until it is acknowledged, and compares: now the counters must be equal.
    pub fn settle(&mut self, rng: &mut ChaCha12Rng) -> Vec<Finding> {
        let server = match self.start() {
            Ok(server) => server,
            Err(finding) => return vec![finding],
        };
        let mut findings = self.crowd.settle(server.address, rng);
        findings.extend(self.compare());
        let ended = server.terminate();
        if !ended.success() {
            findings.push(Finding::new(Breach::WrongEnd, format!("SIGTERM ends it with {:?}", ended.code())));
        }
        findings
    }

    /// Offers reports from several sides while `meanwhile` runs; what it does to the server ends them.
    pub fn under_load(
        &mut self,
        server: Server,
        rng: &mut ChaCha12Rng,
        meanwhile: impl FnOnce(Server),
    ) -> Vec<Finding> {
        let mut all: Vec<usize> = (0..self.crowd.series()).collect();
        all.shuffle(rng);
        let series = all[..rng.random_range(1..=3)].to_vec();
        let (address, stop) = (server.address, AtomicBool::new(false));
        let crowd = Mutex::new(&mut self.crowd);
        std::thread::scope(|scope| {
            let (crowd, stop, series) = (&crowd, &stop, series.as_slice());
            let side = |rng| scope.spawn(move || send(crowd, address, series, stop, rng));
            let sides: Vec<_> = (0..SIDES).map(|_| side(ChaCha12Rng::from_rng(rng))).collect();
            let stopping = StopAtEnd(stop);
            meanwhile(server);
            drop(stopping);
            sides.into_iter().flat_map(|side| side.join().unwrap()).collect()
        })
    }
}

/// Offers reports until told to stop or the server has gone.
fn send(
    crowd: &Mutex<&mut Crowd>,
    address: SocketAddr,
    series: &[usize],
    stop: &AtomicBool,
    mut rng: ChaCha12Rng,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let offers = {
            let mut crowd = crowd.lock().unwrap();
            let picked = crowd.pick(series, VOLLEY, true, &mut rng);
            crowd.offer(&picked)
        };
        let replies = volley(address, &offers, Offer::Wait);
        let mut crowd = crowd.lock().unwrap();
        findings.extend(offers.iter().zip(&replies).filter_map(|(one, reply)| crowd.hear(one, reply.as_ref())));
        if replies.iter().all(Option::is_none) {
            break;
        }
    }
    findings
}

/// Also when what happens meanwhile panics, the sides must end.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A random time up to two to the power `longest_log2` in milliseconds, short ones as likely as long ones.
pub fn moment(longest_log2: f64, rng: &mut ChaCha12Rng) -> Duration {
    Duration::from_secs_f64(rng.random_range(0.0..longest_log2).exp2() / 1000.0)
}

/// Kills the server once a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let life: Mutex<Option<Life>> = Mutex::new(None);
    let one = |round, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        // A round that panics leaves no life behind: its crowd may not know what was answered.
        let mut current = life.lock().unwrap().take();
        let mut findings = Vec::new();
        if let Some(mut over) = current.take_if(|life| life.kills_left == 0 || life.crowd.fresh() < 4 * VOLLEY) {
            findings = end(&mut over, rng, figures);
        }
        let mut alive = current.unwrap_or_else(|| {
            let (metrics, kills) = if round % 4 == 3 { LONG_LIFE } else { SHORT_LIFE };
            figures.add("places", 1);
            Life::new(&bounds.program, metrics, kills, rng)
        });
        if findings.is_empty() {
            findings = kill_once(&mut alive, rng, figures);
        }
        *life.lock().unwrap() = Some(alive);
        Round::Made(findings)
    };
    rounds::run("kill", bounds, one, |figures| {
        let mut rng = ChaCha12Rng::seed_from_u64(bounds.seed);
        life.lock().unwrap().take().map_or(Vec::new(), |mut last| end(&mut last, &mut rng, figures))
    })
}

fn end(life: &mut Life, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    let findings = life.settle(rng);
    figures.add("reports counted", life.crowd.acknowledged() as u64);
    findings
}

fn kill_once(life: &mut Life, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    life.kills_left -= 1;
    if rng.random_ratio(1, 6) {
        kill_while_starting(life, rng);
        figures.add("kills while starting", 1);
    }
    let server = match life.start() {
        Ok(server) => server,
        Err(finding) => return vec![finding],
    };
    let load = moment(LONGEST_LOAD_LOG2, rng);
    let last = moment(3.0, rng);
    let place_path = life.place.path("aggregator.toml");
    let mut exporting = std::process::Command::new(life.place.program());
    exporting.arg("export").arg("--config").arg(place_path).stdout(Stdio::null()).stderr(Stdio::null());
    let way = rng.random_range(0..8);
    let mut findings = life.under_load(server, rng, |server| {
        std::thread::sleep(load);
        match way {
            0 => {
                let mut export = exporting.spawn().unwrap();
                std::thread::sleep(last * 4);
                server.kill();
                export.wait().unwrap();
            }
            1 => {
                server.signal(Signal::TERM);
                std::thread::sleep(last);
                server.kill();
            }
            _ => server.kill(),
        }
    });
    figures.add(["kills while exporting", "kills while stopping", "kills under load"][way.min(2)], 1);
    findings.extend(life.compare());
    findings
}

fn kill_while_starting(life: &Life, rng: &mut ChaCha12Rng) {
    let mut command = run_command(&life.place);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(rng.random_range(0..LONGEST_START_MS)));
    child.kill().unwrap();
    child.wait().unwrap();
}
