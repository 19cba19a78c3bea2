//! A kill or an error at each storage and send system call, in three scenes of a server's life.

use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use rustix::process::Signal;

use crate::crowd::GROUP;
use crate::figures::{Breach, Figures, Finding};
use crate::injection::{Fault, Object, Point, failed, failed_at, impossible, injected, points, trace, watched};
use crate::life::Life;
use crate::place::now;
use crate::rounds::{self, Bounds, Round};
use crate::server::{DEADLINE, NoServer, Server, until};

/// A server that cannot do what a scene waits for is not waited for longer: the scene goes on.
const PATIENCE: Duration = Duration::from_secs(4);
/// A server that was told to stop ends within the hold of its last requests.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// The series of a crowd's first metric, one for each open week, the earliest first.
const EARLIEST: usize = 0;
const LATEST: usize = 2;

/// What a server lives through while it is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    /// The store is created, groups are committed, the server stops.
    Creation,
    /// A store that a kill has left is opened; a group, an export, the stop.
    Recovery,
    /// A period ends: its remainder is dropped, its ids leave the disk, its counters are exported.
    Closing,
}

const SCENES: [Scene; 3] = [Scene::Creation, Scene::Recovery, Scene::Closing];

/// A life at the beginning of a scene.
fn prepare(scene: Scene, bounds: &Bounds, rng: &mut ChaCha12Rng) -> Result<Life, Finding> {
    let mut life = Life::new(&bounds.program, 1, rng);
    if scene != Scene::Creation {
        let server = life.start()?;
        for series in [EARLIEST, LATEST, EARLIEST] {
            let group = life.crowd.pick(&[series], GROUP, false, rng);
            if let Some(finding) = life.crowd.offer_all(server.address, &group).pop() {
                return Err(finding);
            }
        }
        server.kill();
    }
    Ok(life)
}

/// Plays a scene; the server may end at any moment of it. Gives when each answer 200 was heard.
fn play(scene: Scene, life: &mut Life, server: &mut Server, rng: &mut ChaCha12Rng) -> (Vec<Finding>, Vec<f64>) {
    let (mut findings, mut acknowledged) = (Vec::new(), Vec::new());
    let address = server.address;
    let mut group = |life: &mut Life, series: usize| {
        // Exactly one group: nothing of it may be acknowledged before the one commit that it causes.
        let group = life.crowd.pick(&[series], GROUP, false, rng);
        let before = life.crowd.acknowledged();
        findings.extend(life.crowd.offer_all(address, &group));
        if life.crowd.acknowledged() > before {
            acknowledged.push(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64());
        }
    };
    group(life, LATEST);
    match scene {
        Scene::Creation => {
            group(life, EARLIEST);
            group(life, LATEST);
        }
        Scene::Recovery => {
            // Whether it comes about is looked at when nothing disturbs the server any more.
            crate::server::export(&life.place);
        }
        Scene::Closing => {
            let period = life.crowd.period(EARLIEST);
            life.crowd.closes(period);
            life.place.set_clock(period.acceptance_end());
            let path = life.place.counters("marker_a", &period.to_string());
            let started = Instant::now();
            while !path.exists() && started.elapsed() < PATIENCE && server.ended().is_none() {
                std::thread::sleep(Duration::from_millis(20));
            }
            group(life, LATEST);
        }
    }
    (findings, acknowledged)
}

