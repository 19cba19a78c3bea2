//! The registry: the reviewed files that define everything that can ever be asked.
//!
//! One TOML file per namespace, long value lists beside it. [`read`] gives a checked [`Registry`] or findings that name
//! file, line, metric and remedy; [`Registry::lint`] adds the lints that need today's date. A metric with status `draft`
//! needs little and serves tools; devices and servers take only what [`Registry::require_approved`] passes.

mod canonical;
mod document;
mod finding;
mod lint;
mod parse;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use serde::Deserialize;

pub use finding::{Code, Finding, Findings};
pub use parse::Files;
pub use read::{ReadError, read};

use crate::{Domain, Epsilon, Probability};

/// The permanent number of a metric, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(pub u32);

impl fmt::Display for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a metric stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not yet approved: filters and simulations only.
    Draft,
    /// Collected; its data is purged before launch.
    Testing,
    /// Collected.
    Active,
    /// Approved, but not collected now.
    Paused,
    /// Past its end.
    Expired,
    /// Given up; the id stays listed so that it is never reused.
    Withdrawn,
}

impl Status {
    /// Whether devices collect it and servers count it.
    pub const fn is_collected(self) -> bool {
        matches!(self, Self::Testing | Self::Active)
    }
}

/// The user's five switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// What the machine is.
    Hardware,
    /// How it is set up.
    Settings,
    /// What it is used for.
    Usage,
    /// How well it runs.
    Performance,
    /// What goes wrong.
    Problems,
}

impl Category {
    /// All of them, in the order users see.
    pub const ALL: [Self; 5] = [Self::Hardware, Self::Settings, Self::Usage, Self::Performance, Self::Problems];

    /// Its name in files and on D-Bus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Settings => "settings",
            Self::Usage => "usage",
            Self::Performance => "performance",
            Self::Problems => "problems",
        }
    }

    /// The category of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the events of a week become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The latest one.
    Last,
    /// The one seen most often.
    MostCommon,
    /// The largest number.
    Max,
    /// The sum of the numbers.
    Sum,
    /// How many there were.
    Count,
    /// True if one was true.
    Any,
    /// The set of all.
    Union,
    /// One of them, drawn uniformly.
    SampleOne,
}

/// How a metric's values come about on a device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// A probe's name (`cpu.vendor`), or `dbus` for events.
    pub source: String,
    /// How a week becomes one value.
    pub aggregate: Aggregate,
    /// The UUID of an eos-metrics event that is accepted as this metric's.
    pub eos_event: Option<String>,
}

/// What one answer costs and how often a device may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The loss of one report.
    pub epsilon: Epsilon,
    /// `auto`, or the family that a human chose.
    pub mechanism: String,
    /// The chance that a device is asked in a given week.
    pub ask_probability: Probability,
    /// Answers per device for life.
    pub max_reports: u32,
}

impl Budget {
    /// epsilon x max_reports.
    pub const fn lifetime_epsilon(&self) -> Epsilon {
        self.epsilon.times(self.max_reports)
    }
}

/// What the user reads, word for word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    /// What it is, in one line.
    pub title: String,
    /// What is reported and how often.
    pub description: String,
    /// The question that the data answers.
    pub question: String,
    /// Why the question matters.
    pub why_needed: String,
    /// What was considered instead.
    pub alternatives_considered: String,
    /// What it never looks at.
    pub never_collects: String,
}

/// What the data must be good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utility {
    /// Reports expected per period.
    pub expected_reports: u64,
    /// The worst acceptable half-width of a 95 % interval, in percentage points.
    pub target_ci95_pp: crate::Decimal,
    /// Fewer reports than this set the suppression flag.
    pub min_reports_to_publish: u64,
}

/// From when until when a metric may be collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifecycle {
    /// The first day.
    pub introduced: NaiveDate,
    /// The last day.
    pub expires: NaiveDate,
}

/// A recorded decision about a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Where it was discussed.
    pub url: String,
    /// Whether it was approved.
    pub approved: bool,
    /// Who decided: at least two, none of them an owner.
    pub reviewers: Vec<String>,
    /// When.
    pub date: NaiveDate,
    /// The digest of the text that was read.
    pub covers: String,
}

/// One metric's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its permanent id.
    pub id: MetricId,
    /// Its full name: namespace, point, key.
    pub name: String,
    /// The version of its definition; versions are never merged.
    pub version: u32,
    /// Where it stands in its life.
    pub status: Status,
    /// Its switch; only a draft may lack it.
    pub category: Option<Category>,
    /// The id whose spending counts as this one's.
    pub predecessor: Option<MetricId>,
    /// What the user reads.
    pub texts: Texts,
    /// What it can answer.
    pub domain: Domain,
    /// How values come about; only a draft may lack it.
    pub collect: Option<Collect>,
    /// What an answer costs.
    pub privacy: Budget,
    /// What it must be good for; only a draft may lack it.
    pub utility: Option<Utility>,
    /// Its dates; only a draft may lack them.
    pub lifecycle: Option<Lifecycle>,
    /// Its reviews, in the order of the file.
    pub reviews: Vec<Review>,
    /// The digest that an approval of this text must carry.
    pub covers: String,
    origin: Origin,
}

/// Where a metric stands in the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Origin {
    file: String,
    line: usize,
    owners: Vec<String>,
    declared_lifetime: Option<Epsilon>,
}

impl Metric {
    /// Whether its last day is over at a time in Unix seconds. A metric without dates never expires.
    pub fn has_expired(&self, now_s: i64) -> bool {
        let today = crate::period::date_of(now_s);
        self.lifecycle.as_ref().is_some_and(|lifecycle| today > lifecycle.expires)
    }

    /// The least reports whose estimates are not flagged; 0 when the metric names none.
    pub fn min_reports_to_publish(&self) -> u64 {
        self.utility.as_ref().map_or(0, |utility| utility.min_reports_to_publish)
    }
}

/// All metrics of a registry, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    metrics: BTreeMap<MetricId, Metric>,
    digest: String,
}

impl Registry {
    /// All metrics by ascending id.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.values()
    }

    /// The metric of an id.
    pub fn get(&self, id: MetricId) -> Option<&Metric> {
        self.metrics.get(&id)
    }

    /// The metric of a full name.
    pub fn by_name(&self, name: &str) -> Option<&Metric> {
        self.metrics().find(|metric| metric.name == name)
    }

    /// The ids whose spending counts as `id`'s: itself and all its predecessors.
    pub fn lineage(&self, id: MetricId) -> Vec<MetricId> {
        let mut lineage = vec![id];
        let mut next = self.get(id).and_then(|metric| metric.predecessor);
        while let Some(id) = next.filter(|id| !lineage.contains(id)) {
            lineage.push(id);
            next = self.get(id).and_then(|metric| metric.predecessor);
        }
        lineage
    }

    /// `sha256:<hex>` of the canonical form of all its files: stands in every data file and is shown to users.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}
