//! `hubbub registry check`: everything that is wrong with a registry.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hubbub_privacy::registry::{Code, Finding, ReadError, read};
use hubbub_privacy::{Exit, Registry};
use hubbub_randomizer::Plan;
use serde_json::json;
use thiserror::Error;

use super::lint::lint;

/// Why a check did not pass.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The registry has defects.
    #[error("{} has {count} {}:\n{list}", directory.display(), if *count == 1 { "defect" } else { "defects" })]
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
            let praise = praise(directory, &registry);
            let lints = registry.lint(now_s).0;
            ([lints, of_mechanisms(registry)].concat(), praise)
        }
        Err(ReadError::Invalid { findings, .. }) => (findings.0, String::new()),
        Err(error) => return Err(error.into()),
    };
    let printed = if json {
        let all: Vec<_> = findings.iter().map(to_json).collect();
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
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    Err(CheckError::Defects { directory: directory.to_owned(), count: list.len(), list: list.join("\n") })
}

fn to_json(Finding { code, file, line, metric, message, remedy }: &Finding) -> serde_json::Value {
    json!({
        "code": code.name(), "file": file, "line": line, "metric": metric, "message": message, "remedy": remedy,
    })
}

/// What is wrong with the mechanisms, or that no mechanism serves a metric, which then could never be asked.
fn of_mechanisms(registry: Registry) -> Vec<Finding> {
    let plan = Plan::new(registry);
    let remedy = "change the domain or the mechanism";
    let findings = plan.registry().metrics().map(|metric| match plan.get(metric.id) {
        Ok((metric, mechanism)) => lint(metric, mechanism),
        Err(error) => vec![metric.finding(Code::Mechanism, &error.to_string(), remedy)],
    });
    findings.flatten().collect()
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
