//! One line of an estimates file.

use std::fmt;

use chrono::NaiveDate;
use serde::{Serialize, Serializer};

/// Which property of the population a row estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The part of the devices that have the row's value, 0 to 1.
    Share,
    /// The mean count per device; of an ordered metric the mean number of the bucket, from 0.
    Mean,
    /// The number of the bucket, from 0, that half of the devices are in or below.
    P50,
    /// The same for nine of ten.
    P90,
    /// The same for 99 of 100.
    P99,
    /// The sum of the counts of the devices that answered. Multiply the mean by the number of all devices for theirs.
    Total,
}

impl Statistic {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One statistic of one metric and period (or pooled range). The names are those of the Parquet columns and of the JSON
/// keys; `None` is null, a column that has no meaning for the row. Whole numbers are `int64` in Parquet, dates `date32`
/// there and `YYYY-MM-DD` in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The metric's full name.
    pub metric: String,
    /// Its permanent id.
    pub metric_id: u32,
    /// The version of its definition; rows of different versions must not be compared without reading both.
    pub metric_version: u32,
    /// Its category; null for a draft that names none.
    pub category: Option<&'static str>,
    /// The first day, a Monday (UTC).
    #[serde(serialize_with = "iso_date")]
    pub period_start: NaiveDate,
    /// The first day after the last week: start inclusive, end exclusive.
    #[serde(serialize_with = "iso_date")]
    pub period_end: NaiveDate,
    /// What is estimated; `value` counts the devices' values, the unit of a count is the metric's.
    pub statistic: Statistic,
    /// For a share: the value's position in the registry's list, from 0.
    pub value_index: Option<u32>,
    /// For a share: the value as text (`true`, `false`, a label).
    pub value: Option<String>,
    /// n, the noisy reports behind the row.
    pub reports: u64,
    /// For a share: C, the reports that support the value. Most do so by chance.
    pub noisy_count: Option<u64>,
    /// The unbiased estimate, in the statistic's unit. May lie outside what is possible, such as below 0. Of an ordered
    /// metric only the mean is unbiased: its quantiles and shares come from a smoothed maximum-likelihood distribution
    /// (EMS), stand in `consistent` too, and have neither errors nor an interval.
    pub estimate: f64,
    /// Its standard error from the noise and from which devices happened to answer. For a share
    /// sqrt(mu (1 - mu) / n) / (pi1 - pi0) with mu = C / n; for a mean sqrt((mean of g^2 - (mean of g)^2) / n) over the
    /// reports' unbiased values g. Null for a mean when all reports are equal: one cannot learn a spread from them.
    pub std_error: Option<f64>,
    /// The part of it that the noise alone makes, for a fixed set of devices, such as a simulation's. For a share
    /// sqrt((f pi1 (1 - pi1) + (1 - f) pi0 (1 - pi0)) / n) / (pi1 - pi0), where f is the estimate clamped to 0..1; for a
    /// mean from an unbiased estimate of the noise's variance, 0 where that falls below.
    pub noise_std_error: Option<f64>,
    /// The lower end of the 95 % interval. For a share Wilson's interval for mu, carried through the estimator; for a
    /// mean the normal interval, which needs some dozens of reports. Not clipped to what is possible.
    pub ci95_low: Option<f64>,
    /// The upper end.
    pub ci95_high: Option<f64>,
    /// The estimate made possible, for display: shares moved to the nearest ones that are non-negative and sum to 1
    /// (Norm-Sub), of a set each clamped to 0..1, a mean clamped to 0..max. Post-processed and biased.
    pub consistent: Option<f64>,
    /// The mechanism's family: `subset`, `cyclotomic`, `window` or `folded_geometric`.
    pub mechanism: &'static str,
    /// The privacy loss of one report, rounded to the nearest float; the file's metadata has it exactly.
    pub epsilon: f64,
    /// For a share: the chance that a report supports its device's true value.
    pub pi1: Option<f64>,
    /// For a share: the chance that a report supports a given value that is not its device's.
    pub pi0: Option<f64>,
    /// How far the estimate can be moved, in its own unit, by reports of which 1 % are forged at will. Null for smoothed
    /// figures, which have no such bound in closed form.
    pub poisoning_shift_1pct: Option<f64>,
    /// Whether the row must not be published. The numbers stay.
    pub suppressed: bool,
    /// Why not.
    pub suppression_reason: Option<String>,
}

fn iso_date<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// The decoded part of a row, before it is told which metric and weeks it speaks about.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub statistic: Statistic,
    pub value_index: Option<u32>,
    pub noisy_count: Option<u64>,
    pub estimate: f64,
    pub std_error: Option<f64>,
    pub noise_std_error: Option<f64>,
    pub ci95: Option<(f64, f64)>,
    pub consistent: Option<f64>,
    pub pi1_pi0: Option<(f64, f64)>,
    pub poisoning_shift_1pct: Option<f64>,
}
