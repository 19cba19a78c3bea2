//! One server's place and population, and what must hold whenever the server has ended.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::crowd::{Crowd, forget_exports};
use crate::figures::{Breach, Finding};
use crate::place::Place;
use crate::server::{Server, export, run_command};
use crate::volley::{Offer, volley};

/// Sides that send at once, each so many reports.
const SIDES: usize = 2;
/// More than a group, so that commits and requests overlap.
pub const VOLLEY: usize = 40;

/// One place from its creation to its last check.
pub struct Life {
    /// Where the server lives.
    pub place: Place,
    /// Who sends to it.
    pub crowd: Crowd,
}

impl Life {
    /// A new place with a population of its own.
    pub fn new(program: &Path, metrics: usize, rng: &mut ChaCha12Rng) -> Self {
        let crowd = Crowd::new(metrics, rng);
        Self { place: crowd.place(program), crowd }
    }

    /// Starts the server, which must start.
    ///
    /// # Errors
    /// The finding, when it does not.
    pub fn start(&self) -> Result<Server, Finding> {
        self.start_by(run_command(&self.place))
    }

    /// Starts the server by a command that becomes it.
    ///
    /// # Errors
    /// The finding, when it does not start.
    pub fn start_by(&self, command: Command) -> Result<Server, Finding> {
        Server::try_spawn(&self.place, command).map_err(|none| {
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
