//! The disk after a power cut, at every sync and every acknowledgement of a server's life: what it had acknowledged must
//! be there, once, and the program must open it by itself.
//!
//! The life is recorded once a round with `strace`; then the disk is rebuilt from the system calls up to a moment, of what
//! was not synced by then a random part is kept, and the program's own `export` (and, now and then, a full start) is run on
//! the result.

mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::figures::{Breach, Figures, Finding};
use crate::life::Life;
use crate::place::{Place, now};
use crate::replay::Replay;
use crate::rounds::{self, Bounds, Round};
use crate::server::until;
use crate::trace::{Operation, refused};
use story::{STORE, Step, Story, ending, live};

/// Images of one life: making the record takes about as long as looking at so many.
pub const IMAGES: usize = 2000;
/// Of so many images, one is served again in full, which takes as long as a thousand exports.
const START_ONE_IN: usize = 500;
/// Memory as a disk: fast, and it holds what is written for as long as this check runs.
const MEMORY_DISK: &str = "/dev/shm";

/// A moment of the story at which the power is cut, and the number of the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    /// After so many steps.
    steps: usize,
    number: usize,
}

/// Cuts the power [`IMAGES`] times a round.
///
/// # Errors
/// When the file of the figures cannot be used.
pub fn check(bounds: &Bounds) -> std::io::Result<Figures> {
    let one = |_, rng: &mut ChaCha12Rng, figures: &mut Figures| {
        if let Some(why) = refused() {
            return Round::Impossible { what: "power-loss images".to_owned(), why };
        }
        let parent = parent();
        let story = live(&bounds.program, &parent, rng);
        let cuts = cuts(&story, rng);
        figures.add("acknowledgements recorded", acknowledgements(&story));
        figures.add("images", cuts.len() as u64);
        figures.add("full starts", cuts.iter().filter(|cut| cut.number % START_ONE_IN == 0).count() as u64);
        let mut findings = story.findings.clone();
        let seed = rng.random();
        findings.extend(look_at_all(&story, &cuts, seed, &bounds.program, &parent));
        Round::Made(findings)
    };
    rounds::run("power-loss", bounds, one, |_| Vec::new())
}

fn parent() -> PathBuf {
    let memory = Path::new(MEMORY_DISK);
    match tempfile::tempfile_in(memory) {
        Ok(_) => memory.to_owned(),
        Err(_) => std::env::temp_dir(),
    }
}

fn acknowledgements(story: &Story) -> u64 {
    story.steps.iter().filter(|step| matches!(step, Step::Acknowledged(_))).count() as u64
}

/// Half of the cuts come just after an acknowledgement, half about a sync or a change of names.
fn cuts(story: &Story, rng: &mut ChaCha12Rng) -> Vec<Cut> {
    let after = |is_meant: &dyn Fn(&Step) -> bool| -> Vec<usize> {
        let all = story.steps.iter().enumerate();
        all.filter(|(_, step)| is_meant(step)).map(|(number, _)| number + 1).collect()
    };
    let acknowledged = after(&|step| matches!(step, Step::Acknowledged(_)));
    let changed = after(&|step| match step {
        Step::Done(event) => matches!(
            event.operation,
            Operation::SyncBegan { .. }
                | Operation::SyncDone { .. }
                | Operation::Rename { .. }
                | Operation::Unlink { .. }
        ),
        Step::NextProcess { .. } => true,
        Step::Acknowledged(_) => false,
    });
    let mut cuts: Vec<Cut> = (0..IMAGES)
        .map(|number| {
            let moments = if number % 2 == 0 && !acknowledged.is_empty() { &acknowledged } else { &changed };
            Cut { steps: moments[rng.random_range(0..moments.len())], number }
        })
        .collect();
    cuts.sort_unstable();
    cuts
}

/// Looks at all images, on every core.
fn look_at_all(story: &Story, cuts: &[Cut], seed: u64, program: &Path, parent: &Path) -> Vec<Finding> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let look = |worker: usize| {
            let mine: Vec<Cut> = cuts.iter().copied().skip(worker).step_by(workers).collect();
            scope.spawn(move || look_at(story, &mine, seed, program, parent))
        };
        let looking: Vec<_> = (0..workers).map(look).collect();
        looking.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn look_at(story: &Story, cuts: &[Cut], seed: u64, program: &Path, parent: &Path) -> Vec<Finding> {
    let mut life = Life { place: story.crowd.furnish(Place::below(parent, program)), crowd: story.crowd.clone() };
    let mut replay = Replay::of(story.root.clone());
    let (mut done, mut acknowledged) = (0, BTreeSet::new());
    let mut findings = Vec::new();
    for cut in cuts {
        for step in &story.steps[done..cut.steps] {
            match step {
                Step::Done(event) => replay.follow(event),
                Step::Acknowledged(number) => {
                    acknowledged.insert(*number);
                }
                Step::NextProcess { store, killed } => replay.next_process(&story.root.join(STORE), store, *killed),
            }
        }
        done = cut.steps;
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        rng.set_stream(cut.number as u64);
        put(&life.place, &replay.after_power_cut(&mut rng));
        life.crowd = story.crowd.as_of(&acknowledged);
        let found = if cut.number.is_multiple_of(START_ONE_IN) { serve(&mut life, &mut rng) } else { life.compare() };
        let whence = |finding: Finding| {
            let detail = format!("power cut after step {} of {}: {}", cut.steps, story.steps.len(), finding.detail);
            Finding { detail, ..finding }
        };
        findings.extend(found.into_iter().map(whence));
    }
    findings
}

/// Makes the image the place's only store and exports.
fn put(place: &Place, image: &BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(place.path("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(STORE) {
            fs::remove_file(&path).unwrap();
        } else if name == "counters" {
            fs::remove_dir_all(&path).unwrap();
        }
    }
    for (path, bytes) in image {
        let path = place.path("").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Starts the server on the image, as of then or after the week's end; offers everything again, acknowledged or not; in
/// the end the counters must be exact.
fn serve(life: &mut Life, rng: &mut impl Rng) -> Vec<Finding> {
    let late = rng.random();
    life.place.set_clock(if late { ending().acceptance_end() + 1 } else { now() });
    let server = match life.start() {
        Ok(server) => server,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    for series in 0..life.crowd.series() {
        let known = life.crowd.known(series);
        if late && life.crowd.period(series) == ending() && !known.is_empty() {
            // What was counted of an ended week leaves as a file, whenever the power was cut.
            let file = life.crowd.file(&life.place, series);
            until("the file of an ended week", || file.exists().then_some(()));
        }
        findings.extend(life.crowd.offer_all(server.address, &known));
    }
    findings.extend(life.crowd.settle(server.address, &mut ChaCha12Rng::seed_from_u64(rng.random())));
    findings.extend(life.compare());
    if !server.terminate().success() {
        findings.push(Finding::new(Breach::WrongEnd, "SIGTERM does not end it with success"));
    }
    findings
}
