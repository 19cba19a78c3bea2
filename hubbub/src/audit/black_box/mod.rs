//! `hubbub audit --black-box`: a sampler judged by its reports alone.
//!
//! Any program that speaks the `randomize` filter is given true values in random order and its reports are counted as they
//! come. The counts are held against the exact law of the metric's mechanism, and against the declared epsilon.

mod conversation;
mod events;
mod inputs;
mod leakage;
mod plot;
mod program;
mod set_law;
mod statistics;
mod succession;
mod tally;
mod transcript;
mod verdict;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use hubbub_privacy::{Exit, Metric};
use hubbub_randomizer::{Mechanism, Plan, PlanError};
use indicatif::{ProgressBar, ProgressStyle};
use rand::rngs::SysRng;
use rand_chacha::rand_core::TryRng;
use serde_json::{Value, json};
use thiserror::Error;

use conversation::Questions;
use events::Events;
use inputs::Order;
use tally::Tally;
use transcript::Transcript;
use verdict::{Claim, Outcome, Verdict};

/// Fewer draws say nothing about anything.
const LEAST_DRAWS: u64 = 100;
/// More than any machine makes in a day.
const MOST_DRAWS: u64 = 100_000_000_000;
/// The confidences that make sense: a coin's throw is too little, and beyond this quantiles lose their digits.
const CONFIDENCES: std::ops::RangeInclusive<f64> = 0.5..=0.999_999_999;

/// How a sampler is tried.
#[derive(Args)]
pub struct Trial {
    /// How many reports to draw, over all inputs together
    ///
    /// The chance p that a report supports its own input is counted over all inputs together: if it is off by the part r of
    /// itself, it is found out if N is at least about 45 (1 - p) / (p r^2). For a boolean at epsilon 1 (p = 0.73) 1,000,000
    /// draws find 0.5 % (660,000 would do); 1 % takes 170,000 and 0.1 % takes 17,000,000. Any other event, of chance p given
    /// one of n inputs (at most 8), takes n times as many. Whether epsilon itself is exceeded is measured on half of the
    /// draws; 1,000,000 find an epsilon of 1.03 where 1 is declared for a boolean.
    #[arg(long, value_name = "N", requires = "black_box", conflicts_with = "out", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(LEAST_DRAWS..=MOST_DRAWS))]
    draws: u64,
    /// How sure to be before a program is blamed
    ///
    /// All checks together fail an honest program with probability at most 1 - C. Tests share this probability (Bonferroni),
    /// and each bound is valid for every number of draws (Clopper-Pearson).
    #[arg(long, value_name = "C", requires = "black_box", conflicts_with = "out", default_value_t = 0.999, value_parser = confidence)]
    confidence: f64,
    /// The program to audit instead of `hubbub randomize`, as the shell `/bin/sh -c` runs it
    ///
    /// It gets one true value a line on stdin and must write one report a line on stdout, in the same order; there is no
    /// limit to how long it may take, and an interrupt ends it. HUBBUB_REGISTRY
    /// and HUBBUB_METRIC in its environment say what is asked; nothing is appended to the command. Its process group is ended
    /// when the audit ends.
    #[arg(long, value_name = "PROGRAM", requires = "black_box", conflicts_with = "out")]
    command: Option<String>,
    /// Write a picture of the largest deviations with their intervals, as SVG
    #[arg(long, value_name = "FILE.svg", requires = "black_box", conflicts_with = "out")]
    plot: Option<PathBuf>,
    /// Draw the choice and order of inputs, and the reports of `hubbub randomize`, from this seed [default: the operating
    /// system's randomness]
    #[arg(long, value_name = "N", requires = "black_box", conflicts_with = "out")]
    seed: Option<u64>,
}

fn confidence(text: &str) -> Result<f64, String> {
    let valid = text.parse().ok().filter(|value| CONFIDENCES.contains(value));
    valid.ok_or_else(|| format!("a number from {} to {}", CONFIDENCES.start(), CONFIDENCES.end()))
}

/// Why a program did not pass, or could not be judged.
#[derive(Debug, Error)]
pub enum BlackBoxError {
    /// The metric has no mechanism, or does not exist.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The program is at fault.
    #[error("metric {metric}: the program fails {failed} of {all} checks: {list}")]
    Exposed {
        /// The metric's full name.
        metric: String,
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// Their names.
        list: String,
    },
    /// The operating system gives no randomness.
    #[error("the operating system's random generator failed, so no inputs were drawn: {0}")]
    Randomness(String),
    /// Something cannot be started.
    #[error("starting {program}: {source}")]
    Start {
        /// What.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The shell cannot start the program.
    #[error(
        "the program of --command cannot be started (the shell ended with {code} before any report); check its path"
    )]
    NotStarted {
        /// The shell's exit code.
        code: i32,
    },
    /// The program's output cannot be read.
    #[error("reading the program's reports: {0}")]
    Read(io::Error),
    /// The picture cannot be written.
    #[error("writing {}: {source}; name another file with --plot", path.display())]
    Plot {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("writing standard output: {0}")]
    Stdout(io::Error),
}

impl BlackBoxError {
    /// The exit code.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Plan(_) => Exit::BadInput,
            Self::Exposed { .. } => Exit::CheckFailed,
            Self::Randomness(_) | Self::Start { .. } | Self::NotStarted { .. } => Exit::Unavailable,
            Self::Read(_) | Self::Plot { .. } | Self::Stdout(_) => Exit::InputOutput,
        }
    }
}

