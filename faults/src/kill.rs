//! SIGKILL at random moments, under load, while starting, exporting and stopping.

use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use rustix::process::Signal;

use crate::figures::{Figures, Finding};
use crate::life::{Life, VOLLEY};
use crate::rounds::{self, Bounds, Round};
use crate::server::run_command;

/// A short life sees the creation of the store, a long one its growth.
const SHORT_LIFE: (usize, u64) = (1, 12);
/// Metrics and kills of a long life.
const LONG_LIFE: (usize, u64) = (8, 60);
/// The load that a kill ends lasts up to two to the power of this, in milliseconds.
const LONGEST_LOAD_LOG2: f64 = 8.0;
/// A start takes some tens of milliseconds.
const LONGEST_START_MS: u64 = 40;

/// A random time up to two to the power `longest_log2` in milliseconds, short ones as likely as long ones.
pub fn moment(longest_log2: f64, rng: &mut ChaCha12Rng) -> Duration {
    Duration::from_secs_f64(rng.random_range(0.0..longest_log2).exp2() / 1000.0)
}

/// Kills the server once a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let life: Mutex<Option<(Life, u64)>> = Mutex::new(None);
    let one = |_, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        // A round that panics leaves no life behind: its crowd may not know what was answered.
        let mut current = life.lock().unwrap().take();
        let mut findings = Vec::new();
        let is_over = |(life, kills): &mut (Life, u64)| *kills == 0 || life.crowd.fresh() < 4 * VOLLEY;
        if let Some((mut over, _)) = current.take_if(is_over) {
            findings = end(&mut over, rng, figures);
        }
        let (mut alive, kills) = current.unwrap_or_else(|| {
            let (metrics, kills) = if rng.random_ratio(1, 4) { LONG_LIFE } else { SHORT_LIFE };
            figures.add("places", 1);
            (Life::new(&bounds.program, metrics, rng), kills)
        });
        if findings.is_empty() {
            findings = kill_once(&mut alive, rng, figures);
        }
        *life.lock().unwrap() = Some((alive, kills - 1));
        Round::Made(findings)
    };
    rounds::run("kill", bounds, one, |figures| {
        let mut rng = ChaCha12Rng::seed_from_u64(bounds.seed);
        life.lock().unwrap().take().map_or(Vec::new(), |(mut last, _)| end(&mut last, &mut rng, figures))
    })
}

fn end(life: &mut Life, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    let findings = life.settle(rng);
    figures.add("reports counted", life.crowd.acknowledged() as u64);
    findings
}

fn kill_once(life: &mut Life, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
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
