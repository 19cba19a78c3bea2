//! `hubbub audit`: what every metric really guarantees, exactly, and what an independent library says of it; or what a
//! sampler's reports say of it.

mod black_box;
mod certificates;
mod second_opinion;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hubbub_privacy::registry::{ReadError, read};
use hubbub_privacy::{Exit, Metric};
use hubbub_randomizer::Plan;
use serde_json::{Value, json};
use thiserror::Error;

use black_box::{BlackBoxError, Trial};
use certificates::{Judgement, WriteError};

use crate::plan::figures::Shuffled;
use crate::plan::parse_delta;

/// Parameters that are long or follow from the others; the certificate has them.
const NOT_SHOWN: [&str; 3] = ["threshold", "alpha_2_64", "weights_sha256"];

/// How many reports a metric that expects none, a draft, is shuffled among.
const DRAFT_REPORTS: u64 = 20_000;

/// The grid of an enclosed logarithm, so that showing its upper end rounds nothing away.
const DECIMALS: u32 = 15;

/// What `hubbub audit` is asked to do.
#[derive(Args)]
pub struct Audit {
    /// The directory of the registry
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The directory to write certificates to; other files in it are left alone
    #[arg(long, value_name = "DIR", required_unless_present = "black_box", conflicts_with = "black_box")]
    out: Option<PathBuf>,
    /// Instead of certificates: judge a sampler of this metric by its reports alone; exit 1 if it is at fault
    ///
    /// Draws reports of known values from `hubbub randomize`, or from the program of --command, and holds them against the
    /// declared epsilon, the exact law of every coordinate and of several together, and independence from report to report.
    #[arg(long, value_name = "METRIC")]
    black_box: Option<String>,
    /// The chance that the shuffle figure beside a certificate does not hold
    #[arg(long, value_name = "DELTA", default_value = "1e-6", value_parser = parse_delta)]
    delta: f64,
    #[command(flatten)]
    trial: Trial,
    /// Print the result as JSON on stdout: an array of all metrics, or an object with --black-box
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
    /// A sampler did not pass, or could not be judged.
    #[error(transparent)]
    BlackBox(#[from] BlackBoxError),
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
            Self::BlackBox(error) => error.exit(),
            Self::Certificates(_) | Self::Stdout(_) => Exit::InputOutput,
        }
    }
}

/// Certifies every metric of the registry, drafts too, or judges a sampler of one; `output` gets the table.
///
/// # Errors
/// [`AuditError::Failed`] with everything that is wrong, after the certificates of all other metrics were written;
/// [`AuditError::BlackBox`]; the registry's, the disk's or the output's.
pub fn run(request: &Audit, mut output: impl Write) -> Result<(), AuditError> {
    let plan = Plan::new(read(&request.registry)?);
    if let Some(metric) = &request.black_box {
        return Ok(black_box::run(&plan, &request.registry, metric, &request.trial, request.json, &mut output)?);
    }
    let out = request.out.as_deref().expect("clap requires --out without --black-box");
    certify(&plan, out, request, &mut output)
}

fn certify(plan: &Plan, out: &Path, request: &Audit, output: &mut impl Write) -> Result<(), AuditError> {
    let judge = |metric| Judgement::of(metric, plan.get(metric.id).map(|(_, mechanism)| mechanism));
    let judgements: Vec<Judgement<'_>> = plan.registry().metrics().map(judge).collect();
    let shuffled: Vec<Option<Shuffled>> = plan
        .registry()
        .metrics()
        .map(|metric| match plan.get(metric.id) {
            Ok((_, mechanism)) => {
                Shuffled::new(mechanism, metric.privacy.epsilon, crowd(metric), request.delta).ok().flatten()
            }
            Err(_) => None,
        })
        .collect();
    let both: Vec<Row<'_>> = judgements.iter().zip(shuffled).collect();
    let written = certificates::write(&judgements, out)?;
    eprintln!("wrote {written} certificates to {}", out.display());
    let printed = if request.json {
        writeln!(output, "{}", both.iter().map(to_json).collect::<Value>())
    } else {
        print(&both, request.delta, output)
    };
    printed.and_then(|()| output.flush()).map_err(AuditError::Stdout)?;
    let defects: Vec<String> =
        judgements.iter().flat_map(|judgement| &judgement.defects).map(|d| d.to_string()).collect();
    if defects.is_empty() {
        return Ok(());
    }
    Err(AuditError::Failed { failed: judgements.len() - written, all: judgements.len(), list: defects.join("\n") })
}

/// The reports that one week is expected to bring.
fn crowd(metric: &Metric) -> u64 {
    metric.utility.as_ref().map_or(DRAFT_REPORTS, |utility| utility.expected_reports)
}

/// A metric's judgement, and the second figure where there is one.
type Row<'a> = (&'a Judgement<'a>, Option<Shuffled>);

fn to_json((judgement, shuffled): &Row<'_>) -> Value {
    let certificate = judgement.certificate.as_ref();
    json!({
        "metric": judgement.metric.name,
        "family": certificate.map(|certificate| &certificate.family),
        "parameters": certificate.map(|certificate| &certificate.parameters),
        "epsilon": judgement.metric.privacy.epsilon.to_string(),
        "epsilon_realized": certificate.map(|certificate| decimal(&certificate.epsilon_realized[1])),
        "second_opinion": judgement.opinion.as_ref().map(second_opinion::Opinion::to_json),
        "shuffle": shuffled.as_ref().map(|Shuffled { delta, generic, specific }| {
            json!({ "reports": crowd(judgement.metric), "delta": delta, "generic": generic, "specific": specific })
        }),
        "verdict": verdict(judgement),
        "defects": judgement.defects.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn print(judgements: &[Row<'_>], delta: f64, output: &mut impl Write) -> io::Result<()> {
    let header = ["metric", "family", "parameters", "declared", "realised", "second opinion", "shuffled", "verdict"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(judgements.iter().map(to_row));
    print_table(&rows, output)?;
    writeln!(
        output,
        "\nshuffled: a second figure, never instead of the first: the central epsilon, at delta {delta:e}, if the reports that \
         one week is expected\nto bring arrive unlinkable ({DRAFT_REPORTS} for drafts)"
    )
}

/// Prints rows with aligned columns.
fn print_table<const N: usize>(rows: &[[String; N]], output: &mut impl Write) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn to_row((judgement, shuffled): &Row<'_>) -> [String; 8] {
    let none = || "-".to_owned();
    let certificate = judgement.certificate.as_ref();
    [
        judgement.metric.name.clone(),
        certificate.map_or_else(none, |certificate| certificate.family.clone()),
        certificate.map_or_else(none, |certificate| short(&certificate.parameters)),
        judgement.metric.privacy.epsilon.to_string(),
        certificate.map_or_else(none, |certificate| decimal(&certificate.epsilon_realized[1])),
        judgement.opinion.as_ref().map_or_else(none, ToString::to_string),
        // Rounded up at the fourth decimal.
        shuffled.as_ref().map_or_else(none, |shuffled| format!("{:.4}", (shuffled.specific * 1e4).ceil() / 1e4)),
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
