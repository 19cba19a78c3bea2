//! `hubbub audit`: what every metric really guarantees, exactly, and what an independent library says of it.

mod certificates;
mod second_opinion;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use hubbub_privacy::Exit;
use hubbub_privacy::registry::{ReadError, read};
use hubbub_randomizer::Plan;
use serde_json::{Value, json};
use thiserror::Error;

use certificates::{Judgement, WriteError};

/// Parameters that are long or follow from the others; the certificate has them.
const NOT_SHOWN: [&str; 3] = ["threshold", "alpha_2_64", "weights_sha256"];

/// The grid of an enclosed logarithm, so that showing its upper end rounds nothing away.
const DECIMALS: u32 = 15;

/// What `hubbub audit` is asked to do.
#[derive(Args)]
pub struct Audit {
    /// The directory of the registry
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The directory to write certificates to; other files in it are left alone
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the table as one JSON array on stdout
    #[arg(long)]
    json: bool,
}

/// Why an audit did not pass.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] ReadError),
    /// Some metrics do not guarantee what they declare.
    #[error("{failed} of {all} metrics fail the audit and get no certificate:\n{list}")]
    Failed {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// What is wrong with them, one a line.
        list: String,
    },
    /// The certificates cannot be written.
    #[error(transparent)]
    Certificates(#[from] WriteError),
    /// The output cannot be written.
    #[error("writing standard output: {0}")]
    Stdout(io::Error),
}

impl AuditError {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Failed { .. } => Exit::CheckFailed,
            Self::Certificates(_) | Self::Stdout(_) => Exit::InputOutput,
        }
    }
}

/// Certifies every metric of the registry, drafts too; `output` gets the table.
///
/// # Errors
/// [`AuditError::Failed`] with everything that is wrong, after the certificates of all other metrics were written; the
/// registry's, the disk's or the output's.
pub fn run(request: &Audit, mut output: impl Write) -> Result<(), AuditError> {
    let plan = Plan::new(read(&request.registry)?);
    let judge = |metric| Judgement::of(metric, plan.get(metric.id).map(|(_, mechanism)| mechanism));
    let judgements: Vec<Judgement<'_>> = plan.registry().metrics().map(judge).collect();
    let written = certificates::write(&judgements, &request.out)?;
    eprintln!("wrote {written} certificates to {}", request.out.display());
    let printed = if request.json {
        writeln!(output, "{}", judgements.iter().map(to_json).collect::<Value>())
    } else {
        print(&judgements, &mut output)
    };
    printed.and_then(|()| output.flush()).map_err(AuditError::Stdout)?;
    let defects: Vec<String> =
        judgements.iter().flat_map(|judgement| &judgement.defects).map(|d| d.to_string()).collect();
    if defects.is_empty() {
        return Ok(());
    }
    Err(AuditError::Failed { failed: judgements.len() - written, all: judgements.len(), list: defects.join("\n") })
}

fn to_json(judgement: &Judgement<'_>) -> Value {
    let certificate = judgement.certificate.as_ref();
    json!({
        "metric": judgement.metric.name,
        "family": certificate.map(|certificate| &certificate.family),
        "parameters": certificate.map(|certificate| &certificate.parameters),
        "epsilon": judgement.metric.privacy.epsilon.to_string(),
        "epsilon_realized": certificate.map(|certificate| decimal(&certificate.epsilon_realized[1])),
        "second_opinion": judgement.opinion.as_ref().map(second_opinion::Opinion::to_json),
        "verdict": verdict(judgement),
        "defects": judgement.defects.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn print(judgements: &[Judgement<'_>], output: &mut impl Write) -> io::Result<()> {
    let header = ["metric", "family", "parameters", "declared", "realised", "second opinion", "verdict"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(judgements.iter().map(to_row));
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn to_row(judgement: &Judgement<'_>) -> [String; 7] {
    let none = || "-".to_owned();
    let certificate = judgement.certificate.as_ref();
    [
        judgement.metric.name.clone(),
        certificate.map_or_else(none, |certificate| certificate.family.clone()),
        certificate.map_or_else(none, |certificate| short(&certificate.parameters)),
        judgement.metric.privacy.epsilon.to_string(),
        certificate.map_or_else(none, |certificate| decimal(&certificate.epsilon_realized[1])),
        judgement.opinion.as_ref().map_or_else(none, ToString::to_string),
        verdict(judgement).to_owned(),
    ]
}

const fn verdict(judgement: &Judgement<'_>) -> &'static str {
    if judgement.defects.is_empty() { "certified" } else { "failed" }
}

fn short(parameters: &BTreeMap<String, Value>) -> String {
    let shown = parameters.iter().filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    };
    shown.map(pair).collect::<Vec<_>>().join(" ")
}

/// A certificate's fraction as a decimal, rounded up.
fn decimal(fraction: &str) -> String {
    let parts = fraction.split_once('/').and_then(|(above, below)| Some((above.parse().ok()?, below.parse().ok()?)));
    let (above, below): (u128, u128) = parts.expect("an enclosed logarithm has the grid as denominator");
    let grid = 10u128.pow(DECIMALS);
    let steps = (above * grid).div_ceil(below);
    format!("{}.{:0width$}", steps / grid, steps % grid, width = DECIMALS as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_up() {
        for (fraction, text) in [
            ("1/1", "1.000000000000000"),
            ("0/1", "0.000000000000000"),
            ("1/3", "0.333333333333334"),
            ("3999999999999999/1000000000000000", "3.999999999999999"),
        ] {
            assert_eq!(decimal(fraction), text);
        }
    }

    #[test]
    fn long_parameters_are_left_to_the_certificate() {
        let parameters = [("d", json!(5)), ("goal", json!("mean")), ("threshold", json!("123"))];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(short(&parameters), "d=5 goal=mean");
    }
}
