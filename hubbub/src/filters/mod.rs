//! The stages of the pipeline as Unix filters, so that anyone can test them from any language.

mod estimate;
mod fold;
mod lines;
mod randomize;

use std::io;

use hubbub_aggregator::counters_file::WriteError;
use hubbub_estimator::EstimateError;
use hubbub_privacy::{Exit, MalformedReport, ValueError};
use hubbub_randomizer::{PayloadError, PlanError};
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

pub use estimate::estimate;
pub use fold::{Folded, fold};
pub use randomize::{Randomness, randomize};

/// Why a filter stopped.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The metric has no mechanism, or does not exist.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A line of the input is wrong.
    #[error("line {number}: {defect}")]
    Line {
        /// The line, from 1.
        number: u64,
        /// What is wrong with it.
        defect: LineDefect,
    },
    /// The input cannot be read.
    #[error("reading standard input after line {after_line}: {source}")]
    Read {
        /// The last line that could be read.
        after_line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("writing standard output: {0}")]
    Write(io::Error),
    /// The operating system gives no randomness.
    #[error("the operating system's random generator failed, so no report was made: {0}")]
    Randomness(String),
    /// A counters file cannot be written.
    #[error(transparent)]
    Counters(#[from] WriteError),
    /// The counters cannot be estimated.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
}

/// What is wrong with a line.
#[derive(Debug, Error)]
pub enum LineDefect {
    /// Not a value of the metric.
    #[error("{0}")]
    Value(#[from] ValueError),
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Longer than any value or report.
    #[error("longer than {} bytes", lines::MAX_LINE_BYTES)]
    TooLong,
    /// Not a report.
    #[error("{0}")]
    Malformed(#[from] MalformedReport),
    /// A report of a metric that the registry does not have.
    #[error("{0}")]
    Metric(PlanError),
    /// A report of another version of its metric.
    #[error(
        "metric {metric} has version {registered} in this registry, the report version {reported}; use the registry that it was made with"
    )]
    Version {
        /// The metric's full name.
        metric: String,
        /// The registry's version.
        registered: u32,
        /// The report's version.
        reported: u32,
    },
    /// A report that the mechanism cannot make.
    #[error("metric {metric}: {source}")]
    Payload {
        /// The metric's full name.
        metric: String,
        /// Why it cannot.
        source: PayloadError,
    },
}

impl FilterError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Plan(_) | Self::Line { .. } => Exit::BadInput,
            Self::Read { .. } | Self::Write(_) | Self::Counters(_) => Exit::InputOutput,
            Self::Randomness(_) => Exit::Unavailable,
            Self::Estimate(error) => error.exit(),
        }
    }
}

/// A count of lines on a terminal's stderr; silent elsewhere.
fn progress(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos} lines, {per_sec}")
        .expect("the template is a constant, tried by the tests");
    ProgressBar::new_spinner().with_style(style).with_message(doing)
}
