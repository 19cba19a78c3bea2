//! The whole way from a directory of counters to a directory of estimates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use hubbub_privacy::{Counters, Domain, Metric, Period};
use hubbub_randomizer::{Mechanism, Plan};
use polars::prelude::PolarsError;

use crate::error::{Defect, EstimateError, OtherVersion};
use crate::row::{Figure, Row};
use crate::shards::{self, Definition, Found, Shard};
use crate::{count, share, sum, table, window};

/// What to estimate.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The registry that the counters were counted under. Counters of other versions of its metrics are skipped.
    pub plan: &'a Plan,
    /// The counters directory, or the directory that holds it as `counters/`.
    pub counters: &'a Path,
    /// Where estimates go; made when missing.
    pub out: &'a Path,
    /// Weeks (both inclusive) to sum into one row per statistic. Errors and intervals treat all reports as different
    /// devices; a device that answered in several of the weeks makes them a little too small.
    pub pool: Option<(Period, Period)>,
}

/// What is being done with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its counters have been checked.
    Checked,
    /// Its estimates have been made.
    Estimated,
}

/// One step for one metric is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The metric's full name.
    pub metric: String,
    /// What has been done.
    pub step: Step,
    /// Steps done, this one included.
    pub done: usize,
    /// All steps: two per metric.
    pub total: usize,
}

/// What has been estimated and written.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// All rows by metric name, period, and the order of the statistic or value.
    pub rows: Vec<Row>,
    /// What a reader of the estimates should know; no reason to refuse them: one line per metric and version that was
    /// skipped because the registry defines another version, per other registry that files were counted under, and per
    /// metric and period without reports.
    pub warnings: Vec<String>,
    /// The files written.
    pub files: Vec<PathBuf>,
}

/// A week, or the weeks that are pooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from: Period,
    to: Period,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to { self.from.fmt(f) } else { write!(f, "{}..{}", self.from, self.to) }
    }
}

/// Estimates every metric and period found, and writes one file for each: `<out>/period=<p>/<metric>.parquet`, where a
/// pooled range is `period=<from>..<to>`. A metric and period without any report gets a warning and no file.
///
/// A registry defines one version of a metric, and exports keep the files of earlier ones. Files of a version that is
/// not the registry's are not opened; they get one warning per metric and version, and the rest is estimated. If
/// nothing else is found, or if the registry does not know a metric at all, everything is refused.
///
/// # Errors
/// [`EstimateError`]; nothing has been written then, unless it was writing that failed.
pub fn estimate(request: &Request<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Summary, EstimateError> {
    let plan = request.plan;
    let (selected, skipped) = defined_versions(select(shards::find(request.counters)?, request)?, request)?;
    let checked = check(selected, plan, progress)?;
    let mut warnings: Vec<String> = skipped.iter().map(OtherVersion::to_string).collect();
    warnings.extend(digest_warnings(&checked, plan.registry().digest()));
    let mut tables = Vec::new();
    let metrics = checked.len();
    for (done, Checked { definition, spans }) in checked.into_iter().enumerate() {
        let name = &definition.metric.name;
        for (span, shards) in spans {
            let table = Table::decode(&definition, span, &shards)?;
            if table.rows.is_empty() {
                warnings.push(format!("{name} for {span}: no reports, so no estimates"));
            } else {
                tables.push(table);
            }
        }
        progress(Progress {
            metric: name.clone(),
            step: Step::Estimated,
            done: metrics + done + 1,
            total: 2 * metrics,
        });
    }
    let mut summary = Summary { rows: Vec::new(), warnings, files: Vec::new() };
    for table in tables {
        summary.files.push(table.write(request.out, plan)?);
        summary.rows.extend(table.rows);
    }
    Ok(summary)
}

/// A metric's shards, all checked.
struct Checked<'a> {
    definition: Definition<'a>,
    spans: BTreeMap<Span, Vec<Shard>>,
}

fn check<'a>(
    selected: Selected,
    plan: &'a Plan,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Checked<'a>>, EstimateError> {
    let total = 2 * selected.len();
    let mut checked = Vec::with_capacity(selected.len());
    for (metric, files) in selected {
        let definition = Definition::of(&files[0].1, plan)?;
        let mut spans: BTreeMap<Span, Vec<Shard>> = BTreeMap::new();
        for (span, file) in files {
            spans.entry(span).or_default().push(definition.check(file)?);
        }
        checked.push(Checked { definition, spans });
        progress(Progress { metric, step: Step::Checked, done: checked.len(), total });
    }
    Ok(checked)
}

