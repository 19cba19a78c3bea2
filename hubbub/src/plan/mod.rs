//! `hubbub plan`: what every question of a registry, or one that nobody asks yet, gives and costs.

mod attack;
mod columns;
pub mod figures;
mod shape;
mod simulate;
mod survey;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use hubbub_privacy::registry::{ReadError, read};
use hubbub_privacy::{Exit, Metric};
use hubbub_randomizer::PlanError;
use hubbub_randomizer::choice::Shape;
use thiserror::Error;

pub use attack::{percent, success};
pub use columns::{aligned, labelled};
use figures::{FiguresError, Setting};
use shape::{Asked, Kind, Question, ShapeError};
use simulate::Effort;
use survey::Survey;

/// More devices than there are people, and the most reports that the crowd figure counts.
const MAX_DEVICES: u64 = 10_000_000_000;
/// Runs beyond this only cost time.
const MAX_RUNS: i64 = 1_000;

/// What `hubbub plan` is asked to do.
#[derive(Args)]
pub struct Planning {
    /// The directory of the registry
    #[arg(long, value_name = "DIR", default_value = "metrics", conflicts_with = "kind")]
    registry: PathBuf,
    /// How many devices take part
    #[arg(long, value_name = "N", default_value_t = 20_000, conflicts_with = "kind",
        value_parser = clap::value_parser!(u64).range(1..=MAX_DEVICES))]
    devices: u64,
    /// Add realised errors: populations with a known truth answer through the real mechanisms
    #[arg(long, conflicts_with = "kind")]
    simulate: bool,
    /// Draw the populations and their answers from a ChaCha20 generator with this seed
    #[arg(long, value_name = "S", default_value_t = 1, requires = "simulate")]
    seed: u64,
    /// How often each simulated population is asked
    #[arg(long, value_name = "R", default_value_t = 20, requires = "simulate",
        value_parser = clap::value_parser!(u32).range(2..=MAX_RUNS))]
    runs: u32,
    /// Plan one question of this kind, without a registry
    #[arg(long, value_name = "KIND", requires = "epsilon")]
    kind: Option<Kind>,
    /// How many values it has: labels, items, buckets, or for a count C+1
    #[arg(long, value_name = "D", requires = "kind", allow_negative_numbers = true)]
    values: Option<u64>,
    /// The largest count, C, instead of --values C+1
    #[arg(long, value_name = "C", requires = "kind", allow_negative_numbers = true)]
    max: Option<u64>,
    /// The largest set that is reported whole
    #[arg(long, value_name = "M", requires = "kind", allow_negative_numbers = true)]
    max_items: Option<u64>,
    /// What is asked of ordered values
    #[arg(long, value_name = "GOAL", requires = "kind")]
    goal: Option<Asked>,
    /// The privacy loss of one report: a decimal above 0 and at most 16, with at most 6 places
    #[arg(long, value_name = "E", requires = "kind", allow_hyphen_values = true)]
    epsilon: Option<String>,
    /// How many reports the question gets
    #[arg(long, value_name = "N", default_value_t = 20_000, requires = "kind",
        value_parser = clap::value_parser!(u64).range(1..=MAX_DEVICES))]
    reports: u64,
    /// The chance that the shuffle figure does not hold
    #[arg(long, value_name = "DELTA", default_value = "1e-6", value_parser = parse_delta)]
    delta: f64,
    /// Print everything as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// A probability for `--delta`.
///
/// # Errors
/// What to write instead.
pub fn parse_delta(text: &str) -> Result<f64, String> {
    let delta = text.parse::<f64>().ok().filter(|delta| (f64::MIN_POSITIVE..1.0).contains(delta));
    delta.ok_or_else(|| "write a probability above 0 and below 1, such as 1e-6".to_owned())
}

/// A number of devices.
///
/// # Errors
/// What to write instead.
pub fn parse_devices(text: &str) -> Result<u64, String> {
    let devices = text.parse().ok().filter(|devices| (1..=MAX_DEVICES).contains(devices));
    devices.ok_or_else(|| format!("write a whole number from 1 to {MAX_DEVICES}"))
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanningError {
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] ReadError),
    /// A metric has no mechanism.
    #[error(transparent)]
    Metric(#[from] PlanError),
    /// The question makes no sense.
    #[error(transparent)]
    Question(#[from] ShapeError),
    /// The question cannot be answered.
    #[error(transparent)]
    Figures(#[from] FiguresError),
    /// The output cannot be written.
    #[error("writing standard output: {0}")]
    Write(io::Error),
}

impl PlanningError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Metric(_) | Self::Question(_) | Self::Figures(_) => Exit::BadInput,
            Self::Write(_) => Exit::InputOutput,
        }
    }
}

/// Plans what the command line names; `output` gets tables or JSON.
///
/// # Errors
/// [`PlanningError`].
pub fn run(request: &Planning, mut output: impl Write) -> Result<(), PlanningError> {
    let (json, in_words) = match (request.kind, &request.epsilon) {
        (Some(kind), Some(epsilon)) => {
            let Planning { values, max, max_items, goal, .. } = *request;
            let question = Question { kind, values, max, max_items, goal, epsilon: epsilon.clone() };
            let (shape, epsilon) = (question.shape()?, question.epsilon()?);
            let answer =
                question.answer(&Setting { shape, epsilon, reports: request.reports, delta: request.delta })?;
            (answer.to_json(), answer.in_words())
        }
        _ => {
            let registry = read(&request.registry)?;
            let mut survey = Survey::of(&registry, request.devices, request.delta)?;
            if request.simulate {
                let metrics = registry.metrics().count() as u64;
                survey.simulate(request.seed, Effort { runs: request.runs, metrics });
            }
            (survey.to_json(), survey.in_words())
        }
    };
    show(&if request.json { format!("{json}\n") } else { in_words }, &mut output)
}

/// Writes all of a text. A reader who has seen enough, as `head` does, is no error.
///
/// # Errors
/// The output's.
pub fn show(text: &str, output: &mut impl Write) -> Result<(), PlanningError> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(PlanningError::Write(error)),
        _ => Ok(()),
    }
}

/// What a metric's mechanisms are compared at.
pub fn setting(metric: &Metric, reports: u64, delta: f64) -> Setting {
    Setting { shape: Shape::of(&metric.domain), epsilon: metric.privacy.epsilon, reports, delta }
}

/// The reports of a week that `devices` devices are expected to make: those of whole reports, so that it is never too many.
pub fn weekly_reports(metric: &Metric, devices: u64) -> u64 {
    const MILLION: u128 = 1_000_000;
    let expected = u128::from(devices) * u128::from(metric.privacy.ask_probability.millionths()) / MILLION;
    u64::try_from(expected).expect("a probability is at most 1")
}
