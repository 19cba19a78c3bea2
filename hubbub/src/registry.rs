//! `hubbub registry check`: everything that is wrong with a registry.

use std::fmt;
use std::io::Write;
use std::path::Path;

use hubbub_privacy::Registry;
use hubbub_privacy::registry::{Finding, ReadError, read};
use hubbub_randomizer::Plan;
use serde_json::json;
use thiserror::Error;

use crate::exit::Failure;

/// The registry does not pass.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct CheckFailed(String);

/// Checks the registry in `directory` as of a time in Unix seconds. `output` gets a line of praise, or all findings as JSON.
///
/// # Errors
/// [`CheckFailed`] with all findings, or what could not be read.
pub fn check(directory: &Path, now_s: i64, json: bool, mut output: impl Write) -> Result<(), Failure> {
    let (findings, praise) = match read(directory) {
        Ok(registry) => {
            let findings = registry.lint(now_s).0;
            let praise = praise(directory, &registry);
            (findings.into_iter().map(Defect::Lint).chain(without_mechanism(registry)).collect(), praise)
        }
        Err(ReadError::Invalid { findings, .. }) => {
            (findings.0.into_iter().map(Defect::Lint).collect::<Vec<_>>(), String::new())
        }
        Err(error) => return Err(error.into()),
    };
    let printed = if json {
        let all: Vec<_> = findings.iter().map(Defect::to_json).collect();
        writeln!(output, "{}", serde_json::Value::from(all))
    } else if findings.is_empty() {
        writeln!(output, "{praise}")
    } else {
        Ok(())
    };
    printed.map_err(crate::filters::FilterError::Write)?;
    if findings.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = findings.iter().map(Defect::to_string).collect();
    Err(CheckFailed(format!("{} has {} defects:\n{}", directory.display(), list.len(), list.join("\n"))).into())
}

/// A lint's finding, or a metric that no mechanism serves.
enum Defect {
    Lint(Finding),
    Mechanism { metric: String, message: String },
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lint(finding) => finding.fmt(f),
            Self::Mechanism { message, .. } => write!(f, "[mechanism] {message}"),
        }
    }
}

impl Defect {
    fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Lint(Finding { code, file, line, metric, message, remedy }) => json!({
                "code": code.name(), "file": file, "line": line, "metric": metric, "message": message, "remedy": remedy,
            }),
            Self::Mechanism { metric, message } => json!({ "code": "mechanism", "metric": metric, "message": message }),
        }
    }
}

fn without_mechanism(registry: Registry) -> Vec<Defect> {
    let plan = Plan::new(registry);
    let failures = plan.registry().metrics().filter_map(|metric| Some((metric, plan.get(metric.id).err()?)));
    failures
        .map(|(metric, error)| Defect::Mechanism { metric: metric.name.clone(), message: error.to_string() })
        .collect()
}

fn praise(directory: &Path, registry: &Registry) -> String {
    let metrics = registry.metrics().count();
    let weekly = registry.expected_weekly_spending();
    format!(
        "{}: {metrics} metrics, no defects; a device is expected to spend epsilon {weekly} a week\ndigest {}",
        directory.display(),
        registry.digest()
    )
}