/// Audits a program for one metric; `output` gets the table or the JSON object.
///
/// # Errors
/// [`BlackBoxError::Exposed`] after the output was written; or what kept the program from being judged.
pub fn run(
    plan: &Plan,
    registry: &Path,
    metric: &str,
    trial: &Trial,
    json: bool,
    output: &mut impl Write,
) -> Result<(), BlackBoxError> {
    let (metric, mechanism) = plan.by_name(metric)?;
    program::end_on_a_signal()?;
    let seed = match trial.seed {
        Some(seed) => seed,
        None => SysRng.try_next_u64().map_err(|error| BlackBoxError::Randomness(error.to_string()))?,
    };
    let mut rng = inputs::generator(seed);
    let values = inputs::choose(&metric.domain, &mut rng);
    let lines: Vec<String> = values.iter().map(|value| metric.domain.show(value)).collect();
    let order = Order::new(values.len(), rng);
    let mut tally = Tally::new(Events::of(mechanism, &values));
    let mut transcript = Transcript::new(metric, mechanism);
    let questions = Questions { lines: lines.clone(), order, draws: trial.draws };
    let bar = progress(trial.draws);
    let mut command = command(registry, metric, trial)?;
    let held = conversation::hold(&mut command, questions, &mut transcript, &mut tally, &bar);
    bar.finish_and_clear();
    held?;
    let claim = Claim {
        inputs: &lines,
        declared: metric.privacy.epsilon.to_f64(),
        realized: mechanism.ratio().to_f64().value().ln(),
        confidence: trial.confidence,
    };
    let verdicts = verdict::judge(&transcript, &tally, &claim);
    let subject = Subject { metric, mechanism, trial, lines: &lines };
    if let Some(path) = &trial.plot {
        let written = std::fs::write(path, plot::svg(&subject.title(), &verdicts));
        written.map_err(|source| BlackBoxError::Plot { path: path.clone(), source })?;
    }
    let failed: Vec<&str> =
        verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Failed).map(|verdict| verdict.check).collect();
    let written = if json {
        writeln!(output, "{}", subject.to_json(&verdicts, failed.is_empty()))
    } else {
        subject.print(&verdicts, failed.is_empty(), output)
    };
    written.and_then(|()| output.flush()).map_err(BlackBoxError::Stdout)?;
    if failed.is_empty() {
        return Ok(());
    }
    let (metric, all) = (metric.name.clone(), verdicts.len());
    Err(BlackBoxError::Exposed { metric, failed: failed.len(), all, list: failed.join(", ") })
}

/// The shipped program, or the one that `--command` names.
fn command(registry: &Path, metric: &Metric, trial: &Trial) -> Result<Command, BlackBoxError> {
    let mut command = match &trial.command {
        Some(program) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(program);
            shell
        }
        None => {
            let this = std::env::current_exe();
            let this =
                this.map_err(|source| BlackBoxError::Start { program: "hubbub randomize".to_owned(), source })?;
            let mut shipped = Command::new(this);
            shipped.arg("randomize").arg("--registry").arg(registry).args(["--metric", &metric.name]);
            if let Some(seed) = trial.seed {
                shipped.args(["--seed", &seed.to_string()]);
            }
            shipped
        }
    };
    command.env("HUBBUB_REGISTRY", registry).env("HUBBUB_METRIC", &metric.name);
    Ok(command)
}

fn progress(draws: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} reports, {per_sec}, {eta} left")
        .expect("the template is a constant, tried by the tests");
    ProgressBar::new(draws).with_style(style)
}

/// What was audited, for the reader.
struct Subject<'a> {
    metric: &'a Metric,
    mechanism: &'a Mechanism,
    trial: &'a Trial,
    lines: &'a [String],
}

impl Subject<'_> {
    fn program(&self) -> &str {
        self.trial.command.as_deref().unwrap_or("hubbub randomize")
    }

    fn title(&self) -> String {
        let (metric, family, draws) = (&self.metric.name, self.mechanism.family(), self.trial.draws);
        format!("{metric} ({family}, epsilon {}): {draws} draws of {}", self.metric.privacy.epsilon, self.program())
    }

    fn to_json(&self, verdicts: &[Verdict], passed: bool) -> Value {
        json!({
            "metric": self.metric.name,
            "version": self.metric.version,
            "family": self.mechanism.family(),
            "parameters": self.mechanism.parameters(),
            "epsilon": self.metric.privacy.epsilon.to_string(),
            "program": self.program(),
            "draws": self.trial.draws,
            "confidence": self.trial.confidence,
            "seed": self.trial.seed,
            "inputs": self.lines,
            "verdict": if passed { "passed" } else { "failed" },
            "checks": verdicts.iter().map(Verdict::to_json).collect::<Value>(),
        })
    }

    fn print(&self, verdicts: &[Verdict], passed: bool, output: &mut impl Write) -> io::Result<()> {
        writeln!(output, "{}", self.title())?;
        let inputs = (1..).zip(self.lines).map(|(number, line)| format!("{number} {line}"));
        writeln!(output, "inputs: {}\n", inputs.collect::<Vec<_>>().join(" | "))?;
        let mut rows = vec![["check", "worst case", "statistic", "limit", "verdict"].map(str::to_owned)];
        rows.extend(verdicts.iter().map(Verdict::row));
        super::print_table(&rows, output)?;
        let error = format!("{:.9}", 1.0 - self.trial.confidence);
        let (asked, values) = (self.lines.len(), self.metric.domain.size());
        let found = match passed {
            true if asked < values => {
                format!("Nothing speaks against this program, for these {asked} of {values} values")
            }
            true => "Nothing speaks against this program".to_owned(),
            false => "This program is at fault".to_owned(),
        };
        writeln!(
            output,
            "\n{found}. An honest program is blamed with probability at most {}.",
            error.trim_end_matches('0')
        )
    }
}
