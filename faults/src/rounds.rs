//! The loop that all checks share: seeded, bounded, resumable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::figures::{Breach, Figures, Finding};

/// How often a run says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// How long a check is run, against what, and where it keeps its figures.
#[derive(Debug, Clone, clap::Args)]
pub struct Bounds {
    /// The server's program [default: hubbub-aggregator beside this program].
    #[arg(long, value_name = "FILE", default_value_os_t = beside_this_program(), hide_default_value = true)]
    pub program: PathBuf,
    /// Every round follows from this number and its own.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many rounds.
    #[arg(long, default_value_t = 20)]
    pub rounds: u64,
    /// A file that keeps the figures after every round; a run that finds one goes on where it ended.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

impl Bounds {
    /// So many rounds against a program, from the usual seed, kept nowhere.
    pub fn new(program: impl Into<PathBuf>, rounds: u64) -> Self {
        Self { program: program.into(), seed: 1, rounds, state: None }
    }
}

/// The usual place of the server's program.
pub fn beside_this_program() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name("hubbub-aggregator")
}

/// The outcome of one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// It was made, with these findings.
    Made(Vec<Finding>),
    /// It cannot be made here, nor can any other.
    Impossible {
        /// What was to be done.
        what: String,
        /// Why it cannot be.
        why: String,
    },
}

/// Makes rounds until there are as many as wanted, or one finds something; then `finish`, whose findings count too.
///
/// # Errors
/// When the file of the figures cannot be read or written, or belongs to another seed.
pub fn run(
    name: &str,
    bounds: &Bounds,
    mut one: impl FnMut(u64, &mut ChaCha12Rng, &mut Figures) -> Round,
    finish: impl FnOnce(&mut Figures) -> Vec<Finding>,
) -> std::io::Result<Figures> {
    let mut figures = match &bounds.state {
        Some(path) => Figures::read(path)?.unwrap_or_default(),
        None => Figures::default(),
    };
    if figures.rounds > 0 && figures.seed != bounds.seed {
        return Err(std::io::Error::other(format!("its rounds have seed {}, not {}", figures.seed, bounds.seed)));
    }
    figures.seed = bounds.seed;
    let mut told = Instant::now();
    let mut held = true;
    while held && figures.rounds < bounds.rounds {
        let round = figures.rounds;
        let mut rng = ChaCha12Rng::seed_from_u64(bounds.seed);
        rng.set_stream(round);
        let outcome = catch_unwind(AssertUnwindSafe(|| one(round, &mut rng, &mut figures)));
        let findings = match outcome.unwrap_or_else(|panic| Round::Made(vec![broken(&*panic)])) {
            Round::Made(findings) => findings,
            Round::Impossible { what, why } => {
                figures.skip(&what, &why);
                break;
            }
        };
        figures.rounds += 1;
        figures.report(round, &findings);
        held = findings.is_empty();
        if let Some(path) = &bounds.state {
            figures.write(path)?;
        }
        if told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("{name}: round {} of {}", figures.rounds, bounds.rounds);
        }
    }
    if held {
        let findings = catch_unwind(AssertUnwindSafe(|| finish(&mut figures)));
        let findings = findings.unwrap_or_else(|panic| vec![broken(&*panic)]);
        figures.report(figures.rounds, &findings);
        if let Some(path) = &bounds.state {
            figures.write(path)?;
        }
    }
    Ok(figures)
}

fn broken(panic: &(dyn std::any::Any + Send)) -> Finding {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Finding::new(Breach::Broken, text.unwrap_or("the check panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn an_interrupted_run_goes_on_where_it_ended_with_the_same_rounds() {
        let directory = tempfile::tempdir().unwrap();
        let draws = |rounds, state: Option<PathBuf>| {
            let mut draws = Vec::new();
            let bounds = Bounds { state, ..Bounds::new("none", rounds) };
            let one = |round, rng: &mut ChaCha12Rng, figures: &mut Figures| {
                draws.push((round, rng.random::<u64>()));
                figures.add("draws", 1);
                Round::Made(Vec::new())
            };
            let figures = run("test", &bounds, one, |_| Vec::new()).unwrap();
            (draws, figures)
        };
        let (whole, at_once) = draws(5, None);
        let state = Some(directory.path().join("state.json"));
        let (mut parts, _) = draws(2, state.clone());
        let (rest, resumed) = draws(5, state);
        parts.extend(rest);
        assert_eq!(parts, whole);
        assert_eq!(resumed, at_once);
        assert_eq!(resumed.times("draws"), 5);
    }

    #[test]
    fn a_finding_or_a_panic_ends_the_run_and_is_named() {
        for (panics, breach) in [(false, Breach::Lost), (true, Breach::Broken)] {
            let one = |round, _: &mut ChaCha12Rng, _: &mut Figures| {
                assert!(!panics || round < 3, "unforeseen");
                let found = if round == 3 { vec![Finding::new(Breach::Lost, "one")] } else { Vec::new() };
                Round::Made(found)
            };
            let figures = run("test", &Bounds::new("none", 10), one, |_| panic!("not after a finding")).unwrap();
            assert_eq!((figures.rounds, figures.count(breach), figures.held()), (4, 1, false));
        }
    }
}
