//! Truth beside estimate: what the demo prints and keeps as `truth.parquet`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use hubbub_estimator::{Row, Statistic};
use hubbub_privacy::Domain;
use parquet::arrow::ArrowWriter;

use super::crowd::Question;
use super::{DemoError, say};

/// Rows printed per metric; the rest is in the Parquet files.
const SHOWN: usize = 4;

/// The width of the column of values, in characters.
const VALUE_WIDTH: usize = 22;

/// One figure of the population.
struct Fact {
    metric: String,
    statistic: Statistic,
    value: Option<String>,
    truth: f64,
}

/// The known truth about every metric: shares of all values, or the mean of a count.
pub struct Truths(Vec<Fact>);

impl Truths {
    /// The facts that the simulated devices were drawn from.
    pub fn of(questions: &[Question<'_>]) -> Self {
        let facts = questions.iter().flat_map(|question| {
            let metric = question.metric.name.clone();
            match question.metric.domain {
                Domain::Count { .. } => {
                    vec![Fact { metric, statistic: Statistic::Mean, value: None, truth: question.truth.mean() }]
                }
                _ => {
                    let share = |(index, &truth): (usize, &f64)| Fact {
                        metric: metric.clone(),
                        statistic: Statistic::Share,
                        value: Some(question.metric.domain.label(index as u32)),
                        truth,
                    };
                    question.truth.shares().iter().enumerate().map(share).collect()
                }
            }
        });
        Self(facts.collect())
    }

    /// Writes `metric, statistic, value, truth` as Parquet.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> Result<(), DemoError> {
        let texts = |text: &dyn Fn(&Fact) -> Option<String>| -> ArrayRef {
            Arc::new(self.0.iter().map(text).collect::<StringArray>())
        };
        let truth: ArrayRef = Arc::new(self.0.iter().map(|fact| Some(fact.truth)).collect::<Float64Array>());
        let failed = |error: String| DemoError::io(path, std::io::Error::other(error));
        let batch = RecordBatch::try_from_iter([
            ("metric", texts(&|fact| Some(fact.metric.clone()))),
            ("statistic", texts(&|fact| Some(fact.statistic.to_string()))),
            ("value", texts(&|fact| fact.value.clone())),
            ("truth", truth),
        ])
        .map_err(|error| failed(error.to_string()))?;
        let file = File::create(path).map_err(|source| DemoError::io(path, source))?;
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(|error| failed(error.to_string()))?;
        writer.write(&batch).map_err(|error| failed(error.to_string()))?;
        writer.close().map_err(|error| failed(error.to_string()))?;
        Ok(())
    }

    /// Prints truth, estimate and interval per metric, the commonest values first. Gives how many intervals cover, of how
    /// many.
    ///
    /// # Errors
    /// When nobody reads the output any more.
    pub fn compare(&self, rows: &[Row]) -> Result<(usize, usize), DemoError> {
        let mut pairs: Vec<(&Fact, &Row)> = Vec::new();
        for fact in &self.0 {
            let same =
                |row: &&Row| row.metric == fact.metric && row.statistic == fact.statistic && row.value == fact.value;
            pairs.extend(rows.iter().find(same).map(|row| (fact, row)));
        }
        say!(
            "{:<34} {:<VALUE_WIDTH$} {:>9} {:>9}   {:<21} {:>8}",
            "metric",
            "value",
            "truth",
            "estimate",
            "95 % interval",
            "reports"
        );
        for group in pairs.chunk_by(|a, b| a.0.metric == b.0.metric) {
            let mut commonest: Vec<_> = group.iter().collect();
            commonest.sort_by(|a, b| b.0.truth.total_cmp(&a.0.truth));
            for (n, (fact, row)) in commonest.iter().take(SHOWN).enumerate() {
                let name = if n == 0 { fact.metric.as_str() } else { "" };
                let value: String = fact.value.as_deref().unwrap_or("(mean)").chars().take(VALUE_WIDTH).collect();
                let end = |end: Option<f64>| end.map_or_else(|| "?".to_owned(), |end| shown(row, end));
                let interval = format!("[{}, {}]", end(row.ci95_low), end(row.ci95_high));
                say!(
                    "{name:<34} {value:<VALUE_WIDTH$} {:>9} {:>9} {} {interval:<21} {:>8}",
                    shown(row, fact.truth),
                    shown(row, row.estimate),
                    if covers(fact, row) { " " } else { "!" },
                    row.reports,
                );
            }
            if commonest.len() > SHOWN {
                say!("{:<34} … {} more", "", commonest.len() - SHOWN);
            }
        }
        Ok((pairs.iter().filter(|(fact, row)| covers(fact, row)).count(), pairs.len()))
    }
}

fn covers(fact: &Fact, row: &Row) -> bool {
    row.ci95_low.is_some_and(|low| low <= fact.truth) && row.ci95_high.is_some_and(|high| fact.truth <= high)
}

/// Shares in percent, means as they are.
fn shown(row: &Row, figure: f64) -> String {
    if row.statistic == Statistic::Share { format!("{:.2} %", figure * 100.0) } else { format!("{figure:.3}") }
}