/// Makes the fault of one point in a scene, and holds what is left against what was said.
fn disturb(scene: Scene, point: &Point, bounds: &Bounds, rng: &mut ChaCha12Rng, figures: &mut Figures) -> Vec<Finding> {
    let mut life = match prepare(scene, bounds, rng) {
        Ok(life) => life,
        Err(finding) => return vec![finding],
    };
    let resumes = rng.random_ratio(1, 4);
    let mut findings = Vec::new();
    let mut acknowledged = Vec::new();
    let (status, pid): (Option<ExitStatus>, u32) = match Server::try_spawn(&life.place, injected(&life.place, point)) {
        Err(NoServer { status, pid, .. }) => (status, pid),
        Ok(mut server) => {
            (findings, acknowledged) = play(scene, &mut life, &mut server, rng);
            if resumes && point.is_full_disk() && server.ended().is_none() {
                // The fault is over: a server that goes on must take everything now, without a restart.
                findings.extend(life.crowd.settle(server.address, rng));
                figures.add("resumed in place", 1);
            }
            if server.ended().is_none() {
                server.signal(Signal::TERM);
            }
            let pid = server.pid();
            let mut ended = server.ends(LAST_WORDS);
            if ended.is_none() {
                // The fault may have hit the runtime's own pipe, through which it hears of signals.
                server.signal(Signal::TERM);
                ended = server.ends(DEADLINE);
            }
            if ended.is_none() {
                findings.push(Finding::new(Breach::Stuck, "SIGTERM does not end it"));
            }
            server.kill();
            (ended, pid)
        }
    };
    let trace = trace(&life.place, pid);
    let code = status.and_then(|status| status.code());
    let happened = match point.fault {
        Fault::Kill => code.is_none(),
        Fault::Error(_) => failed(&trace),
    };
    figures.add(if happened { "faults injected" } else { "points not reached" }, 1);
    if point.fault != Fault::Kill && !matches!(code, Some(0 | 3)) {
        findings.push(Finding::new(Breach::WrongEnd, format!("it ends with {status:?}")));
    }
    if let (true, Some(at)) = (point.is_failed_sync_of("store.redb"), failed_at(&trace)) {
        if acknowledged.iter().any(|&heard| heard > at) {
            findings.push(Finding::new(Breach::AcknowledgedEarly, "200 after an fsync that failed"));
        }
        if code == Some(0) {
            findings.push(Finding::new(Breach::WrongEnd, "an fsync failed, and it ends with 0"));
        }
    }
    findings.extend(life.compare());
    if findings.is_empty() {
        findings = undisturbed(scene, &mut life, rng);
    }
    let named = |finding: Finding| Finding::new(finding.breach, format!("{scene:?} {point:?}: {}", finding.detail));
    findings.into_iter().map(named).collect()
}

/// What must come about once nothing disturbs the server any more.
fn undisturbed(scene: Scene, life: &mut Life, rng: &mut ChaCha12Rng) -> Vec<Finding> {
    if scene == Scene::Closing {
        let period = life.crowd.period(EARLIEST);
        let server = match life.start() {
            Ok(server) => server,
            Err(finding) => return vec![finding],
        };
        // Closing twice must not be possible either, so the clock goes back before anything is offered again.
        until("the export of a closed period", || {
            life.place.counters("marker_a", &period.to_string()).exists().then_some(())
        });
        life.place.set_clock(now());
        let again = life.crowd.pick(&[EARLIEST], GROUP, true, rng);
        let findings = life.crowd.offer_all(server.address, &again);
        server.kill();
        if !findings.is_empty() {
            return findings;
        }
    }
    life.settle(rng)
}

/// All points of all scenes, one of each kind first, otherwise in random order.
fn plan(bounds: &Bounds) -> Result<Vec<(Scene, Point)>, Finding> {
    let mut rng = ChaCha12Rng::seed_from_u64(bounds.seed);
    let mut all = Vec::new();
    for scene in SCENES {
        let mut life = prepare(scene, bounds, &mut rng)?;
        let mut server = Server::try_spawn(&life.place, watched(&life.place))
            .map_err(|none| Finding::new(Breach::Unopenable, format!("the server does not start: {none:?}")))?;
        let (findings, _) = play(scene, &mut life, &mut server, &mut rng);
        if let Some(finding) = findings.into_iter().next() {
            return Err(finding);
        }
        let pid = server.pid();
        server.signal(Signal::TERM);
        server.wait();
        let trace = trace(&life.place, pid);
        all.extend(points(&life.place, &trace).into_iter().map(|point| (scene, point)));
    }
    all.shuffle(&mut rng);
    let mut seen: std::collections::BTreeMap<(Scene, String, Object, Fault), u64> = std::collections::BTreeMap::new();
    all.sort_by_cached_key(|(scene, point)| {
        let kind = (*scene, point.call.clone(), point.object.clone(), point.fault);
        let turn = seen.entry(kind).or_default();
        *turn += 1;
        *turn
    });
    Ok(all)
}

/// Injects one fault a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let planned: OnceLock<Result<Vec<(Scene, Point)>, Finding>> = OnceLock::new();
    let one = |round: u64, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        if let Some(why) = impossible() {
            let what = "faults at each system call".to_owned();
            return Round::Impossible { what, why: why.to_owned() };
        }
        match planned.get_or_init(|| plan(bounds)) {
            Err(finding) => Round::Made(vec![finding.clone()]),
            Ok(all) => {
                if round == 0 {
                    figures.add("points known", all.len() as u64);
                }
                let (scene, point) = &all[usize::try_from(round).unwrap() % all.len()];
                Round::Made(disturb(*scene, point, bounds, rng, figures))
            }
        }
    };
    rounds::run("inject", bounds, one, |_| Vec::new())
}
