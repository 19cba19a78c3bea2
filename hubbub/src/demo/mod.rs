//! `hubbub demo`: the whole pipeline on this machine, with the shipped programs, a real bus and real sockets.

mod crowd;
mod device;
mod population;
mod programs;
mod scoreboard;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use clap::Args;
use hubbub_estimator::{EstimateError, Request, estimate};
use hubbub_privacy::registry::{Findings, ReadError, read};
use hubbub_privacy::{Exit, Period};
use hubbub_randomizer::{Plan, uniform};
use indicatif::{ProgressBar, ProgressStyle};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use thiserror::Error;

use crowd::Question;
use device::Device;
use population::Truth;
use programs::{Programs, Running};
use scoreboard::Truths;

/// Prints a line; a reader that has gone ends the demo in good order.
macro_rules! say {
    ($($words:tt)*) => { writeln!(std::io::stdout(), $($words)*).map_err(DemoError::Stdout)? };
}
use say;

/// Marks a directory as a demo's, so that only a demo's is ever replaced.
const MARKER: &str = ".hubbub-demo";

/// What `hubbub demo` is asked to do.
#[derive(Args)]
pub struct Demo {
    /// Simulated devices beside this machine
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub devices: u32,
    /// Where everything goes; an earlier demo there is replaced
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub out: PathBuf,
    /// The seed of the simulated devices; this machine's own report is always drawn from the operating system
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The directory of the registry
    #[arg(long, value_name = "DIR", default_value = "metrics")]
    pub registry: PathBuf,
}

/// Why the demo stopped.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] ReadError),
    /// The registry is not approved, so neither device nor server would use it.
    #[error("the registry is not approved:\n{0}")]
    NotApproved(Findings),
    /// The directory is somebody's.
    #[error("{} exists and is not an earlier demo; remove it, or name another directory with --out", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory.
    #[error("{}: {source}; name a directory that can be written with --out", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A shipped program is not beside this one.
    #[error("{program} is not in {}; build the whole workspace: cargo build --workspace", directory.display())]
    MissingProgram {
        /// Which.
        program: &'static str,
        /// Where it should be.
        directory: PathBuf,
    },
    /// There is no D-Bus daemon on this machine.
    #[error("dbus-daemon is not installed; install the Debian package dbus-daemon, or run `make demo`, which does")]
    NoBus,
    /// A program cannot be started or watched.
    #[error("running {program}: {source}")]
    Start {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program said nothing and ended.
    #[error("{program} ended before it was ready; its log is in the demo's directory")]
    Silent {
        /// Which.
        program: &'static str,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// Its status.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// A program ignores SIGTERM.
    #[error("{program} does not stop when asked to")]
    DoesNotStop {
        /// Which.
        program: &'static str,
    },
    /// Something that must happen did not.
    #[error("waited in vain for {event}")]
    TimedOut {
        /// What.
        event: &'static str,
    },
    /// A program printed something else than its documentation says.
    #[error("{program} printed what the demo does not understand: {text}")]
    Output {
        /// Which.
        program: &'static str,
        /// What it printed.
        text: String,
    },
    /// A domain without a simulated truth.
    #[error("metric {metric}: the demo simulates no values of kind {kind}")]
    Domain {
        /// The metric.
        metric: String,
        /// Its kind.
        kind: &'static str,
    },
    /// A simulated device could not answer.
    #[error("simulating a device: {0}")]
    Simulation(String),
    /// The server cannot be reached.
    #[error("uploading: {0}")]
    Upload(String),
    /// The server refused a report.
    #[error("the server refused a report with status {status}: {answer}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its answer.
        answer: String,
    },
    /// Nobody reads the output any more.
    #[error("writing standard output: {0}")]
    Stdout(io::Error),
    /// The counters cannot be estimated.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
}

impl DemoError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn start(program: &'static str, source: io::Error) -> Self {
        Self::Start { program, source }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::NotApproved(_) | Self::NotOurs { .. } | Self::Domain { .. } => Exit::BadInput,
            Self::Io { .. } | Self::Stdout(_) => Exit::InputOutput,
            Self::Estimate(error) => error.exit(),
            Self::MissingProgram { .. } | Self::NoBus | Self::Start { .. } => Exit::Unavailable,
            Self::Silent { .. }
            | Self::Failed { .. }
            | Self::DoesNotStop { .. }
            | Self::TimedOut { .. }
            | Self::Output { .. }
            | Self::Simulation(_)
            | Self::Upload(_)
            | Self::Refused { .. } => Exit::CheckFailed,
        }
    }
}

/// The indices 0..n in random order.
fn uniform_order(n: usize, rng: &mut ChaCha20Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let Ok(()) = uniform::shuffle(&mut order, rng);
    order
}

