//! The command line, and which function each command calls.

use std::io::{stdin, stdout};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hubbub_privacy::{Period, registry::read};
use hubbub_randomizer::Plan;

use crate::audit::Audit;
use crate::demo::Demo;
use crate::failure::Failure;
use crate::filters::{self, Folded, Randomness};
use crate::plan::Planning;
use crate::registry::Explain;
use crate::{audit, clock, demo, plan, registry};

/// Opt-in metrics under local differential privacy: the tool of analysts, reviewers and publishers.
///
/// Exit codes: 0 done, 1 a check failed, 2 bad input or usage, 3 input/output, 4 something needed is unavailable.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Turn true values (one a line on stdin) into randomized reports (one JSON object a line on stdout)
    ///
    /// A value is `true` or `false`, a label, an integer, or a JSON array for a set; an empty line is absent; an unlisted
    /// label becomes the metric's `other`. A line of the wrong type stops with exit 2.
    Randomize(Randomize),
    /// Count reports (one a line on stdin) as the server does, and write the counters
    ///
    /// The same id is counted once. A bad line stops with exit 2, naming it, and nothing is written. Counters of the same
    /// metric, version and period that are already there are replaced: give all reports at once.
    Fold(Fold),
    /// Turn counters into unbiased estimates with errors and intervals, as Parquet
    Estimate(Estimate),
    /// Look at a registry of metrics
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Predict what every metric of a registry, or one question without a registry, gives and costs
    ///
    /// Over a registry: one table for all metrics, drafts too, for one week of N devices. With --kind: the choice of `auto`
    /// and all alternatives. Half-widths are those of 95 % intervals, noise and the choice of devices together: of shares
    /// for a value that nobody, the average part or half of the devices have, of means for the population whose mean is
    /// hardest to estimate; tables show the worst.
    ///
    /// JSON of one mechanism (a row over a registry; `choice` and each of `alternatives` with --kind): name, family,
    /// parameters, threshold, variance (times n: of a share, averaged over the values, or the largest noise of a mean in
    /// squared steps), variance_exact (a fraction, where short), variance_on_unit_range (means), ratio_to_optimum
    /// (categories), relative_cost, half_width_95 (shares from 0 to 1, or steps), half_width_95_pp (percentage points of the
    /// devices or of the range), half_widths_95 (each with its population), report_bits, body_bytes, counters,
    /// poisoning_gain, likelihood_ratio (a fraction), epsilon_realized, total_variation, shuffle (delta, generic, specific).
    /// Rows add metric, kind, values, epsilon, reports, target_ci95_pp, target_met, lifetime_epsilon and simulation (reports,
    /// runs, rmse_predicted, rmse_realized, ratio, ratio_band_999, agrees); --kind adds kind, values, max_items, goal,
    /// epsilon, reports, optimum and optimum_exact. What is not known is null.
    Plan(Planning),
    /// Certify exactly what every metric guarantees, with OpenDP as second opinion; exit 1 if one fails
    ///
    /// Writes DIR/METRIC.json for every metric that passes, drafts too, and a table on stdout. A metric passes if the
    /// largest likelihood ratio of its mechanism, computed from the integers that the sampler reads, is at most e^epsilon,
    /// and if OpenDP, where it can express the mechanism, certifies no more either. A metric that fails keeps no
    /// certificate of an earlier audit. With --black-box it judges one metric's sampler by its reports instead.
    Audit(Audit),
    /// Run the whole pipeline on this machine: daemon, server, simulated devices, estimates beside the truth
    Demo(Demo),
}

