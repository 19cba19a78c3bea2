//! What a device can do wrong, each under the name of the check that finds it.

use hubbub_privacy::{Epsilon, MetricId, Period};
use thiserror::Error;

/// What a device did wrong.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Misconduct {
    /// An entry has left the ledger.
    #[error("ledger: what was spent on metric {metric} in {period} is no longer there")]
    Refunded {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
    },
    /// A report was made, and nothing was spent before.
    #[error("ledger: metric {metric} was answered for {period}, and the ledger does not know")]
    Unpaid {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
    },
    /// One question has two entries, or an entry has no report although the device was never interrupted.
    #[error("ledger: metric {metric} is charged for {period} without a report of its own")]
    Overcharged {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
    },
    /// An entry does not carry the epsilon of its metric.
    #[error("ledger: metric {metric} costs {epsilon}, and {charged} was charged for {period}")]
    Mispriced {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
        /// What its entry says.
        charged: Epsilon,
        /// What the registry says.
        epsilon: Epsilon,
    },
    /// The owner is shown another total than the sum of the entries.
    #[error("ledger: its entries sum to {sum}, and the owner is told {shown}")]
    Total {
        /// The sum.
        sum: Epsilon,
        /// What is shown.
        shown: Epsilon,
    },
    /// More was spent than a cap allows.
    #[error("ledger: {spent} was spent where the cap {cap} allows {allowed}")]
    AboveCap {
        /// Which cap.
        cap: &'static str,
        /// What it allows.
        allowed: Epsilon,
        /// What was spent.
        spent: Epsilon,
    },
    /// A metric and its predecessors were answered more often than they may be.
    #[error("ledger: metric {metric} with its predecessors was answered {reports} times, where {allowed} are allowed")]
    TooOften {
        /// The metric.
        metric: MetricId,
        /// How often.
        reports: usize,
        /// How often it may be.
        allowed: u32,
    },
    /// One question was answered with two reports.
    #[error("once: metric {metric} was answered for {period} with two different reports")]
    Twice {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
    },
    /// The device closed a week although it was to die before its first step: it cannot be seen after a crash.
    #[error("once: the device does not die where it is told to, so its crashes cannot be checked")]
    Immortal,
    /// A question was drawn and not answered.
    #[error("presence: metric {metric} was asked for {period}, and there is no report")]
    Missing {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
    },
    /// What was offered is no report of its metric.
    #[error("domain: `{bytes}` is no report that its metric can give")]
    Malformed {
        /// What was offered.
        bytes: String,
    },
    /// An unlisted value was reported as something else than `other`.
    #[error(
        "domain: an unlisted value of metric {metric} gave {payload} {hits} times in {draws}, where {expected:.1} \
             of `other` are expected"
    )]
    Unlisted {
        /// The metric.
        metric: MetricId,
        /// The report.
        payload: String,
        /// How often it came.
        hits: u32,
        /// Of how many reports.
        draws: u32,
        /// What the law of `other` expects.
        expected: f64,
    },
    /// A question was answered that had not been drawn.
    #[error("draw: metric {metric} was answered for {period}, for which it was not drawn")]
    Unasked {
        /// The metric.
        metric: MetricId,
        /// The week.
        period: Period,
    },
    /// The questions of a week changed after they were drawn.
    #[error("draw: the questions of {period} were drawn twice")]
    Redrawn {
        /// The week.
        period: Period,
    },
    /// A question, or two together, were asked more or less often than the registry says, or than the caps allow.
    #[error("draw: {metrics:?} asked {hits} times in {draws} weeks, where {expected:.1} are expected ({values})")]
    Frequency {
        /// One metric, or two.
        metrics: Vec<MetricId>,
        /// What the devices' values were.
        values: &'static str,
        /// How often.
        hits: u32,
        /// In how many weeks.
        draws: u32,
        /// The expectation.
        expected: f64,
    },
    /// Two reports carry the same id.
    #[error("fresh noise: metric {metric} reuses an id for {period}")]
    IdReused {
        /// The metric of the second report.
        metric: MetricId,
        /// Its week.
        period: Period,
    },
    /// Answers of two weeks agree more or less often than independent ones.
    #[error("fresh noise: {hits} of {draws} pairs of answers are equal, where {expected:.1} are expected")]
    Remembered {
        /// How many agreed.
        hits: u32,
        /// Of how many pairs.
        draws: u32,
        /// The expectation.
        expected: f64,
    },
    /// Reports do not follow their mechanism's law.
    #[error("fresh noise: metric {metric} gave {payload} {hits} times in {draws}, where {expected:.1} are expected")]
    Noise {
        /// The metric.
        metric: MetricId,
        /// The report.
        payload: String,
        /// How often it came.
        hits: u32,
        /// Of how many reports.
        draws: u32,
        /// The law's expectation.
        expected: f64,
    },
}

impl Misconduct {
    /// The name of the check that found it.
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Refunded { .. }
            | Self::Unpaid { .. }
            | Self::Overcharged { .. }
            | Self::Mispriced { .. }
            | Self::Total { .. }
            | Self::AboveCap { .. }
            | Self::TooOften { .. } => "ledger",
            Self::Twice { .. } | Self::Immortal => "once",
            Self::Missing { .. } => "presence",
            Self::Malformed { .. } | Self::Unlisted { .. } => "domain",
            Self::Unasked { .. } | Self::Redrawn { .. } | Self::Frequency { .. } => "draw",
            Self::IdReused { .. } | Self::Remembered { .. } | Self::Noise { .. } => "fresh noise",
        }
    }
}
