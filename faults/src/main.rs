//! `hubbub-faults`: holds a server with the contract of `hubbub-aggregator` against faults, knowing it by its command line,
//! its sockets and its files alone.
//!
//! Exit codes: 0 everything held, 1 something did not, 2 bad usage, 3 input/output, 4 the server's program is not there.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hubbub_faults::rounds::Bounds;
use hubbub_faults::{Figures, kill, power_loss, reveal};
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
    /// Power cuts at every sync and acknowledgement, as disk images made from the server's system calls; 2,000 a round.
    PowerLoss(Bounds),
    /// What the server's writes reveal: states of counters close to each other, the order of ids, anything of a request.
    Reveal(Bounds),
}

fn main() -> ExitCode {
    let (bounds, check): (Bounds, fn(&Bounds) -> std::io::Result<Figures>) = match Arguments::parse().check {
        Check::Kill(bounds) => (bounds, kill::check),
        Check::PowerLoss(bounds) => (bounds, power_loss::check),
        Check::Reveal(bounds) => (bounds, reveal::check),
    };
    if !bounds.program.is_file() {
        eprintln!("hubbub-faults: no server's program at {}; name it with --program", bounds.program.display());
        return Exit::Unavailable.into();
    }
    match check(&bounds) {
        Err(error) => {
            let state = bounds.state.unwrap_or_default();
            eprintln!("hubbub-faults: keeping figures in {}: {error}; choose another --state", state.display());
            Exit::InputOutput.into()
        }
        Ok(figures) => {
            println!("{figures}");
            figures.skipped.iter().for_each(|line| println!("{line}"));
            if figures.held() { ExitCode::SUCCESS } else { Exit::CheckFailed.into() }
        }
    }
}