/// Runs the demo: this machine and `request.devices` simulated ones report about the last week that is over.
///
/// # Errors
/// [`DemoError`]; every process that was started has been ended.
pub fn run(request: &Demo, now_s: i64) -> Result<(), DemoError> {
    programs::end_all_on_a_signal()?;
    let programs = Programs::beside_this_one()?;
    let registry = read(&request.registry)?;
    registry.require_approved(now_s).map_err(DemoError::NotApproved)?;
    let registry_dir = request.registry.canonicalize().map_err(|source| DemoError::io(&request.registry, source))?;
    let plan = Plan::new(registry);
    let out = prepare(&request.out)?;
    let period = Period::containing(now_s).previous();
    let mut rng = ChaCha20Rng::seed_from_u64(request.seed);
    let questions = questions(&plan, &mut rng)?;

    say!("Hubbub demo: {} questions about {period}, in {}\n", questions.len(), out.display());
    let server = Server::start(&programs, &registry_dir, &out)?;
    say!("1. The server listens on {}; it keeps sums and single-use ids, nothing else.", server.endpoint);

    let mut device = Device::start(&programs, &registry_dir, &out, period)?;
    device.consent_and_show()?;
    device.close_the_week(period)?;
    device.upload(&server.endpoint)?;

    say!("\n4. {} simulated devices with a known truth answer over HTTP.", request.devices);
    let tally = simulate(&server.endpoint, &plan, &questions, period, request.devices, &mut rng)?;
    let per_second = tally.counted.saturating_add(tally.pending) as f64 / tally.elapsed.as_secs_f64();
    say!(
        "   {} reports counted, {} pending in groups below 32; {per_second:.0} reports a second.",
        tally.counted,
        tally.pending
    );
    device.upload_again(&server.endpoint)?;
    device.stop()?;

    let counters = server.export(&programs)?;
    if tally.counted == 0 {
        say!("\nNo metric reached 32 reports, so nothing was committed: try more devices.");
        return Ok(());
    }
    let estimates = out.join("estimates");
    let summary = estimate(&Request { plan: &plan, counters: &counters, out: &estimates, pool: None }, &mut |_| ())?;
    summary.warnings.iter().for_each(|warning| eprintln!("hubbub demo: warning: {warning}"));
    let truths = Truths::of(&questions);
    truths.write(&out.join("truth.parquet"))?;
    say!("\n5. Truth beside estimate (`!` where the interval misses the truth; one in twenty should).\n");
    let (covering, intervals) = truths.compare(&summary.rows)?;
    say!(
        "\n{covering} of {intervals} intervals cover the truth ({:.1} %).\nCounters  {}\nEstimates {}\nTruth     {}",
        100.0 * covering as f64 / intervals as f64,
        counters.display(),
        estimates.display(),
        out.join("truth.parquet").display(),
    );
    Ok(())
}

/// Makes the demo's directory, replacing an earlier demo.
fn prepare(out: &Path) -> Result<PathBuf, DemoError> {
    let io = |source| DemoError::io(out, source);
    if out.exists() {
        let empty = out.read_dir().map_err(io)?.next().is_none();
        if !empty && !out.join(MARKER).exists() {
            return Err(DemoError::NotOurs { path: out.to_owned() });
        }
        std::fs::remove_dir_all(out).map_err(io)?;
    }
    std::fs::create_dir_all(out).map_err(io)?;
    std::fs::write(out.join(MARKER), "").map_err(io)?;
    out.canonicalize().map_err(io)
}

fn questions<'a>(plan: &'a Plan, rng: &mut ChaCha20Rng) -> Result<Vec<Question<'a>>, DemoError> {
    let collected = plan.registry().metrics().filter(|metric| metric.status.is_collected());
    let question = |metric: &'a hubbub_privacy::Metric| {
        let (metric, mechanism) = plan.get(metric.id).map_err(|error| DemoError::Simulation(error.to_string()))?;
        Ok(Question { metric, mechanism, truth: Truth::draw(metric, rng)? })
    };
    collected.map(question).collect()
}

fn simulate(
    endpoint: &str,
    plan: &Plan,
    questions: &[Question<'_>],
    period: Period,
    devices: u32,
    rng: &mut ChaCha20Rng,
) -> Result<crowd::Tally, DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| DemoError::start("the simulated devices", source))?;
    let style = ProgressStyle::with_template("   {bar:40} {human_pos}/{human_len} reports, {per_sec}, {eta} left")
        .expect("the template is a constant");
    let bar = ProgressBar::new(0).with_style(style);
    let tally = runtime.block_on(crowd::upload(endpoint, plan, questions, period, devices, rng, &bar));
    bar.finish_and_clear();
    tally
}

/// The shipped aggregator on a free loopback port.
struct Server {
    running: Running,
    endpoint: String,
    config: PathBuf,
    counters: PathBuf,
}

impl Server {
    fn start(programs: &Programs, registry: &Path, out: &Path) -> Result<Self, DemoError> {
        let directory = out.join("server");
        let counters = out.join("counters");
        std::fs::create_dir_all(&directory).map_err(|source| DemoError::io(&directory, source))?;
        let config = directory.join("aggregator.toml");
        let quoted = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
        let text = format!(
            "listen = \"127.0.0.1:0\"\nstore = {}\nregistry = {}\nexport_dir = {}\nnode = \"demo\"\n",
            quoted(&directory.join("store.redb")),
            quoted(registry),
            quoted(&counters),
        );
        std::fs::write(&config, text).map_err(|source| DemoError::io(&config, source))?;
        let mut command = programs.command("hubbub-aggregator");
        command.arg("run").arg("--config").arg(&config);
        let mut running = Running::start("hubbub-aggregator", &mut command, &directory.join("log"))?;
        let line = running.first_line()?;
        let Some(endpoint) = line.strip_prefix("listening on ").map(str::to_owned) else {
            return Err(DemoError::Output { program: "hubbub-aggregator", text: line });
        };
        Ok(Self { running, endpoint, config, counters })
    }

    /// Stops the server and exports its counters.
    fn export(self, programs: &Programs) -> Result<PathBuf, DemoError> {
        self.running.stop()?;
        let mut command = programs.command("hubbub-aggregator");
        programs::run("hubbub-aggregator export", command.arg("export").arg("--config").arg(&self.config))?;
        Ok(self.counters)
    }
}
