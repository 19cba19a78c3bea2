//! `hubbub-aggregator`: counts randomized reports, keeps only sums.
//!
//! Exit codes: 0 done, 2 bad input or usage, 3 input/output, 4 something needed is unavailable.

mod activation;
mod limits;
mod log;
mod serve;
mod systemd;

use hubbub_privacy::Exit;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hubbub_aggregator::{Config, export};

/// Counts randomized reports and keeps only sums.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    ///
    /// Prints `listening on URL` on standard output once reports are accepted, and tells systemd. A socket that systemd
    /// passes is served instead of `listen`. SIGHUP reads the TLS certificate and key again.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// For tests: a file with Unix seconds in place of the system's clock. Needs a loopback address.
        #[arg(long, value_name = "FILE")]
        test_clock: Option<PathBuf>,
    },
    /// Write the counters files of all committed reports; prints one path a line.
    ///
    /// A running server writes them itself; without one the store is read directly.
    Export {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// A message and an exit code.
struct Failure(String, Exit);

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config, test_clock } => serve::serve(&config, test_clock.as_deref()),
        Command::Export { config } => print_exported(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message, exit)) => {
            eprintln!("hubbub-aggregator: {message}");
            exit.into()
        }
    }
}

fn read_config(path: &Path) -> Result<Config, Failure> {
    Config::read(path).map_err(|error| Failure(error.to_string(), error.exit()))
}

fn print_exported(config: &Path) -> Result<(), Failure> {
    let files = export(&read_config(config)?).map_err(|error| Failure(error.to_string(), error.exit()))?;
    let lines: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    print(&lines)
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure(format!("writing to standard output: {error}"), Exit::InputOutput))
}
