//! `hubbub estimate`: counters to Parquet, with a short account for people or all rows for programs.

use std::io::Write;
use std::path::Path;

use hubbub_estimator::{Request, estimate as run};
use hubbub_privacy::Period;
use hubbub_randomizer::Plan;
use indicatif::{ProgressBar, ProgressStyle};

use super::FilterError;

/// Estimates everything below `counters` into `out`. `output` gets the rows as JSON, or the files as lines; warnings go
/// to stderr.
///
/// # Errors
/// The estimator's, or the output's.
pub fn estimate(
    plan: &Plan,
    counters: &Path,
    out: &Path,
    pool: Option<(Period, Period)>,
    json: bool,
    mut output: impl Write,
) -> Result<(), FilterError> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("the template is a constant");
    let bar = ProgressBar::new(0).with_style(style);
    let summary = run(&Request { plan, counters, out, pool }, &mut |step| {
        bar.set_length(step.total as u64);
        bar.set_position(step.done as u64);
        bar.set_message(step.metric);
    })?;
    bar.finish_and_clear();
    for warning in &summary.warnings {
        eprintln!("hubbub estimate: warning: {warning}");
    }
    let written = if json {
        let rows = serde_json::to_string(&summary.rows).expect("rows hold texts and finite numbers or nulls");
        writeln!(output, "{rows}")
    } else {
        summary.files.iter().try_for_each(|file| writeln!(output, "{}", file.display()))
    };
    written.and_then(|()| output.flush()).map_err(FilterError::Write)
}
