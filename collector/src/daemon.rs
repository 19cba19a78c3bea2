//! `hubbubd`: puts the device's thread and the bus together.

use std::path::PathBuf;

use clap::Parser;
use hubbub_privacy::registry::{self, Findings, ReadError};
use rand::TryCryptoRng;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use zbus::Connection;

use crate::bus::{self, Bus, BusError};
use crate::catalogue::Catalogue;
use crate::clock::{Clock, ClockError};
use crate::device::{Ask, Device, Parts, Request, serve};
use crate::outbox::{Outbox, OutboxError};
use crate::store::{StateDirectory, StoreError};
use hubbub_privacy::Exit;

/// Calls that may wait for the device's thread; more wait in the bus.
const WAITING_CALLS: usize = 1024;

/// Collects what its owner agreed to, and turns a week into noisy reports.
#[derive(Debug, Parser)]
#[command(name = "hubbubd", version, about, after_help = crate::EXIT_CODES)]
pub struct Arguments {
    /// Directory of the registry
    #[arg(long, value_name = "DIR")]
    pub registry: PathBuf,
    /// Directory of the state database
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hubbub")]
    pub state: PathBuf,
    /// Directory of finished reports, shared with hubbub-upload
    #[arg(long, value_name = "DIR", default_value = crate::OUTBOX)]
    pub outbox: PathBuf,
    /// `system`, or the address of a private bus
    #[arg(long, value_name = "ADDRESS", default_value = "system")]
    pub bus: String,
    /// Root directory that probes read below
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// File with the time in Unix seconds, for tests on a private bus
    #[arg(long, value_name = "FILE")]
    pub test_clock: Option<PathBuf>,
}

/// Why the daemon did not start, or had to stop.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// A test clock on the bus where real users are.
    #[error("--test-clock is for tests and refused on the system bus; name a private bus with --bus")]
    TestClockOnSystemBus,
    /// The test clock.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The registry cannot be read, or has errors.
    #[error(transparent)]
    Registry(#[from] ReadError),
    /// The registry is not approved.
    #[error("registry {} is not approved:\n{findings}", path.display())]
    NotApproved {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        findings: Findings,
    },
    /// The state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The outbox.
    #[error("{0}; name a writable directory with --outbox")]
    Outbox(#[from] OutboxError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The system refused a thread, a signal handler or an event loop.
    #[error("starting: {0}")]
    Start(std::io::Error),
    /// A defect of this program.
    #[error("the thread that owns the device has stopped unexpectedly")]
    DeviceStopped,
}

impl DaemonError {
    /// The exit code that says so.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::TestClockOnSystemBus | Self::NotApproved { .. } | Self::Clock(ClockError::NotSeconds { .. }) => {
                Exit::BadInput
            }
            Self::Registry(error) => error.exit(),
            Self::Store(StoreError::InUse { .. }) | Self::DeviceStopped => Exit::Unavailable,
            Self::Bus(error) => error.exit(),
            Self::Clock(ClockError::Io { .. }) | Self::Store(_) | Self::Outbox(_) | Self::Start(_) => Exit::InputOutput,
        }
    }
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// [`DaemonError`], each with its exit code.
pub fn run<R: TryCryptoRng + Send + 'static>(arguments: Arguments, rng: R) -> Result<(), DaemonError> {
    let bus = Bus::parse(&arguments.bus);
    let mut clock = match (&arguments.test_clock, &bus) {
        (Some(_), Bus::System) => return Err(DaemonError::TestClockOnSystemBus),
        (Some(path), Bus::Private(_)) => Clock::from_file(path)?,
        (None, _) => Clock::System,
    };
    let registry = registry::read(&arguments.registry)?;
    registry
        .require_approved(clock.now_s())
        .map_err(|findings| DaemonError::NotApproved { path: arguments.registry.clone(), findings })?;
    let catalogue = Catalogue::new(registry);
    for (metric, way) in catalogue.metrics() {
        if let Err(reason) = way {
            tracing::warn!("{} is not collected: {reason}", metric.name);
        }
    }
    let digest = catalogue.registry().digest().to_owned();
    let parts = Parts {
        catalogue,
        directory: StateDirectory::claim(&arguments.state)?,
        outbox: Outbox::create(&arguments.outbox)?,
        root: arguments.root,
        clock,
        rng,
        own_uid: rustix::process::getuid().as_raw(),
    };
    let device = Device::open(parts)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DaemonError::Start)?;
    runtime.block_on(live(device, &bus, &digest))
}

async fn live<R: TryCryptoRng + Send + 'static>(
    mut device: Device<R>,
    bus: &Bus,
    digest: &str,
) -> Result<(), DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Start)?;
    let mut ticks = tokio::time::interval(device.tick_interval());
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);

    let (requests, waiting) = mpsc::channel(WAITING_CALLS);
    let (publisher, published) = watch::channel(device.published());
    let connection = bus::join(bus, digest, requests.clone(), published.clone()).await?;
    tracing::info!("{} is on {bus}", bus::NAME);
    let thread = std::thread::Builder::new().name("device".to_owned());
    let device = thread.spawn(move || serve(device, waiting, &publisher)).map_err(DaemonError::Start)?;

    let announced = connection.clone();
    let announcer = tokio::spawn(async move {
        if let Err(error) = bus::announce(&announced, published).await {
            tracing::warn!("announcing changed properties: {error}");
        }
    });
    let ended = loop {
        tokio::select! {
            _ = ticks.tick() => {
                if requests.send(Request::Ask(Ask::Tick)).await.is_err() {
                    break Err(DaemonError::DeviceStopped);
                }
            }
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            () = connection.closed() => break Err(BusError::Closed { bus: bus.clone() }.into()),
        }
    };
    // What has arrived is answered; then the database closes, which empties its write-ahead log.
    let stopped = requests.send(Request::Stop).await.is_ok();
    let joined = tokio::task::spawn_blocking(move || device.join()).await;
    announcer.abort();
    leave(connection).await;
    match joined {
        Ok(Ok(())) if stopped => ended,
        _ => Err(DaemonError::DeviceStopped),
    }
}

/// Gives the name back, so that a caller sees at once that nobody is there.
async fn leave(connection: Connection) {
    if let Err(error) = connection.close().await {
        tracing::debug!("leaving the bus: {error}");
    }
}
