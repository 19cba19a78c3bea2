//! `hubbub-upload`: sends every report that is due, once, and writes down what happened. It reads nothing but the outbox.

mod config;
mod decision;
mod endpoint;
mod http;

use std::path::PathBuf;

use bytes::Bytes;
use clap::Parser;
use hubbub_privacy::Report;
use rand::TryCryptoRng;
use thiserror::Error;

pub use config::{Config, ConfigError};
pub use decision::{Decision, decide};
pub use endpoint::{Endpoint, EndpointError};
pub use http::{Answer, PostError, Poster};

use crate::clock::{Clock, ClockError};
use crate::outbox::{Attempt, FileName, MAX_REPORT_BYTES, Outbox, OutboxError, Outcome};
use hubbub_privacy::Exit;

/// After so many attempts in a row without an answer the rest waits for the next run: the network is down.
const GIVE_UP_AFTER: u32 = 3;

/// Sends the reports of the outbox that are due.
#[derive(Debug, Parser)]
#[command(name = "hubbub-upload", version, about, after_help = crate::EXIT_CODES)]
pub struct Arguments {
    /// Directory of finished reports
    #[arg(long, value_name = "DIR", default_value = crate::OUTBOX)]
    pub outbox: PathBuf,
    /// Where the server is.
    #[arg(long, value_name = "URL", help = "Where the server is, for example https://metrics.example.org")]
    pub endpoint: Option<String>,
    /// Configuration file; the command line wins
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File with the time in Unix seconds, for tests with a server on this machine
    #[arg(long, value_name = "FILE")]
    pub test_clock: Option<PathBuf>,
}

/// Why the uploader gave up.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No endpoint at all.
    #[error("no server is named; use --endpoint URL, or `endpoint` in the file of --config")]
    NoEndpoint,
    /// A test clock with a real server.
    #[error("--test-clock is for tests and refused with {endpoint}; name a server on this machine")]
    TestClockOnNetwork {
        /// The server.
        endpoint: Endpoint,
    },
    /// The test clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The outbox.
    #[error("{0}; name the outbox of hubbubd with --outbox")]
    Outbox(#[from] OutboxError),
    /// No attempt got an answer.
    #[error("{endpoint} could not be reached: {reason}; all reports are kept and offered again later")]
    Unreachable {
        /// The server.
        endpoint: Endpoint,
        /// The last failure.
        reason: PostError,
    },
    /// The random generator failed, so no new time could be drawn.
    #[error("the random generator failed: {0}; the reports are kept")]
    Randomness(String),
    /// The system refused an event loop.
    #[error("starting: {0}")]
    Start(std::io::Error),
}

impl UploadError {
    /// The exit code that says so.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(error) => error.exit(),
            Self::Endpoint(_)
            | Self::NoEndpoint
            | Self::TestClockOnNetwork { .. }
            | Self::Clock(ClockError::NotSeconds { .. }) => Exit::BadInput,
            Self::Clock(ClockError::Io { .. }) | Self::Outbox(_) | Self::Start(_) => Exit::InputOutput,
            Self::Unreachable { .. } | Self::Randomness(_) => Exit::Unavailable,
        }
    }
}

/// Sends what is due.
///
/// # Errors
/// [`UploadError`], each with its exit code. A server that says "later" is no error.
pub fn run<R: TryCryptoRng>(arguments: &Arguments, mut rng: R) -> Result<(), UploadError> {
    let config = arguments.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let url = arguments.endpoint.as_ref().or(config.endpoint.as_ref()).ok_or(UploadError::NoEndpoint)?;
    let endpoint = Endpoint::parse(url)?;
    let mut clock = match &arguments.test_clock {
        Some(_) if !endpoint.is_loopback() => return Err(UploadError::TestClockOnNetwork { endpoint }),
        Some(path) => Clock::from_file(path)?,
        None => Clock::System,
    };
    let outbox = Outbox::open(&arguments.outbox)?;
    let poster = Poster::new(endpoint.clone(), config.roots()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(UploadError::Start)?;
    runtime.block_on(send_due(&outbox, &poster, &mut clock, &mut rng)).map_err(|error| match error {
        SendError::Outbox(error) => UploadError::Outbox(error),
        SendError::Unreachable(reason) => UploadError::Unreachable { endpoint, reason },
        SendError::Randomness(error) => UploadError::Randomness(error),
    })
}

enum SendError {
    Outbox(OutboxError),
    Unreachable(PostError),
    Randomness(String),
}

impl From<OutboxError> for SendError {
    fn from(error: OutboxError) -> Self {
        Self::Outbox(error)
    }
}

async fn send_due<R: TryCryptoRng>(
    outbox: &Outbox,
    poster: &Poster,
    clock: &mut Clock,
    rng: &mut R,
) -> Result<(), SendError> {
    let listing = outbox.list()?;
    for stranger in &listing.strangers {
        let place = outbox.set_aside(stranger)?;
        tracing::warn!("{stranger} in the outbox is no report; moved to {}", place.display());
    }
    let (mut answered, mut failures, mut last_failure) = (0u32, 0u32, None);
    for name in listing.reports {
        let now_s = clock.now_s();
        if name.due_s > now_s {
            break;
        }
        let Some(bytes) = outbox.read(&name)? else { continue };
        let report = if bytes.len() as u64 <= MAX_REPORT_BYTES { Report::decode(&bytes).ok() } else { None };
        let Some(report) = report else {
            let place = outbox.set_aside(&name.to_string())?;
            tracing::warn!("{name} in the outbox is no report; moved to {}", place.display());
            record(outbox, &name, Outcome::Rejected, "malformed_file", now_s, None)?;
            continue;
        };
        let last_chance_s = report.period.acceptance_end();
        if now_s >= last_chance_s {
            record(outbox, &name, Outcome::Expired, "too_late", now_s, None)?;
            outbox.remove(&name)?;
            continue;
        }
        let answer = poster.post(Bytes::from(bytes)).await;
        let Decision { outcome, code, due_s } = decide(&answer, now_s, last_chance_s, rng)
            .map_err(|error: R::Error| SendError::Randomness(error.to_string()))?;
        record(outbox, &name, outcome, &code, now_s, due_s)?;
        match due_s {
            Some(due_s) => outbox.postpone(&name, due_s)?,
            None => outbox.remove(&name)?,
        }
        match answer {
            Ok(_) => (answered, failures) = (answered + 1, 0),
            Err(failure) => {
                failures += 1;
                last_failure = Some(failure);
                if failures == GIVE_UP_AFTER {
                    break;
                }
            }
        }
    }
    match last_failure.filter(|_| answered == 0) {
        Some(reason) => Err(SendError::Unreachable(reason)),
        None => Ok(()),
    }
}

/// The result is written before the file changes: a crash in between offers the same bytes again, which counts once.
fn record(
    outbox: &Outbox,
    name: &FileName,
    outcome: Outcome,
    code: &str,
    at_s: i64,
    due_s: Option<i64>,
) -> Result<(), OutboxError> {
    outbox.add_result(name, &Attempt { key: name.key.to_string(), outcome, code: code.to_owned(), at_s, due_s })
}
