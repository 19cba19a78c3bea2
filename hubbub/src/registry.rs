//! `hubbub registry check`: everything that is wrong with a registry.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hubbub_privacy::registry::{Finding, ReadError, read};
use hubbub_privacy::{Exit, Registry};
use hubbub_randomizer::Plan;
use serde_json::json;
use thiserror::Error;

/// Why a check did not pass.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The registry has defects.
    #[error("{} has {count} defects:\n{list}", directory.display())]
    Defects {
        /// The registry.
        directory: PathBuf,
        /// How many.
        count: usize,
        /// One a line.
        list: String,
    },
    /// The registry cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The output cannot be written.
    #[error("writing standard output: {0}")]
    Write(io::Error),
}

impl CheckError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Defects { .. } => Exit::CheckFailed,
            Self::Read(error) => error.exit(),
            Self::Write(_) => Exit::InputOutput,
        }
    }
}

/// Checks the registry in `directory` as of a time in Unix seconds. `output` gets a line of praise, or all findings as JSON.
///
/// # Errors
/// [`CheckError`] with all findings, or what could not be read or written.
pub fn check(directory: &Path, now_s: i64, json: bool, mut output: impl Write) -> Result<(), CheckError> {
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
    printed.map_err(CheckError::Write)?;
    if findings.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = findings.iter().map(Defect::to_string).collect();
    Err(CheckError::Defects {
        directory: directory.to_owned(),
        count: list.len(),
        list: list.join(
            "
",
        ),
    })
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