#[derive(Args)]
struct Randomize {
    /// The directory of the registry
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The metric's full name
    #[arg(long, value_name = "NAME")]
    metric: String,
    /// The ISO week to report about, such as 2026-W47 [default: the last one that is over]
    #[arg(long, value_name = "PERIOD")]
    period: Option<Period>,
    /// Draw everything, ids too, from a ChaCha20 generator with this seed, for tests: the reports protect nobody
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Args)]
struct Fold {
    /// The directory of the registry
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The counters directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
struct Estimate {
    /// The directory of the registry
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The counters directory to read
    #[arg(long, value_name = "DIR")]
    counters: PathBuf,
    /// The estimates directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Sum the weeks of this range, both included, such as 2026-W44..2026-W47
    #[arg(long, value_name = "FROM..TO", value_parser = parse_range)]
    pool: Option<(Period, Period)>,
    /// Print the rows as one JSON array on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum RegistryCommand {
    /// Find everything that is wrong with a registry; exit 1 if anything is
    Check(Check),
    /// Say what a metric asks, how its answers are randomized and why so, and what they give and cost, in plain words
    ///
    /// Half-widths are predicted as `hubbub plan` does. The attacker sees every report of a device and knows that they are
    /// its own: how often the best guess between two equally likely answers is right, exactly where a report names one of two
    /// answers, else at most. JSON: choice and alternatives as in `hubbub plan --kind`, with optimum and optimum_exact;
    /// metric, id, version, the metric's texts, kind, values, goal, mechanism as the registry has it, reports,
    /// target_ci95_pp, target_met, epsilon, ask_probability, max_reports, lifetime_epsilon, expected_reports_a_year,
    /// expected_epsilon_a_year, attacker (exact, before, after_one_report, after_all_reports, bound_by_lifetime_epsilon).
    Explain(Explain),
}

#[derive(Args)]
struct Check {
    /// The directory of the registry
    #[arg(value_name = "DIR", default_value = "metrics", conflicts_with = "registry")]
    directory: PathBuf,
    /// The directory of the registry, as the filters name it
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Judge as of this day instead of today
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<chrono::NaiveDate>,
    /// Print the findings as one JSON array on stdout
    #[arg(long)]
    json: bool,
}

fn parse_range(text: &str) -> Result<(Period, Period), String> {
    let (from, to) = text.split_once("..").ok_or("write FROM..TO, such as 2026-W44..2026-W47")?;
    let week = |text: &str| text.parse::<Period>().map_err(|error| error.to_string());
    let (from, to) = (week(from)?, week(to)?);
    if from > to { Err(format!("{from} is later than {to}")) } else { Ok((from, to)) }
}

/// Does what the command line says.
///
/// # Errors
/// [`Failure`], which knows its exit code.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Randomize(Randomize { registry, metric, period, seed }) => {
            let plan = Plan::new(read(&registry)?);
            let period = period.unwrap_or_else(|| Period::containing(clock::now_s()).previous());
            let randomness = seed.map_or(Randomness::OperatingSystem, Randomness::Seed);
            filters::randomize(&plan, &metric, period, randomness, stdin().lock(), stdout().lock())?;
        }
        Command::Fold(Fold { registry, out }) => {
            let plan = Plan::new(read(&registry)?);
            let Folded { files, duplicates } = filters::fold(&plan, &out, stdin().lock())?;
            files.iter().for_each(|file| eprintln!("wrote {}", file.display()));
            if files.is_empty() {
                eprintln!("no reports on standard input, so nothing was written");
            }
            if duplicates > 0 {
                eprintln!("{duplicates} reports had an id that was counted before, and were not counted again");
            }
        }
        Command::Estimate(Estimate { registry, counters, out, pool, json }) => {
            let plan = Plan::new(read(&registry)?);
            filters::estimate(&plan, &counters, &out, pool, json, stdout().lock())?;
        }
        Command::Registry(RegistryCommand::Check(Check { directory, registry, date, json })) => {
            let now_s =
                date.map_or_else(clock::now_s, |date| date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp());
            registry::check(&registry.unwrap_or(directory), now_s, json, stdout().lock())?;
        }
        Command::Registry(RegistryCommand::Explain(request)) => registry::explain(&request, stdout().lock())?,
        Command::Plan(request) => plan::run(&request, stdout().lock())?,
        Command::Audit(request) => audit::run(&request, stdout().lock())?,
        Command::Demo(request) => demo::run(&request, clock::now_s())?,
    }
    Ok(())
}