/// The files by metric's name, each with the span it counts for; no metric is without files.
type Selected = BTreeMap<String, Vec<(Span, Found)>>;

fn select(found: Vec<Found>, request: &Request<'_>) -> Result<Selected, EstimateError> {
    let mut selected = Selected::new();
    for file in found {
        let period = file.series.period;
        let (from, to) = request.pool.unwrap_or((period, period));
        if (from..=to).contains(&period) {
            selected.entry(file.series.metric.clone()).or_default().push((Span { from, to }, file));
        }
    }
    match request.pool {
        Some((from, to)) if from > to => Err(EstimateError::PoolRange { from, to }),
        Some((from, to)) if selected.is_empty() => {
            Err(EstimateError::NothingToPool { directory: request.counters.to_owned(), from, to })
        }
        _ => Ok(selected),
    }
}

/// The files of the versions that the registry defines, and what is left out by that. A metric that the registry does
/// not have stays in: skipping it would hide that the registry is the wrong one.
fn defined_versions(selected: Selected, request: &Request<'_>) -> Result<(Selected, Vec<OtherVersion>), EstimateError> {
    let registry = request.plan.registry();
    let (mut kept, mut skipped) = (Selected::new(), Vec::new());
    for (metric, mut files) in selected {
        if let Some(&Metric { version: defined, .. }) = registry.by_name(&metric) {
            let mut others: BTreeMap<u32, usize> = BTreeMap::new();
            for (_, file) in files.extract_if(.., |(_, file)| file.series.version != defined) {
                *others.entry(file.series.version).or_default() += 1;
            }
            let digest = || registry.digest().to_owned();
            let line =
                |(found, files)| OtherVersion { metric: metric.clone(), found, files, defined, registry: digest() };
            skipped.extend(others.into_iter().map(line));
        }
        if !files.is_empty() {
            kept.insert(metric, files);
        }
    }
    if kept.is_empty() {
        return Err(EstimateError::OtherVersionsOnly { directory: request.counters.to_owned(), skipped });
    }
    Ok((kept, skipped))
}

/// Another registry with the same definition of the metric is fine, and worth a line.
fn digest_warnings(checked: &[Checked<'_>], digest: &str) -> Vec<String> {
    let mut others: BTreeMap<&str, usize> = BTreeMap::new();
    for shard in checked.iter().flat_map(|metric| metric.spans.values()).flatten() {
        if shard.header.registry_digest != digest {
            *others.entry(&shard.header.registry_digest).or_default() += 1;
        }
    }
    let line = |(other, files)| {
        format!("{files} counters files were counted under registry {other}, not {digest}; their metrics are the same")
    };
    others.into_iter().map(line).collect()
}

/// The content of one estimates file.
struct Table<'a> {
    metric: &'a Metric,
    span: Span,
    rows: Vec<Row>,
    dropped_remainder: u64,
    counter_files: usize,
    periods: BTreeSet<Period>,
}

impl<'a> Table<'a> {
    /// Sums and decodes the shards of one metric and span.
    fn decode(definition: &Definition<'a>, span: Span, shards: &[Shard]) -> Result<Self, EstimateError> {
        let Definition { metric, mechanism, .. } = *definition;
        let (name, period) = (|| metric.name.clone(), || span.to_string());
        let reports = shards
            .iter()
            .try_fold(0_i64, |sum, shard| sum.checked_add(i64::try_from(shard.header.reports).ok()?))
            .ok_or_else(|| EstimateError::Overflow { metric: name(), period: period() })?;
        // No counter of a checked shard exceeds its reports, so no sum of counters overflows either.
        let size = mechanism.counters();
        let counts = sum::sum(shards.iter().map(|shard| &shard.path), size).map_err(|source| {
            blamed(shards, size).unwrap_or_else(|| EstimateError::Sum { metric: name(), period: period(), source })
        })?;
        let counted: u128 = counts.iter().map(|&count| u128::from(count)).sum();
        if counted != shards.iter().map(|shard| shard.total).sum::<u128>() {
            return Err(EstimateError::Changed { metric: name(), period: period() });
        }
        let counters = Counters { reports: reports.unsigned_abs(), counts };
        let rows = if counters.reports == 0 { Vec::new() } else { rows(metric, mechanism, span, &counters) };
        Ok(Self {
            metric,
            span,
            rows,
            dropped_remainder: shards.iter().fold(0, |sum, shard| sum.saturating_add(shard.header.dropped_remainder)),
            counter_files: shards.len(),
            periods: shards.iter().map(|shard| shard.series.period).collect(),
        })
    }

