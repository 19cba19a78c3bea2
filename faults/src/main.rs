//! `hubbub-faults`: holds a server with the contract of `hubbub-aggregator` against faults, knowing it by its command line,
//! its sockets and its files alone.
//!
//! Exit codes: 0 everything held, 1 something did not, 2 bad usage, 3 input/output, 4 the server's program is not there.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hubbub_faults::all::{self, Extent};
use hubbub_faults::rounds::{Bounds, beside_this_program};
use hubbub_faults::{Figures, chaos, clock, flip, full, inject, kill, power_loss, reveal, short_writes};
use hubbub_privacy::Exit;

/// Holds a server against faults; names what was lost, doubled or could not be opened again.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    check: Check,
}

#[derive(Subcommand)]
enum Check {
    /// SIGKILL at random moments: under load, while starting, exporting and stopping.
    Kill(Bounds),
    /// A kill or an error at each storage and send system call, by strace.
    Inject(Bounds),
    /// Short writes and interrupted calls, on files and sockets.
    ShortWrites(Bounds),
    /// Lost replies, duplicates, reordering, cut requests and pipelines.
    Chaos(Bounds),
    /// A clock that jumps over the ends of periods, and back.
    Clock(Bounds),
    /// Flipped bits and torn pages in a stopped server's store.
    Flip(Bounds),
    /// A disk that fills up and is freed again.
    Full(Bounds),
    /// Power cuts at every sync and acknowledgement, as disk images made from the server's system calls; 2,000 a round.
    PowerLoss(Bounds),
    /// What the server's writes reveal: states of counters close to each other, the order of ids, anything of a request.
    Reveal(Bounds),
    /// All of these, one after the other, and a table.
    All {
        /// How much of everything.
        #[arg(long, value_enum, default_value = "quick")]
        extent: Extent,
        /// The server's program [default: hubbub-aggregator beside this program].
        #[arg(long, value_name = "FILE", default_value_os_t = beside_this_program(), hide_default_value = true)]
        program: PathBuf,
        /// Every round follows from this number and its own.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A directory that keeps each check's figures after every round; a run that finds them goes on where they end.
        #[arg(long, value_name = "DIRECTORY")]
        states: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().check {
        Check::Kill(bounds) => one(&bounds, kill::check),
        Check::Inject(bounds) => one(&bounds, inject::check),
        Check::ShortWrites(bounds) => one(&bounds, short_writes::check),
        Check::Chaos(bounds) => one(&bounds, chaos::check),
        Check::Clock(bounds) => one(&bounds, clock::check),
        Check::Flip(bounds) => one(&bounds, flip::check),
        Check::Full(bounds) => one(&bounds, full::check),
        Check::PowerLoss(bounds) => one(&bounds, power_loss::check),
        Check::Reveal(bounds) => one(&bounds, reveal::check),
        Check::All { extent, program, seed, states } => {
            if let Err(exit) = present(&program) {
                return exit;
            }
            match all::run(&program, seed, extent, states.as_deref()) {
                Err((state, error)) => unusable(&state, &error),
                Ok(all) => {
                    print!("{}", all::table(&all));
                    verdict(all.iter().all(|(_, figures)| figures.held()))
                }
            }
        }
    }
}

fn one(bounds: &Bounds, check: fn(&Bounds) -> io::Result<Figures>) -> ExitCode {
    if let Err(exit) = present(&bounds.program) {
        return exit;
    }
    match check(bounds) {
        Err(error) => unusable(&bounds.state.clone().unwrap_or_default(), &error),
        Ok(figures) => {
            println!("{figures}");
            figures.skipped.iter().for_each(|line| println!("{line}"));
            verdict(figures.held())
        }
    }
}

fn present(program: &Path) -> Result<(), ExitCode> {
    if program.is_file() {
        return Ok(());
    }
    eprintln!("hubbub-faults: no server's program at {}; name it with --program", program.display());
    Err(Exit::Unavailable.into())
}

fn unusable(state: &Path, error: &io::Error) -> ExitCode {
    eprintln!("hubbub-faults: keeping figures in {}: {error}; choose another place", state.display());
    Exit::InputOutput.into()
}

fn verdict(held: bool) -> ExitCode {
    if held { ExitCode::SUCCESS } else { Exit::CheckFailed.into() }
}
