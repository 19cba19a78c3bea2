//! `hubbub-aggregator`: counts randomized reports, keeps only sums.
//!
//! Exit codes: 0 done, 1 a check failed, 2 bad input or usage, 3 input/output, 4 something needed is unavailable.

mod activation;
mod allocator;
mod limits;
mod log;
mod serve;
mod systemd;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hubbub_aggregator::{Config, Reading, Task, maintain};
use hubbub_privacy::Exit;

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
    /// Compare everything in the store with everything else: exit 0 when it is whole, 1 when it is damaged.
    ///
    /// Without a running server every page of the file is read and its checksum compared; a running server did that when
    /// it started.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Check this file instead of the store, such as a backup.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Copy the store into a new file, also while the server runs; prints its path.
    ///
    /// To restore, stop the server, put the file in the store's place and start it again. A backup holds the ids of open
    /// periods: delete backups that are older than five weeks.
    Backup {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The new file, in a directory that the server's user may write.
        target: PathBuf,
    },
    /// Remove what was counted while its metric was in status testing, from the store and from this node's exported
    /// files; prints one series a line.
    Purge {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Only print what would be removed.
        #[arg(long)]
        dry_run: bool,
    },
}

/// A message and an exit code.
struct Failure(String, Exit);

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config, test_clock } => serve::serve(&config, test_clock.as_deref()),
        Command::Export { config } => perform(&config, None, Task::Read(Reading::Export)),
        Command::Check { config, file } => perform(&config, file, Task::Read(Reading::Check)),
        Command::Backup { config, target } => perform(&config, None, Task::Read(Reading::BackUp(target))),
        Command::Purge { config, dry_run } => perform(&config, None, Task::Purge { dry_run }),
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

fn perform(config: &Path, store: Option<PathBuf>, task: Task) -> Result<(), Failure> {
    let mut config = read_config(config)?;
    config.store = store.unwrap_or(config.store);
    let lines = maintain(&config, task).map_err(|error| Failure(error.to_string(), error.exit()))?;
    print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure(format!("writing to standard output: {error}"), Exit::InputOutput))
}