    fn write(&self, out: &Path, plan: &Plan) -> Result<PathBuf, EstimateError> {
        let path = out.join(format!("period={}", self.span)).join(format!("{}.parquet", self.metric.name));
        let periods: Vec<String> = self.periods.iter().map(Period::to_string).collect();
        let metadata = [
            ("hubbub.format", table::FORMAT.to_owned()),
            ("hubbub.registry_digest", plan.registry().digest().to_owned()),
            ("hubbub.program_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("hubbub.epsilon", self.metric.privacy.epsilon.to_string()),
            ("hubbub.dropped_remainder", self.dropped_remainder.to_string()),
            ("hubbub.counter_files", self.counter_files.to_string()),
            ("hubbub.periods", periods.join(",")),
        ];
        table::write(&path, &self.rows, &metadata)?;
        Ok(path)
    }
}

/// The first file that Polars cannot read by itself.
fn blamed(shards: &[Shard], size: usize) -> Option<EstimateError> {
    shards.iter().find_map(|Shard { path, .. }| {
        let path = path.clone();
        Some(match sum::sum(std::iter::once(&path), size).err()? {
            PolarsError::IO { error, .. } => {
                let source = io::Error::new(error.kind(), error);
                EstimateError::Read { path, source }
            }
            other => EstimateError::Refused { file: path, defect: Box::new(Defect::Unsummable(other)) },
        })
    })
}

fn rows(metric: &Metric, mechanism: &Mechanism, span: Span, counters: &Counters) -> Vec<Row> {
    let figures = match mechanism {
        Mechanism::Subset(subset) if subset.is_of_sets() => share::decode_sets(subset, counters),
        Mechanism::Subset(subset) => share::decode(subset, counters),
        Mechanism::Cyclotomic(cyclotomic) => share::decode_cyclotomic(cyclotomic, counters),
        Mechanism::Window(window) if matches!(metric.domain, Domain::Count { .. }) => {
            window::decode_counts(window, counters).to_vec()
        }
        Mechanism::Window(window) => window::decode_ordered(window, counters),
        Mechanism::FoldedGeometric(folded) => count::decode(folded, counters).to_vec(),
    };
    let (reports, needed) = (counters.reports, metric.min_reports_to_publish());
    let suppressed = reports < needed;
    let reason = suppressed.then(|| format!("{reports} reports, fewer than the {needed} needed to publish"));
    let row = |figure: Figure| Row {
        metric: metric.name.clone(),
        metric_id: metric.id.0,
        metric_version: metric.version,
        category: metric.category.map(|category| category.name()),
        period_start: span.from.first_day(),
        period_end: span.to.next().first_day(),
        statistic: figure.statistic,
        value_index: figure.value_index,
        value: figure.value_index.map(|index| metric.domain.label(index)),
        reports,
        noisy_count: figure.noisy_count,
        estimate: figure.estimate,
        std_error: figure.std_error,
        noise_std_error: figure.noise_std_error,
        ci95_low: figure.ci95.map(|(low, _)| low),
        ci95_high: figure.ci95.map(|(_, high)| high),
        consistent: figure.consistent,
        mechanism: mechanism.family(),
        epsilon: metric.privacy.epsilon.to_f64(),
        pi1: figure.pi1_pi0.map(|(pi1, _)| pi1),
        pi0: figure.pi1_pi0.map(|(_, pi0)| pi0),
        poisoning_shift_1pct: figure.poisoning_shift_1pct,
        suppressed,
        suppression_reason: reason.clone(),
    };
    figures.into_iter().map(row).collect()
}
