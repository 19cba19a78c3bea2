//! `run`: logging, clock, limits, signals and the listener around the library's server.

use std::net::SocketAddr;
use std::path::Path;

use hubbub_aggregator::{Clock, Config, ConfigError, RunError, Setup, run};
use hubbub_privacy::Exit;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use crate::activation::passed_listener;
use crate::{Failure, limits, log, print, read_config, systemd};

/// Serves until SIGTERM or SIGINT.
pub fn serve(config: &Path, test_clock: Option<&Path>) -> Result<(), Failure> {
    // First of all, while there is one thread.
    let passed = passed_listener().map_err(|error| Failure(error.to_string(), error.exit()))?;
    let config = read_config(config)?;
    log::to_stderr();
    limits::set().map_err(|error| Failure(format!("setting the process's limits: {error}"), Exit::InputOutput))?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure(format!("starting the runtime: {error}"), Exit::InputOutput))?;
    let test_clock = test_clock.map(Path::to_owned);
    // On a worker: what the registry took to be read is free again afterwards, and only its own thread reuses it.
    let served = runtime.spawn(async move { serve_until_signalled(&config, test_clock.as_deref(), passed).await });
    let served = runtime.block_on(served);
    served.unwrap_or_else(|error| Err(Failure(RunError::Defect(error.to_string()).to_string(), Exit::InputOutput)))
}

async fn serve_until_signalled(
    config: &Config,
    test_clock: Option<&Path>,
    passed: Option<std::net::TcpListener>,
) -> Result<(), Failure> {
    let signals = |error| Failure(format!("waiting for signals: {error}"), Exit::InputOutput);
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let reload = signal(SignalKind::hangup()).map_err(signals)?;
    let clock = clock(test_clock, passed.as_ref().map_or(Ok(config.listen), std::net::TcpListener::local_addr))?;
    let (listener, address) = listen(config, passed).await?;
    let setup = Setup::prepare(config, clock).map_err(|error| Failure(error.to_string(), error.exit()))?;
    let scheme = if config.tls().is_some() { "https" } else { "http" };
    if scheme == "http" && !address.ip().is_loopback() {
        warn!(
            "plain HTTP on an address that is not loopback: put a TLS proxy in front, or set tls_certificate and tls_key"
        );
    }
    if config.retired {
        warn!("this server is retired: every report is answered 410, and devices stop");
    }
    let attending = tokio::spawn(systemd::attend(reload, setup.tls(), setup.heartbeat()));
    print(&format!("listening on {scheme}://{address}\n"))?;
    systemd::ready();
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        systemd::stopping();
    };
    let served = run(listener, setup, shutdown).await;
    attending.abort();
    served.map_err(|error| Failure(error.to_string(), error.exit()))
}

async fn listen(config: &Config, passed: Option<std::net::TcpListener>) -> Result<(TcpListener, SocketAddr), Failure> {
    let listening = |error| {
        Failure(
            format!("listening on {}: {error}; choose another `listen` or free this one", config.listen),
            Exit::Unavailable,
        )
    };
    let listener = match passed {
        Some(passed) => TcpListener::from_std(passed),
        None => TcpListener::bind(config.listen).await,
    };
    let listener = listener.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    Ok((listener, address))
}

fn clock(test_clock: Option<&Path>, address: std::io::Result<SocketAddr>) -> Result<Clock, Failure> {
    let Some(file) = test_clock else { return Ok(Clock::System) };
    match address {
        Ok(address) if address.ip().is_loopback() => {
            Clock::test_file(file).map_err(|error| Failure(error.to_string(), Exit::InputOutput))
        }
        Ok(listen) => Err(Failure(ConfigError::TestClock { listen }.to_string(), Exit::BadInput)),
        Err(error) => Err(Failure(format!("using the passed socket: {error}"), Exit::InputOutput)),
    }
}
