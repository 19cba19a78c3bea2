//! `hubbub plan` over a registry: one table for all metrics.

use hubbub_privacy::{Metric, Registry};
use hubbub_randomizer::PlanError;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

use super::columns::{aligned, wrapped};
use super::figures::{Figures, FiguresError, law, short};
use super::simulate::{Effort, Realized, simulate};
use super::{PlanningError, setting, weekly_reports};

/// The progress bar is told of so many reports at once: telling it costs more than a report.
const REPORTS_PER_TICK: u64 = 4_096;

/// All metrics of a registry at a number of devices.
pub struct Survey<'a> {
    devices: u64,
    delta: f64,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    metric: &'a Metric,
    reports: u64,
    figures: Figures,
    realized: Option<Realized>,
}

impl Row<'_> {
    /// The worst acceptable half-width and whether it is met; nothing for a draft that names none.
    fn target(&self) -> Option<(hubbub_privacy::Decimal, bool)> {
        let target = self.metric.utility.as_ref()?.target_ci95_pp;
        Some((target, self.figures.worst.points <= target.to_f64()))
    }

    fn to_json(&self) -> Value {
        let (metric, target) = (self.metric, self.target());
        let mut row = self.figures.to_json(&self.figures);
        let more = json!({
            "metric": metric.name,
            "kind": metric.domain.kind(),
            "values": metric.domain.size(),
            "epsilon": metric.privacy.epsilon.to_string(),
            "reports": self.reports,
            "target_ci95_pp": target.map(|(target, _)| target.to_f64()),
            "target_met": target.map(|(_, met)| met),
            "lifetime_epsilon": metric.privacy.lifetime_epsilon().to_string(),
            "simulation": self.realized.map(Realized::to_json),
        });
        if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
            row.extend(more);
        }
        row
    }

    fn cells(&self) -> Vec<String> {
        let (metric, mechanism) = (self.metric, &self.figures.mechanism);
        let target = self
            .target()
            .map_or_else(|| "-".to_owned(), |(target, met)| format!("{target} {}", if met { "met" } else { "MISSED" }));
        let mut cells = vec![
            metric.name.clone(),
            metric.domain.kind().to_owned(),
            metric.domain.size().to_string(),
            metric.privacy.epsilon.to_string(),
            law(self.figures.name, mechanism),
            HumanCount(self.reports).to_string(),
            short(self.figures.worst.points),
            target,
            mechanism.report_bits().to_string(),
            mechanism.counters().to_string(),
            format!("{:.2}", mechanism.poisoning_gain()),
            metric.privacy.lifetime_epsilon().to_string(),
            self.figures.shuffled.map_or_else(|| "-".to_owned(), |shuffled| short(shuffled.specific)),
        ];
        if let Some(realized) = &self.realized {
            let points = 100.0 / mechanism.range();
            cells.extend([
                short(realized.realized * points),
                short(realized.predicted * points),
                format!("{:.3}", realized.ratio()),
                format!(
                    "{:.3}..{:.3}{}",
                    realized.band.0,
                    realized.band.1,
                    if realized.agrees() { "" } else { " OUTSIDE" }
                ),
            ]);
        }
        cells
    }
}

const COLUMNS: [&str; 13] = [
    "metric",
    "kind",
    "d",
    "epsilon",
    "mechanism",
    "reports",
    "+- pp (95 %)",
    "target",
    "bits",
    "counters",
    "poisoning",
    "lifetime",
    "shuffled",
];
const SIMULATED: [&str; 4] = ["rmse pp", "predicted", "ratio", "99.9 % band"];

impl<'a> Survey<'a> {
    /// Predicts everything for one week of `devices` devices.
    ///
    /// # Errors
    /// The first metric without a mechanism.
    pub fn of(registry: &'a Registry, devices: u64, delta: f64) -> Result<Self, PlanningError> {
        let row = |metric: &'a Metric| {
            let reports = weekly_reports(metric, devices);
            let figures = setting(metric, reports, delta).choice(&metric.privacy.mechanism).map_err(|error| {
                let metric = metric.name.clone();
                match error {
                    FiguresError::Choice(reason) => PlanError::NoMechanism { metric, reason }.into(),
                    other => PlanningError::from(other),
                }
            })?;
            Ok(Row { metric, reports, figures, realized: None })
        };
        let rows = registry.metrics().map(row).collect::<Result<_, PlanningError>>()?;
        Ok(Self { devices, delta, rows })
    }

    /// Adds realised errors to every metric that gets a report. Each has a generator of its own, so that a metric's figures
    /// do not depend on which others there are.
    pub fn simulate(&mut self, seed: u64, effort: Effort) {
        let style = ProgressStyle::with_template("simulating {bar:30} {percent}% {msg}");
        let bar = ProgressBar::new(0).with_style(style.expect("the template is a constant"));
        let affordable = |row: &Row<'_>| effort.affordable(&row.figures.mechanism, row.reports);
        bar.set_length(self.rows.iter().map(|row| affordable(row) * u64::from(effort.runs)).sum());
        for row in self.rows.iter_mut().filter(|row| row.reports > 0) {
            let reports = affordable(row);
            if reports < row.reports {
                bar.suspend(|| {
                    eprintln!(
                        "{}: {} of {} reports are simulated in each run; both errors are those of that many",
                        row.metric.name,
                        HumanCount(reports),
                        HumanCount(row.reports)
                    );
                });
            }
            bar.set_message(row.metric.name.clone());
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(row.metric.id.0));
            let mut told = 0;
            let tick = || {
                told += 1;
                if told % REPORTS_PER_TICK == 0 {
                    bar.inc(REPORTS_PER_TICK);
                }
            };
            let (mechanism, domain) = (&row.figures.mechanism, &row.metric.domain);
            row.realized = Some(simulate(mechanism, domain, reports, effort.runs, &mut rng, tick));
        }
        bar.finish_and_clear();
    }

    /// One row a metric, for programs.
    pub fn to_json(&self) -> Value {
        self.rows.iter().map(Row::to_json).collect()
    }

    /// A table, for people.
    pub fn in_words(&self) -> String {
        let is_simulated = self.rows.iter().any(|row| row.realized.is_some());
        let header = COLUMNS.iter().chain(if is_simulated { &SIMULATED[..] } else { &[] });
        let mut rows: Vec<Vec<String>> = vec![header.map(|&name| name.to_owned()).collect()];
        rows.extend(self.rows.iter().map(Row::cells));
        let notes = format!(
            "One week of {} devices. pp: percentage points, of the devices for shares, of the range for means. +-: half of a \
             95 % interval, for the worst of the populations that `hubbub registry explain` names. poisoning: how many honest \
             devices one forged report moves as far. lifetime: the epsilon that one device may spend. shuffled: the central \
             epsilon if the reports arrive unlinkable, at delta {:e}; a second figure, never instead of epsilon.",
            HumanCount(self.devices),
            self.delta
        );
        let simulated = if is_simulated {
            wrapped(
                "rmse: the root mean squared error of populations with a known truth, and what was predicted for them. band: \
                 where the ratio lies in 999 of 1000 simulations if the prediction is right.",
            )
        } else {
            String::new()
        };
        format!("{}\n{}{simulated}", aligned(&rows), wrapped(&notes))
    }
}
