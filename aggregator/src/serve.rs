//! `run`: logging, clock, limits, signals and the listener around the library's server.

use hubbub_privacy::Exit;
use std::path::Path;

use hubbub_aggregator::{Clock, Config, ConfigError, Setup, run};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{Level, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::{Failure, limits, print, read_config};

/// Serves until SIGTERM or SIGINT.
pub fn serve(config: &Path, test_clock: Option<&Path>) -> Result<(), Failure> {
    let config = read_config(config)?;
    // Only this program's own messages: libraries may log what they read from peers.
    let own = Targets::new().with_target("hubbub_aggregator", Level::INFO);
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    tracing_subscriber::registry().with(to_stderr.with_filter(own)).init();
    let clock = match test_clock {
        None => Clock::System,
        Some(_) if !config.listen.ip().is_loopback() => {
            let error = ConfigError::TestClock { listen: config.listen };
            return Err(Failure(error.to_string(), error.exit()));
        }
        Some(file) => Clock::test_file(file).map_err(|error| Failure(error.to_string(), Exit::InputOutput))?,
    };
    limits::set().map_err(|error| Failure(format!("setting the process's limits: {error}"), Exit::InputOutput))?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure(format!("starting the runtime: {error}"), Exit::InputOutput))?;
    runtime.block_on(serve_until_signalled(&config, clock))
}

async fn serve_until_signalled(config: &Config, clock: Clock) -> Result<(), Failure> {
    let listening = |error| {
        Failure(
            format!("listening on {}: {error}; choose another `listen` or free this one", config.listen),
            Exit::Unavailable,
        )
    };
    let signals = |error| Failure(format!("waiting for signals: {error}"), Exit::InputOutput);
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let listener = TcpListener::bind(config.listen).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let setup = Setup::prepare(config, clock).map_err(|error| Failure(error.to_string(), error.exit()))?;
    let scheme = if config.tls().is_some() { "https" } else { "http" };
    if scheme == "http" && !address.ip().is_loopback() {
        warn!(
            "plain HTTP on an address that is not loopback: put a TLS proxy in front, or set tls_certificate and tls_key"
        );
    }
    print(&format!("listening on {scheme}://{address}\n"))?;
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run(listener, setup, shutdown).await.map_err(|error| Failure(error.to_string(), error.exit()))
}
